//! The sweep: blobs that no live listing or index names leave the store.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cohortium_protocol::digest::BlobDigest;
use cohortium_protocol::ident::ConsortiumId;
use cohortium_protocol::record::listing::{BlobRef, Listing};
use cohortium_store::blob::{BlobFault, BlobStore};
use cohortium_store::disk::DiskFault;
use cohortium_store::landing;
use tokio::task::spawn_blocking;

use crate::driver::hands::Hands;
use crate::driver::landings::Landings;
use crate::driver::listings::read_listing;
use crate::driver::queue::Event;
use crate::driver::row_index;
use crate::driver::sweeps::Sweeps;

/// How long to wait for runs to end before the next try: a run's blobs are named by nothing yet.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// The longest wait before a sweep that was not whole is tried again.
const TRY_AGAIN_MAX: Duration = Duration::from_mins(5);

/// Why a sweep removed nothing, or not everything.
#[derive(Debug)]
enum SweepFault {
    /// A live listing or row index is there and cannot be read: what it names is not known, so nothing may go.
    Listing { digest: BlobDigest, source: BlobFault },
    /// A blob could not be listed or removed.
    Store(BlobFault),
    /// A landing could not be removed.
    Landing(DiskFault),
}

impl fmt::Display for SweepFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listing { digest, source } => {
                write!(f, "the live listing or row index {digest} cannot be read: {source}")
            }
            Self::Store(fault) => fault.fmt(f),
            Self::Landing(fault) => fault.fmt(f),
        }
    }
}

/// What must stay.
struct Roots {
    /// Live listings, landed or still landing.
    listings: Vec<BlobRef>,
    /// Row indexes, which are no listings; one may be over another that must stay, too.
    indexes: Vec<BlobRef>,
}

/// What a sweep did.
struct Swept {
    removed: usize,
    /// Whether nothing that is not named is left, in the store or landing.
    whole: bool,
}

/// Sweeps, when no run is making blobs, until a sweep was whole.
pub(crate) async fn run(hands: &Arc<Hands>, sweeps: &Sweeps) {
    let (closed, mut pause) = (hands.pool.closed(), TRY_AGAIN);
    loop {
        let making = loop {
            if let Ok(making) = Arc::clone(&hands.making).try_write_owned() {
                break making;
            }
            tokio::select! {
                () = closed.cancelled() => return,
                () = tokio::time::sleep(TRY_AGAIN) => {}
            }
        };
        let upto = sweeps.take();
        let Some(whole) = once(hands).await else { return };
        drop(making);
        hands.queue.send(Event::Swept { upto, whole }).await;
        // When another was asked for meanwhile, it runs by itself.
        if whole || !sweeps.waits_again() {
            return;
        }
        tokio::select! {
            () = closed.cancelled() => return,
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(TRY_AGAIN_MAX),
        }
    }
}

/// One sweep; `None` when the core has ended.
async fn once(hands: &Arc<Hands>) -> Option<bool> {
    // No landing is opened until this sweep is over.
    let _landing = hands.opening.write().await;
    let roots = hands.queue.look(|endpoint| {
        let of = |each: &dyn Fn(ConsortiumId) -> Vec<BlobRef>| endpoint.consortia().flat_map(each).collect::<Vec<_>>();
        let indexes = of(&|consortium| endpoint.live_indexes(consortium));
        let mut listings = of(&|consortium| endpoint.live_blobs(consortium));
        listings.retain(|blob| !indexes.contains(blob));
        Roots { listings, indexes }
    });
    let roots = roots.await?;
    let (blobs, landings) = (hands.blobs.clone(), Arc::clone(&hands.landings));
    let swept = spawn_blocking(move || sweep(&blobs, &landings, &roots));
    Some(match swept.await {
        Ok(Ok(swept)) => {
            tracing::info!(event = "swept", removed = swept.removed, whole = swept.whole);
            swept.whole
        }
        Ok(Err(fault)) => {
            tracing::error!(event = "sweep-failed", %fault);
            false
        }
        Err(_) => {
            tracing::error!(event = "sweep-failed", fault = "the sweep panicked");
            false
        }
    })
}

fn sweep(blobs: &BlobStore, landings: &Landings, roots: &Roots) -> Result<Swept, SweepFault> {
    let named = mark(blobs, roots)?;
    landings.forget_unnamed(|digest| named.contains(digest));
    let mut removed = 0;
    for digest in blobs.list().map_err(SweepFault::Store)? {
        if !named.contains(&digest) {
            blobs.remove(digest).map_err(SweepFault::Store)?;
            removed += 1;
        }
    }
    let mut whole = true;
    for digest in blobs.list_landing().map_err(SweepFault::Store)? {
        if landings.is_open(&digest) {
            // A task still writes to it, unless it is named.
            whole &= named.contains(&digest);
        } else if !named.contains(&digest) {
            // Rows that landed in part, and that nobody will take up again.
            landing::discard(blobs, digest).map_err(SweepFault::Landing)?;
            removed += 1;
        }
    }
    Ok(Swept { removed, whole })
}

