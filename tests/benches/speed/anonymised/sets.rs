//! The tables that are anonymised: Adult with its hierarchies, encounters of 130 hospitals, stays of five facilities, and tables
//! grown from Adult. Each is a folder that this program and its peers read: a CSV, the same as Parquet, a hierarchy a column.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use cohortium_anonymise::encode::{QuasiRole, Roles, SensitiveRole};
use cohortium_anonymise::hierarchy::Hierarchy;
use parquet::arrow::ArrowWriter;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::network::{subfolder, text};

const ADULT: [&str; 8] =
    ["sex", "age", "race", "marital-status", "education", "native-country", "workclass", "occupation"];
const BATCH: usize = 100_000;

/// Where the public data lies.
pub(super) fn public() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data")
}

/// A set as it lies in a folder: quasi-identifiers and one sensitive column.
#[derive(Debug, Clone)]
pub(super) struct Set {
    pub(super) folder: PathBuf,
    pub(super) quasi: Vec<String>,
    pub(super) sensitive: String,
}

/// Columns of texts by name.
type Columns = Vec<(String, Vec<String>)>;

impl Set {
    pub(super) fn parquet(&self) -> PathBuf {
        self.folder.join("table.parquet")
    }

    /// A set that a parent process has written.
    pub(super) fn open(folder: &Path) -> Self {
        let names = fs::read_to_string(folder.join("columns.txt")).unwrap();
        let mut quasi: Vec<String> = names.lines().map(str::to_owned).collect();
        let sensitive = quasi.pop().unwrap();
        Self { folder: folder.to_owned(), quasi, sensitive }
    }

    pub(super) fn roles(&self) -> Roles {
        let role = |name: &String| {
            let table = fs::read_to_string(self.folder.join(format!("hierarchy_{name}.csv"))).unwrap();
            let hierarchy = Arc::new(Hierarchy::from_table(&table, ';').unwrap());
            QuasiRole { column: name.clone(), hierarchy, missing: None }
        };
        let sensitive = SensitiveRole { column: self.sensitive.clone(), tree: None };
        Roles { quasi: self.quasi.iter().map(role).collect(), sensitive: vec![sensitive], ..Roles::default() }
    }

    /// Writes columns, the sensitive one last, and a hierarchy for each other one.
    fn write(folder: &Path, columns: &Columns, hierarchy: impl Fn(&str, &BTreeSet<&str>) -> String) -> Self {
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        fs::write(folder.join("columns.txt"), names.join("\n")).unwrap();
        for (name, cells) in &columns[..columns.len() - 1] {
            let leaves = cells.iter().map(String::as_str).collect();
            fs::write(folder.join(format!("hierarchy_{name}.csv")), hierarchy(name, &leaves)).unwrap();
        }
        let mut csv = std::io::BufWriter::new(File::create(folder.join("table.csv")).unwrap());
        writeln!(csv, "{}", names.join(";")).unwrap();
        for row in 0..columns[0].1.len() {
            let cells: Vec<&str> = columns.iter().map(|(_, cells)| cells[row].as_str()).collect();
            writeln!(csv, "{}", cells.join(";")).unwrap();
        }
        csv.flush().unwrap();
        let set = Self::open(folder);
        let arrays = columns.iter().map(|(name, cells)| (name, texts(cells.iter().map(String::as_str))));
        write_parquet(&set.parquet(), std::iter::once(RecordBatch::try_from_iter(arrays).unwrap()));
        set
    }
}

fn texts<'a>(cells: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(cells))
}

fn write_parquet(path: &Path, batches: impl Iterator<Item = RecordBatch>) {
    let mut writer: Option<ArrowWriter<File>> = None;
    for batch in batches {
        let begin = || ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
        writer.get_or_insert_with(begin).write(&batch).unwrap();
    }
    writer.unwrap().close().unwrap();
}

/// Some columns of a text table without quotes, cells trimmed.
fn read(table: &str, delimiter: char, wanted: &[&str]) -> Columns {
    let mut lines = table.trim_start_matches('\u{feff}').lines();
    let header: Vec<&str> = lines.next().unwrap().split(delimiter).collect();
    let places: Vec<usize> = wanted.iter().map(|name| header.iter().position(|held| held == name).unwrap()).collect();
    let mut columns: Columns = wanted.iter().map(|name| ((*name).to_owned(), Vec::new())).collect();
    for line in lines {
        let cells: Vec<&str> = line.split(delimiter).collect();
        for ((_, column), at) in columns.iter_mut().zip(&places) {
            column.push(cells[*at].trim().to_owned());
        }
    }
    columns
}

/// 30,162 persons of a census.
pub(super) fn adult(into: &Path) -> Set {
    let from = public().join("arx");
    let table = fs::read_to_string(from.join("adult.csv")).unwrap();
    let columns = read(&table, ';', &[&ADULT[..], &["salary-class"]].concat());
    let hierarchy =
        |name: &str, _: &BTreeSet<&str>| fs::read_to_string(from.join(format!("adult_hierarchy_{name}.csv"))).unwrap();
    Set::write(&subfolder(into, "adult"), &columns, hierarchy)
}

/// 101,766 encounters of 130 hospitals: eight quasi-identifiers, each encounter a unit as it is for the peers.
pub(super) fn diabetes(into: &Path) -> Set {
    const COLUMNS: [&str; 9] = [
        "race",
        "gender",
        "age",
        "admission_type_id",
        "discharge_disposition_id",
        "admission_source_id",
        "payer_code",
        "medical_specialty",
        "readmitted",
    ];
    let zip = public().join("diabetes130/dataset_diabetes.zip");
    let script = "import sys, zipfile; sys.stdout.buffer.write(\
                  zipfile.ZipFile(sys.argv[1]).read('dataset_diabetes/diabetic_data.csv'))";
    let mut unpack = Command::new("python3").args(["-c", script, text(&zip)]).stdout(Stdio::piped()).spawn().unwrap();
    let mut table = String::new();
    unpack.stdout.take().unwrap().read_to_string(&mut table).unwrap();
    assert!(unpack.wait().unwrap().success());
    let columns = read(&table, ',', &COLUMNS);
    Set::write(&subfolder(into, "diabetes"), &columns, |name, leaves| {
        lines(leaves, |leaf| vec![coarser_encounter(name, leaf).to_owned()])
    })
}

