//! Orders about mappings and consolidated tables, and the runs that make them.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::DocumentDigest;
use crate::ident::{ConsortiumId, Name, ShareId, Text};
use crate::key::signed::Signed;
use crate::record::consolidation::{ConsolidatedTable, Consolidation, ConsolidationFields};
use crate::record::extension::Extensions;
use crate::record::journal_entry::{Act, Actor, RunFault, StepFault};
use crate::record::listing::BlobRef;
use crate::record::mapping::{Mapping, Origin};
use crate::state::subscription::{Side, Subscription};
use crate::state::tables::TableSet;
use crate::time::UnixMillis;

use super::io::{
    ConsolidatedSet, ConsolidationPlan, Effect, Gates, LandedTable, LandedVersion, MapEnd, MapPlan, Notice, OrderFault,
    Ticket,
};
use super::orders::{Consequence, Then, and_then, only};
use super::plan::Awaited;
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
        Ok(only(vec![]))
    }

    /// `thresholds`: what its gates bear beside the list's own.
    pub(super) fn run_mapping(
        room: &Room,
        mapping: &Name,
        thresholds: &BTreeMap<Text, u16>,
    ) -> Result<Consequence, OrderFault> {
        if !room.state.mappings.contains_key(mapping) {
            return Err(OrderFault::NotFound { what: "mapping" });
        }
        if room.mapping.contains(mapping) {
            return Err(OrderFault::OutOfOrder { why: "this mapping is running" });
        }
        Ok(and_then(vec![], Then::Map(mapping.clone(), thresholds.clone())))
    }

    pub(super) fn read_mapped(room: &Room, mapping: &Name) -> Result<Consequence, OrderFault> {
        match room.state.mappings.get(mapping).and_then(|known| known.set.as_ref()) {
            Some(_) => Ok(only(vec![])),
            None => Err(OrderFault::NotFound { what: "mapping that has run" }),
        }
    }

    pub(super) fn start_mapping(&mut self, consortium: ConsortiumId, name: &Name, thresholds: &BTreeMap<Text, u16>) {
        let Some(room) = self.rooms.get_mut(&consortium) else { return };
        let Some(plan) = map_plan(room, name) else { return };
        let plan = MapPlan { thresholds: thresholds.clone(), ..plan };
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
        let now = map_plan(room, &name).map(|now| MapPlan { thresholds: plan.thresholds.clone(), ..now });
        let stands = now.as_ref() == Some(&*plan);
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

    pub(super) fn consolidate(room: &Room) -> Result<Consequence, OrderFault> {
        if room.consolidating {
            return Err(OrderFault::OutOfOrder { why: "a consolidation is running" });
        }
        Ok(and_then(vec![], Then::Consolidate))
    }

    /// Rows that may not be used any more are used in no earlier version either (law 11).
    pub(super) fn use_tables(room: &Room, now: UnixMillis, set: DocumentDigest) -> Result<Consequence, OrderFault> {
        let kept = room.state.tables.sets().iter().find(|kept| kept.digest == set);
        let kept = kept.ok_or(OrderFault::NotFound { what: "kept set of table versions" })?;
        if !all_usable(room, now, kept) {
            return Err(OrderFault::OutOfOrder { why: "rows in it were revoked since, or their share is over" });
        }
        Ok(only(vec![]))
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
        let usable = consolidation_plan(room, now).tables;
        let still =
            |table: &LandedTable| usable.iter().any(|now| now.version.subscription == table.version.subscription);
        let end = if plan.tables.iter().all(still) { end } else { end.and(Err(RunFault::Changed)) };
        let (act, notice) = match end.and_then(|set| state_tables(room, now, *set)) {
            Ok(None) => {
                self.after(consortium, Effect::Notify(Notice::ConsolidatedAlready));
                return self.step_ended(consortium, &Awaited::Consolidation, Ok(()));
            }
            Ok(Some((consolidation, set))) => {
                let digest = consolidation.digest();
                (Act::Consolidated { consolidation, set }, Notice::Consolidated(digest))
            }
            Err(fault) => (Act::ConsolidationFailed { fault }, Notice::ConsolidationFailed(fault)),
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
    let usable: BTreeSet<ShareId> = consolidation_plan(room, now).tables.into_iter().map(|table| table.share).collect();
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
    if current.is_some_and(|current| current.consolidation.tables == tables) {
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
        software: concat!("cohortium ", env!("CARGO_PKG_VERSION")).parse().map_err(|_| RunFault::WorkerLost)?,
        at: now,
        ext: Extensions::default(),
    };
    let consolidation = Consolidation::try_from(fields).map_err(|_| RunFault::Limit)?;
    Ok(Some((Signed::sign(&consolidation, &room.keys.signing), made.listing)))
}

pub(super) fn map_plan(room: &Room, name: &Name) -> Option<MapPlan> {
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
        thresholds: BTreeMap::new(),
    })
}

/// What a consolidation may use now: landed mapped tables whose rows may be used (law 11), by member and table. Where a
/// member shares one table twice, the newer share counts.
fn consolidation_plan(room: &Room, now: UnixMillis) -> ConsolidationPlan {
    let mut tables: BTreeMap<(Name, Name), LandedTable> = BTreeMap::new();
    let consumed = room.state.subscriptions.values().filter(|found| found.side == Side::Consumer);
    for found in consumed.filter(|found| found.rows_usable(now)) {
        let Some(table) = landed_table(found) else { continue };
        let key = (table.member.clone(), table.origin.table.clone());
        let newer = tables.get(&key).is_none_or(|known| known.version.subscription < table.version.subscription);
        if newer {
            tables.insert(key, table);
        }
    }
    ConsolidationPlan {
        consortium: room.state.consortium,
        tables: tables.into_values().collect(),
        previous: room.state.tables.current().map(|set| {
            let tables = set.consolidation.tables.iter();
            tables.map(|(name, table)| (name.clone(), table.parts.clone())).collect()
        }),
    }
}

fn landed_table(found: &Subscription) -> Option<LandedTable> {
    let current = found.current?;
    let listings = found.version(current)?;
    let end = found.snapshots.iter().position(|snapshot| snapshot.id == current)?;
    let chain = found.snapshots.get(..=end)?;
    let start = chain.len().checked_sub(listings.len())?;
    let chain = chain.get(start..)?;
    let origin = Origin::of(&chain.last()?.manifest.ext).ok().flatten()?;
    Some(LandedTable {
        member: found.peer.clone(),
        share: found.invitation.share.share,
        version: LandedVersion { subscription: found.id, snapshot: current, listings },
        chain: chain.iter().map(|snapshot| snapshot.id).collect(),
        origin,
    })
}
