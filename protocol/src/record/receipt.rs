//! The receipt: a consumer's signed statement of what became of a snapshot.

use serde::{Deserialize, Serialize};

use crate::code::ErrorCode;
use crate::ident::{ConsortiumId, Name, SnapshotId, SubscriptionId};
use crate::key::signed::Record;
use crate::quantity::Bytes;
use crate::record::extension::Extensions;
use crate::time::UnixMillis;

/// What became of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every blob is verified and durable, and it is the version in use.
    Landed {
        /// Bytes of blobs that this consumer now holds of it.
        bytes: Bytes,
    },
    /// It was not landed.
    Refused(ErrorCode),
    /// It was erased, as the terms say.
    Erased,
}

/// One statement about one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Who states it.
    pub consumer: Name,
    /// What became of it.
    pub outcome: Outcome,
    /// When.
    pub at: UnixMillis,
    /// Room for later versions.
    pub ext: Extensions,
}

impl Record for Receipt {
    const LABEL: &'static str = "application/vnd.cohortium.v1.receipt.v1";
    const TITLE: &'static str = "receipt";
}
