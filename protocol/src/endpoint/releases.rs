//! The way of a release through a node: read, reviewed, reserved, paid for, computed, stated. One is read at a time, some private
//! answers are computed at a time, and what epsilon does not cover is computed alone: each states the ones before it.
//!
//! Nothing is computed before its reservation is durable (law 2, spec REL-8): [`Spent`] is made in [`Endpoint::persisted`] alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::ident::{ConsortiumId, Name, ReleaseId};
use crate::key::signed::Signed;
use crate::limits::DOCUMENT_BYTES_MAX;
use crate::record::consolidation::Consolidation;
use crate::record::extension::Extensions;
use crate::record::journal_entry::{Act, Actor, RunFault};
use crate::record::refusal::Refusal;
use crate::record::release::{Release, ReleaseFault, ReleaseFields, ReleaseInput};
use crate::record::request::Request;
use crate::record::reservation::{Charge, Reservation, Verdict};
use crate::rule::budget::Spent;
use crate::rule::review::{Asking, Decision, Known, Permit, review};
use crate::state::State;
use crate::state::releases::{Filed, Phase, Reserved};
use crate::time::UnixMillis;
use crate::wire::codec;

use super::io::{Effect, MadeRelease, Notice, ReleasePlan, RequestPlan, RequestRead, Ticket};
use super::objections::{announcement, debit};
use super::sites::usable_set;
use super::table_orders::{named_schema, schema_text, usable_shares};
use super::{Endpoint, Room, Waiting};

/// What is under way of releases, and the words of those that wait for the officer.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// The one that is read and reviewed.
    at: Option<ReleaseId>,
    /// Reservations that are not durable yet, the oldest first.
    unpaid: Vec<Unpaid>,
    /// What is reserved here since the start and has not ended; `true`: it is computed alone.
    in_flight: BTreeMap<ReleaseId, bool>,
    /// The one that waits until nothing is in flight.
    alone: Option<ReleaseId>,
    /// Requests of releases that are computed or made. After a start they are read again.
    requests: BTreeMap<ReleaseId, Request>,
}

/// Private answers of one consortium that are computed, or wait for their time, at once.
const ANSWERS_IN_FLIGHT_MAX: usize = 4;

/// A release that is reserved and not yet paid for.
#[derive(Debug)]
struct Unpaid {
    entry: u64,
    /// The entry that tells members of it: both are durable before anything is computed.
    told: u64,
    reservation: Reservation,
    floor: u32,
}

impl Desk {
    /// Whether anything is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.at.is_some() || !self.in_flight.is_empty()
    }

    /// Whether another may be taken up now.
    pub(super) fn is_free(&self) -> bool {
        let alone = self.alone.is_some() && !self.in_flight.is_empty();
        let full = self.in_flight.len() >= ANSWERS_IN_FLIGHT_MAX || self.in_flight.values().any(|alone| *alone);
        self.at.is_none() && !alone && !full
    }

    /// The words of a release that was made.
    pub(super) fn request(&self, release: ReleaseId) -> Option<&Request> {
        self.requests.get(&release)
    }

    /// A release is decided: its words are not needed any more.
    pub(super) fn forget(&mut self, release: ReleaseId) {
        self.requests.remove(&release);
    }
}

impl Endpoint {
    /// Takes up the next release of every consortium; after a start also those that a crash has ended.
    pub(super) fn releases_due(&mut self) {
        let all: Vec<ConsortiumId> = self.rooms.keys().copied().collect();
        for consortium in all {
            self.next_release(consortium);
        }
    }

