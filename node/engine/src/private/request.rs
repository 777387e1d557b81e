//! A question as it is asked: as SQL, or in its parts.

use serde::{Deserialize, Serialize};

use crate::private::declared::Declared;

/// A question with what is declared for it.
#[expect(missing_debug_implementations, reason = "its words may name a patient")]
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// What is asked.
    pub ask: Ask,
    /// Bounds, keys and contributions.
    pub declared: Declared,
}

/// What is asked.
#[expect(missing_debug_implementations, reason = "its words may name a patient")]
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// One SELECT with aggregates.
    Sql(String),
    /// Its parts.
    Parts(Request),
}

/// A question in its parts.
#[expect(missing_debug_implementations, reason = "its words may name a patient")]
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The table.
    pub table: String,
    /// The rows that count: an SQL condition over its columns.
    #[serde(default)]
    pub filter: Option<String>,
    /// What the answer is grouped by.
    #[serde(default)]
    pub group_by: Vec<GroupBy>,
    /// What is measured.
    pub measures: Vec<RequestedMeasure>,
    /// Only the groups with the most: how many, by which measure.
    #[serde(default)]
    pub top: Option<RequestedTop>,
}

/// A group key.
#[expect(missing_debug_implementations, reason = "its words may name a patient")]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupBy {
    /// The name of the output.
    pub name: String,
    /// An SQL expression over the table's columns.
    pub by: String,
}

/// A measure.
#[expect(missing_debug_implementations, reason = "its words may name a patient")]
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestedMeasure {
    /// The name of the output.
    pub name: String,
    /// What is measured.
    pub measure: MeasureKind,
    /// An SQL expression over the table's columns; counts of rows and patients have none.
    #[serde(default)]
    pub of: Option<String>,
}

/// What can be measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasureKind {
    /// Rows, or rows with a value.
    Count,
    /// Distinct units.
    Patients,
    /// The sum of values.
    Sum,
    /// Their mean.
    Mean,
    /// Their variance, over one less than their number.
    Variance,
    /// How many values are in each bin.
    Histogram,
    /// The values below which these shares of all lie.
    Quantiles(Vec<f64>),
}

/// Only the groups with the most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestedTop {
    /// How many.
    pub groups: u64,
    /// The name of the count that orders them.
    pub by: String,
}
