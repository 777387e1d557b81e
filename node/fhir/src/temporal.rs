//! Dates and times of FHIR and FHIRPath: with as many parts as they are written with, compared and bounded by those.

use std::cmp::Ordering;

use crate::element::Kind;

/// A date, a time of day, or both. A part that is not written is not there, and no later one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Temporal {
    /// Year, month, day, hour, minute, second.
    parts: [i64; 6],
    /// How many of the parts are written. For a time of day the first three are set and not written by it.
    written: usize,
    /// Billionths of the second.
    nanos: i64,
    /// Minutes ahead of UTC.
    offset: Option<i64>,
    time_of_day: bool,
}

/// The part that follows a date.
const HOUR: usize = 3;

impl Temporal {
    /// A date (`2020-02`), a date with a time (`2020-02-03T04:05:06.7Z`) or a time (`04:05`, also after a `T`).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut temporal = Self { parts: [0, 1, 1, 0, 0, 0], written: 0, nanos: 0, offset: None, time_of_day: false };
        let (date, time) = match text.split_once('T') {
            Some((date, time)) => (date, Some(time)),
            None if text.as_bytes().get(2) == Some(&b':') => ("", Some(text)),
            None => (text, None),
        };
        if date.is_empty() {
            temporal.time_of_day = true;
            temporal.written = HOUR;
        } else {
            temporal.read_parts(date, '-', &[4, 2, 2])?;
        }
        if temporal.time_of_day && time.is_none_or(str::is_empty) {
            return None;
        }
        if let Some(time) = time.filter(|time| !time.is_empty()) {
            if temporal.written != HOUR {
                return None;
            }
            temporal.read_time(time)?;
        }
        temporal.is_sound().then_some(temporal)
    }

    fn read_parts(&mut self, text: &str, separator: char, widths: &[usize]) -> Option<()> {
        let mut widths = widths.iter();
        for digits in text.split(separator) {
            if digits.len() != *widths.next()? || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            *self.parts.get_mut(self.written)? = digits.parse().ok()?;
            self.written += 1;
        }
        Some(())
    }

    fn read_time(&mut self, text: &str) -> Option<()> {
        let clock = match text.find(['Z', '+', '-']) {
            Some(at) if !self.time_of_day => {
                self.offset = Some(offset(&text[at..])?);
                &text[..at]
            }
            Some(_) => return None,
            None => text,
        };
        let (clock, fraction) =
            clock.split_once('.').map_or((clock, None), |(clock, fraction)| (clock, Some(fraction)));
        self.read_parts(clock, ':', &[2, 2, 2])?;
        if let Some(fraction) = fraction {
            let digits = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
            if !digits || self.written != self.parts.len() {
                return None;
            }
            self.nanos = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
        }
        Some(())
    }

    fn is_sound(&self) -> bool {
        let [year, month, day, hour, minute, second] = self.parts;
        let days = days_in_month(year, month);
        (1..=12).contains(&month) && (1..=days).contains(&day) && hour < 24 && minute < 60 && second <= 60
    }

    pub(crate) fn is_time_of_day(self) -> bool {
        self.time_of_day
    }

    /// Which one is later. Nothing if one has parts that the other lacks and they are equal up to there, if only one
    /// has an offset from UTC, or if a date is compared with a time of day. Source: FHIRPath, equality and comparison
    /// of dates and times.
    pub(crate) fn compare(self, other: Self) -> Option<Ordering> {
        if self.time_of_day != other.time_of_day {
            return None;
        }
        let with_time = self.written > HOUR && other.written > HOUR;
        let (a, b) = match (self.offset, other.offset) {
            (Some(_), Some(_)) => (self.in_utc(), other.in_utc()),
            (None, None) => (self, other),
            _ if with_time => return None,
            _ => (self, other),
        };
        for (at, (left, right)) in a.parts.iter().zip(b.parts).enumerate() {
            match (at < a.written, at < b.written) {
                (true, true) if *left == right => {}
                (true, true) => return Some(left.cmp(&right)),
                (false, false) => return Some(Ordering::Equal),
                _ => return None,
            }
        }
        Some(a.nanos.cmp(&b.nanos))
    }

    fn in_utc(mut self) -> Self {
        let [year, month, day, hour, minute, _] = self.parts;
        let minutes = hour * 60 + minute - self.offset.unwrap_or(0);
        let (year, month, day) = moved(year, month, day, minutes.div_euclid(24 * 60));
        let minutes = minutes.rem_euclid(24 * 60);
        self.parts = [year, month, day, minutes / 60, minutes % 60, self.parts[5]];
        self.offset = Some(0);
        self
    }

    /// The first (or last) instant that this value can mean, as text of that kind, in `digits` digits: 4 for a year, 6 with
    /// the month, 8 with the day, 10 with hours, 12 with minutes, 14 with seconds, 17 with milliseconds; for times 2, 4,
    /// 6 and 9. Source: FHIRPath, `lowBoundary` and `highBoundary`.
    pub(crate) fn boundary(self, kind: Kind, high: bool, digits: Option<u32>) -> Option<String> {
        let parts = self.filled(high);
        let nanos = if self.written == parts.len() && self.nanos > 0 {
            self.nanos
        } else if high {
            999_000_000
        } else {
            0
        };
        let [year, month, day, hour, minute, second] = parts;
        let clock = |digits: u32| match digits {
            2 => Some(format!("{hour:02}")),
            4 => Some(format!("{hour:02}:{minute:02}")),
            6 => Some(format!("{hour:02}:{minute:02}:{second:02}")),
            9 => Some(format!("{hour:02}:{minute:02}:{second:02}.{:03}", nanos / 1_000_000)),
            _ => None,
        };
        let default = match kind {
            Kind::Time => 9,
            Kind::Date => 8,
            _ => 17,
        };
        match (digits.unwrap_or(default), kind == Kind::Time || self.time_of_day) {
            (digits, true) if self.time_of_day => clock(digits),
            (4, false) => Some(format!("{year:04}")),
            (6, false) => Some(format!("{year:04}-{month:02}")),
            (8, false) => Some(format!("{year:04}-{month:02}-{day:02}")),
            (digits @ (10 | 12 | 14 | 17), false) if kind != Kind::Date => {
                let zone = self.zone(high);
                Some(format!("{year:04}-{month:02}-{day:02}T{}{zone}", clock(digits - 8)?))
            }
            _ => None,
        }
    }

    /// The parts with what is not written at its lowest or highest.
    fn filled(&self, high: bool) -> [i64; 6] {
        let mut parts = self.parts;
        if high {
            let last = [9999, 12, 0, 23, 59, 59];
            parts[self.written..].copy_from_slice(&last[self.written..]);
            if self.written < HOUR {
                parts[2] = days_in_month(parts[0], parts[1]);
            }
        }
        parts
    }

    /// The offset as it is written; where none is, the one that makes the instant earliest or latest.
    fn zone(&self, high: bool) -> String {
        match self.offset {
            Some(0) => "Z".to_owned(),
            Some(minutes) => {
                let sign = if minutes < 0 { '-' } else { '+' };
                format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
            }
            None if high => "-12:00".to_owned(),
            None => "+14:00".to_owned(),
        }
    }
}

