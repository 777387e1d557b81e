//! What a command says: one JSON value for scripts, or aligned text for people. No colours.

use std::io::{self, Write};

use serde_json::Value;

use crate::control::ErrorKind;

/// The outcome of a command in both forms.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shown {
    /// For scripts.
    pub(crate) json: Value,
    /// For people; may be empty.
    pub(crate) text: String,
    /// Set when the command did its work and what it found is bad.
    pub(crate) found: Option<ErrorKind>,
}

impl Shown {
    pub(crate) fn new(json: Value, text: impl Into<String>) -> Self {
        Self { json, text: text.into(), found: None }
    }

    /// Writes it to standard output. A closed pipe is the reader's wish.
    pub(crate) fn write(&self, json: bool) {
        let text = if json { self.json.to_string() } else { self.text.clone() };
        write_line(&text);
    }
}

/// Writes one piece of text to standard output with a line end, unless it is empty.
pub(crate) fn write_line(text: &str) {
    if !text.is_empty() {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        let mut out = io::stdout().lock();
        let _ = write!(out, "{text}{end}").and_then(|()| out.flush());
    }
}

/// Rows of text under a header, each column as wide as its widest cell.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(header: [&str; N]) -> Self {
        Self { rows: vec![header.map(str::to_owned).to_vec()] }
    }

    /// A table whose columns are only known now.
    pub(crate) fn of(header: impl IntoIterator<Item = String>) -> Self {
        Self { rows: vec![header.into_iter().collect()] }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| visible(&cell)).collect());
    }

    /// The table, or `empty` when it has no row.
    pub(crate) fn or(&self, empty: &str) -> String {
        if self.rows.len() == 1 { empty.to_owned() } else { self.to_text() }
    }

    pub(crate) fn to_text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}", width = *width)).collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

/// The text with every control character written out, so that nothing a source or peer wrote can steer a terminal.
pub(crate) fn visible(text: &str) -> String {
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// `yes` or `no`.
pub(crate) const fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// The first eight digits of an id: enough for people, and for naming it on the command line.
pub(crate) fn short(id: &impl std::fmt::Display) -> String {
    id.to_string().chars().take(8).collect()
}

/// The word that serde writes for a value of a plain enum.
pub(crate) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

/// A value of a plain enum by the word that serde writes for it.
pub(crate) fn from_word<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(text.to_owned())).map_err(|fault| fault.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_steers_the_terminal() {
        let mut table = Table::new(["A", "LONG"]);
        assert_eq!(table.or("none"), "none");
        table.row(["wider".to_owned(), "x".to_owned()]);
        table.row(["\u{1b}[2J".to_owned(), String::new()]);
        assert_eq!(table.or("none"), "A          LONG\nwider      x\n\\u{1b}[2J\n");
        assert_eq!(visible("a\tb\u{202e}c é"), "a\\tb\\u{202e}c é");
    }

    #[test]
    fn a_word_reads_back() {
        use cohortium_protocol::record::person::Role;
        for role in Role::ALL {
            assert_eq!(from_word::<Role>(&word(&role)), Ok(role));
        }
        assert!(from_word::<Role>("king").is_err());
    }
}
