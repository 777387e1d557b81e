//! A consortium's own common schema, as its operator states it: the text whose digest the charter names. It is public.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::{DocumentDigest, sha256_for};
use crate::ident::ConsortiumId;
use crate::key::signed::Record;
use crate::limits::COMMON_SCHEMA_BYTES_MAX;
use crate::record::extension::Extensions;

/// The fields of a stated common schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommonSchemaFields {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// Its canonical form: JSON of all tables and fields. Read by whoever maps or consolidates, in a worker.
    pub text: String,
    /// Room for later versions.
    pub ext: Extensions,
}

/// A common schema within its bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "CommonSchemaFields", into = "CommonSchemaFields")]
pub struct CommonSchema(CommonSchemaFields);

/// Why fields do not make a common schema (spec MAP-11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommonSchemaFault {
    /// No text, or one that is longer than the bound.
    Length,
}

impl fmt::Display for CommonSchemaFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => write!(f, "a common schema has 1 to {COMMON_SCHEMA_BYTES_MAX} bytes"),
        }
    }
}

impl std::error::Error for CommonSchemaFault {}

impl CommonSchema {
    /// What a charter names it by (spec MAP-12).
    pub fn named(&self) -> DocumentDigest {
        schema_digest(&self.0.text)
    }
}

/// What a charter names a common schema by, whose canonical form this is.
pub fn schema_digest(text: &str) -> DocumentDigest {
    DocumentDigest(sha256_for("common schema", text.as_bytes()))
}

impl TryFrom<CommonSchemaFields> for CommonSchema {
    type Error = CommonSchemaFault;

    fn try_from(fields: CommonSchemaFields) -> Result<Self, CommonSchemaFault> {
        let fits = (1..=COMMON_SCHEMA_BYTES_MAX).contains(&fields.text.len());
        if fits { Ok(Self(fields)) } else { Err(CommonSchemaFault::Length) }
    }
}

impl From<CommonSchema> for CommonSchemaFields {
    fn from(schema: CommonSchema) -> Self {
        schema.0
    }
}

impl std::ops::Deref for CommonSchema {
    type Target = CommonSchemaFields;

    fn deref(&self) -> &CommonSchemaFields {
        &self.0
    }
}

impl Record for CommonSchema {
    const LABEL: &'static str = "application/vnd.cohortium.v1.common-schema.v1";
    const TITLE: &'static str = "common schema";
}

#[cfg(test)]
mod tests {
    use super::*;

    // MAP-11
    #[test]
    fn a_common_schema_is_bounded() {
        let fields = |bytes: usize| CommonSchemaFields {
            consortium: ConsortiumId([1; 32]),
            text: "x".repeat(bytes),
            ext: Extensions::default(),
        };
        for (bytes, fits) in
            [(0, false), (1, true), (COMMON_SCHEMA_BYTES_MAX, true), (COMMON_SCHEMA_BYTES_MAX + 1, false)]
        {
            assert_eq!(CommonSchema::try_from(fields(bytes)).is_ok(), fits, "{bytes}");
        }
    }
}
