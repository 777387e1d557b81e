//! The SQL on FHIR test suite: runs case files and writes the report that the suite defines.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;

use crate::chunk::{Chunk, Framed, Layout};
use crate::decimal::Decimal;
use crate::document::{Document, Value, same_json};
use crate::extract::{Extractor, Options, Part};
use crate::json::Form;
use crate::view::{CellType, Column, View};

/// A file that is no case file of the suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteFault {
    /// Its name.
    pub file: String,
    /// What is wrong with it.
    pub what: &'static str,
}

impl std::fmt::Display for SuiteFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.file, self.what)
    }
}

impl std::error::Error for SuiteFault {}

/// Runs case files, given as name and content, and returns the suite's report in JSON: for each file, each case by its
/// title, whether it passed, and why not.
///
/// Source: the suite's `tests.schema.json` and `test-report.schema.json`.
///
/// # Errors
/// A file that is no case file.
pub fn sof_report(files: impl Iterator<Item = (String, Vec<u8>)>) -> Result<String, SuiteFault> {
    let mut report = String::from("{");
    for (number, (file, bytes)) in files.enumerate() {
        let cases = run_file(&bytes).map_err(|what| SuiteFault { file: file.clone(), what })?;
        let tests: Vec<String> = cases.iter().map(case_report).collect();
        let comma = if number == 0 { "" } else { "," };
        let _ = write!(report, "{comma}\n  {}: {{\"tests\": [\n{}\n  ]}}", quoted(&file), tests.join(",\n"));
    }
    report.push_str("\n}\n");
    Ok(report)
}

/// A case: its title, and what is wrong.
type Case = (String, Result<(), String>);

fn case_report((title, result): &Case) -> String {
    let result = match result {
        Ok(()) => "{\"passed\": true}".to_owned(),
        Err(what) => format!("{{\"passed\": false, \"error\": {}}}", quoted(what)),
    };
    format!("    {{\"name\": {}, \"result\": {result}}}", quoted(title))
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if u32::from(control) < 0x20 => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

fn run_file(bytes: &[u8]) -> Result<Vec<Case>, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "the file is not UTF-8")?;
    let document = Document::read(text).map_err(|_| "the file is not JSON")?;
    let root = document.root();
    let resources = root.get("resources").filter(|list| list.form() == Form::Array);
    let resources = records(resources.ok_or("the file has no list of resources")?);
    let tests = root.get("tests").filter(|tests| tests.items().next().is_some()).ok_or("the file has no tests")?;
    let mut cases = Vec::new();
    for test in tests.items() {
        let title = test.get("title").and_then(|title| title.string()).ok_or("a test has no title")?;
        cases.push((title.into_owned(), run(test, &resources)));
    }
    Ok(cases)
}

/// The resources as records, as they are written.
fn records(list: Value<'_>) -> Chunk {
    let mut bytes = Vec::new();
    let mut records = Vec::new();
    for (line, value) in (1..).zip(list.items()) {
        let start = bytes.len();
        bytes.extend_from_slice(value.text().as_bytes());
        records.push(Framed { line, column: 1, bytes: Ok(start..bytes.len()) });
    }
    Chunk { layout: Layout::Array, bytes, records }
}

fn run(test: Value<'_>, resources: &Chunk) -> Result<(), String> {
    let fails = test.get("expectError").and_then(|value| value.boolean()).unwrap_or(false);
    let outcome = outcome(test, resources);
    match (outcome, fails) {
        (Ok(_), true) => Err("an error is expected, and there was none".to_owned()),
        (Err(_), true) => Ok(()),
        (Err(what), false) => Err(what),
        (Ok((view, batches)), false) => compare(test, &view, &batches),
    }
}

fn outcome(test: Value<'_>, resources: &Chunk) -> Result<(View, Vec<RecordBatch>), String> {
    let view = test.get("view").ok_or("the case has no view")?;
    let view = View::parse(view.text().as_bytes()).map_err(|fault| fault.to_string())?;
    let mut batches = Vec::new();
    let mut take = |part| {
        if let Part::Rows { batch, .. } = part {
            batches.push(batch);
        }
        ControlFlow::Continue(())
    };
    Extractor::new(&view, &Options::default()).chunk(resources, &mut take).map_err(|stop| stop.to_string())?;
    Ok((view, batches))
}

