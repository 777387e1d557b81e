//! Values in another type, exactly or not at all (law 12): where a cast would cut, round, move or read a number as a day,
//! the row has failed. What is to be lost, a mapping says in its expression: `day(...)`, `round(...)`, `CAST(...)`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Date32Array, TimestampMicrosecondArray, new_null_array};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{CastOptions, cast_with_options, nullif};
use arrow::datatypes::{DataType, Float64Type, TimeUnit};
use cohortium_protocol::record::dataset::DateFormat;

use crate::calendar::{CalendarDay, clock_micros, usual_day, usual_moment};
use crate::cells;
use crate::columnar::plain_array;
use crate::mapping::account::Reason;

const DAY_MICROS: i64 = 86_400_000_000;

/// Casts; a value without an exact counterpart in the new type is a failed row, and null in what comes out.
pub(crate) fn cast_to(raw: &ArrayRef, kind: &DataType, failed: &mut Vec<(usize, Reason)>) -> ArrayRef {
    if raw.data_type() == &DataType::Null {
        return new_null_array(kind, raw.len());
    }
    let raw = plain_array(raw).unwrap_or_else(|| Arc::clone(raw));
    let made = exactly(&raw, kind).unwrap_or_else(|| new_null_array(kind, raw.len()));
    if made.null_count() > raw.null_count() {
        let lost = (0..raw.len()).filter(|row| raw.is_valid(*row) && made.is_null(*row));
        failed.extend(lost.map(|row| (row, Reason::Cast)));
    }
    made
}

/// What a type's values are, as far as one may become another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Number,
    Boolean,
    Day,
    Text,
    /// Times of day, times with a zone, bytes: they become text, and nothing else without being told how.
    Other,
}

fn sort(kind: &DataType) -> Sort {
    match kind {
        DataType::Boolean => Sort::Boolean,
        DataType::Utf8 => Sort::Text,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, None) => Sort::Day,
        kind if kind.is_numeric() => Sort::Number,
        _ => Sort::Other,
    }
}

/// `None`: no value of the one type is one of the other.
fn exactly(raw: &ArrayRef, kind: &DataType) -> Option<ArrayRef> {
    if raw.data_type() == kind {
        return Some(finite(raw));
    }
    match (sort(raw.data_type()), sort(kind)) {
        (Sort::Text, Sort::Day) => Some(read_days(raw, kind)),
        (Sort::Text, _) => cast(raw, kind).map(|made| finite(&made)),
        (Sort::Other, Sort::Text) => cells::text(raw).ok().map(|texts| Arc::new(texts) as ArrayRef),
        (_, Sort::Text) => cast(raw, kind),
        (Sort::Number | Sort::Boolean, Sort::Number | Sort::Boolean) | (Sort::Day, Sort::Day) => {
            there_and_back(raw, kind)
        }
        _ => None,
    }
}

fn cast(raw: &ArrayRef, kind: &DataType) -> Option<ArrayRef> {
    cast_with_options(raw, kind, &CastOptions { safe: true, ..CastOptions::default() }).ok()
}

/// Without infinities and what is no number.
fn finite(made: &ArrayRef) -> ArrayRef {
    let Some(floats) = made.as_primitive_opt::<Float64Type>() else { return Arc::clone(made) };
    if floats.iter().flatten().all(f64::is_finite) {
        return Arc::clone(made);
    }
    without(made, &floats.iter().map(|value| Some(value.is_none_or(f64::is_finite))).collect())
}

/// Cast, and cast back: what is not the same again was cut, rounded or wrapped.
fn there_and_back(raw: &ArrayRef, kind: &DataType) -> Option<ArrayRef> {
    let made = finite(&cast(raw, kind)?);
    let mut back = cast(&made, raw.data_type())?;
    let mut before = Arc::clone(raw);
    if raw.data_type().is_floating() {
        // As numbers, not as bits: the zeros are one. What was added makes one of them.
        (before, back) = (without_sign_of_zero(&before)?, without_sign_of_zero(&back)?);
    }
    let same = not_distinct(&before, &back).ok()?;
    Some(if same.false_count() == 0 { made } else { without(&made, &same) })
}

