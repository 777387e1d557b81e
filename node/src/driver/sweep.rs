//! The sweep: blobs that no live listing or index names leave the store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cohortium_protocol::digest::BlobDigest;
use cohortium_protocol::record::listing::{BlobRef, Listing};
use cohortium_store::blob::{BlobFault, BlobStore};
use tokio::task::spawn_blocking;

use crate::driver::hands::{Hands, listing};

/// How long to wait for runs to end before the next try: a run's blobs are named by nothing yet.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Whether a sweep runs or waits. One is enough for any number of reasons.
#[derive(Default)]
pub(crate) struct Sweeps(AtomicBool);

impl Sweeps {
    /// `true`: the caller must run one.
    pub(crate) fn begin(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    fn end(&self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Sweeps once, when no run is making blobs.
pub(crate) async fn run(hands: &Arc<Hands>, sweeps: &Sweeps) {
    let closed = hands.pool.closed();
    let making = loop {
        if let Ok(making) = Arc::clone(&hands.making).try_write_owned() {
            break making;
        }
        tokio::select! {
            () = closed.cancelled() => return sweeps.end(),
            () = tokio::time::sleep(TRY_AGAIN) => {}
        }
    };
    // Reasons that come from here on need another sweep; no landing is opened until this one is over.
    sweeps.end();
    let _landing = hands.opening.write().await;
    let roots = hands.queue.look(|endpoint| {
        let all = endpoint.consortia().flat_map(|consortium| endpoint.live_blobs(consortium));
        all.collect::<Vec<BlobRef>>()
    });
    let Some(roots) = roots.await else { return };
    let (blobs, landings) = (hands.blobs.clone(), Arc::clone(&hands.landings));
    let swept = spawn_blocking(move || {
        let named = mark(&blobs, &roots);
        landings.forget_unnamed(|digest| named.contains(digest));
        remove_unnamed(&blobs, &named)
    });
    match swept.await {
        Ok(Ok(removed)) => tracing::info!(event = "swept", removed),
        Ok(Err(fault)) => tracing::warn!(event = "sweep-failed", %fault),
        Err(_) => tracing::error!(event = "sweep-failed", fault = "the sweep panicked"),
    }
    drop(making);
}

/// Everything that the roots name, and the roots.
fn mark(blobs: &BlobStore, roots: &[BlobRef]) -> BTreeSet<BlobDigest> {
    let mut named = BTreeSet::new();
    for root in roots {
        named.insert(root.digest);
        // A row index is no listing and names nothing.
        let listing = listing(blobs, *root);
        named.extend(listing.iter().flat_map(Listing::entries).map(|entry| entry.blob.digest));
    }
    named
}

fn remove_unnamed(blobs: &BlobStore, named: &BTreeSet<BlobDigest>) -> Result<usize, BlobFault> {
    let mut removed = 0;
    for digest in blobs.list()? {
        if !named.contains(&digest) {
            blobs.remove(digest)?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::quantity::{Bytes, Rows};
    use cohortium_protocol::record::listing::{BlobRole, ListingEntry};
    use cohortium_protocol::wire::codec;
    use cohortium_store::seal::DataKey;

    use super::*;

    #[test]
    fn only_what_a_live_listing_or_index_names_stays() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(dir.path(), &DataKey::random()).unwrap();
        let put = |bytes: &[u8]| {
            let stored = blobs.put(bytes).unwrap();
            BlobRef { digest: stored.digest, bytes: Bytes(stored.bytes) }
        };
        let (file, index, dead) = (put(b"file"), put(b"index"), put(b"dead"));
        let entry = |blob| ListingEntry { path: "a".parse().unwrap(), role: BlobRole::File, blob, rows: Rows(0) };
        let live = put(&codec::encode(&Listing::try_from(vec![entry(file)]).unwrap()));
        let old = put(&codec::encode(&Listing::try_from(vec![entry(dead)]).unwrap()));
        let named = mark(&blobs, &[live, index]);
        assert_eq!(remove_unnamed(&blobs, &named).unwrap(), 2);
        let stays = |blob: BlobRef| blobs.contains(blob.digest);
        assert!(stays(file) && stays(index) && stays(live));
        assert!(!stays(dead) && !stays(old));
    }
}
