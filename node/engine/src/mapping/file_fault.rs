//! Why a mapping's file is none. Texts quote the mapping itself, never a source.

use std::fmt;

use cohortium_protocol::ident::{ColumnName, Name};
use cohortium_protocol::limits::MAPPING_BYTES_MAX;
use cohortium_protocol::record::allowance::AllowanceFault;
use cohortium_schema::gate::ThresholdFault;
use cohortium_schema::vocabulary::CodeMapFault;

use crate::mapping::file::EACH_MAX;

/// Why a file is no mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MappingFault {
    /// Longer than the bound.
    TooLong,
    /// Not TOML, or not a mapping's fields; with the line, from 1, and what the parser says of the file's own text.
    Toml {
        /// The line.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// Another schema than the one at hand.
    Schema {
        /// The one named.
        named: String,
    },
    /// Version 0, or no rule at all.
    Empty,
    /// A rule or the patients name a source that is not there.
    NoSource {
        /// The name.
        source: String,
    },
    /// A rule names a table that the schema does not have.
    NoTable {
        /// The rule, from 1.
        rule: usize,
        /// The name.
        table: String,
    },
    /// A rule sets a column that the table does not have.
    NoColumn {
        /// The rule.
        rule: usize,
        /// The column.
        column: String,
    },
    /// A rule leaves a required column out.
    Required {
        /// The rule.
        rule: usize,
        /// The column.
        column: String,
    },
    /// A rule uses a code map that is not there.
    NoMap {
        /// The rule.
        rule: usize,
        /// The map.
        map: String,
    },
    /// A code is looked up in a map and in a vocabulary, or in neither.
    MapOrVocabulary {
        /// The rule.
        rule: usize,
        /// The column.
        column: String,
    },
    /// More than one code of a rule makes several facts.
    SpreadTwice {
        /// The rule.
        rule: usize,
    },
    /// The file of a code map is not there.
    NoFile {
        /// Its name.
        file: String,
    },
    /// The file of a code map is none.
    File {
        /// Its name.
        file: String,
        /// Why.
        fault: CodeMapFault,
    },
    /// The file of a code map has no row of the vocabulary.
    NoRows {
        /// Its name.
        file: String,
        /// The vocabulary.
        vocabulary: String,
    },
    /// A code map is given twice.
    MapTwice {
        /// Its name.
        map: String,
    },
    /// More entries in `each` than the bound.
    TooMany {
        /// The rule.
        rule: usize,
    },
    /// A column is listed both as an identifier and as plain.
    Both {
        /// The column.
        column: ColumnName,
    },
    /// A table is left out that the schema does not have, or that a rule makes.
    LeavesOut {
        /// The table.
        table: Name,
    },
    /// A threshold is none, or of no check.
    Threshold(ThresholdFault),
    /// More tables or thresholds than the bounds.
    Allowance(AllowanceFault),
}

impl fmt::Display for MappingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the mapping is longer than {MAPPING_BYTES_MAX} bytes"),
            Self::Toml { line, message } => write!(f, "line {line}: {message}"),
            Self::Schema { named } => write!(f, "the mapping is for the schema {named}, which is not the one in use"),
            Self::Empty => f.write_str("the mapping has version 0 or no rule"),
            Self::NoSource { source } => write!(f, "no [source.{source}] is given"),
            Self::NoTable { rule, table } => write!(f, "rule {rule}: the schema has no table {table}"),
            Self::NoColumn { rule, column } => write!(f, "rule {rule}: the table has no column {column}"),
            Self::Required { rule, column } => write!(f, "rule {rule}: the required column {column} is not set"),
            Self::NoMap { rule, map } => write!(f, "rule {rule}: no [codes.{map}] and no [map.{map}] is given"),
            Self::MapOrVocabulary { rule, column } => {
                write!(f, "rule {rule}, {column}: a code is looked up in one map or in one vocabulary")
            }
            Self::SpreadTwice { rule } => write!(f, "rule {rule}: more than one code makes several facts"),
            Self::NoFile { file } => write!(f, "the file {file} of a code map is not there"),
            Self::File { file, fault } => write!(f, "the file {file}: {fault}"),
            Self::NoRows { file, vocabulary } => write!(f, "the file {file} has no row of vocabulary {vocabulary}"),
            Self::MapTwice { map } => write!(f, "the code map {map} is given twice"),
            Self::TooMany { rule } => write!(f, "rule {rule}: more than {EACH_MAX} entries in each"),
            Self::LeavesOut { table } => {
                write!(f, "leaves_out names {table}, which the schema does not have or a rule makes")
            }
            Self::Threshold(fault) => fault.fmt(f),
            Self::Allowance(fault) => fault.fmt(f),
            Self::Both { column } => write!(f, "column {column} is listed as an identifier and as plain"),
        }
    }
}

impl std::error::Error for MappingFault {}
