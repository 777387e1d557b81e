//! A mapping as a person writes it: one TOML file for a member's sources, checked for everything that needs no source.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use cohortium_protocol::ident::{ColumnName, Name, Text};
use cohortium_protocol::limits::MAPPING_BYTES_MAX;
use cohortium_protocol::record::allowance::{Allowance, AllowanceFields};
use cohortium_schema::gate::Checks;
use cohortium_schema::schema::{CommonSchema, Table};
use cohortium_schema::vocabulary::CodeMap;
use serde::Deserialize;

use crate::mapping::file_fault::MappingFault;

/// Facts that one row may be due in one rule: entries of `each`. 1,024.
pub(crate) const EACH_MAX: usize = 1024;

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
    /// Tables of the schema that it leaves out on purpose: the quality gates do not miss them.
    #[serde(default)]
    pub leaves_out: BTreeSet<Name>,
    /// What its tables bear beside the thresholds of the list of checks, in per cent, by a check or by its kind.
    #[serde(default)]
    pub thresholds: BTreeMap<Text, f64>,
    /// Where patients are listed.
    pub patients: Patients,
    /// The sources, by the name that rules use.
    pub source: BTreeMap<String, SourceRules>,
    /// Code maps: code to concept id.
    #[serde(default)]
    pub codes: BTreeMap<String, BTreeMap<String, i64>>,
    /// Code maps whose rows stand in files of their own.
    #[serde(default)]
    pub map: BTreeMap<String, MapFile>,
    /// The texts of those files, by their names. Where a mapping is defined they are put in, so that they are part of it,
    /// of its bound and of its digest.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// The rules, in the order of the file.
    pub fact: Vec<Fact>,
}

/// A code map of `source_to_concept_map` rows in a file of comma-separated text beside the mapping.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapFile {
    /// The file's name; it lies in the mapping's folder.
    pub file: String,
    /// The `source_vocabulary_id` whose rows are meant.
    pub vocabulary: String,
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

impl Fact {
    /// The code of which each concept makes a fact, and its column.
    pub(crate) fn spread(&self) -> Option<(&str, &CodeSetting)> {
        self.set.iter().find_map(|(column, setting)| match setting {
            Setting::Code(code) if code.several == Several::Each => Some((column.as_str(), code)),
            _ => None,
        })
    }
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

/// A code that a code map or a vocabulary makes a concept of.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeSetting {
    /// An expression that gives the code.
    pub code: String,
    /// The code map: one of `codes` or `map`.
    #[serde(default)]
    pub map: Option<String>,
    /// Or the vocabulary, of those that the node has loaded: the standard concepts that the code maps to.
    #[serde(default)]
    pub vocabulary: Option<String>,
    /// An expression that gives the day on which code and map must hold; without it, they must hold today.
    #[serde(default)]
    pub on: Option<String>,
    /// What becomes of a code that several concepts stand for.
    #[serde(default)]
    pub several: Several,
    /// The concept for codes that the map does not have; without it such a fact is quarantined.
    #[serde(default)]
    pub default: Option<i64>,
}

impl CodeSetting {
    /// What the codes' list is called in reports.
    pub(crate) fn list(&self) -> &str {
        self.map.as_ref().or(self.vocabulary.as_ref()).map_or("", String::as_str)
    }
}

