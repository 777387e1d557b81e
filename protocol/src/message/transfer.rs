//! Asking for a blob's outboard or one range of it. The bytes follow the answer raw.

use serde::{Deserialize, Serialize};

use crate::digest::BlobDigest;
use crate::ident::{SnapshotId, SubscriptionId};
use crate::quantity::Bytes;

/// Ask for the chaining values of a blob's chunk groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboardGet {
    /// Under which subscription.
    pub subscription: SubscriptionId,
    /// Of which snapshot.
    pub snapshot: SnapshotId,
    /// Which blob.
    pub blob: BlobDigest,
}

/// Ask for one range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeGet {
    /// Under which subscription.
    pub subscription: SubscriptionId,
    /// Of which snapshot.
    pub snapshot: SnapshotId,
    /// Which blob.
    pub blob: BlobDigest,
    /// Where it begins: a multiple of 4 MiB.
    pub offset: Bytes,
}

/// How many raw bytes follow; the asker knows the number already and refuses another (spec XFER-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkBegin {
    /// Bytes that follow.
    pub bytes: Bytes,
}
