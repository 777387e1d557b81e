//! The journal entry: one act, the preimage of exactly one leaf of the node's audit log.

use serde::{Deserialize, Serialize};

use crate::code::ErrorCode;
use crate::digest::DocumentDigest;
use crate::ident::{Name, ReleaseId, ShareId, SnapshotId, SubscriptionId};
use crate::key::signed::Signed;
use crate::limits::JOURNAL_ENTRY_BYTES_MAX;
use crate::quantity::Bytes;
use crate::record::acceptance::{Acceptance, Standing};
use crate::record::announcement::Announcement;
use crate::record::charter::Charter;
use crate::record::common_schema::CommonSchema;
use crate::record::consolidation::Consolidation;
use crate::record::debit::Debit;
use crate::record::invitation::Invitation;
use crate::record::linkage_wrap::LinkageWrap;
use crate::record::listing::BlobRef;
use crate::record::made_release::MadeRelease;
use crate::record::manifest::{LinkageKeyId, LinkageStatement, Manifest};
use crate::record::node_record::NodeRecord;
use crate::record::objection::Objection;
use crate::record::order::Order;
use crate::record::person::Person;
use crate::record::project::Project;
use crate::record::receipt::Receipt;
use crate::record::refusal::Refusal;
use crate::record::release::Release;
use crate::record::reservation::Reservation;
use crate::record::revocation::Revocation;
use crate::record::site_notice::SiteNotice;
use crate::record::vocabulary::LoadedVocabulary;
use crate::record::withdrawal::Withdrawal;
use crate::time::UnixMillis;
use crate::wire::codec::{self, CodecFault};

pub use crate::record::run_fault::RunFault;

