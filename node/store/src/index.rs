//! The index: typed sled trees of what can be rebuilt from the journal.
//!
//! sled's flush does not fsync, and a flipped bit can make it panic in `open` (DESIGN.md, facts). So an index that was not
//! closed cleanly, or that does not open, is put aside and begun anew, and the caller rebuilds it; every call into sled is
//! caught. Values are sealed under a key of their tree; keys are not: they are ids and digests, never a person's name
//! or a value of a row.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use cohortium_protocol::wire::codec;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::disk::{self, DiskFault, During};
use crate::seal::{DataKey, SMALL_OVERHEAD_BYTES};

/// The largest value, sealed: sled does not sync larger ones at all.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;
/// The longest key.
pub const INDEX_KEY_BYTES_MAX: usize = 256;

/// sled's page cache.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// An opening that takes longer hangs on a damaged file.
const OPEN_DEADLINE: Duration = Duration::from_mins(1);

/// Why the index cannot be used.
#[derive(Debug)]
pub enum IndexFault {
    /// The disk refused, or another process holds the folder.
    Disk(DiskFault),
    /// sled failed, or a value does not open. Close nothing, open the index again and rebuild it from the journal.
    Broken,
    /// The index has been closed.
    Closed,
    /// A value longer than [`VALUE_BYTES_MAX`] or a key longer than [`INDEX_KEY_BYTES_MAX`]; the caller's bug.
    TooLong,
}

impl fmt::Display for IndexFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(fault) => fault.fmt(f),
            Self::Broken => write!(f, "the index is broken and must be rebuilt from the journal"),
            Self::Closed => write!(f, "the index is closed"),
            Self::TooLong => write!(f, "a key or value is too long for the index"),
        }
    }
}

impl std::error::Error for IndexFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Disk(fault) => fault.source(),
            Self::Broken | Self::Closed | Self::TooLong => None,
        }
    }
}

impl From<DiskFault> for IndexFault {
    fn from(fault: DiskFault) -> Self {
        Self::Disk(fault)
    }
}

/// What an opening found, and so whether the caller must rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexState {
    /// As it was closed: nothing to rebuild.
    Kept,
    /// Empty, since there was none.
    New,
    /// Empty, since the process or the machine stopped without closing it.
    NotClosed,
    /// Empty, since sled could not open it; the old files are beside it until the next time.
    Broken,
}

const OPEN: u8 = 0;
const CLOSED: u8 = 1;
const BROKEN: u8 = 2;

/// The index of one consortium, open for one process.
pub struct Index {
    dir: PathBuf,
    key: DataKey,
    db: sled::Db,
    state: Arc<AtomicU8>,
    _lock: File,
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Index({})", self.dir.display())
    }
}

impl Index {
    /// Opens the index in `dir`, or begins an empty one; the state says which.
    ///
    /// # Errors
    /// [`IndexFault::Disk`]; [`IndexFault::Broken`] only when not even an empty one can be made.
    pub fn open(dir: &Path, key: &DataKey) -> Result<(Self, IndexState), IndexFault> {
        disk::make_folder(dir)?;
        let lock = disk::lock_folder(dir)?;
        let (files, marker) = (dir.join("sled"), dir.join("closed"));
        let there = files.exists();
        let closed = marker.is_file();
        if closed {
            // Before sled touches anything, or a crash would leave the marker beside files that were written to.
            disk::remove(&marker)?;
            disk::sync_folder(dir)?;
        }
        if closed && there {
            match open_guarded(&files) {
                Some(db) => return Ok((Self::new(dir, key, db, lock), IndexState::Kept)),
                None => put_aside(dir)?,
            }
        } else if there {
            put_aside(dir)?;
        }
        let state = match (there, closed) {
            (false, _) => IndexState::New,
            (true, false) => IndexState::NotClosed,
            (true, true) => IndexState::Broken,
        };
        let db = open_guarded(&files).ok_or(IndexFault::Broken)?;
        Ok((Self::new(dir, key, db, lock), state))
    }

    fn new(dir: &Path, key: &DataKey, db: sled::Db, lock: File) -> Self {
        let (dir, key) = (dir.to_owned(), key.clone());
        Self { dir, key, db, state: Arc::new(AtomicU8::new(OPEN)), _lock: lock }
    }

    /// The tree of this name, made if there is none. One name has one value type, always.
    ///
    /// # Errors
    /// [`IndexFault::Broken`].
    pub fn tree<V: Serialize + DeserializeOwned>(&self, name: &'static str) -> Result<Tree<V>, IndexFault> {
        let inner = guarded(&self.state, || self.db.open_tree(name))?;
        let key = self.key.derive("index tree", name.as_bytes());
        Ok(Tree { inner, key, state: Arc::clone(&self.state), values: PhantomData })
    }

    /// Closes the index so that the next opening keeps it: everything is flushed and synced. Trees refuse afterwards.
    ///
    /// # Errors
    /// [`IndexFault`]; the next opening then begins anew.
    pub fn close(self) -> Result<(), IndexFault> {
        let Self { dir, db, .. } = &self;
        if self.state.compare_exchange(OPEN, CLOSED, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            return Err(IndexFault::Broken);
        }
        guarded(&AtomicU8::new(OPEN), || db.flush())?;
        // sled's flush does not fsync: without this a power cut after the marker would lose what it stands for.
        sync_tree(&dir.join("sled"))?;
        Ok(disk::replace(&dir.join("closed"), b"")?)
    }
}

