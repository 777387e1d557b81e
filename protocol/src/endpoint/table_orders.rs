//! Orders about mappings and consolidated tables, and the runs that make them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::digest::DocumentDigest;
use crate::ident::{ConsortiumId, Name, ShareId, Text};
use crate::key::signed::Signed;
use crate::record::allowance::Allowance;
use crate::record::common_schema::{CommonSchema, CommonSchemaFields};
use crate::record::consolidation::{ConsolidatedTable, Consolidation, ConsolidationFields};
use crate::record::extension::Extensions;
use crate::record::journal_entry::{Act, Actor, RunFault, StepFault};
use crate::record::listing::BlobRef;
use crate::record::manifest::ContentLabel;
use crate::record::mapping::{Mapping, Origin};
use crate::record::publish_place::PublishPlace;
use crate::record::vocabulary::{LoadedVocabulary, Vocabulary};
use crate::state::subscription::{Side, Subscription};
use crate::state::tables::{Mapped, TableSet};
use crate::time::UnixMillis;

use super::io::{
    ConsolidatedSet, ConsolidationPlan, Effect, Gates, LandedTable, LandedVersion, MapEnd, MapPlan, Notice, OrderFault,
    Parts, PublishPlan, Ticket,
};
use super::orders::{Consequence, Then, and_then, only};
use super::plan::{Awaited, MapWishes};
use super::share_orders::{held_epoch, opted_out};
use super::{Endpoint, Room, Waiting};

impl Endpoint {
    /// A mapping of this party's own datasets, in the next version (spec MAP-2).
    pub(super) fn define_mapping(room: &Room, mapping: &Mapping) -> Result<Consequence, OrderFault> {
        let state = &room.state;
        if mapping.consortium != state.consortium || mapping.party != state.party {
            return Err(OrderFault::NotForNow);
        }
        if mapping.sources.values().any(|dataset| !state.datasets.contains_key(dataset)) {
            return Err(OrderFault::NotFound { what: "dataset" });
        }
        let charter = state.charters.binding(&state.party).ok_or(OrderFault::CharterNotInForce)?;
        if charter.charter.schema.is_some_and(|schema| schema != mapping.schema) {
            return Err(OrderFault::OutOfOrder { why: "the charter names another common schema" });
        }
        let version = state.mappings.get(&mapping.name).map_or(0, |known| known.mapping.version);
        if version.checked_add(1) != Some(mapping.version) {
            return Err(OrderFault::OutOfOrder { why: "the mapping's version is not the next one" });
        }
        let allowance = Allowance::of(&mapping.ext).map_err(|_| OrderFault::Document)?;
        if !allowance.left_out.is_disjoint(&mapping.tables) {
            return Err(OrderFault::Document);
        }
        Ok(only(vec![]))
    }

    pub(super) fn run_mapping(room: &Room, mapping: &Name, wishes: MapWishes) -> Result<Consequence, OrderFault> {
        let Some(known) = room.state.mappings.get(mapping) else {
            return Err(OrderFault::NotFound { what: "mapping" });
        };
        if !wishes.empty.is_subset(&known.mapping.tables) {
            return Err(OrderFault::NotFound { what: "table of this mapping" });
        }
        if named_schema(room).is_some_and(|named| named != known.mapping.schema) {
            return Err(OrderFault::OutOfOrder { why: "the charter names another common schema" });
        }
        if room.mapping.contains(mapping) {
            return Err(OrderFault::OutOfOrder { why: "this mapping is running" });
        }
        Ok(and_then(vec![], Then::Map(mapping.clone(), wishes)))
    }

    pub(super) fn read_mapped(room: &Room, mapping: &Name) -> Result<Consequence, OrderFault> {
        let ran = |known: &Mapped| known.set.is_some() || known.fault.is_some();
        match room.state.mappings.get(mapping).filter(|known| ran(known)) {
            Some(_) => Ok(only(vec![])),
            None => Err(OrderFault::NotFound { what: "mapping that has run" }),
        }
    }

    pub(super) fn start_mapping(&mut self, consortium: ConsortiumId, name: &Name, wishes: &MapWishes) {
        let Some(room) = self.rooms.get_mut(&consortium) else { return };
        let Some(plan) = map_plan(room, name, wishes) else { return };
        room.mapping.insert(name.clone());
        let plan = Box::new(plan);
        let ticket = self.ticket(Waiting::Map(plan.clone()));
        self.after(consortium, Effect::Map { ticket, plan });
    }

