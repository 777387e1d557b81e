//! A node's state in one consortium: a fold over its journal, and nothing else.
//!
//! [`State::apply`] takes an entry that was checked before it was written; it does not fail. Whatever a node knows after
//! a restart, it knows from here (law 10).

pub mod linkage;
pub mod charters;
pub mod outbox;
pub mod share;
pub mod tables;
pub mod subscription;
pub mod pipelines;
pub mod releases;
pub mod ledger;
mod notices;
mod roster;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::digest::DocumentDigest;
use crate::ident::{ConsortiumId, DatasetId, Name, Nonce, ShareId, SnapshotId, SubscriptionId, Text};
use crate::key::pair::PublicKey;
use crate::key::signed::{Record, Signed};
use crate::message::document::Document;
use crate::record::acceptance::{Acceptance, Standing, StandingState};
use crate::record::charter::PartyKind;
use crate::record::dataset::Dataset;
use crate::record::invitation::Invitation;
use crate::record::journal_entry::{Act, Actor, JournalEntry};
use crate::record::linkage_wrap::LinkageWrap;
use crate::record::manifest::Manifest;
use crate::record::node_record::NodeRecord;
use crate::record::order::{Command, OptOutChoice, OptOutEntry, Order};
use crate::record::person::Person;
use crate::record::receipt::{Outcome, Receipt};
use crate::record::revocation::Revocation;
use crate::record::share::Share;
use crate::record::site_notice::SiteNotice;
use crate::time::UnixMillis;

use charters::Charters;
use ledger::Ledger;
use linkage::LinkageState;
use outbox::{Mailbox, document_in};
use pipelines::Piped;
use releases::{Phase, Releases};
use share::{Offer, Stated};
use subscription::{Fate, Side, Snapshot, Subscription};
use tables::{Mapped, StatedSchema, Tables, Vocabularies};

/// A one-time secret that the operator has issued.
#[derive(Debug, Clone)]
pub struct JoinSecret {
    /// The name the hospital will have.
    pub party: Name,
    /// Its title.
    pub title: Text,
    /// It cannot be used from here on.
    pub expires: UnixMillis,
    /// The root that has used it.
    pub used_by: Option<PublicKey>,
}

/// A party's node record as last heard.
#[derive(Debug, Clone)]
pub struct Known {
    /// As signed.
    pub signed: Signed<NodeRecord>,
    /// Its content.
    pub record: NodeRecord,
}

/// A node's state in one consortium.
#[derive(Debug, Clone)]
pub struct State {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// This node's name.
    pub party: Name,
    /// Entries applied.
    pub entries: u64,
    /// The charter chain.
    pub charters: Charters,
    /// Node records, this node's own too.
    pub records: BTreeMap<Name, Known>,
    /// Persons of this node.
    pub persons: BTreeMap<Name, Person>,
    /// Orders carried out, so that none is carried out twice.
    pub orders: BTreeSet<Nonce>,
    /// One-time secrets issued.
    pub secrets: BTreeMap<DocumentDigest, JoinSecret>,
    /// Hospitals that have used one and are on no roster yet.
    pub joining: BTreeMap<Name, Known>,
    /// Roots that a person here has compared by another channel.
    pub confirmed: BTreeMap<Name, PublicKey>,
    /// This node's datasets.
    pub datasets: BTreeMap<DatasetId, Dataset>,
    /// Who has opted out, by dataset.
    pub opted_out: BTreeMap<DatasetId, BTreeSet<OptOutEntry>>,
    /// This node's shares.
    pub offers: BTreeMap<ShareId, Offer>,
    /// Subscriptions, as provider or consumer.
    pub subscriptions: BTreeMap<SubscriptionId, Subscription>,
    /// Linkage keys.
    pub linkage: LinkageState,
    /// Documents from and to each peer.
    pub mail: BTreeMap<Name, Mailbox>,
    /// This node's mappings, and what they made last.
    pub mappings: BTreeMap<Name, Mapped>,
    /// Common schemas that charter versions name, by those names, as the operator stated them.
    pub schemas: BTreeMap<DocumentDigest, StatedSchema>,
    /// Vocabularies that were loaded here.
    pub vocabularies: Vocabularies,
    /// Table versions made of what has landed.
    pub tables: Tables,
    /// Notices about this site, as received; about others, as made. The last of them, the oldest first.
    pub notices: Vec<SiteNotice>,
    /// Pipelines of this node.
    pub pipelines: BTreeMap<Name, Piped>,
    /// Projects and releases.
    pub releases: Releases,
    /// What releases have cost, as it is told.
    pub ledger: Ledger,
    /// Whether all output is stopped.
    pub stopped: bool,
}

