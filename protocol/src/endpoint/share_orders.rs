//! Orders about datasets, shares and subscriptions, and the runs that take snapshots.

use crate::digest::DocumentDigest;
use crate::ident::{ConsortiumId, Name, ShareId, SnapshotId, SubscriptionId, Text};
use crate::key::signed::Signed;
use crate::quantity::Bytes;
use crate::record::acceptance::{Acceptance, Answer, Standing, StandingState};
use crate::record::allowance::Allowance;
use crate::record::dataset::{Dataset, Source};
use crate::record::extension::Extensions;
use crate::record::invitation::Invitation;
use crate::record::journal_entry::{Act, Actor, RunFault, StepFault};
use crate::record::listing::BlobRef;
use crate::record::manifest::{ContentLabel, Manifest, leaving_columns};
use crate::record::mapping::Origin;
use crate::record::order::{OptOutEntry, Unchecked};
use crate::record::revocation::{Change, Revocation};
use crate::record::schema::Treatment;
use crate::record::share::{Content, Form, Linkage, Share, Standard};
use crate::record::vocabulary::Vocabulary;
use crate::rule::charter_in_force::strict_enough;
use crate::state::releases::{SignedRelease, offered_release};
use crate::state::subscription::{Phase, Side, Subscription};
use crate::state::tables::MappedSet;
use crate::time::UnixMillis;

use super::io::{Effect, Notice, OrderFault, RunEnd, RunPlan, Taken, Ticket};
use super::orders::{Consequence, Then, and_then, consumed, only};
use super::plan::Awaited;
use super::release_orders::shareable;
use super::{Endpoint, Room, Waiting};

impl Endpoint {
    pub(super) fn define_dataset(room: &Room, dataset: &Dataset) -> Result<Consequence, OrderFault> {
        let twin =
            room.state.datasets.values().any(|other| other.name == dataset.name && other.dataset != dataset.dataset);
        if twin {
            return Err(OrderFault::OutOfOrder { why: "another dataset has this name" });
        }
        if let Source::Release { release } = dataset.source {
            shareable(room, release)?;
        }
        Ok(only(vec![]))
    }

    /// Terms that fit the node, the dataset and the charter (spec SHARE-5).
    pub(super) fn define_share(room: &Room, now: UnixMillis, share: &Share) -> Result<Consequence, OrderFault> {
        let state = &room.state;
        let binding = state.charters.binding(&state.party).ok_or(OrderFault::CharterNotInForce)?;
        let charter = &binding.charter;
        if share.consortium != state.consortium || share.provider != state.party {
            return Err(OrderFault::NotForNow);
        }
        let dataset = state.datasets.get(&share.dataset).ok_or(OrderFault::NotFound { what: "dataset" })?;
        let files = matches!(dataset.source, Source::Files { .. });
        if files != matches!(share.content, Content::UncheckedFiles) {
            return Err(OrderFault::OutOfOrder { why: "a folder is shared as unchecked files, and only a folder" });
        }
        check_release(room, share, dataset)?;
        // The person ids of a mapped table were made with the key that its set names.
        let has_fields = dataset.linkage.is_some() || matches!(dataset.source, Source::Mapped { .. });
        if links(share) && !(has_fields && charter.linkage.is_some()) {
            return Err(OrderFault::OutOfOrder {
                why: "tokens need linkage columns in the dataset and a key maker in the charter",
            });
        }
        check_declared(share, dataset)?;
        check_shift(room, now, share, dataset)?;
        let version = state.offers.get(&share.share).map_or(0, |offer| offer.share.version);
        if version.checked_add(1) != Some(share.version) {
            return Err(OrderFault::OutOfOrder { why: "the share's version is not the next one" });
        }
        if share.consumers.iter().any(|name| !charter.roster.contains_key(name)) {
            return Err(OrderFault::NotFound { what: "party in the charter among the consumers" });
        }
        if !strict_enough(share.landed_rows, charter.terms.landed_rows) {
            return Err(OrderFault::OutOfOrder { why: "the charter asks for a stricter treatment of landed rows" });
        }
        if share.expires <= now || share.expires > now.plus(charter.terms.share_validity_max) {
            return Err(OrderFault::OutOfOrder { why: "the expiry is past, or later than the charter allows" });
        }
        Ok(only(vec![]))
    }

