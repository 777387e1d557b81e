//! The consumer's side of a transfer: snapshot after snapshot, listing, blobs, ranges, check, receipt.
//!
//! A landing lives in memory only. After a restart the manifest is in the journal without a receipt, the store knows
//! which ranges are there, and the landing begins again from that.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::code::{ErrorCode, MessageType};
use crate::digest::BlobDigest;
use crate::ident::{ConsortiumId, Name, SnapshotId, SubscriptionId};
use crate::key::signed::Signed;
use crate::limits::RANGES_IN_FLIGHT_MAX;
use crate::message::transfer::{OutboardGet, RangeGet};
use crate::quantity::{Bytes, Rows};
use crate::record::extension::Extensions;
use crate::record::journal_entry::{Act, Actor};
use crate::record::listing::{BlobRef, BlobRole, Listing};
use crate::record::manifest::{Base, ContentLabel, Manifest};
use crate::record::receipt::{Outcome, Receipt};
use crate::state::releases::offered_release;
use crate::state::subscription::{Fate, Side};
use crate::time::Seconds;
use crate::wire::codec;

use super::io::{Answer, ConnId, Effect, LandedVersion, LandingState, Message, Notice, Part, Ticket, Under};
use super::{Endpoint, Waiting};

/// Blobs of one landing that are fetched at the same time.
const BLOBS_AT_ONCE: usize = 4;
/// Answers with wrong bytes after which a snapshot is refused.
const WRONG_MAX: u32 = 3;
/// How long a landing rests after a fault that may pass.
const RETRY_AFTER: Seconds = Seconds(5);

/// What was asked for of one blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Open,
    Part(Part),
    Finish,
}

/// One blob that is being fetched.
#[derive(Debug)]
struct BlobJob {
    blob: BlobRef,
    missing: VecDeque<Bytes>,
    in_flight: usize,
    finishing: bool,
}

/// How far a landing is.
#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Listing,
    Blobs,
    Check,
}

/// One snapshot on its way in.
#[derive(Debug)]
pub(super) struct Landing {
    conn: ConnId,
    peer: Name,
    snapshot: SnapshotId,
    manifest: Manifest,
    stage: Stage,
    todo: VecDeque<BlobRef>,
    active: BTreeMap<BlobDigest, BlobJob>,
    in_flight: usize,
    wrong: u32,
}

impl Endpoint {
    /// Begins the landing of the next snapshot of every subscription that has one and is connected.
    pub(super) fn start_landings(&mut self) {
        let cx = self.cx();
        let mut ready = Vec::new();
        for (consortium, room) in &self.rooms {
            for found in room.state.subscriptions.values().filter(|found| found.side == Side::Consumer) {
                let resting = room.retry_at.get(&found.id).is_some_and(|at| *at > cx.mono);
                let busy = room.landings.contains_key(&found.id) || resting;
                if busy || found.may_flow(cx.wall).is_err() {
                    continue;
                }
                if let Some(next) = found.next_to_land() {
                    ready.push((*consortium, found.id, found.peer.clone(), next.id, next.manifest.clone()));
                }
            }
        }
        for (consortium, subscription, peer, snapshot, manifest) in ready {
            let Some(conn) = self.conn_of(consortium, &peer) else { continue };
            let builds = self.rooms.get(&consortium).and_then(|room| room.state.subscriptions.get(&subscription));
            if builds.is_some_and(|found| found.version_to_land(snapshot).is_none()) {
                self.settle_refused(consortium, subscription, snapshot, ErrorCode::ChainBroken);
                continue;
            }
            let listing = manifest.listing;
            let landing = Landing {
                conn,
                peer,
                snapshot,
                manifest,
                stage: Stage::Listing,
                todo: VecDeque::from([listing]),
                active: BTreeMap::new(),
                in_flight: 0,
                wrong: 0,
            };
            if let Some(room) = self.rooms.get_mut(&consortium) {
                room.retry_at.remove(&subscription);
                room.landings.insert(subscription, landing);
            }
            self.advance(consortium, subscription);
        }
    }