impl State {
    /// Nothing has happened yet.
    pub fn new(consortium: ConsortiumId, party: Name, operator_root: PublicKey) -> Self {
        Self {
            consortium,
            party,
            entries: 0,
            charters: Charters::new(consortium, operator_root),
            records: BTreeMap::new(),
            persons: BTreeMap::new(),
            orders: BTreeSet::new(),
            secrets: BTreeMap::new(),
            joining: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            datasets: BTreeMap::new(),
            opted_out: BTreeMap::new(),
            offers: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            linkage: LinkageState::default(),
            mail: BTreeMap::new(),
            mappings: BTreeMap::new(),
            schemas: BTreeMap::new(),
            vocabularies: Vocabularies::default(),
            tables: Tables::default(),
            notices: Vec::new(),
            pipelines: BTreeMap::new(),
            releases: Releases::default(),
            ledger: Ledger::default(),
            stopped: false,
        }
    }

    /// Applies one journaled entry.
    pub fn apply(&mut self, entry: &JournalEntry) {
        self.entries = self.entries.saturating_add(1);
        let peer = match &entry.actor {
            Actor::Peer(name) => Some(name),
            Actor::Person(_) | Actor::Node => None,
        };
        if let Some((peer, document)) = peer.zip(document_in(&entry.act)) {
            let refused = if let Act::DocumentRefused { code, .. } = &entry.act { Some(*code) } else { None };
            self.mail.entry(peer.clone()).or_default().note_received(document, refused);
        }
        match &entry.act {
            Act::Began { party } => self.party = party.clone(),
            Act::Order(order) => self.apply_order(order),
            Act::Person(person) => self.apply_person(person),
            Act::Charter(charter) => self.apply_charter(charter, peer),
            Act::NodeRecord(record) => self.apply_record(record),
            Act::JoinAsked { secret, record } => self.apply_join(*secret, record),
            Act::Invitation(signed) => self.apply_invitation(signed, peer),
            Act::Acceptance(signed) => self.apply_acceptance(signed, peer),
            Act::Standing(signed) => self.apply_standing(signed, peer),
            Act::Revocation(signed) => self.apply_revocation(signed, peer),
            Act::Manifest(manifest) => self.apply_manifest(manifest, peer),
            Act::SnapshotTaken { share, snapshot, index } => self.apply_index(*share, *snapshot, *index),
            Act::Receipt(signed) => self.apply_receipt(signed, peer),
            Act::Erased { subscription, snapshot } => {
                if let Some(found) = self.subscriptions.get(subscription) {
                    self.tables.erase(found.invitation.share.share);
                }
                self.settle(*subscription, *snapshot, Fate::Erased);
            }
            Act::LinkageWrap(wrap) => self.apply_wrap(wrap),
            Act::LinkageKeyHeld { epoch, key } => self.linkage.hold(*epoch, *key),
            Act::Served { subscription, bytes } => {
                if let Some(found) = self.subscriptions.get_mut(subscription) {
                    found.served.0 = found.served.0.saturating_add(bytes.0);
                }
            }
            Act::SnapshotUnwanted { subscription, snapshot, .. } => self.apply_unwanted(*subscription, *snapshot),
            Act::Mapped { mapping, set, linkage } => self.apply_mapped(*mapping, *set, linkage.clone()),
            Act::Consolidated { consolidation: made, set } => self.tables.add(known(made), made.digest(), *set),
            Act::MappingFailed { mapping, fault } => self.apply_unmapped(*mapping, *fault),
            Act::AnswerRefused { subscription, invitation, .. } => self.apply_unheard(*subscription, *invitation),
            Act::SiteNotice(signed) => self.apply_notice(signed, peer),
            Act::PipelineBegan { pipeline, cause, .. } => self.begin_pipeline(pipeline, *cause),
            Act::PipelineStep { pipeline, step, end, .. } => self.end_step(pipeline, *step, *end, entry.at),
            Act::SnapshotFailed { .. }
            | Act::Compared { .. }
            | Act::PeerRefused { .. }
            | Act::DocumentRefused { .. }
            | Act::DocumentKnown { .. }
            | Act::ConsolidationFailed { .. } => {}
            Act::Published { consolidation } => self.tables.publish(*consolidation, None),
            Act::PublishFailed { consolidation, fault } => self.tables.publish(*consolidation, Some(*fault)),
            Act::VocabularyLoaded(loaded) => self.vocabularies.add(entry.at, loaded.clone()),
            Act::CommonSchema(schema) => self.apply_schema(schema, peer),
            Act::VocabularyFailed { fault } => self.vocabularies.fail(*fault),
            Act::Project(signed) => self.apply_project(signed, peer),
            Act::ReleaseRefused { release, refusal } => self.releases.close(*release, Phase::Refused(*refusal)),
            Act::ReleaseSame { release, same } => self.releases.close(*release, Phase::Same(*same)),
            Act::ReleaseReserved(reservation) => self.apply_reservation(reservation, entry.at),
            Act::ReleaseMade { release, made } => self.releases.make(*release, entry.at, made.clone()),
            Act::ReleaseFailed { release, fault } => self.releases.close(*release, Phase::Failed(*fault)),
            Act::ReleaseStopped { release, report } => self.releases.close(*release, Phase::Stopped(*report)),
            Act::Released(signed) => self.apply_release(signed),
            Act::Withdrawal(signed) => self.apply_withdrawal(signed, peer),
            Act::Announcement(signed) => self.apply_announcement(signed, peer),
            Act::Objection(signed) => self.apply_objection(signed, peer),
            Act::Debit(signed) => self.apply_debit(signed, peer),
        }
    }

