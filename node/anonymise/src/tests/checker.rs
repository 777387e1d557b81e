//! The independent checker in Python, and the package pycanon, read outputs of every mode over many random tables, and find
//! bodies that were bent.

use std::path::{Path, PathBuf};
use std::process::Command;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use serde_json::{Value, json};

use super::random;
use crate::body::{Beside, body};
use crate::hierarchy::Hierarchy;
use crate::lattice::FullDomain;
use crate::local::{Local, Value as Worth};
use crate::loss::{Losses, Measure};
use crate::model::{Distance, DiversityKind, Models};
use crate::recoding::Recoding;
use crate::release::{Attacks, Mode, anonymise};
use crate::resistant::Resistance;
use crate::seed::Seed;
use crate::table::Table;

/// With this variable a package that cannot be installed is a failure; without it the test says that it was skipped.
const NEED: &str = "COHORTIUM_NEED_PYCANON";
const PYCANON: &str = "pycanon==1.3.6";

/// Random tables; the long form of the tests takes more.
fn cases() -> u64 {
    if std::env::var_os("COHORTIUM_LONG").is_some() { 10_000 } else { 1_000 }
}

fn reference(script: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec/reference").join(script)
}

/// The Python that has pycanon, in an environment of its own beside the built tests.
fn pycanon() -> Option<PathBuf> {
    let tests = std::env::current_exe().unwrap();
    let folder = tests.ancestors().nth(3).unwrap().join("tmp").join(PYCANON.replace("==", "-"));
    let (python, ready) = (folder.join("bin/python"), folder.join("ready"));
    let run = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    let made = ready.exists()
        || run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))
            && run(Command::new(&python).args(["-m", "pip", "install", "-q", "--disable-pip-version-check", PYCANON]))
            && std::fs::write(&ready, PYCANON).is_ok();
    assert!(made || std::env::var_os(NEED).is_none(), "{NEED} is set, and pip does not install {PYCANON}");
    if !made {
        println!("skipped: pip does not install {PYCANON}");
    }
    made.then_some(python)
}

fn paths(hierarchy: &Hierarchy) -> Vec<Vec<&str>> {
    let label = |level: usize, leaf: u32| {
        let index = hierarchy.over(level, leaf);
        hierarchy.label(crate::hierarchy::Node { level: u8::try_from(level).unwrap(), index })
    };
    (0..hierarchy.leaves() as u32)
        .map(|leaf| (0..hierarchy.levels()).map(|level| label(level, leaf)).collect())
        .collect()
}

fn statement(table: &Table, models: &Models, recoding: &Recoding) -> Value {
    let losses = Losses::of(table, recoding);
    let quasi: Vec<&str> = table.quasi().iter().map(crate::table::Quasi::name).collect();
    let diversity = models.diversity.iter().map(|asked| match asked.kind {
        DiversityKind::Distinct(l) => json!({ "column": asked.column, "distinct": l }),
        DiversityKind::Entropy(l) => json!({ "column": asked.column, "entropy": l }),
    });
    let tree = table.sensitive()[0].tree.as_ref().unwrap();
    let closeness = models.closeness.iter().map(|asked| {
        let distance = match asked.distance {
            Distance::Equal => "equal",
            Distance::Ordered => "ordered",
            Distance::Hierarchical => "hierarchical",
        };
        let values: Vec<&str> = paths(tree).into_iter().map(|path| path[0]).collect();
        json!({ "column": asked.column, "t": asked.t, "distance": distance, "values": values, "paths": paths(tree) })
    });
    let hierarchies = table.quasi().iter().map(|column| (column.name().to_owned(), json!(paths(column.hierarchy()))));
    json!({
        "quasi": quasi, "k": models.k, "id": "id", "rows": table.rows(), "suppressed": losses.suppressed,
        "classes": losses.classes, "loss": losses.loss,
        "diversity": diversity.collect::<Vec<_>>(), "closeness": closeness.collect::<Vec<_>>(),
        "hierarchies": hierarchies.collect::<serde_json::Map<_, _>>(),
    })
}

/// Writes body and statement of a case, the body without its first `less` rows.
fn write(folder: &Path, name: &str, table: &Table, models: &Models, recoding: &Recoding, less: usize) -> [PathBuf; 2] {
    let sensitive = &table.sensitive()[0];
    let tree = sensitive.tree.as_ref().unwrap();
    let label = |leaf: &u32| tree.label(crate::hierarchy::Node { level: 0, index: *leaf }).to_owned();
    let values: arrow::array::StringArray = sensitive.values.iter().map(label).map(Some).collect();
    let beside = Beside { columns: vec![("s".to_owned(), std::sync::Arc::new(values))], id: Some("id".to_owned()) };
    let released = body(table, recoding, &beside, &Seed([3; 32])).unwrap();
    let files = [folder.join(format!("{name}.csv")), folder.join(format!("{name}.json"))];
    let mut writer = csv::Writer::from_path(&files[0]).unwrap();
    let names = released.schema();
    writer.write_record(names.fields().iter().map(|field| field.name())).unwrap();
    let texts: Vec<_> = released.columns().iter().map(|array| cast(array, &DataType::Utf8).unwrap()).collect();
    for row in less..released.num_rows() {
        writer.write_record(texts.iter().map(|array| array.as_string::<i32>().value(row))).unwrap();
    }
    writer.flush().unwrap();
    std::fs::write(&files[1], statement(table, models, recoding).to_string()).unwrap();
    assert!(texts.iter().all(|array| array.null_count() == 0));
    files
}

