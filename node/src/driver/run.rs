//! Runs over a source: a table through a worker, a set of files by copying. What they made is durable when they end.

use std::path::Path;
use std::sync::Arc;

use cohortium_engine::delta::TakeReport;
use cohortium_engine::linkage::{NORMALISER, check_value, key_id, sub_key};
use cohortium_protocol::endpoint::io::{RunEnd, RunPlan, Taken};
use cohortium_protocol::ident::{ConsortiumId, RelPath};
use cohortium_protocol::key::wrap::Secret32;
use cohortium_protocol::quantity::Bytes;
use cohortium_protocol::record::dataset::Dataset;
use cohortium_protocol::record::dataset::Source;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::listing::{BlobRef, BlobRole, Listing, ListingEntry};
use cohortium_protocol::record::manifest::{Base, LinkageStatement};
use cohortium_protocol::record::order::OptOutEntry;
use cohortium_protocol::record::share::{Content, Linkage, Share};
use cohortium_protocol::wire::codec;
use cohortium_store::blob::{BlobFault, BlobStore, Pending};
use rustix::fs::fstat;
use tokio::task::spawn_blocking;

use crate::driver::files::{self, Copy, FileStamp};
use crate::driver::hands::Hands;
use crate::driver::keys::Keys;
use crate::driver::listings::listing;
use crate::worker::job::{Job, Key32, Made, Report, ReportFault, SealedFile, Terms};

/// The path of a table's rows in its listing.
pub(crate) const ROWS_PATH: &str = "rows.parquet";
/// The path of a delta's deletes.
pub(crate) const DELETES_PATH: &str = "deletes.parquet";

/// A run's fault on its way up.
type Run<T> = Result<T, RunFault>;

/// Carries out one run.
pub(crate) async fn run(hands: &Arc<Hands>, plan: RunPlan) -> RunEnd {
    let taken = match plan.dataset.source {
        Source::Files { .. } => run_files(hands, plan).await,
        Source::Csv { .. } | Source::Parquet { .. } => run_table(hands, plan).await,
    };
    match taken {
        Ok(Some(taken)) => RunEnd::Taken(Box::new(taken)),
        Ok(None) => RunEnd::Unchanged,
        Err(fault) => RunEnd::Failed(fault),
    }
}

/// A blocking part of a run; a panic in it is ours, and the run's end.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Run<T> + Send + 'static) -> Run<T> {
    spawn_blocking(work).await.unwrap_or(Err(RunFault::WorkerLost))
}

/// A set of files is always listed whole; a blob that the consumer has does not travel again.
async fn run_files(hands: &Arc<Hands>, plan: RunPlan) -> Run<Option<Taken>> {
    let (blobs, stop) = (hands.blobs.clone(), hands.pool.closed());
    blocking(move || {
        let previous = plan.previous.and_then(|(blob, _)| listing(&blobs, blob));
        let copy = Copy { blobs: &blobs, previous: previous.as_ref(), stop: &stop };
        let folder = Path::new(plan.dataset.source.path().as_str());
        let content = files::take(folder, &copy).map_err(|fault| RunFault::from(&fault))?;
        if previous.as_ref() == Some(&content) {
            return Ok(None);
        }
        Ok(Some(Taken { base: Base::Full, listing: store(&blobs, &content)?, content, index: None, linkage: None }))
    })
    .await
}

fn store(blobs: &BlobStore, listing: &Listing) -> Run<BlobRef> {
    let stored = blobs.put(&codec::encode(listing)).map_err(|fault| disk(&fault))?;
    Ok(BlobRef { digest: stored.digest, bytes: Bytes(stored.bytes) })
}

fn disk(fault: &BlobFault) -> RunFault {
    tracing::error!(event = "store-failed", %fault);
    RunFault::Limit
}

