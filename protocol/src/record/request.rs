//! The request: what somebody wants released, under which project, for whom. Its words live in an erasable store and, once
//! granted, in the release's statement; journals and logs hold its digest alone (law 10).

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ident::{ColumnName, ConsortiumId, Name, Nonce, Text};
use crate::key::signed::Record;
use crate::limits::{REQUEST_COLUMNS_MAX, ROUND_DIGITS_MAX, SELECT_BYTES_MAX};
use crate::quantity::{AnonymityK, Delta, Millionths, Rho};
use crate::record::extension::Extensions;
use crate::record::hierarchy::{HierarchyBound, HierarchyForm};
use crate::record::project::ReleaseKind;

/// What a class must have of a sensitive column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Diversity {
    /// So many different values.
    Distinct(u32),
    /// An entropy of at least the logarithm of this, which is in millionths.
    Entropy(Millionths),
}

/// How far two values of a sensitive column are apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distance {
    /// 1.
    Equal,
    /// The difference of their places in the order of values.
    Ordered,
    /// The level of their lowest common value.
    Hierarchical(HierarchyForm),
}

/// How far a class's distribution of a sensitive column may be from that of all released rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closeness {
    /// The most, from 0 to 1.
    pub t: Millionths,
    /// By which distance.
    pub distance: Distance,
}

/// What a column of microdata is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseRole {
    /// Known to others: generalised or suppressed.
    Quasi {
        /// How it becomes coarser.
        hierarchy: HierarchyForm,
        /// The leaf of a value that is missing; `None`: a missing value is a fault.
        missing: Option<Text>,
    },
    /// Not known to others, and not to be learned.
    Sensitive {
        /// l-diversity.
        diversity: Option<Diversity>,
        /// t-closeness.
        closeness: Option<Closeness>,
    },
    /// Leaves rounded to so many decimal digits, before the point where negative.
    Measure {
        /// The digits.
        digits: i8,
    },
}

/// A column of microdata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseColumn {
    /// Its name in the question's answer and in the body.
    pub name: ColumnName,
    /// What it is.
    pub role: ReleaseRole,
}

/// How rows are recoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recoding {
    /// The default: attacks on minimal recodings find nothing that is certain.
    Resistant,
    /// A partition as fine as the models allow.
    Local,
    /// One level a column, the optimum.
    FullDomain {
        /// The largest share of rows that may be suppressed.
        suppression_max: Millionths,
    },
}

/// Whether rows of one patient can be seen to be one patient's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PatientIds {
    /// No.
    None,
    /// By a number that is random and new in each release, in the column `patient`.
    Random,
}

/// Microdata that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MicrodataTerms {
    /// The least class, in patients.
    pub k: AnonymityK,
    /// How rows are recoded.
    pub recoding: Recoding,
    /// The columns that leave, in their order.
    pub columns: Vec<ReleaseColumn>,
    /// Patients' numbers.
    pub ids: PatientIds,
}

/// How counts are rounded beside suppression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CountRounding {
    /// Not at all.
    None,
    /// To the nearest multiple.
    To(u32),
}

/// A table of counts that is asked for: patients by the values of some columns, with all totals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountTerms {
    /// The dimensions, in order; each is counted by the leaves of its hierarchy.
    pub dimensions: Vec<(ColumnName, HierarchyForm)>,
    /// Counts from 1 to one less are suppressed.
    pub floor: u32,
    /// Rounding.
    pub rounding: CountRounding,
}

/// Differentially private answers that are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AggregateTerms {
    /// Bounds, keys and contributions, each with its source, as JSON: what the question declares beside its words.
    pub declared: String,
    /// What is spent, all of it: rho.
    pub rho: Rho,
    /// And delta, which hides rare keys where keys are private.
    pub delta: Delta,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    /// Rows.
    Microdata(MicrodataTerms),
    /// Counts.
    Counts(CountTerms),
    /// Differentially private answers.
    Aggregate(AggregateTerms),
}