    pub(super) fn approve_share(
        room: &Room,
        share: ShareId,
        terms: DocumentDigest,
        unchecked: Unchecked,
    ) -> Result<Consequence, OrderFault> {
        let offer = room.state.offers.get(&share).ok_or(OrderFault::NotFound { what: "share" })?;
        if offer.approval_fits(terms, unchecked) {
            return Ok(only(vec![]));
        }
        Err(OrderFault::OutOfOrder { why: "the approval names other terms, or does not say that files are unchecked" })
    }

    pub(super) fn invite(
        room: &Room,
        now: UnixMillis,
        share: ShareId,
        consumer: &Name,
        subscription: SubscriptionId,
        answer_by: UnixMillis,
    ) -> Result<Consequence, OrderFault> {
        let offer = room.state.offers.get(&share).ok_or(OrderFault::NotFound { what: "share" })?;
        let share = offer.approved_now().ok_or(OrderFault::NotApproved)?;
        if room.state.stopped {
            return Err(OrderFault::Stopped);
        }
        released_of(room, share)?;
        if !share.consumers.contains(consumer) {
            return Err(OrderFault::NotFound { what: "consumer in the share's terms" });
        }
        if !Self::has_accepted(room, consumer) {
            return Err(OrderFault::OutOfOrder { why: "that party has not accepted the charter" });
        }
        if answer_by <= now || share.expires <= now {
            return Err(OrderFault::OutOfOrder { why: "the invitation or the share is over already" });
        }
        let of_this = |found: &Subscription| {
            found.side == Side::Provider && found.peer == *consumer && found.invitation.share.share == share.share
        };
        // One that has expired may run again: it is invited anew under its own id. Two that run would each get every
        // snapshot, and the consumer would land it in one.
        let beside = room.state.subscriptions.values().any(|found| {
            let running = !matches!(found.phase(now), Phase::Ended | Phase::Refused);
            found.id != subscription && of_this(found) && running
        });
        let itself = room.state.subscriptions.get(&subscription).is_some_and(|found| {
            !of_this(found) || found.invitation.share.version >= share.version || found.phase(now) == Phase::Ended
        });
        let clash = beside || itself;
        if clash {
            return Err(OrderFault::OutOfOrder {
                why: "that party has a subscription to this share; invite it anew under its id after the terms changed",
            });
        }
        let invitation = Invitation {
            consortium: room.state.consortium,
            subscription,
            consumer: consumer.clone(),
            share: share.clone(),
            at: now,
            answer_by,
            accepted: room.state.subscriptions.get(&subscription).and_then(|found| found.accepted_digest),
            ext: Extensions::default(),
        };
        Ok(only(vec![Act::Invitation(Signed::sign(&invitation, &room.keys.signing))]))
    }

    pub(super) fn answer_invitation(
        room: &Room,
        now: UnixMillis,
        subscription: SubscriptionId,
        invitation: DocumentDigest,
        answer: Answer,
    ) -> Result<Consequence, OrderFault> {
        let found = consumed(room, subscription)?;
        if found.invitation_digest != invitation {
            return Err(OrderFault::OutOfOrder { why: "the terms have changed since they were read" });
        }
        if found.answer.is_some() {
            return Err(OrderFault::OutOfOrder { why: "this invitation has been answered" });
        }
        if now >= found.invitation.answer_by || found.revoked {
            return Err(OrderFault::OutOfOrder { why: "the invitation is over" });
        }
        let acceptance = Acceptance {
            consortium: room.state.consortium,
            subscription,
            invitation,
            consumer: room.state.party.clone(),
            answer,
            at: now,
            ext: Extensions::default(),
        };
        Ok(only(vec![Act::Acceptance(Signed::sign(&acceptance, &room.keys.signing))]))
    }

