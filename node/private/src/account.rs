//! What may still be spent, and the purse that noise is drawn from. What a cost comes to for people is in `cohortium-epsilon`, which
//! whoever verifies a statement uses too.

use cohortium_protocol::quantity::{Delta, Rho};

pub use cohortium_epsilon::{Cost, rho_of_person, rho_within, stated};

/// Whether a cost may still be spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It may; this much will have been spent.
    Permit(Cost),
    /// It may not, and nothing changes: a smaller cost may still be permitted.
    Refuse(Refusal),
}

/// What there is not enough of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Rho.
    Rho,
    /// Delta.
    Delta,
}

/// The privacy filter: whether `cost` fits beside what is spent, within the limit. Costs may be chosen after seeing earlier answers: for
/// zCDP the sum is still the loss (Whitehouse, Ramdas, Rogers and Wu 2023, theorem 1). A refusal leaves the account as it is.
pub fn filter(spent: Cost, limit: Cost, cost: Cost) -> Decision {
    let Some(after) = spent.plus(cost) else { return Decision::Refuse(Refusal::Rho) };
    if after.rho > limit.rho {
        return Decision::Refuse(Refusal::Rho);
    }
    if after.delta > limit.delta {
        return Decision::Refuse(Refusal::Delta);
    }
    Decision::Permit(after)
}

/// What was paid for the noise of one release, and is used up as the noise is drawn. It is filled with what the ledger has durably
/// spent; what is left in it when it is dropped stays spent.
#[derive(Debug)]
pub struct Purse {
    left: Cost,
}

impl Purse {
    /// A purse with what the ledger says is spent for this release.
    pub fn of(paid: Cost) -> Self {
        Self { left: paid }
    }

    /// What is left.
    pub fn left(&self) -> Cost {
        self.left
    }

    /// Takes a cost out, or nothing where it does not fit.
    pub(crate) fn pay(&mut self, cost: Cost) -> Option<()> {
        if !cost.fits(self.left) {
            return None;
        }
        self.left = Cost {
            rho: Rho(self.left.rho.0.checked_sub(cost.rho.0)?),
            delta: Delta(self.left.delta.0.checked_sub(cost.delta.0)?),
        };
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use opendp::{
        combinators::ConcentratedMeasure,
        measures::{PrivacyProfile, ZeroConcentratedDivergence},
    };

    use super::*;

    fn theirs(rho: f64, delta: f64) -> f64 {
        let profile: PrivacyProfile = ZeroConcentratedDivergence::convert(rho).unwrap();
        profile.epsilon(delta).unwrap()
    }

    fn cost(rho: f64) -> Cost {
        Cost::ceiling(rho, 0.0).unwrap()
    }

    fn delta(value: f64) -> Delta {
        Cost::ceiling(0.0, value).unwrap().delta
    }

    // PRIV-3
    #[test]
    fn epsilon_is_opendp_s_to_1e_12_and_never_below() {
        let mut worst: f64 = 0.0;
        let mut compared = 0;
        for rho_power in -60..=12 {
            for part in [1.0, 1.234_567_89, 1.777_7] {
                let rho = part * f64::from(rho_power).exp2();
                for small in [1e-2, 1e-4, 3.7e-6, 1e-6, 1e-9, 1e-12, 1e-18] {
                    let theirs = theirs(cost(rho).rho_up(), delta(small).0 as f64 * (-100_f64).exp2());
                    let ours = cost(rho).epsilon(delta(small));
                    assert!(ours >= theirs, "rho {rho} delta {small}: {ours} is below {theirs}");
                    if theirs > 0.0 {
                        worst = worst.max(ours / theirs - 1.0);
                        compared += 1;
                    }
                }
            }
        }
        println!("epsilon beside OpenDP's maps: {compared} pairs, at most {worst:.1e} above, never below");
        assert!(worst <= 1e-12, "{worst:e}");
    }

    // PRIV-3
    #[test]
    fn a_hundred_costs_of_rho_0_005_are_epsilon_5_22_and_not_43() {
        let one = cost(0.005);
        let all = (0..100).try_fold(Cost::default(), |sum, _| sum.plus(one)).unwrap();
        let (single, hundred) = (one.epsilon(delta(1e-6)), all.epsilon(delta(1e-6)));
        println!("rho 0.005 is epsilon {single:.5} at delta 1e-6, a hundred of them {hundred:.4}");
        assert!((single - 0.429_94).abs() < 5e-6, "{single}");
        assert!((hundred - 5.22).abs() < 5e-3, "{hundred}");
    }

    // PRIV-5
    #[test]
    fn the_filter_permits_up_to_the_limit_and_a_refusal_changes_nothing() {
        let of = |rho, delta| Cost { rho: Rho(rho), delta: Delta(delta) };
        let limit = of(10, 5);
        for (spent, asked, decision) in [
            (of(0, 0), of(10, 5), Decision::Permit(of(10, 5))),
            (of(9, 0), of(1, 0), Decision::Permit(of(10, 0))),
            (of(9, 0), of(2, 0), Decision::Refuse(Refusal::Rho)),
            (of(9, 5), of(1, 0), Decision::Permit(of(10, 5))),
            (of(9, 5), of(1, 1), Decision::Refuse(Refusal::Delta)),
            (of(u128::MAX, 0), of(1, 0), Decision::Refuse(Refusal::Rho)),
            (of(10, 5), of(0, 0), Decision::Permit(of(10, 5))),
        ] {
            assert_eq!(filter(spent, limit, asked), decision);
        }
    }

    // PRIV-4
    #[test]
    fn a_purse_pays_only_what_is_in_it() {
        let of = |rho, delta| Cost { rho: Rho(rho), delta: Delta(delta) };
        let mut purse = Purse::of(of(10, 2));
        assert_eq!(purse.pay(of(11, 0)), None);
        assert_eq!(purse.pay(of(0, 3)), None);
        assert_eq!(purse.pay(of(7, 2)), Some(()));
        assert_eq!(purse.left(), of(3, 0));
        assert_eq!(purse.pay(of(3, 1)), None);
        assert_eq!(purse.pay(of(3, 0)), Some(()));
    }
}
