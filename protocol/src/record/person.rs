//! A person at a node: a key and the roles it may act in.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ident::{ConsortiumId, Name};
use crate::key::pair::PublicKey;
use crate::key::signed::Record;
use crate::record::extension::Extensions;
use crate::time::UnixMillis;

/// What a person is trusted with. What each role may do stands in `rule::role`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Runs the node. Sees no patient value by any path.
    SiteAdministrator,
    /// Sources, mappings, quality.
    DataSteward,
    /// Signs what leaves; approves releases.
    PrivacyOfficer,
    /// Asks questions.
    DataScientist,
    /// Reads the log.
    Auditor,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] =
        [Self::SiteAdministrator, Self::DataSteward, Self::PrivacyOfficer, Self::DataScientist, Self::Auditor];
}

/// One person's key and roles, signed by the party's root or by one of its site administrators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// Where the person works.
    pub party: Name,
    /// The person's name at that party.
    pub person: Name,
    /// Signs the person's orders.
    pub key: PublicKey,
    /// What the person may act as. Empty: the person has left.
    pub roles: BTreeSet<Role>,
    /// Not valid from here on.
    pub not_after: UnixMillis,
    /// Room for later versions.
    pub ext: Extensions,
}

impl Record for Person {
    const LABEL: &'static str = "application/vnd.cohortium.v1.person.v1";
    const TITLE: &'static str = "person";
}
