//! How one mapping differs from another: by heading, source, code, and rule with its columns.

use std::collections::{BTreeMap, BTreeSet};

use cohortium_protocol::ident::Name;
use serde::Serialize;

use crate::mapping::file::{Fact, Mapping, Setting};

/// One difference. Texts are the mappings' own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `heading`, `source`, `code`, `file`, `rule` or `column`.
    pub what: &'static str,
    /// Where: a key, a source, `map.code`, or a rule by its table, source and number among those.
    pub place: String,
    /// What it was; `None`: it is new.
    pub old: Option<String>,
    /// What it is; `None`: it is gone.
    pub new: Option<String>,
}

/// All differences, in the order of the file.
pub fn diff(old: &Mapping, new: &Mapping) -> Vec<Difference> {
    let mut all = Vec::new();
    let heading = |mapping: &Mapping| {
        let patients = format!("{}.{}", mapping.patients.source, mapping.patients.id);
        let entries = [
            ("name", mapping.mapping.clone()),
            ("version", mapping.version.to_string()),
            ("schema", mapping.schema.clone()),
        ];
        let left_out: Vec<&str> = mapping.leaves_out.iter().map(Name::as_str).collect();
        let entries = entries.into_iter().chain([("patients", patients), ("leaves_out", left_out.join(" "))]);
        let borne = mapping.thresholds.iter().map(|(check, borne)| (format!("thresholds.{check}"), borne.to_string()));
        entries.map(|(key, value)| (key.to_owned(), value)).chain(borne).collect()
    };
    compare("heading", &heading(old), &heading(new), &mut all);
    compare("source", &sources(old), &sources(new), &mut all);
    compare("code", &codes(old), &codes(new), &mut all);
    compare("file", &old.files, &new.files, &mut all);
    let (old, new) = (rules(old), rules(new));
    let places: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for place in places {
        match (old.get(place), new.get(place)) {
            (Some(was), Some(is)) => {
                let at = |parts: BTreeMap<String, String>| -> BTreeMap<String, String> {
                    parts.into_iter().map(|(column, text)| (format!("{place}, {column}"), text)).collect()
                };
                compare("column", &at(parts(was)), &at(parts(is)), &mut all);
            }
            (was, is) => {
                let text = |fact: &&Fact| {
                    parts(fact).into_iter().map(|(key, text)| format!("{key} = {text}")).collect::<Vec<_>>().join("; ")
                };
                let (old, new) = (was.map(text), is.map(text));
                all.push(Difference { what: "rule", place: place.clone(), old, new });
            }
        }
    }
    all
}

fn compare(
    what: &'static str,
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
    all: &mut Vec<Difference>,
) {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for key in keys {
        let (was, is) = (old.get(key), new.get(key));
        if was != is {
            all.push(Difference { what, place: key.clone(), old: was.cloned(), new: is.cloned() });
        }
    }
}

fn sources(mapping: &Mapping) -> BTreeMap<String, String> {
    let names = |columns: &BTreeSet<cohortium_protocol::ident::ColumnName>| {
        columns.iter().map(cohortium_protocol::ident::ColumnName::as_str).collect::<Vec<_>>().join(" ")
    };
    let text = |rules: &crate::mapping::file::SourceRules| {
        format!("dataset {}; identifiers {}; plain {}", rules.dataset, names(&rules.identifiers), names(&rules.plain))
    };
    mapping.source.iter().map(|(name, rules)| (name.clone(), text(rules))).collect()
}

fn codes(mapping: &Mapping) -> BTreeMap<String, String> {
    let listed = mapping.codes.iter().flat_map(|(map, codes)| {
        codes.iter().map(move |(code, concept)| (format!("{map}.{code}"), concept.to_string()))
    });
    let files = mapping.map.iter().map(|(map, of)| (map.clone(), format!("{} of {}", of.vocabulary, of.file)));
    listed.chain(files).collect()
}

/// Rules by table, source, and number among those of both.
fn rules(mapping: &Mapping) -> BTreeMap<String, &Fact> {
    let mut numbers: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let place = |fact: &'_ Fact, number: usize| format!("{} from {} #{number}", fact.table, fact.from);
    let mut all = BTreeMap::new();
    for fact in &mapping.fact {
        let number = numbers.entry((&fact.table, &fact.from)).or_default();
        *number += 1;
        all.insert(place(fact, *number), fact);
    }
    all
}

/// What a rule says, by column; `where` and `each` are columns of their own.
fn parts(fact: &Fact) -> BTreeMap<String, String> {
    let mut parts: BTreeMap<String, String> =
        fact.set.iter().map(|(column, setting)| (column.clone(), told(setting))).collect();
    if let Some(filter) = &fact.filter {
        parts.insert("where".to_owned(), filter.clone());
    }
    for (number, words) in fact.each.iter().enumerate() {
        let words: Vec<String> = words.iter().map(|(key, word)| format!("{key} = {word}")).collect();
        parts.insert(format!("each {}", number + 1), words.join(", "));
    }
    parts
}

fn told(setting: &Setting) -> String {
    let maybe = |key: &str, value: Option<String>| value.map_or(String::new(), |value| format!(", {key} {value}"));
    match setting {
        Setting::Integer(value) => value.to_string(),
        Setting::Float(value) => value.to_string(),
        Setting::Sql(text) => text.clone(),
        Setting::Code(code) => format!(
            "code {} in {}{}{}, several {:?}",
            code.code,
            code.list(),
            maybe("on", code.on.clone()),
            maybe("default", code.default.map(|concept| concept.to_string())),
            code.several
        ),
        Setting::Unit(unit) => {
            let mass = unit.molar_mass.map(|mass| mass.to_string());
            format!("value {} in {} to {}{}", unit.value, unit.unit, unit.to, maybe("molar mass", mass))
        }
        Setting::Default(default) => {
            format!("{}, default {}", default.sql.as_deref().unwrap_or("nothing"), default.default)
        }
    }
}
