//! Mechanisms of `OpenDP`: the one file that names it. Each is planned from declared bounds and a budget, which says its cost by
//! `OpenDP`'s own privacy map; run, it is paid first and then adds its noise.
//!
//! A `Measurement` never leaves the function that makes it: it may not move between threads.

use std::collections::{BTreeMap, HashMap};

use cohortium_protocol::quantity::{ContributionBound, Delta, Rho};
use opendp::{
    core::Measurement,
    domains::{AtomDomain, MapDomain, VectorDomain},
    error::Fallible,
    measurements::{make_gaussian, make_gaussian_threshold, make_laplace, make_noisy_top_k},
    measures::{Approximate, MaxDivergence, ZeroConcentratedDivergence},
    metrics::{AbsoluteDistance, L1Distance, L2Distance, L02InfDistance, LInfDistance},
};

use crate::{
    account::{Cost, Purse},
    bound::Bounds,
    interval::{Family, Noise},
};

type Vector = VectorDomain<AtomDomain<i64>>;
type Groups = MapDomain<AtomDomain<u64>, AtomDomain<i64>>;
type Laplace = Measurement<Vector, L1Distance<f64>, MaxDivergence, Vec<i64>>;
type Gaussian = Measurement<Vector, L2Distance<f64>, ZeroConcentratedDivergence, Vec<i64>>;
type GaussianThreshold = Measurement<
    Groups,
    L02InfDistance<AbsoluteDistance<f64>>,
    Approximate<ZeroConcentratedDivergence>,
    HashMap<u64, i64>,
>;
type Selection = Measurement<Vector, LInfDistance<i64>, ZeroConcentratedDivergence, Vec<usize>>;

/// Noise past which an `i64` could run full, and a budget that would ask for it is none.
const SCALE_MAX: f64 = (1_u64 << 56) as f64;
/// Noise below which there is none to speak of.
const SCALE_MIN: f64 = 1.0 / 1024.0;

/// Why a mechanism cannot be planned. It depends on declared bounds and the budget alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanError {
    /// The budget is zero, or too small for noise that integers of 64 bits hold.
    BudgetTooSmall,
    /// The budget is so large that there would be no noise.
    BudgetTooLarge,
    /// No threshold hides rare keys at this delta.
    DeltaTooSmall,
    /// More is to be selected than there are candidates, or nothing.
    Candidates,
}

impl std::fmt::Display for PlanError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::BudgetTooSmall => "the budget is too small for any answer within these bounds",
            Self::BudgetTooLarge => "the budget is so large that the answer would have no noise",
            Self::DeltaTooSmall => "no threshold hides rare keys at this delta",
            Self::Candidates => "the number to select is none, or above that of the candidates",
        })
    }
}

impl std::error::Error for PlanError {}

/// Why a mechanism did not answer. Neither depends on a value of the aggregates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseError {
    /// The purse does not hold the cost. Nothing was drawn.
    NotPaid,
    /// The generator failed, or the number of values is not the planned one. What was paid stays spent.
    Failed,
}

impl std::fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotPaid => "the release is not paid",
            Self::Failed => "the release failed",
        })
    }
}

impl std::error::Error for ReleaseError {}

/// Independent noise on every value of a vector, whose keys are public.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Additive {
    bounds: Bounds,
    noise: Noise,
    cost: Cost,
}

impl Additive {
    /// The least noise of this family whose cost is at most `rho`. The Gaussian has half the variance of the Laplace at one cost.
    ///
    /// # Errors
    /// [`PlanError`] where no noise fits the budget.
    pub fn within(family: Family, bounds: Bounds, rho: Rho) -> Result<Self, PlanError> {
        let limit = Cost { rho, delta: Delta(0) };
        let start = match family {
            Family::Laplace => bounds.sum() / (2.0 * limit.rho_up()).sqrt(),
            Family::Gaussian => bounds.length() / (2.0 * limit.rho_up()).sqrt(),
        };
        let (scale, cost) = fit(start, limit, |scale| additive_cost(Noise { family, scale }, bounds))?;
        Ok(Self { bounds, noise: Noise { family, scale }, cost })
    }

    /// Noise of a given scale, and what it costs.
    ///
    /// # Errors
    /// [`PlanError`] for a scale that is no number or outside what is drawn.
    pub fn of(noise: Noise, bounds: Bounds) -> Result<Self, PlanError> {
        in_range(noise.scale)?;
        let cost = additive_cost(noise, bounds).ok_or(PlanError::BudgetTooLarge)?;
        Ok(Self { bounds, noise, cost })
    }

    /// What it costs a token.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// What it costs a person with this many tokens: the map at m times the bounds. `None` past what can be paid.
    pub fn cost_of_person(&self, tokens: ContributionBound) -> Option<Cost> {
        additive_cost(self.noise, self.bounds.of_person(tokens))
    }

    /// The noise of every value.
    pub fn noise(&self) -> Noise {
        self.noise
    }

