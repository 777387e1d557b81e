//! The audit log on disk: tiles, entry bundles and signed checkpoints, derived from the journal.
//!
//! The order of every append is: bundles and tiles durable, then the newest checkpoint in one step, then the kept copy of
//! it, then the partial tiles that became full are removed. So a crash leaves the old checkpoint with all its tiles, or
//! the new one with all its tiles. What a crash leaves beside them is removed by the next opening.
//!
//! The journal is the truth, a published checkpoint is a promise: when the two disagree, nothing is written any more.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use cohortium_protocol::key::pair::{KeyPair, PublicKey};
use cohortium_protocol::log::LeafEntry;
use cohortium_protocol::log::check::{HISTORY_FOLDER, history_path, read_note};
use cohortium_protocol::log::checkpoint::{self, LogKeys, OpenCheckpoint, Strangers};
use cohortium_protocol::log::edge::{CHECKPOINT_PATH, Edge};
use cohortium_protocol::log::fault::LogFault;
use cohortium_protocol::log::note::NoteFault;
use cohortium_protocol::log::proof::{ConsistencyBundle, InclusionBundle, TreeReader};
use cohortium_protocol::log::tile::{Standing, TILE_WIDTH, Tile, TileKind, TileRead, parse_index_path, superseded};
use cohortium_protocol::log::tree::{Frontier, TreeHead, leaf_hash};

use crate::disk::{DiskFault, make_folder, parent_of, remove, replace};
use crate::journal::JournalFault;
use crate::tile_files::{TileFiles, UNFINISHED};

/// Full tiles that are kept in memory before they are written: about a megabyte, 16,384 leaves.
const PENDING_TILES_MAX: usize = 128;

/// Why the log cannot be opened or written.
#[derive(Debug)]
pub enum TilesFault {
    /// The disk refused.
    Disk(DiskFault),
    /// The log's files are damaged; [`TileLog::rebuild`] makes them again from the journal.
    Damaged(LogFault),
    /// The origin cannot name a key, or a cosignature does not stand.
    Note(NoteFault),
    /// The journal could not be read.
    Journal(JournalFault),
    /// The journal and a checkpoint that was published make different trees. Nothing was overwritten.
    Forked {
        /// The first size at which they are known to differ.
        size: u64,
    },
    /// The journal ends before a checkpoint that was published. Nothing was overwritten.
    RolledBack {
        /// Leaves of the journal.
        journal: u64,
        /// Leaves of the checkpoint.
        published: u64,
    },
    /// The caller's bug: the leaves given begin after the log's end.
    Gap {
        /// The log's size.
        size: u64,
        /// The index of the first leaf given.
        from: u64,
    },
    /// The caller's bug: no checkpoint of this size was published, or no such leaf.
    NotFound,
    /// An earlier write failed. What is on the disk is not known until the next opening.
    Poisoned,
}

impl fmt::Display for TilesFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(fault) => write!(f, "{fault}"),
            Self::Damaged(fault) => write!(f, "the audit log is damaged: {fault}"),
            Self::Note(fault) => write!(f, "the checkpoint {fault}"),
            Self::Journal(fault) => write!(f, "while reading the journal for the audit log: {fault}"),
            Self::Forked { size } => write!(f, "the journal and the published checkpoint of {size} leaves disagree"),
            Self::RolledBack { journal, published } => {
                write!(f, "the journal has {journal} entries, a published checkpoint has {published}")
            }
            Self::Gap { size, from } => write!(f, "the audit log has {size} leaves, those given begin at {from}"),
            Self::NotFound => write!(f, "the audit log has no such leaf or checkpoint"),
            Self::Poisoned => write!(f, "an earlier write to the audit log failed: it has to be opened again"),
        }
    }
}

