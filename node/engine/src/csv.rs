//! Text tables: one header line, one-byte delimiter, quotes by RFC 4180. Every cell is text, exactly as found.
//!
//! arrow-csv is not used: it skips blank lines, reads a lone carriage return as a line end, accepts text after a closing
//! quote, cannot tell the line of a fault behind quoted line breaks, and puts cells into its error texts.

use std::io::Read;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use arrow::datatypes::DataType;
use cohortium_protocol::ident::ColumnName;

use crate::batch::{SourceBatch, SourceColumn, SourceFault, named_once};
use crate::handle::{Handle, Sequential};
use crate::limits::Limits;

/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads a text table in batches.
pub(crate) struct CsvReader {
    input: Input,
    delimiter: u8,
    columns: Vec<SourceColumn>,
    needed: Vec<bool>,
    limits: Limits,
    cells: Vec<Cell>,
    row: u64,
    /// The line of a blank line behind the last row. Only the end of the file may follow.
    blank: Option<u64>,
}

/// Where a cell lies in its record, without its quotes.
#[derive(Clone, Copy)]
struct Cell {
    start: usize,
    end: usize,
    /// It holds doubled quotes.
    doubled: bool,
    quoted: bool,
}

/// One record that lies whole in the buffer.
#[derive(Clone, Copy)]
struct Record {
    bytes: usize,
    lines: u64,
}

/// Why bytes do not split into cells.
enum SplitFault {
    /// A quote is opened and never closed, or text follows a closing quote.
    Quote,
    /// More cells than asked for.
    Cells,
}

impl CsvReader {
    /// Reads the header line.
    pub(crate) fn open(handle: &Handle, delimiter: u8, limits: &Limits) -> Result<Self, SourceFault> {
        if !delimiter.is_ascii() || matches!(delimiter, b'"' | b'\n' | b'\r') {
            return Err(SourceFault::Delimiter);
        }
        let mut reader = Self {
            input: Input::new(handle)?,
            delimiter,
            columns: Vec::new(),
            needed: Vec::new(),
            limits: *limits,
            cells: Vec::new(),
            row: 0,
            blank: None,
        };
        let record = reader.record(limits.columns_max)?.ok_or(SourceFault::Empty)?;
        let names = reader.header(record)?;
        reader.columns = names.into_iter().map(|name| SourceColumn { name, kind: DataType::Utf8 }).collect();
        reader.needed = vec![true; reader.columns.len()];
        reader.input.pass(record);
        Ok(reader)
    }

    /// The columns, in the header's order.
    pub(crate) fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    /// Reads only these columns from here on; the others are split off and checked all the same.
    pub(crate) fn project(&mut self, needed: &[bool]) {
        self.needed = needed.to_vec();
    }

    /// The next rows; `None` at the end.
    pub(crate) fn next_batch(&mut self) -> Result<Option<SourceBatch>, SourceFault> {
        let mut builders: Vec<Option<StringBuilder>> = self
            .needed
            .iter()
            .map(|needed| needed.then(|| StringBuilder::with_capacity(self.limits.batch_rows, 0)))
            .collect();
        let (first_row, mut bytes, mut places) = (self.row, 0, Vec::with_capacity(self.limits.batch_rows));
        while places.len() < self.limits.batch_rows && bytes < self.limits.batch_bytes {
            let Some(record) = self.row_record()? else { break };
            places.push(self.input.line);
            self.append(record, &mut builders)?;
            bytes += record.bytes;
            self.row += 1;
            self.input.pass(record);
        }
        if places.is_empty() {
            return Ok(None);
        }
        let columns = builders.into_iter().map(|b| b.map(|mut b| Arc::new(b.finish()) as ArrayRef)).collect();
        Ok(Some(SourceBatch { columns, places, first_row }))
    }

    /// The next record that is a row, its cells in `self.cells`. Blank lines may stand at the end of the file alone.
    fn row_record(&mut self) -> Result<Option<Record>, SourceFault> {
        let expected = self.columns.len();
        while let Some(record) = self.record(expected)? {
            let line = self.input.line;
            let blank = matches!(self.cells.as_slice(), [cell] if cell.start == cell.end && !cell.quoted);
            if blank && expected > 1 {
                self.blank = self.blank.or(Some(line));
                self.input.pass(record);
                continue;
            }
            if let Some(blank) = self.blank {
                return Err(SourceFault::Ragged { line: blank, found: 1, expected });
            }
            if self.cells.len() != expected {
                return Err(SourceFault::Ragged { line, found: self.cells.len(), expected });
            }
            return Ok(Some(record));
        }
        Ok(None)
    }

