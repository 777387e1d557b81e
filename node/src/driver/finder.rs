//! The finder: which journal entries hold a document or speak of a thing, out of an index that the journal fills.
//!
//! The journal is the truth; the index is derived, a little behind, and made again whenever it cannot be trusted: it was
//! not closed, it does not open, a value does not, or it does not end where its mark says. The node never fails with it:
//! a faulty index is logged, lookups say so, and the next start makes it again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cohortium_protocol::digest::sha256;
use cohortium_protocol::hex;
use cohortium_protocol::ident::ConsortiumId;
use cohortium_protocol::limits::JOURNAL_ENTRY_BYTES_MAX;
use cohortium_protocol::record::journal_entry::JournalEntry;
use cohortium_protocol::wire::codec;
use cohortium_store::index::{Index, IndexFault, IndexState, Tree};
use cohortium_store::journal::JournalFault;
use cohortium_store::seal::DataKey;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use crate::driver::books::Book;
use crate::driver::subject::{Subject, document, subjects};

/// How long entries may wait before they can be found without a lookup asking for them.
const LAG: Duration = Duration::from_millis(500);
/// Entries written under one lock.
const BATCH_ENTRIES: u64 = 1000;
/// The fewest hexadecimal digits of an id that are looked for.
pub(crate) const ID_DIGITS_MIN: usize = 8;
/// The digits of the longest id.
const ID_DIGITS_MAX: usize = 64;
/// Bytes of a sequence number at the end of a subject's key.
const SEQ_BYTES: usize = 8;
/// The key of the one value in the tree `mark`.
const MARK_KEY: &[u8] = b"mark";

/// How far the index goes, and how much is in it then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// Entries that are in it.
    entries: u64,
    /// SHA-256 of the last of them: another journal of the same length has another.
    last: [u8; 32],
    /// Keys of `documents`.
    documents: u64,
    /// Keys of `subjects`.
    subjects: u64,
}

/// Why the index does not follow. Goes to the log.
#[derive(Debug)]
enum FollowFault {
    Index(IndexFault),
    Journal(JournalFault),
    Entry { seq: u64 },
}

impl fmt::Display for FollowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(fault) => fault.fmt(f),
            Self::Journal(fault) => fault.fmt(f),
            Self::Entry { seq } => write!(f, "journal entry {seq} cannot be read by this version"),
        }
    }
}

impl From<IndexFault> for FollowFault {
    fn from(fault: IndexFault) -> Self {
        Self::Index(fault)
    }
}

impl From<JournalFault> for FollowFault {
    fn from(fault: JournalFault) -> Self {
        Self::Journal(fault)
    }
}

/// Why nothing was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FindFault {
    /// The text is no beginning of an id.
    NotAnId,
    /// No entry names such an id.
    NotFound,
    /// More than one id begins so.
    Ambiguous {
        /// Some of them, hexadecimal.
        ids: Vec<String>,
    },
    /// The index cannot be used before the next start.
    Unavailable,
}

impl fmt::Display for FindFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnId => {
                write!(f, "an id is given by {ID_DIGITS_MIN} to {ID_DIGITS_MAX} lower-case hexadecimal digits")
            }
            Self::NotFound => f.write_str("nothing here names an id that begins so"),
            Self::Ambiguous { ids } => write!(f, "could be any of {}; give more of the id", ids.join(", ")),
            Self::Unavailable => f.write_str("the index is not available; it is made again at the next start"),
        }
    }
}

/// One consortium's index with the journal it is made of. Clones share it.
#[derive(Clone)]
pub(crate) struct Finder(Arc<Inner>);

struct Inner {
    consortium: ConsortiumId,
    dir: PathBuf,
    key: DataKey,
    book: Book,
    state: Mutex<State>,
}

enum State {
    /// Nobody has needed it yet.
    Resting,
    Open(Box<Written>),
    /// Faulty or closed: nothing more is written or found.
    Ended,
}

