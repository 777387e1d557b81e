//! Documents between two nodes: each direction is one sequence without gaps, so that nothing is lost, doubled or reordered.

use serde::{Deserialize, Serialize};

use crate::digest::{DocumentDigest, sha256_for};
use crate::hex::byte_string;
use crate::key::signed::Signed;
use crate::record::acceptance::{Acceptance, Standing};
use crate::record::announcement::Announcement;
use crate::record::charter::Charter;
use crate::record::common_schema::CommonSchema;
use crate::record::debit::Debit;
use crate::record::invitation::Invitation;
use crate::record::linkage_wrap::LinkageWrap;
use crate::record::manifest::Manifest;
use crate::record::node_record::NodeRecord;
use crate::record::objection::Objection;
use crate::record::project::Project;
use crate::record::receipt::Receipt;
use crate::record::revocation::Revocation;
use crate::record::site_notice::SiteNotice;
use crate::record::withdrawal::Withdrawal;

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
    /// What a comparison of sites found about its receiver.
    SiteNotice(Signed<SiteNotice>),
    /// The common schema that a charter version names.
    CommonSchema(Signed<CommonSchema>),
    /// A project under which releases may be asked for.
    Project(Signed<Project>),
    /// The recall of a release.
    Withdrawal(Signed<Withdrawal>),
    /// Members are asked about a release.
    Announcement(Signed<Announcement>),
    /// A member objects to one.
    Objection(Signed<Objection>),
    /// What a release has cost.
    Debit(Signed<Debit>),
}

impl Document {
    /// Its name: over type and payload, without signatures (spec DOC-1).
    pub fn digest(&self) -> DocumentDigest {
        match self {
            Self::Charter(signed) => signed.digest(),
            Self::NodeRecord(signed) => signed.digest(),
            Self::Invitation(signed) => signed.digest(),
            Self::Acceptance(signed) => signed.digest(),
            Self::Standing(signed) => signed.digest(),
            Self::Revocation(signed) => signed.digest(),
            Self::Manifest(signed) => signed.digest(),
            Self::Receipt(signed) => signed.digest(),
            Self::LinkageWrap(signed) => signed.digest(),
            Self::SiteNotice(signed) => signed.digest(),
            Self::CommonSchema(signed) => signed.digest(),
            Self::Project(signed) => signed.digest(),
            Self::Withdrawal(signed) => signed.digest(),
            Self::Announcement(signed) => signed.digest(),
            Self::Objection(signed) => signed.digest(),
            Self::Debit(signed) => signed.digest(),
        }
    }
}

byte_string! {
    /// Names the first documents of one direction, in their order (spec MAIL-3).
    MailHead, 32
}

impl MailHead {
    /// Before the first document.
    pub const NONE: Self = Self([0; 32]);

    /// With one document more: SHA-256 for "mail" over the head before and the document's name.
    #[must_use]
    pub fn with(self, document: DocumentDigest) -> Self {
        Self(sha256_for("mail", &[self.0, document.0].concat()))
    }
}

/// Which documents of the other side a node durably holds: how many, and which ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Documents 0, 1, 2, ... up to here, without this one.
    pub documents: u64,
    /// The head over them.
    pub head: MailHead,
}

impl Held {
    /// No document.
    pub const NONE: Self = Self { documents: 0, head: MailHead::NONE };

    /// With one document more.
    #[must_use]
    pub fn with(self, document: DocumentDigest) -> Self {
        Self { documents: self.documents.saturating_add(1), head: self.head.with(document) }
    }
}

/// One document in its place. Answered by `Done` once it is durable, or by `Refused`; both count it as received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered {
    /// 0, 1, 2, ... over all documents of this sender to this receiver.
    pub index: u64,
    /// The document.
    pub document: Document,
}
