//! The models that a class of a release must satisfy: k-anonymity in patients, l-diversity, t-closeness, and what a
//! recipient knows of its own patients.

mod closeness;
mod recipients;

pub use closeness::Distance;
pub use recipients::Recipients;

use closeness::Reference;

use crate::recoding::{Recoding, SUPPRESSED};
use crate::table::Table;

/// How diverse a sensitive column must be within each class.
#[derive(Clone, Debug, PartialEq)]
pub struct Diversity {
    /// The sensitive column's name.
    pub column: String,
    /// The measure and its bound.
    pub kind: DiversityKind,
}

/// A measure of diversity and its bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DiversityKind {
    /// So many different values.
    Distinct(u32),
    /// Entropy of at least the logarithm of this number. Source: Machanavajjhala et al. 2007, definition 4.1.
    Entropy(f64),
}

/// How close the distribution of a sensitive column within each class must be to that of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Closeness {
    /// The sensitive column's name.
    pub column: String,
    /// The largest distance, from 0 to 1.
    pub t: f64,
    /// The ground distance between values.
    pub distance: Distance,
}

/// What every class of a release must satisfy.
#[derive(Clone, Debug, PartialEq)]
pub struct Models {
    /// Fewest patients of a class; 1 asks for nothing.
    pub k: u32,
    /// Bounds on diversity.
    pub diversity: Vec<Diversity>,
    /// Bounds on closeness.
    pub closeness: Vec<Closeness>,
    /// Members that receive the release and know their own patients.
    pub recipients: Option<Recipients>,
}

/// Shares of t that a recoding is made for, the first that does being taken. What is released has another distribution than the
/// table; what is kept from t beforehand is not lost class by class afterwards.
pub(crate) const SHARES_OF_T: [f64; 3] = [1.0, 0.9, 0.75];

impl Models {
    pub(crate) fn with_share_of_t(&self, share: f64) -> Self {
        let mut stricter = self.clone();
        for closeness in &mut stricter.closeness {
            closeness.t *= share;
        }
        stricter
    }

    /// k-anonymity alone.
    pub fn k(k: u32) -> Self {
        Self { k, diversity: Vec::new(), closeness: Vec::new(), recipients: None }
    }
}

/// Why models cannot be asked of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelFault {
    /// k is 0.
    K,
    /// The table has no sensitive column of this name.
    NoColumn {
        /// The name.
        column: String,
    },
    /// l is below 1 or not a number.
    L {
        /// The sensitive column.
        column: String,
    },
    /// t is outside 0 to 1.
    T {
        /// The sensitive column.
        column: String,
    },
    /// A hierarchical distance was asked for, and the column has no hierarchy.
    NoTree {
        /// The sensitive column.
        column: String,
    },
    /// Recipients were named, and the table does not know which member a row came from.
    NoMembers,
}

impl std::fmt::Display for ModelFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::K => write!(f, "k is below 1"),
            Self::NoColumn { column } => write!(f, "there is no sensitive column {column}"),
            Self::L { column } => write!(f, "l of column {column} is below 1"),
            Self::T { column } => write!(f, "t of column {column} is not between 0 and 1"),
            Self::NoTree { column } => write!(f, "column {column} has no hierarchy to measure distances in"),
            Self::NoMembers => write!(f, "the table does not say which member a row came from"),
        }
    }
}

impl std::error::Error for ModelFault {}

/// Says whether rows may form a class.
#[expect(missing_debug_implementations, reason = "refers to rows")]
pub struct Judge<'a> {
    table: &'a Table,
    k: usize,
    diversity: Vec<(usize, DiversityKind)>,
    closeness: Vec<Reference>,
    recipients: Option<&'a Recipients>,
}

impl<'a> Judge<'a> {
    /// Prepares models for a table. Distributions of reference are those of the whole table.
    ///
    /// # Errors
    ///
    /// Models that this table cannot answer.
    pub fn new(table: &'a Table, models: &'a Models) -> Result<Self, ModelFault> {
        Self::over(table, models, |_| true)
    }

    /// The same with the distributions of some rows as reference.
    ///
    /// # Errors
    ///
    /// Models that this table cannot answer.
    pub fn over(table: &'a Table, models: &'a Models, counts: impl Fn(u32) -> bool) -> Result<Self, ModelFault> {
        if models.k == 0 {
            return Err(ModelFault::K);
        }
        let find = |name: &String| table.sensitive.iter().position(|column| column.name == *name);
        let mut diversity = Vec::new();
        for asked in &models.diversity {
            let column = asked.column.clone();
            let at = find(&asked.column).ok_or(ModelFault::NoColumn { column: column.clone() })?;
            match asked.kind {
                DiversityKind::Distinct(l) if l >= 1 => {}
                DiversityKind::Entropy(l) if l.is_finite() && l >= 1.0 => {}
                DiversityKind::Distinct(_) | DiversityKind::Entropy(_) => return Err(ModelFault::L { column }),
            }
            diversity.push((at, asked.kind));
        }
        let mut closeness = Vec::new();
        for asked in &models.closeness {
            let column = asked.column.clone();
            let at = find(&asked.column).ok_or(ModelFault::NoColumn { column: column.clone() })?;
            if !(0.0..=1.0).contains(&asked.t) {
                return Err(ModelFault::T { column });
            }
            if asked.distance == Distance::Hierarchical && table.sensitive[at].tree.is_none() {
                return Err(ModelFault::NoTree { column });
            }
            closeness.push(Reference::new(table, at, asked, &counts));
        }
        if models.recipients.is_some() && table.known_to.is_none() {
            return Err(ModelFault::NoMembers);
        }
        Ok(Self { table, k: models.k as usize, diversity, closeness, recipients: models.recipients.as_ref() })
    }

