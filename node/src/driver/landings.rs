//! The blobs that are landing, shared by the tasks that fetch their ranges.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use cohortium_protocol::digest::BlobDigest;
use cohortium_protocol::endpoint::io::{Answer, LandingState};
use cohortium_protocol::outboard::Range;
use cohortium_protocol::quantity::Bytes;
use cohortium_protocol::record::listing::BlobRef;
use cohortium_store::blob::BlobStore;
use cohortium_store::landing::{self, Landing, LandingFault};

/// How long another task may take to open the same landing.
const OPEN_DEADLINE: Duration = Duration::from_secs(2);
const OPEN_AGAIN: Duration = Duration::from_millis(10);

/// An open landing, and the place of the one task that makes it safe.
struct Held {
    landing: RwLock<Landing>,
    saving: Mutex<()>,
}

type Shared = Arc<Held>;

impl Held {
    fn new(landing: Landing) -> Self {
        Self { landing: RwLock::new(landing), saving: Mutex::default() }
    }

    fn read(&self) -> RwLockReadGuard<'_, Landing> {
        self.landing.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Landing> {
        self.landing.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All open landings. Every method blocks on the disk.
pub(crate) struct Landings {
    blobs: BlobStore,
    open: Mutex<BTreeMap<BlobDigest, (u64, Shared)>>,
    written: AtomicU64,
}

impl Landings {
    pub(crate) fn new(blobs: BlobStore) -> Self {
        Self { blobs, open: Mutex::default(), written: AtomicU64::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<BlobDigest, (u64, Shared)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, blob: BlobRef) -> Option<Shared> {
        let open = self.lock();
        open.get(&blob.digest).filter(|(bytes, _)| *bytes == blob.bytes.0).map(|(_, shared)| Arc::clone(shared))
    }

    /// Opens or resumes a landing, and says what is missing; `None` when the disk refuses or the blob is known with
    /// another length.
    pub(crate) fn open(&self, blob: BlobRef) -> Option<LandingState> {
        if self.blobs.contains(blob.digest) {
            let stored = self.blobs.reader(blob.digest).map_err(|fault| warn(blob.digest, &fault)).ok()?;
            return (stored.bytes() == blob.bytes.0).then_some(LandingState::Complete);
        }
        let shared = self.share(blob)?;
        let landing = shared.read();
        Some(match landing.outboard() {
            None => LandingState::NeedsOutboard,
            Some(_) => LandingState::Missing(landing.missing().iter().map(|range| Bytes(range.offset)).collect()),
        })
    }

    /// The open landing of a blob; opened when there is none. Two subscriptions may want the same blob at the same moment.
    fn share(&self, blob: BlobRef) -> Option<Shared> {
        let started = Instant::now();
        loop {
            if let Some((bytes, shared)) = self.lock().get(&blob.digest) {
                return (*bytes == blob.bytes.0).then(|| Arc::clone(shared));
            }
            match Landing::open(&self.blobs, blob.digest, blob.bytes.0) {
                Ok(landing) => {
                    let shared = Arc::new(Held::new(landing));
                    self.lock().insert(blob.digest, (blob.bytes.0, Arc::clone(&shared)));
                    return Some(shared);
                }
                Err(LandingFault::InProgress { .. }) if started.elapsed() < OPEN_DEADLINE => {
                    std::thread::sleep(OPEN_AGAIN);
                }
                Err(fault) => {
                    warn(blob.digest, &fault);
                    return None;
                }
            }
        }
    }

    /// Checks and keeps an outboard.
    pub(crate) fn put_outboard(&self, blob: BlobRef, bytes: &[u8]) -> Answer {
        let Some(shared) = self.get(blob) else { return Answer::LocalFault };
        let kept = shared.write().put_outboard(bytes);
        verdict(blob.digest, kept)
    }

    /// Checks, seals and writes one range. It is safe only after [`Self::save`] or [`Self::finish`].
    pub(crate) fn put_range(&self, blob: BlobRef, range: Range, bytes: &mut [u8]) -> Answer {
        let Some(shared) = self.get(blob) else { return Answer::LocalFault };
        let written = shared.read().write_range(range, bytes);
        self.written.fetch_add(1, Ordering::Relaxed);
        verdict(blob.digest, written)
    }

    /// Makes what was written of a blob safe, when that is due and no other task is doing it. No range waits for it: a disk
    /// that syncs must not hold up the network. After a failure the landing's end fails, too.
    pub(crate) fn save(&self, blob: BlobRef) {
        let Some(shared) = self.get(blob) else { return };
        let Ok(_saving) = shared.saving.try_lock() else { return };
        if !self.get(blob).is_some_and(|open| Arc::ptr_eq(&open, &shared)) {
            return;
        }
        let landing = shared.read();
        if landing.checkpoint_due()
            && let Err(fault) = landing.checkpoint()
        {
            warn(blob.digest, &fault);
        }
    }

    /// Ranges that were written since the start, to see whether anything moves.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Makes a complete landing a blob of the store.
    pub(crate) fn finish(&self, blob: BlobRef) -> bool {
        if let Some(shared) = self.get(blob) {
            // Held until the landing is closed here: of one that has become a blob nothing is saved any more.
            let saving = shared.saving.lock().unwrap_or_else(PoisonError::into_inner);
            let finished = shared.read().finish();
            // Whether it worked or not, the next opening sees what is on the disk.
            self.lock().remove(&blob.digest);
            drop(saving);
            return finished.map_err(|fault| warn(blob.digest, &fault)).is_ok();
        }
        self.blobs.contains(blob.digest)
    }

    /// Makes everything written so far safe, before the process ends.
    pub(crate) fn checkpoint_all(&self) {
        let open = std::mem::take(&mut *self.lock());
        for (digest, (_, shared)) in open {
            let landing = shared.read();
            if let Err(fault) = landing.checkpoint() {
                warn(digest, &fault);
            }
        }
    }

    /// Whether a task may be writing to it.
    pub(crate) fn is_open(&self, digest: &BlobDigest) -> bool {
        self.lock().contains_key(digest)
    }

    /// Throws away landings that nothing names any more and nobody writes to.
    pub(crate) fn forget_unnamed(&self, named: impl Fn(&BlobDigest) -> bool) {
        let mut open = self.lock();
        let idle: Vec<BlobDigest> = open
            .iter()
            .filter(|(digest, (_, shared))| !named(digest) && Arc::strong_count(shared) == 1)
            .map(|(digest, _)| *digest)
            .collect();
        for digest in idle {
            open.remove(&digest);
            if let Err(fault) = landing::discard(&self.blobs, digest) {
                tracing::warn!(event = "landing-kept", %digest, %fault);
            }
        }
    }
}

/// A wrong byte is the peer's fault, everything else this node's.
fn verdict(digest: BlobDigest, written: Result<(), LandingFault>) -> Answer {
    match written {
        Ok(()) => Answer::Stored,
        Err(LandingFault::Outboard { .. } | LandingFault::Range { .. }) => Answer::Wrong,
        Err(
            fault @ (LandingFault::Disk(_)
            | LandingFault::Blob(_)
            | LandingFault::InProgress { .. }
            | LandingFault::NoOutboard
            | LandingFault::NoRoom { .. }
            | LandingFault::Stream { .. }
            | LandingFault::Incomplete { .. }
            | LandingFault::Poisoned),
        ) => {
            warn(digest, &fault);
            Answer::LocalFault
        }
    }
}

fn warn(digest: BlobDigest, fault: &dyn std::error::Error) {
    tracing::warn!(event = "landing-failed", %digest, %fault);
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::digest::blob_digest;
    use cohortium_protocol::outboard::{OutboardBuilder, ranges};
    use cohortium_store::seal::DataKey;

    use super::*;

    fn blob_of(bytes: &[u8]) -> BlobRef {
        BlobRef { digest: blob_digest(bytes), bytes: Bytes(bytes.len() as u64) }
    }

    #[test]
    fn wrong_bytes_are_the_peers_and_a_right_blob_lands_once_for_all() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(dir.path(), &DataKey::random()).unwrap();
        let landings = Landings::new(blobs.clone());
        let bytes: Vec<u8> = (0..5_000_000_u32).map(|i| (i % 251) as u8).collect();
        let blob = blob_of(&bytes);
        assert_eq!(landings.open(blob), Some(LandingState::NeedsOutboard));
        let longer = BlobRef { bytes: Bytes(blob.bytes.0 + 1), ..blob };
        assert_eq!(landings.open(longer), None, "one digest has one length");
        let mut builder = OutboardBuilder::new();
        builder.push(&bytes);
        let outboard = builder.finish().1.to_bytes();
        let mut bent = outboard.clone();
        bent[0] ^= 1;
        assert_eq!(landings.put_outboard(blob, &bent), Answer::Wrong);
        assert_eq!(landings.put_outboard(blob, &outboard), Answer::Stored);
        for range in ranges(blob.bytes.0) {
            let from = usize::try_from(range.offset).unwrap();
            let mut part = bytes[from..from + usize::try_from(range.len).unwrap()].to_vec();
            part[9] ^= 1;
            assert_eq!(landings.put_range(blob, range, &mut part.clone()), Answer::Wrong);
            assert!(!landings.finish(blob), "a blob with a hole is none");
            landings.open(blob);
            part[9] ^= 1;
            assert_eq!(landings.put_range(blob, range, &mut part), Answer::Stored);
            landings.checkpoint_all();
            landings.open(blob);
        }
        assert!(landings.finish(blob) && landings.finish(blob));
        landings.save(blob);
        assert_eq!(landings.open(blob), Some(LandingState::Complete));
        assert_eq!(landings.open(longer), None);
        assert_eq!(blobs.verify(blob.digest).unwrap().bytes, blob.bytes.0);
    }

    #[test]
    fn what_is_saved_in_passing_is_not_asked_for_again_after_a_crash() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(dir.path(), &DataKey::random()).unwrap();
        let bytes = vec![7; 9_000_000];
        let blob = blob_of(&bytes);
        let mut builder = OutboardBuilder::new();
        builder.push(&bytes);
        let outboard = builder.finish().1.to_bytes();
        let first = ranges(blob.bytes.0).next().unwrap();
        for (saved, missing) in [(false, 3), (true, 2)] {
            let landings = Landings::new(blobs.clone());
            landings.open(blob).unwrap();
            assert_eq!(landings.put_outboard(blob, &outboard), Answer::Stored);
            assert_eq!(landings.put_range(blob, first, &mut bytes[..4 << 20].to_vec()), Answer::Stored);
            std::thread::sleep(landing::CHECKPOINT_AFTER);
            if saved {
                landings.save(blob);
            }
            // A crash: nothing is saved in the end.
            drop(landings);
            let after = Landings::new(blobs.clone()).open(blob);
            assert!(matches!(after, Some(LandingState::Missing(ranges)) if ranges.len() == missing));
        }
    }
}
