//! Blobs on their way: ranges that arrive in any order are verified, sealed at their place, and remembered.
//!
//! Three files stand in the landing folder: `.data`, the sealed stream with holes; `.head`, outboard and wrapped key as a
//! blob's foot; `.map`, which ranges are safe. The order is data synced, then map replaced: after a power cut the map
//! never claims what is not on the disk, and after a crash only the ranges since the last checkpoint are asked for again.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cohortium_protocol::digest::BlobDigest;
use cohortium_protocol::limits::BLOB_BYTES_MAX;
use cohortium_protocol::outboard::{Outboard, OutboardFault, Range, outboard_bytes, range_count, ranges};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::blob::{BLOB_SLOT, BlobFault, BlobRef, BlobStore};
use crate::disk::{self, DiskFault, During};
use crate::foot;
use crate::seal::DataKey;
use crate::stream::{SealedBlockWriter, StreamFault, sealed_bytes};

/// A checkpoint is due after this many bytes.
pub const CHECKPOINT_BYTES: u64 = 8 * 1024 * 1024;
/// A checkpoint is due after this time.
pub const CHECKPOINT_AFTER: Duration = Duration::from_secs(1);

/// Bytes of the largest map, sealed.
const MAP_BYTES_MAX: u64 = 64 * 1024;

/// Why a blob does not land.
#[derive(Debug)]
pub enum LandingFault {
    /// The disk refused.
    Disk(DiskFault),
    /// The finished blob could not be stored.
    Blob(BlobFault),
    /// The blob is landing already, through another handle.
    InProgress {
        /// Its name.
        digest: BlobDigest,
    },
    /// Ranges cannot be verified before the outboard is known; the caller's bug.
    NoOutboard,
    /// The outboard is not the blob's: the peer's fault. Nothing was kept.
    Outboard {
        /// What is wrong.
        source: OutboardFault,
    },
    /// A range's bytes are not the blob's: the peer's fault. Nothing was kept.
    Range {
        /// The range.
        range: Range,
        /// What is wrong.
        source: OutboardFault,
    },
    /// Sealing or writing a block failed.
    Stream {
        /// The blob's name.
        digest: BlobDigest,
        /// What is wrong.
        source: StreamFault,
    },
    /// Ranges are still missing; the caller's bug.
    Incomplete {
        /// How many.
        ranges: usize,
    },
    /// The file system would have less left than the reserve. Nothing was written.
    NoRoom {
        /// The blob's name.
        digest: BlobDigest,
        /// Bytes that it needs.
        needed: u64,
        /// Bytes that are free.
        free: u64,
        /// Bytes that must stay free.
        reserve: u64,
    },
    /// A sync failed, so what is on the disk is not known; open the landing again.
    Poisoned,
}

impl fmt::Display for LandingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(fault) => fault.fmt(f),
            Self::Blob(fault) => fault.fmt(f),
            Self::InProgress { digest } => write!(f, "blob {digest} is landing already"),
            Self::NoOutboard => write!(f, "the outboard of the landing blob is not known yet"),
            Self::Outboard { source } => write!(f, "the outboard received is refused: {source}"),
            Self::Range { range, source } => write!(f, "the {range} received is refused: {source}"),
            Self::Stream { digest, source } => write!(f, "{source} of the landing blob {digest}"),
            Self::Incomplete { ranges } => write!(f, "{ranges} ranges of the landing blob are missing"),
            Self::NoRoom { digest, needed, free, reserve } => write!(
                f,
                "blob {digest} needs {needed} bytes; {free} are free, of which {reserve} stay reserved: make room"
            ),
            Self::Poisoned => write!(f, "an earlier sync of the landing blob failed"),
        }
    }
}

impl std::error::Error for LandingFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Disk(fault) => fault.source(),
            Self::Blob(fault) => fault.source(),
            Self::Outboard { source } | Self::Range { source, .. } => Some(source),
            Self::Stream { source, .. } => Some(source),
            Self::InProgress { .. }
            | Self::NoOutboard
            | Self::Incomplete { .. }
            | Self::NoRoom { .. }
            | Self::Poisoned => None,
        }
    }
}

impl From<DiskFault> for LandingFault {
    fn from(fault: DiskFault) -> Self {
        Self::Disk(fault)
    }
}

