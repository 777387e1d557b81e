//! Tables of this node's own: what its mappings made of its sources, and what was made of all that has landed.

use std::sync::Arc;

use super::State;
use crate::digest::DocumentDigest;
use crate::ident::{DatasetId, Name, ShareId};
use crate::key::signed::Signed;
use crate::message::document::Document;
use crate::record::charter::Charter;
use crate::record::common_schema::CommonSchema;
use crate::record::consolidation::Consolidation;
use crate::record::dataset::Dataset;
use crate::record::journal_entry::RunFault;
use crate::record::listing::BlobRef;
use crate::record::manifest::LinkageStatement;
use crate::record::mapping::Mapping;
use crate::record::vocabulary::LoadedVocabulary;
use crate::time::UnixMillis;

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
    /// What an earlier version made last: what this one makes is compared with it.
    pub before: Option<BlobRef>,
    /// Whose order defined it.
    pub by: Name,
    /// When.
    pub at: UnixMillis,
}

impl Mapped {
    /// The set that was made last, by this version or, until it has run, by an earlier one.
    pub fn last_set(&self) -> Option<BlobRef> {
        self.set.as_ref().map(|set| set.listing).or(self.before)
    }
}

/// A common schema as the operator stated it.
#[derive(Debug, Clone)]
pub struct StatedSchema {
    /// As signed.
    pub signed: Signed<CommonSchema>,
    /// Its canonical form.
    pub text: Arc<str>,
}

/// Vocabularies that were loaded, the last one in use. Only its index is kept.
#[derive(Debug, Clone, Default)]
pub struct Vocabularies {
    loaded: Vec<(UnixMillis, LoadedVocabulary)>,
    fault: Option<RunFault>,
    loads: u64,
}

impl Vocabularies {
    /// The one in use.
    pub fn current(&self) -> Option<&LoadedVocabulary> {
        self.loaded.last().map(|(_, loaded)| loaded)
    }

    /// All that were loaded, of the last sixteen, with when; the one in use comes last.
    pub fn loaded(&self) -> &[(UnixMillis, LoadedVocabulary)] {
        &self.loaded
    }

    /// Why the last load made nothing; `None` after one that did.
    pub const fn fault(&self) -> Option<RunFault> {
        self.fault
    }

    /// How many loads have ended.
    pub const fn loads(&self) -> u64 {
        self.loads
    }

    pub(super) fn add(&mut self, at: UnixMillis, loaded: LoadedVocabulary) {
        self.loaded.push((at, loaded));
        let over = self.loaded.len().saturating_sub(SETS_KEPT);
        self.loaded.drain(..over);
        (self.fault, self.loads) = (None, self.loads.saturating_add(1));
    }

    pub(super) const fn fail(&mut self, fault: RunFault) {
        (self.fault, self.loads) = (Some(fault), self.loads.saturating_add(1));
    }
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

    /// The operator tells every member; one that is admitted later is told with the charter.
    pub(super) fn apply_schema(&mut self, signed: &Signed<CommonSchema>, peer: Option<&Name>) {
        let schema = super::known(signed);
        let stated = StatedSchema { signed: signed.clone(), text: schema.text.as_str().into() };
        self.schemas.insert(schema.named(), stated);
        let Some(head) = self.charters.head().filter(|_| peer.is_none()) else { return };
        let document = Arc::new(Document::CommonSchema(signed.clone()));
        for (member, _) in head.charter.members() {
            self.mail.entry(member.clone()).or_default().push(Arc::clone(&document));
        }
    }

    /// A member that is admitted is told the schema that the charter names.
    pub(super) fn tell_schema(&mut self, charter: &Charter, member: &Name) {
        let Some(stated) = charter.schema.and_then(|named| self.schemas.get(&named)) else { return };
        let document = Arc::new(Document::CommonSchema(stated.signed.clone()));
        self.mail.entry(member.clone()).or_default().push(document);
    }

    pub(super) fn apply_mapping(&mut self, mapping: Mapping, by: Name, at: UnixMillis) {
        let digest = Signed::unsigned(&mapping).digest();
        let name = mapping.name.clone();
        let before = self.mappings.get(&name).and_then(Mapped::last_set);
        self.mappings.insert(name, Mapped { mapping, digest, set: None, runs: 0, fault: None, before, by, at });
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
