//! What a class says of its members' sensitive values: homogeneity, skewness, and what is left once a few values are excluded.
//! Sources: Machanavajjhala et al. 2007, section 2; Li, Li and Venkatasubramanian 2007, section 3.

use std::collections::HashMap;

use super::{Attack, Finding};
use crate::recoding::Recoding;
use crate::table::Table;

/// Patients by sensitive value, in a class or in the table.
fn counts(table: &Table, column: usize, rows: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut counts = vec![0; table.sensitive[column].distinct];
    for row in rows {
        counts[table.sensitive[column].values[row as usize] as usize] += 1;
    }
    counts
}

fn finding(attack: Attack, assumes: &'static str, rows: usize, by_chance: f64, of: usize) -> Finding {
    Finding { attack, assumes, claimed: rows, held: rows, by_chance, of }
}

/// Most values of a column for which the chance of few values in a class is computed: it goes through all pairs.
const CHANCE_VALUES_MAX: usize = 500;

/// Rows that would be in classes of one value, or of at most two, if each row had drawn its value from the margins of what is
/// released. Of n draws none but two given values come up with the n-th power of their shares; pairs count each single value
/// once too often for every further value.
fn few_by_chance(table: &Table, recoding: &Recoding, column: usize, most: usize) -> f64 {
    let members = recoding.members();
    let all = counts(table, column, members.iter().flatten().copied());
    let total: f64 = all.iter().map(|count| f64::from(*count)).sum();
    let shares: Vec<f64> = all.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / total).collect();
    if shares.len() <= most {
        return released(recoding) as f64;
    }
    if most > 2 || shares.len() > CHANCE_VALUES_MAX {
        return 0.0;
    }
    let mut by_size: HashMap<usize, f64> = HashMap::new();
    let mut chance = |rows: usize| {
        *by_size.entry(rows).or_insert_with(|| {
            let power = |share: f64| share.powi(i32::try_from(rows).unwrap_or(i32::MAX));
            let single: f64 = shares.iter().map(|share| power(*share)).sum();
            if most == 1 {
                return single;
            }
            let pairs = shares.iter().enumerate().flat_map(|(at, a)| shares[at + 1..].iter().map(move |b| a + b));
            let pairs: f64 = pairs.map(power).sum();
            (pairs - (shares.len() - 2) as f64 * single).clamp(0.0, 1.0)
        })
    };
    members.iter().map(|rows| rows.len() as f64 * chance(rows.len())).sum()
}

fn released(recoding: &Recoding) -> usize {
    recoding.rows() - recoding.suppressed()
}

/// Rows in classes that share one value of a sensitive column: whoever finds a patient's class knows it.
pub fn homogeneity(table: &Table, recoding: &Recoding, column: usize) -> Finding {
    let members = recoding.members();
    let values = &table.sensitive[column].values;
    let alike = |rows: &&[u32]| rows.iter().all(|row| values[*row as usize] == values[rows[0] as usize]);
    let rows = members.iter().filter(alike).map(<[u32]>::len).sum();
    finding(
        Attack::Homogeneity,
        "a patient's quasi-identifiers, and that the patient is in the release",
        rows,
        few_by_chance(table, recoding, column, 1),
        released(recoding),
    )
}

/// Rows in classes in which some value is `factor` times as frequent as in the release and held by more than half.
pub fn skewness(table: &Table, recoding: &Recoding, column: usize, factor: f64) -> Finding {
    let members = recoding.members();
    let all = counts(table, column, members.iter().flatten().copied());
    let total: f64 = all.iter().map(|count| f64::from(*count)).sum();
    let skewed = |rows: &&[u32]| {
        let own = counts(table, column, rows.iter().copied());
        own.iter().zip(&all).any(|(own, all)| {
            let (own, all) = (f64::from(*own) / rows.len() as f64, f64::from(*all) / total);
            own > 0.5 && own >= factor * all
        })
    };
    let rows = members.iter().filter(skewed).map(<[u32]>::len).sum();
    let assumes = "as homogeneity, and the distribution of the sensitive column";
    finding(Attack::Skewness, assumes, rows, 0.0, released(recoding))
}

/// Rows in classes with at most `excluded` + 1 values: who can exclude so many for a patient knows the one that is left.
pub fn background(table: &Table, recoding: &Recoding, column: usize, excluded: usize) -> Finding {
    let members = recoding.members();
    let few = |rows: &&[u32]| {
        let own = counts(table, column, rows.iter().copied());
        own.iter().filter(|count| **count > 0).count() <= excluded + 1
    };
    let rows = members.iter().filter(few).map(<[u32]>::len).sum();
    let chance = few_by_chance(table, recoding, column, excluded + 1);
    let assumes = "as homogeneity, and values that the patient does not have";
    finding(Attack::Background, assumes, rows, chance, released(recoding))
}
