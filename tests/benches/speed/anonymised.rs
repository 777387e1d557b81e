//! The k-anonymity engine beside ARX's own figures and beside what installs from a registry (`anjana`, `umbra-k`), and what the
//! default mode costs beside the plain ones.

mod sets;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use cohortium_anonymise::encode::encode;
use cohortium_anonymise::file::{FileJob, anonymise_parquet};
use cohortium_anonymise::lattice::{FullDomain, full_domain};
use cohortium_anonymise::local::{Local, Value, local};
use cohortium_anonymise::loss::Losses;
use cohortium_anonymise::model::Models;
use cohortium_anonymise::recoding::Recoding;
use cohortium_anonymise::release::{Attacks, Mode, attacked};
use cohortium_anonymise::resistant::{Resistance, resistant};
use cohortium_anonymise::seed::Seed;
use cohortium_anonymise::table::Table;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value as Json, json};

use crate::Settings;
use crate::network::{folder, text};
use crate::report::{Bar, Outcome, Series, Side};
use crate::watch;
use sets::Set;

const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/speed/anonymised.py");
/// So many times a child runs what takes less than a tick of the clock of processor time.
const REPEATS: u32 = 10;
/// A peer that takes longer is stopped.
const PEER_SECONDS: u32 = 600;
const SEED: Seed = Seed([7; 32]);

fn python() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/bench/venv-anonymity/bin/python")
}

/// One measurement.
#[derive(Debug, Clone, Default)]
struct Run {
    cpu: f64,
    wall: f64,
    peak_mib: f64,
    loss: f64,
    suppressed: f64,
    classes: f64,
    refined: f64,
}

/// The other end of [`measured`]: `memory FOLDER MODE K SUPPRESSION` repeats a recoding of a table that is in memory,
/// `file FOLDER MODE K SUPPRESSION` runs once from file to file.
pub(crate) fn child(args: &[String]) {
    let [what, folder, mode, k, suppression] = args else { panic!("{args:?}") };
    let set = Set::open(Path::new(folder));
    let (k, suppression) = (k.parse().unwrap(), suppression.parse().unwrap());
    let found =
        if what == "memory" { in_memory(&set, mode, k, suppression) } else { to_file(&set, mode, k, suppression) };
    let Run { cpu, wall, loss, suppressed, classes, refined, .. } = found;
    println!("{cpu} {wall} {} {loss} {suppressed} {classes} {refined}", watch::peak_mib(std::process::id()));
}

fn in_memory(set: &Set, mode: &str, k: u32, suppression: f64) -> Run {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(set.parquet()).unwrap()).unwrap();
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    let table = encode(&batches, &set.roles()).unwrap().table;
    let me = std::process::id();
    let (began, before) = (Instant::now(), watch::cpu(me));
    let mut recoding = recode(&table, mode, k, suppression);
    for _ in 1..REPEATS {
        recoding = recode(&table, mode, k, suppression);
    }
    let (wall, cpu) = (began.elapsed().as_secs_f64(), watch::cpu(me) - before);
    let losses = Losses::of(&table, &recoding);
    let findings = attacked(&table, &recoding, &Models::k(k)).unwrap();
    let refined = findings.iter().take(2).map(cohortium_anonymise::attack::Finding::refined).fold(0.0, f64::max);
    let times = f64::from(REPEATS);
    Run { refined, ..of(&losses, (cpu.user + cpu.system) / times, wall / times) }
}

fn recode(table: &Table, mode: &str, k: u32, suppression: f64) -> Recoding {
    match mode {
        "full" => full_domain(table, &FullDomain::k(k, suppression)).unwrap().recoding,
        "local" => local(table, &Local::k(k)).unwrap(),
        "best" => {
            let values = vec![Value::Balanced, Value::Broad, Value::Even];
            local(table, &Local { values, ..Local::k(k) }).unwrap()
        }
        _ => resistant(table, &Models::k(k), &Resistance::default(), &SEED).unwrap(),
    }
}

fn to_file(set: &Set, mode: &str, k: u32, suppression: f64) -> Run {
    let mode = match mode {
        "full" => Mode::FullDomain(FullDomain { threads: 2, ..FullDomain::k(k, suppression) }),
        "local" => Mode::Local(Local { threads: 2, ..Local::k(k) }),
        _ => Mode::default_for(Models::k(k)),
    };
    let job = FileJob { roles: set.roles(), mode, attacks: Attacks::Skip, id: None };
    let (input, output) = (set.parquet(), set.folder.join("released.parquet"));
    let me = std::process::id();
    let (began, before) = (Instant::now(), watch::cpu(me));
    let report = anonymise_parquet(File::open(input).unwrap(), File::create(output).unwrap(), &job, &SEED).unwrap();
    let (wall, cpu) = (began.elapsed().as_secs_f64(), watch::cpu(me) - before);
    of(&report.losses, cpu.user + cpu.system, wall)
}

fn of(losses: &Losses, cpu: f64, wall: f64) -> Run {
    let (suppressed, classes) = (losses.suppressed as f64, losses.classes as f64);
    Run { cpu, wall, loss: losses.loss, suppressed, classes, ..Run::default() }
}

