//! What members see of the ledger and may say to it: announcements before a release is reserved, objections within the charter's
//! waiting time, debits as they are told, and the cap by which a node stops sharing.

use crate::digest::DocumentDigest;
use crate::ident::{ConsortiumId, Name, ReleaseId, SubscriptionId, Text};
use crate::key::signed::Signed;
use crate::record::announcement::Announcement;
use crate::record::debit::Debit;
use crate::record::extension::Extensions;
use crate::record::journal_entry::{Act, Actor};
use crate::record::objection::Objection;
use crate::record::project::BudgetShare;
use crate::record::reservation::{Charge, Reservation};
use crate::record::revocation::Change;
use crate::rule::budget::Spending;
use crate::state::State;
use crate::state::ledger::AddedUp;
use crate::state::releases::Phase;
use crate::state::subscription::Side;
use crate::time::{Millis, UnixMillis};

use super::io::{Cx, Effect, Notice, OrderFault};
use super::orders::{Consequence, Then, only};
use super::{Endpoint, Room};

impl Endpoint {
    /// What every release of every consortium of this node has cost its patients together: they may be the same ones.
    pub fn own_spending(&self) -> Spending {
        let all = self.rooms.values().map(|room| room.state.ledger.own());
        all.fold(Spending::default(), |sum, own| sum.with(Charge::Private { rho: own.rho, delta: own.delta }))
    }

    /// Only to what is announced and not over (spec REL-27).
    pub(super) fn object(
        room: &Room,
        now: UnixMillis,
        release: ReleaseId,
        reason: &Text,
    ) -> Result<Consequence, OrderFault> {
        let state = &room.state;
        let announced = state.ledger.announced(release).filter(|_| !state.is_operator());
        let announced = announced.ok_or(OrderFault::NotFound { what: "release that members are asked about" })?;
        let why = if !announced.announcement.members.contains(&state.party) {
            "no row of this node would be used"
        } else if now >= announced.announcement.until {
            "the waiting time is over"
        } else if state.ledger.has_objected(release, &state.party) {
            "this node has objected already"
        } else {
            return Ok(only(vec![objection(room, now, (release, announced.digest), reason.clone())]));
        };
        Err(OrderFault::OutOfOrder { why })
    }

    /// A cap below what was spent already could hold nothing back: that is for a revocation.
    pub(super) fn cap(&self, room: &Room, cap: Option<BudgetShare>) -> Result<Consequence, OrderFault> {
        if room.state.is_operator() {
            return Err(OrderFault::OutOfOrder { why: "only a member caps what releases cost its patients" });
        }
        match cap.filter(|cap| !within(self.own_spending(), *cap)) {
            Some(_) => Err(OrderFault::OutOfOrder {
                why: "more than that was spent already; revoke the shares whose rows are to be used no more",
            }),
            None => Ok(only(vec![])),
        }
    }

    /// The operator asks: with a cap that the release would pass, this node objects by itself (spec REL-29).
    pub(super) fn announcement_heard(&mut self, consortium: ConsortiumId, signed: &Signed<Announcement>) {
        let Ok(announcement) = signed.claimed() else { return };
        let (now, release) = (self.cx().wall, announcement.release);
        self.effects.push_back(Effect::Notify(Notice::Announced(release, announcement.until)));
        let own = self.own_spending();
        let Some(room) = self.rooms.get(&consortium) else { return };
        let concerned = announcement.members.contains(&room.state.party) && now < announcement.until;
        let passed = room.state.ledger.cap().is_some_and(|cap| !own.affords(announcement.charge, cap));
        if !concerned || !passed || room.state.ledger.has_objected(release, &room.state.party) {
            return;
        }
        let Ok(reason) = "it would pass this member's cap".parse() else { return };
        let act = objection(room, now, (release, signed.digest()), reason);
        self.persist(consortium, &Actor::Node, vec![act]);
    }

    /// A debit was told: where it disagrees people hear of it, and where the cap is passed nothing more is shared.
    pub(super) fn debit_heard(&mut self, consortium: ConsortiumId) {
        let own = self.own_spending();
        let Some(room) = self.rooms.get(&consortium) else { return };
        let Some(line) = room.state.ledger.lines().last() else { return };
        let (release, disagreement) = (line.debit.release, line.disagreement);
        let ours = line.debit.members.contains(&room.state.party);
        let passed = ours && room.state.ledger.cap().is_some_and(|cap| !within(own, cap));
        if let Some(disagreement) = disagreement {
            self.effects.push_back(Effect::Notify(Notice::LedgerDisagrees(release, disagreement)));
        }
        if passed {
            self.effects.push_back(Effect::Notify(Notice::CapPassed));
            self.share_no_more();
        }
    }

