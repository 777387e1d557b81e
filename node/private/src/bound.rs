//! What one linkage token can change in a vector of aggregates.

use cohortium_protocol::quantity::ContributionBound;

/// Groups, squared length and single values past which nothing is promised: products of them stay inside `u128`.
const LINF_MAX: u64 = 1 << 50;

/// The declared sensitivity of a vector or map of integers, when one token's rows come or go. It follows from the bounds that were
/// enforced on every token's rows, never from the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    groups: u32,
    total: u128,
    squared: u128,
    single: u64,
}

/// Why bounds cannot be declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundError {
    /// A token that changes nothing needs no noise; zero is more likely a mistake than an answer.
    Zero,
    /// A single value may change by more than 2^50.
    TooLarge,
}

impl std::fmt::Display for BoundError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Zero => "a declared sensitivity is zero",
            Self::TooLarge => "a declared sensitivity is above 2^50",
        })
    }
}

impl std::error::Error for BoundError {}

impl Bounds {
    /// One token changes at most `groups` values (l0), each by at most `single` (l infinity).
    ///
    /// # Errors
    /// [`BoundError`] for zeroes and for a value above 2^50.
    pub fn new(groups: u32, single: u64) -> Result<Self, BoundError> {
        if groups == 0 || single == 0 {
            return Err(BoundError::Zero);
        }
        if single > LINF_MAX {
            return Err(BoundError::TooLarge);
        }
        let total = u128::from(groups) * u128::from(single);
        Ok(Self { groups, total, squared: total * u128::from(single), single })
    }

    /// The same with a smaller Euclidean length: the squares of the changes add up to at most `squared` (l2, squared).
    ///
    /// # Errors
    /// [`BoundError::Zero`] where nothing may change.
    pub fn with_squared(self, squared: u128) -> Result<Self, BoundError> {
        if squared == 0 {
            return Err(BoundError::Zero);
        }
        Ok(Self { squared: squared.min(self.squared), ..self })
    }

    /// What a person can change whose rows are spread over `tokens` tokens (law 4): m times as much in every norm.
    pub(crate) fn of_person(self, tokens: ContributionBound) -> Self {
        let m = tokens.0.max(1);
        Self {
            groups: self.groups.saturating_mul(m),
            total: self.total.saturating_mul(u128::from(m)),
            squared: self.squared.saturating_mul(u128::from(m) * u128::from(m)),
            single: self.single.saturating_mul(u64::from(m)),
        }
    }

    /// How many values change (l0).
    pub fn groups(&self) -> u32 {
        self.groups
    }

    /// By how much one value changes (l infinity).
    pub fn single(&self) -> u64 {
        self.single
    }

    /// The sum of all changes (l1), rounded up.
    pub fn sum(&self) -> f64 {
        up(self.total)
    }

    /// The Euclidean length of the change (l2), rounded up.
    pub fn length(&self) -> f64 {
        let root = up(self.squared).sqrt();
        // An exact square keeps its exact root: a count of one patient has length 1 and not a little more.
        if exact_square(root, self.squared) { root } else { root.next_up() }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a root of a u128 is below 2^64")]
fn exact_square(root: f64, squared: u128) -> bool {
    let whole = root as u64;
    whole as f64 == root && u128::from(whole) * u128::from(whole) == squared
}

/// The least float that is not below the integer.
fn up(value: u128) -> f64 {
    let near = value as f64;
    if exact_at_least(near, value) { near } else { near.next_up() }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float made from a u128, which saturates"
)]
fn exact_at_least(near: f64, value: u128) -> bool {
    near as u128 >= value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_follow_from_groups_and_single_values_and_are_never_rounded_down() {
        let bounds = Bounds::new(4, 3).unwrap();
        assert_eq!((bounds.sum(), bounds.length()), (12.0, 6.0));
        let bounds = Bounds::new(3, 1).unwrap();
        assert!(bounds.length() >= 3.0_f64.sqrt() && bounds.length() < 1.733);
        assert_eq!(bounds.with_squared(1).unwrap().length(), 1.0);
        // A length that is declared larger than the others allow is not believed.
        assert_eq!(bounds.with_squared(100).unwrap(), bounds);
        for value in [1, (1_u128 << 53) + 1, u128::MAX] {
            assert!(up(value) >= value as f64);
        }
    }

    #[test]
    fn what_is_zero_or_too_large_is_no_bound() {
        assert_eq!(Bounds::new(0, 1), Err(BoundError::Zero));
        assert_eq!(Bounds::new(1, 0), Err(BoundError::Zero));
        assert!(Bounds::new(u32::MAX, LINF_MAX).is_ok());
        assert_eq!(Bounds::new(1, LINF_MAX + 1), Err(BoundError::TooLarge));
        assert_eq!(Bounds::new(1, 1).unwrap().with_squared(0), Err(BoundError::Zero));
    }

    #[test]
    fn a_person_with_m_tokens_changes_m_times_as_much_in_every_norm() {
        let person = Bounds::new(2, 5).unwrap().of_person(ContributionBound(3));
        assert_eq!((person.groups(), person.total, person.squared, person.single()), (6, 30, 450, 15));
    }
}
