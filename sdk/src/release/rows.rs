//! The rows of a verified body, as text: verified first, then decoded.

use std::fmt;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::check::VerifiedRelease;
use super::folder::DiskFolder;

/// The rows of a release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReleasedRows {
    /// Names of columns.
    pub header: Vec<String>,
    /// Cells in the order of the columns; `None` where nothing is stated.
    pub rows: Vec<Vec<Option<String>>>,
}

/// Why a body that was verified gives no rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowsFault {
    /// The file.
    pub path: String,
}

impl fmt::Display for RowsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be read as Parquet of columns that have a text form", self.path)
    }
}

impl std::error::Error for RowsFault {}

/// Reads the rows of a release that was verified in this folder.
///
/// # Errors
/// The file that cannot be read.
pub fn rows(folder: &DiskFolder, verified: &VerifiedRelease) -> Result<ReleasedRows, RowsFault> {
    let mut found = ReleasedRows::default();
    for file in &verified.release.body {
        let path = file.path.as_str();
        read(folder, path, &mut found).ok_or_else(|| RowsFault { path: path.to_owned() })?;
    }
    Ok(found)
}

fn read(folder: &DiskFolder, path: &str, found: &mut ReleasedRows) -> Option<()> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(folder.open(path).ok()?).ok()?;
    found.header = reader.schema().fields().iter().map(|field| field.name().clone()).collect();
    for batch in reader.build().ok()? {
        let batch = batch.ok()?;
        let texts =
            batch.columns().iter().map(|array| cast(array, &DataType::Utf8).ok()).collect::<Option<Vec<_>>>()?;
        let texts: Vec<_> = texts.iter().map(AsArray::as_string::<i32>).collect();
        for row in 0..batch.num_rows() {
            let cell = |text: &&arrow::array::StringArray| text.is_valid(row).then(|| text.value(row).to_owned());
            found.rows.push(texts.iter().map(cell).collect());
        }
    }
    Some(())
}
