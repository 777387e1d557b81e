//! A shared table's columns: what they hold, what they are to a patient's privacy, what is done to them.

use serde::{Deserialize, Serialize};

use crate::ident::{ColumnName, Name, Text};
use crate::limits::{ROUND_DIGITS_MAX, SHIFT_DAYS_MAX};
use crate::record::dataset::DateFormat;

/// The type of a column's values as they travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColumnType {
    /// Text, as found in the source.
    Text,
    /// 64-bit signed integer.
    Integer,
    /// 64-bit float.
    Float,
    /// True or false.
    Boolean,
    /// A day.
    Date,
    /// A time of day on a day, microseconds.
    Timestamp,
    /// Anything else that Arrow holds; kept as it is.
    Other,
}

/// What a column is to a patient's privacy. Every column has one; none is harmless by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColumnRole {
    /// Names a patient, or something only one patient has: law 1.
    DirectIdentifier,
    /// Names a patient together with others: age, ZIP, dates, facility.
    QuasiIdentifier,
    /// What a patient would not want known.
    Sensitive,
    /// A measured quantity.
    Measure,
    /// Text that anybody may have typed anything into.
    FreeText,
}

/// The identifiers that 45 CFR 164.514(b)(2)(i) lists, (A) to (R), and among its dates those of birth by themselves: a
/// year of birth tells an age over 89.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdentifierClass {
    /// (A) Names.
    Name,
    /// (B) Places smaller than a state: street, city, county, ZIP code.
    Place,
    /// (C) Days and times that belong to a person, and ages.
    Date,
    /// (C) The day or year of birth.
    BirthDate,
    /// (D) Telephone numbers.
    Phone,
    /// (E) Fax numbers.
    Fax,
    /// (F) Electronic mail addresses.
    Email,
    /// (G) Social security numbers.
    SocialSecurity,
    /// (H) Medical record numbers.
    MedicalRecord,
    /// (I) Health plan beneficiary numbers.
    HealthPlan,
    /// (J) Account numbers.
    Account,
    /// (K) Certificate and licence numbers.
    Licence,
    /// (L) Vehicle identifiers, licence plates among them.
    Vehicle,
    /// (M) Device identifiers and serial numbers.
    Device,
    /// (N) Web addresses.
    Url,
    /// (O) Internet addresses.
    IpAddress,
    /// (P) Finger prints, voice prints.
    Biometric,
    /// (Q) Full-face photographs.
    Photo,
    /// (R) Any other number, characteristic or code that only one person has.
    Other,
}

/// What is done to a column before a blob exists (spec SHARE-16).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Treatment {
    /// It does not leave.
    Drop,
    /// It leaves as it is. Never for a direct identifier.
    Keep,
    /// Each value becomes a keyed id that only its provider can compute: the same value, the same id.
    Pseudonym,
    /// Of a day or time its year and month, `2024-02`.
    Month {
        /// How a text column writes its days.
        format: DateFormat,
    },
    /// Of a day, time or year its year, `2024`.
    Year {
        /// How a text column writes its days.
        format: DateFormat,
        /// An earlier year leaves as this one: `1936` then means 1936 or before.
        floor: Option<u16>,
    },
    /// The first three digits of a ZIP code; `000` in the areas that the terms name as small.
    Zip3,
    /// An age in whole years; 90 for every age over 89.
    Age90,
    /// Every date of a patient moves by the same keyed number of days, never by none.
    ShiftDates {
        /// How a text column writes its days.
        format: DateFormat,
        /// The bound: it moves by 1 to so many days, back or forth.
        days_max: u16,
    },
    /// A number to so many decimal digits, half away from zero; to tens, hundreds and so on below 0.
    Round(i8),
}

impl Treatment {
    /// The type that leaves where a source column of this type is treated so; `None`: such a column cannot be.
    pub const fn leaves_as(self, source: ColumnType) -> Option<ColumnType> {
        use ColumnType::{Boolean, Date, Float, Integer, Other, Text, Timestamp};
        match (self, source) {
            (Self::Drop | Self::Keep, kind) => Some(kind),
            (Self::Pseudonym, _)
            | (Self::Month { .. }, Text | Date | Timestamp)
            | (Self::Year { .. }, Text | Integer | Date | Timestamp)
            | (Self::Zip3, Text | Integer) => Some(Text),
            (Self::Age90, Text | Integer)
            | (Self::ShiftDates { .. }, Text | Date | Timestamp)
            | (Self::Round(_), Text | Integer | Float | Other) => Some(source),
            (Self::Month { .. } | Self::ShiftDates { .. }, Integer | Float | Boolean | Other)
            | (Self::Year { .. }, Float | Boolean | Other)
            | (Self::Zip3 | Self::Age90, Float | Boolean | Date | Timestamp | Other)
            | (Self::Round(_), Boolean | Date | Timestamp) => None,
        }
    }

