//! Whole columns treated, of whatever type they come in: text cell by cell, typed values without a text in between.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, Date32Array, Date64Array, Decimal128Array, Float32Array,
    Float64Array, Int64Array, PrimitiveArray, StringArray, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal128Type, Float32Type, Float64Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt64Type,
};
use cohortium_protocol::record::literal::ZipArea;
use cohortium_protocol::record::schema::Treatment;

use crate::calendar::CalendarDay;
use crate::cells::NotHandled;
use crate::columnar::column_type;
use crate::decimal::Decimal;
use crate::treatment::{Refusal, age_90, floored, treat_text, zip_area};

const DAY_MILLIS: i64 = 86_400_000;
/// The first year that an integer is taken for: smaller ones may be months, days or ages.
const YEAR_MIN: u32 = 1800;

/// Whether values of this type, a plain one, can be treated so.
pub(crate) fn is_treatable(treatment: Treatment, kind: &DataType) -> bool {
    let Some(column) = column_type(kind) else { return false };
    let numbers = match treatment {
        Treatment::Round(_) => {
            !matches!(kind, DataType::Time32(_) | DataType::Time64(_))
                && !matches!(kind, DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal256(..))
        }
        Treatment::Drop
        | Treatment::Keep
        | Treatment::Pseudonym
        | Treatment::Month { .. }
        | Treatment::Year { .. }
        | Treatment::Zip3
        | Treatment::Age90
        | Treatment::ShiftDates { .. } => true,
    };
    numbers && treatment.leaves_as(column).is_some()
}

/// Which rows of a column are looked at, and what of the terms and the provider's key is needed for it.
pub(crate) struct Treating<'a> {
    pub(crate) treatment: Treatment,
    pub(crate) small_areas: &'a BTreeSet<ZipArea>,
    /// Each row's shift, where dates are shifted; `None`: the row names no patient.
    pub(crate) shifts: &'a [Option<i64>],
    /// Rows that may leave. The others are not looked at, and nothing of them is in what comes out.
    pub(crate) stays: &'a [bool],
}

/// A treated column, and the rows that cannot leave.
pub(crate) struct Treated {
    pub(crate) array: ArrayRef,
    pub(crate) refused: Vec<(usize, Refusal)>,
}

