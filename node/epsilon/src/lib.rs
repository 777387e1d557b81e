//! What rho and delta come to for people: costs in integers, and epsilon at a delta. Whoever states an epsilon and whoever checks one
//! computes it here; noise is drawn elsewhere.

#![expect(
    clippy::cast_precision_loss,
    reason = "figures for people, never below what was spent; what is charged stays in integers"
)]

use cohortium_protocol::quantity::{ContributionBound, Delta, Millionths, Rho};

/// Bits after the point of a [`Rho`].
const RHO_BITS: i32 = 80;
/// Bits after the point of a [`Delta`].
const DELTA_BITS: i32 = 100;

/// What a release costs one linkage token: rho and delta of approximate zCDP (Bun and Steinke 2016, definition 8.1). Costs add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// The concentrated loss.
    pub rho: Rho,
    /// The probability that the loss does not bound.
    pub delta: Delta,
}

impl Cost {
    /// The cost that `OpenDP`'s map gives, rounded up: the one place where a float becomes a charge. `None` for what no budget can pay:
    /// a negative, infinite or undefined loss, and a delta above 1.
    pub fn ceiling(rho: f64, delta: f64) -> Option<Self> {
        let cost = Self { rho: Rho(ceiling(rho, RHO_BITS)?), delta: Delta(ceiling(delta, DELTA_BITS)?) };
        (delta <= 1.0).then_some(cost)
    }

    /// Both together, or `None` past what the integers hold.
    pub fn plus(self, other: Self) -> Option<Self> {
        Some(Self {
            rho: Rho(self.rho.0.checked_add(other.rho.0)?),
            delta: Delta(self.delta.0.checked_add(other.delta.0)?),
        })
    }

    /// Whether neither part is above the other's.
    pub fn fits(self, limit: Self) -> bool {
        self.rho <= limit.rho && self.delta <= limit.delta
    }

    /// Epsilon at this delta, in which the cost's own delta is contained; infinite where that alone is more.
    ///
    /// Source: Canonne, Kamath and Steinke 2020, proposition 12, as in `OpenDP`'s map, with what rounding may lose added.
    pub fn epsilon(self, delta: Delta) -> f64 {
        match delta.0.checked_sub(self.delta.0) {
            Some(left) if left > 0 => epsilon(self.rho_up(), down(left, DELTA_BITS)),
            _ if self.rho.0 == 0 && self.delta <= delta => 0.0,
            _ => f64::INFINITY,
        }
    }

    /// Rho as a float, never below.
    pub fn rho_up(self) -> f64 {
        let near = self.rho.0 as f64;
        let near = if below(near, self.rho.0) { near.next_up() } else { near };
        near * (-f64::from(RHO_BITS)).exp2()
    }
}

/// A figure as it is stated: in millionths, rounded up. What is no number, or none that an integer holds, is the largest.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, which is against who releases")]
pub fn stated(figure: f64) -> Millionths {
    if figure.is_nan() { Millionths(u64::MAX) } else { Millionths((figure * 1e6).ceil() as u64) }
}

/// The least epsilon that may be stated for a cost at this delta. A little lower than [`stated`] would have it, because logarithms of
/// other machines may differ in their last bits: one part in 10^9, and less than a millionth.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
pub fn least_stated(cost: Cost, at: Delta) -> Millionths {
    Millionths((cost.epsilon(at) * (1.0 - 1e-9) * 1e6).floor() as u64)
}

/// The loss of a person whose rows are spread over m tokens: m squared times rho, when the cost has no delta (Bun and Steinke 2016,
/// proposition 1.9). What has a delta says what a person pays itself. `None` past what the integers hold.
pub fn rho_of_person(rho: Rho, tokens: ContributionBound) -> Option<Rho> {
    let m = u128::from(tokens.0.max(1));
    rho.0.checked_mul(m * m).map(Rho)
}

/// The largest rho whose epsilon at this delta is at most `epsilon`: how a wish in epsilon becomes a budget. `None` where there is none.
pub fn rho_within(epsilon: f64, delta: Delta) -> Option<Rho> {
    let fits = |rho: u128| Cost { rho: Rho(rho), delta: Delta(0) }.epsilon(delta) <= epsilon;
    let (mut low, mut high) = (0_u128, 1_u128 << 110);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if fits(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low > 0).then_some(Rho(low))
}

/// `value` in units of `2^-bits`, rounded up; `None` where that is no number of units. Scaling by a power of two is exact.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be between 0 and 2^127")]
fn ceiling(value: f64, bits: i32) -> Option<u128> {
    if !value.is_finite() || value < 0.0 {
        return None;
    }
    // A subnormal product would lose bits; it is one unit at most, whatever it was.
    let units = (value * f64::from(bits).exp2()).ceil().max(if value > 0.0 { 1.0 } else { 0.0 });
    (units < 127_f64.exp2()).then_some(units as u128)
}

