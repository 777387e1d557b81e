//! Days and times of day as numbers.

use crate::fault::Reason;

/// Microseconds of a day.
pub(crate) const DAY_MICROS: i64 = 86_400_000_000;

/// Days from 1970-01-01 to this day of the Gregorian calendar, carried on backwards before 1582.
///
/// Source: Howard Hinnant, "chrono-compatible low-level date algorithms", `days_from_civil`.
///
/// # Errors
/// A zero among the three, or a day that the month does not have.
pub(crate) fn days(year: u16, month: u8, day: u8) -> Result<i32, Reason> {
    if year == 0 || month == 0 || day == 0 {
        return Err(Reason::ZeroDate);
    }
    if day > month_days(year, month).ok_or(Reason::NoSuchDay)? {
        return Err(Reason::NoSuchDay);
    }
    // The year begins in March, so that the day that is not always there comes last.
    let year = i32::from(year) - i32::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let months = (i32::from(month) + 9) % 12;
    let of_year = (153 * months + 2) / 5 + i32::from(day) - 1;
    Ok(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

fn month_days(year: u16, month: u8) -> Option<u8> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
}

/// Microseconds since midnight.
///
/// # Errors
/// A part beyond its range.
pub(crate) fn micros(hour: u8, minute: u8, second: u8, micro: u32) -> Result<i64, Reason> {
    if hour > 23 || minute > 59 || second > 59 || micro > 999_999 {
        return Err(Reason::OutOfRange);
    }
    let seconds = (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second);
    Ok(seconds * 1_000_000 + i64::from(micro))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_ten_thousand_years_follows_the_one_before() {
        let mut last = days(1, 1, 1).unwrap() - 1;
        for year in 1..=9_999 {
            for month in 1..=12 {
                for day in 1..=month_days(year, month).unwrap() {
                    let this = days(year, month, day).unwrap();
                    assert_eq!(this, last + 1, "{year}-{month}-{day}");
                    last = this;
                }
            }
        }
        assert_eq!(last, 2_932_896);
        assert_eq!(days(1970, 1, 1), Ok(0));
        assert_eq!(days(2000, 2, 29), Ok(11_016));
    }

    #[test]
    fn zeros_and_days_that_are_not_there_are_no_dates() {
        for zero in [(0, 0, 0), (2024, 0, 1), (2024, 1, 0), (0, 1, 1)] {
            assert_eq!(days(zero.0, zero.1, zero.2), Err(Reason::ZeroDate));
        }
        for none in [(2023, 2, 29), (1900, 2, 29), (2024, 2, 30), (2024, 4, 31), (2024, 13, 1), (2024, 255, 255)] {
            assert_eq!(days(none.0, none.1, none.2), Err(Reason::NoSuchDay));
        }
    }

    #[test]
    fn a_time_of_day_ends_before_midnight() {
        assert_eq!(micros(23, 59, 59, 999_999), Ok(DAY_MICROS - 1));
        for beyond in [(24, 0, 0, 0), (0, 60, 0, 0), (0, 0, 60, 0), (0, 0, 0, 1_000_000)] {
            assert_eq!(micros(beyond.0, beyond.1, beyond.2, beyond.3), Err(Reason::OutOfRange));
        }
    }
}