impl Treating<'_> {
    /// Treats a column in its plain type.
    pub(crate) fn column(&self, array: &ArrayRef) -> Result<Treated, NotHandled> {
        match array.data_type() {
            DataType::Utf8 => Ok(self.texts(array.as_string())),
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => self.days(array),
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32 => self.integers(array),
            _ => self.numbers(array),
        }
    }

    /// Makes a cell of each row that may leave and has one.
    fn cells<T>(
        &self,
        rows: usize,
        is_valid: impl Fn(usize) -> bool,
        treat: impl Fn(usize) -> Result<T, Refusal>,
    ) -> (Vec<Option<T>>, Vec<(usize, Refusal)>) {
        let mut refused = Vec::new();
        let mut cell = |row: usize| match treat(row) {
            Ok(value) => Some(value),
            Err(refusal) => {
                refused.push((row, refusal));
                None
            }
        };
        let cells = (0..rows).map(|row| if self.stays[row] && is_valid(row) { cell(row) } else { None }).collect();
        (cells, refused)
    }

    fn shift(&self, row: usize) -> Option<i64> {
        self.shifts.get(row).copied().flatten()
    }

    fn texts(&self, array: &StringArray) -> Treated {
        let treat = |row| treat_text(self.treatment, self.small_areas, self.shift(row), array.value(row));
        let (cells, refused) = self.cells(array.len(), |row| array.is_valid(row), treat);
        Treated { array: Arc::new(StringArray::from(cells)), refused }
    }

    fn integers(&self, array: &ArrayRef) -> Result<Treated, NotHandled> {
        let kind = array.data_type();
        let wide = cast(array, &DataType::Int64).map_err(|_| NotHandled)?;
        let wide = wide.as_primitive::<Int64Type>();
        let valid = |row| wide.is_valid(row);
        let as_text = |treat: &dyn Fn(i64) -> Result<String, Refusal>| {
            let (cells, refused) = self.cells(wide.len(), valid, |row| treat(wide.value(row)));
            Ok(Treated { array: Arc::new(StringArray::from(cells)), refused })
        };
        let as_number = |treat: &dyn Fn(i64) -> Result<i64, Refusal>| {
            let fits = |value: i64| if holds(kind, value) { Ok(value) } else { Err(Refusal::OutOfRange) };
            let (cells, refused) = self.cells(wide.len(), valid, |row| treat(wide.value(row)).and_then(fits));
            let narrow = cast(&Int64Array::from(cells), kind).map_err(|_| NotHandled)?;
            Ok(Treated { array: narrow, refused })
        };
        match self.treatment {
            Treatment::Zip3 => as_text(&|value| zip_area(&format!("{value:05}"), self.small_areas)),
            Treatment::Year { floor, .. } => as_text(&|value| {
                let year = u32::try_from(value).ok().filter(|year| (YEAR_MIN..=9_999).contains(year));
                Ok(floored(year.ok_or(Refusal::NoDay)?, floor))
            }),
            Treatment::Age90 => as_number(&age_90),
            Treatment::Round(digits) => as_number(&|value| {
                let rounded = Decimal::new(i128::from(value), 0).round(digits).units_at(0);
                rounded.and_then(|value| i64::try_from(value).ok()).ok_or(Refusal::OutOfRange)
            }),
            Treatment::Drop
            | Treatment::Keep
            | Treatment::Pseudonym
            | Treatment::Month { .. }
            | Treatment::ShiftDates { .. } => Err(NotHandled),
        }
    }

    /// Floats, unsigned 64-bit integers and decimals: only rounded.
    fn numbers(&self, array: &ArrayRef) -> Result<Treated, NotHandled> {
        let Treatment::Round(digits) = self.treatment else { return Err(NotHandled) };
        let valid = |row| array.is_valid(row);
        Ok(match array.data_type() {
            DataType::Float64 => {
                let values = array.as_primitive::<Float64Type>();
                let (cells, refused) = self.cells(array.len(), valid, |row| round_float(values.value(row), digits));
                Treated { array: Arc::new(Float64Array::from(cells)), refused }
            }
            DataType::Float32 => {
                let values = array.as_primitive::<Float32Type>();
                let (cells, refused) = self.cells(array.len(), valid, |row| round_single(values.value(row), digits));
                Treated { array: Arc::new(Float32Array::from(cells)), refused }
            }
            DataType::Float16 => {
                let wide = cast(array, &DataType::Float32).map_err(|_| NotHandled)?;
                let Treated { array, refused } = self.numbers(&wide)?;
                Treated { array: cast(&array, &DataType::Float16).map_err(|_| NotHandled)?, refused }
            }
            DataType::UInt64 => {
                let values = array.as_primitive::<UInt64Type>();
                let round = |row| {
                    let rounded = Decimal::new(i128::from(values.value(row)), 0).round(digits).units_at(0);
                    rounded.and_then(|value| u64::try_from(value).ok()).ok_or(Refusal::OutOfRange)
                };
                let (cells, refused) = self.cells(array.len(), valid, round);
                Treated { array: Arc::new(UInt64Array::from(cells)), refused }
            }
            DataType::Decimal128(precision, scale) => {
                let values = array.as_primitive::<Decimal128Type>();
                let most = 10_u128.checked_pow(u32::from(*precision)).unwrap_or(u128::MAX);
                let round = |row| {
                    let rounded = Decimal::new(values.value(row), i32::from(*scale)).round(digits);
                    let units = rounded.units_at(i32::from(*scale)).filter(|units| units.unsigned_abs() < most);
                    units.ok_or(Refusal::OutOfRange)
                };
                let (cells, refused) = self.cells(array.len(), valid, round);
                let built = Decimal128Array::from(cells).with_precision_and_scale(*precision, *scale);
                Treated { array: Arc::new(built.map_err(|_| NotHandled)?), refused }
            }
            _ => return Err(NotHandled),
        })
    }

    fn days(&self, array: &ArrayRef) -> Result<Treated, NotHandled> {
        if let Treatment::ShiftDates { .. } = self.treatment {
            return match array.data_type() {
                DataType::Date32 => Ok(self.moved::<Date32Type>(array, 1)),
                DataType::Date64 => Ok(self.moved::<Date64Type>(array, DAY_MILLIS)),
                DataType::Timestamp(unit, _) => Ok(match unit {
                    TimeUnit::Second => self.moved::<TimestampSecondType>(array, day_of(*unit)),
                    TimeUnit::Millisecond => self.moved::<TimestampMillisecondType>(array, day_of(*unit)),
                    TimeUnit::Microsecond => self.moved::<TimestampMicrosecondType>(array, day_of(*unit)),
                    TimeUnit::Nanosecond => self.moved::<TimestampNanosecondType>(array, day_of(*unit)),
                }),
                _ => Err(NotHandled),
            };
        }
        let days = day_numbers(array)?;
        let cut = |row: usize| {
            let day = CalendarDay::from_epoch(days.value(row)).ok_or(Refusal::NoDay)?;
            match self.treatment {
                Treatment::Month { .. } => Ok(day.to_month()),
                Treatment::Year { floor, .. } => Ok(floored(day.year, floor)),
                Treatment::Drop
                | Treatment::Keep
                | Treatment::Pseudonym
                | Treatment::Zip3
                | Treatment::Age90
                | Treatment::ShiftDates { .. }
                | Treatment::Round(_) => Err(Refusal::NoDay),
            }
        };
        let (cells, refused) = self.cells(array.len(), |row| array.is_valid(row), cut);
        Ok(Treated { array: Arc::new(StringArray::from(cells)), refused })
    }

    /// Moves days or times by whole days of so many units.
    fn moved<T: ArrowPrimitiveType>(&self, array: &ArrayRef, units: i64) -> Treated
    where
        T::Native: TryFrom<i64> + Into<i64>,
    {
        let values = array.as_primitive::<T>();
        let shift = |row: usize| {
            let days = self.shift(row).ok_or(Refusal::NoPatient)?;
            let moved = days.checked_mul(units).and_then(|by| by.checked_add(values.value(row).into()));
            moved.and_then(|moved| T::Native::try_from(moved).ok()).ok_or(Refusal::OutOfRange)
        };
        let (cells, refused) = self.cells(array.len(), |row| array.is_valid(row), shift);
        let built = cells.into_iter().collect::<PrimitiveArray<T>>().with_data_type(array.data_type().clone());
        Treated { array: Arc::new(built), refused }
    }
}