    /// The oldest that waits for its review, or whose words are needed for its statement.
    pub(super) fn next_release(&mut self, consortium: ConsortiumId) {
        let Some(room) = self.rooms.get(&consortium).filter(|room| room.desk.is_free()) else { return };
        // What is reserved and not in flight was computed when this node went down, and stays paid for (law 2, spec REL-9).
        let lost = room.state.releases.open().filter(|filed| filed.phase == Phase::Reserved);
        let lost = lost.filter(|filed| !room.desk.in_flight.contains_key(&filed.release));
        let lost: Vec<Act> =
            lost.map(|filed| Act::ReleaseFailed { release: filed.release, fault: RunFault::WorkerLost }).collect();
        if !lost.is_empty() {
            self.persist(consortium, &Actor::Node, lost);
            self.after(consortium, Effect::Sweep);
        }
        self.tell_what_was_not(consortium);
        let Some(room) = self.rooms.get(&consortium).filter(|room| !room.state.stopped) else { return };
        let now = self.cx().wall;
        let wanted = |filed: &&Filed| match filed.phase {
            Phase::Asked => true,
            Phase::Announced(until) => until <= now,
            Phase::Made => room.desk.request(filed.release).is_none(),
            Phase::Refused(_)
            | Phase::Same(_)
            | Phase::Reserved
            | Phase::Failed(_)
            | Phase::Stopped(_)
            | Phase::Declined
            | Phase::Objected
            | Phase::Released
            | Phase::Withdrawn => false,
        };
        let open = || room.state.releases.open();
        let first = room.desk.alone.and_then(|alone| open().find(|filed| filed.release == alone));
        let next = first.filter(wanted).or_else(|| open().find(wanted));
        let Some((release, phase, request)) = next.map(|filed| (filed.release, filed.phase, filed.request)) else {
            return;
        };
        let planned = matches!(phase, Phase::Asked | Phase::Announced(_));
        let set = usable_set(room, self.cx().wall).ok().filter(|_| planned).cloned();
        let schema = schema_text(room, named_schema(room));
        if let Some(room) = self.rooms.get_mut(&consortium) {
            (room.desk.at, room.desk.alone) = (Some(release), None);
        }
        let plan = Box::new(RequestPlan { consortium, release, request, set, schema });
        let ticket = self.ticket(Waiting::Request { consortium, release });
        self.after(consortium, Effect::ReadRequest { ticket, plan });
    }

    /// A crash between two entries leaves a reservation that members were not told of; they are now.
    fn tell_what_was_not(&mut self, consortium: ConsortiumId) {
        let Some(room) = self.rooms.get(&consortium) else { return };
        let untold: Vec<Reserved> = room.state.releases.untold().cloned().collect();
        // One after the other: each states the sum with those before it.
        for reserved in untold {
            let Some(room) = self.rooms.get(&consortium) else { return };
            let act = debit(room, &reserved.reservation, (reserved.entry, reserved.at));
            self.persist(consortium, &Actor::Node, vec![act]);
        }
    }

    pub(super) fn request_read(&mut self, ticket: Ticket, read: Option<Box<RequestRead>>) {
        let Some(Waiting::Request { consortium, release }) = self.waiting.remove(&ticket) else { return };
        let now = self.cx().wall;
        let Some(room) = self.rooms.get_mut(&consortium) else { return };
        room.desk.at = None;
        let phase = room.state.releases.get(release).map(|filed| filed.phase);
        let refused =
            |refusal| (Act::ReleaseRefused { release, refusal }, Some(Notice::ReleaseRefused(release, refusal)));
        let (act, notice) = match (phase, read) {
            (Some(Phase::Asked | Phase::Announced(_)), None) => refused(Refusal::Question),
            (Some(Phase::Asked | Phase::Announced(_)), Some(read)) => match decide(room, now, release, &read) {
                Decision::Refuse(refusal) => refused(refusal),
                Decision::Same(same) => (Act::ReleaseSame { release, same }, None),
                Decision::Permit(permit) => return self.reserve(consortium, release, *read, &permit),
            },
            // What was asked is lost: it can be stated by nobody.
            (Some(Phase::Made), None) => {
                let act = Act::ReleaseFailed { release, fault: RunFault::Unreadable };
                (act, Some(Notice::ReleaseNotMade(release)))
            }
            (Some(Phase::Made), Some(read)) => {
                room.desk.requests.insert(release, read.request);
                return self.next_release(consortium);
            }
            (_, _) => return self.next_release(consortium),
        };
        self.persist(consortium, &Actor::Node, vec![act]);
        if let Some(notice) = notice {
            self.after(consortium, Effect::Notify(notice));
        }
        self.after(consortium, Effect::Sweep);
        self.next_release(consortium);
    }

