//! Several sorted streams of batches as one, in the order of some of their columns; of equal rows those of the first
//! stream come first. Memory: a batch of each stream, and what the next batch refers to.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use arrow::datatypes::Schema;
use arrow::row::{RowConverter, Rows, SortField};

use crate::consolidate::fault::ConsolidateFault;

/// Batches whose rows follow one another in order.
pub(crate) trait SortedBatches {
    /// The next rows, at least one; `None` at the end.
    fn next_sorted(&mut self) -> Result<Option<RecordBatch>, ConsolidateFault>;
}

/// Makes of some columns of a batch, for each row, bytes that sort as the rows do.
pub(crate) struct SortKeys {
    converter: RowConverter,
    places: Vec<usize>,
}

/// The sort keys of one batch; without columns every row has the same.
pub(crate) struct BatchKeys(Option<Rows>);

impl SortKeys {
    pub(crate) fn new(schema: &Schema, places: Vec<usize>) -> Result<Self, ConsolidateFault> {
        let fields = places.iter().map(|place| SortField::new(schema.field(*place).data_type().clone()));
        let converter = RowConverter::new(fields.collect()).map_err(|_| ConsolidateFault::Batch)?;
        Ok(Self { converter, places })
    }

    pub(crate) fn of(&self, columns: &[arrow::array::ArrayRef]) -> Result<BatchKeys, ConsolidateFault> {
        if self.places.is_empty() {
            return Ok(BatchKeys(None));
        }
        let columns: Vec<_> = self.places.iter().map(|place| columns[*place].clone()).collect();
        let rows = self.converter.convert_columns(&columns).map_err(|_| ConsolidateFault::Batch)?;
        Ok(BatchKeys(Some(rows)))
    }
}

impl BatchKeys {
    pub(crate) fn of(&self, row: usize) -> &[u8] {
        self.0.as_ref().map_or(&[], |rows| rows.row(row).data())
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, Rows::size)
    }
}

struct Stream<S> {
    batches: S,
    /// Its place among the streams that were given, some of which may have been empty.
    place: usize,
    keys: BatchKeys,
    /// Its batch, among those that the next one may refer to.
    batch: usize,
    row: usize,
}

/// Several sorted streams as one.
pub(crate) struct Merged<S> {
    streams: Vec<Stream<S>>,
    keys: SortKeys,
    /// The key of each stream's next row.
    next: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
    batches: Vec<RecordBatch>,
    batch_rows: usize,
}

impl<S: SortedBatches> Merged<S> {
    pub(crate) fn new(keys: SortKeys, streams: Vec<S>, batch_rows: usize) -> Result<Self, ConsolidateFault> {
        let mut merged = Self { streams: Vec::new(), keys, next: BinaryHeap::new(), batches: Vec::new(), batch_rows };
        for (place, mut batches) in streams.into_iter().enumerate() {
            let Some(batch) = batches.next_sorted()? else { continue };
            let keys = merged.keys.of(batch.columns())?;
            merged.next.push(Reverse((keys.of(0).to_vec(), merged.streams.len())));
            merged.streams.push(Stream { batches, place, keys, batch: merged.batches.len(), row: 0 });
            merged.batches.push(batch);
        }
        Ok(merged)
    }

    /// The next rows, those that `keep` wants: it sees each row's key and the place of its stream.
    pub(crate) fn next_batch(
        &mut self,
        mut keep: impl FnMut(&[u8], usize) -> bool,
    ) -> Result<Option<RecordBatch>, ConsolidateFault> {
        let mut rows = Vec::with_capacity(self.batch_rows);
        while rows.len() < self.batch_rows {
            let Some(mut first) = self.next.peek_mut() else { break };
            let Reverse((key, number)) = &mut *first;
            let stream = &mut self.streams[*number];
            if keep(key, stream.place) {
                rows.push((stream.batch, stream.row));
            }
            stream.row += 1;
            if stream.row == self.batches[stream.batch].num_rows() {
                let Some(batch) = stream.batches.next_sorted()? else {
                    PeekMut::pop(first);
                    continue;
                };
                stream.keys = self.keys.of(batch.columns())?;
                (stream.batch, stream.row) = (self.batches.len(), 0);
                self.batches.push(batch);
            }
            let following = stream.keys.of(stream.row);
            if following < key.as_slice() {
                return Err(ConsolidateFault::Disorder);
            }
            key.clear();
            key.extend_from_slice(following);
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let batch = interleave_record_batch(&batches, &rows).map_err(|_| ConsolidateFault::Batch)?;
        self.forget();
        Ok(Some(batch))
    }

    /// Lets go of batches that no stream is in.
    fn forget(&mut self) {
        let mut kept = Vec::with_capacity(self.next.len());
        for Reverse((_, number)) in &self.next {
            let stream = &mut self.streams[*number];
            kept.push(self.batches[stream.batch].clone());
            stream.batch = kept.len() - 1;
        }
        self.batches = kept;
    }
}
