//! Taking a snapshot of a table: all rows, or what changed since the row index of the snapshot before.
//!
//! One thread reads the source, two apply the policy and hash what each row would leave as, another compares and writes.
//! Memory: a few batches, one Parquet row group, and for a keyed table 40 bytes for each row that is new and 45 for each of
//! last time.

use std::fmt;
use std::io::{self, Write};
use std::thread;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use cohortium_protocol::digest::keyed_id;
use cohortium_protocol::ident::ColumnName;
use cohortium_protocol::key::wrap::Secret32;
use cohortium_protocol::quantity::Rows;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::manifest::Base;
use cohortium_protocol::record::schema::ColumnType;
use serde::{Deserialize, Serialize};

use crate::batch::{SourceBatch, SourceFault};
use crate::cells::{Cells, id_array};
use crate::columnar::{column_type, plain_array};
use crate::handle::Handle;
use crate::index::{Id, IndexFault, Previous, RowHash, RowIndex, Seen, Sighting};
use crate::index_file::PreviousIndex;
use crate::limits::Limits;
use crate::packed::Labelled;
use crate::policy::{Job, Policy, PolicyFault, ROW_COLUMN};
use crate::prepared::{Hashes, Prepared};
use crate::sink::{RowsWriter, SinkFault};
use crate::source::{Format, SourceReader, for_each_batch, for_each_mapped};

/// Rows of one deletes batch.
const DELETES_BATCH: usize = 8_192;

/// Why a snapshot was not taken. What the sinks got by then is to be thrown away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TakeFault {
    /// The source cannot be read.
    Source(SourceFault),
    /// The policy does not fit it.
    Policy(PolicyFault),
    /// It was written to while it was read.
    Changed,
    /// Two rows have one key; lines or rows, from 1.
    KeyTwice {
        /// The first one's place.
        first: u64,
        /// The second one's.
        second: u64,
    },
    /// The index of the snapshot before cannot be read.
    IndexRead {
        /// How reading failed.
        kind: io::ErrorKind,
    },
    /// The index of the snapshot before is not one.
    IndexDamaged,
    /// The index of the snapshot before has more rows than the limit.
    IndexTooLong,
    /// A sink does not take what is written.
    Sink {
        /// How it failed.
        kind: io::ErrorKind,
    },
}

impl fmt::Display for TakeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(fault) => write!(f, "the source cannot be read: {fault}"),
            Self::Policy(fault) => write!(f, "the share's policy cannot be applied: {fault}"),
            Self::Changed => f.write_str("the source was written to while it was read"),
            Self::KeyTwice { first, second } => write!(f, "the rows at {first} and {second} have one key"),
            Self::IndexRead { kind } => write!(f, "the last row index cannot be read: {kind}"),
            Self::IndexDamaged => f.write_str("the last row index is damaged"),
            Self::IndexTooLong => f.write_str("the last row index has too many rows"),
            Self::Sink { kind } => write!(f, "writing the snapshot failed: {kind}"),
        }
    }
}

impl std::error::Error for TakeFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Source(fault) => Some(fault),
            Self::Policy(fault) => Some(fault),
            Self::Changed
            | Self::KeyTwice { .. }
            | Self::IndexRead { .. }
            | Self::IndexDamaged
            | Self::IndexTooLong
            | Self::Sink { .. } => None,
        }
    }
}

impl From<SourceFault> for TakeFault {
    fn from(fault: SourceFault) -> Self {
        Self::Source(fault)
    }
}

impl From<PolicyFault> for TakeFault {
    fn from(fault: PolicyFault) -> Self {
        Self::Policy(fault)
    }
}

impl From<SinkFault> for TakeFault {
    fn from(fault: SinkFault) -> Self {
        Self::Sink { kind: fault.kind }
    }
}

impl From<IndexFault> for TakeFault {
    fn from(fault: IndexFault) -> Self {
        match fault {
            IndexFault::Read(kind) => Self::IndexRead { kind },
            IndexFault::Damaged => Self::IndexDamaged,
            IndexFault::TooManyRows => Self::IndexTooLong,
        }
    }
}