impl Asked {
    /// Which kind of release it is.
    pub const fn kind(&self) -> ReleaseKind {
        match self {
            Self::Microdata(_) => ReleaseKind::Microdata,
            Self::Counts(_) => ReleaseKind::Counts,
            Self::Aggregate(_) => ReleaseKind::Aggregate,
        }
    }
}

/// A request's fields, not yet checked against each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestFields {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// The project.
    pub project: Name,
    /// So that the digest of the request gives no hint at its words.
    pub salt: Nonce,
    /// One SELECT over consolidated tables: a row for each row of microdata or, for counts, rows whose patients are counted.
    pub question: String,
    /// The column of its answer that names the patient; of an aggregate, that of the tables. It does not leave.
    pub patient: ColumnName,
    /// The column of its answer that names the member whose row it is; of an aggregate, that of the tables. It leaves only as a quasi-identifier.
    pub member: ColumnName,
    /// What is asked for.
    pub asked: Asked,
    /// Parties that will receive it.
    pub recipients: BTreeSet<Name>,
    /// Room for later versions.
    pub ext: Extensions,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RequestFields", into = "RequestFields")]
pub struct Request(RequestFields);

/// Why fields do not make a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestFault {
    /// The question is empty or too long.
    Question,
    /// No column, too many, or no quasi-identifier.
    Columns,
    /// Two columns with one name, or a column with the name that patients' numbers have.
    ColumnTwice(ColumnName),
    /// The patient's column, which is a direct identifier.
    Identifier(ColumnName),
    /// The member's column is something other than a quasi-identifier.
    MemberColumn(ColumnName),
    /// A hierarchy is out of bounds.
    Hierarchy(ColumnName, HierarchyBound),
    /// A k, l, t, floor, rounding, precision or share that no release can have.
    Number(ColumnName),
    /// k or the floor is below 2.
    Floor,
    /// Nothing is spent, or a delta of one, or what is declared is too long.
    Budget,
}

impl fmt::Display for RequestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Question => write!(f, "the question has 1 to {SELECT_BYTES_MAX} bytes"),
            Self::Columns => {
                write!(f, "a request has 1 to {REQUEST_COLUMNS_MAX} columns, a quasi-identifier among them")
            }
            Self::ColumnTwice(name) => write!(f, "column {name} is there twice"),
            Self::Identifier(name) => write!(f, "column {name} names the patient and cannot be requested"),
            Self::MemberColumn(name) => {
                write!(f, "column {name} names the member: it leaves as a quasi-identifier or not")
            }
            Self::Hierarchy(name, bound) => write!(f, "column {name}: {bound}"),
            Self::Number(name) => write!(f, "column {name} is held to a number that nothing can be held to"),
            Self::Budget => write!(
                f,
                "an aggregate spends some rho and a delta below one, and declares at most {SELECT_BYTES_MAX} bytes"
            ),
            Self::Floor => f.write_str("k, floor, rounding or the share that may be suppressed cannot be kept"),
        }
    }
}

impl std::error::Error for RequestFault {}

impl TryFrom<RequestFields> for Request {
    type Error = RequestFault;

    fn try_from(fields: RequestFields) -> Result<Self, RequestFault> {
        if !(1..=SELECT_BYTES_MAX).contains(&fields.question.len()) {
            return Err(RequestFault::Question);
        }
        match &fields.asked {
            Asked::Microdata(terms) => check_microdata(&fields, terms)?,
            Asked::Counts(terms) => check_counts(&fields, terms)?,
            Asked::Aggregate(terms) => check_aggregate(terms)?,
        }
        Ok(Self(fields))
    }
}

/// The column of patients' numbers in a body of microdata.
pub const PATIENT_NUMBERS: &str = "patient";

