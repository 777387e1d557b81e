//! A hospital's five text files to tables of the common schema, with quarantine, account and quality gates, beside `DuckDB` doing
//! the same casts and joins without them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use cohortium_engine::handle::Handle;
use cohortium_engine::limits::Limits;
use cohortium_engine::mapping::{Before, MapJob, MapSinks, MapSource, Mapping, map};
use cohortium_protocol::ident::DatasetId;
use cohortium_protocol::key::wrap::Secret32;
use cohortium_protocol::record::dataset::{Dataset, DateFormat, LinkageColumns, Source};
use cohortium_protocol::record::text_form::TextForm;
use cohortium_schema::gate::{Checks, Gates};
use cohortium_schema::omop::omop_5_4;
use cohortium_testnet::hospital::mapping::mapping_of;
use cohortium_testnet::hospital::{Plan, Site, generate};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;

use crate::Settings;
use crate::network::{folder, subfolder, text};
use crate::report::{Bar, Outcome, Series, Side};
use crate::watch;

const DUCKDB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/speed/peer.py");
const RATIO_MAX: f64 = 1.5;
const GATES_MAX: f64 = 0.15;
/// Encounters for each million rows that `--rows` asks for; their laboratory values and vital signs are about twenty times as many.
const ENCOUNTERS: u64 = 50_000;

/// Where `./bench` puts a Python that has `DuckDB`.
fn python() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/bench/venv/bin/python")
}

/// The hospital that writes plain ISO dates and commas, which needs no more of SQL than anybody's files do.
fn site(encounters: u64) -> Site {
    let plan = Plan { seed: 7, sites: 2, rows_per_site: encounters, ..Plan::default() };
    generate(&plan).unwrap().sites.swap_remove(0)
}

fn dataset(name: &str, key: &str) -> Dataset {
    let source = Source::Csv { path: "unused".parse().unwrap(), form: TextForm::default() };
    let linkage = (name == "patients").then(|| LinkageColumns {
        given: "given_name".parse().unwrap(),
        family: "family_name".parse().unwrap(),
        birth: "birth_date".parse().unwrap(),
        birth_format: DateFormat::Iso,
    });
    let key = vec![key.parse().unwrap()];
    let patient = Some("patient_id".parse().unwrap());
    Dataset { dataset: DatasetId([1; 16]), name: name.parse().unwrap(), source, key, patient, linkage }
}

/// The other end of [`measured`]: one mapping run from files to files. Prints seconds, processor seconds, rows, and the seconds of
/// the gates over the same rows again.
pub(crate) fn child(args: &[String]) {
    let [source, into, encounters] = args else { panic!("folders and a number are to be given") };
    let (source, into) = (Path::new(source), Path::new(into));
    let site = site(encounters.parse().unwrap());
    let schema = omop_5_4();
    let written = mapping_of(&site);
    let me = std::process::id();
    let (began, before) = (Instant::now(), watch::cpu(me));
    let mapping = Mapping::parse(&written, &schema).unwrap();
    let checks = Checks::omop_5_4(&schema);
    let (row_key, linkage_key) = (Secret32::new([1; 32]), Secret32::new([2; 32]));
    let opt_outs = BTreeSet::new();
    let datasets: Vec<(String, Dataset)> = site
        .tables()
        .iter()
        .map(|table| {
            let name = table.file_name.trim_end_matches(".csv").to_owned();
            (name.clone(), dataset(&name, table.primary_key()))
        })
        .collect();
    let mut sources = BTreeMap::new();
    for (name, dataset) in &datasets {
        let handle: Handle = Arc::new(File::open(source.join(name).with_extension("csv")).unwrap());
        sources.insert(name.clone(), MapSource { dataset, handle, opt_outs: &opt_outs });
    }
    let job = MapJob {
        mapping: &mapping,
        schema: &schema,
        sources,
        row_key: &row_key,
        linkage_key: Some(&linkage_key),
        vocabulary: None,
        before: Before::default(),
        had_rows: BTreeSet::new(),
        may_be_empty: BTreeSet::new(),
        checks: checks.clone(),
        limits: Limits::default(),
    };
    let names: BTreeSet<&str> = mapping.fact.iter().map(|fact| fact.table.as_str()).collect();
    let path = |name: &str| into.join(name).with_extension("parquet");
    let create = |name: &str| BufWriter::with_capacity(1 << 20, File::create(path(name)).unwrap());
    let mut files: BTreeMap<String, _> = names.iter().map(|name| ((*name).to_owned(), create(name))).collect();
    let mut aside = create("quarantine");
    let sinks = files.iter_mut().map(|(name, file)| (name.clone(), file as &mut (dyn Write + Send)));
    let report = map(&job, MapSinks { tables: sinks.collect(), quarantine: &mut aside }).unwrap();
    for file in files.values_mut() {
        file.flush().unwrap();
    }
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), watch::cpu(me) - before);
    assert!(report.balances());
    let rows: u64 = report.tables.values().map(|count| count.emitted.0).sum();
    let batches = names.iter().flat_map(|name| read(&path(name)).into_iter().map(|batch| ((*name).to_owned(), batch)));
    let batches: Vec<(String, RecordBatch)> = batches.collect();
    let began = Instant::now();
    let mut gates = Gates::new(&schema, &checks);
    for (name, batch) in &batches {
        gates.see(name, batch).unwrap();
    }
    drop(gates.finish(None));
    println!("{seconds} {} {rows} {}", cpu.user + cpu.system, began.elapsed().as_secs_f64());
}

