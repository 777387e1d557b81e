//! One share as its provider knows it: terms, approval, snapshots.

use crate::digest::DocumentDigest;
use crate::ident::SnapshotId;
use crate::key::signed::Signed;
use crate::record::listing::BlobRef;
use crate::record::manifest::{Base, Manifest};
use crate::record::order::Unchecked;
use crate::record::share::{Content, Share};
use crate::rule::widening::widenings;

/// A snapshot that this node has stated.
#[derive(Debug, Clone)]
pub struct Stated {
    /// Its id.
    pub id: SnapshotId,
    /// As signed.
    pub signed: Signed<Manifest>,
    /// Its content.
    pub manifest: Manifest,
    /// The local row index it was taken with.
    pub index: Option<BlobRef>,
}

/// A share of this node.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The last terms defined.
    pub share: Share,
    /// Their digest.
    pub terms: DocumentDigest,
    /// The last terms that the privacy officer has approved, or that only narrow those.
    pub approved: Option<(Share, DocumentDigest)>,
    /// Snapshots stated, in order.
    pub snapshots: Vec<Stated>,
    /// A consumer refused or erased a snapshot of the last chain: the next one is a full one.
    pub full_next: bool,
}

/// After this many deltas in a row a full snapshot is taken, so that a version's chain stays short.
pub const DELTAS_IN_A_ROW_MAX: usize = 32;

impl Offer {
    /// A share's first terms.
    pub const fn new(share: Share, terms: DocumentDigest) -> Self {
        Self { share, terms, approved: None, snapshots: Vec::new(), full_next: false }
    }

    /// Later terms. Where they only narrow what is approved, they are approved too.
    pub fn define(&mut self, share: Share, terms: DocumentDigest) {
        if self.approved.as_ref().is_some_and(|(approved, _)| widenings(approved, &share).is_empty()) {
            self.approved = Some((share.clone(), terms));
        }
        (self.share, self.terms) = (share, terms);
    }

    /// Whether this approval is one for the terms as they stand.
    pub fn approval_fits(&self, terms: DocumentDigest, unchecked: Unchecked) -> bool {
        let needed = match self.share.content {
            Content::Table(_) | Content::Release { .. } => Unchecked::No,
            Content::UncheckedFiles => Unchecked::Acknowledged,
        };
        self.terms == terms && unchecked == needed
    }

    /// Notes the approval of the terms as they stand.
    pub fn approve(&mut self) {
        self.approved = Some((self.share.clone(), self.terms));
    }

    /// Takes the approval back: what the terms are read from is another source now.
    pub fn withdraw_approval(&mut self) {
        self.approved = None;
    }

    /// Adds a snapshot that was stated.
    pub fn state(&mut self, stated: Stated) {
        self.full_next &= stated.manifest.base != Base::Full;
        self.snapshots.push(stated);
    }

    /// The terms as they stand, if they may leave.
    pub fn approved_now(&self) -> Option<&Share> {
        self.approved.as_ref().filter(|(_, terms)| *terms == self.terms).map(|(share, _)| share)
    }

    /// What the next run can build on: the snapshot before, unless terms changed or the chain of deltas is long.
    pub fn base_for_delta(&self) -> Option<&Stated> {
        let last = self.snapshots.last()?;
        let deltas = self.snapshots.iter().rev().take_while(|stated| stated.manifest.base == Base::Delta).count();
        (last.manifest.terms == self.terms && deltas < DELTAS_IN_A_ROW_MAX && !self.full_next).then_some(last)
    }

    /// Where the chain that a consumer of these terms needs begins: the last full snapshot under them.
    pub fn chain_start(&self, terms: DocumentDigest) -> Option<usize> {
        let full = |stated: &Stated| stated.manifest.base == Base::Full && stated.manifest.terms == terms;
        self.snapshots.iter().rposition(full)
    }

    /// The last full snapshot and what builds on it.
    pub fn last_chain(&self) -> &[Stated] {
        let start = self.snapshots.iter().rposition(|stated| stated.manifest.base == Base::Full);
        self.snapshots.get(start.unwrap_or(0)..).unwrap_or_default()
    }

    /// The snapshots whose blobs are still needed: from the full snapshot before the last one on, so that a consumer in
    /// the middle of a landing can end it.
    pub fn live(&self) -> &[Stated] {
        let full: Vec<usize> = self
            .snapshots
            .iter()
            .enumerate()
            .filter(|(_, stated)| stated.manifest.base == Base::Full)
            .map(|(place, _)| place)
            .collect();
        let start = full.iter().rev().nth(1).or(full.last()).copied().unwrap_or(0);
        self.snapshots.get(start..).unwrap_or_default()
    }
}