async fn run_table(hands: &Arc<Hands>, plan: RunPlan) -> Run<Option<Taken>> {
    let plan = Arc::new(plan);
    let end = attempt(hands, &plan, plan.previous).await?;
    let Attempt::Delta { report, .. } = &end else { return conclude(hands, &plan, end).await };
    let changed = report.rows_out.0.saturating_add(report.deletes.0);
    if changed > report.rows_version.0 / 2 {
        let full = attempt(hands, &plan, None).await?;
        return conclude(hands, &plan, full).await;
    }
    conclude(hands, &plan, end).await
}

/// The blobs that one attempt made.
struct Parts {
    rows: BlobRef,
    deletes: Option<BlobRef>,
    index: Option<BlobRef>,
}

enum Attempt {
    Full { report: Box<TakeReport>, parts: Parts },
    Delta { report: Box<TakeReport>, parts: Parts },
}

/// Runs a worker over the source once.
async fn attempt(
    hands: &Arc<Hands>,
    plan: &Arc<RunPlan>,
    previous: Option<(BlobRef, Option<BlobRef>)>,
) -> Run<Attempt> {
    let (ready, files, stamp) = {
        let (hands, plan) = (Arc::clone(hands), Arc::clone(plan));
        blocking(move || prepare(&hands, &plan, previous)).await?
    };
    let Ready { job, source, pending } = ready;
    let report = hands.pool.run(job, files).await.map_err(|fault: ReportFault| fault.fault)?;
    let Report::Taken { report, rows, deletes, index } = report else { return Err(RunFault::WorkerLost) };
    blocking(move || {
        // The worker compares the open file with itself; here a file put in its place would show too.
        source.unchanged(stamp)?;
        let [into_rows, into_deletes, into_index] = pending;
        let commit = |into: Pending, made: Made| {
            let stored = into.commit(made.digest, made.bytes, &made.outboard.0).map_err(|fault| disk(&fault))?;
            Ok::<_, RunFault>(BlobRef { digest: stored.digest, bytes: Bytes(stored.bytes) })
        };
        let parts = Parts {
            rows: commit(into_rows, rows)?,
            deletes: deletes.map(|made| commit(into_deletes, made)).transpose()?,
            index: index.map(|made| commit(into_index, made)).transpose()?,
        };
        Ok(match report.base {
            Base::Full => Attempt::Full { report, parts },
            Base::Delta => Attempt::Delta { report, parts },
        })
    })
    .await
}

/// Everything a worker needs for one attempt.
struct Ready {
    job: Job,
    source: Opened,
    pending: [Pending; 3],
}

/// The source, kept open by its path so that it can be looked at again.
struct Opened {
    path: std::path::PathBuf,
}

impl Opened {
    fn unchanged(&self, before: FileStamp) -> Run<()> {
        let (file, _) = files::open_plain(&self.path).map_err(|_| RunFault::Changed)?;
        let after = fstat(&file).map_err(|_| RunFault::Changed)?;
        if FileStamp::of(&after) == before { Ok(()) } else { Err(RunFault::Changed) }
    }
}

