//! The checkers: what must hold after every step, over the whole world.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cohortium_protocol::code::MessageType;
use cohortium_protocol::digest::{BlobDigest, DocumentDigest};
use cohortium_protocol::endpoint::io::{LandedVersion, Message};
use cohortium_protocol::ident::{Name, Nonce, ReleaseId, ShareId, SnapshotId, SubscriptionId};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::key::wrap::unwrap;
use cohortium_protocol::limits::REVOCATION_DEADLINE;
use cohortium_protocol::message::document::{Document, Numbered};
use cohortium_protocol::message::hello::{Hello, HelloAck};
use cohortium_protocol::message::transfer::{OutboardGet, RangeGet};
use cohortium_protocol::record::journal_entry::{Act, Actor, JournalEntry};
use cohortium_protocol::record::listing::BlobRef;
use cohortium_protocol::record::order::Command;
use cohortium_protocol::record::share::Share;
use cohortium_protocol::rule::widening::widenings;
use cohortium_protocol::state::State;
use cohortium_protocol::state::outbox::Mailbox;
use cohortium_protocol::state::releases::offered_release;
use cohortium_protocol::state::subscription::{Phase, Side};
use cohortium_protocol::wire::codec;

use crate::disk::BlobBytes;
use crate::worker::{self, Table, holds_canary};
use crate::world::{OPERATOR, World};

/// What the checkers remember.
#[derive(Default)]
pub(crate) struct Checker {
    /// The first thing that does not hold.
    pub(crate) complaint: Option<String>,
    blobs: BTreeMap<BlobDigest, BlobBytes>,
    truths: BTreeMap<SnapshotId, Table>,
    /// Terms that a privacy officer has approved, or that only narrow such, by node.
    pub(crate) approved: BTreeSet<(usize, DocumentDigest)>,
    approved_last: BTreeMap<(usize, ShareId), Share>,
    /// Orders of persons whose role allows them.
    pub(crate) lawful: BTreeSet<Nonce>,
    /// Orders that were acknowledged.
    pub(crate) promised: BTreeMap<usize, BTreeSet<Nonce>>,
    current: BTreeMap<(usize, SubscriptionId), SnapshotId>,
    /// Places in the mail where a hostile hand has put its own document: to whom, from whom, where.
    pub(crate) injected: BTreeSet<(usize, Name, u64)>,
    /// Shares of which the last run, after all faults, came to its end.
    pub(crate) taken: BTreeSet<(usize, ShareId)>,
    pub(crate) landed: u64,
    /// Releases whose computing has begun.
    pub(crate) computed: BTreeSet<ReleaseId>,
    /// Releases on which an attack succeeded.
    pub(crate) stopped: BTreeSet<ReleaseId>,
    /// The rho of all private answers whose computing has begun.
    pub(crate) private: u128,
    pub(crate) signed: u64,
    pub(crate) recalled: u64,
}

impl Checker {
    pub(crate) fn made(&mut self, _node: usize, blob: BlobRef, bytes: &BlobBytes) {
        self.blobs.entry(blob.digest).or_insert_with(|| Arc::clone(bytes));
    }
}

fn document_of(act: &Act) -> Option<Document> {
    Some(match act {
        Act::Charter(signed) => Document::Charter(signed.clone()),
        Act::NodeRecord(signed) => Document::NodeRecord(signed.clone()),
        Act::Invitation(signed) => Document::Invitation(signed.clone()),
        Act::Acceptance(signed) => Document::Acceptance(signed.clone()),
        Act::Standing(signed) => Document::Standing(signed.clone()),
        Act::Revocation(signed) => Document::Revocation(signed.clone()),
        Act::Manifest(signed) => Document::Manifest(signed.clone()),
        Act::Receipt(signed) => Document::Receipt(signed.clone()),
        Act::LinkageWrap(signed) => Document::LinkageWrap(signed.clone()),
        Act::Project(signed) => Document::Project(signed.clone()),
        Act::Withdrawal(signed) => Document::Withdrawal(signed.clone()),
        Act::Announcement(signed) => Document::Announcement(signed.clone()),
        Act::Objection(signed) => Document::Objection(signed.clone()),
        Act::Debit(signed) => Document::Debit(signed.clone()),
        _ => return None,
    })
}

