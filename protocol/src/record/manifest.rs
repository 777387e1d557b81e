//! The manifest: a provider's signed statement of one snapshot.

use serde::{Deserialize, Serialize};

use crate::digest::DocumentDigest;
use crate::hex::byte_string;
use crate::ident::{ConsortiumId, Name, ShareId, SnapshotId};
use crate::key::signed::Record;
use crate::quantity::Bytes;
use crate::record::extension::Extensions;
use crate::record::listing::BlobRef;
use crate::record::schema::Column;
use crate::record::share::{Content, Share, Standard};
use crate::time::UnixMillis;

/// Whether a snapshot stands by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Base {
    /// All rows or files.
    Full,
    /// What changed since the snapshot before.
    Delta,
}

/// What a reader may believe of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContentLabel {
    /// Direct identifiers were dropped or replaced by keyed ids; rows still speak of single patients.
    Pseudonymised,
    /// Nobody looked into it; never an input to consolidation.
    Unchecked,
    /// Held to 45 CFR 164.514(b)(2): no identifier of its list, no pseudonym, no token.
    SafeHarbor,
    /// The folder of a signed release: what may be believed of it, its statement says.
    Release,
}

impl ContentLabel {
    /// The one label that content under these terms has. Whoever carries pseudonyms or tokens is pseudonymised, never
    /// Safe Harbor: the terms themselves could not say so.
    pub const fn of(terms: &Content) -> Self {
        match terms {
            Content::UncheckedFiles => Self::Unchecked,
            Content::Release { .. } => Self::Release,
            Content::Table(table) => match table.standard {
                Standard::None => Self::Pseudonymised,
                Standard::HipaaSafeHarbor => Self::SafeHarbor,
            },
        }
    }
}

byte_string! {
    /// Names a linkage sub-key without revealing it.
    LinkageKeyId, 16
}
byte_string! {
    /// A value that only a holder of the same sub-key and normaliser computes.
    LinkageCheck, 16
}

/// With which key and rules the tokens of a snapshot were made, so that a wrong key is refused, not silently unmatched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkageStatement {
    /// The charter's epoch.
    pub epoch: u32,
    /// The sub-key.
    pub key: LinkageKeyId,
    /// Version of the rules that normalise names and dates.
    pub normaliser: u16,
    /// The check value.
    pub check: LinkageCheck,
}

/// One snapshot of one share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// Who states it.
    pub provider: Name,
    /// The share.
    pub share: ShareId,
    /// The version of the share's terms it was made under: the digest of that `Share`.
    pub terms: DocumentDigest,
    /// 1, 2, 3, ... without gaps.
    pub sequence: u64,
    /// The snapshot before; `None` for the first.
    pub previous: Option<SnapshotId>,
    /// Whether it stands by itself.
    pub base: Base,
    /// When the source was read.
    pub taken: UnixMillis,
    /// The blob that names its blobs.
    pub listing: BlobRef,
    /// All its blobs together, without the listing.
    pub bytes: Bytes,
    /// What a reader may believe.
    pub label: ContentLabel,
    /// The columns that leave, with what each is to privacy and what was done to it, as the terms say. None of files.
    pub columns: Vec<Column>,
    /// About linkage tokens, where rows carry them.
    pub linkage: Option<LinkageStatement>,
    /// Room for later versions.
    pub ext: Extensions,
}

/// The columns that a manifest under these terms states.
pub fn leaving_columns(terms: &Share) -> Vec<Column> {
    match &terms.content {
        Content::Table(table) => table.leaving().cloned().collect(),
        Content::UncheckedFiles | Content::Release { .. } => Vec::new(),
    }
}

impl Record for Manifest {
    const LABEL: &'static str = "application/vnd.cohortium.v1.manifest.v1";
    const TITLE: &'static str = "manifest";
}
