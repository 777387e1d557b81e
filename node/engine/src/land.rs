//! Landed rows at a consumer: a full snapshot and the deltas after it, as one table. Everything read here was written by
//! a peer: nothing is believed, counts are counted.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use cohortium_protocol::ident::ColumnName;
use cohortium_protocol::quantity::Rows;
use cohortium_protocol::record::journal_entry::RunFault;
use serde::{Deserialize, Serialize};

use crate::batch::{SourceBatch, SourceColumn, SourceFault};
use crate::cells::{self, NotHandled, gather};
use crate::columnar::{column_type, plain_array, plain_type};
use crate::delta::LeavingColumn;
use crate::distinct::Heads;
use crate::handle::Handle;
use crate::index::Id;
use crate::limits::Limits;
use crate::plain::append_cell;
use crate::policy::{ROW_COLUMN, TOKEN_COLUMN};
use crate::sink::{RowsWriter, SinkFault};
use crate::source::{Format, SourceReader, for_each_batch};

/// One landed snapshot.
#[expect(missing_debug_implementations, reason = "a handle leads to rows")]
#[derive(Clone)]
pub struct LandedPart {
    /// All rows, or in a delta the new and changed ones.
    pub rows: Handle,
    /// The ids of rows that are gone, if any.
    pub deletes: Option<Handle>,
}

/// A full snapshot and the deltas after it, in order.
#[expect(missing_debug_implementations, reason = "a handle leads to rows")]
#[derive(Clone)]
pub struct LandedChain {
    /// The full snapshot.
    pub full: LandedPart,
    /// What came after it, oldest first.
    pub deltas: Vec<LandedPart>,
}

/// Why landed data is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LandFault {
    /// A file cannot be read as Parquet.
    Source(SourceFault),
    /// Its first column is not the one of row ids.
    NoRowIds,
    /// A row without an id.
    IdMissing {
        /// The row, from 1.
        row: u64,
    },
    /// Two rows of one file have one id.
    IdTwice {
        /// The second one, from 1.
        row: u64,
    },
    /// A column's type cannot have left its provider lawfully, or the column has a reserved name.
    Unsupported(ColumnName),
    /// The files of one chain do not have the same columns.
    ColumnsDiffer {
        /// The file, in the chain's order, from 0.
        part: usize,
    },
    /// A value that its declared type cannot hold, in a batch.
    Value {
        /// The batch's first row, from 1.
        row: u64,
    },
    /// More ids than the limit.
    TooManyRows {
        /// The limit.
        max: u64,
    },
    /// The sink does not take what is written.
    Sink {
        /// How it failed.
        kind: io::ErrorKind,
    },
}

impl fmt::Display for LandFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(fault) => write!(f, "landed rows cannot be read: {fault}"),
            Self::NoRowIds => write!(f, "the first column of landed rows is not {ROW_COLUMN}"),
            Self::IdMissing { row } => write!(f, "landed row {row} has no id"),
            Self::IdTwice { row } => write!(f, "landed row {row} has the id of an earlier one"),
            Self::Unsupported(name) => write!(f, "landed column {name} has a type or name that no share can have"),
            Self::ColumnsDiffer { part } => write!(f, "the columns of snapshot {part} are not those of the first"),
            Self::Value { row } => write!(f, "a value in landed row {row} or after does not fit its type"),
            Self::TooManyRows { max } => write!(f, "more than {max} landed rows"),
            Self::Sink { kind } => write!(f, "writing landed rows failed: {kind}"),
        }
    }
}

impl std::error::Error for LandFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Source(fault) = self { Some(fault) } else { None }
    }
}

impl From<SourceFault> for LandFault {
    fn from(fault: SourceFault) -> Self {
        Self::Source(fault)
    }
}

impl From<SinkFault> for LandFault {
    fn from(fault: SinkFault) -> Self {
        Self::Sink { kind: fault.kind }
    }
}

