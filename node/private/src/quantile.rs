//! Private quantiles: from counts between public candidates, by the exponential mechanism, or from counts that were noised already.

use cohortium_protocol::quantity::{ContributionBound, Rho};

use crate::{
    account::{Cost, Purse},
    bound::{BoundError, Bounds},
    mechanism::{Best, Choice, PlanError, ReleaseError, Scores, Wanted},
};

/// A quantile as a share in ten thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u16);

impl Share {
    /// One half.
    pub const MEDIAN: Self = Self(5_000);

    /// Ten thousandths, at most all of them.
    pub fn new(ten_thousandths: u16) -> Option<Self> {
        (ten_thousandths <= 10_000).then_some(Self(ten_thousandths))
    }
}

/// Counts of values below, between and above strictly increasing public candidates.
///
/// Shape: `between` has one entry more than there are candidates; entry i counts the values above candidate i - 1 and below candidate i.
/// `at` counts those that equal a candidate.
#[derive(Clone, Copy)]
pub struct Counts<'a> {
    /// Values strictly between neighbouring candidates, and beyond the ends.
    pub between: &'a [i64],
    /// Values that equal each candidate.
    pub at: &'a [i64],
}

impl std::fmt::Debug for Counts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counts").finish_non_exhaustive()
    }
}

/// A private quantile by the exponential mechanism (Smith 2011): the answer is one of the candidates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantile {
    share: Share,
    choice: Choice,
}

/// Why a quantile cannot be planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuantileError {
    /// The number of rows of a token is no bound.
    Bound(BoundError),
    /// The mechanism cannot be planned.
    Plan(PlanError),
}

impl std::fmt::Display for QuantileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the quantile cannot be planned")
    }
}

impl std::error::Error for QuantileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bound(error) => Some(error),
            Self::Plan(error) => Some(error),
        }
    }
}

impl Quantile {
    /// The quantile among `candidates` when a token has at most `rows` values, for at most `rho`.
    ///
    /// A value below a candidate moves its score by the rest of the share, one above by the share: never by more than the larger.
    ///
    /// # Errors
    /// [`QuantileError`], from declared bounds and the budget alone.
    pub fn within(share: Share, candidates: usize, rows: u32, rho: Rho) -> Result<Self, QuantileError> {
        let larger = u64::from(share.0.max(10_000 - share.0));
        let bounds = Bounds::new(1, larger * u64::from(rows)).map_err(QuantileError::Bound)?;
        let wanted = Wanted { select: 1, candidates, scores: Scores::Any, best: Best::Lowest };
        let choice = Choice::within(wanted, bounds, rho).map_err(QuantileError::Plan)?;
        Ok(Self { share, choice })
    }

    /// What it costs a token.
    pub fn cost(&self) -> Cost {
        self.choice.cost()
    }

    /// What it costs a person with this many tokens.
    pub fn cost_of_person(&self, tokens: ContributionBound) -> Option<Cost> {
        self.choice.cost_of_person(tokens)
    }

    /// How many values the answer's rank is off at most, beside what the best candidate's is, with this confidence.
    pub fn rank_gap(&self, confidence: f64) -> f64 {
        self.choice.score_gap(confidence) / 10_000.0
    }

    /// The index of the chosen candidate.
    ///
    /// # Errors
    /// [`ReleaseError`], neither of which depends on a count.
    pub fn release(&self, purse: &mut Purse, counts: Counts<'_>) -> Result<usize, ReleaseError> {
        let chosen = self.choice.release(purse, &scores(self.share, counts))?;
        chosen.first().copied().ok_or(ReleaseError::Failed)
    }
}

/// How far each candidate is from parting the values at the share: `|(1 - share) below - share above|` in ten thousandths.
fn scores(share: Share, counts: Counts<'_>) -> Vec<i64> {
    let total = counts.between.iter().chain(counts.at).map(|count| i128::from(*count)).sum::<i128>();
    let share = i128::from(share.0);
    let mut below = 0;
    let each = counts.between.iter().zip(counts.at).map(|(between, at)| {
        below += i128::from(*between);
        let above = total - below - i128::from(*at);
        let score = ((10_000 - share) * below - share * above).abs();
        below += i128::from(*at);
        i64::try_from(score).unwrap_or(i64::MAX)
    });
    each.collect()
}

/// The quantile of cells whose noised counts are known: post-processing, so it costs nothing more. Returns the index of the first cell
/// at whose end the sum of counts, none taken as negative, has reached the share. `None` where all counts are zero.
pub fn from_noised(share: Share, counts: &[f64]) -> Option<usize> {
    let total: f64 = counts.iter().map(|count| count.max(0.0)).sum();
    let wanted = total * f64::from(share.0) / 10_000.0;
    let mut reached = 0.0;
    let found = counts.iter().position(|count| {
        reached += count.max(0.0);
        reached >= wanted && reached > 0.0
    });
    found.filter(|_| total > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_least_where_the_share_lies() {
        // Values 1, 2, 2, 3, 9 and candidates 1, 2, 5.
        let counts = Counts { between: &[0, 0, 1, 1], at: &[1, 2, 0] };
        assert_eq!(scores(Share::MEDIAN, counts), [20_000, 5_000, 15_000]);
        // Counts at their ends do not overflow.
        let extreme = Counts { between: &[i64::MAX, i64::MAX], at: &[i64::MAX] };
        assert_eq!(scores(Share(10_000), extreme), [i64::MAX]);
    }

    // PRIV-2
    #[test]
    fn one_value_more_moves_no_score_by_more_than_the_larger_part() {
        for share in [Share(0), Share(1_000), Share::MEDIAN, Share(9_900)] {
            let larger = i64::from(share.0.max(10_000 - share.0));
            let (between, at) = ([3, 0, 2, 5], [1, 0, 4]);
            let before = scores(share, Counts { between: &between, at: &at });
            for place in 0..7 {
                let (mut between, mut at) = (between, at);
                if place < 4 {
                    between[place] += 1;
                } else {
                    at[place - 4] += 1;
                }
                let after = scores(share, Counts { between: &between, at: &at });
                assert!(before.iter().zip(&after).all(|(a, b)| (a - b).abs() <= larger), "{share:?} {place}");
            }
        }
    }

    #[test]
    fn a_median_of_many_values_is_found_within_its_stated_rank() {
        let plan = Quantile::within(Share::MEDIAN, 99, 1, Rho(1 << 75)).unwrap();
        let gap = plan.rank_gap(0.999_999);
        let between = vec![0; 100];
        let at = vec![50; 99];
        for _ in 0..40 {
            let mut purse = Purse::of(plan.cost());
            let chosen = plan.release(&mut purse, Counts { between: &between, at: &at }).unwrap();
            let off = (chosen as f64 - 49.0).abs() * 50.0;
            assert!(off <= gap, "{chosen} is {off} ranks off, stated {gap}");
        }
    }

    #[test]
    fn the_quantile_of_noised_cells_ignores_what_is_negative() {
        assert_eq!(from_noised(Share::MEDIAN, &[-5.0, 2.0, 1.0, 4.0]), Some(3));
        assert_eq!(from_noised(Share::new(0).unwrap(), &[-5.0, 2.0, 1.0, 4.0]), Some(1));
        assert_eq!(from_noised(Share::MEDIAN, &[-5.0, 0.0]), None);
        assert_eq!(Share::new(10_001), None);
    }
}
