//! Taking part in a consortium: its journal replayed, its audit log caught up, then told to the core.

use std::fmt;
use std::sync::Arc;

use cohortium_protocol::endpoint::Membership;
use cohortium_protocol::endpoint::io::Input;
use cohortium_protocol::ident::Name;
use cohortium_protocol::record::charter::CharterKind;
use cohortium_protocol::record::journal_entry::{Act, JournalEntry};
use tokio::sync::oneshot;

use crate::driver::audit::{Audit, AuditFault, Whose};
use crate::driver::books::{Book, BookFault};
use crate::driver::finder::Finder;
use crate::driver::hands::{Hands, Place};
use crate::driver::keys::{Keys, SecretMissing};
use crate::driver::queue::{Entrance, Event, Queue};
use crate::driver::witness::{self, Witnessed};
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
    /// The charter is of another kind than the membership file says: a rehearsal must not touch production keys, nor
    /// production a rehearsal's.
    OtherKind,
    /// A key is missing.
    Keys(SecretMissing),
}

impl fmt::Display for EnterFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journal(fault) => fault.fmt(f),
            Self::OtherParty { found } => write!(f, "the journal is that of {found}, not of this membership"),
            Self::OtherKind => f.write_str("the charter and the membership file differ: rehearsal or production"),
            Self::Log(fault) => f.write_str(fault),
            Self::Keys(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for EnterFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Journal(fault) => Some(fault),
            Self::Keys(fault) => Some(fault),
            Self::Log(_) | Self::OtherParty { .. } | Self::OtherKind => None,
        }
    }
}

impl From<BookFault> for EnterFault {
    fn from(fault: BookFault) -> Self {
        Self::Journal(fault)
    }
}

impl From<SecretMissing> for EnterFault {
    fn from(fault: SecretMissing) -> Self {
        Self::Keys(fault)
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
    heads: Vec<(Name, String)>,
    place: Place,
}

/// Opens journal and log and checks that they belong to this membership. Blocks.
pub(crate) fn open(home: &Home, keys: &Keys, file: &MembershipFile) -> Result<Opened, EnterFault> {
    let id = file.consortium;
    let (book, entries) = Book::open(&home.journal(&id), &keys.journal_key(&id))?;
    let began = entries.iter().find_map(|entry| match &entry.act {
        Act::Began { party } => Some(party),
        _ => None,
    });
    if let Some(found) = began.filter(|found| **found != file.party) {
        return Err(EnterFault::OtherParty { found: found.clone() });
    }
    if !kinds(&entries).all(|kind| kind == file.kind) {
        return Err(EnterFault::OtherKind);
    }
    let whose = Whose { consortium: id, party: file.party.clone(), pair: keys.signing()?, salt: keys.log_salt()? };
    let audit = Audit::open(&home.log(&id), whose, &book)?;
    let finder = Finder::new(home.index(&id), keys.index_key(&id), id, &book);
    let membership = Membership {
        consortium: id,
        party: file.party.clone(),
        operator_root: file.operator_root,
        keys: keys.node_keys()?,
    };
    let witnessed = Witnessed::new(witness::folder(&home.consortium(&id)));
    let heads = witnessed.read().map_err(EnterFault::Log)?;
    let place = Place { party: file.party.clone(), kind: file.kind, book, audit, witnessed, finder };
    Ok(Opened { membership, entries, heads, place })
}

/// The kinds that the journal's charters name: all the same, since a kind never changes.
fn kinds(entries: &[JournalEntry]) -> impl Iterator<Item = CharterKind> {
    let charters = entries.iter().filter_map(|entry| match &entry.act {
        Act::Charter(signed) => signed.claimed().ok(),
        _ => None,
    });
    charters.map(|charter| charter.kind)
}

/// Tells the core and waits until it has entered.
pub(crate) async fn announce(queue: &Queue, hands: &Arc<Hands>, opened: Opened) {
    let Opened { membership, entries, heads, place } = opened;
    let consortium = membership.consortium;
    let (done, entered) = oneshot::channel();
    let (book, audit, finder) = (place.book.clone(), place.audit.clone(), place.finder.clone());
    hands.add_place(membership.consortium, place);
    let head = audit.lock().head();
    hands.follow(audit.follow(queue.clone()));
    hands.follow(finder.follow());
    let entrance = Entrance { membership, entries, heads, book, done };
    if queue.send(Event::Enter(Box::new(entrance))).await {
        // Only a core that ends drops the sender.
        let _ = entered.await;
        queue.input(Input::LogHead { consortium, head }).await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cohortium_protocol::ident::ConsortiumId;
    use cohortium_protocol::key::pair::KeyPair;
    use cohortium_protocol::key::signed::Signed;
    use cohortium_protocol::quantity::AnonymityK;
    use cohortium_protocol::record::charter::{
        Charter, CharterFields, LandedRows, Party, PartyKind, ReleasePolicy, Terms,
    };
    use cohortium_protocol::record::extension::Extensions;
    use cohortium_protocol::record::journal_entry::Actor;
    use cohortium_protocol::time::{Seconds, UnixMillis};
    use cohortium_protocol::wire::codec;
    use cohortium_store::journal::Journal;

    use super::*;
    use crate::driver::keys::tests::keys;

    fn charter(root: &KeyPair, kind: CharterKind) -> Charter {
        let title = || "Test".parse().unwrap();
        let party = Party { kind: PartyKind::Operator, title: title(), root: root.public(), succeeds: None };
        let fields = CharterFields {
            consortium: None,
            version: 1,
            previous: None,
            title: title(),
            kind,
            at: UnixMillis(1),
            roster: BTreeMap::from([("op".parse().unwrap(), party)]),
            threshold: 1,
            schema: None,
            policy: ReleasePolicy { anonymity_k_min: AnonymityK(11), small_cell_min: 11 },
            accounts: BTreeMap::new(),
            terms: Terms { landed_rows: LandedRows::Exclude, share_validity_max: Seconds(1), contract: None },
            linkage: None,
            ext: Extensions::default(),
        };
        Charter::try_from(fields).unwrap()
    }

    // A rehearsal's keys and production's have names of their own, chosen by the membership file: it must not lie.
    #[test]
    fn a_membership_of_another_kind_or_party_than_its_journal_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (keys, root) = (keys(dir.path(), "keystore"), KeyPair::from_seed(&[1; 32]));
        let home = Home::create(&dir.path().join("home")).unwrap();
        let signed = Signed::sign(&charter(&root, CharterKind::Rehearsal), &root);
        let id = ConsortiumId(signed.digest().0);
        let acts = [Act::Began { party: "op".parse().unwrap() }, Act::Charter(signed)];
        let entry = |act| codec::encode(&JournalEntry { at: UnixMillis(1), actor: Actor::Node, act });
        let (mut journal, _) = Journal::open(&home.journal(&id), &keys.journal_key(&id), |_, _| {}).unwrap();
        journal.append(&acts.map(entry)).unwrap();
        drop(journal);
        let file = |party: &str, kind| MembershipFile {
            consortium: id,
            party: party.parse().unwrap(),
            operator_root: root.public(),
            operator_tls: root.public(),
            operator_address: None,
            public_address: None,
            title: None,
            kind,
        };
        let refused = |party, kind| open(&home, &keys, &file(party, kind)).err();
        assert!(matches!(refused("op", CharterKind::Production), Some(EnterFault::OtherKind)));
        assert!(matches!(refused("north", CharterKind::Rehearsal), Some(EnterFault::OtherParty { .. })));
        assert!(refused("op", CharterKind::Rehearsal).is_none());
    }
}
