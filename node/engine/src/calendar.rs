//! Days: read, cut to the month or year, moved by whole days.

use cohortium_protocol::record::dataset::DateFormat;
use cohortium_protocol::record::literal::is_day;

use crate::linkage::day_number;

/// A day of the Gregorian calendar, from year 1 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CalendarDay {
    pub(crate) year: u32,
    pub(crate) month: u32,
    pub(crate) day: u32,
}

impl CalendarDay {
    /// The day that a text writes, blanks around it aside, and what follows it: a time of day, or nothing.
    pub(crate) fn read(text: &str, format: DateFormat) -> Option<(Self, &str)> {
        let text = text.trim();
        let digits = day_number(text, format)?;
        let rest = match format {
            DateFormat::Iso => text.get(10..)?,
            DateFormat::Compact => text.get(8..)?,
            DateFormat::DayMonthYearDots | DateFormat::MonthDayYearSlashes => "",
        };
        Some((Self { year: digits / 10_000, month: digits / 100 % 100, day: digits % 100 }, rest))
    }

    /// The day `days` after 1970-01-01. Source: Hinnant, `chrono` date algorithms, `civil_from_days`.
    pub(crate) fn from_epoch(days: i64) -> Option<Self> {
        let shifted = days.checked_add(719_468)?;
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let part = |number: i64| u32::try_from(number).ok();
        let found = Self { year: part(year)?, month: part(month)?, day: part(day)? };
        (found.year <= 9_999 && is_day(found.year, found.month, found.day)).then_some(found)
    }

