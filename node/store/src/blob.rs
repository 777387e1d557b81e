//! Blobs: whole files named by their digest, each sealed under a key of its own. Those on their way are `landing`'s.
//!
//! A blob is one file, so one rename makes it appear whole: sealed stream, sealed outboard, wrapped key (`foot`). A worker
//! process is given the open file and the key of exactly one blob, never the store.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use cohortium_protocol::digest::BlobDigest;
use cohortium_protocol::outboard::{Outboard, OutboardFault, Range, ranges};

use crate::disk::{self, DiskFault, During};
use crate::foot::{self, Foot};
use crate::seal::{DataKey, random};
use crate::stream::{Naming, SealedEnd, SealedReader, SealedWriter, StreamFault, sealed_bytes};

pub use crate::foot::FootFault;

/// Bytes of the least reserve that is kept when nobody chose one.
const RESERVE_BYTES_MIN: u64 = 2 << 30;

/// What landing blobs leave free on the file system, so that no provider can keep this node from writing its journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reserve {
    /// The larger of 2 GiB and a twentieth of the file system, but never more than a quarter of it.
    #[default]
    OfSize,
    /// So many bytes.
    Bytes(u64),
}

impl Reserve {
    /// Bytes that stay free on a file system of `total` bytes.
    pub const fn bytes(self, total: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::OfSize => {
                let share = total / 20;
                let wanted = if share > RESERVE_BYTES_MIN { share } else { RESERVE_BYTES_MIN };
                if wanted < total / 4 { wanted } else { total / 4 }
            }
        }
    }
}

/// The slot of a blob's stream: its key is the blob's alone, so the slot needs to say no more.
pub const BLOB_SLOT: &[u8] = b"blob";

/// A blob that the store holds, durably.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobRef {
    /// Its name.
    pub digest: BlobDigest,
    /// Its length.
    pub bytes: u64,
}

/// Why a blob cannot be written, read or verified.
#[derive(Debug)]
pub enum BlobFault {
    /// The disk refused, or another process holds the store.
    Disk(DiskFault),
    /// The store has no such blob.
    NotFound {
        /// Its name.
        digest: BlobDigest,
    },
    /// The end of the blob's file is damaged, another blob's, or under another key.
    Foot {
        /// The blob's name.
        digest: BlobDigest,
        /// What is wrong with it.
        source: FootFault,
    },
    /// The sealed bytes of a stored blob are damaged; the source names the block.
    Damaged {
        /// The blob's name.
        digest: BlobDigest,
        /// What is wrong with it.
        source: StreamFault,
    },
    /// The blob's bytes open but are not those of its digest; the source names the chunk group.
    Digest {
        /// The blob's name.
        digest: BlobDigest,
        /// What is wrong with it.
        source: OutboardFault,
    },
    /// Writing a new blob failed; nothing of it stays.
    Write {
        /// The temporary file.
        path: PathBuf,
        /// What is wrong.
        source: StreamFault,
    },
    /// A worker's file is not the sealed stream that the worker reported.
    Adopt {
        /// What is wrong.
        source: StreamFault,
    },
}

impl fmt::Display for BlobFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(fault) => fault.fmt(f),
            Self::NotFound { digest } => write!(f, "the store has no blob {digest}"),
            Self::Foot { digest, source } => write!(f, "blob {digest}: {source}"),
            Self::Damaged { digest, source } => write!(f, "blob {digest}: {source}"),
            Self::Digest { digest, source } => write!(f, "blob {digest}: {source}"),
            Self::Write { path, source } => write!(f, "{source} in {}", path.display()),
            Self::Adopt { source } => write!(f, "the worker's file is not what it reported: {source}"),
        }
    }
}

impl std::error::Error for BlobFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Disk(fault) => fault.source(),
            Self::NotFound { .. } => None,
            Self::Foot { source, .. } => Some(source),
            Self::Damaged { source, .. } | Self::Write { source, .. } | Self::Adopt { source } => Some(source),
            Self::Digest { source, .. } => Some(source),
        }
    }
}

