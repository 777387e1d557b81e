//! How a member judges what it is told of the ledger: it adds up the debits itself, and says where the operator's word differs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::record::announcement::Announcement;
use crate::record::charter::Charter;
use crate::record::debit::Debit;
use crate::record::project::BudgetShare;
use crate::rule::budget::Spending;

/// Where a debit does not agree with what this node knows. What it says stays spent all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disagreement {
    /// A debit of the account is missing before it, or it has a number that was there already.
    Sequence,
    /// The operator states another sum than the debits come to.
    Sum,
    /// The release was debited before.
    Twice,
    /// Its charter version is not one that is or was in force here, or has no such account.
    Charter,
    /// With it the account has spent more than the charter grants.
    Limit,
    /// The charter has a waiting time, and the release was not announced, or otherwise than it was made.
    Unannounced,
    /// It was reserved before the waiting time was over.
    Early,
    /// A member had objected within the waiting time.
    Objected,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sequence => "a debit before it was not told",
            Self::Sum => "the operator states another sum than its debits come to",
            Self::Twice => "the release was debited before",
            Self::Charter => "its charter version is not known here, or has no such account",
            Self::Limit => "the account has spent more than the charter grants",
            Self::Unannounced => "it was not announced as the charter says, or otherwise than it was made",
            Self::Early => "it was reserved before the waiting time was over",
            Self::Objected => "this node had objected to it",
        })
    }
}

/// What a member knows when a debit comes.
#[derive(Debug, Clone, Copy)]
pub struct Before<'a> {
    /// Debits of the account so far.
    pub debits: u64,
    /// Their sum.
    pub spent: Spending,
    /// Whether one of them was of this release.
    pub known: bool,
    /// The charter version that it names, if it is or was in force.
    pub charter: Option<&'a Charter>,
    /// How the release was announced last.
    pub announced: Option<&'a Announcement>,
    /// Whether this node has objected to that, in time.
    pub objected: bool,
}

/// The first way in which a debit disagrees with what is known; `None`: it agrees (spec REL-25).
pub fn disagreement(debit: &Debit, before: &Before<'_>) -> Option<Disagreement> {
    let sum = before.spent.with(debit.charge);
    let account = before.charter.and_then(|charter| Some((charter, charter.accounts.get(&debit.account)?)));
    if before.known {
        return Some(Disagreement::Twice);
    }
    if before.debits.checked_add(1) != Some(debit.sequence) {
        return Some(Disagreement::Sequence);
    }
    if debit.spent != (BudgetShare { rho: sum.rho, delta: sum.delta }) {
        return Some(Disagreement::Sum);
    }
    let Some((charter, terms)) = account else { return Some(Disagreement::Charter) };
    let limit = BudgetShare { rho: terms.rho, delta: terms.delta };
    if !before.spent.affords(debit.charge, limit) {
        return Some(Disagreement::Limit);
    }
    if charter.safeguards().objection_wait.0 == 0 {
        return None;
    }
    waited(debit, charter, before)
}

fn waited(debit: &Debit, charter: &Charter, before: &Before<'_>) -> Option<Disagreement> {
    let Some(announced) = before.announced.filter(|announced| is_of(debit, announced)) else {
        return Some(Disagreement::Unannounced);
    };
    let due = announced.at.plus(charter.safeguards().objection_wait);
    if announced.until < due || debit.at < announced.until {
        Some(Disagreement::Early)
    } else if before.objected {
        Some(Disagreement::Objected)
    } else {
        None
    }
}

/// Whether what is debited is what was announced.
fn is_of(debit: &Debit, announced: &Announcement) -> bool {
    (debit.kind, debit.charge, debit.charter, debit.project)
        == (announced.kind, announced.charge, announced.charter, announced.project)
        && debit.account == announced.account
        && debit.members == announced.members
}
