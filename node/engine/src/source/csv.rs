//! Text tables: cells between delimiters, quotes by RFC 4180. Every cell is text, exactly as found.
//!
//! arrow-csv is not used: it skips blank lines, reads a lone carriage return as a line end, accepts text after a closing
//! quote, cannot tell the line of a fault behind quoted line breaks, and puts cells into its error texts.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use arrow::datatypes::DataType;
use cohortium_protocol::ident::{ColumnName, MissingMark};
use cohortium_protocol::record::text_form::{Heading, TextForm};

use crate::batch::{SourceBatch, SourceColumn, SourceFault, named_once};
use crate::handle::Handle;
use crate::limits::Limits;
use crate::row_fault::{BadRow, RowFault, Tally, Tolerance};
use crate::source::input::{Input, line_ends};
use crate::source::split::{Cell, Skip, Split, split};

/// Bytes of rows that are split before their cells are copied: few enough to stay in the processor's cache.
const PIECE_BYTES: usize = 128 << 10;

/// Reads a text table in batches.
pub(crate) struct CsvReader {
    input: Input,
    delimiter: u8,
    missing: Vec<MissingMark>,
    columns: Vec<SourceColumn>,
    needed: Vec<bool>,
    limits: Limits,
    tally: Tally,
    /// The rows that were split off and are not passed yet, and their cells: as many for each row as there are columns.
    rows: Vec<Row>,
    cells: Vec<Cell>,
    /// Blank lines behind the last row: the first one's line and how many. At the end of the file they mean nothing.
    blank: Option<(u64, u64)>,
    /// A quote was out of place and no whole row has been read since.
    lost: bool,
}

/// A record in the unread bytes.
#[derive(Clone)]
struct Row {
    bytes: Range<usize>,
    lines: u64,
}

/// Why no further row was split off.
enum Stop {
    /// There is enough to copy.
    Room,
    /// The next record is not whole in the buffer.
    Unfinished,
    /// A line without anything, of so many bytes.
    Blank(usize),
    /// A whole record that is no row.
    Bad(Row, RowFault, Option<ColumnName>),
    /// A record that is no row, and whose end is not known.
    Endless(RowFault),
    /// A quote that is never closed.
    Open,
    /// Nothing follows.
    End,
}

impl CsvReader {
    /// Reads the header line, if there is one.
    pub(crate) fn open(
        handle: &Handle,
        form: &TextForm,
        limits: &Limits,
        tolerance: Tolerance,
    ) -> Result<Self, SourceFault> {
        let mut reader = Self {
            input: Input::new(handle, form.encoding)?,
            delimiter: form.delimiter,
            missing: form.missing.iter().cloned().collect(),
            columns: Vec::new(),
            needed: Vec::new(),
            limits: *limits,
            tally: Tally::new(tolerance),
            rows: Vec::new(),
            cells: Vec::new(),
            blank: None,
            lost: false,
        };
        let names = match &form.heading {
            Heading::Line => reader.header()?,
            Heading::Names(names) => names.clone(),
        };
        reader.columns = names.into_iter().map(|name| SourceColumn::new(name, DataType::Utf8)).collect();
        reader.needed = vec![true; reader.columns.len()];
        Ok(reader)
    }

    /// The columns, in their order.
    pub(crate) fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    /// Reads only these columns from here on; the others are split off and checked all the same.
    pub(crate) fn project(&mut self, needed: &[bool]) {
        self.needed = needed.to_vec();
    }

    /// The next rows; `None` at the end.
    pub(crate) fn next_batch(&mut self) -> Result<Option<SourceBatch>, SourceFault> {
        let first_row = self.tally.rows();
        let mut batch = Building::new(&self.needed, &self.limits);
        while batch.bytes < self.limits.batch_bytes {
            let room = self.limits.batch_rows.saturating_sub(batch.places.len() + self.tally.waiting());
            if room == 0 {
                break;
            }
            let stop = self.split_rows(room);
            let is_row = !self.rows.is_empty() || matches!(stop, Stop::Bad(..) | Stop::Endless(_));
            if is_row && self.give_up_blank(room)? {
                continue;
            }
            self.copy_rows(&mut batch)?;
            if !self.settle(stop)? {
                break;
            }
        }
        let set_aside = self.tally.take();
        if batch.places.is_empty() && set_aside.is_empty() {
            return Ok(None);
        }
        let columns = batch.builders.into_iter().map(|b| b.map(|mut b| Arc::new(b.finish()) as ArrayRef)).collect();
        Ok(Some(SourceBatch { columns, places: batch.places, first_row, set_aside }))
    }

