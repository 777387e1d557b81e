//! How a text table is written: between cells, in bytes, for what is missing, and whether a line names the columns.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ident::{ColumnName, MissingMark};
use crate::limits::{COLUMNS_MAX, MISSING_MARKS_MAX};

/// How bytes of a text table are characters. A byte-order mark is no part of the first cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TextEncoding {
    /// UTF-8, with or without a byte-order mark.
    #[serde(rename = "utf-8")]
    Utf8,
    /// UTF-16 in the order that its byte-order mark says; there must be one.
    #[serde(rename = "utf-16")]
    Utf16,
    /// UTF-16, low byte first.
    #[serde(rename = "utf-16le")]
    Utf16Le,
    /// UTF-16, high byte first.
    #[serde(rename = "utf-16be")]
    Utf16Be,
    /// Windows code page 1252, which holds Latin-1. The five bytes that it leaves open are control characters, as the
    /// Encoding Standard of WHATWG has it, so that every byte is a character.
    #[serde(rename = "windows-1252")]
    Windows1252,
}

/// Where a text table's columns have their names from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Heading {
    /// The first line.
    Line,
    /// From here: the first line is a row.
    Names(Vec<ColumnName>),
}

/// How a text table is written. Checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "TextFormFields", into = "TextFormFields")]
pub struct TextForm(TextFormFields);

/// The fields of a [`TextForm`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextFormFields {
    /// The character between two cells: ASCII, no quote and no line end.
    pub delimiter: u8,
    /// How its bytes are characters.
    pub encoding: TextEncoding,
    /// A cell that is exactly one of these, in quotes or not, has no value.
    pub missing: BTreeSet<MissingMark>,
    /// Where the columns' names are from.
    pub heading: Heading,
}

/// Why fields are no form of a text table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextFormFault {
    /// The delimiter is a quote, a line end or not ASCII.
    Delimiter,
    /// More than 32 marks of what is missing.
    Marks,
    /// Names are given, and there is none or more than 4,096.
    Names,
    /// Two columns are given one name.
    NameTwice(ColumnName),
}

impl fmt::Display for TextFormFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delimiter => f.write_str("the delimiter is not one ASCII character other than a quote or line end"),
            Self::Marks => write!(f, "more than {MISSING_MARKS_MAX} marks of missing values"),
            Self::Names => write!(f, "a table without a header line has 1 to {COLUMNS_MAX} columns"),
            Self::NameTwice(name) => write!(f, "two columns are named {name}"),
        }
    }
}

impl std::error::Error for TextFormFault {}

impl TryFrom<TextFormFields> for TextForm {
    type Error = TextFormFault;

    fn try_from(fields: TextFormFields) -> Result<Self, TextFormFault> {
        if !fields.delimiter.is_ascii() || matches!(fields.delimiter, b'"' | b'\n' | b'\r') {
            return Err(TextFormFault::Delimiter);
        }
        if fields.missing.len() > MISSING_MARKS_MAX {
            return Err(TextFormFault::Marks);
        }
        if let Heading::Names(names) = &fields.heading {
            if names.is_empty() || names.len() > COLUMNS_MAX {
                return Err(TextFormFault::Names);
            }
            let mut seen = BTreeSet::new();
            if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
                return Err(TextFormFault::NameTwice(twice.clone()));
            }
        }
        Ok(Self(fields))
    }
}

impl From<TextForm> for TextFormFields {
    fn from(form: TextForm) -> Self {
        form.0
    }
}

impl std::ops::Deref for TextForm {
    type Target = TextFormFields;

    fn deref(&self) -> &TextFormFields {
        &self.0
    }
}

/// Commas, UTF-8, a header line, and nothing that stands for a missing value.
impl Default for TextForm {
    fn default() -> Self {
        let (delimiter, encoding) = (b',', TextEncoding::Utf8);
        Self(TextFormFields { delimiter, encoding, missing: BTreeSet::new(), heading: Heading::Line })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> TextFormFields {
        TextForm::default().into()
    }

    // SRC-1
    #[test]
    fn a_delimiter_is_ascii_and_neither_quote_nor_line_end() {
        for good in [b',', b';', b'\t', b'|', 1, b' '] {
            assert!(TextForm::try_from(TextFormFields { delimiter: good, ..fields() }).is_ok(), "{good}");
        }
        for bad in [b'"', b'\n', b'\r', 0x80, 0xFF] {
            let fault = TextForm::try_from(TextFormFields { delimiter: bad, ..fields() }).err();
            assert_eq!(fault, Some(TextFormFault::Delimiter), "{bad}");
        }
    }

    // SRC-1
    #[test]
    fn marks_and_names_are_bounded_and_names_differ() {
        let marks = |count: usize| (0..count).map(|n| format!("-{n}").parse().unwrap()).collect();
        let with = |count| TextForm::try_from(TextFormFields { missing: marks(count), ..fields() }).err();
        assert_eq!([with(32), with(33)], [None, Some(TextFormFault::Marks)]);
        let names = |count: usize| Heading::Names((0..count).map(|n| format!("c{n}").parse().unwrap()).collect());
        let headed = |heading| TextForm::try_from(TextFormFields { heading, ..fields() }).err();
        assert_eq!([headed(names(1)), headed(names(4096))], [None, None]);
        assert_eq!([headed(names(0)), headed(names(4097))], [Some(TextFormFault::Names), Some(TextFormFault::Names)]);
        let twice: ColumnName = "age".parse().unwrap();
        let fault = headed(Heading::Names(vec![twice.clone(), "sex".parse().unwrap(), twice.clone()]));
        assert_eq!(fault, Some(TextFormFault::NameTwice(twice)));
    }

    #[test]
    fn a_form_is_checked_on_every_door() {
        let json = serde_json::to_value(TextForm::default()).unwrap();
        assert_eq!(json.to_string(), r#"{"delimiter":44,"encoding":"utf-8","heading":"line","missing":[]}"#);
        let quote = r#"{"delimiter":34,"encoding":"utf-8","heading":"line","missing":[]}"#;
        assert!(serde_json::from_str::<TextForm>(quote).is_err());
    }
}