    fn apply_order(&mut self, signed: &Signed<Order>) {
        let order = known(signed);
        self.orders.insert(order.nonce);
        match order.command {
            Command::EnrolPerson(person) => self.apply_person(&person),
            Command::IssueJoinToken { secret, party, title, expires } => {
                self.secrets.insert(secret, JoinSecret { party, title, expires, used_by: None });
            }
            Command::ConfirmRoot { party, root } => drop(self.confirmed.insert(party, root)),
            Command::DefineDataset(dataset) => self.apply_dataset(dataset),
            Command::DefineShare(share) => self.apply_share(share),
            Command::ApproveShare { share, .. } => {
                if let Some(offer) = self.offers.get_mut(&share) {
                    offer.approve();
                }
            }
            Command::OptOut { dataset, entry, choice } => self.apply_choice(dataset, entry, choice),
            Command::RollBack { subscription, snapshot } => {
                if let Some(found) = self.subscriptions.get_mut(&subscription) {
                    found.current = Some(snapshot);
                }
            }
            Command::DefineMapping(mapping) => self.apply_mapping(*mapping, order.person, order.at),
            Command::UseTables { consolidation } => self.tables.use_again(consolidation),
            Command::DefinePipeline(pipeline) => self.define_pipeline(signed, order.person, *pipeline),
            Command::ChangePipeline { pipeline, change } => self.change_pipeline(&pipeline, change),
            Command::DefineProject(project) => self.releases.define(*project),
            Command::RequestRelease { release, request } => {
                self.releases.file(release, order.person, order.at, request);
            }
            Command::RefuseRelease { release } => self.releases.close(release, Phase::Declined),
            Command::Cap { cap } => self.ledger.set_cap(cap),
            Command::Stop => self.stopped = true,
            Command::Start => self.stopped = false,
            Command::ProposeCharter(_)
            | Command::SignCharter(_)
            | Command::MakeLinkageKey { .. }
            | Command::WrapLinkageKey { .. }
            | Command::Invite { .. }
            | Command::AnswerInvitation { .. }
            | Command::SetStanding { .. }
            | Command::ChangeSubscription { .. }
            | Command::TakeSnapshot { .. }
            | Command::Preview { .. }
            | Command::ReadLanded { .. }
            | Command::Export { .. }
            | Command::Import { .. }
            | Command::Profile
            | Command::RunMapping { .. }
            | Command::RunMappingDespite { .. }
            | Command::LoadVocabulary { .. }
            | Command::StateSchema { .. }
            | Command::ApproveProject { .. }
            | Command::SignRelease { .. }
            | Command::WithdrawRelease { .. }
            | Command::Object { .. }
            | Command::ReadMapped { .. }
            | Command::Consolidate
            | Command::ReadTables { .. }
            | Command::Publish { .. }
            | Command::CheckMapping { .. }
            | Command::CheckTables { .. }
            | Command::CompareSites
            | Command::Query { .. }
            | Command::Prune { .. } => {}
        }
    }

