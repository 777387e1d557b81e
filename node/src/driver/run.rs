//! Runs over a source: a table through a worker, a set of files by copying. What they made is durable when they end.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use cohortium_engine::delta::TakeReport;
use cohortium_engine::linkage::{NORMALISER, check_value, key_id};
use cohortium_protocol::endpoint::io::{RunEnd, RunPlan, Taken};
use cohortium_protocol::ident::ConsortiumId;
use cohortium_protocol::record::dataset::Dataset;
use cohortium_protocol::record::dataset::Source;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::listing::BlobRef;
use cohortium_protocol::record::manifest::{Base, LinkageStatement};
use cohortium_protocol::record::order::OptOutEntry;
use cohortium_protocol::record::share::{Content, Linkage, Share};
use cohortium_store::blob::Pending;

use crate::driver::draft::Drafts;
use crate::driver::draw::{Depth, Drawn, draw};
use crate::driver::files::{self, Copy};
use crate::driver::hands::Hands;
use crate::driver::listings::listing;
use crate::driver::making::{Opened, Run, blocking, disk, linkage_sub_key, store};
use crate::driver::sets;
use crate::driver::{release_folder, row_index};
use crate::worker::job::{Job, Key32, Report, ReportFault, SealedFile, Terms};

/// Carries out one run.
pub(crate) async fn run(hands: &Arc<Hands>, plan: RunPlan) -> RunEnd {
    let taken = match plan.dataset.source {
        Source::Files { .. } => run_files(hands, plan).await,
        Source::Release { .. } => release_folder::run(hands, plan).await,
        Source::Csv { .. }
        | Source::Parquet { .. }
        | Source::Ndjson { .. }
        | Source::Json { .. }
        | Source::ArrowIpc { .. }
        | Source::Mapped { .. }
        | Source::Fhir { .. }
        | Source::Postgres(_)
        | Source::Maria(_)
        | Source::S3(_) => run_table(hands, plan).await,
    };
    match taken {
        Ok(Some(taken)) => RunEnd::Taken(Box::new(taken)),
        Ok(None) => RunEnd::Unchanged,
        Err(fault) => RunEnd::Failed(fault),
    }
}

/// A set of files is always listed whole; a blob that the consumer has does not travel again.
async fn run_files(hands: &Arc<Hands>, plan: RunPlan) -> Run<Option<Taken>> {
    let (blobs, stop) = (hands.blobs.clone(), hands.pool.closed());
    blocking(move || {
        let previous = plan.previous.and_then(|(blob, _)| listing(&blobs, blob));
        let copy = Copy { blobs: &blobs, previous: previous.as_ref(), stop: &stop };
        let folder = plan.dataset.source.path().ok_or(RunFault::Unreadable)?;
        let folder = Path::new(folder.as_str());
        let content = files::take(folder, &copy).map_err(|fault| RunFault::from(&fault))?;
        if previous.as_ref() == Some(&content) {
            return Ok(None);
        }
        let listing = store(&blobs, &content)?;
        Ok(Some(Taken {
            base: Base::Full,
            listing,
            content,
            index: None,
            linkage: None,
            origin: None,
            vocabulary: None,
        }))
    })
    .await
}

async fn run_table(hands: &Arc<Hands>, plan: RunPlan) -> Run<Option<Taken>> {
    let drawn = draw(hands, &plan.dataset.source, Depth::Whole).await.map_err(|fault| fault.fault)?;
    let plan = Arc::new(Planned { plan, drawn });
    let end = attempt(hands, &plan, plan.previous).await?;
    let report = &end.report;
    let changed = report.rows_out.0.saturating_add(report.deletes.0);
    // So many changes are told better by a full snapshot.
    if report.base == Base::Delta && changed > report.rows_version.0 / 2 {
        let full = attempt(hands, &plan, None).await?;
        return conclude(hands, &plan, full).await;
    }
    conclude(hands, &plan, end).await
}

/// A run, and what was drawn of its source, where that is no file of rows.
struct Planned {
    plan: RunPlan,
    drawn: Option<Drawn>,
}

impl std::ops::Deref for Planned {
    type Target = RunPlan;

    fn deref(&self) -> &RunPlan {
        &self.plan
    }
}

/// What one run of a worker came to. Nothing of it is durable.
struct Attempt {
    report: Box<TakeReport>,
    drafts: Drafts,
}

/// Runs a worker over the source once.
async fn attempt(
    hands: &Arc<Hands>,
    plan: &Arc<Planned>,
    previous: Option<(BlobRef, Option<BlobRef>)>,
) -> Run<Attempt> {
    let (ready, files) = {
        let (hands, plan) = (Arc::clone(hands), Arc::clone(plan));
        blocking(move || prepare(&hands, &plan, previous)).await?
    };
    let Ready { job, source, pending } = ready;
    let report = hands.pool.run(job, files).await.map_err(|fault: ReportFault| fault.fault)?;
    let Report::Taken { report, rows, deletes, index } = report else { return Err(RunFault::WorkerLost) };
    blocking(move || {
        // The worker compares the open file with itself; here a file put in its place would show too.
        source.iter().try_for_each(Opened::unchanged)?;
        Ok(Attempt { report, drafts: Drafts::new(pending, rows, deletes, index) })
    })
    .await
}

/// Everything a worker needs for one attempt.
struct Ready {
    job: Job,
    /// The source's file, unless it is a blob of our own.
    source: Option<Opened>,
    pending: [Pending; 3],
}

