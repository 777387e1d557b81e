//! Audits: what draws on two neighbouring tables show of a mechanism's loss must not exceed its claim.
//!
//! An event is chosen from a fifth of the draws and counted in the rest. From the bounds of its two probabilities follows a loss that
//! the mechanism has at least: for every order alpha, the Rényi divergence of the event alone is at most alpha times rho (data
//! processing), where delta may be left out of both sides. A sound mechanism exceeds its claim with a chance of at most 1e-6.

use std::collections::BTreeMap;

use cohortium_protocol::quantity::Delta;

use crate::{
    account::{Cost, Purse},
    bound::Bounds,
    interval::{Family, Noise},
    mechanism::{Additive, Best, Choice, Scores, Thresholded, Wanted},
    quantile::{Counts, Quantile, Share},
};

/// Draws of one mechanism, on both tables together.
const DRAWS: usize = 200_000;
const DRAWS_LONG: usize = 10_000_000;
/// How often a sound mechanism is accused: this much for each of four bounds, two in each direction.
const FALSE_ALARM: f64 = 1e-6 / 4.0;

fn draws() -> usize {
    let long = std::env::var_os("COHORTIUM_LONG").is_some();
    if long { DRAWS_LONG / 2 } else { DRAWS / 2 }
}

/// The Kullback-Leibler divergence of two coins.
fn divergence(p: f64, q: f64) -> f64 {
    let term = |a: f64, b: f64| if a == 0.0 { 0.0 } else { a * (a / b).ln() };
    term(p, q) + term(1.0 - p, 1.0 - q)
}

/// The Chernoff bound of a coin's chance from `seen` of `n`, below or above (Hoeffding 1963, theorem 1).
fn chance(seen: usize, n: usize, above: bool) -> f64 {
    let share = seen as f64 / n as f64;
    let wanted = -FALSE_ALARM.ln() / n as f64;
    let (mut near, mut far) = (share, if above { 1.0 } else { 0.0 });
    for _ in 0..60 {
        let middle = f64::midpoint(near, far);
        if divergence(share, middle) < wanted { near = middle } else { far = middle }
    }
    far
}

/// The largest rho that an event with chance at least `p` here and at most `q` there proves.
fn proven_rho(p: f64, q: f64, delta: f64) -> f64 {
    let (p, q) = (((p - delta) / (1.0 - delta)).max(0.0), (q / (1.0 - delta)).min(1.0));
    if p <= q {
        return 0.0;
    }
    let order = |alpha: f64| {
        let sum = p.powf(alpha) * q.powf(1.0 - alpha) + (1.0 - p).powf(alpha) * (1.0 - q).powf(1.0 - alpha);
        sum.ln() / (alpha - 1.0) / alpha
    };
    [1.25, 1.5, 2.0, 3.0, 5.0, 9.0, 20.0].into_iter().map(order).fold(divergence(p, q), f64::max)
}

/// The loss proven by statistics of draws on two tables, by the best event "at least t" or "at most t" of either direction.
fn audited(one: &[f64], other: &[f64], delta: f64) -> f64 {
    let fifth = one.len() / 5;
    let mut proven: f64 = 0.0;
    for (here, there) in [(one, other), (other, one)] {
        for sign in [1.0, -1.0] {
            let count = |draws: &[f64], t: f64| draws.iter().filter(|value| **value * sign >= t).count();
            let mut marks: Vec<f64> = here[..fifth].iter().chain(&there[..fifth]).map(|value| value * sign).collect();
            marks.sort_by(f64::total_cmp);
            marks.dedup();
            let step = (marks.len() / 60).max(1);
            let judge = |here: &[f64], there: &[f64], t: f64| {
                let p = chance(count(here, t), here.len(), false);
                let q = chance(count(there, t), there.len(), true);
                proven_rho(p, q, delta)
            };
            let best = marks.iter().step_by(step).max_by(|a, b| {
                judge(&here[..fifth], &there[..fifth], **a).total_cmp(&judge(&here[..fifth], &there[..fifth], **b))
            });
            proven = proven.max(judge(&here[fifth..], &there[fifth..], *best.unwrap()));
        }
    }
    proven
}

/// Holds a claim against draws, and says both as epsilon at delta 1e-6 or the claim's own.
fn holds(name: &str, claim: Cost, one: &[f64], other: &[f64]) -> bool {
    let delta = claim.delta.0 as f64 / 100_f64.exp2();
    let proven = audited(one, other, delta);
    let shown = Delta(claim.delta.0 + Cost::ceiling(0.0, 1e-6).unwrap().delta.0);
    let found = Cost { rho: Cost::ceiling(proven, 0.0).unwrap().rho, ..claim };
    println!(
        "{name}: rho at least {proven:.4} by {} draws, claimed {:.4}; epsilon {:.3} and {:.3}",
        one.len() + other.len(),
        claim.rho_up(),
        found.epsilon(shown),
        claim.epsilon(shown)
    );
    proven <= claim.rho_up()
}

