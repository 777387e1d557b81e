//! What a journal entry is about: the digest of the document it holds, and the ids that it names.

use std::collections::BTreeSet;

use cohortium_protocol::digest::DocumentDigest;
use cohortium_protocol::ident::{DatasetId, ReleaseId, ShareId, SnapshotId, SubscriptionId};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::record::common_schema::schema_digest;
use cohortium_protocol::record::journal_entry::Act;
use cohortium_protocol::record::order::Command;

/// An id of a thing: a share, dataset, subscription or release (16 bytes), or a snapshot or document (32 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// Random bytes.
    Random([u8; 16]),
    /// A digest.
    Digest([u8; 32]),
}

impl Subject {
    /// The id itself.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Random(bytes) => bytes,
            Self::Digest(bytes) => bytes,
        }
    }
}

impl From<ShareId> for Subject {
    fn from(id: ShareId) -> Self {
        Self::Random(id.0)
    }
}

impl From<DatasetId> for Subject {
    fn from(id: DatasetId) -> Self {
        Self::Random(id.0)
    }
}

impl From<SubscriptionId> for Subject {
    fn from(id: SubscriptionId) -> Self {
        Self::Random(id.0)
    }
}

impl From<ReleaseId> for Subject {
    fn from(id: ReleaseId) -> Self {
        Self::Random(id.0)
    }
}

impl From<SnapshotId> for Subject {
    fn from(id: SnapshotId) -> Self {
        Self::Digest(id.0)
    }
}

impl From<DocumentDigest> for Subject {
    fn from(digest: DocumentDigest) -> Self {
        Self::Digest(digest.0)
    }
}

/// The digest of the signed document that the entry holds, if it holds one.
pub(crate) fn document(act: &Act) -> Option<DocumentDigest> {
    match act {
        Act::Order(signed) => Some(signed.digest()),
        Act::Person(signed) => Some(signed.digest()),
        Act::Charter(signed) => Some(signed.digest()),
        Act::NodeRecord(record) | Act::JoinAsked { record, .. } => Some(record.digest()),
        Act::Invitation(signed) => Some(signed.digest()),
        Act::Acceptance(signed) => Some(signed.digest()),
        Act::Standing(signed) => Some(signed.digest()),
        Act::Revocation(signed) => Some(signed.digest()),
        Act::Manifest(signed) => Some(signed.digest()),
        Act::Receipt(signed) => Some(signed.digest()),
        Act::LinkageWrap(signed) => Some(signed.digest()),
        Act::SiteNotice(signed) => Some(signed.digest()),
        Act::Consolidated { consolidation, .. } => Some(consolidation.digest()),
        Act::CommonSchema(signed) => Some(signed.digest()),
        Act::Project(signed) => Some(signed.digest()),
        Act::Released(signed) => Some(signed.digest()),
        Act::Withdrawal(signed) => Some(signed.digest()),
        Act::Announcement(signed) => Some(signed.digest()),
        Act::Objection(signed) => Some(signed.digest()),
        Act::Debit(signed) => Some(signed.digest()),
        Act::Began { .. }
        | Act::SnapshotTaken { .. }
        | Act::SnapshotFailed { .. }
        | Act::LinkageKeyHeld { .. }
        | Act::Served { .. }
        | Act::PeerRefused { .. }
        | Act::DocumentRefused { .. }
        | Act::DocumentKnown { .. }
        | Act::SnapshotUnwanted { .. }
        | Act::Mapped { .. }
        | Act::MappingFailed { .. }
        | Act::ConsolidationFailed { .. }
        | Act::Published { .. }
        | Act::PublishFailed { .. }
        | Act::AnswerRefused { .. }
        | Act::Compared { .. }
        | Act::PipelineBegan { .. }
        | Act::PipelineStep { .. }
        | Act::VocabularyLoaded(_)
        | Act::VocabularyFailed { .. }
        | Act::ReleaseRefused { .. }
        | Act::ReleaseSame { .. }
        | Act::ReleaseReserved(_)
        | Act::ReleaseMade { .. }
        | Act::ReleaseFailed { .. }
        | Act::ReleaseStopped { .. }
        | Act::Erased { .. } => None,
    }
}

