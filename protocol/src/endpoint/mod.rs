//! The endpoint: one node's part in all its consortia, without I/O. Inputs in, effects out.
//!
//! Order of use: [`Endpoint::handle`] one input, then [`Endpoint::poll_effect`] until it gives `None`, then
//! [`Endpoint::poll_wake`] for the time of the next `Input::Tick`. Nothing leaves before the entry that explains it is
//! durable: effects that depend on an entry are held back until `Input::Persisted` (spec JRNL-1).

#![expect(clippy::similar_names, reason = "a room and a root key are the words of this field")]

pub mod notice;
pub mod plan;
pub mod exchange;
pub mod io;
mod hello;
mod join;
mod documents;
mod answers;
mod provide;
mod land;
mod orders;
mod charter_orders;
mod share_orders;
mod table_orders;
mod sites;
mod pipelines;
mod release_orders;
mod releases;
mod objections;
mod linkage;
mod upkeep;
mod witness;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::code::{ErrorCode, MessageType};
use crate::digest::BlobDigest;
use crate::ident::{ConsortiumId, Name, ReleaseId, ShareId, SnapshotId, SubscriptionId};
use crate::key::pair::{KeyPair, PublicKey, SealingKey};
use crate::key::signed::Signed;
use crate::log::tree::TreeHead;
use crate::message::hello::Refused;
use crate::record::journal_entry::{Act, Actor, JournalEntry, RunFault};
use crate::record::listing::BlobRef;
use crate::record::node_record::NodeRecord;
use crate::state::State;
use crate::state::charters::Standing;
use crate::time::{Millis, UnixMillis};
use crate::wire::codec;

use io::{ConnId, Cx, Effect, Input, Message, Notice, OrderFault, Protocol, Side, StreamId, Ticket, Under};
use land::Landing;
use provide::Parked;

/// A node's keys in one consortium.
#[expect(missing_debug_implementations, reason = "holds secrets")]
#[derive(Clone)]
pub struct NodeKeys {
    /// Signs charters and node records; `None` where it is kept offline.
    pub root: Option<KeyPair>,
    /// Signs documents.
    pub signing: KeyPair,
    /// The public half of the TLS key.
    pub tls: PublicKey,
    /// The public half of the sealing key.
    pub sealing: SealingKey,
}

/// This node's place in one consortium.
#[expect(missing_debug_implementations, reason = "holds secrets")]
#[derive(Clone)]
pub struct Membership {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// Which party this node is.
    pub party: Name,
    /// The operator's root key, by which the first charter is known.
    pub operator_root: PublicKey,
    /// Its keys.
    pub keys: NodeKeys,
}

/// One consortium as this node takes part in it.
struct Room {
    keys: NodeKeys,
    state: State,
    persisted: u64,
    held: VecDeque<(u64, Effect)>,
    landings: BTreeMap<SubscriptionId, Landing>,
    retry_at: BTreeMap<SubscriptionId, Millis>,
    running: BTreeSet<ShareId>,
    /// Mappings that run.
    mapping: BTreeSet<Name>,
    /// Whether a consolidation runs.
    consolidating: bool,
    /// Whether a vocabulary is being loaded.
    loading: bool,
    /// Why the last consolidation since the start made nothing; `None` after one that did, or found nothing new.
    tables_fault: Option<RunFault>,
    /// Whether a publication runs.
    publishing: bool,
    /// Releases that are asked for, computed, or wait for the officer.
    desk: releases::Desk,
    /// Steps of pipelines that are under way, by what ends them.
    stepping: BTreeMap<plan::Awaited, Name>,
    listings: BTreeMap<SnapshotId, BTreeMap<BlobDigest, BlobRef>>,
    parked: Vec<Parked>,
    served: BTreeMap<SubscriptionId, u64>,
    refusals: upkeep::RefusalBudget,
    growth: BTreeMap<Name, upkeep::GrowthBudget>,
    /// Until when nothing is sent to a peer that was busy.
    rests: BTreeMap<Name, Millis>,
    logs: witness::Logs,
}

/// One connection.
#[derive(Debug)]
struct Conn {
    side: Side,
    protocol: Protocol,
    /// For which consortium it was dialled.
    consortium: Option<ConsortiumId>,
    tls: PublicKey,
    opened: Millis,
    up: Option<Up>,
    /// Requests that overtook the answer to our HELLO on other streams; they wait for it.
    early: Vec<(StreamId, Message)>,
}

