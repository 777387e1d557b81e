//! Consolidations: the landed tables of all members through a worker into table versions, kept as one set.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use cohortium_engine::consolidate::part::PartReport;
use cohortium_engine::consolidate::shape::TableShape;
use cohortium_engine::limits::PART_FILE_ROWS;
use cohortium_protocol::endpoint::io::{ConsolidatedSet, ConsolidationPlan, LandedTable, Parts};
use cohortium_protocol::ident::Name;
use cohortium_protocol::quantity::{Bytes, Rows};
use cohortium_protocol::record::consolidation::ConsolidatedPart;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::listing::{BlobRef, BlobRole, Listing, ListingEntry};
use cohortium_schema::schema::CommonSchema;
use cohortium_store::blob::Pending;

use crate::driver::hands::Hands;
use crate::driver::landed;
use crate::driver::making::{Run, blocking, disk, store};
use crate::driver::sets::entry;
use crate::worker::job::{Job, Key32, Made, Part, Report, SealedFile};

/// Files of one part at most; the last takes what is left.
const FILES_MAX: u64 = 32;

/// Carries out one consolidation: what has not changed since the set before is taken over. A member whose rows cannot be
/// taken in keeps its parts of the set before, and the others' rows are taken in all the same.
///
/// # Errors
/// The first member's fault, when nobody's rows can be taken in.
pub(crate) async fn run(hands: &Arc<Hands>, plan: ConsolidationPlan) -> Run<ConsolidatedSet> {
    let schema = CommonSchema::in_use(plan.schema.as_deref()).map_err(|_| RunFault::ColumnsDiffer)?;
    let digest = schema.digest();
    let mut members: BTreeMap<Name, Vec<&LandedTable>> = BTreeMap::new();
    for table in &plan.tables {
        members.entry(table.member.clone()).or_default().push(table);
    }
    let (mut tables, mut left_out) = (Parts::new(), plan.left_out.clone());
    for (member, landed) in members {
        match parts_of(hands, &schema, &landed, &plan.previous).await {
            Ok(parts) => place(&mut tables, &member, parts),
            Err(fault) => {
                tracing::warn!(event = "member-left-out", %member, ?fault);
                left_out.insert(member, fault);
            }
        }
    }
    for member in left_out.keys() {
        let before =
            plan.previous.iter().filter_map(|(table, parts)| Some((table.clone(), parts.get(member)?.clone())));
        place(&mut tables, member, before.collect());
    }
    if let (true, Some(fault)) = (tables.is_empty(), left_out.values().next()) {
        return Err(*fault);
    }
    let (own, named) = (Arc::clone(hands), tables.clone());
    let listing = blocking(move || list(&own, &named)).await?;
    Ok(ConsolidatedSet { schema: digest, tables, left_out, listing })
}

fn place(tables: &mut Parts, member: &Name, parts: Vec<(Name, ConsolidatedPart)>) {
    for (table, part) in parts {
        tables.entry(table).or_default().insert(member.clone(), part);
    }
}

/// All parts of one member.
async fn parts_of(
    hands: &Arc<Hands>,
    schema: &CommonSchema,
    landed: &[&LandedTable],
    previous: &Parts,
) -> Run<Vec<(Name, ConsolidatedPart)>> {
    let mut parts = Vec::with_capacity(landed.len());
    for table in landed {
        if table.origin.schema != schema.digest() {
            return Err(RunFault::ColumnsDiffer);
        }
        let before = previous.get(&table.origin.table).and_then(|parts| parts.get(&table.member));
        let part = match before {
            Some(before) if is_same(before, table) => before.clone(),
            before => make(hands, schema, table, before).await?,
        };
        parts.push((table.origin.table.clone(), part));
    }
    Ok(parts)
}

fn is_same(before: &ConsolidatedPart, table: &LandedTable) -> bool {
    before.share == table.share
        && before.snapshot == table.version.snapshot
        && before.mapping == Some(table.origin.mapping)
        && before.vocabulary == table.vocabulary
}

