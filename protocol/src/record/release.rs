//! The release: the operator's signed statement of what was asked and done, what attacks found, what came of it, and from what.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::{BlobDigest, DocumentDigest};
use crate::hex::byte_string;
use crate::ident::{ColumnName, ConsortiumId, Name, RelPath, ReleaseId, ShareId, SnapshotId, Text};
use crate::key::signed::Record;
use crate::limits::{BODY_FILES_MAX, PARTIES_MAX};
use crate::quantity::{AnonymityK, Bytes, ContributionBound, Delta, Millionths, Rho, Rows};
use crate::record::extension::Extensions;
use crate::record::listing::BlobRef;
use crate::record::project::ReleaseKind;
use crate::record::request::Request;
use crate::record::vocabulary::Vocabulary;
use crate::table_version::TableVersionId;
use crate::time::UnixMillis;

byte_string! {
    /// Plain SHA-256 of a released file, so that a short script can check it.
    FileDigest, 32
}

/// One file of a release's body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyFile {
    /// Where it lies in the release's folder.
    pub path: RelPath,
    /// Its length.
    pub bytes: Bytes,
    /// Its BLAKE3 hash.
    pub digest: BlobDigest,
    /// Its SHA-256.
    pub sha256: FileDigest,
    /// Rows in it.
    pub rows: Rows,
}

impl BodyFile {
    /// The blob that it is.
    pub const fn blob(&self) -> BlobRef {
        BlobRef { digest: self.digest, bytes: self.bytes }
    }
}

/// Where the rows of one member in one table version come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseInput {
    /// The share.
    pub share: ShareId,
    /// Its newest snapshot that is in it: the digest of that manifest.
    pub snapshot: SnapshotId,
    /// The mapping that made the rows.
    pub mapping: Option<DocumentDigest>,
    /// The vocabulary, where codes were mapped.
    pub vocabulary: Option<Vocabulary>,
}

/// The attacks that run before a release is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttackKind {
    /// A file with names and quasi-identifiers is joined to the release.
    Linkage,
    /// A class in which all share one sensitive value.
    Homogeneity,
    /// A class in which a sensitive value is far more frequent than in the table.
    Skewness,
    /// A few values of a class are excluded by what is known of one patient.
    Background,
    /// A class was generalised only because a finer one would have broken a model.
    Minimality,
    /// Cells are refined by what a minimal recoding would otherwise have released.
    Downcoding,
    /// Cells are refined by the greedy choices of a local recoder.
    GreedyChoices,
    /// Two releases of the same patients are joined.
    Intersection,
    /// Suppressed cells of tables of counts are bounded by their totals.
    Linear,
}

/// What one attack was taken to know, and that it stayed under the threshold. What it found exactly stays with the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttackRun {
    /// Which.
    pub attack: AttackKind,
    /// The sensitive column that it is about, if it is about one.
    pub column: Option<ColumnName>,
    /// What the attacker is taken to know.
    pub assumes: Text,
    /// At most this share was refined or disclosed beyond chance, else there were no release.
    pub threshold: Millionths,
}

/// Measures of microdata (spec ANON-11).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MicrodataMeasures {
    /// Rows of the table.
    pub rows: Rows,
    /// Rows that were suppressed.
    pub suppressed: Rows,
    /// Classes.
    pub classes: u64,
    /// The loss.
    pub loss: Millionths,
    /// The loss of each quasi-identifier.
    pub columns: BTreeMap<ColumnName, Millionths>,
    /// Average class size.
    pub class_size: Millionths,
    /// Discernibility.
    pub discernibility: u64,
    /// Entropy loss.
    pub entropy: Millionths,
}

/// A family of noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoiseKind {
    /// Discrete Laplace.
    Laplace,
    /// Discrete Gaussian.
    Gaussian,
    /// Discrete Gaussian, and only what reaches a threshold comes out.
    GaussianThreshold,
}

/// The noise of the cells of one vector of aggregates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoiseLine {
    /// What the vector counts, in words, and for which outputs.
    pub what: Text,
    /// The family.
    pub noise: NoiseKind,
    /// Its scale, in the unit of the output.
    pub scale: Millionths,
    /// The noise of a cell is within this, in the unit of the output, with a probability of 95 %.
    pub half_width: Millionths,
}

/// Differentially private answers: what they cost and how wide their noise is. Each cell of the body has its interval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AggregateDone {
    /// What was debited: rho.
    pub rho: Rho,
    /// And delta.
    pub delta: Delta,
    /// Epsilon of one linkage token, at `at`; all of the above is in it. Rounded up.
    pub epsilon: Millionths,
    /// Epsilon of a person at as many members as `tokens` says.
    pub epsilon_person: Millionths,
    /// At how many members one person may be counted, as the charter says.
    pub tokens: ContributionBound,
    /// The delta that epsilon is stated at.
    pub at: Delta,
    /// The noise of each vector.
    pub noise: Vec<NoiseLine>,
    /// Where keys are private: groups whose noised count of patients is below this are not there.
    pub threshold: Option<u64>,
    /// What was fixed beforehand, and where it comes from. What a person fixed is not covered by epsilon (law 4).
    pub origins: Vec<(Text, Text)>,
    /// Releases over the same population that epsilon does not cover (law 6).
    pub uncovered: BTreeSet<ReleaseId>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Done {
    /// Rows in classes of at least k patients.
    Microdata {
        /// The k that was kept: the request's, or the charter's where that is larger.
        k: AnonymityK,
        /// Measures.
        measures: MicrodataMeasures,
    },
    /// Counts of at least the floor, with complementary suppression.
    Counts {
        /// The floor that was kept.
        floor: u32,
        /// Cells and totals.
        cells: u64,
        /// Those that are suppressed.
        suppressed: u64,
    },
    /// Differentially private answers.
    Aggregate(Box<AggregateDone>),
}

