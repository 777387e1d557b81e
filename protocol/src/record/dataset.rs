//! A dataset: where a node finds rows or files of its own. Local; it never travels.

use serde::{Deserialize, Serialize};

use crate::ident::{ColumnName, DatasetId, Name, ReleaseId, Text};
use crate::record::remote::{DatabaseTable, ObjectPlace, ViewText};
use crate::record::text_form::TextForm;

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
    /// A text table.
    Csv {
        /// The file's path on the node's machine.
        path: Text,
        /// How it is written.
        form: TextForm,
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
    /// One JSON object a line. Each of its fields is a column.
    Ndjson {
        /// The file's path on the node's machine.
        path: Text,
    },
    /// One JSON array of objects. Each of their fields is a column.
    Json {
        /// The file's path on the node's machine.
        path: Text,
    },
    /// An Arrow IPC file or stream.
    ArrowIpc {
        /// The file's path on the node's machine.
        path: Text,
    },
    /// A table of this node's own store: one that a mapping made.
    Mapped {
        /// The mapping.
        mapping: Name,
        /// The table of the common schema.
        table: Name,
    },
    /// FHIR resources, one a line, in one array or in one bundle, through a view. Each column of the view is a column.
    Fhir {
        /// The file's path on the node's machine.
        path: Text,
        /// The view.
        view: ViewText,
    },
    /// Rows of a PostgreSQL.
    Postgres(Box<DatabaseTable>),
    /// Rows of a MariaDB.
    Maria(Box<DatabaseTable>),
    /// An object of an S3 store.
    S3(Box<ObjectPlace>),
    /// The folder of a release that this node has signed.
    Release {
        /// The release.
        release: ReleaseId,
    },
}

impl Source {
    /// The path on the node's machine; a mapped table, a database, an object of a store and a release have none.
    pub const fn path(&self) -> Option<&Text> {
        match self {
            Self::Csv { path, .. }
            | Self::Parquet { path }
            | Self::Ndjson { path }
            | Self::Json { path }
            | Self::ArrowIpc { path }
            | Self::Fhir { path, .. } => Some(path),
            Self::Files { folder } => Some(folder),
            Self::Mapped { .. } | Self::Postgres(_) | Self::Maria(_) | Self::S3(_) | Self::Release { .. } => None,
        }
    }

    /// The word for people, as in JSON.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Csv { .. } => "csv",
            Self::Parquet { .. } => "parquet",
            Self::Files { .. } => "files",
            Self::Ndjson { .. } => "ndjson",
            Self::Json { .. } => "json",
            Self::ArrowIpc { .. } => "arrow-ipc",
            Self::Mapped { .. } => "mapped",
            Self::Fhir { .. } => "fhir",
            Self::Postgres(_) => "postgres",
            Self::Maria(_) => "maria",
            Self::S3(_) => "s3",
            Self::Release { .. } => "release",
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