    pub(super) fn set_standing(
        room: &Room,
        now: UnixMillis,
        subscription: SubscriptionId,
        state: StandingState,
    ) -> Result<Consequence, OrderFault> {
        let found = consumed(room, subscription)?;
        if found.standing == StandingState::Ended {
            return Err(OrderFault::OutOfOrder { why: "the subscription has been ended" });
        }
        let standing = Standing {
            consortium: room.state.consortium,
            subscription,
            consumer: room.state.party.clone(),
            sequence: found.standing_sequence.saturating_add(1),
            state,
            at: now,
            ext: Extensions::default(),
        };
        let act = Act::Standing(Signed::sign(&standing, &room.keys.signing));
        Ok(match state {
            StandingState::Active => only(vec![act]),
            StandingState::Paused | StandingState::Ended => and_then(vec![act], Then::Cut(subscription)),
        })
    }

    pub(super) fn change_subscription(
        room: &Room,
        now: UnixMillis,
        subscription: SubscriptionId,
        change: &Change,
        reason: Option<Text>,
    ) -> Result<Consequence, OrderFault> {
        let found = room.state.subscriptions.get(&subscription).filter(|found| found.side == Side::Provider);
        let found = found.ok_or(OrderFault::NotFound { what: "subscription of which this node is the provider" })?;
        let charter = room.state.charters.binding(&room.state.party).ok_or(OrderFault::CharterNotInForce)?;
        let why = match change {
            Change::Revoke if found.revoked => Some("the subscription is revoked already"),
            Change::Reinstate if found.withdrawn => Some("the release was recalled for good"),
            Change::Reinstate if !found.revoked => Some("the subscription is not revoked"),
            Change::Expires(at) if *at > found.invitation.at.plus(charter.charter.terms.share_validity_max) => {
                Some("the expiry is later than the charter allows")
            }
            Change::Expires(at) if *at > found.invitation.share.expires && is_safe_harbor(&found.invitation.share) => {
                Some("under Safe Harbor the terms' own end bounds the years of birth; define new terms")
            }
            Change::Revoke | Change::Reinstate | Change::Expires(_) | Change::Schedule(_) => None,
        };
        if let Some(why) = why {
            return Err(OrderFault::OutOfOrder { why });
        }
        let revocation = Revocation {
            consortium: room.state.consortium,
            subscription,
            provider: room.state.party.clone(),
            sequence: found.change_sequence.saturating_add(1),
            change: change.clone(),
            reason,
            at: now,
            ext: Extensions::default(),
        };
        let act = Act::Revocation(Signed::sign(&revocation, &room.keys.signing));
        let over = match change {
            Change::Revoke => true,
            Change::Expires(at) => *at <= now,
            Change::Reinstate | Change::Schedule(_) => false,
        };
        Ok(if over { and_then(vec![act], Then::Cut(subscription)) } else { only(vec![act]) })
    }

    pub(super) fn take_snapshot(room: &Room, now: UnixMillis, share: ShareId) -> Result<Consequence, OrderFault> {
        may_run(room, now, share).map(|_| and_then(vec![], Then::Run(share)))
    }

    pub(super) fn run_due(&mut self, consortium: ConsortiumId, share: ShareId) {
        let now = self.cx().wall;
        let ready = self.rooms.get(&consortium).is_some_and(|room| may_run(room, now, share).is_ok());
        if ready {
            self.start_run(consortium, share);
        }
    }

