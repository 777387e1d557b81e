//! Orders of persons: who gave it, may the person, is it for now; then each command in its own function.

use crate::code::ErrorCode;
use crate::digest::DocumentDigest;
use crate::ident::{ConsortiumId, DatasetId, Name, ReleaseId, SubscriptionId, Text};
use crate::key::signed::{Signed, Verified};
use crate::limits::CLOCK_SKEW_MAX;
use crate::record::journal_entry::{Act, Actor};
use crate::record::order::{Command, Order};
use crate::record::person::{Person, Role};
use crate::rule::role::{action_of, permits};
use crate::rule::widening::shortens;
use crate::state::subscription::{Fate, Side};
use crate::time::UnixMillis;

use super::io::{Effect, OrderFault, Ticket, Under};
use super::plan::MapWishes;
use super::{Endpoint, Room};

/// What an accepted order leads to: entries after its own, and effects once they are durable.
#[derive(Debug, Default)]
pub(super) struct Consequence {
    pub(super) acts: Vec<Act>,
    pub(super) then: Option<Then>,
}

/// What begins once the entries are written.
#[derive(Debug)]
pub(super) enum Then {
    Run(crate::ident::ShareId),
    Cut(crate::ident::SubscriptionId),
    CutAll,
    Sweep,
    MakeLinkageKey(u32),
    WrapLinkageKey(u32),
    Standings,
    Map(Name, MapWishes),
    LoadVocabulary(Text),
    Consolidate,
    Publish(Box<crate::record::publish_place::PublishPlace>),
    Pipelines,
    /// Take up the next release.
    Releases,
    /// A release is signed or refused.
    Decided(ReleaseId),
    CutThese(Vec<SubscriptionId>),
}

/// Only of a dataset that says which patient a row is of.
fn opt_out(room: &Room, dataset: DatasetId) -> Result<Consequence, OrderFault> {
    match room.state.datasets.get(&dataset) {
        None => Err(OrderFault::NotFound { what: "dataset" }),
        Some(found) if found.patient.is_none() => {
            Err(OrderFault::OutOfOrder { why: "the dataset names no patient column, so no row can be found" })
        }
        Some(_) => Ok(only(vec![])),
    }
}

/// Only entries.
pub(super) fn only(acts: Vec<Act>) -> Consequence {
    Consequence { acts, then: None }
}

/// Entries, and then something.
pub(super) const fn and_then(acts: Vec<Act>, then: Then) -> Consequence {
    Consequence { acts, then: Some(then) }
}

impl Endpoint {
    pub(super) fn order(&mut self, ticket: Ticket, signed: &Signed<Order>) {
        let checked = self.check_order(signed).and_then(|(consortium, order)| {
            let room = self.rooms.get(&consortium).ok_or(OrderFault::NotFound { what: "consortium" })?;
            let consequence = self.consequence(room, &order)?;
            Ok((consortium, order.person.clone(), consequence))
        });
        match checked {
            Err(fault) => self.effects.push_back(Effect::OrderDone { ticket, result: Err(fault) }),
            Ok((consortium, person, consequence)) => {
                let actor = Actor::Person(person);
                let mut acts = vec![Act::Order(signed.clone())];
                acts.extend(consequence.acts);
                self.persist(consortium, &actor, acts);
                self.after(consortium, Effect::OrderDone { ticket, result: Ok(()) });
                self.then(consortium, consequence.then.as_ref());
            }
        }
    }

    pub(super) fn then(&mut self, consortium: ConsortiumId, then: Option<&Then>) {
        match then {
            None => {}
            Some(Then::Run(share)) => self.start_run(consortium, *share),
            // No byte after a revocation: cut at once, not only when its entry is durable.
            Some(Then::Cut(subscription)) => {
                self.cut(Under { consortium, subscription: *subscription }, ErrorCode::Revoked);
            }
            Some(Then::CutAll) => {
                let provided =
                    self.rooms.get(&consortium).into_iter().flat_map(|room| room.state.subscriptions.values());
                let provided: Vec<_> =
                    provided.filter(|found| found.side == Side::Provider).map(|found| found.id).collect();
                for subscription in provided {
                    self.cut(Under { consortium, subscription }, ErrorCode::Stopped);
                }
            }
            Some(Then::Sweep) => self.after(consortium, Effect::Sweep),
            Some(Then::MakeLinkageKey(epoch)) => self.make_linkage_key(consortium, *epoch),
            Some(Then::WrapLinkageKey(epoch)) => self.wrap_linkage_key(consortium, *epoch),
            Some(Then::Standings) => self.refresh_standings(consortium),
            Some(Then::Map(mapping, wishes)) => self.start_mapping(consortium, mapping, wishes),
            Some(Then::LoadVocabulary(folder)) => self.start_loading(consortium, folder),
            Some(Then::Consolidate) => self.start_consolidation(consortium),
            Some(Then::Publish(into)) => self.start_publishing(consortium, into),
            Some(Then::Pipelines) => self.pipelines_due(),
            Some(Then::Releases) => self.next_release(consortium),
            Some(Then::Decided(release)) => {
                if let Some(room) = self.rooms.get_mut(&consortium) {
                    room.desk.forget(*release);
                }
                self.after(consortium, Effect::Sweep);
            }
            // No byte after a recall: cut at once, as after a revocation.
            Some(Then::CutThese(subscriptions)) => {
                for subscription in subscriptions.clone() {
                    self.cut(Under { consortium, subscription }, ErrorCode::Revoked);
                }
            }
        }
    }

