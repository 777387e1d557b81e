//! Sources: a table's rows in batches, from whatever a member's store is made of, in bounded memory.
//!
//! A room a format behind one door. Every reader keeps the same rules: a row is in a batch, or it is set aside, or it ends
//! the run; no fault carries a cell; nothing is allocated because a file declares it.

mod input;
mod split;
mod csv;
mod json;
mod thrift;
mod pieces;
mod parquet;
mod ipc;
pub mod drawn;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use cohortium_protocol::record::dataset::Source;
use cohortium_protocol::record::remote::ObjectForm;
use cohortium_protocol::record::text_form::TextForm;

use crate::batch::{SourceBatch, SourceColumn, SourceFault};
use crate::handle::Handle;
use crate::limits::Limits;
use crate::row_fault::Tolerance;
use crate::source::csv::CsvReader;
use crate::source::drawn::DrawnReader;
use crate::source::ipc::IpcReader;
use crate::source::json::{JsonReader, Layout};
use crate::source::parquet::ParquetReader;

/// Batches that wait between two threads.
const BATCHES_WAITING: usize = 3;
/// Threads that work on batches beside each other. A third waits on memory and files and hardly takes time of its own.
const MAPPERS: usize = 2;

/// How a source's bytes are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// A text table.
    Csv(TextForm),
    /// A Parquet file.
    Parquet,
    /// One JSON object a line.
    Ndjson,
    /// One JSON array of objects.
    Json,
    /// An Arrow IPC file or stream; which of them it is, its first bytes say.
    ArrowIpc,
    /// What was drawn from a database, or from FHIR resources through a view.
    Drawn,
}

impl Format {
    /// The format of a table source; `None` for a folder of files that nobody looks into, and for a release.
    pub fn of(source: &Source) -> Option<Self> {
        match source {
            Source::Csv { form, .. } => Some(Self::Csv(form.clone())),
            // A table of our own store is a Parquet blob.
            Source::Parquet { .. } | Source::Mapped { .. } => Some(Self::Parquet),
            Source::Ndjson { .. } => Some(Self::Ndjson),
            Source::Json { .. } => Some(Self::Json),
            Source::ArrowIpc { .. } => Some(Self::ArrowIpc),
            Source::Files { .. } | Source::Release { .. } => None,
            Source::Fhir { .. } | Source::Postgres(_) | Source::Maria(_) => Some(Self::Drawn),
            Source::S3(object) => Some(match &object.form {
                ObjectForm::Csv(form) => Self::Csv(form.clone()),
                ObjectForm::Parquet => Self::Parquet,
                ObjectForm::Ndjson => Self::Ndjson,
                ObjectForm::Json => Self::Json,
                ObjectForm::ArrowIpc => Self::ArrowIpc,
            }),
        }
    }
}

/// Reads a source in batches.
#[expect(missing_debug_implementations, reason = "it holds rows")]
pub struct SourceReader(Kind);

enum Kind {
    Csv(Box<CsvReader>),
    Json(Box<JsonReader>),
    Parquet(Box<ParquetReader>),
    ArrowIpc(Box<IpcReader>),
    Drawn(Box<DrawnReader>),
}

impl SourceReader {
    /// Finds the columns: in a header line, a footer or a schema, and of JSON by reading all of it. A row that cannot be
    /// read ends the run.
    ///
    /// # Errors
    /// [`SourceFault`].
    pub fn open(handle: &Handle, format: Format, limits: &Limits) -> Result<Self, SourceFault> {
        Self::open_with(handle, format, limits, Tolerance::Refuse)
    }

    /// As [`SourceReader::open`], and says what becomes of rows that cannot be read.
    ///
    /// # Errors
    /// [`SourceFault`].
    pub fn open_with(
        handle: &Handle,
        format: Format,
        limits: &Limits,
        tolerance: Tolerance,
    ) -> Result<Self, SourceFault> {
        let json = |layout| JsonReader::open(handle, layout, limits, tolerance).map(|reader| Kind::Json(reader.into()));
        Ok(Self(match format {
            Format::Csv(form) => Kind::Csv(Box::new(CsvReader::open(handle, &form, limits, tolerance)?)),
            Format::Ndjson => json(Layout::Lines)?,
            Format::Json => json(Layout::Array)?,
            Format::Parquet => Kind::Parquet(Box::new(ParquetReader::open(handle, limits, tolerance)?)),
            Format::ArrowIpc => Kind::ArrowIpc(Box::new(IpcReader::open(handle, limits, tolerance)?)),
            Format::Drawn => Kind::Drawn(Box::new(DrawnReader::open(handle, limits, tolerance)?)),
        }))
    }

    /// The columns, in the source's order.
    pub fn columns(&self) -> &[SourceColumn] {
        match &self.0 {
            Kind::Csv(reader) => reader.columns(),
            Kind::Json(reader) => reader.columns(),
            Kind::Parquet(reader) => reader.columns(),
            Kind::ArrowIpc(reader) => reader.columns(),
            Kind::Drawn(reader) => reader.columns(),
        }
    }

    /// The rows that the file states, where its format does: what is read is compared with it at the end.
    pub(crate) fn rows_stated(&self) -> Option<u64> {
        match &self.0 {
            Kind::Parquet(reader) => Some(reader.rows_stated()),
            Kind::Csv(_) | Kind::Json(_) | Kind::ArrowIpc(_) | Kind::Drawn(_) => None,
        }
    }

