//! The account of a mapping run as a table for people.

use std::fmt::Write as _;

use serde_json::Value;

use crate::cli::print::Table;

/// Unmapped codes that are shown to a person; a script gets all.
const UNMAPPED_SHOWN_MAX: usize = 50;

/// The report's counts: sources, tables, quarantine by reason.
pub(crate) fn shown(report: &Value) -> String {
    let mut text = String::new();
    let mut sources = Table::new(["SOURCE", "ROWS", "ACCEPTED", "PARTIAL", "QUARANTINED", "OPTED OUT"]);
    for (name, count) in entries(report, "sources") {
        let cell = |key: &str| number(count, key);
        sources.row([
            name.clone(),
            cell("rows"),
            cell("accepted"),
            cell("partial"),
            cell("quarantined"),
            cell("opted_out"),
        ]);
    }
    text.push_str(&sources.or("No source.\n"));
    let mut tables = Table::new(["TABLE", "DUE", "EMITTED", "QUARANTINED", "REPEATED"]);
    for (name, count) in entries(report, "tables") {
        let cell = |key: &str| number(count, key);
        tables.row([name.clone(), cell("due"), cell("emitted"), cell("quarantined"), cell("repeated")]);
    }
    text.push('\n');
    text.push_str(&tables.or("No table.\n"));
    let mut aside = Table::new(["QUARANTINED IN", "COLUMN", "REASON", "ENTRIES"]);
    for entry in report.get("quarantine").and_then(Value::as_array).into_iter().flatten() {
        let word = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        aside.row([word("table"), word("column"), word("reason"), number(entry, "entries")]);
    }
    text.push('\n');
    text.push_str(&aside.or("Nothing in quarantine.\n"));
    unmapped(report, &mut text);
    transactions(report, &mut text);
    if let Some(release) = report.pointer("/vocabulary/release").and_then(Value::as_str) {
        text.push_str("\nvocabulary  ");
        text.push_str(release);
        text.push('\n');
    }
    let changed = drift(report.get("drift").unwrap_or(&Value::Null));
    text.push('\n');
    text.push_str(&changed);
    if let Some(outcome) = report.pointer("/quality/outcome").and_then(Value::as_str) {
        text.push_str("\nquality  ");
        text.push_str(outcome);
        text.push('\n');
    }
    text
}

/// Codes that nothing stands for, those that cost most first.
/// Which sources of databases are of one moment: those of one transaction.
fn transactions(report: &Value, text: &mut String) {
    let names = |one: &Value| {
        let names = one.as_array().into_iter().flatten().filter_map(Value::as_str);
        names.collect::<Vec<_>>().join(", ")
    };
    let all: Vec<String> =
        report.get("transactions").and_then(Value::as_array).into_iter().flatten().map(names).collect();
    match all.as_slice() {
        [] => {}
        [one] => {
            let _ = writeln!(text, "\nRead in one transaction: {one}");
        }
        several => {
            let _ = writeln!(
                text,
                "\nRead in {} transactions, each of another moment: {}",
                several.len(),
                several.join("; ")
            );
        }
    }
}

fn unmapped(report: &Value, text: &mut String) {
    let codes = report.get("unmapped").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if codes.is_empty() {
        return;
    }
    let mut table = Table::new(["UNMAPPED IN", "CODE", "RECORDS"]);
    for code in codes.iter().take(UNMAPPED_SHOWN_MAX) {
        let word = |key: &str| code.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        table.row([word("map"), word("code"), number(code, "records")]);
    }
    text.push('\n');
    text.push_str(&table.or(""));
    let more = codes.len().saturating_sub(UNMAPPED_SHOWN_MAX);
    if more > 0 || report.get("unmapped_more") == Some(&Value::Bool(true)) {
        text.push_str("More codes are in the report's JSON.\n");
    }
}

/// What had changed of the sources.
pub(crate) fn drift(drift: &Value) -> String {
    let changes = drift.get("changes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if changes.is_empty() {
        return "No change of the sources since the set before.\n".to_owned();
    }
    let mut table = Table::new(["SOURCE", "CHANGE SINCE THE SET BEFORE"]);
    for change in changes {
        let word = |key: &str| change.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        table.row([word("source"), word("told")]);
    }
    let accepted = drift.get("accepted") == Some(&Value::Bool(true));
    let how = if accepted { "Accepted by a newer version of the mapping.\n" } else { "" };
    format!("{}{how}", table.or(""))
}

fn entries<'r>(report: &'r Value, key: &str) -> impl Iterator<Item = (&'r String, &'r Value)> {
    report.get(key).and_then(Value::as_object).into_iter().flatten()
}

fn number(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_u64).unwrap_or(0).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_report_tells_unmapped_codes_the_vocabulary_and_what_has_changed() {
        let change = json!({"source": "stays", "told": "column sex is gone (breaking)"});
        let report = json!({
            "unmapped": [{"map": "sex", "code": "y", "records": 7}, {"map": "sex", "code": "x", "records": 2}],
            "vocabulary": {"release": "v5.0 01-JAN-26"},
            "drift": {"accepted": true, "changes": [change]},
        });
        let text = shown(&report);
        assert!(
            text.find("y     7") < text.find("x     2") && text.contains("x     2"),
            "in the report's order: {text}"
        );
        assert!(text.contains("v5.0 01-JAN-26") && text.contains("column sex is gone (breaking)"));
        assert!(text.contains("Accepted by a newer version"));
        let nothing = shown(&json!({}));
        assert!(!nothing.contains("UNMAPPED") && nothing.contains("No change of the sources"));
    }
}
