//! The functions of private questions over arrays. Each has a value or null for every row, whatever stands in it: no error, no
//! panic, and nothing that depends on another row (law 7). What `DataFusion` itself computes (comparison, AND, OR, NOT, CASE,
//! IN, LIKE with a literal pattern) cannot fail.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, Date32Array, Float64Array, Int64Array, PrimitiveArray, StringArray,
    StringBuilder, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};

use crate::calendar::CalendarDay;
use crate::private::term::{DatePart, Function, Kind};

const DAY_MICROS: i64 = 86_400_000_000;

/// The longest text that a function makes. Texts are at most as long in the table, so that no function makes room without bound.
const TEXT_BYTES_MAX: usize = 16 << 20;

/// Computes a function over columns of one length, of the kinds that it takes; null everywhere where it has no such kinds.
pub(crate) fn evaluate(function: Function, arguments: &[ArrayRef], kind: Kind, rows: usize) -> ArrayRef {
    computed(function, arguments).unwrap_or_else(|| new_null_array(&kind.arrow(), rows))
}

fn computed(function: Function, arguments: &[ArrayRef]) -> Option<ArrayRef> {
    let first = arguments.first()?;
    match function {
        Function::Add | Function::Subtract | Function::Multiply | Function::Divide | Function::Remainder => {
            arithmetic(function, first, arguments.get(1)?)
        }
        Function::Negate | Function::Absolute | Function::Floor | Function::Ceiling | Function::Round => {
            sign(function, first)
        }
        Function::Cast(kind) => cast(first, kind),
        Function::Lower => text(first, |text| Some(text.to_lowercase())),
        Function::Upper => text(first, |text| Some(text.to_uppercase())),
        Function::Trim => text(first, |text| Some(text.trim().to_owned())),
        Function::Length => {
            let texts = first.as_string_opt::<i32>()?;
            let length = |text: &str| i64::try_from(text.chars().count()).ok();
            Some(Arc::new(texts.iter().map(|text| text.and_then(length)).collect::<Int64Array>()))
        }
        Function::Substring => {
            let texts = first.as_string_opt::<i32>()?;
            Some(Arc::new(substring(texts, integers(arguments, 1)?, integers(arguments, 2)?)))
        }
        Function::Part(part) => {
            let of = |row: usize| moment(first, row).and_then(|moment| part_of(part, moment));
            Some(Arc::new((0..first.len()).map(of).collect::<Int64Array>()))
        }
        Function::Truncate(part) => {
            let of = |row: usize| moment(first, row).and_then(|(days, _)| truncated(part, days));
            Some(Arc::new((0..first.len()).map(of).collect::<Date32Array>()))
        }
        Function::AddDays => add_days(first, integers(arguments, 1)?),
        Function::AddMonths => Some(add_months(first, integers(arguments, 1)?)),
        Function::AddMicroseconds => {
            let times = first.as_primitive_opt::<TimestampMicrosecondType>()?;
            Some(Arc::new(pairs(times, integers(arguments, 1)?, i64::checked_add)))
        }
        Function::DaysBetween => {
            let second = arguments.get(1)?;
            let between = |row: usize| Some(moment(first, row)?.0 - moment(second, row)?.0);
            Some(Arc::new((0..first.len()).map(between).collect::<Int64Array>()))
        }
        Function::And
        | Function::Or
        | Function::Not
        | Function::Equal
        | Function::Less
        | Function::LessEqual
        | Function::IsNull
        | Function::In
        | Function::Like
        | Function::LikeAnyCase
        | Function::Case
        | Function::Coalesce => None,
    }
}

fn integers(arguments: &[ArrayRef], place: usize) -> Option<&Int64Array> {
    arguments.get(place)?.as_primitive_opt::<Int64Type>()
}

