//! What time brings: overdue greetings, entries about served bytes, new node records, refusals kept within a budget.

use std::collections::BTreeSet;

use crate::code::ErrorCode;
use crate::ident::{ConsortiumId, Name};
use crate::key::signed::Signed;
use crate::limits::{
    NODE_RECORD_VALIDITY_MAX, PARTY_RECORDS_AN_HOUR_MAX, PEER_DOCUMENT_BYTES_AN_HOUR_MAX, PEER_DOCUMENTS_AN_HOUR_MAX,
};
use crate::record::journal_entry::{Act, Actor};
use crate::record::node_record::{NodeRecord, NodeRecordFields};
use crate::state::subscription::Side;
use crate::time::{Millis, Seconds, UnixMillis};

use super::Endpoint;
use super::io::{Cx, Effect, Notice, Under};

/// Between two looks at everything that time may have changed.
const UPKEEP_EVERY: Seconds = Seconds(5);
/// A node record is renewed when less than this is left of it.
const RENEW_BEFORE: Seconds = Seconds(10 * 24 * 3600);
/// Refusals of unknown peers that are journaled in a minute; the rest is counted nowhere, so that a flood fills no disk.
const REFUSALS_A_MINUTE: u32 = 30;

/// How many refusals may still be journaled in this minute.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RefusalBudget {
    minute: u64,
    used: u32,
}

impl RefusalBudget {
    fn take(&mut self, now: UnixMillis) -> bool {
        let minute = now.0.div_euclid(60_000);
        if minute != self.minute {
            *self = Self { minute, used: 0 };
        }
        self.used = self.used.saturating_add(1);
        self.used <= REFUSALS_A_MINUTE
    }
}

/// How much one peer has made this node's journal grow in this hour. A restart begins it anew.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct GrowthBudget {
    hour: u64,
    documents: usize,
    bytes: u64,
    records: usize,
}

impl GrowthBudget {
    fn begin(&mut self, now: Millis) {
        let hour = now.0.div_euclid(3_600_000);
        if hour != self.hour {
            *self = Self { hour, ..Self::default() };
        }
    }

    fn take_record(&mut self, now: Millis) -> bool {
        self.begin(now);
        self.records = self.records.saturating_add(1);
        self.records <= PARTY_RECORDS_AN_HOUR_MAX
    }

    fn take(&mut self, now: Millis, bytes: usize) -> bool {
        self.begin(now);
        let (documents, bytes) = (self.documents.saturating_add(1), self.bytes.saturating_add(widened(bytes)));
        let fits = documents <= PEER_DOCUMENTS_AN_HOUR_MAX && bytes <= PEER_DOCUMENT_BYTES_AN_HOUR_MAX.0;
        if fits {
            (self.documents, self.bytes) = (documents, bytes);
        }
        fits
    }
}

