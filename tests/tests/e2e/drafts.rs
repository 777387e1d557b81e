//! What is looked at without a node: the SQL on FHIR suite's report, and drafts of sources.

use std::fs;
use std::path::PathBuf;

use cohortium_tests::real::site::Site;
use cohortium_tests::real::source::{CANARY, table};
use serde_json::Value;

use crate::PROGRAM;
use crate::room::say;

fn suite() -> Option<PathBuf> {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let data = std::env::var_os("COHORTIUM_DATA").map_or(data, PathBuf::from).join("sof_tests/tests");
    if data.is_dir() {
        return Some(data);
    }
    say("skipped: ../shared/data/sof_tests is not there");
    None
}

/// How many cases passed, and how many did not.
fn cases(report: &Value) -> (usize, usize) {
    let cases = report.as_object().unwrap().values().flat_map(|file| file["tests"].as_array().unwrap());
    let passed: Vec<bool> = cases.map(|case| case["result"]["passed"].as_bool().unwrap()).collect();
    (passed.iter().filter(|passed| **passed).count(), passed.iter().filter(|passed| !**passed).count())
}

#[test]
fn the_suites_cases_pass_and_one_that_does_not_is_told_by_the_exit_code() {
    let Some(suite) = suite() else { return };
    let dir = tempfile::tempdir().unwrap();
    let nobody = Site::new("nobody", dir.path(), PROGRAM);
    let report = nobody.tell(&["source", "sof-report", suite.to_str().unwrap()]);
    let (passed, failed) = cases(&report);
    assert!(passed > 0 && failed == 0, "{report}");
    say(&format!("SQL on FHIR: {passed} cases pass"));
    let broken = dir.path().join("suite");
    fs::create_dir(&broken).unwrap();
    let mut case: Value = serde_json::from_slice(&fs::read(suite.join("basic.json")).unwrap()).unwrap();
    case["tests"][0]["expect"] = serde_json::json!([{"id": "of nobody"}]);
    fs::write(broken.join("basic.json"), case.to_string()).unwrap();
    let said = nobody.say(&["source", "sof-report", broken.to_str().unwrap()]).unwrap();
    assert_eq!((said.code, cases(&said.json).1), (5, 1), "{}", said.json);
    nobody.refused(&["source", "sof-report", dir.path().to_str().unwrap()], 2);
}

#[test]
fn a_draft_holds_no_value_of_its_source_and_is_read_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = Site::new("nobody", dir.path(), PROGRAM);
    let path = dir.path().join("Los 1.csv");
    table(&path, 4711..4800, 4711..4712);
    let out = dir.path().join("draft");
    let draft = ["source", "profile", path.to_str().unwrap(), "-o", out.to_str().unwrap()];
    let told = nobody.tell(&draft);
    assert_eq!(told["name"], "los-1");
    let looks: Vec<&Value> = told["columns"].as_array().unwrap().iter().map(|column| &column["looks"]).collect();
    assert_eq!(looks, ["integer", "text", "integer", "integer"]);
    for file in ["schema.toml", "mapping.toml"] {
        let text = fs::read_to_string(out.join(file)).unwrap();
        for value in [CANARY, "4711", "4799", "155", "140"] {
            assert!(!text.contains(value), "{value}: {text}");
        }
    }
    let mapping = out.join("mapping.toml");
    nobody.tell(&["mapping", "check", mapping.to_str().unwrap()]);
    nobody.refused(&draft, 2);
    let damaged = dir.path().join("bad.parquet");
    fs::write(&damaged, b"PAR1 and nothing else PAR1").unwrap();
    let said = nobody.refused(&["source", "profile", damaged.to_str().unwrap()], 3);
    assert!(said.contains("damaged"), "{said}");
}
