//! What a table looks like: rows by month and histograms of its measures. For its owner's eyes, and as a summary that
//! sites are compared by (law 8 says who may see what).

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{Date32Type, Float64Type, Int64Type};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::bins::{BINS, bin};
use crate::limits::HISTOGRAMS_MAX;
use crate::schema::{Kind, Reference, Table};
use cohortium_protocol::record::schema::ColumnRole;

/// Year and month of the first and of the last month that has a place of its own.
const MONTH_FIRST: i32 = 1800 * 12;
const MONTHS: usize = 500 * 12;

/// What one pass gathers of one table.
#[derive(Debug)]
pub(crate) struct Profile {
    /// The field whose months are counted: the first required day.
    day: Option<String>,
    months: Vec<u64>,
    /// Rows whose day lies outside those months.
    far: u64,
    measures: Vec<String>,
    concept: Option<String>,
    unit: Option<String>,
    histograms: HashMap<Key, Box<[u64; BINS]>>,
    /// Values in no histogram, because there are too many of them.
    left_out: u64,
}

/// Which values a histogram is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    measure: usize,
    concept: i64,
    unit: i64,
}

impl Profile {
    pub(crate) fn new(table: &Table) -> Self {
        let of_domain = |domain: &str| {
            let wanted = Reference::Concept(Some(domain.to_owned()));
            table.fields.iter().find(|field| field.reference == wanted).map(|field| field.name.clone())
        };
        let day = table.fields.iter().find(|field| field.required && field.kind == Kind::Date);
        let measures =
            table.fields.iter().filter(|field| field.kind == Kind::Float && field.role == ColumnRole::Measure);
        Self {
            day: day.map(|field| field.name.clone()),
            months: vec![0; if day.is_some() { MONTHS } else { 0 }],
            far: 0,
            measures: measures.map(|field| field.name.clone()).collect(),
            concept: of_domain("Measurement"),
            unit: of_domain("Unit"),
            histograms: HashMap::new(),
            left_out: 0,
        }
    }

    /// Looks at the columns that `column` finds by name.
    pub(crate) fn see<'a>(&mut self, column: impl Fn(&str) -> Option<&'a ArrayRef>) {
        if let Some(days) = self.day.as_deref().and_then(&column) {
            self.see_days(days);
        }
        let concepts = self.concept.as_deref().and_then(&column);
        let units = self.unit.as_deref().and_then(&column);
        for place in 0..self.measures.len() {
            if let Some(values) = self.measures.get(place).and_then(|name| column(name)) {
                self.see_values(place, values, concepts, units);
            }
        }
    }

    fn see_days(&mut self, days: &ArrayRef) {
        let Some(days) = days.as_primitive_opt::<Date32Type>() else { return };
        for day in days.iter().flatten() {
            let place = usize::try_from(month_of(day) - i64::from(MONTH_FIRST)).ok();
            *place.and_then(|place| self.months.get_mut(place)).unwrap_or(&mut self.far) += 1;
        }
    }

    fn see_values(&mut self, measure: usize, values: &ArrayRef, concepts: Option<&ArrayRef>, units: Option<&ArrayRef>) {
        let Some(values) = values.as_primitive_opt::<Float64Type>() else { return };
        if values.null_count() == values.len() {
            return;
        }
        let ids = |array: Option<&'_ ArrayRef>| array.and_then(|array| array.as_primitive_opt::<Int64Type>().cloned());
        let (concepts, units) = (ids(concepts), ids(units));
        let id = |ids: &Option<arrow::array::Int64Array>, row: usize| {
            ids.as_ref().filter(|ids| ids.is_valid(row)).map_or(0, |ids| ids.value(row))
        };
        for (row, value) in values.iter().enumerate() {
            let Some(value) = value else { continue };
            let key = Key { measure, concept: id(&concepts, row), unit: id(&units, row) };
            let room = self.histograms.len() < HISTOGRAMS_MAX;
            let histogram = match self.histograms.get_mut(&key) {
                None if room => Some(self.histograms.entry(key).or_insert_with(|| Box::new([0; BINS]))),
                known => known,
            };
            match histogram {
                Some(histogram) => histogram[usize::from(bin(value))] += 1,
                None => self.left_out += 1,
            }
        }
    }

    /// What was gathered, in the order of names and ids.
    pub(crate) fn finish(self, name: &str, rows: u64, missing: BTreeMap<String, u64>) -> TableProfile {
        let counted = self.months.iter().zip(i64::from(MONTH_FIRST)..).filter(|(rows, _)| **rows > 0);
        let months = counted.map(|(rows, month)| (format!("{:04}-{:02}", month / 12, month % 12 + 1), *rows)).collect();
        let sparse = |bins: &[u64; BINS]| {
            let filled = bins.iter().zip(0_u16..).filter(|(rows, _)| **rows > 0);
            filled.map(|(rows, bin)| (bin, *rows)).collect()
        };
        let histograms = self.histograms.iter().filter_map(|(key, bins)| {
            let field = self.measures.get(key.measure)?.clone();
            Some(Histogram { field, concept: key.concept, unit: key.unit, bins: sparse(bins) })
        });
        let mut histograms: Vec<_> = histograms.collect();
        histograms.sort_by(|a, b| (&a.field, a.concept, a.unit).cmp(&(&b.field, b.concept, b.unit)));
        let (day, far, left_out) = (self.day, self.far, self.left_out);
        TableProfile { table: name.to_owned(), rows, missing, day, months, far, histograms, left_out }
    }
}

/// Months since the year 0, of a day since 1970-01-01. Source: Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// `civil_from_days`.
fn month_of(day: i32) -> i64 {
    let day = i64::from(day) + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    // March is month 0 of that year; January and February belong to the next.
    (era * 400 + year_of_era) * 12 + from_march + 2
}

/// What a table looks like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableProfile {
    /// The table.
    pub table: String,
    /// Its rows.
    pub rows: u64,
    /// Rows without a value, by field.
    pub missing: BTreeMap<String, u64>,
    /// The field whose months are counted.
    pub day: Option<String>,
    /// Rows by month, `YYYY-MM`; months without rows are left out.
    pub months: BTreeMap<String, u64>,
    /// Rows whose day lies before 1800 or after 2299.
    pub far: u64,
    /// Histograms of its measures, by field, concept and unit.
    pub histograms: Vec<Histogram>,
    /// Values in no histogram, because there were too many kinds of them.
    pub left_out: u64,
}

/// How often values of one measure, concept and unit lie in each of the fixed bins ([`crate::bins`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Histogram {
    /// The field.
    pub field: String,
    /// The concept that is measured; 0 where there is none.
    pub concept: i64,
    /// The unit's concept; 0 where there is none.
    pub unit: i64,
    /// Rows by bin; empty bins are left out.
    pub bins: BTreeMap<u16, u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_in_their_months() {
        let text = |day| format!("{:04}-{:02}", month_of(day) / 12, month_of(day) % 12 + 1);
        let days = [
            (0, "1970-01"),
            (30, "1970-01"),
            (31, "1970-02"),
            (-1, "1969-12"),
            (11_016, "2000-02"), // 2000-02-29
            (11_017, "2000-03"),
            (19_782, "2024-02"), // 2024-02-29
            (-62_091, "1800-01"),
            (-62_092, "1799-12"),
        ];
        for (day, month) in days {
            assert_eq!(text(day), month, "day {day}");
        }
        assert!(month_of(i32::MIN) < 0 && month_of(i32::MAX) > 0, "no day overflows");
    }
}
