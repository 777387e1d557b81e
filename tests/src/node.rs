//! One simulated node: endpoint, keys, persons, disk, clock, keystore and sources.

use std::collections::{BTreeMap, BTreeSet};

use cohortium_protocol::endpoint::{Endpoint, Membership, NodeKeys};
use cohortium_protocol::ident::{ConsortiumId, DatasetId, Name, ShareId};
use cohortium_protocol::key::pair::{KeyPair, PublicKey, SealingSecret};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::key::wrap::Secret32;
use cohortium_protocol::record::extension::Extensions;
use cohortium_protocol::record::node_record::{NodeRecord, NodeRecordFields};
use cohortium_protocol::record::person::{Person, Role};
use cohortium_protocol::state::State;
use cohortium_protocol::time::{Seconds, UnixMillis};

use crate::clock::Clock;
use crate::dice::Dice;
use crate::disk::Disk;
use crate::worker::{Source, Table};

/// A node's secrets.
#[derive(Clone)]
pub(crate) struct Secrets {
    pub(crate) root: KeyPair,
    pub(crate) signing: KeyPair,
    pub(crate) tls: KeyPair,
    pub(crate) sealing: SealingSecret,
}

impl Secrets {
    pub(crate) fn new(dice: &mut Dice) -> Self {
        Self {
            root: KeyPair::from_seed(&dice.bytes()),
            signing: KeyPair::from_seed(&dice.bytes()),
            tls: KeyPair::from_seed(&dice.bytes()),
            sealing: SealingSecret::from_seed(&dice.bytes()),
        }
    }

    /// The node record of these keys, signed by the root.
    pub(crate) fn record(
        &self,
        consortium: ConsortiumId,
        party: &Name,
        sequence: u64,
        from: UnixMillis,
        runs: Seconds,
    ) -> Signed<NodeRecord> {
        let fields = NodeRecordFields {
            consortium,
            party: party.clone(),
            root: self.root.public(),
            sequence,
            tls: self.tls.public(),
            signing: self.signing.public(),
            sealing: self.sealing.public(),
            not_before: from,
            not_after: from.plus(runs),
            ext: Extensions::default(),
        };
        Signed::sign(&NodeRecord::try_from(fields).expect("validity and keys are chosen to fit"), &self.root)
    }
}

/// Somebody who gives orders at a node.
#[derive(Clone)]
pub(crate) struct Orderer {
    pub(crate) name: Name,
    pub(crate) key: KeyPair,
    pub(crate) role: Role,
}

/// The truth of a run that has ended and is about to be stated.
pub(crate) struct Truth {
    pub(crate) dataset: DatasetId,
    pub(crate) table: Table,
    pub(crate) patients: BTreeSet<u32>,
}

/// Whether a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Power {
    /// A hospital that has not joined yet.
    Unborn,
    On,
    Off,
}

/// One node.
#[expect(clippy::struct_excessive_bools, reason = "each is a fault or a due act of its own, and all of them combine")]
pub(crate) struct Node {
    pub(crate) name: Name,
    pub(crate) secrets: Secrets,
    /// Whether the root key lies in a safe, away from the node.
    pub(crate) root_offline: bool,
    pub(crate) persons: Vec<Orderer>,
    pub(crate) power: Power,
    /// Counts starts, so that nothing of an earlier life reaches a later one.
    pub(crate) life: u32,
    pub(crate) endpoint: Endpoint,
    /// The fold of what is durable.
    pub(crate) shadow: State,
    pub(crate) disk: Disk,
    pub(crate) clock: Clock,
    pub(crate) keystore: BTreeMap<u32, Secret32>,
    pub(crate) sources: BTreeMap<DatasetId, Source>,
    /// Runs under way.
    pub(crate) making: u32,
    pub(crate) sweep_wanted: bool,
    /// Whether a dial is due.
    pub(crate) dialling: bool,
    pub(crate) truths: BTreeMap<ShareId, Truth>,
    /// When the next tick is due, in simulated time.
    pub(crate) tick_at: Option<u64>,
    /// When what was appended last is durable.
    pub(crate) synced_at: u64,
    pub(crate) journal_broken: bool,
    /// Documents of each peer that are applied here, durable or not.
    pub(crate) received: BTreeMap<Name, u64>,
    /// Its peers are told lies by it.
    pub(crate) outlaw: bool,
    /// The true journal while an old one lies in its place.
    pub(crate) true_journal: Option<Vec<Vec<u8>>>,
    /// Its next record, sequence number.
    pub(crate) record_sequence: u64,
}

impl Node {
    pub(crate) fn new(name: Name, consortium: ConsortiumId, operator_root: PublicKey, dice: &mut Dice) -> Self {
        let roles = [Role::SiteAdministrator, Role::DataSteward, Role::PrivacyOfficer, Role::DataScientist];
        let persons = roles.into_iter().enumerate().map(|(n, role)| Orderer {
            name: format!("p{n}").parse().expect("a letter and a digit"),
            key: KeyPair::from_seed(&dice.bytes()),
            role,
        });
        let persons = persons.collect();
        Self {
            shadow: State::new(consortium, name.clone(), operator_root),
            name,
            secrets: Secrets::new(dice),
            root_offline: false,
            persons,
            power: Power::Unborn,
            life: 0,
            endpoint: Endpoint::default(),
            disk: Disk::default(),
            clock: Clock::right(),
            keystore: BTreeMap::new(),
            sources: BTreeMap::new(),
            making: 0,
            sweep_wanted: false,
            dialling: false,
            truths: BTreeMap::new(),
            tick_at: None,
            synced_at: 0,
            journal_broken: false,
            received: BTreeMap::new(),
            outlaw: false,
            true_journal: None,
            record_sequence: 1,
        }
    }

    pub(crate) fn orderer(&self, role: Role) -> &Orderer {
        self.persons.iter().find(|person| person.role == role).expect("every role that orders has a person")
    }

    /// A person's record, signed by `key`.
    pub(crate) fn enrol(
        &self,
        consortium: ConsortiumId,
        person: &Orderer,
        until: UnixMillis,
        key: &KeyPair,
    ) -> Signed<Person> {
        let record = Person {
            consortium,
            party: self.name.clone(),
            person: person.name.clone(),
            key: person.key.public(),
            roles: BTreeSet::from([person.role]),
            not_after: until,
            ext: Extensions::default(),
        };
        Signed::sign(&record, key)
    }

    pub(crate) fn membership(&self, consortium: ConsortiumId, operator_root: PublicKey) -> Membership {
        let keys = NodeKeys {
            root: (!self.root_offline).then(|| self.secrets.root.clone()),
            signing: self.secrets.signing.clone(),
            tls: self.secrets.tls.public(),
            sealing: self.secrets.sealing.public(),
        };
        Membership { consortium, party: self.name.clone(), operator_root, keys }
    }

    /// The state as the running endpoint has it; before the start, as the disk has it.
    pub(crate) fn state(&self, consortium: ConsortiumId) -> &State {
        self.endpoint.state(consortium).unwrap_or(&self.shadow)
    }

    pub(crate) fn is_on(&self) -> bool {
        self.power == Power::On
    }

    /// Whether persons can work with it and it can be expected to keep up.
    pub(crate) fn is_sound(&self) -> bool {
        self.is_on() && !self.outlaw && self.true_journal.is_none()
    }
}