impl From<&TakeFault> for RunFault {
    fn from(fault: &TakeFault) -> Self {
        match fault {
            TakeFault::Source(fault) => fault.into(),
            TakeFault::Policy(fault) => fault.into(),
            TakeFault::Changed => Self::Changed,
            TakeFault::KeyTwice { .. } => Self::KeyTwice,
            TakeFault::IndexRead { .. } | TakeFault::IndexDamaged => Self::Unreadable,
            TakeFault::IndexTooLong | TakeFault::Sink { .. } => Self::Limit,
        }
    }
}

/// Where a snapshot is written.
#[expect(missing_debug_implementations, reason = "sinks take rows")]
pub struct Sinks<'a> {
    /// All rows, or the new and changed ones, as Parquet. Always written.
    pub rows: &'a mut (dyn Write + Send),
    /// Ids of rows that are gone, as Parquet. Untouched where none is.
    pub deletes: &'a mut (dyn Write + Send),
    /// The row index for the next run, whole or over the base that the last one has. Untouched for a table without key.
    pub index: &'a mut (dyn Write + Send),
}

/// A column as it leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeavingColumn {
    /// Its name.
    pub name: ColumnName,
    /// Its type.
    pub kind: ColumnType,
}

/// What a snapshot came to. For the provider: counts depend on rows (law 8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeReport {
    /// Whether all rows were written. A table without key is always full, and so is one whose policy has changed.
    pub base: Base,
    /// Rows of the source.
    pub rows_source: Rows,
    /// Rows written: all that may leave, or the new and changed ones.
    pub rows_out: Rows,
    /// Rows of the version as a whole: without filtered ones and those of patients who opted out.
    pub rows_version: Rows,
    /// Ids in the deletes file; there is one if this is above zero.
    pub deletes: Rows,
    /// Rows that do not pass the share's filter.
    pub filtered: Rows,
    /// Rows held back because their patient opted out.
    pub opted_out: Rows,
    /// Rows of the version that carry no token though the share has them: a name is missing or the day is none.
    pub without_token: Rows,
    /// A delta that changes nothing.
    ///
    /// Never for a full snapshot: there the caller compares `content` with that of the snapshot before.
    pub unchanged: bool,
    /// Whether an index was written.
    pub has_index: bool,
    /// Over what everything that leaves is made of, in the source's order, under the provider's row key and this policy:
    /// equal digests mean that nothing has changed.
    pub content: [u8; 16],
    /// The columns that leave, without ids and tokens.
    pub columns: Vec<LeavingColumn>,
}

/// Takes a snapshot: a full one, or with the index of the snapshot before a delta.
///
/// # Errors
/// [`TakeFault`]; what the sinks got by then is no snapshot.
pub fn take(
    job: &Job<'_>,
    source: &Handle,
    previous_index: Option<PreviousIndex<'_>>,
    sinks: Sinks<'_>,
) -> Result<TakeReport, TakeFault> {
    let before = source.stamp();
    let taken = take_as_it_is(job, source, previous_index, sinks);
    // A file that is being written is often malformed, too: then this is the reason to name.
    if source.stamp() == before { taken } else { Err(TakeFault::Changed) }
}

fn take_as_it_is(
    job: &Job<'_>,
    source: &Handle,
    previous_index: Option<PreviousIndex<'_>>,
    sinks: Sinks<'_>,
) -> Result<TakeReport, TakeFault> {
    let format = Format::of(&job.dataset.source).ok_or(SourceFault::NotATable)?;
    let mut reader = SourceReader::open(source, format, &job.limits)?;
    let policy = Policy::new(job, reader.columns())?;
    reader.project(policy.needed());
    let rows_max = if policy.is_keyed() { job.limits.rows_max } else { job.limits.rows_streamed_max };
    let previous = previous_index.filter(|_| policy.is_keyed());
    let (policy, limits) = (&policy, job.limits);
    thread::scope(|scope| {
        // The last index is read while the first rows are.
        let reading = previous.map(|previous| scope.spawn(move || Previous::read(&previous, limits.rows_max)));
        let mut begin = Some(move || {
            let previous = reading.map(|reading| reading.join().map_err(|_| SourceFault::ReaderLost)).transpose()?;
            Run::new(policy, previous.transpose()?, sinks, &limits)
        });
        let mut run = None;
        let rows_source = for_each_mapped(
            reader,
            rows_max,
            |batch| Hashed::of(policy, &batch),
            |hashed| {
                if let Some(begin) = begin.take() {
                    run = Some(begin()?);
                }
                run.as_mut().map_or(Ok(()), |run| run.batch(hashed))
            },
        )?;
        let run = match begin {
            Some(begin) => Some(begin()?),
            None => run,
        };
        run.ok_or(SourceFault::ReaderLost)?.finish(rows_source)
    })
}

