//! The core: the one owner of the endpoint. A turn takes what waits in the queue, carries out effects, and makes the
//! journal's entries durable in one write for each consortium.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cohortium_protocol::endpoint::Endpoint;
use cohortium_protocol::endpoint::io::{ConnId, Effect, Input, OrderFault, Ticket};
use cohortium_protocol::ident::ConsortiumId;
use cohortium_protocol::wire::codec;
use tokio::sync::{mpsc, oneshot};

use crate::driver::books::{Batch, Books};
use crate::driver::clock::Clock;
use crate::driver::hands::Hands;
use crate::driver::listen::{Heard, listen};
use crate::driver::queue::{Entrance, Event, Look, NewWire};
use crate::driver::shown::Shown;
use crate::driver::wires::{self, Wire, Wires};
use crate::driver::witness::Cosignature;

/// Events of one turn, so that one write to the journal does not grow without bound.
const TURN_EVENTS_MAX: usize = 256;
/// Bytes that the events of one turn brought, after which it ends: what is journaled is of the same size.
const TURN_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The longest sleep: wall clocks jump, and validity is a matter of the wall clock.
const SLEEP_MAX: Duration = Duration::from_secs(10);

/// What a core is made of.
pub(crate) struct CoreParts {
    pub(crate) hands: Arc<Hands>,
    pub(crate) shown: Shown,
    pub(crate) events: mpsc::Receiver<Event>,
}

/// The events of one turn.
fn turn(first: Event, waiting: &mut mpsc::Receiver<Event>) -> Vec<Event> {
    let mut bytes = first.bytes();
    let mut turn = vec![first];
    while turn.len() < TURN_EVENTS_MAX && bytes < TURN_BYTES_MAX {
        let Ok(event) = waiting.try_recv() else { break };
        bytes = bytes.saturating_add(event.bytes());
        turn.push(event);
    }
    turn
}

/// The owner of the endpoint.
pub(crate) struct Core {
    endpoint: Endpoint,
    clock: Clock,
    books: Books,
    wires: Wires,
    orders: BTreeMap<Ticket, oneshot::Sender<Result<(), OrderFault>>>,
    orders_given: u64,
    looks: Vec<Look>,
    stop: Option<oneshot::Sender<()>>,
    parts: CoreParts,
}

impl Core {
    pub(crate) fn new(parts: CoreParts) -> Self {
        Self {
            endpoint: Endpoint::default(),
            clock: Clock::start(),
            books: Books::default(),
            wires: Wires::default(),
            orders: BTreeMap::new(),
            orders_given: 0,
            looks: Vec::new(),
            stop: None,
            parts,
        }
    }

    /// Turns until told to stop.
    pub(crate) async fn run(mut self) {
        self.handle(Input::Tick);
        self.settle().await;
        while self.stop.is_none() {
            let wake = self.endpoint.poll_wake().map_or(SLEEP_MAX, |at| self.clock.until(at).min(SLEEP_MAX));
            match tokio::time::timeout(wake, self.parts.events.recv()).await {
                Ok(Some(event)) => self.take_all(event),
                Ok(None) => break,
                Err(_) => self.handle(Input::Tick),
            }
            self.settle().await;
            self.parts.shown.refresh(&self.endpoint);
            for look in std::mem::take(&mut self.looks) {
                look(&self.endpoint);
            }
        }
        self.wires.close_all();
        if let Some(done) = self.stop.take() {
            // Whoever asked may have given up waiting.
            let _ = done.send(());
        }
    }

    /// Takes an event and those that wait behind it, as many as one turn may have.
    fn take_all(&mut self, first: Event) {
        let turn = turn(first, &mut self.parts.events);
        for event in turn {
            self.take(event);
        }
    }

