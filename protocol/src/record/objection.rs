//! The objection: a member's signed word, within the charter's waiting time, that an announced release is not made.

use serde::{Deserialize, Serialize};

use crate::digest::DocumentDigest;
use crate::ident::{ConsortiumId, Name, ReleaseId, Text};
use crate::key::signed::Record;
use crate::record::extension::Extensions;
use crate::time::UnixMillis;

/// One objection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objection {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// Who objects.
    pub member: Name,
    /// To which release.
    pub release: ReleaseId,
    /// As it was announced.
    pub announcement: DocumentDigest,
    /// Why, for people.
    pub reason: Text,
    /// When.
    pub at: UnixMillis,
    /// Room for later versions.
    pub ext: Extensions,
}

impl Record for Objection {
    const LABEL: &'static str = "application/vnd.cohortium.v1.objection.v1";
    const TITLE: &'static str = "objection";
}