    fn header(&mut self) -> Result<Vec<ColumnName>, SourceFault> {
        let columns_max = self.limits.columns_max;
        let bad = |reason| SourceFault::Row { place: 1, column: None, reason };
        loop {
            let (bytes, ended) = (self.input.unread(), self.input.ended());
            if bytes.is_empty() && ended {
                return Err(SourceFault::Empty);
            }
            self.cells.clear();
            match split(bytes, 0, ended, self.delimiter, (&mut self.cells, columns_max)) {
                Split::Record { end, .. } if end > self.limits.line_bytes_max => {
                    return Err(bad(RowFault::RecordTooLong));
                }
                Split::Record { cells, .. } if cells > columns_max => {
                    return Err(SourceFault::TooManyColumns { max: columns_max });
                }
                Split::Record { end, lines, .. } => {
                    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| bad(RowFault::Encoding))?;
                    let names = named_once(self.cells.iter().map(|cell| cell.text(text, 0).into_owned()))?;
                    self.input.pass(end, lines);
                    return Ok(names);
                }
                Split::Quote => return Err(bad(RowFault::Quote)),
                Split::Open => return Err(SourceFault::QuoteOpen { line: 1 }),
                Split::Unfinished if self.cells.len() == columns_max => {
                    return Err(SourceFault::TooManyColumns { max: columns_max });
                }
                Split::Unfinished if bytes.len() > self.limits.line_bytes_max => {
                    return Err(bad(RowFault::RecordTooLong));
                }
                Split::Unfinished => self.input.read_more()?,
            }
        }
    }

    /// Splits off rows that lie whole in the buffer and are as they should be, up to the first that is not.
    fn split_rows(&mut self, rows_max: usize) -> Stop {
        let (bytes, ended, expected) = (self.input.unread(), self.input.ended(), self.columns.len());
        self.rows.clear();
        self.cells.clear();
        let mut at = 0;
        loop {
            if at == bytes.len() && ended {
                return Stop::End;
            }
            if at >= PIECE_BYTES || self.rows.len() >= rows_max {
                return Stop::Room;
            }
            let first_cell = self.cells.len();
            let (end, lines, found) = match split(bytes, at, ended, self.delimiter, (&mut self.cells, expected)) {
                Split::Record { end, lines, cells } => (end, lines, cells),
                Split::Unfinished if bytes.len() - at > self.limits.line_bytes_max => {
                    return Stop::Endless(RowFault::RecordTooLong);
                }
                Split::Unfinished => return Stop::Unfinished,
                Split::Quote => return Stop::Endless(RowFault::Quote),
                Split::Open => return Stop::Open,
            };
            let row = Row { bytes: at..end, lines };
            let cells = &self.cells[first_cell..];
            if expected > 1 && matches!(cells, [cell] if cell.start == cell.end && !cell.quoted) {
                return Stop::Blank(end - at);
            }
            if let Some((reason, column)) = self.judge(&row, cells, found) {
                return Stop::Bad(row, reason, column);
            }
            self.rows.push(row);
            at = end;
        }
    }

    /// What is wrong with a record, but for its encoding.
    fn judge(&self, row: &Row, cells: &[Cell], found: usize) -> Option<(RowFault, Option<ColumnName>)> {
        let expected = self.columns.len();
        if row.bytes.len() > self.limits.line_bytes_max {
            return Some((RowFault::RecordTooLong, None));
        }
        if found != expected {
            return Some((RowFault::Ragged { found, expected }, None));
        }
        if row.bytes.len() > self.limits.cell_bytes_max {
            let long = cells.iter().position(|cell| cell.end - cell.start > self.limits.cell_bytes_max);
            if let Some(column) = long {
                return Some((RowFault::CellTooLong, self.columns.get(column).map(|column| column.name.clone())));
            }
        }
        let bytes = self.input.unread();
        let stray = |cell: &Cell| !cell.quoted && bytes[cell.start..cell.end].contains(&b'"');
        if self.lost && cells.iter().any(stray) {
            return Some((RowFault::Quote, None));
        }
        None
    }

    /// Copies the rows that were split off, but for those that are not in the source's encoding.
    fn copy_rows(&mut self, batch: &mut Building) -> Result<(), SourceFault> {
        let rows = std::mem::take(&mut self.rows);
        let mut left = rows.as_slice();
        let mut line = self.input.line();
        while let (Some(first), Some(last)) = (left.first(), left.last()) {
            let (from, to) = (first.bytes.start, last.bytes.end);
            let bytes = &self.input.unread()[from..to];
            let (text, invalid) = match std::str::from_utf8(bytes) {
                Ok(text) => (text, None),
                Err(error) => (std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(), Some(error)),
            };
            let whole = left.iter().take_while(|row| row.bytes.end <= from + text.len()).count();
            let first_cell = (rows.len() - left.len()) * self.columns.len();
            let cells = self.cells[first_cell..].chunks(self.columns.len());
            for (row, cells) in left[..whole].iter().zip(cells) {
                batch.places.push(line);
                line += row.lines;
                batch.append(text, from, cells, &self.missing);
            }
            self.lost &= whole == 0;
            self.tally.read(whole as u64);
            batch.bytes += text.len();
            left = &left[whole..];
            if let (Some(error), Some(row)) = (invalid, left.first()) {
                let at = from + error.valid_up_to();
                let cells = self.cells[first_cell + whole * self.columns.len()..].iter().take(self.columns.len());
                let column = cells.zip(&self.columns).find(|(cell, _)| at <= cell.end);
                let column = column.map(|(_, column)| column.name.clone());
                let reason = RowFault::Encoding;
                self.tally.bad(BadRow { place: line, lines: row.lines, column, reason })?;
                line += row.lines;
                left = &left[1..];
            }
        }
        let passed = rows.last().map_or(0, |row| row.bytes.end);
        self.input.pass(passed, line - self.input.line());
        self.rows = rows;
        Ok(())
    }

    /// What comes behind the rows that were copied. `false` at the end.
    fn settle(&mut self, stop: Stop) -> Result<bool, SourceFault> {
        let place = self.input.line();
        match stop {
            Stop::Room => {}
            Stop::Unfinished => self.input.read_more()?,
            Stop::Blank(bytes) => {
                let (first, count) = self.blank.unwrap_or((place, 0));
                self.blank = Some((first, count + 1));
                self.input.pass(bytes, 1);
            }
            Stop::Bad(row, reason, column) => {
                self.tally.bad(BadRow { place, lines: row.lines, column, reason })?;
                self.input.pass(row.bytes.len(), row.lines);
            }
            Stop::Endless(reason) => self.skip(reason)?,
            Stop::Open => return Err(SourceFault::QuoteOpen { line: place }),
            Stop::End => return Ok(false),
        }
        Ok(true)
    }

    /// Leaves a record behind whose end is not known, however long it is.
    fn skip(&mut self, reason: RowFault) -> Result<(), SourceFault> {
        let (place, mut skip) = (self.input.line(), Skip::new(self.delimiter));
        self.tally.bad(BadRow { place, lines: 0, column: None, reason })?;
        self.lost |= reason == RowFault::Quote;
        loop {
            let bytes = self.input.unread();
            let end = skip.end(bytes);
            let passed = end.unwrap_or(bytes.len());
            let lines = line_ends(&bytes[..passed]);
            self.input.pass(passed, lines);
            if end.is_some() {
                self.tally.stretch(self.input.line() - place);
                return Ok(());
            }
            if self.input.ended() {
                self.tally.stretch(self.input.line() - place + 1);
                return if skip.is_open() { Err(SourceFault::QuoteOpen { line: place }) } else { Ok(()) };
            }
            self.input.read_more()?;
        }
    }

    /// Blank lines are rows that are too short once a row follows. At most so many at once; whether there were any.
    fn give_up_blank(&mut self, most: usize) -> Result<bool, SourceFault> {
        let Some((line, count)) = self.blank.take() else { return Ok(false) };
        let reason = RowFault::Ragged { found: 1, expected: self.columns.len() };
        let now = count.min(most as u64);
        for place in line..line + now {
            self.tally.bad(BadRow { place, lines: 1, column: None, reason })?;
        }
        self.blank = Some((line + now, count - now)).filter(|(_, left)| *left > 0);
        Ok(true)
    }
}

