//! Hostile hands: what a party, or somebody with a connection, may try, and what it must get for it.

use cohortium_protocol::code::MessageType;
use cohortium_protocol::digest::{BlobDigest, DocumentDigest};
use cohortium_protocol::endpoint::io::{Answer, ConnId, Input, Message, Protocol, Side};
use cohortium_protocol::ident::{SnapshotId, SubscriptionId};
use cohortium_protocol::key::pair::KeyPair;
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::limits::NODE_RECORD_VALIDITY_MAX;
use cohortium_protocol::message::document::{Document, Held, Numbered};
use cohortium_protocol::message::hello::Hello;
use cohortium_protocol::message::transfer::{OutboardGet, RangeGet};
use cohortium_protocol::quantity::Bytes;
use cohortium_protocol::record::charter::{Charter, CharterFields};
use cohortium_protocol::record::extension::Extensions;
use cohortium_protocol::record::linkage_wrap::LinkageWrap;
use cohortium_protocol::record::manifest::{LinkageKeyId, Manifest};
use cohortium_protocol::record::receipt::{Outcome, Receipt};
use cohortium_protocol::record::revocation::{Change, Revocation};
use cohortium_protocol::state::outbox::Mailbox;
use cohortium_protocol::state::subscription::Side as Part;
use cohortium_protocol::wire::codec;
use cohortium_protocol::wire::version::VersionRange;

use crate::net::{Ask, Asker, Link};
use crate::world::{Event, Kept, OPERATOR, World};

/// What was tried, and what must come of it.
#[derive(Debug, Clone)]
pub(crate) struct Attack {
    what: &'static str,
    /// The only answer beside a refusal or none.
    harmless: Option<MessageType>,
}

fn document(index: u64, document: Document) -> Message {
    Message { kind: MessageType::Document, payload: codec::encode(&Numbered { index, document }) }
}

impl World {
    pub(crate) fn hostile_hand(&mut self) {
        let members: Vec<usize> = (1..self.nodes.len()).filter(|node| self.nodes[*node].is_sound()).collect();
        let Some(member) = self.dice.pick(&members) else { return };
        let Some(link) = self.net.between(member, OPERATOR) else { return self.forge_hello(member) };
        let ends = if self.dice.percent(50) { (member, OPERATOR) } else { (OPERATOR, member) };
        match self.dice.below(20) {
            0..8 => self.replay_document(link, ends),
            8..10 => self.document_ahead(link, ends),
            10..16 => self.strange_request(link, ends),
            16..18 => self.forge_hello(member),
            _ => self.forge_document(member, link),
        }
    }

    fn hostile_ask(&mut self, from: usize, link: u64, attack: Attack, message: Message) {
        self.history.note(self.now, format_args!("{} is hostile: {}", self.nodes[from].name, attack.what));
        self.ask(from, link, Asker::Hostile(attack), message, None);
    }

    pub(crate) fn attack_answered(&mut self, attack: &Attack, node: usize, answer: &Answer) {
        let fine = match answer {
            Answer::Message(message) => {
                message.kind == MessageType::Refused || attack.harmless.is_some_and(|kind| kind == message.kind)
            }
            Answer::Refused(_) | Answer::Lost => true,
            Answer::Stored | Answer::Wrong | Answer::LocalFault => false,
        };
        if !fine {
            self.complain(format!("{} got {answer:?} for: {}", self.nodes[node].name, attack.what));
        }
    }

    /// A document that was received long ago comes again, as it was or with another in its place.
    fn replay_document(&mut self, link: u64, (from, to): (usize, usize)) {
        let (sender, addressee) = (self.nodes[from].name.clone(), self.nodes[to].name.clone());
        let received = self.nodes[to].shadow.mail.get(&sender).map_or(0, Mailbox::received);
        if received == 0 {
            return;
        }
        let (index, other) = (self.dice.below(received), self.dice.below(received));
        let place = if self.dice.percent(70) { index } else { other };
        let mail = self.nodes[from].shadow.mail.get(&addressee);
        let Some(written) = mail.and_then(|mail| mail.get(place)).cloned() else { return };
        let attack = Attack { what: "an old document again", harmless: Some(MessageType::Done) };
        self.hostile_ask(from, link, attack, document(index, (*written).clone()));
    }

    fn document_ahead(&mut self, link: u64, (from, to): (usize, usize)) {
        let (sender, addressee) = (self.nodes[from].name.clone(), self.nodes[to].name.clone());
        let received = self.state(to).mail.get(&sender).map_or(0, Mailbox::received);
        let mail = self.nodes[from].shadow.mail.get(&addressee);
        let Some(written) = mail.and_then(|mail| mail.get(0)).cloned() else { return };
        let attack = Attack { what: "a document beyond the next", harmless: None };
        self.hostile_ask(from, link, attack, document(received + 40, (*written).clone()));
    }

