//! A table of our own as a plain file for people: text, or the Parquet file as it is.

use std::io::{self, Read, Write};

use arrow::array::Array;
use cohortium_protocol::quantity::Rows;

use crate::batch::SourceFault;
use crate::cells::{NotHandled, text};
use crate::columnar::plain_array;
use crate::handle::{Handle, Sequential};
use crate::limits::Limits;
use crate::source::{Format, SourceReader};

/// Bytes copied at once.
const PIECE_BYTES: usize = 1 << 20;

/// Writes a Parquet table as text: comma, CRLF, quotes where needed; an empty text is `""`, a null is nothing.
///
/// # Errors
/// [`SourceFault`]; what the sink got by then is no table.
pub fn to_csv(table: &Handle, sink: &mut dyn Write, limits: &Limits) -> Result<Rows, SourceFault> {
    let mut reader = SourceReader::open(table, Format::Parquet, limits)?;
    let mut out = String::new();
    for (index, column) in reader.columns().iter().enumerate() {
        append_cell(&mut out, index, Some(column.name.as_str()));
    }
    out.push_str("\r\n");
    let mut rows = 0;
    while let Some(batch) = reader.next_batch()? {
        let columns = batch.columns.iter().flatten().map(|array| plain_array(array).ok_or(NotHandled));
        let columns = columns.map(|array| array.and_then(|array| text(&array))).collect::<Result<Vec<_>, _>>();
        let columns = columns.map_err(|NotHandled| SourceFault::Damaged { rows })?;
        for row in 0..batch.places.len() {
            for (index, column) in columns.iter().enumerate() {
                append_cell(&mut out, index, column.is_valid(row).then(|| column.value(row)));
            }
            out.push_str("\r\n");
        }
        rows += batch.places.len() as u64;
        sink.write_all(out.as_bytes()).map_err(|fault| unwritten(&fault))?;
        out.clear();
    }
    sink.write_all(out.as_bytes()).map_err(|fault| unwritten(&fault))?;
    Ok(Rows(rows))
}

/// Reads a Parquet table to its end and counts its rows.
///
/// # Errors
/// [`SourceFault`].
pub fn count(table: &Handle, limits: &Limits) -> Result<Rows, SourceFault> {
    let mut reader = SourceReader::open(table, Format::Parquet, limits)?;
    let mut rows = 0;
    while let Some(batch) = reader.next_batch()? {
        rows += batch.places.len() as u64;
    }
    Ok(Rows(rows))
}

/// Writes the file as it is. Returns zero: nobody looked into it.
///
/// # Errors
/// [`SourceFault::Read`].
pub fn copy(table: &Handle, sink: &mut dyn Write) -> Result<Rows, SourceFault> {
    let mut from = Sequential::new(table);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = from.read(&mut piece).map_err(|fault| unwritten(&fault))?;
        if read == 0 {
            return Ok(Rows(0));
        }
        sink.write_all(&piece[..read]).map_err(|fault| unwritten(&fault))?;
    }
}

fn unwritten(fault: &io::Error) -> SourceFault {
    SourceFault::Read { kind: fault.kind() }
}

/// Appends one cell as RFC 4180 has it.
pub(crate) fn append_cell(out: &mut String, index: usize, cell: Option<&str>) {
    if index > 0 {
        out.push(',');
    }
    match cell {
        None => {}
        Some(cell) if cell.is_empty() || cell.contains(['"', ',', '\n', '\r']) => {
            out.push('"');
            out.push_str(&cell.replace('"', "\"\""));
            out.push('"');
        }
        Some(cell) => out.push_str(cell),
    }
}