/// Days after 1970-01-01 of days and times; a time with a zone counts in UTC.
fn day_numbers(array: &ArrayRef) -> Result<Int64Array, NotHandled> {
    let units = match array.data_type() {
        DataType::Date32 => {
            let days: &Date32Array = array.as_primitive();
            return Ok(days.unary(i64::from));
        }
        DataType::Date64 => DAY_MILLIS,
        DataType::Timestamp(unit, _) => day_of(*unit),
        _ => return Err(NotHandled),
    };
    if let DataType::Date64 = array.data_type() {
        let times: &Date64Array = array.as_primitive();
        return Ok(times.unary(|time| time.div_euclid(units)));
    }
    let times = cast(array, &DataType::Int64).map_err(|_| NotHandled)?;
    Ok(times.as_primitive::<Int64Type>().unary(|time: i64| time.div_euclid(units)))
}

const fn day_of(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 86_400,
        TimeUnit::Millisecond => DAY_MILLIS,
        TimeUnit::Microsecond => DAY_MILLIS * 1_000,
        TimeUnit::Nanosecond => DAY_MILLIS * 1_000_000,
    }
}

/// Whether an integer type holds the value.
fn holds(kind: &DataType, value: i64) -> bool {
    match kind {
        DataType::Int8 => i8::try_from(value).is_ok(),
        DataType::Int16 => i16::try_from(value).is_ok(),
        DataType::Int32 => i32::try_from(value).is_ok(),
        DataType::UInt8 => u8::try_from(value).is_ok(),
        DataType::UInt16 => u16::try_from(value).is_ok(),
        DataType::UInt32 => u32::try_from(value).is_ok(),
        _ => true,
    }
}

