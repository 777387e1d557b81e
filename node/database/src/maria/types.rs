//! The types of MariaDB that are supported, how each arrives, and what it becomes. Every other one is refused by name.

use arrow::datatypes::DataType;

use crate::calendar::{days, micros};
use crate::column::{LOCAL, TIME, utc};
use crate::fault::{DatabaseFault, Reason};
use crate::maria::packet::Payload;
use crate::value::{Value, decimal, text};

/// A supported type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// `tinyint`, also as `bool`.
    Tiny(Sign),
    /// `smallint`.
    Small(Sign),
    /// `mediumint` and `int`.
    Int(Sign),
    /// `bigint`.
    Big(Sign),
    /// `year`, as a number.
    Year,
    /// `float`.
    Float,
    /// `double`.
    Double,
    /// `decimal(p, s)` with p up to 38.
    Decimal {
        /// Digits.
        precision: u8,
        /// Digits behind the point.
        scale: u8,
    },
    /// `char`, `varchar`, the `text` types, `enum`, `set`, `json`, and wider decimals.
    Text,
    /// `bit(n)`, as a number.
    Bit,
    /// `date`.
    Date,
    /// `time`, where it is a time of day.
    Time,
    /// `datetime`.
    DateTime,
    /// `timestamp`.
    Timestamp,
}

/// Whether a number may be below zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It may.
    Signed,
    /// It may not.
    Unsigned,
}

/// What the server says of a column.
#[derive(Clone, Copy)]
pub(crate) struct Declared {
    pub(crate) code: u8,
    pub(crate) charset: u16,
    pub(crate) length: u32,
    pub(crate) flags: u16,
    pub(crate) decimals: u8,
}

/// The character set of bytes that are no text.
const BINARY: u16 = 63;
const UNSIGNED: u16 = 1 << 5;

const DECIMAL: u8 = 0;
const TINY: u8 = 1;
const SHORT: u8 = 2;
const LONG: u8 = 3;
const FLOAT: u8 = 4;
const DOUBLE: u8 = 5;
const TIMESTAMP: u8 = 7;
const LONGLONG: u8 = 8;
const INT24: u8 = 9;
const DATE: u8 = 10;
const CLOCK: u8 = 11;
const DATETIME: u8 = 12;
const YEAR: u8 = 13;
const BIT: u8 = 16;
const NEWDECIMAL: u8 = 246;
const ENUM: u8 = 247;
const SET: u8 = 248;
const STRINGS: [u8; 7] = [15, 249, 250, 251, 252, 253, 254];
const GEOMETRY: u8 = 255;
const NOTHING: u8 = 6;

impl Declared {
    /// The type, where it is supported.
    pub(crate) fn kind(self) -> Option<Type> {
        let unsigned = self.flags & UNSIGNED != 0;
        let sign = if unsigned { Sign::Unsigned } else { Sign::Signed };
        Some(match self.code {
            TINY => Type::Tiny(sign),
            SHORT => Type::Small(sign),
            INT24 | LONG => Type::Int(sign),
            LONGLONG => Type::Big(sign),
            YEAR => Type::Year,
            FLOAT => Type::Float,
            DOUBLE => Type::Double,
            DECIMAL | NEWDECIMAL => self.decimal(unsigned),
            BIT => Type::Bit,
            DATE => Type::Date,
            CLOCK => Type::Time,
            DATETIME => Type::DateTime,
            TIMESTAMP => Type::Timestamp,
            ENUM | SET => Type::Text,
            code if STRINGS.contains(&code) && self.charset != BINARY => Type::Text,
            _ => return None,
        })
    }

    /// The length counts the sign and the point.
    fn decimal(self, unsigned: bool) -> Type {
        let beside = u32::from(!unsigned) + u32::from(self.decimals > 0);
        let precision = self.length.checked_sub(beside).and_then(|digits| u8::try_from(digits).ok());
        match precision {
            Some(precision @ 1..=38) if self.decimals <= precision => Type::Decimal { precision, scale: self.decimals },
            _ => Type::Text,
        }
    }

