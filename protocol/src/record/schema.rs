//! A shared table's columns: what they hold and what they are to a patient's privacy.

use serde::{Deserialize, Serialize};

use crate::ident::ColumnName;

/// The type of a column's values as they travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColumnType {
    /// Text, as found in the source.
    Text,
    /// 64-bit signed integer.
    Integer,
    /// 64-bit float.
    Float,
    /// True or false.
    Boolean,
    /// A day.
    Date,
    /// A time of day on a day, microseconds.
    Timestamp,
    /// Anything else that Arrow holds; kept as it is.
    Other,
}

/// What a column is to a patient's privacy. Every column has one; none is harmless by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColumnRole {
    /// Names a patient, or something only one patient has: law 1.
    DirectIdentifier,
    /// Names a patient together with others: age, ZIP, dates, facility.
    QuasiIdentifier,
    /// What a patient would not want known.
    Sensitive,
    /// A measured quantity.
    Measure,
    /// Text that anybody may have typed anything into.
    FreeText,
}

/// What is done to a column before a blob exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Treatment {
    /// It does not leave.
    Drop,
    /// It leaves as it is. Never for a direct identifier.
    Keep,
    /// Each value becomes a keyed id that only its provider can compute: the same value, the same id.
    Pseudonym,
}

/// One column of a source and what its share does with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name in the source, and in what leaves.
    pub name: ColumnName,
    /// The type of what leaves.
    pub kind: ColumnType,
    /// What it is to privacy.
    pub role: ColumnRole,
    /// What is done to it.
    pub treatment: Treatment,
}

impl Column {
    /// Whether the treatment is one that its role allows (law 1).
    pub fn is_lawful(&self) -> bool {
        !(self.role == ColumnRole::DirectIdentifier && self.treatment == Treatment::Keep)
    }
}
