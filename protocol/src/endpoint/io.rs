//! What goes into an endpoint and what comes out: the whole surface between the protocol and the world.
//!
//! The driver (a node, or the simulator) feeds every [`Input`] in the order it happened and carries out every [`Effect`]
//! in the order it was given. It decides nothing. Bulk bytes never pass through here: effects name blobs and ranges.

use crate::code::ErrorCode;
use crate::digest::DocumentDigest;
use crate::ident::{ConsortiumId, Name, ReleaseId, ShareId, SubscriptionId, Text};
use crate::key::pair::{PublicKey, SealingKey};
use crate::key::signed::Signed;
use crate::log::tree::{TreeHash, TreeHead};
use crate::quantity::{Bytes, Rows};
use crate::record::journal_entry::{JournalEntry, RunFault};
use crate::record::listing::{BlobRef, Listing};
use crate::record::manifest::{Base, LinkageKeyId, LinkageStatement};
use crate::record::mapping::Origin;
use crate::record::order::Order;
use crate::record::vocabulary::{LoadedVocabulary, Vocabulary};
use crate::time::{Millis, UnixMillis};
use crate::wire::codec::Blob;

pub use super::exchange::{Answer, Message, Part};
pub use super::notice::{Notice, OrderFault, TOO_FEW_SITES};
pub use super::plan::{
    ConsolidatedSet, ConsolidationPlan, Gates, LandedTable, LandedVersion, MadeRelease, MapEnd, MapPlan, Parts,
    PublishPlan, ReleasePlan, RequestPlan, RequestRead, RunPlan, SiteDepartures,
};

/// What time it is, told with every input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cx {
    /// Monotonic, for deadlines.
    pub mono: Millis,
    /// Wall clock, for validity.
    pub wall: UnixMillis,
}

/// A connection, numbered by the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// A request that the peer sent on a stream of its own, numbered by the driver; answered at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// Something the endpoint asked for and is waiting for, numbered by the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Who dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// This node.
    Dialler,
    /// The peer.
    Listener,
}

/// Which protocol was agreed by ALPN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// Between parties of a consortium.
    Main,
    /// A hospital that is on no roster yet.
    Join,
    /// No connection at all: a folder that this party exported. It answers fetches and brings documents, and is sent
    /// nothing. What it brings is believed by its signatures alone.
    Offline(Name),
}

/// A subscription in its consortium. A provider chooses its subscriptions' ids, so two consortia may have the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Under {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// The subscription; within a consortium its id belongs to one peer.
    pub subscription: SubscriptionId,
}

/// What a run over a source produced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Full or delta.
    pub base: Base,
    /// The listing, already stored and durable, and its blobs too.
    pub listing: BlobRef,
    /// The listing's content.
    pub content: Listing,
    /// The local row index of a keyed table.
    pub index: Option<BlobRef>,
    /// About the tokens in it.
    pub linkage: Option<LinkageStatement>,
    /// For a mapped table: where its rows come from.
    pub origin: Option<Origin>,
    /// And with which vocabulary its codes were mapped.
    pub vocabulary: Option<Vocabulary>,
}

/// How a run over a source ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnd {
    /// A snapshot is ready to be stated.
    Taken(Box<Taken>),
    /// Nothing differs from the snapshot before.
    Unchanged,
    /// No snapshot, for this reason.
    Failed(RunFault),
}

