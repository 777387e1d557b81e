//! The noise of an answer: what was paid is split over the vectors that a question counts, before a row is read. What the split and
//! the noise are follows from the question's own declarations alone.

use std::collections::BTreeMap;

use cohortium_engine::private::{Bounded, Counted, Part};
use cohortium_private::account::{Cost, Purse};
use cohortium_private::bound::Bounds;
use cohortium_private::interval::{Family, Noise};
use cohortium_private::mechanism::{Additive, Thresholded};
use cohortium_private::owner::Owner;
use cohortium_protocol::quantity::{Delta, Rho};

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