fn run(files: &[PathBuf]) -> (bool, String) {
    run_with(Path::new("python3"), "check_anonymity.py", files)
}

fn run_with(python: &Path, script: &str, files: &[PathBuf]) -> (bool, String) {
    let output = Command::new(python).arg(reference(script)).args(files).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

fn mode(case: u64, models: &Models) -> Mode {
    match case % 3 {
        0 => Mode::Resistant(models.clone(), Resistance::default()),
        1 => Mode::Local(Local { models: models.clone(), values: vec![Worth::Balanced, Worth::Broad], threads: 2 }),
        _ => {
            let measure = match case / 3 % 4 {
                0 => Measure::Loss,
                1 => Measure::Entropy,
                2 => Measure::Discernibility,
                _ => Measure::AverageClassSize,
            };
            Mode::FullDomain(FullDomain { models: models.clone(), measure, ..FullDomain::k(1, 1.0) })
        }
    }
}

// ANON-2 ANON-3 ANON-4 ANON-11
#[test]
fn the_independent_checker_agrees_on_a_thousand_random_tables() {
    let folder = tempfile::tempdir().unwrap();
    let (files, released) = outputs(folder.path(), cases());
    assert!(released > cases() as usize / 2, "only {released} tables were released in several classes");
    // A command line holds so many names and no more.
    for files in files.chunks(1_000) {
        let (holds, text) = run(files);
        let failures: Vec<&str> = text.lines().filter(|line| !line.ends_with("holds")).collect();
        assert!(holds, "{failures:?}");
    }
}

// ANON-2 ANON-3 ANON-4
#[test]
fn pycanon_finds_what_the_engine_and_the_checker_say() {
    let Some(python) = pycanon() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (files, _) = outputs(folder.path(), cases() / 5);
    let asked: Vec<String> = files
        .chunks(1_000)
        .flat_map(|files| {
            let (agrees, text) = run_with(&python, "check_pycanon.py", files);
            let failures: Vec<&str> = text.lines().filter(|line| !line.ends_with("agrees")).collect();
            assert!(agrees, "{failures:?}");
            text.lines().filter_map(|line| Some(line.split(": asked ").nth(1)?.to_owned())).collect::<Vec<_>>()
        })
        .collect();
    // It was asked, and for everything that it knows.
    for (question, at_least) in [("k", 10), ("k,l", 6), ("k,t", 3)] {
        let times = asked.iter().filter(|line| line.starts_with(question)).count();
        assert!(times >= asked.len() * at_least / 100, "{question} was asked {times} times of {}", asked.len());
    }
}

/// Bodies and statements of so many cases, and how many of them have several classes.
fn outputs(folder: &Path, cases: u64) -> (Vec<PathBuf>, usize) {
    let mut files = Vec::new();
    let mut released = 0;
    for case in 0..cases {
        let mut dice = random::dice(case);
        let table = random::table(&mut dice, &random::SMALL);
        let models = random::models(&mut dice);
        let (recoding, _) = anonymise(&table, &mode(case, &models), Attacks::Run, &Seed([case as u8; 32])).unwrap();
        assert!(recoding.covers(&table), "case {case}");
        released += usize::from(recoding.classes() > 1);
        files.extend(write(folder, &format!("{case}"), &table, &models, &recoding, 0));
    }
    (files, released)
}

#[test]
fn the_checker_finds_a_body_without_a_row_and_a_class_that_is_too_small() {
    let folder = tempfile::tempdir().unwrap();
    let mut dice = random::dice(11);
    let shape = random::Shape { rows_max: 400, shared_patients: false, ..random::SMALL };
    let table = std::iter::repeat_with(|| random::table(&mut dice, &shape)).find(|table| table.rows() > 100).unwrap();
    let models = Models::k(3);
    let (recoding, _) = anonymise(&table, &mode(1, &models), Attacks::Skip, &Seed([1; 32])).unwrap();
    assert!(run(&write(folder.path(), "whole", &table, &models, &recoding, 0)).0);
    assert!(!run(&write(folder.path(), "less", &table, &models, &recoding, 1)).0);
    let stricter = Models::k(recoding.members().iter().map(<[u32]>::len).min().unwrap() as u32 + 1);
    assert!(!run(&write(folder.path(), "small", &table, &stricter, &recoding, 0)).0);
    let Some(python) = pycanon() else { return };
    let asks = |name: &str, models: &Models| {
        let files = write(folder.path(), name, &table, models, &recoding, 0);
        run_with(&python, "check_pycanon.py", &files)
    };
    assert!(asks("whole", &models).0);
    assert!(!asks("small", &stricter).0);
}
