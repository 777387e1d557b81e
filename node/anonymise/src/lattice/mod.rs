//! Full-domain generalisation: one level a column for all rows, classes that do not hold suppressed, at the least cost that
//! a limit on suppression allows. The search is exact within a budget of lattice nodes and says whether it was.
//!
//! Nodes are visited so that each is reached once, from a node one level below in one column, whose groups it rolls up
//! (`group`). A node's cost is at least what its levels cost without suppression, and what three of its columns alone would
//! suppress it suppresses too (`bound`); what is above the best cost found is not looked at.

mod bound;
mod climb;
mod cost;
mod group;
mod search;

use crate::local::cost;
use crate::loss::Measure;
use crate::model::{Judge, ModelFault, Models, SHARES_OF_T, settle};
use crate::recoding::{Recoding, SUPPRESSED};
use crate::table::Table;

use cost::Prices;
use group::{Key, Packing, Places};
use search::Search;

/// What to search for.
#[derive(Clone, Debug)]
pub struct FullDomain {
    /// What every class must satisfy.
    pub models: Models,
    /// The largest share of rows that may be suppressed, from 0 to 1.
    pub suppression_max: f64,
    /// What is minimised.
    pub measure: Measure,
    /// Most lattice nodes that may be looked at before the best so far is taken.
    pub nodes_max: u64,
    /// Asked from node to node whether to stop, for callers with a clock; the first climb is always finished.
    pub stop: Option<fn() -> bool>,
    /// Threads to search with, at least one.
    pub threads: usize,
}

impl FullDomain {
    /// k-anonymity alone, by loss, on one thread, with a budget that finishes any lattice of eight usual columns.
    pub fn k(k: u32, suppression_max: f64) -> Self {
        Self {
            models: Models::k(k),
            suppression_max,
            measure: Measure::Loss,
            nodes_max: 1 << 20,
            stop: None,
            threads: 1,
        }
    }
}

/// How sure a result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Optimality {
    /// No choice of levels costs less.
    Optimal,
    /// The budget ended first, or what is released has so different a distribution that t had to be asked for again: the best
    /// of what was looked at.
    Heuristic,
}

/// What a search found.
#[expect(missing_debug_implementations, reason = "holds rows")]
pub struct Found {
    /// The level of each column; `None` where no choice of levels keeps to the limit, and everything is suppressed.
    pub levels: Option<Vec<usize>>,
    /// The classes.
    pub recoding: Recoding,
    /// Whether the search was exhaustive.
    pub optimality: Optimality,
    /// Nodes of the lattice.
    pub lattice: u128,
    /// Nodes whose groups were formed.
    pub visited: u64,
}

/// Why there is no search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LatticeFault {
    /// The models do not fit the table.
    Model(ModelFault),
    /// The limit on suppression is not between 0 and 1.
    Suppression,
    /// The columns together take more than 128 bits a row: local recoding has no such bound.
    TooWide,
}

impl std::fmt::Display for LatticeFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Model(_) => write!(f, "the models cannot be asked of this table"),
            Self::Suppression => write!(f, "the limit on suppression is not between 0 and 1"),
            Self::TooWide => write!(f, "the quasi-identifiers take more than 128 bits a row"),
        }
    }
}

impl std::error::Error for LatticeFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Model(fault) => Some(fault),
            Self::Suppression | Self::TooWide => None,
        }
    }
}