/// Through its shortest text, so that one number is rounded alike whether it was a text or a float. What is not a number
/// stays so, without the bits that could be hidden in it.
fn round_float(value: f64, digits: i8) -> Result<f64, Refusal> {
    if value.is_nan() {
        return Ok(f64::NAN);
    }
    if value.is_infinite() {
        return Ok(value);
    }
    rounded(&format!("{value:e}"), digits).map_or(Ok(value), |text| text?.parse().map_err(|_| Refusal::NoNumber))
}

fn round_single(value: f32, digits: i8) -> Result<f32, Refusal> {
    if value.is_nan() {
        return Ok(f32::NAN);
    }
    if value.is_infinite() {
        return Ok(value);
    }
    rounded(&format!("{value:e}"), digits).map_or(Ok(value), |text| text?.parse().map_err(|_| Refusal::NoNumber))
}

/// `None`: it has no more digits than that.
fn rounded(text: &str, digits: i8) -> Option<Result<String, Refusal>> {
    match Decimal::parse(text) {
        None => Some(Err(Refusal::NoNumber)),
        Some(number) if number.has_at_most(digits) => None,
        Some(number) => Some(Ok(number.round(digits).to_text())),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int8Array, Int32Array, TimestampMicrosecondArray};
    use cohortium_protocol::record::dataset::DateFormat;

    use super::*;
    use crate::cells::text;

    const ISO: DateFormat = DateFormat::Iso;

    /// A treatment, a column, its cells from the second on, and the rows that are refused.
    type Case<'a> = (Treatment, ArrayRef, &'a [&'a str], &'a [(usize, Refusal)]);

    /// The treated cells as text and the refused rows. The first row does not stay.
    fn treated(treatment: Treatment, array: &ArrayRef) -> (Vec<Option<String>>, Vec<(usize, Refusal)>) {
        assert!(is_treatable(treatment, array.data_type()), "{treatment:?} {}", array.data_type());
        let mut stays = vec![true; array.len()];
        stays[0] = false;
        let small_areas = ["036".parse().unwrap()].into();
        let shifts = vec![Some(2); array.len()];
        let done = Treating { treatment, small_areas: &small_areas, shifts: &shifts, stays: &stays }.column(array);
        let Treated { array, refused } = done.unwrap();
        let cells = text(&array).unwrap();
        (cells.iter().map(|cell| cell.map(str::to_owned)).collect(), refused)
    }

    fn cells(texts: &[&str]) -> Vec<Option<String>> {
        std::iter::once(None).chain(texts.iter().map(|text| (*text != "-").then(|| (*text).to_owned()))).collect()
    }

    // SHARE-16 SHARE-17
    #[test]
    fn typed_columns_are_treated_like_their_text() {
        let year = Treatment::Year { format: ISO, floor: Some(1970) };
        let month = Treatment::Month { format: ISO };
        let shift = Treatment::ShiftDates { format: ISO, days_max: 9 };
        let round = Treatment::Round;
        let days = || Arc::new(Date32Array::from(vec![Some(1), Some(19_782), None, Some(-1)])) as ArrayRef;
        let millis = || Arc::new(Date64Array::from(vec![Some(1), Some(19_782 * DAY_MILLIS + 7)])) as ArrayRef;
        let zoned = TimestampMicrosecondArray::from(vec![0, 1_709_200_800_000_000, -1]).with_timezone("UTC");
        let zoned = || Arc::new(zoned.clone()) as ArrayRef;
        let floats = Float64Array::from(vec![1.0, 139.46, f64::NAN, -0.04, 1e300, f64::INFINITY]);
        let decimals = Decimal128Array::from(vec![1, 12_345, -12_355, 99_999]).with_precision_and_scale(5, 2).unwrap();
        let table: [Case<'_>; 17] = [
            (year, days(), &["2024", "-", "1970"], &[]),
            (month, days(), &["2024-02", "-", "1969-12"], &[]),
            (shift, days(), &["2024-03-02", "-", "1970-01-02"], &[]),
            (month, millis(), &["2024-02"], &[]),
            (year, zoned(), &["2024", "1970"], &[]),
            (month, zoned(), &["2024-02", "1969-12"], &[]),
            (shift, zoned(), &["2024-03-02T10:00:00Z", "1970-01-02T23:59:59.999999Z"], &[]),
            (
                Treatment::Age90,
                Arc::new(Int8Array::from(vec![1, 89, 127, -1])),
                &["89", "90", "-"],
                &[(3, Refusal::NoAge)],
            ),
            (
                Treatment::Zip3,
                Arc::new(Int32Array::from(vec![1, 2139, 3601, 100_000])),
                &["021", "000", "-"],
                &[(3, Refusal::NoZip)],
            ),
            (
                year,
                Arc::new(Int32Array::from(vec![1, 1936, 2024, 1800, 0, 7, 95, 1799, 10_000])),
                &["1970", "2024", "1970", "-", "-", "-", "-", "-"],
                &[
                    (4, Refusal::NoDay),
                    (5, Refusal::NoDay),
                    (6, Refusal::NoDay),
                    (7, Refusal::NoDay),
                    (8, Refusal::NoDay),
                ],
            ),
            (round(-1), Arc::new(Int8Array::from(vec![1, 44, 125])), &["40", "-"], &[(2, Refusal::OutOfRange)]),
            (round(1), Arc::new(Int8Array::from(vec![1, 44])), &["44"], &[]),
            (round(1), Arc::new(floats), &["139.5", "NaN", "0.0", "1e300", "inf"], &[]),
            (round(1), Arc::new(Float32Array::from(vec![1.0, 0.26])), &["0.3"], &[]),
            (round(-2), Arc::new(UInt64Array::from(vec![0, 149, u64::MAX])), &["100", "18446744073709551600"], &[]),
            (round(1), Arc::new(decimals.clone()), &["123.50", "-123.60", "-"], &[(3, Refusal::OutOfRange)]),
            (round(2), Arc::new(decimals), &["123.45", "-123.55", "999.99"], &[]),
        ];
        for (treatment, array, expected, refused) in table {
            let shown = format!("{treatment:?} {}", array.data_type());
            assert_eq!(treated(treatment, &array), (cells(expected), refused.to_vec()), "{shown}");
        }
    }

    #[test]
    fn what_hides_in_a_float_that_is_no_number_does_not_leave() {
        let canary = f64::from_bits(0x7FF8_DEAD_BEEF_CAFE);
        assert_eq!(round_float(canary, 1).unwrap().to_bits(), f64::NAN.to_bits());
        let single = f32::from_bits(0x7FC0_BEEF);
        assert_eq!(round_single(single, 1).unwrap().to_bits(), f32::NAN.to_bits());
    }

    #[test]
    fn some_types_cannot_be_treated() {
        for kind in
            [DataType::Time32(TimeUnit::Second), DataType::Decimal256(40, 2), DataType::Boolean, DataType::Date32]
        {
            assert!(!is_treatable(Treatment::Round(0), &kind), "{kind}");
        }
        assert!(!is_treatable(Treatment::Zip3, &DataType::Float64));
        assert!(!is_treatable(Treatment::Month { format: ISO }, &DataType::Int64));
    }
}
