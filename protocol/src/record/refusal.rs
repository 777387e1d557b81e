//! Why a request is refused by review: words that its requester may read. Nothing of it depends on a row.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a request is refused. It names no column and no text: the journal holds it (law 10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The request cannot be read, is of another consortium, or its question cannot be planned over the tables in use.
    Question,
    /// No charter is in force that binds this node.
    Charter,
    /// No project of this name is approved.
    Project,
    /// The project has expired.
    Expired,
    /// The person is not among the project's people.
    Person,
    /// The project does not allow this kind of release.
    Kind,
    /// The question reads a table or column that the project does not name.
    Columns,
    /// A column that leaves is made of what identifies the patient.
    Identifier,
    /// A recipient is no member of the consortium, or not among the project's.
    Recipients,
    /// k or the floor of counts is below the charter's.
    Floor,
    /// The charter has no account of the project's population any more.
    Account,
    /// No consolidated tables are in use, or rows in them may not be used any more.
    Tables,
    /// No member whose rows the question reads has accepted the charter version in force.
    Members,
    /// It would cost more than is left of the account, or of the project's share of it.
    Budget,
}

impl Refusal {
    /// Every refusal, in the order of the wire.
    pub const ALL: [Self; 14] = [
        Self::Question,
        Self::Charter,
        Self::Project,
        Self::Expired,
        Self::Person,
        Self::Kind,
        Self::Columns,
        Self::Identifier,
        Self::Recipients,
        Self::Floor,
        Self::Account,
        Self::Tables,
        Self::Members,
        Self::Budget,
    ];
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Question => "the request cannot be read, or its question does not fit the tables in use",
            Self::Charter => "no charter that binds this node is in force",
            Self::Project => "no project of this name is approved",
            Self::Expired => "the project has expired",
            Self::Person => "you are not among the people of this project",
            Self::Kind => "the project does not allow this kind of release",
            Self::Columns => "the question reads a table or column that the project does not name",
            Self::Identifier => "a column that would leave is made of what identifies the patient",
            Self::Recipients => "a recipient is no member of the consortium, or not among the project's",
            Self::Floor => "k or the floor of counts is below the charter's",
            Self::Account => "the charter has no account of the project's population",
            Self::Tables => "no consolidated tables are in use, or rows in them may not be used any more",
            Self::Members => "no member whose rows are read has accepted the charter in force",
            Self::Budget => "it would cost more than is left of the account, or of the project's share of it",
        })
    }
}