    pub(super) fn mapped(&mut self, ticket: Ticket, end: Result<MapEnd, RunFault>) {
        let Some(Waiting::Map(plan)) = self.waiting.remove(&ticket) else { return };
        let (consortium, name) = (plan.consortium, plan.mapping.name.clone());
        let Some(room) = self.rooms.get_mut(&consortium) else { return };
        room.mapping.remove(&name);
        // Whatever changed meanwhile (a patient who opted out, another version) makes this run void.
        let wishes = MapWishes { empty: plan.empty.clone(), thresholds: plan.thresholds.clone() };
        let stands = map_plan(room, &name, &wishes).as_ref() == Some(&*plan);
        let end = if stands { end } else { end.and(Err(RunFault::Changed)) };
        let step = match &end {
            Ok(MapEnd { gates: Gates::Held, .. }) => Ok(()),
            Ok(MapEnd { gates: Gates::Failed, .. }) => Err(StepFault::Gates),
            Err(fault) => Err(StepFault::Run(*fault)),
        };
        let awaited = Awaited::Mapping(name.clone());
        let (act, notice) = match end {
            Ok(MapEnd { set, linkage, .. }) => {
                (Act::Mapped { mapping: plan.digest, set, linkage }, Notice::Mapped(name))
            }
            Err(fault) => (Act::MappingFailed { mapping: plan.digest, fault }, Notice::MappingFailed(name, fault)),
        };
        self.persist(consortium, &Actor::Node, vec![act]);
        self.after(consortium, Effect::Notify(notice));
        self.after(consortium, Effect::Sweep);
        self.step_ended(consortium, &awaited, step);
    }

    /// The operator's statement of a schema that one of its charter versions names (spec MAP-12).
    pub(super) fn state_schema(room: &Room, text: &str) -> Result<Consequence, OrderFault> {
        let state = &room.state;
        if !state.is_operator() {
            return Err(OrderFault::OutOfOrder { why: "only the operator states the common schema" });
        }
        let fields =
            CommonSchemaFields { consortium: state.consortium, text: text.to_owned(), ext: Extensions::default() };
        let schema = CommonSchema::try_from(fields).map_err(|_| OrderFault::Document)?;
        if !state.charters.names_schema(schema.named()) {
            return Err(OrderFault::OutOfOrder { why: "no charter version names this common schema" });
        }
        if state.schemas.contains_key(&schema.named()) {
            return Ok(only(vec![]));
        }
        Ok(only(vec![Act::CommonSchema(Signed::sign(&schema, &room.keys.signing))]))
    }

    /// A vocabulary from the steward's own download, one at a time.
    pub(super) fn load_vocabulary(room: &Room, folder: &Text) -> Result<Consequence, OrderFault> {
        if room.loading {
            return Err(OrderFault::OutOfOrder { why: "a vocabulary is being loaded" });
        }
        Ok(and_then(vec![], Then::LoadVocabulary(folder.clone())))
    }

    pub(super) fn start_loading(&mut self, consortium: ConsortiumId, folder: &Text) {
        let Some(room) = self.rooms.get_mut(&consortium) else { return };
        room.loading = true;
        let ticket = self.ticket(Waiting::LoadVocabulary(consortium));
        self.after(consortium, Effect::LoadVocabulary { ticket, folder: folder.clone() });
    }

    pub(super) fn vocabulary_loaded(&mut self, ticket: Ticket, end: Result<LoadedVocabulary, RunFault>) {
        let Some(Waiting::LoadVocabulary(consortium)) = self.waiting.remove(&ticket) else { return };
        let Some(room) = self.rooms.get_mut(&consortium) else { return };
        room.loading = false;
        let (act, notice) = match end {
            Ok(loaded) => {
                let notice = Notice::VocabularyLoaded(loaded.vocabulary.digest);
                (Act::VocabularyLoaded(loaded), notice)
            }
            Err(fault) => (Act::VocabularyFailed { fault }, Notice::VocabularyFailed(fault)),
        };
        self.persist(consortium, &Actor::Node, vec![act]);
        self.after(consortium, Effect::Notify(notice));
        self.after(consortium, Effect::Sweep);
    }

    pub(super) fn consolidate(room: &Room) -> Result<Consequence, OrderFault> {
        if room.consolidating {
            return Err(OrderFault::OutOfOrder { why: "a consolidation is running" });
        }
        Ok(and_then(vec![], Then::Consolidate))
    }