fn prepare(hands: &Hands, plan: &Planned, previous: Option<(BlobRef, Option<BlobRef>)>) -> Run<(Ready, Vec<OwnedFd>)> {
    let (source, sealed, file) = source_of(hands, plan)?;
    let mut files = vec![file];
    let previous = match previous.and_then(|(_, index)| index) {
        Some(index) => {
            let (previous, opened) = row_index::open(&hands.blobs, index).map_err(|fault| disk(&fault))?;
            files.extend(opened);
            Some(previous)
        }
        None => None,
    };
    let mut make = || {
        let pending = hands.blobs.prepare_for_worker().map_err(|fault| disk(&fault))?;
        let (file, key) = pending.for_worker().map_err(|fault| disk(&fault))?;
        files.push(file.into());
        Ok::<_, RunFault>((pending, SealedFile { key: Key32(*key.expose()), bytes: 0 }))
    };
    let ((rows_pending, rows), (deletes_pending, deletes), (index_pending, index)) = (make()?, make()?, make()?);
    let what = What {
        consortium: plan.consortium,
        share: &plan.share,
        dataset: &plan.dataset,
        opted_out: &plan.opted_out,
        epoch: plan.epoch,
    };
    let terms = Box::new(terms(hands, &what)?);
    let job = Job::Take { terms, source: sealed, previous, rows, deletes, index };
    Ok((Ready { job, source, pending: [rows_pending, deletes_pending, index_pending] }, files))
}

/// The source: a file of the machine, what was drawn, or a table of this node's own store.
fn source_of(hands: &Hands, plan: &Planned) -> Run<(Option<Opened>, Option<SealedFile>, OwnedFd)> {
    if let Some(drawn) = &plan.drawn {
        let (sealed, file) = drawn.open()?;
        return Ok((None, Some(sealed), file));
    }
    let (Some(set), Source::Mapped { table, .. }) = (&plan.set, &plan.dataset.source) else {
        let path = plan.dataset.source.path().ok_or(RunFault::SetStale)?;
        let (opened, file) = Opened::new(path.as_str())?;
        return Ok((Some(opened), None, file));
    };
    let (sealed, file) = sets::open_table(hands, set.listing, table)?;
    Ok((None, Some(sealed), file))
}

/// Whose rows leave under which terms.
pub(crate) struct What<'a> {
    pub(crate) consortium: ConsortiumId,
    pub(crate) share: &'a Share,
    pub(crate) dataset: &'a Dataset,
    pub(crate) opted_out: &'a [OptOutEntry],
    pub(crate) epoch: Option<u32>,
}

/// The terms of a table's run with the secrets they need. Blocks.
pub(crate) fn terms(hands: &Hands, what: &What<'_>) -> Run<Terms> {
    let Content::Table(table) = &what.share.content else { return Err(RunFault::ColumnsDiffer) };
    let place = hands.place(&what.consortium).ok_or(RunFault::WorkerLost)?;
    let row_key = hands.keys.rows(place.kind, &what.consortium).map_err(|fault| {
        tracing::error!(event = "keystore-failed", %fault);
        RunFault::Limit
    })?;
    // The person ids of a mapped table were made with tokens already; it has no columns to make others of.
    let mut table = table.clone();
    if matches!(what.dataset.source, Source::Mapped { .. }) {
        table.linkage = Linkage::None;
    }
    let linkage_key = match table.linkage {
        Linkage::None => None,
        Linkage::Token => {
            let epoch = what.epoch.ok_or(RunFault::NoLinkageKey)?;
            Some(linkage_sub_key(&hands.keys, place.kind, what.consortium, epoch)?)
        }
    };
    Ok(Terms {
        table,
        dataset: what.dataset.clone(),
        row_key: Key32(*row_key.as_bytes()),
        linkage_key: linkage_key.map(|key| Key32(*key.as_bytes())),
        opt_outs: what.opted_out.iter().copied().collect(),
    })
}

/// Lists what an attempt made, and keeps all of it.
async fn conclude(hands: &Arc<Hands>, plan: &Arc<Planned>, attempt: Attempt) -> Run<Option<Taken>> {
    let (hands, plan) = (Arc::clone(hands), Arc::clone(plan));
    blocking(move || {
        let Attempt { report, drafts } = attempt;
        if report.unchanged {
            return Ok(None);
        }
        let content = drafts.listing(&report).ok_or(RunFault::WorkerLost)?;
        let before = plan.previous.and_then(|(blob, _)| listing(&hands.blobs, blob));
        // A table without a key is always taken whole: equal bytes mean that nothing has changed. One with a key brings a
        // new row index, which must not be lost.
        if report.base == Base::Full && !report.has_index && before.as_ref() == Some(&content) {
            return Ok(None);
        }
        let (linkage, origin, vocabulary) = match &plan.set {
            None => (statement(&hands, &plan)?, None, None),
            Some(set) => {
                let origin = sets::origin(&hands, set.listing, &plan.dataset)?;
                (set.linkage.clone(), origin, sets::vocabulary(&hands, set.listing)?)
            }
        };
        let kept = drafts.keep(&hands.blobs, &content).map_err(|fault| disk(&fault))?;
        let (base, listing, index) = (report.base, kept.listing, kept.index);
        Ok(Some(Taken { base, listing, content, index, linkage, origin, vocabulary }))
    })
    .await
}

/// With which key and rules the tokens were made.
fn statement(hands: &Hands, plan: &RunPlan) -> Run<Option<LinkageStatement>> {
    let carries = matches!(&plan.share.content, Content::Table(table) if table.linkage == Linkage::Token);
    let (true, Some(epoch)) = (carries, plan.epoch) else { return Ok(None) };
    let place = hands.place(&plan.consortium).ok_or(RunFault::WorkerLost)?;
    let key = linkage_sub_key(&hands.keys, place.kind, plan.consortium, epoch)?;
    let check = check_value(&key, NORMALISER);
    Ok(Some(LinkageStatement { epoch, key: key_id(&key), normaliser: NORMALISER, check }))
}