    /// The debit, before anything is computed; or where members may object first, the announcement.
    fn reserve(&mut self, consortium: ConsortiumId, release: ReleaseId, read: RequestRead, permit: &Permit) {
        let now = self.cx().wall;
        let Some(room) = self.rooms.get_mut(&consortium) else { return };
        let Some(reservation) = reservation(room, release, &read, permit) else { return };
        if let Some(act) = announcement(room, now, &reservation) {
            self.persist(consortium, &Actor::Node, vec![act]);
            return self.next_release(consortium);
        }
        let alone = permit.charge == Charge::Uncovered;
        if alone && !room.desk.in_flight.is_empty() {
            // It is taken up again, and reviewed again, when what is in flight has ended.
            room.desk.alone = Some(release);
            return;
        }
        room.desk.in_flight.insert(release, alone);
        room.desk.requests.insert(release, read.request);
        let entry = room.state.entries;
        let told = debit(room, &reservation, (entry, now));
        let acts = vec![Act::ReleaseReserved(Box::new(reservation.clone())), told];
        self.persist(consortium, &Actor::Node, acts);
        let Some(room) = self.rooms.get_mut(&consortium) else { return };
        let told = room.state.entries.saturating_sub(1);
        room.desk.unpaid.push(Unpaid { entry, told, reservation, floor: permit.floor });
        self.next_release(consortium);
    }

    /// Begins to compute what is reserved, if its reservation is durable by now. Nothing else does.
    pub(super) fn compute_what_is_paid(&mut self, consortium: ConsortiumId) {
        let now = self.cx().wall;
        while let Some(room) = self.rooms.get_mut(&consortium) {
            let durable = room.persisted;
            let paid = room.desk.unpaid.first().and_then(|unpaid| {
                let spent = Spent::once_durable(&unpaid.reservation, unpaid.entry, durable)?;
                let spent = (unpaid.told < durable).then_some(spent)?;
                Some((spent, unpaid.floor))
            });
            let Some((spent, floor)) = paid else { return };
            room.desk.unpaid.remove(0);
            let release = spent.release();
            match plan(room, now, spent, floor) {
                Some(plan) => {
                    let ticket = self.ticket(Waiting::Release { consortium, release });
                    self.effects.push_back(Effect::Release { ticket, plan: Box::new(plan) });
                }
                None => self.release_ended(consortium, release, Err(RunFault::Changed)),
            }
        }
    }

    pub(super) fn release_made(&mut self, ticket: Ticket, end: Result<Box<MadeRelease>, RunFault>) {
        let Some(Waiting::Release { consortium, release }) = self.waiting.remove(&ticket) else { return };
        self.release_ended(consortium, release, end);
        self.next_release(consortium);
    }

    fn release_ended(&mut self, consortium: ConsortiumId, release: ReleaseId, end: Result<Box<MadeRelease>, RunFault>) {
        let now = self.cx().wall;
        let Some(room) = self.rooms.get_mut(&consortium) else { return };
        room.desk.in_flight.remove(&release);
        let end = end.and_then(|made| stands(room, now, release, made));
        let (act, notice) = match end {
            Ok(made) if made.verdict == Verdict::Fell => {
                (Act::ReleaseStopped { release, report: made.report }, Notice::ReleaseNotMade(release))
            }
            Ok(made) => (Act::ReleaseMade { release, made }, Notice::ReleaseMade(release)),
            Err(fault) => (Act::ReleaseFailed { release, fault }, Notice::ReleaseNotMade(release)),
        };
        if !matches!(act, Act::ReleaseMade { .. }) {
            room.desk.forget(release);
        }
        self.persist(consortium, &Actor::Node, vec![act]);
        self.after(consortium, Effect::Notify(notice));
        self.after(consortium, Effect::Sweep);
    }
}