fn parsed(output: &str) -> Option<Run> {
    let numbers: Vec<f64> = output.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let [cpu, wall, peak_mib, loss, suppressed, classes, refined] = numbers[..] else { return None };
    Some(Run { cpu, wall, peak_mib, loss, suppressed, classes, refined })
}

fn measured(what: &str, set: &Set, mode: &str, k: u32, suppression: f64) -> Run {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["anonymised", what, text(&set.folder), mode, &k.to_string(), &suppression.to_string()]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    parsed(&String::from_utf8(output.stdout).unwrap()).unwrap()
}

/// A peer's run, or why there is none.
fn peer(name: &str, set: &Set, k: u32, suppression: f64) -> Result<Run, String> {
    let mut command = Command::new("timeout");
    command.args([&PEER_SECONDS.to_string(), text(&python()), PEERS, name, text(&set.folder)]);
    let output = command.args([k.to_string(), suppression.to_string()]).output().unwrap();
    let found = parsed(&String::from_utf8_lossy(&output.stdout));
    found.ok_or_else(|| match output.status.code() {
        Some(124) => format!("not done in {PEER_SECONDS} s"),
        _ => String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("no answer").chars().take(100).collect(),
    })
}

/// All rounds of one thing.
#[derive(Debug)]
struct Rounds {
    runs: Vec<Run>,
}

impl Rounds {
    fn series(&self, of: impl Fn(&Run) -> f64) -> Series {
        Series(self.runs.iter().map(of).collect())
    }

    fn line(&self, what: String) -> Vec<String> {
        let last = &self.runs[0];
        vec![
            what,
            self.series(|run| run.cpu).shown(3),
            self.series(|run| run.wall).shown(2),
            format!("{:.0}", self.series(|run| run.peak_mib).max()),
            format!("{:.4}", last.loss),
            format!("{:.0}", last.suppressed),
            format!("{:.0}", last.classes),
            format!("{:.4}", last.refined),
        ]
    }
}

fn rounds(settings: &Settings, what: &str, set: &Set, mode: &str, k: u32, suppression: f64) -> Rounds {
    Rounds { runs: (0..settings.pairs).map(|_| measured(what, set, mode, k, suppression)).collect() }
}

/// What local recoding from file to file is held to.
#[derive(Debug)]
struct Bound {
    seconds: f64,
    loss: Option<f64>,
    mib: f64,
}

/// What a run fills.
#[derive(Default)]
struct Found {
    rows: Vec<Vec<String>>,
    bars: Vec<Bar>,
    raw: Vec<Json>,
}

impl Found {
    fn add(&mut self, what: &str, rounds: &Rounds) {
        let raw: Vec<Json> = rounds
            .runs
            .iter()
            .map(|run| json!({"cpu": run.cpu, "wall": run.wall, "peak_mib": run.peak_mib, "loss": run.loss, "suppressed": run.suppressed, "classes": run.classes, "refined": run.refined}))
            .collect();
        self.raw.push(json!({"what": what, "runs": raw}));
        self.rows.push(rounds.line(what.to_owned()));
    }

    fn bar(&mut self, what: String, measured: f64, bound: f64, unit: &'static str) {
        self.bars.push(Bar { what, measured, bound, side: Side::AtMost, unit });
    }

    /// Adult under every configuration of ARX's that is on record, then local recoding and the default mode.
    fn adult(&mut self, settings: &Settings, set: &Set) {
        let results = std::fs::read(sets::public().join("arx/results.json")).unwrap();
        let results: Json = serde_json::from_slice(&results).unwrap();
        for arx in results["global"].as_array().unwrap() {
            let number = |key: &str| arx[key].as_f64().unwrap();
            let (k, limit) = (u32::try_from(arx["k"].as_u64().unwrap()).unwrap(), number("suppression_max"));
            let what = format!("Adult, full domain, k {k}, suppression {limit}");
            let ours = rounds(settings, "memory", set, "full", k, limit);
            self.add(&what, &ours);
            let theirs = format!("ARX's own figures: {} s", arx.get("cpu_s").or(arx.get("wall_s")).unwrap());
            let cells = [number("loss"), number("suppressed"), number("classes")];
            self.rows.push(vec![
                theirs,
                String::new(),
                String::new(),
                String::new(),
                format!("{:.4}", cells[0]),
                format!("{}", cells[1]),
                format!("{}", cells[2]),
                String::new(),
            ]);
            let run = &ours.runs[0];
            self.bar(format!("{what}: loss beside ARX's optimum"), (run.loss - cells[0]).abs(), 0.000_05, "");
            let differ = (run.suppressed - cells[1]).abs() + (run.classes - cells[2]).abs();
            self.bar(format!("{what}: suppressed rows and classes that differ from ARX's"), differ, 0.0, "");
            self.bar(format!("{what}: processor time"), ours.series(|run| run.cpu).median(), 0.3, " s");
        }
        for (k, loss) in [(5, 0.075), (50, 0.22)] {
            let what = format!("Adult, local, k {k}");
            let ours = rounds(settings, "memory", set, "local", k, 1.0);
            self.add(&what, &ours);
            self.bar(format!("{what}: loss"), ours.runs[0].loss, loss, "");
            self.bar(format!("{what}: suppressed rows"), ours.runs[0].suppressed, 0.0, "");
            self.bar(format!("{what}: processor time"), ours.series(|run| run.cpu).median(), 0.1, " s");
            self.add(&format!("Adult, local, best of three, k {k}"), &rounds(settings, "memory", set, "best", k, 1.0));
            let safe = rounds(settings, "memory", set, "default", k, 1.0);
            self.add(&format!("Adult, default mode, k {k}"), &safe);
            self.bar(format!("Adult, default mode, k {k}: refined under attack"), safe.runs[0].refined, 0.01, "");
        }
    }

