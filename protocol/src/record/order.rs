//! The order: what a person tells a node to do, signed with the person's key. Every act is bound to a person or a node.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::digest::{DocumentDigest, sha256_for};
use crate::hex::byte_string;
use crate::ident::{ConsortiumId, DatasetId, Name, Nonce, ReleaseId, ShareId, SnapshotId, SubscriptionId, Text};
use crate::key::pair::PublicKey;
use crate::key::signed::{Record, Signed};
use crate::record::acceptance::{Answer, StandingState};
use crate::record::charter::Charter;
use crate::record::dataset::Dataset;
use crate::record::extension::Extensions;
use crate::record::listing::BlobRef;
use crate::record::mapping::Mapping;
use crate::record::person::Person;
use crate::record::pipeline::Pipeline;
use crate::record::project::{BudgetShare, Project};
use crate::record::publish_place::PublishPlace;
use crate::record::revocation::Change;
use crate::record::share::Share;
use crate::time::UnixMillis;

byte_string! {
    /// A patient who opted out: a keyed id of the patient's local identifier, which the node alone can compute.
    OptOutEntry, 16
}

/// Everything a person can tell a node to do. Reading needs a role too, but changes nothing and is not an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Add a person, change the roles, or take them away.
    EnrolPerson(Signed<Person>),
    /// Operator: let a hospital ask to join with a one-time secret, of which this is the digest.
    IssueJoinToken {
        /// SHA-256 for "join secret" of the secret.
        secret: DocumentDigest,
        /// The name the hospital will have.
        party: Name,
        /// Its title.
        title: Text,
        /// It cannot be used from here on.
        expires: UnixMillis,
    },
    /// Operator: put a charter version to the members.
    ProposeCharter(Charter),
    /// Countersign a proposed charter version.
    SignCharter(DocumentDigest),
    /// A person has compared another party's root fingerprint by another channel.
    ConfirmRoot {
        /// Whose.
        party: Name,
        /// The key compared.
        root: PublicKey,
    },
    /// Key maker: make the linkage key of the charter's epoch.
    MakeLinkageKey {
        /// The epoch.
        epoch: u32,
    },
    /// Key maker: wrap it for every member whose root was confirmed.
    WrapLinkageKey {
        /// The epoch.
        epoch: u32,
    },
    /// Name a source.
    DefineDataset(Dataset),
    /// Define a share, or its next version.
    DefineShare(Share),
    /// Privacy officer: these terms may leave.
    ApproveShare {
        /// The share.
        share: ShareId,
        /// The digest of its terms.
        terms: DocumentDigest,
        /// For a file set: the officer states that nobody looked into it.
        unchecked: Unchecked,
    },
    /// Invite a consumer to an approved share.
    Invite {
        /// The share.
        share: ShareId,
        /// Whom.
        consumer: Name,
        /// The new subscription, or the one that is invited anew.
        subscription: SubscriptionId,
        /// It cannot be accepted from here on.
        answer_by: UnixMillis,
    },
    /// Answer an invitation.
    AnswerInvitation {
        /// The subscription.
        subscription: SubscriptionId,
        /// The invitation that was read.
        invitation: DocumentDigest,
        /// Yes or no.
        answer: Answer,
    },
    /// Consumer: pause, resume or end.
    SetStanding {
        /// The subscription.
        subscription: SubscriptionId,
        /// What is wanted.
        state: StandingState,
    },
    /// Provider: revoke, reinstate, change expiry or schedule.
    ChangeSubscription {
        /// The subscription.
        subscription: SubscriptionId,
        /// What changes.
        change: Change,
        /// For people.
        reason: Option<Text>,
    },
    /// Take a snapshot now.
    TakeSnapshot {
        /// The share.
        share: ShareId,
    },
    /// A patient does not want to take part, or does again.
    OptOut {
        /// The dataset.
        dataset: DatasetId,
        /// The patient.
        entry: OptOutEntry,
        /// Out or in.
        choice: OptOutChoice,
    },
    /// Consumer: use an earlier landed version.
    RollBack {
        /// The subscription.
        subscription: SubscriptionId,
        /// The version.
        snapshot: SnapshotId,
    },
    /// Consumer: forget landed versions older than the last `keep`.
    Prune {
        /// The subscription.
        subscription: SubscriptionId,
        /// How many stay.
        keep: u32,
    },
    /// See the first rows of a share as they would leave. Changes nothing; that it was done is on record.
    Preview {
        /// The share.
        share: ShareId,
    },
    /// Write a landed version to a file of this machine, or count it. Changes nothing; that it was done is on record.
    ReadLanded {
        /// The subscription.
        subscription: SubscriptionId,
    },
    /// Halt all output.
    Stop,
    /// Lift the halt.
    Start,
    /// Provider: write what a consumer lacks into a folder, to be carried by hand.
    Export {
        /// The subscription.
        subscription: SubscriptionId,
    },
    /// Consumer: take in a folder that a provider exported.
    Import {
        /// Whose folder it says it is.
        provider: Name,
    },
    /// Look at the columns of a source. Changes nothing; that it was done is on record.
    Profile,
    /// Define a mapping, or its next version.
    DefineMapping(Box<Mapping>),
    /// Map this node's sources now.
    RunMapping {
        /// The mapping.
        mapping: Name,
    },
    /// See what a mapping run made: its report, its quarantine. Changes nothing; that it was done is on record.
    ReadMapped {
        /// The mapping.
        mapping: Name,
    },
    /// Consumer: make new table versions of what has landed.
    Consolidate,
    /// Consumer: use earlier table versions again.
    UseTables {
        /// The digest of the consolidation.
        consolidation: DocumentDigest,
    },
    /// Consumer: write the table versions in use to files of this machine. Changes nothing; that it was done is on record.
    ReadTables {
        /// The digest of their consolidation.
        consolidation: DocumentDigest,
    },
    /// Consumer: let the table versions in use be what a PostgreSQL of this party holds.
    Publish {
        /// The digest of their consolidation.
        consolidation: DocumentDigest,
        /// Where.
        into: Box<PublishPlace>,
    },
    /// Run a mapping's sources through it and its gates, and keep nothing. Changes nothing; that it was done is on record.
    CheckMapping {
        /// The mapping.
        mapping: Name,
    },
    /// Consumer: run the gates over one member's consolidated tables. Changes nothing; that it was done is on record.
    CheckTables {
        /// The member.
        member: Name,
    },
    /// Operator: compare the members' consolidated tables, and tell each what concerns it.
    CompareSites,
    /// Ask for consolidated rows by SQL. Changes nothing; that it was done is on record, its words are not.
    Query {
        /// SHA-256 for "query question" of a salt and the question.
        question: DocumentDigest,
        /// SHA-256 for "query reason" of the same salt and why it is asked.
        reason: DocumentDigest,
    },
    /// Define a pipeline, or another of the same name.
    DefinePipeline(Box<Pipeline>),
    /// Retry, park or remove a pipeline.
    ChangePipeline {
        /// The pipeline.
        pipeline: Name,
        /// What becomes of it.
        change: PipelineChange,
    },
    /// Map this node's sources now, although these tables may come out empty.
    RunMappingDespite {
        /// The mapping.
        mapping: Name,
        /// The tables that may.
        empty: BTreeSet<Name>,
    },
    /// Read the vocabulary that somebody here has downloaded, and keep its index.
    LoadVocabulary {
        /// The folder of the download, on the node's machine.
        folder: Text,
    },
    /// Operator: tell the members the common schema that a charter version names.
    StateSchema {
        /// Its canonical form.
        text: String,
    },
    /// Operator: define a project, or its next version. Nothing is asked for under it before it is approved.
    DefineProject(Box<Project>),
    /// Operator, privacy officer: releases may be asked for under this version of a project.
    ApproveProject {
        /// The digest of the project that was read.
        project: DocumentDigest,
    },
    /// Operator: ask for a release. The words of the request are in a blob of the node's store, not in the journal.
    RequestRelease {
        /// The release that comes of it.
        release: ReleaseId,
        /// The request, encoded.
        request: BlobRef,
    },
    /// Operator, privacy officer: sign a release that was made.
    SignRelease {
        /// The release.
        release: ReleaseId,
        /// The digest of the statement that was read.
        statement: DocumentDigest,
    },
    /// Operator, privacy officer: a release that was made is not signed, now or later.
    RefuseRelease {
        /// The release.
        release: ReleaseId,
    },
    /// Operator, privacy officer: recall a release.
    WithdrawRelease {
        /// The release.
        release: ReleaseId,
        /// For people.
        reason: Text,
    },
    /// Member, privacy officer: object to a release that is announced.
    Object {
        /// The release.
        release: ReleaseId,
        /// For the operator's people.
        reason: Text,
    },
    /// Member, privacy officer: what releases may cost this node's patients, over all its consortia, before this consortium gets
    /// no more; `None`: no such bound.
    Cap {
        /// The bound.
        cap: Option<BudgetShare>,
    },
}