fn prepare(
    hands: &Hands,
    plan: &RunPlan,
    previous: Option<(BlobRef, Option<BlobRef>)>,
) -> Run<(Ready, Vec<std::os::fd::OwnedFd>, FileStamp)> {
    let path = std::path::PathBuf::from(plan.dataset.source.path().as_str());
    let (source, stamp) = files::open_plain(&path).map_err(|_| RunFault::Unreadable)?;
    stamp.let_age();
    let mut files = vec![source.into()];
    let previous = match previous.and_then(|(_, index)| index) {
        Some(index) => {
            let (file, key, bytes) = hands.blobs.open_for_worker(index.digest).map_err(|fault| disk(&fault))?;
            files.push(file.into());
            Some(SealedFile { key: Key32(*key.expose()), bytes })
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
    let job = Job::Take { terms, previous, rows, deletes, index };
    Ok((Ready { job, source: Opened { path }, pending: [rows_pending, deletes_pending, index_pending] }, files, stamp))
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
    let Content::Table { columns, linkage } = &what.share.content else { return Err(RunFault::ColumnsDiffer) };
    let place = hands.place(&what.consortium).ok_or(RunFault::WorkerLost)?;
    let row_key = hands.keys.rows(place.kind, &what.consortium).map_err(|fault| {
        tracing::error!(event = "keystore-failed", %fault);
        RunFault::Limit
    })?;
    let linkage_key = match linkage {
        Linkage::None => None,
        Linkage::Token => {
            let epoch = what.epoch.ok_or(RunFault::NoLinkageKey)?;
            Some(linkage_sub_key(&hands.keys, place.kind, what.consortium, epoch)?)
        }
    };
    Ok(Terms {
        columns: columns.clone(),
        linkage: *linkage,
        dataset: what.dataset.clone(),
        row_key: Key32(*row_key.as_bytes()),
        linkage_key: linkage_key.map(|key| Key32(*key.as_bytes())),
        opt_outs: what.opted_out.iter().copied().collect(),
    })
}

fn linkage_sub_key(
    keys: &Keys,
    kind: cohortium_protocol::record::charter::CharterKind,
    consortium: ConsortiumId,
    epoch: u32,
) -> Run<Secret32> {
    let key = keys.linkage(kind, &consortium, epoch).ok_or(RunFault::NoLinkageKey)?;
    Ok(sub_key(&key, &consortium, epoch))
}

/// Lists what an attempt made and stores the listing.
async fn conclude(hands: &Arc<Hands>, plan: &Arc<RunPlan>, attempt: Attempt) -> Run<Option<Taken>> {
    let (hands, plan) = (Arc::clone(hands), Arc::clone(plan));
    blocking(move || {
        let (Attempt::Full { report, parts } | Attempt::Delta { report, parts }) = attempt;
        if report.unchanged {
            return Ok(None);
        }
        let content = table_listing(&report, &parts)?;
        let before = plan.previous.and_then(|(blob, _)| listing(&hands.blobs, blob));
        // A table without a key is always taken whole: equal bytes mean that nothing has changed. One with a key brings a
        // new row index, which must not be lost.
        if report.base == Base::Full && !report.has_index && before.as_ref() == Some(&content) {
            return Ok(None);
        }
        let linkage = statement(&hands, &plan)?;
        let listing = store(&hands.blobs, &content)?;
        Ok(Some(Taken { base: report.base, listing, content, index: parts.index, linkage }))
    })
    .await
}

fn table_listing(report: &TakeReport, parts: &Parts) -> Run<Listing> {
    let entry = |path: &str, role, blob, rows| {
        let path: RelPath = path.parse().expect("a constant that is a path");
        ListingEntry { path, role, blob, rows }
    };
    let deletes = parts.deletes.map(|blob| entry(DELETES_PATH, BlobRole::Deletes, blob, report.deletes));
    let rows = entry(ROWS_PATH, BlobRole::Rows, parts.rows, report.rows_out);
    // Deletes come before rows, as their paths do.
    let entries: Vec<ListingEntry> = deletes.into_iter().chain([rows]).collect();
    Listing::try_from(entries).map_err(|_| RunFault::WorkerLost)
}

/// With which key and rules the tokens were made.
fn statement(hands: &Hands, plan: &RunPlan) -> Run<Option<LinkageStatement>> {
    let carries = matches!(plan.share.content, Content::Table { linkage: Linkage::Token, .. });
    let (true, Some(epoch)) = (carries, plan.epoch) else { return Ok(None) };
    let place = hands.place(&plan.consortium).ok_or(RunFault::WorkerLost)?;
    let key = linkage_sub_key(&hands.keys, place.kind, plan.consortium, epoch)?;
    let check = check_value(&key, NORMALISER);
    Ok(Some(LinkageStatement { epoch, key: key_id(&key), normaliser: NORMALISER, check }))
}
