//! Minimality: who knows that a class was generalised only to reach a model concludes that the finer classes did not satisfy
//! it, so one of them is dominated by a sensitive value. Source: Wong, Fu, Wang and Pei 2007, section 2.

use super::{Attack, Finding};
use crate::model::Judge;
use crate::recoding::Recoding;
use crate::table::Table;

/// Rows for which the conclusion is right and new: in a class that holds, the rows of some finer value have at least k
/// patients and still do not hold, all with one sensitive value. The attacker knows the quasi-identifiers of everybody, so the
/// sizes of finer values, and that the algorithm goes no higher than it must.
pub fn minimality(table: &Table, recoding: &Recoding, judge: &Judge<'_>, column: usize) -> Finding {
    let members = recoding.members();
    let values = &table.sensitive[column].values;
    let (mut claimed, mut held) = (0, 0);
    for (class, rows) in members.iter().enumerate() {
        let mut told = vec![false; rows.len()];
        for (at, node) in recoding.written(class as u32).iter().enumerate() {
            let quasi = &table.quasi[at];
            for child in quasi.hierarchy.children(*node) {
                let level = usize::from(node.level) - 1;
                let finer: Vec<usize> = (0..rows.len())
                    .filter(|row| quasi.hierarchy.over(level, quasi.leaves[rows[*row] as usize]) == child)
                    .collect();
                let finer_rows: Vec<u32> = finer.iter().map(|row| rows[*row]).collect();
                if finer.len() == rows.len() || table.patients_of(&finer_rows) < judge.k() || judge.holds(&finer_rows) {
                    continue;
                }
                claimed += finer.len();
                let alike = finer_rows.iter().all(|row| values[*row as usize] == values[finer_rows[0] as usize]);
                for row in finer.into_iter().filter(|_| alike) {
                    held += usize::from(!told[row]);
                    told[row] = true;
                }
            }
        }
    }
    let assumes = "everybody's quasi-identifiers, and that the algorithm generalises no more than the models ask";
    let of = recoding.rows() - recoding.suppressed();
    Finding { attack: Attack::Minimality, assumes, claimed, held, by_chance: 0.0, of }
}
