//! Parquet files, of a source or of a peer. Parquet's reader panics on some hostile files and reserves memory for what a
//! page declares: the first is a fault here, and the second is looked at before.

use std::io::{self, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::batch::{SourceBatch, SourceColumn, SourceFault, named_once};
use crate::handle::{ChunkStream, Chunks, Handle};
use crate::limits::Limits;
use crate::row_fault::{Tally, Tolerance};
use crate::source::pieces::Pieces;
use crate::source::thrift::{Field, Walked, walk};

/// The key of a field's metadata that says that its text stands for objects or lists.
pub(crate) const NESTED: &str = "cohortium:nested";

/// What a file ends with: the footer's length and four letters.
const TAIL_BYTES: usize = 8;
/// Bytes of a page's heading that are looked at first.
const HEADING_BYTES: usize = 512;

/// Reads a Parquet file in batches.
pub(crate) struct ParquetReader {
    state: State,
    file: Guarded,
    /// The rows that the footer states.
    stated: u64,
    columns: Vec<SourceColumn>,
    needed: Vec<bool>,
    limits: Limits,
    tally: Tally,
    pieces: Pieces,
}

enum State {
    Opened(Box<ParquetRecordBatchReaderBuilder<Guarded>>),
    Reading(Box<ParquetRecordBatchReader>),
    Ended,
}

impl ParquetReader {
    /// Reads the footer.
    pub(crate) fn open(handle: &Handle, limits: &Limits, tolerance: Tolerance) -> Result<Self, SourceFault> {
        let file = Guarded::new(handle, limits);
        file.check_footer()?;
        let builder = file.run(0, || ParquetRecordBatchReaderBuilder::try_new(file.clone()).ok())?;
        file.pages.store(true, Ordering::Relaxed);
        let fields = builder.schema().fields();
        if fields.len() > limits.columns_max {
            return Err(SourceFault::TooManyColumns { max: limits.columns_max });
        }
        let names = named_once(fields.iter().map(|field| field.name().clone()))?;
        let columns = names.into_iter().zip(fields).map(|(name, field)| SourceColumn {
            name,
            kind: field.data_type().clone(),
            nested: field.metadata().contains_key(NESTED),
        });
        let columns: Vec<_> = columns.collect();
        let stated = u64::try_from(builder.metadata().file_metadata().num_rows());
        Ok(Self {
            stated: stated.map_err(|_| SourceFault::Damaged { rows: 0 })?,
            state: State::Opened(Box::new(builder)),
            file,
            needed: vec![true; columns.len()],
            columns,
            limits: *limits,
            tally: Tally::new(tolerance),
            pieces: Pieces::none(),
        })
    }

    /// The columns, in the file's order.
    pub(crate) fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    /// The rows that the footer states.
    pub(crate) const fn rows_stated(&self) -> u64 {
        self.stated
    }

    /// Reads only these columns.
    pub(crate) fn project(&mut self, needed: &[bool]) {
        self.needed = needed.to_vec();
    }

    /// The next rows; `None` at the end.
    pub(crate) fn next_batch(&mut self) -> Result<Option<SourceBatch>, SourceFault> {
        loop {
            if let Some(batch) = self.pieces.next(&self.columns, &self.limits, &mut self.tally)? {
                return Ok(Some(batch));
            }
            let mut reader = match std::mem::replace(&mut self.state, State::Ended) {
                State::Opened(builder) => self.start(*builder)?,
                State::Reading(reader) => reader,
                State::Ended => return Ok(None),
            };
            let rows = self.tally.rows();
            let batch = self.file.run(rows, || match reader.next() {
                Some(Ok(batch)) => Some(Some(batch)),
                Some(Err(_)) => None,
                None => Some(None),
            })?;
            let Some(batch) = batch else {
                return if rows == self.stated { Ok(None) } else { Err(SourceFault::Damaged { rows }) };
            };
            self.state = State::Reading(reader);
            let mut arrays = batch.columns().iter().cloned();
            let columns = self.needed.iter().map(|needed| if *needed { arrays.next() } else { None }).collect();
            self.pieces = Pieces::new(columns, batch.num_rows());
        }
    }

    fn start(
        &self,
        builder: ParquetRecordBatchReaderBuilder<Guarded>,
    ) -> Result<Box<ParquetRecordBatchReader>, SourceFault> {
        let wanted = self.needed.iter().enumerate().filter(|(_, needed)| **needed).map(|(index, _)| index);
        let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
        let builder = builder.with_projection(mask).with_batch_size(self.limits.batch_rows);
        self.file.run(0, || builder.build().ok()).map(Box::new)
    }
}

/// A file whose page headings are looked at before Parquet's reader sees them.
#[derive(Clone)]
struct Guarded {
    chunks: Chunks,
    part_bytes_max: usize,
    footer_bytes_max: usize,
    /// Whether streams begin at page headings: once the footer is read, they all do. Parquet's reader has clones.
    pages: Arc<AtomicBool>,
    /// A part was too long.
    too_long: Arc<AtomicBool>,
}

impl Guarded {
    fn new(handle: &Handle, limits: &Limits) -> Self {
        Self {
            chunks: Chunks::new(handle),
            part_bytes_max: limits.part_bytes_max,
            footer_bytes_max: limits.footer_bytes_max,
            pages: Arc::default(),
            too_long: Arc::default(),
        }
    }

    /// Runs Parquet's own code: a panic or an error is a damaged file, unless the medium failed.
    fn run<T>(&self, rows: u64, work: impl FnOnce() -> Option<T>) -> Result<T, SourceFault> {
        let done = catch_unwind(AssertUnwindSafe(work)).ok().flatten();
        done.ok_or_else(|| match self.chunks.failure() {
            Some(kind) => SourceFault::Read { kind },
            None if self.too_long.load(Ordering::Relaxed) => {
                SourceFault::PartTooLong { rows, max: self.part_bytes_max }
            }
            None => SourceFault::Damaged { rows },
        })
    }

    /// A footer that is short enough to be read, and no list in it that declares what nobody would write.
    fn check_footer(&self) -> Result<(), SourceFault> {
        let damaged = SourceFault::Damaged { rows: 0 };
        let tail = self.chunks.len().checked_sub(TAIL_BYTES as u64).ok_or(damaged.clone())?;
        let read = |start, length| {
            let failed = |_| self.chunks.failure().map_or(damaged.clone(), |kind| SourceFault::Read { kind });
            self.chunks.range(start, length).map_err(failed)
        };
        let ending = read(tail, TAIL_BYTES)?;
        let length = ending.first_chunk().map_or(u32::MAX, |bytes| u32::from_le_bytes(*bytes));
        let start = tail.checked_sub(u64::from(length)).ok_or(damaged.clone())?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > self.footer_bytes_max {
            return Err(SourceFault::PartTooLong { rows: 0, max: self.footer_bytes_max });
        }
        match walk(&read(start, length)?, &mut |_, _| true) {
            Walked::Whole => Ok(()),
            Walked::Unfinished | Walked::Refused => Err(damaged),
        }
    }

    /// A page that is short enough once it is decompressed, with a dictionary that can be as long as it says.
    ///
    /// Numbers of fields: `PageHeader` of the format's `parquet.thrift`.
    fn check_page(&self, start: u64) -> io::Result<()> {
        const UNCOMPRESSED: Field = Field { outer: 2, inner: 0 };
        const COMPRESSED: Field = Field { outer: 3, inner: 0 };
        const DICTIONARY_ENTRIES: Field = Field { outer: 7, inner: 1 };
        let left = usize::try_from(self.chunks.len().saturating_sub(start)).unwrap_or(usize::MAX);
        let mut length = HEADING_BYTES;
        loop {
            let heading = self.chunks.range(start, length.min(left))?;
            let max = i64::try_from(self.part_bytes_max).unwrap_or(i64::MAX);
            let (mut uncompressed, mut compressed, mut entries) = (0, 0, 0);
            let walked = walk(&heading, &mut |field, number| {
                match field {
                    UNCOMPRESSED => uncompressed = uncompressed.max(number),
                    COMPRESSED => compressed = compressed.max(number),
                    DICTIONARY_ENTRIES => entries = entries.max(number),
                    _ => {}
                }
                true
            });
            match walked {
                Walked::Unfinished if length < left && length < self.footer_bytes_max => length *= 2,
                Walked::Unfinished | Walked::Refused => return Err(io::ErrorKind::InvalidData.into()),
                Walked::Whole if uncompressed.max(compressed) > max || entries > uncompressed => {
                    self.too_long.store(true, Ordering::Relaxed);
                    return Err(io::ErrorKind::InvalidData.into());
                }
                Walked::Whole => return Ok(()),
            }
        }
    }
}

impl Length for Guarded {
    fn len(&self) -> u64 {
        self.chunks.len()
    }
}

impl ChunkReader for Guarded {
    type T = BufReader<ChunkStream>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        if self.pages.load(Ordering::Relaxed) {
            self.check_page(start)?;
        }
        self.chunks.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.chunks.get_bytes(start, length)
    }
}