    /// The type's name, as near as the server's word on the wire comes to it.
    pub(crate) fn name(self) -> String {
        let unsigned = if self.flags & UNSIGNED == 0 { "" } else { " unsigned" };
        let binary = self.charset == BINARY;
        let name = match self.code {
            TINY => "tinyint",
            SHORT => "smallint",
            INT24 => "mediumint",
            LONG => "int",
            LONGLONG => "bigint",
            YEAR => return "year".to_owned(),
            FLOAT => "float",
            DOUBLE => "double",
            DECIMAL | NEWDECIMAL => "decimal",
            BIT => return "bit".to_owned(),
            DATE => "date",
            CLOCK => "time",
            DATETIME => "datetime",
            TIMESTAMP => return "timestamp".to_owned(),
            ENUM => "enum",
            SET => "set",
            249..=252 if binary => "blob",
            249..=252 => "text",
            254 if binary => "binary",
            254 => "char",
            15 | 253 if binary => "varbinary",
            15 | 253 => "varchar",
            GEOMETRY => "geometry",
            NOTHING => "null",
            other => return format!("type {other}"),
        };
        format!("{name}{unsigned}")
    }
}

impl Type {
    /// What it becomes.
    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Tiny(Sign::Signed) => DataType::Int8,
            Self::Tiny(Sign::Unsigned) => DataType::UInt8,
            Self::Small(Sign::Signed) => DataType::Int16,
            Self::Small(Sign::Unsigned) | Self::Year => DataType::UInt16,
            Self::Int(Sign::Signed) => DataType::Int32,
            Self::Int(Sign::Unsigned) => DataType::UInt32,
            Self::Big(Sign::Signed) => DataType::Int64,
            Self::Big(Sign::Unsigned) | Self::Bit => DataType::UInt64,
            Self::Float => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Decimal { precision, scale } => DataType::Decimal128(precision, scale.cast_signed()),
            Self::Text => DataType::Utf8,
            Self::Date => DataType::Date32,
            Self::Time => TIME,
            Self::DateTime => LOCAL,
            Self::Timestamp => utc(),
        }
    }

    /// Takes the value off the row. The outer fault is of the conversation, the inner one of the value alone.
    pub(crate) fn take<'a>(
        self,
        row: &mut Payload<'a>,
        cell_bytes_max: usize,
    ) -> Result<Result<Value<'a>, Reason>, DatabaseFault> {
        Ok(match self {
            Self::Tiny(Sign::Signed) => Ok(Value::Int(row.u8()?.cast_signed().into())),
            Self::Tiny(Sign::Unsigned) => Ok(Value::Uint(row.u8()?.into())),
            Self::Small(Sign::Signed) => Ok(Value::Int(row.u16()?.cast_signed().into())),
            Self::Small(Sign::Unsigned) => Ok(Value::Uint(row.u16()?.into())),
            Self::Int(Sign::Signed) => Ok(Value::Int(row.u32()?.cast_signed().into())),
            Self::Int(Sign::Unsigned) => Ok(Value::Uint(row.u32()?.into())),
            Self::Big(Sign::Signed) => Ok(Value::Int(row.u64()?.cast_signed())),
            Self::Big(Sign::Unsigned) => Ok(Value::Uint(row.u64()?)),
            Self::Year => match row.u16()? {
                0 => Err(Reason::ZeroDate),
                year => Ok(Value::Uint(year.into())),
            },
            Self::Float => Ok(Value::Float32(f32::from_bits(row.u32()?))),
            Self::Double => Ok(Value::Float64(f64::from_bits(row.u64()?))),
            Self::Decimal { scale, .. } => decimal(row.counted()?, scale),
            Self::Text => match row.counted()? {
                long if long.len() > cell_bytes_max => Err(Reason::TooLong),
                raw => text(raw),
            },
            Self::Bit => number(row.counted()?),
            Self::Date => moment(row.counted()?).map(|(days, _)| Value::Days(days)),
            Self::DateTime | Self::Timestamp => moment(row.counted()?)
                .map(|(days, micros)| Value::Micros(i64::from(days) * crate::calendar::DAY_MICROS + micros)),
            Self::Time => time(row.counted()?).map(Value::Micros),
        })
    }
}

