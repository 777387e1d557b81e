//! Days and minutes of the generated world, and how a site writes them. No clock and no time zone.

use super::dialect::DateStyle;
use super::random::{Draws, signed};

/// Minutes in a day.
pub(super) const DAY: i64 = 24 * 60;

/// A day, counted from 1970-01-01 in the proleptic Gregorian calendar.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Day(pub(super) i64);

/// A minute, counted from 1970-01-01 00:00 of the site's wall clock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Minute(pub(super) i64);

/// Year, month, day.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Civil {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
}

impl Day {
    /// Source: Hinnant, "chrono-compatible low-level date algorithms", `days_from_civil`.
    pub(super) fn from_civil(civil: Civil) -> Self {
        let year = civil.year - i64::from(civil.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((civil.month + 9) % 12) + 2) / 5 + civil.day - 1;
        Self(era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468)
    }

    /// Source: Hinnant, `civil_from_days`.
    pub(super) fn civil(self) -> Civil {
        let shifted = self.0 + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Civil { year, month, day: day_of_year - (153 * shifted_month + 2) / 5 + 1 }
    }

    /// This day of this year, some minute of working hours (most) or night.
    pub(super) fn at_some_minute(self, draws: &mut Draws) -> Minute {
        let minute = if draws.chance(750) { draws.between(7 * 60, 19 * 60) } else { draws.between(0, DAY - 1) };
        Minute(self.0 * DAY + minute)
    }
}

impl Minute {
    pub(super) fn day(self) -> Day {
        Day(self.0.div_euclid(DAY))
    }

    pub(super) fn plus(self, minutes: i64) -> Self {
        Self(self.0 + minutes)
    }
}

/// The day in this style.
pub(super) fn write_day(style: DateStyle, civil: Civil) -> String {
    let Civil { year, month, day } = civil;
    match style {
        DateStyle::Iso => format!("{year:04}-{month:02}-{day:02}"),
        DateStyle::DayDot => format!("{day:02}.{month:02}.{year:04}"),
        DateStyle::MonthSlash => format!("{month:02}/{day:02}/{year:04}"),
        DateStyle::Digits => format!("{year:04}{month:02}{day:02}000000"),
    }
}

/// Day and time of day in this style.
pub(super) fn write_minute(style: DateStyle, civil: Civil, minute_of_day: i64) -> String {
    let (hour, minute) = (minute_of_day / 60, minute_of_day % 60);
    let Civil { year, month, day } = civil;
    match style {
        DateStyle::Digits => format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}00"),
        DateStyle::Iso | DateStyle::DayDot | DateStyle::MonthSlash => {
            format!("{} {hour:02}:{minute:02}", write_day(style, civil))
        }
    }
}

/// The first of January of this year.
pub(super) fn new_year(year: u64) -> Day {
    Day::from_civil(Civil { year: signed(year), month: 1, day: 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_agree_both_ways() {
        assert_eq!(Day::from_civil(Civil { year: 1970, month: 1, day: 1 }).0, 0);
        assert_eq!(Day::from_civil(Civil { year: 2000, month: 2, day: 29 }).0, 11_016);
        for day in -30_000..30_000 {
            assert!(Day::from_civil(Day(day).civil()) == Day(day));
        }
    }

    #[test]
    fn each_style_writes_the_same_minute_its_own_way() {
        let civil = Civil { year: 2023, month: 4, day: 5 };
        let cases = [
            (DateStyle::Iso, "2023-04-05 13:07"),
            (DateStyle::DayDot, "05.04.2023 13:07"),
            (DateStyle::MonthSlash, "04/05/2023 13:07"),
            (DateStyle::Digits, "20230405130700"),
        ];
        for (style, text) in cases {
            assert_eq!(write_minute(style, civil, 13 * 60 + 7), text);
        }
    }
}
