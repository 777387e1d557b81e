//! Mapping runs: this node's sources through a worker into the tables of the common schema, kept as one set.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use cohortium_engine::linkage::{NORMALISER, check_value, key_id};
use cohortium_protocol::endpoint::io::{Gates, MapEnd, MapPlan};
use cohortium_protocol::ident::Name;
use cohortium_protocol::quantity::{Bytes, Rows};
use cohortium_protocol::record::dataset::Source;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::listing::{BlobRef, BlobRole, Listing};
use cohortium_protocol::record::manifest::LinkageStatement;
use cohortium_protocol::wire::codec;
use cohortium_store::blob::Pending;

use crate::driver::draw::{Database, Depth, Drawn, draw, draw_together, table_of};
use crate::driver::hands::Hands;
use crate::driver::listings::listing;
use crate::driver::making::{Opened, Run, blocking, disk, linkage_sub_key, store};
use crate::driver::sets::{
    self, ORIGIN_PATH, QUARANTINE_PATH, REPORT_PATH, SHAPES_PATH, VOCABULARY_PATH, entry, table_path,
};
use crate::driver::told::About;
use crate::worker::job::{Job, Key32, Made, MapInput, MapOrder, MappedTables, Report, ReportFault, SealedFile};

/// Carries out one mapping run.
pub(crate) async fn run(hands: &Arc<Hands>, plan: MapPlan) -> Run<MapEnd> {
    let plan = Arc::new(plan);
    let about = About::Mapping(plan.consortium, plan.mapping.name.clone());
    let refused = |fault: ReportFault| {
        tracing::warn!(event = "mapping-refused", mapping = %plan.mapping.name, fault = ?fault.fault);
        hands.told.keep(&about, fault.detail);
        fault.fault
    };
    let drawn = draw_all(hands, &plan).await.map_err(&refused)?;
    let (ready, files) = {
        let (hands, plan) = (Arc::clone(hands), Arc::clone(&plan));
        blocking(move || prepare(&hands, &plan, drawn)).await?
    };
    let Ready { job, sources, drawn, tables, quarantine } = ready;
    let report = hands.pool.run(job, files).await.map_err(&refused)?;
    drop(drawn);
    hands.told.keep(&about, None);
    let Report::Mapped(made) = report else { return Err(RunFault::WorkerLost) };
    let hands = Arc::clone(hands);
    blocking(move || {
        sources.iter().try_for_each(Opened::unchanged)?;
        conclude(&hands, &plan, *made, (tables, quarantine))
    })
    .await
}

/// What was drawn, and which sources of databases in one transaction.
struct AllDrawn {
    drawn: BTreeMap<Name, Drawn>,
    transactions: Vec<Vec<String>>,
}

