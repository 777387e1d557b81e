//! What an operator asks of consolidated rows: the quality of one site, a comparison of all, a question in SQL.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::digest::DocumentDigest;
use crate::ident::{ConsortiumId, Name};
use crate::key::signed::Signed;
use crate::record::allowance::Allowance;
use crate::record::consolidation::{ConsolidatedPart, Consolidation};
use crate::record::extension::Extensions;
use crate::record::journal_entry::{Act, Actor};
use crate::record::site_notice::{SITES_COMPARED_MIN, SiteNotice, SiteNoticeFields};
use crate::state::subscription::Side;
use crate::state::tables::TableSet;
use crate::time::UnixMillis;

use super::io::{OrderFault, SiteDepartures, TOO_FEW_SITES};
use super::orders::{Consequence, only};
use super::table_orders::{all_usable, schema_text};
use super::{Endpoint, Room};

impl Endpoint {
    pub(super) fn check_tables(room: &Room, now: UnixMillis, member: &Name) -> Result<Consequence, OrderFault> {
        let set = usable_set(room, now)?;
        let stated = set.consolidation.tables.values().any(|table| table.parts.contains_key(member));
        if stated { Ok(only(vec![])) } else { Err(OrderFault::NotFound { what: "member in the tables in use" }) }
    }

    /// Members of the tables, not rows: whether it is refused says nothing of what is in them (spec QUAL-2).
    pub(super) fn compare_sites(room: &Room, now: UnixMillis) -> Result<Consequence, OrderFault> {
        if !room.state.is_operator() {
            return Err(OrderFault::OutOfOrder { why: "only the operator compares sites" });
        }
        let set = usable_set(room, now)?;
        let members: BTreeSet<&Name> = set.consolidation.tables.values().flat_map(|table| table.parts.keys()).collect();
        match u32::try_from(members.len()) {
            Ok(sites) if sites < SITES_COMPARED_MIN => Err(OrderFault::OutOfOrder { why: TOO_FEW_SITES }),
            Ok(_) | Err(_) => Ok(only(vec![])),
        }
    }

    pub(super) fn query(room: &Room, now: UnixMillis) -> Result<Consequence, OrderFault> {
        usable_set(room, now).map(|_| only(vec![]))
    }

    /// Tells each site that departs, and it alone, what was found about it.
    pub(super) fn compared(
        &mut self,
        consortium: ConsortiumId,
        consolidation: DocumentDigest,
        departures: SiteDepartures,
    ) {
        let now = self.cx().wall;
        let Some(room) = self.rooms.get(&consortium) else { return };
        let SiteDepartures { sites, found } = departures;
        let mut acts = vec![Act::Compared { consolidation }];
        for (member, departures) in found {
            let fields = SiteNoticeFields {
                consortium,
                operator: room.state.party.clone(),
                member,
                consolidation,
                sites,
                departures,
                at: now,
                ext: Extensions::default(),
            };
            // The driver keeps to the bounds; a notice that does not is told to nobody.
            if let Ok(notice) = SiteNotice::try_from(fields) {
                acts.push(Act::SiteNotice(Signed::sign(&notice, &room.keys.signing)));
            }
        }
        self.persist(consortium, &Actor::Node, acts);
    }

    /// The tables in use, if all their rows may be used now (law 11).
    pub fn usable_tables(&self, consortium: ConsortiumId, now: UnixMillis) -> Option<&TableSet> {
        self.rooms.get(&consortium).and_then(|room| usable_set(room, now).ok())
    }

    /// What a member's mapping states of its part of these tables, as the manifests of their newest snapshots say it.
    pub fn allowance(&self, consortium: ConsortiumId, set: &Consolidation, member: &Name) -> Allowance {
        let room = self.rooms.get(&consortium);
        let consumed = || room.into_iter().flat_map(|room| room.state.subscriptions.values());
        let stated = |part: &ConsolidatedPart| {
            let of = consumed().filter(|found| found.side == Side::Consumer && found.peer == *member);
            let mut snapshots = of.flat_map(|found| &found.snapshots);
            let head = snapshots.find(|snapshot| snapshot.id == part.snapshot)?;
            Allowance::of(&head.manifest.ext).ok()
        };
        // The tables of one member are of one mapping run: what one of them says, all do.
        let mut parts = set.tables.values().filter_map(|table| table.parts.get(member));
        parts.find_map(stated).unwrap_or_default()
    }

    /// The canonical form of the common schema of this digest, where it is a consortium's own and has arrived here.
    pub fn own_schema(&self, consortium: ConsortiumId, named: DocumentDigest) -> Option<Arc<str>> {
        self.rooms.get(&consortium).and_then(|room| schema_text(room, Some(named)))
    }
}

pub(super) fn usable_set(room: &Room, now: UnixMillis) -> Result<&TableSet, OrderFault> {
    let set = room.state.tables.current().ok_or(OrderFault::NotFound { what: "consolidated table" })?;
    if all_usable(room, now, set) {
        Ok(set)
    } else {
        Err(OrderFault::OutOfOrder {
            why: "rows in the tables in use were revoked since, or their share is over; consolidate again",
        })
    }
}
