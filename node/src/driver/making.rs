//! What every run that makes blobs is made with: open sources, stored listings, keys, and faults of the store.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use cohortium_engine::linkage::sub_key;
use cohortium_protocol::ident::ConsortiumId;
use cohortium_protocol::key::wrap::Secret32;
use cohortium_protocol::quantity::Bytes;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::listing::{BlobRef, Listing};
use cohortium_protocol::wire::codec;
use cohortium_store::blob::{BlobFault, BlobStore};
use rustix::fs::fstat;
use tokio::task::spawn_blocking;

use crate::driver::files::{self, FileStamp};
use crate::driver::keys::Keys;

/// A run's fault on its way up.
pub(crate) type Run<T> = Result<T, RunFault>;

/// A blocking part of a run; a panic in it is ours, and the run's end.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Run<T> + Send + 'static) -> Run<T> {
    spawn_blocking(work).await.unwrap_or(Err(RunFault::WorkerLost))
}

pub(crate) fn store(blobs: &BlobStore, listing: &Listing) -> Run<BlobRef> {
    let stored = blobs.put(&codec::encode(listing)).map_err(|fault| disk(&fault))?;
    Ok(BlobRef { digest: stored.digest, bytes: Bytes(stored.bytes) })
}

pub(crate) fn disk(fault: &BlobFault) -> RunFault {
    tracing::error!(event = "store-failed", %fault);
    RunFault::Limit
}

/// A source's file, by its path, so that it can be looked at again.
pub(crate) struct Opened {
    path: PathBuf,
    before: FileStamp,
}

impl Opened {
    /// Opens a source's file and waits until a later write would show.
    pub(crate) fn new(path: &str) -> Run<(Self, OwnedFd)> {
        let path = PathBuf::from(path);
        let (source, before) = files::open_plain(&path).map_err(|_| RunFault::Unreadable)?;
        before.let_age();
        Ok((Self { path, before }, source.into()))
    }

    /// Whether nobody has written to it, or put another file in its place, since.
    pub(crate) fn unchanged(&self) -> Run<()> {
        let (file, _) = files::open_plain(&self.path).map_err(|_| RunFault::Changed)?;
        let after = fstat(&file).map_err(|_| RunFault::Changed)?;
        if FileStamp::of(&after) == self.before { Ok(()) } else { Err(RunFault::Changed) }
    }
}

pub(crate) fn linkage_sub_key(
    keys: &Keys,
    kind: cohortium_protocol::record::charter::CharterKind,
    consortium: ConsortiumId,
    epoch: u32,
) -> Run<Secret32> {
    let key = keys.linkage(kind, &consortium, epoch).ok_or(RunFault::NoLinkageKey)?;
    Ok(sub_key(&key, &consortium, epoch))
}
