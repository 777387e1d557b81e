//! Which type a JSON field's column has: the narrowest that holds every value of it unchanged, else text as written.

use std::sync::Arc;

use arrow::array::{ArrayBuilder, ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder};
use arrow::datatypes::DataType;

use crate::source::json::object::{Value, quoted};

/// Decimal digits that every 64-bit float keeps (IEEE 754 binary64).
const FLOAT_DIGITS: usize = 15;
/// Below this a float keeps fewer digits.
const FLOAT_LEAST: f64 = 1e-300;

/// The kinds of values that one field has had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen(u8);

impl Seen {
    const BOOLEAN: u8 = 1;
    /// An integer that a float holds, too.
    const SHORT: u8 = 2;
    /// An integer that only 64 bits hold.
    const LONG: u8 = 4;
    /// A number that a float holds.
    const FLOAT: u8 = 8;
    /// A number that neither holds.
    const WIDE: u8 = 16;
    const TEXT: u8 = 32;
    const NESTED: u8 = 64;

    /// What one value is.
    pub(crate) fn of(value: &Value<'_>) -> Self {
        Self(match value {
            Value::Null => 0,
            Value::Boolean(_) => Self::BOOLEAN,
            Value::Number(written) => number(written),
            Value::Text(_) => Self::TEXT,
            Value::Nested(_) => Self::NESTED,
        })
    }

    /// What both are.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The column's type.
    pub(crate) const fn kind(self) -> Kind {
        match self.0 {
            Self::BOOLEAN => Kind::Boolean,
            seen if seen & Self::NESTED > 0 => Kind::Nested,
            seen if seen > 0 && seen & !(Self::SHORT | Self::LONG) == 0 => Kind::Integer,
            seen if seen > 0 && seen & !(Self::SHORT | Self::FLOAT) == 0 => Kind::Float,
            _ => Kind::Text,
        }
    }
}

fn number(written: &str) -> u8 {
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    let mantissa = written.split(['e', 'E']).next().unwrap_or_default();
    let significant = digits(mantissa.trim_start_matches(['-', '0', '.']));
    let is_integer = digits(written) + usize::from(written.starts_with('-')) == written.len();
    if is_integer && written != "-0" {
        return match written.parse::<i64>() {
            Ok(_) if significant <= FLOAT_DIGITS => Seen::SHORT,
            Ok(_) => Seen::LONG,
            Err(_) => Seen::WIDE,
        };
    }
    let holds = |float: f64| float.is_finite() && (significant == 0 || float.abs() >= FLOAT_LEAST);
    let float = written.parse::<f64>().is_ok_and(holds) && significant <= FLOAT_DIGITS;
    if float { Seen::FLOAT } else { Seen::WIDE }
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean,
    Integer,
    Float,
    /// Texts without their quotes, everything else as it is written.
    Text,
    /// Canonical JSON, texts with their quotes.
    Nested,
}

impl Kind {
    pub(crate) const fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Integer => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Text | Self::Nested => DataType::Utf8,
        }
    }
}

/// A column that is being filled, row by row.
pub(crate) enum Filling {
    Boolean(BooleanBuilder),
    Integer(Int64Builder),
    Float(Float64Builder),
    Text(StringBuilder),
    Nested(StringBuilder),
}

/// A value of a type that the column does not have.
pub(crate) struct OtherKind;

