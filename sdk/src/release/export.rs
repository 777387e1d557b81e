//! Rows of a verified release in files of other tools: Parquet and CSV. A new file is there whole, or not at all.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::csv::WriterBuilder;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::sync::Arc;

use super::batches::{Batches, RowsFault, WrongRows};
use super::open::OpenRelease;

impl OpenRelease {
    /// Writes all rows into one new Parquet file, in place of one that is there. Returns the number of rows.
    ///
    /// # Errors
    /// [`RowsFault`]; what was at `path` is then as it was.
    pub fn write_parquet(&self, path: &Path) -> Result<u64, RowsFault> {
        let batches = self.batches()?;
        whole(path, |file| parquet(file, path, batches))
    }

    /// Writes all rows into one new CSV file with a line of names, in place of one that is there; `missing` stands where
    /// nothing is stated. Returns the number of rows.
    ///
    /// # Errors
    /// [`RowsFault`], also where a text of a column is `missing` itself, so that nobody could tell the two apart; what was at
    /// `path` is then as it was.
    pub fn write_csv(&self, path: &Path, missing: &str) -> Result<u64, RowsFault> {
        let batches = self.batches()?;
        whole(path, |file| csv(file, path, batches, missing))
    }
}

/// Writes beside `path`, makes it durable and moves it there.
fn whole(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> Result<u64, RowsFault>) -> Result<u64, RowsFault> {
    let wrong = |fault: std::io::Error| RowsFault::new(path.display().to_string(), WrongRows::Write(fault.kind()));
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = File::create_new(&beside).map_err(wrong).and_then(|file| {
        let mut file = BufWriter::new(file);
        let rows = write(&mut file)?;
        file.flush().and_then(|()| file.get_ref().sync_all()).map_err(wrong)?;
        fs::rename(&beside, path).map_err(wrong)?;
        Ok(rows)
    });
    if written.is_err() {
        // It may not be there at all; either way nothing of it is at `path`.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn unwritten(path: &Path) -> RowsFault {
    RowsFault::new(path.display().to_string(), WrongRows::Write(std::io::ErrorKind::Other))
}

fn parquet(file: &mut BufWriter<File>, path: &Path, mut batches: Batches) -> Result<u64, RowsFault> {
    let level = ZstdLevel::try_new(3).map_err(|_| unwritten(path))?;
    let form = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
    let mut writer = ArrowWriter::try_new(file, batches.columns().clone(), Some(form)).map_err(|_| unwritten(path))?;
    let mut rows = 0;
    while let Some(batch) = batches.following_batch()? {
        writer.write(&batch).map_err(|_| unwritten(path))?;
        rows += batch.num_rows() as u64;
    }
    writer.close().map_err(|_| unwritten(path))?;
    Ok(rows)
}

fn csv(file: &mut BufWriter<File>, path: &Path, mut batches: Batches, missing: &str) -> Result<u64, RowsFault> {
    let fields: Vec<Field> =
        batches.columns().fields().iter().map(|field| Field::new(field.name(), DataType::Utf8, true)).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let mut writer = WriterBuilder::new().with_header(true).with_null(missing.to_owned()).build(file);
    // Also a release without a row has a line of names.
    writer.write(&RecordBatch::new_empty(schema.clone())).map_err(|_| unwritten(path))?;
    let mut rows = 0;
    while let Some(batch) = batches.following_batch()? {
        let texts = texts(&batch, missing).map_err(|wrong| RowsFault::new(path.display().to_string(), wrong))?;
        let columns = texts.into_iter().map(|text| Arc::new(text) as _).collect();
        let batch = RecordBatch::try_new(schema.clone(), columns).map_err(|_| unwritten(path))?;
        writer.write(&batch).map_err(|_| unwritten(path))?;
        rows += batch.num_rows() as u64;
    }
    Ok(rows)
}

/// The columns as text, none of which is the mark for what is missing.
fn texts(batch: &RecordBatch, missing: &str) -> Result<Vec<StringArray>, WrongRows> {
    let named = batch.schema_ref().fields().iter().map(|field| field.name().clone()).zip(batch.columns());
    named
        .map(|(column, array)| {
            let text = text(array).ok_or_else(|| WrongRows::NoText { column: column.clone() })?;
            if text.iter().flatten().any(|cell| cell == missing) {
                return Err(WrongRows::Mark { column });
            }
            Ok(text)
        })
        .collect()
}

/// A column as text; `None` where its type has none.
pub(super) fn text(array: &dyn Array) -> Option<StringArray> {
    let text = cast(array, &DataType::Utf8).ok()?;
    // A cast that fails makes nothing of a cell.
    (text.null_count() == array.null_count()).then(|| text.as_string::<i32>().clone())
}
