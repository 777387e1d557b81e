//! Cosigning of audit logs: this node's head to its peers, and theirs judged against the last one that was cosigned.
//!
//! Tiles, kept heads and evidence live with the driver. What was cosigned last is no journal entry: it would make the
//! log grow by being cosigned. It is durable before the cosignature leaves all the same (spec LOG-13, LOG-17 to LOG-19).

use std::collections::BTreeMap;

use crate::code::{ErrorCode, MessageType};
use crate::ident::{ConsortiumId, Name};
use crate::limits::{CONTROL_FRAME_BYTES_MAX, LOG_COSIGN_INTERVAL};
use crate::log::checkpoint::{Checkpoint, LogKeys, Strangers, origin, signed};
use crate::log::note::Note;
use crate::log::proof::ProofFault;
use crate::log::tree::{TreeHash, TreeHead};
use crate::log::witness::Witness;
use crate::message::witness::{LogAnswer, LogOffer};
use crate::state::charters::Standing;
use crate::wire::codec;

use super::io::{Answer, ConnId, Effect, Message, Notice, Protocol, StreamId, Ticket};
use super::{Endpoint, Room, Up, Waiting, refused};

/// What one room knows of logs.
#[derive(Debug, Default)]
pub(super) struct Logs {
    /// The head of this node's log.
    head: Option<TreeHead>,
    /// The size that each peer has cosigned.
    cosigned: BTreeMap<Name, u64>,
    /// The last head of each peer's log that this node cosigned, and the checkpoint.
    witnessed: BTreeMap<Name, (TreeHead, String)>,
}

/// What comes of an offer.
enum Verdict {
    Cosign(TreeHead, String),
    ProveFrom(u64),
    Refuse(ErrorCode),
    /// The two checkpoints cannot be of one log, or the log does not show that they are.
    Split(String),
}

impl Endpoint {
    /// Takes the checkpoint of `peer` that this node cosigned last, as the driver has kept it. After
    /// [`Endpoint::enter`], before any input. One that cannot be read is as none.
    pub fn remember_witnessed(&mut self, consortium: ConsortiumId, peer: Name, checkpoint: String) {
        let read = Note::parse(&checkpoint).and_then(|note| Checkpoint::parse(note.text()));
        if let (Some(room), Ok(read)) = (self.rooms.get_mut(&consortium), read) {
            room.logs.witnessed.insert(peer, (read.head, checkpoint));
        }
    }

    /// Heads may come in another order than they were published in: the log only grows, and so does what is shown of it.
    pub(super) fn log_head(&mut self, consortium: ConsortiumId, head: TreeHead) {
        if let Some(room) = self.rooms.get_mut(&consortium) {
            let newer = room.logs.head.is_none_or(|known| known.size < head.size);
            room.logs.head = if newer { Some(head) } else { room.logs.head };
        }
    }

    /// Shows the head to every peer that has not cosigned it: once after connecting, then at most once an interval.
    pub(super) fn offer_heads(&mut self) {
        let now = self.cx().mono;
        let mut due = Vec::new();
        for (id, conn) in self.conns.iter().filter(|(_, conn)| conn.protocol == Protocol::Main) {
            let Some(up) = conn.up.as_ref().filter(|up| up.standing == Standing::Party) else { continue };
            let logs = self.rooms.get(&up.consortium).filter(|room| !room.state.stopped).map(|room| &room.logs);
            let Some((logs, head)) = logs.and_then(|logs| Some((logs, logs.head?))) else { continue };
            let known = logs.cosigned.get(&up.peer).copied().unwrap_or(0);
            let rested = up.offered.is_none_or(|at| at.plus(LOG_COSIGN_INTERVAL) <= now);
            if rested && head.size > known {
                due.push((*id, up.consortium, known, head));
            }
        }
        for (conn, consortium, known, head) in due {
            if let Some(up) = self.conns.get_mut(&conn).and_then(|conn| conn.up.as_mut()) {
                up.offered = Some(now);
            }
            if known == 0 {
                self.offer(conn, (0, false), head, Vec::new());
            } else {
                self.prove(conn, consortium, (known, false));
            }
        }
    }

    /// `asked`: the peer has named the size, which it may do once.
    fn prove(&mut self, conn: ConnId, consortium: ConsortiumId, (from, asked): (u64, bool)) {
        let ticket = self.ticket(Waiting::LogProof { conn, from, asked });
        self.effects.push_back(Effect::ProveLog { ticket, consortium, from });
    }

