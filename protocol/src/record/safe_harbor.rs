//! The preset `hipaa-safe-harbor`: what 45 CFR 164.514(b)(2) lets leave, and nothing else.
//!
//! It says what the terms must be. Whether a column holds what its class says is a person's statement.

use std::collections::BTreeSet;
use std::fmt;

use crate::record::literal::{Decimal, ZipArea};
use crate::record::row_filter::{Bound, Passes};
use crate::record::schema::{Column, ColumnRole, ColumnType, IdentifierClass, Treatment};
use crate::record::suspicion::suspicion;
use crate::time::UnixMillis;

/// The ZIP areas of 20,000 or fewer people by the census of 2000: 17 of them. Terms replace the list by the current
/// census.
pub const SMALL_AREAS_2000: [&str; 17] = [
    "036", "059", "063", "102", "203", "556", "692", "790", "821", "823", "830", "831", "878", "879", "884", "890",
    "893",
];

/// The list of the census of 2000 as terms carry it.
pub fn small_areas_2000() -> BTreeSet<ZipArea> {
    SMALL_AREAS_2000.iter().filter_map(|area| area.parse().ok()).collect()
}

/// The oldest age that may be told from a year of birth.
const AGE_MAX: u64 = 89;

/// Why a column may not leave under Safe Harbor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breach {
    /// A direct identifier or free text, whatever becomes of it.
    Role,
    /// Pseudonyms, shifted dates and months are no part of Safe Harbor.
    Treatment,
    /// An identifier that is not generalised as its class asks.
    Class(IdentifierClass),
    /// A day or a time as it is.
    Day,
    /// Years of birth leave that tell an age over 89 before the share ends.
    BirthYear {
        /// The first year that may leave.
        floor: u64,
    },
    /// The terms name no small ZIP area at all.
    SmallAreas,
    /// Its name says that it is an identifier of another class than declared, and no reason is stated.
    Suspected(IdentifierClass),
    /// The filter tells of every row that leaves what the column itself must not.
    Filter,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role => f.write_str("a direct identifier or free text; drop it"),
            Self::Treatment => f.write_str("a pseudonym, a month or shifted; Safe Harbor allows neither"),
            Self::Class(class) => write!(f, "an identifier ({}); drop it, or generalise it", class_word(*class)),
            Self::Day => f.write_str("a day or a time; cut it to the year"),
            Self::BirthYear { floor } => {
                write!(f, "a year of birth; cut it to the year with a floor of {floor} or later")
            }
            Self::SmallAreas => f.write_str("a ZIP area, and the terms name no area of 20,000 or fewer people"),
            Self::Suspected(class) => {
                write!(f, "by its name an identifier ({}); declare that class, or state a reason", class_word(*class))
            }
            Self::Filter => f.write_str(
                "tested in a way that tells a place, a day or an age over 89; test for whole years, or ages up to 89",
            ),
        }
    }
}

const fn class_word(class: IdentifierClass) -> &'static str {
    match class {
        IdentifierClass::Name => "name",
        IdentifierClass::Place => "place",
        IdentifierClass::Date => "date",
        IdentifierClass::BirthDate => "birth-date",
        IdentifierClass::Phone => "phone",
        IdentifierClass::Fax => "fax",
        IdentifierClass::Email => "email",
        IdentifierClass::SocialSecurity => "social-security",
        IdentifierClass::MedicalRecord => "medical-record",
        IdentifierClass::HealthPlan => "health-plan",
        IdentifierClass::Account => "account",
        IdentifierClass::Licence => "licence",
        IdentifierClass::Vehicle => "vehicle",
        IdentifierClass::Device => "device",
        IdentifierClass::Url => "url",
        IdentifierClass::IpAddress => "ip-address",
        IdentifierClass::Biometric => "biometric",
        IdentifierClass::Photo => "photo",
        IdentifierClass::Other => "other",
    }
}

/// Checks one column of terms that end at `expires` (spec SHARE-15). One that is dropped fits.
///
/// # Errors
/// [`Breach`].
pub fn check(column: &Column, small_areas: &BTreeSet<ZipArea>, expires: UnixMillis) -> Result<(), Breach> {
    if !column.leaves() {
        return Ok(());
    }
    if matches!(column.role, ColumnRole::DirectIdentifier | ColumnRole::FreeText) {
        return Err(Breach::Role);
    }
    check_treatment(column.treatment)?;
    if matches!(column.kind, ColumnType::Date | ColumnType::Timestamp) {
        return Err(Breach::Day);
    }
    check_class(column, expires)?;
    if column.treatment == Treatment::Zip3 && small_areas.is_empty() {
        return Err(Breach::SmallAreas);
    }
    match suspicion(column.name.as_str()).class {
        Some(suspected) if column.class != Some(suspected) && column.reason.is_none() => {
            Err(Breach::Suspected(suspected))
        }
        Some(_) | None => Ok(()),
    }
}

