//! How many rows a node must suppress at least, known without forming its groups: a class that is too small in three columns
//! is too small in all. Source of the idea: LeFevre, DeWitt and Ramakrishnan 2005 (Incognito), section 3, the subset property.

use super::group::{Groups, Key, Packing};
use crate::hierarchy::{Hierarchy, Node};
use crate::table::Table;

/// Most combinations of leaves of three columns that are counted; wider ones give no bound.
const COMBINATIONS_MAX: usize = 1 << 17;

/// Rows in too small classes of each three columns, at each of their levels.
pub(super) struct Bounds {
    triples: Vec<Triple>,
}

struct Triple {
    columns: Vec<usize>,
    /// Levels of each of the columns.
    levels: Vec<usize>,
    /// Rows in classes of fewer than k rows, by the levels of the columns, the last one running fastest.
    small: Vec<u64>,
}

impl Bounds {
    pub(super) fn new<K: Key>(table: &Table, packing: &Packing, leaves: &Groups<K>, k: usize) -> Self {
        let count = table.quasi.len();
        let mut triples = Vec::new();
        let size = count.min(3);
        for first in 0..count {
            for second in first + 1..count.max(first + 2) {
                for third in second + 1..count.max(second + 2) {
                    let columns: Vec<usize> = [first, second, third].into_iter().filter(|at| *at < count).collect();
                    if columns.len() == size {
                        triples.extend(Triple::new(table, packing, leaves, k, columns));
                    }
                }
            }
        }
        Self { triples }
    }

    /// The fewest rows that are suppressed at these levels.
    pub(super) fn suppressed(&self, levels: &[usize]) -> u64 {
        let of_triple = |triple: &Triple| {
            let columns = triple.columns.iter().zip(&triple.levels);
            triple.small[columns.fold(0, |at, (column, count)| at * count + levels[*column])]
        };
        self.triples.iter().map(of_triple).max().unwrap_or(0)
    }
}

impl Triple {
    fn new<K: Key>(
        table: &Table,
        packing: &Packing,
        leaves: &Groups<K>,
        k: usize,
        columns: Vec<usize>,
    ) -> Option<Self> {
        let hierarchies: Vec<&Hierarchy> = columns.iter().map(|column| &*table.quasi[*column].hierarchy).collect();
        let widths: Vec<usize> = hierarchies.iter().map(|hierarchy| hierarchy.leaves()).collect();
        if widths.iter().product::<usize>() > COMBINATIONS_MAX {
            return None;
        }
        let mut counts = vec![0_u32; widths.iter().product()];
        for (key, rows) in leaves.keys.iter().zip(&leaves.rows) {
            let place = |at: usize, (column, width): (&usize, &usize)| at * width + packing.part(*key, *column);
            counts[columns.iter().zip(&widths).fold(0, place)] += rows;
        }
        let mut triple = Self {
            levels: hierarchies.iter().map(|hierarchy| hierarchy.levels()).collect(),
            columns,
            small: Vec::new(),
        };
        triple.fill(&hierarchies, 0, &counts, &widths, k as u32);
        Some(triple)
    }

    /// Appends what each combination of levels suppresses, from the column at `at` on.
    fn fill(&mut self, hierarchies: &[&Hierarchy], at: usize, counts: &[u32], widths: &[usize], k: u32) {
        if at == hierarchies.len() {
            self.small.push(counts.iter().filter(|count| **count < k).map(|count| u64::from(*count)).sum());
            return;
        }
        let (mut counts, mut widths) = (counts.to_vec(), widths.to_vec());
        for level in 0..hierarchies[at].levels() {
            if level > 0 {
                counts = rolled_up(hierarchies[at], level, &counts, &widths, at);
                widths[at] = hierarchies[at].width(level);
            }
            self.fill(hierarchies, at + 1, &counts, &widths, k);
        }
    }
}

/// Counts after one column has gone up to a level.
fn rolled_up(hierarchy: &Hierarchy, level: usize, counts: &[u32], widths: &[usize], at: usize) -> Vec<u32> {
    let inner: usize = widths[at + 1..].iter().product();
    let (below, above) = (widths[at], hierarchy.width(level));
    let up = |index: usize| {
        let leaf = hierarchy.leaves_of(Node { level: level as u8 - 1, index: index as u32 }).start;
        hierarchy.over(level, leaf) as usize
    };
    let up: Vec<usize> = (0..below).map(up).collect();
    let outer = counts.len() / (below * inner);
    let mut rolled = vec![0; outer * above * inner];
    for (run, part) in counts.chunks_exact(inner).enumerate() {
        let to = (run / below * above + up[run % below]) * inner;
        for (sum, count) in rolled[to..to + inner].iter_mut().zip(part) {
            *sum += count;
        }
    }
    rolled
}
