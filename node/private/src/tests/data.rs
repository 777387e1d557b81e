//! Public data sets for tests, from beside the repository: one row a patient, as numbers of values. Absent, the test says so and ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use crate::margins::{Columns, Domain, Tables};

/// A table of codes.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) domain: Domain,
    pub(crate) rows: Vec<Vec<usize>>,
}

/// Both sets in eight columns each, or none where the folder is absent.
pub(crate) fn both() -> Vec<Table> {
    [diabetes(), stays()].into_iter().flatten().collect()
}

const DIABETES: [&str; 8] =
    ["race", "gender", "age", "admission_type_id", "time_in_hospital", "A1Cresult", "insulin", "readmitted"];
const STAYS: [&str; 8] = [
    "rcount",
    "gender",
    "facid",
    "lengthofstay",
    "asthma",
    "depress",
    "psychologicaldisordermajor",
    "secondarydiagnosisnonicd9",
];

/// The first encounter of each patient of 130 hospitals.
pub(crate) fn diabetes() -> Option<Table> {
    let text = text("diabetes130/dataset_diabetes.zip", Some("dataset_diabetes/diabetic_data.csv"))?;
    Some(table("diabetes130", &text, "patient_nbr", &DIABETES))
}

/// Stays of ten thousand made-up patients.
pub(crate) fn stays() -> Option<Table> {
    let text = text("los/LengthOfStay-IaaSDemo.csv", None)?;
    Some(table("los", &text, "eid", &STAYS))
}

/// A file of the data folder, or a member of an archive there.
pub(crate) fn text(path: &str, member: Option<&str>) -> Option<String> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(path);
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    let read = match member {
        None => std::fs::read(path).unwrap(),
        Some(member) => {
            let program =
                "import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))";
            let run = Command::new("python3").args(["-c", program]).arg(path).arg(member).output().unwrap();
            assert!(run.status.success());
            run.stdout
        }
    };
    Some(String::from_utf8_lossy(&read).trim_start_matches('\u{feff}').to_owned())
}

/// Records by their columns' names, the first of each id.
pub(crate) fn records(text: &str, id: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let all = reader.deserialize::<BTreeMap<String, String>>().map(Result::unwrap);
    let mut seen = BTreeSet::new();
    all.filter(|record| seen.insert(record[id].clone())).collect()
}

fn table(name: &'static str, text: &str, id: &str, columns: &[&str]) -> Table {
    let records = records(text, id);
    // A test may learn the values from the rows; a charter may not.
    let values: Vec<Vec<String>> = columns
        .iter()
        .map(|column| {
            records.iter().map(|record| record[*column].clone()).collect::<BTreeSet<_>>().into_iter().collect()
        })
        .collect();
    let code = |record: &BTreeMap<String, String>| {
        let each = columns.iter().zip(&values);
        each.map(|(column, values)| values.iter().position(|value| *value == record[*column]).unwrap()).collect()
    };
    let domain = Domain::new(values.iter().map(Vec::len).collect()).unwrap();
    Table { name, rows: records.iter().map(code).collect(), domain }
}

impl Table {
    /// The exact counts of a margin.
    pub(crate) fn counts(&self, margin: &Columns) -> Vec<i64> {
        let mut counts = vec![0; self.domain.cells(margin).unwrap()];
        for row in &self.rows {
            let at = margin.list().iter().fold(0, |at, column| at * self.domain.size(*column) + row[*column]);
            counts[at] += 1;
        }
        counts
    }

    pub(crate) fn all_counts(&self, margins: &[Columns]) -> Tables<i64> {
        margins.iter().map(|margin| (margin.clone(), self.counts(margin))).collect()
    }
}

/// All margins of one and of two columns.
pub(crate) fn one_and_two(width: usize) -> Vec<Columns> {
    let singles = (0..width).map(|a| vec![a]);
    let pairs = (0..width).flat_map(|a| (a + 1..width).map(move |b| vec![a, b]));
    singles.chain(pairs).map(|list| Columns::new(list).unwrap()).collect()
}