/// Makes one member's part of one table.
async fn make(
    hands: &Arc<Hands>,
    schema: &CommonSchema,
    table: &LandedTable,
    before: Option<&ConsolidatedPart>,
) -> Run<ConsolidatedPart> {
    let shape = TableShape::of(schema, &table.origin.table).ok_or(RunFault::ColumnsDiffer)?;
    let listings = landed::listings(hands, table.version.listings.clone()).await.map_err(|fault| fault.fault)?;
    let (chain, files) = landed::chain(hands, listings).await.map_err(|fault| fault.fault)?;
    let known = before.filter(|before| before.share == table.share);
    let known = known.and_then(|before| Some((before, table.chain.iter().position(|id| *id == before.snapshot)?)));
    let known = known.map(|(before, deltas)| (before.blobs.clone(), deltas as u64));
    let mut blobs = known.as_ref().map(|(blobs, _)| blobs.clone()).unwrap_or_default();
    let (own, member, snapshots) = (Arc::clone(hands), table.member.clone(), table.chain.clone());
    let (job, files, pending) = blocking(move || {
        let order = Order { shape, member, snapshots, chain };
        prepare(&own, order, known, files)
    })
    .await?;
    let report = hands.pool.run(job, files).await.map_err(|fault| {
        tracing::warn!(event = "consolidation-refused", member = %table.member, table = %table.origin.table, fault = ?fault.fault);
        fault.fault
    })?;
    let Report::Gathered { report, files } = report else { return Err(RunFault::WorkerLost) };
    let (PartReport { digest, kept, .. }, table) = (*report, table.clone());
    // What has not changed stays in the files in which it lies.
    blobs.truncate(kept);
    blocking(move || {
        // Files that were not needed are dropped, and their places with them.
        for (into, made) in pending.into_iter().zip(files) {
            let Made { digest, bytes, outboard } = made;
            let stored = into.commit(digest, bytes, &outboard.0).map_err(|fault| disk(&fault))?;
            blobs.push(BlobRef { digest: stored.digest, bytes: Bytes(stored.bytes) });
        }
        Ok(ConsolidatedPart {
            share: table.share,
            snapshot: table.version.snapshot,
            mapping: Some(table.origin.mapping),
            vocabulary: table.vocabulary,
            digest,
            blobs,
        })
    })
    .await
}

/// What a part is made of.
struct Order {
    shape: TableShape,
    member: Name,
    snapshots: Vec<cohortium_protocol::ident::SnapshotId>,
    chain: Vec<Part>,
}

type Prepared = (Job, Vec<OwnedFd>, Vec<Pending>);

fn prepare(hands: &Hands, order: Order, known: Option<(Vec<BlobRef>, u64)>, mut files: Vec<OwnedFd>) -> Run<Prepared> {
    let mut previous = None;
    if let Some((blobs, deltas)) = known {
        let mut sealed = Vec::with_capacity(blobs.len());
        for blob in blobs {
            let (file, key, bytes) = hands.blobs.open_for_worker(blob.digest).map_err(|fault| disk(&fault))?;
            files.push(file.into());
            sealed.push(SealedFile { key: Key32(*key.expose()), bytes });
        }
        previous = Some((sealed, deltas));
    }
    let rows: u64 = order.chain.iter().map(|part| part.rows_stated.0).sum();
    let (mut pending, mut into) = (Vec::new(), Vec::new());
    // One more for the ids that are gone.
    for _ in 0..(rows / PART_FILE_ROWS + 2).min(FILES_MAX) {
        let made = hands.blobs.prepare_for_worker().map_err(|fault| disk(&fault))?;
        let (file, key) = made.for_worker().map_err(|fault| disk(&fault))?;
        files.push(file.into());
        into.push(SealedFile { key: Key32(*key.expose()), bytes: 0 });
        pending.push(made);
    }
    let Order { shape, member, snapshots, chain } = order;
    let job = Job::Gather { shape: Box::new(shape), member, snapshots, chain, previous, into };
    Ok((job, files, pending))
}

/// The listing that keeps the files of all parts in the store. What each of them is, it says itself.
fn list(hands: &Hands, tables: &BTreeMap<Name, BTreeMap<Name, ConsolidatedPart>>) -> Run<BlobRef> {
    let mut entries: BTreeSet<ListingEntry> = BTreeSet::new();
    for (table, parts) in tables {
        for (member, part) in parts {
            for (number, blob) in part.blobs.iter().enumerate() {
                let path = format!("{table}/{member}/{number:03}.parquet");
                entries.insert(entry(&path, BlobRole::Rows, *blob, Rows(0))?);
            }
        }
    }
    let listing = Listing::try_from(entries.into_iter().collect::<Vec<_>>()).map_err(|_| RunFault::Limit)?;
    store(&hands.blobs, &listing)
}
