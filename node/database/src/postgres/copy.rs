//! Rows as the binary form of COPY has them. A value that would not arrive as it is is a fault of its row.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int64Type, TimeUnit};
use bytes::{BufMut, BytesMut};

use crate::calendar::DAY_MICROS;
use crate::fault::Reason;
use crate::postgres::numeric::{decimal_text, put, put_nan};
use crate::postgres::target::{Landed, Taker, per_second};
use crate::postgres::types::{EPOCH_DAYS, EPOCH_MICROS};

/// What stands before the first row.
pub(crate) const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What stands behind the last row.
pub(crate) const TAIL: [u8; 2] = (-1_i16).to_be_bytes();

/// A column of a batch, in one of the few forms that are written.
pub(crate) struct Ready {
    values: ArrayRef,
    taker: Taker,
    nullable: bool,
    /// How many of its units make a second, for times.
    per_second: i64,
}

impl Ready {
    /// Brings a column into its form.
    ///
    /// # Errors
    /// It is of none.
    pub(crate) fn of(array: &ArrayRef, landed: &Landed) -> Result<Self, Reason> {
        let (form, unit) = match array.data_type() {
            kind if kind.is_unsigned_integer() && *kind != DataType::UInt64 => (DataType::Int64, None),
            kind if kind.is_signed_integer() => (DataType::Int64, None),
            DataType::UInt64 => (DataType::Decimal128(20, 0), None),
            DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => (DataType::Utf8, None),
            DataType::Timestamp(unit, _) | DataType::Time64(unit) => (DataType::Int64, Some(*unit)),
            kind => (kind.clone(), None),
        };
        let values = cast(array, &form).map_err(|_| Reason::Malformed)?;
        if values.null_count() != array.logical_null_count() {
            return Err(Reason::OutOfRange);
        }
        let per_second = per_second(unit.unwrap_or(TimeUnit::Microsecond));
        Ok(Self { values, taker: landed.taker, nullable: landed.nullable, per_second })
    }

    /// Writes one cell behind its length.
    pub(crate) fn put(&self, row: usize, out: &mut BytesMut) -> Result<(), Reason> {
        if self.values.is_null(row) {
            out.put_i32(-1);
            return if self.nullable { Ok(()) } else { Err(Reason::Null) };
        }
        match self.values.data_type() {
            DataType::Boolean => {
                out.put_i32(1);
                out.put_u8(self.values.as_boolean().value(row).into());
            }
            DataType::Int64 => self.put_int(self.values.as_primitive::<Int64Type>().value(row), out)?,
            DataType::Decimal128(_, scale) => {
                let value = self.values.as_primitive::<Decimal128Type>().value(row);
                self.put_decimal(value, usize::try_from(*scale).map_err(|_| Reason::Malformed)?, out)?;
            }
            DataType::Float32 => {
                let value = self.values.as_primitive::<Float32Type>().value(row);
                match self.taker {
                    Taker::Float4 => fixed(out, value.to_be_bytes()),
                    _ => fixed(out, f64::from(value).to_be_bytes()),
                }
            }
            DataType::Float64 => self.put_float(self.values.as_primitive::<Float64Type>().value(row), out)?,
            DataType::Utf8 => put_text(self.values.as_string::<i32>().value(row), self.taker, out)?,
            DataType::Date32 => {
                let days = self.values.as_primitive::<Date32Type>().value(row).checked_sub(EPOCH_DAYS);
                // The last two stand for infinitely early and late.
                let days = days.filter(|days| *days != i32::MIN && *days != i32::MAX).ok_or(Reason::OutOfRange)?;
                fixed(out, days.to_be_bytes());
            }
            _ => return Err(Reason::Malformed),
        }
        Ok(())
    }