/// Searches for the levels that cost least.
///
/// # Errors
///
/// Models that do not fit the table, a limit that is no share, columns that are too wide.
///
/// Cost: groups of the visited nodes; see [`Found::visited`].
pub fn full_domain(table: &Table, asked: &FullDomain) -> Result<Found, LatticeFault> {
    Judge::new(table, &asked.models).map_err(LatticeFault::Model)?;
    if !(0.0..=1.0).contains(&asked.suppression_max) {
        return Err(LatticeFault::Suppression);
    }
    let packing = Packing::of(table).ok_or(LatticeFault::TooWide)?;
    let (mut best, mut visited): (Option<Found>, u64) = (None, 0);
    for share in SHARES_OF_T {
        let stricter = asked.models.with_share_of_t(share);
        let judge = Judge::new(table, &stricter).map_err(LatticeFault::Model)?;
        let mut found = if packing.bits() <= 64 {
            find::<u64>(table, asked, &judge, &packing)
        } else {
            find::<u128>(table, asked, &judge, &packing)
        };
        let before = found.recoding.suppressed();
        found.recoding = settle(table, &asked.models, found.recoding).map_err(LatticeFault::Model)?;
        let suppressed = found.recoding.suppressed();
        visited += found.visited;
        if suppressed > before || share < 1.0 {
            found.optimality = Optimality::Heuristic;
        }
        let allowed = suppressed as f64 <= asked.suppression_max * table.rows as f64 + 1e-9;
        let better = |best: &Found| cost(table, &found.recoding) < cost(table, &best.recoding);
        if allowed && best.as_ref().is_none_or(better) || found.levels.is_none() && best.is_none() {
            best = Some(found);
        }
        if suppressed == before {
            break;
        }
    }
    let nothing = || Found {
        levels: None,
        recoding: Recoding::nothing(table.rows, table.quasi.len()),
        optimality: Optimality::Heuristic,
        lattice: nodes_of(table),
        visited: 0,
    };
    Ok(Found { visited, ..best.unwrap_or_else(nothing) })
}

fn nodes_of(table: &Table) -> u128 {
    table.quasi.iter().map(|column| column.hierarchy.levels() as u128).product()
}

/// One search, with distributions of reference taken from the whole table.
fn find<K: Key>(table: &Table, asked: &FullDomain, judge: &Judge<'_>, packing: &Packing) -> Found {
    let prices = Prices::new(table, asked.measure);
    let search = Search::<K>::new(table, asked, judge, packing, &prices);
    let (best, visited, finished) = search.run();
    let optimality = if finished { Optimality::Optimal } else { Optimality::Heuristic };
    let levels = best.map(|best| best.levels);
    let nothing = || Recoding::nothing(table.rows, table.quasi.len());
    let recoding = levels.as_ref().map_or_else(nothing, |levels| classes_at(table, judge, levels));
    Found { levels, recoding, optimality, lattice: nodes_of(table), visited }
}

/// The classes of one choice of levels, without those that do not hold.
///
/// # Errors
///
/// Models that do not fit the table.
pub fn at_levels(table: &Table, models: &Models, levels: &[usize]) -> Result<Recoding, ModelFault> {
    settle(table, models, classes_at(table, &Judge::new(table, models)?, levels))
}

fn classes_at(table: &Table, judge: &Judge<'_>, levels: &[usize]) -> Recoding {
    let mut class_of = vec![0_u32; table.rows];
    let mut classes = 1_u32;
    let mut places = Places::<u64>::new();
    for (column, level) in table.quasi.iter().zip(levels) {
        let over = column.hierarchy.level(*level);
        places.clear(table.rows.min(classes as usize * column.hierarchy.width(*level)));
        classes = 0;
        for (class, leaf) in class_of.iter_mut().zip(&column.leaves) {
            *class = places.place(u64::from(*class) << 32 | u64::from(over[*leaf as usize]), classes);
            classes += u32::from(*class == classes);
        }
    }
    let width = table.quasi.len();
    let mut nodes = vec![crate::hierarchy::Node { level: 0, index: 0 }; classes as usize * width];
    for (row, class) in class_of.iter().enumerate() {
        for (at, (column, level)) in table.quasi.iter().zip(levels).enumerate() {
            let index = column.hierarchy.over(*level, column.leaves[row]);
            nodes[*class as usize * width + at] = crate::hierarchy::Node { level: *level as u8, index };
        }
    }
    let holds = judge.classes(&class_of, classes as usize);
    for class in &mut class_of {
        if !holds[*class as usize] {
            *class = SUPPRESSED;
        }
    }
    Recoding::new(class_of, &nodes, width)
}