fn widened(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

impl Endpoint {
    /// Whether an entry about a document of `peer` may be written: a hostile one must not fill the disk (spec MAIL-4).
    pub(super) fn may_grow(&mut self, consortium: ConsortiumId, peer: &Name, bytes: usize) -> bool {
        let now = self.cx().mono;
        let Some(room) = self.rooms.get_mut(&consortium) else { return false };
        let fits = room.growth.entry(peer.clone()).or_default().take(now, bytes);
        if !fits {
            self.note_refusal(Some(consortium), Some(peer), ErrorCode::Busy);
        }
        fits
    }

    /// Whether a node record of `peer` may be taken in: what an operator takes, it relays to everybody (spec MAIL-5).
    pub(super) fn may_renew(&mut self, consortium: ConsortiumId, peer: &Name) -> bool {
        let now = self.cx().mono;
        let Some(room) = self.rooms.get_mut(&consortium) else { return false };
        let fits = !room.state.is_operator() || room.growth.entry(peer.clone()).or_default().take_record(now);
        if !fits {
            self.note_refusal(Some(consortium), Some(peer), ErrorCode::Busy);
        }
        fits
    }

    pub(super) fn upkeep(&mut self) {
        for conn in self.overdue_greetings() {
            self.close(conn, ErrorCode::OutOfOrder);
        }
        self.cut_expired();
        let now = self.cx().mono;
        if self.last_upkeep.plus(UPKEEP_EVERY) > now && self.last_upkeep != Millis(0) {
            return;
        }
        self.last_upkeep = now;
        self.close_stale();
        self.journal_served();
        self.renew_records();
        self.reopen_wraps();
        self.pipelines_due();
        self.releases_due();
    }

    /// When to send `Input::Tick` at the latest. After a tick it lies ahead; a node whose journal failed sleeps.
    pub fn poll_wake(&self) -> Option<Millis> {
        if self.failed {
            return None;
        }
        // A landing whose rest is over and whose peer is not there begins when the peer comes.
        let now = self.cx().mono;
        let retries = self.rooms.values().flat_map(|room| room.retry_at.values().copied()).filter(|at| *at > now);
        let upkeep = self.last_upkeep.plus(UPKEEP_EVERY);
        let others =
            [self.next_greeting_deadline(), self.next_expiry(), self.next_rested(), self.next_waited(), Some(upkeep)];
        retries.chain(others.into_iter().flatten()).min()
    }

    /// When the next subscription is over that bytes may leave under: no later, its last byte has left.
    fn next_expiry(&self) -> Option<Millis> {
        let Cx { mono, wall } = self.cx();
        let all = self.rooms.values().flat_map(|room| room.state.subscriptions.values());
        let open = all.filter(|found| found.side == Side::Provider && found.expires > wall);
        let left = open.map(|found| found.expires.0.saturating_sub(wall.0)).min();
        left.map(|left| mono.plus_millis(left))
    }

    /// Writes down that a peer was refused, within the budget, and tells people.
    pub(super) fn note_refusal(&mut self, consortium: Option<ConsortiumId>, peer: Option<&Name>, code: ErrorCode) {
        let now = self.cx().wall;
        let peer = peer.cloned();
        self.effects.push_back(Effect::Notify(Notice::Refused { peer: peer.clone(), code }));
        let Some(room) = consortium.and_then(|id| self.rooms.get_mut(&id)) else { return };
        if room.refusals.take(now) {
            let id = room.state.consortium;
            self.persist(id, &Actor::Node, vec![Act::PeerRefused { peer, code }]);
        }
    }

    /// Signs a new node record in time, where the root key is here.
    fn renew_records(&mut self) {
        let now = self.cx().wall;
        let due: Vec<(ConsortiumId, Signed<NodeRecord>)> = self
            .rooms
            .iter()
            .filter_map(|(id, room)| {
                let ours = &room.state.records.get(&room.state.party)?.record;
                let root = room.keys.root.as_ref()?;
                // One signed while the clock was wrong does not stand yet.
                if ours.stands_at(now) && ours.not_after > now.plus(RENEW_BEFORE) {
                    return None;
                }
                let fields = NodeRecordFields {
                    sequence: ours.sequence.saturating_add(1),
                    not_before: now,
                    not_after: now.plus(NODE_RECORD_VALIDITY_MAX),
                    ..NodeRecordFields::from(ours.clone())
                };
                Some((*id, Signed::sign(&NodeRecord::try_from(fields).ok()?, root)))
            })
            .collect();
        for (consortium, record) in due {
            self.persist(consortium, &Actor::Node, vec![Act::NodeRecord(record)]);
        }
    }

    /// Connections of peers whose node record has run out, or names another TLS key now: a stolen key must not go on.
    fn close_stale(&mut self) {
        let now = self.cx().wall;
        let stale = |conn: &super::Conn| {
            let up = conn.up.as_ref().filter(|_| conn.protocol == super::io::Protocol::Main);
            let newest = up.and_then(|up| self.newest_record(up));
            newest.is_some_and(|newest| newest.tls != conn.tls || !newest.stands_at(now))
        };
        let stale: Vec<_> = self.conns.iter().filter(|(_, conn)| stale(conn)).map(|(id, _)| *id).collect();
        for conn in stale {
            self.close(conn, ErrorCode::Expired);
        }
    }

    /// The newest record of a peer: the one it has shown in HELLO, which waits for its first word, or one that came since.
    fn newest_record(&self, up: &super::Up) -> Option<NodeRecord> {
        let known = self.rooms.get(&up.consortium)?.state.records.get(&up.peer).map(|known| &known.record);
        let shown = up.record.as_ref().and_then(|record| record.claimed().ok());
        let newer =
            |shown: &NodeRecord| known.is_none_or(|known| known.root != shown.root || known.sequence < shown.sequence);
        shown.filter(newer).or_else(|| known.cloned())
    }

    /// A subscription whose time is over: what is under way is cut.
    fn cut_expired(&mut self) {
        let now = self.cx().wall;
        let mut expired = BTreeSet::new();
        for (consortium, room) in &self.rooms {
            let over = room.state.subscriptions.values().filter(|found| now >= found.expires);
            expired.extend(over.map(|found| Under { consortium: *consortium, subscription: found.id }));
        }
        let before = std::mem::replace(&mut self.expired, expired.clone());
        for under in expired.difference(&before) {
            self.cut(*under, ErrorCode::Expired);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_fills_no_journal() {
        let mut budget = RefusalBudget::default();
        let taken = (0..1000).filter(|_| budget.take(UnixMillis(60_000))).count();
        assert_eq!(taken, 30);
        assert!(budget.take(UnixMillis(120_000)));
    }

    // MAIL-5
    #[test]
    fn a_party_renews_its_record_so_often_an_hour() {
        let mut budget = GrowthBudget::default();
        assert_eq!((0..100).filter(|_| budget.take_record(Millis(7))).count(), 32);
        assert!(budget.take(Millis(7), 1), "other documents go on");
        assert!(budget.take_record(Millis(3_600_000)), "another hour");
    }

    // MAIL-4
    #[test]
    fn a_peer_makes_the_journal_grow_by_so_much_an_hour() {
        let (hour, mut budget) = (Millis(3_600_000), GrowthBudget::default());
        assert_eq!((0..20_000).filter(|_| budget.take(Millis(7), 1)).count(), 10_000);
        assert!(!budget.take(Millis(hour.0 - 1), 1));
        assert!(budget.take(hour, 64 << 20), "another hour, all its bytes at once");
        assert!(!budget.take(hour, 1));
        let (mut exact, mut over) = (GrowthBudget::default(), GrowthBudget::default());
        assert!(!over.take(hour, (64 << 20) + 1) && over.take(hour, 64 << 20), "what is refused is not counted");
        assert!(exact.take(hour, 64 << 20));
    }
}
