//! A mapping as a person writes it: one TOML file for a member's sources, checked for everything that needs no source.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use cohortium_protocol::ident::ColumnName;
use cohortium_protocol::limits::MAPPING_BYTES_MAX;
use cohortium_schema::schema::{CommonSchema, Table};
use serde::Deserialize;

/// Facts that one row may be due in one rule: entries of `each`. 1,024.
const EACH_MAX: usize = 1024;

/// A checked mapping.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Its name.
    pub mapping: String,
    /// 1, 2, 3, ...
    pub version: u32,
    /// The common schema it maps to.
    pub schema: String,
    /// Where patients are listed.
    pub patients: Patients,
    /// The sources, by the name that rules use.
    pub source: BTreeMap<String, SourceRules>,
    /// Code maps: code to concept id.
    #[serde(default)]
    pub codes: BTreeMap<String, BTreeMap<String, i64>>,
    /// The rules, in the order of the file.
    pub fact: Vec<Fact>,
}

/// The source whose rows are patients, or name one each.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patients {
    /// Its name.
    pub source: String,
    /// The column with the patient's local identifier; rules see it as a pseudonym.
    pub id: ColumnName,
}

/// What a person says of one source.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceRules {
    /// The dataset's name at this node.
    pub dataset: String,
    /// Columns that identify a patient although their names do not say so.
    #[serde(default)]
    pub identifiers: BTreeSet<ColumnName>,
    /// Columns that do not, although their names suggest it.
    #[serde(default)]
    pub plain: BTreeSet<ColumnName>,
}

/// One rule: for each row of a source that passes `where` one row of a table is due, or one for each entry of `each`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// The table of the common schema.
    pub table: String,
    /// The source.
    pub from: String,
    /// Which rows; all where nothing is said. A row for which it is unknown is not due.
    #[serde(default, rename = "where")]
    pub filter: Option<String>,
    /// Words that stand in braces in `where` and `set`, once for each entry.
    #[serde(default)]
    pub each: Vec<BTreeMap<String, Word>>,
    /// What each column is made of.
    pub set: BTreeMap<String, Setting>,
}

/// A word of an `each` entry.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Word {
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// Text, put in as it stands.
    Text(String),
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
        }
    }
}

/// What a column is made of.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Setting {
    /// A constant.
    Integer(i64),
    /// A constant.
    Float(f64),
    /// An SQL expression over the source's columns.
    Sql(String),
    /// A code, looked up in a code map.
    Code(CodeSetting),
    /// A measured value in a unit.
    Unit(UnitSetting),
    /// An expression with a value for where it gives none; how often that was used is recorded.
    Default(DefaultSetting),
}

/// A code that a code map makes a concept of.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeSetting {
    /// An expression that gives the code.
    pub code: String,
    /// The code map.
    pub map: String,
    /// The concept for codes that the map does not have; without it such a fact is quarantined.
    #[serde(default)]
    pub default: Option<i64>,
}

/// A value that is converted.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitSetting {
    /// An expression that gives the value.
    pub value: String,
    /// An expression that gives the unit it is in, as UCUM or a listed alias; a constant is quoted: `"'mg/dL'"`.
    pub unit: String,
    /// The unit that leaves, as UCUM.
    pub to: String,
    /// Grams per mole, where mass and amount of substance are converted.
    #[serde(default)]
    pub molar_mass: Option<f64>,
}

/// A recorded default.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefaultSetting {
    /// An expression; without it the default is always used.
    #[serde(default)]
    pub sql: Option<String>,
    /// The value where the expression gives none.
    pub default: Word,
}

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
            Self::NoMap { rule, map } => write!(f, "rule {rule}: no [codes.{map}] is given"),
            Self::TooMany { rule } => write!(f, "rule {rule}: more than {EACH_MAX} entries in each"),
            Self::Both { column } => write!(f, "column {column} is listed as an identifier and as plain"),
        }
    }
}

impl std::error::Error for MappingFault {}

/// A schema as mappings name it: `omop-5.4`.
pub fn schema_word(schema: &CommonSchema) -> String {
    format!("{}-{}", schema.name(), schema.version()).to_lowercase().replace(' ', "-")
}

impl Mapping {
    /// Reads and checks a mapping.
    ///
    /// # Errors
    /// [`MappingFault`]; its text quotes the mapping, never a source.
    pub fn parse(text: &str, schema: &CommonSchema) -> Result<Self, MappingFault> {
        if text.len() > MAPPING_BYTES_MAX {
            return Err(MappingFault::TooLong);
        }
        let mapping: Self = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
            MappingFault::Toml { line, message: error.message().to_owned() }
        })?;
        mapping.check(schema)?;
        Ok(mapping)
    }

    fn check(&self, schema: &CommonSchema) -> Result<(), MappingFault> {
        if self.schema != schema_word(schema) {
            return Err(MappingFault::Schema { named: self.schema.clone() });
        }
        if self.version == 0 || self.fact.is_empty() {
            return Err(MappingFault::Empty);
        }
        let sources = self.fact.iter().map(|fact| &fact.from).chain([&self.patients.source]);
        if let Some(source) = sources.into_iter().find(|source| !self.source.contains_key(*source)) {
            return Err(MappingFault::NoSource { source: source.clone() });
        }
        for rules in self.source.values() {
            if let Some(column) = rules.identifiers.intersection(&rules.plain).next() {
                return Err(MappingFault::Both { column: column.clone() });
            }
        }
        self.fact.iter().zip(1..).try_for_each(|(fact, rule)| self.check_fact(fact, rule, schema))
    }

    fn check_fact(&self, fact: &Fact, rule: usize, schema: &CommonSchema) -> Result<(), MappingFault> {
        let no_table = || MappingFault::NoTable { rule, table: fact.table.clone() };
        let table: &Table = schema.table(&fact.table).ok_or_else(no_table)?;
        if fact.each.len() > EACH_MAX {
            return Err(MappingFault::TooMany { rule });
        }
        let unknown = fact.set.keys().find(|column| table.field(column).is_none());
        if let Some(column) = unknown {
            return Err(MappingFault::NoColumn { rule, column: column.clone() });
        }
        let missing = table.fields.iter().find(|field| field.required && !fact.set.contains_key(&field.name));
        if let Some(field) = missing {
            return Err(MappingFault::Required { rule, column: field.name.clone() });
        }
        for setting in fact.set.values() {
            if let Setting::Code(code) = setting
                && !self.codes.contains_key(&code.map)
            {
                return Err(MappingFault::NoMap { rule, map: code.map.clone() });
            }
        }
        Ok(())
    }
}
