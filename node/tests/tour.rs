//! The README's tour by hand works as it is written: real processes, two nodes, one table that lands.

#![expect(clippy::unwrap_used, reason = "what goes wrong fails the test")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

/// The tour's commands out of the README, with the program of this build and a free port instead of the fixed one.
fn tour(port: u16) -> String {
    let readme = include_str!("../../README.md");
    let section = readme.split("## A tour by hand").nth(1).unwrap();
    let block = section.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_cohortium")).parent().unwrap();
    let path = format!("export PATH=\"{}:$PATH\"", program.display());
    let lines = block.lines().filter(|line| !line.starts_with("cargo build") && !line.starts_with("mkdir"));
    let lines = lines.map(|line| if line.starts_with("export PATH") { path.as_str() } else { line });
    let script = lines.collect::<Vec<_>>().join("\n").replace(":7411", &format!(":{port}"));
    // Whatever happens, no daemon outlives the test.
    format!("shopt -s expand_aliases\nset -e\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}\nwait\n")
}

#[test]
fn the_tour_in_the_readme_works_as_written() {
    if Command::new("bash").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("skipped: there is no bash");
        return;
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("tour.sh");
    std::fs::write(&script, tour(port)).unwrap();
    let output = Command::new("timeout")
        .args(["120", "bash"])
        .arg(&script)
        .current_dir(dir.path())
        .env_remove("COHORTIUM_HOME")
        .env_remove("COHORTIUM_PERSON")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let landed = std::fs::read_to_string(dir.path().join("landed.csv")).unwrap();
    assert_eq!(landed.lines().next().unwrap(), "cohortium_row,age,sodium");
    assert_eq!(landed.lines().count(), 3, "{landed}");
    assert!(said.contains("Every blob, journal entry and log tile is as it was written."), "{said}");
    for node in ["op", "north"] {
        assert_no_value(&dir.path().join(node));
    }
}

/// The rows are in no file of a node: everything stored is sealed.
fn assert_no_value(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_no_value(&path);
        } else if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(6).any(|part| part == b"54,140" || part == b"sodium"), "{}", path.display());
        }
    }
}