fn without_sign_of_zero(floats: &ArrayRef) -> Option<ArrayRef> {
    let wide = cast(floats, &DataType::Float64)?;
    let plain: arrow::array::Float64Array = wide.as_primitive::<Float64Type>().unary(|value| value + 0.0);
    Some(Arc::new(plain))
}

fn without(made: &ArrayRef, kept: &BooleanArray) -> ArrayRef {
    let lost: BooleanArray = kept.iter().map(|kept| Some(kept != Some(true))).collect();
    nullif(made, &lost).unwrap_or_else(|_| new_null_array(made.data_type(), made.len()))
}

/// Days and times that a text writes by ISO 8601. A time is never dropped for a day, and a zone for neither.
fn read_days(raw: &ArrayRef, kind: &DataType) -> ArrayRef {
    let read = |text: &str| {
        let (day, rest) = CalendarDay::read(text, DateFormat::Iso)?;
        Some((day.to_epoch(), rest.to_owned()))
    };
    let texts = raw.as_string::<i32>().iter();
    match kind {
        DataType::Timestamp(TimeUnit::Microsecond, None) => {
            let moment = |text: &str| {
                let (day, rest) = read(text)?;
                Some(day * DAY_MICROS + if rest.is_empty() { 0 } else { clock_micros(&rest)? })
            };
            let moment = |text: &str| usual_moment(text).or_else(|| moment(text));
            Arc::new(texts.map(|text| text.and_then(moment)).collect::<TimestampMicrosecondArray>())
        }
        DataType::Date32 => {
            let day = |text: &str| {
                let usual = text.as_bytes().try_into().ok().and_then(usual_day);
                let day = usual.or_else(|| read(text).filter(|(_, rest)| rest.is_empty()).map(|(day, _)| day))?;
                i32::try_from(day).ok()
            };
            Arc::new(texts.map(|text| text.and_then(day)).collect::<Date32Array>())
        }
        _ => new_null_array(kind, raw.len()),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BooleanArray, Date32Array, Date64Array, Decimal128Array, Float32Array, Float64Array, Int32Array, Int64Array,
        StringArray, TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
    };
    use arrow::datatypes::{Date32Type, Int64Type, TimestampMicrosecondType};

    use super::*;

    const MOMENT: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

    /// Which rows fail.
    fn lost(raw: &ArrayRef, kind: &DataType) -> Vec<usize> {
        let mut failed = Vec::new();
        let made = cast_to(raw, kind, &mut failed);
        assert_eq!(made.data_type(), kind);
        assert!(failed.iter().all(|(row, reason)| made.is_null(*row) && *reason == Reason::Cast));
        failed.into_iter().map(|(row, _)| row).collect()
    }

    #[test]
    fn what_a_cast_would_cut_round_or_read_as_something_else_is_a_failed_row() {
        let (int, float, day, flag) = (DataType::Int64, DataType::Float64, DataType::Date32, DataType::Boolean);
        let ints = |values: &[i64]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
        let floats = |values: &[f64]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
        let decimals = Decimal128Array::from(vec![200, 250]).with_precision_and_scale(5, 2).unwrap();
        let noon = 43_200;
        let table: [(ArrayRef, &DataType, &[usize]); 22] = [
            (floats(&[2.0, 2.5, -0.0, 1e19, f64::NAN, f64::INFINITY]), &int, &[1, 3, 4, 5]),
            (Arc::new(Float32Array::from(vec![2.0, 2.5])), &int, &[1]),
            (Arc::new(decimals), &int, &[1]),
            (Arc::new(UInt64Array::from(vec![1, u64::MAX])), &int, &[1]),
            (ints(&[1 << 53, (1 << 53) + 1, i64::MAX, i64::MIN]), &float, &[1, 2]),
            (floats(&[1.0, f64::NAN, f64::NEG_INFINITY]), &float, &[1, 2]),
            (ints(&[0, 1, 2]), &flag, &[2]),
            (Arc::new(BooleanArray::from(vec![true, false])), &int, &[]),
            (ints(&[19_000]), &day, &[0]),
            (ints(&[19_000]), &MOMENT, &[0]),
            (floats(&[19_000.0]), &day, &[0]),
            (Arc::new(Int32Array::from(vec![19_000])), &day, &[0]),
            (Arc::new(Date32Array::from(vec![19_000])), &int, &[0]),
            (Arc::new(Date32Array::from(vec![19_000])), &MOMENT, &[]),
            (Arc::new(Date64Array::from(vec![86_400_000, 86_400_001])), &day, &[1]),
            (Arc::new(TimestampSecondArray::from(vec![86_400, 86_400 + noon])), &day, &[1]),
            (Arc::new(TimestampSecondArray::from(vec![noon, i64::MAX])), &MOMENT, &[1]),
            (Arc::new(TimestampNanosecondArray::from(vec![1_000, 1_001])), &MOMENT, &[1]),
            (Arc::new(TimestampSecondArray::from(vec![86_400]).with_timezone("UTC")), &day, &[0]),
            (Arc::new(TimestampSecondArray::from(vec![86_400]).with_timezone("+02:00")), &MOMENT, &[0]),
            (Arc::new(StringArray::from(vec!["1", "1.5", "x", "9223372036854775808"])), &int, &[1, 2, 3]),
            (Arc::new(StringArray::from(vec!["1.5", "NaN", "inf", "-Infinity", "1e999"])), &float, &[1, 2, 3, 4]),
        ];
        for (raw, kind, expected) in table {
            let shown = format!("{} to {kind}", raw.data_type());
            assert_eq!(lost(&raw, kind), expected, "{shown}");
        }
        let nulls: ArrayRef = Arc::new(arrow::array::NullArray::new(2));
        assert_eq!(lost(&nulls, &int), [0_usize; 0]);
    }

    #[test]
    fn a_text_is_a_day_only_without_time_and_zone_and_a_moment_only_without_zone() {
        let table = [
            ("2024-02-29", true, true),
            (" 2024-02-29 ", true, true),
            ("2024-02-29T10:00", false, true),
            ("2024-02-29 10:00:30.123456", false, true),
            ("2024-02-29 10:00:30.1234560", false, true),
            ("2024-02-29 10:00:30.1234567", false, false),
            ("2024-02-29 10:00:60", false, false),
            ("2024-02-29T10:00:00Z", false, false),
            ("2024-02-29T23:30:00-02:00", false, false),
            ("2024-02-29Z", false, false),
            ("2024-02-30", false, false),
            ("29.02.2024", false, false),
            ("20240229", false, false),
            ("", false, false),
            ("now", false, false),
        ];
        for (text, day, moment) in table {
            let raw: ArrayRef = Arc::new(StringArray::from(vec![text]));
            assert_eq!(
                (lost(&raw, &DataType::Date32).is_empty(), lost(&raw, &MOMENT).is_empty()),
                (day, moment),
                "{text}"
            );
        }
        let raw: ArrayRef = Arc::new(StringArray::from(vec!["1970-01-02 01:02:03.5"]));
        let moment = cast_to(&raw, &MOMENT, &mut Vec::new());
        let expected = DAY_MICROS + ((3600 + 2 * 60 + 3) * 1_000_000) + 500_000;
        assert_eq!(moment.as_primitive::<TimestampMicrosecondType>().value(0), expected);
        let raw: ArrayRef = Arc::new(StringArray::from(vec!["1970-01-02"]));
        assert_eq!(cast_to(&raw, &DataType::Date32, &mut Vec::new()).as_primitive::<Date32Type>().value(0), 1);
        let raw: ArrayRef = Arc::new(Float64Array::from(vec![-3.0]));
        assert_eq!(cast_to(&raw, &DataType::Int64, &mut Vec::new()).as_primitive::<Int64Type>().value(0), -3);
    }
}