/// Draws of additive noise on two tables that differ in one token; the sum over what the token changes tells most.
fn additive(noise: Noise, changes: &[i64]) -> (Vec<f64>, Vec<f64>) {
    let plan = Additive::of(noise, Bounds::new(1, 1).unwrap()).unwrap();
    let draw = |with: i64| -> Vec<f64> {
        let exact: Vec<i64> = (0..draws()).flat_map(|_| changes.iter().map(move |change| 40 + with * change)).collect();
        let noised = plan.release(&mut Purse::of(plan.cost()), &exact).unwrap();
        let told =
            |row: &[i64]| row.iter().zip(changes).map(|(value, change)| (value - 40) * change).sum::<i64>() as f64;
        noised.chunks(changes.len()).map(told).collect()
    };
    (draw(0), draw(1))
}

/// What a mechanism claims that believes its noise to be `lie` times what it is.
fn claim(noise: Noise, bounds: Bounds, lie: f64) -> Cost {
    Additive::of(Noise { scale: noise.scale * lie, ..noise }, bounds).unwrap().cost()
}

// PRIV-10
#[test]
fn the_gaussian_holds_its_claim_and_half_its_noise_is_caught() {
    let noise = Noise { family: Family::Gaussian, scale: 2.5 };
    for (changes, bounds) in
        [(vec![2], Bounds::new(1, 2).unwrap()), (vec![1, 2], Bounds::new(2, 2).unwrap().with_squared(5).unwrap())]
    {
        let (one, other) = additive(noise, &changes);
        assert!(holds("gaussian", claim(noise, bounds, 1.0), &one, &other));
        assert!(!holds("gaussian, half the noise", claim(noise, bounds, 2.0), &one, &other));
    }
}

// PRIV-10
#[test]
fn the_laplace_holds_its_claim_and_half_its_noise_is_caught() {
    let noise = Noise { family: Family::Laplace, scale: 2.0 };
    let (one, other) = additive(noise, &[2]);
    let bounds = Bounds::new(1, 2).unwrap();
    assert!(holds("laplace", claim(noise, bounds, 1.0), &one, &other));
    assert!(!holds("laplace, half the noise", claim(noise, bounds, 2.0), &one, &other));
}

// PRIV-6, PRIV-10
#[test]
fn the_threshold_holds_its_claim_and_less_noise_or_a_lower_threshold_is_caught() {
    let bounds = Bounds::new(2, 1).unwrap();
    let plan = Thresholded::within(bounds, Cost::ceiling(0.3, 0.02).unwrap()).unwrap();
    // A token adds to a group that is there and brings a key that is not.
    let draw = |plan: &Thresholded, with: bool| -> Vec<f64> {
        let tell = |_| {
            let mut exact = BTreeMap::from([("known", 50)]);
            if with {
                exact.insert("known", 51);
                exact.insert("rare", 1);
            }
            let noised = plan.release(&mut Purse::of(plan.cost()), exact).unwrap();
            if noised.contains_key("rare") { 1e9 } else { noised.get("known").map_or(0.0, |count| *count as f64) }
        };
        (0..draws()).map(tell).collect()
    };
    let (one, other) = (draw(&plan, false), draw(&plan, true));
    assert!(holds("noise and threshold", plan.cost(), &one, &other));
    let loud = Thresholded::within(bounds, Cost::ceiling(1.2, 0.02).unwrap()).unwrap();
    let (one, other) = (draw(&loud, false), draw(&loud, true));
    assert!(!holds("noise and threshold, half the noise", plan.cost(), &one, &other));
}

// PRIV-10
#[test]
fn the_choice_holds_its_claim_and_half_its_noise_is_caught() {
    let rho = |value| Cost::ceiling(value, 0.0).unwrap().rho;
    let (wanted, bounds) =
        (Wanted { select: 1, candidates: 3, scores: Scores::Counts, best: Best::Highest }, Bounds::new(3, 1).unwrap());
    let plan = |value| Choice::within(wanted, bounds, rho(value)).unwrap();
    let draw = |plan: &Choice, scores: [i64; 3]| -> Vec<f64> {
        let tell = |_| f64::from(u8::from(plan.release(&mut Purse::of(plan.cost()), &scores).unwrap() == [0]));
        (0..draws()).map(tell).collect()
    };
    let sound = plan(0.5);
    let claimed = sound.cost();
    assert!(holds("choice", claimed, &draw(&sound, [9, 9, 9]), &draw(&sound, [10, 9, 9])));
    // Four times the loss is what half the scale costs.
    let broken = plan(2.0);
    assert!(!holds("choice, half the noise", claimed, &draw(&broken, [9, 9, 9]), &draw(&broken, [10, 9, 9])));
}

// PRIV-10
#[test]
fn the_quantile_holds_its_claim_and_half_its_noise_is_caught() {
    let rho = |value| Cost::ceiling(value, 0.0).unwrap().rho;
    let plan = |value| Quantile::within(Share::MEDIAN, 2, 1, rho(value)).unwrap();
    // All other values lie above: one more between the candidates moves one score up and the other down.
    let draw = |plan: &Quantile, middle: i64| -> Vec<f64> {
        let counts = Counts { between: &[0, middle, 30], at: &[1, 0] };
        let tell = |_| f64::from(u8::from(plan.release(&mut Purse::of(plan.cost()), counts).unwrap() == 0));
        (0..draws()).map(tell).collect()
    };
    let sound = plan(0.5);
    let claimed = sound.cost();
    assert!(holds("quantile", claimed, &draw(&sound, 0), &draw(&sound, 1)));
    let broken = plan(2.0);
    assert!(!holds("quantile, half the noise", claimed, &draw(&broken, 0), &draw(&broken, 1)));
}
