//! Orders about projects and releases, and recalls that come from the operator.

use crate::digest::DocumentDigest;
use crate::ident::{ConsortiumId, ReleaseId, SubscriptionId, Text};
use crate::key::signed::Signed;
use crate::limits::{RELEASES_OPEN_MAX, REQUEST_BYTES_MAX};
use crate::record::extension::Extensions;
use crate::record::journal_entry::Act;
use crate::record::listing::BlobRef;
use crate::record::project::Project;
use crate::record::release::Release;
use crate::record::withdrawal::Withdrawal;
use crate::rule::review::{Misfit, check_floor, check_recipients, fits_charter};
use crate::state::releases::{Filed, Phase, SignedRelease};
use crate::state::subscription::Side;
use crate::time::UnixMillis;

use super::io::{Effect, Notice, OrderFault};
use super::orders::{Consequence, Then, and_then, only};
use super::releases::{accepted, charter_in_force, rows_usable, statement};
use super::{Endpoint, Room};

impl Endpoint {
    /// A project that the charter in force has room for, in the version after the approved one (spec REL-7).
    pub(super) fn define_project(room: &Room, now: UnixMillis, project: &Project) -> Result<Consequence, OrderFault> {
        let state = &room.state;
        if !state.is_operator() {
            return Err(OrderFault::OutOfOrder { why: "only the operator defines projects" });
        }
        if project.consortium != state.consortium || project.operator != state.party {
            return Err(OrderFault::NotForNow);
        }
        let last = state.releases.project(&project.name).map_or(0, |known| known.project.version);
        if last.checked_add(1) != Some(project.version) {
            return Err(OrderFault::OutOfOrder { why: "the project's version is not the one after the approved one" });
        }
        check_project(room, now, project).map(|()| only(vec![]))
    }

    /// The officer's word on the draft that was read: signed, and told to every member.
    pub(super) fn approve_project(
        room: &Room,
        now: UnixMillis,
        project: DocumentDigest,
    ) -> Result<Consequence, OrderFault> {
        let draft = room.state.releases.draft(project).ok_or(OrderFault::NotFound { what: "project to approve" })?;
        check_project(room, now, draft)?;
        Ok(only(vec![Act::Project(Signed::sign(draft, &room.keys.signing))]))
    }

    pub(super) fn request_release(
        room: &Room,
        release: ReleaseId,
        request: BlobRef,
    ) -> Result<Consequence, OrderFault> {
        let state = &room.state;
        if !state.is_operator() {
            return Err(OrderFault::OutOfOrder { why: "only the operator makes releases" });
        }
        if state.stopped {
            return Err(OrderFault::Stopped);
        }
        if state.releases.get(release).is_some() {
            return Err(OrderFault::OutOfOrder { why: "another release has this id" });
        }
        let longest = u64::try_from(REQUEST_BYTES_MAX).unwrap_or(u64::MAX);
        if request.bytes.0 > longest {
            return Err(OrderFault::OutOfOrder { why: "the request is too long" });
        }
        if state.releases.open().count() >= RELEASES_OPEN_MAX {
            return Err(OrderFault::OutOfOrder { why: "too many releases wait for review or for the privacy officer" });
        }
        Ok(and_then(vec![], Then::Releases))
    }

    /// Signs the statement that was read, if its rows may still be used and the charter still allows it (spec REL-11).
    pub(super) fn sign_release(
        room: &Room,
        now: UnixMillis,
        release: ReleaseId,
        read: DocumentDigest,
    ) -> Result<Consequence, OrderFault> {
        if room.state.stopped {
            return Err(OrderFault::Stopped);
        }
        let statement = statement_of(room, release)?;
        if Signed::unsigned(&statement).digest() != read {
            return Err(OrderFault::OutOfOrder { why: "the statement is not the one that was read" });
        }
        check_signable(room, now, release, &statement)?;
        let act = Act::Released(Signed::sign(&statement, &room.keys.signing));
        Ok(and_then(vec![act], Then::Decided(release)))
    }

    pub(super) fn refuse_release(room: &Room, release: ReleaseId) -> Result<Consequence, OrderFault> {
        filed(room, release, Phase::Made).map(|_| and_then(vec![], Then::Decided(release)))
    }

