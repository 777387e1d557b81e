//! A private count and sum by group over a million rows, from a Parquet file to noised numbers, beside `opendp` over Polars,
//! `smartnoise-sql` and `pipeline-dp` on the same file: processor seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use cohortium_engine::limits::Limits;
use cohortium_engine::private::{
    Ask, Bounds as Clip, Catalogue, ColumnRule, Contribution, Declared, Domain, Kind, Origin, Plan, PrivateRows,
    PrivateTable, Question, Room, SamplingKey, TableRule, Whose, bound, compile,
};
use cohortium_private::account::{Cost, Purse};
use cohortium_private::bound::Bounds;
use cohortium_private::interval::Family;
use cohortium_private::mechanism::Additive;
use cohortium_private::owner::Owner;
use cohortium_protocol::quantity::Rho;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;

use crate::Settings;
use crate::network::{folder, text};
use crate::report::{Bar, Outcome, Series, Side};
use crate::watch;

const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/speed/private.py");
const PEER_SECONDS: u32 = 300;
const CPU_SECONDS_MAX: f64 = 0.6;
const KEYS: u64 = 50;
const ROWS_OF_A_PATIENT: u64 = 10;
/// What a patient may add: rows in one group, and groups.
const ROWS: u64 = 2;
const GROUPS: u64 = 5;
const RHO: f64 = 0.1;