    fn put_int(&self, value: i64, out: &mut BytesMut) -> Result<(), Reason> {
        match self.taker {
            Taker::Int2 => fixed(out, i16::try_from(value).map_err(|_| Reason::OutOfRange)?.to_be_bytes()),
            Taker::Int4 => fixed(out, i32::try_from(value).map_err(|_| Reason::OutOfRange)?.to_be_bytes()),
            Taker::Int8 => fixed(out, value.to_be_bytes()),
            Taker::Numeric(room) => put(&value.to_string(), room, out)?,
            Taker::Time(step) => {
                let micros = self.micros(value, step)?;
                if !(0..DAY_MICROS).contains(&micros) {
                    return Err(Reason::OutOfRange);
                }
                fixed(out, micros.to_be_bytes());
            }
            Taker::Timestamp(step) | Taker::TimestampTz(step) => {
                let micros = self.micros(value, step)?.checked_sub(EPOCH_MICROS).filter(|micros| *micros != i64::MIN);
                fixed(out, micros.ok_or(Reason::OutOfRange)?.to_be_bytes());
            }
            _ => return Err(Reason::Malformed),
        }
        Ok(())
    }

    /// The microseconds of a time, if it has no finer part than the column.
    fn micros(&self, value: i64, step: i64) -> Result<i64, Reason> {
        const PER_SECOND: i64 = 1_000_000;
        let micros = if self.per_second > PER_SECOND {
            let finer = self.per_second / PER_SECOND;
            if value % finer == 0 { value / finer } else { return Err(Reason::Inexact) }
        } else {
            value.checked_mul(PER_SECOND / self.per_second).ok_or(Reason::OutOfRange)?
        };
        if micros % step == 0 { Ok(micros) } else { Err(Reason::Inexact) }
    }

    fn put_decimal(&self, value: i128, scale: usize, out: &mut BytesMut) -> Result<(), Reason> {
        match self.taker {
            Taker::Numeric(room) => put(&decimal_text(value, scale), room, out),
            // An unsigned number of 64 bits.
            _ => self.put_int(i64::try_from(value).map_err(|_| Reason::OutOfRange)?, out),
        }
    }

    fn put_float(&self, value: f64, out: &mut BytesMut) -> Result<(), Reason> {
        match self.taker {
            Taker::Float8 => fixed(out, value.to_be_bytes()),
            Taker::Numeric(_) if value.is_infinite() => return Err(Reason::Infinite),
            Taker::Numeric(_) if value.is_nan() => put_nan(out),
            // The shortest decimal that is this number and no other.
            Taker::Numeric(room) => put(&value.to_string(), room, out)?,
            _ => return Err(Reason::Malformed),
        }
        Ok(())
    }
}

fn fixed<const N: usize>(out: &mut BytesMut, bytes: [u8; N]) {
    // At most sixteen.
    out.put_i32(i32::try_from(N).unwrap_or(0));
    out.put_slice(&bytes);
}

fn put_text(text: &str, taker: Taker, out: &mut BytesMut) -> Result<(), Reason> {
    match taker {
        Taker::Uuid => fixed(out, uuid(text).ok_or(Reason::Malformed)?),
        Taker::Text(most) => {
            if text.contains('\0') {
                return Err(Reason::ZeroByte);
            }
            // PostgreSQL would cut off spaces without a word.
            if most.is_some_and(|most| text.chars().count() > most) {
                return Err(Reason::TooLong);
            }
            out.put_i32(i32::try_from(text.len()).map_err(|_| Reason::TooLong)?);
            out.put_slice(text.as_bytes());
        }
        _ => return Err(Reason::Malformed),
    }
    Ok(())
}

/// Eight, four, four, four and twelve digits to the base 16, in small letters, as PostgreSQL gives them back.
fn uuid(text: &str) -> Option<[u8; 16]> {
    let dashes = [8, 13, 18, 23];
    let right = text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match byte {
            b'-' => dashes.contains(&at),
            b'0'..=b'9' | b'a'..=b'f' => !dashes.contains(&at),
            _ => false,
        });
    let number = right.then(|| u128::from_str_radix(&text.replace('-', ""), 16).ok())??;
    Some(number.to_be_bytes())
}