    /// Whether what leaves can be of this type, and the treatment's own numbers are within their bounds.
    pub const fn fits(self, kind: ColumnType) -> bool {
        let text_only = matches!(kind, ColumnType::Text);
        match self {
            Self::Drop | Self::Keep => true,
            Self::Pseudonym | Self::Month { .. } | Self::Zip3 => text_only,
            Self::Year { floor, .. } => text_only && !matches!(floor, Some(0 | 10_000..)),
            Self::Age90 => self.leaves_as(kind).is_some(),
            Self::ShiftDates { days_max, .. } => {
                days_max >= 1 && days_max <= SHIFT_DAYS_MAX && self.leaves_as(kind).is_some()
            }
            Self::Round(digits) => {
                digits <= ROUND_DIGITS_MAX && digits >= -ROUND_DIGITS_MAX && self.leaves_as(kind).is_some()
            }
        }
    }
}

/// One column of a source, its classification, and what its share does with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name in the source, and in what leaves.
    pub name: ColumnName,
    /// The type of what leaves.
    pub kind: ColumnType,
    /// What it is to privacy.
    pub role: ColumnRole,
    /// Which of the identifiers of Safe Harbor it holds, if any.
    pub class: Option<IdentifierClass>,
    /// Who answers for it at its provider.
    pub owner: Option<Name>,
    /// What is done to it.
    pub treatment: Treatment,
    /// Why it leaves although its role or its name speaks against it: a person's statement, part of the terms.
    pub reason: Option<Text>,
}

/// Why a column may not leave as its share says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlawful {
    /// A direct identifier leaves as something other than a pseudonym (law 1).
    Identifier,
    /// Free text leaves without a reason.
    FreeText,
    /// A measure leaves as finely as it was measured.
    Measure,
}

impl Column {
    /// A column without class, owner and reason.
    pub const fn new(name: ColumnName, kind: ColumnType, role: ColumnRole, treatment: Treatment) -> Self {
        Self { name, kind, role, class: None, owner: None, treatment, reason: None }
    }

    /// Whether it leaves.
    pub const fn leaves(&self) -> bool {
        !matches!(self.treatment, Treatment::Drop)
    }

    /// Whether its values leave as anything but keyed ids.
    pub const fn leaves_readable(&self) -> bool {
        !matches!(self.treatment, Treatment::Drop | Treatment::Pseudonym)
    }

    /// Checks that the treatment is one that the role allows (spec SHARE-1, SHARE-11, SHARE-12).
    ///
    /// # Errors
    /// [`Unlawful`].
    pub fn check(&self) -> Result<(), Unlawful> {
        match self.role {
            ColumnRole::DirectIdentifier if self.leaves_readable() => Err(Unlawful::Identifier),
            ColumnRole::FreeText if self.leaves() && self.reason.is_none() => Err(Unlawful::FreeText),
            ColumnRole::Measure if self.treatment == Treatment::Keep && self.kind != ColumnType::Boolean => {
                Err(Unlawful::Measure)
            }
            ColumnRole::DirectIdentifier
            | ColumnRole::FreeText
            | ColumnRole::Measure
            | ColumnRole::QuasiIdentifier
            | ColumnRole::Sensitive => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISO: DateFormat = DateFormat::Iso;

    // SHARE-14
    #[test]
    fn a_treatment_fits_what_it_makes_and_keeps_its_bounds() {
        use ColumnType::{Boolean, Date, Float, Integer, Other, Text, Timestamp};
        let all = [Text, Integer, Float, Boolean, Date, Timestamp, Other];
        let shift = |days_max| Treatment::ShiftDates { format: ISO, days_max };
        let year = |floor| Treatment::Year { format: ISO, floor };
        let table: [(Treatment, &[ColumnType]); 15] = [
            (Treatment::Drop, &all),
            (Treatment::Keep, &all),
            (Treatment::Pseudonym, &[Text]),
            (Treatment::Month { format: ISO }, &[Text]),
            (year(None), &[Text]),
            (year(Some(9_999)), &[Text]),
            (year(Some(10_000)), &[]),
            (year(Some(0)), &[]),
            (Treatment::Zip3, &[Text]),
            (Treatment::Age90, &[Text, Integer]),
            (shift(0), &[]),
            (shift(SHIFT_DAYS_MAX), &[Text, Date, Timestamp]),
            (shift(SHIFT_DAYS_MAX + 1), &[]),
            (Treatment::Round(-ROUND_DIGITS_MAX), &[Text, Integer, Float, Other]),
            (Treatment::Round(ROUND_DIGITS_MAX + 1), &[]),
        ];
        for (treatment, fitting) in table {
            for kind in all {
                assert_eq!(treatment.fits(kind), fitting.contains(&kind), "{treatment:?} {kind:?}");
                assert!(treatment.leaves_as(kind).is_none_or(|made| fitting.is_empty() || treatment.fits(made)));
            }
        }
    }
}