impl From<BlobFault> for LandingFault {
    fn from(fault: BlobFault) -> Self {
        Self::Blob(fault)
    }
}

/// A blob that is landing. Several threads may write different ranges at once.
pub struct Landing {
    store: BlobStore,
    digest: BlobDigest,
    bytes: u64,
    begun: Option<Begun>,
}

/// What there is once the outboard is known.
struct Begun {
    key: DataKey,
    outboard: Outboard,
    writer: SealedBlockWriter,
    map: Mutex<Map>,
    /// Held while a checkpoint is made, so that an older map never replaces a newer one.
    saving: Mutex<Saving>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Saving {
    Sound,
    Failed,
}

/// Which ranges have been written, and since when some of them are not safe yet.
struct Map {
    written: Bits,
    unsaved_bytes: u64,
    saved_at: Instant,
}

/// One bit a range, the lowest first.
type Bits = Vec<u8>;

impl fmt::Debug for Landing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Landing({}, {} bytes)", self.digest, self.bytes)
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        unpoisoned(self.store.landings_open()).remove(&self.digest);
    }
}

impl Landing {
    /// Goes on with a landing of this name and length, or begins one. Files of an earlier attempt that do not fit
    /// together are thrown away. Ask [`BlobStore::contains`] first: a blob that is there is fetched again otherwise.
    ///
    /// # Errors
    /// [`LandingFault::InProgress`], [`LandingFault::Disk`], [`LandingFault::Outboard`] for an impossible length.
    pub fn open(store: &BlobStore, digest: BlobDigest, bytes: u64) -> Result<Self, LandingFault> {
        if bytes > BLOB_BYTES_MAX.0 {
            return Err(LandingFault::Outboard { source: OutboardFault::BlobTooLong });
        }
        if !unpoisoned(store.landings_open()).insert(digest) {
            return Err(LandingFault::InProgress { digest });
        }
        let mut landing = Self { store: store.clone(), digest, bytes, begun: None };
        landing.begun = landing.resume()?;
        if landing.begun.is_none() {
            discard(store, digest)?;
            if outboard_bytes(bytes) == 0 {
                landing.put_outboard(&[])?;
            }
        }
        Ok(landing)
    }

    /// Takes up the files of an earlier attempt; `None` when there are none or they do not fit together.
    fn resume(&self) -> Result<Option<Begun>, LandingFault> {
        let (head, data) = (self.path("head"), self.path("data"));
        if !head.is_file() || !data.is_file() {
            return Ok(None);
        }
        let file = File::open(&head).during("opening", &head)?;
        let size = file.metadata().during("asking for the length of", &head)?.len();
        let Ok(foot) = foot::read(&file, size, self.store.node(), self.digest).during("reading", &head)? else {
            return Ok(None);
        };
        let outboard = foot.outboard(&file, size, self.digest).during("reading", &head)?;
        let Some(outboard) = outboard.ok().filter(|outboard| outboard.blob_bytes() == self.bytes) else {
            return Ok(None);
        };
        let file = disk::open_both(&data)?;
        if file.metadata().during("asking for the length of", &data)?.len() < sealed_bytes(self.bytes) {
            return Ok(None);
        }
        let Ok(writer) = SealedBlockWriter::resume(file, &foot.key, BLOB_SLOT, self.bytes) else { return Ok(None) };
        let written = self.load_map(&foot.key)?;
        Ok(Some(Begun::new(foot.key, outboard, writer, written)))
    }

    /// The ranges that are safe: none when the map is not there, or not this landing's.
    fn load_map(&self, key: &DataKey) -> Result<Bits, LandingFault> {
        let empty = vec![0; map_bytes(self.bytes)];
        let Some(sealed) = disk::read_whole(&self.path("map"), MAP_BYTES_MAX)? else { return Ok(empty) };
        let opened = key.open_small(&map_slot(self.digest), &sealed).ok();
        Ok(opened.filter(|map| map.len() == empty.len()).unwrap_or(empty))
    }

    /// The outboard, once it is known.
    pub fn outboard(&self) -> Option<&Outboard> {
        self.begun.as_ref().map(|begun| &begun.outboard)
    }