    fn landing(&mut self, consortium: ConsortiumId, subscription: SubscriptionId) -> Option<&mut Landing> {
        self.rooms.get_mut(&consortium)?.landings.get_mut(&subscription)
    }

    /// Opens blobs and asks for ranges up to the bounds; goes to the next stage when nothing is left.
    fn advance(&mut self, consortium: ConsortiumId, subscription: SubscriptionId) {
        loop {
            let Some(landing) = self.landing(consortium, subscription) else { return };
            if landing.active.len() >= BLOBS_AT_ONCE {
                break;
            }
            let Some(blob) = landing.todo.pop_front() else { break };
            let job = BlobJob { blob, missing: VecDeque::new(), in_flight: 1, finishing: false };
            landing.active.insert(blob.digest, job);
            let ticket = self.ticket(Waiting::Blob { consortium, subscription, blob, step: Step::Open });
            self.after(consortium, Effect::OpenLanding { ticket, blob });
        }
        self.ask_ranges(consortium, subscription);
        let Some(landing) = self.landing(consortium, subscription) else { return };
        if landing.active.is_empty() && landing.todo.is_empty() {
            self.next_stage(consortium, subscription);
        }
    }

    fn ask_ranges(&mut self, consortium: ConsortiumId, subscription: SubscriptionId) {
        loop {
            let Some(landing) = self.landing(consortium, subscription) else { return };
            if landing.in_flight >= RANGES_IN_FLIGHT_MAX {
                return;
            }
            let next = landing.active.values_mut().find_map(|job| {
                let offset = job.missing.pop_front()?;
                job.in_flight = job.in_flight.saturating_add(1);
                Some((job.blob, offset))
            });
            let Some((blob, offset)) = next else { return };
            landing.in_flight = landing.in_flight.saturating_add(1);
            self.fetch(consortium, subscription, blob, Part::Range(offset));
        }
    }

    fn fetch(&mut self, consortium: ConsortiumId, subscription: SubscriptionId, blob: BlobRef, part: Part) {
        let Some(landing) = self.landing(consortium, subscription) else { return };
        let (conn, snapshot) = (landing.conn, landing.snapshot);
        let message = match part {
            Part::Outboard => Message {
                kind: MessageType::OutboardGet,
                payload: codec::encode(&OutboardGet { subscription, snapshot, blob: blob.digest }),
            },
            Part::Range(offset) => Message {
                kind: MessageType::RangeGet,
                payload: codec::encode(&RangeGet { subscription, snapshot, blob: blob.digest, offset }),
            },
        };
        let ticket = self.ticket(Waiting::Blob { consortium, subscription, blob, step: Step::Part(part) });
        self.after(
            consortium,
            Effect::Fetch { conn, ticket, under: Under { consortium, subscription }, message, blob, part },
        );
    }

    pub(super) fn landing_opened(&mut self, ticket: Ticket, state: Option<LandingState>) {
        let Some(Waiting::Blob { consortium, subscription, blob, .. }) = self.waiting.remove(&ticket) else { return };
        let Some(state) = state else { return self.rest(consortium, subscription) };
        let Some(job) = self.landing(consortium, subscription).and_then(|l| l.active.get_mut(&blob.digest)) else {
            return;
        };
        job.in_flight = 0;
        match state {
            LandingState::Complete => self.blob_done(consortium, subscription, blob),
            LandingState::NeedsOutboard => {
                job.in_flight = 1;
                if let Some(landing) = self.landing(consortium, subscription) {
                    landing.in_flight = landing.in_flight.saturating_add(1);
                }
                self.fetch(consortium, subscription, blob, Part::Outboard);
            }
            LandingState::Missing(offsets) => {
                job.missing = VecDeque::from(offsets);
                self.finish_or_go_on(consortium, subscription, blob);
            }
        }
    }

