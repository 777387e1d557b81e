//! Points in time and durations. `protocol` never reads a clock: every time here is an argument.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A whole number of seconds, as a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seconds(pub u64);

impl Seconds {
    /// The same duration in milliseconds.
    pub const fn millis(self) -> u64 {
        self.0.saturating_mul(1000)
    }
}

/// A monotonic time in milliseconds since an arbitrary start; for deadlines only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// The time `after` later.
    #[must_use]
    pub const fn plus(self, after: Seconds) -> Self {
        Self(self.0.saturating_add(after.millis()))
    }

    /// The time `after` milliseconds later.
    #[must_use]
    pub const fn plus_millis(self, after: u64) -> Self {
        Self(self.0.saturating_add(after))
    }
}

/// A wall-clock time in milliseconds since 1970-01-01T00:00:00Z; for validity and for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The time `after` later.
    #[must_use]
    pub const fn plus(self, after: Seconds) -> Self {
        Self(self.0.saturating_add(after.millis()))
    }

    /// The year, in UTC.
    pub const fn year(self) -> u64 {
        civil_from_days(self.0.div_euclid(86_400_000)).0
    }

    /// Whether two clocks that read `self` and `other` agree within `within`.
    pub const fn agrees(self, other: Self, within: Seconds) -> bool {
        self.0.abs_diff(other.0) <= within.millis()
    }
}

impl fmt::Display for UnixMillis {
    /// RFC 3339 in UTC with milliseconds, from the civil-from-days formula (Hinnant, `chrono` date algorithms).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, ms) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) =
            (ms.div_euclid(3_600_000), ms.div_euclid(60_000).rem_euclid(60), ms.div_euclid(1000).rem_euclid(60));
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms.rem_euclid(1000))
    }
}

/// Year, month and day of the day `days` after 1970-01-01, in the proleptic Gregorian calendar.
#[expect(clippy::arithmetic_side_effects, reason = "days is at most 2^64 / 86,400,000, far below any overflow here")]
const fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let mp = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let next_year = if month <= 2 { 1 } else { 0 };
    (year_of_era + era * 400 + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_as_rfc_3339() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_799_999_999_999, "2027-01-15T07:59:59.999Z"),
            (4_102_444_800_000, "2100-01-01T00:00:00.000Z"),
        ];
        for (ms, shown) in cases {
            assert_eq!(UnixMillis(ms).to_string(), shown);
        }
    }

    #[test]
    fn clocks_agree_up_to_the_bound_and_not_beyond() {
        let (a, within) = (UnixMillis(1_000_000), Seconds(10));
        assert!(a.agrees(UnixMillis(1_010_000), within) && UnixMillis(1_010_000).agrees(a, within));
        assert!(!a.agrees(UnixMillis(1_010_001), within) && !UnixMillis(1_010_001).agrees(a, within));
    }
}