/// The ids that the entry names. A document that cannot be read names none.
pub(crate) fn subjects(act: &Act) -> BTreeSet<Subject> {
    match act {
        Act::Order(signed) => signed.claimed().map(|order| of_command(&order.command)).unwrap_or_default(),
        // The same version comes again with more signatures.
        Act::Charter(signed) => [signed.digest().into()].into(),
        Act::Invitation(signed) => signed
            .claimed()
            .map(|said| [said.subscription.into(), said.share.share.into(), said.share.dataset.into()].into())
            .unwrap_or_default(),
        Act::Acceptance(signed) => {
            signed.claimed().map(|said| [said.subscription.into(), said.invitation.into()].into()).unwrap_or_default()
        }
        Act::Standing(signed) => signed.claimed().map(|said| [said.subscription.into()].into()).unwrap_or_default(),
        Act::Revocation(signed) => signed.claimed().map(|said| [said.subscription.into()].into()).unwrap_or_default(),
        Act::Manifest(signed) => {
            let snapshot = signed.digest();
            signed.claimed().map(|said| [said.share.into(), snapshot.into()].into()).unwrap_or_default()
        }
        Act::Receipt(signed) => {
            signed.claimed().map(|said| [said.subscription.into(), said.snapshot.into()].into()).unwrap_or_default()
        }
        Act::SnapshotTaken { share, snapshot, .. } => [(*share).into(), (*snapshot).into()].into(),
        Act::SnapshotFailed { share, .. } => [(*share).into()].into(),
        Act::Served { subscription, .. } => [(*subscription).into()].into(),
        Act::AnswerRefused { subscription, invitation, .. } => [(*subscription).into(), (*invitation).into()].into(),
        Act::Erased { subscription, snapshot } | Act::SnapshotUnwanted { subscription, snapshot, .. } => {
            [(*subscription).into(), (*snapshot).into()].into()
        }
        Act::Mapped { mapping, set, .. } => [(*mapping).into(), Subject::Digest(set.digest.0)].into(),
        Act::MappingFailed { mapping, .. } => [(*mapping).into()].into(),
        Act::Published { consolidation }
        | Act::PublishFailed { consolidation, .. }
        | Act::Compared { consolidation } => [(*consolidation).into()].into(),
        Act::Consolidated { consolidation, set } => {
            [consolidation.digest().into(), Subject::Digest(set.digest.0)].into()
        }
        Act::SiteNotice(signed) => signed.claimed().map(|said| [said.consolidation.into()].into()).unwrap_or_default(),
        Act::PipelineBegan { order, .. } => [(*order).into()].into(),
        Act::VocabularyLoaded(loaded) => {
            [loaded.vocabulary.digest.into(), Subject::Digest(loaded.index.digest.0)].into()
        }
        Act::ReleaseSame { release, same } => [(*release).into(), (*same).into()].into(),
        Act::ReleaseReserved(reservation) => {
            [reservation.release.into(), reservation.project.into(), reservation.consolidation.into()].into()
        }
        Act::ReleaseRefused { release, .. }
        | Act::ReleaseMade { release, .. }
        | Act::ReleaseFailed { release, .. }
        | Act::ReleaseStopped { release, .. } => [(*release).into()].into(),
        Act::Released(signed) => {
            signed.claimed().map(|said| [said.release.into(), said.project.into()].into()).unwrap_or_default()
        }
        Act::Withdrawal(signed) => {
            signed.claimed().map(|said| [said.release.into(), said.statement.into()].into()).unwrap_or_default()
        }
        Act::Announcement(_) | Act::Objection(_) | Act::Debit(_) => of_ledger(act),
        Act::CommonSchema(signed) => signed.claimed().map(|schema| [schema.named().into()].into()).unwrap_or_default(),
        Act::ConsolidationFailed { .. }
        | Act::VocabularyFailed { .. }
        | Act::Project(_)
        | Act::PipelineStep { .. }
        | Act::Began { .. }
        | Act::Person(_)
        | Act::NodeRecord(_)
        | Act::JoinAsked { .. }
        | Act::LinkageWrap(_)
        | Act::LinkageKeyHeld { .. }
        | Act::PeerRefused { .. }
        | Act::DocumentRefused { .. }
        | Act::DocumentKnown { .. } => BTreeSet::new(),
    }
}