/// Everything that the roots name, and the roots.
fn mark(blobs: &BlobStore, roots: &Roots) -> Result<BTreeSet<BlobDigest>, SweepFault> {
    let mut named: BTreeSet<BlobDigest> = roots.indexes.iter().map(|blob| blob.digest).collect();
    for index in roots.indexes.iter().filter(|index| blobs.contains(index.digest)) {
        let fault = |source| SweepFault::Listing { digest: index.digest, source };
        named.extend(row_index::base(blobs, *index).map_err(fault)?.map(|base| base.digest));
    }
    for root in &roots.listings {
        named.insert(root.digest);
        // The listing of a snapshot that is still landing names nothing yet: no blob of it was opened.
        if !blobs.contains(root.digest) {
            continue;
        }
        let read = read_listing(blobs, *root).map_err(|source| SweepFault::Listing { digest: root.digest, source })?;
        // Bytes that are the digest's and no listing are none on every reading: they name nothing.
        named.extend(read.iter().flat_map(Listing::entries).map(|entry| entry.blob.digest));
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::digest::blob_digest;
    use cohortium_protocol::quantity::{Bytes, Rows};
    use cohortium_protocol::record::listing::{BlobRole, ListingEntry};
    use cohortium_protocol::wire::codec;
    use cohortium_store::seal::DataKey;

    use super::*;

    struct Place {
        dir: tempfile::TempDir,
        blobs: BlobStore,
        landings: Landings,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let blobs = BlobStore::open(dir.path(), &DataKey::random()).unwrap();
            Self { landings: Landings::new(blobs.clone()), blobs, dir }
        }

        fn put(&self, bytes: &[u8]) -> BlobRef {
            let stored = self.blobs.put(bytes).unwrap();
            BlobRef { digest: stored.digest, bytes: Bytes(stored.bytes) }
        }

        fn listing(&self, blob: BlobRef) -> BlobRef {
            let entry = ListingEntry { path: "a".parse().unwrap(), role: BlobRole::File, blob, rows: Rows(0) };
            self.put(&codec::encode(&Listing::try_from(vec![entry]).unwrap()))
        }

        /// A blob of which nothing but a few ranges has landed.
        fn landing(&self, seed: u8) -> BlobRef {
            let blob = BlobRef { digest: blob_digest(&[seed; 9]), bytes: Bytes(9) };
            self.landings.open(blob).unwrap();
            blob
        }

        fn sweep(&self, listings: &[BlobRef], indexes: &[BlobRef]) -> Result<Swept, SweepFault> {
            let roots = Roots { listings: listings.to_vec(), indexes: indexes.to_vec() };
            sweep(&self.blobs, &self.landings, &roots)
        }

        fn stays(&self, blob: BlobRef) -> bool {
            self.blobs.contains(blob.digest)
        }
    }

    #[test]
    fn only_what_a_live_listing_or_index_names_stays() {
        let place = Place::new();
        let (file, index, dead) = (place.put(b"file"), place.put(b"index"), place.put(b"dead"));
        let (live, old, odd) = (place.listing(file), place.listing(dead), place.put(b"no listing"));
        let swept = place.sweep(&[live, odd], &[index]).unwrap();
        assert!(swept.whole && swept.removed == 2);
        assert!([file, index, live, odd].map(|blob| place.stays(blob)).iter().all(|stays| *stays));
        assert!(!place.stays(dead) && !place.stays(old));
    }

    #[test]
    fn what_a_live_index_is_over_stays_and_goes_with_it() {
        let place = Place::new();
        let base = place.put(&[b"COHIDX1\n".as_slice(), &[0; 24]].concat());
        let name = [base.digest.as_bytes().as_slice(), &base.bytes.0.to_le_bytes()].concat();
        let over = place.put(&[b"COHIDX2\n".as_slice(), &[0; 24], &name].concat());
        assert_eq!(place.sweep(&[], &[over]).unwrap().removed, 0);
        assert!(place.stays(base) && place.stays(over));
        assert_eq!(place.sweep(&[], &[]).unwrap().removed, 2);
    }

    #[test]
    fn a_live_listing_that_cannot_be_read_ends_the_sweep_before_anything_goes() {
        let place = Place::new();
        let (file, dead) = (place.put(b"file"), place.put(b"dead"));
        let live = place.listing(file);
        let name = live.digest.to_string();
        let path = place.dir.path().join("objects").join(&name[..2]).join(&name);
        let good = std::fs::read(&path).unwrap();
        std::fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert!(matches!(place.sweep(&[live], &[]), Err(SweepFault::Listing { digest, .. }) if digest == live.digest));
        assert!(place.stays(file) && place.stays(dead));
        std::fs::write(&path, good).unwrap();
        assert_eq!(place.sweep(&[live], &[]).unwrap().removed, 1);
    }

    #[test]
    fn what_landed_in_part_and_is_named_by_nothing_does_not_outlive_a_sweep() {
        let place = Place::new();
        let (listing, forgotten, left) = (place.landing(1), place.landing(2), place.landing(3));
        // What an earlier process left is not open here.
        place.landings.checkpoint_all();
        place.landings.open(listing).unwrap();
        place.landings.open(forgotten).unwrap();
        assert_eq!(place.blobs.list_landing().unwrap().len(), 3);
        let swept = place.sweep(&[listing], &[]).unwrap();
        assert!(swept.whole);
        assert_eq!(place.blobs.list_landing().unwrap(), [listing.digest], "neither {forgotten:?} nor {left:?}");
    }

    #[test]
    fn a_reason_that_comes_while_a_sweep_runs_needs_another() {
        let sweeps = Sweeps::default();
        assert!(sweeps.begin() && !sweeps.begin(), "one does for both");
        assert_eq!(sweeps.take(), 2);
        assert!(sweeps.begin());
        assert_eq!(sweeps.asked(), 3, "the first did for two");
        assert!(!sweeps.waits_again(), "the second waits already");
    }
}
