//! Tables of this node's own: what its mappings made of its sources, and what was made of all that has landed.

use super::State;
use crate::digest::DocumentDigest;
use crate::ident::{DatasetId, ShareId};
use crate::key::signed::Signed;
use crate::record::consolidation::Consolidation;
use crate::record::dataset::Dataset;
use crate::record::journal_entry::RunFault;
use crate::record::listing::BlobRef;
use crate::record::manifest::LinkageStatement;
use crate::record::mapping::Mapping;

/// Sets of table versions that are kept: the one in use and those before it, to roll back to.
pub const SETS_KEPT: usize = 16;

/// A mapping, and the last set of tables that it made.
#[derive(Debug, Clone)]
pub struct Mapped {
    /// Its last version.
    pub mapping: Mapping,
    /// The digest of that.
    pub digest: DocumentDigest,
    /// What it made; `None` until it has run.
    pub set: Option<MappedSet>,
    /// How often this version has run.
    pub runs: u64,
    /// Why the last run made nothing; `None` after one that did.
    pub fault: Option<RunFault>,
}

/// What a mapping run made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedSet {
    /// Names the tables, the quarantine and the report.
    pub listing: BlobRef,
    /// With which key the person ids of linked patients were made.
    pub linkage: Option<LinkageStatement>,
    /// A patient has opted out since, or a source was defined anew: nothing of it may leave.
    pub stale: bool,
}

/// Table versions made of what has landed.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    sets: Vec<TableSet>,
    current: Option<DocumentDigest>,
    last: Option<(u64, DocumentDigest)>,
    published: Option<Publication>,
}

/// How the last publication ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publication {
    /// The consolidation that was to be published.
    pub consolidation: DocumentDigest,
    /// Why it was not.
    pub fault: Option<RunFault>,
}

/// One set of table versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSet {
    /// What it is made of.
    pub consolidation: Consolidation,
    /// The digest of that.
    pub digest: DocumentDigest,
    /// Names its files.
    pub listing: BlobRef,
}

impl Tables {
    /// Adds a set and uses it.
    pub fn add(&mut self, consolidation: Consolidation, digest: DocumentDigest, listing: BlobRef) {
        self.last = Some((consolidation.sequence, digest));
        self.sets.push(TableSet { consolidation, digest, listing });
        let over = self.sets.len().saturating_sub(SETS_KEPT);
        self.sets.drain(..over);
        self.current = Some(digest);
    }

    /// Drops every set that has rows of this share, the one in use too: they are erased (law 11). What was stated of them
    /// stays in the journal.
    pub fn erase(&mut self, share: ShareId) {
        let has = |set: &TableSet| {
            let mut parts = set.consolidation.tables.values().flat_map(|table| table.parts.values());
            parts.any(|part| part.share == share)
        };
        self.sets.retain(|set| !has(set));
        self.current = self.current.filter(|current| self.sets.iter().any(|set| set.digest == *current));
    }

    /// Notes how a publication ended.
    pub const fn publish(&mut self, consolidation: DocumentDigest, fault: Option<RunFault>) {
        self.published = Some(Publication { consolidation, fault });
    }

    /// How the last publication ended.
    pub const fn published(&self) -> Option<Publication> {
        self.published
    }

    /// Number and digest of the last consolidation, kept or not.
    pub const fn last(&self) -> Option<(u64, DocumentDigest)> {
        self.last
    }

    /// Uses one of the kept sets again.
    pub fn use_again(&mut self, set: DocumentDigest) {
        if self.sets.iter().any(|known| known.digest == set) {
            self.current = Some(set);
        }
    }

    /// The kept sets, the oldest first.
    pub fn sets(&self) -> &[TableSet] {
        &self.sets
    }

    /// The set in use.
    pub fn current(&self) -> Option<&TableSet> {
        self.sets.iter().find(|set| Some(set.digest) == self.current)
    }
}

impl State {
    /// An approval is one of terms over a source: another source, key or patient column needs another.
    pub(super) fn apply_dataset(&mut self, dataset: Dataset) {
        let id = dataset.dataset;
        let same = self.datasets.get(&id) == Some(&dataset);
        self.datasets.insert(id, dataset);
        if !same {
            self.age_sets(id);
        }
        for offer in self.offers.values_mut().filter(|offer| !same && offer.share.dataset == id) {
            offer.withdraw_approval();
        }
    }

    pub(super) fn define_mapping(&mut self, mapping: Mapping) {
        let digest = Signed::unsigned(&mapping).digest();
        self.mappings.insert(mapping.name.clone(), Mapped { mapping, digest, set: None, runs: 0, fault: None });
    }

    pub(super) fn apply_mapped(&mut self, mapping: DocumentDigest, set: BlobRef, linkage: Option<LinkageStatement>) {
        if let Some(found) = self.mappings.values_mut().find(|found| found.digest == mapping) {
            found.set = Some(MappedSet { listing: set, linkage, stale: false });
            (found.runs, found.fault) = (found.runs.saturating_add(1), None);
        }
    }

    pub(super) fn apply_unmapped(&mut self, mapping: DocumentDigest, fault: RunFault) {
        if let Some(found) = self.mappings.values_mut().find(|found| found.digest == mapping) {
            (found.runs, found.fault) = (found.runs.saturating_add(1), Some(fault));
        }
    }

    /// Mapped tables that were made of this dataset must be made anew before anything of them leaves.
    pub(super) fn age_sets(&mut self, dataset: DatasetId) {
        for found in self.mappings.values_mut().filter(|found| found.mapping.sources.values().any(|id| *id == dataset))
        {
            if let Some(set) = &mut found.set {
                set.stale = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::digest::blob_digest;
    use crate::ident::ConsortiumId;
    use crate::quantity::Bytes;
    use crate::record::consolidation::ConsolidationFields;
    use crate::record::extension::Extensions;
    use crate::time::UnixMillis;

    fn digest(number: u8) -> DocumentDigest {
        DocumentDigest([number; 32])
    }

    fn add(tables: &mut Tables, number: u8) {
        let fields = ConsolidationFields {
            consortium: ConsortiumId([1; 32]),
            operator: "operator".parse().unwrap(),
            sequence: u64::from(number),
            previous: (number > 1).then(|| digest(number - 1)),
            schema: digest(7),
            tables: BTreeMap::new(),
            left_out: BTreeMap::new(),
            software: "cohortium".parse().unwrap(),
            at: UnixMillis(1),
            ext: Extensions::default(),
        };
        let listing = BlobRef { digest: blob_digest(&[number]), bytes: Bytes(1) };
        tables.add(Consolidation::try_from(fields).unwrap(), digest(number), listing);
    }

    #[test]
    fn the_last_sixteen_sets_are_kept_and_each_of_them_can_be_used_again() {
        let mut tables = Tables::default();
        (1..=20).for_each(|number| add(&mut tables, number));
        let current = |tables: &Tables| tables.current().map(|set| set.digest);
        assert_eq!(
            (tables.sets().len(), current(&tables), tables.last()),
            (16, Some(digest(20)), Some((20, digest(20))))
        );
        tables.use_again(digest(5));
        assert_eq!(current(&tables), Some(digest(5)));
        tables.use_again(digest(4));
        assert_eq!(current(&tables), Some(digest(5)), "one that is gone cannot be used");
        add(&mut tables, 21);
        assert_eq!(current(&tables), Some(digest(21)));
    }
}
