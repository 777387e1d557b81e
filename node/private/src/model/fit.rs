//! A linear model from noised moments, with intervals: of the noise alone, and of the noise together with the choice of patients.
//!
//! Source: sufficient statistics perturbation (Vu and Slavkovic 2009; Wang 2018), its error to first order in the noise.

use cohortium_protocol::quantity::{ContributionBound, Rho};

use crate::{
    account::{Cost, Purse},
    interval::{Family, normal_two_sided},
    mechanism::{Additive, PlanError, ReleaseError},
    model::{
        design::{Design, Place, UNIT},
        matrix::Matrix,
    },
};

/// A planned model.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    design: Design,
    plan: Additive,
}

/// A coefficient in the units of the data, with intervals at the confidence that was asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coefficient {
    /// The estimate.
    pub value: f64,
    /// Half the interval that holds what these bounded rows would give without noise.
    pub noise_half_width: f64,
    /// Half the interval that holds what patients like these would give: noise and the choice of patients.
    pub half_width: f64,
}

/// A fitted model.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// The first is the outcome where every number is in the middle of its bounds and every category is the reference; then one for
    /// each entry of a feature: the outcome's change for one unit more, or for this value instead of the reference.
    pub coefficients: Vec<Coefficient>,
    /// What was added to the diagonal of the moments, in rows: above zero where noise would have hidden some direction.
    pub ridge: f64,
    /// How many rows there are, noised.
    pub rows: f64,
}

impl Linear {
    /// The model with the least noise for at most `rho`, where a token has at most `rows` rows.
    ///
    /// # Errors
    /// [`PlanError`], from declared bounds and the budget alone.
    pub fn within(design: Design, rows: u32, rho: Rho) -> Result<Self, PlanError> {
        let bounds = design.bounds(rows).map_err(|_| PlanError::BudgetTooSmall)?;
        let plan = Additive::within(Family::Gaussian, bounds, rho)?;
        Ok(Self { design, plan })
    }

    /// The noise of a moment, in products of two entries between -1 and 1.
    pub fn deviation(&self) -> f64 {
        self.plan.noise().deviation() / (UNIT as f64 * UNIT as f64)
    }

    /// What it costs a token.
    pub fn cost(&self) -> Cost {
        self.plan.cost()
    }

    /// What it costs a person with this many tokens.
    pub fn cost_of_person(&self, tokens: ContributionBound) -> Option<Cost> {
        self.plan.cost_of_person(tokens)
    }

    /// Noises the exact moments and fits. Everything after the noise is post-processing.
    ///
    /// Shape: the sums of [`Design::sums`].
    ///
    /// # Errors
    /// [`ReleaseError`]: not paid, or another number of moments than the design has, which is public.
    pub fn release(&self, purse: &mut Purse, sums: &[i64], confidence: f64) -> Result<Fit, ReleaseError> {
        if sums.len() != self.design.moments().len() {
            return Err(ReleaseError::Failed);
        }
        let noised = self.plan.release(purse, sums)?;
        let unit = UNIT as f64;
        let moments: Vec<f64> = noised.iter().map(|sum| *sum as f64 / (unit * unit)).collect();
        let deviation = self.plan.noise().deviation() / (unit * unit);
        Ok(fit(&self.design, &moments, deviation, confidence))
    }
}

/// Fits a model to moments whose noise has this deviation; zero where there is none.
pub(crate) fn fit(design: &Design, moments: &[f64], deviation: f64, confidence: f64) -> Fit {
    let width = design.width();
    let moment = |a: usize, b: usize| match design.place(a.min(b), a.max(b)) {
        Place::Own => design.moments().binary_search(&(a.min(b), a.max(b))).map_or(0.0, |at| moments[at]),
        Place::WithConstant => design.moments().binary_search(&(0, a)).map_or(0.0, |at| moments[at]),
        Place::Zero => 0.0,
    };
    let (ridge, inverse) = inverted(width, moment, deviation);
    let products: Vec<f64> = (0..width).map(|row| moment(row, width)).collect();
    let solved = inverse.times(&products);
    let noise = noise_variances(design, &inverse, &solved, deviation);
    let rows = moment(0, 0);
    // What the model leaves over: y'y - 2 b'X'y + b'X'X b, for each row beyond the coefficients.
    let explained: f64 =
        (0..width).map(|a| (0..width).map(|b| solved[a] * solved[b] * moment(a, b)).sum::<f64>()).sum();
    let crossed: f64 = solved.iter().zip(&products).map(|(a, b)| a * b).sum();
    let freedom = (rows - width as f64).max(1.0);
    let left = ((moment(width, width) - 2.0 * crossed + explained) / freedom).clamp(0.0, 4.0);
    let factor = normal_two_sided(confidence);
    // A ridge pulls towards zero by as much as it weighs on the coefficients: nobody knows them better than the estimate.
    let pulled: Vec<f64> = inverse.times(&solved).iter().map(|value| (ridge * value).abs()).collect();
    let outcome = design.outcome();
    let coefficients = (0..width).map(|at| {
        let scale = outcome.half() / design.range(at).map_or(1.0, |range| range.half());
        let offset = if at == 0 { outcome.middle() } else { 0.0 };
        Coefficient {
            value: offset + scale * solved[at],
            noise_half_width: scale * (factor * noise[at].sqrt() + pulled[at]),
            half_width: scale * (factor * (noise[at] + left * inverse.at(at, at).max(0.0)).sqrt() + pulled[at]),
        }
    });
    Fit { coefficients: coefficients.collect(), ridge, rows }
}

/// The inverse of the moments of the features, with the least of a row of ridges that keeps every pivot above the noise.
fn inverted(width: usize, moment: impl Fn(usize, usize) -> f64, deviation: f64) -> (f64, Matrix) {
    let least = 2.0 * deviation * (width as f64).sqrt();
    let with = |ridge: f64| Matrix::from_cells(width, |a, b| moment(a, b) + if a == b { ridge } else { 0.0 });
    let mut ridge = 0.0;
    for _ in 0..200 {
        if let Some(inverse) = with(ridge).inverse(least) {
            return (ridge, inverse);
        }
        ridge = (ridge * 2.0).max(least).max(1.0);
    }
    // Only moments at the ends of their type come here: nothing is known then, and the intervals say so.
    (f64::MAX.sqrt(), Matrix::from_cells(width, |a, b| if a == b { 1.0 } else { 0.0 }))
}

/// The variance of each coefficient from noise: a moment's noise moves the equations by what it is multiplied with, and the inverse
/// turns that into coefficients.
fn noise_variances(design: &Design, inverse: &Matrix, solved: &[f64], deviation: f64) -> Vec<f64> {
    let width = design.width();
    let mut variances = vec![0.0; width];
    for (a, b) in design.moments() {
        let mut moved = vec![0.0; width];
        match (*a, *b) {
            (a, b) if a == width && b == width => {}
            (a, b) if b == width => moved[a] += 1.0,
            (a, b) if a == b => moved[a] -= solved[a],
            (a, b) => {
                moved[a] -= solved[b];
                moved[b] -= solved[a];
                if a == 0 && design.place(b, b) == Place::WithConstant {
                    moved[b] -= solved[b];
                }
            }
        }
        for (variance, moved) in variances.iter_mut().zip(inverse.times(&moved)) {
            *variance += (moved * deviation).powi(2);
        }
    }
    variances
}