    /// The next record, whole in the buffer and its cells split; at most `cells_max` of them.
    fn record(&mut self, cells_max: usize) -> Result<Option<Record>, SourceFault> {
        let line = self.input.line;
        loop {
            let bytes = self.input.unread();
            if bytes.is_empty() && self.input.ended {
                return Ok(None);
            }
            let split = split(bytes, self.input.ended, self.delimiter, cells_max, &mut self.cells);
            let too_long = |bytes: usize| bytes > self.limits.line_bytes_max;
            match split {
                Ok(Some(record)) if too_long(record.bytes) => return Err(SourceFault::LineTooLong { line }),
                Ok(Some(record)) => return Ok(Some(record)),
                Ok(None) if too_long(bytes.len()) => return Err(SourceFault::LineTooLong { line }),
                Ok(None) => self.input.read_more()?,
                Err(SplitFault::Quote) => return Err(SourceFault::Quote { line }),
                Err(SplitFault::Cells) if self.columns.is_empty() => {
                    return Err(SourceFault::TooManyColumns { max: cells_max });
                }
                Err(SplitFault::Cells) => {
                    return Err(SourceFault::Ragged { line, found: cells_max + 1, expected: cells_max });
                }
            }
        }
    }

    fn append(&self, record: Record, builders: &mut [Option<StringBuilder>]) -> Result<(), SourceFault> {
        let text = self.text(record)?;
        for ((cell, builder), column) in self.cells.iter().zip(builders).zip(&self.columns) {
            if cell.end - cell.start > self.limits.cell_bytes_max {
                return Err(SourceFault::CellTooLong { place: self.input.line, column: column.name.clone() });
            }
            let Some(builder) = builder else { continue };
            let value = &text[cell.start..cell.end];
            if cell.doubled { builder.append_value(value.replace("\"\"", "\"")) } else { builder.append_value(value) }
        }
        Ok(())
    }

    fn text(&self, record: Record) -> Result<&str, SourceFault> {
        let bytes = &self.input.unread()[..record.bytes];
        std::str::from_utf8(bytes).map_err(|error| {
            let at = error.valid_up_to();
            let line = self.input.line + line_ends(&bytes[..at]);
            let cell = self.cells.iter().position(|cell| at <= cell.end);
            let column = cell.and_then(|cell| self.columns.get(cell)).map(|column| column.name.clone());
            SourceFault::NotUtf8 { line, column }
        })
    }

    fn header(&self, record: Record) -> Result<Vec<ColumnName>, SourceFault> {
        let text = self.text(record)?;
        let cells = self.cells.iter().map(|cell| text[cell.start..cell.end].replace("\"\"", "\""));
        named_once(cells)
    }
}