fn pairs<L: ArrowPrimitiveType, R: ArrowPrimitiveType>(
    left: &PrimitiveArray<L>,
    right: &PrimitiveArray<R>,
    of: impl Fn(L::Native, R::Native) -> Option<L::Native>,
) -> PrimitiveArray<L> {
    left.iter().zip(right).map(|(left, right)| of(left?, right?)).collect()
}

fn arithmetic(function: Function, left: &ArrayRef, right: &ArrayRef) -> Option<ArrayRef> {
    if let (Some(left), Some(right)) = (left.as_primitive_opt::<Int64Type>(), right.as_primitive_opt::<Int64Type>()) {
        let of = match function {
            Function::Add => i64::checked_add,
            Function::Subtract => i64::checked_sub,
            Function::Multiply => i64::checked_mul,
            Function::Divide => i64::checked_div,
            _ => i64::checked_rem,
        };
        return Some(Arc::new(pairs(left, right, of)));
    }
    let (left, right) = (left.as_primitive_opt::<Float64Type>()?, right.as_primitive_opt::<Float64Type>()?);
    let of = |left: f64, right: f64| {
        let value = match function {
            Function::Add => left + right,
            Function::Subtract => left - right,
            Function::Multiply => left * right,
            Function::Divide => left / right,
            _ => left % right,
        };
        value.is_finite().then_some(value)
    };
    Some(Arc::new(pairs(left, right, of)))
}

fn sign(function: Function, array: &ArrayRef) -> Option<ArrayRef> {
    if let Some(array) = array.as_primitive_opt::<Int64Type>() {
        let of = match function {
            Function::Negate => i64::checked_neg,
            Function::Absolute => i64::checked_abs,
            _ => Some,
        };
        return Some(Arc::new(array.iter().map(|value| value.and_then(of)).collect::<Int64Array>()));
    }
    let of = match function {
        Function::Negate => |value: f64| -value,
        Function::Absolute => f64::abs,
        Function::Floor => f64::floor,
        Function::Ceiling => f64::ceil,
        _ => f64::round,
    };
    let array = array.as_primitive_opt::<Float64Type>()?;
    Some(Arc::new(array.iter().map(|value| value.map(of)).collect::<Float64Array>()))
}

/// A value of another kind that says the same, or null where there is none.
pub(crate) fn cast(array: &ArrayRef, kind: Kind) -> Option<ArrayRef> {
    match (array.data_type(), kind) {
        (DataType::Date32, Kind::Time) => {
            let of = |days: i32| i64::from(days).checked_mul(DAY_MICROS);
            let days = array.as_primitive_opt::<Date32Type>()?;
            let times = days.iter().map(|days| days.and_then(of));
            Some(Arc::new(times.collect::<PrimitiveArray<TimestampMicrosecondType>>()))
        }
        (DataType::Timestamp(..), Kind::Date) => {
            let of = |row: usize| moment(array, row).and_then(|(days, _)| i32::try_from(days).ok());
            Some(Arc::new((0..array.len()).map(of).collect::<Date32Array>()))
        }
        (_, kind) => {
            let options = CastOptions { safe: true, ..CastOptions::default() };
            cast_with_options(array, &kind.arrow(), &options).ok()
        }
    }
}

fn text(array: &ArrayRef, of: impl Fn(&str) -> Option<String>) -> Option<ArrayRef> {
    let texts = array.as_string_opt::<i32>()?;
    let mut made = StringBuilder::new();
    for text in texts {
        made.append_option(text.and_then(&of).filter(|text| text.len() <= TEXT_BYTES_MAX));
    }
    Some(Arc::new(made.finish()))
}

/// As SQL has it: places count from 1, and those before the first take their share of the length.
fn substring(texts: &StringArray, starts: &Int64Array, lengths: &Int64Array) -> StringArray {
    let of = |row: usize| {
        if texts.is_null(row) || starts.is_null(row) || lengths.is_null(row) {
            return None;
        }
        let end = starts.value(row).saturating_add(lengths.value(row).max(0));
        let begin = starts.value(row).max(1);
        let skip = usize::try_from(begin - 1).ok()?;
        let take = usize::try_from(end.saturating_sub(begin).max(0)).ok()?;
        Some(texts.value(row).chars().skip(skip).take(take).collect::<String>())
    };
    (0..texts.len()).map(of).collect()
}