    pub(super) fn start_run(&mut self, consortium: ConsortiumId, share: ShareId) {
        let now = self.cx().wall;
        let Some(room) = self.rooms.get_mut(&consortium) else { return };
        let Ok((dataset, terms)) = may_run(room, now, share).map(|(d, s)| (d.clone(), s.clone())) else { return };
        let epoch = epoch_of(room, &terms);
        if epoch.is_none() && links(&terms) {
            return self.run_failed(consortium, share, RunFault::NoLinkageKey);
        }
        let keyed = !dataset.key.is_empty() && is_keyed(&terms);
        let set = match mapped_set(room, &dataset, &terms) {
            Ok(set) => set,
            Err(fault) => return self.run_failed(consortium, share, fault),
        };
        let Some(room) = self.rooms.get_mut(&consortium) else { return };
        let Ok(release) = released_of(room, &terms) else { return };
        let Some(offer) = room.state.offers.get(&share) else { return };
        let linked = set.as_ref().map_or(epoch, |set| set.linkage.as_ref().map(|statement| statement.epoch));
        let previous = offer
            .base_for_delta()
            .filter(|stated| stated.manifest.linkage.as_ref().map(|statement| statement.epoch) == linked)
            .filter(|stated| stated.index.is_some() == keyed)
            .map(|stated| (stated.manifest.listing, stated.index));
        let opted_out = opted_out(room, &dataset);
        room.running.insert(share);
        let plan = Box::new(RunPlan { consortium, dataset, share: terms, opted_out, previous, epoch, set, release });
        let ticket = self.ticket(Waiting::Run(plan.clone()));
        self.after(consortium, Effect::Run { ticket, plan });
    }

    pub(super) fn run_ended(&mut self, ticket: Ticket, end: RunEnd) {
        let Some(Waiting::Run(plan)) = self.waiting.remove(&ticket) else { return };
        let (consortium, share) = (plan.consortium, plan.share.share);
        let now = self.cx().wall;
        let Some(room) = self.rooms.get_mut(&consortium) else { return };
        room.running.remove(&share);
        match end {
            RunEnd::Unchanged => {
                self.effects.push_back(Effect::Notify(Notice::Unchanged(share)));
                self.step_ended(consortium, &Awaited::Run(share), Ok(()));
            }
            RunEnd::Failed(fault) => self.run_failed(consortium, share, fault),
            RunEnd::Taken(taken) => {
                // Whatever changed meanwhile (a halt, new terms, a patient who opted out) makes this run void.
                let stands = may_run(room, now, share).is_ok_and(|(dataset, terms)| {
                    let same = *dataset == plan.dataset && *terms == plan.share;
                    let as_before = opted_out(room, dataset) == plan.opted_out && epoch_of(room, terms) == plan.epoch;
                    same && as_before && mapped_set(room, dataset, terms).as_ref() == Ok(&plan.set)
                });
                if stands {
                    self.state_snapshot(consortium, share, *taken);
                } else {
                    self.run_failed(consortium, share, RunFault::Changed);
                }
            }
        }
    }

    fn run_failed(&mut self, consortium: ConsortiumId, share: ShareId, fault: RunFault) {
        self.persist(consortium, &Actor::Node, vec![Act::SnapshotFailed { share, fault }]);
        self.after(consortium, Effect::Notify(Notice::RunFailed(share, fault)));
        self.after(consortium, Effect::Sweep);
        self.step_ended(consortium, &Awaited::Run(share), Err(StepFault::Run(fault)));
    }

    fn state_snapshot(&mut self, consortium: ConsortiumId, share: ShareId, taken: Taken) {
        let now = self.cx().wall;
        let Some(room) = self.rooms.get(&consortium) else { return };
        let Some(offer) = room.state.offers.get(&share) else { return };
        let last = offer.snapshots.last();
        let blobs: std::collections::BTreeSet<BlobRef> =
            taken.content.entries().iter().map(|entry| entry.blob).collect();
        let bytes = Bytes(blobs.iter().fold(0, |sum: u64, blob| sum.saturating_add(blob.bytes.0)));
        let manifest = Manifest {
            consortium,
            provider: room.state.party.clone(),
            share,
            terms: offer.terms,
            sequence: last.map_or(0, |last| last.manifest.sequence).saturating_add(1),
            previous: last.map(|last| last.id),
            base: taken.base,
            taken: now,
            listing: taken.listing,
            bytes,
            label: ContentLabel::of(&offer.share.content),
            columns: leaving_columns(&offer.share),
            linkage: taken.linkage,
            ext: extensions(room, taken.origin.as_ref(), taken.vocabulary.as_ref()),
        };
        let signed = Signed::sign(&manifest, &room.keys.signing);
        let snapshot = SnapshotId(signed.digest().0);
        let acts = vec![Act::Manifest(signed), Act::SnapshotTaken { share, snapshot, index: taken.index }];
        self.persist(consortium, &Actor::Node, acts);
        self.keep_listing(consortium, snapshot, &taken.content);
        self.after(consortium, Effect::Notify(Notice::Stated(share, snapshot)));
        self.after(consortium, Effect::Sweep);
        self.step_ended(consortium, &Awaited::Run(share), Ok(()));
    }
}

