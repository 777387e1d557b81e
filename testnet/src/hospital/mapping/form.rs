//! What a mapping must be, read without the engine: the format's fields, the common schema's columns, and the headers of
//! the sources. Every fault is named.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use super::SCHEMA;

/// Headers by the name of a source.
pub(super) type Headers = BTreeMap<String, BTreeSet<String>>;

/// A table of the common schema: name, required columns, and those of the others that mappings here use.
/// Source: OMOP CDM 5.4, field-level list.
type Target = (&'static str, &'static [&'static str], &'static [&'static str]);

const TARGETS: [Target; 7] = [
    (
        "person",
        &["person_id", "gender_concept_id", "year_of_birth", "race_concept_id", "ethnicity_concept_id"],
        &["month_of_birth", "day_of_birth", "gender_source_value"],
    ),
    (
        "observation_period",
        &[
            "observation_period_id",
            "person_id",
            "observation_period_start_date",
            "observation_period_end_date",
            "period_type_concept_id",
        ],
        &[],
    ),
    (
        "visit_occurrence",
        &[
            "visit_occurrence_id",
            "person_id",
            "visit_concept_id",
            "visit_start_date",
            "visit_end_date",
            "visit_type_concept_id",
        ],
        &["visit_start_datetime", "visit_end_datetime", "visit_source_value"],
    ),
    (
        "condition_occurrence",
        &[
            "condition_occurrence_id",
            "person_id",
            "condition_concept_id",
            "condition_start_date",
            "condition_type_concept_id",
        ],
        &["condition_end_date", "condition_status_concept_id", "visit_occurrence_id", "condition_source_value"],
    ),
    (
        "measurement",
        &["measurement_id", "person_id", "measurement_concept_id", "measurement_date", "measurement_type_concept_id"],
        &[
            "measurement_datetime",
            "value_as_number",
            "unit_concept_id",
            "visit_occurrence_id",
            "measurement_source_value",
            "unit_source_value",
        ],
    ),
    (
        "observation",
        &["observation_id", "person_id", "observation_concept_id", "observation_date", "observation_type_concept_id"],
        &[
            "value_as_string",
            "value_as_concept_id",
            "visit_occurrence_id",
            "observation_source_value",
            "value_source_value",
        ],
    ),
    ("death", &["person_id", "death_date"], &["death_type_concept_id"]),
];

/// The column that every source has: the row's own id.
const ROW: &str = "cohortium_row";
const FUNCTIONS: [&str; 9] =
    ["day", "person", "surrogate", "substr", "split_part", "replace", "nullif", "encode", "CAST"];
const KEYWORDS: [&str; 17] = [
    "IS", "NOT", "NULL", "IN", "OR", "AND", "DISTINCT", "FROM", "AS", "DOUBLE", "BIGINT", "CASE", "WHEN", "THEN",
    "ELSE", "END", "LIKE",
];

/// What is wrong with a mapping over sources with these headers; nothing, if it is right.
pub(super) fn faults(text: &str, headers: &Headers) -> Vec<String> {
    let mapping: Table = match text.parse() {
        Ok(mapping) => mapping,
        Err(fault) => return vec![format!("no TOML: {fault}")],
    };
    let mut form = Form { mapping: &mapping, headers, faults: Vec::new() };
    form.head();
    form.sources();
    form.codes();
    for (number, fact) in form.list("fact").iter().enumerate() {
        form.fact(number + 1, fact);
    }
    form.faults
}

struct Form<'a> {
    mapping: &'a Table,
    headers: &'a Headers,
    faults: Vec<String>,
}

impl<'a> Form<'a> {
    fn demand(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.faults.push(fault());
        }
    }

    fn list(&self, key: &str) -> &'a [Value] {
        self.mapping.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    fn tables(&self, key: &str) -> impl Iterator<Item = (&'a String, &'a Table)> + use<'a> {
        let table = self.mapping.get(key).and_then(Value::as_table);
        table.into_iter().flatten().filter_map(|(name, value)| Some((name, value.as_table()?)))
    }

    /// Only these keys, and all that are required.
    fn keys(&mut self, place: &str, table: &Table, required: &[&str], allowed: &[&str]) {
        for key in table.keys() {
            let known = required.contains(&key.as_str()) || allowed.contains(&key.as_str());
            self.demand(known, || format!("{place}: unknown key {key}"));
        }
        for key in required {
            self.demand(table.contains_key(*key), || format!("{place}: no {key}"));
        }
    }

    fn head(&mut self) {
        self.keys(
            "mapping",
            self.mapping,
            &["mapping", "version", "schema", "patients", "source", "fact"],
            &["codes", "leaves_out", "thresholds"],
        );
        self.demand(text(self.mapping, "schema") == SCHEMA, || "another schema".to_owned());
        let version = self.mapping.get("version").and_then(Value::as_integer).unwrap_or(0);
        self.demand(version >= 1, || "no version".to_owned());
        self.demand(!self.list("fact").is_empty(), || "no rule".to_owned());
        let patients = self.mapping.get("patients").and_then(Value::as_table).cloned().unwrap_or_default();
        self.keys("patients", &patients, &["source", "id"], &[]);
        let (source, id) = (text(&patients, "source"), text(&patients, "id"));
        self.demand(self.has(source, id), || format!("patients: source {source} has no column {id}"));
    }

    fn has(&self, source: &str, column: &str) -> bool {
        self.headers.get(source).is_some_and(|headers| column == ROW || headers.contains(column))
    }

    fn sources(&mut self) {
        for (name, rules) in self.tables("source") {
            self.keys(&format!("source {name}"), rules, &["dataset"], &["identifiers", "plain"]);
            for column in listed(rules, "identifiers").chain(listed(rules, "plain")) {
                self.demand(self.has(name, column), || format!("source {name}: no column {column}"));
            }
        }
    }

    fn codes(&mut self) {
        for (map, codes) in self.tables("codes") {
            for (code, concept) in codes {
                self.demand(concept.is_integer(), || format!("codes {map}: {code} is no concept id"));
            }
        }
    }

    fn fact(&mut self, number: usize, fact: &Value) {
        let Some(fact) = fact.as_table() else { return };
        let place = format!("rule {number}");
        self.keys(&place, fact, &["table", "from", "set"], &["where", "each"]);
        let (table, from) = (text(fact, "table"), text(fact, "from"));
        let target = TARGETS.iter().find(|(name, ..)| *name == table);
        self.demand(target.is_some(), || format!("{place}: no table {table}"));
        self.demand(self.tables("source").any(|(name, _)| name == from), || format!("{place}: no source {from}"));
        let set = fact.get("set").and_then(Value::as_table).cloned().unwrap_or_default();
        if let Some((_, required, others)) = target {
            self.keys(&place, &set, required, others);
        }
        let nothing = [Value::Table(Table::new())];
        let entries = fact.get("each").and_then(Value::as_array).map_or(&nothing[..], Vec::as_slice);
        for words in entries.iter().filter_map(Value::as_table) {
            let mut expressions: Vec<String> = fact.get("where").into_iter().filter_map(as_text).collect();
            for (column, setting) in &set {
                expressions.extend(self.setting(&format!("{place}, {column}"), setting));
            }
            for expression in expressions {
                let expression = filled(&expression, words);
                self.expression(&place, from, &expression);
            }
        }
    }

    /// Checks a setting's fields; gives its expressions.
    fn setting(&mut self, place: &str, setting: &Value) -> Vec<String> {
        let Some(fields) = setting.as_table() else {
            let is_constant = setting.is_integer() || setting.is_float();
            self.demand(is_constant || setting.is_str(), || format!("{place}: neither constant nor expression"));
            return as_text(setting).into_iter().collect();
        };
        let expressions: &[&str] = if fields.contains_key("map") {
            self.keys(place, fields, &["code", "map"], &["default"]);
            let map = text(fields, "map");
            self.demand(self.tables("codes").any(|(name, _)| name == map), || format!("{place}: no code map {map}"));
            &["code"]
        } else if fields.contains_key("to") {
            self.keys(place, fields, &["value", "unit", "to"], &["molar_mass"]);
            &["value", "unit"]
        } else {
            self.keys(place, fields, &["default"], &["sql"]);
            &["sql"]
        };
        expressions.iter().filter_map(|key| fields.get(*key)).filter_map(as_text).collect()
    }

    /// Every name is a column of the source, every function one that there is, and whom `person` asks for a pseudonym.
    fn expression(&mut self, place: &str, source: &str, expression: &str) {
        self.demand(!expression.contains('{'), || format!("{place}: a word in braces that no entry has: {expression}"));
        let mut of_person = false;
        for name in names(expression) {
            match name {
                Name::Function(function) => {
                    let known = FUNCTIONS.contains(&function.as_str());
                    self.demand(known, || format!("{place}: no function {function}"));
                    of_person = function == "person";
                    continue;
                }
                Name::Column(column) => {
                    self.demand(self.has(source, &column), || format!("{place}: {source} has no column {column}"));
                    let hidden = !of_person || self.is_identifier(source, &column);
                    self.demand(hidden, || format!("{place}: person() of {column}, which is no pseudonym"));
                }
            }
            of_person = false;
        }
    }

    fn is_identifier(&self, source: &str, column: &str) -> bool {
        let patients = self.mapping.get("patients").and_then(Value::as_table);
        let is_id =
            patients.is_some_and(|patients| text(patients, "source") == source && text(patients, "id") == column);
        is_id
            || self
                .tables("source")
                .any(|(name, rules)| name == source && listed(rules, "identifiers").any(|one| one == column))
    }
}