impl From<DiskFault> for BlobFault {
    fn from(fault: DiskFault) -> Self {
        Self::Disk(fault)
    }
}

/// The names of the blobs that a store has open landings of.
pub(crate) type LandingsOpen = Mutex<BTreeSet<BlobDigest>>;

/// The blobs of a node. Clones are the same store; several threads may use it at once.
#[derive(Clone)]
pub struct BlobStore {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    node: DataKey,
    landings: LandingsOpen,
    reserve: Reserve,
    /// Held from asking for room until it is taken, so that no two landings are promised the same room.
    room: Mutex<()>,
    _lock: File,
}

impl fmt::Debug for BlobStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobStore({})", self.inner.dir.display())
    }
}

impl BlobStore {
    /// Opens the store in `dir`, made if there is none, and holds it for this process. Files that an earlier process
    /// did not finish are removed; blobs that were landing stay. `node` wraps every blob's key.
    ///
    /// # Errors
    /// [`BlobFault::Disk`].
    pub fn open(dir: &Path, node: &DataKey) -> Result<Self, BlobFault> {
        Self::open_reserving(dir, node, Reserve::OfSize)
    }

    /// As [`BlobStore::open`], with a reserve that somebody chose.
    ///
    /// # Errors
    /// [`BlobFault::Disk`].
    pub fn open_reserving(dir: &Path, node: &DataKey, reserve: Reserve) -> Result<Self, BlobFault> {
        for part in ["objects", "temp", "landing"] {
            disk::make_folder(&dir.join(part))?;
        }
        let lock = disk::lock_folder(dir)?;
        make_object_folders(&dir.join("objects"))?;
        let temp = dir.join("temp");
        for name in disk::names_in(&temp)? {
            disk::remove(&temp.join(name))?;
        }
        Ok(Self {
            inner: Arc::new(Inner {
                dir: dir.to_owned(),
                node: node.clone(),
                landings: LandingsOpen::default(),
                reserve,
                room: Mutex::new(()),
                _lock: lock,
            }),
        })
    }

    pub(crate) fn node(&self) -> &DataKey {
        &self.inner.node
    }

    pub(crate) fn landings_open(&self) -> &LandingsOpen {
        &self.inner.landings
    }

    pub(crate) fn reserve(&self) -> Reserve {
        self.inner.reserve
    }

    pub(crate) fn room(&self) -> &Mutex<()> {
        &self.inner.room
    }

    pub(crate) fn landing_path(&self, digest: BlobDigest, kind: &str) -> PathBuf {
        self.inner.dir.join("landing").join(format!("{digest}.{kind}"))
    }

    fn path(&self, digest: BlobDigest) -> PathBuf {
        let name = digest.to_string();
        self.inner.dir.join("objects").join(&name[..2]).join(&name)
    }

    /// Makes the complete and synced file at `from` the blob `digest`, durably. One that was there already is replaced
    /// by it: both have the same content, and this one is known to be whole.
    pub(crate) fn place(&self, from: &Path, digest: BlobDigest) -> Result<(), BlobFault> {
        let path = self.path(digest);
        let folder = disk::parent_of(&path);
        disk::make_folder(folder)?;
        disk::rename(from, &path)?;
        disk::sync_folder(folder)?;
        Ok(())
    }

    fn temp_file(&self) -> Result<Temp, DiskFault> {
        let path = self.inner.dir.join("temp").join(format!("{:032x}", u128::from_le_bytes(random())));
        let file = disk::create_new(&path)?;
        Ok(Temp { path, file })
    }

    /// Begins a blob of any length.
    ///
    /// # Errors
    /// [`BlobFault::Disk`] or [`BlobFault::Write`].
    pub fn create(&self) -> Result<BlobWriter, BlobFault> {
        let temp = self.temp_file()?;
        let key = DataKey::random();
        let file = temp.file.try_clone().during("opening", &temp.path)?;
        let writer = SealedWriter::new(file, &key, BLOB_SLOT, Naming::Digest)
            .map_err(|source| BlobFault::Write { path: temp.path.clone(), source })?;
        Ok(BlobWriter { store: self.clone(), temp, key, writer })
    }

