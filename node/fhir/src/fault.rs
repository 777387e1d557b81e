//! What is wrong with a record, and where: a code and a place, never a cell.

use std::fmt;

/// Why a record cannot become rows. Each reason has one code, which reports and quarantine tables carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The record, or the last string, number or container in it, ends too early.
    Truncated,
    /// A byte that JSON does not allow here.
    Syntax,
    /// An escape in a string that JSON does not know, or half of a surrogate pair.
    Escape,
    /// A property name that is written with escapes: no FHIR element needs one.
    EscapedName,
    /// Bytes that are not UTF-8.
    Encoding,
    /// More containers in one another than the limit.
    Depth,
    /// One property name twice in one object.
    DuplicateName,
    /// More bytes in one record than the limit.
    RecordBytes,
    /// More values that the view asks for in one record than the limit.
    RecordValues,
    /// The record is not an object with a text `resourceType`.
    NotAResource,
    /// Bytes after the end of the record, array or bundle.
    Trailing,
    /// A column that is not a collection got several values, or an operator of one value did.
    ManyValues,
    /// A filter of the view gave something else than true, false or nothing.
    NotBoolean,
    /// A value is not of the column's declared type.
    ColumnType,
    /// An object where the column's type asks for a primitive value, or has none.
    ComplexValue,
    /// An operator got values that it is not defined for.
    Operand,
    /// A number with more digits than can be calculated with.
    NumberRange,
    /// A recursive path gave something that is not inside of what it started from.
    Repeat,
    /// More rows or cells from one record than the limit.
    RecordRows,
    /// More bytes in the rows of one record than the limit.
    RowBytes,
}

impl Reason {
    /// Every reason, in the order of their declaration.
    pub const ALL: [Self; 20] = [
        Self::Truncated,
        Self::Syntax,
        Self::Escape,
        Self::EscapedName,
        Self::Encoding,
        Self::Depth,
        Self::DuplicateName,
        Self::RecordBytes,
        Self::RecordValues,
        Self::NotAResource,
        Self::Trailing,
        Self::ManyValues,
        Self::NotBoolean,
        Self::ColumnType,
        Self::ComplexValue,
        Self::Operand,
        Self::NumberRange,
        Self::Repeat,
        Self::RecordRows,
        Self::RowBytes,
    ];

    /// The code of reports, stable between versions.
    pub fn code(self) -> &'static str {
        match self {
            Self::Truncated => "json-truncated",
            Self::Syntax => "json-syntax",
            Self::Escape => "json-escape",
            Self::EscapedName => "json-escaped-name",
            Self::Encoding => "json-encoding",
            Self::Depth => "json-depth",
            Self::DuplicateName => "json-duplicate-name",
            Self::RecordBytes => "record-bytes",
            Self::RecordValues => "record-values",
            Self::NotAResource => "not-a-resource",
            Self::Trailing => "json-trailing",
            Self::ManyValues => "many-values",
            Self::NotBoolean => "not-boolean",
            Self::ColumnType => "column-type",
            Self::ComplexValue => "complex-value",
            Self::Operand => "operand",
            Self::NumberRange => "number-range",
            Self::Repeat => "repeat",
            Self::RecordRows => "record-rows",
            Self::RowBytes => "row-bytes",
        }
    }

    /// What is wrong, for people.
    fn words(self) -> &'static str {
        match self {
            Self::Truncated => "the record ends too early",
            Self::Syntax => "this is not JSON",
            Self::Escape => "a string has an escape that JSON does not know",
            Self::EscapedName => "a property name is written with escapes",
            Self::Encoding => "the bytes are not UTF-8",
            Self::Depth => "objects and arrays are nested too deeply",
            Self::DuplicateName => "an object has one property name twice",
            Self::RecordBytes => "the record has more bytes than the limit",
            Self::RecordValues => "the record has more values that the view asks for than the limit",
            Self::NotAResource => "the record is not an object with a resourceType",
            Self::Trailing => "something follows the end",
            Self::ManyValues => "there are several values where one is expected",
            Self::NotBoolean => "a filter is neither true nor false",
            Self::ColumnType => "a value is not of the column's type",
            Self::ComplexValue => "a value is an object where a primitive value is expected",
            Self::Operand => "an operator is not defined for these values",
            Self::NumberRange => "a number has more digits than can be calculated with",
            Self::Repeat => "a recursive path does not descend",
            Self::RecordRows => "the record gives more rows than the limit",
            Self::RowBytes => "the rows of the record have more bytes than the limit",
        }
    }
}

/// Where in the input, and where in the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line on which the record begins, from 1; in a file of one record on many lines, the line of the fault.
    pub line: u64,
    /// The byte in that line, from 1; 1 when the place is not in the text.
    pub column: u64,
    /// The column or clause of the view that could not be filled, when the text itself is sound.
    pub clause: Option<String>,
    /// What is wrong.
    pub reason: Reason,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        match &self.clause {
            Some(clause) => write!(f, ", {clause}")?,
            None => write!(f, ", byte {}", self.column)?,
        }
        write!(f, ": {} ({})", self.reason.words(), self.reason.code())
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_a_code_of_its_own() {
        let codes: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
    }

    #[test]
    fn a_fault_names_the_place_and_the_act() {
        let fault = Fault { line: 3, column: 9, clause: None, reason: Reason::Syntax };
        assert_eq!(fault.to_string(), "line 3, byte 9: this is not JSON (json-syntax)");
        let fault = Fault { line: 3, column: 1, clause: Some("column a".to_owned()), reason: Reason::ManyValues };
        let text = "line 3, column a: there are several values where one is expected (many-values)";
        assert_eq!(fault.to_string(), text);
    }
}
