//! What the command line and the daemon say to each other over the local socket: one JSON object a line.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use cohortium_protocol::digest::{BlobDigest, DocumentDigest};
use cohortium_protocol::ident::{
    ConsortiumId, DatasetId, Name, Nonce, ReleaseId, ShareId, SnapshotId, SubscriptionId, Text,
};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::record::charter::Charter;
use cohortium_protocol::record::consolidation::Consolidation;
use cohortium_protocol::record::dataset::{Dataset, Source};
use cohortium_protocol::record::invitation::Invitation;
use cohortium_protocol::record::journal_entry::JournalEntry;
use cohortium_protocol::record::order::{OptOutEntry, Order};
use cohortium_protocol::record::pipeline::Pipeline;
use cohortium_protocol::record::request::Request as ReleaseRequest;
use cohortium_protocol::record::schema::Column;
use cohortium_protocol::record::share::Share;
use cohortium_protocol::record::site_notice::SiteNotice;
use cohortium_protocol::record::withdrawal::Withdrawal;

mod released;

pub use self::released::{BudgetView, DebitView, ProjectView, ReleaseView};

/// The version of this language; a daemon refuses any other.
pub const CONTROL_VERSION: u32 = 1;

/// One request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Call {
    /// [`CONTROL_VERSION`].
    pub version: u32,
    /// What is wanted.
    pub request: Request,
}

/// What the command line can ask.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Is anybody there.
    Ping,
    /// Everything the node knows of its consortia, as [`View`]s.
    View,
    /// Carry out a person's order.
    Order(Box<Signed<Order>>),
    /// The first rows of a share as they would leave. The order is a `Command::Preview`.
    Preview {
        /// The order.
        order: Box<Signed<Order>>,
        /// How many rows.
        rows: u32,
    },
    /// Write a landed version to a new file. The order is a `Command::ReadLanded`.
    Checkout {
        /// The order.
        order: Box<Signed<Order>>,
        /// An absolute path that does not exist yet; `.parquet` or `.csv`, or a folder for a file set.
        path: String,
    },
    /// Count the distinct rows of the landed version in use. The order is a `Command::ReadLanded`.
    Count {
        /// The order.
        order: Box<Signed<Order>>,
    },
    /// The columns of a source, looked at in the worker: names and types, nothing of its rows. The order is a
    /// `Command::Profile`.
    Profile {
        /// The order.
        order: Box<Signed<Order>>,
        /// The source.
        source: Source,
    },
    /// The keyed id of a patient's local identifier, to be put into an opt-out order.
    OptOutEntry {
        /// The consortium.
        consortium: ConsortiumId,
        /// The dataset.
        dataset: DatasetId,
        /// The patient's identifier as the source writes it.
        patient: String,
    },
    /// Journal entries from one on.
    History {
        /// The consortium.
        consortium: ConsortiumId,
        /// The first.
        from: u64,
        /// How many at most (1,000 a call).
        limit: u32,
        /// Only those that hold or name the one id that begins so: at least 8 hexadecimal digits of the id of a share,
        /// dataset, subscription or snapshot, or of a document's digest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        about: Option<String>,
    },
    /// The first journal entries (1,000 at most) that hold or name the one id that begins so. Answered like `History`.
    Find {
        /// The consortium.
        consortium: ConsortiumId,
        /// At least 8 hexadecimal digits.
        id: String,
    },
    /// Why the last run of a mapping made nothing: columns and places, never cells. The order is a
    /// `Command::ReadMapped`.
    MappingFault {
        /// The order.
        order: Box<Signed<Order>>,
    },
    /// Why the last load of a vocabulary made nothing: files and lines, never cells.
    VocabularyFault,
    /// The consortium's own common schema, in its canonical form.
    CommonSchema {
        /// The consortium.
        consortium: ConsortiumId,
    },
    /// The report of a mapping's last run. The order is a `Command::ReadMapped`.
    MappingReport {
        /// The order.
        order: Box<Signed<Order>>,
    },
    /// Write the quarantine of a mapping's last run to a new file. The order is a `Command::ReadMapped`.
    Quarantine {
        /// The order.
        order: Box<Signed<Order>>,
        /// An absolute path that does not exist yet; `.parquet` or `.csv`.
        path: String,
    },
    /// Why the last publication changed nothing: tables, columns and places, never cells. The order is a
    /// `Command::ReadTables`.
    PublicationFault {
        /// The order.
        order: Box<Signed<Order>>,
    },
    /// Write the files of the table versions in use into a new folder. The order is a `Command::ReadTables`.
    ExportTables {
        /// The order.
        order: Box<Signed<Order>>,
        /// An absolute path that does not exist yet.
        folder: String,
    },
    /// What the gates measure of a mapping's tables as they would leave. The order is a `Command::CheckMapping`.
    CheckMapping {
        /// The order.
        order: Box<Signed<Order>>,
        /// Whether the sources are mapped anew although the last run's tables are fresh.
        again: bool,
    },
    /// The gates over one member's landed tables. The order is a `Command::CheckTables`.
    CheckTables {
        /// The order.
        order: Box<Signed<Order>>,
        /// Other thresholds, as a file has them.
        thresholds: Option<String>,
    },
    /// Compare the members' landed tables. The order is a `Command::CompareSites`.
    CompareSites {
        /// The order.
        order: Box<Signed<Order>>,
    },
    /// Answer a question in SQL. The order is a `Command::Query`.
    Query {
        /// The order.
        order: Box<Signed<Order>>,
        /// The question and its bounds.
        asked: Asked,
    },
    /// Ask for a release. The order is a `Command::RequestRelease` that names the request.
    RequestRelease {
        /// The order.
        order: Box<Signed<Order>>,
        /// The request.
        request: Box<ReleaseRequest>,
    },
    /// Why a request was not understood; nothing where it was.
    ReleaseFault {
        /// The consortium.
        consortium: ConsortiumId,
        /// The release.
        release: ReleaseId,
    },
    /// Everything of a release for its privacy officer. The order is a `Command::Query` for it.
    ReleaseReport {
        /// The order.
        order: Box<Signed<Order>>,
        /// The release.
        release: ReleaseId,
        /// What was hashed before the question.
        salt: Nonce,
    },
    /// Try several ways of recoding for a request. The order is a `Command::Query` for it.
    Explore {
        /// The order.
        order: Box<Signed<Order>>,
        /// The request.
        request: Box<ReleaseRequest>,
        /// Why.
        reason: String,
        /// What was hashed before question and reason.
        salt: Nonce,
    },
    /// Write what a subscription's consumer lacks into a new folder, to be carried by hand. The order is a
    /// `Command::Export`.
    Export {
        /// The order.
        order: Box<Signed<Order>>,
        /// An absolute path that does not exist yet.
        folder: String,
    },
    /// Take in a folder that a provider exported. The order is a `Command::Import`.
    Import {
        /// The order.
        order: Box<Signed<Order>>,
        /// The folder.
        folder: String,
    },
    /// Join a consortium that has answered our JOIN: begins its journal and starts dialling. Used by `cohortium join`.
    Enter {
        /// The consortium.
        consortium: ConsortiumId,
    },
    /// Re-read every stored blob, journal record and log tile and name the first that is wrong.
    Verify,
    /// Stop the daemon gracefully.
    Shutdown,
}

