//! What a recoding costs: the measures, exactly as defined, and the risk that is left.

use crate::hierarchy::CELL_COST;
use crate::recoding::{Recoding, SUPPRESSED};
use crate::table::{Quasi, Table};

/// What a search minimises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Mean over rows and quasi-identifiers of leaves below the value over leaves of the domain; a leaf counts 0, a
    /// suppressed row 1.
    Loss,
    /// Non-uniform entropy: bits that a cell loses, given how often each value occurs in the table. A suppressed cell
    /// counts as the root. Source: Gionis and Tassa 2009, section 3.
    Entropy,
    /// Discernibility: each row counts the size of its class, a suppressed row the whole table. Source: Bayardo and
    /// Agrawal 2005, section 2.
    Discernibility,
    /// Released rows over classes. Source: LeFevre, DeWitt and Ramakrishnan 2006, section 2, without the constant 1/k.
    AverageClassSize,
}

/// Everything that is measured on one recoding.
#[derive(Clone, Debug, PartialEq)]
pub struct Losses {
    /// As [`Measure::Loss`], from 0 to 1.
    pub loss: f64,
    /// The same for each quasi-identifier.
    pub loss_by_column: Vec<f64>,
    /// As [`Measure::Entropy`], as a share of what full suppression would lose.
    pub entropy: f64,
    /// As [`Measure::Discernibility`].
    pub discernibility: u128,
    /// As [`Measure::AverageClassSize`]; 0 where nothing is released.
    pub average_class_size: f64,
    /// Rows that are not released.
    pub suppressed: usize,
    /// Classes of the release.
    pub classes: usize,
    /// What is left to fear.
    pub risk: Risk,
}

/// Risk of re-identification by somebody who knows a patient's quasi-identifiers and that the patient is in the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Risk {
    /// Patients in the smallest class; 0 where nothing is released.
    pub smallest_class: usize,
    /// One over the smallest class.
    pub highest: f64,
    /// Mean over released rows of one over the patients of the class.
    pub mean: f64,
}

impl Losses {
    /// Measures a recoding of a table.
    pub fn of(table: &Table, recoding: &Recoding) -> Self {
        let members = recoding.members();
        let loss_by_column: Vec<f64> =
            (0..table.quasi.len()).map(|column| column_loss(table, recoding, column)).collect();
        let (mut bits, mut all_bits) = (0.0, 0.0);
        for (at, column) in table.quasi.iter().enumerate() {
            let (lost, whole) = column_bits(column, recoding, at);
            bits += lost;
            all_bits += whole;
        }
        let rows = table.rows as u128;
        let suppressed = recoding.suppressed();
        let of_class = |rows: &[u32]| (rows.len() as u128).pow(2);
        let discernibility = members.iter().map(of_class).sum::<u128>() + suppressed as u128 * rows;
        let released = table.rows - suppressed;
        let classes = recoding.classes();
        Self {
            loss: loss_by_column.iter().sum::<f64>() / loss_by_column.len() as f64,
            loss_by_column,
            entropy: if all_bits > 0.0 { bits / all_bits } else { 0.0 },
            discernibility,
            average_class_size: if classes == 0 { 0.0 } else { released as f64 / classes as f64 },
            suppressed,
            classes,
            risk: Risk::of(table, recoding),
        }
    }
}

impl Risk {
    fn of(table: &Table, recoding: &Recoding) -> Self {
        let members = recoding.members();
        let (mut smallest, mut sum, mut released) = (usize::MAX, 0.0, 0_usize);
        for rows in members.iter() {
            let patients = table.patients_of(rows);
            smallest = smallest.min(patients);
            sum += rows.len() as f64 / patients as f64;
            released += rows.len();
        }
        if released == 0 {
            return Self { smallest_class: 0, highest: 0.0, mean: 0.0 };
        }
        Self { smallest_class: smallest, highest: 1.0 / smallest as f64, mean: sum / released as f64 }
    }
}

/// The loss of one column, as in [`Measure::Loss`]; 0 for an empty table.
fn column_loss(table: &Table, recoding: &Recoding, column: usize) -> f64 {
    let hierarchy = &table.quasi[column].hierarchy;
    let cost = |class: &u32| match *class {
        SUPPRESSED => u128::from(CELL_COST),
        class => {
            let node = recoding.written(class)[column];
            u128::from(hierarchy.cost(usize::from(node.level), node.index))
        }
    };
    let sum: u128 = recoding.class_of().iter().map(cost).sum();
    sum as f64 / CELL_COST as f64 / table.rows.max(1) as f64
}

/// How often each value of each level occurs in a column.
pub(crate) fn occurrences(column: &Quasi) -> Vec<Vec<u64>> {
    let hierarchy = &column.hierarchy;
    let mut leaves = vec![0_u64; hierarchy.leaves()];
    for leaf in &column.leaves {
        leaves[*leaf as usize] += 1;
    }
    let level = |level: usize| {
        let mut found = vec![0; hierarchy.width(level)];
        for (leaf, node) in hierarchy.level(level).iter().enumerate() {
            found[*node as usize] += leaves[leaf];
        }
        found
    };
    (0..hierarchy.levels()).map(level).collect()
}

/// The bits that a column loses, and those that it would lose altogether.
fn column_bits(column: &Quasi, recoding: &Recoding, at: usize) -> (f64, f64) {
    let bits: Vec<Vec<f64>> =
        occurrences(column).iter().map(|level| level.iter().map(|count| (*count as f64).log2()).collect()).collect();
    let all = (column.leaves.len() as f64).log2();
    let (mut lost, mut whole) = (0.0, 0.0);
    for (leaf, class) in column.leaves.iter().zip(recoding.class_of()) {
        let own = bits[0][*leaf as usize];
        let written = match *class {
            SUPPRESSED => all,
            class => {
                let node = recoding.written(class)[at];
                bits[usize::from(node.level)][node.index as usize]
            }
        };
        lost += written - own;
        whole += all - own;
    }
    (lost, whole)
}
