//! One member's part of a table version: from its whole chain, or from the part before and the deltas since. Both ways give
//! one digest (spec CONS-5).

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use cohortium_protocol::ident::{ColumnName, Name, SnapshotId};

use crate::consolidate::conform::Conform;
use crate::consolidate::content::{Content, Digested};
use crate::consolidate::fault::ConsolidateFault;
use crate::consolidate::layers::{Ids, Layer, Layers, Seen, gone_batch};
use crate::consolidate::merged::{Merged, SortKeys, SortedBatches};
use crate::consolidate::part::{PartReport, PartSinks, PartWriter};
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

/// Of a base's rows as many may be gone, and beside it as many may be new, before another base is written: an eighth.
const CHANGED_PART: u64 = 8;
/// Rows that are gone lie in the base for as many snapshots at most, however few they are.
const GONE_SNAPSHOTS_MAX: usize = 16;

/// Makes a part from the whole chain.
///
/// Its rows are sorted in memory: their cells and about 130 bytes a row, within `rows_max` and `sorted_bytes_max`.
///
/// # Errors
/// [`ConsolidateFault`]; what the sinks got by then is no part.
pub fn gather(job: &GatherJob<'_>, sinks: PartSinks<'_, '_>) -> Result<PartReport, ConsolidateFault> {
    let Changes { mut rows, absent, .. } = changes(job, 0)?;
    let mut writer = PartWriter::new(job.shape, sinks, Content::new(job.limits.rows_max), &job.limits);
    while let Some(batch) = rows.next_sorted()? {
        writer.write(&batch)?;
    }
    writer.finish(job.member, 0, absent)
}

/// Makes a part from the one before and the chain's deltas since: rows they write replace, rows they delete are gone.
///
/// The base of the part before is kept as it lies, and what has changed since is written anew beside it; of the base only ids and digests are
/// read. Where an eighth of it has changed, or a row that is gone would lie in it for more than 16 snapshots, all rows
/// become another base. What the deltas write is sorted in memory as in [`gather`]; there are 32 bytes a row for digests.
///
/// # Errors
/// [`ConsolidateFault`]; what the sinks got by then is no part.
pub fn merge(
    job: &GatherJob<'_>,
    previous: &PreviousPart<'_>,
    sinks: PartSinks<'_, '_>,
) -> Result<PartReport, ConsolidateFault> {
    let Changes { rows, touched, absent } = changes(job, previous.deltas + 1)?;
    let layers = Layers::of(job.shape, previous.files, &job.limits)?;
    if !layers.digested {
        return gather(job, sinks);
    }
    let before = layers.gone(job.snapshots, &job.limits)?;
    let touched = Arc::new(Ids::of(touched));
    let keys = SortKeys::new(&job.shape.schema(), job.shape.order())?;
    let layer = |files: &[Handle], gone| Layer::new(job.shape, files.to_vec(), Some(gone), Seen::File, &job.limits);
    let changed = layer(&layers.changed, Arc::clone(&touched));
    let (mut writer, kept, streams);
    if has_room(job, &layers, &before, &touched, rows.len()) {
        let (content, gone) = base_content(job, &layers, before, &touched)?;
        (kept, streams) = (layers.base.len(), vec![Either::Staying(changed), Either::New(rows)]);
        writer = PartWriter::new(job.shape, sinks, content, &job.limits);
        if touched.len() > 0 || layers.gone.is_some() {
            writer.write_gone(&gone_batch(&gone, job.snapshots)?)?;
        }
    } else {
        let gone = before.iter().map(|(id, _)| *id).chain(touched.iter()).collect();
        let base = layer(&layers.base, Arc::new(Ids::of(gone)));
        (kept, streams) = (0, vec![Either::Staying(base), Either::Staying(changed), Either::New(rows)]);
        writer = PartWriter::new(job.shape, sinks, Content::new(job.limits.rows_max), &job.limits);
    }
    let mut merged = Merged::new(keys, streams, job.limits.batch_rows)?;
    while let Some(batch) = merged.next_batch(|_, _| true)? {
        writer.write(&batch)?;
    }
    writer.finish(job.member, kept, absent)
}

/// Whether what has changed still fits beside the base.
fn has_room(job: &GatherJob<'_>, layers: &Layers, gone: &[(Id, usize)], touched: &Ids, new_rows: u64) -> bool {
    let room = layers.base_rows / CHANGED_PART;
    let oldest = gone.iter().map(|(_, at)| *at).min().unwrap_or(job.snapshots.len());
    layers.base_rows >= job.limits.part_base_rows_min
        && (gone.len() + touched.len()) as u64 <= room
        && layers.changed_rows + new_rows <= room
        && job.snapshots.len() - oldest <= GONE_SNAPSHOTS_MAX
}

/// The digests of the base's rows that stay, and the ids of those that do not.
fn base_content(
    job: &GatherJob<'_>,
    layers: &Layers,
    mut gone: Vec<(Id, usize)>,
    touched: &Ids,
) -> Result<(Content, Vec<(Id, usize)>), ConsolidateFault> {
    let before = Ids::of(gone.iter().map(|(id, _)| *id).collect());
    let (mut content, mut found) = (Content::new(job.limits.rows_max), 0);
    let newest = job.snapshots.len() - 1;
    let mut base = Layer::new(job.shape, layers.base.clone(), None, Seen::Digests, &job.limits);
    while let Some(batch) = base.next_sorted()? {
        let mut ids = row_ids(&batch);
        content.add(batch.column(1), |_| {
            let Some(id) = ids.next() else { return false };
            if before.contains(&id) {
                found += 1;
                return false;
            }
            let stays = !touched.contains(&id);
            if !stays {
                gone.push((id, newest));
            }
            stays
        })?;
    }
    // An id that the base does not have would be one that this part's files were not written with.
    if found == before.len() { Ok((content, gone)) } else { Err(ConsolidateFault::NotAPart) }
}

/// What the snapshots from one number on come to.
struct Changes {
    rows: New,
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
    let rows = New { rows, digested: Digested::new(job.shape) };
    Ok(Changes { rows, touched, absent: conform.absent() })
}

/// Rows that were sorted, with their digests.
struct New {
    rows: Sorted,
    digested: Digested,
}

impl New {
    fn len(&self) -> u64 {
        self.rows.len()
    }
}

impl SortedBatches for New {
    fn next_sorted(&mut self) -> Result<Option<RecordBatch>, ConsolidateFault> {
        self.rows.next_sorted()?.map(|batch| self.digested.beside(&batch)).transpose()
    }
}

/// The streams of a merge.
enum Either {
    Staying(Layer),
    New(New),
}

impl SortedBatches for Either {
    fn next_sorted(&mut self) -> Result<Option<RecordBatch>, ConsolidateFault> {
        match self {
            Self::Staying(rows) => rows.next_sorted(),
            Self::New(rows) => rows.next_sorted(),
        }
    }
}