    fn apply_share(&mut self, share: Share) {
        let terms = Signed::unsigned(&share).digest();
        match self.offers.get_mut(&share.share) {
            Some(offer) => offer.define(share, terms),
            None => drop(self.offers.insert(share.share, Offer::new(share, terms))),
        }
    }

    fn apply_choice(&mut self, dataset: DatasetId, entry: OptOutEntry, choice: OptOutChoice) {
        let entries = self.opted_out.entry(dataset).or_default();
        match choice {
            OptOutChoice::Out => entries.insert(entry),
            OptOutChoice::In => entries.remove(&entry),
        };
        self.age_sets(dataset);
    }

    fn apply_person(&mut self, signed: &Signed<Person>) {
        let person = known(signed);
        self.persons.insert(person.person.clone(), person);
    }

    fn apply_invitation(&mut self, signed: &Signed<Invitation>, peer: Option<&Name>) {
        let invitation = known(signed);
        let (side, other) = match peer {
            Some(provider) => (Side::Consumer, provider.clone()),
            None => (Side::Provider, invitation.consumer.clone()),
        };
        self.post(peer, &other, Document::Invitation(signed.clone()));
        let digest = signed.digest();
        let id = invitation.subscription;
        if let Some(found) = self.subscriptions.get_mut(&id) {
            found.reinvite(invitation, digest);
        } else {
            self.subscriptions.insert(id, Subscription::new(side, other, invitation, digest));
        }
    }

    fn apply_acceptance(&mut self, signed: &Signed<Acceptance>, peer: Option<&Name>) {
        let acceptance = known(signed);
        self.change(acceptance.subscription, peer, Document::Acceptance(signed.clone()), |found| {
            let terms = Signed::unsigned(&found.invitation.share).digest();
            found.answer(acceptance.answer, terms);
        });
    }

    fn apply_standing(&mut self, signed: &Signed<Standing>, peer: Option<&Name>) {
        let standing = known(signed);
        self.change(standing.subscription, peer, Document::Standing(signed.clone()), |found| {
            (found.standing, found.standing_sequence) = (standing.state, standing.sequence);
        });
    }

    fn apply_revocation(&mut self, signed: &Signed<Revocation>, peer: Option<&Name>) {
        let revocation = known(signed);
        self.change(revocation.subscription, peer, Document::Revocation(signed.clone()), |found| {
            found.change(revocation.sequence, &revocation.change);
        });
    }