/// What happened in the world.
#[derive(Debug, Clone)]
pub enum Input {
    /// Time has passed; also sent once after start.
    Tick,
    /// A connection stands; TLS has shown that the peer holds this key.
    Connected {
        /// Its number.
        conn: ConnId,
        /// Who dialled.
        side: Side,
        /// Which protocol.
        protocol: Protocol,
        /// For a dialled connection: for which consortium.
        consortium: Option<ConsortiumId>,
        /// The peer's TLS key.
        tls: PublicKey,
    },
    /// It is gone.
    Disconnected {
        /// Which.
        conn: ConnId,
    },
    /// The peer opened a stream and sent one frame.
    Request {
        /// On which connection.
        conn: ConnId,
        /// The stream.
        stream: StreamId,
        /// The frame.
        message: Message,
    },
    /// A request of ours has ended.
    Answered {
        /// Which.
        ticket: Ticket,
        /// How.
        answer: Answer,
    },
    /// All entries below this sequence number are durable.
    Persisted {
        /// In which consortium.
        consortium: ConsortiumId,
        /// One past the last durable entry.
        upto: u64,
    },
    /// The journal cannot be written: nothing is served from now on.
    JournalFailed,
    /// A person's order, from the control socket.
    Order {
        /// Comes back in [`Effect::OrderDone`].
        ticket: Ticket,
        /// The order.
        order: Box<Signed<Order>>,
    },
    /// A run that a schedule asks for.
    RunDue {
        /// In which consortium.
        consortium: ConsortiumId,
        /// The share.
        share: ShareId,
    },
    /// A run has ended.
    RunEnded {
        /// Which.
        ticket: Ticket,
        /// How.
        end: RunEnd,
    },
    /// A mapping run has ended.
    Mapped {
        /// Which.
        ticket: Ticket,
        /// What it made, durable; or why nothing.
        end: Result<MapEnd, RunFault>,
    },
    /// A vocabulary was read, or could not be.
    VocabularyLoaded {
        /// Which request.
        ticket: Ticket,
        /// Its index, durable; or why nothing.
        end: Result<LoadedVocabulary, RunFault>,
    },
    /// A consolidation has ended.
    Consolidated {
        /// Which.
        ticket: Ticket,
        /// What it made, durable; or why nothing.
        end: Result<Box<ConsolidatedSet>, RunFault>,
    },
    /// A publication has ended.
    Published {
        /// Which.
        ticket: Ticket,
        /// The new version is there, whole; or why it is not.
        end: Result<(), RunFault>,
    },
    /// A request for a release was read and its question planned, or could not be.
    RequestRead {
        /// Which.
        ticket: Ticket,
        /// What it asks for and would read; `None`: it is no request, or its question does not fit the tables.
        read: Option<Box<RequestRead>>,
    },
    /// The computing of a release has ended.
    ReleaseMade {
        /// Which.
        ticket: Ticket,
        /// What was made, durable; or why nothing.
        end: Result<Box<MadeRelease>, RunFault>,
    },
    /// The members' tables were compared, as an order asked for: what departs, by site. Sites at which nothing does are
    /// left out.
    Compared {
        /// The consortium.
        consortium: ConsortiumId,
        /// The consolidation whose tables they are.
        consolidation: DocumentDigest,
        /// What departs, and how many sites there were.
        departures: SiteDepartures,
    },
    /// What begins a pipeline has come, by the clock or by a file.
    PipelineDue {
        /// The consortium.
        consortium: ConsortiumId,
        /// The pipeline.
        pipeline: Name,
        /// What a file is now, by name; `None`: the time.
        cause: Option<DocumentDigest>,
    },
    /// A landing is open; these ranges of it are missing.
    LandingOpened {
        /// Which.
        ticket: Ticket,
        /// What is there already; `None` when the disk refuses.
        state: Option<LandingState>,
    },
    /// A blob of a landing is complete and durable, or could not be made so.
    BlobFinished {
        /// Which.
        ticket: Ticket,
        /// Whether it is durable.
        durable: bool,
    },
    /// A listing was read from the store; `None`: it is not a listing.
    ListingRead {
        /// Which.
        ticket: Ticket,
        /// Its content.
        listing: Option<Listing>,
    },
    /// A sweep has ended.
    Swept {
        /// Whether every blob and landing that nothing names is gone; false after a fault.
        whole: bool,
    },
    /// The worker looked at landed blobs.
    Checked {
        /// Which.
        ticket: Ticket,
        /// Distinct rows of the version, or `None`: refused.
        rows: Option<Rows>,
    },
    /// Bytes of a subscription that left this node.
    Served {
        /// Under which.
        under: Under,
        /// How many.
        bytes: Bytes,
    },
    /// A linkage key was made or opened and is in the keystore, or could not be.
    LinkageKey {
        /// Which request.
        ticket: Ticket,
        /// Its id.
        key: Option<LinkageKeyId>,
    },
    /// Linkage keys were wrapped.
    LinkageWrapped {
        /// Which request.
        ticket: Ticket,
        /// The key's id.
        key: LinkageKeyId,
        /// For each recipient the ephemeral key and ciphertext.
        wraps: Vec<(Name, SealingKey, Blob)>,
    },
    /// The audit log has grown and its checkpoint is published; also sent once after start.
    LogHead {
        /// In which consortium.
        consortium: ConsortiumId,
        /// Its head.
        head: TreeHead,
    },
    /// A consistency proof was made, or could not be.
    LogProof {
        /// Which.
        ticket: Ticket,
        /// The newest published head, and the path to it.
        proof: Option<(TreeHead, Vec<TreeHash>)>,
    },
    /// A peer's checkpoint is kept, or could not be.
    Witnessed {
        /// Which.
        ticket: Ticket,
        /// Whether it is durable.
        durable: bool,
    },
}

