//! The audit log follows the journal: derived, a little behind, and caught up at every start.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cohortium_protocol::endpoint::io::Input;
use cohortium_protocol::ident::{ConsortiumId, Name};
use cohortium_protocol::key::pair::KeyPair;
use cohortium_protocol::log::checkpoint::origin;
use cohortium_protocol::log::proof::InclusionBundle;
use cohortium_protocol::log::{LeafEntry, leaf_entry, leaf_salt};
use cohortium_store::journal::JournalFault;
use cohortium_store::tiles::{LogSigner, TileLog, TilesFault};
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use crate::driver::books::Book;
use crate::driver::queue::Queue;

/// How long entries may wait for their leaves.
const LAG: Duration = Duration::from_millis(200);
/// How many entries may wait before that.
const LAG_ENTRIES: u64 = 100;
/// Entries read from the journal under one lock.
const READ_ENTRIES: u64 = 1000;

/// Why the log does not follow.
#[derive(Debug)]
pub(crate) enum AuditFault {
    /// The log.
    Tiles(TilesFault),
    /// The journal.
    Journal(JournalFault),
}

impl fmt::Display for AuditFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tiles(fault) => fault.fmt(f),
            Self::Journal(fault) => fault.fmt(f),
        }
    }
}

impl From<TilesFault> for AuditFault {
    fn from(fault: TilesFault) -> Self {
        Self::Tiles(fault)
    }
}

impl From<JournalFault> for AuditFault {
    fn from(fault: JournalFault) -> Self {
        Self::Journal(fault)
    }
}

/// Whose log it is.
pub(crate) struct Whose {
    pub(crate) consortium: ConsortiumId,
    pub(crate) party: Name,
    pub(crate) pair: KeyPair,
    pub(crate) salt: Zeroizing<[u8; 32]>,
}

/// One consortium's audit log with the journal it is made of. Clones share it.
#[derive(Clone)]
pub(crate) struct Audit(Arc<Inner>);

struct Inner {
    log: Mutex<TileLog>,
    book: Book,
    salt: Zeroizing<[u8; 32]>,
    consortium: ConsortiumId,
}

impl Audit {
    /// Opens the log in `dir` and appends what the journal has more; a damaged log is made again. Blocks.
    pub(crate) fn open(dir: &Path, whose: Whose, book: &Book) -> Result<Self, AuditFault> {
        let Whose { consortium, party, pair, salt } = whose;
        let signer = LogSigner { origin: origin(&consortium, &party), pair, former: Vec::new() };
        let log = match TileLog::open(dir, signer.clone()) {
            Err(TilesFault::Damaged(fault)) => {
                tracing::warn!(event = "log-rebuilt", %consortium, %fault);
                let journal = book.lock();
                TileLog::rebuild(dir, signer, |each: &mut dyn FnMut(LeafEntry)| {
                    journal.scan(0, |seq, entry| each(leaf_entry(&leaf_salt(&salt, seq), entry)))
                })?
            }
            other => other?,
        };
        let audit = Self(Arc::new(Inner { log: Mutex::new(log), book: book.clone(), salt, consortium }));
        audit.catch_up()?;
        Ok(audit)
    }

    /// The log itself. Blocks while leaves are appended.
    pub(crate) fn lock(&self) -> MutexGuard<'_, TileLog> {
        // A holder that panicked leaves a log that is sound or poisoned by itself.
        self.0.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends the leaves of every durable entry that has none yet. Blocks.
    pub(crate) fn catch_up(&self) -> Result<(), AuditFault> {
        let mut log = self.lock();
        loop {
            let from = log.head().size;
            let entries = self.0.book.read(from, READ_ENTRIES)?;
            if entries.is_empty() {
                // Also compares the log's end with the journal's.
                log.catch_up(from.min(self.0.book.lock().entries()), [])?;
                return Ok(());
            }
            let leaf = |(seq, entry): &(u64, Vec<u8>)| leaf_entry(&leaf_salt(&self.0.salt, *seq), entry);
            log.append(&entries.iter().map(leaf).collect::<Vec<_>>())?;
        }
    }

    /// The salt of an entry's leaf, and the proof that it is in the log as the newest checkpoint has it. Blocks.
    pub(crate) fn prove(&self, index: u64) -> Result<([u8; 32], InclusionBundle), AuditFault> {
        Ok((leaf_salt(&self.0.salt, index), self.lock().inclusion(index)?))
    }

