//! Splits a budget over a set of margins for the least error: the optimal matrix mechanism for margins.
//!
//! What is measured is not the margins but their orthogonal parts, once each, however many margins share one. The loss of a part's noise
//! to all margins is known, and so is its cost; the split that minimises the mean squared error has a closed form (Xiao, He, Zhang and
//! Kifer 2023, theorem 4). A part is measured in whole numbers that are orthogonal as they stand, so nothing is lost to rounding but a
//! little budget.

use std::collections::BTreeMap;

use cohortium_protocol::quantity::Rho;

use crate::{
    account::{Cost, Purse},
    bound::Bounds,
    interval::{Family, normal_two_sided},
    margins::{Columns, Domain, DomainError, Tables, root, whole_weight},
    mechanism::{Additive, PlanError, ReleaseError},
};

/// Bits after the point of a part's values, over all of its columns; a column has at most 20 of them.
const PART_BITS: u32 = 32;

/// Why margins cannot be planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrategyError {
    /// No margin is asked for, one is asked for twice, or a weight is not a positive number.
    Margins,
    /// The domain does not have a margin.
    Domain(DomainError),
    /// The budget does not reach.
    Plan(PlanError),
}

impl std::fmt::Display for StrategyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Margins => "margins are missing, repeated or of no weight",
            Self::Domain(_) => "the domain does not have a margin",
            Self::Plan(_) => "the budget cannot be split over the margins",
        })
    }
}

impl std::error::Error for StrategyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Margins => None,
            Self::Domain(error) => Some(error),
            Self::Plan(error) => Some(error),
        }
    }
}

/// A margin that is wanted, and how much an error in one of its cells counts beside others.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// The margin.
    pub columns: Columns,
    /// The weight of a squared error; 1 where all count alike.
    pub weight: f64,
}

/// How a set of margins is measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Strategy {
    domain: Domain,
    wishes: Vec<Wish>,
    parts: BTreeMap<Columns, Part>,
    cost: Cost,
    optimum: f64,
}

/// One measured part.
#[derive(Debug, Clone, PartialEq)]
struct Part {
    bits: u32,
    plan: Additive,
    /// Of a coefficient in the orthonormal basis, at most.
    variance: f64,
}

/// What one part costs and loses at variance 1.
struct Price {
    columns: Columns,
    /// Squared length of one row in the orthonormal basis.
    length: f64,
    /// Weighted squared error over all cells of all margins.
    loss: f64,
}

impl Strategy {
    /// The split of at most `rho` with the least weighted squared error over all cells, where a token has at most `rows` rows.
    ///
    /// # Errors
    /// [`StrategyError`], which depends on public sizes, bounds and the budget alone.
    pub fn within(domain: Domain, wishes: Vec<Wish>, rows: u32, rho: Rho) -> Result<Self, StrategyError> {
        let prices = prices(&domain, &wishes)?;
        let total: f64 = prices.iter().map(|price| (price.length * price.loss).sqrt()).sum();
        let rows_squared = f64::from(rows).powi(2);
        let paid = Cost { rho, ..Cost::default() };
        let mut parts = BTreeMap::new();
        let mut cost = Cost::default();
        for price in prices {
            let share = (price.length * price.loss).sqrt() / total;
            let part = Part::within(&domain, &price.columns, rows, part_of_budget(rho, share))?;
            cost = cost.plus(part.plan.cost()).ok_or(StrategyError::Plan(PlanError::BudgetTooLarge))?;
            parts.insert(price.columns, part);
        }
        let optimum = total * total * rows_squared / (2.0 * paid.rho_up());
        Ok(Self { domain, wishes, parts, cost, optimum })
    }

    /// What it costs a token.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// The margins that are wanted.
    pub fn margins(&self) -> impl Iterator<Item = &Columns> {
        self.wishes.iter().map(|wish| &wish.columns)
    }

    /// The root of the mean squared error that no Gaussian matrix mechanism goes below at this budget, by weighted cells.
    pub fn optimum(&self) -> f64 {
        (self.optimum / self.weighed()).sqrt()
    }

    /// The root of the mean squared error of what this strategy measures, by weighted cells. Known before anything is spent.
    pub fn error(&self) -> f64 {
        let each = self.wishes.iter().map(|wish| {
            let cells: f64 = self.domain.shape(&wish.columns).iter().map(|size| *size as f64).product();
            wish.weight * cells * self.variance(&wish.columns)
        });
        (each.sum::<f64>() / self.weighed()).sqrt()
    }