    /// Signature of an enrolled person, for this node, now, once, within the roles (spec ORDER-1 to ORDER-4).
    fn check_order(&self, signed: &Signed<Order>) -> Result<(ConsortiumId, Verified<Order>), OrderFault> {
        let now = self.cx().wall;
        let claimed = signed.claimed().map_err(|_| OrderFault::Document)?;
        let room = self.rooms.get(&claimed.consortium).ok_or(OrderFault::NotFound { what: "consortium" })?;
        let person = room.state.person(&claimed.person, now).ok_or(OrderFault::NotEnrolled)?;
        let order = signed.verify(&[person.key]).map_err(|_| OrderFault::NotEnrolled)?;
        let fresh = order.at.agrees(now, CLOCK_SKEW_MAX) && !room.state.orders.contains(&order.nonce);
        if order.party != room.state.party || !fresh {
            return Err(OrderFault::NotForNow);
        }
        let action = action_of(&order.command, takes_away(room, &order.command));
        if !permits(&person.roles, action) {
            return Err(OrderFault::RoleMissing { action: action.phrase() });
        }
        Ok((claimed.consortium, order))
    }

    fn may_export(
        &self,
        room: &Room,
        subscription: SubscriptionId,
        now: UnixMillis,
    ) -> Result<Consequence, OrderFault> {
        match self.export(room.state.consortium, subscription, now) {
            Ok(_) => Ok(only(vec![])),
            Err(ErrorCode::Stopped) => Err(OrderFault::Stopped),
            Err(ErrorCode::NotFound) => {
                Err(OrderFault::NotFound { what: "subscription of which this node is the provider" })
            }
            Err(_) => Err(OrderFault::OutOfOrder { why: "nothing may leave under this subscription now" }),
        }
    }

