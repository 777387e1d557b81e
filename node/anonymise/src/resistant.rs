//! The attack-resistant mode, which is the default: a partition whose result says little beyond the classes themselves.
//!
//! A minimal recoding can be attacked because each of its choices says something for certain: a value that is written one level
//! up says that the level below did not do; the rest that a split leaves behind says that nobody in it has a value that went
//! its own way. Here
//!
//! - rows whose value is too rare to go its own way do not stay under the value above, where they would be known for being
//!   rare: they are suppressed, or stay among several times as many others who were drawn at random;
//! - a class is written as the partition came to it, never tightened to what its rows have in common, and what has fewer than
//!   twice k patients is never looked at again;
//! - which column is split is drawn: the worth of each is multiplied by noise, and now and then one is passed over, so that
//!   neither an order of worths nor a failure follows from what was done.
//!
//! Sources: Cohen 2022 (downcoding needs minimality), Wong, Fu, Wang and Pei 2007 (minimality attack), Chhillar et al. 2025,
//! arXiv 2509.03350 (greedy choices). What it costs is measured beside the plain mode; what attacks still refine, too.

use crate::hierarchy::{CELL_COST, Node};
use crate::local::cost;
use crate::model::{Judge, ModelFault, Models, SHARES_OF_T, settle};
use crate::recoding::{Recoding, SUPPRESSED};
use crate::seed::{Dice, Purpose, Seed};
use crate::table::{Quasi, Table};

/// How much is left to chance. The bounds are public, what is drawn within them is not.
#[derive(Clone, Debug, PartialEq)]
pub struct Resistance {
    /// What becomes of rows whose value is too rare to go its own way.
    pub rest: Rest,
    /// How often a column is passed over, as a share.
    pub passed_over: f64,
    /// The scale of the noise on a split's worth, as a share of it.
    pub noise: f64,
}

/// What becomes of rows whose value is too rare to go its own way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rest {
    /// They stay under the value above, among so many rows of the others for each of them.
    Stays(f64),
    /// They are suppressed, where what the others save is worth it.
    Leaves,
}

impl Default for Resistance {
    fn default() -> Self {
        Self { rest: Rest::Leaves, passed_over: 1.0 / 16.0, noise: 0.25 }
    }
}

/// Recodes a table so that the attacks on minimal recodings find nothing that is certain.
///
/// # Errors
///
/// Models that do not fit the table.
///
/// Cost: rows times columns times the depth of the partition; up to three times that under t-closeness.
pub fn resistant(table: &Table, models: &Models, resistance: &Resistance, seed: &Seed) -> Result<Recoding, ModelFault> {
    let mut best: Option<Recoding> = None;
    for share in SHARES_OF_T {
        let stricter = models.with_share_of_t(share);
        let partition = partitioned(table, &stricter, resistance, seed)?;
        let before = partition.suppressed();
        let settled = settle(table, models, partition)?;
        let stays = settled.suppressed() == before;
        if best.as_ref().is_none_or(|best| cost(table, &settled) < cost(table, best)) {
            best = Some(settled);
        }
        if stays {
            break;
        }
    }
    Ok(best.unwrap_or_else(|| Recoding::nothing(table.rows, table.quasi.len())))
}

fn partitioned(table: &Table, models: &Models, resistance: &Resistance, seed: &Seed) -> Result<Recoding, ModelFault> {
    let judge = Judge::new(table, models)?;
    let width = table.quasi.len();
    let whole: Vec<u32> = (0..table.rows as u32).collect();
    if !judge.holds(&whole) {
        return Ok(Recoding::nothing(table.rows, width));
    }
    let mut work = Work { table, judge: &judge, resistance, dice: seed.dice(Purpose::Resist, 0) };
    let root = Part { rows: whole, nodes: table.quasi.iter().map(|column| column.hierarchy.root()).collect() };
    let mut open = vec![root];
    let mut class_of = vec![SUPPRESSED; table.rows];
    let (mut nodes, mut classes) = (Vec::new(), 0);
    while let Some(part) = open.pop() {
        if let Some(parts) = work.split(&part) {
            open.extend(parts);
            continue;
        }
        for row in &part.rows {
            class_of[*row as usize] = classes;
        }
        nodes.extend(part.nodes);
        classes += 1;
    }
    Ok(Recoding::new(class_of, &nodes, width))
}

struct Part {
    rows: Vec<u32>,
    nodes: Vec<Node>,
}

struct Work<'a> {
    table: &'a Table,
    judge: &'a Judge<'a>,
    resistance: &'a Resistance,
    dice: Dice,
}

