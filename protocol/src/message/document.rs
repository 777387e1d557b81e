//! Documents between two nodes: each direction is one sequence without gaps, so that nothing is lost, doubled or reordered.

use serde::{Deserialize, Serialize};

use crate::key::signed::Signed;
use crate::record::acceptance::{Acceptance, Standing};
use crate::record::charter::Charter;
use crate::record::invitation::Invitation;
use crate::record::linkage_wrap::LinkageWrap;
use crate::record::manifest::Manifest;
use crate::record::node_record::NodeRecord;
use crate::record::receipt::Receipt;
use crate::record::revocation::Revocation;

/// A signed document of any kind that travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Document {
    /// A charter version with the signatures that the sender knows.
    Charter(Signed<Charter>),
    /// A node record: the sender's, or one that the operator relays.
    NodeRecord(Signed<NodeRecord>),
    /// An offer.
    Invitation(Signed<Invitation>),
    /// The answer to one.
    Acceptance(Signed<Acceptance>),
    /// A pause, resumption or end.
    Standing(Signed<Standing>),
    /// A revocation or other change.
    Revocation(Signed<Revocation>),
    /// A snapshot's statement.
    Manifest(Signed<Manifest>),
    /// What became of a snapshot.
    Receipt(Signed<Receipt>),
    /// A linkage key on its way to its recipient.
    LinkageWrap(Signed<LinkageWrap>),
}

/// One document in its place. Answered by `Done` once it is durable, or by `Refused`; both count it as received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered {
    /// 0, 1, 2, ... over all documents of this sender to this receiver.
    pub index: u64,
    /// The document.
    pub document: Document,
}
