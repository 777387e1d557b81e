//! The account of a mapping run as a table for people.

use serde_json::Value;

use crate::cli::print::Table;

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
    if let Some(outcome) = report.pointer("/quality/outcome").and_then(Value::as_str) {
        text.push_str("\nquality  ");
        text.push_str(outcome);
        text.push('\n');
    }
    text
}

fn entries<'r>(report: &'r Value, key: &str) -> impl Iterator<Item = (&'r String, &'r Value)> {
    report.get(key).and_then(Value::as_object).into_iter().flatten()
}

fn number(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_u64).unwrap_or(0).to_string()
}