impl World {
    /// Entries about to be written: in order, ordered by somebody, received from where they say, stated from a run.
    pub(crate) fn check_entries(&mut self, node: usize, first: u64, entries: &[JournalEntry]) {
        let written = u64::try_from(self.nodes[node].disk.written()).unwrap_or(u64::MAX);
        if written != first {
            self.complain(format!("{} writes entry {first}, its journal has {written}", self.nodes[node].name));
        }
        for entry in entries {
            match (&entry.actor, &entry.act) {
                (Actor::Peer(peer), act) => self.check_received(node, peer, act),
                (_, Act::Order(signed)) => {
                    let known = signed.claimed().is_ok_and(|order| self.check.lawful.contains(&order.nonce));
                    if !known {
                        self.complain(format!("{} journals an order that nobody may give", self.nodes[node].name));
                    }
                    if let Ok(order) = signed.claimed() {
                        self.note_approval(node, &order.command);
                    }
                }
                (_, Act::Manifest(signed)) => {
                    if let Ok(manifest) = signed.claimed() {
                        self.check_stated(node, SnapshotId(signed.digest().0), manifest.share);
                    }
                }
                (_, act @ (Act::ReleaseMade { .. } | Act::ReleaseStopped { .. } | Act::Released(_))) => {
                    self.check_release_entry(node, act);
                }
                _ => {}
            }
        }
    }

    /// Remembers which terms a privacy officer has approved, and which only narrow such.
    fn note_approval(&mut self, node: usize, command: &Command) {
        match command {
            Command::ApproveShare { share, terms, .. } => {
                let offer = self.state(node).offers.get(share).map(|offer| offer.share.clone());
                self.check.approved.insert((node, *terms));
                if let Some(share) = offer {
                    self.check.approved_last.insert((node, share.share), share);
                }
            }
            Command::DefineShare(share) => {
                let last = self.check.approved_last.get(&(node, share.share));
                if last.is_some_and(|last| widenings(last, share).is_empty()) {
                    self.check.approved.insert((node, Signed::unsigned(share).digest()));
                    self.check.approved_last.insert((node, share.share), share.clone());
                }
            }
            _ => {}
        }
    }

    /// What is taken in is what the peer durably wrote at that place of its mail, once, without a gap.
    fn check_received(&mut self, node: usize, peer: &Name, act: &Act) {
        let index = self.nodes[node].received.entry(peer.clone()).or_default();
        let place = *index;
        *index += 1;
        let (me, sender) = (self.nodes[node].name.clone(), self.place_of(peer));
        let Some(document) = document_of(act) else { return };
        let mail = sender.and_then(|sender| self.nodes[sender].shadow.mail.get(&me)?.get(place).cloned());
        let honest = mail.as_deref() == Some(&document);
        let harmless = matches!(document, Document::NodeRecord(_) | Document::Charter(_));
        let injected = harmless && self.check.injected.contains(&(node, peer.clone(), place));
        if !(honest || injected) {
            let kind = crate::words::document(&document);
            self.complain(format!("{me} takes in {kind} {place} of {peer}, which {peer} never wrote there"));
        }
        if let (Document::LinkageWrap(signed), OPERATOR) = (&document, node) {
            let wrap = signed.claimed().ok();
            let opens = wrap.is_some_and(|wrap| {
                let context = codec::encode(&(self.consortium, wrap.epoch, &wrap.recipient));
                let ours = &self.nodes[OPERATOR].secrets.sealing;
                unwrap(ours, &wrap.ephemeral, &wrap.ciphertext, &context).is_ok()
            });
            if opens {
                self.complain("the operator can open a linkage key that it relays".to_owned());
            }
        }
    }

