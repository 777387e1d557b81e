//! The reservation: what a release costs its population, on record before anything is computed (law 2).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::digest::DocumentDigest;
use crate::ident::{Name, ReleaseId};
use crate::quantity::{Delta, Rho};
use crate::record::project::ReleaseKind;
use crate::table_version::TableVersionId;

/// What is debited to the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Charge {
    /// Epsilon does not cover it: microdata and counts, which every later statement over the population lists.
    Uncovered,
    /// A privacy loss, rounded up.
    Private {
        /// Rho.
        rho: Rho,
        /// Delta.
        delta: Delta,
    },
}

impl Charge {
    /// Whether an answer at this charge is at least as exact as one at the other.
    pub const fn covers(self, other: Self) -> bool {
        match (self, other) {
            (Self::Uncovered, Self::Uncovered) => true,
            (Self::Private { rho, delta }, Self::Private { rho: other_rho, delta: other_delta }) => {
                rho.0 >= other_rho.0 && delta.0 >= other_delta.0
            }
            (Self::Uncovered, Self::Private { .. }) | (Self::Private { .. }, Self::Uncovered) => false,
        }
    }
}

/// One debit. An entry of the journal holds it; the ledger is a fold of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The release.
    pub release: ReleaseId,
    /// Its kind.
    pub kind: ReleaseKind,
    /// The digest of the request.
    pub request: DocumentDigest,
    /// The digest of what was asked and of whom, without salt, project and recipients: the same question on the same table
    /// versions has the same one, and is not paid for twice. Salted with a secret of the node's, so that a log tells nothing.
    pub question: DocumentDigest,
    /// The charter version.
    pub charter: DocumentDigest,
    /// The project, in its version.
    pub project: DocumentDigest,
    /// The charter's account.
    pub account: Name,
    /// The consolidation whose table versions are read.
    pub consolidation: DocumentDigest,
    /// The table versions that are read.
    pub tables: BTreeMap<Name, TableVersionId>,
    /// Members whose rows are used: those that have accepted the charter version.
    pub members: BTreeSet<Name>,
    /// Parties that will receive it.
    pub recipients: BTreeSet<Name>,
    /// What is debited.
    pub charge: Charge,
}

/// Whether a release stood its attacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every attack stayed under its threshold.
    Stood,
    /// One succeeded: it is never signed.
    Fell,
}