    /// Bytes of another's subscription, of a snapshot never stated, of a blob not in it, or at a place that is none.
    fn strange_request(&mut self, link: u64, (from, to): (usize, usize)) {
        let provided: Vec<_> = self
            .subscriptions(to, Part::Provider)
            .iter()
            .map(|found| {
                (
                    found.id,
                    found.peer.clone(),
                    found.snapshots.iter().map(|s| (s.id, s.manifest.listing)).collect::<Vec<_>>(),
                )
            })
            .collect();
        let Some((mut subscription, peer, snapshots)) = self.dice.pick(&provided) else { return };
        let known = self.dice.pick(&snapshots);
        let (mut snapshot, listing) =
            known.map_or((SnapshotId(self.dice.bytes()), None), |(id, listing)| (id, Some(listing)));
        let mut blob = listing.map_or_else(|| BlobDigest(self.dice.bytes()), |listing| listing.digest);
        let mut offset = Bytes(0);
        if peer == self.nodes[from].name {
            match self.dice.below(4) {
                0 => subscription = SubscriptionId(self.dice.bytes()),
                1 => snapshot = SnapshotId(self.dice.bytes()),
                2 => blob = BlobDigest(self.dice.bytes()),
                _ => offset = Bytes(if self.dice.percent(50) { 1 } else { 4_194_304 * 1000 }),
            }
        }
        let attack = Attack { what: "bytes that it may not have", harmless: None };
        let outboard = offset == Bytes(0) && self.dice.percent(40);
        let message = if outboard {
            let get = OutboardGet { subscription, snapshot, blob };
            Message { kind: MessageType::OutboardGet, payload: codec::encode(&get) }
        } else {
            let get = RangeGet { subscription, snapshot, blob, offset };
            Message { kind: MessageType::RangeGet, payload: codec::encode(&get) }
        };
        self.hostile_ask(from, link, attack, message);
    }

    /// Somebody else's TLS key with a member's record, a stale record, or one signed by the wrong root.
    fn forge_hello(&mut self, member: usize) {
        if !self.nodes[OPERATOR].is_on() {
            return;
        }
        let now = self.nodes[OPERATOR].clock.wall(self.now);
        let victim = &self.nodes[member];
        let mallory = crate::node::Secrets::new(&mut self.dice);
        let (what, tls, record) = match self.dice.below(3) {
            0 => {
                let Some(known) = self.state(OPERATOR).records.get(&victim.name) else { return };
                ("a member's record with another TLS key", mallory.tls.public(), known.signed.clone())
            }
            1 => {
                let stale = victim.secrets.record(self.consortium, &victim.name, 0, now, NODE_RECORD_VALIDITY_MAX);
                ("a stale record", victim.secrets.tls.public(), stale)
            }
            _ => {
                let foreign = mallory.record(self.consortium, &victim.name, 9, now, NODE_RECORD_VALIDITY_MAX);
                ("a record of a foreign root", mallory.tls.public(), foreign)
            }
        };
        let hello =
            Hello { versions: VersionRange::OURS, consortium: self.consortium, record, clock: now, held: Held::NONE };
        let message = Message { kind: MessageType::Hello, payload: codec::encode(&hello) };
        let id = self.number();
        let lives = [0, self.nodes[OPERATOR].life];
        let link = Link {
            ends: [member, OPERATOR],
            lives,
            up: [false, true],
            carries: true,
            protocol: Protocol::Join,
            latency: 5,
        };
        self.net.links.insert(id, link);
        let attack = Attack { what, harmless: None };
        self.history.note(self.now, format_args!("somebody is hostile: {what}"));
        let input = Input::Connected {
            conn: ConnId(id),
            side: Side::Listener,
            protocol: Protocol::Main,
            consortium: None,
            tls,
        };
        self.later(OPERATOR, 1, input);
        let ask = self.number();
        self.net
            .asks
            .insert(ask, Ask { link: id, end: 0, asker: Asker::Hostile(attack), message, bulk: None, open: true });
        self.soon(5, Event::Arrive { ask });
        self.soon(5000, Event::Gone { link: id, end: 1 });
    }

