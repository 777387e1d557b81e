//! The withdrawal: the operator's signed recall of a release. What was delivered cannot be taken back; who holds it is told to
//! delete it, and who checks it is told that it was withdrawn.

use serde::{Deserialize, Serialize};

use crate::digest::DocumentDigest;
use crate::ident::{ConsortiumId, Name, ReleaseId, Text};
use crate::key::signed::Record;
use crate::record::extension::Extensions;
use crate::time::UnixMillis;

/// A recall of one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// Who recalls it.
    pub operator: Name,
    /// Its id.
    pub release: ReleaseId,
    /// Its statement.
    pub statement: DocumentDigest,
    /// Why, for people.
    pub reason: Text,
    /// When.
    pub at: UnixMillis,
    /// Room for later versions.
    pub ext: Extensions,
}

impl Record for Withdrawal {
    const LABEL: &'static str = "application/vnd.cohortium.v1.withdrawal.v1";
    const TITLE: &'static str = "withdrawal";
}