fn decide(room: &Room, now: UnixMillis, release: ReleaseId, read: &RequestRead) -> Decision {
    let state = &room.state;
    let Some(filed) = state.releases.get(release) else { return Decision::Refuse(Refusal::Question) };
    let project = state.releases.project(&read.request.project).map(|known| &known.project);
    let set = usable_set(room, now).ok();
    let live = |filed: &&Filed| matches!(filed.phase, Phase::Made | Phase::Released);
    let earlier: Vec<&Reservation> = state
        .releases
        .of_question(read.question)
        .filter(live)
        .filter_map(|filed| filed.reserved.as_ref())
        .map(|reserved| &reserved.reservation)
        .filter(|reservation| project.is_some_and(|project| project.account == reservation.account))
        .collect();
    let accepted = accepted(state);
    let spending = |spent: fn(&State, &crate::record::project::Project) -> _| {
        project.map(|project| spent(state, project)).unwrap_or_default()
    };
    let known = Known {
        charter: charter_in_force(state).map(|version| &version.charter),
        project,
        tables: set.map(|set| &set.consolidation),
        accepted: &accepted,
        account: spending(|state, project| state.releases.spent(&project.account)),
        project_spent: spending(|state, project| state.releases.spent_by(&project.account, &project.name)),
        earlier: &earlier,
    };
    let asking = Asking {
        now,
        person: &filed.person,
        request: &read.request,
        question: read.question,
        reads: &read.reads,
        columns: &read.columns,
    };
    review(&asking, &known)
}

/// The newest charter, if it binds this node.
pub(super) fn charter_in_force(state: &State) -> Option<&crate::state::charters::Version> {
    let head = state.charters.head()?;
    state.charters.binding(&state.party).filter(|bound| bound.digest == head.digest)
}

/// Members that have accepted the newest charter, or that it binds because it only strengthens what they have.
pub(super) fn accepted(state: &State) -> BTreeSet<Name> {
    let Some(head) = state.charters.head() else { return BTreeSet::new() };
    let binds = |name: &&Name| state.charters.binding(name).is_some_and(|bound| bound.digest == head.digest);
    head.charter.members().map(|(name, _)| name).filter(binds).cloned().collect()
}

fn reservation(room: &Room, release: ReleaseId, read: &RequestRead, permit: &Permit) -> Option<Reservation> {
    let state = &room.state;
    let project = state.releases.project(&read.request.project)?;
    Some(Reservation {
        release,
        kind: read.request.asked.kind(),
        request: Signed::unsigned(&read.request).digest(),
        question: read.question,
        charter: charter_in_force(state)?.digest,
        project: project.digest,
        account: project.project.account.clone(),
        consolidation: state.tables.current()?.digest,
        tables: permit.tables.clone(),
        members: permit.members.clone(),
        recipients: read.request.recipients.clone(),
        charge: permit.charge,
    })
}

/// Everything the computing needs; `None` where rows that it would read may not be used any more.
fn plan(room: &Room, now: UnixMillis, spent: Spent, floor: u32) -> Option<ReleasePlan> {
    let state = &room.state;
    let reserved = state.releases.get(spent.release())?.reserved.as_ref()?;
    if !rows_usable(room, now, reserved) {
        return None;
    }
    let set = state.tables.sets().iter().find(|set| set.digest == reserved.reservation.consolidation)?.clone();
    Some(ReleasePlan {
        request: room.desk.request(spent.release())?.clone(),
        floor,
        set,
        members: reserved.reservation.members.clone(),
        schema: schema_text(room, named_schema(room)),
        account: charter_in_force(state)?.charter.accounts.get(&reserved.reservation.account)?.clone(),
        answer_time: charter_in_force(state)?.charter.safeguards().answer_time,
        earlier: state.releases.told(&reserved.reservation.account),
        spent,
    })
}

