//! Cohen's construction: clustered data whose spread differs from record to record, on which a minimal hierarchical recoder
//! gives records away. Source: Cohen 2022, section 4.2, in a form with a finite hierarchy.
//!
//! A cluster has an inner value and some outer ones in each column. Most records have the inner value everywhere; a few spread
//! over inner and outer values. A class that is one cluster is then written as the cluster just in those columns in which
//! somebody spreads, and an attacker who knows the distribution knows who: one record, in all of them.

use std::sync::Arc;

use super::{Attack, Finding, generalised_cells};
use crate::hierarchy::{Hierarchy, HierarchyFault, Node};
use crate::recoding::Recoding;
use crate::seed::{Purpose, Seed};
use crate::table::{Quasi, Table};

/// The parameters of the construction.
#[derive(Clone, Debug)]
pub struct Clustered {
    /// Clusters.
    pub clusters: u32,
    /// Columns.
    pub columns: usize,
    /// The k that is attacked: clusters have k to 2k - 1 records.
    pub k: u32,
}

/// Outer values of a cluster.
const OUTER: u32 = 3;

impl Clustered {
    /// The hierarchy of every column: leaf, inner or outer part, cluster, root.
    ///
    /// # Errors
    ///
    /// More clusters than a hierarchy has leaves.
    pub fn hierarchy(&self) -> Result<Hierarchy, HierarchyFault> {
        let path = |leaf: u32| {
            let (cluster, place) = (leaf / (OUTER + 1), leaf % (OUTER + 1));
            let part = if place == 0 { "inner" } else { "outer" };
            let leaf_label = if place == 0 { format!("c{cluster} inner") } else { format!("c{cluster} o{place}") };
            vec![leaf_label, format!("c{cluster} {part}"), format!("c{cluster}"), "*".to_owned()]
        };
        Hierarchy::from_paths((0..self.clusters * (OUTER + 1)).map(path).collect())
    }

    /// Draws a table.
    ///
    /// # Errors
    ///
    /// As [`Clustered::hierarchy`].
    pub fn table(&self, seed: &Seed) -> Result<Table, HierarchyFault> {
        let hierarchy = Arc::new(self.hierarchy()?);
        let mut dice = seed.dice(Purpose::Attack, 0);
        let mut columns = vec![Vec::new(); self.columns];
        for cluster in 0..self.clusters {
            let size = u64::from(self.k) + dice.below(u64::from(self.k));
            for _ in 0..size {
                let spreads = dice.below(2 * u64::from(self.k)) == 0;
                for column in &mut columns {
                    let place = if spreads && dice.below(2) == 0 { 1 + dice.below(u64::from(OUTER)) as u32 } else { 0 };
                    column.push(cluster * (OUTER + 1) + place);
                }
            }
        }
        let named = columns.into_iter().enumerate();
        let quasi = named.map(|(at, leaves)| Quasi::new(&format!("q{at}"), Arc::clone(&hierarchy), leaves));
        let quasi: Result<Vec<Quasi>, _> = quasi.collect();
        quasi.and_then(Table::new).map_err(|_| HierarchyFault::TooLarge)
    }
}

/// Attacks a recoding of such a table: in a class of one cluster, one record is outer in every column that is written as the
/// cluster, all others are inner. A claim holds for the whole class or not at all.
pub fn downcode_clusters(table: &Table, recoding: &Recoding) -> Finding {
    let members = recoding.members();
    let (mut claimed, mut held, mut by_chance) = (0, 0, 0.0);
    for (class, rows) in members.iter().enumerate() {
        let written = recoding.written(class as u32);
        let wide: Vec<usize> = (0..written.len()).filter(|column| written[*column].level == 2).collect();
        if wide.is_empty() || written.iter().any(|node| node.level == 3) {
            continue;
        }
        let outer = |row: u32, column: usize| !is_inner(table, written[column], row, column);
        let spread = rows.iter().filter(|row| wide.iter().all(|column| outer(**row, *column))).count();
        let inner = rows.iter().filter(|row| wide.iter().all(|column| !outer(**row, *column))).count();
        let cells = rows.len() * wide.len();
        claimed += cells;
        held += if spread == 1 && inner == rows.len() - 1 { cells } else { 0 };
        // One of the rows, outer everywhere; the others inner: each cell by the mean share of outer cells.
        let share = 1.0 / f64::from(4 * (rows.len() as u32));
        let one = share.powi(wide.len() as i32) * (1.0 - share).powi((cells - wide.len()) as i32);
        by_chance += rows.len() as f64 * one * cells as f64;
    }
    let assumes = "the distribution of the data, and that the algorithm is minimal";
    Finding { attack: Attack::Downcoding, assumes, claimed, held, by_chance, of: generalised_cells(table, recoding) }
}

fn is_inner(table: &Table, cluster: Node, row: u32, column: usize) -> bool {
    let quasi = &table.quasi[column];
    quasi.leaves[row as usize] == quasi.hierarchy.leaves_of(cluster).start
}
