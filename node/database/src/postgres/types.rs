//! The types of PostgreSQL that are supported, how each arrives, and what it becomes. Every other one is refused by name.
//!
//! Numbers, dates and times arrive in binary, which no setting of the server changes; everything that becomes text, and
//! decimals, as text.

use arrow::datatypes::DataType;

use crate::calendar::DAY_MICROS;
use crate::column::{LOCAL, TIME, utc};
use crate::fault::Reason;
use crate::value::{Value, decimal, text};

/// A supported type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// `boolean`.
    Bool,
    /// `smallint`.
    Int2,
    /// `integer`.
    Int4,
    /// `bigint`.
    Int8,
    /// `real`.
    Float4,
    /// `double precision`.
    Float8,
    /// `numeric(p, s)` with p up to 38 and s from 0 to p.
    Decimal {
        /// Digits.
        precision: u8,
        /// Digits behind the point.
        scale: u8,
    },
    /// `text`, `varchar`, `char(n)`, `name`, `uuid`, `json`, `jsonb`, enumerations, and any other `numeric`, whose
    /// digits, `NaN` and `Infinity` stay as the server writes them.
    Text,
    /// `date`.
    Date,
    /// `time`.
    Time,
    /// `timestamp`.
    Timestamp,
    /// `timestamptz`.
    TimestampTz,
}

/// Days from 1970-01-01 to PostgreSQL's day zero, 2000-01-01.
pub(crate) const EPOCH_DAYS: i32 = 10_957;
/// Microseconds between the same two.
pub(crate) const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * DAY_MICROS;

impl Type {
    /// The type with this number in `pg_type`, and this modifier.
    pub(crate) fn of(oid: u32, modifier: i32) -> Option<Self> {
        Some(match oid {
            16 => Self::Bool,
            20 => Self::Int8,
            21 => Self::Int2,
            23 => Self::Int4,
            19 | 25 | 114 | 1042 | 1043 | 2950 | 3802 => Self::Text,
            700 => Self::Float4,
            701 => Self::Float8,
            1082 => Self::Date,
            1083 => Self::Time,
            1114 => Self::Timestamp,
            1184 => Self::TimestampTz,
            1700 => match numeric(modifier) {
                Some((precision @ 1..=38, scale)) if (0..=precision).contains(&scale) => {
                    Self::Decimal { precision: u8::try_from(precision).ok()?, scale: u8::try_from(scale).ok()? }
                }
                _ => Self::Text,
            },
            _ => return None,
        })
    }

    /// What it becomes.
    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int2 => DataType::Int16,
            Self::Int4 => DataType::Int32,
            Self::Int8 => DataType::Int64,
            Self::Float4 => DataType::Float32,
            Self::Float8 => DataType::Float64,
            Self::Decimal { precision, scale } => DataType::Decimal128(precision, scale.cast_signed()),
            Self::Text => DataType::Utf8,
            Self::Date => DataType::Date32,
            Self::Time => TIME,
            Self::Timestamp => LOCAL,
            Self::TimestampTz => utc(),
        }
    }

    /// The code of the form in which it is asked for: 0 text, 1 binary.
    pub(crate) const fn form(self) -> i16 {
        match self {
            Self::Text | Self::Decimal { .. } => 0,
            _ => 1,
        }
    }

    /// The value in these bytes.
    ///
    /// # Errors
    /// It cannot be given on as it is.
    pub(crate) fn decode(self, raw: &[u8]) -> Result<Value<'_>, Reason> {
        match self {
            Self::Bool => match raw {
                [0] => Ok(Value::Bool(false)),
                [1] => Ok(Value::Bool(true)),
                _ => Err(Reason::Malformed),
            },
            Self::Int2 => Ok(Value::Int(i16::from_be_bytes(fixed(raw)?).into())),
            Self::Int4 => Ok(Value::Int(i32::from_be_bytes(fixed(raw)?).into())),
            Self::Int8 => Ok(Value::Int(i64::from_be_bytes(fixed(raw)?))),
            Self::Float4 => Ok(Value::Float32(f32::from_be_bytes(fixed(raw)?))),
            Self::Float8 => Ok(Value::Float64(f64::from_be_bytes(fixed(raw)?))),
            Self::Decimal { scale, .. } => decimal(raw, scale),
            Self::Text => text(raw),
            Self::Date => match i32::from_be_bytes(fixed(raw)?) {
                i32::MIN | i32::MAX => Err(Reason::Infinite),
                days => days.checked_add(EPOCH_DAYS).map(Value::Days).ok_or(Reason::OutOfRange),
            },
            Self::Time => match i64::from_be_bytes(fixed(raw)?) {
                micros @ 0..DAY_MICROS => Ok(Value::Micros(micros)),
                // 24:00:00 is a time for PostgreSQL.
                _ => Err(Reason::OutOfRange),
            },
            Self::Timestamp | Self::TimestampTz => match i64::from_be_bytes(fixed(raw)?) {
                i64::MIN | i64::MAX => Err(Reason::Infinite),
                micros => micros.checked_add(EPOCH_MICROS).map(Value::Micros).ok_or(Reason::OutOfRange),
            },
        }
    }
}

/// Precision and scale out of the modifier of a `numeric`; `None` for one without.
pub(crate) fn numeric(modifier: i32) -> Option<(i32, i32)> {
    let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
    // The lower eleven bits have a sign.
    Some((packed >> 16, ((packed & 0x7ff) ^ 1024) - 1024))
}

fn fixed<const N: usize>(raw: &[u8]) -> Result<[u8; N], Reason> {
    raw.try_into().map_err(|_| Reason::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numeric_is_a_decimal_where_it_fits_one() {
        let modifier = |precision: i32, scale: i32| ((precision << 16) | (scale & 0x7ff)) + 4;
        let of = |modifier| Type::of(1700, modifier).unwrap();
        assert_eq!(of(modifier(10, 2)), Type::Decimal { precision: 10, scale: 2 });
        assert_eq!(of(modifier(38, 38)), Type::Decimal { precision: 38, scale: 38 });
        for text in [-1, modifier(39, 0), modifier(3, 5), modifier(5, -2), modifier(1000, 10)] {
            assert_eq!(of(text), Type::Text);
        }
    }

    #[test]
    fn bytes_of_another_length_are_no_value() {
        for kind in [Type::Bool, Type::Int2, Type::Int4, Type::Int8, Type::Float4, Type::Float8, Type::Date] {
            assert!(matches!(kind.decode(&[1; 3]), Err(Reason::Malformed)), "{kind:?}");
        }
        assert!(matches!(Type::Bool.decode(&[2]), Err(Reason::Malformed)));
        assert!(matches!(Type::Text.decode(&[0xff]), Err(Reason::NotUtf8)));
        assert!(matches!(Type::Date.decode(&(i32::MAX - 1).to_be_bytes()), Err(Reason::OutOfRange)));
        assert!(matches!(Type::Timestamp.decode(&(i64::MAX - 1).to_be_bytes()), Err(Reason::OutOfRange)));
        assert!(matches!(Type::Time.decode(&DAY_MICROS.to_be_bytes()), Err(Reason::OutOfRange)));
        assert!(matches!(Type::Time.decode(&(-1_i64).to_be_bytes()), Err(Reason::OutOfRange)));
    }
}
