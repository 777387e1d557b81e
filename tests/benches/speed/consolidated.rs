//! A consolidated part after a change of 1 %: what the merge takes beyond reading what has landed since, over what building the
//! whole part takes beyond reading all that has landed. In the engine alone, from memory to memory.

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Date32Array, FixedSizeBinaryArray, Float64Array, Int64Array, RecordBatch, StringArray};
use cohortium_engine::consolidate::gather::{GatherJob, PreviousPart, gather, merge};
use cohortium_engine::consolidate::part::PartReport;
use cohortium_engine::consolidate::shape::{TableColumn, TableFields, TableShape};
use cohortium_engine::handle::Handle;
use cohortium_engine::land::{LandedChain, LandedPart};
use cohortium_engine::limits::Limits;
use cohortium_engine::source::{Format, SourceReader};
use cohortium_protocol::ident::{Name, SnapshotId};
use cohortium_protocol::record::schema::ColumnType;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::json;

use crate::Settings;
use crate::report::{Bar, Outcome, Series, Side};

const SHARE_MAX: f64 = 0.10;
/// Sinks that a part may take.
const SINKS: usize = 16;
/// Changes in a row, at most.
const CHANGES: u8 = 20;

fn shape() -> TableShape {
    let column = |(name, kind, required): (&str, _, _)| TableColumn { name: name.parse().unwrap(), kind, required };
    let columns = [
        ("measurement_id", ColumnType::Integer, true),
        ("person_id", ColumnType::Integer, true),
        ("measurement_concept_id", ColumnType::Integer, true),
        ("measurement_date", ColumnType::Date, true),
        ("value_as_number", ColumnType::Float, false),
        ("unit_concept_id", ColumnType::Integer, false),
        ("visit_occurrence_id", ColumnType::Integer, false),
        ("measurement_source_value", ColumnType::Text, false),
    ];
    let fields = TableFields {
        table: "measurement".parse().unwrap(),
        columns: columns.map(column).to_vec(),
        key: vec!["measurement_id".parse().unwrap()],
        person: Some("person_id".parse().unwrap()),
    };
    fields.try_into().unwrap()
}

/// A number that follows from another and looks like chance.
fn mixed(row: u64) -> u64 {
    let mut z = row.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z ^ (z >> 31)
}

/// These measurements as a landed file, on a day.
fn landed(rows: &(impl Iterator<Item = u64> + Clone), day: u64) -> Handle {
    let whole = |of: &dyn Fn(u64) -> u64| -> ArrayRef {
        let value = |row| i64::try_from(of(row) >> 1).unwrap();
        Arc::new(rows.clone().map(value).collect::<Int64Array>())
    };
    let ids = rows.clone().map(|row| [mixed(row).to_be_bytes(), row.to_be_bytes()].concat());
    let days = rows.clone().map(|row| Some(i32::try_from(18_000 + row % 1_500).unwrap())).collect::<Date32Array>();
    let values =
        rows.clone().map(|row| Some((mixed(row) % 4_000 + 40_000 * day) as f64 / 10.0)).collect::<Float64Array>();
    let codes =
        rows.clone().map(|row| Some(["2951-2", "2823-3", "718-7", "1751-7"][usize::try_from(row % 4).unwrap()]));
    let origins = rows.clone().map(|row| Some(format!("{:016x}{row:016x}", mixed(row + 5))));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("cohortium_row", Arc::new(FixedSizeBinaryArray::try_from_iter(ids).unwrap())),
        ("measurement_id", whole(&|row| mixed(row + 7))),
        ("person_id", whole(&|row| mixed(row / 40))),
        ("measurement_concept_id", whole(&|row| 6_000_000 + row % 4)),
        ("measurement_date", Arc::new(days)),
        ("value_as_number", Arc::new(values)),
        ("unit_concept_id", whole(&|row| 17_000 + row % 4)),
        ("visit_occurrence_id", whole(&|row| mixed(row / 10))),
        ("measurement_source_value", Arc::new(codes.collect::<StringArray>())),
        ("cohortium_source", Arc::new(rows.clone().map(|_| Some("labs")).collect::<StringArray>())),
        ("cohortium_origin", Arc::new(origins.collect::<StringArray>())),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
    let batch = batch.unwrap();
    let zstd = Compression::ZSTD(ZstdLevel::try_new(1).unwrap());
    let properties =
        WriterProperties::builder().set_compression(zstd).set_max_row_group_row_count(Some(131_072)).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    Arc::new(bytes)
}

/// Seconds to read every column of these files to the end.
fn scanned(files: &[Handle]) -> f64 {
    let began = Instant::now();
    for file in files {
        let mut reader = SourceReader::open(file, Format::Parquet, &Limits::default()).unwrap();
        while reader.next_batch().unwrap().is_some() {}
    }
    began.elapsed().as_secs_f64()
}

