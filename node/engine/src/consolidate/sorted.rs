//! Rows of one chain, held in memory, sorted, and handed out as batches of a part.
//!
//! Memory for a row: its cells, a sort key (about 20 bytes, its source's name and 40 for framing), 8 bytes for its place.
//! The worker has no place of its own on disk, so what does not fit is a fault that names the limit.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::compute::interleave;
use arrow::datatypes::SchemaRef;

use crate::consolidate::fault::ConsolidateFault;
use crate::consolidate::merged::{BatchKeys, SortKeys, SortedBatches};
use crate::limits::Limits;

/// Rows that came together, of one snapshot.
struct Held {
    /// The part's columns without member and snapshot, which are the same in all rows.
    columns: Vec<ArrayRef>,
    keys: BatchKeys,
    snapshot: usize,
}

/// Rows that are being collected.
pub(crate) struct Collected {
    schema: SchemaRef,
    keys: SortKeys,
    held: Vec<Held>,
    rows: Vec<(u32, u32)>,
    bytes: usize,
    limits: Limits,
}

impl Collected {
    pub(crate) const fn new(schema: SchemaRef, keys: SortKeys, limits: Limits) -> Self {
        Self { schema, keys, held: Vec::new(), rows: Vec::new(), bytes: 0, limits }
    }

    pub(crate) fn take_in(&mut self, columns: Vec<ArrayRef>, snapshot: usize) -> Result<(), ConsolidateFault> {
        let rows = columns.first().map_or(0, arrow::array::Array::len);
        if rows == 0 {
            return Ok(());
        }
        let keys = self.keys.of(&columns)?;
        self.bytes += columns.iter().map(arrow::array::Array::get_buffer_memory_size).sum::<usize>() + keys.bytes();
        let places = u32::try_from(rows).ok().zip(u32::try_from(self.held.len()).ok());
        let (rows, batch) = places.ok_or(ConsolidateFault::Batch)?;
        self.rows.extend((0..rows).map(|row| (batch, row)));
        self.held.push(Held { columns, keys, snapshot });
        if self.rows.len() as u64 > self.limits.rows_max {
            return Err(ConsolidateFault::TooManyRows { max: self.limits.rows_max });
        }
        let max = self.limits.sorted_bytes_max;
        if self.bytes + self.rows.len() * size_of::<(u32, u32)>() > max {
            return Err(ConsolidateFault::TooManyBytes { max });
        }
        Ok(())
    }

    /// The rows in order. `member` is written into each, and of `snapshots` the name of the one it came from.
    pub(crate) fn sort(mut self, member: &str, snapshots: &[String]) -> Sorted {
        let key = |(batch, row): &(u32, u32)| self.held[*batch as usize].keys.of(*row as usize);
        self.rows.sort_unstable_by(|one, other| key(one).cmp(key(other)));
        Sorted { collected: self, member: member.to_owned(), snapshots: snapshots.to_vec(), next: 0 }
    }
}

/// Rows in order.
pub(crate) struct Sorted {
    collected: Collected,
    member: String,
    snapshots: Vec<String>,
    next: usize,
}

impl Sorted {
    /// All rows, handed out or not.
    pub(crate) fn len(&self) -> u64 {
        self.collected.rows.len() as u64
    }
}

impl SortedBatches for Sorted {
    fn next_sorted(&mut self) -> Result<Option<RecordBatch>, ConsolidateFault> {
        let Collected { schema, held, rows, limits, .. } = &self.collected;
        let end = rows.len().min(self.next + limits.batch_rows);
        let places: Vec<_> = rows[self.next..end].iter().map(|(batch, row)| (*batch as usize, *row as usize)).collect();
        self.next = end;
        if places.is_empty() {
            return Ok(None);
        }
        let own = schema.fields().len() - 2;
        let mut columns = Vec::with_capacity(own + 2);
        for column in 0..own {
            let arrays: Vec<&dyn Array> = held.iter().map(|held| held.columns[column].as_ref()).collect();
            columns.push(interleave(&arrays, &places).map_err(|_| ConsolidateFault::Batch)?);
        }
        let member = std::iter::repeat_n(self.member.as_str(), places.len());
        columns.push(Arc::new(StringArray::from_iter_values(member)) as ArrayRef);
        let snapshots = places.iter().map(|(batch, _)| self.snapshots[held[*batch].snapshot].as_str());
        columns.push(Arc::new(StringArray::from_iter_values(snapshots)));
        RecordBatch::try_new(Arc::clone(schema), columns).map(Some).map_err(|_| ConsolidateFault::Batch)
    }
}