/// Days since 1970 and microseconds of the day; `None` outside the calendar.
fn moment(array: &ArrayRef, row: usize) -> Option<(i64, i64)> {
    if array.is_null(row) {
        return None;
    }
    let (days, micros) = match array.data_type() {
        DataType::Date32 => (i64::from(array.as_primitive_opt::<Date32Type>()?.value(row)), 0),
        DataType::Timestamp(..) => {
            let value = array.as_primitive_opt::<TimestampMicrosecondType>()?.value(row);
            (value.div_euclid(DAY_MICROS), value.rem_euclid(DAY_MICROS))
        }
        _ => return None,
    };
    CalendarDay::from_epoch(days).map(|_| (days, micros))
}

fn part_of(part: DatePart, (days, micros): (i64, i64)) -> Option<i64> {
    let day = CalendarDay::from_epoch(days)?;
    let first_of_year = CalendarDay { year: day.year, month: 1, day: 1 }.to_epoch();
    Some(match part {
        DatePart::Year => i64::from(day.year),
        DatePart::Quarter => i64::from(day.month - 1) / 3 + 1,
        DatePart::Month => i64::from(day.month),
        DatePart::Day => i64::from(day.day),
        // As in ISO 8601: the week of the year in which its Thursday is.
        DatePart::Week => {
            let thursday = days - weekday(days) + 3;
            let year = CalendarDay::from_epoch(thursday)?.year;
            (thursday - CalendarDay { year, month: 1, day: 1 }.to_epoch()) / 7 + 1
        }
        // Sunday is 0, as PostgreSQL has it.
        DatePart::DayOfWeek => (weekday(days) + 1) % 7,
        DatePart::DayOfYear => days - first_of_year + 1,
        DatePart::Hour => micros / 3_600_000_000,
    })
}

/// Days after Monday.
const fn weekday(days: i64) -> i64 {
    (days + 3).rem_euclid(7)
}

fn truncated(part: DatePart, days: i64) -> Option<i32> {
    let day = CalendarDay::from_epoch(days)?;
    let first = |month| CalendarDay { year: day.year, month, day: 1 }.to_epoch();
    let days = match part {
        DatePart::Year => first(1),
        DatePart::Quarter => first((day.month - 1) / 3 * 3 + 1),
        DatePart::Month => first(day.month),
        DatePart::Week => days - weekday(days),
        DatePart::Day | DatePart::DayOfWeek | DatePart::DayOfYear | DatePart::Hour => days,
    };
    i32::try_from(days).ok()
}

fn add_days(array: &ArrayRef, days: &Int64Array) -> Option<ArrayRef> {
    if let Some(dates) = array.as_primitive_opt::<Date32Type>() {
        let of = |date: i32, days: i64| i32::try_from(i64::from(date).checked_add(days)?).ok();
        return Some(Arc::new(pairs(dates, days, of)));
    }
    let times = array.as_primitive_opt::<TimestampMicrosecondType>()?;
    Some(Arc::new(pairs(times, days, |time, days| time.checked_add(days.checked_mul(DAY_MICROS)?))))
}

