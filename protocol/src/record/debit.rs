//! The debit: the operator's signed word to every member that a release was paid for, and what its account has spent with it.
//! A member adds up the debits itself; what the operator states beside each must be the same sum.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::digest::DocumentDigest;
use crate::ident::{ConsortiumId, Name, ReleaseId};
use crate::key::signed::Record;
use crate::record::extension::Extensions;
use crate::record::project::{BudgetShare, ReleaseKind};
use crate::record::reservation::{Charge, Reservation};
use crate::time::UnixMillis;

/// One line of the ledger as members see it. Nothing in it depends on a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debit {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// Who keeps the ledger.
    pub operator: Name,
    /// The release.
    pub release: ReleaseId,
    /// Its kind.
    pub kind: ReleaseKind,
    /// The charter version under which it was reserved.
    pub charter: DocumentDigest,
    /// The project, in its version.
    pub project: DocumentDigest,
    /// The charter's account.
    pub account: Name,
    /// Members whose rows are used.
    pub members: BTreeSet<Name>,
    /// What is debited.
    pub charge: Charge,
    /// The entry of the operator's journal that reserved it.
    pub reserved: u64,
    /// 1, 2, 3, ... over the debits of the account.
    pub sequence: u64,
    /// What all debits of the account up to this one come to.
    pub spent: BudgetShare,
    /// When it was reserved.
    pub at: UnixMillis,
    /// Room for later versions.
    pub ext: Extensions,
}

impl Debit {
    /// Of a reservation; the consortium and its operator, the entry that holds it and when it was written, its number among the
    /// account's debits and their sum with it.
    pub fn of(
        reservation: &Reservation,
        (consortium, operator): (ConsortiumId, &Name),
        (reserved, at): (u64, UnixMillis),
        (sequence, spent): (u64, BudgetShare),
    ) -> Self {
        Self {
            consortium,
            operator: operator.clone(),
            release: reservation.release,
            kind: reservation.kind,
            charter: reservation.charter,
            project: reservation.project,
            account: reservation.account.clone(),
            members: reservation.members.clone(),
            charge: reservation.charge,
            reserved,
            sequence,
            spent,
            at,
            ext: Extensions::default(),
        }
    }
}

impl Record for Debit {
    const LABEL: &'static str = "application/vnd.cohortium.v1.debit.v1";
    const TITLE: &'static str = "debit";
}