/// What a manifest of a mapped table says beside the rest (spec MAP-3, MAP-14, MAP-23).
fn extensions(room: &Room, origin: Option<&Origin>, vocabulary: Option<&Vocabulary>) -> Extensions {
    let extensions = origin.map_or_else(Extensions::default, Origin::to_extension);
    let of = |origin: &Origin| room.state.mappings.values().find(|known| known.digest == origin.mapping);
    let allowance = origin.and_then(of).and_then(|known| Allowance::of(&known.mapping.ext).ok());
    let extensions = allowance.unwrap_or_default().beside(extensions);
    match vocabulary {
        None => extensions,
        Some(vocabulary) => vocabulary.beside(extensions),
    }
}

/// Whether a snapshot of this share may be taken now: approved terms, a copied form, no halt, none running.
fn may_run(room: &Room, now: UnixMillis, share: ShareId) -> Result<(&Dataset, &Share), OrderFault> {
    let offer = room.state.offers.get(&share).ok_or(OrderFault::NotFound { what: "share" })?;
    let terms = offer.approved_now().ok_or(OrderFault::NotApproved)?;
    let dataset = room.state.datasets.get(&terms.dataset).ok_or(OrderFault::NotFound { what: "dataset" })?;
    released_of(room, terms)?;
    if room.state.stopped {
        return Err(OrderFault::Stopped);
    }
    let why = if terms.form != Form::Snapshot {
        Some("rows of an in-place share stay; no snapshot is taken")
    } else if now >= terms.expires {
        Some("the share is over")
    } else if room.running.contains(&share) {
        Some("a snapshot of this share is being taken")
    } else {
        None
    };
    match why {
        Some(why) => Err(OrderFault::OutOfOrder { why }),
        None => Ok((dataset, terms)),
    }
}

/// What was signed of the release that these terms share; `None` where they share none.
fn released_of(room: &Room, terms: &Share) -> Result<Option<SignedRelease>, OrderFault> {
    offered_release(terms).map(|release| shareable(room, release).cloned()).transpose()
}

/// The set that a mapped table is taken from; `None` for every other dataset. It must be linked as the terms say: who
/// approved them approved ids that link patients across members, or ids that do not (spec MAP-8).
pub(super) fn mapped_set(room: &Room, dataset: &Dataset, terms: &Share) -> Result<Option<MappedSet>, RunFault> {
    let Source::Mapped { mapping, .. } = &dataset.source else { return Ok(None) };
    let set = room.state.mappings.get(mapping).and_then(|known| known.set.clone());
    let held = held_epoch(room);
    let current = |set: &MappedSet| set.linkage.as_ref().is_none_or(|statement| Some(statement.epoch) == held);
    let fresh = set.filter(|set| !set.stale && current(set) && set.linkage.is_some() == links(terms));
    fresh.map(Some).ok_or(RunFault::SetStale)
}

/// Who has opted out of a dataset, as of now.
pub(super) fn opted_out(room: &Room, dataset: &Dataset) -> Vec<OptOutEntry> {
    room.state.opted_out.get(&dataset.dataset).into_iter().flatten().copied().collect()
}

fn is_safe_harbor(terms: &Share) -> bool {
    matches!(&terms.content, Content::Table(table) if table.standard == Standard::HipaaSafeHarbor)
}