    /// Stores a blob that is at hand.
    ///
    /// # Errors
    /// As [`BlobStore::create`] and [`BlobWriter::finish`].
    pub fn put(&self, bytes: &[u8]) -> Result<BlobRef, BlobFault> {
        let mut writer = self.create()?;
        writer.push(bytes)?;
        writer.finish()
    }

    /// Prepares a file and a key that a worker process will write a sealed stream with, by itself.
    ///
    /// # Errors
    /// [`BlobFault::Disk`].
    pub fn prepare_for_worker(&self) -> Result<Pending, BlobFault> {
        Ok(Pending { store: self.clone(), temp: self.temp_file()?, key: DataKey::random() })
    }

    /// Whether the store has a blob of this name. Does not look into it.
    pub fn contains(&self, digest: BlobDigest) -> bool {
        self.path(digest).is_file()
    }

    fn open_file(&self, digest: BlobDigest) -> Result<(File, u64, Foot), BlobFault> {
        let path = self.path(digest);
        let file = match File::open(&path) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Err(BlobFault::NotFound { digest }),
            other => other.during("opening", &path)?,
        };
        let size = file.metadata().during("asking for the length of", &path)?.len();
        let foot = foot::read(&file, size, &self.inner.node, digest).during("reading", &path)?;
        let foot = foot.map_err(|source| BlobFault::Foot { digest, source })?;
        if size != sealed_bytes(foot.blob_bytes) + foot.whole_bytes {
            return Err(BlobFault::Damaged { digest, source: StreamFault::Length });
        }
        Ok((file, size, foot))
    }

    /// What a worker needs to read one blob and no other: the open file, its key, and the plain bytes in it, for
    /// [`SealedReader::known`] with [`BLOB_SLOT`].
    ///
    /// # Errors
    /// [`BlobFault`].
    pub fn open_for_worker(&self, digest: BlobDigest) -> Result<(File, DataKey, u64), BlobFault> {
        let (file, _, foot) = self.open_file(digest)?;
        Ok((file, foot.key, foot.blob_bytes))
    }

    /// Opens a blob for reading by place.
    ///
    /// # Errors
    /// [`BlobFault`]; blocks are checked when they are read.
    pub fn reader(&self, digest: BlobDigest) -> Result<BlobReader, BlobFault> {
        let (file, _, foot) = self.open_file(digest)?;
        let sealed = SealedReader::known(file, &foot.key, BLOB_SLOT, foot.blob_bytes)
            .map_err(|source| BlobFault::Damaged { digest, source })?;
        Ok(BlobReader { digest, sealed })
    }

    /// A blob's outboard, checked against its digest.
    ///
    /// # Errors
    /// [`BlobFault`].
    pub fn outboard(&self, digest: BlobDigest) -> Result<Outboard, BlobFault> {
        let (file, size, foot) = self.open_file(digest)?;
        let outboard = foot.outboard(&file, size, digest).during("reading", &self.path(digest))?;
        outboard.map_err(|source| BlobFault::Foot { digest, source })
    }

    /// Reads a whole blob again and checks every byte of it: seal, outboard and digest.
    ///
    /// # Errors
    /// [`BlobFault`], naming the sealed block or the chunk group.
    pub fn verify(&self, digest: BlobDigest) -> Result<BlobRef, BlobFault> {
        let outboard = self.outboard(digest)?;
        let reader = self.reader(digest)?;
        // An empty blob has one block too, which only the seal covers.
        reader.sealed.check_last().map_err(|source| BlobFault::Damaged { digest, source })?;
        let mut buffer = Vec::new();
        for range in ranges(reader.bytes()) {
            reader.read_range(range, &mut buffer)?;
            outboard.verify_range(range, &buffer).map_err(|source| BlobFault::Digest { digest, source })?;
        }
        Ok(BlobRef { digest, bytes: reader.bytes() })
    }

    /// Removes a blob, durably; that there is none is fine. Its bytes may stay on the disk's free space, where
    /// nothing opens them but the key that stood in the same file, under the node key.
    ///
    /// # Errors
    /// [`BlobFault::Disk`].
    pub fn remove(&self, digest: BlobDigest) -> Result<(), BlobFault> {
        let path = self.path(digest);
        if path.exists() {
            disk::remove(&path)?;
            disk::sync_folder(disk::parent_of(&path))?;
        }
        Ok(())
    }

    /// The names of all blobs, sorted.
    ///
    /// # Errors
    /// [`BlobFault::Disk`].
    pub fn list(&self) -> Result<Vec<BlobDigest>, BlobFault> {
        let objects = self.inner.dir.join("objects");
        let mut digests = Vec::new();
        for folder in disk::names_in(&objects)? {
            let names = disk::names_in(&objects.join(&folder))?;
            digests.extend(
                names
                    .iter()
                    .filter(|name| name.starts_with(&folder))
                    .filter_map(|name| name.parse::<BlobDigest>().ok()),
            );
        }
        Ok(digests)
    }

    /// The names of all blobs that have landed in part, sorted, for taking up again or discarding.
    ///
    /// # Errors
    /// [`BlobFault::Disk`].
    pub fn list_landing(&self) -> Result<Vec<BlobDigest>, BlobFault> {
        let names = disk::names_in(&self.inner.dir.join("landing"))?;
        // A crash may leave any of a landing's files without the others.
        let digest = |name: &String| name.split_once('.')?.0.parse::<BlobDigest>().ok();
        let digests: BTreeSet<BlobDigest> = names.iter().filter_map(digest).collect();
        Ok(digests.into_iter().collect())
    }

    /// Bytes that a blob takes on the disk.
    ///
    /// # Errors
    /// [`BlobFault::Disk`] or [`BlobFault::NotFound`].
    pub fn disk_bytes(&self, digest: BlobDigest) -> Result<u64, BlobFault> {
        let path = self.path(digest);
        match fs::metadata(&path) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Err(BlobFault::NotFound { digest }),
            other => Ok(other.during("asking for the length of", &path)?.len()),
        }
    }

    /// Writes the foot behind a finished stream, syncs, and gives the file its name.
    fn seal_off(&self, temp: &Temp, key: &DataKey, outboard: &Outboard) -> Result<BlobRef, BlobFault> {
        let blob = BlobRef { digest: outboard.digest(), bytes: outboard.blob_bytes() };
        let foot = foot::encode(&self.inner.node, key, outboard);
        temp.file.write_all_at(&foot, sealed_bytes(blob.bytes)).during("writing", &temp.path)?;
        temp.file.sync_all().during("syncing", &temp.path)?;
        self.place(&temp.path, blob.digest)?;
        Ok(blob)
    }
}

