//! What goes into a linear model: features and an outcome with public bounds, rows as whole numbers, and the moments that are measured.

use crate::bound::{BoundError, Bounds};

/// What 1 is in whole numbers. A product of two is 2^20, so that 2^43 rows fit.
pub const UNIT: i64 = 1 << 10;
/// Entries of a row at most.
pub const WIDTH_MAX: usize = 200;

/// A number between public bounds; what lies outside is moved to the nearer one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    low: f64,
    high: f64,
}

impl Range {
    /// From `low` to `high`, both finite and in this order.
    pub fn new(low: f64, high: f64) -> Option<Self> {
        (low.is_finite() && high.is_finite() && low < high && (high - low).is_finite()).then_some(Self { low, high })
    }

    /// The middle.
    pub fn middle(&self) -> f64 {
        f64::midpoint(self.low, self.high)
    }

    /// Half the length.
    pub fn half(&self) -> f64 {
        (self.high - self.low) / 2.0
    }

    /// The place between the bounds from -1 to 1, in units; what is missing or no number is in the middle. Total: no value fails.
    #[expect(clippy::cast_possible_truncation, reason = "between -UNIT and UNIT")]
    fn whole(&self, value: Option<f64>) -> i64 {
        let place = (value.unwrap_or(f64::NAN).clamp(self.low, self.high) - self.middle()) / self.half();
        if place.is_nan() { 0 } else { (place.clamp(-1.0, 1.0) * UNIT as f64).round() as i64 }
    }
}

/// A feature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Feature {
    /// A number.
    Number(Range),
    /// One of this many values beside a reference value, which has no entry of its own.
    Category(usize),
}

/// A cell of a row, before it is made whole.
#[derive(Clone, Copy)]
pub enum Value {
    /// A number, or none.
    Number(Option<f64>),
    /// A category's number from 0, or none: the reference value.
    Category(Option<usize>),
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Value").finish_non_exhaustive()
    }
}

/// Features, outcome and the moments that follow from them. The first entry of a row is the constant, the last the outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    features: Vec<Feature>,
    outcome: Range,
    blocks: Vec<usize>,
    moments: Vec<(usize, usize)>,
}

impl Design {
    /// A model of `outcome` by these features. `None` without features, with an empty category, or with more than [`WIDTH_MAX`] entries.
    pub fn new(features: Vec<Feature>, outcome: Range) -> Option<Self> {
        // Entries of one block exclude each other.
        let mut blocks = vec![0];
        for (at, feature) in features.iter().enumerate() {
            let entries = match feature {
                Feature::Number(_) => 1,
                Feature::Category(values) => *values,
            };
            if entries == 0 || entries > WIDTH_MAX {
                return None;
            }
            blocks.extend(std::iter::repeat_n(at + 1, entries));
        }
        blocks.push(features.len() + 1);
        if features.is_empty() || blocks.len() > WIDTH_MAX {
            return None;
        }
        let mut design = Self { features, outcome, blocks, moments: Vec::new() };
        let width = design.blocks.len();
        let pairs = (0..width).flat_map(|a| (a..width).map(move |b| (a, b)));
        design.moments = pairs.filter(|(a, b)| design.place(*a, *b) == Place::Own).collect();
        Some(design)
    }

    /// How many coefficients there are, the constant's with them.
    pub fn width(&self) -> usize {
        self.blocks.len() - 1
    }

    /// The outcome's bounds.
    pub fn outcome(&self) -> Range {
        self.outcome
    }

    /// The pairs of entries whose products are measured, in the order of the moments.
    pub fn moments(&self) -> &[(usize, usize)] {
        &self.moments
    }

    /// The bounds of entry `at` where it is a number.
    pub(crate) fn range(&self, at: usize) -> Option<Range> {
        match self.blocks.get(at)?.checked_sub(1).and_then(|feature| self.features.get(feature)) {
            Some(Feature::Number(range)) => Some(*range),
            Some(Feature::Category(_)) | None => None,
        }
    }

    /// A row as whole numbers. It depends on this row alone, and no value makes it fail.
    ///
    /// Shape: one cell a feature; cells that are missing or of another kind count as none. One entry a coefficient, and the outcome's.
    pub fn whole(&self, cells: &[Value], outcome: Option<f64>) -> Vec<i64> {
        let mut row = vec![UNIT];
        for (at, feature) in self.features.iter().enumerate() {
            match (feature, cells.get(at)) {
                (Feature::Number(range), Some(Value::Number(value))) => row.push(range.whole(*value)),
                (Feature::Number(range), _) => row.push(range.whole(None)),
                (Feature::Category(values), cell) => {
                    let chosen = if let Some(Value::Category(chosen)) = cell { *chosen } else { None };
                    row.extend((0..*values).map(|value| if chosen == Some(value) { UNIT } else { 0 }));
                }
            }
        }
        row.push(self.outcome.whole(outcome));
        row
    }