/// Compares what came out with what is expected: rows in any order, columns in theirs.
fn compare(test: Value<'_>, view: &View, batches: &[RecordBatch]) -> Result<(), String> {
    if let Some(names) = test.get("expectColumns") {
        let same = names
            .items()
            .map(|name| name.string())
            .eq(view.columns().iter().map(|column| Some(column.name.as_str().into())));
        if !same {
            return Err("the columns are others, or in another order".to_owned());
        }
    }
    let rows: Vec<(&RecordBatch, usize)> =
        batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row))).collect();
    if let Some(count) = test.get("expectCount")
        && count.text().parse() != Ok(rows.len())
    {
        return Err(format!("{} rows are expected, and there are {}", count.text(), rows.len()));
    }
    let Some(expected) = test.get("expect") else { return Ok(()) };
    let mut left = rows;
    for (number, row) in expected.items().enumerate() {
        match left.iter().position(|(batch, at)| same_row(row, view, batch, *at)) {
            Some(found) => drop(left.swap_remove(found)),
            None => return Err(format!("row {} of those expected is not there", number + 1)),
        }
    }
    if left.is_empty() { Ok(()) } else { Err(format!("{} rows are there that are not expected", left.len())) }
}

fn same_row(expected: Value<'_>, view: &View, batch: &RecordBatch, row: usize) -> bool {
    let known = |name: &str| view.columns().iter().any(|column| column.name == name);
    let fits = |(column, array): (&Column, &dyn Array)| same_cell(expected.get(&column.name), column, array, row);
    expected.properties().all(|(name, _)| known(name))
        && view.columns().iter().zip(batch.columns().iter().map(AsRef::as_ref)).all(fits)
}

fn same_cell(expected: Option<Value<'_>>, column: &Column, array: &dyn Array, row: usize) -> bool {
    let Some(expected) = expected.filter(|value| value.form() != Form::Null) else { return array.is_null(row) };
    if array.is_null(row) {
        return false;
    }
    if column.collection {
        let list = array.as_list::<i32>().value(row);
        let items: Vec<Value<'_>> = expected.items().collect();
        let element = Column { collection: false, ..column.clone() };
        return expected.form() == Form::Array
            && items.len() == list.len()
            && items.iter().enumerate().all(|(at, item)| same_cell(Some(*item), &element, &list, at));
    }
    match column.cell {
        CellType::Boolean => expected.boolean() == Some(array.as_boolean().value(row)),
        CellType::Integer => {
            let found = array.as_primitive::<Int64Type>().value(row);
            expected.form() == Form::Number && same_number(expected.text(), &found.to_string())
        }
        CellType::Decimal => {
            expected.form() == Form::Number && same_number(expected.text(), array.as_string::<i32>().value(row))
        }
        CellType::Text => expected.string().as_deref() == Some(array.as_string::<i32>().value(row)),
        CellType::Json => same_json(expected.text(), array.as_string::<i32>().value(row)) == Ok(true),
        // No type is known, so that JSON's own is taken.
        CellType::Untyped => {
            let found = array.as_string::<i32>().value(row);
            match expected.form() {
                Form::Number => same_number(expected.text(), found),
                Form::True | Form::False => expected.text() == found,
                _ => expected.string().as_deref() == Some(found),
            }
        }
    }
}

/// Numbers are the same exactly, or as the floating-point numbers that the suite's expectations are written in.
fn same_number(expected: &str, found: &str) -> bool {
    let exact = Decimal::parse(expected).zip(Decimal::parse(found)).is_some_and(|(a, b)| a == b);
    let bits = |text: &str| text.parse::<f64>().ok().map(f64::to_bits);
    exact || (bits(expected).is_some() && bits(expected) == bits(found))
}

#[cfg(test)]
#[path = "tests/suite.rs"]
mod tests;