    fn consequence(&self, room: &Room, order: &Order) -> Result<Consequence, OrderFault> {
        let now = self.cx().wall;
        match &order.command {
            Command::EnrolPerson(person) => check_person(room, &order.person, person).map(|()| only(vec![])),
            Command::IssueJoinToken { secret, party, expires, .. } => {
                check_token(room, now, *secret, party, *expires).map(|()| only(vec![]))
            }
            Command::ProposeCharter(charter) => Self::propose_charter(room, charter),
            Command::SignCharter(digest) => Self::sign_charter(room, *digest),
            Command::ConfirmRoot { party, root } => Self::confirm_root(room, party, root),
            Command::MakeLinkageKey { epoch } => Self::check_key_maker(room, *epoch, super::linkage::Held::No)
                .map(|()| and_then(vec![], Then::MakeLinkageKey(*epoch))),
            Command::WrapLinkageKey { epoch } => Self::check_key_maker(room, *epoch, super::linkage::Held::Yes)
                .map(|()| and_then(vec![], Then::WrapLinkageKey(*epoch))),
            Command::DefineDataset(dataset) => Self::define_dataset(room, dataset),
            Command::DefineShare(share) => Self::define_share(room, now, share),
            Command::ApproveShare { share, terms, unchecked } => Self::approve_share(room, *share, *terms, *unchecked),
            Command::Invite { share, consumer, subscription, answer_by } => {
                Self::invite(room, now, *share, consumer, *subscription, *answer_by)
            }
            Command::AnswerInvitation { subscription, invitation, answer } => {
                Self::answer_invitation(room, now, *subscription, *invitation, *answer)
            }
            Command::SetStanding { subscription, state } => Self::set_standing(room, now, *subscription, *state),
            Command::ChangeSubscription { subscription, change, reason } => {
                Self::change_subscription(room, now, *subscription, change, reason.clone())
            }
            Command::TakeSnapshot { share } => Self::take_snapshot(room, now, *share),
            Command::DefineMapping(mapping) => Self::define_mapping(room, mapping),
            Command::RunMapping { mapping } => Self::run_mapping(room, mapping, MapWishes::default()),
            Command::RunMappingDespite { mapping, empty } => {
                let wishes = MapWishes { empty: empty.clone(), ..MapWishes::default() };
                Self::run_mapping(room, mapping, wishes)
            }
            Command::StateSchema { text } => Self::state_schema(room, text),
            Command::LoadVocabulary { folder } => Self::load_vocabulary(room, folder),
            Command::ReadMapped { mapping } => Self::read_mapped(room, mapping),
            Command::Consolidate => Self::consolidate(room),
            Command::UseTables { consolidation } => Self::use_tables(room, now, *consolidation),
            Command::ReadTables { consolidation } => Self::read_tables(room, now, *consolidation),
            Command::Publish { consolidation, into } => Self::publish(room, now, *consolidation, into),
            Command::CheckMapping { mapping } => {
                there(room.state.mappings.contains_key(mapping), "mapping", only(vec![]))
            }
            Command::CheckTables { member } => Self::check_tables(room, now, member),
            Command::CompareSites => Self::compare_sites(room, now),
            Command::Query { .. } => Self::query(room, now),
            Command::DefinePipeline(pipeline) => Self::define_pipeline(room, &order.person, pipeline),
            Command::ChangePipeline { pipeline, .. } => Self::change_pipeline(room, pipeline),
            Command::DefineProject(project) => Self::define_project(room, now, project),
            Command::ApproveProject { project } => Self::approve_project(room, now, *project),
            Command::RequestRelease { release, request } => Self::request_release(room, *release, *request),
            Command::SignRelease { release, statement } => Self::sign_release(room, now, *release, *statement),
            Command::RefuseRelease { release } => Self::refuse_release(room, *release),
            Command::WithdrawRelease { release, reason } => Self::withdraw_release(room, now, *release, reason),
            Command::Object { release, reason } => Self::object(room, now, *release, reason),
            Command::Cap { cap } => self.cap(room, *cap),
            Command::OptOut { dataset, .. } => opt_out(room, *dataset),
            Command::RollBack { subscription, snapshot } => Self::roll_back(room, *subscription, *snapshot),
            Command::Prune { subscription, keep } => Self::prune(room, *subscription, *keep),
            Command::Preview { share } => there(room.state.offers.contains_key(share), "share", only(vec![])),
            Command::ReadLanded { subscription } => Self::read_landed(room, now, *subscription),
            Command::Stop => Ok(and_then(vec![], Then::CutAll)),
            Command::Start | Command::Profile => Ok(only(vec![])),
            Command::Export { subscription } => self.may_export(room, *subscription, now),
            Command::Import { provider } => {
                let known = room.state.charters.kind_of(&room.state.party, provider).is_some();
                there(known, "party in the charter that binds this node", only(vec![]))
            }
        }
    }

    fn change_pipeline(room: &Room, pipeline: &Name) -> Result<Consequence, OrderFault> {
        let known = room.state.pipelines.contains_key(pipeline);
        there(known, "pipeline", and_then(vec![], Then::Pipelines))
    }

    fn roll_back(
        room: &Room,
        subscription: crate::ident::SubscriptionId,
        snapshot: crate::ident::SnapshotId,
    ) -> Result<Consequence, OrderFault> {
        let landed = consumed(room, subscription)?.version(snapshot).is_some();
        if landed { Ok(only(vec![])) } else { Err(OrderFault::NotFound { what: "landed version" }) }
    }

    fn read_landed(
        room: &Room,
        now: UnixMillis,
        subscription: crate::ident::SubscriptionId,
    ) -> Result<Consequence, OrderFault> {
        let found = consumed(room, subscription)?;
        let usable = found.current.is_some() && found.rows_usable(now);
        let why = "no landed version may be used: none has landed, or the share is over";
        if usable { Ok(only(vec![])) } else { Err(OrderFault::OutOfOrder { why }) }
    }