impl std::error::Error for TilesFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Disk(fault) => Some(fault),
            Self::Damaged(fault) => Some(fault),
            Self::Note(fault) => Some(fault),
            Self::Journal(fault) => Some(fault),
            Self::Forked { .. } | Self::RolledBack { .. } | Self::Gap { .. } | Self::NotFound | Self::Poisoned => None,
        }
    }
}

impl From<DiskFault> for TilesFault {
    fn from(fault: DiskFault) -> Self {
        Self::Disk(fault)
    }
}

impl From<LogFault> for TilesFault {
    fn from(fault: LogFault) -> Self {
        Self::Damaged(fault)
    }
}

impl From<NoteFault> for TilesFault {
    fn from(fault: NoteFault) -> Self {
        Self::Note(fault)
    }
}

/// Who signs the log's checkpoints.
#[expect(missing_debug_implementations, reason = "a secret has no text form")]
#[derive(Clone)]
pub struct LogSigner {
    /// The log: [`checkpoint::origin`] of consortium and node.
    pub origin: String,
    /// The node's signing key.
    pub pair: KeyPair,
    /// The node's earlier signing keys, under which older checkpoints stand.
    pub former: Vec<PublicKey>,
}

impl LogSigner {
    fn keys(&self) -> Result<LogKeys, NoteFault> {
        let all = self.former.iter().copied().chain([self.pair.public()]);
        LogKeys::new(&self.origin, all, Strangers::Ignore)
    }
}

/// The audit log of one node in one consortium. One process has it open at a time.
#[expect(missing_debug_implementations, reason = "holds a secret key, which has no text form")]
pub struct TileLog {
    files: TileFiles,
    signer: LogSigner,
    keys: LogKeys,
    edge: Edge,
    newest: Option<String>,
    poisoned: bool,
}

impl TileLog {
    /// Opens the log in `dir`, which is made when absent, and removes what a crash left unfinished.
    ///
    /// # Errors
    /// [`TilesFault::Damaged`] when the newest checkpoint or the open tiles do not stand: then [`TileLog::rebuild`].
    /// [`TilesFault::Disk`] and [`TilesFault::Note`].
    pub fn open(dir: &Path, signer: LogSigner) -> Result<Self, TilesFault> {
        make_folder(dir)?;
        let mut log = Self::empty(dir, signer)?;
        match read_note(&log.files, CHECKPOINT_PATH) {
            Ok(text) => {
                let open = log.read_checkpoint(&text, CHECKPOINT_PATH)?;
                log.edge = Edge::load(&open.head, &log.files)?;
                log.newest = Some(text);
            }
            Err(LogFault::Missing { .. }) if log.history()?.is_empty() => {}
            Err(fault) => return Err(fault.into()),
        }
        log.sweep()?;
        log.keep_newest()?;
        Ok(log)
    }

    fn empty(dir: &Path, signer: LogSigner) -> Result<Self, TilesFault> {
        let keys = signer.keys()?;
        let files = TileFiles::new(dir);
        Ok(Self { files, signer, keys, edge: Edge::default(), newest: None, poisoned: false })
    }

    fn read_checkpoint(&self, text: &str, path: &str) -> Result<OpenCheckpoint, LogFault> {
        self.keys.open(text).map_err(|fault| LogFault::Note { path: path.to_owned(), fault })
    }

    /// The log's head: the newest checkpoint's, or the empty tree's before the first.
    pub fn head(&self) -> TreeHead {
        self.edge.head()
    }

    /// The newest checkpoint; `None` before the first append.
    pub fn checkpoint(&self) -> Option<&str> {
        self.newest.as_deref()
    }

    /// Whether an earlier write failed, so that the log has to be opened again.
    pub const fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// Appends the next leaves and publishes one checkpoint over all of them. They are durable when this returns.
    ///
    /// # Errors
    /// [`TilesFault`]; after a failed write the log is poisoned.
    pub fn append(&mut self, leaves: &[LeafEntry]) -> Result<TreeHead, TilesFault> {
        self.grow(leaves.iter().copied())
    }

