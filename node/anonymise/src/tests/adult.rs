//! Adult with the hierarchies that ARX uses, where the data is there.

use std::path::PathBuf;
use std::sync::Arc;

use crate::hierarchy::{Cell, Hierarchy};
use crate::table::{Quasi, Sensitive, Table};

pub(super) const QUASI: [&str; 8] =
    ["sex", "age", "race", "marital-status", "education", "native-country", "workclass", "occupation"];

pub(super) fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/arx");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: {} is not there", folder.display());
    None
}

pub(super) fn results() -> Option<serde_json::Value> {
    Some(serde_json::from_slice(&std::fs::read(folder()?.join("results.json")).unwrap()).unwrap())
}

/// Adult with its eight quasi-identifiers; the salary class and the occupation are sensitive columns too.
pub(super) fn table() -> Option<Table> {
    let folder = folder()?;
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').from_path(folder.join("adult.csv")).unwrap();
    let header = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let column = |name: &str| {
        let text = std::fs::read_to_string(folder.join(format!("adult_hierarchy_{name}.csv"))).unwrap();
        let hierarchy = Arc::new(Hierarchy::from_table(&text, ';').unwrap());
        let at = header.iter().position(|held| held == name).unwrap();
        let leaves: Vec<u32> = rows.iter().map(|row| hierarchy.leaf(Cell::Text(&row[at])).unwrap()).collect();
        (hierarchy, leaves)
    };
    let quasi = QUASI.map(|name| {
        let (hierarchy, leaves) = column(name);
        Quasi::new(name, hierarchy, leaves).unwrap()
    });
    let (tree, salaries) = column("salary-class");
    let (jobs, occupations) = column("occupation");
    let table = Table::new(quasi.into()).unwrap();
    let table = table.with_sensitive(Sensitive::new("salary-class", salaries, Some(tree))).unwrap();
    Some(table.with_sensitive(Sensitive::new("occupation", occupations, Some(jobs))).unwrap())
}
