//! What long work needs: a run over a source, a mapping run, a consolidation; and what the last one made.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::digest::DocumentDigest;
use crate::ident::{ConsortiumId, Name, ReleaseId, ShareId, SnapshotId, SubscriptionId, Text};
use crate::record::consolidation::ConsolidatedPart;
use crate::record::dataset::Dataset;
use crate::record::journal_entry::RunFault;
use crate::record::listing::BlobRef;
use crate::record::manifest::LinkageStatement;
use crate::record::mapping::{Mapping, Origin};
use crate::record::order::{OptOutEntry, PublishPlace};
use crate::record::release::{AttackRun, BodyFile, Done};
use crate::record::request::Request;
use crate::record::reservation::Verdict;
use crate::record::share::Share;
use crate::record::site_notice::Departure;
use crate::record::vocabulary::{LoadedVocabulary, Vocabulary};
use crate::rule::budget::Spent;
use crate::state::tables::{MappedSet, TableSet};

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
    /// What earlier releases over the population told of each patient, oldest first.
    pub earlier: Vec<(ReleaseId, BlobRef)>,
}

/// What was made of a release, before anybody has approved or signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeRelease {
    /// The body's files; the blobs are stored and durable.
    pub body: Vec<BodyFile>,
    /// Everything for the privacy officer: findings with their numbers, as a blob that stays here.
    pub report: BlobRef,
    /// What it tells of each patient, for later releases: a blob that stays here.
    pub memory: Option<BlobRef>,
    /// What was done.
    pub done: Done,
    /// The attacks that were run.
    pub attacks: Vec<AttackRun>,
    /// Earlier releases together with which it keeps its model.
    pub together_with: BTreeSet<ReleaseId>,
    /// What was not checked, or is not covered.
    pub not_covered: Vec<Text>,
    /// Whether every attack stayed under its threshold.
    pub verdict: Verdict,
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