    /// Continues the log from the journal, whose leaves are given from index `from` on. Leaves that the log has already
    /// are compared with it.
    ///
    /// # Errors
    /// [`TilesFault::Forked`] when a leaf is not the one in the log, [`TilesFault::RolledBack`] when they end before the
    /// log does, [`TilesFault::Gap`] when they begin after it. Nothing is written then.
    pub fn catch_up(&mut self, from: u64, leaves: impl IntoIterator<Item = LeafEntry>) -> Result<TreeHead, TilesFault> {
        let size = self.edge.size();
        if from > size {
            return Err(TilesFault::Gap { size, from });
        }
        let mut leaves = leaves.into_iter();
        self.compare(from, &mut leaves)?;
        self.grow(leaves)
    }

    /// Compares leaves from index `from` to the log's end with those in its bundles.
    fn compare(&self, from: u64, leaves: &mut impl Iterator<Item = LeafEntry>) -> Result<(), TilesFault> {
        let (published, width) = (self.edge.size(), u64::from(TILE_WIDTH));
        let mut bundle: (Option<Tile>, Vec<LeafEntry>) = (None, Vec::new());
        for index in from..published {
            let leaf = leaves.next().ok_or(TilesFault::RolledBack { journal: index, published })?;
            let tile = Tile::at(TileKind::Entries, index / width, published);
            if bundle.0 != tile {
                let entries = tile.map(|tile| tile.read_entries(&self.files)).transpose()?;
                bundle = (tile, entries.unwrap_or_default());
            }
            let place = usize::try_from(index % width).unwrap_or(usize::MAX);
            if bundle.1.get(place) != Some(&leaf) {
                return Err(TilesFault::Forked { size: index.saturating_add(1) });
            }
        }
        Ok(())
    }

    fn grow(&mut self, leaves: impl Iterator<Item = LeafEntry>) -> Result<TreeHead, TilesFault> {
        if self.poisoned {
            return Err(TilesFault::Poisoned);
        }
        let (before, mut edge, mut pending) = (self.edge.size(), self.edge.clone(), Vec::new());
        self.poisoned = true;
        for leaf in leaves {
            edge.append(leaf, &mut |tile, bytes| pending.push((tile.path(), bytes)));
            if pending.len() >= PENDING_TILES_MAX {
                self.files.write(&pending)?;
                pending.clear();
            }
        }
        if edge.size() > before {
            let grown = |tile: &Tile| tile.kind().items(before) < tile.kind().items(edge.size());
            let open = edge.partials().into_iter().filter(|(tile, _)| grown(tile));
            pending.extend(open.map(|(tile, bytes)| (tile.path(), bytes)));
            self.files.write(&pending)?;
            self.publish(edge.head())?;
            self.edge = edge;
            self.remove_superseded(before)?;
        }
        self.poisoned = false;
        Ok(self.head())
    }

    /// Signs and publishes the checkpoint of `head`, whose tiles are durable.
    fn publish(&mut self, head: TreeHead) -> Result<(), TilesFault> {
        let kept = read_note(&self.files, &history_path(head.size)).ok();
        // What does not verify is no promise and may be replaced; what does must be of the same tree.
        let promised = kept.and_then(|text| self.keys.open(&text).ok().map(|open| (text, open.head)));
        let text = match promised {
            Some((_, other)) if other != head => return Err(TilesFault::Forked { size: head.size }),
            Some((text, _)) => text,
            None => checkpoint::signed(&self.signer.origin, head, &self.signer.pair)?,
        };
        replace(&self.files.at(CHECKPOINT_PATH), text.as_bytes())?;
        self.newest = Some(text);
        self.keep(head.size)
    }

