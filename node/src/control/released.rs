//! What people see of projects, releases and what these have cost.

use cohortium_protocol::digest::DocumentDigest;
use cohortium_protocol::ident::{Name, ReleaseId};
use cohortium_protocol::record::project::{Project, ReleaseKind};
use cohortium_protocol::record::release::Release;
use cohortium_protocol::record::reservation::Charge;
use serde::{Deserialize, Serialize};

/// A project.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProjectView {
    /// Its content.
    pub project: Project,
    /// Its digest.
    pub digest: DocumentDigest,
    /// Whether a privacy officer has approved it.
    pub approved: bool,
}

/// A release, as far as who asked may know: after the payment it waits, is there, or is not, whatever rows made of it (law 7).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReleaseView {
    /// Its id.
    pub release: ReleaseId,
    /// Who asked.
    pub person: Name,
    /// When.
    pub at: String,
    /// `waits`, `refused`, `not-released`, `released`, `same` or `withdrawn`.
    pub state: String,
    /// Why review has refused it.
    pub refusal: Option<String>,
    /// The release that it is, where the same was asked before.
    pub same: Option<ReleaseId>,
    /// What was signed.
    pub statement: Option<Box<Release>>,
    /// The digest of that.
    pub digest: Option<DocumentDigest>,
}

/// A debit to an account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DebitView {
    /// The journal's entry.
    pub entry: u64,
    /// When.
    pub at: String,
    /// The release.
    pub release: ReleaseId,
    /// Who asked.
    pub person: Name,
    /// Under which project.
    pub project: Name,
    /// The account.
    pub account: Name,
    /// What kind of release.
    pub kind: ReleaseKind,
    /// What was debited.
    pub charge: Charge,
}
