//! Looking into the journal: entries in order, and the entries about one thing by way of the index.

use cohortium_protocol::ident::ConsortiumId;
use cohortium_protocol::limits::JOURNAL_ENTRY_BYTES_MAX;
use cohortium_protocol::wire::codec;
use cohortium_store::journal::JournalFault;
use tokio::task::spawn_blocking;

use crate::control::{ErrorKind, Reply};
use crate::driver::finder::FindFault;
use crate::driver::hands::{Hands, Place};
use crate::service::answer::{Answered, broken, error, no_consortium};

/// Journal entries of one answer.
pub(crate) const HISTORY_ENTRIES_MAX: u32 = 1000;

/// Which entries.
pub(crate) struct Wanted {
    pub(crate) consortium: ConsortiumId,
    /// The first.
    pub(crate) from: u64,
    /// How many at most.
    pub(crate) limit: u32,
    /// The beginning of the one id that they name.
    pub(crate) about: Option<String>,
}

/// Reads them.
pub(crate) async fn run(hands: &Hands, wanted: Wanted) -> Answered {
    let place = hands.place(&wanted.consortium).ok_or_else(no_consortium)?;
    spawn_blocking(move || read(&place, &wanted)).await.map_err(|_| broken())?
}

fn read(place: &Place, wanted: &Wanted) -> Answered {
    let local = |fault: JournalFault| error(ErrorKind::Local, fault);
    let limit = wanted.limit.min(HISTORY_ENTRIES_MAX);
    let read = match &wanted.about {
        None => place.book.read(wanted.from, u64::from(limit)).map_err(local)?,
        Some(id) => {
            let found = place.finder.find(id, wanted.from, limit as usize).map_err(|fault| not_found(id, &fault))?;
            let journal = place.book.lock();
            let read = found.into_iter().map(|seq| Ok((seq, journal.read(seq)?)));
            read.collect::<Result<_, JournalFault>>().map_err(local)?
        }
    };
    let entries =
        read.into_iter().map(|(seq, bytes)| Some((seq, codec::decode(&bytes, JOURNAL_ENTRY_BYTES_MAX).ok()?)));
    let entries: Option<Vec<_>> = entries.collect();
    entries.map(Reply::History).ok_or_else(|| error(ErrorKind::Local, "a journal entry cannot be read by this version"))
}

fn not_found(id: &str, fault: &FindFault) -> Reply {
    let kind = match fault {
        FindFault::NotAnId | FindFault::Ambiguous { .. } => ErrorKind::Usage,
        FindFault::NotFound => ErrorKind::NotFound,
        FindFault::Unavailable => ErrorKind::Local,
    };
    error(kind, format_args!("{id:?}: {fault}"))
}
