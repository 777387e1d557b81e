//! HELLO: two nodes show who they are. Nothing else passes before both sides have answered (spec HELLO-1 to HELLO-6).

use crate::code::{ErrorCode, MessageType};
use crate::ident::{ConsortiumId, Name};
use crate::key::pair::PublicKey;
use crate::key::signed::{Signed, SignedFault};
use crate::limits::{CLOCK_SKEW_MAX, CONTROL_FRAME_BYTES_MAX, HANDSHAKE_DEADLINE, HELLO_DEADLINE};
use crate::message::document::Held;
use crate::message::hello::{Hello, HelloAck};
use crate::record::journal_entry::{Act, Actor};
use crate::record::node_record::NodeRecord;
use crate::state::charters::Standing;
use crate::state::outbox::Mailbox;
use crate::time::{Millis, UnixMillis};
use crate::wire::codec;
use crate::wire::version::{CURRENT, VersionRange};

use super::answers::begin_with;
use super::io::{Answer, ConnId, Effect, Message, Notice, Protocol, Side, StreamId};
use super::{Clocks, Conn, Endpoint, Room, Up, Waiting, code_of, refused};

/// What a HELLO or its answer claims.
struct Claim<'a> {
    record: &'a Signed<NodeRecord>,
    clock: UnixMillis,
    tls: PublicKey,
}

/// What a HELLO or its answer comes to once it stands.
struct Greeting {
    consortium: ConsortiumId,
    shown: Shown,
    record: Signed<NodeRecord>,
    held: Held,
}

/// Who a peer has shown to be.
struct Shown {
    peer: Name,
    standing: Standing,
    is_news: bool,
    clocks: Clocks,
}

impl Endpoint {
    pub(super) fn connected(
        &mut self,
        conn: ConnId,
        side: Side,
        protocol: Protocol,
        consortium: Option<ConsortiumId>,
        tls: PublicKey,
    ) {
        let opened = self.cx().mono;
        let offline = match (&protocol, consortium) {
            (Protocol::Offline(peer), Some(consortium)) => self.offline_up(consortium, peer),
            (Protocol::Offline(_) | Protocol::Main | Protocol::Join, _) => None,
        };
        let greets = side == Side::Dialler && protocol == Protocol::Main;
        self.conns.insert(conn, Conn { side, protocol, consortium, tls, opened, up: offline, early: Vec::new() });
        let hello = consortium.filter(|_| greets).and_then(|id| self.hello_for(id, tls));
        match hello {
            Some(message) => {
                let ticket = self.ticket(Waiting::Hello(conn));
                self.effects.push_back(Effect::Ask { conn, ticket, message });
            }
            None if greets => self.close(conn, ErrorCode::ConsortiumUnknown),
            None => {}
        }
    }

    fn offline_up(&self, consortium: ConsortiumId, peer: &Name) -> Option<Up> {
        let room = self.rooms.get(&consortium)?;
        let (_, standing) = room.state.charters.root_of(&room.state.party, peer)?;
        Some(Up {
            consortium,
            peer: peer.clone(),
            standing,
            next: u64::MAX,
            sending: None,
            offered: None,
            record: None,
            clocks: None,
        })
    }

    fn hello_for(&self, consortium: ConsortiumId, tls: PublicKey) -> Option<Message> {
        let room = self.rooms.get(&consortium)?;
        let record = room.state.records.get(&room.state.party)?.signed.clone();
        let peer = room.state.records.iter().find(|(_, known)| known.record.tls == tls).map(|(name, _)| name);
        let operator = room.state.charters.head().map(|head| head.charter.operator().0);
        let held = peer.or(operator).and_then(|name| room.state.mail.get(name)).map_or(Held::NONE, Mailbox::held);
        let hello = Hello { versions: VersionRange::OURS, consortium, record, clock: self.cx().wall, held };
        Some(Message { kind: MessageType::Hello, payload: codec::encode(&hello) })
    }

    pub(super) fn hello_received(&mut self, conn: ConnId, stream: StreamId, message: &Message) {
        match self.check_hello(conn, message) {
            Ok(greeting) if !self.has_written(&greeting) => {
                self.reply_now(conn, stream, refused(ErrorCode::Forked));
                self.mail_forked(conn, &greeting);
            }
            Ok(greeting) if !self.may_introduce(&greeting) => {
                self.reply_now(conn, stream, refused(ErrorCode::Busy));
                self.close(conn, ErrorCode::Busy);
            }
            Ok(greeting) => {
                self.peer_up(conn, &greeting);
                let Greeting { consortium, shown, .. } = greeting;
                let ack = self.ack_for(consortium, &shown.peer);
                self.after(consortium, Effect::Reply { conn, stream, message: ack });
                self.after(consortium, Effect::Notify(Notice::PeerUp(shown.peer)));
            }
            Err((consortium, code)) => {
                self.note_refusal(consortium, None, code);
                self.reply_now(conn, stream, refused(code));
                self.close(conn, code);
            }
        }
    }