/// A batch that is looked at, and the hashes of its staying rows.
struct Hashed {
    prepared: Prepared,
    staying: Vec<u32>,
    hashes: Hashes,
}

impl Hashed {
    fn of(policy: &Policy<'_>, batch: &SourceBatch) -> Result<Self, TakeFault> {
        let prepared = policy.prepare(batch)?;
        let staying = prepared.staying();
        let hashes = policy.hashes(&prepared, &staying)?;
        Ok(Self { prepared, staying, hashes })
    }
}

struct Run<'p, 's> {
    policy: &'p Policy<'p>,
    writer: RowsWriter<&'s mut (dyn Write + Send)>,
    deletes: &'s mut (dyn Write + Send),
    index_sink: &'s mut (dyn Write + Send),
    index: Option<RowIndex>,
    base: Base,
    content: ContentHash,
    filtered: u64,
    opted_out: u64,
    without_token: u64,
    limits: Limits,
}

impl<'p, 's> Run<'p, 's> {
    fn new(
        policy: &'p Policy<'p>,
        previous: Option<Previous>,
        sinks: Sinks<'s>,
        limits: &Limits,
    ) -> Result<Self, TakeFault> {
        let previous = previous.filter(|previous| previous.version() == policy.version());
        let base = if previous.is_some() { Base::Delta } else { Base::Full };
        Ok(Self {
            policy,
            writer: RowsWriter::new(sinks.rows, policy.schema().clone(), limits)?,
            deletes: sinks.deletes,
            index_sink: sinks.index,
            index: policy.is_keyed().then(|| RowIndex::new(policy.version(), previous)),
            base,
            content: ContentHash::new(policy.version()),
            filtered: 0,
            opted_out: 0,
            without_token: 0,
            limits: *limits,
        })
    }

    fn batch(&mut self, hashed: Hashed) -> Result<(), TakeFault> {
        let Hashed { prepared, staying, hashes } = hashed;
        self.filtered += prepared.filtered;
        self.opted_out += prepared.opted_out;
        self.without_token += hashes.without_token;
        let rows = self.written(&prepared, staying, hashes.hashes)?;
        if !rows.is_empty() {
            self.writer.write(&self.policy.outgoing(&prepared, &rows)?)?;
        }
        Ok(())
    }

    /// Those of a batch's staying rows that are written.
    fn written(&mut self, prepared: &Prepared, staying: Vec<u32>, hashes: Vec<RowHash>) -> Result<Vec<u32>, TakeFault> {
        let seen = staying.iter().zip(hashes).map(|(row, hash)| {
            let at = *row as usize;
            Seen { id: prepared.ids[at], hash, place: prepared.places[at] }
        });
        let seen: Vec<Seen> = seen.collect();
        for row in &seen {
            self.content.add(&row.id, &row.hash);
        }
        let Some(index) = &mut self.index else { return Ok(staying) };
        let mut rows = Vec::new();
        for ((row, seen), sighting) in staying.into_iter().zip(&seen).zip(index.see(&seen)) {
            match sighting {
                Sighting::New | Sighting::Changed => rows.push(row),
                Sighting::Same => {}
                Sighting::Twice(first) => return Err(TakeFault::KeyTwice { first, second: seen.place }),
            }
        }
        Ok(rows)
    }