/// Opens sled where neither its panic nor its hanging on a damaged file can hurt; `None` when it does not open.
fn open_guarded(files: &Path) -> Option<sled::Db> {
    let (sender, receiver) = mpsc::channel();
    let files = files.to_owned();
    let opening = thread::Builder::new().name("index-open".to_owned()).spawn(move || {
        // An index that was not closed is begun anew: a flush before that would sync twice a second for nothing.
        let config = sled::Config::new().path(files).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        let db = config.open().ok();
        // When nobody waits any more, the database is dropped here.
        let _ = sender.send(db);
    });
    opening.ok()?;
    // A panic drops the sender, which ends the wait too.
    receiver.recv_timeout(OPEN_DEADLINE).ok().flatten()
}

fn put_aside(dir: &Path) -> Result<(), DiskFault> {
    let (files, aside) = (dir.join("sled"), dir.join("sled.aside"));
    match fs::remove_dir_all(&aside) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.during("removing", &aside),
    }?;
    disk::rename(&files, &aside)?;
    disk::sync_folder(dir)
}

fn sync_tree(folder: &Path) -> Result<(), DiskFault> {
    for name in disk::names_in(folder)? {
        let path = folder.join(name);
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            match File::open(&path) {
                // sled removes old snapshots by itself.
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
                other => other.and_then(|file| file.sync_all()).during("syncing", &path)?,
            }
        }
    }
    disk::sync_folder(folder)
}

/// Calls sled; after a fault or a panic the whole index is broken and says so from then on.
fn guarded<T>(state: &AtomicU8, call: impl FnOnce() -> sled::Result<T>) -> Result<T, IndexFault> {
    match state.load(Ordering::SeqCst) {
        OPEN => {}
        CLOSED => return Err(IndexFault::Closed),
        _ => return Err(IndexFault::Broken),
    }
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        // The text of sled's error and panic may carry keys: it goes nowhere.
        Ok(Err(_)) | Err(_) => Err(broken(state)),
    }
}

fn broken(state: &AtomicU8) -> IndexFault {
    state.store(BROKEN, Ordering::SeqCst);
    IndexFault::Broken
}

/// One tree of the index: sealed values of one type, in the order of their keys. Clones are the same tree.
pub struct Tree<V> {
    inner: sled::Tree,
    key: DataKey,
    state: Arc<AtomicU8>,
    values: PhantomData<fn() -> V>,
}

impl<V> fmt::Debug for Tree<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tree")
    }
}

impl<V> Clone for Tree<V> {
    fn clone(&self) -> Self {
        let (inner, key, state) = (self.inner.clone(), self.key.clone(), Arc::clone(&self.state));
        Self { inner, key, state, values: PhantomData }
    }
}

impl<V: Serialize + DeserializeOwned> Tree<V> {
    /// The value of a key.
    ///
    /// # Errors
    /// [`IndexFault::Broken`] or [`IndexFault::Closed`].
    pub fn get(&self, key: &[u8]) -> Result<Option<V>, IndexFault> {
        let sealed = guarded(&self.state, || self.inner.get(key))?;
        sealed.map(|sealed| self.open(key, &sealed)).transpose()
    }

    /// Puts a value in the place of the key's present one. Not durable before [`Index::close`].
    ///
    /// # Errors
    /// [`IndexFault::TooLong`], [`IndexFault::Broken`] or [`IndexFault::Closed`].
    pub fn put(&self, key: &[u8], value: &V) -> Result<(), IndexFault> {
        let plain = codec::encode(value);
        if key.len() > INDEX_KEY_BYTES_MAX || plain.len() + SMALL_OVERHEAD_BYTES > VALUE_BYTES_MAX {
            return Err(IndexFault::TooLong);
        }
        let sealed = self.key.seal_small(key, &plain);
        guarded(&self.state, || self.inner.insert(key, sealed)).map(|_| ())
    }

    /// Removes a key; that there is none is fine.
    ///
    /// # Errors
    /// [`IndexFault::Broken`] or [`IndexFault::Closed`].
    pub fn remove(&self, key: &[u8]) -> Result<(), IndexFault> {
        guarded(&self.state, || self.inner.remove(key)).map(|_| ())
    }

    /// Gives every key that begins with `prefix`, in order, with its value to `visit`.
    ///
    /// # Errors
    /// [`IndexFault::Broken`] or [`IndexFault::Closed`].
    pub fn scan(&self, prefix: &[u8], mut visit: impl FnMut(&[u8], V)) -> Result<(), IndexFault> {
        let mut entries = guarded(&self.state, || Ok(self.inner.scan_prefix(prefix)))?;
        while let Some((key, sealed)) = guarded(&self.state, || entries.next().transpose())? {
            visit(&key, self.open(&key, &sealed)?);
        }
        Ok(())
    }

    /// Removes everything.
    ///
    /// # Errors
    /// [`IndexFault::Broken`] or [`IndexFault::Closed`].
    pub fn clear(&self) -> Result<(), IndexFault> {
        guarded(&self.state, || self.inner.clear())
    }

    fn open(&self, key: &[u8], sealed: &[u8]) -> Result<V, IndexFault> {
        let plain = self.key.open_small(key, sealed).map_err(|_| broken(&self.state))?;
        codec::decode(&plain, VALUE_BYTES_MAX).map_err(|_| broken(&self.state))
    }
}

#[cfg(test)]
mod tests;