/// Requests of a listener that may overtake its answer to HELLO.
const EARLY_MAX: usize = 8;

/// A connection after HELLO.
#[derive(Debug, Clone)]
struct Up {
    consortium: ConsortiumId,
    peer: Name,
    standing: Standing,
    /// Number of the next document for the peer.
    next: u64,
    /// The request that carries it, while it is under way.
    sending: Option<Ticket>,
    /// When the head of this node's log was last shown on this connection.
    offered: Option<Millis>,
    /// The dialler's newer node record, until its first word after HELLO: a dialler that sees in the answer that its disk was
    /// rolled back says none, and the record that it made meanwhile must not stand in the way of the true one.
    record: Option<Signed<NodeRecord>>,
    /// What both clocks showed at HELLO; none for a folder.
    clocks: Option<Clocks>,
}

/// Two nodes' wall clocks as HELLO compared them: the peer's when it wrote, this one's when it read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// The peer's.
    pub theirs: UnixMillis,
    /// This node's.
    pub ours: UnixMillis,
}

/// What a ticket stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Waiting {
    Hello(ConnId),
    Document(ConnId),
    Blob { consortium: ConsortiumId, subscription: SubscriptionId, blob: BlobRef, step: land::Step },
    Listing { consortium: ConsortiumId, subscription: SubscriptionId },
    Check { consortium: ConsortiumId, subscription: SubscriptionId },
    ServeListing { consortium: ConsortiumId, snapshot: SnapshotId },
    Run(Box<io::RunPlan>),
    Map(Box<io::MapPlan>),
    Consolidate(Box<io::ConsolidationPlan>),
    LoadVocabulary(ConsortiumId),
    Publish(Box<io::PublishPlan>),
    Request { consortium: ConsortiumId, release: ReleaseId },
    Release { consortium: ConsortiumId, release: ReleaseId },
    LinkageKey { consortium: ConsortiumId, epoch: u32 },
    LinkageWrap { consortium: ConsortiumId, epoch: u32, recipients: Vec<(Name, SealingKey)> },
    LogProof { conn: ConnId, from: u64, asked: bool },
    LogOffer { conn: ConnId, old: u64, asked: bool, head: TreeHead, checkpoint: String },
    Witness { consortium: ConsortiumId, peer: Name, to: (ConnId, StreamId), checkpoint: String },
}

/// One node's part in all its consortia.
#[expect(missing_debug_implementations, reason = "holds secrets")]
#[derive(Default)]
pub struct Endpoint {
    rooms: BTreeMap<ConsortiumId, Room>,
    conns: BTreeMap<ConnId, Conn>,
    waiting: BTreeMap<Ticket, Waiting>,
    effects: VecDeque<Effect>,
    tickets: u64,
    failed: bool,
    now: Option<Cx>,
    last_upkeep: Millis,
    /// Subscriptions that were over at the last look, and so are cut.
    expired: BTreeSet<Under>,
}

impl Endpoint {
    /// Takes part in a consortium, with what the journal holds of it from the first entry on.
    pub fn enter(&mut self, membership: Membership, journal: impl IntoIterator<Item = JournalEntry>) {
        let mut state = State::new(membership.consortium, membership.party, membership.operator_root);
        journal.into_iter().for_each(|entry| state.apply(&entry));
        let room = Room {
            keys: membership.keys,
            persisted: state.entries,
            state,
            held: VecDeque::new(),
            landings: BTreeMap::new(),
            retry_at: BTreeMap::new(),
            running: BTreeSet::new(),
            mapping: BTreeSet::new(),
            loading: false,
            consolidating: false,
            tables_fault: None,
            publishing: false,
            desk: releases::Desk::default(),
            stepping: BTreeMap::new(),
            listings: BTreeMap::new(),
            parked: Vec::new(),
            served: BTreeMap::new(),
            refusals: upkeep::RefusalBudget::default(),
            growth: BTreeMap::new(),
            rests: BTreeMap::new(),
            logs: witness::Logs::default(),
        };
        self.rooms.insert(membership.consortium, room);
        // What a crash left behind goes, and erasures that were entered before it are stated.
        self.effects.push_back(Effect::Sweep);
    }