    /// Rows that may not be used any more are used in no earlier version either (law 11).
    pub(super) fn use_tables(room: &Room, now: UnixMillis, set: DocumentDigest) -> Result<Consequence, OrderFault> {
        Self::tables_usable(room, now, set).map(|()| only(vec![]))
    }

    /// Whoever may see rows writes the tables in use to files.
    pub(super) fn read_tables(
        room: &Room,
        now: UnixMillis,
        consolidation: DocumentDigest,
    ) -> Result<Consequence, OrderFault> {
        Self::tables_in_use(room, now, consolidation).map(|()| only(vec![]))
    }

    /// The set is the one in use, and its rows may be used.
    pub(super) fn tables_in_use(room: &Room, now: UnixMillis, set: DocumentDigest) -> Result<(), OrderFault> {
        if room.state.tables.current().is_none_or(|current| current.digest != set) {
            return Err(OrderFault::NotFound { what: "set of table versions in use by this digest" });
        }
        Self::tables_usable(room, now, set)
    }

    fn tables_usable(room: &Room, now: UnixMillis, set: DocumentDigest) -> Result<(), OrderFault> {
        let kept = room.state.tables.sets().iter().find(|kept| kept.digest == set);
        let kept = kept.ok_or(OrderFault::NotFound { what: "kept set of table versions" })?;
        if !all_usable(room, now, kept) {
            return Err(OrderFault::OutOfOrder { why: "rows in it were revoked since, or their share is over" });
        }
        Ok(())
    }

    pub(super) fn publish(
        room: &Room,
        now: UnixMillis,
        set: DocumentDigest,
        into: &PublishPlace,
    ) -> Result<Consequence, OrderFault> {
        if room.state.stopped {
            return Err(OrderFault::Stopped);
        }
        if room.publishing {
            return Err(OrderFault::OutOfOrder { why: "a publication is running" });
        }
        Self::tables_in_use(room, now, set)?;
        Ok(and_then(vec![], Then::Publish(Box::new(into.clone()))))
    }

    pub(super) fn start_publishing(&mut self, consortium: ConsortiumId, into: &PublishPlace) {
        let Some(room) = self.rooms.get_mut(&consortium) else { return };
        let Some(set) = room.state.tables.current().cloned() else { return };
        room.publishing = true;
        let schema = schema_text(room, Some(set.consolidation.schema));
        let plan = Box::new(PublishPlan { consortium, set, schema, into: into.clone() });
        let ticket = self.ticket(Waiting::Publish(plan.clone()));
        self.after(consortium, Effect::Publish { ticket, plan });
    }

    /// What is in the database is there, whatever was ordered meanwhile: the entry says so.
    pub(super) fn published(&mut self, ticket: Ticket, end: Result<(), RunFault>) {
        let Some(Waiting::Publish(plan)) = self.waiting.remove(&ticket) else { return };
        let (consortium, consolidation) = (plan.consortium, plan.set.digest);
        let Some(room) = self.rooms.get_mut(&consortium) else { return };
        room.publishing = false;
        let (act, notice) = match end {
            Ok(()) => (Act::Published { consolidation }, Notice::Published(consolidation)),
            Err(fault) => (Act::PublishFailed { consolidation, fault }, Notice::PublishFailed(consolidation, fault)),
        };
        self.persist(consortium, &Actor::Node, vec![act]);
        self.after(consortium, Effect::Notify(notice));
        self.step_ended(consortium, &Awaited::Publication, end.map_err(StepFault::Run));
    }

    pub(super) fn start_consolidation(&mut self, consortium: ConsortiumId) {
        let now = self.cx().wall;
        let Some(room) = self.rooms.get_mut(&consortium) else { return };
        room.consolidating = true;
        let plan = Box::new(consolidation_plan(room, now));
        let ticket = self.ticket(Waiting::Consolidate(plan.clone()));
        self.after(consortium, Effect::Consolidate { ticket, plan });
    }