/// A question in SQL, and why it is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Asked {
    /// The SQL.
    pub question: String,
    /// Why.
    pub reason: String,
    /// What was hashed before both for the order.
    pub salt: Nonce,
    /// Rows of the answer; one more is a refusal.
    pub rows_max: u64,
    /// An absolute path that does not exist yet, `.parquet` or `.csv`; without one the answer comes back.
    pub path: Option<String>,
}

/// One answer line. Long work sends `Progress` lines before the last one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// Not the last line: this much of the work is done.
    Progress {
        /// Done, in `unit`.
        done: u64,
        /// Of how many, if known.
        total: Option<u64>,
        /// `bytes` or `rows`.
        unit: String,
    },
    /// Carried out; nothing to say.
    Done,
    /// To `Ping`.
    Pong {
        /// The daemon's version.
        version: String,
        /// Its process id.
        pid: u32,
    },
    /// To `View`.
    View(Vec<View>),
    /// To `Preview` and `Query`.
    Rows {
        /// Column names.
        header: Vec<String>,
        /// Cells; `null` for a missing one.
        rows: Vec<Vec<Option<String>>>,
        /// Columns that stay.
        dropped: Vec<String>,
        /// Who would receive them.
        recipients: Vec<Name>,
    },
    /// To `MappingFault`, `VocabularyFault`, `PublicationFault`, `CommonSchema`, `MappingReport`, `CheckMapping`,
    /// `CheckTables`, `CompareSites`, `ReleaseFault`, `ReleaseReport` and `Explore`.
    Told {
        /// A sentence, a schema, or a report's JSON; nothing where there is nothing to tell.
        message: Option<String>,
    },
    /// To `Count`, and to a `Query` whose answer is in a file.
    Count {
        /// Distinct rows.
        rows: u64,
    },
    /// To `Profile`.
    Columns(Vec<Column>),
    /// To `OptOutEntry`.
    OptOutEntry(OptOutEntry),
    /// To `History` and `Find`.
    History(Vec<(u64, JournalEntry)>),
    /// To `Export`.
    Exported {
        /// Bytes of blobs written.
        bytes: u64,
        /// Snapshots in the folder.
        snapshots: u64,
    },
    /// Refused or failed.
    Error {
        /// Which exit code the command line ends with.
        kind: ErrorKind,
        /// For a person: the fault, the place, what to do.
        message: String,
    },
}

