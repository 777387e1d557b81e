//! One cell on its way from a server's bytes to a column of ours.

use crate::fault::Reason;

/// A cell's value, as wide as its kind allows.
#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float32(f32),
    Float64(f64),
    /// A decimal without its point.
    Decimal(i128),
    Text(&'a str),
    /// Days since 1970-01-01.
    Days(i32),
    /// Microseconds: of the day, or since 1970-01-01.
    Micros(i64),
}

impl Value<'_> {
    /// What it takes in a batch, about.
    pub(crate) fn bytes(&self) -> usize {
        if let Self::Text(text) = self { text.len() + 8 } else { 8 }
    }
}

/// Text, if it is UTF-8.
pub(crate) fn text(raw: &[u8]) -> Result<Value<'_>, Reason> {
    std::str::from_utf8(raw).map(Value::Text).map_err(|_| Reason::NotUtf8)
}

/// A decimal as both servers write it, `-12.50`, without its point at this scale.
///
/// # Errors
/// It is no number, has more digits behind the point than the scale, or is wider than 38 digits.
pub(crate) fn decimal(raw: &[u8], scale: u8) -> Result<Value<'static>, Reason> {
    let (negative, digits) = match raw {
        b"NaN" => return Err(Reason::NotANumber),
        b"Infinity" | b"-Infinity" => return Err(Reason::Infinite),
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let point = digits.iter().position(|byte| *byte == b'.');
    let behind = point.map_or(0, |point| digits.len() - point - 1);
    if digits.len() == usize::from(point.is_some()) {
        return Err(Reason::Malformed);
    }
    let missing = usize::from(scale).checked_sub(behind).ok_or(Reason::Inexact)?;
    let zeros = std::iter::repeat_n(b'0', missing);
    let kept = digits.iter().enumerate().filter(|(at, _)| Some(*at) != point).map(|(_, byte)| *byte);
    let mut value: i128 = 0;
    for byte in kept.chain(zeros) {
        if !byte.is_ascii_digit() {
            return Err(Reason::Malformed);
        }
        let longer = value.checked_mul(10).and_then(|value| value.checked_add(i128::from(byte - b'0')));
        value = longer.filter(|value| *value < DECIMAL_END).ok_or(Reason::OutOfRange)?;
    }
    Ok(Value::Decimal(if negative { -value } else { value }))
}

/// The first number with more than 38 digits.
pub(crate) const DECIMAL_END: i128 = 10_i128.pow(38);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_taken_exactly_or_not_at_all() {
        let of = |text: &str, scale| match decimal(text.as_bytes(), scale) {
            Ok(Value::Decimal(value)) => Ok(value),
            Ok(_) => unreachable!(),
            Err(reason) => Err(reason),
        };
        assert_eq!(of("-12.50", 2), Ok(-1250));
        assert_eq!(of("7", 3), Ok(7000));
        assert_eq!(of("0.00", 2), Ok(0));
        assert_eq!(of(".5", 1), Ok(5));
        let nines = "9".repeat(38);
        assert_eq!(of(&nines, 0), Ok(10_i128.pow(38) - 1));
        assert_eq!(of(&format!("-{nines}"), 0), Ok(1 - 10_i128.pow(38)));
        assert_eq!(of(&nines, 1), Err(Reason::OutOfRange));
        assert_eq!(of("1.234", 2), Err(Reason::Inexact));
        assert_eq!(of("NaN", 2), Err(Reason::NotANumber));
        assert_eq!(of("-Infinity", 2), Err(Reason::Infinite));
        for bad in ["", "-", ".", "1e5", "1.2.3", "--1", "+1", " 1", "\u{661}"] {
            assert!(matches!(of(bad, 9), Err(Reason::Malformed)), "{bad}");
        }
    }
}
