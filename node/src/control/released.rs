//! What people see of projects, releases and what these have cost.

use std::collections::BTreeSet;

use cohortium_protocol::digest::DocumentDigest;
use cohortium_protocol::ident::{Name, ReleaseId};
use cohortium_protocol::record::announcement::Announcement;
use cohortium_protocol::record::project::{BudgetShare, Project, ReleaseKind};
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

/// What releases have cost this node's patients, and what its people may say to the next one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BudgetView {
    /// Releases that rows of this node were used for, in this consortium.
    pub own: BudgetShare,
    /// The same over all consortia of the node: its patients may be the same ones.
    pub own_everywhere: BudgetShare,
    /// The most that may be, before this consortium gets no more.
    pub cap: Option<BudgetShare>,
    /// Releases that are announced and not reserved, each with who has objected.
    pub announced: Vec<(Announcement, Vec<Name>)>,
}

/// A debit to an account, at the operator as it was told, at a member as it was heard.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DebitView {
    /// The journal's entry.
    pub entry: u64,
    /// When.
    pub at: String,
    /// The release.
    pub release: ReleaseId,
    /// Who asked; only its operator knows.
    pub person: Option<Name>,
    /// Under which project, where that is known.
    pub project: Option<Name>,
    /// The number of the charter version, where that is known.
    pub version: Option<u32>,
    /// Members whose rows are used.
    pub members: BTreeSet<Name>,
    /// Where it does not agree with what this node knows.
    pub disagreement: Option<String>,
    /// The account.
    pub account: Name,
    /// What kind of release.
    pub kind: ReleaseKind,
    /// What was debited.
    pub charge: Charge,
}
