//! Sources: a table's rows in batches, from text or Parquet, in bounded memory.

use std::sync::mpsc::sync_channel;
use std::thread;

use cohortium_protocol::record::dataset::Source;

use crate::batch::{SourceBatch, SourceColumn, SourceFault};
use crate::columnar::ParquetReader;
use crate::csv::CsvReader;
use crate::handle::Handle;
use crate::limits::Limits;

/// Batches that wait between two threads.
const BATCHES_WAITING: usize = 3;

/// How a source's bytes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A text table with one header line.
    Csv {
        /// The character between two cells.
        delimiter: u8,
    },
    /// A Parquet file.
    Parquet,
}

impl Format {
    /// The format of a table source; `None` for a folder of files that nobody looks into.
    pub const fn of(source: &Source) -> Option<Self> {
        match source {
            Source::Csv { delimiter, .. } => Some(Self::Csv { delimiter: *delimiter }),
            Source::Parquet { .. } => Some(Self::Parquet),
            Source::Files { .. } => None,
        }
    }
}

/// Reads a source in batches.
#[expect(missing_debug_implementations, reason = "it holds rows")]
pub struct SourceReader(Kind);

enum Kind {
    Csv(Box<CsvReader>),
    Parquet(Box<ParquetReader>),
}

impl SourceReader {
    /// Reads the header, or Parquet's footer.
    ///
    /// # Errors
    /// [`SourceFault`].
    pub fn open(handle: &Handle, format: Format, limits: &Limits) -> Result<Self, SourceFault> {
        Ok(Self(match format {
            Format::Csv { delimiter } => Kind::Csv(Box::new(CsvReader::open(handle, delimiter, limits)?)),
            Format::Parquet => Kind::Parquet(Box::new(ParquetReader::open(handle, limits)?)),
        }))
    }

    /// The columns, in the source's order.
    pub fn columns(&self) -> &[SourceColumn] {
        match &self.0 {
            Kind::Csv(reader) => reader.columns(),
            Kind::Parquet(reader) => reader.columns(),
        }
    }

    /// Reads only these columns, one flag for each; to be called before the first batch.
    pub fn project(&mut self, needed: &[bool]) {
        match &mut self.0 {
            Kind::Csv(reader) => reader.project(needed),
            Kind::Parquet(reader) => reader.project(needed),
        }
    }

    /// The next rows, at least one; `None` at the end.
    ///
    /// # Errors
    /// [`SourceFault`]; nothing can be read after one.
    pub fn next_batch(&mut self) -> Result<Option<SourceBatch>, SourceFault> {
        match &mut self.0 {
            Kind::Csv(reader) => reader.next_batch(),
            Kind::Parquet(reader) => reader.next_batch(),
        }
    }
}

/// Hands every batch to `work`, while another thread reads the next ones. Returns the number of rows.
pub(crate) fn for_each_batch<E: From<SourceFault>>(
    mut reader: SourceReader,
    rows_max: u64,
    mut work: impl FnMut(SourceBatch) -> Result<(), E>,
) -> Result<u64, E> {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(BATCHES_WAITING);
        let reading = scope.spawn(move || {
            while let Some(batch) = reader.next_batch().transpose() {
                let failed = batch.is_err();
                if sender.send(batch).is_err() || failed {
                    return;
                }
            }
        });
        let mut rows = 0;
        for batch in receiver {
            let batch = batch?;
            rows += batch.places.len() as u64;
            if rows > rows_max {
                return Err(SourceFault::TooManyRows { max: rows_max }.into());
            }
            work(batch)?;
        }
        reading.join().map_err(|_| SourceFault::ReaderLost)?;
        Ok(rows)
    })
}