/// The public meaning of codes, as the data's own `IDs_mapping.csv` has it, in a few groups.
fn coarser_encounter<'a>(name: &str, leaf: &'a str) -> &'a str {
    let group = |groups: &[(&'static str, &[&str])], rest: &'static str| {
        groups.iter().find(|(_, codes)| codes.contains(&leaf)).map_or(rest, |(group, _)| group)
    };
    match name {
        "age" => match leaf {
            "[0-10)" | "[10-20)" | "[20-30)" | "[30-40)" => "[0-40)",
            "[40-50)" | "[50-60)" => "[40-60)",
            _ => "[60-100)",
        },
        "admission_type_id" => group(&[("urgent", &["1", "2", "7"]), ("planned", &["3", "4"])], "unknown"),
        "discharge_disposition_id" => group(
            &[("home", &["1", "6", "8"]), ("dead", &["11", "19", "20", "21"]), ("unknown", &["18", "25", "26"])],
            "elsewhere",
        ),
        "admission_source_id" => group(
            &[("referral", &["1", "2", "3"]), ("emergency", &["7"]), ("unknown", &["9", "15", "17", "20", "21"])],
            "transfer",
        ),
        "medical_specialty" => leaf.split(['-', '/']).next().unwrap_or(leaf),
        _ => "*",
    }
}

/// 10,000 stays in five facilities, numbers at a declared precision.
pub(super) fn stays(into: &Path) -> Set {
    const COLUMNS: [&str; 9] = [
        "gender",
        "rcount",
        "facid",
        "vdate",
        "bmi",
        "pulse",
        "hematocrit",
        "secondarydiagnosisnonicd9",
        "lengthofstay",
    ];
    let table = fs::read_to_string(public().join("los/LengthOfStay-IaaSDemo.csv")).unwrap();
    let mut columns = read(&table, ',', &COLUMNS);
    for (name, cells) in &mut columns {
        if ["bmi", "pulse", "hematocrit"].contains(&name.as_str()) {
            for cell in cells.iter_mut() {
                *cell = format!("{:.0}", cell.parse::<f64>().unwrap());
            }
        }
    }
    Set::write(&subfolder(into, "stays"), &columns, |name, leaves| lines(leaves, |leaf| coarser_stay(name, leaf)))
}

fn coarser_stay(name: &str, leaf: &str) -> Vec<String> {
    match name {
        "vdate" => {
            let parts: Vec<u32> = leaf.split('/').map(|part| part.parse().unwrap()).collect();
            let (month, year) = (parts[0], parts[2]);
            vec![format!("{year}-{month:02}"), format!("{year}-Q{}", (month - 1) / 3 + 1), format!("{year}")]
        }
        "bmi" | "pulse" | "hematocrit" => {
            let number: i64 = leaf.parse().unwrap();
            let step = |width: i64| {
                format!("{}-{}", number.div_euclid(width) * width, number.div_euclid(width) * width + width)
            };
            vec![step(5), step(10), step(40)]
        }
        _ => vec![],
    }
}

/// A line a leaf: the leaf, what is coarser, the root.
fn lines(leaves: &BTreeSet<&str>, coarser: impl Fn(&str) -> Vec<String>) -> String {
    let line = |leaf: &&str| [vec![(*leaf).to_owned()], coarser(leaf), vec!["*".to_owned()]].concat().join(";") + "\n";
    leaves.iter().map(line).collect()
}

/// Adult repeated, a quarter of each quasi-identifier's cells drawn anew from their column; Parquet only.
pub(super) fn grown(adult: &Set, rows: usize, into: &Path) -> Set {
    let folder = subfolder(into, &format!("grown_{rows}"));
    let table = fs::read_to_string(adult.folder.join("table.csv")).unwrap();
    let names: Vec<&str> = adult.quasi.iter().chain([&adult.sensitive]).map(String::as_str).collect();
    let columns = read(&table, ';', &names);
    fs::copy(adult.folder.join("columns.txt"), folder.join("columns.txt")).unwrap();
    for name in &adult.quasi {
        let file = format!("hierarchy_{name}.csv");
        fs::copy(adult.folder.join(&file), folder.join(&file)).unwrap();
    }
    let own = columns[0].1.len();
    let mut dice = ChaCha8Rng::seed_from_u64(1);
    let batches = (0..rows).step_by(BATCH).map(|from| {
        let numbers: Vec<usize> = (from..rows.min(from + BATCH)).map(|row| row % own).collect();
        let mut cell = |quasi: bool, row: usize| {
            let anew = quasi && dice.next_u32().is_multiple_of(4);
            if anew { dice.next_u32() as usize % own } else { row }
        };
        let arrays: Vec<(&String, ArrayRef)> = columns
            .iter()
            .map(|(name, column)| {
                let quasi = *name != adult.sensitive;
                let chosen: Vec<&str> = numbers.iter().map(|row| column[cell(quasi, *row)].as_str()).collect();
                (name, texts(chosen.into_iter()))
            })
            .collect();
        RecordBatch::try_from_iter(arrays).unwrap()
    });
    let set = Set::open(&folder);
    write_parquet(&set.parquet(), batches);
    set
}
