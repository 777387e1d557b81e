//! The suite's own cases, ours for the parts of the specification that those at hand leave out, and the report.

use std::path::PathBuf;

use super::*;

/// The suite's case files, where they are at hand.
fn case_files() -> Option<Vec<(String, Vec<u8>)>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("COHORTIUM_DATA").map_or(root, PathBuf::from).join("sof_tests/tests");
    let Ok(entries) = std::fs::read_dir(folder) else {
        println!("skipped: ../shared/data/sof_tests is not there");
        return None;
    };
    let entries = entries.map(Result::unwrap);
    let read =
        |entry: std::fs::DirEntry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap());
    let mut files: Vec<(String, Vec<u8>)> = entries.map(read).collect();
    files.sort();
    Some(files)
}

/// The cases that fail, each with what is wrong.
fn failures(name: &str, bytes: &[u8]) -> (usize, Vec<String>) {
    let cases = run_file(bytes).unwrap();
    let failed =
        cases.iter().filter_map(|(title, result)| Some(format!("{name}: {title}: {}", result.as_ref().err()?)));
    (cases.len(), failed.collect())
}

#[test]
fn every_case_of_the_suite_passes() {
    let Some(files) = case_files() else { return };
    let mut run = 0;
    for (name, bytes) in &files {
        let (cases, failed) = failures(name, bytes);
        assert!(failed.is_empty(), "{failed:#?}");
        run += cases;
    }
    assert!(run >= 99, "{run}");
}

#[test]
fn cases_of_our_own_pass_where_the_suite_is_silent() {
    let files: [(&str, &str, usize); 5] = [
        ("keys.json", include_str!("cases/keys.json"), 4),
        ("row_index.json", include_str!("cases/row_index.json"), 7),
        ("union.json", include_str!("cases/union.json"), 6),
        ("where.json", include_str!("cases/where.json"), 8),
        ("values.json", include_str!("cases/values.json"), 7),
    ];
    for (name, text, cases) in files {
        assert_eq!(failures(name, text.as_bytes()), (cases, Vec::new()));
    }
}

/// A case over two patients, with one expectation.
fn case(expectation: &str) -> Result<(), String> {
    let text = format!(
        r#"{{"resources": [{{"resourceType": "Patient", "id": "a", "active": true, "name": [{{"family": "x"}}]}}, {{"resourceType": "Patient", "id": "b"}}],
            "tests": [{{"title": "t", "view": {{"resource": "Patient", "select": [{{"column": [
              {{"name": "id", "path": "id", "type": "id"}}, {{"name": "n", "path": "id.count()", "type": "integer"}},
              {{"name": "d", "path": "1.50", "type": "decimal"}}, {{"name": "l", "path": "name.family", "collection": true, "type": "string"}},
              {{"name": "b", "path": "active", "type": "boolean"}}, {{"name": "j", "path": "name[0]", "type": "HumanName"}}]}}]}}, {expectation}}}]}}"#
    );
    run_file(text.as_bytes()).unwrap().remove(0).1
}

#[test]
fn an_expectation_that_does_not_hold_fails_the_case() {
    let a = r#"{"id": "a", "n": 1, "d": 1.5, "l": ["x"], "b": true, "j": {"family": "x"}}"#;
    let b = r#"{"id": "b", "n": 1, "d": 1.5, "l": []}"#;
    let expected = |a: &str, b: &str| case(&format!("\"expect\": [{b}, {a}]"));
    assert_eq!(expected(a, b), Ok(()));
    let wrong = [
        (a.replace("\"a\"", "\"c\""), b.to_owned()),
        (a.replace("\"n\": 1", "\"n\": 2"), b.to_owned()),
        (a.replace("\"n\": 1", "\"n\": \"1\""), b.to_owned()),
        (a.replace("\"n\": 1, ", ""), b.to_owned()),
        (a.replace("1.5", "1.51"), b.to_owned()),
        (a.replace("1.5", "\"1.5\""), b.to_owned()),
        (a.replace("[\"x\"]", "[\"y\"]"), b.to_owned()),
        (a.replace("[\"x\"]", "[\"x\", \"x\"]"), b.to_owned()),
        (a.replace("[\"x\"]", "\"x\""), b.to_owned()),
        (a.replace("true", "false"), b.to_owned()),
        (a.replace("true", "null"), b.to_owned()),
        (a.replace("{\"family\": \"x\"}", "{\"family\": \"y\"}"), b.to_owned()),
        (a.to_owned(), b.replace("\"l\": []", "\"l\": null")),
        (a.to_owned(), b.replace("\"l\": []", "\"l\": [], \"more\": 1")),
        (a.to_owned(), a.to_owned()),
    ];
    for (a, b) in wrong {
        assert!(expected(&a, &b).is_err(), "{a} {b}");
    }
    assert!(case(&format!("\"expect\": [{a}]")).is_err(), "a row too many");
    assert!(case(&format!("\"expect\": [{a}, {b}, {b}]")).is_err(), "a row too few");
    assert_eq!(case("\"expectCount\": 2"), Ok(()));
    assert!(case("\"expectCount\": 3").is_err());
    assert!(case("\"expectError\": true").is_err());
    assert_eq!(case("\"expectColumns\": [\"id\", \"n\", \"d\", \"l\", \"b\", \"j\"]"), Ok(()));
    assert!(case("\"expectColumns\": [\"n\", \"id\", \"d\", \"l\", \"b\", \"j\"]").is_err());
}

#[test]
fn the_report_is_the_one_that_the_suite_defines() {
    let good = r#"{"resources": [], "tests": [{"title": "a \"q\"\n", "view": {}, "expectError": true}]}"#;
    let bad = r#"{"resources": [], "tests": [{"title": "b", "view": {}, "expectCount": 0}, {"title": "c", "expectCount": 0}]}"#;
    let files = [("one.json".to_owned(), good.into()), ("two.json".to_owned(), bad.into())];
    let report = sof_report(files.into_iter()).unwrap();
    let document = Document::read(&report).unwrap();
    let names: Vec<&str> = document.root().properties().map(|(name, _)| name).collect();
    assert_eq!(names, ["one.json", "two.json"]);
    let mut found = Vec::new();
    for (_, file) in document.root().properties() {
        for test in file.get("tests").unwrap().items() {
            let result = test.get("result").unwrap();
            let error = result.get("error").and_then(|error| error.string()).map(String::from);
            found.push((
                test.get("name").unwrap().string().unwrap().into_owned(),
                result.get("passed").unwrap().boolean(),
                error,
            ));
        }
    }
    let missing = "resource: is missing: name a resource type, such as Patient".to_owned();
    let expected = [
        ("a \"q\"\n".to_owned(), Some(true), None),
        ("b".to_owned(), Some(false), Some(missing)),
        ("c".to_owned(), Some(false), Some("the case has no view".to_owned())),
    ];
    assert_eq!(found, expected);
    assert_eq!(sof_report(std::iter::empty()).as_deref(), Ok("{\n}\n"));
    for text in
        ["", "{}", "{\"resources\": []}", "{\"resources\": [], \"tests\": []}", "{\"resources\": [], \"tests\": [{}]}"]
    {
        let fault = sof_report(std::iter::once(("x.json".to_owned(), text.into()))).unwrap_err();
        assert_eq!(fault.file, "x.json", "{text}");
    }
}