/// Draws every source that is no file of rows. Those of one database, reached in one way, are drawn in one transaction.
async fn draw_all(hands: &Arc<Hands>, plan: &MapPlan) -> Result<AllDrawn, ReportFault> {
    let (mut databases, mut drawn) = (Vec::<Database<'_>>::new(), BTreeMap::new());
    for (name, (dataset, _)) in &plan.sources {
        if let Some((speaks, table)) = table_of(&dataset.source) {
            let known = databases.iter_mut().find(|known| known.speaks == speaks && known.place == &table.place);
            match known {
                Some(known) => known.tables.push((name, table)),
                None => databases.push(Database { speaks, place: &table.place, tables: vec![(name, table)] }),
            }
        } else {
            let found = draw(hands, &dataset.source, Depth::Whole).await;
            drawn.extend(found.map_err(|fault| fault.of_source(name.as_str()))?.map(|drawn| (name.clone(), drawn)));
        }
    }
    let mut transactions = Vec::with_capacity(databases.len());
    for database in databases {
        transactions.push(database.tables.iter().map(|(name, _)| name.to_string()).collect());
        drawn.extend(draw_together(hands, database).await?);
    }
    Ok(AllDrawn { drawn, transactions })
}

struct Ready {
    job: Job,
    /// Files of the machine.
    sources: Vec<Opened>,
    /// What was drawn, until it was read.
    drawn: BTreeMap<Name, Drawn>,
    tables: Vec<Pending>,
    quarantine: Pending,
}

fn prepare(hands: &Hands, plan: &MapPlan, all: AllDrawn) -> Run<(Ready, Vec<OwnedFd>)> {
    let AllDrawn { drawn, transactions } = all;
    let mut files = Vec::new();
    let (mut sources, mut opened) = (Vec::new(), Vec::new());
    for (name, (dataset, out)) in &plan.sources {
        let (sealed, file) = if let Some(drawn) = drawn.get(name) {
            let (sealed, file) = drawn.open()?;
            (Some(sealed), file)
        } else {
            let path = dataset.source.path().filter(|_| !matches!(dataset.source, Source::Files { .. }));
            let (source, file) = Opened::new(path.ok_or(RunFault::Unreadable)?.as_str())?;
            opened.push(source);
            (None, file)
        };
        files.push(file);
        let (name, dataset, opted_out) = (name.to_string(), dataset.clone(), out.iter().copied().collect());
        sources.push(MapInput { name, dataset, opted_out, sealed });
    }
    let mut keep = |opened: Run<(SealedFile, OwnedFd)>| {
        let (sealed, file) = opened?;
        files.push(file);
        Ok::<_, RunFault>(sealed)
    };
    let vocabulary = plan.vocabulary.as_ref().map(|loaded| keep(sets::open(hands, loaded.index))).transpose()?;
    let last = plan.before.map(|set| Last::of(hands, set, plan)).transpose()?.unwrap_or_default();
    let shapes = match last.shapes {
        None => None,
        Some(shapes) => Some((keep(sets::open(hands, shapes))?, last.accepted)),
    };
    let mut make = || {
        let pending = hands.blobs.prepare_for_worker().map_err(|fault| disk(&fault))?;
        let (file, key) = pending.for_worker().map_err(|fault| disk(&fault))?;
        files.push(file.into());
        Ok::<_, RunFault>((pending, SealedFile { key: Key32(*key.expose()), bytes: 0 }))
    };
    let (mut pending, mut tables) = (Vec::new(), Vec::new());
    for table in &plan.mapping.tables {
        let (into, sealed) = make()?;
        pending.push(into);
        tables.push((table.to_string(), sealed));
    }
    let (aside, quarantine) = make()?;
    let place = hands.place(&plan.consortium).ok_or(RunFault::WorkerLost)?;
    let row_key = hands.keys.rows(place.kind, &plan.consortium).map_err(|fault| {
        tracing::error!(event = "keystore-failed", %fault);
        RunFault::Limit
    })?;
    let linkage_key = plan.epoch.map(|epoch| linkage_sub_key(&hands.keys, place.kind, plan.consortium, epoch));
    let order = Box::new(MapOrder {
        text: plan.mapping.text.clone(),
        sources,
        row_key: Key32(*row_key.as_bytes()),
        thresholds: plan.thresholds.clone(),
        linkage_key: linkage_key.transpose()?.map(|key| Key32(*key.as_bytes())),
        schema: plan.schema.as_ref().map(ToString::to_string),
        vocabulary,
        shapes,
        had_rows: last.had_rows,
        transactions,
        may_be_empty: plan.empty.iter().map(ToString::to_string).collect(),
    });
    let job = Job::Map { order, tables, quarantine };
    Ok((Ready { job, sources: opened, drawn, tables: pending, quarantine: aside }, files))
}

/// What the last set says to the run that follows it.
#[derive(Default)]
struct Last {
    shapes: Option<BlobRef>,
    /// Whether another version of the mapping made it.
    accepted: bool,
    had_rows: BTreeSet<String>,
}

impl Last {
    /// A set of an earlier version of this software has no shapes.
    fn of(hands: &Hands, set: BlobRef, plan: &MapPlan) -> Run<Self> {
        let listing = listing(&hands.blobs, set).ok_or(RunFault::SetStale)?;
        let entry = |path: &str| listing.entries().iter().find(|entry| entry.path.as_str() == path);
        let had_rows = plan.mapping.tables.iter().map(ToString::to_string);
        let had_rows = had_rows.filter(|table| entry(&table_path(table)).is_some_and(|entry| entry.rows.0 > 0));
        let (mapping, _) = sets::made_of(hands, set)?;
        Ok(Self {
            shapes: entry(SHAPES_PATH).map(|entry| entry.blob),
            accepted: mapping != plan.digest,
            had_rows: had_rows.collect(),
        })
    }
}

/// Keeps what was made and lists it.
fn conclude(hands: &Hands, plan: &MapPlan, made: MappedTables, into: (Vec<Pending>, Pending)) -> Run<MapEnd> {
    let commit = |into: Pending, made: Made| {
        let stored = into.commit(made.digest, made.bytes, &made.outboard.0).map_err(|fault| disk(&fault))?;
        Ok::<_, RunFault>(BlobRef { digest: stored.digest, bytes: Bytes(stored.bytes) })
    };
    let put = |bytes: &[u8]| {
        let stored = hands.blobs.put(bytes).map_err(|fault| disk(&fault))?;
        Ok::<_, RunFault>(BlobRef { digest: stored.digest, bytes: Bytes(stored.bytes) })
    };
    let (tables, quarantine) = into;
    let mut entries = Vec::new();
    for (into, table) in tables.into_iter().zip(made.tables) {
        entries.push(entry(&table_path(&table.name), BlobRole::Rows, commit(into, table.made)?, table.rows)?);
    }
    let aside = commit(quarantine, made.quarantine)?;
    entries.push(entry(QUARANTINE_PATH, BlobRole::Rows, aside, made.quarantined)?);
    entries.push(entry(REPORT_PATH, BlobRole::File, put(&made.report.0)?, Rows(0))?);
    entries.push(entry(SHAPES_PATH, BlobRole::File, put(&made.shapes.0)?, Rows(0))?);
    if let Some(loaded) = plan.vocabulary.as_ref().filter(|_| made.with_vocabulary) {
        let used = codec::encode(&loaded.vocabulary);
        entries.push(entry(VOCABULARY_PATH, BlobRole::File, put(&used)?, Rows(0))?);
    }
    let origin = codec::encode(&(plan.digest, plan.mapping.schema));
    entries.push(entry(ORIGIN_PATH, BlobRole::File, put(&origin)?, Rows(0))?);
    entries.sort();
    let listing = Listing::try_from(entries).map_err(|_| RunFault::WorkerLost)?;
    let linkage = if made.linked { linkage(hands, plan)? } else { None };
    let gates = if made.gates_hold { Gates::Held } else { Gates::Failed };
    Ok(MapEnd { set: store(&hands.blobs, &listing)?, linkage, gates })
}

fn linkage(hands: &Hands, plan: &MapPlan) -> Run<Option<LinkageStatement>> {
    let Some(epoch) = plan.epoch else { return Ok(None) };
    let place = hands.place(&plan.consortium).ok_or(RunFault::WorkerLost)?;
    let key = linkage_sub_key(&hands.keys, place.kind, plan.consortium, epoch)?;
    let check = check_value(&key, NORMALISER);
    Ok(Some(LinkageStatement { epoch, key: key_id(&key), normaliser: NORMALISER, check }))
}
