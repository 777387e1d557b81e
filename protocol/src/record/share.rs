//! A share's terms: what a provider offers, to whom, for what, until when.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ident::{ConsortiumId, DatasetId, Name, ShareId, Text};
use crate::key::signed::Record;
use crate::limits::COLUMNS_MAX;
use crate::record::charter::LandedRows;
use crate::record::extension::Extensions;
use crate::record::schedule::Schedule;
use crate::record::schema::{Column, Treatment};
use crate::time::UnixMillis;

/// Whether rows are copied or stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// A copy travels, full and then in deltas.
    Snapshot,
    /// Rows stay; pseudonymised rows answer queries of named recipients. No privacy claim.
    InPlaceRows,
    /// Rows stay; each answer is an aggregate release.
    InPlacePrivate,
}

/// What is shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// A table, its direct identifiers dropped or tokenised.
    Table {
        /// The columns of the source, each with what is done to it.
        columns: Vec<Column>,
        /// Whether each row carries the patient's linkage token.
        linkage: Linkage,
    },
    /// A set of files that nobody looked into: labelled `unchecked` everywhere, never an input to consolidation.
    UncheckedFiles,
}

/// Whether rows carry linkage tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Linkage {
    /// No token: each member-local patient is a unit of its own.
    None,
    /// A token of the consortium's current epoch.
    Token,
}

/// The terms of one share in one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ShareFields", into = "ShareFields")]
pub struct Share(ShareFields);

/// A share's fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareFields {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// Who offers it.
    pub provider: Name,
    /// Its id, in every version.
    pub share: ShareId,
    /// For people.
    pub name: Name,
    /// 1, 2, 3, ...
    pub version: u32,
    /// The provider's dataset.
    pub dataset: DatasetId,
    /// Copied or in place.
    pub form: Form,
    /// What is in it.
    pub content: Content,
    /// What it may be used for.
    pub purpose: Text,
    /// Who may be invited.
    pub consumers: BTreeSet<Name>,
    /// No byte from here on.
    pub expires: UnixMillis,
    /// What revocation and expiry mean for rows that have landed.
    pub landed_rows: LandedRows,
    /// When snapshots are taken.
    pub schedule: Schedule,
    /// Room for later versions.
    pub ext: Extensions,
}

/// Why fields do not make a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShareFault {
    /// A direct identifier would leave as it is (law 1).
    IdentifierLeaves(crate::ident::ColumnName),
    /// Two columns with one name.
    ColumnTwice(crate::ident::ColumnName),
    /// No column leaves, or more than 4,096 are listed.
    Columns,
    /// Version 0.
    Version,
    /// Unchecked files are only ever copied.
    FilesInPlace,
    /// The provider is among its own consumers.
    ConsumerIsProvider,
}

impl fmt::Display for ShareFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IdentifierLeaves(name) => {
                write!(f, "column {name} is a direct identifier and would leave as it is; drop it or pseudonymise it")
            }
            Self::ColumnTwice(name) => write!(f, "column {name} is listed twice"),
            Self::Columns => write!(f, "a table share needs a column that leaves and at most {COLUMNS_MAX} columns"),
            Self::Version => f.write_str("the version is zero"),
            Self::FilesInPlace => f.write_str("a set of unchecked files can only be copied"),
            Self::ConsumerIsProvider => f.write_str("the provider is among the consumers"),
        }
    }
}

impl std::error::Error for ShareFault {}

impl TryFrom<ShareFields> for Share {
    type Error = ShareFault;

    fn try_from(fields: ShareFields) -> Result<Self, ShareFault> {
        if fields.version == 0 {
            return Err(ShareFault::Version);
        }
        if fields.consumers.contains(&fields.provider) {
            return Err(ShareFault::ConsumerIsProvider);
        }
        match &fields.content {
            Content::UncheckedFiles if fields.form != Form::Snapshot => return Err(ShareFault::FilesInPlace),
            Content::UncheckedFiles => {}
            Content::Table { columns, .. } => check_columns(columns)?,
        }
        Ok(Self(fields))
    }
}

fn check_columns(columns: &[Column]) -> Result<(), ShareFault> {
    let mut names = BTreeSet::new();
    for column in columns {
        if !column.is_lawful() {
            return Err(ShareFault::IdentifierLeaves(column.name.clone()));
        }
        if !names.insert(&column.name) {
            return Err(ShareFault::ColumnTwice(column.name.clone()));
        }
    }
    let leaves = columns.iter().any(|column| column.treatment != Treatment::Drop);
    if leaves && columns.len() <= COLUMNS_MAX { Ok(()) } else { Err(ShareFault::Columns) }
}

impl From<Share> for ShareFields {
    fn from(share: Share) -> Self {
        share.0
    }
}

impl std::ops::Deref for Share {
    type Target = ShareFields;

    fn deref(&self) -> &ShareFields {
        &self.0
    }
}

impl Record for Share {
    const LABEL: &'static str = "application/vnd.cohortium.v1.share.v1";
    const TITLE: &'static str = "share";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::schema::{ColumnRole, ColumnType};

    fn column(name: &str, role: ColumnRole, treatment: Treatment) -> Column {
        Column { name: name.parse().unwrap(), kind: ColumnType::Text, role, treatment }
    }

    fn share(columns: Vec<Column>) -> ShareFields {
        ShareFields {
            consortium: ConsortiumId([1; 32]),
            provider: "north".parse().unwrap(),
            share: ShareId([2; 16]),
            name: "stays".parse().unwrap(),
            version: 1,
            dataset: DatasetId([3; 16]),
            form: Form::Snapshot,
            content: Content::Table { columns, linkage: Linkage::None },
            purpose: "length of stay".parse().unwrap(),
            consumers: BTreeSet::from(["operator".parse().unwrap()]),
            expires: UnixMillis(9),
            landed_rows: LandedRows::Exclude,
            schedule: Schedule::MANUAL,
            ext: Extensions::default(),
        }
    }

    // SHARE-1
    #[test]
    fn a_direct_identifier_cannot_be_named_in_a_share_as_it_is() {
        let measure = column("los", ColumnRole::Measure, Treatment::Keep);
        let eid = |treatment| column("eid", ColumnRole::DirectIdentifier, treatment);
        for lawful in [Treatment::Drop, Treatment::Pseudonym] {
            assert!(Share::try_from(share(vec![measure.clone(), eid(lawful)])).is_ok());
        }
        let fault = Share::try_from(share(vec![measure, eid(Treatment::Keep)])).err();
        assert_eq!(fault, Some(ShareFault::IdentifierLeaves("eid".parse().unwrap())));
    }

    // SHARE-2
    #[test]
    fn fields_that_do_not_fit_together_are_no_share() {
        let los = column("los", ColumnRole::Measure, Treatment::Keep);
        assert_eq!(Share::try_from(share(vec![])).err(), Some(ShareFault::Columns));
        let twice = share(vec![los.clone(), los.clone()]);
        assert_eq!(Share::try_from(twice).err(), Some(ShareFault::ColumnTwice("los".parse().unwrap())));
        let files = ShareFields { form: Form::InPlaceRows, content: Content::UncheckedFiles, ..share(vec![]) };
        assert_eq!(Share::try_from(files).err(), Some(ShareFault::FilesInPlace));
        let own = ShareFields { consumers: BTreeSet::from(["north".parse().unwrap()]), ..share(vec![los]) };
        assert_eq!(Share::try_from(own).err(), Some(ShareFault::ConsumerIsProvider));
    }
}