/// What kind of failure; each has its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The request is not understood or its arguments are wrong: 2.
    Usage,
    /// The rules or a role refuse it: 3.
    Refused,
    /// No such thing: 4.
    NotFound,
    /// A check found something wrong: 5.
    VerifyFailed,
    /// The peer or network is not there: 6.
    Unreachable,
    /// Disk, journal or worker: 7.
    Local,
}

/// Everything a node knows of one consortium, for people and scripts. No row, no secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct View {
    /// Its id.
    pub consortium: ConsortiumId,
    /// This node's name in it.
    pub party: Name,
    /// Entries in the journal.
    pub journal_entries: u64,
    /// Whether all output is stopped.
    pub stopped: bool,
    /// The charter in force that this node has accepted.
    pub charter: Option<Charter>,
    /// Charter versions that wait for signatures, with who has signed.
    pub proposals: Vec<Proposal>,
    /// Hospitals that used their token and wait to be admitted, with root fingerprints.
    pub joining: BTreeMap<Name, Joining>,
    /// Persons of this node.
    pub persons: Vec<PersonView>,
    /// The parties and how they stand.
    pub parties: BTreeMap<Name, PartyView>,
    /// This node's datasets.
    pub datasets: Vec<Dataset>,
    /// This node's shares.
    pub shares: Vec<ShareView>,
    /// Subscriptions, as provider or consumer.
    pub subscriptions: Vec<SubscriptionView>,
    /// This node's mappings.
    pub mappings: Vec<MappingView>,
    /// Vocabularies that were loaded here; the last is in use.
    pub vocabularies: Vec<VocabularyView>,
    /// How many loads have ended.
    pub vocabulary_loads: u64,
    /// Why the last of them made nothing.
    pub vocabulary_fault: Option<String>,
    /// Kept sets of table versions, the oldest first.
    pub table_sets: Vec<Consolidation>,
    /// The consolidation in use, by its digest.
    pub tables: Option<DocumentDigest>,
    /// Why the last consolidation made nothing.
    pub tables_fault: Option<String>,
    /// Whether one runs.
    pub consolidating: bool,
    /// The consolidation that was to be published last, and why it was not.
    pub published: Option<(DocumentDigest, Option<String>)>,
    /// Whether a publication runs.
    pub publishing: bool,
    /// Notices of comparisons: at a member about itself, at the operator those it has made. The oldest first.
    pub notices: Vec<SiteNotice>,
    /// Pipelines of this node.
    pub pipelines: Vec<PipelineView>,
    /// Projects: those that wait for approval, and each in its last approved version.
    pub projects: Vec<ProjectView>,
    /// Releases that were asked for here, as far as who asked may know.
    pub releases: Vec<ReleaseView>,
    /// Every debit to every account, the oldest first.
    pub ledger: Vec<DebitView>,
    /// What releases have cost this node's patients, and what members are asked about.
    pub budget: BudgetView,
    /// Recalls of releases, made here or received.
    pub withdrawals: Vec<Withdrawal>,
    /// Epoch of the linkage key held, if any.
    pub linkage_epoch: Option<u32>,
}

/// A charter version that waits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Proposal {
    /// Its digest, hexadecimal.
    pub digest: String,
    /// The charter.
    pub charter: Charter,
    /// Who has signed.
    pub signed: Vec<Name>,
    /// Whose signatures count.
    pub eligible: Vec<Name>,
    /// How many of them are needed.
    pub needed: usize,
}

