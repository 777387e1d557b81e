//! How long loading a table takes beside reading its file over plain HTTP. It measures, so it is run by
//! name: `./bench serve`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use cohortium_protocol::time::UnixMillis;
use cohortium_serve::catalogue::Version;
use cohortium_serve::limits::Limits;
use serde_json::Value;

use crate::ground::{recipient, start, table};
use crate::python::{TABLE, client, columns, python};

const ROWS: &str = "3000000";

/// Another server for the same file: Python's own, which knows no ranges and no tokens.
struct Plain(Child);

impl Drop for Plain {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _waited = self.0.wait();
    }
}

#[test]
#[ignore = "it measures, and wants the machine for itself"]
fn loading_takes_at_most_one_and_a_half_times_reading_the_file_over_http() {
    let Some(python) = python() else { return };
    let running = start(Limits::default(), None);
    let folder = running.folder.path();
    let made: Value = serde_json::from_str(&client(python, &["big", folder.to_str().unwrap(), ROWS], None)).unwrap();
    let file = running.shelf.keep(&folder.join("big.parquet"), made["big"].as_u64().unwrap());
    let only = Version { number: 0, released: UnixMillis(0), columns: columns(), files: vec![file] };
    running.shelf.offer(vec![table(TABLE, 1, vec![only])]);
    running.shelf.admit(vec![recipient(&running.shelf, 1, &[TABLE])]);
    let mut plain = Command::new(python)
        .args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "0"])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map(Plain)
        .unwrap();
    let mut line = String::new();
    BufReader::new(plain.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port: u16 = line.split_whitespace().skip_while(|word| *word != "port").nth(1).unwrap().parse().unwrap();
    let profile = running.profile("researcher.share");
    let url = format!("http://127.0.0.1:{port}/big.parquet");
    let taken: Value =
        serde_json::from_str(&client(python, &["speed", profile.to_str().unwrap(), &url], None)).unwrap();
    let seconds = |side: &str| taken[side].as_f64().unwrap();
    println!("{} bytes, {ROWS} rows; seconds, medians of 5", file.bytes);
    let told = [
        ("plain", "pandas.read_parquet, plain HTTP"),
        ("served", "pandas.read_parquet, a link of ours"),
        ("default", "load_as_pandas, as it is"),
        ("parquet", "load_as_pandas, parquet format"),
        ("delta", "load_as_pandas, delta format"),
    ];
    for (side, name) in told {
        println!("{name:<36}{:.3}   {:.2} times", seconds(side), seconds(side) / seconds("plain"));
    }
    assert!(seconds("default") <= 1.5 * seconds("plain"), "{taken}");
}