    /// Fewest patients of a class.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Whether counting rows decides: nothing but k is asked, and each row is a patient of its own.
    pub fn counts_decide(&self) -> bool {
        self.table.patient.is_none() && self.only_patients_count()
    }

    /// Whether the number of patients decides.
    pub fn only_patients_count(&self) -> bool {
        self.diversity.is_empty() && self.closeness.is_empty() && self.recipients.is_none() && self.table.told.is_none()
    }

    /// Whether these rows may form a class. No rows are no class.
    pub fn holds(&self, rows: &[u32]) -> bool {
        rows.len() >= self.k
            && !rows.is_empty()
            && self.table.patients_of(rows) >= self.k
            && self.diversity.iter().all(|(column, kind)| self.diverse(rows, *column, *kind))
            && self.closeness.iter().all(|reference| reference.close(self.table, rows))
            && self.recipients.is_none_or(|recipients| recipients.safe(self.table, rows, self.k))
            && self.table.told.as_ref().is_none_or(|told| self.told_alike(rows, told))
    }

    /// Whether these rows may be suppressed together: what earlier releases told alike of those who stay out must be told of
    /// k of them, or they are found by subtraction.
    pub(crate) fn may_leave(&self, rows: &[u32]) -> bool {
        self.table.told.as_ref().is_none_or(|told| self.told_alike(rows, told))
    }

    /// Whether the patients of a class who are alike in all earlier releases are k, or none: whoever joins the releases
    /// finds no smaller group.
    fn told_alike(&self, rows: &[u32], told: &[u32]) -> bool {
        let mut sorted = rows.to_vec();
        sorted.sort_unstable_by_key(|row| told[*row as usize]);
        sorted
            .chunk_by(|a, b| told[*a as usize] == told[*b as usize])
            .all(|alike| self.table.patients_of(alike) >= self.k)
    }

    /// Whether each class of an assignment holds.
    pub fn classes(&self, class_of: &[u32], classes: usize) -> Vec<bool> {
        crate::recoding::Members::new(class_of, classes).iter().map(|rows| self.holds(rows)).collect()
    }

    fn diverse(&self, rows: &[u32], column: usize, kind: DiversityKind) -> bool {
        let counts = tally(self.table, column, rows);
        match kind {
            DiversityKind::Distinct(l) => counts.len() >= l as usize,
            DiversityKind::Entropy(l) => {
                let all: f64 = counts.iter().map(|(_, count)| f64::from(*count)).sum();
                let entropy = |(_, count): &(u32, u32)| {
                    let share = f64::from(*count) / all;
                    -share * share.ln()
                };
                // A class of l equal shares has just this entropy; the last digits of logarithms must not refuse it.
                counts.iter().map(entropy).sum::<f64>() >= l.ln() - 1e-9
            }
        }
    }
}

/// How many patients have each value of a sensitive column, by value. A patient counts once a value.
fn tally(table: &Table, column: usize, rows: &[u32]) -> Vec<(u32, u32)> {
    let values = &table.sensitive[column].values;
    let mut found: Vec<(u32, u32)> = rows.iter().map(|row| (values[*row as usize], table.patient(*row))).collect();
    found.sort_unstable();
    found.dedup();
    let mut counts: Vec<(u32, u32)> = Vec::new();
    for (value, _) in found {
        match counts.last_mut() {
            Some((last, count)) if *last == value => *count += 1,
            _ => counts.push((value, 1)),
        }
    }
    counts
}

/// Suppresses classes until every one holds, with distributions of reference taken over what is released: what a reader of
/// the release alone can check.
///
/// # Errors
///
/// Models that this table cannot answer.
pub fn settle(table: &Table, models: &Models, mut recoding: Recoding) -> Result<Recoding, ModelFault> {
    loop {
        let judge = Judge::over(table, models, |row| recoding.class_of()[row as usize] != SUPPRESSED)?;
        let drop: Vec<bool> = recoding.members().iter().map(|rows| !judge.holds(rows)).collect();
        if !drop.contains(&true) {
            return Ok(recoding);
        }
        recoding = recoding.without(&drop);
    }
}