/// What members are told of the ledger, and say to it.
fn of_ledger(act: &Act) -> BTreeSet<Subject> {
    match act {
        Act::Announcement(signed) => {
            signed.claimed().map(|said| [said.release.into(), said.project.into()].into()).unwrap_or_default()
        }
        Act::Objection(signed) => {
            signed.claimed().map(|said| [said.release.into(), said.announcement.into()].into()).unwrap_or_default()
        }
        Act::Debit(signed) => {
            signed.claimed().map(|said| [said.release.into(), said.project.into()].into()).unwrap_or_default()
        }
        _ => BTreeSet::new(),
    }
}

fn of_command(command: &Command) -> BTreeSet<Subject> {
    match command {
        Command::ProposeCharter(charter) => [Signed::unsigned(charter).digest().into()].into(),
        Command::SignCharter(digest) => [(*digest).into()].into(),
        Command::DefineDataset(dataset) => [dataset.dataset.into()].into(),
        Command::DefineShare(share) => [share.share.into(), share.dataset.into()].into(),
        Command::ApproveShare { share, .. } | Command::TakeSnapshot { share } | Command::Preview { share } => {
            [(*share).into()].into()
        }
        Command::Invite { share, subscription, .. } => [(*share).into(), (*subscription).into()].into(),
        Command::AnswerInvitation { subscription, invitation, .. } => {
            [(*subscription).into(), (*invitation).into()].into()
        }
        Command::RollBack { subscription, snapshot } => [(*subscription).into(), (*snapshot).into()].into(),
        Command::SetStanding { subscription, .. }
        | Command::ChangeSubscription { subscription, .. }
        | Command::Prune { subscription, .. }
        | Command::ReadLanded { subscription }
        | Command::Export { subscription } => [(*subscription).into()].into(),
        Command::OptOut { dataset, .. } => [(*dataset).into()].into(),
        Command::DefineMapping(mapping) => {
            let digest: Subject = Signed::unsigned(&**mapping).digest().into();
            mapping.sources.values().map(|dataset| (*dataset).into()).chain([digest]).collect()
        }
        Command::UseTables { consolidation }
        | Command::ReadTables { consolidation }
        | Command::Publish { consolidation, .. } => [(*consolidation).into()].into(),
        Command::Query { question, reason } => [(*question).into(), (*reason).into()].into(),
        Command::DefineProject(project) => [Signed::unsigned(&**project).digest().into()].into(),
        Command::ApproveProject { project } => [(*project).into()].into(),
        Command::RequestRelease { release, request } => [(*release).into(), Subject::Digest(request.digest.0)].into(),
        Command::SignRelease { release, statement } => [(*release).into(), (*statement).into()].into(),
        Command::RefuseRelease { release }
        | Command::WithdrawRelease { release, .. }
        | Command::Object { release, .. } => [(*release).into()].into(),
        Command::StateSchema { text } => [schema_digest(text).into()].into(),
        Command::Cap { .. }
        | Command::EnrolPerson(_)
        | Command::IssueJoinToken { .. }
        | Command::ConfirmRoot { .. }
        | Command::MakeLinkageKey { .. }
        | Command::WrapLinkageKey { .. }
        | Command::Import { .. }
        | Command::Profile
        | Command::RunMapping { .. }
        | Command::RunMappingDespite { .. }
        | Command::LoadVocabulary { .. }
        | Command::ReadMapped { .. }
        | Command::Consolidate
        | Command::CheckMapping { .. }
        | Command::CheckTables { .. }
        | Command::CompareSites
        | Command::DefinePipeline(_)
        | Command::ChangePipeline { .. }
        | Command::Stop
        | Command::Start => BTreeSet::new(),
    }
}
