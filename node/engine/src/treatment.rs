//! What a share's terms do to single values: cut, rounded, moved, tested. What cannot be read is refused, never passed on and
//! never made into nothing (law 12; spec SHARE-17).

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use cohortium_protocol::digest::keyed_id;
use cohortium_protocol::key::wrap::Secret32;
use cohortium_protocol::record::dataset::DateFormat;
use cohortium_protocol::record::literal::ZipArea;
use cohortium_protocol::record::row_filter::{Bound, Passes};
use cohortium_protocol::record::schema::Treatment;
use serde::{Deserialize, Serialize};

use crate::calendar::{CalendarDay, month_of, shifted, year_of};
use crate::decimal::Decimal;

/// The age that every higher one leaves as.
const AGE_TOP: i64 = 90;
/// What a small ZIP area leaves as.
const SMALL_AREA: &str = "000";

/// Why a row may not leave: a closed list, nothing of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Refusal {
    /// A value that should be a day is none, or is written in another way than declared.
    NoDay,
    /// A value that should be a ZIP code is none.
    NoZip,
    /// A value that should be an age in whole years is none.
    NoAge,
    /// A value that should be a number is none.
    NoNumber,
    /// A day or number that cannot be moved or rounded within its type.
    OutOfRange,
    /// A date should move by its patient, and the row names none.
    NoPatient,
    /// A key column without a value.
    NoKey,
    /// A number in a key or patient column that is not whole, or too large for its type to count by ones.
    NotWhole,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoDay => "no day in the declared format",
            Self::NoZip => "no ZIP code",
            Self::NoAge => "no age in whole years",
            Self::NoNumber => "no number",
            Self::OutOfRange => "beyond what its type holds",
            Self::NoPatient => "no patient, so the date cannot be shifted",
            Self::NoKey => "no value in a key column",
            Self::NotWhole => "a number in a key or patient column that is not whole",
        })
    }
}

/// By how many days all dates of a patient move: 1 to `days_max`, back or forth, never none (spec SHARE-18).
///
/// The number follows from the provider's key, the patient's local identifier without blanks around it, and the bound.
pub fn shift_days(row_key: &Secret32, patient: &str, days_max: u16) -> i64 {
    let digest = keyed_id(row_key.as_bytes(), [b"shift".as_slice(), patient.trim().as_bytes()]);
    let drawn = u128::from_le_bytes(digest) % (2 * u128::from(days_max)).max(1);
    let place = i64::try_from(drawn).unwrap_or_default() - i64::from(days_max);
    if place < 0 { place } else { place + 1 }
}

/// A text as it leaves. Blank stays blank; a kept text and a pseudonym are not made here.
///
/// # Errors
/// [`Refusal`].
pub fn treat_text(
    treatment: Treatment,
    small_areas: &BTreeSet<ZipArea>,
    shift: Option<i64>,
    text: &str,
) -> Result<String, Refusal> {
    if text.trim().is_empty() {
        return Ok(String::new());
    }
    match treatment {
        Treatment::Drop | Treatment::Pseudonym | Treatment::Keep => Ok(text.to_owned()),
        Treatment::Month { format } => {
            let (year, month) = month_of(text, format).ok_or(Refusal::NoDay)?;
            Ok(format!("{year:04}-{month:02}"))
        }
        Treatment::Year { format, floor } => Ok(floored(year_of(text, format).ok_or(Refusal::NoDay)?, floor)),
        Treatment::Zip3 => zip_area(text.trim(), small_areas),
        Treatment::Age90 => {
            let digits = text.trim();
            let well_formed = digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
            let age = digits.parse().ok().filter(|_| well_formed).ok_or(Refusal::NoAge)?;
            age_90(age).map(|age| age.to_string())
        }
        Treatment::ShiftDates { format, .. } => {
            let shift = shift.ok_or(Refusal::NoPatient)?;
            let read = CalendarDay::read(text, format).ok_or(Refusal::NoDay)?;
            shifted(text, format, shift).ok_or(if CalendarDay::from_epoch(read.0.to_epoch() + shift).is_some() {
                Refusal::NoDay
            } else {
                Refusal::OutOfRange
            })
        }
        Treatment::Round(digits) => Ok(Decimal::parse(text).ok_or(Refusal::NoNumber)?.round(digits).to_text()),
    }
}

/// Who wrote the days of a column as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// Its source, in the format that the terms name.
    Source,
    /// We, of typed values, and that is ISO 8601.
    Own,
}

/// Whether a cell's text passes one test of a row filter. A blank cell passes none (spec SHARE-19).
///
/// # Errors
/// A cell that cannot be compared with the test's bound.
pub fn passes(test: &Passes, cell: &str, writing: Writing) -> Result<bool, Refusal> {
    let cell = cell.trim();
    if cell.is_empty() {
        return Ok(false);
    }
    match test {
        Passes::Present => Ok(true),
        Passes::OneOf(texts) => Ok(texts.iter().any(|text| text.as_str() == cell)),
        Passes::AtLeast(bound) => compare(cell, bound, writing).map(Ordering::is_ge),
        Passes::AtMost(bound) => compare(cell, bound, writing).map(Ordering::is_le),
    }
}

