//! Numbers and names that stand both in `spec/registry.toml` and in the code.

use std::collections::{BTreeMap, BTreeSet};

use cohortium_protocol::code::{ErrorCode, MessageType};
use cohortium_protocol::record::safe_harbor::SMALL_AREAS_2000;
use cohortium_protocol::record::suspicion::TABLE;
use cohortium_protocol::wire::version::{ALPN, ALPN_JOIN};
use serde_json::json;
use toml::{Table, Value};

use crate::source::Source;

/// The entries of one section.
fn entries<'a>(registry: &'a Table, section: &str) -> &'a [Value] {
    registry.get(section).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(entry: &'a Value, field: &str) -> &'a str {
    entry.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn number(entry: &Value, field: &str) -> Option<u128> {
    entry.get(field).and_then(Value::as_integer).and_then(|value| u128::try_from(value).ok())
}

/// Every public constant of a file of constants, evaluated: sums, products and shifts of numbers and earlier constants.
pub(crate) fn constants(source: &str) -> BTreeMap<String, u128> {
    let mut values = BTreeMap::new();
    for line in source.lines().filter_map(|line| line.strip_prefix("pub const ")) {
        let (Some((name, rest)), Some((_, expression))) = (line.split_once(':'), line.split_once('=')) else {
            continue;
        };
        let plain = rest.split('=').next().is_some_and(|kind| !kind.contains('&'));
        if let (true, Some(value)) = (plain, evaluate(expression.trim().trim_end_matches(';'), &values)) {
            values.insert(name.to_owned(), value);
        } else {
            values.insert(name.to_owned(), u128::MAX);
        }
    }
    values
}

fn evaluate(expression: &str, known: &BTreeMap<String, u128>) -> Option<u128> {
    let unwrapped =
        ["Seconds(", "Bytes(", "Rows("].iter().find_map(|name| expression.strip_prefix(name)?.strip_suffix(')'));
    let expression = unwrapped.unwrap_or(expression);
    let operate = |symbol: &str, act: fn(u128, u128) -> Option<u128>| {
        let (left, right) = expression.rsplit_once(symbol)?;
        act(evaluate(left.trim(), known)?, evaluate(right.trim(), known)?)
    };
    let term = expression.trim_end_matches(".0");
    operate(" << ", |a, b| a.checked_shl(u32::try_from(b).ok()?))
        .or_else(|| operate(" + ", u128::checked_add))
        .or_else(|| operate(" * ", u128::checked_mul))
        .or_else(|| term.replace('_', "").parse().ok())
        .or_else(|| known.get(term).copied())
}

pub(crate) fn limit_complaints(source: &str, registry: &Table) -> Vec<String> {
    let coded = constants(source);
    let listed: BTreeMap<String, Option<u128>> = entries(registry, "limit")
        .iter()
        .map(|entry| (text(entry, "name").to_owned(), number(entry, "value")))
        .collect();
    let mut found = Vec::new();
    for (name, value) in &coded {
        match listed.get(name) {
            None => found.push(format!("the registry does not list the limit {name}, which is {value}")),
            Some(listed) if *listed != Some(*value) => {
                found.push(format!("{name} is {value}, the registry says {listed:?}"));
            }
            Some(_) => {}
        }
    }
    found.extend(
        listed.keys().filter(|name| !coded.contains_key(*name)).map(|name| format!("the code has no limit {name}")),
    );
    found
}

pub(crate) fn code_complaints(registry: &Table) -> Vec<String> {
    let limits: BTreeMap<&str, Option<u128>> =
        entries(registry, "limit").iter().map(|entry| (text(entry, "name"), number(entry, "value"))).collect();
    let listed = |section: &str| -> BTreeSet<(u128, String)> {
        let both = |entry: &Value| Some((number(entry, "code")?, text(entry, "name").to_owned()));
        entries(registry, section).iter().filter_map(both).collect()
    };
    let messages = MessageType::ALL.iter().map(|kind| (u128::from(kind.code()), kind.name().to_owned())).collect();
    let errors = ErrorCode::ALL.iter().map(|code| (u128::from(code.code()), code.name().to_owned())).collect();
    let alpns: BTreeSet<String> = [ALPN, ALPN_JOIN].map(|alpn| String::from_utf8_lossy(alpn).into_owned()).into();
    let mut found = Vec::new();
    for (section, coded) in [("message", messages), ("error", errors)] {
        let difference: Vec<_> = listed(section).symmetric_difference(&coded).cloned().collect();
        found.extend(
            difference.into_iter().map(|(code, name)| format!("{section} {name} ({code}) stands on one side only")),
        );
    }
    for entry in entries(registry, "message") {
        let kind = number(entry, "code").and_then(|code| MessageType::from_code(u16::try_from(code).ok()?));
        let coded = kind.and_then(|kind| u128::try_from(kind.payload_bytes_max()).ok());
        if coded != limits.get(text(entry, "payload_max")).copied().flatten() {
            found.push(format!("message {}: the bound is {coded:?} in the code", text(entry, "name")));
        }
    }
    let named: BTreeSet<String> =
        entries(registry, "alpn").iter().map(|entry| text(entry, "name").to_owned()).collect();
    found.extend(named.symmetric_difference(&alpns).map(|name| format!("ALPN {name} stands on one side only")));
    found
}

/// What a column's name says, and the ZIP areas to begin with: line by line.
pub(crate) fn list_complaints(registry: &Table) -> Vec<String> {
    let texts = |value: Option<&Value>| -> Vec<String> {
        value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut found = Vec::new();
    if texts(registry.get("small_areas")) != SMALL_AREAS_2000 {
        found.push("the registry's small_areas are not the code's".to_owned());
    }
    let listed = entries(registry, "suspicion");
    if listed.len() != TABLE.len() {
        found.push(format!("the registry has {} lines of suspicion, the code {}", listed.len(), TABLE.len()));
    }
    for (line, (entry, coded)) in listed.iter().zip(&TABLE).enumerate() {
        let same = json!(coded.role) == text(entry, "role")
            && json!(coded.class).as_str().unwrap_or_default() == text(entry, "class")
            && texts(entry.get("words")) == coded.words
            && texts(entry.get("parts")) == coded.parts;
        if !same {
            found.push(format!("line {} of the registry's suspicion is not the code's", line + 1));
        }
    }
    found
}

/// Signing labels: those of the code outside tests, and those listed.
pub(crate) fn label_complaints(files: &[Source], registry: &Table) -> Vec<String> {
    let mark = "const LABEL: &'static str = \"";
    let coded: BTreeSet<String> = files
        .iter()
        .flat_map(|file| file.before_tests().split(mark).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .map(str::to_owned)
        .collect();
    let listed: BTreeSet<String> =
        entries(registry, "label").iter().map(|entry| text(entry, "label").to_owned()).collect();
    coded.symmetric_difference(&listed).map(|label| format!("the label {label} stands on one side only")).collect()
}