    /// One set in every mode, and what the peers make of it.
    fn beside_peers(&mut self, settings: &Settings, name: &str, set: &Set) {
        const K: u32 = 5;
        for (mode, shown) in [("full", "full domain"), ("local", "local"), ("default", "default mode")] {
            self.add(&format!("{name}, {shown}, k {K}"), &rounds(settings, "memory", set, mode, K, 1.0));
        }
        for (known, shown, suppression) in [("anjana", "anjana, full domain", 1.0), ("umbra", "umbra-k, Mondrian", 0.0)]
        {
            let first =
                if python().is_file() { peer(known, set, K, suppression) } else { Err("not installed".to_owned()) };
            match first {
                Ok(run) => {
                    let more = (1..settings.pairs).filter_map(|_| peer(known, set, K, suppression).ok());
                    let runs = std::iter::once(run).chain(more).collect();
                    self.add(&format!("{name}, {shown}, k {K}"), &Rounds { runs });
                }
                Err(why) => {
                    let mut line = vec![format!("{name}, {shown}, k {K}: {why}")];
                    line.resize(8, String::new());
                    self.rows.push(line);
                }
            }
        }
    }

    fn grown(&mut self, settings: &Settings, set: &Set, rows: usize, bound: &Bound) {
        let Bound { seconds, loss, mib } = *bound;
        for (mode, shown) in
            [("local", "local"), ("full", "full domain, suppression 0.02"), ("default", "default mode")]
        {
            let what = format!("{rows} rows, file to file, {shown}, k 5");
            let ours = rounds(settings, "file", set, mode, 5, 0.02);
            self.add(&what, &ours);
            if mode == "local" {
                self.bar(format!("{what}: time"), ours.series(|run| run.wall).median(), seconds, " s");
                if let Some(bound) = loss {
                    self.bar(format!("{what}: loss"), ours.runs[0].loss, bound, "");
                }
                self.bar(format!("{what}: peak memory"), ours.series(|run| run.peak_mib).max(), mib, " MiB");
            }
        }
    }
}

pub(crate) fn run(settings: &Settings) -> Outcome {
    let header =
        vec!["what", "processor seconds", "seconds", "peak MiB", "loss", "suppressed", "classes", "refined by attack"];
    let title = "Microdata under k-anonymity".to_owned();
    if !sets::public().is_dir() {
        let notes = vec!["skipped: no public data at ../shared/data".to_owned()];
        return Outcome { title, header, rows: Vec::new(), bars: Vec::new(), notes, raw: json!({}) };
    }
    let dir = folder();
    let mut found = Found::default();
    let adult = sets::adult(dir.path());
    found.adult(settings, &adult);
    for (name, set) in [
        ("Adult", adult.clone()),
        ("diabetes130", sets::diabetes(dir.path())),
        ("length of stay", sets::stays(dir.path())),
    ] {
        found.beside_peers(settings, name, &set);
    }
    let rows = usize::try_from(settings.rows).unwrap();
    found.grown(
        settings,
        &sets::grown(&adult, rows, dir.path()),
        rows,
        &Bound { seconds: 3.0, loss: Some(0.02), mib: 1_024.0 },
    );
    found.grown(
        settings,
        &sets::grown(&adult, 10 * rows, dir.path()),
        10 * rows,
        &Bound { seconds: 35.0, loss: None, mib: 4_096.0 },
    );
    let notes = vec![format!(
        "Processor time and time of the recoding alone, from a table in memory (one thread), but for file to file (two threads, \
         Parquet in and out). Medians of {} rounds, each measurement a process of its own that repeats a recoding in memory \
         {REPEATS} times. `refined by attack` is the larger of downcoding and reconstruction of greedy choices, as a share of \
         generalised cells beyond chance. Loss is the mean share of leaves below a cell, 1 for a suppressed row, computed by the \
         same formula on the peers' output; the peers know no hierarchy (umbra-k) or stop at the first node that holds (anjana). \
         Rows are units, as they are for the peers.",
        settings.pairs
    )];
    Outcome { title, header, rows: found.rows, bars: found.bars, notes, raw: json!(found.raw) }
}