    pub(super) fn log_proof(&mut self, ticket: Ticket, proof: Option<(TreeHead, Vec<TreeHash>)>) {
        let Some(Waiting::LogProof { conn, from, asked }) = self.waiting.remove(&ticket) else { return };
        if let Some((head, path)) = proof {
            self.offer(conn, (from, asked), head, path);
        }
    }

    fn offer(&mut self, conn: ConnId, (old, asked): (u64, bool), head: TreeHead, path: Vec<TreeHash>) {
        let up = self.conns.get(&conn).and_then(|conn| conn.up.as_ref());
        let up = up.filter(|up| up.standing == Standing::Party);
        let room = up.and_then(|up| self.rooms.get(&up.consortium)).filter(|room| !room.state.stopped);
        let checkpoint = room.and_then(|room| signed(&origin_of(room), head, &room.keys.signing).ok());
        let Some(checkpoint) = checkpoint else { return };
        let payload = codec::encode(&LogOffer { old, checkpoint: checkpoint.clone(), path });
        let ticket = self.ticket(Waiting::LogOffer { conn, old, asked, head, checkpoint });
        let message = Message { kind: MessageType::Checkpoint, payload };
        self.effects.push_back(Effect::Ask { conn, ticket, message });
    }

    /// A cosignature goes to the log. A peer that has cosigned another size than this node knew gets a proof from there,
    /// once. Anything else waits for the next interval.
    pub(super) fn offer_answered(&mut self, waited: Waiting, answer: &Answer) {
        let Waiting::LogOffer { conn, old, asked, head, checkpoint } = waited else { return };
        let Some(up) = self.conns.get(&conn).and_then(|conn| conn.up.clone()) else { return };
        match answer {
            Answer::Message(message) if message.kind == MessageType::Cosigned => {
                match codec::decode::<LogAnswer>(&message.payload, CONTROL_FRAME_BYTES_MAX) {
                    Ok(LogAnswer::Cosigned(theirs)) => self.cosigned(&up, head, &checkpoint, &theirs),
                    Ok(LogAnswer::ProveFrom(size)) if !asked && size != old && size > 0 => {
                        self.prove(conn, up.consortium, (size, true));
                    }
                    Ok(LogAnswer::ProveFrom(_)) | Err(_) => {}
                }
            }
            Answer::Refused(code) => {
                self.effects.push_back(Effect::Notify(Notice::Refused { peer: Some(up.peer), code: *code }));
            }
            Answer::Message(message) if message.kind == MessageType::Refused => {
                let code = super::code_of(message);
                self.effects.push_back(Effect::Notify(Notice::Refused { peer: Some(up.peer), code }));
            }
            Answer::Message(_) | Answer::Stored | Answer::Wrong | Answer::Lost | Answer::LocalFault => {}
        }
    }

    /// Taken in only when it stands over the very text of this node's checkpoint (spec LOG-12).
    fn cosigned(&mut self, up: &Up, head: TreeHead, ours: &str, theirs: &str) {
        let Some(room) = self.rooms.get_mut(&up.consortium) else { return };
        let Some(known) = room.state.records.get(&up.peer) else { return };
        let (name, key) = (origin(&up.consortium, &up.peer), known.record.signing);
        if let Ok(checkpoint) = crate::log::checkpoint::with_cosignature(ours, theirs, &name, key) {
            let known = room.logs.cosigned.entry(up.peer.clone()).or_default();
            *known = head.size.max(*known);
            let (consortium, size) = (up.consortium, head.size);
            self.effects.push_back(Effect::KeepCosignature { consortium, size, name, key, checkpoint });
        }
    }