    /// Changes a subscription, tells the other side if it was this one's act, and sends what may flow now.
    fn change(
        &mut self,
        id: SubscriptionId,
        peer: Option<&Name>,
        document: Document,
        act: impl FnOnce(&mut Subscription),
    ) {
        let Some(found) = self.subscriptions.get_mut(&id) else { return };
        act(found);
        let other = found.peer.clone();
        self.post(peer, &other, document);
        self.send_snapshots(id);
    }

    fn post(&mut self, peer: Option<&Name>, other: &Name, document: Document) {
        if peer.is_none() {
            self.mail.entry(other.clone()).or_default().push(Arc::new(document));
        }
    }

    /// Puts into the mail what a consumer needs and has not been told: from the last full snapshot under its terms on.
    fn send_snapshots(&mut self, id: SubscriptionId) {
        let Some(found) = self.subscriptions.get_mut(&id) else { return };
        let flows = found.terms.is_some() && !found.revoked && found.standing == StandingState::Active;
        let (Side::Provider, true, Some(terms)) = (found.side, flows, found.terms) else { return };
        let Some(offer) = self.offers.get(&found.invitation.share.share) else { return };
        let Some(start) = offer.chain_start(terms) else { return };
        let told = found.snapshots.last().map_or(0, |last| last.manifest.sequence);
        let chain = offer.snapshots.get(start..).unwrap_or_default();
        let news: Vec<&Stated> =
            chain.iter().filter(|stated| stated.manifest.sequence > told && stated.manifest.terms == terms).collect();
        for stated in news {
            let manifest = stated.manifest.clone();
            found.snapshots.push(Snapshot { id: stated.id, manifest, fate: Fate::Stated, erasure_stated: false });
            let document = Arc::new(Document::Manifest(stated.signed.clone()));
            self.mail.entry(found.peer.clone()).or_default().push(document);
        }
    }

    fn apply_manifest(&mut self, signed: &Signed<Manifest>, peer: Option<&Name>) {
        let manifest = known(signed);
        let id = SnapshotId(signed.digest().0);
        // Only the key maker's own word counts: the first liar must not set what everybody is measured by.
        let charter = self.charters.binding(&self.party).and_then(|version| version.charter.linkage.as_ref());
        let by_maker = charter.is_some_and(|terms| terms.key_maker == manifest.provider);
        if let Some(linkage) = manifest.linkage.as_ref().filter(|_| by_maker) {
            self.linkage.checks.entry((linkage.key, linkage.normaliser)).or_insert(linkage.check);
        }
        let Some(provider) = peer else {
            let share = manifest.share;
            if let Some(offer) = self.offers.get_mut(&share) {
                offer.state(Stated { id, signed: signed.clone(), manifest, index: None });
            }
            let to = self.subscriptions.values().filter(|found| found.invitation.share.share == share);
            let to: Vec<SubscriptionId> = to.map(|found| found.id).collect();
            for id in to {
                self.send_snapshots(id);
            }
            return;
        };
        let subscribed = self.subscribed(provider, manifest.share).map(|found| found.id);
        if let Some(found) = subscribed.and_then(|id| self.subscriptions.get_mut(&id)) {
            found.snapshots.push(Snapshot { id, manifest, fate: Fate::Stated, erasure_stated: false });
        }
    }

    /// The subscription to `share` of `provider` that this node has as a consumer and has not ended. Of several, which
    /// there are when an answer to one crossed an invitation, the one whose accepted terms are the latest.
    pub fn subscribed(&self, provider: &Name, share: ShareId) -> Option<&Subscription> {
        let consumed = self.subscriptions.values().filter(|found| found.side == Side::Consumer);
        let of_share = consumed.filter(|found| found.peer == *provider && found.invitation.share.share == share);
        let live = of_share.filter(|found| found.standing != StandingState::Ended && found.terms.is_some());
        live.max_by_key(|found| (found.accepted.as_ref().map(|accepted| accepted.at), found.id))
    }