const fn check_treatment(treatment: Treatment) -> Result<(), Breach> {
    match treatment {
        Treatment::Pseudonym | Treatment::Month { .. } | Treatment::ShiftDates { .. } => Err(Breach::Treatment),
        Treatment::Drop
        | Treatment::Keep
        | Treatment::Year { .. }
        | Treatment::Zip3
        | Treatment::Age90
        | Treatment::Round(_) => Ok(()),
    }
}

fn check_class(column: &Column, expires: UnixMillis) -> Result<(), Breach> {
    match (column.class, column.treatment) {
        (None, _)
        | (Some(IdentifierClass::Place), Treatment::Zip3)
        | (Some(IdentifierClass::Date), Treatment::Year { .. } | Treatment::Age90) => Ok(()),
        (Some(IdentifierClass::BirthDate), Treatment::Year { floor, .. }) => {
            let first = birth_floor(expires);
            if floor.is_some_and(|floor| u64::from(floor) >= first) {
                Ok(())
            } else {
                Err(Breach::BirthYear { floor: first })
            }
        }
        (Some(class), _) => Err(Breach::Class(class)),
    }
}

/// Checks one test of the filter of terms that end at `expires`: all rows that leave have passed it, so that it tells of
/// each what the column may not (spec SHARE-24).
///
/// # Errors
/// [`Breach::Filter`].
pub fn check_test(passes: &Passes, column: &Column, expires: UnixMillis) -> Result<(), Breach> {
    let by_name = suspicion(column.name.as_str()).class.filter(|_| column.reason.is_none());
    let class = column.class.or(by_name);
    let tells = match (passes, class) {
        (Passes::Present, _)
        | (Passes::OneOf(_) | Passes::AtLeast(Bound::Number(_)) | Passes::AtMost(Bound::Number(_)), None) => false,
        (Passes::AtLeast(Bound::Number(age)) | Passes::AtMost(Bound::Number(age)), Some(IdentifierClass::Date)) => {
            !is_age(age)
        }
        (Passes::AtLeast(Bound::Day { day, .. }), None | Some(IdentifierClass::Date | IdentifierClass::BirthDate)) => {
            !day.as_str().ends_with("-01-01")
        }
        (Passes::AtMost(Bound::Day { day, .. }), None | Some(IdentifierClass::Date)) => {
            !day.as_str().ends_with("-12-31")
        }
        (Passes::AtMost(Bound::Day { day, .. }), Some(IdentifierClass::BirthDate)) => {
            let year = day.as_str().get(..4).and_then(|year| year.parse::<u64>().ok());
            !day.as_str().ends_with("-12-31") || year.is_none_or(|year| year < birth_floor(expires))
        }
        (Passes::OneOf(_) | Passes::AtLeast(_) | Passes::AtMost(_), Some(_)) => true,
    };
    if tells { Err(Breach::Filter) } else { Ok(()) }
}

/// Whether a bound is an age that may be told.
fn is_age(number: &Decimal) -> bool {
    const ONE: i128 = 1_000_000_000_000_000_000;
    number.scaled() <= i128::from(AGE_MAX).saturating_mul(ONE)
}