impl Finder {
    /// The finder of the journal `book`, with its index in `dir`. Opens nothing yet, so that a start waits for no index.
    pub(crate) fn new(dir: PathBuf, key: DataKey, consortium: ConsortiumId, book: &Book) -> Self {
        Self(Arc::new(Inner { consortium, dir, key, book: book.clone(), state: Mutex::new(State::Resting) }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A holder that panicked leaves an index whose mark does not fit, which the next opening sees.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the index when that is still to be done and writes every durable entry that it lacks. Blocks.
    fn catch_up(&self) -> Result<(), FindFault> {
        // One batch a lock: a node that stops waits for one batch at most.
        while self.step(&mut self.lock())? {}
        Ok(())
    }

    /// Writes one batch; whether there may be more.
    fn step(&self, state: &mut State) -> Result<bool, FindFault> {
        let stepped = match state {
            State::Ended => return Err(FindFault::Unavailable),
            State::Resting => Written::open(&self.0).map(|written| {
                *state = State::Open(Box::new(written));
                true
            }),
            State::Open(written) => written.append(&self.0.book),
        };
        stepped.map_err(|fault| self.give_up(state, &fault))
    }

    fn give_up(&self, state: &mut State, fault: &FollowFault) -> FindFault {
        tracing::error!(event = "index-failed", consortium = %self.0.consortium, %fault);
        // Dropped without being closed, so the next start makes it again.
        *state = State::Ended;
        FindFault::Unavailable
    }

    /// The numbers of the entries that hold or name the one id that begins with `id`, from entry `from` on and at most
    /// `limit` of them, in order. Everything durable is looked through. Blocks.
    pub(crate) fn find(&self, id: &str, from: u64, limit: usize) -> Result<Vec<u64>, FindFault> {
        let prefix = Prefix::parse(id).ok_or(FindFault::NotAnId)?;
        self.catch_up()?;
        let mut state = self.lock();
        let State::Open(written) = &*state else { return Err(FindFault::Unavailable) };
        let found = written.find(&prefix).map_err(|fault| self.give_up(&mut state, &fault.into()))?;
        let mut ids = found.into_iter();
        match (ids.next(), ids.next()) {
            (None, _) => Err(FindFault::NotFound),
            (Some((_, entries)), None) => Ok(entries.range(from..).take(limit).copied().collect()),
            (Some((first, _)), Some((second, _))) => {
                let ids = [first, second].into_iter().chain(ids.map(|(id, _)| id).take(3));
                Err(FindFault::Ambiguous { ids: ids.map(|id| hex::text(&id)).collect() })
            }
        }
    }

    /// Follows the journal until the node stops or the index fails.
    pub(crate) async fn follow(self) {
        let mut durable = self.0.book.durable();
        loop {
            let finder = self.clone();
            if !matches!(spawn_blocking(move || finder.catch_up()).await, Ok(Ok(())))
                || durable.changed().await.is_err()
            {
                return;
            }
            tokio::time::sleep(LAG).await;
            durable.mark_unchanged();
        }
    }

    /// Closes the index so that the next start keeps it. Blocks.
    pub(crate) fn close(&self) {
        let state = std::mem::replace(&mut *self.lock(), State::Ended);
        if let State::Open(written) = state
            && let Err(fault) = written.index.close()
        {
            tracing::warn!(event = "index-not-closed", consortium = %self.0.consortium, %fault);
        }
    }
}

/// The beginning of an id: hexadecimal digits, the last of which may be half a byte.
struct Prefix {
    digits: String,
    bytes: Vec<u8>,
}

impl Prefix {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !digits || !(ID_DIGITS_MIN..=ID_DIGITS_MAX).contains(&text.len()) {
            return None;
        }
        let whole = text.as_bytes().chunks_exact(2).map(|pair| {
            let pair = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(pair, 16).ok()
        });
        Some(Self { digits: text.to_owned(), bytes: whole.collect::<Option<_>>()? })
    }

    fn begins(&self, id: &[u8]) -> bool {
        hex::text(id).starts_with(&self.digits)
    }
}

/// The open index.
struct Written {
    index: Index,
    /// Digest of a signed document -> the entry that first holds it.
    documents: Tree<u64>,
    /// Id and entry number, big endian -> nothing.
    subjects: Tree<()>,
    mark: Tree<Mark>,
    reached: Mark,
}

impl Written {
    /// Opens the index, or an empty one where the present one cannot be trusted.
    fn open(inner: &Inner) -> Result<Self, FollowFault> {
        let (index, mut found) = Index::open(&inner.dir, &inner.key)?;
        let mut written = Self::of(index).ok();
        if found == IndexState::Kept && !written.as_ref().map_or(Ok(false), |written| written.stands(&inner.book))? {
            // Dropped without being closed, so this opening puts it aside.
            written = None;
        }
        let written = if let Some(written) = written {
            written
        } else {
            let (index, _) = Index::open(&inner.dir, &inner.key)?;
            found = IndexState::Broken;
            Self::of(index)?
        };
        let from = written.reached.entries;
        tracing::info!(event = "index-opened", consortium = %inner.consortium, ?found, from);
        Ok(written)
    }

    fn of(index: Index) -> Result<Self, IndexFault> {
        let (documents, subjects, mark) =
            (index.tree("documents")?, index.tree("subjects")?, index.tree::<Mark>("mark")?);
        let reached = mark.get(MARK_KEY)?.unwrap_or_default();
        Ok(Self { index, documents, subjects, mark, reached })
    }

    /// Whether it holds what its mark says, and the mark is one of this journal. Reads the whole index, and no entry but
    /// one: sled may lose the end of a damaged file without a word.
    fn stands(&self, book: &Book) -> Result<bool, JournalFault> {
        let (mut documents, mut subjects) = (0, 0);
        let read = self.documents.scan(b"", |_, _| documents += 1);
        let read = read.and_then(|()| self.subjects.scan(b"", |_, ()| subjects += 1));
        if read.is_err() || (documents, subjects) != (self.reached.documents, self.reached.subjects) {
            return Ok(false);
        }
        let journal = book.lock();
        match self.reached.entries.checked_sub(1) {
            None => Ok(true),
            Some(last) if last < journal.entries() => Ok(sha256(&[&journal.read(last)?]) == self.reached.last),
            Some(_) => Ok(false),
        }
    }

    /// Writes one batch of what the journal has more; whether there was any.
    fn append(&mut self, book: &Book) -> Result<bool, FollowFault> {
        let batch = book.read(self.reached.entries, BATCH_ENTRIES)?;
        let Some((last, bytes)) = batch.last() else { return Ok(false) };
        let (entries, last) = (last.saturating_add(1), sha256(&[bytes]));
        let mut reached = Mark { entries, last, ..self.reached.clone() };
        for (seq, bytes) in &batch {
            let entry: JournalEntry =
                codec::decode(bytes, JOURNAL_ENTRY_BYTES_MAX).map_err(|_| FollowFault::Entry { seq: *seq })?;
            self.write(*seq, &entry, &mut reached)?;
        }
        self.mark.put(MARK_KEY, &reached)?;
        self.reached = reached;
        Ok(true)
    }

    fn write(&self, seq: u64, entry: &JournalEntry, reached: &mut Mark) -> Result<(), IndexFault> {
        if let Some(digest) = document(&entry.act)
            && self.documents.get(digest.as_bytes())?.is_none()
        {
            self.documents.put(digest.as_bytes(), &seq)?;
            reached.documents += 1;
        }
        for subject in subjects(&entry.act) {
            self.subjects.put(&key(&subject, seq), &())?;
            reached.subjects += 1;
        }
        Ok(())
    }

    /// Every id that begins so, with its entries.
    fn find(&self, prefix: &Prefix) -> Result<BTreeMap<Vec<u8>, BTreeSet<u64>>, IndexFault> {
        let mut found: BTreeMap<Vec<u8>, BTreeSet<u64>> = BTreeMap::new();
        self.documents.scan(&prefix.bytes, |digest, seq| {
            if prefix.begins(digest) {
                found.entry(digest.to_vec()).or_default().insert(seq);
            }
        })?;
        self.subjects.scan(&prefix.bytes, |key, ()| {
            if let Some((id, seq)) = key.split_last_chunk::<SEQ_BYTES>().filter(|(id, _)| prefix.begins(id)) {
                found.entry(id.to_vec()).or_default().insert(u64::from_be_bytes(*seq));
            }
        })?;
        Ok(found)
    }
}

fn key(subject: &Subject, seq: u64) -> Vec<u8> {
    [subject.as_bytes(), &seq.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests;
