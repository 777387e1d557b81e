//! Releases as somebody uses them: opened, read as Arrow, written as Parquet and CSV; and what changes underneath is never decoded.

#![expect(clippy::unwrap_used, reason = "what goes wrong fails the test")]

#[path = "../examples/samples/bodies.rs"]
mod bodies;
#[expect(dead_code, reason = "its log is looked at by another test")]
#[path = "../examples/samples/world.rs"]
mod world;

use std::cell::RefCell;
use std::fs::{self, File};
use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Float64Type;
use cohortium_protocol::digest::{Sha256, blob_digest};
use cohortium_protocol::quantity::{Bytes, Rows};
use cohortium_protocol::record::release::{BodyFile, FileDigest, Release, ReleaseFields};
use cohortium_sdk::release::{DiskFolder, OpenRelease, Progress, ReadFault, VerifiedRelease, Wrong, WrongRows, rows};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

fn laid_out(kind: &str) -> (tempfile::TempDir, world::Sample) {
    let (dir, sample) = (tempfile::tempdir().unwrap(), world::sample());
    for (path, bytes) in &sample.releases[kind] {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    (dir, sample)
}

fn opened(kind: &str) -> (tempfile::TempDir, OpenRelease) {
    let (dir, sample) = laid_out(kind);
    let release = OpenRelease::open(dir.path(), Some(sample.consortium)).unwrap();
    (dir, release)
}

fn all(release: &OpenRelease) -> RecordBatch {
    let batches = release.batches().unwrap();
    let schema = batches.columns().clone();
    concat_batches(&schema, &batches.map(Result::unwrap).collect::<Vec<_>>()).unwrap()
}

#[test]
fn rows_of_all_files_come_as_arrow_and_again_from_parquet() {
    let (_dir, release) = opened("microdata");
    let rows = all(&release);
    assert_eq!(rows.num_rows() as u64, release.verified().rows.0);
    let to = tempfile::tempdir().unwrap();
    let path = to.path().join("rows.parquet");
    fs::write(&path, "what was there").unwrap();
    assert_eq!(release.write_parquet(&path).unwrap(), release.verified().rows.0);
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap().build().unwrap();
    let written: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    assert_eq!(concat_batches(rows.schema_ref(), &written).unwrap(), rows);
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_number_of_an_answer_lies_within_its_interval_and_states_its_cost() {
    let (_dir, release) = opened("aggregate");
    let rows = all(&release);
    let column = |name: &str| rows.column_by_name(name).unwrap().as_primitive::<Float64Type>().values().to_vec();
    let [low, days, high] = ["days low", "days", "days high"].map(column);
    assert!(low.iter().zip(&days).zip(&high).all(|((low, value), high)| low < value && value < high));
    let cost = release.cost().unwrap();
    assert!(cost.epsilon.0 > 0 && cost.epsilon_person > cost.epsilon && cost.uncovered.len() == 2);
    assert!(opened("counts").1.cost().is_none(), "a table of counts claims no epsilon");
}

#[test]
fn csv_keeps_what_is_missing_apart_from_every_text() {
    let (_dir, release) = opened("counts");
    let to = tempfile::tempdir().unwrap();
    let path = to.path().join("counts.csv");
    assert_eq!(release.write_csv(&path, "").unwrap(), 30);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().next(), Some("site,age,patients"));
    assert_eq!(text.lines().filter(|line| line.ends_with(',')).count(), all(&release).column(2).null_count());
    // A mark that is a text of a column would make both look alike: nothing is written, and what was there stays.
    let fault = release.write_csv(&path, "north").unwrap_err();
    assert_eq!(fault.wrong, WrongRows::Mark { column: "site".to_owned() });
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn what_has_changed_since_it_was_verified_is_never_decoded() {
    let (dir, release) = opened("microdata");
    let path = dir.path().join("body/part-001.parquet");
    let good = fs::read(&path).unwrap();
    let last = |release: &OpenRelease| {
        let mut batches = release.batches().unwrap();
        loop {
            match batches.following_batch() {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(fault) => {
                    assert!(batches.following_batch().unwrap().is_none(), "nothing comes after a fault");
                    return Some((fault.path, fault.wrong));
                }
            }
        }
    };
    let named = |wrong| Some(("body/part-001.parquet".to_owned(), wrong));
    // A valid file with other rows, a flipped byte, more bytes.
    for other in
        [fs::read(dir.path().join("body/part-000.parquet")).unwrap(), flipped(&good), [&good[..], &[0]].concat()]
    {
        fs::write(&path, other).unwrap();
        assert_eq!(last(&release), named(WrongRows::Changed));
        assert!(release.write_parquet(&dir.path().join("new")).is_err() && !dir.path().join("new").exists());
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(last(&release), named(WrongRows::Read(ReadFault::Missing)));
    fs::write(&path, good).unwrap();
    assert_eq!(last(&release), None);
}

#[test]
fn rows_that_are_not_as_many_as_stated_or_of_other_columns_are_refused() {
    let (dir, release) = opened("microdata");
    let stated = |bend: &dyn Fn(&mut Vec<BodyFile>)| {
        let mut fields = ReleaseFields::from(release.statement().clone());
        bend(&mut fields.body);
        let bent = Release::try_from(fields).unwrap();
        rows(&DiskFolder::new(dir.path()), &VerifiedRelease { release: bent, ..release.verified().clone() })
    };
    assert!(stated(&|_| ()).is_ok());
    let fault = stated(&|body| body[1].rows.0 += 1).unwrap_err();
    assert_eq!((fault.path.as_str(), fault.wrong), ("body/part-001.parquet", WrongRows::Count));
    let other = world::sample().releases["counts"]["body/counts.parquet"].clone();
    fs::write(dir.path().join("body/part-002.parquet"), &other).unwrap();
    let fault = stated(&|body| body.push(body_file("body/part-002.parquet", &other))).unwrap_err();
    assert_eq!((fault.path.as_str(), fault.wrong), ("body/part-002.parquet", WrongRows::Columns));
    fs::write(dir.path().join("body/part-002.parquet"), "no Parquet").unwrap();
    let fault = stated(&|body| body.push(body_file("body/part-002.parquet", b"no Parquet"))).unwrap_err();
    assert_eq!((fault.path.as_str(), fault.wrong), ("body/part-002.parquet", WrongRows::Parquet));
}

fn body_file(path: &str, bytes: &[u8]) -> BodyFile {
    let mut sha256 = Sha256::new();
    sha256.push(bytes);
    BodyFile {
        path: path.parse().unwrap(),
        bytes: Bytes(bytes.len() as u64),
        digest: blob_digest(bytes),
        sha256: FileDigest(sha256.finish()),
        rows: Rows(30),
    }
}

fn flipped(bytes: &[u8]) -> Vec<u8> {
    let mut bent = bytes.to_vec();
    bent[bytes.len() / 2] ^= 1;
    bent
}

#[test]
fn progress_ends_with_all_bytes_and_whoever_stops_it_gets_nothing() {
    let (dir, sample) = laid_out("microdata");
    let seen = RefCell::new(Vec::<Progress>::new());
    let open = |path: &Path, goes_on: &dyn Fn(Progress) -> bool| {
        OpenRelease::open_watched(path, Some(sample.consortium), goes_on)
    };
    open(dir.path(), &|progress| {
        seen.borrow_mut().push(progress);
        true
    })
    .unwrap();
    let seen = seen.into_inner();
    assert!(seen.windows(2).all(|pair| pair[0].done <= pair[1].done));
    let last = seen.last().unwrap();
    let bytes: usize = sample.releases["microdata"].values().map(Vec::len).sum();
    assert_eq!((last.done, last.total), (last.total, bytes as u64));
    let fault = open(dir.path(), &|progress| progress.done < 1_000).unwrap_err();
    assert_eq!(fault.wrong, Wrong::Read(ReadFault::Unreadable));
}
