//! What a question declares beside what it asks: bounds, keys and contributions, each with its source. None of it may have been
//! looked up in the rows: what is not standard or paid for names the person who fixed it (law 4).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::private::refusal::Refusal;

/// Where a declared value comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A published standard or the common schema.
    Standard(String),
    /// A person who fixed it, and answers for it: listed in the statement as not covered.
    Person(String),
    /// A private answer that was paid for: the digest of its release, in hexadecimal digits.
    Estimate(String),
    /// The question's own words: every value that its expression can have stands in it.
    Expression,
}

/// The greatest number of decimals that a measure can have.
pub(crate) const DECIMALS_MAX: u8 = 9;
/// The greatest that one unit may change one cell by, after scaling. 2^50.
pub(crate) const CHANGE_MAX: i64 = 1 << 50;
/// The most edges of a histogram or quantile.
pub(crate) const EDGES_MAX: usize = 1_025;
/// The most groups that public keys may make.
pub(crate) const GROUPS_MAX: usize = 100_000;
/// The most cells of an answer with public keys.
pub(crate) const CELLS_MAX: usize = 4_000_000;
/// The most rows of a token in a group, and groups of a token, that may be declared.
pub(crate) const CONTRIBUTION_MAX: u64 = 1_000_000;

/// Between which values the rows of a measure are clipped, and how finely they are counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// What is below counts as this.
    pub lower: f64,
    /// What is above counts as this.
    pub upper: f64,
    /// Digits behind the point; the rest is rounded away, value by value.
    #[serde(default)]
    pub decimals: u8,
    /// Where the bounds come from.
    pub source: Origin,
}

/// Between which values rows fall into the same bin: from each edge to below the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edges {
    /// Ascending; what lies outside counts in the first or last bin.
    pub at: Vec<f64>,
    /// Where they come from.
    pub source: Origin,
}

/// The values of a group key: each of them is answered, and no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// As text, days by ISO 8601; `None` is the group of rows without a value.
    pub values: Vec<Option<String>>,
    /// Where they come from.
    pub source: Origin,
}

/// How much one unit may contribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contribution {
    /// Rows of one unit that count in one group.
    pub rows: u64,
    /// Groups in which one unit counts.
    pub groups: u64,
    /// Where they come from.
    pub source: Origin,
}

/// What the asker would like; nothing here makes a question another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Wish {
    /// No more noise than this in each cell of each measure, in the measure's own unit, with a probability of 95 %.
    Error(f64),
    /// This much of the budget, in rho times 2^80.
    Budget(u128),
}

/// What is made of a table of patients' rows, in place of counts and sums by groups: the question selects its columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Study {
    /// The counts of all sets of so many columns and fewer.
    Margins {
        /// From 1 to 3.
        ways: u8,
    },
    /// A linear model of one column by the others.
    Linear {
        /// The column.
        outcome: String,
    },
    /// Synthetic rows like the table's.
    Synthetic {},
}

/// Everything that is declared for a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    /// How much one unit may contribute.
    pub contribution: Contribution,
    /// Of sums, means and variances, by the name of the output.
    #[serde(default)]
    pub bounds: BTreeMap<String, Bounds>,
    /// Of quantiles and histograms, by the name of the output.
    #[serde(default)]
    pub edges: BTreeMap<String, Edges>,
    /// Of group keys, by the name of the output. A key that is not here nor in the catalogue is private.
    #[serde(default)]
    pub keys: BTreeMap<String, Domain>,
    /// What the asker would like.
    #[serde(default)]
    pub wish: Option<Wish>,
    /// What is made of the question's rows, where it selects columns and no aggregates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub study: Option<Study>,
}

impl Bounds {
    /// 10 to the decimals.
    pub(crate) fn scale(&self) -> i64 {
        10_i64.pow(u32::from(self.decimals.min(DECIMALS_MAX)))
    }