    /// Keeps a copy of the newest checkpoint, which is of `size`, unless there is one.
    fn keep(&self, size: u64) -> Result<(), TilesFault> {
        let (path, Some(text)) = (history_path(size), &self.newest) else { return Ok(()) };
        let kept = read_note(&self.files, &path).is_ok_and(|text| self.keys.open(&text).is_ok());
        if !kept {
            let path = self.files.at(&path);
            make_folder(parent_of(&path))?;
            replace(&path, text.as_bytes())?;
        }
        Ok(())
    }

    /// A crash between publishing and keeping a copy is made good here.
    fn keep_newest(&self) -> Result<(), TilesFault> {
        self.keep(self.edge.size())
    }

    /// Removes all forms of the partial tiles that are full since `before`; that they remain after a crash is harmless.
    fn remove_superseded(&self, before: u64) -> Result<(), TilesFault> {
        for tile in superseded(before, self.edge.size()) {
            let path = tile.path();
            let Some((folder, _)) = path.rsplit_once('/') else { continue };
            self.remove_all(folder, |_| true)?;
        }
        Ok(())
    }

    /// Removes the files below `folder` that `gone` picks, and the folders of partial tiles that are empty then.
    fn remove_all(&self, folder: &str, gone: impl Fn(&str) -> bool) -> Result<(), TilesFault> {
        let mut paths = Vec::new();
        self.files.visit(folder, &mut |path| {
            if gone(path) {
                paths.push(path.to_owned());
            }
        })?;
        for path in paths {
            let path = self.files.at(&path);
            remove(&path)?;
            if parent_of(&path).extension().is_some_and(|extension| extension == "p") {
                // Fails while the folder holds another width, which is as it should be.
                let _ = std::fs::remove_dir(parent_of(&path));
            }
        }
        Ok(())
    }

    /// Removes what does not belong to the log's size and what was never finished. Files of no known form stay: whoever
    /// verifies the log is told of them.
    fn sweep(&self) -> Result<(), TilesFault> {
        let size = self.edge.size();
        let foreign = |path: &str| Tile::parse(path).is_some_and(|tile| tile.standing(size) == Standing::Foreign);
        self.remove_all("tile", |path| path.ends_with(UNFINISHED) || foreign(path))?;
        self.remove_all(HISTORY_FOLDER, |path| path.ends_with(UNFINISHED))?;
        remove(&self.files.at(&format!("{CHECKPOINT_PATH}{UNFINISHED}")))?;
        Ok(())
    }
}

/// Checkpoints and proofs.
impl TileLog {
    /// The sizes of all checkpoints ever published, in order.
    ///
    /// # Errors
    /// [`TilesFault::Disk`].
    pub fn history(&self) -> Result<Vec<u64>, TilesFault> {
        let mut sizes = Vec::new();
        self.files.visit(HISTORY_FOLDER, &mut |path| {
            let number = path.strip_prefix(HISTORY_FOLDER).and_then(|rest| rest.strip_prefix('/'));
            sizes.extend(number.and_then(parse_index_path));
        })?;
        sizes.sort_unstable();
        Ok(sizes)
    }

    /// The checkpoint of `size` with its cosignatures; `None` when none was published.
    ///
    /// # Errors
    /// [`TilesFault::Damaged`] when its file cannot be read or does not stand.
    pub fn checkpoint_at(&self, size: u64) -> Result<Option<String>, TilesFault> {
        let path = history_path(size);
        match read_note(&self.files, &path) {
            Err(LogFault::Missing { .. }) => Ok(None),
            Err(fault) => Err(fault.into()),
            Ok(text) => {
                self.read_checkpoint(&text, &path)?;
                Ok(Some(text))
            }
        }
    }