fn links(terms: &Share) -> bool {
    matches!(&terms.content, Content::Table(table) if table.linkage == Linkage::Token)
}

/// Whether rows may be known by their key under these terms.
fn is_keyed(terms: &Share) -> bool {
    matches!(&terms.content, Content::Table(table) if table.keyed())
}

/// A release is shared as that release and nothing else, with those that it names as recipients (spec REL-13).
fn check_release(room: &Room, share: &Share, dataset: &Dataset) -> Result<(), OrderFault> {
    let source = if let Source::Release { release } = dataset.source { Some(release) } else { None };
    if source != offered_release(share) {
        return Err(OrderFault::OutOfOrder { why: "a signed release is shared as that release, and only it" });
    }
    let Some(release) = source else { return Ok(()) };
    let stated = shareable(room, release)?.signed.claimed().map_err(|_| OrderFault::Document)?;
    if share.consumers.is_subset(&stated.request.recipients) {
        Ok(())
    } else {
        Err(OrderFault::OutOfOrder { why: "a consumer is not among the release's recipients" })
    }
}

/// What the dataset itself says of who a patient is counts more than a column's name or role (spec SHARE-26).
fn check_declared(share: &Share, dataset: &Dataset) -> Result<(), OrderFault> {
    let Content::Table(table) = &share.content else { return Ok(()) };
    let linkage = dataset.linkage.as_ref();
    for column in table.columns.iter().filter(|column| column.leaves()) {
        let is_patient = dataset.patient.as_ref() == Some(&column.name);
        let is_name = linkage.is_some_and(|by| by.given == column.name || by.family == column.name);
        let is_birth = linkage.is_some_and(|by| by.birth == column.name);
        if (is_patient || is_name) && column.treatment != Treatment::Pseudonym {
            return Err(OrderFault::OutOfOrder {
                why: "a column that the dataset declares to name the patient leaves readable; drop it, or make it a pseudonym",
            });
        }
        if is_birth && column.treatment == Treatment::Keep {
            return Err(OrderFault::OutOfOrder {
                why: "the dataset's date of birth leaves as it is; drop it, or cut it to the month or year",
            });
        }
    }
    Ok(())
}

/// A patient's dates move by one number of days in all tables of a provider, so all of them share one bound (spec SHARE-5).
fn check_shift(room: &Room, now: UnixMillis, share: &Share, dataset: &Dataset) -> Result<(), OrderFault> {
    let Some(days_max) = shift_bound(share) else { return Ok(()) };
    if dataset.patient.is_none() {
        return Err(OrderFault::OutOfOrder {
            why: "dates are shifted by patient, and the dataset names no patient column",
        });
    }
    let running = room.state.offers.values().map(|offer| &offer.share);
    let mut others = running.filter(|other| other.share != share.share && other.expires > now);
    match others.find_map(|other| shift_bound(other).filter(|bound| *bound != days_max)) {
        Some(_) => Err(OrderFault::OutOfOrder { why: "another share of this node shifts dates within another bound" }),
        None => Ok(()),
    }
}

fn shift_bound(terms: &Share) -> Option<u16> {
    let Content::Table(table) = &terms.content else { return None };
    table.columns.iter().find_map(|column| match column.treatment {
        Treatment::ShiftDates { days_max, .. } => Some(days_max),
        Treatment::Drop
        | Treatment::Keep
        | Treatment::Pseudonym
        | Treatment::Month { .. }
        | Treatment::Year { .. }
        | Treatment::Zip3
        | Treatment::Age90
        | Treatment::Round(_) => None,
    })
}

/// The epoch of the key that a run under these terms makes tokens with.
fn epoch_of(room: &Room, terms: &Share) -> Option<u32> {
    if links(terms) { held_epoch(room) } else { None }
}

/// The charter's linkage epoch, if its key is held here.
pub(super) fn held_epoch(room: &Room) -> Option<u32> {
    let terms = room.state.charters.binding(&room.state.party)?.charter.linkage.clone()?;
    room.state.linkage.held.contains_key(&terms.epoch).then_some(terms.epoch)
}