/// The same day that many months later, or the last day of that month where it is shorter.
fn add_months(array: &ArrayRef, months: &Int64Array) -> ArrayRef {
    let of = |row: usize| {
        let (days, micros) = moment(array, row)?;
        let months = months.is_valid(row).then(|| months.value(row))?;
        let day = CalendarDay::from_epoch(days)?;
        let month = (i64::from(day.year) * 12 + i64::from(day.month) - 1).checked_add(months)?;
        if !(1..=9_999).contains(&month.div_euclid(12)) {
            return None;
        }
        let first = |month: i64| {
            let number = u32::try_from(month.rem_euclid(12)).ok()? + 1;
            let year = u32::try_from(month.div_euclid(12)).ok()?;
            Some(CalendarDay { year, month: number, day: 1 }.to_epoch())
        };
        let length = first(month + 1)? - first(month)?;
        Some((first(month)? + i64::from(day.day).min(length) - 1, micros))
    };
    let moved = (0..array.len()).map(of);
    if array.data_type() == &DataType::Date32 {
        let days = moved.map(|moment| i32::try_from(moment?.0).ok());
        return Arc::new(days.collect::<Date32Array>());
    }
    let micros =
        moved.map(|moment| moment.and_then(|(days, micros)| days.checked_mul(DAY_MICROS)?.checked_add(micros)));
    Arc::new(micros.collect::<PrimitiveArray<TimestampMicrosecondType>>())
}

#[cfg(test)]
mod tests {
    use arrow::array::TimestampMicrosecondArray;

    use super::*;

    fn integer(function: Function, left: i64, right: i64) -> Option<i64> {
        let arrays: Vec<ArrayRef> =
            [left, right].map(|value| Arc::new(Int64Array::from(vec![value])) as ArrayRef).into();
        let made = evaluate(function, &arrays, Kind::Integer, 1);
        made.as_primitive::<Int64Type>().iter().next().unwrap()
    }

    fn float(function: Function, left: f64, right: f64) -> Option<f64> {
        let arrays: Vec<ArrayRef> =
            [left, right].map(|value| Arc::new(Float64Array::from(vec![value])) as ArrayRef).into();
        let made = evaluate(function, &arrays, Kind::Float, 1);
        made.as_primitive::<Float64Type>().iter().next().unwrap()
    }

    // QUES-8
    #[test]
    fn what_has_no_value_is_null() {
        use Function::{Add, Divide, Multiply, Remainder, Subtract};
        for (function, left, right) in [
            (Add, i64::MAX, 1),
            (Subtract, i64::MIN, 1),
            (Multiply, i64::MAX, 2),
            (Divide, 1, 0),
            (Divide, i64::MIN, -1),
            (Remainder, 1, 0),
            (Remainder, i64::MIN, -1),
        ] {
            assert_eq!(integer(function, left, right), None, "{function:?}");
        }
        assert_eq!(
            (integer(Divide, 7, 2), integer(Remainder, -7, 2), integer(Add, 1, 2)),
            (Some(3), Some(-1), Some(3))
        );
        for (function, left, right) in [
            (Add, f64::MAX, f64::MAX),
            (Multiply, f64::MAX, 2.0),
            (Divide, 1.0, 0.0),
            (Divide, 0.0, 0.0),
            (Remainder, 1.0, 0.0),
            (Add, f64::NAN, 1.0),
            (Subtract, f64::INFINITY, f64::INFINITY),
        ] {
            assert_eq!(float(function, left, right), None, "{function:?}");
        }
        assert_eq!((integer(Function::Negate, i64::MIN, 0), integer(Function::Absolute, i64::MIN, 0)), (None, None));
        assert_eq!((float(Function::Round, 2.5, 0.0), float(Function::Floor, -0.5, 0.0)), (Some(3.0), Some(-1.0)));
    }