    /// Takes in a peer's cosignature of our checkpoint of `size`: `theirs` is that checkpoint as the peer sent it back,
    /// `name` and `public` the peer's origin and signing key.
    ///
    /// # Errors
    /// [`TilesFault::Note`] when `theirs` is over another text or its signature does not stand; [`TilesFault::NotFound`].
    pub fn add_cosignature(
        &mut self,
        size: u64,
        theirs: &str,
        name: &str,
        public: PublicKey,
    ) -> Result<(), TilesFault> {
        let ours = self.checkpoint_at(size)?.ok_or(TilesFault::NotFound)?;
        let joined = checkpoint::with_cosignature(&ours, theirs, name, public)?;
        replace(&self.files.at(&history_path(size)), joined.as_bytes())?;
        if size == self.edge.size() {
            replace(&self.files.at(CHECKPOINT_PATH), joined.as_bytes())?;
            self.newest = Some(joined);
        }
        Ok(())
    }

    /// The proof that leaf `index` is in the log.
    ///
    /// # Errors
    /// [`TilesFault::NotFound`] for an index beyond the log, [`TilesFault::Damaged`] when a tile cannot be read.
    pub fn inclusion(&self, index: u64) -> Result<InclusionBundle, TilesFault> {
        let (size, width) = (self.edge.size(), u64::from(TILE_WIDTH));
        let path = TreeReader::new(&self.files, size).inclusion(index)?.ok_or(TilesFault::NotFound)?;
        let bundle = Tile::at(TileKind::Entries, index / width, size).ok_or(TilesFault::NotFound)?;
        let place = usize::try_from(index % width).unwrap_or(usize::MAX);
        let leaf = bundle.read_entries(&self.files)?.get(place).copied().ok_or(TilesFault::NotFound)?;
        let checkpoint = self.newest.clone().ok_or(TilesFault::NotFound)?;
        Ok(InclusionBundle { origin: self.signer.origin.clone(), index, leaf, path, checkpoint })
    }

    /// The proof that the log only grew since its checkpoint of `old` leaves.
    ///
    /// # Errors
    /// [`TilesFault::NotFound`] when no such checkpoint was published, [`TilesFault::Damaged`] when a tile cannot be read.
    pub fn consistency(&self, old: u64) -> Result<ConsistencyBundle, TilesFault> {
        let then = self.checkpoint_at(old)?.ok_or(TilesFault::NotFound)?;
        let path = TreeReader::new(&self.files, self.edge.size()).consistency(old)?.ok_or(TilesFault::NotFound)?;
        let new = self.newest.clone().ok_or(TilesFault::NotFound)?;
        Ok(ConsistencyBundle { origin: self.signer.origin.clone(), old: then, new, path })
    }
}

/// Gives every leaf of the journal, from the first, to a receiver.
pub trait LeafScan {
    /// Calls `each` with every leaf in order. Called more than once.
    ///
    /// # Errors
    /// [`JournalFault`].
    fn scan(&mut self, each: &mut dyn FnMut(LeafEntry)) -> Result<(), JournalFault>;
}

impl<F: FnMut(&mut dyn FnMut(LeafEntry)) -> Result<(), JournalFault>> LeafScan for F {
    fn scan(&mut self, each: &mut dyn FnMut(LeafEntry)) -> Result<(), JournalFault> {
        self(each)
    }
}

/// Making the log again from the journal.
impl TileLog {
    /// Makes the log in `dir` again from the whole journal and opens it. The journal is read twice: it is compared with
    /// every checkpoint that stands before the first byte is written. Files that are right stay as they are.
    ///
    /// # Errors
    /// [`TilesFault::Forked`] or [`TilesFault::RolledBack`] when the journal breaks a published promise; nothing was
    /// written then. [`TilesFault::Journal`], [`TilesFault::Disk`], [`TilesFault::Note`].
    pub fn rebuild(dir: &Path, signer: LogSigner, mut journal: impl LeafScan) -> Result<Self, TilesFault> {
        make_folder(dir)?;
        let mut log = Self::empty(dir, signer)?;
        let promised = log.promises()?;
        keeps(&promised, &mut journal)?;
        log.remake(&mut journal)?;
        let head = log.edge.head();
        if head.size > 0 {
            log.publish(head)?;
        }
        log.sweep()?;
        log.mend_earlier()?;
        Ok(log)
    }

