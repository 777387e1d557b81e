//! What a mechanism charges is what its map says, and nothing is drawn before it is paid.

use std::collections::BTreeMap;

use cohortium_protocol::quantity::{ContributionBound, Delta, Rho};

use crate::{
    account::{Cost, Purse, rho_of_person},
    bound::Bounds,
    interval::{Family, Noise},
    mechanism::{Additive, Best, Choice, PlanError, ReleaseError, Scores, Thresholded, Wanted},
};

fn rho(value: f64) -> Rho {
    Cost::ceiling(value, 0.0).unwrap().rho
}

fn ways(select: usize, candidates: usize) -> Wanted {
    Wanted { select, candidates, scores: Scores::Counts, best: Best::Highest }
}

// PRIV-2, PRIV-3
#[test]
fn the_charge_is_the_map_s_output_and_as_near_the_budget_as_floats_are() {
    for budget in [1e-9, 0.005, 0.1, 3.0] {
        for bounds in [Bounds::new(1, 1).unwrap(), Bounds::new(7, 13).unwrap(), Bounds::new(1_000, 1 << 40).unwrap()] {
            for family in [Family::Laplace, Family::Gaussian] {
                let Ok(plan) = Additive::within(family, bounds, rho(budget)) else {
                    assert!(budget < 1e-8);
                    continue;
                };
                let charged = plan.cost().rho.0 as f64 / rho(budget).0 as f64;
                assert!((1.0 - 1e-13..=1.0).contains(&charged), "{family:?} {budget}: {charged}");
                assert_eq!(plan.cost().delta, Delta(0));
                let (scale, exact) = (plan.noise().scale, plan.cost().rho_up());
                let formula = match family {
                    Family::Laplace => (bounds.sum() / scale).powi(2) / 2.0,
                    Family::Gaussian => (bounds.length() / scale).powi(2) / 2.0,
                };
                assert!((exact / formula - 1.0).abs() < 1e-12);
            }
        }
    }
    // Squared change over 8 times the squared scale, for each that is chosen.
    let one = Choice::within(ways(1, 5), Bounds::new(1, 3).unwrap(), rho(0.01)).unwrap();
    let four = Choice::within(ways(4, 5), Bounds::new(1, 3).unwrap(), rho(0.04)).unwrap();
    assert!((one.score_gap(0.5) / (5.0_f64 / 0.5).ln() / (3.0 / 0.08_f64.sqrt()) - 1.0).abs() < 1e-9);
    assert!((four.cost().rho_up() / one.cost().rho_up() - 4.0).abs() < 1e-9);
}

// PRIV-4
#[test]
fn what_is_not_paid_is_not_drawn_and_takes_nothing() {
    let plan = Additive::within(Family::Gaussian, Bounds::new(1, 1).unwrap(), rho(0.5)).unwrap();
    let short = Cost { rho: Rho(plan.cost().rho.0 - 1), delta: Delta(0) };
    let mut purse = Purse::of(short);
    assert_eq!(plan.release(&mut purse, &[1, 2]), Err(ReleaseError::NotPaid));
    assert_eq!(purse.left(), short);
    let hidden = Thresholded::within(Bounds::new(1, 1).unwrap(), Cost::ceiling(0.5, 1e-6).unwrap()).unwrap();
    let without_delta = Cost { delta: Delta(hidden.cost().delta.0 - 1), ..hidden.cost() };
    let counts = || BTreeMap::from([("a", 1_000)]);
    assert_eq!(hidden.release(&mut Purse::of(without_delta), counts()), Err(ReleaseError::NotPaid));
    let mut purse = Purse::of(hidden.cost());
    assert_eq!(hidden.release(&mut purse, counts()).unwrap().len(), 1);
    assert_eq!(purse.left(), Cost::default());
    // Paid, and then the number of scores is wrong: spent all the same.
    let choice = Choice::within(ways(1, 3), Bounds::new(1, 1).unwrap(), rho(0.5)).unwrap();
    let mut purse = Purse::of(choice.cost());
    assert_eq!(choice.release(&mut purse, &[1, 2]), Err(ReleaseError::Failed));
    assert_eq!(purse.left(), Cost::default());
}

// PRIV-6
#[test]
fn the_threshold_is_the_lowest_that_hides_a_key_of_one_token() {
    for (groups, single, delta) in [(1, 1, 1e-6), (10, 3, 1e-9), (1, 100, 1e-2)] {
        let bounds = Bounds::new(groups, single).unwrap();
        let budget = Cost::ceiling(0.1, delta).unwrap();
        let plan = Thresholded::within(bounds, budget).unwrap();
        assert!(plan.cost().fits(budget) && plan.threshold() > i64::try_from(single).unwrap());
        // A tail of the normal distribution at the distance that is left, for each of the groups.
        let tail = |below: f64| {
            let distance = (plan.threshold() as f64 - below - single as f64) / plan.noise().scale;
            f64::from(groups) * crate::interval::normal_above(distance)
        };
        assert!(tail(0.0) <= delta && tail(1.0) > delta * 0.999, "{:e} {:e} beside {delta:e}", tail(0.0), tail(1.0));
    }
    let bounds = Bounds::new(1, 1).unwrap();
    assert_eq!(Thresholded::within(bounds, Cost::ceiling(0.1, 0.0).unwrap()), Err(PlanError::DeltaTooSmall));
}