    // QUES-8
    #[test]
    fn a_cast_that_fails_is_null() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["12", "CANARY", "1e400", "2024-02-30", "2024-02-29"]));
        let integers = cast(&texts, Kind::Integer).unwrap();
        assert_eq!(integers.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(12), None, None, None, None]);
        let dates = cast(&texts, Kind::Date).unwrap();
        assert_eq!(dates.as_primitive::<Date32Type>().iter().collect::<Vec<_>>()[2..], [None, None, Some(19_782)]);
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, 1e300, -1.9]));
        let integers = cast(&floats, Kind::Integer).unwrap();
        assert_eq!(integers.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [None, None, Some(-1)]);
        for kind in [Kind::Integer, Kind::Float, Kind::Text, Kind::Boolean, Kind::Date, Kind::Time] {
            let cast = evaluate(Function::Cast(kind), &[Arc::clone(&texts)], kind, 5);
            assert_eq!((cast.len(), cast.data_type()), (5, &kind.arrow()));
        }
        let far: ArrayRef = Arc::new(Date32Array::from(vec![i32::MAX, 0]));
        let times = cast(&far, Kind::Time).unwrap();
        assert_eq!(times.null_count(), 1);
    }

    fn date(year: u32, month: u32, day: u32) -> i32 {
        i32::try_from(CalendarDay { year, month, day }.to_epoch()).unwrap()
    }

    // QUES-8
    #[test]
    fn dates_are_counted_as_the_calendar_has_them_and_are_null_beyond_it() {
        let dates: ArrayRef = Arc::new(Date32Array::from(vec![
            date(2024, 1, 31),
            date(2021, 1, 3),
            date(2020, 12, 31),
            i32::MAX,
            i32::MIN,
        ]));
        let parts = |part| {
            let made = evaluate(Function::Part(part), &[Arc::clone(&dates)], Kind::Integer, 5);
            made.as_primitive::<Int64Type>().iter().collect::<Vec<_>>()
        };
        assert_eq!(parts(DatePart::Year), [Some(2024), Some(2021), Some(2020), None, None]);
        assert_eq!(parts(DatePart::Week)[..3], [Some(5), Some(53), Some(53)]);
        assert_eq!(parts(DatePart::DayOfWeek)[..3], [Some(3), Some(0), Some(4)]);
        assert_eq!(parts(DatePart::DayOfYear)[..3], [Some(31), Some(3), Some(366)]);
        assert_eq!(parts(DatePart::Quarter)[..3], [Some(1), Some(1), Some(4)]);
        let months: ArrayRef = Arc::new(Int64Array::from(vec![1, -1, 2, 0, i64::MAX]));
        let later = evaluate(Function::AddMonths, &[Arc::clone(&dates), months], Kind::Date, 5);
        let later: Vec<_> = later.as_primitive::<Date32Type>().iter().collect();
        assert_eq!(later, [Some(date(2024, 2, 29)), Some(date(2020, 12, 3)), Some(date(2021, 2, 28)), None, None]);
        let many: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX, 1, -31, 1, -1]));
        let moved = evaluate(Function::AddDays, &[Arc::clone(&dates), many], Kind::Date, 5);
        let moved: Vec<_> = moved.as_primitive::<Date32Type>().iter().collect();
        assert_eq!(moved, [None, Some(date(2021, 1, 4)), Some(date(2020, 11, 30)), None, None]);
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![i64::MAX, -1, 3_600_000_000, 0, i64::MIN]));
        let hours = evaluate(Function::Part(DatePart::Hour), &[Arc::clone(&times)], Kind::Integer, 5);
        assert_eq!(
            hours.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(),
            [None, Some(23), Some(1), Some(0), None]
        );
        let micros: ArrayRef = Arc::new(Int64Array::from(vec![1; 5]));
        assert_eq!(evaluate(Function::AddMicroseconds, &[times, micros], Kind::Time, 5).null_count(), 1);
    }

    #[test]
    fn a_substring_is_what_sql_says_it_is() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["héllo"; 5]));
        let starts: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, -1, 9, i64::MIN]));
        let lengths: ArrayRef = Arc::new(Int64Array::from(vec![2, i64::MAX, 3, 3, 5]));
        let made = evaluate(Function::Substring, &[texts, starts, lengths], Kind::Text, 5);
        let made: Vec<_> = made.as_string::<i32>().iter().map(Option::unwrap).collect();
        assert_eq!(made, ["hé", "éllo", "h", "", ""]);
    }
}