/// A number that follows from another and looks like chance.
fn mixed(row: u64) -> u64 {
    let mut z = row.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Stays of patients in wards, in no order.
fn write(path: &Path, rows: u64) {
    let number = |value: u64| i64::try_from(value >> 1).unwrap();
    let people = (0..rows).map(|row| number(mixed(mixed(row) % (rows / ROWS_OF_A_PATIENT)))).collect::<Int64Array>();
    let wards = (0..rows).map(|row| Some(format!("ward number {}", mixed(row + rows) % KEYS))).collect::<StringArray>();
    let costs = (0..rows).map(|row| Some((mixed(row + 2 * rows) % 100_000) as f64 / 100.0)).collect::<Float64Array>();
    let columns: [(&str, ArrayRef); 3] =
        [("person_id", Arc::new(people)), ("ward", Arc::new(wards)), ("cost", Arc::new(costs))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn wards() -> Vec<String> {
    (0..KEYS).map(|key| format!("ward number {key}")).collect()
}

fn catalogue() -> Catalogue {
    let kinds = [("person_id", Kind::Integer), ("ward", Kind::Text), ("cost", Kind::Float)];
    let column = |(name, kind): (&str, Kind)| ColumnRule { name: name.to_owned(), kind, bounds: None, domain: None };
    let rule = TableRule { whose: Whose::Patients("person_id".to_owned()), columns: kinds.map(column).to_vec() };
    let mut catalogue = Catalogue::default();
    catalogue.insert("visit", rule, BTreeSet::new());
    catalogue
}

fn plan() -> Plan {
    let source = Origin::Standard("made up".to_owned());
    let clip = Clip { lower: 0.0, upper: 1_000.0, decimals: 2, source: source.clone() };
    let keys = Domain { values: wards().into_iter().map(Some).collect(), source: source.clone() };
    let declared = Declared {
        contribution: Contribution { rows: ROWS, groups: GROUPS, source },
        bounds: BTreeMap::from([("s".to_owned(), clip)]),
        edges: BTreeMap::new(),
        keys: BTreeMap::from([("ward".to_owned(), keys)]),
        wish: None,
        study: None,
    };
    let words = "SELECT ward, count(*) AS n, sum(cost) AS s FROM visit GROUP BY ward".to_owned();
    compile(&Question { ask: Ask::Sql(words), declared }, &catalogue()).unwrap()
}

/// The other end of [`ours`]: prints processor seconds.
pub(crate) fn child(args: &[String]) {
    let path = Path::new(&args[0]);
    let me = std::process::id();
    let before = watch::cpu(me);
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    let (plan, schema) = (plan(), batches[0].schema());
    let rows = PrivateRows::Batches { schema, batches, ordered_by: None };
    let table = PrivateTable { name: "visit".parse().unwrap(), rows };
    let room = Room { memory_bytes: 4 << 30, limits: Limits::default() };
    let bounded = bound(&plan, &catalogue(), &[table], SamplingKey([7; 16]), &room).unwrap();
    let paid = Cost::ceiling(RHO, 0.0).unwrap();
    let owner = Owner::start(Purse::of(paid)).unwrap();
    let each = Rho(paid.rho.0 / u128::try_from(bounded.parts.len()).unwrap());
    for part in &bounded.parts {
        let sensitivity = part.sensitivity;
        let bounds = Bounds::new(u32::try_from(sensitivity.l0).unwrap(), sensitivity.linf).unwrap();
        let bounds = bounds.with_squared(sensitivity.l2_squared).unwrap();
        let additive = Additive::within(Family::Gaussian, bounds, each).unwrap();
        for at in part.columns.clone() {
            let exact = bounded.cells(at).unwrap();
            let noised = owner.draw(move |purse| additive.release(purse, &exact)).unwrap();
            assert_eq!(noised.len(), wards().len(), "each key is answered");
        }
    }
    let after = watch::cpu(me);
    let spent = after.user + after.system - before.user - before.system;
    println!("{spent}");
}

fn parsed(output: &str) -> Option<f64> {
    output.split_whitespace().next()?.parse().ok()
}

fn ours(file: &Path) -> f64 {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args(["private", text(file), "-", "-"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    parsed(&String::from_utf8(output.stdout).unwrap()).unwrap()
}

fn peer(venv: &str, which: &str, file: &Path) -> Result<f64, String> {
    let python = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/bench").join(venv).join("bin/python");
    let mut command = Command::new("timeout");
    command.args([&PEER_SECONDS.to_string(), text(&python), PEERS, which, text(file)]);
    command.args([RHO.to_string(), KEYS.to_string(), (ROWS * GROUPS).to_string()]);
    let output = command.output().unwrap();
    let found = parsed(&String::from_utf8_lossy(&output.stdout));
    found.ok_or_else(|| {
        String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("no answer").chars().take(100).collect()
    })
}

pub(crate) fn run(settings: &Settings) -> Outcome {
    let dir = folder();
    let file = dir.path().join("visit.parquet");
    write(&file, settings.rows);
    let peers = [
        ("OpenDP over Polars", "venv-private", "opendp"),
        ("SmartNoise SQL", "venv-smartnoise", "smartnoise"),
        ("PipelineDP, local", "venv-pipelinedp", "pipelinedp"),
    ];
    let (mut mine, mut theirs) = (Series::default(), [Series::default(), Series::default(), Series::default()]);
    let mut missing = Vec::new();
    for round in 0..settings.pairs.max(1) {
        mine.push(ours(&file));
        for (series, (name, venv, which)) in theirs.iter_mut().zip(peers) {
            match peer(venv, which, &file) {
                Ok(cpu) => series.push(cpu),
                Err(why) if round == 0 => missing.push(format!("{name}: {why}.")),
                Err(_) => {}
            }
        }
    }
    let mut rows = vec![vec!["Cohortium".to_owned(), mine.shown(2)]];
    rows.extend(theirs.iter().zip(peers).map(|(series, (name, ..))| {
        vec![name.to_owned(), if series.0.is_empty() { "not measured".to_owned() } else { series.shown(2) }]
    }));
    let rows_told = settings.rows;
    missing.insert(
        0,
        format!(
            "{rows_told} rows in a Parquet file, {KEYS} public keys, {ROWS_OF_A_PATIENT} rows a patient on average, at most {ROWS} in \
             each of {GROUPS} groups. OpenDP and SmartNoise bound the rows of a patient by {} in all. What knows no rho gets the \
             epsilon of rho {RHO} at a delta of 1e-7. Reading the file is in it, starting a program is not.",
            ROWS * GROUPS
        ),
    );
    let raw_theirs: Vec<&Vec<f64>> = theirs.iter().map(|series| &series.0).collect();
    Outcome {
        title: "A private count and sum by group, processor seconds".to_owned(),
        header: vec!["what", "median (least to most)"],
        rows,
        bars: vec![Bar {
            what: "processor seconds".to_owned(),
            measured: mine.median(),
            bound: CPU_SECONDS_MAX,
            side: Side::AtMost,
            unit: " s",
        }],
        notes: missing,
        raw: json!({"rows": rows_told, "cohortium": mine.0, "opendp_smartnoise_pipelinedp": raw_theirs}),
    }
}
