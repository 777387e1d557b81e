//! A 1 % change of a keyed table: bytes of the delta over bytes of the full snapshot, and the run's time over what scanning
//! and hashing the same source takes in the same run.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use cohortium_engine::delta::scan;
use cohortium_engine::handle::Handle;
use cohortium_engine::limits::Limits;
use cohortium_engine::source::Format;
use cohortium_protocol::key::wrap::Secret32;
use cohortium_protocol::quantity::Rows;
use cohortium_protocol::record::text_form::TextForm;
use serde_json::json;

use crate::network::{Journal, Network, folder, subfolder, text};
use crate::report::{Bar, Outcome, Series, Side};
use crate::watch::{self, Workers};
use crate::{Settings, data};

const SHARE: &str = "encounters";
const BYTES_RATIO_MAX: f64 = 0.03;
const TIME_RATIO_MAX: f64 = 1.3;

#[derive(Default)]
struct Found {
    scans: Series,
    runs: Series,
    landings: Series,
    delta_bytes: Series,
}

pub(crate) fn run(settings: &Settings) -> Outcome {
    let dir = folder();
    let path = subfolder(dir.path(), "source").join("encounters.csv");
    data::encounters(&path, settings.rows, 0);
    let network = Network::of_two();
    let workers = Workers::of(network.member().pid().unwrap());
    let kept = ["admitted", "ward", "sex", "age", "glucose", "sodium", "creatinine", "bmi", "pulse", "diagnosis"];
    let kept = kept.map(|name| format!("{name}=quasi-identifier")).join(",");
    let terms = ["--pseudonym", "encounter,patient", "--keep-role", &kept];
    network.share(SHARE, &["--csv", text(&path), "--key", "encounter", "--patient", "patient"], &terms);
    let mut journal = Journal::follow(network.member());
    network.take(SHARE);
    let order = journal.next("order");
    let manifest = journal.next("manifest");
    let (full_bytes, full_seconds) = (manifest.bytes, manifest.since(&order));
    journal.next("receipt");
    let mut found = Found::default();
    for day in 1..=settings.pairs {
        data::encounters(&path, settings.rows, day as u64);
        found.scans.push(scanned(&path, settings.rows));
        network.take(SHARE);
        let order = journal.next("order");
        let manifest = journal.next("manifest");
        let receipt = journal.next("receipt");
        assert_eq!(manifest.outcome, "delta");
        found.runs.push(manifest.since(&order));
        found.landings.push(receipt.since(&manifest));
        found.delta_bytes.push(manifest.bytes as f64);
    }
    let counted = network.operator.call(&["subscription", "count", "encounters@member"]).unwrap();
    assert_eq!(counted["rows"].as_u64(), Some(settings.rows), "the consumer has every row");
    let peak = workers.peak_mib().max(watch::peak_mib(network.member().pid().unwrap()));
    drop((journal, workers));
    network.end();
    outcome(settings, &found, full_bytes, full_seconds, peak)
}

/// Seconds to read and hash every row of the source, as the engine itself does it.
fn scanned(path: &Path, rows: u64) -> f64 {
    let source: Handle = Arc::new(File::open(path).unwrap());
    let started = Instant::now();
    let (seen, _) =
        scan(&source, Format::Csv(TextForm::default()), &Secret32::new([7; 32]), &Limits::default()).unwrap();
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(seen, Rows(rows));
    seconds
}

fn outcome(settings: &Settings, found: &Found, full_bytes: u64, full_seconds: f64, peak: f64) -> Outcome {
    // From the second day on, rows that changed the day before change back: two rows in a hundred differ.
    let first = found.delta_bytes.0[0];
    let bytes_ratio = first / full_bytes as f64;
    let ratios = Series(found.runs.0.iter().zip(&found.scans.0).map(|(run, scan)| run / scan).collect());
    let bar =
        |what: &str, measured, bound| Bar { what: what.to_owned(), measured, bound, side: Side::AtMost, unit: "" };
    let row = |what: &str, seconds: String, bytes: String| vec![what.to_owned(), seconds, bytes];
    let mib = |bytes: f64| format!("{:.2} MiB", bytes / 1_048_576.0);
    Outcome {
        title: format!("A 1 % change of a keyed table of {} rows", settings.rows),
        header: vec!["what", "seconds", "bytes"],
        rows: vec![
            row("full snapshot, order to manifest", format!("{full_seconds:.2}"), mib(full_bytes as f64)),
            row("scanning and hashing the source", found.scans.shown(2), String::new()),
            row("delta run, order to manifest", found.runs.shown(2), mib(first)),
            row("delta landing, manifest to receipt", found.landings.shown(2), String::new()),
        ],
        bars: vec![
            bar("bytes of the delta over the full snapshot's", bytes_ratio, BYTES_RATIO_MAX),
            bar("time of the run over scanning and hashing", ratios.median(), TIME_RATIO_MAX),
        ],
        notes: vec![format!(
            "A text table of 12 columns, two of them leaving as pseudonyms; changed rows are spread evenly. The bytes are \
             those of the first change (1 % of the rows); each later one changes 2 %. Times are medians of {} pairs, ratio \
             {}. The run's time is the daemon's: order, worker, sealing, syncing, journal. Peak memory of the provider or \
             its worker: {peak:.0} MiB.",
            settings.pairs,
            ratios.shown(2),
        )],
        raw: json!({"rows": settings.rows, "full_bytes": full_bytes, "full_seconds": full_seconds,
            "delta_bytes": found.delta_bytes.0, "scan_seconds": found.scans.0, "run_seconds": found.runs.0,
            "landing_seconds": found.landings.0, "ratios": ratios.0, "peak_mib": peak}),
    }
}
