//! Real files, where they are at hand.

use std::path::PathBuf;

use super::*;
use crate::batch::SourceFault;
use crate::land::count;
use crate::profile::profile;
use crate::source::Format;

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
fn drafted(bytes: &[u8], key: &str) -> Terms {
    let columns = profile(&handle(bytes), Format::Csv { delimiter: b',' }, &Limits::default()).unwrap();
    let mut terms = Terms::csv("", key);
    let treatment = |role| if role == ColumnRole::DirectIdentifier { Treatment::Drop } else { Treatment::Keep };
    let columns = columns.into_iter().map(|column| Column {
        name: column.name,
        kind: column.kind.unwrap(),
        role: column.role,
        treatment: treatment(column.role),
    });
    terms.columns = columns.collect();
    terms
}

#[test]
fn every_row_of_the_length_of_stay_file_lands() {
    let Some(bytes) = data("los/LengthOfStay-IaaSDemo.csv") else { return };
    let terms = drafted(&bytes, "eid");
    let dropped = terms.columns.iter().filter(|column| column.treatment == Treatment::Drop);
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

#[test]
fn every_row_of_the_heart_files_lands() {
    let mut rows = 0;
    for file in ["hungarian", "switzerland", "va", "cleveland"] {
        let Some(mut bytes) = data(&format!("heart/processed.{file}.data")) else { return };
        if file == "cleveland" {
            // This one has no header line; its first row is then taken for one, and that is said without a cell.
            let fault = profile(&handle(bytes.clone()), Format::Csv { delimiter: b',' }, &Limits::default()).err();
            assert!(matches!(fault, Some(SourceFault::HeaderTwice { .. })));
            bytes.splice(0..0, *b"age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,slope,ca,thal,num\n");
        }
        let taken = drafted(&bytes, "").take(bytes, None).unwrap();
        rows += count(&chain(&[&taken]), &Limits::default()).unwrap().rows.0;
    }
    assert_eq!(rows, 920);
}
