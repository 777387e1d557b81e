//! The beginning of a node's life in a consortium: its node record, its first person and the first journal entries.

use cohortium_protocol::ident::{ConsortiumId, Name};
use cohortium_protocol::key::pair::{KeyPair, SealingSecret};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::limits::{CLOCK_SKEW_MAX, NODE_RECORD_VALIDITY_MAX};
use cohortium_protocol::record::extension::Extensions;
use cohortium_protocol::record::journal_entry::{Act, Actor, JournalEntry};
use cohortium_protocol::record::node_record::{NodeRecord, NodeRecordFields};
use cohortium_protocol::record::person::Person;
use cohortium_protocol::time::UnixMillis;
use cohortium_protocol::wire::codec;
use cohortium_store::journal::Journal;
use cohortium_store::keystore::Keystore;
use cohortium_store::seal;
use zeroize::Zeroizing;

use crate::cli::call::now;
use crate::cli::exit::CliFault;
use crate::cli::when;
use crate::config::resolve::{Config, FirstPerson};
use crate::config::secret::{self, SecretFault};
use crate::home::{self, Home, MEMBERSHIP_FILE, MembershipFile};

/// How long a person's enrolment stands.
pub(crate) const PERSON_DAYS: u32 = 366;

/// The node's own keys.
pub(crate) struct NodeKeys {
    pub(crate) root: KeyPair,
    pub(crate) tls: KeyPair,
    pub(crate) tls_seed: Zeroizing<[u8; 32]>,
    pub(crate) signing: KeyPair,
    sealing: SealingSecret,
}

impl NodeKeys {
    pub(crate) fn of(keystore: &Keystore) -> Result<Self, SecretFault> {
        let pair = |name| secret::seed(keystore, name).map(|seed| KeyPair::from_seed(&seed));
        Ok(Self {
            root: pair("root")?,
            tls: pair("tls")?,
            tls_seed: secret::seed(keystore, "tls")?,
            signing: pair("signing")?,
            sealing: SealingSecret::from_seed(&*secret::seed(keystore, "sealing")?),
        })
    }

    /// The first node record. It begins a little in the past, so that a peer whose clock is late takes it too.
    pub(crate) fn record(&self, consortium: ConsortiumId, party: &Name) -> Result<Signed<NodeRecord>, CliFault> {
        let not_before = UnixMillis(now().0.saturating_sub(CLOCK_SKEW_MAX.millis()));
        let fields = NodeRecordFields {
            consortium,
            party: party.clone(),
            root: self.root.public(),
            sequence: 1,
            tls: self.tls.public(),
            signing: self.signing.public(),
            sealing: self.sealing.public(),
            not_before,
            not_after: not_before.plus(NODE_RECORD_VALIDITY_MAX),
            ext: Extensions::default(),
        };
        let record = NodeRecord::try_from(fields).map_err(|fault| CliFault::local(fault.to_string()))?;
        Ok(Signed::sign(&record, &self.root))
    }

    fn enrol(&self, consortium: ConsortiumId, party: &Name, first: &FirstPerson) -> Signed<Person> {
        let person = Person {
            consortium,
            party: party.clone(),
            person: first.name.clone(),
            key: first.key,
            roles: first.roles.clone(),
            not_after: now().plus(when::days(PERSON_DAYS)),
            ext: Extensions::default(),
        };
        Signed::sign(&person, &self.root)
    }
}

/// Who is enrolled with the root key.
pub(crate) fn first_person(config: &Config) -> Result<&FirstPerson, CliFault> {
    let missing = || CliFault::local("node.toml has no [first_person]; a consortium needs a first site administrator");
    config.first_person.as_ref().ok_or_else(missing)
}

/// The first acts: which party, `documents`, the first person.
pub(crate) fn first_acts(
    keys: &NodeKeys,
    membership: &MembershipFile,
    documents: Vec<Act>,
    first: &FirstPerson,
) -> Vec<Act> {
    let party = &membership.party;
    let mut acts = vec![Act::Began { party: party.clone() }];
    acts.extend(documents);
    acts.push(Act::Person(keys.enrol(membership.consortium, party, first)));
    acts
}

/// Writes the key of local row ids, the journal's first entries, and last the membership, which makes it all count.
pub(crate) fn begin(
    home: &Home,
    keystore: &mut Keystore,
    membership: &MembershipFile,
    acts: Vec<Act>,
) -> Result<(), CliFault> {
    let id = &membership.consortium;
    let rows = home::rows_secret(membership.kind, id);
    if keystore.secret(&rows).is_none() {
        keystore.put_secret(&rows, Zeroizing::new(seal::random::<32>()).as_ref())?;
    }
    home::make_folder(&home.consortium(id))?;
    let folder = home.journal(id);
    if folder.exists() && !home.consortium(id).join(MEMBERSHIP_FILE).exists() {
        // An earlier beginning broke before the membership was written: no daemon ever acted on these entries.
        std::fs::remove_dir_all(&folder).map_err(|source| home::io_fault("removing", &folder, source))?;
    }
    let (mut journal, _) = Journal::open(&folder, &home::journal_key(keystore, id), |_, _| {})?;
    if journal.entries() != 0 {
        return Err(CliFault::refused(format!("this node already has a journal of consortium {id}")));
    }
    let at = now();
    let entries: Vec<Vec<u8>> =
        acts.into_iter().map(|act| codec::encode(&JournalEntry { at, actor: Actor::Node, act })).collect();
    journal.append(&entries)?;
    drop(journal);
    Ok(home.write_membership(membership)?)
}