/// What happened. A node's whole state in a consortium is a fold over these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// The first entry: which party this node is.
    Began {
        /// Its name.
        party: Name,
    },
    /// A person's order was accepted; what follows from it are the next entries.
    Order(Signed<Order>),
    /// The first site administrator, signed by the root key.
    Person(Signed<Person>),
    /// A charter version, or more signatures on one.
    Charter(Signed<Charter>),
    /// A node record, this node's or a peer's.
    NodeRecord(Signed<NodeRecord>),
    /// A hospital used its one-time secret.
    JoinAsked {
        /// Digest of the secret, now spent.
        secret: DocumentDigest,
        /// The hospital's record.
        record: Signed<NodeRecord>,
    },
    /// An invitation made or received.
    Invitation(Signed<Invitation>),
    /// An answer made or received.
    Acceptance(Signed<Acceptance>),
    /// A standing made or received.
    Standing(Signed<Standing>),
    /// A change made or received.
    Revocation(Signed<Revocation>),
    /// A snapshot stated or received.
    Manifest(Signed<Manifest>),
    /// Provider: with which local row index a snapshot was taken.
    SnapshotTaken {
        /// The share.
        share: ShareId,
        /// The snapshot.
        snapshot: SnapshotId,
        /// The row index blob, local and never sent; `None` for tables without key and for file sets.
        index: Option<BlobRef>,
    },
    /// Provider: a run that produced nothing, with the fault's code.
    SnapshotFailed {
        /// The share.
        share: ShareId,
        /// Why.
        fault: RunFault,
    },
    /// A receipt made or received.
    Receipt(Signed<Receipt>),
    /// A wrapped linkage key made, relayed or received.
    LinkageWrap(Signed<LinkageWrap>),
    /// This node now holds a linkage key.
    LinkageKeyHeld {
        /// The epoch.
        epoch: u32,
        /// The sub-key.
        key: LinkageKeyId,
    },
    /// Bytes of a share that left for a consumer since the last such entry.
    Served {
        /// The subscription.
        subscription: SubscriptionId,
        /// Bytes.
        bytes: Bytes,
    },
    /// A peer was refused.
    PeerRefused {
        /// Who it said it was, if its key is known.
        peer: Option<Name>,
        /// Why.
        code: ErrorCode,
    },
    /// A peer's document was received and refused; it counts as received.
    DocumentRefused {
        /// The document.
        document: DocumentDigest,
        /// Why.
        code: ErrorCode,
    },
    /// Landed rows left the store.
    Erased {
        /// The subscription.
        subscription: SubscriptionId,
        /// The snapshot.
        snapshot: SnapshotId,
    },
    /// A peer's document was received that said nothing new; it counts as received.
    DocumentKnown {
        /// The document.
        document: DocumentDigest,
    },
    /// Provider: a consumer refused a manifest, so the next snapshot is a full one.
    SnapshotUnwanted {
        /// The subscription.
        subscription: SubscriptionId,
        /// The snapshot.
        snapshot: SnapshotId,
        /// What it was refused with.
        code: ErrorCode,
    },
    /// This node's sources were mapped: the listing names the tables, the quarantine and the report.
    Mapped {
        /// The mapping.
        mapping: DocumentDigest,
        /// The listing; local, like all that it names.
        set: BlobRef,
        /// With which key the person ids of linked patients were made.
        linkage: Option<LinkageStatement>,
    },
    /// A mapping run that made nothing, with the fault's code.
    MappingFailed {
        /// The mapping.
        mapping: DocumentDigest,
        /// Why.
        fault: RunFault,
    },
    /// What has landed was consolidated.
    Consolidated {
        /// Which table versions, of which snapshots.
        consolidation: Signed<Consolidation>,
        /// The listing of their files; local, like all that it names.
        set: BlobRef,
    },
    /// A consolidation that made nothing, with the fault's code.
    ConsolidationFailed {
        /// Why.
        fault: RunFault,
    },
    /// Consumer: its provider refused an answer, so it counts as not given.
    AnswerRefused {
        /// The subscription.
        subscription: SubscriptionId,
        /// The invitation that was answered.
        invitation: DocumentDigest,
        /// What it was refused with.
        code: ErrorCode,
    },
    /// Table versions are what a PostgreSQL of this party holds now.
    Published {
        /// The consolidation that they are of.
        consolidation: DocumentDigest,
    },
    /// A publication that changed nothing, or with `Unsettled` perhaps everything.
    PublishFailed {
        /// The consolidation.
        consolidation: DocumentDigest,
        /// Why.
        fault: RunFault,
    },
    /// A notice about one site, made or received.
    SiteNotice(Signed<SiteNotice>),
    /// Operator: the members' tables were compared.
    Compared {
        /// The consolidation whose tables they are.
        consolidation: DocumentDigest,
    },
    /// A pipeline has begun.
    PipelineBegan {
        /// Its name.
        pipeline: Name,
        /// The order that defined it: whose roles it acts under.
        order: DocumentDigest,
        /// What began it, so that the same does not begin it twice; `None`: the time.
        cause: Option<DocumentDigest>,
    },
    /// A step of a pipeline has ended.
    PipelineStep {
        /// Its name.
        pipeline: Name,
        /// Which step, from 0.
        step: u16,
        /// Which attempt, from 1.
        attempt: u16,
        /// How it ended.
        end: StepEnd,
    },
    /// A vocabulary was loaded: codes are mapped with it from now on.
    VocabularyLoaded(LoadedVocabulary),
    /// The common schema that a charter version names, stated or received.
    CommonSchema(Signed<CommonSchema>),
    /// A vocabulary was not loaded, with the fault's code.
    VocabularyFailed {
        /// Why.
        fault: RunFault,
    },
    /// A project that was approved here, or received.
    Project(Signed<Project>),
    /// A request was refused by review: nothing was paid.
    ReleaseRefused {
        /// The release.
        release: ReleaseId,
        /// Why.
        refusal: Refusal,
    },
    /// The same was asked before of the same table versions: that release is this one, and nothing was paid.
    ReleaseSame {
        /// The release.
        release: ReleaseId,
        /// The one that it is.
        same: ReleaseId,
    },
    /// A release is paid for once this entry is durable, whatever becomes of it.
    ReleaseReserved(Box<Reservation>),
    /// It was made, and waits for the privacy officer.
    ReleaseMade {
        /// The release.
        release: ReleaseId,
        /// What was made.
        made: Box<MadeRelease>,
    },
    /// It was paid for and not made.
    ReleaseFailed {
        /// The release.
        release: ReleaseId,
        /// Why.
        fault: RunFault,
    },
    /// It was made, and an attack on it succeeded: it is never signed.
    ReleaseStopped {
        /// The release.
        release: ReleaseId,
        /// What was found, for the privacy officer: a blob that stays here.
        report: BlobRef,
    },
    /// A release was signed.
    Released(Signed<Release>),
    /// A release was recalled here, or its recall was received.
    Withdrawal(Signed<Withdrawal>),
    /// Members are asked about a release, or this one was asked.
    Announcement(Signed<Announcement>),
    /// A member has objected to a release.
    Objection(Signed<Objection>),
    /// A debit was told, or heard of.
    Debit(Signed<Debit>),
}

/// How a step of a pipeline ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepEnd {
    /// Done: the next one begins.
    Done,
    /// It is tried again after a while.
    Failed(StepFault),
    /// The pipeline is parked until somebody retries it.
    Parked(StepFault),
}

/// Why a step of a pipeline failed. Carries nothing of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepFault {
    /// The run that it is made nothing.
    Run(RunFault),
    /// The gates failed.
    Gates,
    /// The person who ordered the pipeline may not do it, or is not enrolled any more.
    RoleMissing,
    /// No privacy officer has approved these terms.
    NotApproved,
    /// What it names is not there.
    NotFound,
    /// The node's state does not allow it now.
    OutOfOrder,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// A person of this node.
    Person(Name),
    /// This node by itself, as a consequence or by schedule.
    Node,
    /// Another party.
    Peer(Name),
}

/// One act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// When, by this node's clock.
    pub at: UnixMillis,
    /// Who.
    pub actor: Actor,
    /// What.
    pub act: Act,
}

impl JournalEntry {
    /// As it is written. Here and not where it is called, so that it is compiled as what is hot is.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// As it was written.
    ///
    /// # Errors
    /// Bytes that are no entry of this version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecFault> {
        codec::decode(bytes, JOURNAL_ENTRY_BYTES_MAX)
    }
}
