//! Times as people write them: until when, and when again.

use cohortium_protocol::ident::Text;
use cohortium_protocol::record::schedule::{Schedule, ScheduleFields};
use cohortium_protocol::time::{Seconds, UnixMillis};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

const DAY: u64 = 24 * 3600;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// So many days as a duration.
pub(crate) const fn days(count: u32) -> Seconds {
    Seconds(count as u64 * DAY)
}

/// A date (to its end, UTC) or an RFC 3339 time.
pub(crate) fn until(text: &str) -> Result<UnixMillis, String> {
    let time = match text.parse::<Date>() {
        Ok(date) if text.len() == 10 => {
            let next = date.checked_add(1.day()).map_err(|_| "the date is out of range".to_owned())?;
            next.to_zoned(TimeZone::UTC).map_err(|_| "the date is out of range".to_owned())?.timestamp()
        }
        _ => text
            .parse::<Timestamp>()
            .map_err(|_| "is neither a date like 2027-01-31 nor a time like 2027-01-31T12:00:00Z".to_owned())?,
    };
    u64::try_from(time.as_millisecond()).map(UnixMillis).map_err(|_| "lies before 1970".to_owned())
}

/// `manual`, `every 15m ZONE`, `every 2h ZONE`, `daily 02:30 ZONE` or `daily 02:30 mon-fri,sun ZONE`; without a zone, UTC.
pub(crate) fn schedule(text: &str) -> Result<Schedule, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let fields = match words.as_slice() {
        ["manual"] => ScheduleFields::Manual,
        ["every", interval] => every(interval, "UTC")?,
        ["every", interval, zone_name] => every(interval, zone_name)?,
        ["daily", minute] => daily(minute, 0x7f, "UTC")?,
        ["daily", minute, last] if days_of_week(last).is_some() => {
            daily(minute, days_of_week(last).unwrap_or(0), "UTC")?
        }
        ["daily", minute, zone_name] => daily(minute, 0x7f, zone_name)?,
        ["daily", minute, days, zone_name] => {
            let days = days_of_week(days).ok_or_else(|| format!("{days} are no days; write mon-fri or mon,wed,fri"))?;
            daily(minute, days, zone_name)?
        }
        _ => {
            return Err("write manual, \"every 15m Europe/Berlin\" or \"daily 02:30 mon-fri Europe/Berlin\"".to_owned());
        }
    };
    Schedule::try_from(fields).map_err(|fault| fault.to_string())
}

fn every(interval: &str, zone_name: &str) -> Result<ScheduleFields, String> {
    let (number, unit) = interval.split_at(interval.len() - interval.chars().last().map_or(0, char::len_utf8));
    let factor = match unit {
        "m" => Some(1),
        "h" => Some(60),
        _ => None,
    };
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let minutes = factor.zip(number.parse::<u16>().ok().filter(|_| digits)).and_then(|(f, n)| n.checked_mul(f));
    let minutes = minutes.ok_or_else(|| format!("{interval} is no interval; write 15m or 2h"))?;
    Ok(ScheduleFields::Every { zone: zone(zone_name)?, minutes })
}

fn daily(time: &str, days: u8, zone_name: &str) -> Result<ScheduleFields, String> {
    let wrong = || format!("{time} is no time of day; write 02:30");
    let (hour, minute) = time.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str, max: u16| {
        let two = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|value| two && *value <= max)
    };
    let (hour, minute) = number(hour, 23).zip(number(minute, 59)).ok_or_else(wrong)?;
    Ok(ScheduleFields::Daily { zone: zone(zone_name)?, minute: hour * 60 + minute, days })
}

fn zone(name: &str) -> Result<Text, String> {
    let known = name == "UTC" || TimeZone::get(name).is_ok();
    let unknown = || format!("{name} is no time zone of the IANA list, such as Europe/Berlin");
    if known { name.parse().map_err(|_| unknown()) } else { Err(unknown()) }
}

/// Bits of days, Monday first: `mon`, `mon-fri`, `mon,wed-fri`.
fn days_of_week(text: &str) -> Option<u8> {
    let number = |word: &str| DAYS.iter().position(|day| *day == word);
    let mut bits = 0;
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(part)?, number(part)?),
        };
        if first > last {
            return None;
        }
        (first..=last).for_each(|day| bits |= 1_u8 << day);
    }
    Some(bits)
}

/// A schedule as [`schedule`] reads it.
pub(crate) fn shown_schedule(schedule: &Schedule) -> String {
    match schedule.fields() {
        ScheduleFields::Manual => "manual".to_owned(),
        ScheduleFields::Every { zone, minutes } => format!("every {minutes}m {zone}"),
        ScheduleFields::Daily { zone, minute, days } => {
            let time = format!("{:02}:{:02}", minute / 60, minute % 60);
            if *days == 0x7f {
                return format!("daily {time} {zone}");
            }
            let names: Vec<&str> =
                DAYS.iter().enumerate().filter(|(day, _)| days >> day & 1 == 1).map(|(_, name)| *name).collect();
            format!("daily {time} {} {zone}", names.join(","))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_read_and_shown_and_read_again() {
        let good = [
            ("manual", "manual"),
            ("every 15m Europe/Berlin", "every 15m Europe/Berlin"),
            ("every 2h", "every 120m UTC"),
            ("every 24h UTC", "every 1440m UTC"),
            ("daily 02:30 mon-fri Europe/Berlin", "daily 02:30 mon,tue,wed,thu,fri Europe/Berlin"),
            ("daily 02:30 mon,wed-thu America/New_York", "daily 02:30 mon,wed,thu America/New_York"),
            ("daily 23:59", "daily 23:59 UTC"),
            ("daily 00:00 sun", "daily 00:00 sun UTC"),
            ("  daily   00:00 mon-sun   Asia/Tokyo ", "daily 00:00 Asia/Tokyo"),
        ];
        for (text, shown) in good {
            let parsed = schedule(text).unwrap();
            assert_eq!(shown_schedule(&parsed), shown, "{text}");
            assert_eq!(schedule(shown).unwrap(), parsed, "{shown}");
        }
        let bad = [
            "",
            "sometimes",
            "every",
            "every 0m",
            "every 25h",
            "every 1441m",
            "every 15",
            "every m",
            "every 15s",
            "every +5m",
            "every 15m Berlin/Europe",
            "every 15m UTC x",
            "daily",
            "daily 24:00",
            "daily 02:60",
            "daily 2:30",
            "daily 02:30 fri-mon UTC",
            "daily 02:30 someday UTC",
            "daily 02:30 mon, UTC",
            "every 5m ../etc",
            "every 15é",
        ];
        for text in bad {
            assert!(schedule(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_date_counts_to_its_end_and_a_time_to_itself() {
        let cases = [
            ("2027-01-31", Some("2027-02-01T00:00:00.000Z")),
            ("2028-02-29", Some("2028-03-01T00:00:00.000Z")),
            ("2027-01-31T12:00:00Z", Some("2027-01-31T12:00:00.000Z")),
            ("2027-01-31T12:00:00+01:00", Some("2027-01-31T11:00:00.000Z")),
            ("2027-02-29", None),
            ("31.01.2027", None),
            ("2027-01-31 12:00", None),
            ("1960-01-01", None),
            ("", None),
        ];
        for (text, shown) in cases {
            assert_eq!(until(text).ok().map(|time| time.to_string()).as_deref(), shown, "{text}");
        }
    }
}