/// What is already there of a blob that is being landed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LandingState {
    /// All of it.
    Complete,
    /// The outboard is missing, and so everything.
    NeedsOutboard,
    /// These ranges are missing, by their offsets.
    Missing(Vec<Bytes>),
}

/// What the driver must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Append to the journal, make durable, then report [`Input::Persisted`].
    Persist {
        /// In which consortium.
        consortium: ConsortiumId,
        /// Sequence number of the first.
        first: u64,
        /// The entries.
        entries: Vec<JournalEntry>,
    },
    /// Open a stream, send one frame, read one frame; report [`Input::Answered`].
    Ask {
        /// On which connection.
        conn: ConnId,
        /// Ours.
        ticket: Ticket,
        /// The frame.
        message: Message,
    },
    /// As [`Effect::Ask`]; the answer is bulk bytes that are verified and stored as they come.
    Fetch {
        /// On which connection.
        conn: ConnId,
        /// Ours.
        ticket: Ticket,
        /// Under which subscription, so that it can be cut.
        under: Under,
        /// The frame.
        message: Message,
        /// The blob.
        blob: BlobRef,
        /// Which part.
        part: Part,
    },
    /// Answer a request with one frame.
    Reply {
        /// On which connection.
        conn: ConnId,
        /// The stream.
        stream: StreamId,
        /// The frame.
        message: Message,
    },
    /// Answer a request with bulk bytes from the store. Allowed by the rules at this moment; cut it when told.
    Serve {
        /// On which connection.
        conn: ConnId,
        /// The stream.
        stream: StreamId,
        /// Under which subscription.
        under: Under,
        /// The blob.
        blob: BlobRef,
        /// Which part.
        part: Part,
    },
    /// Stop serving or fetching under this subscription at once; no further byte.
    Cut {
        /// Which.
        under: Under,
    },
    /// Close a connection and tell the peer why.
    Close {
        /// Which.
        conn: ConnId,
        /// Why.
        code: ErrorCode,
    },
    /// The answer to [`Input::Order`].
    OrderDone {
        /// Which.
        ticket: Ticket,
        /// What was refused, in the person's terms.
        result: Result<(), OrderFault>,
    },
    /// Run over a source in the worker; report [`Input::RunEnded`].
    Run {
        /// Ours.
        ticket: Ticket,
        /// What to do.
        plan: Box<RunPlan>,
    },
    /// Map this node's sources in the worker; report [`Input::Mapped`].
    Map {
        /// Ours.
        ticket: Ticket,
        /// What to do.
        plan: Box<MapPlan>,
    },
    /// Read a vocabulary in the worker and keep its index; report [`Input::VocabularyLoaded`].
    LoadVocabulary {
        /// Ours.
        ticket: Ticket,
        /// The folder of the download.
        folder: Text,
    },
    /// Make table versions of landed tables in the worker; report [`Input::Consolidated`].
    Consolidate {
        /// Ours.
        ticket: Ticket,
        /// What to do.
        plan: Box<ConsolidationPlan>,
    },
    /// Write table versions to a database in the worker; report [`Input::Published`].
    Publish {
        /// Ours.
        ticket: Ticket,
        /// What to do.
        plan: Box<PublishPlan>,
    },
    /// Read a request for a release and plan its question without a row; report [`Input::RequestRead`].
    ReadRequest {
        /// Ours.
        ticket: Ticket,
        /// What to do.
        plan: Box<RequestPlan>,
    },
    /// Compute a release in the worker; report [`Input::ReleaseMade`]. It is paid for.
    Release {
        /// Ours.
        ticket: Ticket,
        /// What to do.
        plan: Box<ReleasePlan>,
    },
    /// Open or resume the landing of a blob; report [`Input::LandingOpened`].
    OpenLanding {
        /// Ours.
        ticket: Ticket,
        /// The blob.
        blob: BlobRef,
    },
    /// Make a complete landing durable; report [`Input::BlobFinished`].
    FinishBlob {
        /// Ours.
        ticket: Ticket,
        /// The blob.
        blob: BlobRef,
    },
    /// Read a listing from the store; report [`Input::ListingRead`].
    ReadListing {
        /// Ours.
        ticket: Ticket,
        /// The blob.
        blob: BlobRef,
    },
    /// Look at a landed version in the worker; report [`Input::Checked`].
    Check {
        /// Ours.
        ticket: Ticket,
        /// The version.
        version: LandedVersion,
        /// For the folder of a release: the consortium that it must be anchored in, and which release it must be. It is
        /// verified offline, all of it.
        release: Option<(ConsortiumId, ReleaseId)>,
    },
    /// Remove every blob and landing that no live listing or index names; report [`Input::Swept`].
    Sweep,
    /// Make a linkage key and keep it; report [`Input::LinkageKey`].
    MakeLinkageKey {
        /// Ours.
        ticket: Ticket,
        /// The consortium.
        consortium: ConsortiumId,
        /// The epoch.
        epoch: u32,
    },
    /// Wrap a linkage key to each recipient; report [`Input::LinkageWrapped`].
    WrapLinkageKey {
        /// Ours.
        ticket: Ticket,
        /// The consortium.
        consortium: ConsortiumId,
        /// The epoch.
        epoch: u32,
        /// To whom.
        recipients: Vec<(Name, SealingKey)>,
    },
    /// Open a wrap and keep the key if its id is the stated one; report [`Input::LinkageKey`].
    OpenLinkageWrap {
        /// Ours.
        ticket: Ticket,
        /// The consortium.
        consortium: ConsortiumId,
        /// The epoch.
        epoch: u32,
        /// The stated id.
        key: LinkageKeyId,
        /// The ephemeral key.
        ephemeral: SealingKey,
        /// The ciphertext.
        ciphertext: Blob,
    },
    /// Prove that this node's log only grew since its checkpoint of size `from`; report [`Input::LogProof`].
    ProveLog {
        /// Ours.
        ticket: Ticket,
        /// The consortium.
        consortium: ConsortiumId,
        /// The earlier size.
        from: u64,
    },
    /// Keep a peer's checkpoint as the last one that this node cosigned, durably, in place of the one before; report
    /// [`Input::Witnessed`]. After a start it is given back by `Endpoint::remember_witnessed`.
    Witness {
        /// Ours.
        ticket: Ticket,
        /// The consortium.
        consortium: ConsortiumId,
        /// Whose log.
        peer: Name,
        /// The checkpoint with this node's cosignature.
        checkpoint: String,
    },
    /// Add a peer's cosignature to this node's checkpoint of this size.
    KeepCosignature {
        /// The consortium.
        consortium: ConsortiumId,
        /// The checkpoint's size.
        size: u64,
        /// The name that the peer cosigns under.
        name: String,
        /// Its key.
        key: PublicKey,
        /// The checkpoint with the cosignature.
        checkpoint: String,
    },
    /// Keep two checkpoints of a peer that are not of one log, for people and for good.
    KeepEvidence {
        /// The consortium.
        consortium: ConsortiumId,
        /// Whose log.
        peer: Name,
        /// The one that this node cosigned last.
        last: String,
        /// The one that it was shown now.
        now: String,
    },
    /// Tell people.
    Notify(Notice),
}
