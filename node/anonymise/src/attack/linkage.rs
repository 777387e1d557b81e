//! Linkage: a file of people with their quasi-identifiers, joined to the release. Source: Sweeney 2002, section 2.

use std::collections::HashMap;

use super::{Attack, Finding};
use crate::hierarchy::Node;
use crate::recoding::Recoding;
use crate::table::Table;

/// What the attacker holds: people by their leaves in some columns of the table.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "holds rows")]
pub struct Auxiliary {
    /// The columns that are known, by their place in the table.
    pub columns: Vec<usize>,
    /// For each person a leaf in each of these columns.
    pub people: Vec<Vec<u32>>,
    /// For each person, the row of the table that is theirs; nothing where they are not in it.
    pub truth: Vec<Option<u32>>,
}

impl Auxiliary {
    /// The table itself: rows that stand at equal distances, at most so many, known by all of its columns.
    pub fn of(table: &Table, most: usize) -> Self {
        let step = table.rows.div_ceil(most.max(1)).max(1);
        let rows: Vec<u32> = (0..table.rows as u32).step_by(step).collect();
        let leaves = |row: &u32| table.quasi.iter().map(|column| column.leaves[*row as usize]).collect();
        Self {
            columns: (0..table.quasi.len()).collect(),
            people: rows.iter().map(leaves).collect(),
            truth: rows.iter().map(|row| Some(*row)).collect(),
        }
    }
}

/// Joins people to classes. A person is claimed where fewer than `k` rows of the release could be theirs; the claim holds as
/// often as picking one of these rows finds theirs.
pub fn linkage(table: &Table, recoding: &Recoding, auxiliary: &Auxiliary, k: usize) -> Finding {
    let members = recoding.members();
    let mut by_box: HashMap<Vec<Node>, Vec<usize>> = HashMap::new();
    for class in 0..recoding.classes() {
        let written = recoding.written(class as u32);
        by_box.entry(auxiliary.columns.iter().map(|column| written[*column]).collect()).or_default().push(class);
    }
    let (mut claimed, mut held) = (0, 0);
    for (person, truth) in auxiliary.people.iter().zip(&auxiliary.truth) {
        let fits = |nodes: &&Vec<Node>| {
            nodes.iter().zip(person).zip(&auxiliary.columns).all(|((node, leaf), column)| {
                table.quasi[*column].hierarchy.over(usize::from(node.level), *leaf) == node.index
            })
        };
        let classes = by_box.keys().filter(fits).flat_map(|nodes| &by_box[nodes]);
        let rows: Vec<u32> = classes.flat_map(|class| members.of(*class)).copied().collect();
        let patients = table.patients_of(&rows);
        if patients == 0 || patients >= k {
            continue;
        }
        claimed += 1;
        held += usize::from(truth.is_some_and(|row| rows.contains(&row)));
    }
    let assumes = "people and their quasi-identifiers";
    Finding {
        attack: Attack::Linkage,
        assumes,
        claimed,
        held,
        by_chance: 0.0,
        of: recoding.rows() - recoding.suppressed(),
    }
}
