//! Real files, where they are at hand.

use std::path::PathBuf;

use cohortium_protocol::record::text_form::{Heading, TextFormFields};

use super::*;
use crate::batch::SourceFault;
use crate::land::count;
use crate::profile::profile;
use crate::source::{Format, SourceReader};

fn data(file: &str) -> Option<Vec<u8>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let bytes = std::env::var_os("COHORTIUM_DATA").map_or(root, PathBuf::from).join(file);
    let bytes = std::fs::read(bytes).ok();
    if bytes.is_none() {
        println!("skipped: ../shared/data/{file} is not there");
    }
    bytes
}

/// A share of every column: direct identifiers dropped, the rest kept.
fn drafted(bytes: &[u8], format: &Format, key: &str) -> Terms {
    let columns = profile(&handle(bytes), format.clone(), &Limits::default()).unwrap();
    let mut terms = Terms::csv("", key);
    let lawful = |role| match role {
        ColumnRole::DirectIdentifier | ColumnRole::FreeText => (role, Treatment::Drop),
        ColumnRole::QuasiIdentifier | ColumnRole::Sensitive => (role, Treatment::Keep),
        ColumnRole::Measure => (ColumnRole::QuasiIdentifier, Treatment::Keep),
    };
    let columns = columns.into_iter().map(|column| {
        let (role, treatment) = lawful(column.role);
        Column::new(column.name, column.kind.unwrap(), role, treatment)
    });
    terms.table.columns = columns.collect();
    terms
}

#[test]
fn every_row_of_the_length_of_stay_file_lands() {
    let Some(bytes) = data("los/LengthOfStay-IaaSDemo.csv") else { return };
    let terms = drafted(&bytes, &Format::Csv(TextForm::default()), "eid");
    let dropped = terms.table.columns.iter().filter(|column| column.treatment == Treatment::Drop);
    assert_eq!(dropped.map(|column| column.name.as_str()).collect::<Vec<_>>(), ["First", "Middle", "Last", "eid"]);
    let first = terms.take(bytes.as_slice(), None).unwrap();
    assert_eq!(first.counts(), [10_000, 0, 0, 0]);
    assert_eq!(count(&chain(&[&first]), &terms.limits).unwrap().rows.0, 10_000);
    let all = everything_in(&first.rows);
    assert!(!contains(&all, "LASTCEVUDKM") && !contains(&all, "Amiddle") && !contains(&all, "101000"));
    println!("length of stay: {} bytes of text, {} bytes of Parquet", bytes.len(), first.rows.len());
    let changed = String::from_utf8(bytes).unwrap().replacen(",91,6.2,1,9/25/2012,B,4", ",92,6.2,1,9/25/2012,B,4", 1);
    let delta = terms.take(changed, Some(&first)).unwrap();
    assert_eq!(delta.counts(), [1, 0, 0, 0]);
}

/// Reads a heart file as it is: one has no header line, and missing values are question marks.
#[test]
fn every_row_of_the_heart_files_lands_and_question_marks_are_missing_values() {
    let columns = "age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,slope,ca,thal,num";
    let names = Heading::Names(columns.split(',').map(name).collect());
    let (mut rows, mut marks) = (0, 0);
    for file in ["hungarian", "switzerland", "va", "cleveland"] {
        let Some(bytes) = data(&format!("heart/processed.{file}.data")) else { return };
        let heading = if file == "cleveland" { names.clone() } else { Heading::Line };
        let missing = BTreeSet::from(["?".parse().unwrap()]);
        let form = TextForm::try_from(TextFormFields { missing, heading, ..TextForm::default().into() }).unwrap();
        if file == "cleveland" {
            // Without the names its first row is taken for a header line, and that is said without a cell.
            let fault = profile(&handle(bytes.clone()), Format::Csv(TextForm::default()), &Limits::default()).err();
            assert!(matches!(fault, Some(SourceFault::HeaderTwice { .. })));
        }
        let mut terms = drafted(&bytes, &Format::Csv(form.clone()), "");
        terms.dataset.source = Source::Csv { path: "unused".parse().unwrap(), form };
        marks += memchr::memchr_iter(b'?', &bytes).count();
        let taken = terms.take(bytes, None).unwrap();
        rows += count(&chain(&[&taken]), &Limits::default()).unwrap().rows.0;
        let mut reader = SourceReader::open(&handle(taken.rows), Format::Parquet, &Limits::default()).unwrap();
        while let Some(batch) = reader.next_batch().unwrap() {
            marks -= batch.columns.iter().flatten().map(arrow::array::Array::null_count).sum::<usize>();
        }
    }
    assert_eq!((rows, marks), (920, 0));
}