    /// Takes one thing that happened.
    pub fn handle(&mut self, cx: Cx, input: Input) {
        self.now = Some(cx);
        if self.failed {
            return self.refuse_all(&input);
        }
        match input {
            Input::Tick => {
                self.upkeep();
                self.waited();
            }
            Input::Connected { conn, side, protocol, consortium, tls } => {
                self.connected(conn, side, protocol, consortium, tls);
            }
            Input::Disconnected { conn } => self.disconnected(conn),
            Input::Request { conn, stream, message } => self.request(conn, stream, &message),
            Input::Answered { ticket, answer } => self.answered(ticket, answer),
            Input::Persisted { consortium, upto } => self.persisted(consortium, upto),
            Input::JournalFailed => self.journal_failed(),
            Input::Order { ticket, order } => self.order(ticket, &order),
            Input::RunDue { consortium, share } => self.run_due(consortium, share),
            Input::RunEnded { ticket, end } => self.run_ended(ticket, end),
            Input::Mapped { ticket, end } => self.mapped(ticket, end),
            Input::VocabularyLoaded { ticket, end } => self.vocabulary_loaded(ticket, end),
            Input::Consolidated { ticket, end } => self.consolidated(ticket, end),
            Input::Published { ticket, end } => self.published(ticket, end),
            Input::RequestRead { ticket, read } => self.request_read(ticket, read),
            Input::ReleaseMade { ticket, end } => self.release_made(ticket, end),
            Input::Compared { consortium, consolidation, departures } => {
                self.compared(consortium, consolidation, departures);
            }
            Input::PipelineDue { consortium, pipeline, cause } => self.pipeline_due(consortium, &pipeline, cause),
            Input::LandingOpened { ticket, state } => self.landing_opened(ticket, state),
            Input::BlobFinished { ticket, durable } => self.blob_finished(ticket, durable),
            Input::ListingRead { ticket, listing } => self.listing_read(ticket, listing),
            Input::Checked { ticket, rows } => self.checked(ticket, rows),
            Input::Swept { whole } => self.swept(whole),
            Input::Served { under, bytes } => self.note_served(under, bytes),
            Input::LinkageKey { ticket, key } => self.linkage_key(ticket, key),
            Input::LinkageWrapped { ticket, key, wraps } => self.linkage_wrapped(ticket, key, wraps),
            Input::LogHead { consortium, head } => self.log_head(consortium, head),
            Input::LogProof { ticket, proof } => self.log_proof(ticket, proof),
            Input::Witnessed { ticket, durable } => self.witnessed(ticket, durable),
        }
        self.pump();
    }