    fn finish_or_go_on(&mut self, consortium: ConsortiumId, subscription: SubscriptionId, blob: BlobRef) {
        let Some(job) = self.landing(consortium, subscription).and_then(|l| l.active.get_mut(&blob.digest)) else {
            return;
        };
        if job.missing.is_empty() && job.in_flight == 0 && !job.finishing {
            job.finishing = true;
            let ticket = self.ticket(Waiting::Blob { consortium, subscription, blob, step: Step::Finish });
            self.after(consortium, Effect::FinishBlob { ticket, blob });
        } else {
            self.advance(consortium, subscription);
        }
    }

    pub(super) fn fetched(
        &mut self,
        consortium: ConsortiumId,
        subscription: SubscriptionId,
        blob: BlobRef,
        step: Step,
        answer: &Answer,
    ) {
        let Some(landing) = self.landing(consortium, subscription) else { return };
        landing.in_flight = landing.in_flight.saturating_sub(1);
        if let Some(job) = landing.active.get_mut(&blob.digest) {
            job.in_flight = job.in_flight.saturating_sub(1);
        }
        match (answer, step) {
            (Answer::Stored, Step::Part(Part::Outboard)) => self.reopen(consortium, subscription, blob),
            (Answer::Stored, Step::Part(Part::Range(_))) => self.finish_or_go_on(consortium, subscription, blob),
            (Answer::Wrong, Step::Part(part)) => self.wrong(consortium, subscription, blob, part),
            (Answer::Refused(code), _) => self.fetch_refused(consortium, subscription, *code),
            (Answer::Message(message), _) if message.kind == MessageType::Refused => {
                self.fetch_refused(consortium, subscription, super::code_of(message));
            }
            (Answer::Stored | Answer::Wrong | Answer::Message(_) | Answer::Lost | Answer::LocalFault, _) => {
                self.rest(consortium, subscription);
            }
        }
    }

    fn reopen(&mut self, consortium: ConsortiumId, subscription: SubscriptionId, blob: BlobRef) {
        if let Some(job) = self.landing(consortium, subscription).and_then(|l| l.active.get_mut(&blob.digest)) {
            job.in_flight = 1;
        }
        let ticket = self.ticket(Waiting::Blob { consortium, subscription, blob, step: Step::Open });
        self.after(consortium, Effect::OpenLanding { ticket, blob });
    }

    /// Bytes that are not what their digest says: asked for again a few times, then the snapshot is refused (SNAP-6).
    fn wrong(&mut self, consortium: ConsortiumId, subscription: SubscriptionId, blob: BlobRef, part: Part) {
        let Some(landing) = self.landing(consortium, subscription) else { return };
        landing.wrong = landing.wrong.saturating_add(1);
        let (peer, snapshot, wrong) = (landing.peer.clone(), landing.snapshot, landing.wrong);
        self.effects.push_back(Effect::Notify(Notice::Lied(peer.clone(), blob.digest)));
        self.note_refusal(Some(consortium), Some(&peer), ErrorCode::DigestMismatch);
        if wrong >= WRONG_MAX {
            return self.refuse_landing(consortium, subscription, snapshot, ErrorCode::DigestMismatch);
        }
        match part {
            Part::Outboard => self.reopen(consortium, subscription, blob),
            Part::Range(offset) => {
                if let Some(job) = self.landing(consortium, subscription).and_then(|l| l.active.get_mut(&blob.digest)) {
                    job.missing.push_back(offset);
                }
                self.advance(consortium, subscription);
            }
        }
    }