    /// How many days after 1970-01-01 it is. Source: as above, `days_from_civil`.
    pub(crate) fn to_epoch(self) -> i64 {
        let year = i64::from(self.year) - i64::from(self.month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let from_march = (i64::from(self.month) + 9) % 12;
        let day_of_year = (153 * from_march + 2) / 5 + i64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// In the given form; leading zeros always.
    pub(crate) fn write(self, format: DateFormat) -> String {
        let Self { year, month, day } = self;
        match format {
            DateFormat::Iso => format!("{year:04}-{month:02}-{day:02}"),
            DateFormat::DayMonthYearDots => format!("{day:02}.{month:02}.{year:04}"),
            DateFormat::MonthDayYearSlashes => format!("{month:02}/{day:02}/{year:04}"),
            DateFormat::Compact => format!("{year:04}{month:02}{day:02}"),
        }
    }

    /// `2024-02`.
    pub(crate) fn to_month(self) -> String {
        format!("{:04}-{:02}", self.year, self.month)
    }
}

/// The year that a text writes: of a day, of a month (`2024-02`), or alone.
pub(crate) fn year_of(text: &str, format: DateFormat) -> Option<u32> {
    let text = text.trim();
    let alone = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    if alone {
        return text.parse().ok().filter(|year| *year > 0);
    }
    match CalendarDay::read(text, format) {
        Some((day, _)) => Some(day.year),
        None => month_of(text, format).map(|(year, _)| year),
    }
}

/// Year and month that a text writes: of a day, or in ISO 8601 alone.
pub(crate) fn month_of(text: &str, format: DateFormat) -> Option<(u32, u32)> {
    let text = text.trim();
    if let Some((day, _)) = CalendarDay::read(text, format) {
        return Some((day.year, day.month));
    }
    let first = if format == DateFormat::Iso && text.len() == 7 { format!("{text}-01") } else { return None };
    CalendarDay::read(&first, format).map(|(day, _)| (day.year, day.month))
}

/// The text with its day moved; a time of day behind it stays. `None`: no day, or beyond the calendar.
pub(crate) fn shifted(text: &str, format: DateFormat, days: i64) -> Option<String> {
    let (day, rest) = CalendarDay::read(text, format)?;
    let moved = CalendarDay::from_epoch(day.to_epoch().checked_add(days)?)?;
    Some(moved.write(format) + rest)
}

/// Nothing, or hours and minutes with what may follow them, and no digit beyond: a long number behind a day could be
/// anything.
pub(crate) fn is_time_of_day(rest: &str) -> bool {
    if rest.is_empty() {
        return true;
    }
    let rest = rest.strip_prefix(['T', 't', ' ']).unwrap_or(rest);
    let (clock, zone) = match rest.find(['Z', 'z', '+', '-']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let (clock, fraction) = clock.split_once(['.', ',']).unwrap_or((clock, "0"));
    let fraction_fits = (1..=9).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let zone_fits = matches!(zone, "" | "Z" | "z") || zone.get(1..).is_some_and(|offset| is_clock(offset, 2));
    is_clock(clock, 3) && fraction_fits && zone_fits
}

/// Microseconds since midnight that a time of day without a zone writes, as it stands behind a day; `None`: it has a zone,
/// is finer than that, or is a second that only some days have.
pub(crate) fn clock_micros(rest: &str) -> Option<i64> {
    if !is_time_of_day(rest) || rest.contains(['Z', 'z', '+', '-']) {
        return None;
    }
    let clock = rest.strip_prefix(['T', 't', ' ']).unwrap_or(rest);
    let (clock, fraction) = clock.split_once(['.', ',']).unwrap_or((clock, ""));
    let digits: Vec<i64> = clock.chars().filter_map(|digit| digit.to_digit(10)).map(i64::from).collect();
    let pair = |at: usize| digits.get(at).zip(digits.get(at + 1)).map_or(0, |(tens, ones)| tens * 10 + ones);
    let (seconds, finer) = (pair(4), fraction.get(6..).unwrap_or(""));
    let is_fine = finer.bytes().any(|digit| digit != b'0');
    // Part of an hour or a minute is written in no other way than by the next pair.
    if seconds > 59 || is_fine || (!fraction.is_empty() && digits.len() < 6) {
        return None;
    }
    let micros = format!("{:0<6}", fraction.get(..6).unwrap_or(fraction)).parse::<i64>().ok()?;
    Some((pair(0) * 3600 + pair(2) * 60 + seconds) * 1_000_000 + micros)
}

/// Microseconds after 1970-01-01 of a day with hours and minutes, and maybe seconds, written in the usual way. `None`: another way
/// of writing, or no moment: [`CalendarDay::read`] and [`clock_micros`] know.
pub(crate) fn usual_moment(text: &str) -> Option<i64> {
    let (date, clock) = text.as_bytes().split_first_chunk::<10>()?;
    Some((usual_day(*date)? * 86_400 + usual_clock(clock)?) * 1_000_000)
}

/// Seconds since midnight of a time of day behind a day, as it is usually written: `T13:05`, ` 13:05:09`.
pub(crate) fn usual_clock(clock: &[u8]) -> Option<i64> {
    let (b'T' | b' ', digits) = clock.split_first()? else { return None };
    let two = |at: usize| Some([*digits.get(at)?, *digits.get(at + 1)?]);
    let has_colon = |at: usize| digits.get(at) == Some(&b':');
    let seconds = match digits.len() {
        5 => [b'0'; 2],
        8 if has_colon(5) => two(6)?,
        _ => return None,
    };
    if !has_colon(2) {
        return None;
    }
    Some(pair(two(0)?, 24)? * 3600 + pair(two(3)?, 60)? * 60 + pair(seconds, 60)?)
}

/// Days after 1970-01-01 of a day that is written in ten characters.
pub(crate) fn usual_day(date: [u8; 10]) -> Option<i64> {
    if date[4] != b'-' || date[7] != b'-' {
        return None;
    }
    let part = |at: usize, below: i64| u32::try_from(pair([date[at], date[at + 1]], below)?).ok();
    let (year, month, day) = (part(0, 100)? * 100 + part(2, 100)?, part(5, 13)?, part(8, 32)?);
    is_day(year, month, day).then(|| CalendarDay { year, month, day }.to_epoch())
}

/// A number of two digits, below a bound.
fn pair([tens, ones]: [u8; 2], below: i64) -> Option<i64> {
    if !(tens.is_ascii_digit() && ones.is_ascii_digit()) {
        return None;
    }
    let number = i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
    (number < below).then_some(number)
}

/// Two digits each of hours, minutes and seconds, with colons or without; at least hours, at most `parts` of them.
fn is_clock(text: &str, parts: usize) -> bool {
    let pairs: Vec<&str> = if text.contains(':') {
        text.split(':').collect()
    } else {
        (0..text.len()).step_by(2).map(|at| text.get(at..at + 2).unwrap_or("")).collect()
    };
    let below = |(pair, bound): (&&str, u32)| {
        pair.len() == 2
            && pair.bytes().all(|byte| byte.is_ascii_digit())
            && pair.parse::<u32>().is_ok_and(|n| n < bound)
    };
    (1..=parts).contains(&pairs.len()) && pairs.iter().zip([24, 60, 61]).all(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISO: DateFormat = DateFormat::Iso;

    #[test]
    fn days_count_from_the_epoch_and_back() {
        for (days, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (19_782, "2024-02-29"),
            (-719_162, "0001-01-01"),
            (2_932_896, "9999-12-31"),
        ] {
            let day = CalendarDay::from_epoch(days).unwrap();
            assert_eq!((day.write(ISO).as_str(), day.to_epoch()), (text, days));
            assert_eq!(CalendarDay::read(text, ISO), Some((day, "")));
        }
        for beyond in [-719_163, 2_932_897, i64::MAX, i64::MIN] {
            assert_eq!(CalendarDay::from_epoch(beyond), None);
        }
        for days in (-719_162..2_932_896).step_by(997) {
            assert_eq!(CalendarDay::from_epoch(days).unwrap().to_epoch(), days);
        }
    }

    #[test]
    fn a_year_and_a_month_are_read_from_what_tells_them() {
        let years = [
            ("2024-02-29", ISO, Some(2024)),
            (" 2024 ", ISO, Some(2024)),
            ("2024", DateFormat::DayMonthYearDots, Some(2024)),
            ("2024-02", ISO, Some(2024)),
            ("2024-13", ISO, None),
            ("0000", ISO, None),
            ("20240", ISO, None),
            ("29.02.2024", DateFormat::DayMonthYearDots, Some(2024)),
            ("29.02.2024", ISO, None),
            ("2023-02-29", ISO, None),
        ];
        for (text, format, expected) in years {
            assert_eq!(year_of(text, format), expected, "{text}");
        }
        assert_eq!(month_of("2/29/2024", DateFormat::MonthDayYearSlashes), Some((2024, 2)));
        assert_eq!([month_of("2024-02", ISO), month_of("2024", ISO)], [Some((2024, 2)), None]);
    }

    #[test]
    fn what_is_written_in_the_usual_way_is_read_as_in_the_general_one() {
        let usual = ["2024-02-29 00:00", "1969-12-31T23:59:59", "0001-01-01 07:30", "9999-12-31 23:59:59"];
        let others = b"09-:T t.x6";
        let changed = usual.iter().flat_map(|text| {
            let at = (0..text.len()).flat_map(move |at| others.map(|byte| (at, byte)));
            at.map(|(at, byte)| {
                let mut bytes = text.as_bytes().to_vec();
                bytes[at] = byte;
                String::from_utf8(bytes).unwrap()
            })
        });
        let mut read = 0;
        for text in usual.map(str::to_owned).into_iter().chain(changed) {
            let Some(micros) = usual_moment(&text) else { continue };
            read += 1;
            let day = CalendarDay::from_epoch(micros.div_euclid(86_400_000_000)).unwrap();
            assert_eq!(day.write(ISO), text[..10]);
            assert_eq!(clock_micros(&text[10..]), Some(micros.rem_euclid(86_400_000_000)), "{text}");
            assert_eq!(CalendarDay::read(&text[..10], ISO).map(|(day, _)| day), Some(day), "{text}");
            assert_eq!(CalendarDay::read(&text, ISO), Some((day, &text[10..])), "{text}");
        }
        assert!(read > 60, "only {read} were read");
        for none in ["2023-02-29 00:00", "0000-01-01 00:00", "2024-01-01 24:00", "2024-01-01 00:60", "2024-01-01"] {
            assert_eq!(usual_moment(none), None, "{none}");
        }
    }

    #[test]
    fn a_day_moves_and_its_time_stays_where_it_is_one() {
        let moved = [
            ("2024-02-28", ISO, 2, Some("2024-03-01")),
            ("2024-02-28T23:59:60.5+01:00", ISO, 1, Some("2024-02-29T23:59:60.5+01:00")),
            ("2024-02-28 07:05", ISO, -1, Some("2024-02-27 07:05")),
            ("20240228101500+0100", DateFormat::Compact, 1, Some("20240229101500+0100")),
            ("20240228T10Z", DateFormat::Compact, 1, Some("20240229T10Z")),
            ("1.2.2024", DateFormat::DayMonthYearDots, -1, Some("31.01.2024")),
            ("12/31/2024", DateFormat::MonthDayYearSlashes, 1, Some("01/01/2025")),
            ("9999-12-31", ISO, 1, None),
            ("2024-02-28T555123456", ISO, 1, None),
            ("2024-02-28T24:00", ISO, 1, None),
            ("20240228T", DateFormat::Compact, 1, None),
            ("2024-02-28T10:00:00:00", ISO, 1, None),
            ("2024-02-28T10:00+99:99", ISO, 1, None),
            ("2024-02-28T10:00.1234567890", ISO, 1, None),
            ("2024", ISO, 1, None),
        ];
        for (text, format, days, expected) in moved {
            assert_eq!(shifted(text, format, days).as_deref(), expected, "{text}");
        }
    }
}