    /// A statement comes from a run, and nobody who has opted out by now is in it.
    fn check_stated(&mut self, node: usize, snapshot: SnapshotId, share: ShareId) {
        let Some(truth) = self.nodes[node].truths.remove(&share) else {
            return self.complain(format!("{} states a snapshot without a run", self.nodes[node].name));
        };
        let state = self.state(node);
        let names_patients = state.datasets.get(&truth.dataset).is_some_and(|dataset| dataset.patient.is_some());
        let out = state.opted_out.get(&truth.dataset);
        let there =
            out.is_some_and(|out| truth.patients.iter().any(|patient| out.contains(&worker::opt_out_entry(*patient))));
        if names_patients && there {
            self.complain(format!("{} states rows of a patient who has opted out", self.nodes[node].name));
        }
        self.check.truths.insert(snapshot, truth.table);
    }

    /// A frame about to leave: all that it says is durable, and it holds no identifier.
    pub(crate) fn check_frame(&mut self, from: usize, link: u64, message: &Message) {
        let Some(to) = self.net.peer(link, from) else { return };
        let peer = &self.nodes[to].name;
        let mail = self.nodes[from].shadow.mail.get(peer);
        let durable = match message.kind {
            MessageType::Document => codec::decode::<Numbered>(&message.payload, usize::MAX).is_ok_and(|numbered| {
                mail.and_then(|mail| mail.get(numbered.index)).is_some_and(|written| **written == numbered.document)
            }),
            MessageType::Hello => codec::decode::<Hello>(&message.payload, usize::MAX)
                .is_ok_and(|hello| hello.held.documents <= mail.map_or(0, Mailbox::received)),
            MessageType::HelloAck => codec::decode::<HelloAck>(&message.payload, usize::MAX)
                .is_ok_and(|ack| ack.held.documents <= mail.map_or(0, Mailbox::received)),
            _ => true,
        };
        if !durable {
            self.complain(format!("{} sends {:?} before it is durable", self.nodes[from].name, message.kind));
        }
        if holds_canary(&message.payload) {
            self.complain(format!("a frame of {} holds a direct identifier", self.nodes[from].name));
        }
    }

    pub(crate) fn check_reply(&mut self, node: usize, link: u64, ask: u64, message: &Message) {
        self.check_frame(node, link, message);
        let Some(asked) = self.net.asks.get(&ask) else { return };
        if message.kind != MessageType::Done || asked.message.kind != MessageType::Document {
            return;
        }
        let index = codec::decode::<Numbered>(&asked.message.payload, usize::MAX).map(|numbered| numbered.index);
        let peer = self.net.peer(link, node).map(|peer| self.nodes[peer].name.clone());
        let received = peer.and_then(|peer| self.nodes[node].shadow.mail.get(&peer).map(Mailbox::received));
        if index.is_ok_and(|index| received.unwrap_or(0) <= index) {
            self.complain(format!("{} acknowledges a document that is not durable", self.nodes[node].name));
        }
    }

    /// Bytes may begin to leave only when the rules allow it at this moment.
    pub(crate) fn check_serve(&mut self, node: usize, ask: u64, subscription: SubscriptionId, blob: BlobRef) {
        if self.net.hung_up.contains(&ask) {
            return;
        }
        if let Err(why) = self.may_leave(node, ask, subscription, Some(blob)) {
            self.complain(format!("{} serves {}: {why}", self.nodes[node].name, crate::words::short(&subscription.0)));
        }
        let durable =
            self.nodes[node].shadow.subscriptions.get(&subscription).is_some_and(|found| found.terms.is_some());
        if !durable {
            self.complain(format!("{} serves under an acceptance that is not durable", self.nodes[node].name));
        }
    }