    pub(super) fn consolidated(&mut self, ticket: Ticket, end: Result<Box<ConsolidatedSet>, RunFault>) {
        let Some(Waiting::Consolidate(plan)) = self.waiting.remove(&ticket) else { return };
        let consortium = plan.consortium;
        let now = self.cx().wall;
        let Some(room) = self.rooms.get_mut(&consortium) else { return };
        room.consolidating = false;
        // Rows that were revoked meanwhile are in no later version (law 11); new ones wait for the next run.
        let again = consolidation_plan(room, now);
        let (usable, same_schema) = (again.tables, again.schema == plan.schema);
        let still =
            |table: &LandedTable| usable.iter().any(|now| now.version.subscription == table.version.subscription);
        let usable_now = usable_shares(room, now);
        let kept = |set: &ConsolidatedSet| {
            set.tables.values().flat_map(BTreeMap::values).all(|part| usable_now.contains(&part.share))
        };
        let stands = same_schema && plan.tables.iter().all(still) && end.as_ref().map_or(true, |set| kept(set));
        let end = if stands { end } else { end.and(Err(RunFault::Changed)) };
        room.tables_fault = None;
        let (act, notice) = match end.and_then(|set| state_tables(room, now, *set)) {
            Ok(None) => {
                self.after(consortium, Effect::Notify(Notice::ConsolidatedAlready));
                self.after(consortium, Effect::Sweep);
                return self.step_ended(consortium, &Awaited::Consolidation, Ok(()));
            }
            Ok(Some((consolidation, set))) => {
                let digest = consolidation.digest();
                (Act::Consolidated { consolidation, set }, Notice::Consolidated(digest))
            }
            Err(fault) => {
                room.tables_fault = Some(fault);
                (Act::ConsolidationFailed { fault }, Notice::ConsolidationFailed(fault))
            }
        };
        let step = if let Act::ConsolidationFailed { fault } = &act { Err(StepFault::Run(*fault)) } else { Ok(()) };
        self.persist(consortium, &Actor::Node, vec![act]);
        self.after(consortium, Effect::Notify(notice));
        self.after(consortium, Effect::Sweep);
        self.step_ended(consortium, &Awaited::Consolidation, step);
    }
}

/// Whether all rows of a set may be used now (law 11).
pub(super) fn all_usable(room: &Room, now: UnixMillis, set: &TableSet) -> bool {
    let usable = usable_shares(room, now);
    let mut parts = set.consolidation.tables.values().flat_map(|table| table.parts.values());
    parts.all(|part| usable.contains(&part.share))
}

/// The signed statement of a set; `None` where it says what the one in use says.
fn state_tables(
    room: &Room,
    now: UnixMillis,
    made: ConsolidatedSet,
) -> Result<Option<(Signed<Consolidation>, BlobRef)>, RunFault> {
    let tables = made.tables.into_iter().map(|(name, parts)| {
        let table = ConsolidatedTable::new(&name, &made.schema, parts);
        (name, table)
    });
    let tables: BTreeMap<Name, ConsolidatedTable> = tables.collect();
    let current = room.state.tables.current();
    let same = |current: &Consolidation| current.tables == tables && current.left_out == made.left_out;
    if current.is_some_and(|current| same(&current.consolidation)) {
        return Ok(None);
    }
    let last = room.state.tables.last();
    let fields = ConsolidationFields {
        consortium: room.state.consortium,
        operator: room.state.party.clone(),
        sequence: last.map_or(0, |(sequence, _)| sequence).saturating_add(1),
        previous: last.map(|(_, digest)| digest),
        schema: made.schema,
        tables,
        left_out: made.left_out,
        software: concat!("cohortium ", env!("CARGO_PKG_VERSION")).parse().map_err(|_| RunFault::WorkerLost)?,
        at: now,
        ext: Extensions::default(),
    };
    let consolidation = Consolidation::try_from(fields).map_err(|_| RunFault::Limit)?;
    Ok(Some((Signed::sign(&consolidation, &room.keys.signing), made.listing)))
}

pub(super) fn map_plan(room: &Room, name: &Name, wishes: &MapWishes) -> Option<MapPlan> {
    let known = room.state.mappings.get(name)?;
    let mut sources = BTreeMap::new();
    for (source, dataset) in &known.mapping.sources {
        let dataset = room.state.datasets.get(dataset)?;
        sources.insert(source.clone(), (dataset.clone(), opted_out(room, dataset)));
    }
    Some(MapPlan {
        consortium: room.state.consortium,
        mapping: known.mapping.clone(),
        digest: known.digest,
        sources,
        epoch: held_epoch(room),
        thresholds: wishes.thresholds.clone(),
        vocabulary: room.state.vocabularies.current().cloned(),
        before: known.last_set(),
        empty: wishes.empty.clone(),
        schema: schema_text(room, Some(known.mapping.schema)),
    })
}

/// The schema that the charter names which binds this node.
pub(super) fn named_schema(room: &Room) -> Option<DocumentDigest> {
    room.state.charters.binding(&room.state.party).and_then(|version| version.charter.schema)
}