/// The largest float that is not above `units` of `2^-bits`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float made from a u128, which saturates"
)]
fn down(units: u128, bits: i32) -> f64 {
    let near = units as f64;
    let near = if near as u128 > units { near.next_down() } else { near };
    near * (-f64::from(bits)).exp2()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float made from a u128, which saturates"
)]
fn below(near: f64, units: u128) -> bool {
    (near as u128) < units
}

/// The least over alpha of what Canonne, Kamath and Steinke's bound gives for epsilon:
/// `alpha rho + (alpha ln(1 - 1/alpha) - ln(alpha - 1) - ln delta) / (alpha - 1)`.
///
/// Every alpha gives a valid epsilon, so the search need not be exact. `OpenDP` looks no lower than 1.01, and neither does this.
fn epsilon(rho: f64, delta: f64) -> f64 {
    if rho == 0.0 || delta >= 1.0 {
        return 0.0;
    }
    let at = |log: f64| {
        let below = log.exp();
        let alpha = below + 1.0;
        alpha * rho + (alpha * (-1.0 / alpha).ln_1p() - log - delta.ln()) / below
    };
    // Golden sections: the function falls, then rises.
    let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (0.01_f64.ln(), 75.0);
    for _ in 0..110 {
        let step = golden * (high - low);
        if at(high - step) <= at(low + step) {
            high = low + step;
        } else {
            low = high - step;
        }
    }
    // What rounding can lose in either computation is below 1e-13 of the result.
    (at(low).min(at(high)).max(0.0) * (1.0 + ROUNDING)).next_up()
}

/// Room for rounding, as a share of epsilon.
const ROUNDING: f64 = 3e-13;

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "rounding is compared exactly")]
mod tests {
    use super::*;

    fn delta(value: f64) -> Delta {
        Cost::ceiling(0.0, value).unwrap().delta
    }

    #[test]
    fn a_float_is_rounded_up_to_the_next_unit_and_what_is_no_loss_is_none() {
        let unit = (-80_f64).exp2();
        for (value, units) in [
            (0.0, Some(0)),
            (unit, Some(1)),
            (unit * 1.000_000_1, Some(2)),
            (f64::MIN_POSITIVE, Some(1)),
            (5e-324, Some(1)),
            (1.0, Some(1 << 80)),
            (-0.0, Some(0)),
            (-unit, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
            (1e300, None),
        ] {
            assert_eq!(Cost::ceiling(value, 0.0).map(|cost| cost.rho.0), units, "{value:e}");
        }
        assert_eq!(Cost::ceiling(0.0, 1.0).unwrap().delta, Delta(1 << 100));
        assert_eq!(Cost::ceiling(0.0, 1.0_f64.next_up()), None);
    }

    #[test]
    fn delta_of_the_cost_is_part_of_the_delta_at_which_epsilon_is_shown() {
        let with = |d: f64| Cost::ceiling(0.01, d).unwrap();
        let plain = with(0.0).epsilon(delta(1e-6));
        assert!(with(5e-7).epsilon(delta(1e-6)) > plain);
        assert_eq!(with(1e-6).epsilon(delta(1e-6)), f64::INFINITY);
        assert_eq!(Cost::default().epsilon(delta(0.0)), 0.0);
    }

    #[test]
    fn a_wish_in_epsilon_becomes_the_largest_rho_that_keeps_it() {
        for wish in [0.01, 0.429_94, 1.0, 8.0] {
            let Rho(rho) = rho_within(wish, delta(1e-6)).unwrap();
            let epsilon = |units| Cost { rho: Rho(units), ..Cost::default() }.epsilon(delta(1e-6));
            assert!(epsilon(rho) <= wish && epsilon(rho + (rho >> 30)) > wish);
        }
        assert_eq!(rho_within(f64::NAN, delta(1e-6)), None);
        assert_eq!(rho_within(1.0, Delta(0)), None);
    }

    #[test]
    fn a_person_pays_the_square_of_its_tokens() {
        assert_eq!(rho_of_person(Rho(5), ContributionBound(3)), Some(Rho(45)));
        assert_eq!(rho_of_person(Rho(u128::MAX), ContributionBound(2)), None);
    }

    #[test]
    fn a_figure_is_stated_rounded_up_and_none_below_it_is_borne() {
        for rho in [1_u128, 1 << 60, 0x5_1eb8_51eb_851e_b851_eb85, 1 << 80, 1 << 90] {
            let cost = Cost { rho: Rho(rho), ..Cost::default() };
            let (said, least) = (stated(cost.epsilon(delta(1e-6))), least_stated(cost, delta(1e-6)));
            assert!(least <= said && said.0 - least.0 <= 1 + said.0 / 500_000_000, "{said:?} {least:?}");
        }
        let endless = Cost { rho: Rho(1), delta: delta(1e-6) };
        assert_eq!(stated(endless.epsilon(delta(1e-7))), Millionths(u64::MAX));
        assert_eq!(least_stated(endless, delta(1e-7)), Millionths(u64::MAX));
        assert_eq!((stated(f64::NAN), stated(0.0)), (Millionths(u64::MAX), Millionths(0)));
    }
}