    fn apply_unwanted(&mut self, subscription: SubscriptionId, snapshot: SnapshotId) {
        self.settle(subscription, snapshot, Fate::Refused);
        self.want_full(subscription, snapshot);
    }

    fn apply_unheard(&mut self, subscription: SubscriptionId, invitation: DocumentDigest) {
        if let Some(found) = self.subscriptions.get_mut(&subscription)
            && found.invitation_digest == invitation
        {
            found.take_back_answer();
        }
    }

    fn apply_index(&mut self, share: ShareId, snapshot: SnapshotId, index: Option<crate::record::listing::BlobRef>) {
        let stated = self.offers.get_mut(&share).and_then(|offer| offer.snapshots.last_mut());
        if let Some(stated) = stated.filter(|stated| stated.id == snapshot) {
            stated.index = index;
        }
    }

    fn apply_receipt(&mut self, signed: &Signed<Receipt>, peer: Option<&Name>) {
        let receipt = known(signed);
        let fate = match receipt.outcome {
            Outcome::Landed { .. } => Fate::Landed,
            Outcome::Refused(_) => Fate::Refused,
            Outcome::Erased => Fate::Erased,
        };
        if let Some(found) = self.subscriptions.get(&receipt.subscription) {
            let other = found.peer.clone();
            self.post(peer, &other, Document::Receipt(signed.clone()));
        }
        self.settle(receipt.subscription, receipt.snapshot, fate);
        if peer.is_some() && matches!(fate, Fate::Refused | Fate::Erased) {
            self.want_full(receipt.subscription, receipt.snapshot);
        }
    }

    /// A consumer that has not a snapshot cannot build on it: the next one is full, unless one has come since.
    fn want_full(&mut self, subscription: SubscriptionId, snapshot: SnapshotId) {
        let share = self.subscriptions.get(&subscription).map(|found| found.invitation.share.share);
        if let Some(offer) = share.and_then(|share| self.offers.get_mut(&share)) {
            offer.full_next |= offer.last_chain().iter().any(|stated| stated.id == snapshot);
        }
    }

    fn settle(&mut self, subscription: SubscriptionId, snapshot: SnapshotId, fate: Fate) {
        if let Some(found) = self.subscriptions.get_mut(&subscription) {
            found.settle(snapshot, fate);
        }
    }

    fn apply_wrap(&mut self, signed: &Signed<LinkageWrap>) {
        let wrap = known(signed);
        self.linkage.announced.entry(wrap.epoch).or_insert(wrap.key);
        self.linkage.wrapped.entry(wrap.epoch).or_default().insert(wrap.recipient.clone());
        if wrap.recipient == self.party {
            self.linkage.received.push(signed.clone());
        }
        let Some(head) = self.charters.head() else { return };
        let operator = head.charter.operator().0.clone();
        let to = match (self.party == operator, wrap.maker == self.party) {
            (true, _) => wrap.recipient,
            (false, true) => operator,
            (false, false) => return,
        };
        self.mail.entry(to).or_default().push(Arc::new(Document::LinkageWrap(signed.clone())));
    }

    /// The person whose key has signed, if enrolled here and valid at `now`.
    pub fn person(&self, name: &Name, now: UnixMillis) -> Option<&Person> {
        self.persons.get(name).filter(|person| now < person.not_after)
    }

    /// Wrapped linkage keys that arrived for this node and are not in its keystore yet.
    pub fn unopened_wraps(&self) -> impl Iterator<Item = &Signed<LinkageWrap>> {
        let unopened = |signed: &&Signed<LinkageWrap>| !self.linkage.held.contains_key(&known(signed).epoch);
        self.linkage.received.iter().filter(unopened)
    }

    /// Whether this node is the operator's.
    pub fn is_operator(&self) -> bool {
        self.charters.kind_of(&self.party, &self.party) == Some(PartyKind::Operator)
    }
}

/// The content of a document that was verified before it was journaled.
fn known<T: Record>(signed: &Signed<T>) -> T {
    signed.claimed().expect("a document is verified before its entry is written")
}
