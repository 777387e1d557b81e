//! The project: a purpose, who may ask under it, for what, of which patients, until when. Every release is asked for under one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ident::{ConsortiumId, Name, Text};
use crate::key::signed::Record;
use crate::limits::{COLUMNS_MAX, PARTIES_MAX};
use crate::quantity::{Delta, Rho};
use crate::record::extension::Extensions;
use crate::time::UnixMillis;

/// The kinds of releases, never blurred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseKind {
    /// Rows under k-anonymity. Claims no epsilon.
    Microdata,
    /// A table of counts with a floor and complementary suppression. Claims no epsilon.
    Counts,
    /// Differentially private answers.
    Aggregate,
    /// A differentially private synthetic table.
    Synthetic,
}

/// What a project may use of its population's account, over its whole life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetShare {
    /// Sum of rho.
    pub rho: Rho,
    /// Sum of delta.
    pub delta: Delta,
}

/// A project's fields, not yet checked against each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectFields {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// Who runs it: the operator.
    pub operator: Name,
    /// Its name, in every version.
    pub name: Name,
    /// 1, 2, 3, ...
    pub version: u32,
    /// What the results are for.
    pub purpose: Text,
    /// The permit: an ethics vote, a contract, by its number.
    pub permit: Text,
    /// The charter's account, and so the population.
    pub account: Name,
    /// Persons of the operator who may ask.
    pub people: BTreeSet<Name>,
    /// What may be asked for.
    pub kinds: BTreeSet<ReleaseKind>,
    /// The tables that may be read, each with its columns.
    pub tables: BTreeMap<Name, BTreeSet<Name>>,
    /// Parties that may receive what is released.
    pub recipients: BTreeSet<Name>,
    /// What it may use of the account.
    pub budget: BudgetShare,
    /// Nothing is released from here on.
    pub expires: UnixMillis,
    /// Room for later versions.
    pub ext: Extensions,
}

/// A project in one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ProjectFields", into = "ProjectFields")]
pub struct Project(ProjectFields);

/// Why fields do not make a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectFault {
    /// Version 0.
    Version,
    /// Nobody may ask, or nothing may be asked for.
    Empty,
    /// No table, a table without a column, or more columns than the bound.
    Tables,
    /// More people or recipients than parties of a consortium.
    TooMany,
}

impl fmt::Display for ProjectFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version => f.write_str("the version is zero"),
            Self::Empty => f.write_str("a project names at least one person and one kind of release"),
            Self::Tables => write!(f, "a project names at least one table and 1 to {COLUMNS_MAX} columns of each"),
            Self::TooMany => write!(f, "a project names at most {PARTIES_MAX} people, tables and recipients"),
        }
    }
}

impl std::error::Error for ProjectFault {}

impl TryFrom<ProjectFields> for Project {
    type Error = ProjectFault;

    fn try_from(fields: ProjectFields) -> Result<Self, ProjectFault> {
        if fields.version == 0 {
            return Err(ProjectFault::Version);
        }
        if fields.people.is_empty() || fields.kinds.is_empty() {
            return Err(ProjectFault::Empty);
        }
        let columns = |columns: &BTreeSet<Name>| (1..=COLUMNS_MAX).contains(&columns.len());
        if fields.tables.is_empty() || !fields.tables.values().all(columns) {
            return Err(ProjectFault::Tables);
        }
        let most = fields.people.len().max(fields.recipients.len()).max(fields.tables.len());
        if most > PARTIES_MAX { Err(ProjectFault::TooMany) } else { Ok(Self(fields)) }
    }
}

impl From<Project> for ProjectFields {
    fn from(project: Project) -> Self {
        project.0
    }
}

impl std::ops::Deref for Project {
    type Target = ProjectFields;

    fn deref(&self) -> &ProjectFields {
        &self.0
    }
}

impl Record for Project {
    const LABEL: &'static str = "application/vnd.cohortium.v1.project.v1";
    const TITLE: &'static str = "project";
}