    /// Adds noise to every value; values that would leave `i64` stop at its ends.
    ///
    /// # Errors
    /// [`ReleaseError`], neither of which depends on a value.
    pub fn release(&self, purse: &mut Purse, exact: &[i64]) -> Result<Vec<i64>, ReleaseError> {
        purse.pay(self.cost).ok_or(ReleaseError::NotPaid)?;
        let exact = exact.to_vec();
        let noised = match self.noise.family {
            Family::Laplace => laplace(self.noise.scale).and_then(|mechanism| mechanism.invoke(&exact)),
            Family::Gaussian => gaussian(self.noise.scale).and_then(|mechanism| mechanism.invoke(&exact)),
        };
        noised.map_err(|_| ReleaseError::Failed)
    }
}

/// Counts by keys that are themselves private: noise on every count, and only those at or above a threshold come out.
///
/// Source: Rogers 2023 (unknown domains), as `OpenDP` proves it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholded {
    bounds: Bounds,
    scale: f64,
    threshold: i64,
    cost: Cost,
}

impl Thresholded {
    /// The least noise within the budget's rho, and the lowest threshold within its delta.
    ///
    /// # Errors
    /// [`PlanError`] where none fits.
    pub fn within(bounds: Bounds, budget: Cost) -> Result<Self, PlanError> {
        let start = bounds.length() / (2.0 * budget.rho_up()).sqrt();
        let (scale, _) = fit(start, Cost { rho: budget.rho, delta: Delta(0) }, |scale| {
            additive_cost(Noise { family: Family::Gaussian, scale }, bounds)
        })?;
        let cost_at = |threshold: i64| threshold_cost(scale, threshold, bounds);
        let (mut low, mut high) = (i64::try_from(bounds.single()).unwrap_or(i64::MAX), i64::MAX / 4);
        if !cost_at(high).is_some_and(|cost| cost.fits(budget)) {
            return Err(PlanError::DeltaTooSmall);
        }
        // Delta falls as the threshold rises.
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if cost_at(middle).is_some_and(|cost| cost.fits(budget)) {
                high = middle;
            } else {
                low = middle;
            }
        }
        let cost = cost_at(high).ok_or(PlanError::DeltaTooSmall)?;
        Ok(Self { bounds, scale, threshold: high, cost })
    }

    /// What it costs a token.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// What it costs a person with this many tokens. `None` where the threshold does not hide such a person.
    pub fn cost_of_person(&self, tokens: ContributionBound) -> Option<Cost> {
        threshold_cost(self.scale, self.threshold, self.bounds.of_person(tokens))
    }

    /// The lowest noised count that comes out.
    pub fn threshold(&self) -> i64 {
        self.threshold
    }

    /// The noise of every count.
    pub fn noise(&self) -> Noise {
        Noise { family: Family::Gaussian, scale: self.scale }
    }

    /// The noised counts of the keys that come out, in the order of the keys. Which others there are stays here.
    ///
    /// # Errors
    /// [`ReleaseError`], neither of which depends on a value.
    pub fn release<K: Ord>(
        &self,
        purse: &mut Purse,
        exact: BTreeMap<K, i64>,
    ) -> Result<BTreeMap<K, i64>, ReleaseError> {
        purse.pay(self.cost).ok_or(ReleaseError::NotPaid)?;
        let (keys, counts): (Vec<K>, Vec<i64>) = exact.into_iter().unzip();
        let numbered: HashMap<u64, i64> = (0..).zip(counts).collect();
        let noised = gaussian_threshold(self.scale, self.threshold).and_then(|mechanism| mechanism.invoke(&numbered));
        let noised = noised.map_err(|_| ReleaseError::Failed)?;
        Ok((0_u64..).zip(keys).filter_map(|(number, key)| Some((key, *noised.get(&number)?))).collect())
    }
}

/// How one token moves the scores of candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scores {
    /// All in one direction, as counts do.
    Counts,
    /// Each in any direction.
    Any,
}

/// Which end of the scores is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Best {
    /// The highest.
    Highest,
    /// The lowest.
    Lowest,
}

/// The exponential mechanism, repeated without what was chosen: the best `k` of public candidates, best first. No score comes out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    select: usize,
    candidates: usize,
    single: i64,
    scores: Scores,
    best: Best,
    scale: f64,
    cost: Cost,
}

/// What is to be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// How many.
    pub select: usize,
    /// Of how many public candidates.
    pub candidates: usize,
    /// How one token moves their scores.
    pub scores: Scores,
    /// Which end of them.
    pub best: Best,
}

impl Choice {
    /// The choice with the least noise whose cost is at most `rho`, when one token moves a score by at most `bounds`' single value.
    ///
    /// # Errors
    /// [`PlanError`] where no noise fits, and for a number to select that there is not.
    pub fn within(wanted: Wanted, bounds: Bounds, rho: Rho) -> Result<Self, PlanError> {
        let Wanted { select, candidates, scores, best } = wanted;
        let single = i64::try_from(bounds.single()).map_err(|_| PlanError::BudgetTooSmall)?;
        let few = u32::try_from(select).map_err(|_| PlanError::Candidates)?;
        if few == 0 || select > candidates {
            return Err(PlanError::Candidates);
        }
        let limit = Cost { rho, delta: Delta(0) };
        let range = single as f64 * if scores == Scores::Counts { 1.0 } else { 2.0 };
        let start = range * (f64::from(few) / (8.0 * limit.rho_up())).sqrt();
        let planned = |scale| Self { select, candidates, single, scores, best, scale, cost: Cost::default() };
        let (scale, cost) = fit(start, limit, |scale| planned(scale).cost_at(single))?;
        Ok(Self { cost, ..planned(scale) })
    }