    /// Compares every leaf with its entry. Blocks, and holds the journal meanwhile.
    pub(crate) fn compare(&self) -> Result<(), AuditFault> {
        let mut leaves = Vec::new();
        let mut log = self.lock();
        let size = log.head().size;
        self.0.book.lock().scan(0, |seq, entry| {
            if seq < size {
                leaves.push(leaf_entry(&leaf_salt(&self.0.salt, seq), entry));
            }
        })?;
        log.catch_up(0, leaves)?;
        Ok(())
    }

    /// Follows the journal until the process ends. A log that cannot be written stops all service.
    pub(crate) async fn follow(self, queue: Queue) {
        let mut durable = self.0.book.durable();
        while durable.changed().await.is_ok() {
            let seen = *durable.borrow_and_update();
            let many = durable.wait_for(|entries| *entries >= seen.saturating_add(LAG_ENTRIES));
            let _ = tokio::time::timeout(LAG, many).await;
            let audit = self.clone();
            let caught_up = spawn_blocking(move || audit.catch_up().map(|()| audit.lock().head()));
            let fault = match caught_up.await {
                Ok(Ok(head)) => {
                    queue.input(Input::LogHead { consortium: self.0.consortium, head }).await;
                    continue;
                }
                Ok(Err(fault)) => fault.to_string(),
                Err(_) => "the writer panicked".to_owned(),
            };
            tracing::error!(event = "log-failed", consortium = %self.0.consortium, fault);
            queue.input(Input::JournalFailed).await;
            return;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use cohortium_protocol::record::journal_entry::{Act, Actor, JournalEntry};
    use cohortium_protocol::time::UnixMillis;
    use cohortium_protocol::wire::codec;
    use cohortium_store::seal::DataKey;

    use super::*;
    use crate::driver::books::{Batch, Books};

    fn whose() -> Whose {
        Whose {
            consortium: ConsortiumId([1; 32]),
            party: "north".parse().unwrap(),
            pair: KeyPair::from_seed(&[2; 32]),
            salt: Zeroizing::new([3; 32]),
        }
    }

    fn entry(at: u64) -> Vec<u8> {
        let act = Act::Began { party: "north".parse().unwrap() };
        codec::encode(&JournalEntry { at: UnixMillis(at), actor: Actor::Node, act })
    }

    /// A log of an empty journal, with both of them in `dir`.
    pub(crate) fn audit(dir: &Path) -> Audit {
        let (book, _) = Book::open(&dir.join("journal"), &DataKey::random()).unwrap();
        Audit::open(&dir.join("log"), whose(), &book).unwrap()
    }

    // LOG-2
    #[tokio::test]
    async fn the_log_has_one_leaf_an_entry_also_after_a_crash_between_the_two() {
        let dir = tempfile::tempdir().unwrap();
        let key = DataKey::random();
        let (book, _) = Book::open(&dir.path().join("journal"), &key).unwrap();
        let mut books = Books::default();
        books.insert(ConsortiumId([1; 32]), book.clone());
        let log = dir.path().join("log");
        let audit = Audit::open(&log, whose(), &book).unwrap();
        let batch = |first| Batch { first, entries: (first..first + 300).map(entry).collect() };
        assert_eq!(books.append(ConsortiumId([1; 32]), batch(0)).await, Some(300));
        audit.catch_up().unwrap();
        let head = audit.lock().head();
        assert_eq!(head.size, 300);
        drop(audit);
        assert_eq!(books.append(ConsortiumId([1; 32]), batch(300)).await, Some(600));
        let audit = Audit::open(&log, whose(), &book).unwrap();
        assert_eq!(audit.lock().head().size, 600);
        let again = Audit::open(&dir.path().join("again"), whose(), &book).unwrap();
        assert_eq!(again.lock().head(), audit.lock().head());
    }

    #[tokio::test]
    async fn a_log_that_runs_ahead_of_its_journal_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (book, _) = Book::open(&dir.path().join("one"), &DataKey::random()).unwrap();
        let mut books = Books::default();
        books.insert(ConsortiumId([1; 32]), book.clone());
        books.append(ConsortiumId([1; 32]), Batch { first: 0, entries: vec![entry(1)] }).await.unwrap();
        let log = dir.path().join("log");
        drop(Audit::open(&log, whose(), &book).unwrap());
        let (shorter, _) = Book::open(&dir.path().join("two"), &DataKey::random()).unwrap();
        let refused = Audit::open(&log, whose(), &shorter).err();
        assert!(matches!(refused, Some(AuditFault::Tiles(TilesFault::RolledBack { .. }))));
    }
}