    /// Forgets all landed versions but the last `keep`; what they share with the ones that stay, stays.
    fn prune(room: &Room, subscription: crate::ident::SubscriptionId, keep: u32) -> Result<Consequence, OrderFault> {
        let found = consumed(room, subscription)?;
        let keep = usize::try_from(keep).unwrap_or(usize::MAX);
        if keep == 0 {
            return Err(OrderFault::OutOfOrder { why: "at least one version stays" });
        }
        let landed: Vec<_> = found.snapshots.iter().filter(|snapshot| snapshot.fate == Fate::Landed).collect();
        let Some(first) = landed.len().checked_sub(keep).and_then(|place| landed.get(place)) else {
            return Ok(only(vec![]));
        };
        // A version that stays begins at its full snapshot: nothing from there on may go. The one in use stays.
        let begins = |id| {
            let chain = found.version(id).map_or(1, |listings| listings.len());
            let place = found.snapshots.iter().position(|snapshot| snapshot.id == id).unwrap_or(0);
            place.saturating_add(1).saturating_sub(chain)
        };
        let start = found.current.map_or(usize::MAX, begins).min(begins(first.id));
        let gone = found.snapshots.iter().take(start).filter(|snapshot| snapshot.fate == Fate::Landed);
        let acts = gone.map(|snapshot| Act::Erased { subscription, snapshot: snapshot.id }).collect();
        Ok(and_then(acts, Then::Sweep))
    }
}

/// What follows if the thing is there.
fn there(known: bool, what: &'static str, then: Consequence) -> Result<Consequence, OrderFault> {
    if known { Ok(then) } else { Err(OrderFault::NotFound { what }) }
}

/// A subscription of which this node is the consumer.
pub(super) fn consumed(
    room: &Room,
    id: crate::ident::SubscriptionId,
) -> Result<&crate::state::subscription::Subscription, OrderFault> {
    let found = room.state.subscriptions.get(&id).filter(|found| found.side == Side::Consumer);
    found.ok_or(OrderFault::NotFound { what: "subscription of which this node is the consumer" })
}

fn takes_away(room: &Room, command: &Command) -> bool {
    let Command::ChangeSubscription { subscription, change, .. } = command else { return false };
    room.state.subscriptions.get(subscription).is_some_and(|found| shortens(change, found.expires))
}

/// Roles that see rows or let them leave: a site administrator cannot give them by itself.
const TRUSTED: [Role; 2] = [Role::DataSteward, Role::PrivacyOfficer];

/// A person record of this party (spec ROLE-4): signed by its root, or by the site administrator who gives the order;
/// where the person gains a role that sees rows or lets them leave, by the root or by another privacy officer.
///
/// The last site administrator cannot be taken away, so that a node does not lock itself.
fn check_person(room: &Room, orderer: &Name, signed: &Signed<Person>) -> Result<(), OrderFault> {
    let state = &room.state;
    let own_root = state.records.get(&state.party).map(|known| known.record.root);
    let claimed = signed.claimed().map_err(|_| OrderFault::Document)?;
    let vouches = |other: &&Person| {
        let officer = other.roles.contains(&Role::PrivacyOfficer);
        other.person != claimed.person && other.key != claimed.key && officer
    };
    let before = state.persons.get(&claimed.person);
    let gains = TRUSTED.iter().any(|role| {
        let had = before.is_some_and(|before| before.roles.contains(role) && before.key == claimed.key);
        claimed.roles.contains(role) && !had
    });
    let signers: Vec<_> = if gains {
        state.persons.values().filter(vouches).map(|person| person.key).collect()
    } else {
        state.persons.get(orderer).map(|person| person.key).into_iter().collect()
    };
    let keys: Vec<_> = own_root.into_iter().chain(signers).collect();
    let person = signed.verify(&keys).map_err(|_| OrderFault::OutOfOrder {
        why: "a steward or privacy officer is enrolled with the root key's or another privacy officer's signature",
    })?;
    if person.consortium != state.consortium || person.party != state.party {
        return Err(OrderFault::Document);
    }
    let is_admin = |person: &Person| person.roles.contains(&Role::SiteAdministrator);
    let others = state.persons.values().filter(|other| other.person != person.person && is_admin(other)).count();
    if others == 0 && !is_admin(&person) {
        return Err(OrderFault::OutOfOrder { why: "the last site administrator cannot be taken away" });
    }
    Ok(())
}

/// The operator's token for a name that nobody has, for a bounded time (spec JOIN-3).
fn check_token(
    room: &Room,
    now: UnixMillis,
    secret: DocumentDigest,
    party: &Name,
    expires: UnixMillis,
) -> Result<(), OrderFault> {
    if !room.state.is_operator() {
        return Err(OrderFault::OutOfOrder { why: "only the operator invites hospitals" });
    }
    let latest = now.plus(crate::limits::JOIN_TOKEN_VALIDITY_MAX);
    if expires <= now || expires > latest {
        return Err(OrderFault::OutOfOrder { why: "a token runs from now to 30 days at most" });
    }
    let chain = room.state.charters.chain();
    let taken = chain.iter().any(|version| version.charter.roster.contains_key(party));
    if taken || room.state.secrets.contains_key(&secret) {
        return Err(OrderFault::OutOfOrder { why: "a party has, or has had, this name" });
    }
    Ok(())
}