    /// What it costs a token.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// What it costs a person with this many tokens. `None` past what can be paid.
    pub fn cost_of_person(&self, tokens: ContributionBound) -> Option<Cost> {
        self.cost_at(self.single.checked_mul(i64::from(tokens.0.max(1)))?)
    }

    /// How far a chosen score is from the best one at most, with this confidence, whatever the scores are (Dwork and Roth 2014,
    /// theorem 3.11, for every one of the chosen).
    pub fn score_gap(&self, confidence: f64) -> f64 {
        let chances = (self.candidates as f64) * (self.select as f64);
        self.scale * (chances / (1.0 - confidence)).ln()
    }

    /// Indices of the chosen candidates, best first.
    ///
    /// # Errors
    /// [`ReleaseError`], neither of which depends on a score.
    pub fn release(&self, purse: &mut Purse, scores: &[i64]) -> Result<Vec<usize>, ReleaseError> {
        purse.pay(self.cost).ok_or(ReleaseError::NotPaid)?;
        if scores.len() != self.candidates {
            return Err(ReleaseError::Failed);
        }
        let chosen = self.measurement().and_then(|mechanism| mechanism.invoke(&scores.to_vec()));
        chosen.map_err(|_| ReleaseError::Failed)
    }

    fn measurement(&self) -> Fallible<Selection> {
        let metric = LInfDistance::new(self.scores == Scores::Counts);
        let negate = self.best == Best::Lowest;
        make_noisy_top_k(values(), metric, ZeroConcentratedDivergence, self.select, self.scale, negate)
    }

    fn cost_at(&self, single: i64) -> Option<Cost> {
        let rho = self.measurement().and_then(|mechanism| mechanism.map(&single)).ok()?;
        Cost::ceiling(rho, 0.0)
    }
}

/// Draws once, so that the generator has opened what it needs before a process closes its doors.
///
/// # Errors
/// [`ReleaseError::Failed`] where there is no entropy.
pub fn warm_up() -> Result<(), ReleaseError> {
    opendp::traits::samplers::fill_bytes(&mut [0; 8]).map_err(|_| ReleaseError::Failed)
}

fn values() -> Vector {
    VectorDomain::new(AtomDomain::default())
}

fn laplace(scale: f64) -> Fallible<Laplace> {
    make_laplace(values(), L1Distance::default(), scale, None)
}

fn gaussian(scale: f64) -> Fallible<Gaussian> {
    make_gaussian(values(), L2Distance::default(), scale, None)
}

fn gaussian_threshold(scale: f64, threshold: i64) -> Fallible<GaussianThreshold> {
    let groups = MapDomain::new(AtomDomain::default(), AtomDomain::default());
    make_gaussian_threshold(groups, L02InfDistance::default(), scale, threshold, None)
}

/// The charge of additive noise: the map's output, for Laplace turned into rho as `OpenDP` turns it, rounded up.
fn additive_cost(noise: Noise, bounds: Bounds) -> Option<Cost> {
    let rho = match noise.family {
        Family::Laplace => {
            let concentrated = opendp::combinators::make_pureDP_to_zCDP(laplace(noise.scale).ok()?).ok()?;
            concentrated.map(&bounds.sum())
        }
        Family::Gaussian => gaussian(noise.scale).and_then(|mechanism| mechanism.map(&bounds.length())),
    };
    Cost::ceiling(rho.ok()?, 0.0)
}

/// The charge of noise and threshold: the map's output, rounded up.
fn threshold_cost(scale: f64, threshold: i64, bounds: Bounds) -> Option<Cost> {
    let distance = (bounds.groups(), bounds.length(), bounds.single() as f64);
    let (rho, delta) = gaussian_threshold(scale, threshold).and_then(|mechanism| mechanism.map(&distance)).ok()?;
    Cost::ceiling(rho, delta)
}

fn in_range(scale: f64) -> Result<(), PlanError> {
    match scale {
        scale if scale < SCALE_MIN => Err(PlanError::BudgetTooLarge),
        scale if scale <= SCALE_MAX => Ok(()),
        _ => Err(PlanError::BudgetTooSmall),
    }
}

/// The first scale from `start` on whose cost is within the limit: the formula gives it but for rounding.
fn fit(start: f64, limit: Cost, cost: impl Fn(f64) -> Option<Cost>) -> Result<(f64, Cost), PlanError> {
    let mut scale = start;
    for _ in 0..64 {
        in_range(scale)?;
        match cost(scale) {
            Some(cost) if cost.fits(limit) => return Ok((scale, cost)),
            _ => scale *= 1.0 + 4.0 * f64::EPSILON,
        }
    }
    Err(PlanError::BudgetTooSmall)
}