/// What becomes of a code that several concepts stand for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Several {
    /// The fact is quarantined: nobody chooses for the person who wrote the mapping.
    #[default]
    Refuse,
    /// The concept of the lowest id is taken.
    Lowest,
    /// Each makes a fact of its own. Expressions of the rule see the concept as `cohortium_concept`, to make keys of.
    Each,
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
        let mapping = Self::read(text)?;
        mapping.check(schema)?;
        Ok(mapping)
    }

    fn read(text: &str) -> Result<Self, MappingFault> {
        toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
            MappingFault::Toml { line, message: error.message().to_owned() }
        })
    }

    /// The files that a mapping names and does not hold yet.
    ///
    /// # Errors
    /// [`MappingFault::Toml`], [`MappingFault::TooLong`].
    pub fn files_wanted(text: &str) -> Result<BTreeSet<String>, MappingFault> {
        if text.len() > MAPPING_BYTES_MAX {
            return Err(MappingFault::TooLong);
        }
        let mapping = Self::read(text)?;
        let named = mapping.map.into_values().map(|map| map.file);
        Ok(named.filter(|file| !mapping.files.contains_key(file)).collect())
    }

    /// The mapping with the texts of its files put in, at its end.
    pub fn with_files(text: &str, files: &BTreeMap<String, String>) -> String {
        let mut whole = text.to_owned();
        for (number, (name, content)) in files.iter().enumerate() {
            let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
            if number == 0 {
                whole.push_str("\n[files]\n");
            }
            whole += &[quoted(name), quoted(content)].join(" = ");
            whole.push('\n');
        }
        whole
    }

    /// What it states of the quality of its tables.
    ///
    /// # Errors
    /// [`MappingFault`]: a table that the schema does not have or that a rule makes, a threshold of no check.
    pub fn allowance(&self, schema: &CommonSchema) -> Result<Allowance, MappingFault> {
        let made = |table: &&Name| self.fact.iter().any(|fact| fact.table == table.as_str());
        if let Some(table) = self.leaves_out.iter().find(|table| schema.table(table.as_str()).is_none() || made(table))
        {
            return Err(MappingFault::LeavesOut { table: table.clone() });
        }
        let thresholds = Checks::of(schema).per_mille(&self.thresholds).map_err(MappingFault::Threshold)?;
        let fields = AllowanceFields { left_out: self.leaves_out.clone(), thresholds };
        Allowance::try_from(fields).map_err(MappingFault::Allowance)
    }

    /// Vocabularies that the node must have loaded.
    pub(crate) fn vocabularies(&self) -> BTreeSet<&str> {
        let settings = self.fact.iter().flat_map(|fact| fact.set.values());
        let named = settings.filter_map(|setting| match setting {
            Setting::Code(code) => code.vocabulary.as_deref(),
            _ => None,
        });
        named.collect()
    }

    /// Whether a vocabulary must be loaded for it.
    pub fn needs_vocabulary(&self) -> bool {
        !self.vocabularies().is_empty()
    }

    /// Code maps of files: their names, rows, and which of the rows are meant.
    pub(crate) fn code_files(&self) -> Vec<(&str, CodeMap, &str)> {
        let rows = |map: &MapFile| {
            let rows = self.files.get(&map.file).and_then(|text| CodeMap::from_csv(text.as_bytes()).ok());
            rows.unwrap_or_default()
        };
        self.map.iter().map(|(name, map)| (name.as_str(), rows(map), map.vocabulary.as_str())).collect()
    }

    fn check_files(&self) -> Result<(), MappingFault> {
        for (name, map) in &self.map {
            if self.codes.contains_key(name) {
                return Err(MappingFault::MapTwice { map: name.clone() });
            }
            let file = || map.file.clone();
            let text = self.files.get(&map.file).ok_or_else(|| MappingFault::NoFile { file: file() })?;
            let rows = CodeMap::from_csv(text.as_bytes());
            let rows = rows.map_err(|fault| MappingFault::File { file: file(), fault })?;
            if !rows.holds(&map.vocabulary) {
                return Err(MappingFault::NoRows { file: file(), vocabulary: map.vocabulary.clone() });
            }
        }
        Ok(())
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
        self.allowance(schema)?;
        self.check_files()?;
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
        self.check_codes(fact, rule)
    }

    fn check_codes(&self, fact: &Fact, rule: usize) -> Result<(), MappingFault> {
        let mut spread = 0;
        for (column, setting) in &fact.set {
            let Setting::Code(code) = setting else { continue };
            if code.map.is_some() == code.vocabulary.is_some() {
                return Err(MappingFault::MapOrVocabulary { rule, column: column.clone() });
            }
            let unknown =
                code.map.as_ref().filter(|map| !self.codes.contains_key(*map) && !self.map.contains_key(*map));
            if let Some(map) = unknown {
                return Err(MappingFault::NoMap { rule, map: map.clone() });
            }
            spread += usize::from(code.several == Several::Each);
        }
        if spread > 1 { Err(MappingFault::SpreadTwice { rule }) } else { Ok(()) }
    }
}