/// Makes the folders that blobs lie in, so that no blob waits for one to be made durable.
fn make_object_folders(objects: &Path) -> Result<(), BlobFault> {
    for byte in 0..=u8::MAX {
        disk::make_folder_unsynced(&objects.join(format!("{byte:02x}")))?;
    }
    Ok(disk::sync_folder(objects)?)
}

/// A file that disappears unless it has been renamed.
struct Temp {
    path: PathBuf,
    file: File,
}

impl Drop for Temp {
    fn drop(&mut self) {
        // After a rename nothing has this random name; what cannot be removed now is removed at the next opening.
        if let Err(fault) = disk::remove(&self.path) {
            tracing::debug!(%fault, "a temporary blob stays until the next start");
        }
    }
}

/// Writes one new blob; dropped before [`BlobWriter::finish`], nothing of it stays.
pub struct BlobWriter {
    store: BlobStore,
    temp: Temp,
    key: DataKey,
    writer: SealedWriter<File>,
}

impl fmt::Debug for BlobWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobWriter({} bytes)", self.writer.bytes())
    }
}

impl BlobWriter {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`BlobFault::Write`]; the blob is then lost.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), BlobFault> {
        self.writer.push(bytes).map_err(|source| BlobFault::Write { path: self.temp.path.clone(), source })
    }

    /// Ends the blob and makes it durable under its digest.
    ///
    /// # Errors
    /// [`BlobFault::Write`] or [`BlobFault::Disk`]; nothing of it stays.
    pub fn finish(self) -> Result<BlobRef, BlobFault> {
        let Self { store, temp, key, writer } = self;
        let end = writer.finish().map_err(|source| BlobFault::Write { path: temp.path.clone(), source })?;
        store.seal_off(&temp, &key, &outboard_of(end))
    }
}

