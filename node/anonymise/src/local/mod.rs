//! Local recoding: a partition of the rows from the top down, each part written as tightly as its rows allow.
//!
//! A part is split along one column into the values below its current one. Values with too few patients stay together, under
//! the value above; where those are too few themselves, rows of the largest value or a whole value join them. Which column is
//! split is decided by what it saves over the square root of how evenly it splits: a split into many small parts saves much at
//! once and spoils what could be saved below.
//!
//! Source of the frame: LeFevre, DeWitt and Ramakrishnan 2006 (Mondrian), with hierarchies in place of medians.

mod parallel;
mod part;
mod split;

use crate::hierarchy::Node;
use crate::model::{Judge, ModelFault, Models, settle};
use crate::recoding::{Recoding, SUPPRESSED};
use crate::table::Table;

pub(crate) use part::{Part, Rows};

/// How a split is valued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// What is saved over the square root of the entropy of the split.
    Balanced,
    /// What is saved over the logarithm of the number of parts.
    Broad,
    /// What is saved over one and the entropy.
    Even,
}

/// What to recode for.
#[derive(Clone, Debug)]
pub struct Local {
    /// What every class must satisfy.
    pub models: Models,
    /// Valuations to try; the result with the least loss is kept, the first of equals.
    pub values: Vec<Value>,
    /// Threads, at least one.
    pub threads: usize,
}

impl Local {
    /// k-anonymity alone, on one thread, with one valuation.
    pub fn k(k: u32) -> Self {
        Self { models: Models::k(k), values: vec![Value::Balanced], threads: 1 }
    }
}

/// Recodes a table. Nothing is suppressed unless the whole table does not hold, or what is released no longer does once
/// distributions of reference are taken from it.
///
/// # Errors
///
/// Models that do not fit the table.
///
/// Cost: rows times columns times the depth of the partition, for each valuation.
pub fn local(table: &Table, asked: &Local) -> Result<Recoding, ModelFault> {
    let judge = Judge::new(table, &asked.models)?;
    let width = table.quasi.len();
    let mut best: Option<(u128, Recoding)> = None;
    for value in &asked.values {
        let mut rows = Rows::of(table);
        if !rows.holds(&judge) {
            break;
        }
        let parts = parallel::partition(table, &judge, *value, &mut rows, asked.threads.max(1));
        let recoding = written(table, &parts, &rows);
        let cost = cost(table, &recoding);
        if best.as_ref().is_none_or(|(least, _)| cost < *least) {
            best = Some((cost, recoding));
        }
    }
    match best {
        None => Ok(Recoding::nothing(table.rows, width)),
        Some((_, recoding)) if judge.only_patients_count() => Ok(recoding),
        Some((_, recoding)) => settle(table, &asked.models, recoding),
    }
}

/// The recoding of finished parts, each written as tightly as its rows allow.
fn written(table: &Table, parts: &[Part], rows: &Rows) -> Recoding {
    let width = table.quasi.len();
    let mut class_of = vec![SUPPRESSED; table.rows];
    let mut nodes: Vec<Node> = Vec::with_capacity(parts.len() * width);
    for (class, part) in parts.iter().enumerate() {
        let bounds = rows.bounds(part);
        nodes.extend(table.quasi.iter().zip(bounds).map(|(column, (low, high))| column.hierarchy.meet(low, high)));
        for row in rows.numbers(part) {
            class_of[row as usize] = class as u32;
        }
    }
    Recoding::new(class_of, &nodes, width)
}

/// The loss of a recoding in integer units.
pub(crate) fn cost(table: &Table, recoding: &Recoding) -> u128 {
    let mut of_class: Vec<u64> = Vec::with_capacity(recoding.classes());
    for class in 0..recoding.classes() as u32 {
        let cell =
            |(node, column): (&Node, &crate::table::Quasi)| column.hierarchy.cost(usize::from(node.level), node.index);
        of_class.push(recoding.written(class).iter().zip(&table.quasi).map(cell).sum());
    }
    let whole = crate::hierarchy::CELL_COST * table.quasi.len() as u64;
    let row = |class: &u32| u128::from(if *class == SUPPRESSED { whole } else { of_class[*class as usize] });
    recoding.class_of().iter().map(row).sum()
}
