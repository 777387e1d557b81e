//! Dates: leaves are days between two public bounds, higher levels are months, quarters, years, decades.

use super::lookup::Lookup;
use super::{Hierarchy, HierarchyFault, LEAVES_MAX};

/// A level of a date hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DateStep {
    /// A calendar month, as `1987-04`.
    Month,
    /// A quarter of a year, as `1987-Q2`.
    Quarter,
    /// A year, as `1987`.
    Year,
    /// Ten years, as `1980s`.
    Decade,
}

/// What a date hierarchy is made of, in days from 1970-01-01.
#[derive(Clone, Debug)]
pub struct Dates {
    /// The first day.
    pub first: i32,
    /// The last day.
    pub last: i32,
    /// The levels above days, from fine to coarse.
    pub steps: Vec<DateStep>,
}

impl Hierarchy {
    /// Builds the hierarchy of days.
    ///
    /// # Errors
    ///
    /// No day, too many days, or steps that do not become coarser.
    pub fn from_dates(dates: &Dates) -> Result<Self, HierarchyFault> {
        let days = i64::from(dates.last) - i64::from(dates.first) + 1;
        if days < 1 {
            return Err(HierarchyFault::Range);
        }
        if days > LEAVES_MAX as i64 {
            return Err(HierarchyFault::TooLarge);
        }
        if let Some(level) = dates.steps.windows(2).position(|pair| pair[0] >= pair[1]) {
            return Err(HierarchyFault::Steps { level: level + 2 });
        }
        let path = |day: i32| {
            let (year, month, of_month) = civil(day);
            let step = |step: &DateStep| match step {
                DateStep::Month => format!("{year:04}-{month:02}"),
                DateStep::Quarter => format!("{year:04}-Q{}", (month - 1) / 3 + 1),
                DateStep::Year => format!("{year:04}"),
                DateStep::Decade => format!("{:03}0s", year.div_euclid(10)),
            };
            let leaf = format!("{year:04}-{month:02}-{of_month:02}");
            std::iter::once(leaf).chain(dates.steps.iter().map(step)).chain([super::ROOT.to_owned()]).collect()
        };
        let built = Self::from_paths((dates.first..=dates.last).map(path).collect())?;
        Ok(built.with_lookup(Lookup::Days { first: dates.first, leaves: days as u32 }))
    }
}

/// Year, month and day of month. Source: H. Hinnant, `civil_from_days`, in the proleptic Gregorian calendar.
fn civil(day: i32) -> (i64, i64, i64) {
    let shifted = i64::from(day) + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted_month + 2) / 5 + 1)
}