/// `Z`, `+02:00` or `-11:30` in minutes.
fn offset(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    let total = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok().filter(|minutes| *minutes < 60)?;
    let total = if text.starts_with('-') { -total } else { total };
    (total.abs() <= 14 * 60).then_some(total)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The date some days on; an offset moves it by one day at most.
fn moved(year: i64, month: i64, day: i64, days: i64) -> (i64, i64, i64) {
    let day = day + days;
    if day < 1 {
        let (year, month) = if month == 1 { (year - 1, 12) } else { (year, month - 1) };
        (year, month, days_in_month(year, month))
    } else if day > days_in_month(year, month) {
        if month == 12 { (year + 1, 1, 1) } else { (year, month + 1, 1) }
    } else {
        (year, month, day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dates_and_times_are_read() {
        let good =
            ["2020", "2020-02", "2020-02-29", "2020-02-29T23:59:59.123456789-11:30", "2020-01-01T", "12:30", "T12"];
        for text in good {
            assert!(Temporal::parse(text).is_some(), "{text}");
        }
        let bad = [
            "",
            "20",
            "2021-02-29",
            "2020-13",
            "2020-00",
            "2020-1-1",
            "2020-01-01T24:00",
            "2020-01T10:00",
            "12:60",
            "2020-01-01T10:00+1:00",
            "2020-01-01T10:00.5",
            "12:30Z",
            "2020-01-01T10:00:00.Z",
            "2020-01-01 10:00",
            "é:::",
            "2020-01-01T10:00:00+15:00",
        ];
        for text in bad {
            assert_eq!(Temporal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn values_compare_as_far_as_both_are_written() {
        let cases = [
            ("2020", "2021", Some(Ordering::Less)),
            ("2020", "2020", Some(Ordering::Equal)),
            ("2020", "2020-01", None),
            ("2020-02", "2021", Some(Ordering::Less)),
            ("2020-01-01T10:00:00Z", "2020-01-01T11:00:00+01:00", Some(Ordering::Equal)),
            ("2020-01-01T00:30:00+01:00", "2019-12-31T23:30:00Z", Some(Ordering::Equal)),
            ("2020-12-31T23:30:00-01:00", "2021-01-01T00:30:00Z", Some(Ordering::Equal)),
            ("2020-03-01T00:30:00+01:00", "2020-02-29T23:30:00Z", Some(Ordering::Equal)),
            ("2020-01-01T10:00:00", "2020-01-01T10:00:00Z", None),
            ("2020-01-01T10:00:00.0", "2020-01-01T10:00:00", Some(Ordering::Equal)),
            ("2020-01-01T10:00:00.1", "2020-01-01T10:00:00", Some(Ordering::Greater)),
            ("2020-01-01T10:00", "2020-01-01T10:00:00", None),
            ("12:30", "12:31", Some(Ordering::Less)),
            ("12:30", "2020-01-01", None),
        ];
        for (a, b, expected) in cases {
            let compared = Temporal::parse(a).unwrap().compare(Temporal::parse(b).unwrap());
            assert_eq!(compared, expected, "{a} {b}");
        }
    }

    #[test]
    fn boundaries_are_those_of_the_specification() {
        let cases = [
            ("2014", Kind::Date, Some(6), "2014-01", "2014-12"),
            ("2014", Kind::Date, None, "2014-01-01", "2014-12-31"),
            ("2012-02", Kind::Date, None, "2012-02-01", "2012-02-29"),
            ("2010-10-10", Kind::DateTime, None, "2010-10-10T00:00:00.000+14:00", "2010-10-10T23:59:59.999-12:00"),
            (
                "2014-01-01T08",
                Kind::DateTime,
                Some(17),
                "2014-01-01T08:00:00.000+14:00",
                "2014-01-01T08:59:59.999-12:00",
            ),
            (
                "2014-01-01T08:05+08:00",
                Kind::DateTime,
                Some(17),
                "2014-01-01T08:05:00.000+08:00",
                "2014-01-01T08:05:59.999+08:00",
            ),
            ("2014-01-01T08:05:01.5Z", Kind::DateTime, None, "2014-01-01T08:05:01.500Z", "2014-01-01T08:05:01.500Z"),
            ("2014-01-01T08:05:01Z", Kind::DateTime, Some(8), "2014-01-01", "2014-01-01"),
            ("12:34", Kind::Time, None, "12:34:00.000", "12:34:59.999"),
            ("12:34:00", Kind::Time, None, "12:34:00.000", "12:34:00.999"),
            ("T10", Kind::Time, Some(4), "10:00", "10:59"),
        ];
        for (text, kind, digits, low, high) in cases {
            let temporal = Temporal::parse(text).unwrap();
            assert_eq!(temporal.boundary(kind, false, digits).as_deref(), Some(low), "{text}");
            assert_eq!(temporal.boundary(kind, true, digits).as_deref(), Some(high), "{text}");
        }
        assert_eq!(Temporal::parse("2014").unwrap().boundary(Kind::Date, false, Some(5)), None);
    }
}
