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

    /// Whether one debit more stays within a limit. What epsilon does not cover always does.
    pub const fn affords(self, charge: Charge, limit: BudgetShare) -> bool {
        let Charge::Private { rho, delta } = charge else { return true };
        let rho = self.rho.0.checked_add(rho.0);
        let delta = self.delta.0.checked_add(delta.0);
        matches!((rho, delta), (Some(rho), Some(delta)) if rho <= limit.rho.0 && delta <= limit.delta.0)
    }
}
