//! The announcement: a release that is going to be made unless a member objects. The operator says what it would read and cost,
//! and until when its members are waited for. Nothing is reserved, computed or signed before that.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::digest::DocumentDigest;
use crate::ident::{ConsortiumId, Name, ReleaseId};
use crate::key::signed::Record;
use crate::record::extension::Extensions;
use crate::record::project::ReleaseKind;
use crate::record::reservation::Charge;
use crate::time::UnixMillis;

/// One release that members are asked about. Nothing in it depends on a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// Who would make it.
    pub operator: Name,
    /// The release.
    pub release: ReleaseId,
    /// Its kind.
    pub kind: ReleaseKind,
    /// The charter version.
    pub charter: DocumentDigest,
    /// The project, in its version.
    pub project: DocumentDigest,
    /// The charter's account.
    pub account: Name,
    /// Members whose rows would be used: each of them may object.
    pub members: BTreeSet<Name>,
    /// Parties that would receive it.
    pub recipients: BTreeSet<Name>,
    /// What would be debited.
    pub charge: Charge,
    /// From here on it is made, unless a member has objected.
    pub until: UnixMillis,
    /// When it was announced.
    pub at: UnixMillis,
    /// Room for later versions.
    pub ext: Extensions,
}

impl Record for Announcement {
    const LABEL: &'static str = "application/vnd.cohortium.v1.announcement.v1";
    const TITLE: &'static str = "announcement";
}