/// The first year of birth that tells no age over 89 as long as the terms run.
pub fn birth_floor(expires: UnixMillis) -> u64 {
    expires.year().saturating_sub(AGE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::dataset::DateFormat;

    /// 2027-01-15.
    const END: UnixMillis = UnixMillis(1_800_000_000_000);
    const ISO: DateFormat = DateFormat::Iso;

    fn column(name: &str, class: Option<IdentifierClass>, treatment: Treatment) -> Column {
        let kind = ColumnType::Text;
        Column { class, ..Column::new(name.parse().unwrap(), kind, ColumnRole::QuasiIdentifier, treatment) }
    }

    fn checked(column: &Column) -> Result<(), Breach> {
        check(column, &small_areas_2000(), END)
    }

    const CLASSES: [IdentifierClass; 19] = [
        IdentifierClass::Name,
        IdentifierClass::Place,
        IdentifierClass::Date,
        IdentifierClass::BirthDate,
        IdentifierClass::Phone,
        IdentifierClass::Fax,
        IdentifierClass::Email,
        IdentifierClass::SocialSecurity,
        IdentifierClass::MedicalRecord,
        IdentifierClass::HealthPlan,
        IdentifierClass::Account,
        IdentifierClass::Licence,
        IdentifierClass::Vehicle,
        IdentifierClass::Device,
        IdentifierClass::Url,
        IdentifierClass::IpAddress,
        IdentifierClass::Biometric,
        IdentifierClass::Photo,
        IdentifierClass::Other,
    ];

    // SHARE-15
    #[test]
    fn an_identifier_of_any_class_leaves_only_as_its_class_allows() {
        let year = |floor| Treatment::Year { format: ISO, floor };
        let treatments =
            [Treatment::Keep, Treatment::Round(0), Treatment::Zip3, Treatment::Age90, year(None), year(Some(1938))];
        for class in CLASSES {
            for treatment in treatments {
                let allowed = match class {
                    IdentifierClass::Place => treatment == Treatment::Zip3,
                    IdentifierClass::Date => matches!(treatment, Treatment::Year { .. } | Treatment::Age90),
                    IdentifierClass::BirthDate => treatment == year(Some(1938)),
                    _ => false,
                };
                let found = checked(&column("x", Some(class), treatment));
                assert_eq!(found.is_ok(), allowed, "{class:?} {treatment:?} {found:?}");
            }
            assert_eq!(checked(&column("x", Some(class), Treatment::Drop)), Ok(()));
        }
    }

    // SHARE-15
    #[test]
    fn pseudonyms_shifts_months_days_and_free_text_are_no_part_of_it() {
        let shift = Treatment::ShiftDates { format: ISO, days_max: 9 };
        for treatment in [Treatment::Pseudonym, Treatment::Month { format: ISO }, shift] {
            assert_eq!(checked(&column("x", None, treatment)), Err(Breach::Treatment));
        }
        for kind in [ColumnType::Date, ColumnType::Timestamp] {
            assert_eq!(checked(&Column { kind, ..column("x", None, Treatment::Keep) }), Err(Breach::Day));
        }
        for role in [ColumnRole::DirectIdentifier, ColumnRole::FreeText] {
            let reason = Some("said so".parse().unwrap());
            let leaves = Column { role, reason, ..column("x", None, Treatment::Keep) };
            assert_eq!(checked(&leaves), Err(Breach::Role));
        }
        let empty = check(&column("zip", Some(IdentifierClass::Place), Treatment::Zip3), &BTreeSet::new(), END);
        assert_eq!(empty, Err(Breach::SmallAreas));
    }

    // SHARE-15
    #[test]
    fn a_name_that_speaks_of_an_identifier_is_believed_until_a_reason_is_stated() {
        let named = |class| column("visit_date", class, Treatment::Age90);
        assert_eq!(checked(&named(None)), Err(Breach::Suspected(IdentifierClass::Date)));
        assert_eq!(checked(&named(Some(IdentifierClass::Date))), Ok(()));
        let stated = Column { reason: Some("the number of visits to date".parse().unwrap()), ..named(None) };
        assert_eq!(checked(&stated), Ok(()));
    }

    // SHARE-15
    #[test]
    fn a_year_of_birth_tells_no_age_over_89_until_the_share_ends() {
        assert_eq!(birth_floor(END), 1938);
        let born = |floor| column("dob", Some(IdentifierClass::BirthDate), Treatment::Year { format: ISO, floor });
        assert_eq!(checked(&born(Some(1937))), Err(Breach::BirthYear { floor: 1938 }));
        assert_eq!(checked(&born(None)), Err(Breach::BirthYear { floor: 1938 }));
        assert_eq!([checked(&born(Some(1938))), checked(&born(Some(1990)))], [Ok(()), Ok(())]);
        assert_eq!(small_areas_2000().len(), 17);
    }

    // SHARE-24
    #[test]
    fn a_filter_tells_no_place_no_day_and_no_age_over_89() {
        let number = |text: &str| Bound::Number(text.parse().unwrap());
        let day = |text: &str| Bound::Day { day: text.parse().unwrap(), format: ISO };
        let one_of = Passes::OneOf(BTreeSet::from(["Ithaca".parse().unwrap()]));
        let (date, birth, place) =
            (Some(IdentifierClass::Date), Some(IdentifierClass::BirthDate), Some(IdentifierClass::Place));
        for (name, class, passes, fits) in [
            ("x", place, Passes::Present, true),
            ("x", place, one_of.clone(), false),
            ("city", None, one_of.clone(), false),
            ("x", None, one_of, true),
            ("x", None, Passes::AtLeast(number("900")), true),
            ("age", date, Passes::AtLeast(number("89")), true),
            ("age", date, Passes::AtLeast(number("89.5")), false),
            ("age", date, Passes::AtMost(number("95")), false),
            ("age", None, Passes::AtMost(number("95")), false),
            ("x", date, Passes::AtLeast(day("2024-01-01")), true),
            ("x", date, Passes::AtLeast(day("2024-03-01")), false),
            ("x", date, Passes::AtMost(day("2024-12-31")), true),
            ("x", None, Passes::AtMost(day("2024-12-30")), false),
            ("x", birth, Passes::AtLeast(day("1930-01-01")), true),
            ("x", birth, Passes::AtMost(day("1938-12-31")), true),
            ("x", birth, Passes::AtMost(day("1937-12-31")), false),
            ("x", birth, Passes::AtMost(number("1990")), false),
        ] {
            let found = check_test(&passes, &column(name, class, Treatment::Drop), END);
            assert_eq!(found, if fits { Ok(()) } else { Err(Breach::Filter) }, "{name} {class:?} {passes:?}");
        }
    }
}