fn line_ends(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

/// Splits the first record of `bytes` into cells. `None`: it goes on behind what is at hand.
fn split(
    bytes: &[u8],
    ended: bool,
    delimiter: u8,
    cells_max: usize,
    cells: &mut Vec<Cell>,
) -> Result<Option<Record>, SplitFault> {
    cells.clear();
    let (mut at, mut lines) = (0, 1);
    loop {
        if cells.len() == cells_max {
            return Err(SplitFault::Cells);
        }
        let cell = match bytes.get(at) {
            None if !ended => return Ok(None),
            Some(b'"') => quoted(bytes, at, ended, delimiter)?,
            None | Some(_) => plain(bytes, at, ended, delimiter),
        };
        let Some((cell, next)) = cell else { return Ok(None) };
        cells.push(cell);
        if cell.quoted {
            lines += line_ends(&bytes[cell.start..cell.end]);
        }
        match next {
            Next::Cell(start) => at = start,
            Next::Record(bytes) => return Ok(Some(Record { bytes, lines })),
        }
    }
}

/// What follows a cell, and where.
enum Next {
    Cell(usize),
    Record(usize),
}

fn plain(bytes: &[u8], start: usize, ended: bool, delimiter: u8) -> Option<(Cell, Next)> {
    let found = bytes[start..].iter().position(|byte| *byte == delimiter || *byte == b'\n');
    let stop = match found {
        Some(offset) => start + offset,
        None if ended => bytes.len(),
        None => return None,
    };
    let cell = |end| Cell { start, end, doubled: false, quoted: false };
    if bytes.get(stop) == Some(&delimiter) {
        return Some((cell(stop), Next::Cell(stop + 1)));
    }
    let end = if stop > start && bytes[stop - 1] == b'\r' { stop - 1 } else { stop };
    Some((cell(end), Next::Record(bytes.len().min(stop + 1))))
}

fn quoted(bytes: &[u8], open: usize, ended: bool, delimiter: u8) -> Result<Option<(Cell, Next)>, SplitFault> {
    let (start, mut at, mut doubled) = (open + 1, open + 1, false);
    loop {
        let Some(offset) = bytes[at..].iter().position(|byte| *byte == b'"') else {
            return if ended { Err(SplitFault::Quote) } else { Ok(None) };
        };
        let end = at + offset;
        let cell = Cell { start, end, doubled, quoted: true };
        let rest = &bytes[end + 1..];
        return match rest {
            [b'"', ..] => {
                (at, doubled) = (end + 2, true);
                continue;
            }
            [next, ..] if *next == delimiter => Ok(Some((cell, Next::Cell(end + 2)))),
            [b'\n', ..] => Ok(Some((cell, Next::Record(end + 2)))),
            [b'\r', b'\n', ..] => Ok(Some((cell, Next::Record(end + 3)))),
            [] | [b'\r'] if ended => Ok(Some((cell, Next::Record(bytes.len())))),
            [] | [b'\r'] => Ok(None),
            [_, ..] => Err(SplitFault::Quote),
        };
    }
}

/// The file's bytes behind a buffer that holds at least one record.
struct Input {
    source: Sequential,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    ended: bool,
    /// The line at which the next record begins, from 1.
    line: u64,
}

impl Input {
    fn new(handle: &Handle) -> Result<Self, SourceFault> {
        let source = Sequential::new(handle);
        let mut input = Self { source, buffer: vec![0; READ_BYTES], start: 0, end: 0, ended: false, line: 1 };
        while !input.ended && input.end < BYTE_ORDER_MARK.len() {
            input.read_more()?;
        }
        if input.unread().starts_with(BYTE_ORDER_MARK) {
            input.start = BYTE_ORDER_MARK.len();
        }
        Ok(input)
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    fn pass(&mut self, record: Record) {
        self.start += record.bytes;
        self.line += record.lines;
    }

    /// Reads behind what is unread; doubles the buffer where that fills it.
    fn read_more(&mut self) -> Result<(), SourceFault> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let read = self.source.read(&mut self.buffer[self.end..]);
        let count = read.map_err(|error| SourceFault::Read { kind: error.kind() })?;
        self.end += count;
        self.ended = count == 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};

    use super::*;

    /// Names, rows, places.
    type Read = (Vec<String>, Vec<Vec<String>>, Vec<u64>);

    fn read_with(bytes: &[u8], limits: &Limits) -> Result<Read, SourceFault> {
        let handle: Handle = Arc::new(bytes.to_vec());
        let mut reader = CsvReader::open(&handle, b',', limits)?;
        let names = reader.columns().iter().map(|column| column.name.to_string()).collect();
        let (mut rows, mut places) = (Vec::new(), Vec::new());
        while let Some(batch) = reader.next_batch()? {
            for row in 0..batch.places.len() {
                let cell =
                    |column: &Option<ArrayRef>| column.as_ref().unwrap().as_string::<i32>().value(row).to_owned();
                assert!(batch.columns.iter().flatten().all(|column| column.null_count() == 0));
                rows.push(batch.columns.iter().map(cell).collect());
            }
            places.extend(batch.places);
        }
        Ok((names, rows, places))
    }

    fn read(bytes: &[u8]) -> Result<Read, SourceFault> {
        read_with(bytes, &Limits::default())
    }

    #[test]
    fn cells_are_read_exactly_as_they_stand() {
        let text = "\u{FEFF}a,\"b \"\"x\"\"\",c\r\n1, 2 ,\r\n\"x,\ny\",\"say \"\"hi\"\"\",5\" pipe\n,\"\",\u{e9}\r\rz\nlast,row,\"end\"\r\n\n\n";
        let (names, rows, places) = read(text.as_bytes()).unwrap();
        assert_eq!(names, ["a", "b \"x\"", "c"]);
        let expected =
            [["1", " 2 ", ""], ["x,\ny", "say \"hi\"", "5\" pipe"], ["", "", "\u{e9}\r\rz"], ["last", "row", "end"]];
        assert_eq!(rows, expected);
        assert_eq!(places, [2, 3, 5, 6]);
    }

    #[test]
    fn a_file_without_a_last_line_end_is_read_to_its_end() {
        for text in ["a,b\n1,2", "a,b\n1,2\n", "a,b\r\n1,2\r\n", "a,b\n1,\"2\"", "a,b\n1,2\r", "a,b\n1,\"2\"\r"] {
            assert_eq!(read(text.as_bytes()).unwrap().1, [["1", "2"]], "{text:?}");
        }
        assert_eq!(read(b"a,b\n1,").unwrap().1, [["1", ""]]);
        assert_eq!(read(b"a,b").unwrap().1, Vec::<Vec<String>>::new());
        assert_eq!(read(b"a\nx\n\n").unwrap().1, [["x"], [""]]);
    }

    #[test]
    fn what_is_not_a_table_is_a_fault_with_its_line() {
        let name = |text: &str| text.parse::<ColumnName>().unwrap();
        let ragged = |line, found| SourceFault::Ragged { line, found, expected: 2 };
        let table: [(&[u8], SourceFault); 16] = [
            (b"", SourceFault::Empty),
            (b"\xEF\xBB\xBF", SourceFault::Empty),
            (b"a,b\n1,2\n3\n", ragged(3, 1)),
            (b"a,b\n\"1\n\",2\n3,4,5\n", ragged(4, 3)),
            (b"a,b\n\n1,2\n", ragged(2, 1)),
            (b"a,b\n1,\"2\n3,4\n", SourceFault::Quote { line: 2 }),
            (b"a,b\n1,\"2\"x\n", SourceFault::Quote { line: 2 }),
            (b"a,b\n1,\"2\" \n", SourceFault::Quote { line: 2 }),
            (b"a,b\n1,2\n3,\xE9\n", SourceFault::NotUtf8 { line: 3, column: Some(name("b")) }),
            (b"a,b\n\"\n\n\xE9\",2\n", SourceFault::NotUtf8 { line: 4, column: Some(name("a")) }),
            // A character cut in two by a delimiter is not text, though both cells together would be.
            (b"a,b\n\xC3,\xA9\n", SourceFault::NotUtf8 { line: 2, column: Some(name("a")) }),
            (b"\xFF\xFEa\0,\0b\0\n\0", SourceFault::NotUtf8 { line: 1, column: None }),
            (b"a,a\n", SourceFault::HeaderTwice { first: 1, second: 2 }),
            (b"a,\n", SourceFault::HeaderName { position: 2 }),
            (b"a,b\rc\n", SourceFault::HeaderName { position: 2 }),
            (b"\na,b\n", SourceFault::HeaderName { position: 1 }),
        ];
        for (bytes, fault) in table {
            assert_eq!(read(bytes).err(), Some(fault), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn every_limit_is_a_fault_with_its_line() {
        let limits = Limits { cell_bytes_max: 4, line_bytes_max: 12, columns_max: 3, ..Limits::default() };
        assert!(read_with(b"a,b,c\n1234,1,12\n", &limits).is_ok());
        assert!(read_with(b"a,b,c\n123,123,123\n", &limits).is_ok());
        assert_eq!(read_with(b"a,b,c\n123,123,1234\n", &limits).err(), Some(SourceFault::LineTooLong { line: 2 }));
        let cell = SourceFault::CellTooLong { place: 2, column: "b".parse().unwrap() };
        assert_eq!(read_with(b"a,b,c\n1,12345,1\n", &limits).err(), Some(cell));
        assert_eq!(read_with(b"a,b,c,d\n", &limits).err(), Some(SourceFault::TooManyColumns { max: 3 }));
        let long = [b"a,b\n1,\"".as_slice(), &vec![b'x'; 5 << 20]].concat();
        let limits = Limits { line_bytes_max: 2 << 20, ..Limits::default() };
        assert_eq!(read_with(&long, &limits).err(), Some(SourceFault::LineTooLong { line: 2 }));
        let many = [b"a,b\n".as_slice(), &vec![b','; 5 << 20]].concat();
        assert_eq!(read(&many).err(), Some(SourceFault::Ragged { line: 2, found: 3, expected: 2 }));
    }

    #[test]
    fn records_over_the_buffer_edge_and_batches_lose_nothing() {
        let rows: Vec<String> = (0..40_000).map(|i| format!("{i},\"{}\n{i}\"\r\n", "x".repeat(i % 97))).collect();
        let text = format!("k,v\r\n{}", rows.concat());
        let (_, read, places) = read(text.as_bytes()).unwrap();
        assert_eq!(read.len(), rows.len());
        for (i, row) in read.iter().enumerate() {
            assert_eq!(row, &[i.to_string(), format!("{}\n{i}", "x".repeat(i % 97))]);
            assert_eq!(places[i], 2 + 2 * i as u64);
        }
    }
}
