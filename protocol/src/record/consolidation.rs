//! The consolidation: the operator's signed statement of which snapshots, through which mappings, made which table versions.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::DocumentDigest;
use crate::ident::{ConsortiumId, Name, ShareId, SnapshotId, Text};
use crate::key::signed::Record;
use crate::limits::PARTIES_MAX;
use crate::record::extension::Extensions;
use crate::record::listing::BlobRef;
use crate::record::run_fault::RunFault;
use crate::record::vocabulary::Vocabulary;
use crate::table_version::{PartDigest, TableVersionId};
use crate::time::UnixMillis;

/// What one member states in one table version: all current rows of its landed snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsolidatedPart {
    /// The share the rows landed from.
    pub share: ShareId,
    /// Its newest snapshot that is in it.
    pub snapshot: SnapshotId,
    /// The mapping that made them; `None` where the source had the common schema.
    pub mapping: Option<DocumentDigest>,
    /// The vocabulary, where codes were mapped.
    pub vocabulary: Option<Vocabulary>,
    /// The digest of the rows.
    pub digest: PartDigest,
    /// The files they lie in: those of a base, and what has changed since. Not part of the content: other files may hold the
    /// same rows.
    pub blobs: Vec<BlobRef>,
}

/// One version of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsolidatedTable {
    /// Its name: the digest of its content.
    pub version: TableVersionId,
    /// What it is made of, by member.
    pub parts: BTreeMap<Name, ConsolidatedPart>,
}

impl ConsolidatedTable {
    /// A version made of these parts.
    pub fn new(table: &Name, schema: &DocumentDigest, parts: BTreeMap<Name, ConsolidatedPart>) -> Self {
        let version = TableVersionId::of(table, schema, &digests(&parts));
        Self { version, parts }
    }
}

fn digests(parts: &BTreeMap<Name, ConsolidatedPart>) -> BTreeMap<&Name, PartDigest> {
    parts.iter().map(|(member, part)| (member, part.digest)).collect()
}

/// The fields of a consolidation, not yet checked against each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsolidationFields {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// Who made it.
    pub operator: Name,
    /// 1, 2, 3, ... without gaps.
    pub sequence: u64,
    /// The consolidation before; `None` for the first alone.
    pub previous: Option<DocumentDigest>,
    /// The common schema.
    pub schema: DocumentDigest,
    /// The tables, each in one version.
    pub tables: BTreeMap<Name, ConsolidatedTable>,
    /// Members whose newest rows are not in it, each with the reason: their parts are those of the set before, or none.
    pub left_out: BTreeMap<Name, RunFault>,
    /// The software that made it, and its version.
    pub software: Text,
    /// When.
    pub at: UnixMillis,
    /// Room for later versions.
    pub ext: Extensions,
}

/// A set of table versions and where they come from. Lengths of blobs follow from rows: it stays with the operator and
/// its auditors, a requester is told table versions alone (law 8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ConsolidationFields", into = "ConsolidationFields")]
pub struct Consolidation(ConsolidationFields);

/// Why fields do not make a consolidation (spec CONS-4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsolidationFault {
    /// Only number 1 has none before it, and there is no number 0.
    Link,
    /// A table has more parts than a consortium has parties.
    Parties(Name),
    /// A table's version is not the digest of its parts.
    Version(Name),
    /// More members are left out than a consortium has parties.
    LeftOut,
}

impl fmt::Display for ConsolidationFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link => f.write_str("consolidation 1 follows none, every later one the one before it"),
            Self::Parties(table) => write!(f, "table {table} has more than {PARTIES_MAX} parts"),
            Self::LeftOut => write!(f, "more than {PARTIES_MAX} members are left out"),
            Self::Version(table) => write!(f, "the version of table {table} is not the digest of its parts"),
        }
    }
}

impl std::error::Error for ConsolidationFault {}

impl TryFrom<ConsolidationFields> for Consolidation {
    type Error = ConsolidationFault;

    fn try_from(fields: ConsolidationFields) -> Result<Self, ConsolidationFault> {
        if fields.sequence == 0 || (fields.sequence == 1) != fields.previous.is_none() {
            return Err(ConsolidationFault::Link);
        }
        if fields.left_out.len() > PARTIES_MAX {
            return Err(ConsolidationFault::LeftOut);
        }
        for (name, table) in &fields.tables {
            if table.parts.len() > PARTIES_MAX {
                return Err(ConsolidationFault::Parties(name.clone()));
            }
            if table.version != TableVersionId::of(name, &fields.schema, &digests(&table.parts)) {
                return Err(ConsolidationFault::Version(name.clone()));
            }
        }
        Ok(Self(fields))
    }
}

