//! SQL on FHIR views over the public encounters and patients, repeated to a size: megabytes of NDJSON a processor second, on one
//! thread and on two, and the most memory over 2 GB. Beside it `DataFusion`'s bare scan of the same lines.
//!
//! Each measurement is a process of its own, so that its processor time and its peak are nobody else's.

use std::fs;
use std::io::{Read, Write as _};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use cohortium_fhir::{Layout, Options, View, extract};
use datafusion::prelude::{JsonReadOptions, SessionConfig, SessionContext};
use serde_json::json;

use crate::Settings;
use crate::network::{folder, text};
use crate::report::{Bar, Outcome, Series, Side};
use crate::watch;

const ENCOUNTERS: &str = r#"{"resource": "Encounter", "select": [{"column": [
  {"name": "id", "path": "getResourceKey()", "type": "id"},
  {"name": "patient", "path": "subject.getReferenceKey(Patient)", "type": "id"},
  {"name": "status", "path": "status", "type": "code"},
  {"name": "class", "path": "class.code", "type": "code"},
  {"name": "start", "path": "period.start", "type": "dateTime"},
  {"name": "end", "path": "period.end", "type": "dateTime"},
  {"name": "type", "path": "type.coding.where(system = 'http://snomed.info/sct').code.first()", "type": "code"},
  {"name": "reason", "path": "reasonCode.coding.code.first()", "type": "code"},
  {"name": "provider", "path": "serviceProvider.display", "type": "string"}]}]}"#;

const PATIENTS: &str = r#"{"resource": "Patient", "select": [
  {"column": [
    {"name": "id", "path": "getResourceKey()", "type": "id"},
    {"name": "gender", "path": "gender", "type": "code"},
    {"name": "birth_date", "path": "birthDate", "type": "date"},
    {"name": "died", "path": "deceased.ofType(dateTime)", "type": "dateTime"},
    {"name": "family", "path": "name.where(use = 'official').family.first()", "type": "string"},
    {"name": "given", "path": "name.where(use = 'official').given.join(' ')", "type": "string"}]},
  {"forEachOrNull": "address", "column": [
    {"name": "city", "path": "city", "type": "string"},
    {"name": "postal_code", "path": "postalCode", "type": "string"}]}]}"#;

const VIEWS: [(&str, &str); 2] = [("Encounter", ENCOUNTERS), ("Patient", PATIENTS)];
/// Megabytes of each measurement, and of the one whose memory is looked at.
const MEGABYTES: [u64; 2] = [200, 2_000];
const RATE_MIN: f64 = 30.0;
const TWO_THREADS_MIN: f64 = 1.6;
const PEAK_MIB_MAX: f64 = 300.0;

fn public() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/fhir/synthea_r4")
}

/// What one process measured.
#[derive(Debug, Clone, Copy)]
struct Rate {
    megabytes: f64,
    seconds: f64,
    cpu_seconds: f64,
    peak_mib: f64,
}

/// A text again and again, up to a length.
struct Repeated {
    text: Vec<u8>,
    at: usize,
    left: usize,
}

impl Read for Repeated {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.text.len() {
            self.at = 0;
        }
        let some = buffer.len().min(self.left).min(self.text.len() - self.at);
        buffer[..some].copy_from_slice(&self.text[self.at..self.at + some]);
        self.at += some;
        self.left -= some;
        Ok(some)
    }
}

/// The other end of [`measured`]: one view, or a bare scan of a file, then one line of numbers.
pub(crate) fn child(args: &[String]) {
    let me = std::process::id();
    let megabytes: f64;
    let (began, before);
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["view", name, size, threads] => {
            let view = VIEWS.iter().find(|(view, _)| *view == name).unwrap().1;
            let view = View::parse(view.as_bytes()).unwrap();
            let text = fs::read(public().join(name).with_extension("ndjson")).unwrap();
            let length = size.parse::<usize>().unwrap() * 1_000_000 / text.len() * text.len();
            let options = Options { threads: threads.parse::<NonZeroUsize>().unwrap(), ..Options::default() };
            megabytes = length as f64 / 1e6;
            (began, before) = (Instant::now(), watch::cpu(me));
            let input = Repeated { text, at: 0, left: length };
            let counts = extract(&view, input, Layout::Lines, &options, &mut |_| ControlFlow::Continue(())).unwrap();
            assert!(counts.rows > 0);
        }
        ["scan", path, threads] => {
            megabytes = Path::new(path).metadata().unwrap().len() as f64 / 1e6;
            (began, before) = (Instant::now(), watch::cpu(me));
            scan(path, threads.parse().unwrap());
        }
        _ => panic!("what is to be measured is not said"),
    }
    let seconds = began.elapsed().as_secs_f64();
    let cpu = watch::cpu(me) - before;
    println!("{megabytes} {seconds} {} {}", cpu.user + cpu.system, watch::peak_mib(me));
}