    /// The sums over rows that a model needs.
    ///
    /// Shape: rows as [`Design::whole`] gives them; one sum for each of [`Design::moments`].
    pub fn sums<'a>(&self, rows: impl IntoIterator<Item = &'a [i64]>) -> Vec<i64> {
        let mut sums = vec![0_i64; self.moments.len()];
        for row in rows {
            for (sum, (a, b)) in sums.iter_mut().zip(&self.moments) {
                // A product is at most 2^20: the sum runs full after 2^43 rows, and then stays where it is.
                let product = row.get(*a).zip(row.get(*b)).map_or(0, |(a, b)| a.saturating_mul(*b));
                *sum = sum.saturating_add(product);
            }
        }
        sums
    }

    /// What a token with at most `rows` rows can change in the moments. In a row one entry of each block is not zero at most.
    ///
    /// # Errors
    /// [`BoundError`] for no rows, or too many.
    pub fn bounds(&self, rows: u32) -> Result<Bounds, BoundError> {
        let blocks = self.features.len() as u128 + 2;
        let categories = self.features.iter().filter(|feature| matches!(feature, Feature::Category(_))).count() as u128;
        // Pairs of blocks, each with itself; not a category with itself, and a constant is never beyond a unit.
        let products = blocks * (blocks + 1) / 2 - categories;
        let unit_squared = UNIT.unsigned_abs() * UNIT.unsigned_abs();
        let groups = u32::try_from(self.moments.len()).map_err(|_| BoundError::TooLarge)?;
        let bounds = Bounds::new(groups, unit_squared.saturating_mul(u64::from(rows)))?;
        let row_squared = products * u128::from(unit_squared) * u128::from(unit_squared);
        bounds.with_squared(row_squared.saturating_mul(u128::from(rows) * u128::from(rows)))
    }

    /// Where the product of two entries is found.
    pub(crate) fn place(&self, a: usize, b: usize) -> Place {
        let category = |at: usize| at != 0 && at != self.width() && self.range(at).is_none();
        if a != b && self.blocks[a] == self.blocks[b] {
            Place::Zero
        } else if a == b && category(a) {
            // Such an entry is 0 or a unit: its square is its product with the constant.
            Place::WithConstant
        } else {
            Place::Own
        }
    }
}

/// Where the product of two entries is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is measured.
    Own,
    /// It is the product of the constant and the entry.
    WithConstant,
    /// It is always zero.
    Zero,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn design() -> Design {
        let number = Feature::Number(Range::new(0.0, 10.0).unwrap());
        Design::new(vec![number, Feature::Category(3), number], Range::new(0.0, 1.0).unwrap()).unwrap()
    }

    // PRIV-2
    #[test]
    fn no_row_changes_the_moments_by_more_than_is_declared() {
        let design = design();
        let bounds = design.bounds(1).unwrap();
        let mut largest: u128 = 0;
        for a in [-1.0, 0.0, 3.0, 10.0, 99.0] {
            for category in [None, Some(0), Some(2), Some(9)] {
                for outcome in [None, Some(0.0), Some(1.0), Some(f64::NAN), Some(f64::INFINITY)] {
                    let cells = [Value::Number(Some(a)), Value::Category(category), Value::Number(Some(10.0 - a))];
                    let row = design.whole(&cells, outcome);
                    let sums = design.sums([row.as_slice()]);
                    let squared = sums.iter().map(|sum| u128::from(sum.unsigned_abs()).pow(2)).sum::<u128>();
                    assert!(squared as f64 <= bounds.length().powi(2) * (1.0 + 1e-12));
                    assert!(sums.iter().all(|sum| sum.unsigned_abs() <= bounds.single()));
                    largest = largest.max(squared);
                }
            }
        }
        // The declared length is reached, so it is not more than it must be.
        assert!((largest as f64 / bounds.length().powi(2) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_missing_or_no_number_is_in_the_middle_and_what_is_outside_at_the_bound() {
        let range = Range::new(0.0, 10.0).unwrap();
        for (value, whole) in [
            (None, 0),
            (Some(f64::NAN), 0),
            (Some(5.0), 0),
            (Some(0.0), -UNIT),
            (Some(-1e300), -UNIT),
            (Some(f64::INFINITY), UNIT),
            (Some(7.5), UNIT / 2),
        ] {
            assert_eq!(range.whole(value), whole, "{value:?}");
        }
        for (low, high) in [(1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0), (f64::MIN, f64::MAX)] {
            assert_eq!(Range::new(low, high), None);
        }
    }

    #[test]
    fn products_that_are_known_are_not_measured() {
        let design = design();
        // Entries: constant, number, three of a category, number, outcome.
        assert_eq!(design.width(), 6);
        assert_eq!(design.place(2, 3), Place::Zero);
        assert_eq!(design.place(2, 2), Place::WithConstant);
        assert_eq!(design.place(1, 1), Place::Own);
        assert_eq!(design.moments().len(), 7 * 8 / 2 - 3 - 3);
        assert_eq!(Design::new(Vec::new(), Range::new(0.0, 1.0).unwrap()), None);
        assert_eq!(Design::new(vec![Feature::Category(0)], Range::new(0.0, 1.0).unwrap()), None);
        assert_eq!(Design::new(vec![Feature::Category(1_000)], Range::new(0.0, 1.0).unwrap()), None);
    }
}