/// What was made, if it is what was paid for, and its rows may still be used (law 11).
fn stands(
    room: &Room,
    now: UnixMillis,
    release: ReleaseId,
    made: Box<MadeRelease>,
) -> Result<Box<MadeRelease>, RunFault> {
    let filed = room.state.releases.get(release).ok_or(RunFault::Changed)?;
    let reserved = filed.reserved.as_ref().ok_or(RunFault::Changed)?;
    if !rows_usable(room, now, reserved) {
        return Err(RunFault::Changed);
    }
    if !made.is_bounded() {
        return Err(RunFault::Limit);
    }
    let request = room.desk.request(release).ok_or(RunFault::Changed)?;
    let statement = statement(&room.state, reserved, (now, &made), request).map_err(|_| RunFault::Malformed)?;
    if codec::encode(&statement).len() > DOCUMENT_BYTES_MAX { Err(RunFault::Limit) } else { Ok(made) }
}

/// Whether all rows that a release reads may be used now (law 11).
pub(super) fn rows_usable(room: &Room, now: UnixMillis, reserved: &Reserved) -> bool {
    let usable = usable_shares(room, now);
    let Some(set) = &reserved.set else { return false };
    inputs(set, &reserved.reservation).0.values().flat_map(BTreeMap::values).all(|input| usable.contains(&input.share))
}

type Inputs = BTreeMap<Name, BTreeMap<Name, ReleaseInput>>;

/// Where the rows come from that a release reads, and the members whose rows in the same tables it does not.
fn inputs(set: &Consolidation, reservation: &Reservation) -> (Inputs, BTreeSet<Name>) {
    let (mut inputs, mut excluded) = (Inputs::new(), BTreeSet::new());
    for name in reservation.tables.keys() {
        let parts = set.tables.get(name).into_iter().flat_map(|table| &table.parts);
        for (member, part) in parts {
            if reservation.members.contains(member) {
                let input = ReleaseInput {
                    share: part.share,
                    snapshot: part.snapshot,
                    mapping: part.mapping,
                    vocabulary: part.vocabulary.clone(),
                };
                inputs.entry(name.clone()).or_default().insert(member.clone(), input);
            } else {
                excluded.insert(member.clone());
            }
        }
    }
    (inputs, excluded)
}

/// The statement of a release that was made: what the officer reads, and signs.
pub(super) fn statement(
    state: &State,
    reserved: &Reserved,
    (at, made): (UnixMillis, &MadeRelease),
    request: &Request,
) -> Result<Release, ReleaseFault> {
    let reservation = &reserved.reservation;
    let set = reserved.set.as_deref().ok_or(ReleaseFault::Body)?;
    let (inputs, excluded) = inputs(set, reservation);
    // One that the officer has refused was delivered to nobody.
    let kept = |earlier: &&ReleaseId| {
        state.releases.get(**earlier).is_some_and(|filed| !matches!(filed.phase, Phase::Declined))
    };
    Release::try_from(ReleaseFields {
        consortium: state.consortium,
        operator: state.party.clone(),
        release: reservation.release,
        charter: reservation.charter,
        project: reservation.project,
        account: reservation.account.clone(),
        request: request.clone(),
        reserved: reserved.entry,
        consolidation: reservation.consolidation,
        tables: reservation.tables.clone(),
        inputs,
        excluded,
        done: made.done.clone(),
        attacks: made.attacks.clone(),
        together_with: made.together_with.iter().filter(kept).copied().collect(),
        not_covered: made.not_covered.clone(),
        body: made.body.clone(),
        software: SOFTWARE.parse().map_err(|_| ReleaseFault::Body)?,
        at,
        ext: Extensions::default(),
    })
}

const SOFTWARE: &str = concat!("cohortium ", env!("CARGO_PKG_VERSION"));
