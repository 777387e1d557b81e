//! Measures, brought to their declared precision before they leave.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Float64Type, Int64Type};

use crate::encode::plain;
use crate::table::TableFault;

/// Rounds numbers to so many decimal digits, halves away from zero, before the point where `digits` is negative. Nulls stay.
///
/// # Errors
///
/// A column that holds no numbers, one that is not finite, or a whole number that has no place for its rounding.
pub fn rounded(array: &ArrayRef, column: &str, digits: i8) -> Result<ArrayRef, TableFault> {
    let fault = || TableFault::Kind { column: column.to_owned() };
    let array = plain(array, column)?;
    match array.data_type() {
        DataType::Int64 => {
            let numbers = array.as_primitive::<Int64Type>();
            let step = 10_i128.pow(u32::from((-digits.min(0)).unsigned_abs()));
            let round = |number: Option<i64>| number.map(|number| whole(number, step).ok_or_else(fault)).transpose();
            Ok(Arc::new(numbers.iter().map(round).collect::<Result<Int64Array, _>>()?))
        }
        DataType::Float64 => {
            let numbers = array.as_primitive::<Float64Type>();
            let round = |number: Option<f64>| match number {
                Some(number) if !number.is_finite() => Err(TableFault::NotANumber { column: column.to_owned() }),
                number => Ok(number.map(|number| real(number, digits))),
            };
            Ok(Arc::new(numbers.iter().map(round).collect::<Result<Float64Array, _>>()?))
        }
        _ => Err(fault()),
    }
}

fn whole(number: i64, step: i128) -> Option<i64> {
    let number = i128::from(number);
    let half = if number < 0 { -step / 2 } else { step / 2 };
    i64::try_from((number + half) / step * step).ok()
}

fn real(number: f64, digits: i8) -> f64 {
    let rounded = if digits < 0 {
        let step = 10_f64.powi(-i32::from(digits));
        (number / step).round() * step
    } else {
        let scale = 10_f64.powi(i32::from(digits));
        let scaled = (number * scale).round() / scale;
        // A number too large to be scaled has no digits behind the point.
        if scaled.is_finite() { scaled } else { number }
    };
    // There is one zero.
    rounded + 0.0
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;

    use super::*;

    fn reals(numbers: Vec<Option<f64>>, digits: i8) -> Result<Vec<Option<f64>>, TableFault> {
        let array: ArrayRef = Arc::new(Float64Array::from(numbers));
        Ok(rounded(&array, "m", digits)?.as_primitive::<Float64Type>().iter().collect())
    }

    #[test]
    fn numbers_are_brought_to_their_digits() {
        let numbers = vec![Some(1.25), Some(-1.25), Some(0.04), None, Some(1e300)];
        assert_eq!(reals(numbers, 1).unwrap(), [Some(1.3), Some(-1.3), Some(0.0), None, Some(1e300)]);
        assert_eq!(reals(vec![Some(149.9), Some(150.0)], -2).unwrap(), [Some(100.0), Some(200.0)]);
        let zero = reals(vec![Some(-0.2)], 0).unwrap();
        assert!(zero[0].is_some_and(|zero| zero.to_bits() == 0), "one zero");
        let whole = |number: i64, digits| {
            let array: ArrayRef = Arc::new(Int64Array::from(vec![number]));
            rounded(&array, "m", digits).map(|array| array.as_primitive::<Int64Type>().value(0))
        };
        assert_eq!([whole(149, -2), whole(-150, -2), whole(7, 3)], [Ok(100), Ok(-200), Ok(7)]);
        assert_eq!(whole(i64::MAX, -3), Err(TableFault::Kind { column: "m".to_owned() }));
    }

    #[test]
    fn what_is_no_number_is_a_fault_that_quotes_no_cell() {
        for odd in [f64::NAN, f64::INFINITY] {
            assert_eq!(reals(vec![Some(odd)], 1), Err(TableFault::NotANumber { column: "m".to_owned() }));
        }
        let text: ArrayRef = Arc::new(StringArray::from(vec!["CANARY"]));
        assert_eq!(rounded(&text, "m", 1).err(), Some(TableFault::Kind { column: "m".to_owned() }));
    }
}