impl From<&LandFault> for RunFault {
    fn from(fault: &LandFault) -> Self {
        match fault {
            LandFault::Source(fault) => fault.into(),
            LandFault::NoRowIds
            | LandFault::IdMissing { .. }
            | LandFault::IdTwice { .. }
            | LandFault::Unsupported(_)
            | LandFault::Value { .. } => Self::Malformed,
            LandFault::ColumnsDiffer { .. } => Self::ColumnsDiffer,
            LandFault::TooManyRows { .. } | LandFault::Sink { .. } => Self::Limit,
        }
    }
}

/// What one landed file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandedTable {
    /// Its rows, each with an id of its own.
    pub rows: Rows,
    /// Its columns without ids and tokens.
    pub columns: Vec<LeavingColumn>,
    /// Whether it has a column of linkage tokens.
    pub tokens: bool,
}

/// What a chain holds, counted in its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandedCount {
    /// Distinct row ids of the current version.
    pub rows: Rows,
    /// Deltas after the full snapshot.
    pub deltas: u64,
}

/// Reads a landed file of rows or deletes to its end, every column.
///
/// # Errors
/// [`LandFault`] for whatever a lawful provider cannot have sent.
pub fn check(blob: &Handle, limits: &Limits) -> Result<LandedTable, LandFault> {
    let (reader, schema) = open(blob, limits, Read::All)?;
    let mut heads = Heads::default();
    let rows = for_each_batch(reader, limits.landed_rows_max, |batch| {
        let plain = plain_batch(&batch, &schema)?;
        within(heads.take_in(row_ids(&plain)), limits.landed_rows_max)
    })?;
    distinct(heads, blob, limits)?;
    let tokens = schema.fields().get(1).is_some_and(|field| field.name() == TOKEN_COLUMN);
    let columns = schema.fields().iter().skip(1 + usize::from(tokens)).filter_map(|field| {
        Some(LeavingColumn { name: field.name().parse().ok()?, kind: column_type(field.data_type())? })
    });
    Ok(LandedTable { rows: Rows(rows), columns: columns.collect(), tokens })
}

/// Counts the current version's rows in the landed files themselves.
///
/// # Errors
/// [`LandFault`].
pub fn count(chain: &LandedChain, limits: &Limits) -> Result<LandedCount, LandFault> {
    let mut rows = 0;
    walk(chain, 0, limits, Read::Ids, |current| {
        rows += current.rows.len() as u64;
        Ok::<(), LandFault>(())
    })?;
    Ok(LandedCount { rows: Rows(rows), deltas: chain.deltas.len() as u64 })
}

/// Writes the current version as one Parquet file: the newest state of each row, newest snapshot first.
///
/// # Errors
/// [`LandFault`]; what the sink got by then is no table.
pub fn merge(chain: &LandedChain, sink: &mut (dyn Write + Send), limits: &Limits) -> Result<Rows, LandFault> {
    let (_, schema) = open(&chain.full.rows, limits, Read::All)?;
    let mut writer = RowsWriter::new(sink, schema, limits)?;
    walk(chain, 0, limits, Read::All, |Current { batch, rows, first_row: row, .. }| {
        let arrays = batch.columns().iter().map(|array| gather(array, rows)).collect::<Result<Vec<_>, _>>();
        let arrays = arrays.map_err(|NotHandled| LandFault::Value { row })?;
        let current = RecordBatch::try_new(batch.schema(), arrays).map_err(|_| LandFault::Value { row })?;
        Ok::<(), LandFault>(writer.write(&current)?)
    })?;
    Ok(Rows(writer.finish()?))
}

