//! Prints what a 1 % delta of a keyed table of 1 million rows costs beside reading and hashing its source.
//!
//! `cargo run --release -p cohortium-engine --example delta_cost [rows]`

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use cohortium_engine::delta::{Sinks, TakeFault, TakeReport, scan, take};
use cohortium_engine::handle::Handle;
use cohortium_engine::index_file::{BASE_NAME_BYTES, PreviousIndex};
use cohortium_engine::land::{LandedChain, LandedPart, count, merge};
use cohortium_engine::limits::Limits;
use cohortium_engine::policy::Job;
use cohortium_engine::source::Format;
use cohortium_protocol::digest::blob_digest;
use cohortium_protocol::ident::DatasetId;
use cohortium_protocol::key::wrap::Secret32;
use cohortium_protocol::record::dataset::{Dataset, DateFormat, LinkageColumns, Source};
use cohortium_protocol::record::schema::{Column, ColumnRole, ColumnType, Treatment};
use cohortium_protocol::record::share::{Linkage, TableTerms};
use cohortium_protocol::record::text_form::TextForm;

const ROWS: u64 = 1_000_000;
const COLUMNS: [&str; 18] = [
    "eid",
    "first",
    "last",
    "born",
    "sex",
    "admitted",
    "discharged",
    "ward",
    "icd",
    "sodium",
    "glucose",
    "creatinine",
    "hematocrit",
    "bmi",
    "pulse",
    "respiration",
    "los",
    "note",
];

/// Rows with a seed of their own each; every hundredth differs in version 2: 8 in 10 of them changed, 1 added, 1 gone.
fn table(rows: u64, version: u64) -> Vec<u8> {
    let mut text = COLUMNS.join(",");
    text.push('\n');
    for row in 0..rows {
        let edit = if version == 2 && row.is_multiple_of(100) { row / 100 % 10 } else { 99 };
        if edit == 0 {
            continue;
        }
        let key = if edit == 1 { rows + row } else { row };
        let r = (row + u64::from(edit < 10)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let written = writeln!(
            text,
            "{key},First{},LAST{:x},19{:02}-{:02}-{:02},{},2024-{:02}-{:02},2024-{:02}-{:02},W{},I{}.{},{}.{},{}.{},0.{},{}.{},{}.{},{},{}.{},{},{}",
            row % 977,
            row % 9973,
            row % 100,
            row % 12 + 1,
            row % 28 + 1,
            ["F", "M"][usize::from(row % 2 == 0)],
            r % 12 + 1,
            r % 28 + 1,
            r % 12 + 1,
            r % 28 + 1,
            r % 9,
            r % 99,
            r % 10,
            130 + r % 20,
            r % 1_000_000,
            80 + r % 99,
            r % 10_000,
            r % 1_000,
            30 + r % 20,
            r % 10,
            18 + r % 25,
            r % 100_000,
            50 + r % 60,
            5 + r % 10,
            r % 10,
            r % 20,
            ["", "stable", "\"transferred, stable\""][usize::try_from(r % 3).unwrap_or(0)]
        );
        written.expect("a string takes every text");
    }
    text.into_bytes()
}

fn columns() -> Result<Vec<Column>, Box<dyn std::error::Error>> {
    let column = |name: &&str| {
        let (role, treatment) = match *name {
            "eid" => (ColumnRole::DirectIdentifier, Treatment::Pseudonym),
            "first" | "last" => (ColumnRole::DirectIdentifier, Treatment::Drop),
            _ => (ColumnRole::QuasiIdentifier, Treatment::Keep),
        };
        Ok(Column::new(name.parse()?, ColumnType::Text, role, treatment))
    };
    COLUMNS.iter().map(column).collect()
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let done = work();
    let seconds = start.elapsed().as_secs_f64();
    println!("{what:<58} {seconds:>7.3} s");
    (done, seconds)
}

struct Taken {
    report: TakeReport,
    rows: Vec<u8>,
    deletes: Vec<u8>,
    index: Vec<u8>,
}

fn run(job: &Job<'_>, source: &Handle, previous: Option<&Vec<u8>>) -> Result<Taken, TakeFault> {
    let (mut rows, mut deletes, mut index) = (Vec::new(), Vec::new(), Vec::new());
    let sinks = Sinks { rows: &mut rows, deletes: &mut deletes, index: &mut index };
    let previous = previous.map(|base| PreviousIndex { base, name: [0; BASE_NAME_BYTES], changes: None });
    let report = take(job, source, previous, sinks)?;
    Ok(Taken { report, rows, deletes, index })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rows = std::env::args().nth(1).map_or(Ok(ROWS), |rows| rows.parse())?;
    let [old, new] = [table(rows, 1), table(rows, 2)].map(|bytes| Arc::new(bytes) as Handle);
    println!("{rows} rows, {} columns, {} bytes of text", COLUMNS.len(), new.len());
    let (row_key, linkage_key) = (Secret32::new([1; 32]), Secret32::new([2; 32]));
    let (columns, opt_outs, limits) = (columns()?, BTreeSet::new(), Limits::default());
    let birth_format = DateFormat::Iso;
    let linkage =
        LinkageColumns { given: "first".parse()?, family: "last".parse()?, birth: "born".parse()?, birth_format };
    let dataset = Dataset {
        dataset: DatasetId([1; 16]),
        name: "stays".parse()?,
        source: Source::Csv { path: "memory".parse()?, form: TextForm::default() },
        key: vec!["eid".parse()?],
        patient: None,
        linkage: Some(linkage),
    };
    let format = Format::Csv(TextForm::default());
    let mut bytes = vec![0; usize::try_from(new.len())?];
    new.read_at(0, &mut bytes)?;
    timed("BLAKE3 over the source's bytes, nothing read", || blob_digest(&bytes));
    for linkage in [Linkage::None, Linkage::Token] {
        println!("rows with tokens: {}", linkage == Linkage::Token);
        let (dataset, row_key, linkage_key) = (&dataset, &row_key, Some(&linkage_key));
        let table = TableTerms::of(columns.clone(), linkage);
        let job = Job { table: &table, dataset, row_key, linkage_key, opt_outs: &opt_outs, limits };
        let (full, _) = timed("  full snapshot", || run(&job, &old, None));
        let full = full?;
        for _ in 0..3 {
            let (scanned, base) =
                timed("  reading the source and hashing each row", || scan(&new, format.clone(), row_key, &limits));
            scanned?;
            let (delta, seconds) = timed("  delta of 1 %", || run(&job, &new, Some(&full.index)));
            let delta = delta?;
            let report = &delta.report;
            let (sent, whole) = (delta.rows.len() + delta.deletes.len(), full.rows.len());
            println!("    {} rows, {} deletes, {sent} of {whole} bytes", report.rows_out.0, report.deletes.0);
            println!("    time ratio {:.2}", seconds / base);
            let part = |taken: &Taken, deletes: bool| LandedPart {
                rows: Arc::new(taken.rows.clone()),
                deletes: deletes.then(|| Arc::new(taken.deletes.clone()) as Handle),
            };
            let chain = LandedChain { full: part(&full, false), deltas: vec![part(&delta, true)] };
            let (counted, _) = timed("  counting the landed version", || count(&chain, &limits));
            let (merged, _) = timed("  merging the landed version", || merge(&chain, &mut Vec::new(), &limits));
            println!("    {} rows counted, {} merged", counted?.rows.0, merged?.0);
        }
    }
    Ok(())
}