    /// A blob that is gone at the provider: the snapshot is passed over if a later full one makes it needless.
    fn fetch_refused(&mut self, consortium: ConsortiumId, subscription: SubscriptionId, code: ErrorCode) {
        let Some(room) = self.rooms.get(&consortium) else { return };
        let Some(landing) = room.landings.get(&subscription) else { return };
        let (snapshot, sequence) = (landing.snapshot, landing.manifest.sequence);
        let later = room.state.subscriptions.get(&subscription).is_some_and(|found| {
            let full = |s: &crate::state::subscription::Snapshot| {
                s.manifest.sequence > sequence && s.manifest.base == Base::Full
            };
            found.snapshots.iter().any(full)
        });
        if code == ErrorCode::NotFound && later {
            self.refuse_landing(consortium, subscription, snapshot, code);
        } else {
            self.effects.push_back(Effect::Notify(Notice::LandingRefused(subscription, snapshot, code)));
            self.rest(consortium, subscription);
        }
    }

    pub(super) fn blob_finished(&mut self, ticket: Ticket, durable: bool) {
        let Some(Waiting::Blob { consortium, subscription, blob, .. }) = self.waiting.remove(&ticket) else { return };
        if durable {
            self.blob_done(consortium, subscription, blob);
        } else {
            self.rest(consortium, subscription);
        }
    }

    fn blob_done(&mut self, consortium: ConsortiumId, subscription: SubscriptionId, blob: BlobRef) {
        if let Some(landing) = self.landing(consortium, subscription) {
            landing.active.remove(&blob.digest);
        }
        self.advance(consortium, subscription);
    }

    fn next_stage(&mut self, consortium: ConsortiumId, subscription: SubscriptionId) {
        let Some(landing) = self.landing(consortium, subscription) else { return };
        match landing.stage {
            Stage::Listing => {
                let blob = landing.manifest.listing;
                let waiting = Waiting::Listing { consortium, subscription };
                if !self.waiting.values().any(|other| *other == waiting) {
                    let ticket = self.ticket(waiting);
                    self.after(consortium, Effect::ReadListing { ticket, blob });
                }
            }
            Stage::Blobs => self.begin_check(consortium, subscription),
            Stage::Check => {}
        }
    }

    pub(super) fn landing_listing(
        &mut self,
        consortium: ConsortiumId,
        subscription: SubscriptionId,
        read: Option<Listing>,
    ) {
        let Some(landing) = self.landing(consortium, subscription) else { return };
        let snapshot = landing.snapshot;
        match read.filter(|listing| fits(listing, &landing.manifest)) {
            None => self.refuse_landing(consortium, subscription, snapshot, ErrorCode::Malformed),
            Some(listing) => {
                let unique: BTreeSet<BlobRef> = listing.entries().iter().map(|entry| entry.blob).collect();
                landing.todo = unique.into_iter().collect();
                landing.stage = Stage::Blobs;
                self.advance(consortium, subscription);
            }
        }
    }

    fn begin_check(&mut self, consortium: ConsortiumId, subscription: SubscriptionId) {
        let Some(landing) = self.landing(consortium, subscription) else { return };
        landing.stage = Stage::Check;
        let (snapshot, label) = (landing.snapshot, landing.manifest.label);
        let found = self.rooms.get(&consortium).and_then(|room| room.state.subscriptions.get(&subscription));
        let Some(listings) = found.and_then(|found| found.version_to_land(snapshot)) else {
            return self.refuse_landing(consortium, subscription, snapshot, ErrorCode::ChainBroken);
        };
        match label {
            ContentLabel::Unchecked => self.finish_landing(consortium, subscription, Rows(0)),
            ContentLabel::Pseudonymised | ContentLabel::SafeHarbor | ContentLabel::Release => {
                let release = found.and_then(|found| offered_release(found.terms_in_force()));
                let release = release.map(|release| (consortium, release));
                let ticket = self.ticket(Waiting::Check { consortium, subscription });
                let version = LandedVersion { subscription, snapshot, listings };
                self.after(consortium, Effect::Check { ticket, version, release });
            }
        }
    }

