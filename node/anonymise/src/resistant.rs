//! The attack-resistant mode, which is the default: a partition whose result says little beyond the classes themselves.
//!
//! A minimal recoding can be attacked because each of its choices says something for certain: a value that is written one level
//! up says that the level below did not do; the rest that a split leaves behind says that nobody in it has a value that went
//! its own way. Here neither is certain, because four things are drawn from a secret seed:
//!
//! - which column is split: the worth of each split is multiplied by noise, so that no order of worths follows from a choice;
//! - how many patients a value needs to go its own way: k and a few more;
//! - how many rows of each value that goes its own way stay behind with the rest, chosen at random among its rows: about as many
//!   as the rest has of its own, so that what stays under the value above looks as if drawn from all of it;
//! - and a class is written as the partition came to it, never tightened to what its rows have in common.
//!
//! Sources: Cohen 2022 (downcoding needs minimality), Wong, Fu, Wang and Pei 2007 (minimality attack), Chhillar et al. 2025,
//! arXiv 2509.03350 (greedy choices). What it costs is measured beside the plain mode; what attacks still refine, too.

use crate::hierarchy::{CELL_COST, Node};
use crate::model::{Judge, ModelFault, Models, settle};
use crate::recoding::{Recoding, SUPPRESSED};
use crate::seed::{Dice, Purpose, Seed};
use crate::table::Table;

/// How much is left to chance. The bounds are public, what is drawn within them is not.
#[derive(Clone, Debug, PartialEq)]
pub struct Resistance {
    /// Rows that stay behind for each row that the rest has of its own.
    pub left_behind: f64,
    /// Mean of the patients that a value needs beyond k.
    pub margin: f64,
    /// The scale of the noise on a split's worth, as a share of it.
    pub noise: f64,
}

impl Default for Resistance {
    fn default() -> Self {
        Self { left_behind: 1.0, margin: 1.0, noise: 0.25 }
    }
}

/// Recodes a table so that the attacks on minimal recodings find nothing that is certain.
///
/// # Errors
///
/// Models that do not fit the table.
///
/// Cost: rows times columns times the depth of the partition.
pub fn resistant(
    table: &Table,
    models: &Models,
    resistance: &Resistance,
    seed: &Seed,
) -> Result<Recoding, ModelFault> {
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
        match work.split(&part) {
            Some(parts) => open.extend(parts),
            None => {
                for row in &part.rows {
                    class_of[*row as usize] = classes;
                }
                nodes.extend(part.nodes);
                classes += 1;
            }
        }
    }
    settle(table, models, Recoding::new(class_of, &nodes, width))
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
            let worth = self.worth(part, column);
            if worth > 0.0 {
                let noise = -self.resistance.noise * (1.0 - self.dice.share()).ln();
                worths.push((worth * (1.0 + noise), column));
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
        let hierarchy = &self.table.quasi[column].hierarchy;
        let node = part.nodes[column];
        let all = part.rows.len() as f64;
        let (mut saved, mut entropy) = (0.0, 0.0);
        for (child, count) in children.zip(&counts).filter(|(_, count)| **count > 0) {
            let share = f64::from(*count) / all;
            entropy -= share * share.ln();
            if *count as usize >= self.judge.k() {
                let saves = hierarchy.cost(usize::from(node.level), node.index)
                    - hierarchy.cost(usize::from(node.level) - 1, child);
                saved += f64::from(*count) * (saves as f64 / CELL_COST as f64);
            }
        }
        // A split that keeps all together is worth most; the small number keeps it finite.
        saved / (entropy + 0.01).sqrt()
    }

    fn carry_out(&mut self, part: &Part, column: usize) -> Option<Vec<Part>> {
        let (children, counts) = self.below(part, column);
        let mut of_child: Vec<Vec<u32>> = counts.iter().map(|count| Vec::with_capacity(*count as usize)).collect();
        let quasi = &self.table.quasi[column];
        let below = quasi.hierarchy.level(usize::from(part.nodes[column].level) - 1);
        for row in &part.rows {
            of_child[(below[quasi.leaves[*row as usize] as usize] - children.start) as usize].push(*row);
        }
        let k = self.judge.k();
        let mut rest = Vec::new();
        let mut own: Vec<(u32, Vec<u32>)> = Vec::new();
        for (child, rows) in children.zip(of_child) {
            let needs = k + self.geometric(self.resistance.margin);
            if rows.len() >= needs { own.push((child, rows)) } else { rest.extend(rows) }
        }
        let leaving: usize = own.iter().map(|(_, rows)| rows.len()).sum();
        let wanted = (rest.len() as f64 * self.resistance.left_behind).ceil() as usize;
        let wanted = wanted.max(k.saturating_sub(rest.len())).max(own.len());
        for (_, rows) in &mut own {
            let share = (wanted * rows.len()).div_ceil(leaving) + self.geometric(0.5);
            let stays = share.min(rows.len().saturating_sub(k));
            for _ in 0..stays {
                let at = self.dice.below(rows.len() as u64) as usize;
                rest.push(rows.swap_remove(at));
            }
        }
        // A value that would leave nobody behind, or that does not hold, does not go.
        let mut kept = Vec::new();
        for (child, rows) in own {
            if self.judge.holds(&rows) { kept.push((child, rows)) } else { rest.extend(rows) }
        }
        if kept.is_empty() || !self.judge.holds(&rest) {
            return None;
        }
        let level = part.nodes[column].level - 1;
        let mut parts = vec![Part { rows: rest, nodes: part.nodes.clone() }];
        for (index, rows) in kept {
            let mut nodes = part.nodes.clone();
            nodes[column] = Node { level, index };
            parts.push(Part { rows, nodes });
        }
        Some(parts)
    }

    /// A number that is 0 or more, with no largest one and this mean.
    fn geometric(&mut self, mean: f64) -> usize {
        if mean <= 0.0 {
            return 0;
        }
        let share = (1.0 - self.dice.share()).ln() / (mean / (1.0 + mean)).ln();
        share.floor().min(1e6) as usize
    }
}