/// Every column of every line into Arrow, and nothing done with it.
fn scan(path: &str, threads: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).build().unwrap();
    runtime.block_on(async {
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(threads));
        let options = JsonReadOptions::default().file_extension(".ndjson");
        let frame = context.read_json(path, options).await.unwrap();
        let streams = frame.execute_stream_partitioned().await.unwrap();
        let tasks: Vec<_> = streams
            .into_iter()
            .map(|mut stream| {
                tokio::spawn(async move {
                    use futures::StreamExt;
                    let mut rows = 0;
                    while let Some(batch) = stream.next().await {
                        rows += batch.unwrap().num_rows();
                    }
                    rows
                })
            })
            .collect();
        let mut rows = 0;
        for task in tasks {
            rows += task.await.unwrap();
        }
        assert!(rows > 0);
    });
}

fn measured(args: &[&str]) -> Rate {
    let output = Command::new(std::env::current_exe().unwrap()).arg("views").args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    let numbers: Vec<f64> =
        String::from_utf8(output.stdout).unwrap().split_whitespace().map(|number| number.parse().unwrap()).collect();
    let [megabytes, seconds, cpu_seconds, peak_mib] = numbers[..] else { panic!("{args:?}: no measurement") };
    Rate { megabytes, seconds, cpu_seconds, peak_mib }
}

/// What a view came to over all rounds.
#[derive(Default)]
struct Found {
    one: Series,
    two_ratio: Series,
    two: Series,
    scan: Series,
}

pub(crate) fn run(settings: &Settings) -> Outcome {
    let header = vec!["what", "MB a processor second", "MB a second"];
    let title = "SQL on FHIR views over NDJSON".to_owned();
    if !public().is_dir() {
        let notes = vec!["skipped: no public FHIR data at ../shared/data".to_owned()];
        return Outcome { title, header, rows: Vec::new(), bars: Vec::new(), notes, raw: json!({}) };
    }
    let dir = folder();
    let (mut rows, mut bars, mut raw) = (Vec::new(), Vec::new(), Vec::new());
    for (name, _) in VIEWS {
        let [size, large] = MEGABYTES.map(|size| size.to_string());
        let file = dir.path().join(name).with_extension("ndjson");
        repeat(&public().join(name).with_extension("ndjson"), &file, MEGABYTES[0]);
        let (mut found, mut walls) = (Found::default(), Series::default());
        for _ in 0..settings.pairs {
            let one = measured(&["view", name, &size, "1"]);
            let two = measured(&["view", name, &size, "2"]);
            let scan = measured(&["scan", text(&file), "1"]);
            found.one.push(one.megabytes / one.cpu_seconds);
            walls.push(one.megabytes / one.seconds);
            found.two.push(two.megabytes / two.seconds);
            found.two_ratio.push(one.seconds / two.seconds);
            found.scan.push(scan.megabytes / scan.cpu_seconds);
        }
        let peak = measured(&["view", name, &large, "2"]).peak_mib;
        rows.push(vec![format!("{name}, one thread"), found.one.shown(0), walls.shown(0)]);
        rows.push(vec![format!("{name}, two threads"), String::new(), found.two.shown(0)]);
        rows.push(vec![format!("{name}, DataFusion's bare scan, one thread"), found.scan.shown(0), String::new()]);
        let bar = |what: String, measured, bound, side, unit| Bar { what, measured, bound, side, unit };
        bars.push(bar(format!("{name}, MB a processor second"), found.one.median(), RATE_MIN, Side::AtLeast, " MB"));
        let ratio = found.two_ratio.median();
        bars.push(bar(format!("{name}, two threads over one"), ratio, TWO_THREADS_MIN, Side::AtLeast, ""));
        bars.push(bar(format!("{name}, peak memory over {large} MB"), peak, PEAK_MIB_MAX, Side::AtMost, " MiB"));
        raw.push(json!({"view": name, "one": found.one.0, "two_wall": found.two.0, "two_over_one": found.two_ratio.0,
            "scan": found.scan.0, "peak_mib": peak}));
    }
    let notes = vec![format!(
        "Lines of the public Synthea set, repeated to {} MB; views of nine and eight columns; medians of {} rounds, each \
         measurement a process of its own. The scan reads every field of the same lines into Arrow.",
        MEGABYTES[0], settings.pairs
    )];
    Outcome { title, header, rows, bars, notes, raw: json!(raw) }
}

/// A file of the same lines again and again.
fn repeat(from: &Path, to: &Path, megabytes: u64) {
    let text = fs::read(from).unwrap();
    let mut file = fs::File::create(to).unwrap();
    for _ in 0..megabytes * 1_000_000 / text.len() as u64 {
        file.write_all(&text).unwrap();
    }
}