    /// Checks the outboard received and makes it durable, with the room for the blob.
    ///
    /// # Errors
    /// [`LandingFault::Outboard`] when the peer sent a wrong one; [`LandingFault::NoRoom`] when the disk's reserve would
    /// be touched; [`LandingFault::Disk`], also when the room is not there.
    pub fn put_outboard(&mut self, bytes: &[u8]) -> Result<(), LandingFault> {
        let outboard =
            Outboard::check(self.digest, self.bytes, bytes).map_err(|source| LandingFault::Outboard { source })?;
        if self.begun.is_some() {
            return Ok(());
        }
        let data = self.path("data");
        disk::remove(&data)?;
        let file = self.make_room(&data)?;
        let key = DataKey::random();
        let writer =
            SealedBlockWriter::create(file, &key, BLOB_SLOT, self.bytes).map_err(|source| self.stream(source))?;
        writer.file().sync_all().during("syncing", &data)?;
        // The head comes last and syncs the folder: with it, the data file is there and has its header.
        disk::replace(&self.path("head"), &foot::encode(self.store.node(), &key, &outboard))?;
        self.begun = Some(Begun::new(key, outboard, writer, vec![0; map_bytes(self.bytes)]));
        Ok(())
    }

    /// A new file with all the room that the blob will need, taken now: a provider that names a blob larger than the disk
    /// is refused before the first byte, and what is reserved stays for the journal.
    fn make_room(&self, data: &Path) -> Result<File, LandingFault> {
        let (sealed, folder) = (sealed_bytes(self.bytes), disk::parent_of(data));
        // The head, which holds the outboard, is written twice: beside the data, and as the blob's foot.
        let needed = sealed.saturating_add(2 * outboard_bytes(self.bytes)).saturating_add(MAP_BYTES_MAX);
        let _taking = unpoisoned(self.store.room());
        let (free, total) = disk::room(folder)?;
        let reserve = self.store.reserve().bytes(total);
        if free.saturating_sub(reserve) < needed {
            return Err(LandingFault::NoRoom { digest: self.digest, needed, free, reserve });
        }
        let file = disk::create_new(data)?;
        match fallocate(&file, FallocateFlags::empty(), 0, sealed) {
            // A file system without fallocate: a full disk then shows at the write.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(sealed).during("making room for", data)?,
            Err(errno) => {
                // Part of the room may have been taken.
                disk::remove(data)?;
                return Err(errno).during("making room for", data).map_err(LandingFault::from);
            }
            Ok(()) => {}
        }
        Ok(file)
    }

    /// The ranges that have not been written, in order; all of them before the outboard is known.
    pub fn missing(&self) -> Vec<Range> {
        let map = self.begun.as_ref().map(Begun::map);
        let written = |range: &Range| map.as_ref().is_some_and(|map| has(&map.written, range.index()));
        ranges(self.bytes).filter(|range| !written(range)).collect()
    }

    /// Checks a range group by group, then seals it at its place. `bytes` is ciphertext afterwards. A range that has
    /// been written is left alone.
    ///
    /// # Errors
    /// [`LandingFault::Range`] when the peer sent wrong bytes, of which nothing is kept; [`LandingFault::NoOutboard`],
    /// [`LandingFault::Stream`].
    pub fn write_range(&self, range: Range, bytes: &mut [u8]) -> Result<(), LandingFault> {
        let begun = self.begun.as_ref().ok_or(LandingFault::NoOutboard)?;
        // Before the seal, always: a block's nonce is fixed by its place, so that only bytes of this digest may get it.
        begun.outboard.verify_range(range, bytes).map_err(|source| LandingFault::Range { range, source })?;
        if has(&begun.map().written, range.index()) {
            return Ok(());
        }
        begun.writer.write_blocks(range.offset, bytes).map_err(|source| self.stream(source))?;
        let mut map = begun.map();
        set(&mut map.written, range.index());
        map.unsaved_bytes += range.len;
        Ok(())
    }

    /// Whether [`Landing::checkpoint`] should be called now, so that a crash costs little.
    pub fn checkpoint_due(&self) -> bool {
        self.begun.as_ref().is_some_and(|begun| {
            let map = begun.map();
            map.unsaved_bytes >= CHECKPOINT_BYTES
                || (map.unsaved_bytes > 0 && map.saved_at.elapsed() >= CHECKPOINT_AFTER)
        })
    }