    fn check_hello(&self, conn: ConnId, message: &Message) -> Result<Greeting, (Option<ConsortiumId>, ErrorCode)> {
        let hello: Hello =
            codec::decode(&message.payload, CONTROL_FRAME_BYTES_MAX).map_err(|_| (None, ErrorCode::Malformed))?;
        VersionRange::OURS.agree(hello.versions).ok_or((None, ErrorCode::VersionUnknown))?;
        let room = self.rooms.get(&hello.consortium).ok_or((None, ErrorCode::ConsortiumUnknown))?;
        let tls = self.conns.get(&conn).map(|conn| conn.tls).ok_or((None, ErrorCode::OutOfOrder))?;
        let claim = Claim { record: &hello.record, clock: hello.clock, tls };
        let shown = self.check_claim(room, &claim).map_err(|code| (Some(hello.consortium), code))?;
        Ok(Greeting { consortium: hello.consortium, shown, record: hello.record, held: hello.held })
    }

    /// A peer that holds other documents of ours than we wrote has seen what this node forgot: a rolled-back disk, also
    /// one that has been written on since (spec HELLO-6, HELLO-9).
    fn has_written(&self, greeting: &Greeting) -> bool {
        let mail = self.rooms.get(&greeting.consortium).and_then(|room| room.state.mail.get(&greeting.shown.peer));
        mail.map_or(greeting.held == Held::NONE, |mail| mail.has_written(greeting.held))
    }

    /// A newer node record becomes an entry, and the operator tells every member of it: within the peer's bound.
    fn may_introduce(&mut self, greeting: &Greeting) -> bool {
        let bytes = if greeting.shown.is_news { greeting.record.to_bytes().len() } else { return true };
        let (consortium, peer) = (greeting.consortium, &greeting.shown.peer);
        self.may_grow(consortium, peer, bytes) && self.may_renew(consortium, peer)
    }

    /// People here must look at this before anything goes on: no document that is written now would be heard.
    fn mail_forked(&mut self, conn: ConnId, greeting: &Greeting) {
        let peer = &greeting.shown.peer;
        self.note_refusal(Some(greeting.consortium), Some(peer), ErrorCode::Forked);
        self.effects.push_back(Effect::Notify(Notice::MailForked(peer.clone())));
        self.close(conn, ErrorCode::Forked);
    }

    fn ack_for(&self, consortium: ConsortiumId, peer: &Name) -> Message {
        let room = self.rooms.get(&consortium);
        let ack = room.and_then(|room| {
            let record = room.state.records.get(&room.state.party)?.signed.clone();
            let held = room.state.mail.get(peer).map_or(Held::NONE, Mailbox::held);
            Some(HelloAck { version: CURRENT, record, clock: self.cx().wall, held })
        });
        ack.map_or(refused(ErrorCode::Unavailable), |ack| Message {
            kind: MessageType::HelloAck,
            payload: codec::encode(&ack),
        })
    }

    pub(super) fn hello_answered(&mut self, conn: ConnId, answer: Answer) {
        let outcome = match answer {
            Answer::Message(message) if message.kind == MessageType::HelloAck => self.check_ack(conn, &message),
            Answer::Message(message) if message.kind == MessageType::Refused => Err(code_of(&message)),
            Answer::Refused(code) => Err(code),
            Answer::Message(_) | Answer::Stored | Answer::Wrong | Answer::Lost | Answer::LocalFault => {
                Err(ErrorCode::OutOfOrder)
            }
        };
        match outcome {
            Ok(greeting) if !self.has_written(&greeting) => self.mail_forked(conn, &greeting),
            Ok(greeting) if !self.may_introduce(&greeting) => self.close(conn, ErrorCode::Busy),
            Ok(greeting) => {
                self.peer_up(conn, &greeting);
                self.after(greeting.consortium, Effect::Notify(Notice::PeerUp(greeting.shown.peer)));
                let early = self.conns.get_mut(&conn).map(|conn| std::mem::take(&mut conn.early)).unwrap_or_default();
                for (stream, message) in early {
                    self.request(conn, stream, &message);
                }
            }
            Err(code) => {
                self.effects.push_back(Effect::Notify(Notice::Refused { peer: None, code }));
                self.close(conn, code);
            }
        }
    }

    fn check_ack(&self, conn: ConnId, message: &Message) -> Result<Greeting, ErrorCode> {
        let ack: HelloAck =
            codec::decode(&message.payload, CONTROL_FRAME_BYTES_MAX).map_err(|_| ErrorCode::Malformed)?;
        if ack.version != CURRENT {
            return Err(ErrorCode::VersionUnknown);
        }
        let tls = self.conns.get(&conn).map(|conn| conn.tls).ok_or(ErrorCode::OutOfOrder)?;
        let consortium = ack.record.claimed().map_err(SignedFault::code)?.consortium;
        if self.conns.get(&conn).and_then(|conn| conn.consortium) != Some(consortium) {
            return Err(ErrorCode::ConsortiumUnknown);
        }
        let room = self.rooms.get(&consortium).ok_or(ErrorCode::ConsortiumUnknown)?;
        let claim = Claim { record: &ack.record, clock: ack.clock, tls };
        Ok(Greeting { consortium, shown: self.check_claim(room, &claim)?, record: ack.record, held: ack.held })
    }