    pub(super) fn checked(&mut self, ticket: Ticket, rows: Option<Rows>) {
        let Some(Waiting::Check { consortium, subscription }) = self.waiting.remove(&ticket) else { return };
        let snapshot = self.landing(consortium, subscription).map(|landing| landing.snapshot);
        match (rows, snapshot) {
            (Some(rows), _) => self.finish_landing(consortium, subscription, rows),
            (None, Some(snapshot)) => {
                self.refuse_landing(consortium, subscription, snapshot, ErrorCode::Malformed);
            }
            (None, None) => {}
        }
    }

    /// Every blob is durable and looked at: the switch to the new version is this one journal entry (spec SNAP-5).
    fn finish_landing(&mut self, consortium: ConsortiumId, subscription: SubscriptionId, rows: Rows) {
        let landing = self.rooms.get_mut(&consortium).and_then(|room| room.landings.remove(&subscription));
        let Some(landing) = landing else { return };
        let outcome = Outcome::Landed { bytes: landing.manifest.bytes };
        self.write_receipt(consortium, subscription, landing.snapshot, outcome);
        let notice = Notice::Landed(subscription, landing.snapshot, rows);
        self.after(consortium, Effect::Notify(notice));
    }

    pub(super) fn write_receipt(
        &mut self,
        consortium: ConsortiumId,
        subscription: SubscriptionId,
        snapshot: SnapshotId,
        outcome: Outcome,
    ) {
        let at = self.cx().wall;
        let Some(room) = self.rooms.get(&consortium) else { return };
        let consumer = room.state.party.clone();
        let receipt = Receipt { consortium, subscription, snapshot, consumer, outcome, at, ext: Extensions::default() };
        let signed = Signed::sign(&receipt, &room.keys.signing);
        self.persist(consortium, &Actor::Node, vec![Act::Receipt(signed)]);
    }

    fn refuse_landing(
        &mut self,
        consortium: ConsortiumId,
        subscription: SubscriptionId,
        snapshot: SnapshotId,
        code: ErrorCode,
    ) {
        self.drop_landing(consortium, subscription);
        self.settle_refused(consortium, subscription, snapshot, code);
    }

    fn settle_refused(
        &mut self,
        consortium: ConsortiumId,
        subscription: SubscriptionId,
        snapshot: SnapshotId,
        code: ErrorCode,
    ) {
        self.write_receipt(consortium, subscription, snapshot, Outcome::Refused(code));
        let notice = Notice::LandingRefused(subscription, snapshot, code);
        self.after(consortium, Effect::Notify(notice));
        self.after(consortium, Effect::Sweep);
    }

    /// A fault that may pass: the landing is dropped and begins again after a while with what the store has.
    fn rest(&mut self, consortium: ConsortiumId, subscription: SubscriptionId) {
        self.drop_landing(consortium, subscription);
        let at = self.cx().mono.plus(RETRY_AFTER);
        if let Some(room) = self.rooms.get_mut(&consortium) {
            room.retry_at.insert(subscription, at);
        }
    }

    /// Ends a landing; whatever still comes for it is not listened to.
    pub(super) fn drop_landing(&mut self, consortium: ConsortiumId, subscription: SubscriptionId) {
        let landing = self.rooms.get_mut(&consortium).and_then(|room| room.landings.remove(&subscription));
        self.waiting.retain(|_, waiting| match waiting {
            Waiting::Blob { consortium: home, subscription: of, .. }
            | Waiting::Listing { consortium: home, subscription: of }
            | Waiting::Check { consortium: home, subscription: of } => (*home, *of) != (consortium, subscription),
            Waiting::Hello(_)
            | Waiting::Document(_)
            | Waiting::ServeListing { .. }
            | Waiting::Run(_)
            | Waiting::Map(_)
            | Waiting::LoadVocabulary(_)
            | Waiting::Consolidate(_)
            | Waiting::Publish(_)
            | Waiting::Request { .. }
            | Waiting::Release { .. }
            | Waiting::LinkageKey { .. }
            | Waiting::LinkageWrap { .. }
            | Waiting::LogProof { .. }
            | Waiting::LogOffer { .. }
            | Waiting::Witness { .. } => true,
        });
        if landing.is_some() {
            self.cut(Under { consortium, subscription }, ErrorCode::OutOfOrder);
        }
    }

