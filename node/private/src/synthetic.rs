//! A synthetic table: columns and a tree of pairs are measured, a graphical model is fitted to them, and rows are drawn from it.
//!
//! Source: the MST mechanism (`McKenna`, Miklau and Sheldon 2021): a third of the budget for single columns, a third to choose the pairs
//! that independence describes worst, a third for those pairs. On a tree, margins that agree are the margins of exactly one Markov
//! field, so fitting is making them agree. Rows are drawn from noised values alone: they cost nothing more.

use std::collections::BTreeMap;

use cohortium_protocol::quantity::Rho;
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{RngCore, SeedableRng},
};

use crate::{
    account::{Cost, Purse},
    bound::Bounds,
    margins::{Columns, Domain, Tables},
    mechanism::{Best, Choice, ReleaseError, Scores, Wanted},
    planner::{Estimates, Strategy, StrategyError, Wish},
    postprocess::nonnegative,
};

/// What one row weighs in a pair's score.
const SCORE_UNIT: i64 = 1 << 8;
/// Rows of a synthetic table at most.
const ROWS_MAX: usize = 10_000_000;

/// A planned synthetic table.
#[derive(Debug, Clone, PartialEq)]
pub struct Synthetic {
    domain: Domain,
    rows: u32,
    singles: Strategy,
    step: Rho,
    pairs: Rho,
    cost: Cost,
}

/// A fitted model of a table: a tree of columns, each with its counts beside those of the column above.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    domain: Domain,
    /// Columns so that each stands behind the one above it.
    order: Vec<(usize, Option<usize>)>,
    tables: Tables<f64>,
}

impl Synthetic {
    /// A table over these public values for at most `rho`, where a token has at most `rows` rows.
    ///
    /// # Errors
    /// [`StrategyError`], which depends on public sizes, bounds and the budget alone.
    pub fn within(domain: Domain, rows: u32, rho: Rho) -> Result<Self, StrategyError> {
        let edges = u32::try_from(domain.width()).ok().and_then(|width| width.checked_sub(1));
        let edges = edges.filter(|edges| *edges > 0).ok_or(StrategyError::Margins)?;
        let third = Rho(rho.0 / 3);
        let step = Rho(third.0 / u128::from(edges));
        let singles = (0..domain.width()).filter_map(|column| Columns::new(vec![column]).ok());
        let singles = Strategy::within(domain.clone(), wishes(singles), rows, third)?;
        let chosen = step.0.checked_mul(u128::from(edges)).map(Rho).unwrap_or_default();
        let cost = Cost { rho: Rho(singles.cost().rho.0 + chosen.0 + third.0), ..Cost::default() };
        let planned = Self { domain, rows, singles, step, pairs: third, cost };
        // Which pairs are chosen is known only when the budget is being spent: that they can be measured is looked at before.
        Strategy::within(planned.domain.clone(), wishes(planned.candidates()), rows, third)?;
        planned.choice(2).map_err(StrategyError::Plan)?;
        Ok(planned)
    }

    /// What it costs a token, at most.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Measures and fits. Needs the exact counts of every column and of every pair of columns, computed from the same bounded rows.
    ///
    /// # Errors
    /// [`ReleaseError`]: not paid in full, of which nothing is drawn; or tables missing, which is public.
    pub fn release(&self, purse: &mut Purse, exact: &Tables<i64>) -> Result<Model, ReleaseError> {
        if !self.cost.fits(purse.left()) {
            return Err(ReleaseError::NotPaid);
        }
        let complete = self
            .candidates()
            .all(|pair| exact.get(&pair).is_some_and(|cells| self.domain.cells(&pair) == Ok(cells.len())));
        if !complete {
            return Err(ReleaseError::Failed);
        }
        let singles = self.singles.release(purse, exact)?;
        let edges = self.choose(purse, exact, &singles)?;
        let strategy = Strategy::within(self.domain.clone(), wishes(edges.iter().cloned()), self.rows, self.pairs);
        let measured = strategy.map_err(|_| ReleaseError::Failed)?.release(purse, exact)?.merged(singles);
        Ok(Model::of(&self.domain, &measured, &edges))
    }

