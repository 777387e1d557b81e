//! The rows of a release as text, all of them at once.

use arrow::array::Array;

use super::batches::{Batches, RowsFault, WrongRows};
use super::check::VerifiedRelease;
use super::export::text;
use super::folder::DiskFolder;

/// The rows of a release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReleasedRows {
    /// Names of columns.
    pub header: Vec<String>,
    /// Cells in the order of the columns; `None` where nothing is stated.
    pub rows: Vec<Vec<Option<String>>>,
}

/// Reads the rows of a release that was verified in this folder.
///
/// # Errors
/// The file that cannot be read, or is not the one any more that was verified.
pub fn rows(folder: &DiskFolder, verified: &VerifiedRelease) -> Result<ReleasedRows, RowsFault> {
    let mut batches = Batches::new(folder.clone(), &verified.release)?;
    let header = batches.columns().fields().iter().map(|field| field.name().clone()).collect();
    let mut found = ReleasedRows { header, rows: Vec::new() };
    while let Some(batch) = batches.following_batch()? {
        let named = found.header.iter().zip(batch.columns());
        let texts = named.map(|(column, array)| {
            let wrong = || RowsFault::new("body", WrongRows::NoText { column: column.clone() });
            text(array).ok_or_else(wrong)
        });
        let texts = texts.collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            found.rows.push(texts.iter().map(|text| text.is_valid(row).then(|| text.value(row).to_owned())).collect());
        }
    }
    Ok(found)
}
