//! HELLO and its answer: who speaks, in which consortium, in which version, and how much of the other it has.

use serde::{Deserialize, Serialize};

use crate::ident::ConsortiumId;
use crate::key::signed::Signed;
use crate::message::document::Held;
use crate::record::node_record::NodeRecord;
use crate::time::UnixMillis;
use crate::wire::version::{VersionRange, WireVersion};

/// The dialler's first frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// What it speaks.
    pub versions: VersionRange,
    /// The consortium this connection is for.
    pub consortium: ConsortiumId,
    /// Its node record; the TLS key must be the one it names.
    pub record: Signed<NodeRecord>,
    /// Its wall clock.
    pub clock: UnixMillis,
    /// Documents of the listener that it durably holds: the listener goes on from there.
    pub held: Held,
}

/// The listener's answer. Nothing else is sent on the connection before it (spec HELLO-1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloAck {
    /// The version taken.
    pub version: WireVersion,
    /// The listener's node record.
    pub record: Signed<NodeRecord>,
    /// Its wall clock.
    pub clock: UnixMillis,
    /// Documents of the dialler that it durably holds.
    pub held: Held,
}

/// Any request refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The error code's number; an unknown one is still a refusal.
    pub code: u16,
}
