//! A mapping: how one member's sources become facts of the consortium's common schema. Local; what travels is its digest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::{BlobDigest, DocumentDigest};
use crate::ident::{ConsortiumId, DatasetId, Name};
use crate::key::signed::Record;
use crate::limits::{EXTENSION_BYTES_MAX, MAPPING_BYTES_MAX, MAPPING_SOURCES_MAX, MAPPING_TABLES_MAX};
use crate::record::extension::Extensions;
use crate::wire::codec::{self, CodecFault};

/// A mapping in one version, as the data steward's order states it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "MappingFields", into = "MappingFields")]
pub struct Mapping(MappingFields);

/// A mapping's fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingFields {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// Whose sources it maps.
    pub party: Name,
    /// Its name, in every version.
    pub name: Name,
    /// 1, 2, 3, ...
    pub version: u32,
    /// Digest of the common schema that it maps to.
    pub schema: DocumentDigest,
    /// The file as the person wrote it.
    pub text: String,
    /// Its sources, by the names that its rules use.
    pub sources: BTreeMap<Name, DatasetId>,
    /// The source that lists the patients.
    pub patients: Name,
    /// The tables that it has rules for.
    pub tables: BTreeSet<Name>,
    /// Room for later versions.
    pub ext: Extensions,
}

/// Why fields do not make a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MappingFault {
    /// Version 0.
    Version,
    /// Longer than the bound.
    TooLong,
    /// No source, no table, or more than the bounds; or the patients' source is none of them.
    Sources,
}

impl fmt::Display for MappingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version => f.write_str("the version is zero"),
            Self::TooLong => write!(f, "the mapping is longer than {MAPPING_BYTES_MAX} bytes"),
            Self::Sources => write!(
                f,
                "a mapping has 1 to {MAPPING_SOURCES_MAX} sources, the patients' among them, and 1 to \
                 {MAPPING_TABLES_MAX} tables"
            ),
        }
    }
}

impl std::error::Error for MappingFault {}

impl TryFrom<MappingFields> for Mapping {
    type Error = MappingFault;

    fn try_from(fields: MappingFields) -> Result<Self, MappingFault> {
        let sources = (1..=MAPPING_SOURCES_MAX).contains(&fields.sources.len());
        let tables = (1..=MAPPING_TABLES_MAX).contains(&fields.tables.len());
        if fields.version == 0 {
            Err(MappingFault::Version)
        } else if fields.text.len() > MAPPING_BYTES_MAX {
            Err(MappingFault::TooLong)
        } else if !(sources && tables && fields.sources.contains_key(&fields.patients)) {
            Err(MappingFault::Sources)
        } else {
            Ok(Self(fields))
        }
    }
}

impl From<Mapping> for MappingFields {
    fn from(mapping: Mapping) -> Self {
        mapping.0
    }
}

impl std::ops::Deref for Mapping {
    type Target = MappingFields;

    fn deref(&self) -> &MappingFields {
        &self.0
    }
}

impl Record for Mapping {
    const LABEL: &'static str = "application/vnd.cohortium.v1.mapping.v1";
    const TITLE: &'static str = "mapping";
}

/// Where the rows of a mapped table come from: what a manifest says of it in its extension [`Origin::EXTENSION`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The mapping.
    pub mapping: DocumentDigest,
    /// The common schema.
    pub schema: DocumentDigest,
    /// The set of mapped tables, of which this is one: tables of one set were made by one run.
    pub set: BlobDigest,
    /// The table.
    pub table: Name,
    /// The software that mapped.
    pub software: Name,
}

impl Origin {
    /// The id of the extension: odd, so a reader may pass it over.
    pub const EXTENSION: u16 = 1;

    /// As an extension of a manifest.
    pub fn to_extension(&self) -> Extensions {
        Extensions::one(Self::EXTENSION, codec::encode(self))
    }

    /// Out of a manifest's extensions; `None` where there is none.
    ///
    /// # Errors
    /// Bytes that are no origin.
    pub fn of(extensions: &Extensions) -> Result<Option<Self>, CodecFault> {
        extensions.get(Self::EXTENSION).map(|bytes| codec::decode(bytes, EXTENSION_BYTES_MAX)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> MappingFields {
        let stays: Name = "stays".parse().unwrap();
        MappingFields {
            consortium: ConsortiumId([1; 32]),
            party: "north".parse().unwrap(),
            name: "los".parse().unwrap(),
            version: 1,
            schema: DocumentDigest([2; 32]),
            text: "x".repeat(MAPPING_BYTES_MAX),
            sources: BTreeMap::from([(stays.clone(), DatasetId([3; 16]))]),
            patients: stays,
            tables: BTreeSet::from(["person".parse().unwrap()]),
            ext: Extensions::default(),
        }
    }

    // MAP-1
    #[test]
    fn a_mapping_has_a_version_sources_with_the_patients_and_tables_within_bounds() {
        assert!(Mapping::try_from(fields()).is_ok());
        let fault = |fields| Mapping::try_from(fields).err();
        assert_eq!(fault(MappingFields { version: 0, ..fields() }), Some(MappingFault::Version));
        let long = "x".repeat(MAPPING_BYTES_MAX + 1);
        assert_eq!(fault(MappingFields { text: long, ..fields() }), Some(MappingFault::TooLong));
        let elsewhere = MappingFields { patients: "labs".parse().unwrap(), ..fields() };
        assert_eq!(fault(elsewhere), Some(MappingFault::Sources));
        assert_eq!(fault(MappingFields { tables: BTreeSet::new(), ..fields() }), Some(MappingFault::Sources));
    }

    // MAP-3
    #[test]
    fn an_origin_travels_in_an_extension_that_may_be_passed_over() {
        let origin = Origin {
            mapping: DocumentDigest([1; 32]),
            schema: DocumentDigest([2; 32]),
            set: BlobDigest([3; 32]),
            table: "person".parse().unwrap(),
            software: "cohortium-0.1.0".parse().unwrap(),
        };
        assert_eq!(Origin::of(&origin.to_extension()).unwrap(), Some(origin));
        assert_eq!(Origin::of(&Extensions::default()).unwrap(), None);
        assert!(Origin::of(&Extensions::one(Origin::EXTENSION, vec![1])).is_err());
    }
}