fn outboard_of(end: SealedEnd<File>) -> Outboard {
    end.named.expect("a blob's writer is made to name what it seals").1
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    /// Does nothing: a block is written when it is full or the last.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that a worker writes a sealed stream to; dropped before [`Pending::commit`], nothing of it stays.
pub struct Pending {
    store: BlobStore,
    temp: Temp,
    key: DataKey,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pending({})", self.temp.path.display())
    }
}

impl Pending {
    /// The file and key for the worker: it writes one [`SealedWriter`] stream at the file's beginning, with
    /// [`BLOB_SLOT`] and [`Naming::Digest`], and reports what [`SealedEnd::named`] says.
    ///
    /// # Errors
    /// [`BlobFault::Disk`].
    pub fn for_worker(&self) -> Result<(File, DataKey), BlobFault> {
        Ok((self.temp.file.try_clone().during("opening", &self.temp.path)?, self.key.clone()))
    }

    /// Makes what the worker wrote a blob. Call it when the worker can no longer write to its file.
    ///
    /// Checked are the outboard against the digest, the stream's length, and its last block; the other blocks are
    /// checked whenever they are read, and against the outboard by every consumer and by [`BlobStore::verify`].
    ///
    /// # Errors
    /// [`BlobFault::Digest`] or [`BlobFault::Adopt`] when the report and the file do not fit, [`BlobFault::Disk`].
    pub fn commit(self, digest: BlobDigest, bytes: u64, outboard: &[u8]) -> Result<BlobRef, BlobFault> {
        let Self { store, temp, key } = self;
        let outboard =
            Outboard::check(digest, bytes, outboard).map_err(|source| BlobFault::Digest { digest, source })?;
        let file = disk::open_both(&temp.path)?;
        let reader = SealedReader::open(file, &key, BLOB_SLOT).map_err(|source| BlobFault::Adopt { source })?;
        if reader.len() != bytes {
            return Err(BlobFault::Adopt { source: StreamFault::Length });
        }
        store.seal_off(&temp, &key, &outboard)
    }
}

/// Reads one blob by place; several threads may read at once.
#[derive(Debug)]
pub struct BlobReader {
    digest: BlobDigest,
    sealed: SealedReader,
}

impl BlobReader {
    /// The blob's name.
    pub fn digest(&self) -> BlobDigest {
        self.digest
    }

    /// The blob's length.
    pub fn bytes(&self) -> u64 {
        self.sealed.len()
    }

    /// The stream itself, for a cursor.
    pub fn into_sealed(self) -> SealedReader {
        self.sealed
    }

    /// Fills `buf` from `offset` on; fewer bytes only where the blob ends. Returns how many.
    ///
    /// # Errors
    /// [`BlobFault::Damaged`], naming the block.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, BlobFault> {
        self.sealed.read_at(offset, buf).map_err(|source| BlobFault::Damaged { digest: self.digest, source })
    }

    /// Reads a whole range into `buf`, which takes the range's length and keeps its memory from call to call. Blocks
    /// are opened where they will be sent from, without a copy.
    ///
    /// # Errors
    /// [`BlobFault::Digest`] when it is not a range of this blob, [`BlobFault::Damaged`].
    pub fn read_range(&self, range: Range, buf: &mut Vec<u8>) -> Result<(), BlobFault> {
        if !range.is_of(self.bytes()) {
            return Err(BlobFault::Digest { digest: self.digest, source: OutboardFault::NoRange });
        }
        buf.resize(usize::try_from(range.len).unwrap_or(usize::MAX), 0);
        self.read_at(range.offset, buf).map(|_| ())
    }
}

#[cfg(test)]
mod tests;
