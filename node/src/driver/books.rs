//! The journals of all consortia: batches in, durable numbers out, on blocking threads.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cohortium_protocol::ident::ConsortiumId;
use cohortium_protocol::record::journal_entry::JournalEntry;
use cohortium_protocol::wire::codec::CodecFault;
use cohortium_store::journal::{BATCH_BYTES_MAX, Journal, JournalFault};
use cohortium_store::seal::DataKey;
use tokio::sync::watch;

/// Why a journal cannot be used.
#[derive(Debug)]
pub enum BookFault {
    /// The journal itself.
    Journal(JournalFault),
    /// An entry that this program cannot read: written by a later version.
    Entry {
        /// Its number.
        seq: u64,
        /// What is wrong.
        source: CodecFault,
    },
}

impl fmt::Display for BookFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journal(fault) => fault.fmt(f),
            Self::Entry { seq, source } => write!(f, "journal entry {seq} {source}"),
        }
    }
}

impl std::error::Error for BookFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Journal(fault) => fault.source(),
            Self::Entry { source, .. } => Some(source),
        }
    }
}

impl From<JournalFault> for BookFault {
    fn from(fault: JournalFault) -> Self {
        Self::Journal(fault)
    }
}

/// One consortium's journal. Clones share it; whoever waits for the lock waits for a sync at most.
#[derive(Clone)]
pub(crate) struct Book {
    journal: Arc<Mutex<Journal>>,
    durable: Arc<watch::Sender<u64>>,
}

impl Book {
    /// Opens the journal in `dir` and decodes every entry. Blocks.
    pub(crate) fn open(dir: &Path, key: &DataKey) -> Result<(Self, Vec<JournalEntry>), BookFault> {
        let (mut entries, mut refused) = (Vec::new(), None);
        let (journal, _) = Journal::open(dir, key, |seq, bytes| match JournalEntry::from_bytes(bytes) {
            Ok(entry) => entries.push(entry),
            Err(source) => refused = refused.take().or(Some(BookFault::Entry { seq, source })),
        })?;
        if let Some(fault) = refused {
            return Err(fault);
        }
        let (durable, _) = watch::channel(journal.entries());
        Ok((Self { journal: Arc::new(Mutex::new(journal)), durable: Arc::new(durable) }, entries))
    }

    /// The journal, for reading. Blocks while a batch is synced.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Journal> {
        // A holder that panicked leaves a journal that is sound or poisoned by itself.
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many entries are durable, now and later.
    pub(crate) fn durable(&self) -> watch::Receiver<u64> {
        self.durable.subscribe()
    }

    /// Entries from `from` on, at most `limit`, as they were written. Blocks.
    pub(crate) fn read(&self, from: u64, limit: u64) -> Result<Vec<(u64, Vec<u8>)>, JournalFault> {
        let journal = self.lock();
        let end = from.saturating_add(limit).min(journal.entries());
        (from..end).map(|seq| Ok((seq, journal.read(seq)?))).collect()
    }

    fn append(&self, first: u64, batch: &[Vec<u8>]) -> Result<u64, JournalFault> {
        let mut journal = self.lock();
        // The endpoint counts what the journal counts; anything else would file an entry under another's number.
        assert_eq!(journal.entries(), first, "the endpoint and its journal agree on the next entry");
        // A piece that was written stays when the next one fails, exactly as when the power goes between two batches.
        pieces(batch, BATCH_BYTES_MAX).try_for_each(|piece| journal.append(piece).map(|_| ()))?;
        Ok(journal.entries())
    }
}

/// A batch in pieces of at most `bytes_max` each, in order. An entry is never split.
fn pieces(batch: &[Vec<u8>], bytes_max: usize) -> impl Iterator<Item = &[Vec<u8>]> {
    let mut bytes = 0_usize;
    let mut begins = vec![0];
    for (at, entry) in batch.iter().enumerate() {
        bytes = bytes.saturating_add(entry.len());
        if bytes > bytes_max && at > 0 {
            begins.push(at);
            bytes = entry.len();
        }
    }
    let ends: Vec<usize> = begins.iter().skip(1).copied().chain([batch.len()]).collect();
    begins.into_iter().zip(ends).map(|(from, to)| &batch[from..to]).filter(|piece| !piece.is_empty())
}

/// A batch that is being collected: the number of its first entry, and the entries as they will be written.
pub(crate) struct Batch {
    pub(crate) first: u64,
    pub(crate) entries: Vec<Vec<u8>>,
}

/// Every consortium's journal.
#[derive(Default)]
pub(crate) struct Books(BTreeMap<ConsortiumId, Book>);

impl Books {
    pub(crate) fn insert(&mut self, consortium: ConsortiumId, book: Book) {
        self.0.insert(consortium, book);
    }

    /// Appends and syncs; one past the last durable entry, or `None` when nothing can be written any more.
    pub(crate) async fn append(&self, consortium: ConsortiumId, batch: Batch) -> Option<u64> {
        let book = self.0.get(&consortium)?.clone();
        let written = tokio::task::spawn_blocking(move || {
            let upto = book.append(batch.first, &batch.entries)?;
            book.durable.send_replace(upto);
            Ok::<u64, JournalFault>(upto)
        });
        match written.await {
            Ok(Ok(upto)) => Some(upto),
            Ok(Err(fault)) => {
                tracing::error!(event = "journal-failed", %consortium, %fault);
                None
            }
            Err(_) => {
                tracing::error!(event = "journal-failed", %consortium, fault = "the writer panicked");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::limits::JOURNAL_ENTRY_BYTES_MAX;

    use super::*;

    #[test]
    fn a_batch_longer_than_the_journal_takes_at_once_is_written_in_pieces() {
        let batch: Vec<Vec<u8>> = [3, 3, 9, 1, 1].map(|bytes| vec![7; bytes]).into();
        let lengths = |max| pieces(&batch, max).map(<[_]>::len).collect::<Vec<_>>();
        assert_eq!((lengths(6), lengths(100), lengths(1)), (vec![2, 1, 2], vec![5], vec![1, 1, 1, 1, 1]));
        assert_eq!(pieces(&[], 6).count(), 0);
        let dir = tempfile::tempdir().unwrap();
        let (book, _) = Book::open(dir.path(), &DataKey::random()).unwrap();
        let entry = vec![0; JOURNAL_ENTRY_BYTES_MAX];
        let long = vec![entry; BATCH_BYTES_MAX / JOURNAL_ENTRY_BYTES_MAX + 2];
        assert_eq!(book.append(0, &long).unwrap(), long.len() as u64);
    }
}
