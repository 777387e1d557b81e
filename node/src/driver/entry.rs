//! Taking part in a consortium: its journal replayed, its audit log caught up, then told to the core.

use std::fmt;
use std::sync::Arc;

use cohortium_protocol::endpoint::Membership;
use cohortium_protocol::ident::Name;
use cohortium_protocol::record::journal_entry::{Act, JournalEntry};
use tokio::sync::oneshot;

use crate::daemon::DaemonFault;
use crate::driver::audit::{Audit, AuditFault, Whose};
use crate::driver::books::{Book, BookFault};
use crate::driver::hands::{Hands, Place};
use crate::driver::keys::Keys;
use crate::driver::queue::{Entrance, Event, Queue};
use crate::home::{Home, MembershipFile};

/// Why a consortium cannot be entered.
#[derive(Debug)]
pub enum EnterFault {
    /// Its journal.
    Journal(BookFault),
    /// Its audit log, in words: the log's own faults name files and places.
    Log(String),
    /// The journal is another party's than the membership file says.
    OtherParty {
        /// Whose journal it is.
        found: Name,
    },
    /// A key is missing.
    Keys(String),
}

impl fmt::Display for EnterFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journal(fault) => fault.fmt(f),
            Self::Log(fault) => f.write_str(fault),
            Self::OtherParty { found } => write!(f, "the journal is that of {found}, not of this membership"),
            Self::Keys(fault) => f.write_str(fault),
        }
    }
}

impl std::error::Error for EnterFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Journal(fault) => Some(fault),
            Self::Log(_) | Self::OtherParty { .. } | Self::Keys(_) => None,
        }
    }
}

impl From<BookFault> for EnterFault {
    fn from(fault: BookFault) -> Self {
        Self::Journal(fault)
    }
}

impl From<AuditFault> for EnterFault {
    fn from(fault: AuditFault) -> Self {
        Self::Log(fault.to_string())
    }
}

/// A consortium whose journal and log are open.
pub(crate) struct Opened {
    membership: Membership,
    entries: Vec<JournalEntry>,
    place: Place,
}

/// Opens journal and log and checks that they belong to this membership. Blocks.
pub(crate) fn open(home: &Home, keys: &Keys, file: &MembershipFile) -> Result<Opened, EnterFault> {
    let id = file.consortium;
    let missing = |fault: DaemonFault| EnterFault::Keys(fault.to_string());
    let (book, entries) = Book::open(&home.journal(&id), &keys.journal_key(&id))?;
    let began = entries.iter().find_map(|entry| match &entry.act {
        Act::Began { party } => Some(party),
        _ => None,
    });
    if let Some(found) = began.filter(|found| **found != file.party) {
        return Err(EnterFault::OtherParty { found: found.clone() });
    }
    let whose = Whose {
        consortium: id,
        party: file.party.clone(),
        pair: keys.signing().map_err(missing)?,
        salt: keys.log_salt().map_err(missing)?,
    };
    let audit = Audit::open(&home.log(&id), whose, &book)?;
    let membership = Membership {
        consortium: id,
        party: file.party.clone(),
        operator_root: file.operator_root,
        keys: keys.node_keys().map_err(missing)?,
    };
    Ok(Opened { membership, entries, place: Place { party: file.party.clone(), kind: file.kind, book, audit } })
}

/// Tells the core and waits until it has entered.
pub(crate) async fn announce(queue: &Queue, hands: &Arc<Hands>, opened: Opened) {
    let Opened { membership, entries, place } = opened;
    let (done, entered) = oneshot::channel();
    let (book, audit) = (place.book.clone(), place.audit.clone());
    hands.add_place(membership.consortium, place);
    hands.follow(audit.follow(queue.clone()));
    let entrance = Entrance { membership, entries, book, done };
    if queue.send(Event::Enter(Box::new(entrance))).await {
        // Only a core that ends drops the sender.
        let _ = entered.await;
    }
}