pub(super) fn schema_text(room: &Room, named: Option<DocumentDigest>) -> Option<Arc<str>> {
    named.and_then(|named| room.state.schemas.get(&named)).map(|stated| Arc::clone(&stated.text))
}

/// Shares of which landed rows may be used (law 11).
pub(super) fn usable_shares(room: &Room, now: UnixMillis) -> BTreeSet<ShareId> {
    let consumed = room.state.subscriptions.values().filter(|found| found.side == Side::Consumer);
    consumed.filter(|found| found.rows_usable(now)).map(|found| found.invitation.share.share).collect()
}

/// What a consolidation may use now: landed mapped tables whose rows may be used (law 11), by member and table. Where a
/// member shares one table twice, the share that was offered later counts.
///
/// Tables of one member are taken in together or not at all: those of two mapping runs do not refer to one another.
fn consolidation_plan(room: &Room, now: UnixMillis) -> ConsolidationPlan {
    let mut members: BTreeMap<Name, BTreeMap<Name, (UnixMillis, LandedTable)>> = BTreeMap::new();
    let consumed = room.state.subscriptions.values().filter(|found| found.side == Side::Consumer);
    for found in consumed.filter(|found| found.rows_usable(now)) {
        let Some(table) = landed_table(found) else { continue };
        let tables = members.entry(table.member.clone()).or_default();
        let offered = found.invitation.at;
        let later = tables.get(&table.origin.table).is_none_or(|(known, _)| *known < offered);
        if later {
            tables.insert(table.origin.table.clone(), (offered, table));
        }
    }
    let of_two_runs = |tables: &BTreeMap<Name, (UnixMillis, LandedTable)>| {
        let sets: BTreeSet<_> = tables.values().map(|(_, table)| table.origin.set).collect();
        sets.len() > 1
    };
    let left_out: BTreeMap<Name, RunFault> = members
        .iter()
        .filter(|(_, tables)| of_two_runs(tables))
        .map(|(member, _)| (member.clone(), RunFault::SetStale))
        .collect();
    members.retain(|member, _| !left_out.contains_key(member));
    ConsolidationPlan {
        consortium: room.state.consortium,
        tables: members.into_values().flat_map(BTreeMap::into_values).map(|(_, table)| table).collect(),
        schema: schema_text(room, named_schema(room)),
        previous: room
            .state
            .tables
            .current()
            .filter(|set| is_in_schema(room, &set.consolidation))
            .map(|set| usable_parts(&set.consolidation, &usable_shares(room, now)))
            .unwrap_or_default(),
        left_out,
    }
}

/// Whether a set is in the schema in use. Parts of another are not taken over: their rows have other columns (CONS-24).
fn is_in_schema(room: &Room, set: &Consolidation) -> bool {
    let own = || room.state.schemas.contains_key(&set.schema);
    named_schema(room).map_or_else(|| !own(), |named| named == set.schema)
}

/// The parts of a set whose rows may still be used.
fn usable_parts(set: &Consolidation, usable: &BTreeSet<ShareId>) -> Parts {
    let tables = set.tables.iter().map(|(name, table)| {
        let parts = table.parts.iter().filter(|(_, part)| usable.contains(&part.share));
        (name.clone(), parts.map(|(member, part)| (member.clone(), part.clone())).collect())
    });
    tables.collect()
}

fn landed_table(found: &Subscription) -> Option<LandedTable> {
    let current = found.current?;
    let listings = found.version(current)?;
    let end = found.snapshots.iter().position(|snapshot| snapshot.id == current)?;
    let chain = found.snapshots.get(..=end)?;
    let start = chain.len().checked_sub(listings.len())?;
    let chain = chain.get(start..)?;
    let head = &chain.last()?.manifest;
    // Files that nobody looked into are never an input (law 1), nor is a release, whatever their manifest says of them.
    let is_input = !matches!(head.label, ContentLabel::Unchecked | ContentLabel::Release);
    let origin = Origin::of(&head.ext).ok().flatten().filter(|_| is_input)?;
    let vocabulary = Vocabulary::of(&head.ext).ok()?;
    Some(LandedTable {
        member: found.peer.clone(),
        share: found.invitation.share.share,
        version: LandedVersion { subscription: found.id, snapshot: current, listings },
        chain: chain.iter().map(|snapshot| snapshot.id).collect(),
        origin,
        vocabulary,
    })
}
