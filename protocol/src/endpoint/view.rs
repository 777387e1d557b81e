//! What a driver may read of an endpoint: state for people, and the lists it needs to do its work.

use std::collections::{BTreeMap, BTreeSet};

use crate::code::ErrorCode;
use crate::ident::{ConsortiumId, DatasetId, Name, ShareId, SubscriptionId};
use crate::key::pair::PublicKey;
use crate::message::document::{Document, Numbered};
use crate::record::dataset::Dataset;
use crate::record::journal_entry::RunFault;
use crate::record::listing::BlobRef;
use crate::record::schedule::Schedule;
use crate::record::share::Share;
use crate::state::State;
use crate::state::share::Offer;
use crate::state::subscription::{Fate, Side};
use crate::state::tables::{Mapped, MappedSet};
use crate::time::UnixMillis;

use super::io::{LandedVersion, MapPlan};
use super::plan::MapWishes;
use super::share_orders::mapped_set;
use super::{Clocks, Endpoint};

/// What an offline export must hold.
#[derive(Debug, Clone)]
pub struct ExportPlan {
    /// Every document for that party, from the first one on; what it has already it passes over.
    pub documents: Vec<Numbered>,
    /// The listings of the snapshots in it.
    pub listings: Vec<BlobRef>,
}

impl Endpoint {
    /// The consortia this node takes part in.
    pub fn consortia(&self) -> impl Iterator<Item = ConsortiumId> {
        self.rooms.keys().copied()
    }

    /// The state in one of them.
    pub fn state(&self, consortium: ConsortiumId) -> Option<&State> {
        self.rooms.get(&consortium).map(|room| &room.state)
    }

    /// Parties whose connection stands.
    pub fn connected_parties(&self, consortium: ConsortiumId) -> BTreeSet<Name> {
        let up = self.conns.values().filter_map(|conn| conn.up.as_ref());
        up.filter(|up| up.consortium == consortium).map(|up| up.peer.clone()).collect()
    }

    /// What the clocks of connected parties and this node's showed at HELLO.
    pub fn clocks(&self, consortium: ConsortiumId) -> BTreeMap<Name, Clocks> {
        let up = self.conns.values().filter_map(|conn| conn.up.as_ref()).filter(|up| up.consortium == consortium);
        up.filter_map(|up| Some((up.peer.clone(), up.clocks?))).collect()
    }

    /// TLS keys that may open a connection of the main protocol: those of known node records of parties in any charter
    /// version, in force or proposed. HELLO decides the rest.
    pub fn admitted(&self) -> Vec<PublicKey> {
        let known = |room: &super::Room| {
            let state = &room.state;
            let parties = state.records.iter().filter(|(name, known)| {
                let root = state.charters.root_of(&state.party, name);
                **name != state.party && root.is_some_and(|(root, _)| root == known.record.root)
            });
            parties.map(|(_, known)| known.record.tls).collect::<Vec<_>>()
        };
        self.rooms.values().flat_map(known).collect()
    }

    /// Whether a connection of the join protocol may be opened: a token that was issued here can still be used.
    pub fn expects_joins(&self, now: UnixMillis) -> bool {
        self.rooms.values().any(|room| room.state.secrets.values().any(|secret| now < secret.expires))
    }

    /// The shares of this node that are taken by schedule. A change for one subscription counts for its share.
    pub fn schedules(&self, consortium: ConsortiumId) -> Vec<(ShareId, Schedule)> {
        let Some(room) = self.rooms.get(&consortium) else { return Vec::new() };
        let of_terms = room.state.offers.values().filter_map(|offer| {
            let share = offer.approved_now()?;
            Some((share.share, share.schedule.clone()))
        });
        let changed = room.state.subscriptions.values().filter(|found| found.side == Side::Provider);
        let changed = changed.map(|found| (found.invitation.share.share, found.schedule.clone()));
        let mut all: Vec<(ShareId, Schedule)> = of_terms.chain(changed).collect();
        all.retain(|(_, schedule)| *schedule != Schedule::MANUAL);
        all.sort_by_key(|(share, schedule)| (*share, format!("{schedule:?}")));
        all.dedup();
        all
    }

    /// Listings and row indexes whose blobs must stay; everything else in the store may go. The listings of snapshots
    /// that are on their way in are among them.
    pub fn live_blobs(&self, consortium: ConsortiumId) -> Vec<BlobRef> {
        let Some(room) = self.rooms.get(&consortium) else { return Vec::new() };
        let provided = room.state.offers.values().flat_map(Offer::live);
        let mut live: Vec<BlobRef> = provided.clone().map(|stated| stated.manifest.listing).collect();
        let last = room.state.offers.values().filter_map(|offer| offer.snapshots.last());
        live.extend(last.filter_map(|stated| stated.index));
        for found in room.state.subscriptions.values().filter(|found| found.side == Side::Consumer) {
            let wanted = found.snapshots.iter().filter(|snapshot| matches!(snapshot.fate, Fate::Stated | Fate::Landed));
            live.extend(wanted.map(|snapshot| snapshot.manifest.listing));
        }
        live.extend(room.state.mappings.values().filter_map(Mapped::last_set));
        live.extend(room.state.vocabularies.current().map(|loaded| loaded.index));
        live.extend(room.state.tables.sets().iter().map(|set| set.listing));
        live.extend(room.state.releases.live_blobs());
        live
    }