    /// All pairs of columns.
    fn candidates(&self) -> impl Iterator<Item = Columns> + '_ {
        let width = self.domain.width();
        (0..width).flat_map(move |a| (a + 1..width).filter_map(move |b| Columns::new(vec![a, b]).ok()))
    }

    /// The choice of one pair among this many.
    fn choice(&self, candidates: usize) -> Result<Choice, crate::mechanism::PlanError> {
        let wanted = Wanted { select: 1, candidates, scores: Scores::Any, best: Best::Highest };
        let single = SCORE_UNIT.unsigned_abs().saturating_mul(u64::from(self.rows));
        let bounds = Bounds::new(1, single).map_err(|_| crate::mechanism::PlanError::BudgetTooSmall)?;
        Choice::within(wanted, bounds, self.step)
    }

    /// A spanning tree of pairs, one after the other, each the one that independence describes worst among those that join two trees.
    fn choose(
        &self,
        purse: &mut Purse,
        exact: &Tables<i64>,
        singles: &Estimates,
    ) -> Result<Vec<Columns>, ReleaseError> {
        let scored: Vec<(Columns, i64)> = self
            .candidates()
            .map(|pair| {
                let score = self.score(&pair, &exact[&pair], singles);
                (pair, score)
            })
            .collect();
        let mut tree: Vec<usize> = (0..self.domain.width()).collect();
        let mut edges = Vec::new();
        while edges.len() + 1 < self.domain.width() {
            let joining: Vec<&(Columns, i64)> =
                scored.iter().filter(|(pair, _)| tree[pair.list()[0]] != tree[pair.list()[1]]).collect();
            let scores: Vec<i64> = joining.iter().map(|(_, score)| *score).collect();
            let choice = self.choice(scores.len()).map_err(|_| ReleaseError::Failed)?;
            let chosen = choice.release(purse, &scores)?.first().copied().ok_or(ReleaseError::Failed)?;
            let pair = joining[chosen].0.clone();
            let (kept, joined) = (tree[pair.list()[0]], tree[pair.list()[1]]);
            tree.iter_mut().filter(|mark| **mark == joined).for_each(|mark| *mark = kept);
            edges.push(pair);
        }
        Ok(edges)
    }

    /// How far a pair's counts are from what independence makes of the noised columns, less what noise would add if it were measured.
    /// One row moves it by one unit at most, as the expected counts are fixed and whole.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "saturating, and the same for all tables that agree in what was noised"
    )]
    fn score(&self, pair: &Columns, cells: &[i64], singles: &Estimates) -> i64 {
        let single = |column: usize| -> Vec<f64> {
            let cells = Columns::new(vec![column]).ok().and_then(|margin| singles.margin(&margin));
            cells.unwrap_or_default().into_iter().map(|cell| cell.max(0.0)).collect()
        };
        let (first, second) = (single(pair.list()[0]), single(pair.list()[1]));
        let total = second.iter().sum::<f64>().max(1.0);
        let expected =
            first.iter().flat_map(|a| second.iter().map(move |b| (a * b / total * SCORE_UNIT as f64) as i64));
        let distance: i64 = cells
            .iter()
            .zip(expected)
            .map(|(cell, expected)| i128::from(*cell) * i128::from(SCORE_UNIT) - i128::from(expected))
            .fold(0_i64, |sum, apart| sum.saturating_add(i64::try_from(apart.abs()).unwrap_or(i64::MAX)));
        // The mean distance of a normal value is 0.8 deviations; each pair of the tree has its share of the last third.
        let share = Cost { rho: self.pairs, ..Cost::default() }.rho_up() / (self.domain.width() as f64 - 1.0);
        let noise = 0.8 * f64::from(self.rows) / (2.0 * share).sqrt() * cells.len() as f64;
        distance.saturating_sub((noise * SCORE_UNIT as f64) as i64)
    }
}

fn wishes(margins: impl Iterator<Item = Columns>) -> Vec<Wish> {
    margins.map(|columns| Wish { columns, weight: 1.0 }).collect()
}

impl Model {
    fn of(domain: &Domain, measured: &Estimates, edges: &[Columns]) -> Self {
        let singles = (0..domain.width()).filter_map(|column| Columns::new(vec![column]).ok());
        let margins: Vec<Columns> = edges.iter().cloned().chain(singles).collect();
        let cells = nonnegative::margins(measured, &margins, 0.95);
        let values = |(margin, cells): (Columns, Vec<crate::postprocess::Cell>)| {
            (margin, cells.into_iter().map(|cell| cell.value).collect())
        };
        let mut order: Vec<(usize, Option<usize>)> = vec![(0, None)];
        let mut at = 0;
        while let Some((column, above)) = order.get(at).copied() {
            for edge in edges.iter().filter(|edge| edge.has(column)) {
                let other = edge.list().iter().copied().find(|other| *other != column);
                order.extend(other.filter(|other| Some(*other) != above).map(|other| (other, Some(column))));
            }
            at += 1;
        }
        Self { domain: domain.clone(), order, tables: cells.into_iter().map(values).collect() }
    }