/// Writes the current version as text: comma, CRLF, quotes where needed; an empty text is `""`, a null is nothing.
///
/// # Errors
/// [`LandFault`]; what the sink got by then is no table.
pub fn to_csv(chain: &LandedChain, sink: &mut (dyn Write + Send), limits: &Limits) -> Result<Rows, LandFault> {
    let (_, schema) = open(&chain.full.rows, limits, Read::All)?;
    let mut line = String::new();
    for (index, field) in schema.fields().iter().enumerate() {
        append_cell(&mut line, index, Some(field.name()));
    }
    let mut out = line;
    out.push_str("\r\n");
    let mut rows = 0;
    walk(chain, 0, limits, Read::All, |Current { batch, rows: current, first_row: row, .. }| {
        let columns = batch.columns().iter().map(cells::text).collect::<Result<Vec<_>, _>>();
        let columns = columns.map_err(|NotHandled| LandFault::Value { row })?;
        for row in current.iter().map(|row| *row as usize) {
            for (index, column) in columns.iter().enumerate() {
                append_cell(&mut out, index, column.is_valid(row).then(|| column.value(row)));
            }
            out.push_str("\r\n");
        }
        rows += current.len() as u64;
        sink.write_all(out.as_bytes()).map_err(SinkFault::from)?;
        out.clear();
        Ok::<(), LandFault>(())
    })?;
    sink.write_all(out.as_bytes()).map_err(SinkFault::from)?;
    Ok(Rows(rows))
}

/// What of a landed file is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    All,
    Ids,
}

/// A batch of a landed file, and what of it is part of the current version.
pub(crate) struct Current<'a> {
    /// Its snapshot, in the chain's order, from 0.
    pub(crate) part: usize,
    pub(crate) batch: &'a RecordBatch,
    /// The rows of the batch that no newer snapshot writes or deletes.
    pub(crate) rows: &'a [u32],
    /// The batch's first row in its file, from 1.
    pub(crate) first_row: u64,
}

/// The columns of a chain: those of its full snapshot.
pub(crate) fn schema(chain: &LandedChain, limits: &Limits) -> Result<SchemaRef, LandFault> {
    open(&chain.full.rows, limits, Read::All).map(|(_, schema)| schema)
}