    /// Ends the landings that came from a peer that is gone; they begin again when it is back.
    pub(super) fn drop_landings(&mut self, consortium: ConsortiumId, peer: &Name) {
        let Some(room) = self.rooms.get(&consortium) else { return };
        let gone = room.landings.iter().filter(|(_, landing)| landing.peer == *peer);
        let gone: Vec<SubscriptionId> = gone.map(|(id, _)| *id).collect();
        for subscription in gone {
            self.drop_landing(consortium, subscription);
        }
    }

    /// Enters the erasure of rows whose terms say so, once the subscription is over (law 11): landed ones, and what has
    /// come of a snapshot that is still on its way. The receipt follows when the bytes are gone.
    pub(super) fn erase_due(&mut self) {
        let now = self.cx().wall;
        let mut due: BTreeMap<ConsortiumId, Vec<Act>> = BTreeMap::new();
        for (consortium, room) in &self.rooms {
            let consumed = room.state.subscriptions.values().filter(|found| found.side == Side::Consumer);
            for found in consumed.filter(|found| found.must_erase(now)) {
                let left = found.snapshots.iter().filter(|s| matches!(s.fate, Fate::Landed | Fate::Stated));
                let acts = left.map(|s| Act::Erased { subscription: found.id, snapshot: s.id });
                due.entry(*consortium).or_default().extend(acts);
            }
        }
        for (consortium, acts) in due {
            for act in &acts {
                if let Act::Erased { subscription, .. } = act {
                    self.drop_landing(consortium, *subscription);
                }
            }
            self.persist(consortium, &Actor::Node, acts);
            self.after(consortium, Effect::Sweep);
        }
    }

    /// Everything that nothing names any more is gone from the store: erasures are stated now (spec SNAP-7).
    pub(super) fn swept(&mut self, whole: bool) {
        let mut gone = Vec::new();
        for (consortium, room) in self.rooms.iter().filter(|_| whole) {
            // An erasure that is not durable yet was not what this sweep went by.
            for found in room.state.subscriptions.values().filter(|found| found.side == Side::Consumer) {
                let erased = found.snapshots.iter().filter(|s| s.fate == Fate::Erased && !s.erasure_stated);
                if room.persisted == room.state.entries {
                    gone.extend(erased.map(|snapshot| (*consortium, found.id, snapshot.id)));
                }
            }
        }
        for (consortium, subscription, snapshot) in gone {
            self.write_receipt(consortium, subscription, snapshot, Outcome::Erased);
        }
    }
}

/// Whether a listing is one that its manifest can have: the right kinds of blobs, and as many bytes as stated.
pub(super) fn fits(listing: &Listing, manifest: &Manifest) -> bool {
    let count = |role: BlobRole| listing.entries().iter().filter(|entry| entry.role == role).count();
    let (rows, deletes, files) = (count(BlobRole::Rows), count(BlobRole::Deletes), count(BlobRole::File));
    let kinds = match (manifest.label, manifest.base) {
        (ContentLabel::Unchecked | ContentLabel::Release, Base::Full) => rows == 0 && deletes == 0,
        // Rows under Safe Harbor have no key, so that they are always whole.
        (ContentLabel::Unchecked | ContentLabel::SafeHarbor | ContentLabel::Release, Base::Delta) => false,
        (ContentLabel::Pseudonymised | ContentLabel::SafeHarbor, Base::Full) => rows == 1 && deletes == 0 && files == 0,
        (ContentLabel::Pseudonymised, Base::Delta) => rows <= 1 && deletes <= 1 && files == 0,
    };
    let unique: BTreeSet<BlobRef> = listing.entries().iter().map(|entry| entry.blob).collect();
    let bytes = unique.iter().try_fold(0_u64, |sum, blob| sum.checked_add(blob.bytes.0));
    kinds && bytes == Some(manifest.bytes.0)
}