    /// The row and vocabulary indexes and the blobs of releases among [`Endpoint::live_blobs`], which are blobs of their own
    /// and not listings.
    pub fn live_indexes(&self, consortium: ConsortiumId) -> Vec<BlobRef> {
        let Some(room) = self.rooms.get(&consortium) else { return Vec::new() };
        let last = room.state.offers.values().filter_map(|offer| offer.snapshots.last());
        let vocabulary = room.state.vocabularies.current().map(|loaded| loaded.index);
        last.filter_map(|stated| stated.index).chain(vocabulary).chain(room.state.releases.live_blobs()).collect()
    }

    /// Whether a run or landing is under way, so that a sweep must wait.
    pub fn is_moving(&self) -> bool {
        self.rooms.values().any(|room| {
            !room.running.is_empty()
                || !room.mapping.is_empty()
                || room.consolidating
                || room.publishing
                || room.loading
                || room.desk.is_busy()
                || !room.landings.is_empty()
        })
    }

    /// Whether a vocabulary is being loaded.
    pub fn is_loading(&self, consortium: ConsortiumId) -> bool {
        self.rooms.get(&consortium).is_some_and(|room| room.loading)
    }

    /// Whether a consolidation runs.
    pub fn is_consolidating(&self, consortium: ConsortiumId) -> bool {
        self.rooms.get(&consortium).is_some_and(|room| room.consolidating)
    }

    /// Why the last consolidation since the start made nothing; `None` after one that did, or found nothing new.
    pub fn consolidation_fault(&self, consortium: ConsortiumId) -> Option<RunFault> {
        self.rooms.get(&consortium).and_then(|room| room.tables_fault)
    }

    /// Whether a publication runs.
    pub fn is_publishing(&self, consortium: ConsortiumId) -> bool {
        self.rooms.get(&consortium).is_some_and(|room| room.publishing)
    }

    /// Everything that a run of this mapping would need now.
    pub fn map_plan(&self, consortium: ConsortiumId, mapping: &Name) -> Option<MapPlan> {
        super::table_orders::map_plan(self.rooms.get(&consortium)?, mapping, &MapWishes::default())
    }

    /// The terms and dataset of a share, for a preview.
    pub fn preview(&self, consortium: ConsortiumId, share: ShareId) -> Option<(&Dataset, &Share)> {
        let state = self.state(consortium)?;
        let share = &state.offers.get(&share)?.share;
        Some((state.datasets.get(&share.dataset)?, share))
    }

    /// The set that a mapped table's next snapshot would be taken from; `None` for every other share.
    ///
    /// # Errors
    /// [`RunFault::SetStale`]: none would be taken from what there is.
    pub fn set_of(&self, consortium: ConsortiumId, share: ShareId) -> Result<Option<MappedSet>, RunFault> {
        let Some(room) = self.rooms.get(&consortium) else { return Ok(None) };
        let Some((dataset, terms)) = self.preview(consortium, share) else { return Ok(None) };
        mapped_set(room, dataset, terms)
    }

    /// The opt-out entries of a dataset.
    pub fn opted_out(&self, consortium: ConsortiumId, dataset: DatasetId) -> Vec<crate::record::order::OptOutEntry> {
        let entries = self.state(consortium).and_then(|state| state.opted_out.get(&dataset));
        entries.into_iter().flatten().copied().collect()
    }

    /// The landed version in use.
    pub fn landed(&self, consortium: ConsortiumId, subscription: SubscriptionId) -> Option<LandedVersion> {
        let found = self.state(consortium)?.subscriptions.get(&subscription)?;
        let snapshot = found.current?;
        Some(LandedVersion { subscription, snapshot, listings: found.version(snapshot)? })
    }

    /// What an export for a subscription's consumer holds, under exactly the rules of serving.
    ///
    /// # Errors
    /// The code that the consumer would be refused with over the network.
    pub fn export(
        &self,
        consortium: ConsortiumId,
        subscription: SubscriptionId,
        now: UnixMillis,
    ) -> Result<ExportPlan, ErrorCode> {
        let state = self.state(consortium).ok_or(ErrorCode::ConsortiumUnknown)?;
        let found = state.subscriptions.get(&subscription).filter(|found| found.side == Side::Provider);
        let found = found.ok_or(ErrorCode::NotFound)?;
        if state.stopped {
            return Err(ErrorCode::Stopped);
        }
        found.may_flow(now)?;
        if state.charters.kind_of(&state.party, &found.peer).is_none() {
            return Err(ErrorCode::CharterNotInForce);
        }
        let offer = state.offers.get(&found.invitation.share.share).ok_or(ErrorCode::NotFound)?;
        let stated = found.snapshots.iter().filter(|snapshot| {
            let live = offer.live().iter().any(|live| live.id == snapshot.id);
            live && snapshot.fate == Fate::Stated && found.terms == Some(snapshot.manifest.terms)
        });
        let listings = stated.map(|snapshot| snapshot.manifest.listing).collect();
        let mail = state.mail.get(&found.peer).ok_or(ErrorCode::NotFound)?;
        let documents: Vec<Document> = (0..mail.len()).filter_map(|n| mail.get(n)).map(|d| (**d).clone()).collect();
        let documents = (0_u64..).zip(documents).map(|(index, document)| Numbered { index, document }).collect();
        Ok(ExportPlan { documents, listings })
    }
}
