//! The noise of an answer: what was paid is split over the vectors that a question counts, before a row is read. What the split and
//! the noise are follows from the question's own declarations alone.

use std::collections::BTreeMap;

use cohortium_engine::private::{Bounded, Counted, Part};
use cohortium_private::account::{Cost, Purse, rho_of_person};
use cohortium_private::bound::Bounds;
use cohortium_private::interval::{Family, Noise};
use cohortium_private::mechanism::{Additive, Thresholded};
use cohortium_private::owner::Owner;
use cohortium_protocol::quantity::{ContributionBound, Delta, Rho};

/// There is no answer: the purse, the generator or the bounds did not do. One constant error (law 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoNoise;

/// How one vector gets its noise.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mechanism {
    /// On every cell.
    Additive(Additive),
    /// On every cell, and only what reaches a threshold comes out: it counts the patients of private keys.
    Thresholded(Thresholded),
}

impl Mechanism {
    pub(super) fn noise(&self) -> Noise {
        match self {
            Self::Additive(additive) => additive.noise(),
            Self::Thresholded(thresholded) => thresholded.noise(),
        }
    }
}

/// The mechanisms of all vectors: rho is split evenly, delta goes to the one that hides rare keys.
pub(super) fn planned(parts: &[Part], private_keys: bool, paid: Cost) -> Result<Vec<Mechanism>, NoNoise> {
    let count = u128::try_from(parts.len()).ok().filter(|count| *count > 0).ok_or(NoNoise)?;
    let rho = Rho(paid.rho.0 / count);
    let mechanism = |(at, part): (usize, &Part)| {
        let bounds = bounds(part)?;
        if private_keys && at == 0 {
            // The engine counts units first where keys are private.
            let budget = Cost { rho, delta: paid.delta };
            return Thresholded::within(bounds, budget).map(Mechanism::Thresholded).map_err(|_| NoNoise);
        }
        Additive::within(Family::Gaussian, bounds, rho).map(Mechanism::Additive).map_err(|_| NoNoise)
    };
    parts.iter().enumerate().map(mechanism).collect()
}

fn bounds(part: &Part) -> Result<Bounds, NoNoise> {
    let sensitivity = part.sensitivity;
    let groups = u32::try_from(sensitivity.l0).map_err(|_| NoNoise)?;
    let bounds = Bounds::new(groups, sensitivity.linf).map_err(|_| NoNoise)?;
    bounds.with_squared(sensitivity.l2_squared).map_err(|_| NoNoise)
}

/// Cells with their noise: for each group that comes out its row in the batch, and for each vector the cells of these groups, column by column.
pub(super) struct Noised {
    pub(super) groups: Vec<usize>,
    pub(super) vectors: Vec<Vec<Vec<i64>>>,
}

/// What the answer costs a person whose rows are spread over so many tokens, never less than the account was debited for them. `None`
/// where the threshold does not hide such a person, or the loss is past what can be counted. Delta does not grow as rho does: each
/// mechanism says it by its own map.
pub(super) fn of_person(mechanisms: &[Mechanism], paid: Cost, tokens: ContributionBound) -> Option<Cost> {
    let mut sum = Cost::default();
    for mechanism in mechanisms {
        sum = sum.plus(match mechanism {
            Mechanism::Additive(additive) => additive.cost_of_person(tokens)?,
            Mechanism::Thresholded(thresholded) => thresholded.cost_of_person(tokens)?,
        })?;
    }
    Some(Cost { rho: sum.rho.max(rho_of_person(paid.rho, tokens)?), delta: sum.delta.max(paid.delta) })
}

/// Draws all noise, from what was paid and nothing else.
pub(super) fn drawn(bounded: &Bounded, mechanisms: &[Mechanism], paid: Cost) -> Result<Noised, NoNoise> {
    let owner = Owner::start(Purse::of(paid)).map_err(|_| NoNoise)?;
    let mut groups: Vec<usize> = (0..bounded.groups()).collect();
    let mut vectors = Vec::with_capacity(mechanisms.len());
    for (part, mechanism) in bounded.parts.iter().zip(mechanisms) {
        match *mechanism {
            Mechanism::Thresholded(thresholded) => {
                let exact: BTreeMap<usize, i64> =
                    bounded.cells(part.columns.start).ok_or(NoNoise)?.into_iter().enumerate().collect();
                let shown = owner.draw(move |purse| thresholded.release(purse, exact)).map_err(|_| NoNoise)?;
                groups = shown.keys().copied().collect();
                vectors.push(vec![shown.into_values().collect()]);
            }
            Mechanism::Additive(additive) => {
                let width = part.columns.len();
                let mut exact = Vec::with_capacity(groups.len() * width);
                for at in part.columns.clone() {
                    let cells = bounded.cells(at).ok_or(NoNoise)?;
                    exact.extend(groups.iter().map(|group| cells[*group]));
                }
                let noised = owner.draw(move |purse| additive.release(purse, &exact)).map_err(|_| NoNoise)?;
                let each = groups.len().max(1);
                let mut columns: Vec<Vec<i64>> = noised.chunks(each).map(<[i64]>::to_vec).collect();
                columns.resize(width, Vec::new());
                vectors.push(columns);
            }
        }
    }
    Ok(Noised { groups, vectors })
}

/// What a vector counts, in words.
pub(super) const fn words(counted: Counted) -> &'static str {
    match counted {
        Counted::Rows => "rows",
        Counted::Patients => "patients",
        Counted::Values => "rows with a value",
        Counted::Sum => "sum of clipped values",
        Counted::Squares => "squares of clipped values",
        Counted::Bins => "rows in each bin",
    }
}

/// Nothing more than this is asked of the ledger: all of it is spent, whatever the mechanisms take of it.
pub(super) const fn cost(rho: Rho, delta: Delta) -> Cost {
    Cost { rho, delta }
}

#[cfg(test)]
mod tests {
    use super::*;

    // REL-23
    #[test]
    fn a_person_at_two_members_pays_four_times_the_rho_and_more_delta_than_was_debited() {
        let paid = Cost { rho: Rho(1 << 76), delta: Delta(1 << 73) };
        let bounds = Bounds::new(1, 1).unwrap();
        let thresholded = [Mechanism::Thresholded(Thresholded::within(bounds, paid).unwrap())];
        let one = of_person(&thresholded, paid, ContributionBound(1)).unwrap();
        assert_eq!(one, paid, "at one member a person is a token");
        let two = of_person(&thresholded, paid, ContributionBound(2)).unwrap();
        assert!(two.rho >= Rho(1 << 78), "{two:?}");
        assert!(two.delta.0 > 2 * paid.delta.0, "a threshold hides two tokens less than twice as well: {two:?}");
        let additive = [Mechanism::Additive(Additive::within(Family::Gaussian, bounds, paid.rho).unwrap())];
        assert_eq!(of_person(&additive, paid, ContributionBound(2)).unwrap().delta, paid.delta);
    }
}
