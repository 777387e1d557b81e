//! The rows of a verified release as Arrow: each body file read once more, compared with the statement, then decoded.

use std::collections::VecDeque;
use std::fmt;

use arrow::array::{RecordBatch, RecordBatchReader};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use cohortium_protocol::digest::Sha256;
use cohortium_protocol::record::release::{BodyFile, FileDigest, Release};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::folder::{DiskFolder, FolderRead, ReadFault};

/// Why a release gives no rows, or is not written elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowsFault {
    /// The file of the folder, or the new one.
    pub path: String,
    /// What is wrong with it.
    pub wrong: WrongRows,
}

/// What can be wrong with the rows of a release that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrongRows {
    /// The file cannot be read any more.
    Read(ReadFault),
    /// It is not the file any more that was verified.
    Changed,
    /// It is no Parquet that this reader decodes.
    Parquet,
    /// Its columns are others than those of the file before it.
    Columns,
    /// It has another number of rows than is stated.
    Count,
    /// A column has no form as text.
    NoText {
        /// Its name.
        column: String,
    },
    /// A text of this column is the very mark that was to stand for what is missing.
    Mark {
        /// Its name.
        column: String,
    },
    /// The new file cannot be written.
    Write(std::io::ErrorKind),
}

impl RowsFault {
    pub(super) fn new(path: impl Into<String>, wrong: WrongRows) -> Self {
        Self { path: path.into(), wrong }
    }
}

impl WrongRows {
    /// Its name in one word for scripts.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Read(ReadFault::Missing) => "missing",
            Self::Read(ReadFault::Unreadable) => "unreadable",
            Self::Read(ReadFault::TooLong) => "too-long",
            Self::Changed => "changed",
            Self::Parquet => "parquet",
            Self::Columns => "columns",
            Self::Count => "count",
            Self::NoText { .. } => "no-text",
            Self::Mark { .. } => "mark",
            Self::Write(_) => "write",
        }
    }
}

impl fmt::Display for RowsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.path)?;
        match &self.wrong {
            WrongRows::Read(fault) => fault.fmt(f),
            WrongRows::Changed => f.write_str("has changed since it was verified: open the release again"),
            WrongRows::Parquet => f.write_str("is no Parquet that this version reads"),
            WrongRows::Columns => f.write_str("has other columns than the file before it"),
            WrongRows::Count => f.write_str("has another number of rows than the statement says"),
            WrongRows::NoText { column } => {
                write!(f, "has a column {column:?} without a form as text: write Parquet instead")
            }
            WrongRows::Mark { column } => {
                write!(f, "has a text in column {column:?} that is the mark for what is missing: choose another mark")
            }
            WrongRows::Write(kind) => write!(f, "cannot be written: {kind}"),
        }
    }
}

impl std::error::Error for RowsFault {}

/// The rows of a release, in batches. At any time one file is in memory.
pub struct Batches {
    folder: DiskFolder,
    left: VecDeque<BodyFile>,
    schema: SchemaRef,
    now: Option<(BodyFile, ParquetRecordBatchReader, u64)>,
}

impl fmt::Debug for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches").field("files_left", &self.left.len()).finish_non_exhaustive()
    }
}

impl Batches {
    pub(super) fn new(folder: DiskFolder, release: &Release) -> Result<Self, RowsFault> {
        let mut left: VecDeque<BodyFile> = release.body.iter().cloned().collect();
        let first = left.pop_front().expect("a release has at least one body file, which its constructor checks");
        let reader = opened(&folder, &first)?;
        let schema = reader.schema();
        Ok(Self { folder, left, schema, now: Some((first, reader, 0)) })
    }

    /// Names and types of the columns.
    pub const fn columns(&self) -> &SchemaRef {
        &self.schema
    }

    fn step(&mut self) -> Result<Option<RecordBatch>, RowsFault> {
        while let Some((file, reader, rows)) = &mut self.now {
            let path = file.path.as_str();
            match reader.next() {
                Some(Ok(batch)) => {
                    *rows += batch.num_rows() as u64;
                    return Ok(Some(batch));
                }
                // What the reader says may quote a cell.
                Some(Err(_)) => return Err(RowsFault::new(path, WrongRows::Parquet)),
                None if *rows != file.rows.0 => return Err(RowsFault::new(path, WrongRows::Count)),
                None => self.now = self.following()?,
            }
        }
        Ok(None)
    }

    fn following(&mut self) -> Result<Option<(BodyFile, ParquetRecordBatchReader, u64)>, RowsFault> {
        let Some(file) = self.left.pop_front() else { return Ok(None) };
        let reader = opened(&self.folder, &file)?;
        if reader.schema().fields() != self.schema.fields() {
            return Err(RowsFault::new(file.path.as_str(), WrongRows::Columns));
        }
        Ok(Some((file, reader, 0)))
    }

    /// The next batch.
    ///
    /// # Errors
    /// The file that gives no more rows; nothing comes after that.
    pub fn following_batch(&mut self) -> Result<Option<RecordBatch>, RowsFault> {
        let next = self.step();
        if next.is_err() {
            self.now = None;
            self.left.clear();
        }
        next
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.following_batch().map_err(|fault| ArrowError::ExternalError(Box::new(fault))).transpose()
    }
}

impl RecordBatchReader for Batches {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

/// A body file in memory, its bytes compared with the statement, then looked into.
fn opened(folder: &DiskFolder, file: &BodyFile) -> Result<ParquetRecordBatchReader, RowsFault> {
    let path = file.path.as_str();
    let wrong = |wrong| RowsFault::new(path, wrong);
    let most = usize::try_from(file.bytes.0).map_err(|_| wrong(WrongRows::Read(ReadFault::TooLong)))?;
    let bytes = folder.whole(path, most).map_err(|fault| match fault {
        ReadFault::TooLong => wrong(WrongRows::Changed),
        other => wrong(WrongRows::Read(other)),
    })?;
    let mut sha256 = Sha256::new();
    sha256.push(&bytes);
    if bytes.len() != most || FileDigest(sha256.finish()) != file.sha256 {
        return Err(wrong(WrongRows::Changed));
    }
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes));
    reader.and_then(ParquetRecordBatchReaderBuilder::build).map_err(|_| wrong(WrongRows::Parquet))
}