    pub(super) fn checkpoint_received(&mut self, conn: ConnId, stream: StreamId, up: &Up, message: &Message) {
        // One at a time: an older head must not be written over a newer one. The write goes on without the connection.
        let writes = |waiting: &Waiting| matches!(waiting, Waiting::Witness { consortium, peer, .. } if *consortium == up.consortium && *peer == up.peer);
        let busy = self.waiting.values().any(writes);
        let verdict = if !busy && self.may_grow(up.consortium, &up.peer, message.payload.len()) {
            self.judge_offer(up, message)
        } else {
            Verdict::Refuse(ErrorCode::Busy)
        };
        match verdict {
            Verdict::Cosign(head, checkpoint) => {
                if let Some(room) = self.rooms.get_mut(&up.consortium) {
                    room.logs.witnessed.insert(up.peer.clone(), (head, checkpoint.clone()));
                }
                let (consortium, peer) = (up.consortium, up.peer.clone());
                let (to, waits) = ((conn, stream), checkpoint.clone());
                let ticket = self.ticket(Waiting::Witness { consortium, peer: peer.clone(), to, checkpoint: waits });
                self.effects.push_back(Effect::Witness { ticket, consortium, peer, checkpoint });
            }
            Verdict::ProveFrom(size) => self.reply_now(conn, stream, answer(&LogAnswer::ProveFrom(size))),
            Verdict::Refuse(code) => {
                self.note_refusal(Some(up.consortium), Some(&up.peer), code);
                self.reply_now(conn, stream, refused(code));
            }
            Verdict::Split(last) => {
                let now = codec::decode::<LogOffer>(&message.payload, CONTROL_FRAME_BYTES_MAX);
                let now = now.map(|offer| offer.checkpoint).unwrap_or_default();
                let (consortium, peer) = (up.consortium, up.peer.clone());
                self.note_refusal(Some(consortium), Some(&peer), ErrorCode::Forked);
                self.effects.push_back(Effect::KeepEvidence { consortium, peer: peer.clone(), last, now });
                self.effects.push_back(Effect::Notify(Notice::SplitView(peer)));
                self.reply_now(conn, stream, refused(ErrorCode::Forked));
                self.close(conn, ErrorCode::Forked);
            }
        }
    }

    fn judge_offer(&self, up: &Up, message: &Message) -> Verdict {
        let Ok(offer) = codec::decode::<LogOffer>(&message.payload, CONTROL_FRAME_BYTES_MAX) else {
            return Verdict::Refuse(ErrorCode::Malformed);
        };
        let now = self.cx().wall;
        let Some(room) = self.rooms.get(&up.consortium) else { return Verdict::Refuse(ErrorCode::NotFound) };
        let known = room.state.records.get(&up.peer).filter(|known| known.record.stands_at(now));
        let key = known.filter(|_| up.standing == Standing::Party).map(|known| known.record.signing);
        let keys = key.and_then(|key| LogKeys::new(&origin(&up.consortium, &up.peer), [key], Strangers::Ignore).ok());
        let Some(keys) = keys else { return Verdict::Refuse(ErrorCode::IdentityRefused) };
        let last = room.logs.witnessed.get(&up.peer);
        if !is_plain(&offer.checkpoint) {
            return Verdict::Refuse(ErrorCode::Malformed);
        }
        let Ok(open) = keys.open(&offer.checkpoint) else { return Verdict::Refuse(ErrorCode::SignatureInvalid) };
        if let Some((last, _)) = last.filter(|(last, _)| open.head.size > last.size && offer.old != last.size) {
            return Verdict::ProveFrom(last.size);
        }
        let witness = Witness { name: &origin_of(room), pair: &room.keys.signing };
        let verdict = witness.cosign(&keys, last.map(|(head, _)| head), (&offer.checkpoint, &offer.path), now);
        match (verdict, last) {
            (Ok((head, checkpoint)), _) => Verdict::Cosign(head, checkpoint),
            (Err(ProofFault::Note(_)), _) => Verdict::Refuse(ErrorCode::SignatureInvalid),
            (Err(_), Some((_, checkpoint))) => Verdict::Split(checkpoint.clone()),
            (Err(_), None) => Verdict::Refuse(ErrorCode::Malformed),
        }
    }

    pub(super) fn witnessed(&mut self, ticket: Ticket, durable: bool) {
        let Some(Waiting::Witness { to: (conn, stream), checkpoint, .. }) = self.waiting.remove(&ticket) else {
            return;
        };
        let message = if durable { answer(&LogAnswer::Cosigned(checkpoint)) } else { refused(ErrorCode::Unavailable) };
        self.reply_now(conn, stream, message);
    }
}

/// Three lines and one signature: the answer, which is one line longer, fits its frame.
fn is_plain(checkpoint: &str) -> bool {
    let note = Note::parse(checkpoint).ok().filter(|note| note.signatures().len() == 1);
    note.and_then(|note| Checkpoint::parse(note.text()).ok()).is_some_and(|read| read.extensions.is_empty())
}

fn origin_of(room: &Room) -> String {
    origin(&room.state.consortium, &room.state.party)
}

fn answer(answer: &LogAnswer) -> Message {
    Message { kind: MessageType::Cosigned, payload: codec::encode(answer) }
}
