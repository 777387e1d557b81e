//! Rows that cannot be read: why, where, and whether the run ends or goes on without them.

use std::fmt;

use cohortium_protocol::ident::ColumnName;
use serde::{Deserialize, Serialize};

use crate::batch::SourceFault;

/// What becomes of a row that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tolerance {
    /// The run ends with a fault that names it.
    Refuse,
    /// It is left out of the batches and listed in them.
    SetAside,
}

/// Why a row cannot be read. No cell in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowFault {
    /// It does not have as many cells as the table has columns.
    Ragged {
        /// Its cells.
        found: usize,
        /// The table's columns.
        expected: usize,
    },
    /// Text follows a closing quote, or a piece of such a row: the next record is taken to begin behind the next line
    /// end, and until a row is whole again none with a quote in the middle of a cell is believed.
    Quote,
    /// Bytes that are no characters of the source's encoding.
    Encoding,
    /// A cell over the limit.
    CellTooLong,
    /// A record over the limit.
    RecordTooLong,
    /// No JSON.
    NotJson,
    /// JSON, but not an object.
    NotAnObject,
    /// An object with two fields of one name.
    FieldTwice,
    /// A field whose name is empty, over-long, or has control or invisible characters.
    FieldName,
    /// An object with more fields than a table may have columns.
    TooManyFields,
    /// Objects and lists within each other beyond the limit.
    TooDeep,
    /// What a database's or FHIR's reader says of it.
    Drawn(FaultCode),
}

/// A reader's own word for why a row cannot be read: 1 to 24 small letters, digits and hyphens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FaultCode([u8; FAULT_CODE_BYTES]);

const FAULT_CODE_BYTES: usize = 24;

impl FaultCode {
    /// The code, where the text is one.
    pub fn of(text: &str) -> Option<Self> {
        let mut bytes = [0; FAULT_CODE_BYTES];
        let usable = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if text.is_empty() || !text.bytes().all(usable) {
            return None;
        }
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Self(bytes))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(FAULT_CODE_BYTES);
        std::str::from_utf8(&self.0[..length]).unwrap_or_default()
    }
}

impl TryFrom<String> for FaultCode {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        Self::of(&text).ok_or("no code of a fault")
    }
}

impl From<FaultCode> for String {
    fn from(code: FaultCode) -> Self {
        code.as_str().to_owned()
    }
}

impl fmt::Debug for FaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl RowFault {
    /// A word that never changes, for reports.
    pub fn code(&self) -> &str {
        match self {
            Self::Ragged { .. } => "ragged",
            Self::Quote => "quote",
            Self::Encoding => "encoding",
            Self::CellTooLong => "cell-too-long",
            Self::RecordTooLong => "record-too-long",
            Self::NotJson => "not-json",
            Self::NotAnObject => "not-an-object",
            Self::FieldTwice => "field-twice",
            Self::FieldName => "field-name",
            Self::TooManyFields => "too-many-fields",
            Self::TooDeep => "too-deep",
            Self::Drawn(code) => code.as_str(),
        }
    }
}

impl fmt::Display for RowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ragged { found, expected } => {
                return write!(f, "{found} cells where the table has {expected} columns");
            }
            Self::Quote => "text follows a closing quote",
            Self::Encoding => "bytes that are no characters of the source's encoding",
            Self::CellTooLong => "the cell is too long",
            Self::RecordTooLong => "the record is too long",
            Self::NotJson => "not JSON",
            Self::NotAnObject => "not a JSON object",
            Self::FieldTwice => "two fields have one name",
            Self::FieldName => "a field has no usable name",
            Self::TooManyFields => "more fields than a table may have columns",
            Self::TooDeep => "objects and lists are too deep within each other",
            Self::Drawn(code) => code.as_str(),
        })
    }
}

/// A row that was set aside. Column names and places are for the provider's own eyes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// Its place for people, from 1: the line it begins at, or where rows are not lines the number of the row.
    pub place: u64,
    /// How many lines it takes up; 1 where rows are not lines.
    pub lines: u64,
    /// Its number among all rows of the source, from 1, those set aside included.
    pub row: u64,
    /// The column, where the fault is in one.
    pub column: Option<ColumnName>,
    /// Why.
    pub reason: RowFault,
}

/// A row that cannot be read, before it is decided what becomes of it.
pub(crate) struct BadRow {
    pub(crate) place: u64,
    pub(crate) lines: u64,
    pub(crate) column: Option<ColumnName>,
    pub(crate) reason: RowFault,
}

/// Counts a source's rows and keeps those that are set aside, so that every row is one or the other.
pub(crate) struct Tally {
    tolerance: Tolerance,
    /// Rows so far.
    rows: u64,
    set_aside: Vec<SetAside>,
}

impl Tally {
    pub(crate) const fn new(tolerance: Tolerance) -> Self {
        Self { tolerance, rows: 0, set_aside: Vec::new() }
    }

    pub(crate) const fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows that were read.
    pub(crate) const fn read(&mut self, rows: u64) {
        self.rows += rows;
    }

    /// A row that cannot be read.
    pub(crate) fn bad(&mut self, bad: BadRow) -> Result<(), SourceFault> {
        let BadRow { place, lines, column, reason } = bad;
        match self.tolerance {
            Tolerance::Refuse => Err(SourceFault::Row { place, column, reason }),
            Tolerance::SetAside => {
                self.rows += 1;
                self.set_aside.push(SetAside { place, lines, row: self.rows, column, reason });
                Ok(())
            }
        }
    }

    /// The last one takes up so many lines, and at least one.
    pub(crate) fn stretch(&mut self, lines: u64) {
        if let Some(last) = self.set_aside.last_mut() {
            last.lines = lines.max(1);
        }
    }

    /// How many wait to be given out.
    pub(crate) const fn waiting(&self) -> usize {
        self.set_aside.len()
    }

    /// Gives them out.
    pub(crate) fn take(&mut self) -> Vec<SetAside> {
        std::mem::take(&mut self.set_aside)
    }
}