    /// Revokes what this node shares with operators of consortia whose cap is passed: their rows take no part in later releases.
    fn share_no_more(&mut self) {
        let own = self.own_spending();
        let now = self.cx().wall;
        let capped = |room: &&Room| room.state.ledger.cap().is_some_and(|cap| !within(own, cap));
        let mut due: Vec<(ConsortiumId, SubscriptionId, Consequence)> = Vec::new();
        for room in self.rooms.values().filter(capped) {
            let reason: Option<Text> = "releases have passed this member's cap".parse().ok();
            let shared =
                room.state.subscriptions.values().filter(|found| found.side == Side::Provider && !found.revoked);
            for found in shared {
                let revoked = Self::change_subscription(room, now, found.id, &Change::Revoke, reason.clone());
                due.extend(revoked.ok().map(|consequence| (room.state.consortium, found.id, consequence)));
            }
        }
        for (consortium, subscription, consequence) in due {
            self.persist(consortium, &Actor::Node, consequence.acts);
            self.then(consortium, Some(&Then::Cut(subscription)));
        }
    }

    /// A member objects: the release is over before anything was reserved.
    pub(super) fn objection_heard(&mut self, consortium: ConsortiumId, signed: &Signed<Objection>) {
        let Ok(objection) = signed.claimed() else { return };
        self.effects.push_back(Effect::Notify(Notice::Objected(objection.release, objection.member.clone())));
        self.after(consortium, Effect::Sweep);
    }

    /// When the next waiting time is over.
    pub(super) fn next_waited(&self) -> Option<Millis> {
        let Cx { mono, wall } = self.cx();
        let open = self.rooms.values().filter(|room| !room.state.stopped && room.desk.is_free());
        let open = open.flat_map(|room| room.state.releases.open());
        let until = open.filter_map(|filed| if let Phase::Announced(until) = filed.phase { Some(until) } else { None });
        until.filter(|until| *until > wall).map(|until| mono.plus_millis(until.0.saturating_sub(wall.0))).min()
    }

    /// Takes up releases whose waiting time is over.
    pub(super) fn waited(&mut self) {
        let now = self.cx().wall;
        let over = |room: &&Room| {
            room.state.releases.open().any(|filed| matches!(filed.phase, Phase::Announced(until) if until <= now))
        };
        let due: Vec<ConsortiumId> = self.rooms.values().filter(over).map(|room| room.state.consortium).collect();
        for consortium in due {
            self.next_release(consortium);
        }
    }
}

const fn within(spent: Spending, cap: BudgetShare) -> bool {
    spent.rho.0 <= cap.rho.0 && spent.delta.0 <= cap.delta.0
}

fn objection(room: &Room, now: UnixMillis, of: (ReleaseId, DocumentDigest), reason: Text) -> Act {
    let (release, announcement) = of;
    let objection = Objection {
        consortium: room.state.consortium,
        member: room.state.party.clone(),
        release,
        announcement,
        reason,
        at: now,
        ext: Extensions::default(),
    };
    Act::Objection(Signed::sign(&objection, &room.keys.signing))
}

/// What members are asked about, where the charter lets them object and this is not what they were asked about already.
pub(super) fn announcement(room: &Room, now: UnixMillis, reservation: &Reservation) -> Option<Act> {
    let state = &room.state;
    let wait = super::releases::charter_in_force(state)?.charter.safeguards().objection_wait;
    if wait.0 == 0 {
        return None;
    }
    let asked = state.ledger.announced(reservation.release).map(|announced| &announced.announcement);
    let is_over = |asked: &Announcement| {
        (asked.kind, asked.charge, asked.charter, asked.project)
            == (reservation.kind, reservation.charge, reservation.charter, reservation.project)
            && asked.account == reservation.account
            && asked.members == reservation.members
            && asked.recipients == reservation.recipients
            && asked.until <= now
    };
    if asked.is_some_and(is_over) {
        return None;
    }
    let announcement = Announcement {
        consortium: state.consortium,
        operator: state.party.clone(),
        release: reservation.release,
        kind: reservation.kind,
        charter: reservation.charter,
        project: reservation.project,
        account: reservation.account.clone(),
        members: reservation.members.clone(),
        recipients: reservation.recipients.clone(),
        charge: reservation.charge,
        until: now.plus(wait),
        at: now,
        ext: Extensions::default(),
    };
    Some(Act::Announcement(Signed::sign(&announcement, &room.keys.signing)))
}

/// The debit of a reservation that entry `reserved` holds, as members are told of it.
pub(super) fn debit(room: &Room, reservation: &Reservation, reserved: (u64, UnixMillis)) -> Act {
    let state: &State = &room.state;
    let AddedUp { debits, spent } = state.ledger.account(&reservation.account);
    let spent = spent.with(reservation.charge);
    let sum = BudgetShare { rho: spent.rho, delta: spent.delta };
    let from: (ConsortiumId, &Name) = (state.consortium, &state.party);
    let debit = Debit::of(reservation, from, reserved, (debits.saturating_add(1), sum));
    Act::Debit(Signed::sign(&debit, &room.keys.signing))
}