fn compare(cell: &str, bound: &Bound, writing: Writing) -> Result<Ordering, Refusal> {
    match bound {
        Bound::Number(number) => Ok(Decimal::parse(cell).ok_or(Refusal::NoNumber)?.compare(number.scaled())),
        Bound::Day { day, format } => {
            let format = if writing == Writing::Own { DateFormat::Iso } else { *format };
            let (found, _) = CalendarDay::read(cell, format).ok_or(Refusal::NoDay)?;
            Ok(found.write(DateFormat::Iso).as_str().cmp(day.as_str()))
        }
    }
}

/// An age with everything over 89 together.
pub(crate) fn age_90(age: i64) -> Result<i64, Refusal> {
    if age < 0 { Err(Refusal::NoAge) } else { Ok(age.min(AGE_TOP)) }
}

/// A year with everything before the floor together.
pub(crate) fn floored(year: u32, floor: Option<u16>) -> String {
    format!("{:04}", year.max(floor.map_or(0, u32::from)))
}

/// A ZIP code's area: of five digits, or nine with a hyphen or without.
pub(crate) fn zip_area(zip: &str, small_areas: &BTreeSet<ZipArea>) -> Result<String, Refusal> {
    let digits: String = match zip.split_once('-') {
        Some((five, four)) if five.len() == 5 && four.len() == 4 => [five, four].concat(),
        Some(_) => return Err(Refusal::NoZip),
        None => zip.to_owned(),
    };
    if !matches!(digits.len(), 5 | 9) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::NoZip);
    }
    let area = &digits[..3];
    let small = small_areas.iter().any(|small| small.as_str() == area);
    Ok(if small { SMALL_AREA } else { area }.to_owned())
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::record::safe_harbor::small_areas_2000;

    use super::*;

    const ISO: DateFormat = DateFormat::Iso;

    // SHARE-16 SHARE-17
    #[test]
    fn a_value_leaves_cut_or_not_at_all() {
        let year = |floor| Treatment::Year { format: ISO, floor };
        let month = Treatment::Month { format: ISO };
        let (zip, age) = (Treatment::Zip3, Treatment::Age90);
        let table = [
            (month, "2024-02-29T10:00:00", Ok("2024-02")),
            (month, "29.02.2024", Err(Refusal::NoDay)),
            (year(None), "2024-02-29", Ok("2024")),
            (year(Some(1940)), "1939-12-31", Ok("1940")),
            (year(Some(1940)), "1941-12-31", Ok("1941")),
            (year(None), "yesterday", Err(Refusal::NoDay)),
            (zip, "02139", Ok("021")),
            (zip, " 02139-1234 ", Ok("021")),
            (zip, "021391234", Ok("021")),
            (zip, "03601", Ok("000")),
            (zip, "89301-0001", Ok("000")),
            (zip, "2139", Err(Refusal::NoZip)),
            (zip, "0213-91234", Err(Refusal::NoZip)),
            (zip, "SW1A 1AA", Err(Refusal::NoZip)),
            (age, "0", Ok("0")),
            (age, "089", Ok("89")),
            (age, "90", Ok("90")),
            (age, "117", Ok("90")),
            (age, "-1", Err(Refusal::NoAge)),
            (age, "+1", Err(Refusal::NoAge)),
            (age, "45.5", Err(Refusal::NoAge)),
            (age, "0045", Err(Refusal::NoAge)),
            (Treatment::Round(1), "139.46", Ok("139.5")),
            (Treatment::Round(1), "<5", Err(Refusal::NoNumber)),
        ];
        for (treatment, text, expected) in table {
            let found = treat_text(treatment, &small_areas_2000(), Some(1), text);
            assert_eq!(found.as_deref(), expected.as_deref(), "{treatment:?} {text}");
            assert_eq!(treat_text(treatment, &small_areas_2000(), Some(1), " ").as_deref(), Ok(""));
        }
    }

    // SHARE-18
    #[test]
    fn a_patient_moves_by_one_number_of_days_within_the_bound_and_never_by_none() {
        let key = Secret32::new([5; 32]);
        let mut seen = BTreeSet::new();
        for patient in 0..2_000 {
            let days = shift_days(&key, &patient.to_string(), 4);
            assert_eq!(days, shift_days(&key, &format!(" {patient} "), 4));
            seen.insert(days);
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [-4, -3, -2, -1, 1, 2, 3, 4]);
        let other = Secret32::new([6; 32]);
        assert!((0..50).any(|n: u32| shift_days(&key, &n.to_string(), 365) != shift_days(&other, &n.to_string(), 365)));
    }

    // SHARE-17
    #[test]
    fn a_date_moves_with_its_patient_or_not_at_all() {
        let shift = Treatment::ShiftDates { format: ISO, days_max: 9 };
        let moved = |days, text| treat_text(shift, &BTreeSet::new(), days, text);
        assert_eq!(moved(Some(-3), "2024-03-01 10:15").as_deref(), Ok("2024-02-27 10:15"));
        assert_eq!(moved(None, "2024-03-01"), Err(Refusal::NoPatient));
        assert_eq!(moved(Some(1), "9999-12-31"), Err(Refusal::OutOfRange));
        assert_eq!(moved(Some(1), "2024-03-01T99"), Err(Refusal::NoDay));
        assert_eq!(moved(Some(1), "soon"), Err(Refusal::NoDay));
    }
}