fn check_names<'a>(
    fields: &RequestFields,
    numbers: PatientIds,
    names: impl Iterator<Item = &'a ColumnName>,
) -> Result<(), RequestFault> {
    let mut seen = BTreeSet::new();
    for name in names {
        if *name == fields.patient {
            return Err(RequestFault::Identifier(name.clone()));
        }
        let taken = numbers == PatientIds::Random && name.as_str() == PATIENT_NUMBERS;
        if taken || !seen.insert(name) {
            return Err(RequestFault::ColumnTwice(name.clone()));
        }
    }
    if (1..=REQUEST_COLUMNS_MAX).contains(&seen.len()) { Ok(()) } else { Err(RequestFault::Columns) }
}

fn check_microdata(fields: &RequestFields, terms: &MicrodataTerms) -> Result<(), RequestFault> {
    const WHOLE: Millionths = Millionths(1_000_000);
    check_names(fields, terms.ids, terms.columns.iter().map(|column| &column.name))?;
    if !terms.columns.iter().any(|column| matches!(column.role, ReleaseRole::Quasi { .. })) {
        return Err(RequestFault::Columns);
    }
    let suppressible = match terms.recoding {
        Recoding::Resistant | Recoding::Local => true,
        Recoding::FullDomain { suppression_max } => suppression_max <= WHOLE,
    };
    if terms.k.0 < 2 || !suppressible {
        return Err(RequestFault::Floor);
    }
    for column in &terms.columns {
        let quasi = matches!(column.role, ReleaseRole::Quasi { .. });
        if column.name == fields.member && !quasi {
            return Err(RequestFault::MemberColumn(column.name.clone()));
        }
        check_role(column, WHOLE)?;
    }
    Ok(())
}

fn check_role(column: &ReleaseColumn, whole: Millionths) -> Result<(), RequestFault> {
    let number = |holds: bool| if holds { Ok(()) } else { Err(RequestFault::Number(column.name.clone())) };
    let form = |form: &HierarchyForm| form.check().map_err(|bound| RequestFault::Hierarchy(column.name.clone(), bound));
    match &column.role {
        ReleaseRole::Quasi { hierarchy, missing: _ } => form(hierarchy),
        ReleaseRole::Measure { digits } => number(digits.unsigned_abs() <= ROUND_DIGITS_MAX.unsigned_abs()),
        ReleaseRole::Sensitive { diversity, closeness } => {
            number(match diversity {
                None => true,
                Some(Diversity::Distinct(l)) => *l >= 1,
                Some(Diversity::Entropy(l)) => *l >= whole,
            })?;
            let Some(Closeness { t, distance }) = closeness else { return Ok(()) };
            number(*t <= whole)?;
            match distance {
                Distance::Equal | Distance::Ordered => Ok(()),
                Distance::Hierarchical(hierarchy) => form(hierarchy),
            }
        }
    }
}

fn check_aggregate(terms: &AggregateTerms) -> Result<(), RequestFault> {
    const ONE: Delta = Delta(1 << 100);
    let spends = terms.rho > Rho(0) && terms.delta < ONE;
    if spends && terms.declared.len() <= SELECT_BYTES_MAX { Ok(()) } else { Err(RequestFault::Budget) }
}

fn check_counts(fields: &RequestFields, terms: &CountTerms) -> Result<(), RequestFault> {
    check_names(fields, PatientIds::None, terms.dimensions.iter().map(|(name, _)| name))?;
    let rounds = match terms.rounding {
        CountRounding::None => true,
        CountRounding::To(base) => base >= 2,
    };
    if terms.floor < 2 || !rounds {
        return Err(RequestFault::Floor);
    }
    for (name, hierarchy) in &terms.dimensions {
        hierarchy.check().map_err(|bound| RequestFault::Hierarchy(name.clone(), bound))?;
    }
    Ok(())
}

impl From<Request> for RequestFields {
    fn from(request: Request) -> Self {
        request.0
    }
}

impl std::ops::Deref for Request {
    type Target = RequestFields;

    fn deref(&self) -> &RequestFields {
        &self.0
    }
}

impl Record for Request {
    const LABEL: &'static str = "application/vnd.cohortium.v1.request.v1";
    const TITLE: &'static str = "request";
}
