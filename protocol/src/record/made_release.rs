//! What was made of a release, before anybody has approved or signed it. It stays in the operator's journal.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ident::{ReleaseId, Text};
use crate::limits::{ATTACK_RUNS_MAX, BODY_FILES_MAX, NOT_COVERED_MAX};
use crate::record::listing::BlobRef;
use crate::record::release::{AttackRun, BodyFile, Done};
use crate::record::reservation::Verdict;

/// What a computation gives back: enough to state and sign it later, and nothing of rows but what leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeRelease {
    /// The body's files; the blobs are stored and durable.
    pub body: Vec<BodyFile>,
    /// Everything for the privacy officer: findings with their numbers, as a blob that stays here.
    pub report: BlobRef,
    /// What it tells of each patient, for later releases: a blob that stays here.
    pub memory: Option<BlobRef>,
    /// What was done.
    pub done: Done,
    /// The attacks that were run.
    pub attacks: Vec<AttackRun>,
    /// Earlier releases together with which it keeps its model.
    pub together_with: BTreeSet<ReleaseId>,
    /// What was not checked, or is not covered.
    pub not_covered: Vec<Text>,
    /// Whether every attack stayed under its threshold.
    pub verdict: Verdict,
}

impl MadeRelease {
    /// Whether it is as short as a journal and a statement can hold.
    pub fn is_bounded(&self) -> bool {
        (1..=BODY_FILES_MAX).contains(&self.body.len())
            && self.attacks.len() <= ATTACK_RUNS_MAX
            && self.not_covered.len() <= NOT_COVERED_MAX
    }
}
