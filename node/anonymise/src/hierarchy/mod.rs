//! A hierarchy: levels of ever coarser values over the leaves of one column. Builders for tables, intervals, dates,
//! prefixes and trees stand in the files beside this one; which cell is which leaf is `lookup`.
//!
//! Leaves are numbered so that every node of every level covers a run of consecutive leaves. A lowest common ancestor is
//! then known from the smallest and the largest leaf alone.

mod dates;
mod intervals;
mod lookup;
mod prefix;
mod table;
mod tree;

use std::collections::HashMap;
use std::ops::Range;

pub use dates::{DateStep, Dates};
pub use intervals::Intervals;
pub use lookup::Cell;

use lookup::Lookup;

/// Most leaves of one hierarchy.
pub const LEAVES_MAX: usize = 1 << 20;
/// Most levels of one hierarchy, leaves and root included.
pub const LEVELS_MAX: usize = 32;
/// One whole cell of loss, in the integer units that searches add up: 2^32.
pub const CELL_COST: u64 = 1 << 32;
/// What the root is called where a builder has to add one.
pub const ROOT: &str = "*";

/// What is wrong with a hierarchy. Names levels and lines of the definition, which is public, and no cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HierarchyFault {
    /// It has no leaf.
    Empty,
    /// It has more leaves or levels than [`LEAVES_MAX`] or [`LEVELS_MAX`].
    TooLarge,
    /// A line has another number of levels than the first.
    Ragged {
        /// The line, from 0.
        line: usize,
    },
    /// A line names nothing at a level, or a node of a tree has no way to the root.
    Hole {
        /// The line, from 0.
        line: usize,
        /// The level, leaves being 0.
        level: usize,
    },
    /// A leaf stands on two lines.
    Twice {
        /// The second line, from 0.
        line: usize,
    },
    /// A value stands below two different values of the next level.
    TwoParents {
        /// The line that contradicts an earlier one, from 0.
        line: usize,
        /// The level of the value with two parents.
        level: usize,
    },
    /// A value is its own ancestor.
    Cycle {
        /// A line on the way round, from 0.
        line: usize,
        /// The level where the value comes back.
        level: usize,
    },
    /// Steps do not grow, do not nest, or are not above zero.
    Steps {
        /// The level of the first such step.
        level: usize,
    },
    /// The range of values is empty or not a number.
    Range,
}

impl std::fmt::Display for HierarchyFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => write!(f, "the hierarchy has no leaves"),
            Self::TooLarge => write!(f, "the hierarchy has over {LEAVES_MAX} leaves or {LEVELS_MAX} levels"),
            Self::Ragged { line } => write!(f, "line {line} has another number of levels than the first"),
            Self::Hole { line, level } => write!(f, "line {line} has a hole at level {level}"),
            Self::Twice { line } => write!(f, "line {line} repeats the leaf of an earlier line"),
            Self::TwoParents { line, level } => write!(f, "line {line} gives a value of level {level} a second parent"),
            Self::Cycle { line, level } => write!(f, "line {line} comes back to an earlier value at level {level}"),
            Self::Steps { level } => write!(f, "the step of level {level} does not hold whole steps of the one below"),
            Self::Range => write!(f, "the range of values is empty"),
        }
    }
}

impl std::error::Error for HierarchyFault {}

/// One value of one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    /// The level, leaves being 0.
    pub level: u8,
    /// The value's number within its level.
    pub index: u32,
}

#[derive(Clone, Debug)]
struct Level {
    /// The node above each leaf.
    of_leaf: Vec<u32>,
    labels: Vec<String>,
    /// The first leaf of each node, and the number of leaves at the end.
    first: Vec<u32>,
    /// What a cell at each node costs, in parts of [`CELL_COST`].
    cost: Vec<u64>,
}

/// Levels of ever coarser values; level 0 are the leaves, the last level is one root.
#[derive(Clone, Debug)]
pub struct Hierarchy {
    levels: Vec<Level>,
    lookup: Lookup,
}

impl Hierarchy {
    /// Builds a hierarchy from one path a leaf, from the leaf to the root. A root is added where the last level has
    /// several values.
    ///
    /// # Errors
    ///
    /// Every fault that a table of levels can have.
    pub fn from_paths(mut paths: Vec<Vec<String>>) -> Result<Self, HierarchyFault> {
        table::check(&paths)?;
        let top = paths[0].len() - 1;
        if paths.iter().any(|path| path[top] != paths[0][top]) {
            for path in &mut paths {
                path.push(ROOT.to_owned());
            }
        }
        if paths[0].len() > LEVELS_MAX {
            return Err(HierarchyFault::TooLarge);
        }
        let paths = in_tree_order(paths);
        let levels: Vec<Level> = (0..paths[0].len()).map(|level| Level::new(&paths, level)).collect();
        let leaves = levels[0].labels.iter().enumerate().map(|(leaf, label)| (label.clone(), leaf as u32));
        Ok(Self { lookup: Lookup::Labels(leaves.collect()), levels })
    }