impl From<Consolidation> for ConsolidationFields {
    fn from(consolidation: Consolidation) -> Self {
        consolidation.0
    }
}

impl std::ops::Deref for Consolidation {
    type Target = ConsolidationFields;

    fn deref(&self) -> &ConsolidationFields {
        &self.0
    }
}

impl Record for Consolidation {
    const LABEL: &'static str = "application/vnd.cohortium.v1.consolidation.v1";
    const TITLE: &'static str = "consolidation";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> ConsolidationFields {
        let (table, schema) = ("person".parse().unwrap(), DocumentDigest([2; 32]));
        let part = ConsolidatedPart {
            share: ShareId([3; 16]),
            snapshot: SnapshotId([4; 32]),
            mapping: None,
            vocabulary: None,
            digest: PartDigest([5; 32]),
            blobs: Vec::new(),
        };
        let consolidated = ConsolidatedTable::new(&table, &schema, BTreeMap::from([("north".parse().unwrap(), part)]));
        ConsolidationFields {
            consortium: ConsortiumId([1; 32]),
            operator: "operator".parse().unwrap(),
            sequence: 1,
            previous: None,
            schema,
            tables: BTreeMap::from([(table, consolidated)]),
            left_out: BTreeMap::new(),
            software: "cohortium 0.1.0".parse().unwrap(),
            at: UnixMillis(1),
            ext: Extensions::default(),
        }
    }

    fn changed(change: impl FnOnce(&mut ConsolidationFields)) -> Result<Consolidation, ConsolidationFault> {
        let mut fields = fields();
        change(&mut fields);
        fields.try_into()
    }

    // CONS-4
    #[test]
    fn a_version_is_the_digest_of_its_parts_or_refused() {
        let table: Name = "person".parse().unwrap();
        assert!(changed(|_| {}).is_ok());
        let wrong = Err(ConsolidationFault::Version(table.clone()));
        let part = |fields: &mut ConsolidationFields, change: fn(&mut ConsolidatedPart)| {
            fields.tables.get_mut(&"person".parse::<Name>().unwrap()).unwrap().parts.values_mut().for_each(change);
        };
        assert_eq!(changed(|fields| part(fields, |part| part.digest = PartDigest([6; 32]))), wrong);
        assert_eq!(changed(|fields| fields.schema = DocumentDigest([6; 32])), wrong);
        assert_eq!(
            changed(|fields| drop(
                fields.tables.get_mut(&"person".parse::<Name>().unwrap()).unwrap().parts.pop_first()
            )),
            wrong
        );
        // Where the rows come from and lie is no content.
        assert!(changed(|fields| part(fields, |part| part.snapshot = SnapshotId([9; 32]))).is_ok());
    }

    #[test]
    fn only_the_first_has_none_before_it() {
        let linked = |sequence, previous| {
            changed(|fields| {
                fields.sequence = sequence;
                fields.previous = previous;
            })
        };
        let digest = Some(DocumentDigest([1; 32]));
        assert!(linked(1, None).is_ok() && linked(2, digest).is_ok());
        for (sequence, previous) in [(0, None), (0, digest), (1, digest), (2, None)] {
            assert_eq!(linked(sequence, previous), Err(ConsolidationFault::Link));
        }
    }

    #[test]
    fn a_table_has_no_more_parts_than_a_consortium_has_parties() {
        let filled = |parts: usize| {
            changed(|fields| {
                let schema = fields.schema;
                let (table, one) = fields.tables.pop_first().unwrap();
                let part = one.parts.into_values().next().unwrap();
                let parts = (0..parts).map(|number| (format!("m{number}").parse().unwrap(), part.clone())).collect();
                fields.tables.insert(table.clone(), ConsolidatedTable::new(&table, &schema, parts));
            })
        };
        assert!(filled(PARTIES_MAX).is_ok());
        assert_eq!(filled(PARTIES_MAX + 1), Err(ConsolidationFault::Parties("person".parse().unwrap())));
    }
}
