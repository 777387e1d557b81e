//! What every reader of a source gives: columns, batches of rows, and faults with a place.

use std::collections::BTreeMap;
use std::{fmt, io};

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use cohortium_protocol::ident::ColumnName;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::schema::ColumnType;

use crate::columnar::column_type;
use crate::row_fault::{RowFault, SetAside};

/// A column as the source has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceColumn {
    /// Its name.
    pub name: ColumnName,
    /// Its type; text in every text table.
    pub kind: DataType,
    /// The text stands for objects or lists, as canonical JSON: it can be dropped or mapped, and never leaves as it is.
    pub nested: bool,
}

impl SourceColumn {
    /// A column whose values are what they look like.
    pub const fn new(name: ColumnName, kind: DataType) -> Self {
        Self { name, kind, nested: false }
    }

    /// The type of what leaves; `None` where it can only be dropped or mapped.
    pub fn leaves_as(&self) -> Option<ColumnType> {
        if self.nested { None } else { column_type(&self.kind) }
    }
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
    /// Nothing that says which columns there are: no header line, or no row of JSON.
    Empty,
    /// UTF-16 is to be read by its byte-order mark, and there is none.
    NoByteOrderMark,
    /// A row that cannot be read, or the header line.
    Row {
        /// The line it begins at, or where rows are not lines its number; from 1.
        place: u64,
        /// The column, where the fault is in one.
        column: Option<ColumnName>,
        /// Why.
        reason: RowFault,
    },
    /// A quote that is opened and never closed: no record behind it can be found.
    QuoteOpen {
        /// The line its record begins at, from 1.
        line: u64,
    },
    /// Not a JSON array, or something behind its end.
    NotAnArray {
        /// The line, from 1.
        line: u64,
    },
    /// The file ends within a JSON array.
    Truncated {
        /// Its last line, from 1.
        line: u64,
    },
    /// A JSON field that was not there, or not of this type, when the file's columns were found: it has changed since.
    FieldLater {
        /// The line its object begins at, from 1.
        place: u64,
        /// The field, if its name can be one.
        column: Option<ColumnName>,
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
    /// More rows than the limit.
    TooManyRows {
        /// The limit.
        max: u64,
    },
    /// A part of a binary file that is read whole (footer, page, batch) is, or says it is, longer than the limit, also
    /// when it is decompressed.
    PartTooLong {
        /// How many rows were read before.
        rows: u64,
        /// The limit, bytes.
        max: usize,
    },
    /// Bytes that are no file of the format, or use a compression this build does not have.
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
            Self::Empty => f.write_str("the file is empty; nothing says which columns it has"),
            Self::NoByteOrderMark => f.write_str("the file does not begin with a byte-order mark of UTF-16"),
            Self::Row { place, column: Some(column), reason } => write!(f, "row at {place}, column {column}: {reason}"),
            Self::Row { place, column: None, reason } => write!(f, "row at {place}: {reason}"),
            Self::QuoteOpen { line } => write!(f, "line {line}: a quote is opened and never closed"),
            Self::NotAnArray { line } => write!(f, "line {line}: not one JSON array"),
            Self::Truncated { line } => write!(f, "line {line}: the file ends within a JSON array"),
            Self::FieldLater { place, column: Some(column) } => {
                write!(f, "row at {place}, field {column}: not there, or of another type, when the columns were found")
            }
            Self::FieldLater { place, column: None } => {
                write!(f, "row at {place}: a field that was not there when the columns were found")
            }
            Self::HeaderName { position } => write!(f, "column {position} has no usable name"),
            Self::HeaderTwice { first, second } => write!(f, "columns {first} and {second} have one name"),
            Self::TooManyColumns { max } => write!(f, "more than {max} columns"),
            Self::TooManyRows { max } => write!(f, "more than {max} rows"),
            Self::PartTooLong { rows, max } => write!(f, "after {rows} rows: a part of the file is over {max} bytes"),
            Self::Damaged { rows } => write!(f, "the file is damaged or not of this format, after {rows} rows"),
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
            | SourceFault::Empty
            | SourceFault::NoByteOrderMark
            | SourceFault::QuoteOpen { .. }
            | SourceFault::NotAnArray { .. }
            | SourceFault::Truncated { .. }
            | SourceFault::HeaderName { .. }
            | SourceFault::HeaderTwice { .. }
            | SourceFault::Damaged { .. } => Self::Malformed,
            SourceFault::Row { reason, .. } => match reason {
                RowFault::Ragged { .. }
                | RowFault::Quote
                | RowFault::Encoding
                | RowFault::NotJson
                | RowFault::NotAnObject
                | RowFault::FieldTwice
                | RowFault::FieldName
                | RowFault::Drawn(_) => Self::Malformed,
                RowFault::CellTooLong | RowFault::RecordTooLong | RowFault::TooManyFields | RowFault::TooDeep => {
                    Self::Limit
                }
            },
            SourceFault::TooManyColumns { .. } | SourceFault::PartTooLong { .. } | SourceFault::TooManyRows { .. } => {
                Self::Limit
            }
            SourceFault::FieldLater { .. } => Self::Changed,
            SourceFault::ReaderLost => Self::WorkerLost,
        }
    }
}

/// Rows of a source that follow one another.
#[expect(missing_debug_implementations, reason = "it holds rows")]
pub struct SourceBatch {
    /// One array for each of the source's columns, in its order; `None` where nobody asked for it.
    pub columns: Vec<Option<ArrayRef>>,
    /// Each row's place for people, from 1: the line it begins at, or where rows are not lines the number of the row.
    pub places: Vec<u64>,
    /// How many rows of the source come before, those set aside included.
    pub first_row: u64,
    /// The rows among these that could not be read, in their order: with `places` every row from `first_row` on. Empty
    /// where such a row ends the run.
    pub set_aside: Vec<SetAside>,
}

impl SourceBatch {
    /// Each row's number among all rows of the source, from 1, those set aside included.
    pub fn row_numbers(&self) -> Vec<u64> {
        let all = self.first_row + 1..=self.first_row + (self.places.len() + self.set_aside.len()) as u64;
        let mut aside = self.set_aside.iter().map(|row| row.row).peekable();
        all.filter(|row| aside.next_if_eq(row).is_none()).collect()
    }
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