    /// Every head that a checkpoint in the folder promises. Checkpoints that do not stand promise nothing.
    fn promises(&self) -> Result<BTreeMap<u64, TreeHead>, TilesFault> {
        let paths = self.history()?.into_iter().map(history_path).chain([CHECKPOINT_PATH.to_owned()]);
        let mut promised = BTreeMap::new();
        for path in paths {
            let open = read_note(&self.files, &path).ok().and_then(|text| self.keys.open(&text).ok());
            if let Some(open) = open {
                let first = *promised.entry(open.head.size).or_insert(open.head);
                if first != open.head {
                    return Err(TilesFault::Forked { size: open.head.size });
                }
            }
        }
        Ok(promised)
    }

    /// Writes every tile that is not on the disk as the journal makes it.
    fn remake(&mut self, journal: &mut impl LeafScan) -> Result<(), TilesFault> {
        let (files, mut edge, mut pending, mut failed) = (&self.files, Edge::default(), Vec::new(), None);
        let wrong = |tile: Tile, bytes: &Vec<u8>| tile.read(files).ok().as_ref() != Some(bytes);
        let each = &mut |leaf| {
            edge.append(leaf, &mut |tile, bytes| {
                if wrong(tile, &bytes) {
                    pending.push((tile.path(), bytes));
                }
            });
            if pending.len() >= PENDING_TILES_MAX && failed.is_none() {
                failed = files.write(&pending).err();
                pending.clear();
            }
        };
        journal.scan(each).map_err(TilesFault::Journal)?;
        if let Some(fault) = failed {
            return Err(fault.into());
        }
        let open = edge.partials().into_iter().filter(|(tile, bytes)| wrong(*tile, bytes));
        pending.extend(open.map(|(tile, bytes)| (tile.path(), bytes)));
        files.write(&pending)?;
        self.edge = edge;
        Ok(())
    }

    /// Writes earlier forms of the open tiles again where they are not a beginning of them.
    fn mend_earlier(&self) -> Result<(), TilesFault> {
        let (size, open, mut pending) = (self.edge.size(), self.edge.partials(), Vec::new());
        self.files.visit("tile", &mut |path| {
            let Some(tile) = Tile::parse(path).filter(|tile| tile.standing(size) == Standing::Earlier) else { return };
            let wide = open.iter().find(|(wide, _)| (wide.kind(), wide.index()) == (tile.kind(), tile.index()));
            let made = wide.and_then(|(_, bytes)| bytes.get(..tile.file_bytes())).unwrap_or_default();
            if self.files.read(path, tile.file_bytes()).ok().as_deref() != Some(made) {
                pending.push((path.to_owned(), made.to_vec()));
            }
        })?;
        Ok(self.files.write(&pending)?)
    }
}

/// Whether the journal's tree passes through every promised head.
fn keeps(promised: &BTreeMap<u64, TreeHead>, journal: &mut impl LeafScan) -> Result<(), TilesFault> {
    let (mut frontier, mut forked) = (Frontier::default(), None);
    let mut look = |frontier: &Frontier| {
        if promised.get(&frontier.size()).is_some_and(|head| *head != frontier.head()) && forked.is_none() {
            forked = Some(frontier.size());
        }
    };
    look(&frontier);
    journal
        .scan(&mut |leaf| {
            frontier.append(leaf_hash(&leaf.0));
            look(&frontier);
        })
        .map_err(TilesFault::Journal)?;
    if let Some(size) = forked {
        return Err(TilesFault::Forked { size });
    }
    match promised.last_key_value() {
        Some((published, _)) if *published > frontier.size() => {
            Err(TilesFault::RolledBack { journal: frontier.size(), published: *published })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "tiles_tests.rs"]
mod tests;