impl Work<'_> {
    fn split(&mut self, part: &Part) -> Option<Vec<Part>> {
        if part.rows.len() < 2 * self.judge.k() {
            return None;
        }
        let mut worths: Vec<(f64, usize)> = Vec::new();
        for column in 0..part.nodes.len() {
            // Drawn for every column, so that what is drawn for one does not depend on another's rows.
            let (passed_over, noise) = (self.dice.share() < self.resistance.passed_over, self.dice.share());
            let worth = if passed_over { 0.0 } else { self.worth(part, column) };
            if worth > 0.0 {
                worths.push((worth * (1.0 - self.resistance.noise * (1.0 - noise).ln()), column));
            }
        }
        worths.sort_by(|a, b| b.0.total_cmp(&a.0));
        worths.into_iter().find_map(|(_, column)| self.carry_out(part, column))
    }

    /// Rows by the value below a column's current one.
    fn below(&self, part: &Part, column: usize) -> (std::ops::Range<u32>, Vec<u32>) {
        let quasi = &self.table.quasi[column];
        let children = quasi.hierarchy.children(part.nodes[column]);
        let mut counts = vec![0; children.len()];
        if !children.is_empty() {
            let below = quasi.hierarchy.level(usize::from(part.nodes[column].level) - 1);
            for row in &part.rows {
                counts[(below[quasi.leaves[*row as usize] as usize] - children.start) as usize] += 1;
            }
        }
        (children, counts)
    }

    /// What a split would save, over the square root of how evenly it splits.
    fn worth(&self, part: &Part, column: usize) -> f64 {
        let (children, counts) = self.below(part, column);
        let all = part.rows.len() as f64;
        let (mut saved, mut entropy) = (0.0, 0.0);
        for (child, count) in children.zip(&counts).filter(|(_, count)| **count > 0) {
            let share = f64::from(*count) / all;
            entropy -= share * share.ln();
            saved += self.saved(part, column, child, *count as usize, *count as usize > self.judge.k());
        }
        // A split that keeps all together is worth most; the small number keeps it finite.
        saved / (entropy + 0.01).sqrt()
    }

    /// What is saved, in cells, when rows go their own way, or not; less than nothing where they are then suppressed.
    fn saved(&self, part: &Part, column: usize, child: u32, rows: usize, goes: bool) -> f64 {
        let of_cell = |(quasi, node): (&Quasi, &Node)| {
            quasi.hierarchy.cost(usize::from(node.level), node.index) as f64 / CELL_COST as f64
        };
        let rows = rows as f64;
        let (quasi, node) = (&self.table.quasi[column], part.nodes[column]);
        match (goes, self.resistance.rest) {
            (true, _) => {
                rows * (of_cell((quasi, &node)) - of_cell((quasi, &Node { level: node.level - 1, index: child })))
            }
            (false, Rest::Stays(_)) => 0.0,
            (false, Rest::Leaves) => {
                let now: f64 = self.table.quasi.iter().zip(&part.nodes).map(of_cell).sum();
                // What a row would still have cost is not known far from the leaves, where dropping it seems to cost nothing.
                let whole = part.nodes.len() as f64;
                -rows * (whole - now).max(whole / 2.0)
            }
        }
    }

    fn carry_out(&mut self, part: &Part, column: usize) -> Option<Vec<Part>> {
        let (children, counts) = self.below(part, column);
        let mut of_child: Vec<Vec<u32>> = counts.iter().map(|count| Vec::with_capacity(*count as usize)).collect();
        let quasi = &self.table.quasi[column];
        let below = quasi.hierarchy.level(usize::from(part.nodes[column].level) - 1);
        for row in &part.rows {
            of_child[(below[quasi.leaves[*row as usize] as usize] - children.start) as usize].push(*row);
        }
        let of_child = children.zip(of_child).filter(|(_, rows)| !rows.is_empty()).collect();
        match self.resistance.rest {
            Rest::Leaves => self.leave(part, column, of_child),
            Rest::Stays(others) => self.stay(part, column, of_child, others),
        }
    }

    /// Values that hold go their own way, all others are suppressed; unless that costs more than it saves.
    fn leave(&self, part: &Part, column: usize, of_child: Vec<(u32, Vec<u32>)>) -> Option<Vec<Part>> {
        let (mut parts, mut saved, mut leaving) = (Vec::new(), 0.0, Vec::new());
        for (child, rows) in of_child {
            let goes = rows.len() > self.judge.k() && self.judge.holds(&rows);
            saved += self.saved(part, column, child, rows.len(), goes);
            if goes {
                parts.push(part.below(column, child, rows));
            } else {
                leaving.extend(rows);
            }
        }
        (saved > 0.0 && !parts.is_empty() && self.judge.may_leave(&leaving)).then_some(parts)
    }

    /// Values that hold go their own way, but for rows drawn from them that stay with those of rare values.
    fn stay(&mut self, part: &Part, column: usize, of_child: Vec<(u32, Vec<u32>)>, others: f64) -> Option<Vec<Part>> {
        let k = self.judge.k();
        // One more than k, so that somebody can stay.
        let (mut own, rare): (Vec<_>, Vec<_>) = of_child.into_iter().partition(|(_, rows)| rows.len() > k);
        let mut rest: Vec<u32> = rare.into_iter().flat_map(|(_, rows)| rows).collect();
        let leaving: usize = own.iter().map(|(_, rows)| rows.len()).sum();
        let wanted = (rest.len() as f64 * others).ceil() as usize;
        let wanted = wanted.max(k.saturating_sub(rest.len())).max(own.len());
        for (_, rows) in &mut own {
            let share = (wanted * rows.len()).div_ceil(leaving) + self.some_more();
            for _ in 0..share.min(rows.len() - k) {
                let at = self.dice.below(rows.len() as u64) as usize;
                rest.push(rows.swap_remove(at));
            }
        }
        let (own, refused): (Vec<_>, Vec<_>) = own.into_iter().partition(|(_, rows)| self.judge.holds(rows));
        rest.extend(refused.into_iter().flat_map(|(_, rows)| rows));
        if own.is_empty() || !self.judge.holds(&rest) {
            return None;
        }
        let mut parts = vec![Part { rows: rest, nodes: part.nodes.clone() }];
        parts.extend(own.into_iter().map(|(child, rows)| part.below(column, child, rows)));
        Some(parts)
    }

    /// A number that is 0 or more, with no largest one: how many stay is not known.
    fn some_more(&mut self) -> usize {
        self.dice.word().trailing_ones() as usize / 2
    }
}

impl Part {
    /// Rows that go one level down in one column.
    fn below(&self, column: usize, child: u32, rows: Vec<u32>) -> Self {
        let mut nodes = self.nodes.clone();
        nodes[column] = Node { level: nodes[column].level - 1, index: child };
        Self { rows, nodes }
    }
}