    /// The chosen pairs.
    pub fn pairs(&self) -> impl Iterator<Item = &Columns> {
        self.tables.keys().filter(|margin| margin.list().len() == 2)
    }

    /// How many rows the measured table has, nearly.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count between 0 and the most rows there may be"
    )]
    pub fn size(&self) -> usize {
        let total: f64 = self.tables.values().next().map_or(0.0, |cells| cells.iter().sum());
        total.round().clamp(0.0, ROWS_MAX as f64) as usize
    }

    /// Draws rows, as many as were measured or `count`: down the tree, each column's values dealt out to the rows of each value above
    /// in proportion, so that drawing adds little to the error of measuring.
    ///
    /// Shape: one number of a value a column.
    pub fn rows(&self, count: Option<usize>, seed: [u8; 32]) -> Vec<Vec<usize>> {
        let count = count.unwrap_or_else(|| self.size()).min(ROWS_MAX);
        let mut dice = ChaCha20Rng::from_seed(seed);
        let mut rows = vec![vec![0; self.domain.width()]; count];
        for (column, above) in &self.order {
            let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            for (at, row) in rows.iter().enumerate() {
                groups.entry(above.map_or(0, |above| row[above])).or_default().push(at);
            }
            for (value, mut members) in groups {
                shuffle(&mut members, &mut dice);
                let weights = self.weights(*column, above.map(|above| (above, value)));
                for (at, dealt) in members.iter().zip(deal(&weights, members.len(), &mut dice)) {
                    rows[*at][*column] = dealt;
                }
            }
        }
        rows
    }

    /// Where in its bin each row's value of a column lies, as a share of the bin: even, as nothing was measured of it.
    pub fn shares(&self, count: usize, column: usize, seed: [u8; 32]) -> Vec<f64> {
        let mut dice = ChaCha20Rng::from_seed(seed);
        // Rows are drawn from the first stream.
        dice.set_stream(column as u64 + 1);
        (0..count).map(|_| f64::from(dice.next_u32()) / 32_f64.exp2()).collect()
    }

    /// The counts of a column's values, where the column above has a given value.
    fn weights(&self, column: usize, above: Option<(usize, usize)>) -> Vec<f64> {
        let size = self.domain.size(column);
        let single = || Columns::new(vec![column]).ok().and_then(|margin| self.tables.get(&margin).cloned());
        let conditional = above.and_then(|(above, value)| {
            let table = self.tables.get(&Columns::new(vec![above, column]).ok()?)?;
            let other = self.domain.size(above);
            let cell = |at: usize| if above < column { value * size + at } else { at * other + value };
            let weights: Vec<f64> = (0..size).map(|at| table[cell(at)]).collect();
            (weights.iter().sum::<f64>() > 0.0).then_some(weights)
        });
        conditional.or_else(single).unwrap_or_else(|| vec![1.0; size])
    }
}

/// Deals values out in proportion to their weights, at evenly spaced places from a random start: each gets its share up to one.
fn deal(weights: &[f64], count: usize, dice: &mut ChaCha20Rng) -> Vec<usize> {
    let total: f64 = weights.iter().sum();
    let step = total / count as f64;
    let mut place = (f64::from(dice.next_u32()) + 0.5) / 32_f64.exp2() * step;
    let (mut reached, mut value) = (weights[0], 0);
    let mut dealt = Vec::with_capacity(count);
    for _ in 0..count {
        while reached < place && value + 1 < weights.len() {
            value += 1;
            reached += weights[value];
        }
        dealt.push(value);
        place += step;
    }
    dealt
}

/// Fisher and Yates.
fn shuffle(members: &mut [usize], dice: &mut ChaCha20Rng) {
    for at in (1..members.len()).rev() {
        let other = (u128::from(dice.next_u64()) * (at as u128 + 1)) >> 64;
        members.swap(at, usize::try_from(other).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_dealt_in_proportion() {
        let mut dice = ChaCha20Rng::from_seed([7; 32]);
        for _ in 0..50 {
            let dealt = deal(&[1.0, 0.0, 2.5, 0.5], 400, &mut dice);
            for (value, share) in [(0, 100.0), (1, 0.0), (2, 250.0), (3, 50.0)] {
                let found = dealt.iter().filter(|dealt| **dealt == value).count() as f64;
                assert!((found - share).abs() <= 1.0, "{value}: {found}");
            }
        }
        let mut members: Vec<usize> = (0..100).collect();
        shuffle(&mut members, &mut dice);
        assert_ne!(members, (0..100).collect::<Vec<_>>());
        members.sort_unstable();
        assert_eq!(members, (0..100).collect::<Vec<_>>());
    }
}