    /// Both bounds, scaled; they are whole numbers below 2^50 in magnitude once [`check`](Self::check) has passed.
    pub(crate) fn scaled(&self) -> (i64, i64) {
        #[expect(clippy::cast_precision_loss, reason = "at most 10^9")]
        let scale = self.scale() as f64;
        #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and below 2^50, and saturating")]
        let whole = |value: f64| (value * scale).round() as i64;
        (whole(self.lower), whole(self.upper))
    }

    pub(crate) fn check(&self, output: &str) -> Result<(), Refusal> {
        if self.decimals > DECIMALS_MAX {
            return Err(Refusal::declared(output, "more than 9 decimals"));
        }
        if !self.lower.is_finite() || !self.upper.is_finite() || self.lower >= self.upper {
            return Err(Refusal::declared(output, "bounds are two finite numbers, the lower one first"));
        }
        let (lower, upper) = self.scaled();
        if lower.unsigned_abs().max(upper.unsigned_abs()) > CHANGE_MAX.unsigned_abs() {
            return Err(Refusal::declared(output, "the bounds have more than 50 bits with their decimals"));
        }
        Ok(())
    }
}

impl Edges {
    pub(crate) fn check(&self, output: &str) -> Result<(), Refusal> {
        let ascending = self.at.windows(2).all(|pair| pair[0] < pair[1]);
        if self.at.len() < 2 || self.at.len() > EDGES_MAX {
            return Err(Refusal::declared(output, "between 2 and 1,025 edges are needed"));
        }
        if !ascending || self.at.iter().any(|edge| !edge.is_finite()) {
            return Err(Refusal::declared(output, "edges are finite and ascend"));
        }
        Ok(())
    }
}

impl Contribution {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let fits = |bound: u64| (1..=CONTRIBUTION_MAX).contains(&bound);
        if fits(self.rows) && fits(self.groups) {
            return Ok(());
        }
        Err(Refusal::declared("contribution", "rows and groups are between 1 and 1,000,000"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(lower: f64, upper: f64, decimals: u8) -> Bounds {
        Bounds { lower, upper, decimals, source: Origin::Standard("test".to_owned()) }
    }

    // QUES-12
    #[test]
    fn bounds_that_hold_nothing_are_refused() {
        for (lower, upper, decimals, holds) in [
            (0.0, 1.0, 0, true),
            (1.0, 0.0, 0, false),
            (2.0, 2.0, 9, false),
            (2.0, 2.1, 9, true),
            (0.0, 1.0, 10, false),
            (f64::NEG_INFINITY, 0.0, 0, false),
            (0.0, f64::NAN, 0, false),
            (0.0, 1_125_899_906_842_624.0, 0, true),
            (0.0, 1_125_899_906_842_625.0, 0, false),
            (-1e300, 1e300, 0, false),
            (0.0, 1_125_899_906.0, 6, true),
            (0.0, 1_125_899_907.0, 6, false),
        ] {
            assert_eq!(bounds(lower, upper, decimals).check("x").is_ok(), holds, "{lower} {upper} {decimals}");
        }
        assert_eq!(bounds(-0.25, 1.5, 2).scaled(), (-25, 150));
    }

    // QUES-12
    #[test]
    fn edges_ascend_and_contributions_are_bounded() {
        let edges = |at: &[f64]| Edges { at: at.to_vec(), source: Origin::Expression }.check("x").is_ok();
        assert!(edges(&[0.0, 1.0]) && !edges(&[0.0]) && !edges(&[1.0, 1.0]) && !edges(&[0.0, f64::INFINITY]));
        let many: Vec<f64> = (0..1_026).map(f64::from).collect();
        assert!(edges(&many[..1_025]) && !edges(&many));
        let contribution = |rows, groups| Contribution { rows, groups, source: Origin::Expression }.check().is_ok();
        assert!(contribution(1, CONTRIBUTION_MAX) && !contribution(0, 1) && !contribution(1, CONTRIBUTION_MAX + 1));
    }
}
