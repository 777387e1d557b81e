//! `cohortium mapping test` and `diff` as a mapping's author runs them: without a node, on the fixture that is shipped.

#![expect(clippy::unwrap_used, reason = "what goes wrong fails the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

struct Said {
    code: i32,
    json: Value,
    error: String,
}

/// Runs the program in an empty home: nothing of a node is there.
fn cohortium(words: &[&str]) -> Said {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_cohortium"))
        .arg("--home")
        .arg(home.path().join("none"))
        .arg("--json")
        .args(words)
        .output()
        .unwrap();
    Said {
        code: output.status.code().unwrap(),
        json: serde_json::from_slice(&output.stdout).unwrap_or_default(),
        error: String::from_utf8(output.stderr).unwrap(),
    }
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testnet/mappings")
}

/// A copy of the shipped fixture, to be changed.
fn fixture(into: &Path) -> (String, String) {
    let (mapping, from) = (into.join("los.toml"), shipped().join("fixtures/los"));
    fs::copy(shipped().join("los.toml"), &mapping).unwrap();
    let folder = into.join("fixtures");
    fs::create_dir_all(folder.join("expected")).unwrap();
    fs::copy(from.join("stays.csv"), folder.join("stays.csv")).unwrap();
    for entry in fs::read_dir(from.join("expected")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.join("expected").join(path.file_name().unwrap())).unwrap();
    }
    (mapping.display().to_string(), folder.display().to_string())
}

#[test]
fn the_shipped_fixture_is_as_expected_and_a_changed_cell_is_told_with_code_5() {
    let dir = tempfile::tempdir().unwrap();
    let (mapping, folder) = fixture(dir.path());
    let words = ["mapping", "test", &mapping, "--fixtures", &folder];
    let said = cohortium(&words);
    assert_eq!((said.code, &said.json["passed"]), (0, &Value::Bool(true)), "{} {}", said.json, said.error);
    assert_eq!(said.json["tables"].as_object().unwrap().len(), 7, "six tables and the quarantine: {}", said.json);
    let person = Path::new(&folder).join("expected/person.csv");
    let good = fs::read_to_string(&person).unwrap();
    assert!(good.contains("8507"), "{good}");
    fs::write(&person, good.replace("8507", "8521")).unwrap();
    let said = cohortium(&words);
    assert_eq!(said.code, 5, "{}", said.error);
    let rows = |which: &str| said.json["tables"]["person"][which].as_array().unwrap().len();
    assert_eq!((rows("missing"), rows("unexpected")), (2, 2));
    // What is in quarantine and is not expected there fails the test, too.
    fs::write(&person, &good).unwrap();
    fs::remove_file(Path::new(&folder).join("expected/quarantine.csv")).unwrap();
    assert_eq!(cohortium(&words).code, 5);
    // The author looks at the rows and accepts them.
    assert_eq!(cohortium(&[&words[..], &["--accept"]].concat()).code, 0);
    assert_eq!(cohortium(&words).code, 0);
    assert_eq!(fs::read_to_string(&person).unwrap(), good, "what is accepted is written as it was");
}

#[test]
fn what_is_missing_or_no_fixture_is_said_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let (mapping, folder) = fixture(dir.path());
    let words = ["mapping", "test", &mapping, "--fixtures", &folder];
    fs::write(Path::new(&folder).join("expected/person.csv"), "ward\nA\n").unwrap();
    let said = cohortium(&words);
    assert_eq!(said.code, 3);
    assert!(said.error.contains("expected/person.csv: the table has no column ward"), "{}", said.error);
    fs::remove_file(Path::new(&folder).join("stays.csv")).unwrap();
    assert_eq!(cohortium(&words).code, 4);
    fs::remove_dir_all(Path::new(&folder).join("expected")).unwrap();
    assert!(cohortium(&words).error.contains("--accept"));
}

#[test]
fn a_diff_names_rules_columns_and_codes_and_the_facts_that_come_go_and_change() {
    let dir = tempfile::tempdir().unwrap();
    let (old, folder) = fixture(dir.path());
    let text = fs::read_to_string(&old).unwrap();
    let new = dir.path().join("new.toml");
    let changed = text
        .replace("version = 1", "version = 2")
        .replace("F = 8532", "F = 8521")
        .replace("{ flag = \"asthma\", concept = 317009 }, ", "");
    fs::write(&new, changed.replace("{ column = \"rcount\" }", "{ column = \"facid\" }")).unwrap();
    let new = new.display().to_string();
    let same = cohortium(&["mapping", "diff", &old, &old]);
    assert_eq!((same.code, same.json["differences"].as_array().unwrap().len()), (0, 0));
    let said = cohortium(&["mapping", "diff", &old, &new, "--fixtures", &folder]);
    assert_eq!(said.code, 0, "{}", said.error);
    let found = said.json["differences"].as_array().unwrap();
    let places: Vec<&str> = found.iter().map(|each| each["place"].as_str().unwrap()).collect();
    assert!(places.contains(&"version") && places.contains(&"sex.F"), "{places:?}");
    assert!(places.contains(&"observation from stays #1, each 3"), "{places:?}");
    let facts = |table: &str, which: &str| said.json["facts"][table][which].as_array().unwrap().len();
    assert_eq!((facts("person", "change"), facts("person", "come")), (2, 0));
    assert_eq!((facts("condition_occurrence", "go"), facts("condition_occurrence", "come")), (1, 0));
    assert!(facts("observation", "go") > 0 && facts("observation", "come") == facts("observation", "go"));
    assert!(facts("measurement", "change") == 0);
}
