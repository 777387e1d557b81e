//! What a peer's answer to a document of this node comes to: the next one, a rest, or a word that did not count.

use crate::code::{ErrorCode, MessageType};
use crate::ident::{ConsortiumId, Name, SnapshotId};
use crate::key::signed::Signed;
use crate::limits::BUSY_REST;
use crate::message::document::{Document, Held};
use crate::record::acceptance::Acceptance;
use crate::record::journal_entry::{Act, Actor};
use crate::state::State;
use crate::state::subscription::{Fate, Side, Subscription};
use crate::time::Millis;

use super::io::{Answer, ConnId, Effect, Notice};
use super::{Endpoint, code_of};

/// Whether a refusal says that the document was not taken, so that it is sent again (spec MAIL-4, MAIL-6).
pub(super) const fn says_not_taken(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::OutOfOrder | ErrorCode::Unavailable | ErrorCode::Busy)
}

/// The number of the document to begin with, for a peer that holds these. The last of them is sent again where its answer
/// may not have been heard: what was refused must not count here (spec MAIL-1, SHARE-21).
pub(super) fn begin_with(state: &State, peer: &Name, held: Held) -> u64 {
    let document = |index: u64| state.mail.get(peer)?.get(index);
    let last = held.documents.checked_sub(1);
    let last = last.filter(|last| document(*last).is_some_and(|document| waits(state, peer, document)));
    last.unwrap_or(held.documents)
}

/// Whether what this document said still waits for the peer's word.
fn waits(state: &State, peer: &Name, document: &Document) -> bool {
    match document {
        Document::Acceptance(signed) => answered(state, peer, signed).is_some_and(|found| !found.has_acted()),
        Document::Manifest(signed) => stated(state, peer, SnapshotId(signed.digest().0)).is_some(),
        Document::Charter(_)
        | Document::NodeRecord(_)
        | Document::Invitation(_)
        | Document::Standing(_)
        | Document::Revocation(_)
        | Document::Receipt(_)
        | Document::LinkageWrap(_)
        | Document::SiteNotice(_)
        | Document::CommonSchema(_)
        | Document::Project(_)
        | Document::Withdrawal(_)
        | Document::Announcement(_)
        | Document::Objection(_)
        | Document::Debit(_) => false,
    }
}

/// The subscription whose last invitation this answers.
fn answered<'a>(state: &'a State, peer: &Name, signed: &Signed<Acceptance>) -> Option<&'a Subscription> {
    let acceptance = signed.claimed().ok()?;
    let found = state.subscriptions.get(&acceptance.subscription)?;
    let ours = found.side == Side::Consumer && found.peer == *peer && found.answer.is_some();
    (ours && found.invitation_digest == acceptance.invitation).then_some(found)
}

/// The provider's subscription in which the peer has said nothing of this snapshot.
fn stated<'a>(state: &'a State, peer: &Name, snapshot: SnapshotId) -> Option<&'a Subscription> {
    let provided = state.subscriptions.values().filter(|found| found.side == Side::Provider && found.peer == *peer);
    let waits = |found: &&Subscription| found.snapshot(snapshot).is_some_and(|known| known.fate == Fate::Stated);
    provided.into_iter().find(waits)
}

impl Endpoint {
    /// `Done` and `Refused` both mean that the peer has it; anything else, that the connection is of no use.
    pub(super) fn document_answered(&mut self, conn: ConnId, answer: &Answer) {
        if matches!(answer, Answer::Message(_)) {
            self.take_record(conn);
        }
        let refusal = match answer {
            Answer::Message(message) if message.kind == MessageType::Done => None,
            Answer::Message(message) if message.kind == MessageType::Refused => Some(code_of(message)),
            Answer::Refused(code) => Some(*code),
            Answer::Message(_) | Answer::Stored | Answer::Wrong | Answer::Lost | Answer::LocalFault => {
                return self.close(conn, ErrorCode::OutOfOrder);
            }
        };
        if refusal == Some(ErrorCode::Busy) {
            return self.peer_busy(conn);
        }
        if refusal.is_some_and(says_not_taken) {
            return self.close(conn, ErrorCode::OutOfOrder);
        }
        let Some(up) = self.conns.get_mut(&conn).and_then(|conn| conn.up.as_mut()) else { return };
        let sent = up.next;
        up.next = sent.saturating_add(1);
        up.sending = None;
        if let Some(code) = refusal {
            let (consortium, peer) = (up.consortium, up.peer.clone());
            self.effects.push_back(Effect::Notify(Notice::Refused { peer: Some(peer.clone()), code }));
            self.note_refused(consortium, &peer, sent, code);
        }
    }

    /// The peer takes no more documents in this hour: the connection stays, and the same document is tried again later.
    fn peer_busy(&mut self, conn: ConnId) {
        let until = self.cx().mono.plus(BUSY_REST);
        let Some(up) = self.conns.get_mut(&conn).and_then(|conn| conn.up.as_mut()) else { return };
        up.sending = None;
        let (consortium, peer) = (up.consortium, up.peer.clone());
        if let Some(room) = self.rooms.get_mut(&consortium) {
            room.rests.insert(peer.clone(), until);
        }
        self.effects.push_back(Effect::Notify(Notice::Refused { peer: Some(peer), code: ErrorCode::Busy }));
    }

    /// When the next peer has rested enough.
    pub(super) fn next_rested(&self) -> Option<Millis> {
        let now = self.cx().mono;
        self.rooms.values().flat_map(|room| room.rests.values().copied()).filter(|until| *until > now).min()
    }

    /// A manifest that its consumer refused: the deltas after it would be refused too, so the next snapshot is full. An
    /// answer that its provider refused: it counts for nothing here either.
    pub(super) fn note_refused(&mut self, consortium: ConsortiumId, peer: &Name, sent: u64, code: ErrorCode) {
        let Some(room) = self.rooms.get(&consortium) else { return };
        let Some(document) = room.state.mail.get(peer).and_then(|mail| mail.get(sent)) else { return };
        let act = match &**document {
            Document::Manifest(signed) => {
                let snapshot = SnapshotId(signed.digest().0);
                let found = stated(&room.state, peer, snapshot);
                found.map(|found| Act::SnapshotUnwanted { subscription: found.id, snapshot, code })
            }
            Document::Acceptance(signed) => {
                let found = answered(&room.state, peer, signed).filter(|found| !found.has_acted());
                found.map(|found| {
                    let (subscription, invitation) = (found.id, found.invitation_digest);
                    Act::AnswerRefused { subscription, invitation, code }
                })
            }
            Document::Charter(_)
            | Document::NodeRecord(_)
            | Document::Invitation(_)
            | Document::Standing(_)
            | Document::Revocation(_)
            | Document::Receipt(_)
            | Document::LinkageWrap(_)
            | Document::SiteNotice(_)
            | Document::CommonSchema(_)
            | Document::Project(_)
            | Document::Withdrawal(_)
            | Document::Announcement(_)
            | Document::Objection(_)
            | Document::Debit(_) => None,
        };
        self.persist(consortium, &Actor::Node, act.into_iter().collect());
    }
}
