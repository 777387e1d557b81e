//! t-closeness: the earth mover's distance between a class and the table, with equal, ordered or hierarchical ground
//! distance. Source: Li, Li and Venkatasubramanian 2007, section 4.

use super::{Closeness, tally};
use crate::hierarchy::{Hierarchy, Node};
use crate::table::Table;

/// The ground distance between two sensitive values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distance {
    /// Any two different values are at distance 1.
    Equal,
    /// Values are in order; neighbours are at distance 1 over (values - 1).
    Ordered,
    /// The height of the lowest common value over the height of the hierarchy.
    Hierarchical,
}

/// A distribution of reference with its bound.
pub(super) struct Reference {
    column: usize,
    share: Vec<f64>,
    t: f64,
    distance: Distance,
}

impl Reference {
    pub(super) fn new(table: &Table, column: usize, asked: &Closeness, counts: impl Fn(u32) -> bool) -> Self {
        let rows: Vec<u32> = (0..table.rows as u32).filter(|row| counts(*row)).collect();
        let share = shares(table, column, &rows);
        Self { column, share, t: asked.t, distance: asked.distance }
    }

    pub(super) fn close(&self, table: &Table, rows: &[u32]) -> bool {
        let share = shares(table, self.column, rows);
        let extra: Vec<f64> = share.iter().zip(&self.share).map(|(class, all)| class - all).collect();
        let distance = match self.distance {
            Distance::Equal => extra.iter().map(|extra| extra.abs()).sum::<f64>() / 2.0,
            Distance::Ordered => ordered(&extra),
            Distance::Hierarchical => {
                table.sensitive[self.column].tree.as_ref().map_or(0.0, |tree| hierarchical(&extra, tree))
            }
        };
        // A distance of exactly t is close; sums of shares end in noise.
        distance <= self.t + 1e-9
    }
}

fn shares(table: &Table, column: usize, rows: &[u32]) -> Vec<f64> {
    let counts = tally(table, column, rows);
    let all: f64 = counts.iter().map(|(_, count)| f64::from(*count)).sum();
    let mut share = vec![0.0; table.sensitive[column].distinct];
    for (value, count) in counts {
        share[value as usize] = f64::from(count) / all;
    }
    share
}

fn ordered(extra: &[f64]) -> f64 {
    let mut carried = 0.0;
    let mut moved = 0.0;
    for part in extra {
        carried += part;
        moved += f64::abs(carried);
    }
    if extra.len() < 2 { 0.0 } else { moved / (extra.len() - 1) as f64 }
}

/// What is moved between the children of each value costs that value's height.
fn hierarchical(extra: &[f64], tree: &Hierarchy) -> f64 {
    let height = tree.levels() - 1;
    let mut below = extra.to_vec();
    below.resize(tree.leaves(), 0.0);
    let mut cost = 0.0;
    for level in 1..=height {
        let mut above = vec![0.0; tree.width(level)];
        for (index, sum) in above.iter_mut().enumerate() {
            let (mut more, mut less) = (0.0, 0.0);
            for child in tree.children(Node { level: level as u8, index: index as u32 }) {
                let part = below[child as usize];
                *sum += part;
                if part > 0.0 { more += part } else { less -= part }
            }
            cost += level as f64 / height as f64 * f64::min(more, less);
        }
        below = above;
    }
    cost
}