    /// The variance of every cell of a margin before anything else is done to it.
    pub fn variance(&self, margin: &Columns) -> f64 {
        cell_variance(&self.domain, margin, |part| self.parts.get(part).map_or(0.0, |part| part.variance))
    }

    fn weighed(&self) -> f64 {
        let cells = |wish: &Wish| self.domain.shape(&wish.columns).iter().map(|size| *size as f64).product::<f64>();
        self.wishes.iter().map(|wish| wish.weight * cells(wish)).sum()
    }

    /// Measures exact margins: all that are wanted, computed from the same bounded rows.
    ///
    /// # Errors
    /// [`ReleaseError`]: not paid in full, of which nothing is drawn; or margins missing or of another shape, which is public.
    pub fn release(&self, purse: &mut Purse, exact: &Tables<i64>) -> Result<Estimates, ReleaseError> {
        if !self.cost.fits(purse.left()) {
            return Err(ReleaseError::NotPaid);
        }
        let mut measured = BTreeMap::new();
        for (columns, part) in &self.parts {
            let source = exact
                .iter()
                .find(|(margin, cells)| columns.within(margin) && self.domain.cells(margin) == Ok(cells.len()));
            let (margin, cells) = source.ok_or(ReleaseError::Failed)?;
            let wide: Vec<i128> = cells.iter().map(|cell| i128::from(*cell)).collect();
            let summed: Vec<i64> = self.domain.project(&wide, margin, columns).into_iter().map(saturated).collect();
            let noised = part.plan.release(purse, &self.domain.whole_part(&summed, columns, part.bits))?;
            let norms = norms(&self.domain, columns, part.bits);
            let coefficients = noised.iter().zip(norms).map(|(value, norm)| *value as f64 / norm).collect();
            measured.insert(columns.clone(), Measured { coefficients, variance: part.variance });
        }
        Ok(Estimates { domain: self.domain.clone(), measured })
    }
}

impl Part {
    fn within(domain: &Domain, columns: &Columns, rows: u32, rho: Rho) -> Result<Self, StrategyError> {
        let bits = PART_BITS / u32::try_from(columns.list().len().max(1)).unwrap_or(1);
        let bits = bits.min(20);
        let (mut squared, mut single, mut values) = (1_u128, 1_u64, 1_u32);
        for column in columns.list() {
            let row = RowBounds::of(domain.size(*column), bits);
            squared = squared.saturating_mul(row.squared);
            single = single.saturating_mul(row.single);
            values = values.saturating_mul(row.values);
        }
        let rows_wide = u128::from(rows);
        let bounds = Bounds::new(values, single.saturating_mul(u64::from(rows)))
            .and_then(|bounds| bounds.with_squared(squared.saturating_mul(rows_wide * rows_wide)))
            .map_err(|_| StrategyError::Plan(PlanError::BudgetTooSmall))?;
        let plan = Additive::within(Family::Gaussian, bounds, rho).map_err(StrategyError::Plan)?;
        let least = norms(domain, columns, bits).fold(f64::INFINITY, f64::min);
        let variance = (plan.noise().scale / least).powi(2);
        Ok(Self { bits, plan, variance })
    }
}

/// What one row can change in the whole-numbered contrasts of a column.
struct RowBounds {
    values: u32,
    squared: u128,
    single: u64,
}

impl RowBounds {
    fn of(size: usize, bits: u32) -> Self {
        // A row with value j weighs in contrast j by j, and in every later one by 1.
        let weights: Vec<u64> = (1..size).map(|k| u64::from(whole_weight(k, bits))).collect();
        let mut later: u128 = 0;
        let (mut squared, mut single) = (0, 1);
        for j in (0..size).rev() {
            let own = j.checked_sub(1).map_or(0, |at| weights[at] * j as u64);
            squared = squared.max(later + u128::from(own) * u128::from(own));
            single = single.max(own).max(j.checked_sub(1).map_or(0, |at| weights[at]));
            later += j.checked_sub(1).map_or(0, |at| u128::from(weights[at]) * u128::from(weights[at]));
        }
        Self { values: u32::try_from(weights.len()).unwrap_or(u32::MAX), squared, single }
    }
}

/// The length of each whole-numbered contrast of a part, in the order of its values.
fn norms(domain: &Domain, columns: &Columns, bits: u32) -> impl Iterator<Item = f64> {
    let mut norms = vec![1.0];
    for column in columns.list() {
        let each: Vec<f64> = (1..domain.size(*column)).map(|k| f64::from(whole_weight(k, bits)) * root(k)).collect();
        norms = norms.iter().flat_map(|norm| each.iter().map(move |one| norm * one)).collect();
    }
    norms.into_iter()
}