    /// Makes everything written so far safe: data, then map. Other threads go on writing meanwhile.
    ///
    /// # Errors
    /// [`LandingFault::Disk`], after which this handle is [`LandingFault::Poisoned`].
    pub fn checkpoint(&self) -> Result<(), LandingFault> {
        let Some(begun) = &self.begun else { return Ok(()) };
        let mut saving = unpoisoned(&begun.saving);
        if *saving == Saving::Failed {
            return Err(LandingFault::Poisoned);
        }
        let (written, bytes) = {
            let mut map = begun.map();
            map.saved_at = Instant::now();
            (map.written.clone(), map.unsaved_bytes)
        };
        // After a failed sync a later one may succeed without the lost pages: no map is ever written after that.
        *saving = Saving::Failed;
        begun.writer.file().sync_data().during("syncing", &self.path("data"))?;
        disk::replace(&self.path("map"), &begun.key.seal_small(&map_slot(self.digest), &written))?;
        *saving = Saving::Sound;
        begun.map().unsaved_bytes -= bytes;
        Ok(())
    }

    /// Makes the landed blob one of the store's, durably, under its digest.
    ///
    /// # Errors
    /// [`LandingFault::Incomplete`], [`LandingFault::NoOutboard`], [`LandingFault::Disk`]; the landing can be opened again.
    pub fn finish(&self) -> Result<BlobRef, LandingFault> {
        let begun = self.begun.as_ref().ok_or(LandingFault::NoOutboard)?;
        let ranges = self.missing().len();
        if ranges > 0 {
            return Err(LandingFault::Incomplete { ranges });
        }
        let saving = unpoisoned(&begun.saving);
        if *saving == Saving::Failed {
            return Err(LandingFault::Poisoned);
        }
        let data = self.path("data");
        let file = begun.writer.file();
        let foot = foot::encode(self.store.node(), &begun.key, &begun.outboard);
        file.write_all_at(&foot, sealed_bytes(self.bytes)).during("writing", &data)?;
        file.sync_all().during("syncing", &data)?;
        self.store.place(&data, self.digest)?;
        discard(&self.store, self.digest)?;
        Ok(BlobRef { digest: self.digest, bytes: self.bytes })
    }

    fn path(&self, kind: &str) -> std::path::PathBuf {
        self.store.landing_path(self.digest, kind)
    }

    fn stream(&self, source: StreamFault) -> LandingFault {
        LandingFault::Stream { digest: self.digest, source }
    }
}

/// Throws away what has landed of a blob so far. Not while a [`Landing`] of it is open.
///
/// # Errors
/// [`DiskFault`].
pub fn discard(store: &BlobStore, digest: BlobDigest) -> Result<(), DiskFault> {
    ["head", "map", "data"].iter().try_for_each(|kind| disk::remove(&store.landing_path(digest, kind)))
}

impl Begun {
    fn new(key: DataKey, outboard: Outboard, writer: SealedBlockWriter, written: Bits) -> Self {
        let map = Mutex::new(Map { written, unsaved_bytes: 0, saved_at: Instant::now() });
        Self { key, outboard, writer, map, saving: Mutex::new(Saving::Sound) }
    }

    fn map(&self) -> MutexGuard<'_, Map> {
        unpoisoned(&self.map)
    }
}

/// A lock whose holder panicked is taken all the same: every change under these locks is one assignment.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn map_bytes(blob_bytes: u64) -> usize {
    usize::try_from(range_count(blob_bytes).div_ceil(8)).expect("a blob has at most 262,144 ranges")
}

fn has(map: &[u8], index: u64) -> bool {
    let byte = usize::try_from(index / 8).ok().and_then(|at| map.get(at));
    byte.is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

fn set(map: &mut [u8], index: u64) {
    if let Some(byte) = usize::try_from(index / 8).ok().and_then(|at| map.get_mut(at)) {
        *byte |= 1 << (index % 8);
    }
}

fn map_slot(digest: BlobDigest) -> Vec<u8> {
    [b"landing map ", digest.as_bytes().as_slice()].concat()
}

#[cfg(test)]
mod tests;
