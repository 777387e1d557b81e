//! Shrinks what two columns were measured to say together towards their independence, as far as the noise outweighs what is seen.
//!
//! The true difference of a cell is taken to be in proportion to the count that independence expects, with a common factor that the
//! measured differences tell; each cell is then weighed by Bayes' rule (Efron and Morris 1973). A rare value may still be where nobody
//! expects it: no cell is moved by more than one deviation of its noise (limited translation, Efron and Morris 1972). What is shrunk
//! is a value; its interval stays that of the noise.

use crate::{
    margins::{Columns, Domain},
    planner::{Estimates, Measured},
};

/// How far a cell is moved at most, in deviations of its noise.
const TRANSLATION_MAX: f64 = 1.0;
/// The estimates with every part of two columns shrunk.
pub(crate) fn towards_independence(estimates: &Estimates) -> Estimates {
    let mut shrunk = estimates.clone();
    for (part, measured) in &mut shrunk.measured {
        if part.list().len() == 2
            && let Some(expected) = independent(estimates, part)
        {
            shrink(&estimates.domain, part, measured, &expected);
        }
    }
    shrunk
}

/// The cells that two columns would have if they said nothing together.
fn independent(estimates: &Estimates, pair: &Columns) -> Option<Vec<f64>> {
    let single = |column: usize| -> Option<Vec<f64>> {
        let cells = estimates.margin(&Columns::new(vec![column]).ok()?)?;
        Some(cells.into_iter().map(|cell| cell.max(0.0)).collect())
    };
    let (first, second) = (single(pair.list()[0])?, single(pair.list()[1])?);
    let total = f64::midpoint(first.iter().sum(), second.iter().sum());
    (total > 0.0).then(|| first.iter().flat_map(|a| second.iter().map(move |b| a * b / total)).collect())
}

fn shrink(domain: &Domain, pair: &Columns, measured: &mut Measured, expected: &[f64]) {
    let prior = domain.part_of(expected, pair, pair);
    let difference: Vec<f64> = measured.coefficients.iter().zip(&prior).map(|(value, prior)| value - prior).collect();
    let mut cells = vec![0.0; expected.len()];
    domain.spread(&difference, pair, pair, &mut cells);
    // Each cell's share of the noise: all have the same.
    let noise = measured.variance * difference.len() as f64 / cells.len() as f64;
    let seen = cells.iter().map(|cell| cell * cell - noise).sum::<f64>();
    let factor = (seen / expected.iter().map(|cell| cell * cell).sum::<f64>()).max(0.0);
    let reach = TRANSLATION_MAX * noise.sqrt();
    for (cell, expected) in cells.iter_mut().zip(expected) {
        let prior = factor * expected * expected;
        let share = prior / (prior + noise);
        *cell -= ((1.0 - share) * *cell).clamp(-reach, reach);
    }
    let kept = domain.part_of(&cells, pair, pair);
    measured.coefficients = kept.iter().zip(&prior).map(|(kept, prior)| kept + prior).collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    // PRIV-11
    #[test]
    fn what_is_within_the_noise_is_taken_back_and_no_cell_moves_by_more_than_a_deviation() {
        let domain = Domain::new(vec![2, 2]).unwrap();
        let pair = Columns::new(vec![0, 1]).unwrap();
        let expected = [90.0, 10.0, 90.0, 10.0];
        let prior = domain.part_of(&expected, &pair, &pair)[0];
        for (difference, moved) in [(1.0, 1.0), (-1.0, 1.0), (1_000.0, 2.0), (-1_000.0, 2.0)] {
            let mut measured = Measured { coefficients: vec![prior + difference], variance: 4.0 };
            shrink(&domain, &pair, &mut measured, &expected);
            let left = measured.coefficients[0] - prior;
            assert!((difference - left).abs() <= moved + 1e-9 && left.abs() <= difference.abs(), "{difference} {left}");
        }
    }
}