/// A batch that is being filled.
struct Building {
    builders: Vec<Option<StringBuilder>>,
    places: Vec<u64>,
    bytes: usize,
}

impl Building {
    fn new(needed: &[bool], limits: &Limits) -> Self {
        let builder = |needed: &bool| needed.then(|| StringBuilder::with_capacity(limits.batch_rows, 0));
        let places = Vec::with_capacity(limits.batch_rows);
        Self { builders: needed.iter().map(builder).collect(), places, bytes: 0 }
    }

    /// Appends a row whose cells lie in `text`, which begins at byte `from`.
    fn append(&mut self, text: &str, from: usize, cells: &[Cell], missing: &[MissingMark]) {
        for (cell, builder) in cells.iter().zip(&mut self.builders) {
            let Some(builder) = builder else { continue };
            let value = cell.text(text, from);
            if missing.iter().any(|mark| mark.as_str() == value) {
                builder.append_null();
            } else {
                builder.append_value(value);
            }
        }
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
        let mut reader = CsvReader::open(&handle, &TextForm::default(), limits, Tolerance::Refuse)?;
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
        let row = |place, column: Option<&str>, reason| SourceFault::Row { place, column: column.map(name), reason };
        let ragged = |place, found| row(place, None, RowFault::Ragged { found, expected: 2 });
        let table: [(&[u8], SourceFault); 16] = [
            (b"", SourceFault::Empty),
            (b"\xEF\xBB\xBF", SourceFault::Empty),
            (b"a,b\n1,2\n3\n", ragged(3, 1)),
            (b"a,b\n\"1\n\",2\n3,4,5\n", ragged(4, 3)),
            (b"a,b\n\n1,2\n", ragged(2, 1)),
            (b"a,b\n1,\"2\n3,4\n", SourceFault::QuoteOpen { line: 2 }),
            (b"a,b\n1,\"2\"x\n", row(2, None, RowFault::Quote)),
            (b"a,b\n1,\"2\" \n", row(2, None, RowFault::Quote)),
            (b"a,b\n1,2\n3,\xE9\n", row(3, Some("b"), RowFault::Encoding)),
            (b"a,b\n\"\n\n\xE9\",2\n", row(2, Some("a"), RowFault::Encoding)),
            // A character cut in two by a delimiter is not text, though both cells together would be.
            (b"a,b\n\xC3,\xA9\n", row(2, Some("a"), RowFault::Encoding)),
            (b"\xFF\xFEa\0,\0b\0\n\0", row(1, None, RowFault::Encoding)),
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
        let too_long = |column: Option<&str>, reason| {
            Some(SourceFault::Row { place: 2, column: column.map(|name| name.parse().unwrap()), reason })
        };
        let record = too_long(None, RowFault::RecordTooLong);
        assert_eq!(read_with(b"a,b,c\n123,123,1234\n", &limits).err(), record);
        let cell = too_long(Some("b"), RowFault::CellTooLong);
        assert_eq!(read_with(b"a,b,c\n1,12345,1\n", &limits).err(), cell);
        assert_eq!(read_with(b"a,b,c,d\n", &limits).err(), Some(SourceFault::TooManyColumns { max: 3 }));
        let long = [b"a,b\n1,\"".as_slice(), &vec![b'x'; 5 << 20]].concat();
        let limits = Limits { line_bytes_max: 2 << 20, ..Limits::default() };
        assert_eq!(read_with(&long, &limits).err(), record);
        let many = [b"a,b\n".as_slice(), &vec![b','; 5 << 20]].concat();
        assert_eq!(read(&many).err(), too_long(None, RowFault::Ragged { found: (5 << 20) + 1, expected: 2 }));
        let many = [vec![b'a'], vec![b','; 5 << 20]].concat();
        assert_eq!(read(&many).err(), Some(SourceFault::TooManyColumns { max: 4096 }));
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
