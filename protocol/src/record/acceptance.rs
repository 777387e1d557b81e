//! The consumer's signed words on a subscription: its answer to the terms, and later whether it pauses or ends.

use serde::{Deserialize, Serialize};

use crate::digest::DocumentDigest;
use crate::ident::{ConsortiumId, Name, SubscriptionId};
use crate::key::signed::Record;
use crate::record::extension::Extensions;
use crate::time::UnixMillis;

/// Yes or no to an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The consumer countersigns exactly these terms.
    Accept,
    /// It does not want them.
    Refuse,
}

/// The answer to one invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The invitation that is answered: exactly those terms.
    pub invitation: DocumentDigest,
    /// Who answers.
    pub consumer: Name,
    /// Yes or no.
    pub answer: Answer,
    /// When.
    pub at: UnixMillis,
    /// Room for later versions.
    pub ext: Extensions,
}

impl Record for Acceptance {
    const LABEL: &'static str = "application/vnd.cohortium.v1.acceptance.v1";
    const TITLE: &'static str = "acceptance";
}

/// Whether the consumer wants more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StandingState {
    /// Send what there is.
    Active,
    /// Send nothing until told.
    Paused,
    /// Never send anything again.
    Ended,
}

/// The consumer pauses, resumes or ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// Who says so.
    pub consumer: Name,
    /// 1, 2, 3, ... over the consumer's standings on this subscription.
    pub sequence: u32,
    /// What it wants.
    pub state: StandingState,
    /// When.
    pub at: UnixMillis,
    /// Room for later versions.
    pub ext: Extensions,
}

impl Record for Standing {
    const LABEL: &'static str = "application/vnd.cohortium.v1.standing.v1";
    const TITLE: &'static str = "standing";
}
