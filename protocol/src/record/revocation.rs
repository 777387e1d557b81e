//! The provider's signed words on a subscription after the invitation: revoke, reinstate, change expiry or schedule.

use serde::{Deserialize, Serialize};

use crate::ident::{ConsortiumId, Name, SubscriptionId, Text};
use crate::key::signed::Record;
use crate::record::extension::Extensions;
use crate::record::schedule::Schedule;
use crate::time::UnixMillis;

/// What changes. None of it needs an act of the consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// No byte from now on; landed rows as the terms say.
    Revoke,
    /// The revocation is lifted.
    Reinstate,
    /// The subscription ends at another time.
    Expires(UnixMillis),
    /// Snapshots are taken at other times.
    Schedule(Schedule),
}

/// One change of a subscription by its provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// Who says so.
    pub provider: Name,
    /// 1, 2, 3, ... over the provider's changes of this subscription.
    pub sequence: u32,
    /// What changes.
    pub change: Change,
    /// For people.
    pub reason: Option<Text>,
    /// When.
    pub at: UnixMillis,
    /// Room for later versions.
    pub ext: Extensions,
}

impl Record for Revocation {
    const LABEL: &'static str = "application/vnd.cohortium.v1.revocation.v1";
    const TITLE: &'static str = "revocation";
}