impl Filling {
    pub(crate) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Boolean => Self::Boolean(BooleanBuilder::new()),
            Kind::Integer => Self::Integer(Int64Builder::new()),
            Kind::Float => Self::Float(Float64Builder::new()),
            Kind::Text => Self::Text(StringBuilder::new()),
            Kind::Nested => Self::Nested(StringBuilder::new()),
        }
    }

    /// Nulls up to this row.
    pub(crate) fn fill(&mut self, row: usize) {
        match self {
            Self::Boolean(built) => built.append_nulls(row - built.len()),
            Self::Integer(built) => built.append_nulls(row - built.len()),
            Self::Float(built) => built.append_nulls(row - built.len()),
            Self::Text(built) | Self::Nested(built) => {
                for _ in built.len()..row {
                    built.append_null();
                }
            }
        }
    }

    /// The value of this row; all before it that have none are null.
    pub(crate) fn put(&mut self, row: usize, value: &Value<'_>) -> Result<(), OtherKind> {
        self.fill(row);
        match (self, value) {
            (_, Value::Null) => {}
            (Self::Boolean(built), Value::Boolean(value)) => built.append_value(*value),
            (Self::Integer(built), Value::Number(written)) => {
                built.append_value(written.parse().map_err(|_| OtherKind)?);
            }
            (Self::Float(built), Value::Number(written)) => {
                built.append_value(written.parse().map_err(|_| OtherKind)?);
            }
            (Self::Text(built), Value::Text(text)) => built.append_value(text),
            (Self::Nested(built), Value::Text(text)) => built.append_value(quoted(text)),
            (Self::Text(built) | Self::Nested(built), Value::Number(written)) => built.append_value(written),
            (Self::Text(built) | Self::Nested(built), Value::Boolean(value)) => built.append_value(value.to_string()),
            (Self::Nested(built), Value::Nested(json)) => built.append_value(json),
            (Self::Boolean(_), Value::Number(_) | Value::Text(_) | Value::Nested(_))
            | (Self::Integer(_) | Self::Float(_), Value::Boolean(_) | Value::Text(_) | Value::Nested(_))
            | (Self::Text(_), Value::Nested(_)) => return Err(OtherKind),
        }
        Ok(())
    }

    /// The column, with nulls up to this row.
    pub(crate) fn finish(mut self, rows: usize) -> ArrayRef {
        self.fill(rows);
        match self {
            Self::Boolean(mut built) => Arc::new(built.finish()),
            Self::Integer(mut built) => Arc::new(built.finish()),
            Self::Float(mut built) => Arc::new(built.finish()),
            Self::Text(mut built) | Self::Nested(mut built) => Arc::new(built.finish()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(numbers: &[&str]) -> Kind {
        numbers.iter().fold(Seen::default(), |seen, written| seen.and(Seen::of(&Value::Number(written)))).kind()
    }

    #[test]
    fn a_number_is_never_changed_by_its_type() {
        let table: [(&[&str], Kind); 19] = [
            (&["1", "-5", "0"], Kind::Integer),
            (&["9223372036854775807", "-9223372036854775808"], Kind::Integer),
            (&["9223372036854775808"], Kind::Text),
            (&["1", "2.5"], Kind::Float),
            (&["999999999999999", "0.5"], Kind::Float),
            (&["9007199254740993", "0.5"], Kind::Text),
            (&["-0"], Kind::Float),
            (&["1e3", "1E-7"], Kind::Float),
            (&["0.1234567890123456"], Kind::Text),
            (&["0.123456789012345"], Kind::Float),
            (&["0000.1"], Kind::Float),
            (&["1e308"], Kind::Float),
            (&["1e309"], Kind::Text),
            (&["1e-299"], Kind::Float),
            (&["1e-301"], Kind::Text),
            (&["0.0", "0e-999"], Kind::Float),
            (&["1e-999"], Kind::Text),
            (&["123456789012345678901234567890"], Kind::Text),
            (&[], Kind::Text),
        ];
        for (numbers, expected) in table {
            assert_eq!(kind(numbers), expected, "{numbers:?}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_text_and_what_is_nested_stays_so() {
        let kind = |values: &[Value<'_>]| values.iter().fold(Seen::default(), |seen, v| seen.and(Seen::of(v))).kind();
        let (text, nested) = (Value::Text("1".into()), Value::Nested("[]".to_owned()));
        let (number, truth) = (Value::Number("1"), Value::Boolean(true));
        assert_eq!(kind(&[truth.clone(), Value::Null]), Kind::Boolean);
        assert_eq!(kind(&[truth.clone(), number.clone()]), Kind::Text);
        assert_eq!(kind(&[text.clone(), number.clone(), Value::Null]), Kind::Text);
        assert_eq!(kind(&[Value::Null]), Kind::Text);
        assert_eq!(kind(&[nested, text, number, truth]), Kind::Nested);
    }
}