/// Hands over every batch of the snapshots from number `from` on, newest first. Returns the ids that snapshots after the
/// full one wrote or deleted: above `from` 0 all that has been touched since the snapshot before.
///
/// An id that a newer snapshot writes or deletes is passed over. Within one delta a row wins over a delete.
pub(crate) fn walk<E: From<LandFault> + From<SourceFault>>(
    chain: &LandedChain,
    from: usize,
    limits: &Limits,
    read: Read,
    mut see: impl FnMut(Current<'_>) -> Result<(), E>,
) -> Result<HashSet<Id>, E> {
    let expected = schema(chain, limits)?;
    let mut newer = Newer { ids: HashSet::new(), max: limits.landed_rows_max };
    let parts: Vec<&LandedPart> = std::iter::once(&chain.full).chain(&chain.deltas).collect();
    for (number, part) in parts.into_iter().enumerate().skip(from).rev() {
        let (reader, schema) = open(&part.rows, limits, read)?;
        let (_, found) = open(&part.rows, limits, Read::All)?;
        if found != expected {
            return Err(LandFault::ColumnsDiffer { part: number }.into());
        }
        let (mut heads, mut here) = (Heads::default(), Vec::new());
        for_each_batch(reader, limits.landed_rows_max, |batch| {
            let plain = plain_batch(&batch, &schema)?;
            within(heads.take_in(row_ids(&plain)), limits.landed_rows_max)?;
            // Nothing is older than the full snapshot, so nobody asks for its ids.
            here.extend(row_ids(&plain).filter(|_| number > 0));
            let ids = row_ids(&plain);
            let rows = (0_u32..).zip(ids).filter(|(_, id)| !newer.ids.contains(id)).map(|(row, _)| row);
            let rows: Vec<u32> = rows.collect();
            see(Current { part: number, batch: &plain, rows: &rows, first_row: batch.first_row + 1 })
        })?;
        distinct(heads, &part.rows, limits)?;
        newer.ids.extend(here);
        if number > 0 {
            newer.take_in_deletes(part.deletes.as_ref(), limits)?;
        }
    }
    Ok(newer.ids)
}

/// Row ids that newer snapshots wrote or deleted. The hasher is a keyed one: a peer chooses the ids.
struct Newer {
    ids: HashSet<Id>,
    max: u64,
}

impl Newer {
    fn take_in_deletes(&mut self, deletes: Option<&Handle>, limits: &Limits) -> Result<(), LandFault> {
        if let Some(deletes) = deletes {
            let (reader, schema) = open(deletes, limits, Read::Ids)?;
            for_each_batch(reader, limits.landed_rows_max, |batch| {
                self.ids.extend(row_ids(&plain_batch(&batch, &schema)?));
                Ok::<(), LandFault>(())
            })?;
        }
        within(self.ids.len(), self.max)
    }
}

/// Every id of a file is there once; a second reading tells where ids begin alike.
fn distinct(heads: Heads, rows: &Handle, limits: &Limits) -> Result<(), LandFault> {
    let Some(mut suspects) = heads.settle() else { return Ok(()) };
    let (reader, schema) = open(rows, limits, Read::Ids)?;
    for_each_batch(reader, limits.landed_rows_max, |batch| {
        let plain = plain_batch(&batch, &schema)?;
        suspects.take_in(row_ids(&plain).zip(batch.first_row + 1..));
        Ok::<(), LandFault>(())
    })?;
    suspects.twice().map_or(Ok(()), |row| Err(LandFault::IdTwice { row }))
}

fn within(ids: usize, max: u64) -> Result<(), LandFault> {
    if ids as u64 <= max { Ok(()) } else { Err(LandFault::TooManyRows { max }) }
}

/// The ids of a landed or consolidated batch, whose first column they are.
pub(crate) fn row_ids(batch: &RecordBatch) -> impl Iterator<Item = Id> {
    let ids = batch.column(0).as_fixed_size_binary();
    (0..ids.len()).map(|row| ids.value(row).try_into().expect("open refuses every other width"))
}

/// Opens a landed file and checks its columns.
fn open(blob: &Handle, limits: &Limits, read: Read) -> Result<(SourceReader, SchemaRef), LandFault> {
    let mut reader = SourceReader::open(blob, Format::Parquet, limits)?;
    let columns = reader.columns();
    let first = columns.first().ok_or(LandFault::NoRowIds)?;
    if first.name.as_str() != ROW_COLUMN || first.kind != DataType::FixedSizeBinary(16) {
        return Err(LandFault::NoRowIds);
    }
    let mut fields = vec![Field::new(ROW_COLUMN, DataType::FixedSizeBinary(16), false)];
    for (place, column) in columns.iter().enumerate().skip(1) {
        fields.push(Field::new(column.name.as_str(), landed_type(place, column)?, true));
    }
    let shown = if read == Read::All { fields.len() } else { 1 };
    let needed: Vec<bool> = (0..columns.len()).map(|place| place < shown).collect();
    reader.project(&needed);
    fields.truncate(shown);
    Ok((reader, Arc::new(Schema::new(fields))))
}

fn landed_type(place: usize, column: &SourceColumn) -> Result<DataType, LandFault> {
    let unsupported = || LandFault::Unsupported(column.name.clone());
    match column.name.as_str() {
        TOKEN_COLUMN if place == 1 && column.kind == DataType::FixedSizeBinary(32) => Ok(column.kind.clone()),
        ROW_COLUMN | TOKEN_COLUMN => Err(unsupported()),
        _ => column_type(&column.kind).map(|_| plain_type(&column.kind)).ok_or_else(unsupported),
    }
}

/// A batch in the checked schema: dictionaries unpacked, every row with an id.
fn plain_batch(batch: &SourceBatch, schema: &SchemaRef) -> Result<RecordBatch, LandFault> {
    let row = batch.first_row + 1;
    let arrays: Option<Vec<_>> = batch.columns.iter().flatten().map(plain_array).collect();
    let arrays = arrays.ok_or(LandFault::Value { row })?;
    if let Some(ids) = arrays.first().filter(|ids| ids.null_count() > 0) {
        let missing = (row..).zip(0..ids.len()).find(|(_, at)| ids.is_null(*at));
        return Err(LandFault::IdMissing { row: missing.map_or(row, |(row, _)| row) });
    }
    RecordBatch::try_new(Arc::clone(schema), arrays).map_err(|_| LandFault::Value { row })
}
