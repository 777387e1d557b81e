//! Where and how table versions are published: a database of the party's own. Part of an order or of a pipeline's step.

use serde::{Deserialize, Serialize};

use crate::ident::Text;
use crate::record::remote::DatabasePlace;

/// Where table versions are published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishPlace {
    /// The database.
    pub place: DatabasePlace,
    /// The schema that the tables are in; `None`: where the server finds them.
    pub schema: Option<Text>,
    /// What becomes of a table that is not there.
    pub absent: AbsentTable,
    /// How ids of rows are written.
    pub ids: WrittenIds,
}

/// How ids of rows are written into a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WrittenIds {
    /// As they are: 63 bits.
    Whole,
    /// As numbers from 1, of this writing alone, for tables that hold 32 bits.
    Numbered,
}

/// What becomes of a table that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AbsentTable {
    /// Nothing is published.
    Refuse,
    /// It is made.
    Create,
}
