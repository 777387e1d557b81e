//! The order of a release as types, and the filter over what was paid: nothing is computed without [`Spent`], only a durable
//! reservation makes one, and no reservation is made that its account, or the project's share of it, cannot bear.

use crate::ident::ReleaseId;
use crate::quantity::{Delta, Rho};
use crate::record::project::BudgetShare;
use crate::record::reservation::{Charge, Reservation};

/// A reservation that is durable. What it debits is spent, whatever becomes of the release (law 2).
///
/// No field is public and nothing outside this crate makes one, so that an engine cannot be asked without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    release: ReleaseId,
    entry: u64,
    charge: Charge,
}

impl Spent {
    /// From a reservation, the number of the journal entry that holds it, and one past the last entry that was reported
    /// durable; `None` while it is not.
    pub(crate) fn once_durable(reservation: &Reservation, entry: u64, durable: u64) -> Option<Self> {
        (entry < durable).then_some(Self { release: reservation.release, entry, charge: reservation.charge })
    }

    /// Which release.
    pub const fn release(&self) -> ReleaseId {
        self.release
    }

    /// The journal entry that reserved it.
    pub const fn entry(&self) -> u64 {
        self.entry
    }

    /// What was debited.
    pub const fn charge(&self) -> Charge {
        self.charge
    }
}

/// A sum of debits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spending {
    /// Sum of rho.
    pub rho: Rho,
    /// Sum of delta.
    pub delta: Delta,
}

impl Spending {
    /// With one debit more. A sum that no integer holds stays at the largest, which no limit allows but itself.
    #[must_use]
    pub const fn with(self, charge: Charge) -> Self {
        match charge {
            Charge::Uncovered => self,
            Charge::Private { rho, delta } => {
                Self { rho: Rho(self.rho.0.saturating_add(rho.0)), delta: Delta(self.delta.0.saturating_add(delta.0)) }
            }
        }
    }

    /// Whether one debit more stays within a limit (spec REL-6). What epsilon does not cover always does.
    pub const fn affords(self, charge: Charge, limit: BudgetShare) -> bool {
        let Charge::Private { rho, delta } = charge else { return true };
        let rho = self.rho.0.checked_add(rho.0);
        let delta = self.delta.0.checked_add(delta.0);
        matches!((rho, delta), (Some(rho), Some(delta)) if rho <= limit.rho.0 && delta <= limit.delta.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const fn private(rho: u128, delta: u128) -> Charge {
        Charge::Private { rho: Rho(rho), delta: Delta(delta) }
    }

    const fn limit(rho: u128, delta: u128) -> BudgetShare {
        BudgetShare { rho: Rho(rho), delta: Delta(delta) }
    }

    /// Debits what is afforded, one after the other; gives what was.
    fn spend(charges: &[Charge], limit: BudgetShare) -> (Spending, Vec<Charge>) {
        let mut spent = Spending::default();
        let mut afforded = Vec::new();
        for charge in charges {
            if spent.affords(*charge, limit) {
                spent = spent.with(*charge);
                afforded.push(*charge);
            }
        }
        (spent, afforded)
    }

    // REL-6
    #[test]
    fn of_64_requests_for_the_last_unit_one_is_afforded() {
        for (charge, of) in [(private(1, 0), limit(1, 0)), (private(0, 1), limit(0, 1)), (private(1, 1), limit(1, 9))] {
            assert_eq!(spend(&[charge; 64], of).1.len(), 1);
        }
        assert_eq!(spend(&[Charge::Uncovered; 64], limit(0, 0)).1.len(), 64, "what epsilon does not cover is listed");
    }

    proptest! {
        // REL-6
        #[test]
        fn a_sum_of_debits_never_passes_its_limit(
            charges in vec((0_u128..1000, any::<u128>()), 0..40),
            of in (0_u128..5000, any::<u128>()),
        ) {
            let charges: Vec<Charge> = charges.into_iter().map(|(rho, delta)| private(rho, delta)).collect();
            let of = limit(of.0, of.1);
            let (spent, afforded) = spend(&charges, of);
            prop_assert!(spent.rho <= of.rho && spent.delta <= of.delta);
            // The sum is exact: nothing was rounded or cut on the way.
            let mut exact = (0_u128, 0_u128);
            for charge in afforded {
                let Charge::Private { rho, delta } = charge else { continue };
                exact = (exact.0.checked_add(rho.0).unwrap(), exact.1.checked_add(delta.0).unwrap());
            }
            prop_assert_eq!(exact, (spent.rho.0, spent.delta.0));
        }
    }
}