fn text<'t>(table: &'t Table, key: &str) -> &'t str {
    table.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn as_text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn listed<'t>(table: &'t Table, key: &str) -> impl Iterator<Item = &'t str> {
    table.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// The expression with each word in braces replaced by what the entry has for it.
fn filled(expression: &str, words: &Table) -> String {
    words.iter().fold(expression.to_owned(), |made, (word, value)| {
        let value = as_text(value).unwrap_or_else(|| value.to_string());
        made.replace(&format!("{{{word}}}"), &value)
    })
}

/// A name in an expression.
enum Name {
    Column(String),
    Function(String),
}

/// The names in an expression, in its order; texts and keywords left out.
fn names(expression: &str) -> Vec<Name> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if first == '\'' || first == '"' {
            let end = rest[1..].find(first).map_or(rest.len(), |at| at + 1);
            if first == '"' {
                found.push(Name::Column(rest[1..end].to_owned()));
            }
            rest = rest.get(end + 1..).unwrap_or_default();
        } else if is_word(first) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            rest = behind;
            if behind.starts_with('(') {
                found.push(Name::Function(word.to_owned()));
            } else if !first.is_ascii_digit() && !KEYWORDS.contains(&word) {
                found.push(Name::Column(word.to_owned()));
            }
        } else {
            rest = &rest[first.len_utf8()..];
        }
    }
    found
}