impl Done {
    /// Which kind of release it is.
    pub const fn kind(&self) -> ReleaseKind {
        match self {
            Self::Microdata { .. } => ReleaseKind::Microdata,
            Self::Counts { .. } => ReleaseKind::Counts,
            Self::Aggregate(_) => ReleaseKind::Aggregate,
        }
    }
}

/// A release's fields, not yet checked against each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseFields {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// Who states it.
    pub operator: Name,
    /// Its id.
    pub release: ReleaseId,
    /// The charter version that it was reviewed against.
    pub charter: DocumentDigest,
    /// The project, in the version that it was reviewed against.
    pub project: DocumentDigest,
    /// The charter's account, and so the population.
    pub account: Name,
    /// What was asked, word for word.
    pub request: Request,
    /// The entry of the operator's journal that reserved it.
    pub reserved: u64,
    /// The consolidation.
    pub consolidation: DocumentDigest,
    /// The table versions that were read.
    pub tables: BTreeMap<Name, TableVersionId>,
    /// Where their rows come from, by table and member.
    pub inputs: BTreeMap<Name, BTreeMap<Name, ReleaseInput>>,
    /// Members whose rows are in the table versions and were not used, because they have not accepted the charter version.
    pub excluded: BTreeSet<Name>,
    /// What was done.
    pub done: Done,
    /// The attacks that were run.
    pub attacks: Vec<AttackRun>,
    /// Earlier releases over the population, together with which this one keeps its model.
    pub together_with: BTreeSet<ReleaseId>,
    /// What was not checked, or is not covered.
    pub not_covered: Vec<Text>,
    /// The body.
    pub body: Vec<BodyFile>,
    /// The software that made it, and its version.
    pub software: Text,
    /// When it was made.
    pub at: UnixMillis,
    /// Room for later versions.
    pub ext: Extensions,
}

/// A release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ReleaseFields", into = "ReleaseFields")]
pub struct Release(ReleaseFields);

/// Why fields do not make a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseFault {
    /// What was done is of another kind than what was asked.
    Kind,
    /// k or the floor is below what was asked.
    Floor,
    /// It states another cost than was asked for.
    Cost,
    /// No file, too many, or not in strictly ascending order of paths.
    Body,
    /// More members than a consortium has parties.
    Parties,
    /// The request is of another consortium.
    Consortium,
}

impl fmt::Display for ReleaseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind => f.write_str("what was done is of another kind than what was asked"),
            Self::Floor => f.write_str("what was kept is below what was asked"),
            Self::Cost => f.write_str("what was spent is not what was asked"),
            Self::Body => write!(f, "a body is 1 to {BODY_FILES_MAX} files in ascending order of their paths"),
            Self::Parties => write!(f, "more than {PARTIES_MAX} members are named"),
            Self::Consortium => f.write_str("the request is of another consortium"),
        }
    }
}

impl std::error::Error for ReleaseFault {}

impl TryFrom<ReleaseFields> for Release {
    type Error = ReleaseFault;

    fn try_from(fields: ReleaseFields) -> Result<Self, ReleaseFault> {
        use crate::record::request::Asked;
        match (&fields.request.asked, &fields.done) {
            (Asked::Microdata(asked), Done::Microdata { k, .. }) if *k < asked.k => return Err(ReleaseFault::Floor),
            (Asked::Counts(asked), Done::Counts { floor, .. }) if *floor < asked.floor => {
                return Err(ReleaseFault::Floor);
            }
            (Asked::Aggregate(asked), Done::Aggregate(done)) if (asked.rho, asked.delta) != (done.rho, done.delta) => {
                return Err(ReleaseFault::Cost);
            }
            (asked, done) if asked.kind() != done.kind() => return Err(ReleaseFault::Kind),
            _ => {}
        }
        if fields.request.consortium != fields.consortium {
            return Err(ReleaseFault::Consortium);
        }
        let ascending = fields.body.iter().zip(fields.body.iter().skip(1)).all(|(a, b)| a.path < b.path);
        if !(1..=BODY_FILES_MAX).contains(&fields.body.len()) || !ascending {
            return Err(ReleaseFault::Body);
        }
        let parts = fields.inputs.values().map(BTreeMap::len).max().unwrap_or(0);
        if parts.max(fields.excluded.len()) > PARTIES_MAX { Err(ReleaseFault::Parties) } else { Ok(Self(fields)) }
    }
}

impl From<Release> for ReleaseFields {
    fn from(release: Release) -> Self {
        release.0
    }
}

impl std::ops::Deref for Release {
    type Target = ReleaseFields;

    fn deref(&self) -> &ReleaseFields {
        &self.0
    }
}

impl Record for Release {
    const LABEL: &'static str = "application/vnd.cohortium.v1.release.v1";
    const TITLE: &'static str = "release";
}
