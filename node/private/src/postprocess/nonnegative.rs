//! Margins that are not negative and still agree with each other: the nearest to what was measured, by the precision of each part.
//!
//! Solved by the alternating direction method of multipliers (Boyd et al. 2011, section 5), for which the orthogonal parts make the
//! linear step diagonal. Clipping cells one by one would make small cells too large and sums disagree.

use std::collections::BTreeMap;

use crate::{
    margins::{Columns, Domain, Tables},
    planner::Estimates,
    postprocess::{Cell, shrink},
};

/// Rounds of the method. Their number is fixed, so that time says nothing of values.
const ROUNDS: usize = 300;
/// The penalty on negative cells, beside the precision of a typical cell: it decides how fast the rounds converge, not to what.
const PENALTY: f64 = 0.5;

type Parts = BTreeMap<Columns, Vec<f64>>;

/// Margins none of whose cells is negative, that agree with each other, and the interval of every cell.
///
/// What two columns say together is shrunk towards independence first, where noise outweighs it. Margins that were not measured are
/// left out. Cost: [`ROUNDS`] passes over all cells.
pub fn margins<'a>(
    estimates: &Estimates,
    wanted: impl IntoIterator<Item = &'a Columns>,
    confidence: f64,
) -> Tables<Cell> {
    let measured: Tables<f64> =
        wanted.into_iter().filter_map(|margin| Some((margin.clone(), estimates.margin(margin)?))).collect();
    let domain = &estimates.domain;
    let parts = solve(&shrink::towards_independence(estimates), &measured);
    let mut cells = tables(domain, &parts, measured.keys());
    lift(domain, &mut cells);
    let with_intervals = cells.into_iter().map(|(margin, cells)| {
        let width = estimates.half_width(&margin, confidence);
        let raw = &measured[&margin];
        let cells = cells.iter().zip(raw).map(|(value, raw)| Cell::of_count(*value, *raw, width)).collect();
        (margin, cells)
    });
    with_intervals.collect()
}

/// The parts nearest to the measured ones whose tables are not negative, nearly.
fn solve(estimates: &Estimates, measured: &Tables<f64>) -> Parts {
    let domain = &estimates.domain;
    // How a unit of each part shows in all tables together: the diagonal of the linear step.
    let mut shown: BTreeMap<&Columns, f64> = BTreeMap::new();
    for part in estimates.measured.keys() {
        for margin in measured.keys().filter(|margin| part.within(margin)) {
            let others = margin.list().iter().filter(|column| !part.has(**column));
            *shown.entry(part).or_default() += others.map(|column| 1.0 / domain.size(*column) as f64).product::<f64>();
        }
    }
    let variances = measured.keys().map(|margin| estimates.deviation(margin).powi(2));
    let penalty = PENALTY * measured.len() as f64 / variances.sum::<f64>();
    let mut parts: Parts = estimates.measured.iter().map(|(part, m)| (part.clone(), m.coefficients.clone())).collect();
    let mut dual: Tables<f64> =
        measured.iter().map(|(margin, cells)| (margin.clone(), vec![0.0; cells.len()])).collect();
    for _ in 0..ROUNDS {
        let tables = tables(domain, &parts, measured.keys());
        let mut pull: Parts = BTreeMap::new();
        for (margin, cells) in tables {
            let Some(dual) = dual.get_mut(&margin) else { continue };
            let target: Vec<f64> = cells
                .iter()
                .zip(dual.iter_mut())
                .map(|(cell, dual)| {
                    let clipped = (cell + *dual).max(0.0);
                    *dual += cell - clipped;
                    clipped - *dual
                })
                .collect();
            for part in margin.subsets().filter(|part| estimates.measured.contains_key(part)) {
                let gathered = domain.gather(&target, &margin, &part);
                let sum = pull.entry(part).or_insert_with(|| vec![0.0; gathered.len()]);
                sum.iter_mut().zip(gathered).for_each(|(sum, value)| *sum += value);
            }
        }
        for (part, pulled) in pull {
            let Some(m) = estimates.measured.get(&part) else { continue };
            let precision = 1.0 / m.variance;
            let weight = precision + penalty * shown.get(&part).copied().unwrap_or_default();
            let blended =
                m.coefficients.iter().zip(pulled).map(|(own, pulled)| (precision * own + penalty * pulled) / weight);
            parts.insert(part, blended.collect());
        }
    }
    parts
}

fn tables<'a>(domain: &Domain, parts: &Parts, margins: impl Iterator<Item = &'a Columns>) -> Tables<f64> {
    let table = |margin: &Columns| {
        let mut cells = vec![0.0; domain.shape(margin).iter().product()];
        for part in margin.subsets() {
            if let Some(coefficients) = parts.get(&part) {
                domain.spread(coefficients, &part, margin, &mut cells);
            }
        }
        cells
    };
    margins.map(|margin| (margin.clone(), table(margin))).collect()
}

/// Takes away what is still below zero by mixing in a little of the even table with the same total, which keeps every sum. Where the
/// total itself is not positive, all is zero.
fn lift(domain: &Domain, tables: &mut Tables<f64>) {
    let total = tables.iter().next().map_or(0.0, |(_, cells)| cells.iter().sum());
    let mut share: f64 = 0.0;
    for (margin, cells) in &*tables {
        let even = total / domain.shape(margin).iter().product::<usize>() as f64;
        let lowest = cells.iter().copied().fold(f64::INFINITY, f64::min);
        if lowest < 0.0 && even > 0.0 {
            share = share.max(-lowest / (even - lowest));
        }
    }
    for (margin, cells) in tables.iter_mut() {
        let even = total / domain.shape(margin).iter().product::<usize>() as f64;
        for cell in cells {
            *cell = if even > 0.0 { ((1.0 - share) * *cell + share * even).max(0.0) } else { 0.0 };
        }
    }
}