    fn with_lookup(mut self, lookup: Lookup) -> Self {
        self.lookup = lookup;
        self
    }

    /// The number of levels, leaves and root included.
    pub fn levels(&self) -> usize {
        self.levels.len()
    }

    /// The number of leaves of the domain.
    pub fn leaves(&self) -> usize {
        self.levels[0].labels.len()
    }

    /// The number of values of a level.
    pub fn width(&self, level: usize) -> usize {
        self.levels[level].labels.len()
    }

    /// The value of a level that stands over a leaf.
    pub fn over(&self, level: usize, leaf: u32) -> u32 {
        self.levels[level].of_leaf[leaf as usize]
    }

    /// The values of a level over every leaf, by leaf.
    pub fn level(&self, level: usize) -> &[u32] {
        &self.levels[level].of_leaf
    }

    /// How a value is written.
    pub fn label(&self, node: Node) -> &str {
        &self.levels[usize::from(node.level)].labels[node.index as usize]
    }

    /// The leaves below a value.
    pub fn leaves_of(&self, node: Node) -> Range<u32> {
        let first = &self.levels[usize::from(node.level)].first;
        first[node.index as usize]..first[node.index as usize + 1]
    }

    /// The values one level down below a value; empty for a leaf.
    pub fn children(&self, node: Node) -> Range<u32> {
        if node.level == 0 {
            return 0..0;
        }
        let leaves = self.leaves_of(node);
        let below = &self.levels[usize::from(node.level) - 1].of_leaf;
        below[leaves.start as usize]..below[leaves.end as usize - 1] + 1
    }

    /// What a cell loses when it is written as this value, in parts of [`CELL_COST`]: leaves below it over leaves of the
    /// domain, a leaf losing nothing. A leaf that a ragged hierarchy repeats on higher levels is still a leaf.
    pub fn cost(&self, level: usize, index: u32) -> u64 {
        self.levels[level].cost[index as usize]
    }

    /// The lowest value over both leaves.
    pub fn meet(&self, a: u32, b: u32) -> Node {
        let meets = |level: &usize| self.over(*level, a) == self.over(*level, b);
        let level = (0..self.levels()).find(meets).unwrap_or(self.levels() - 1);
        Node { level: level as u8, index: self.over(level, a) }
    }

    /// The root.
    pub fn root(&self) -> Node {
        Node { level: (self.levels() - 1) as u8, index: 0 }
    }

    /// The value of a level over another value; itself at or below its own level.
    pub fn lifted(&self, node: Node, level: usize) -> Node {
        if level <= usize::from(node.level) {
            return node;
        }
        Node { level: level as u8, index: self.over(level, self.leaves_of(node).start) }
    }

    /// Which leaf a cell is, or nothing where the hierarchy does not hold it.
    pub fn leaf(&self, cell: Cell<'_>) -> Option<u32> {
        self.lookup.leaf(cell)
    }
}

impl Level {
    fn new(paths: &[Vec<String>], level: usize) -> Self {
        let (mut of_leaf, mut labels, mut first) = (Vec::new(), Vec::<String>::new(), Vec::new());
        for (leaf, path) in paths.iter().enumerate() {
            if labels.last() != Some(&path[level]) {
                labels.push(path[level].clone());
                first.push(leaf as u32);
            }
            of_leaf.push((labels.len() - 1) as u32);
        }
        first.push(paths.len() as u32);
        let cost = (0..labels.len()).map(|node| {
            let leaf = &paths[first[node] as usize][0];
            let (below, all) = (u64::from(first[node + 1] - first[node]), paths.len() as u64);
            if below == 1 && *leaf == labels[node] { 0 } else { CELL_COST * below / all }
        });
        Self { cost: cost.collect(), of_leaf, labels, first }
    }
}

/// Sorts paths so that every value of every level covers consecutive ones, in the order in which values first appear.
fn in_tree_order(paths: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let mut ranks: Vec<HashMap<&str, u32>> = vec![HashMap::new(); paths[0].len()];
    let mut keyed: Vec<(Vec<u32>, usize)> = Vec::with_capacity(paths.len());
    for (line, path) in paths.iter().enumerate() {
        let rank = |(rank, label): (&mut HashMap<_, _>, _)| {
            let next = rank.len() as u32;
            *rank.entry(label).or_insert(next)
        };
        let key = ranks.iter_mut().zip(path.iter().map(String::as_str)).map(rank).rev().collect();
        keyed.push((key, line));
    }
    keyed.sort_unstable();
    let order: Vec<usize> = keyed.into_iter().map(|(_, line)| line).collect();
    let mut paths: Vec<Option<Vec<String>>> = paths.into_iter().map(Some).collect();
    order.into_iter().filter_map(|line| paths[line].take()).collect()
}