/// Makes a part; gives it, its files, and the seconds.
fn made(
    before: &[Handle],
    work: impl FnOnce(&mut dyn Iterator<Item = &mut (dyn Write + Send)>) -> PartReport,
) -> (PartReport, Vec<Handle>, f64) {
    let mut sinks: Vec<Vec<u8>> = vec![Vec::new(); SINKS];
    let began = Instant::now();
    let report = work(&mut sinks.iter_mut().map(|sink| sink as &mut (dyn Write + Send)));
    let seconds = began.elapsed().as_secs_f64();
    sinks.truncate(report.written());
    let kept = before[..report.kept].iter().cloned();
    let files = kept.chain(sinks.into_iter().map(|sink| Arc::new(sink) as Handle)).collect();
    (report, files, seconds)
}

fn job<'a>(
    shape: &'a TableShape,
    member: &'a Name,
    chain: &'a LandedChain,
    snapshots: &'a [SnapshotId],
) -> GatherJob<'a> {
    GatherJob { shape, member, chain, snapshots, limits: Limits::default() }
}

/// What one round took, in seconds.
struct Round {
    whole: f64,
    whole_scan: f64,
    merge: f64,
    merge_scan: f64,
    /// Each of a series of changes of 1 %, until another base has been written.
    series: Vec<f64>,
}

fn round(rows: u64, shape: &TableShape, member: &Name) -> Round {
    let full = LandedPart { rows: landed(&(0..rows), 0), deletes: None };
    let change = |number: u64| {
        let rows = (0..rows).filter(move |row| row % 100 == 37 + number);
        LandedPart { rows: landed(&rows, 1), deletes: None }
    };
    let snapshots: Vec<_> = (1..=CHANGES + 2).map(|number| SnapshotId([number; 32])).collect();
    let mut chain = LandedChain { full: full.clone(), deltas: Vec::new() };
    let (_, mut before, _) = made(&[], |sinks| gather(&job(shape, member, &chain, &snapshots[..1]), sinks).unwrap());
    let one = change(0);
    let (whole_scan, merge_scan) = (scanned(&[full.rows, one.rows.clone()]), scanned(std::slice::from_ref(&one.rows)));
    chain.deltas.push(one);
    let (report, _, whole) = made(&[], |sinks| gather(&job(shape, member, &chain, &snapshots[..2]), sinks).unwrap());
    let mut series = Vec::new();
    for deltas in 0..usize::from(CHANGES) {
        if deltas > 0 {
            chain.deltas.push(change(deltas as u64));
        }
        let job = job(shape, member, &chain, &snapshots[..deltas + 2]);
        let previous = PreviousPart { files: &before, deltas };
        let (again, files, merge) = made(&before, |sinks| merge(&job, &previous, sinks).unwrap());
        if deltas == 0 {
            assert_eq!((report.digest, report.rows), (again.digest, again.rows), "both ways make one part");
        }
        let based = again.kept == 0;
        series.push(merge);
        before = files;
        if based {
            break;
        }
    }
    Round { whole, whole_scan, merge: series[0], merge_scan, series }
}

pub(crate) fn run(settings: &Settings) -> Outcome {
    let (rows, shape, member) = (settings.rows, shape(), "north".parse::<Name>().unwrap());
    let [mut wholes, mut merges, mut whole_scans, mut merge_scans, mut shares, mut means] =
        [(); 6].map(|()| Series::default());
    let mut length = 0;
    for _ in 0..settings.pairs {
        let Round { whole, whole_scan, merge, merge_scan, series } = round(rows, &shape, &member);
        let share = |seconds: f64| (seconds - merge_scan) / (whole - whole_scan);
        shares.push(share(merge));
        length = series.len();
        means.push(share(series.iter().sum::<f64>() / length as f64));
        wholes.push(whole);
        merges.push(merge);
        whole_scans.push(whole_scan);
        merge_scans.push(merge_scan);
    }
    let row = |what: &str, series: &Series| vec![what.to_owned(), series.shown(3)];
    Outcome {
        title: format!("A consolidated part of {rows} rows after a change of 1 %"),
        header: vec!["what", "seconds"],
        rows: vec![
            row("the whole part from the landed chain", &wholes),
            row("reading the landed chain", &whole_scans),
            row("merging the change into the part before", &merges),
            row("reading the change", &merge_scans),
        ],
        bars: vec![Bar {
            what: "the merge's time beyond reading the change over the whole's beyond reading the chain".to_owned(),
            measured: shares.median(),
            bound: SHARE_MAX,
            side: Side::AtMost,
            unit: "",
        }],
        notes: vec![format!(
            "One member's measurements, changed rows spread evenly over patients; medians of {} rounds. Both ways give one \
             digest. Over {length} such changes one after the other, the last of which writes another base, the same share is \
             {} on average.",
            settings.pairs,
            means.shown(2)
        )],
        raw: json!({"rows": rows, "whole": wholes.0, "merge": merges.0, "whole_scan": whole_scans.0,
            "merge_scan": merge_scans.0, "shares": shares.0, "changes": length, "mean_shares": means.0}),
    }
}