/// The bits of a `bit(n)`, the highest first.
fn number(raw: &[u8]) -> Result<Value<'static>, Reason> {
    if raw.len() > 8 {
        return Err(Reason::Malformed);
    }
    Ok(Value::Uint(raw.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))))
}

/// Days since 1970-01-01, and microseconds of the day. What is not written is zero; so is a date that is not.
fn moment(raw: &[u8]) -> Result<(i32, i64), Reason> {
    let mut parts = [0; 11];
    let written =
        parts.get_mut(..raw.len()).filter(|_| matches!(raw.len(), 0 | 4 | 7 | 11)).ok_or(Reason::Malformed)?;
    written.copy_from_slice(raw);
    let [y1, y2, month, day, hour, minute, second, micro @ ..] = parts;
    let days = days(u16::from_le_bytes([y1, y2]), month, day)?;
    Ok((days, micros(hour, minute, second, u32::from_le_bytes(micro))?))
}

/// A time of day; the type also holds spans of up to 838 hours, before and after, which are none.
fn time(raw: &[u8]) -> Result<i64, Reason> {
    let mut parts = [0; 12];
    let written = parts.get_mut(..raw.len()).filter(|_| matches!(raw.len(), 0 | 8 | 12)).ok_or(Reason::Malformed)?;
    written.copy_from_slice(raw);
    let [negative, d1, d2, d3, d4, hour, minute, second, micro @ ..] = parts;
    if negative != 0 || [d1, d2, d3, d4] != [0; 4] {
        return Err(Reason::OutOfRange);
    }
    micros(hour, minute, second, u32::from_le_bytes(micro))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_that_is_none_is_a_fault() {
        assert_eq!(moment(&[0xe8, 7, 2, 29]), Ok((19_782, 0)));
        assert_eq!(moment(&[0xe8, 7, 2, 29, 23, 59, 59]), Ok((19_782, 86_399_000_000)));
        assert_eq!(moment(&[0xe8, 7, 2, 29, 0, 0, 0, 1, 0, 0, 0]), Ok((19_782, 1)));
        assert_eq!(moment(&[]), Err(Reason::ZeroDate));
        assert_eq!(moment(&[0xe8, 7, 0, 1]), Err(Reason::ZeroDate));
        assert_eq!(moment(&[0xe7, 7, 2, 29]), Err(Reason::NoSuchDay));
        assert_eq!(moment(&[0xe8, 7, 2]), Err(Reason::Malformed));
        assert_eq!(moment(&[1; 12]), Err(Reason::Malformed));
    }

    #[test]
    fn a_span_of_time_is_no_time_of_day() {
        assert_eq!(time(&[]), Ok(0));
        assert_eq!(time(&[0, 0, 0, 0, 0, 23, 59, 59]), Ok(86_399_000_000));
        assert_eq!(time(&[1, 0, 0, 0, 0, 1, 0, 0]), Err(Reason::OutOfRange));
        assert_eq!(time(&[0, 1, 0, 0, 0, 1, 0, 0]), Err(Reason::OutOfRange));
        assert_eq!(time(&[0; 9]), Err(Reason::Malformed));
    }

    #[test]
    fn a_decimals_length_counts_sign_and_point() {
        let of = |length, decimals, flags| {
            Declared { code: NEWDECIMAL, charset: BINARY, length, flags, decimals }.kind().unwrap()
        };
        assert_eq!(of(12, 2, 0), Type::Decimal { precision: 10, scale: 2 });
        assert_eq!(of(11, 2, UNSIGNED), Type::Decimal { precision: 10, scale: 2 });
        assert_eq!(of(39, 0, 0), Type::Decimal { precision: 38, scale: 0 });
        assert_eq!(of(40, 0, 0), Type::Text);
        assert_eq!(of(67, 30, 0), Type::Text);
        assert_eq!(of(0, 0, 0), Type::Text);
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_by_name() {
        for (code, name) in [(252, "blob"), (254, "binary"), (253, "varbinary"), (GEOMETRY, "geometry")] {
            let declared = Declared { code, charset: BINARY, length: 9, flags: 0, decimals: 0 };
            assert_eq!((declared.kind(), declared.name().as_str()), (None, name));
        }
    }
}
