//! Points in time as callers write them.

use cohortium_protocol::time::UnixMillis;

/// Reads `2026-01-31T12:00:00Z` with any fraction of a second and any offset, and the protocol's older form
/// `2026-1-31 12:00:00[.f]`, whose zone is the server's: UTC. `None` for anything else, and for times before 1970.
pub(crate) fn read(text: &str) -> Option<UnixMillis> {
    if text.len() > 64 || !text.is_ascii() {
        return None;
    }
    let (date, rest) = text.split_once(['T', ' '])?;
    let (clock, offset) = split_offset(rest)?;
    let [year, month, day] = numbers::<3>(date, '-')?;
    let (whole, fraction) = clock.split_once('.').map_or((clock, None), |(whole, fraction)| (whole, Some(fraction)));
    let [hour, minute, second] = numbers::<3>(whole, ':')?;
    let in_day = hour < 24 && minute < 60 && second < 60;
    let days = days_from_civil(year, month, day).filter(|_| in_day)?;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset;
    let millis = fraction.map_or(Some(0), read_fraction)?;
    Some(UnixMillis(u64::try_from(seconds.checked_mul(1000)?.checked_add(millis)?).ok()?))
}

/// The clock and the seconds that it is ahead of UTC.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(at) = text.rfind(['+', '-']) else { return Some((text, 0)) };
    let (clock, offset) = text.split_at(at);
    let [hours, minutes] = numbers::<2>(&offset[1..], ':')?;
    let ahead = (hours < 24 && minutes < 60).then_some(hours * 3600 + minutes * 60)?;
    Some((clock, if offset.starts_with('-') { -ahead } else { ahead }))
}

/// Exactly `N` numbers of one to four digits.
fn numbers<const N: usize>(text: &str, between: char) -> Option<[i64; N]> {
    let digits = |part: &str| (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let read = |part: &str| digits(part).then(|| part.parse().ok()).flatten();
    text.split(between).map(read).collect::<Option<Vec<i64>>>()?.try_into().ok()
}

/// Milliseconds of a fraction; what is finer is cut off.
fn read_fraction(text: &str) -> Option<i64> {
    let digits = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| format!("{text:0<3}")[..3].parse().ok()).flatten()
}

/// Days from 1970-01-01, proleptic Gregorian (Hinnant, `chrono` date algorithms); `None` for no day.
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let y = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (y.div_euclid(400), y.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (1..=length).contains(&day).then_some(era * 146_097 + day_of_era - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_forms() {
        let cases = [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T00:00:00.000Z", 951_782_400_000),
            ("2027-01-15T07:59:59.999Z", 1_799_999_999_999),
            ("2100-01-01 00:00:00", 4_102_444_800_000),
            ("2100-1-1 0:0:0.5", 4_102_444_800_500),
            ("2000-02-29T02:00:00+02:00", 951_782_400_000),
            ("2000-02-28T19:00:00.1-05:00", 951_782_400_100),
        ];
        for (text, millis) in cases {
            assert_eq!(read(text), Some(UnixMillis(millis)), "{text}");
            let shown = UnixMillis(millis).to_string();
            assert_eq!(read(&shown), Some(UnixMillis(millis)), "what is shown is read again");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let bad = [
            "",
            "now",
            "2026-01-01",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:60Z",
            "1969-12-31T23:59:59Z",
            "2026-01-01T00:00:00+25:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00Z",
            "2026-01-01T00:00:00ZZ",
            "20260-01-01T00:00:00Z",
            "-1-1-1 0:0:0",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T00:00:00.1234567890Z",
            "２026-01-01T00:00:00Z",
        ];
        for text in bad {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