    /// The checker's own reading of XFER-1 and of the approval by a privacy officer.
    fn may_leave(
        &self,
        provider: usize,
        ask: u64,
        subscription: SubscriptionId,
        blob: Option<BlobRef>,
    ) -> Result<(), &'static str> {
        let asked = self.net.asks.get(&ask).ok_or("nobody asked")?;
        let consumer = self.net.peer(asked.link, provider).ok_or("nobody asked")?;
        let snapshot = codec::decode::<RangeGet>(&asked.message.payload, usize::MAX)
            .map(|get| get.snapshot)
            .or_else(|_| codec::decode::<OutboardGet>(&asked.message.payload, usize::MAX).map(|get| get.snapshot))
            .map_err(|_| "the request is none")?;
        let (node, name) = (&self.nodes[provider], &self.nodes[consumer].name);
        let state = self.state(provider);
        let found = state.subscriptions.get(&subscription).ok_or("there is no such subscription")?;
        if found.side != Side::Provider || found.peer != *name {
            return Err("it is another party's subscription");
        }
        if found.phase(node.clock.wall(self.now)) != Phase::Active {
            return Err("the subscription is not active");
        }
        if state.stopped {
            return Err("all output is stopped");
        }
        let release = offered_release(&found.invitation.share);
        if release.is_some_and(|release| state.releases.withdrawal(release).is_some()) {
            return Err("the release was recalled");
        }
        if !state.charters.binding(&node.name).is_some_and(|version| version.charter.roster.contains_key(name)) {
            return Err("the consumer is not in the binding charter");
        }
        let stated = found.snapshot(snapshot).ok_or("the snapshot was not stated to this consumer")?;
        if !self.check.approved.contains(&(provider, stated.manifest.terms)) {
            return Err("no privacy officer has approved these terms");
        }
        let Some(blob) = blob else { return Ok(()) };
        let listing = node.disk.listing(stated.manifest.listing);
        let named = listing.is_some_and(|listing| listing.entries().iter().any(|entry| entry.blob == blob));
        if named || blob == stated.manifest.listing { Ok(()) } else { Err("the blob is not of that snapshot") }
    }

    /// Bytes in flight end within a second of the moment when they may no longer flow.
    pub(crate) fn check_piece(&mut self, id: u64) {
        let Some(flow) = self.net.flows.get(&id) else { return };
        let verdict = self.may_leave(flow.provider, flow.ask, flow.subscription, None);
        let (name, first) = (self.nodes[flow.provider].name.clone(), flow.sent == 0);
        let canary = first && holds_canary(&flow.bytes);
        let denied = match verdict {
            Ok(()) | Err("nobody asked") => None,
            Err(why) => Some(flow.denied.clone().unwrap_or((self.now, why.to_owned()))),
        };
        if let Some((since, why)) = denied.clone().filter(|(since, _)| self.now > since + REVOCATION_DEADLINE.millis())
        {
            self.complain(format!("{name} still serves {} ms after it may not: {why}", self.now - since));
        }
        if canary {
            self.complain(format!("bytes of {name} hold a direct identifier"));
        }
        if let Some(flow) = self.net.flows.get_mut(&id) {
            flow.denied = denied;
        }
    }

    /// What landed is what its provider made.
    pub(crate) fn check_landed(&mut self, node: usize, blob: BlobRef) {
        let landed = self.nodes[node].disk.blob(blob.digest);
        let right = landed.is_some() && self.check.blobs.get(&blob.digest) == landed;
        self.check.landed += 1;
        if !right {
            self.complain(format!("{} landed a blob that is not its provider's", self.nodes[node].name));
        }
        if self.nodes[node].disk.blob(blob.digest).is_some_and(|bytes| holds_canary(bytes)) {
            self.complain(format!("a direct identifier landed at {}", self.nodes[node].name));
        }
    }

    /// After each input of a node.
    pub(crate) fn check_step(&mut self, node: usize) {
        let moving: Vec<u64> = self
            .net
            .flows
            .iter()
            .filter(|(_, flow)| flow.provider == node && flow.sent > 0)
            .map(|(id, _)| *id)
            .collect();
        for flow in moving {
            self.check_piece(flow);
        }
        self.check_changed(node);
        let wrong = self.nodes[node].keystore.iter().any(|(epoch, key)| {
            let other = self.nodes.iter().find_map(|other| other.keystore.get(epoch));
            node == OPERATOR || other.is_some_and(|other| other != key)
        });
        if wrong {
            self.complain(format!(
                "{} holds a linkage key that it must not, or another than the others",
                self.nodes[node].name
            ));
        }
    }

    fn check_changed(&mut self, node: usize) {
        let changed: Vec<SubscriptionId> = self
            .state(node)
            .subscriptions
            .values()
            .filter(|found| found.side == Side::Consumer)
            .filter(|found| self.check.current.get(&(node, found.id)).copied() != found.current)
            .map(|found| found.id)
            .collect();
        for id in changed {
            self.check_version(node, id);
        }
    }

    /// Every version in use is still whole.
    pub(crate) fn check_current(&mut self, node: usize) {
        let consumed = self.state(node).subscriptions.values().filter(|found| found.side == Side::Consumer);
        let ids: Vec<SubscriptionId> = consumed.map(|found| found.id).collect();
        for id in ids {
            self.check_version(node, id);
        }
    }

    /// The version in use is a complete landed chain and the table that its provider had (spec SNAP-5).
    fn check_version(&mut self, node: usize, id: SubscriptionId) {
        if self.nodes[node].true_journal.is_some() {
            return;
        }
        let Some(found) = self.state(node).subscriptions.get(&id) else { return };
        let (current, version) = (found.current, found.current.and_then(|current| found.version(current)));
        match current {
            None => drop(self.check.current.remove(&(node, id))),
            Some(snapshot) => {
                self.check.current.insert((node, id), snapshot);
                let name = self.nodes[node].name.clone();
                let Some(listings) = version else {
                    return self.complain(format!("{name} uses a version whose chain is not landed"));
                };
                let version = LandedVersion { subscription: id, snapshot, listings };
                let table = worker::read(&self.nodes[node].disk, &version);
                match table {
                    None => self.complain(format!("{name} uses a version that is not whole on its disk")),
                    Some(table) if self.check.truths.get(&snapshot) != Some(&table) => {
                        self.complain(format!("{name} uses a table that its provider never had"));
                    }
                    Some(_) => {}
                }
            }
        }
    }

    /// After a start: every acknowledged order is still there.
    pub(crate) fn check_start(&mut self, node: usize) {
        self.check.current.retain(|(at, _), _| *at != node);
        if self.nodes[node].true_journal.is_some() {
            return;
        }
        let promised = self.check.promised.get(&node).cloned().unwrap_or_default();
        let state = self.state(node);
        if !promised.iter().all(|nonce| state.orders.contains(nonce)) {
            self.complain(format!("{} has forgotten an order that it acknowledged", self.nodes[node].name));
        }
    }

    /// The state in memory is the fold of what was written.
    pub(crate) fn check_fold(&mut self, node: usize) {
        let found = &self.nodes[node];
        if found.journal_broken {
            return;
        }
        let mut fold = State::new(self.consortium, found.name.clone(), self.operator_root);
        found.disk.entries(0, found.disk.written()).iter().for_each(|entry| fold.apply(entry));
        if format!("{fold:?}") != format!("{:?}", self.state(node)) {
            self.complain(format!("the state of {} is not the fold of its journal", found.name));
        }
    }

    /// A node whose disk was rolled back must not be let in.
    pub(crate) fn check_peer_up(&mut self, node: usize) {
        if self.nodes[node].true_journal.is_some() {
            self.complain(format!("{} is up although its disk was rolled back", self.nodes[node].name));
        }
    }
}
