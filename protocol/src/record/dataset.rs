//! A dataset: where a node finds rows or files of its own. Local; it never travels.

use serde::{Deserialize, Serialize};

use crate::ident::{ColumnName, DatasetId, Name, Text};

/// What a node knows of one of its sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// Its id.
    pub dataset: DatasetId,
    /// For people.
    pub name: Name,
    /// Where it is and how it is read.
    pub source: Source,
    /// The columns that make a row unlike every other; empty: rows are known by file and place, and each snapshot is full.
    pub key: Vec<ColumnName>,
    /// The column that names the patient, by which an opt-out finds the rows.
    pub patient: Option<ColumnName>,
    /// The columns a linkage token is made of.
    pub linkage: Option<LinkageColumns>,
}

/// Where rows or files come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A text table with one header line.
    Csv {
        /// The file's path on the node's machine.
        path: Text,
        /// The character between two cells, one byte.
        delimiter: u8,
    },
    /// A Parquet file.
    Parquet {
        /// The file's path on the node's machine.
        path: Text,
    },
    /// A folder of files that nobody looks into.
    Files {
        /// The folder's path on the node's machine.
        folder: Text,
    },
}

impl Source {
    /// The path on the node's machine.
    pub const fn path(&self) -> &Text {
        match self {
            Self::Csv { path, .. } | Self::Parquet { path } => path,
            Self::Files { folder } => folder,
        }
    }
}

/// The three fields that together name a patient (law 1): what normaliser version 1 makes a token of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkageColumns {
    /// Given name.
    pub given: ColumnName,
    /// Family name.
    pub family: ColumnName,
    /// Date of birth.
    pub birth: ColumnName,
    /// How the date of birth is written.
    pub birth_format: DateFormat,
}

/// How a source writes a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DateFormat {
    /// `2024-02-29`, with or without a time after it.
    Iso,
    /// `29.02.2024`.
    DayMonthYearDots,
    /// `02/29/2024`.
    MonthDayYearSlashes,
    /// `20240229`, with or without a time after it.
    Compact,
}