    /// Reads only these columns, one flag for each; to be called before the first batch.
    pub fn project(&mut self, needed: &[bool]) {
        match &mut self.0 {
            Kind::Csv(reader) => reader.project(needed),
            Kind::Json(reader) => reader.project(needed),
            Kind::Parquet(reader) => reader.project(needed),
            Kind::ArrowIpc(reader) => reader.project(needed),
            Kind::Drawn(reader) => reader.project(needed),
        }
    }

    /// The next rows: at least one that was read or set aside; `None` at the end. Where rows are set aside, a batch may
    /// hold nothing else.
    ///
    /// # Errors
    /// [`SourceFault`]; nothing can be read after one.
    pub fn next_batch(&mut self) -> Result<Option<SourceBatch>, SourceFault> {
        match &mut self.0 {
            Kind::Csv(reader) => reader.next_batch(),
            Kind::Json(reader) => reader.next_batch(),
            Kind::Parquet(reader) => reader.next_batch(),
            Kind::ArrowIpc(reader) => reader.next_batch(),
            Kind::Drawn(reader) => reader.next_batch(),
        }
    }
}

/// Hands every batch to `work`, while another thread reads the next ones. Returns the number of rows, those set aside
/// included.
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
            rows += (batch.places.len() + batch.set_aside.len()) as u64;
            if rows > rows_max {
                return Err(SourceFault::TooManyRows { max: rows_max }.into());
            }
            work(batch)?;
        }
        reading.join().map_err(|_| SourceFault::ReaderLost)?;
        Ok(rows)
    })
}

/// As [`for_each_batch`], with the work in two steps on threads of their own: `make` sees the batches and hands over what it makes of
/// them, `work` gets that in the same order. The fault that comes first in that order is the one that is returned.
pub(crate) fn for_each_made<T: Send, E: From<SourceFault> + Send>(
    reader: SourceReader,
    rows_max: u64,
    mut make: impl FnMut(SourceBatch, &mut dyn FnMut(T) -> Result<(), E>) -> Result<(), E> + Send,
    mut work: impl FnMut(T) -> Result<(), E>,
) -> Result<u64, E> {
    thread::scope(|scope| {
        let (sender, made) = sync_channel(BATCHES_WAITING);
        let making = scope.spawn(move || {
            // Nobody takes it any more once the work has failed; that fault is the one that counts.
            let mut give = |made| sender.send(made).map_err(|_| SourceFault::ReaderLost.into());
            for_each_batch(reader, rows_max, |batch| make(batch, &mut give))
        });
        for made in made {
            work(made)?;
        }
        making.join().unwrap_or_else(|_| Err(SourceFault::ReaderLost.into()))
    })
}

/// As [`for_each_batch`], with a part of the work that needs no order: `map` runs on several threads, `work` gets what it made
/// in the order of the batches. The first fault in that order is the one that is returned.
pub(crate) fn for_each_mapped<T: Send, E: From<SourceFault> + Send>(
    mut reader: SourceReader,
    rows_max: u64,
    map: impl Fn(SourceBatch) -> Result<T, E> + Sync,
    mut work: impl FnMut(T) -> Result<(), E>,
) -> Result<u64, E> {
    thread::scope(|scope| {
        let (sender, batches) = sync_channel(BATCHES_WAITING);
        let reading = scope.spawn(move || {
            for number in 0_u64.. {
                let Some(batch) = reader.next_batch().transpose() else { return };
                let failed = batch.is_err();
                if sender.send((number, batch)).is_err() || failed {
                    return;
                }
            }
        });
        let (made, done) = sync_channel(BATCHES_WAITING);
        // The mappers alone hold the batches' end: when they are gone the reader notices.
        let batches = Arc::new(Mutex::new(batches));
        for _ in 0..MAPPERS {
            let (batches, made, map) = (Arc::clone(&batches), made.clone(), &map);
            scope.spawn(move || map_batches(&batches, &made, map));
        }
        drop((batches, made));
        let (mut waiting, mut next, mut rows) = (BTreeMap::new(), 0, 0);
        for (number, mapped) in done {
            waiting.insert(number, mapped);
            while let Some(mapped) = waiting.remove(&next) {
                let (count, mapped) = mapped?;
                next += 1;
                rows += count;
                if rows > rows_max {
                    return Err(SourceFault::TooManyRows { max: rows_max }.into());
                }
                work(mapped)?;
            }
        }
        reading.join().map_err(|_| SourceFault::ReaderLost)?;
        // A mapper that panicked has left a gap.
        if waiting.is_empty() { Ok(rows) } else { Err(SourceFault::ReaderLost.into()) }
    })
}

/// A batch with its number.
type Numbered<T, E> = (u64, Result<T, E>);

fn map_batches<T, E: From<SourceFault>>(
    batches: &Mutex<Receiver<Numbered<SourceBatch, SourceFault>>>,
    made: &SyncSender<Numbered<(u64, T), E>>,
    map: &impl Fn(SourceBatch) -> Result<T, E>,
) {
    loop {
        let next = batches.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, batch)) = next else { return };
        let mapped = batch.map_err(E::from).and_then(|batch| {
            let rows = batch.places.len() as u64;
            map(batch).map(|mapped| (rows, mapped))
        });
        if made.send((number, mapped)).is_err() {
            return;
        }
    }
}