/// Prices of all parts of all wanted margins.
fn prices(domain: &Domain, wishes: &[Wish]) -> Result<Vec<Price>, StrategyError> {
    let sane = wishes.iter().all(|wish| wish.weight.is_finite() && wish.weight > 0.0);
    let mut losses: BTreeMap<Columns, f64> = BTreeMap::new();
    for (at, wish) in wishes.iter().enumerate() {
        let cells = domain.cells(&wish.columns).map_err(StrategyError::Domain)? as f64;
        if !sane || wishes[..at].iter().any(|earlier| earlier.columns == wish.columns) {
            return Err(StrategyError::Margins);
        }
        for part in wish.columns.subsets() {
            let alone = |columns: &Columns| if *columns == part { 1.0 } else { 0.0 };
            *losses.entry(part.clone()).or_default() +=
                wish.weight * cells * cell_variance(domain, &wish.columns, alone);
        }
    }
    let length =
        |columns: &Columns| columns.list().iter().map(|column| 1.0 - 1.0 / domain.size(*column) as f64).product();
    // A column of one value says nothing: its parts have no length.
    let prices: Vec<Price> = losses
        .into_iter()
        .map(|(columns, loss)| Price { length: length(&columns), columns, loss })
        .filter(|price| price.length > 0.0)
        .collect();
    if prices.is_empty() { Err(StrategyError::Margins) } else { Ok(prices) }
}

/// The variance of a cell of a margin from those of its parts: a share of `1 - 1/n` for a column that the part has, and `1/n^2` for
/// another.
pub(crate) fn cell_variance(domain: &Domain, margin: &Columns, variance: impl Fn(&Columns) -> f64) -> f64 {
    let share = |part: &Columns| {
        let each = margin.list().iter().map(|column| {
            let size = domain.size(*column) as f64;
            if part.has(*column) { 1.0 - 1.0 / size } else { 1.0 / (size * size) }
        });
        each.product::<f64>()
    };
    margin.subsets().map(|part| variance(&part) * share(&part)).sum()
}

/// A share of a budget, rounded down.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share between 0 and 1 of 2^40")]
fn part_of_budget(rho: Rho, share: f64) -> Rho {
    let units = (share * 40_f64.exp2()).floor() as u128;
    Rho((rho.0 >> 40) * units + (((rho.0 & ((1 << 40) - 1)) * units) >> 40))
}

fn saturated(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

/// Noised parts in the orthonormal basis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measured {
    pub(crate) coefficients: Vec<f64>,
    pub(crate) variance: f64,
}

/// What was measured: margins that agree with each other, without bias, each cell with its deviation.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimates {
    pub(crate) domain: Domain,
    pub(crate) measured: BTreeMap<Columns, Measured>,
}

impl Estimates {
    /// The estimated cells of a margin all of whose parts were measured, else `None`. They may be negative.
    pub fn margin(&self, margin: &Columns) -> Option<Vec<f64>> {
        let mut cells = vec![0.0; self.domain.cells(margin).ok()?];
        for part in margin.subsets() {
            match self.measured.get(&part) {
                Some(measured) => self.domain.spread(&measured.coefficients, &part, margin, &mut cells),
                None if part.list().iter().any(|column| self.domain.size(*column) == 1) => {}
                None => return None,
            }
        }
        Some(cells)
    }

    /// Together with another measurement of the same rows: parts that both have are weighed by their precision.
    #[must_use]
    pub fn merged(mut self, other: Self) -> Self {
        for (part, theirs) in other.measured {
            let Some(own) = self.measured.get_mut(&part) else {
                self.measured.insert(part, theirs);
                continue;
            };
            let share = theirs.variance / (own.variance + theirs.variance);
            for (own, theirs) in own.coefficients.iter_mut().zip(theirs.coefficients) {
                *own = share * *own + (1.0 - share) * theirs;
            }
            own.variance *= share;
        }
        self
    }

    /// The standard deviation of every cell of a margin.
    pub fn deviation(&self, margin: &Columns) -> f64 {
        let variance = |part: &Columns| self.measured.get(part).map_or(0.0, |measured| measured.variance);
        cell_variance(&self.domain, margin, variance).sqrt()
    }

    /// The half-width of the interval of every cell of a margin at this confidence: noise alone. A half is added for whole numbers.
    pub fn half_width(&self, margin: &Columns, confidence: f64) -> f64 {
        normal_two_sided(confidence) * self.deviation(margin)
    }
}