fn read(path: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    reader.with_batch_size(8_192).build().unwrap().map(Result::unwrap).collect()
}

fn numbers(command: &mut Command) -> Vec<f64> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().split_whitespace().map(|number| number.parse().unwrap()).collect()
}

/// The mapping's code maps as a table for the peer.
fn write_maps(site: &Site, path: &Path) {
    let mapping = Mapping::parse(&mapping_of(site), &omop_5_4()).unwrap();
    let mut file = File::create(path).unwrap();
    writeln!(file, "map,code,concept").unwrap();
    for (map, codes) in &mapping.codes {
        for (code, concept) in codes {
            writeln!(file, "{map},{code},{concept}").unwrap();
        }
    }
}

pub(crate) fn run(settings: &Settings) -> Outcome {
    let encounters = ENCOUNTERS * settings.rows / 1_000_000;
    let dir = folder();
    let [source, ours, theirs] = ["source", "ours", "theirs"].map(|name| subfolder(dir.path(), name));
    let site = site(encounters);
    let bytes: u64 = site.write_to(&source).unwrap().values().map(|written| written.bytes).sum();
    let maps = dir.path().join("maps.csv");
    write_maps(&site, &maps);
    let has_peer = python().is_file();
    let (mut mapped, mut cpu, mut peer, mut peer_cpu) = <(Series, Series, Series, Series)>::default();
    let (mut ratios, mut gates, mut rows) = (Series::default(), Series::default(), [0.0; 2]);
    for _ in 0..settings.pairs {
        let mut ours_now = Command::new(std::env::current_exe().unwrap());
        let found = numbers(ours_now.args(["mapped", text(&source), text(&ours), &encounters.to_string()]));
        mapped.push(found[0]);
        cpu.push(found[1]);
        rows[0] = found[2];
        gates.push(found[3] / found[0]);
        if has_peer {
            let found = numbers(Command::new(python()).args([DUCKDB, text(&source), text(&theirs), "2", text(&maps)]));
            peer.push(found[0]);
            peer_cpu.push(found[1]);
            rows[1] = found[2];
            ratios.push(mapped.0[mapped.0.len() - 1] / found[0]);
        }
    }
    let row = |what: &str, seconds: &Series, cpu: &Series, rows: f64| {
        vec![what.to_owned(), seconds.shown(2), cpu.shown(2), format!("{rows:.0}")]
    };
    let bar =
        |what: &str, measured, bound| Bar { what: what.to_owned(), measured, bound, side: Side::AtMost, unit: "" };
    let mut lines = vec![row("mapping with quarantine, account and gates", &mapped, &cpu, rows[0])];
    let mut bars = vec![bar("the gates' share of the mapping's time", gates.median(), GATES_MAX)];
    if has_peer {
        lines.push(row("DuckDB, two threads, casts and joins alone", &peer, &peer_cpu, rows[1]));
        bars.insert(0, bar("time of the mapping over DuckDB's", ratios.median(), RATIO_MAX));
        assert!((rows[0] - rows[1]).abs() < 0.5, "both make the same rows: {rows:?}");
    }
    let mut notes = vec![format!(
        "Five text tables of one generated hospital, {encounters} encounters, {:.0} MB; both write Parquet with zstd and sync \
         nothing. Medians of {} rounds; each measurement is a process of its own. The gates' time is that of the same pass over \
         the same rows alone.",
        bytes as f64 / 1e6,
        settings.pairs
    )];
    if !has_peer {
        notes.push("skipped: no DuckDB in target/bench/venv; ./bench puts it there with pip".to_owned());
    }
    Outcome {
        title: "A hospital's text files to the common schema".to_owned(),
        header: vec!["what", "seconds", "processor seconds", "rows"],
        rows: lines,
        bars,
        notes,
        raw: json!({"bytes": bytes, "rows": rows, "seconds": mapped.0, "cpu_seconds": cpu.0, "duckdb_seconds": peer.0,
            "duckdb_cpu_seconds": peer_cpu.0, "ratios": ratios.0, "gates_share": gates.0}),
    }
}
