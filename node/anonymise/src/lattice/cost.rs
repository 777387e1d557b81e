//! What levels and suppressed groups cost, as integers, so that sums do not depend on their order and no search is decided
//! by the last digit of a float.

use crate::hierarchy::{CELL_COST, Hierarchy};
use crate::loss::{Measure, occurrences};
use crate::table::{Quasi, Table};

/// Costs of a measure that is a sum over cells, or what stands in for them.
pub(super) struct Prices {
    pub(super) measure: Measure,
    pub(super) rows: u64,
    /// By column and level: what all rows cost at this level.
    base: Vec<Vec<u128>>,
    /// By column, level and value: what a suppressed cell costs more than a released one.
    gap: Vec<Vec<Vec<u64>>>,
}

impl Prices {
    pub(super) fn new(table: &Table, measure: Measure) -> Self {
        let (mut base, mut gap) = (Vec::new(), Vec::new());
        for column in &table.quasi {
            let (of_level, of_node) = match measure {
                Measure::Entropy => by_bits(column),
                Measure::Loss | Measure::Discernibility | Measure::AverageClassSize => by_leaves(column),
            };
            base.push(of_level);
            gap.push(of_node);
        }
        Self { measure, rows: table.rows as u64, base, gap }
    }

    /// What all rows cost at these levels if none is suppressed: no suppression makes it less.
    pub(super) fn base(&self, levels: &[usize]) -> u128 {
        match self.measure {
            Measure::Loss | Measure::Entropy => {
                self.base.iter().zip(levels).map(|(column, level)| column[*level]).sum()
            }
            Measure::Discernibility | Measure::AverageClassSize => 0,
        }
    }

    /// The least that these levels cost where so many rows are suppressed.
    pub(super) fn least(&self, levels: &[usize], suppressed: u64) -> u128 {
        let gap = |(column, level): (usize, &usize)| self.gap[column][*level].iter().copied().min().unwrap_or(0);
        let gap: u64 = levels.iter().enumerate().map(gap).sum();
        match self.measure {
            Measure::Loss | Measure::Entropy => self.base(levels) + u128::from(gap) * u128::from(suppressed),
            Measure::Discernibility => u128::from(suppressed) * u128::from(self.rows),
            Measure::AverageClassSize => 0,
        }
    }

    pub(super) fn gap(&self, column: usize, level: usize) -> &[u64] {
        &self.gap[column][level]
    }

    /// The cost of classes of these sizes with so many rows suppressed, for the measures that are no sum over cells.
    pub(super) fn of_sizes(&self, sum_of_squares: u128, classes: u64, suppressed: u64) -> u128 {
        let (rows, suppressed) = (u128::from(self.rows), u128::from(suppressed));
        match self.measure {
            Measure::Discernibility => sum_of_squares + suppressed * rows,
            Measure::AverageClassSize if classes > 0 => ((rows - suppressed) << 40) / u128::from(classes),
            Measure::AverageClassSize => u128::MAX,
            Measure::Loss | Measure::Entropy => 0,
        }
    }
}

fn by_leaves(column: &Quasi) -> (Vec<u128>, Vec<Vec<u64>>) {
    let occurs = occurrences(column);
    let cost = |level: usize, index: usize| column.hierarchy.cost(level, index as u32);
    by_level(&column.hierarchy, &occurs, cost, CELL_COST)
}

/// Bits of a value are the logarithm of how often it occurs, less that of its leaf, which no choice changes.
fn by_bits(column: &Quasi) -> (Vec<u128>, Vec<Vec<u64>>) {
    let occurs = occurrences(column);
    let bits = |count: u64| if count == 0 { 0 } else { ((count as f64).log2() * f64::from(1 << 24)).round() as u64 };
    let all = bits(column.leaves.len() as u64);
    by_level(&column.hierarchy, &occurs, |level, index| bits(occurs[level][index]), all)
}

fn by_level(
    hierarchy: &Hierarchy,
    occurs: &[Vec<u64>],
    cost: impl Fn(usize, usize) -> u64,
    suppressed: u64,
) -> (Vec<u128>, Vec<Vec<u64>>) {
    let (mut base, mut gap) = (Vec::new(), Vec::new());
    for (level, occurs) in occurs.iter().enumerate() {
        let costs: Vec<u64> = (0..hierarchy.width(level)).map(|index| cost(level, index)).collect();
        base.push(costs.iter().zip(occurs).map(|(cost, count)| u128::from(*cost) * u128::from(*count)).sum());
        gap.push(costs.iter().map(|cost| suppressed.saturating_sub(*cost)).collect());
    }
    (base, gap)
}