    /// The next thing to do, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn cx(&self) -> Cx {
        self.now.unwrap_or(Cx { mono: Millis(0), wall: UnixMillis(0) })
    }

    fn ticket(&mut self, waiting: Waiting) -> Ticket {
        self.tickets = self.tickets.saturating_add(1);
        let ticket = Ticket(self.tickets);
        self.waiting.insert(ticket, waiting);
        ticket
    }

    /// Writes acts to the journal: applied at once, durable before anything that comes of them leaves.
    fn persist(&mut self, consortium: ConsortiumId, actor: &Actor, acts: Vec<Act>) {
        let at = self.cx().wall;
        let Some(room) = self.rooms.get_mut(&consortium) else { return };
        let first = room.state.entries;
        let entries: Vec<JournalEntry> =
            acts.into_iter().map(|act| JournalEntry { at, actor: actor.clone(), act }).collect();
        if entries.is_empty() {
            return;
        }
        for entry in &entries {
            room.state.apply(entry);
        }
        self.effects.push_back(Effect::Persist { consortium, first, entries });
    }

    /// Gives an effect as soon as everything written so far in this consortium is durable.
    fn after(&mut self, consortium: ConsortiumId, effect: Effect) {
        match self.rooms.get_mut(&consortium) {
            Some(room) if room.persisted < room.state.entries => room.held.push_back((room.state.entries, effect)),
            Some(_) | None => self.effects.push_back(effect),
        }
    }

    /// No further byte under a subscription: what is under way is cut, and what waits for durability is not begun.
    fn cut(&mut self, under: Under, code: ErrorCode) {
        let mut begun = Vec::new();
        if let Some(room) = self.rooms.get_mut(&under.consortium) {
            room.held.retain(|(_, effect)| {
                if let Effect::Serve { conn, stream, under: of, .. } = effect
                    && *of == under
                {
                    begun.push((*conn, *stream));
                    return false;
                }
                !matches!(effect, Effect::Fetch { under: of, .. } if *of == under)
            });
        }
        for (conn, stream) in begun {
            self.reply_now(conn, stream, refused(code));
        }
        self.effects.push_back(Effect::Cut { under });
    }

    fn persisted(&mut self, consortium: ConsortiumId, upto: u64) {
        let Some(room) = self.rooms.get_mut(&consortium) else { return };
        room.persisted = room.persisted.max(upto);
        while room.held.front().is_some_and(|(needs, _)| *needs <= room.persisted) {
            self.effects.extend(room.held.pop_front().map(|(_, effect)| effect));
        }
        self.compute_what_is_paid(consortium);
    }

    /// A log that cannot be written: nothing is served from now on (law 10).
    fn journal_failed(&mut self) {
        self.failed = true;
        self.rooms.values_mut().for_each(|room| room.held.clear());
        let conns: Vec<ConnId> = self.conns.keys().copied().collect();
        for conn in conns {
            self.close(conn, ErrorCode::Unavailable);
        }
        for (consortium, room) in &self.rooms {
            let all = room.state.subscriptions.keys();
            let under = all.map(|subscription| Under { consortium: *consortium, subscription: *subscription });
            self.effects.extend(under.map(|under| Effect::Cut { under }));
        }
    }

    fn refuse_all(&mut self, input: &Input) {
        match *input {
            Input::Order { ticket, .. } => {
                self.effects.push_back(Effect::OrderDone { ticket, result: Err(OrderFault::Unavailable) });
            }
            Input::Request { conn, stream, .. } => {
                let message = refused(ErrorCode::Unavailable);
                self.effects.push_back(Effect::Reply { conn, stream, message });
            }
            Input::Connected { conn, .. } => self.close(conn, ErrorCode::Unavailable),
            Input::Tick
            | Input::Disconnected { .. }
            | Input::Answered { .. }
            | Input::Persisted { .. }
            | Input::JournalFailed
            | Input::RunDue { .. }
            | Input::RunEnded { .. }
            | Input::Mapped { .. }
            | Input::VocabularyLoaded { .. }
            | Input::Consolidated { .. }
            | Input::Published { .. }
            | Input::RequestRead { .. }
            | Input::ReleaseMade { .. }
            | Input::Compared { .. }
            | Input::PipelineDue { .. }
            | Input::LandingOpened { .. }
            | Input::BlobFinished { .. }
            | Input::ListingRead { .. }
            | Input::Checked { .. }
            | Input::Swept { .. }
            | Input::Served { .. }
            | Input::LinkageKey { .. }
            | Input::LinkageWrapped { .. }
            | Input::LogHead { .. }
            | Input::LogProof { .. }
            | Input::Witnessed { .. } => {}
        }
    }

    fn close(&mut self, conn: ConnId, code: ErrorCode) {
        self.disconnected(conn);
        self.effects.push_back(Effect::Close { conn, code });
    }

    fn disconnected(&mut self, conn: ConnId) {
        let Some(gone) = self.conns.remove(&conn) else { return };
        self.waiting.retain(|_, waiting| match waiting {
            Waiting::Hello(of)
            | Waiting::Document(of)
            | Waiting::LogProof { conn: of, .. }
            | Waiting::LogOffer { conn: of, .. } => *of != conn,
            Waiting::Blob { .. }
            | Waiting::Listing { .. }
            | Waiting::Check { .. }
            | Waiting::ServeListing { .. }
            | Waiting::Run(_)
            | Waiting::Map(_)
            | Waiting::LoadVocabulary(_)
            | Waiting::Consolidate(_)
            | Waiting::Publish(_)
            | Waiting::Request { .. }
            | Waiting::Release { .. }
            | Waiting::LinkageKey { .. }
            | Waiting::LinkageWrap { .. }
            | Waiting::Witness { .. } => true,
        });
        if let Some(up) = gone.up {
            self.drop_landings(up.consortium, &up.peer);
            self.effects.push_back(Effect::Notify(Notice::PeerDown(up.peer)));
        }
    }

    fn request(&mut self, conn: ConnId, stream: StreamId, message: &Message) {
        self.take_record(conn);
        let Some(known) = self.conns.get(&conn) else { return };
        match (&known.up, &known.protocol, known.side, message.kind) {
            (None, Protocol::Main, Side::Listener, MessageType::Hello) => self.hello_received(conn, stream, message),
            (None, Protocol::Join, Side::Listener, MessageType::Join) => self.join_received(conn, stream, message),
            (Some(up), _, _, MessageType::Document) => {
                let up = up.clone();
                self.document_received(conn, stream, &up, message);
            }
            (Some(up), Protocol::Main, _, MessageType::RangeGet | MessageType::OutboardGet) => {
                let up = up.clone();
                self.transfer_asked(conn, stream, &up, message);
            }
            (Some(up), Protocol::Main, _, MessageType::Checkpoint) => {
                let up = up.clone();
                self.checkpoint_received(conn, stream, &up, message);
            }
            (None, Protocol::Main, Side::Dialler, _) if known.early.len() < EARLY_MAX => {
                if let Some(known) = self.conns.get_mut(&conn) {
                    known.early.push((stream, message.clone()));
                }
            }
            (None, _, _, _) => {
                self.reply_now(conn, stream, refused(ErrorCode::OutOfOrder));
                self.close(conn, ErrorCode::OutOfOrder);
            }
            (Some(_), _, _, _) => self.reply_now(conn, stream, refused(ErrorCode::OutOfOrder)),
        }
    }

    fn reply_now(&mut self, conn: ConnId, stream: StreamId, message: Message) {
        self.effects.push_back(Effect::Reply { conn, stream, message });
    }

    fn answered(&mut self, ticket: Ticket, answer: io::Answer) {
        match self.waiting.remove(&ticket) {
            Some(Waiting::Hello(conn)) => self.hello_answered(conn, answer),
            Some(Waiting::Document(conn)) => self.document_answered(conn, &answer),
            Some(Waiting::Blob { consortium, subscription, blob, step }) => {
                self.fetched(consortium, subscription, blob, step, &answer);
            }
            Some(waited @ Waiting::LogOffer { .. }) => self.offer_answered(waited, &answer),
            Some(
                Waiting::Listing { .. }
                | Waiting::Check { .. }
                | Waiting::ServeListing { .. }
                | Waiting::Run(_)
                | Waiting::Map(_)
                | Waiting::LoadVocabulary(_)
                | Waiting::Consolidate(_)
                | Waiting::Publish(_)
                | Waiting::Request { .. }
                | Waiting::Release { .. }
                | Waiting::LinkageKey { .. }
                | Waiting::LinkageWrap { .. }
                | Waiting::LogProof { .. }
                | Waiting::Witness { .. },
            )
            | None => {}
        }
    }

    /// Whatever can go on now goes on: mail to connected peers, landings, erasures.
    fn pump(&mut self) {
        if self.failed {
            return;
        }
        self.erase_due();
        self.send_mail();
        self.offer_heads();
        self.start_landings();
    }

    /// The connection over which `peer` is up in `consortium`.
    fn conn_of(&self, consortium: ConsortiumId, peer: &Name) -> Option<ConnId> {
        let mut up = self.conns.iter().filter_map(|(id, conn)| conn.up.as_ref().map(|up| (id, up)));
        up.find(|(_, up)| up.consortium == consortium && up.peer == *peer).map(|(id, _)| *id)
    }
}

/// A refusal as a message.
fn refused(code: ErrorCode) -> Message {
    Message { kind: MessageType::Refused, payload: codec::encode(&Refused { code: code.code() }) }
}

/// The code of a refusal.
fn code_of(message: &Message) -> ErrorCode {
    codec::decode::<Refused>(&message.payload, 16)
        .ok()
        .and_then(|refused| ErrorCode::from_code(refused.code))
        .unwrap_or(ErrorCode::Malformed)
}

/// An empty answer.
const DONE: Message = Message { kind: MessageType::Done, payload: Vec::new() };

#[cfg(test)]
mod tests;
