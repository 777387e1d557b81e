//! The data of the benches: a Parquet file of a given size, and a keyed table as text with a day of change.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

const MEASURES: usize = 16;
const BATCH_ROWS: usize = 65_536;
/// A key of the file's own metadata, whose value makes each repetition another file.
const MARK: &str = "bench-repetition";
const MARK_DIGITS: usize = 8;

/// Writes a Parquet file of at least `bytes`: a row number and 16 measures that do not compress. Gives its bytes.
pub(crate) fn parquet(path: &Path, bytes: u64) -> u64 {
    let measures = (0..MEASURES).map(|i| Field::new(format!("measure_{i}"), DataType::Float64, false));
    let fields = std::iter::once(Field::new("row", DataType::Int64, false)).chain(measures);
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let mark = KeyValue::new(MARK.to_owned(), "0".repeat(MARK_DIGITS));
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_max_row_group_row_count(Some(8 * BATCH_ROWS))
        .set_key_value_metadata(Some(vec![mark]));
    let file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties.build())).unwrap();
    let mut dice = ChaCha8Rng::seed_from_u64(1);
    let mut rows = 0;
    let batch_bytes = (8 * (1 + MEASURES) * BATCH_ROWS) as u64;
    for _ in 0..bytes.div_ceil(batch_bytes) {
        let numbers = Int64Array::from_iter_values(rows..rows + i64::try_from(BATCH_ROWS).unwrap());
        rows += i64::try_from(BATCH_ROWS).unwrap();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(numbers)];
        for _ in 0..MEASURES {
            let value = |_| (dice.next_u64() >> 11) as f64 / 1e12;
            columns.push(Arc::new(Float64Array::from_iter_values((0..BATCH_ROWS).map(value))));
        }
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()).unwrap();
    }
    writer.close().unwrap();
    path.metadata().unwrap().len()
}

/// Makes a file of [`parquet`] another one, of the same length and rows.
pub(crate) fn mark(path: &Path, number: usize) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let bytes = file.metadata().unwrap().len();
    let tail_bytes = bytes.min(256 * 1024);
    let mut tail = vec![0; usize::try_from(tail_bytes).unwrap()];
    file.read_exact_at(&mut tail, bytes - tail_bytes).unwrap();
    let at = tail.windows(MARK.len()).position(|part| part == MARK.as_bytes()).unwrap();
    let value = tail[at..].windows(MARK_DIGITS).position(|part| part.iter().all(u8::is_ascii_digit)).unwrap();
    let place = bytes - tail_bytes + (at + value) as u64;
    file.write_all_at(format!("{number:0MARK_DIGITS$}").as_bytes(), place).unwrap();
    file.sync_all().unwrap();
}

/// Writes a keyed text table of `rows` encounters. On day 0 it is as it began; on each later day one row in a hundred
/// has another value than on day 0, other rows each day.
pub(crate) fn encounters(path: &Path, rows: u64, day: u64) {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    writeln!(out, "encounter,patient,admitted,ward,sex,age,glucose,sodium,creatinine,bmi,pulse,diagnosis").unwrap();
    let mut dice = ChaCha8Rng::seed_from_u64(2);
    for row in 0..rows {
        let (a, b) = (dice.next_u64(), dice.next_u64());
        let part = |word: u64, shift: u32, below: u64| (word >> shift & 0xffff) % below;
        let changed = day > 0 && row % 100 == day % 100;
        let glucose = part(a, 0, 4000) + if changed { 10_000 * day } else { 0 };
        writeln!(
            out,
            "E{row:09},P{:08},20{:02}-{:02}-{:02},{},{},{},{}.{},{}.{},{}.{:02},{}.{},{},{}{:02}.{}",
            row / 3,
            10 + part(a, 16, 15),
            1 + part(a, 32, 12),
            1 + part(a, 48, 28),
            ["north", "south", "icu", "day", "surgery"][usize::try_from(part(b, 0, 5)).unwrap()],
            ["F", "M"][usize::try_from(part(b, 16, 2)).unwrap()],
            18 + part(b, 32, 72),
            40 + glucose / 10,
            glucose % 10,
            125 + part(b, 8, 30),
            part(b, 24, 10),
            part(b, 40, 9),
            part(b, 48, 100),
            16 + part(a, 8, 30),
            part(a, 24, 10),
            45 + part(a, 40, 90),
            ["A", "E", "I", "J", "K", "N"][usize::try_from(part(b, 4, 6)).unwrap()],
            part(b, 20, 100),
            part(b, 36, 10),
        )
        .unwrap();
    }
    out.flush().unwrap();
    let mut file = out.into_inner().unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.sync_all().unwrap();
}