    fn finish(mut self, rows_source: u64) -> Result<TakeReport, TakeFault> {
        let mut deletes = 0;
        if let Some(index) = &mut self.index {
            if let Some((first, second)) = index.settle() {
                return Err(TakeFault::KeyTwice { first, second });
            }
            let gone = index.gone();
            deletes = gone.len() as u64;
            if !gone.is_empty() {
                write_deletes(&gone, self.deletes, &self.limits)?;
            }
            index.write(self.index_sink, self.limits.index_base_rows_min).map_err(SinkFault::from)?;
        }
        let rows_out = self.writer.finish()?;
        let own = 1 + usize::from(self.policy.has_tokens());
        let columns = self.policy.schema().fields().iter().skip(own).filter_map(|field| {
            Some(LeavingColumn { name: field.name().parse().ok()?, kind: column_type(field.data_type())? })
        });
        Ok(TakeReport {
            base: self.base,
            rows_source: Rows(rows_source),
            rows_out: Rows(rows_out),
            rows_version: Rows(rows_source - self.filtered - self.opted_out),
            deletes: Rows(deletes),
            filtered: Rows(self.filtered),
            opted_out: Rows(self.opted_out),
            without_token: Rows(self.without_token),
            unchanged: self.base == Base::Delta && rows_out == 0 && deletes == 0,
            has_index: self.index.is_some(),
            content: self.content.finish(),
            columns: columns.collect(),
        })
    }
}

fn write_deletes(gone: &[Id], sink: &mut (dyn Write + Send), limits: &Limits) -> Result<(), SinkFault> {
    let schema = deletes_schema();
    let mut writer = RowsWriter::new(sink, schema.clone(), limits)?;
    for ids in gone.chunks(DELETES_BATCH) {
        let array = id_array(ids.iter().copied().map(Some));
        let batch = RecordBatch::try_new(schema.clone(), vec![array]).expect("the one column has its schema's type");
        writer.write(&batch)?;
    }
    writer.finish()?;
    Ok(())
}

fn deletes_schema() -> SchemaRef {
    Schema::new(vec![Field::new(ROW_COLUMN, DataType::FixedSizeBinary(16), false)]).into()
}

/// A digest over rows in their order that does not depend on where batches end.
struct ContentHash {
    state: [u8; 16],
    waiting: Vec<u8>,
}

impl ContentHash {
    const BYTES: usize = 64 * 1024;

    fn new(start: [u8; 16]) -> Self {
        Self { state: start, waiting: Vec::with_capacity(Self::BYTES) }
    }

    fn add(&mut self, id: &Id, hash: &RowHash) {
        self.waiting.extend_from_slice(id);
        self.waiting.extend_from_slice(hash);
        if self.waiting.len() >= Self::BYTES {
            self.fold();
        }
    }

    fn fold(&mut self) {
        // Ids and hashes are keyed already, so the key of this hash can be known.
        self.state = keyed_id(&[0; 32], [self.state.as_slice(), &self.waiting]);
        self.waiting.clear();
    }

    fn finish(mut self) -> [u8; 16] {
        self.fold();
        self.state
    }
}

/// What reading and hashing a whole source comes to: the work that no delta can avoid, and a way to see whether
/// anything in a source has changed.
///
/// # Errors
/// [`TakeFault`].
pub fn scan(source: &Handle, format: Format, key: &Secret32, limits: &Limits) -> Result<(Rows, [u8; 16]), TakeFault> {
    let reader = SourceReader::open(source, format, limits)?;
    let names: Vec<ColumnName> = reader.columns().iter().map(|column| column.name.clone()).collect();
    let mut content = ContentHash::new([0; 16]);
    let mut row_hash = Labelled::new(key, b"cells");
    let rows = for_each_batch(reader, limits.rows_streamed_max, |batch| {
        let mut cells = Vec::with_capacity(names.len());
        for (array, name) in batch.columns.iter().zip(&names) {
            let plain = array.as_ref().and_then(plain_array).and_then(|array| Cells::new(&array).ok());
            cells.push(plain.ok_or_else(|| PolicyFault::Unsupported(name.clone()))?);
        }
        for row in 0..batch.places.len() {
            let hash = row_hash.hash(|message| cells.iter().for_each(|cells| cells.encode(row, message)));
            content.add(&[0; 16], &hash);
        }
        Ok::<(), TakeFault>(())
    })?;
    Ok((Rows(rows), content.finish()))
}