#[test]
fn budgets_that_buy_nothing_or_everything_are_refused() {
    let bounds = Bounds::new(1, 1).unwrap();
    for family in [Family::Laplace, Family::Gaussian] {
        assert_eq!(Additive::within(family, bounds, Rho(0)), Err(PlanError::BudgetTooSmall));
        assert_eq!(Additive::within(family, bounds, rho(1e9)), Err(PlanError::BudgetTooLarge));
        for scale in [f64::NAN, f64::INFINITY, 1e30] {
            assert_eq!(Additive::of(Noise { family, scale }, bounds), Err(PlanError::BudgetTooSmall));
        }
        for scale in [0.0, -1.0, f64::NEG_INFINITY] {
            assert_eq!(Additive::of(Noise { family, scale }, bounds), Err(PlanError::BudgetTooLarge));
        }
    }
    assert_eq!(Choice::within(ways(0, 3), bounds, rho(1.0)), Err(PlanError::Candidates));
    assert_eq!(Choice::within(ways(4, 3), bounds, rho(1.0)), Err(PlanError::Candidates));
}

// PRIV-7: values at the ends of their type are answered like any others.
#[test]
fn extreme_values_are_answered_and_no_error_depends_on_them() {
    let bounds = Bounds::new(1, 1 << 50).unwrap();
    for family in [Family::Laplace, Family::Gaussian] {
        let plan = Additive::within(family, bounds, rho(0.1)).unwrap();
        for exact in [i64::MIN, -1, 0, i64::MAX] {
            let noised = plan.release(&mut Purse::of(plan.cost()), &[exact; 20]).unwrap();
            assert_eq!(noised.len(), 20);
            let near = |value: &i64| (value.saturating_sub(exact)).unsigned_abs() < 1 << 60;
            assert!(noised.iter().all(near));
        }
        assert_eq!(plan.release(&mut Purse::of(plan.cost()), &[]), Ok(Vec::new()));
    }
    let hidden = Thresholded::within(bounds, Cost::ceiling(0.1, 1e-9).unwrap()).unwrap();
    let exact = BTreeMap::from([(1, i64::MIN), (2, 0), (3, i64::MAX)]);
    let noised = hidden.release(&mut Purse::of(hidden.cost()), exact).unwrap();
    assert_eq!(noised.keys().collect::<Vec<_>>(), [&3]);
    assert_eq!(hidden.release(&mut Purse::of(hidden.cost()), BTreeMap::<u8, i64>::new()), Ok(BTreeMap::new()));
    let choice = Choice::within(ways(2, 3), Bounds::new(1, 1).unwrap(), rho(0.1)).unwrap();
    let chosen = choice.release(&mut Purse::of(choice.cost()), &[i64::MIN, i64::MAX, i64::MAX]).unwrap();
    assert_eq!(chosen.iter().sum::<usize>(), 3);
}

// PRIV-9
#[test]
fn a_person_with_m_tokens_pays_m_squared_and_a_threshold_says_what_it_still_hides() {
    let bounds = Bounds::new(2, 3).unwrap();
    let m = ContributionBound(3);
    for family in [Family::Laplace, Family::Gaussian] {
        let plan = Additive::within(family, bounds, rho(0.01)).unwrap();
        let person = plan.cost_of_person(m).unwrap().rho.0 as f64;
        assert!((person / rho_of_person(plan.cost().rho, m).unwrap().0 as f64 - 1.0).abs() < 1e-12);
    }
    let plan = Thresholded::within(bounds, Cost::ceiling(0.01, 1e-6).unwrap()).unwrap();
    let person = plan.cost_of_person(m).unwrap();
    assert!(person.delta > plan.cost().delta);
    // Noise is small beside what such a person adds: the threshold does not hide it.
    let plan = Thresholded::within(bounds, Cost::ceiling(30.0, 1e-2).unwrap()).unwrap();
    assert_eq!(plan.cost_of_person(ContributionBound(1_000)), None);
}

#[test]
fn noise_has_its_declared_deviation_and_keeps_within_its_stated_interval() {
    let draws = 20_000;
    for family in [Family::Laplace, Family::Gaussian] {
        for scale in [0.8, 7.5, 3_000.25] {
            let plan = Additive::of(Noise { family, scale }, Bounds::new(1, 1).unwrap()).unwrap();
            let noised = plan.release(&mut Purse::of(plan.cost()), &vec![1_000; draws]).unwrap();
            let mean_square = noised.iter().map(|value| (value - 1_000).pow(2) as f64).sum::<f64>() / draws as f64;
            // Five deviations of a mean of squares: kurtosis 3 of the Gaussian, 6 of the Laplace.
            let room = 5.0 * (if family == Family::Laplace { 6.0 } else { 3.0_f64 } / draws as f64).sqrt();
            let ratio = mean_square / plan.noise().deviation().powi(2);
            let low = if family == Family::Gaussian && scale < 1.0 { 0.9 } else { 1.0 };
            assert!((low - room..1.0 + room).contains(&ratio), "{family:?} {scale}: {ratio}");
            let width = plan.noise().half_width(0.95);
            let inside = noised.iter().filter(|value| ((**value - 1_000) as f64).abs() <= width).count();
            let share = inside as f64 / draws as f64;
            assert!(share > 0.95 - 5.0 * (0.05 * 0.95 / draws as f64).sqrt(), "{family:?} {scale}: {share}");
        }
    }
}
