//! What long work needs: a run over a source, a mapping run, a consolidation; and what the last one made.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::digest::DocumentDigest;
use crate::ident::{ColumnName, ConsortiumId, Name, ReleaseId, ShareId, SnapshotId, SubscriptionId, Text};
use crate::record::charter::AccountTerms;
use crate::record::consolidation::ConsolidatedPart;
use crate::record::dataset::Dataset;
use crate::record::journal_entry::RunFault;
use crate::record::listing::BlobRef;
use crate::record::manifest::LinkageStatement;
use crate::record::mapping::{Mapping, Origin};
use crate::record::order::OptOutEntry;
use crate::record::publish_place::PublishPlace;
use crate::record::request::Request;
use crate::record::share::Share;
use crate::record::site_notice::Departure;
use crate::record::vocabulary::{LoadedVocabulary, Vocabulary};
use crate::rule::budget::Spent;
use crate::state::releases::SignedRelease;
use crate::state::tables::{MappedSet, TableSet};
use crate::time::Seconds;

pub use crate::record::made_release::MadeRelease;

/// Everything a run over a source needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPlan {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// The source.
    pub dataset: Dataset,
    /// The terms.
    pub share: Share,
    /// Who has opted out.
    pub opted_out: Vec<OptOutEntry>,
    /// The snapshot before: its listing, and its row index for a keyed table. `None`: take a full one.
    pub previous: Option<(BlobRef, Option<BlobRef>)>,
    /// The epoch of the linkage key, where rows carry tokens.
    pub epoch: Option<u32>,
    /// For a mapped table: the set that it is taken from.
    pub set: Option<MappedSet>,
    /// For a release: what was signed of it.
    pub release: Option<SignedRelease>,
}

/// Everything a mapping run needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapPlan {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// The mapping.
    pub mapping: Mapping,
    /// Its digest.
    pub digest: DocumentDigest,
    /// Each source by its name in the mapping: the dataset, and who has opted out of it.
    pub sources: BTreeMap<Name, (Dataset, Vec<OptOutEntry>)>,
    /// The epoch of the linkage key, where one is held.
    pub epoch: Option<u32>,
    /// What its gates bear beside the list's own thresholds, in thousandths.
    pub thresholds: BTreeMap<Text, u16>,
    /// The vocabulary, where one is loaded.
    pub vocabulary: Option<LoadedVocabulary>,
    /// The set that was made last, by this version of the mapping or an earlier one.
    pub before: Option<BlobRef>,
    /// Tables that may come out empty.
    pub empty: BTreeSet<Name>,
    /// The canonical form of the consortium's own schema; `None` where it uses one that every node has.
    pub schema: Option<Arc<str>>,
}

/// What the order of one run asks beside the mapping itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MapWishes {
    /// Tables that may come out empty.
    pub empty: BTreeSet<Name>,
    /// What its gates bear beside the list's own thresholds, in thousandths.
    pub thresholds: BTreeMap<Text, u16>,
}

/// What a mapping run made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapEnd {
    /// The listing of the set.
    pub set: BlobRef,
    /// About the key that person ids were made with.
    pub linkage: Option<LinkageStatement>,
    /// Whether its quality gates held.
    pub gates: Gates,
}

/// How the quality gates of a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gates {
    /// Nothing fatal failed.
    Held,
    /// Something fatal failed, or could not be checked.
    Failed,
}

/// What a comparison of sites found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteDepartures {
    /// How many sites were compared.
    pub sites: u32,
    /// What departs, by site; sites at which nothing does are left out.
    pub found: BTreeMap<Name, Vec<Departure>>,
}

/// What ends a step of a pipeline that is under way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Awaited {
    Mapping(Name),
    Run(ShareId),
    Consolidation,
    Publication,
}

/// One landed table that is consolidated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandedTable {
    /// Whose rows they are.
    pub member: Name,
    /// The share.
    pub share: ShareId,
    /// The landed version.
    pub version: LandedVersion,
    /// The snapshots of its chain, the full one first.
    pub chain: Vec<SnapshotId>,
    /// Where the rows come from, as the manifest says.
    pub origin: Origin,
    /// The vocabulary that their codes were mapped with, as the manifest says.
    pub vocabulary: Option<Vocabulary>,
}

/// Everything a consolidation needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsolidationPlan {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// What is consolidated.
    pub tables: Vec<LandedTable>,
    /// The canonical form of the consortium's own schema; `None` where it uses one that every node has.
    pub schema: Option<Arc<str>>,
    /// The parts of the set in use whose rows may still be used, by table and member: what has not changed is taken over.
    pub previous: Parts,
    /// Members of whom nothing new is taken in, and why.
    pub left_out: BTreeMap<Name, RunFault>,
}

/// Parts by table and member.
pub type Parts = BTreeMap<Name, BTreeMap<Name, ConsolidatedPart>>;

/// What a consolidation made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsolidatedSet {
    /// The common schema.
    pub schema: DocumentDigest,
    /// The parts, by table and member.
    pub tables: Parts,
    /// Members whose newest rows are not in it, and why.
    pub left_out: BTreeMap<Name, RunFault>,
    /// Names the parts' files.
    pub listing: BlobRef,
}

/// Everything a publication needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishPlan {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// The set of table versions.
    pub set: TableSet,
    /// The canonical form of the schema that it is in; `None` where it is one that every node has.
    pub schema: Option<Arc<str>>,
    /// Where it is published.
    pub into: PublishPlace,
}

/// Everything the computing of a release needs. There is none without [`Spent`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleasePlan {
    /// Its reservation is durable.
    pub spent: Spent,
    /// What was asked.
    pub request: Request,
    /// The least class or count: the request's, or the charter's where that is larger.
    pub floor: u32,
    /// The set of table versions.
    pub set: TableSet,
    /// Members whose rows are used: those that have accepted the charter version.
    pub members: BTreeSet<Name>,
    /// The canonical form of the consortium's own schema; `None` where it uses one that every node has.
    pub schema: Option<Arc<str>>,
    /// The account that it was paid from.
    pub account: AccountTerms,
    /// For a private answer: it comes so long after this plan, or that there is none; neither sooner nor later (law 7).
    pub answer_time: Seconds,
    /// What earlier releases over the population told of each patient, oldest first.
    pub earlier: Vec<(ReleaseId, BlobRef)>,
}

/// Everything that the reading of a request needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestPlan {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// The release that was asked for.
    pub release: ReleaseId,
    /// The request, encoded.
    pub request: BlobRef,
    /// The tables that its question is planned over; `None`: the request is only read.
    pub set: Option<TableSet>,
    /// The canonical form of the consortium's own schema; `None` where it uses one that every node has.
    pub schema: Option<Arc<str>>,
}

/// What a request asks for, and what its question would read: found by planning, without a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRead {
    /// The request.
    pub request: Request,
    /// The digest of what is asked and of whom, under a secret of the node's: see `question` of a reservation.
    pub question: DocumentDigest,
    /// Tables and columns of the common schema that the question reads, filters and joins included.
    pub reads: BTreeMap<Name, BTreeSet<Name>>,
    /// For each column of the answer, the columns (table, column) that it is made of.
    pub columns: BTreeMap<ColumnName, BTreeSet<(Name, Name)>>,
}

/// One landed version: its listings from the full snapshot to the last delta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandedVersion {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The version.
    pub snapshot: SnapshotId,
    /// Listings from the full one on, all landed.
    pub listings: Vec<BlobRef>,
}