/// A hospital that asked to join.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Joining {
    /// Its root key, hexadecimal.
    pub root: String,
    /// To be compared by voice.
    pub fingerprint: String,
}

/// A person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PersonView {
    /// Name.
    pub person: Name,
    /// Roles.
    pub roles: Vec<cohortium_protocol::record::person::Role>,
    /// Key, hexadecimal.
    pub key: String,
}

/// A party.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PartyView {
    /// Operator or member.
    pub kind: cohortium_protocol::record::charter::PartyKind,
    /// Title.
    pub title: String,
    /// To be compared by voice.
    pub fingerprint: String,
    /// Whether a person here has compared it.
    pub confirmed: bool,
    /// Whether it is connected now.
    pub connected: bool,
    /// By how many milliseconds its clock was ahead of this node's when the connection began; the way of that message
    /// is in it. Only of a connected party.
    pub clock_ahead_ms: Option<i64>,
}

/// A share of this node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShareView {
    /// Its terms.
    pub share: Share,
    /// Digest of the terms, hexadecimal.
    pub terms: String,
    /// Whether the privacy officer has approved exactly these.
    pub approved: bool,
    /// Its last snapshot.
    pub last: Option<SnapshotId>,
    /// Snapshots stated so far.
    pub snapshots: u64,
}

/// A mapping.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MappingView {
    /// Its name.
    pub name: Name,
    /// Its last version.
    pub version: u32,
    /// The digest of that.
    pub digest: DocumentDigest,
    /// The digest of the common schema.
    pub schema: DocumentDigest,
    /// The tables it makes.
    pub tables: Vec<Name>,
    /// How often this version has run.
    pub runs: u64,
    /// Why the last run made nothing.
    pub fault: Option<String>,
    /// The set of tables that it made last.
    pub set: Option<BlobDigest>,
    /// Whether a patient has opted out since, or a source was defined anew.
    pub stale: bool,
    /// Whether patients are linked over members in it.
    pub linked: bool,
    /// Whose signed order defined this version.
    pub by: Name,
    /// When.
    pub at: String,
    /// Its sources, by the names that its rules use.
    pub sources: BTreeMap<Name, DatasetId>,
}

/// A vocabulary.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VocabularyView {
    /// Its release, as its maker writes it.
    pub release: Text,
    /// The digest of the download.
    pub digest: DocumentDigest,
    /// When it was loaded.
    pub at: String,
    /// Whether codes are mapped with it.
    pub in_use: bool,
}

/// A pipeline and how it stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PipelineView {
    /// As it was ordered.
    pub pipeline: Pipeline,
    /// The digest of that order.
    pub order: DocumentDigest,
    /// Who gave it.
    pub person: Name,
    /// The step that it is at, from 0.
    pub step: Option<u16>,
    /// The attempt that is made or comes next, from 1.
    pub attempt: Option<u16>,
    /// `waiting`, `running`, `resting` or `parked`.
    pub state: String,
    /// Why it rests or is parked.
    pub fault: Option<String>,
    /// How often it has come to its end.
    pub runs: u64,
    /// When its last step ended.
    pub last: Option<String>,
}

/// A subscription.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SubscriptionView {
    /// Its id.
    pub subscription: SubscriptionId,
    /// Digest of the last invitation, hexadecimal: what an answer names.
    pub invitation_digest: String,
    /// The last invitation.
    pub invitation: Invitation,
    /// `provider` or `consumer`.
    pub side: String,
    /// `invited`, `active`, `paused`, `revoked`, `refused`, `ended` or `expired`.
    pub state: String,
    /// The share.
    pub share: ShareId,
    /// Ends at this time, after changes.
    pub expires: String,
    /// Snapshots stated or received, in order.
    pub snapshots: Vec<SnapshotView>,
    /// The landed version in use.
    pub current: Option<SnapshotId>,
    /// Bytes served under it so far (provider).
    pub bytes_served: u64,
}

/// A snapshot within a subscription.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SnapshotView {
    /// Its id.
    pub snapshot: SnapshotId,
    /// Its number.
    pub sequence: u64,
    /// Full or delta.
    pub base: cohortium_protocol::record::manifest::Base,
    /// Bytes of its blobs.
    pub bytes: u64,
    /// `stated`, `landing`, `landed`, `refused` or `erased`.
    pub state: String,
}