    /// A member's keys sign what they must not, at the right place of its mail. It is an outlaw from then on.
    fn forge_document(&mut self, member: usize, link: u64) {
        let sound = (1..self.nodes.len()).filter(|node| self.nodes[*node].is_sound()).count();
        if sound < 2 || self.nodes.iter().any(|node| node.outlaw) {
            return;
        }
        let sender = self.nodes[member].name.clone();
        let (written, received) = {
            let mail = self.state(OPERATOR).mail.get(&sender);
            (
                self.state(member).mail.get(&self.nodes[OPERATOR].name).map_or(0, Mailbox::len),
                mail.map_or(0, Mailbox::received),
            )
        };
        let Some((what, forged)) = self.forged(member) else { return };
        if written != received {
            return;
        }
        self.check.injected.insert((OPERATOR, sender, received));
        self.hostile_ask(member, link, Attack { what, harmless: None }, document(received, forged));
        self.nodes[member].outlaw = true;
        self.soon(20_000, Event::Outlaw { node: member });
    }

    pub(crate) fn outlaw(&mut self, node: usize) {
        self.crash(node, Kept::Written);
    }

    #[expect(clippy::too_many_lines, reason = "a list: one arm a forgery")]
    fn forged(&mut self, member: usize) -> Option<(&'static str, Document)> {
        let consortium = self.consortium;
        let found = &self.nodes[member];
        let (signing, name, at) = (found.secrets.signing.clone(), found.name.clone(), found.clock.wall(self.now));
        let stranger = KeyPair::from_seed(&self.dice.bytes());
        let kind = self.dice.below(8);
        let found = &self.nodes[member];
        let state = self.state(member);
        let provided = state.subscriptions.values().find(|found| found.side == Part::Provider);
        let stated =
            state.offers.values().find_map(|offer| offer.snapshots.last()).map(|stated| stated.manifest.clone());
        let ext = Extensions::default;
        match kind {
            0 => {
                let subscription = provided?.id;
                let sequence = provided?.change_sequence + 1;
                let forged = Revocation {
                    consortium,
                    subscription,
                    provider: name,
                    sequence,
                    change: Change::Revoke,
                    reason: None,
                    at,
                    ext: ext(),
                };
                Some(("a revocation under a strange key", Document::Revocation(Signed::sign(&forged, &stranger))))
            }
            1 => {
                // One that the operator never took would be no fork there.
                let first = SnapshotId(Signed::unsigned(stated.as_ref()?).digest().0);
                let mut taken = self.state(OPERATOR).subscriptions.values();
                taken.find(|found| found.snapshot(first).is_some())?;
                let forked = Manifest { bytes: Bytes(7), taken: at, ..stated? };
                Some(("a forked manifest", Document::Manifest(Signed::sign(&forked, &signing))))
            }
            2 => {
                let old = Manifest { sequence: 0, previous: None, ..stated? };
                Some(("a rolled-back manifest", Document::Manifest(Signed::sign(&old, &signing))))
            }
            3 => {
                let skips = Manifest {
                    sequence: u64::MAX,
                    previous: Some(SnapshotId([3; 32])),
                    terms: DocumentDigest([5; 32]),
                    ..stated?
                };
                Some(("a manifest under other terms", Document::Manifest(Signed::sign(&skips, &signing))))
            }
            4 => {
                let others = self.nodes.iter().find(|other| other.name != name && other.name.as_str() != "operator")?;
                let foreign = found.secrets.record(consortium, &others.name, 99, at, NODE_RECORD_VALIDITY_MAX);
                Some(("another party's record", Document::NodeRecord(foreign)))
            }
            5 => {
                let receipt = Receipt {
                    consortium,
                    subscription: SubscriptionId([9; 16]),
                    snapshot: SnapshotId([9; 32]),
                    consumer: name,
                    outcome: Outcome::Erased,
                    at,
                    ext: ext(),
                };
                Some(("a receipt for nothing", Document::Receipt(Signed::sign(&receipt, &signing))))
            }
            6 => {
                let wrap = LinkageWrap {
                    consortium,
                    epoch: 1,
                    key: LinkageKeyId([1; 16]),
                    maker: name,
                    recipient: self.nodes[OPERATOR].name.clone(),
                    sealing: found.secrets.sealing.public(),
                    ephemeral: found.secrets.sealing.public(),
                    ciphertext: codec::Blob(vec![1; 48]),
                    at,
                    ext: ext(),
                };
                Some(("a wrap under a strange key", Document::LinkageWrap(Signed::sign(&wrap, &stranger))))
            }
            _ => {
                let head = state.charters.head()?;
                let mut fields = CharterFields::from(head.charter.clone());
                fields.version += 1;
                (fields.previous, fields.consortium, fields.threshold) = (Some(head.digest), Some(consortium), 1);
                let charter = Charter::try_from(fields).ok()?;
                Some((
                    "a charter that the operator has not signed",
                    Document::Charter(Signed::sign(&charter, &found.secrets.root)),
                ))
            }
        }
    }
}
