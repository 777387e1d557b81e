//! The order of a release as types: nothing is computed without [`Spent`], and only a durable reservation makes one.

use crate::ident::ReleaseId;
use crate::record::reservation::Charge;

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
    /// From the number of a journal entry that was reported durable.
    #[expect(dead_code, reason = "the release path that makes one comes next")]
    pub(crate) const fn durable(release: ReleaseId, entry: u64, charge: Charge) -> Self {
        Self { release, entry, charge }
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
