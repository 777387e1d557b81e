//! Writing what a consumer lacks into a new folder, under the rules of serving.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cohortium_protocol::code::ErrorCode;
use cohortium_protocol::endpoint::io::{Input, Under};
use cohortium_protocol::ident::{ConsortiumId, Name, SubscriptionId};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::message::document::Numbered;
use cohortium_protocol::outboard::ranges;
use cohortium_protocol::quantity::Bytes;
use cohortium_protocol::record::export_heading::ExportHeading;
use cohortium_protocol::record::extension::Extensions;
use cohortium_protocol::record::listing::BlobRef;
use cohortium_store::blob::BlobStore;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::control::{ErrorKind, Reply};
use crate::driver::carried::{BLOBS, OUTBOARDS};
use crate::driver::clock;
use crate::driver::fresh::{Fresh, create};
use crate::driver::hands::Hands;
use crate::driver::listings::listing;
use crate::offline::folder::{DOCUMENTS, HEADING, documents_digest, documents_file};
use crate::service::answer::{Answered, Out, broken, error, no_consortium, stopping};

/// What is exported, and where to.
pub(crate) struct Export {
    pub(crate) consortium: ConsortiumId,
    pub(crate) subscription: SubscriptionId,
    pub(crate) folder: PathBuf,
}

/// What the rules let into it.
struct Plan {
    consumer: Name,
    documents: Vec<Numbered>,
    listings: Vec<BlobRef>,
}

/// The papers, ready to be written.
struct Papers {
    heading: Vec<u8>,
    documents: Vec<u8>,
}

/// Whether a folder may be made there.
///
/// # Errors
/// The answer that says why not.
pub(crate) fn may_become(folder: &Path) -> Result<(), Reply> {
    if folder.is_absolute() && folder.symlink_metadata().is_err() {
        return Ok(());
    }
    Err(error(ErrorKind::Usage, "the folder must have an absolute path and may not be there yet"))
}

/// Writes the folder. It has its name only when it is whole.
pub(crate) async fn run(hands: &Arc<Hands>, export: Export, out: &mut Out) -> Answered {
    let Export { consortium, subscription, folder } = export;
    may_become(&folder)?;
    let place = hands.place(&consortium).ok_or_else(no_consortium)?;
    // Taken before the rules are asked: a revocation from here on ends the export.
    let under = Under { consortium, subscription };
    let token = hands.cuts.token(under);
    let now = clock::wall();
    let plan = hands.queue.look(move |endpoint| {
        let plan = endpoint.export(consortium, subscription, now)?;
        let found = endpoint.state(consortium).and_then(|state| state.subscriptions.get(&subscription));
        let consumer = found.ok_or(ErrorCode::NotFound)?.peer.clone();
        Ok(Plan { consumer, documents: plan.documents, listings: plan.listings })
    });
    let plan: Option<Result<Plan, ErrorCode>> = plan.await;
    let plan =
        plan.ok_or_else(stopping)?.map_err(|code| error(kind_of(code), format_args!("nothing may leave: {code}")))?;
    let documents = documents_file(&plan.documents);
    let heading = ExportHeading {
        consortium,
        provider: place.party,
        consumer: plan.consumer,
        subscription,
        documents: documents_digest(&documents),
        at: now,
        ext: Extensions::default(),
    };
    let signing = hands.keys.signing().map_err(|fault| error(ErrorKind::Local, fault))?;
    let papers = Papers { heading: Signed::sign(&heading, &signing).to_bytes(), documents };
    let snapshots = plan.listings.len() as u64;
    let fresh = Fresh::folder(&folder).map_err(|fault| error(ErrorKind::Local, fault))?;
    let bytes = write(hands, fresh.temp(), (papers, plan.listings), &token, out).await?;
    if token.is_cancelled() {
        return Err(revoked());
    }
    fresh.place().map_err(|fault| error(ErrorKind::Local, fault))?;
    if token.is_cancelled() {
        // Cut between the last look and the rename: what has just got its name is this export and nothing else.
        let _ = fs::remove_dir_all(&folder);
        return Err(revoked());
    }
    hands.queue.input(Input::Served { under, bytes: Bytes(bytes) }).await;
    Ok(Reply::Exported { bytes, snapshots })
}

const fn kind_of(code: ErrorCode) -> ErrorKind {
    match code {
        ErrorCode::NotFound | ErrorCode::ConsortiumUnknown => ErrorKind::NotFound,
        _ => ErrorKind::Refused,
    }
}

fn revoked() -> Reply {
    error(ErrorKind::Refused, "the subscription was cut while the folder was written; nothing of it stays")
}

async fn write(
    hands: &Arc<Hands>,
    temp: &Path,
    (papers, listings): (Papers, Vec<BlobRef>),
    token: &CancellationToken,
    out: &mut Out,
) -> Result<u64, Reply> {
    let (blobs, folder) = (hands.blobs.clone(), temp.to_owned());
    let begun = spawn_blocking(move || begin(&blobs, &folder, &papers, &listings)).await.map_err(|_| broken())?;
    let wanted = begun.map_err(|fault| error(ErrorKind::Local, fault))?;
    let total: u64 = wanted.iter().map(|blob| blob.bytes.0).sum();
    let mut done = 0;
    for blob in wanted {
        let (blobs, folder, token) = (hands.blobs.clone(), temp.to_owned(), token.clone());
        let copied = spawn_blocking(move || copy(&blobs, &folder, blob, &token)).await.map_err(|_| broken())?;
        copied.map_err(|fault| {
            if fault.kind() == io::ErrorKind::Interrupted { revoked() } else { error(ErrorKind::Local, fault) }
        })?;
        done += blob.bytes.0;
        out.say(&Reply::Progress { done, total: Some(total), unit: "bytes".to_owned() }).await;
    }
    Ok(done)
}

/// Writes the papers into the folder; gives the blobs that belong into it, each once.
fn begin(blobs: &BlobStore, folder: &Path, papers: &Papers, listings: &[BlobRef]) -> io::Result<Vec<BlobRef>> {
    for part in [BLOBS, OUTBOARDS] {
        DirBuilder::new().mode(0o700).create(folder.join(part))?;
    }
    for (name, bytes) in [(HEADING, &papers.heading), (DOCUMENTS, &papers.documents)] {
        let mut file = create(&folder.join(name))?;
        file.write_all(bytes)?;
        file.sync_all()?;
    }
    let mut wanted = std::collections::BTreeSet::new();
    for blob in listings {
        let listing =
            listing(blobs, *blob).ok_or_else(|| io::Error::other(format!("listing {} cannot be read", blob.digest)))?;
        wanted.insert(*blob);
        wanted.extend(listing.entries().iter().map(|entry| entry.blob));
    }
    Ok(wanted.into_iter().collect())
}

/// Copies one blob and its outboard, range by range, until the token says stop.
fn copy(blobs: &BlobStore, folder: &Path, blob: BlobRef, token: &CancellationToken) -> io::Result<()> {
    let name = blob.digest.to_string();
    let outboard = blobs.outboard(blob.digest).map_err(io::Error::other)?;
    let mut file = create(&folder.join(OUTBOARDS).join(&name))?;
    file.write_all(&outboard.to_bytes())?;
    file.sync_all()?;
    let reader = blobs.reader(blob.digest).map_err(io::Error::other)?;
    let mut file = create(&folder.join(BLOBS).join(&name))?;
    let mut buffer = Vec::new();
    for range in ranges(reader.bytes()) {
        if token.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        reader.read_range(range, &mut buffer).map_err(io::Error::other)?;
        file.write_all(&buffer)?;
    }
    file.sync_all()
}