    /// The record's signature by the roster's root, its validity, its TLS key, and the clocks.
    fn check_claim(&self, room: &Room, claim: &Claim<'_>) -> Result<Shown, ErrorCode> {
        let now = self.cx().wall;
        let claimed = claim.record.claimed().map_err(SignedFault::code)?;
        let known = room.state.charters.root_of(&room.state.party, &claimed.party);
        let (root, standing) = known.ok_or(ErrorCode::IdentityRefused)?;
        let record = claim.record.verify(&[root]).map_err(|_| ErrorCode::IdentityRefused)?;
        let named = record.consortium == room.state.consortium && record.root == root && record.tls == claim.tls;
        if !named || record.party == room.state.party {
            return Err(ErrorCode::IdentityRefused);
        }
        if !claim.clock.agrees(now, CLOCK_SKEW_MAX) {
            return Err(ErrorCode::ClockSkew);
        }
        if !record.stands_at(now) {
            return Err(ErrorCode::Expired);
        }
        let have = room.state.records.get(&record.party).filter(|have| have.record.root == record.root);
        let stale = have.is_some_and(|have| have.record.sequence > record.sequence);
        let forked = have.is_some_and(|have| {
            have.record.sequence == record.sequence && have.signed.digest() != claim.record.digest()
        });
        if stale || forked {
            return Err(if forked { ErrorCode::Forked } else { ErrorCode::IdentityRefused });
        }
        let is_news = have.is_none_or(|have| have.record.sequence < record.sequence);
        let clocks = Clocks { theirs: claim.clock, ours: now };
        Ok(Shown { peer: record.party.clone(), standing, is_news, clocks })
    }

    fn peer_up(&mut self, conn: ConnId, greeting: &Greeting) {
        let Greeting { consortium, shown, record, held } = greeting;
        let consortium = *consortium;
        if let Some(older) = self.conn_of(consortium, &shown.peer).filter(|older| *older != conn) {
            self.close(older, ErrorCode::Busy);
        }
        let (peer, standing) = (shown.peer.clone(), shown.standing);
        let record = shown.is_news.then(|| record.clone());
        // Only a party is told what is no introduction: nothing that it needs first may wait behind such a document.
        let room = self.rooms.get(&consortium).filter(|room| standing == Standing::Party && !room.state.stopped);
        let next = room.map_or(held.documents, |room| begin_with(&room.state, &peer, *held));
        let clocks = Some(shown.clocks);
        let up = Up { consortium, peer, standing, next, sending: None, offered: None, record, clocks };
        let Some(known) = self.conns.get_mut(&conn) else { return };
        known.up = Some(up);
        // Who dialled has the listener's answer already: it stands.
        if known.side == Side::Dialler {
            self.take_record(conn);
        }
    }

    /// The record of a peer that has said a word after HELLO becomes an entry (spec HELLO-10).
    pub(super) fn take_record(&mut self, conn: ConnId) {
        let Some(up) = self.conns.get_mut(&conn).and_then(|conn| conn.up.as_mut()) else { return };
        let Some(record) = up.record.take() else { return };
        let (consortium, now) = (up.consortium, self.cx().wall);
        let Some(room) = self.rooms.get(&consortium) else { return };
        // The roster may have changed since HELLO.
        let fits = record.claimed().is_ok_and(|record| {
            let root = room.state.charters.root_of(&room.state.party, &record.party).map(|(root, _)| root);
            root == Some(record.root) && record.stands_at(now) && room.state.is_newer_record(&record)
        });
        if fits {
            self.persist(consortium, &Actor::Node, vec![Act::NodeRecord(record)]);
        }
    }

    /// Connections that have not finished HELLO in time.
    pub(super) fn overdue_greetings(&self) -> Vec<ConnId> {
        let now = self.cx().mono;
        let late = |conn: &Conn| conn.up.is_none() && conn.opened.plus(greeting_deadline()) <= now;
        self.conns.iter().filter(|(_, conn)| late(conn)).map(|(id, _)| *id).collect()
    }

    /// When the next greeting is overdue.
    pub(super) fn next_greeting_deadline(&self) -> Option<Millis> {
        let open = self.conns.values().filter(|conn| conn.up.is_none());
        open.map(|conn| conn.opened.plus(greeting_deadline())).min()
    }
}

const fn greeting_deadline() -> crate::time::Seconds {
    crate::time::Seconds(HANDSHAKE_DEADLINE.0.saturating_add(HELLO_DEADLINE.0))
}