    pub(super) fn withdraw_release(
        room: &Room,
        now: UnixMillis,
        release: ReleaseId,
        reason: &Text,
    ) -> Result<Consequence, OrderFault> {
        let filed = filed(room, release, Phase::Released)?;
        let signed = filed.released.as_ref().ok_or(OrderFault::NotFound { what: "signed release" })?;
        let withdrawal = Withdrawal {
            consortium: room.state.consortium,
            operator: room.state.party.clone(),
            release,
            statement: signed.signed.digest(),
            reason: reason.clone(),
            at: now,
            ext: Extensions::default(),
        };
        let act = Act::Withdrawal(Signed::sign(&withdrawal, &room.keys.signing));
        let offered = room.state.subscriptions_to_release(release).filter(|found| found.side == Side::Provider);
        let offered: Vec<SubscriptionId> = offered.map(|found| found.id).collect();
        Ok(and_then(vec![act], Then::CutThese(offered)))
    }

    /// A recall came from the operator: what is on its way ends, and what has landed is erased.
    pub(super) fn withdrawal_heard(&mut self, consortium: ConsortiumId, signed: &Signed<Withdrawal>) {
        let Ok(withdrawal) = signed.claimed() else { return };
        let Some(room) = self.rooms.get(&consortium) else { return };
        let offered = room.state.subscriptions_to_release(withdrawal.release);
        let offered: Vec<SubscriptionId> = offered.map(|found| found.id).collect();
        for subscription in offered {
            self.drop_landing(consortium, subscription);
        }
        self.effects.push_back(Effect::Notify(Notice::Withdrawn(withdrawal.release)));
    }

    /// The statement of a release that was made, as the privacy officer reads and signs it; `None` until its request was
    /// read again after a start.
    pub fn statement(&self, consortium: ConsortiumId, release: ReleaseId) -> Option<Release> {
        self.rooms.get(&consortium).and_then(|room| statement_of(room, release).ok())
    }
}

/// A release in this phase.
fn filed(room: &Room, release: ReleaseId, phase: Phase) -> Result<&Filed, OrderFault> {
    let what = if phase == Phase::Made { "release that waits to be signed" } else { "signed release" };
    room.state.releases.get(release).filter(|filed| filed.phase == phase).ok_or(OrderFault::NotFound { what })
}

fn statement_of(room: &Room, release: ReleaseId) -> Result<Release, OrderFault> {
    let filed = filed(room, release, Phase::Made)?;
    let made = filed.made.as_ref().zip(filed.reserved.as_ref());
    let ((at, made), reserved) = made.ok_or(OrderFault::NotFound { what: "release that waits to be signed" })?;
    let request = room.desk.request(release);
    let request = request.ok_or(OrderFault::OutOfOrder { why: "its request is being read; try again" })?;
    statement(&room.state, reserved, (*at, made), request).map_err(|_| OrderFault::Document)
}

fn check_signable(room: &Room, now: UnixMillis, release: ReleaseId, made: &Release) -> Result<(), OrderFault> {
    let reserved = room.state.releases.get(release).and_then(|filed| filed.reserved.as_ref());
    let reserved = reserved.ok_or(OrderFault::NotFound { what: "release that waits to be signed" })?;
    let charter = &charter_in_force(&room.state).ok_or(OrderFault::CharterNotInForce)?.charter;
    let project = room.state.releases.project(&reserved.project).map(|known| &known.project);
    let still = accepted(&room.state);
    let why = if !rows_usable(room, now, reserved) {
        "rows in it were revoked since, or their share is over"
    } else if project.is_none_or(|project| now >= project.expires) {
        "the project has expired"
    } else if check_floor(&made.request.asked, charter).is_err() {
        "the charter asks for a larger k or floor since"
    } else if check_recipients(&made.request.recipients, charter, project).is_err() {
        "a recipient is no member any more, or the project names it no more"
    } else if !reserved.reservation.members.is_subset(&still) {
        "a member whose rows are in it has not accepted the charter in force"
    } else {
        return Ok(());
    };
    Err(OrderFault::OutOfOrder { why })
}

fn check_project(room: &Room, now: UnixMillis, project: &Project) -> Result<(), OrderFault> {
    let charter = charter_in_force(&room.state).ok_or(OrderFault::CharterNotInForce)?;
    if now >= project.expires {
        return Err(OrderFault::OutOfOrder { why: "the project has expired" });
    }
    fits_charter(project, &charter.charter).map_err(|misfit| match misfit {
        Misfit::Operator => OrderFault::NotForNow,
        Misfit::Account => OrderFault::NotFound { what: "account in the charter" },
        Misfit::Recipients => OrderFault::NotFound { what: "member in the charter among the recipients" },
        Misfit::Budget => OrderFault::OutOfOrder { why: "the project would use more than its account holds" },
    })
}

/// A release that may be shared: signed, and not recalled (spec REL-13).
pub(super) fn shareable(room: &Room, release: ReleaseId) -> Result<&SignedRelease, OrderFault> {
    let filed = filed(room, release, Phase::Released)?;
    filed.released.as_ref().ok_or(OrderFault::NotFound { what: "signed release" })
}