/// What becomes of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PipelineChange {
    /// The step that failed is tried anew; a parked pipeline goes on.
    Retry,
    /// It begins nothing until somebody retries it.
    Park,
    /// It is gone.
    Remove,
}

/// Whether an approval speaks of files that nobody looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unchecked {
    /// A table with its policy.
    No,
    /// "These files leave although nobody looked into them."
    Acknowledged,
}

/// A patient's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptOutChoice {
    /// The patient's rows do not leave, and those that left are deleted by the next delta.
    Out,
    /// They may leave again.
    In,
}

impl Command {
    /// A question with its reason, each as a salted digest: a log that anybody reads gives no hint at their words.
    pub fn query(salt: &Nonce, question: &str, reason: &str) -> Self {
        let digest = |domain, text: &str| DocumentDigest(sha256_for(domain, &[&salt.0, text.as_bytes()].concat()));
        Self::Query { question: digest("query question", question), reason: digest("query reason", reason) }
    }
}

/// One signed order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// The node it is for.
    pub party: Name,
    /// Who gives it.
    pub person: Name,
    /// Makes it unlike every other order.
    pub nonce: Nonce,
    /// When.
    pub at: UnixMillis,
    /// What to do.
    pub command: Command,
    /// Room for later versions.
    pub ext: Extensions,
}

impl Record for Order {
    const LABEL: &'static str = "application/vnd.cohortium.v1.order.v1";
    const TITLE: &'static str = "order";
}
