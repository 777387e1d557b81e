//! One member's part of a table version: from its whole chain, or from the part before and the deltas since. Both ways give
//! one digest (spec CONS-5).

use std::collections::HashSet;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use cohortium_protocol::ident::{ColumnName, Name, SnapshotId};

use crate::consolidate::conform::Conform;
use crate::consolidate::fault::ConsolidateFault;
use crate::consolidate::merged::{Merged, SortKeys, SortedBatches};
use crate::consolidate::part::{PartReader, PartReport, PartSinks, PartWriter};
use crate::consolidate::shape::TableShape;
use crate::consolidate::sorted::{Collected, Sorted};
use crate::handle::Handle;
use crate::index::Id;
use crate::land::{self, LandedChain, Read, row_ids};
use crate::limits::Limits;

/// Whose part of which table is made, and of what.
#[expect(missing_debug_implementations, reason = "handles lead to rows")]
pub struct GatherJob<'a> {
    /// The table.
    pub shape: &'a TableShape,
    /// The member.
    pub member: &'a Name,
    /// What has landed of its share.
    pub chain: &'a LandedChain,
    /// The name of each of the chain's snapshots, the full one first.
    pub snapshots: &'a [SnapshotId],
    /// Bounds.
    pub limits: Limits,
}

/// A part that was made before.
#[expect(missing_debug_implementations, reason = "handles lead to rows")]
pub struct PreviousPart<'a> {
    /// Its files, in order.
    pub files: &'a [Handle],
    /// How many deltas of the chain are in it.
    pub deltas: usize,
}

/// Makes a part from the whole chain.
///
/// Its rows are sorted in memory: their cells and about 130 bytes a row, within `rows_max` and `sorted_bytes_max`.
///
/// # Errors
/// [`ConsolidateFault`]; what the sinks got by then is no part.
pub fn gather(job: &GatherJob<'_>, sinks: PartSinks<'_, '_>) -> Result<PartReport, ConsolidateFault> {
    let Changes { mut rows, absent, .. } = changes(job, 0)?;
    let mut writer = PartWriter::new(job.shape, sinks, &job.limits);
    while let Some(batch) = rows.next_sorted()? {
        writer.write(&batch)?;
    }
    writer.finish(job.member, absent)
}

/// Makes a part from the one before and the chain's deltas since: rows they write replace, rows they delete are gone.
///
/// What they write is sorted in memory as in [`gather`]; the part before streams through, with 32 bytes a row for digests.
///
/// # Errors
/// [`ConsolidateFault`]; what the sinks got by then is no part.
pub fn merge(
    job: &GatherJob<'_>,
    previous: &PreviousPart<'_>,
    sinks: PartSinks<'_, '_>,
) -> Result<PartReport, ConsolidateFault> {
    let Changes { rows, touched, absent } = changes(job, previous.deltas + 1)?;
    let staying = Staying { part: PartReader::new(job.shape, previous.files, &job.limits), touched };
    let keys = SortKeys::new(&job.shape.schema(), job.shape.order())?;
    let mut merged = Merged::new(keys, vec![Either::Staying(staying), Either::New(rows)], job.limits.batch_rows)?;
    let mut writer = PartWriter::new(job.shape, sinks, &job.limits);
    while let Some(batch) = merged.next_batch(|_, _| true)? {
        writer.write(&batch)?;
    }
    writer.finish(job.member, absent)
}

/// What the snapshots from one number on come to.
struct Changes {
    rows: Sorted,
    touched: HashSet<Id>,
    absent: Vec<ColumnName>,
}

fn changes(job: &GatherJob<'_>, from: usize) -> Result<Changes, ConsolidateFault> {
    let landed = 1 + job.chain.deltas.len();
    if let Some(named) = [job.snapshots.len(), landed.max(from)].into_iter().find(|named| *named != landed) {
        return Err(ConsolidateFault::Snapshots { named, landed });
    }
    let conform = Conform::new(job.shape, land::schema(job.chain, &job.limits)?.as_ref())?;
    let schema = job.shape.schema();
    let keys = SortKeys::new(&schema, job.shape.order())?;
    let mut collected = Collected::new(schema, keys, job.limits);
    let touched = land::walk(job.chain, from, &job.limits, Read::All, |current| {
        collected.take_in(conform.apply(&current)?, current.part)
    })?;
    let snapshots: Vec<String> = job.snapshots.iter().map(ToString::to_string).collect();
    let rows = collected.sort(job.member.as_str(), &snapshots);
    Ok(Changes { rows, touched, absent: conform.absent() })
}

/// Rows of a part that no later delta writes or deletes.
struct Staying {
    part: PartReader,
    touched: HashSet<Id>,
}

impl SortedBatches for Staying {
    fn next_sorted(&mut self) -> Result<Option<RecordBatch>, ConsolidateFault> {
        while let Some(batch) = self.part.next_sorted()? {
            let stays: BooleanArray = row_ids(&batch).map(|id| Some(!self.touched.contains(&id))).collect();
            let staying = filter_record_batch(&batch, &stays).map_err(|_| ConsolidateFault::Batch)?;
            if staying.num_rows() > 0 {
                return Ok(Some(staying));
            }
        }
        Ok(None)
    }
}

/// The two streams of a merge.
enum Either {
    Staying(Staying),
    New(Sorted),
}

impl SortedBatches for Either {
    fn next_sorted(&mut self) -> Result<Option<RecordBatch>, ConsolidateFault> {
        match self {
            Self::Staying(rows) => rows.next_sorted(),
            Self::New(rows) => rows.next_sorted(),
        }
    }
}
