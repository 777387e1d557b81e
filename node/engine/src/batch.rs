//! What every reader of a source gives: columns, batches of rows, and faults with a place.

use std::collections::BTreeMap;
use std::{fmt, io};

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use cohortium_protocol::ident::ColumnName;
use cohortium_protocol::record::journal_entry::RunFault;

/// A column as the source has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceColumn {
    /// Its name.
    pub name: ColumnName,
    /// Its type; text in every text table.
    pub kind: DataType,
}

/// Why a source cannot be read. Places are for the provider's own eyes; no fault carries a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceFault {
    /// The medium failed.
    Read {
        /// How.
        kind: io::ErrorKind,
    },
    /// A folder of files is not a table.
    NotATable,
    /// The delimiter is a quote, a line end or not ASCII.
    Delimiter,
    /// Not even a header line.
    Empty,
    /// A byte that is not UTF-8.
    NotUtf8 {
        /// Its line, from 1.
        line: u64,
        /// Its column, where the header could be read.
        column: Option<ColumnName>,
    },
    /// A record that does not have as many cells as the header.
    Ragged {
        /// The line it begins at, from 1.
        line: u64,
        /// Its cells, at least.
        found: usize,
        /// The header's cells.
        expected: usize,
    },
    /// A quote that is never closed, or text behind a closing quote.
    Quote {
        /// The line its record begins at, from 1.
        line: u64,
    },
    /// A column's name is empty, over-long, or has control or invisible characters.
    HeaderName {
        /// The column's place, from 1.
        position: usize,
    },
    /// Two columns with one name. Named by place: without a header line these would be cells.
    HeaderTwice {
        /// The first one's place, from 1.
        first: usize,
        /// The second one's.
        second: usize,
    },
    /// More columns than the limit.
    TooManyColumns {
        /// The limit.
        max: usize,
    },
    /// A cell over the limit.
    CellTooLong {
        /// Line or row, from 1.
        place: u64,
        /// The column.
        column: ColumnName,
    },
    /// A record over the limit.
    LineTooLong {
        /// The line it begins at, from 1.
        line: u64,
    },
    /// More rows than the limit.
    TooManyRows {
        /// The limit.
        max: u64,
    },
    /// Bytes that are not a Parquet file, or use a compression this build does not have.
    Damaged {
        /// How many rows were read before.
        rows: u64,
    },
    /// The reader's thread ended without an answer.
    ReaderLost,
}

impl fmt::Display for SourceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { kind } => write!(f, "reading failed: {kind}"),
            Self::NotATable => f.write_str("a folder of files is not a table"),
            Self::Delimiter => f.write_str("the delimiter is not one ASCII character other than a quote or line end"),
            Self::Empty => f.write_str("the file is empty; not even a header line"),
            Self::NotUtf8 { line, column: Some(column) } => write!(f, "line {line}, column {column}: not UTF-8"),
            Self::NotUtf8 { line, column: None } => write!(f, "line {line}: not UTF-8"),
            Self::Ragged { line, found, expected } => {
                write!(f, "line {line}: {found} cells where the header has {expected}")
            }
            Self::Quote { line } => write!(f, "line {line}: a quote is not closed, or text follows a closing quote"),
            Self::HeaderName { position } => write!(f, "column {position} has no usable name"),
            Self::HeaderTwice { first, second } => write!(f, "columns {first} and {second} have one name"),
            Self::TooManyColumns { max } => write!(f, "more than {max} columns"),
            Self::CellTooLong { place, column } => write!(f, "row at {place}, column {column}: the cell is too long"),
            Self::LineTooLong { line } => write!(f, "line {line}: the record is too long"),
            Self::TooManyRows { max } => write!(f, "more than {max} rows"),
            Self::Damaged { rows } => write!(f, "not a readable Parquet file after {rows} rows"),
            Self::ReaderLost => f.write_str("the reader ended without an answer"),
        }
    }
}

impl std::error::Error for SourceFault {}

impl From<&SourceFault> for RunFault {
    fn from(fault: &SourceFault) -> Self {
        match fault {
            SourceFault::Read { .. } => Self::Unreadable,
            SourceFault::NotATable
            | SourceFault::Delimiter
            | SourceFault::Empty
            | SourceFault::NotUtf8 { .. }
            | SourceFault::Ragged { .. }
            | SourceFault::Quote { .. }
            | SourceFault::HeaderName { .. }
            | SourceFault::HeaderTwice { .. }
            | SourceFault::Damaged { .. } => Self::Malformed,
            SourceFault::TooManyColumns { .. }
            | SourceFault::CellTooLong { .. }
            | SourceFault::LineTooLong { .. }
            | SourceFault::TooManyRows { .. } => Self::Limit,
            SourceFault::ReaderLost => Self::WorkerLost,
        }
    }
}

/// Rows of a source that follow one another.
#[expect(missing_debug_implementations, reason = "it holds rows")]
pub struct SourceBatch {
    /// One array for each of the source's columns, in its order; `None` where nobody asked for it.
    pub columns: Vec<Option<ArrayRef>>,
    /// Each row's place for people, from 1: the line it begins at, or in Parquet the number of the row.
    pub places: Vec<u64>,
    /// How many rows of the source come before.
    pub first_row: u64,
}

/// The names of columns, each usable and none twice.
pub(crate) fn named_once(names: impl Iterator<Item = String>) -> Result<Vec<ColumnName>, SourceFault> {
    let (mut places, mut checked) = (BTreeMap::new(), Vec::new());
    for (index, name) in names.enumerate() {
        let position = index + 1;
        let name = ColumnName::try_from(name).map_err(|_| SourceFault::HeaderName { position })?;
        if let Some(first) = places.insert(name.clone(), position) {
            return Err(SourceFault::HeaderTwice { first, second: position });
        }
        checked.push(name);
    }
    Ok(checked)
}