    fn handle(&mut self, input: Input) {
        self.endpoint.handle(self.clock.cx(), input);
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Input(Input::JournalFailed) => self.journal_failed(),
            Event::Input(input) => self.handle(input),
            Event::Wire(new) => self.connect(*new),
            Event::Request { conn, message, reply } => {
                if let Some(stream) = self.wires.ask(conn, reply) {
                    self.handle(Input::Request { conn, stream, message });
                }
            }
            Event::Closed(conn) => self.disconnect(conn),
            Event::Order { order, done } => {
                self.orders_given += 1;
                let ticket = Ticket(self.orders_given);
                self.orders.insert(ticket, done);
                self.handle(Input::Order { ticket, order });
            }
            Event::Enter(entrance) => self.enter(*entrance),
            Event::Look(look) => self.looks.push(look),
            Event::Swept { upto, whole } => {
                // A reason that came after the sweep had looked is not among what it did.
                let whole = whole && upto == self.parts.hands.sweeps.asked();
                self.handle(Input::Swept { whole });
            }
            Event::Stop(done) => self.stop = Some(done),
        }
    }

    fn enter(&mut self, entrance: Entrance) {
        let Entrance { membership, entries, heads, book, done } = entrance;
        let consortium = membership.consortium;
        self.books.insert(consortium, book);
        self.endpoint.enter(membership, entries);
        for (peer, checkpoint) in heads {
            self.endpoint.remember_witnessed(consortium, peer, checkpoint);
        }
        self.handle(Input::Tick);
        let _ = done.send(());
    }

    fn connect(&mut self, new: NewWire) {
        let NewWire { wire, side, protocol, consortium, tls, number } = new;
        let listened = match &wire {
            Wire::Network { connection, greeted, .. } => Some((connection.clone(), greeted.subscribe())),
            Wire::Folder(_) => None,
        };
        let conn = self.wires.add(wire);
        let _ = number.send(conn);
        if let Some((connection, greeted)) = listened {
            let heard = Heard { conn, connection, side, protocol: protocol.clone(), greeted };
            tokio::spawn(listen(heard, self.parts.hands.queue.clone()));
        }
        self.handle(Input::Connected { conn, side, protocol, consortium, tls });
    }

    /// Tells the endpoint once, whoever closed first.
    fn disconnect(&mut self, conn: ConnId) {
        if self.wires.remove(conn).is_some() {
            self.handle(Input::Disconnected { conn });
        }
    }

    /// Carries out effects and makes entries durable until nothing is left to do.
    async fn settle(&mut self) {
        loop {
            let batches = self.carry_out();
            if batches.is_empty() {
                return;
            }
            for (consortium, batch) in batches {
                match self.books.append(consortium, batch).await {
                    Some(upto) => self.handle(Input::Persisted { consortium, upto }),
                    None => self.journal_failed(),
                }
            }
        }
    }

    /// Orders whose entries could not be written are answered here: the endpoint has let go of everything.
    fn journal_failed(&mut self) {
        self.handle(Input::JournalFailed);
        for done in std::mem::take(&mut self.orders).into_values() {
            let _ = done.send(Err(OrderFault::Unavailable));
        }
    }

    /// Carries out the effects that are due and collects the entries to be written.
    fn carry_out(&mut self) -> BTreeMap<ConsortiumId, Batch> {
        let mut batches: BTreeMap<ConsortiumId, Batch> = BTreeMap::new();
        while let Some(effect) = self.endpoint.poll_effect() {
            match effect {
                Effect::Persist { consortium, first, entries } => {
                    let batch = batches.entry(consortium).or_insert_with(|| Batch { first, entries: Vec::new() });
                    batch.entries.extend(entries.iter().map(codec::encode));
                }
                other => self.perform(other),
            }
        }
        batches
    }

    fn perform(&mut self, effect: Effect) {
        let hands = &self.parts.hands;
        match effect {
            Effect::Persist { .. } => unreachable!("the caller collects entries"),
            Effect::Ask { conn, ticket, message } => hands.ask(self.wires.get(conn), ticket, message),
            Effect::Fetch { conn, ticket, under, message, blob, part } => {
                hands.fetch(self.wires.get(conn), under, ticket, crate::driver::bulk::Wanted { message, blob, part });
            }
            Effect::Reply { stream, message, .. } => {
                if let Some((wire, to)) = self.wires.take(stream) {
                    wires::reply(&wire, to, message);
                }
            }
            Effect::Serve { stream, under, blob, part, .. } => {
                if let Some((_, to)) = self.wires.take(stream) {
                    hands.serve(to, under, blob, part);
                }
            }
            Effect::Cut { under } => hands.cuts.cut(under),
            Effect::Close { conn, code } => {
                // The endpoint has forgotten it already.
                if let Some(wire) = self.wires.remove(conn) {
                    wires::close(wire, code);
                }
            }
            Effect::OrderDone { ticket, result } => {
                if let Some(done) = self.orders.remove(&ticket) {
                    let _ = done.send(result);
                }
            }
            Effect::Run { ticket, plan } => hands.run(ticket, plan),
            Effect::Map { ticket, plan } => hands.map(ticket, plan),
            Effect::LoadVocabulary { ticket, folder } => hands.load_vocabulary(ticket, folder),
            Effect::Consolidate { ticket, plan } => hands.consolidate(ticket, plan),
            Effect::Publish { ticket, plan } => hands.publish(ticket, plan),
            Effect::ReadRequest { ticket, plan } => hands.read_request(ticket, plan),
            Effect::Release { ticket, plan } => hands.release(ticket, plan),
            Effect::OpenLanding { ticket, blob } => hands.open_landing(ticket, blob),
            Effect::FinishBlob { ticket, blob } => hands.finish_blob(ticket, blob),
            Effect::ReadListing { ticket, blob } => hands.read_listing(ticket, blob),
            Effect::Check { ticket, version, release } => hands.check(ticket, version, release),
            Effect::Sweep => hands.sweep(),
            Effect::MakeLinkageKey { ticket, consortium, epoch } => hands.make_linkage_key(ticket, consortium, epoch),
            Effect::WrapLinkageKey { ticket, consortium, epoch, recipients } => {
                hands.wrap_linkage_key(ticket, consortium, epoch, recipients);
            }
            Effect::OpenLinkageWrap { ticket, consortium, epoch, key, ephemeral, ciphertext } => {
                hands.open_linkage_wrap(
                    ticket,
                    consortium,
                    epoch,
                    crate::driver::linkage::Received { key, ephemeral, ciphertext },
                );
            }
            Effect::ProveLog { ticket, consortium, from } => hands.prove_log(ticket, consortium, from),
            Effect::Witness { ticket, consortium, peer, checkpoint } => {
                hands.witness(ticket, consortium, peer, checkpoint);
            }
            Effect::KeepCosignature { consortium, size, name, key, checkpoint } => {
                hands.keep_cosignature(consortium, Cosignature { size, name, key, checkpoint });
            }
            Effect::KeepEvidence { consortium, peer, last, now } => hands.keep_evidence(consortium, peer, last, now),
            Effect::Notify(notice) => crate::driver::shown::log(&notice),
        }
    }
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::code::MessageType;
    use cohortium_protocol::endpoint::io::Message;

    use super::*;
    use crate::driver::wires::ReplyTo;

    fn request(bytes: usize) -> Event {
        let message = Message { kind: MessageType::Document, payload: vec![0; bytes] };
        Event::Request { conn: ConnId(1), message, reply: ReplyTo::Here(oneshot::channel().0) }
    }

    #[tokio::test]
    async fn a_turn_ends_after_so_many_events_or_bytes() {
        let (sender, mut events) = mpsc::channel(1024);
        for _ in 0..40 {
            sender.send(request(1 << 20)).await.unwrap();
        }
        assert_eq!(turn(request(1 << 20), &mut events).len(), 16);
        assert_eq!(turn(request(1 << 24), &mut events).len(), 1);
        for _ in 0..900 {
            sender.send(request(10)).await.unwrap();
        }
        while turn(request(0), &mut events).len() < TURN_EVENTS_MAX {}
        assert_eq!(turn(request(0), &mut events).len(), TURN_EVENTS_MAX);
    }
}
