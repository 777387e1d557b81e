//! Exact decimal numbers: FHIR's decimals keep the digits that they are written with, and FHIRPath calculates in them.

use std::cmp::Ordering;
use std::fmt;

/// `units` times ten to the power of minus `scale`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decimal {
    units: i128,
    scale: u32,
}

/// The most digits after the point: 10^36 fits into `i128` with two digits to spare.
const SCALE_MAX: u32 = 36;

/// Digits after the point of a quotient that does not come out even.
const QUOTIENT_SCALE: u32 = 18;

impl Decimal {
    pub(crate) fn new(units: i128, scale: u32) -> Self {
        Self { units, scale }
    }

    /// A number as JSON or FHIRPath writes it; nothing if it has too many digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let (negative, whole) = whole.strip_prefix('-').map_or((false, whole), |whole| (true, whole));
        let mut units: i128 = 0;
        for digit in whole.chars().chain(fraction.chars()) {
            units = units.checked_mul(10)?.checked_add(i128::from(digit.to_digit(10)?))?;
        }
        let units = if negative { -units } else { units };
        let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        let scaled = match u32::try_from(scale) {
            Ok(scale) => Self { units, scale },
            Err(_) => Self { units: units.checked_mul(power(scale.unsigned_abs())?)?, scale: 0 },
        };
        (scaled.scale <= SCALE_MAX).then_some(scaled)
    }

    /// The whole number, if there is nothing after the point.
    pub(crate) fn whole(self) -> Option<i64> {
        let power = power(self.scale)?;
        (self.units % power == 0).then(|| i64::try_from(self.units / power).ok()).flatten()
    }

    /// The number without its digits after the point.
    pub(crate) fn truncated(self) -> Option<i64> {
        i64::try_from(self.units / power(self.scale)?).ok()
    }

    pub(crate) fn is_zero(self) -> bool {
        self.units == 0
    }

    pub(crate) fn negated(self) -> Option<Self> {
        Some(Self { units: self.units.checked_neg()?, ..self })
    }

    pub(crate) fn plus(self, other: Self) -> Option<Self> {
        let (a, b, scale) = self.aligned(other)?;
        Some(Self { units: a.checked_add(b)?, scale })
    }

    pub(crate) fn minus(self, other: Self) -> Option<Self> {
        self.plus(other.negated()?)
    }

    pub(crate) fn times(self, other: Self) -> Option<Self> {
        let units = self.units.checked_mul(other.units)?;
        let product = Self { units, scale: self.scale + other.scale }.shortened();
        (product.scale <= SCALE_MAX).then_some(product)
    }

    /// The quotient, rounded to 18 digits after the point (half away from zero) where it has more; nothing for a zero divisor.
    pub(crate) fn divided_by(self, other: Self) -> Option<Self> {
        let (a, b) = (self.shortened(), other.shortened());
        let (a, b, _) = a.aligned(b)?;
        let scaled = a.checked_mul(power(QUOTIENT_SCALE)?)?;
        let twice = scaled.checked_rem(b)?.checked_mul(2)?;
        let away = if (a < 0) == (b < 0) { 1 } else { -1 };
        let quotient = scaled.checked_div(b)? + if twice.abs() >= b.abs() { away } else { 0 };
        Some(Self { units: quotient, scale: QUOTIENT_SCALE }.shortened())
    }

    /// Remainder of the truncated division, with the sign of the dividend.
    pub(crate) fn remainder(self, other: Self) -> Option<Self> {
        let (a, b, scale) = self.aligned(other)?;
        Some(Self { units: a.checked_rem(b)?, scale })
    }

    /// The lowest (or highest) number that is written like this one when it is rounded to its own digits, in `digits`
    /// digits after the point. Source: FHIRPath, `lowBoundary` and `highBoundary`.
    pub(crate) fn boundary(self, high: bool, digits: u32) -> Option<Self> {
        let half = Self { units: if high { 5 } else { -5 }, scale: self.scale + 1 };
        let edge = self.plus(half)?;
        if digits >= edge.scale {
            return Some(Self { units: edge.units.checked_mul(power(digits - edge.scale)?)?, scale: digits });
        }
        let cut = power(edge.scale - digits)?;
        let floor = edge.units.div_euclid(cut);
        let units = if high && edge.units.rem_euclid(cut) != 0 { floor + 1 } else { floor };
        Some(Self { units, scale: digits })
    }

    /// Without zeros at the end of the digits after the point.
    pub(crate) fn shortened(mut self) -> Self {
        while self.scale > 0 && self.units % 10 == 0 {
            self.units /= 10;
            self.scale -= 1;
        }
        self
    }

    /// Which number is larger; nothing if they cannot be brought to the same digits.
    pub(crate) fn compare(self, other: Self) -> Option<Ordering> {
        let (a, b, _) = self.shortened().aligned(other.shortened())?;
        Some(a.cmp(&b))
    }

    fn aligned(self, other: Self) -> Option<(i128, i128, u32)> {
        let scale = self.scale.max(other.scale);
        let a = self.units.checked_mul(power(scale - self.scale)?)?;
        let b = other.units.checked_mul(power(scale - other.scale)?)?;
        Some((a, b, scale))
    }
}

fn power(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.units.unsigned_abs().to_string();
        let scale = usize::try_from(self.scale).unwrap_or(0);
        let sign = if self.units < 0 { "-" } else { "" };
        if scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        write!(f, "{sign}{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn digits_are_kept() {
        for text in ["0", "1.0", "-1.50", "0.001", "-0.05", "123456789012345678901234567890"] {
            assert_eq!(decimal(text).to_string(), text);
        }
        assert_eq!(decimal("1.5e3").to_string(), "1500");
        assert_eq!(decimal("15E-3").to_string(), "0.015");
        for text in ["1e400", "1e-400", "1e99999999999", "999999999999999999999999999999999999999999"] {
            assert!(Decimal::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn calculation_is_exact() {
        assert_eq!(decimal("0.1").plus(decimal("0.2")).unwrap().to_string(), "0.3");
        assert_eq!(decimal("1.0").minus(decimal("2.25")).unwrap().to_string(), "-1.25");
        assert_eq!(decimal("1.5").times(decimal("-4")).unwrap().to_string(), "-6");
        assert_eq!(decimal("3").divided_by(decimal("2")).unwrap().to_string(), "1.5");
        assert_eq!(decimal("2").divided_by(decimal("3")).unwrap().to_string(), "0.666666666666666667");
        assert_eq!(decimal("-2").divided_by(decimal("3")).unwrap().to_string(), "-0.666666666666666667");
        assert!(decimal("2").divided_by(decimal("0.0")).is_none());
        assert_eq!(decimal("5.5").remainder(decimal("0.7")).unwrap().to_string(), "0.6");
        assert_eq!(decimal("1.10").compare(decimal("1.1")), Some(Ordering::Equal));
        assert_eq!(decimal("2").compare(decimal("10")), Some(Ordering::Less));
        assert_eq!((decimal("4.0").whole(), decimal("4.5").whole()), (Some(4), None));
    }

    #[test]
    fn boundaries_are_those_of_the_specification() {
        // FHIRPath, lowBoundary and highBoundary: the examples of the text.
        let cases = [
            ("1.587", false, 8, "1.58650000"),
            ("1.587", false, 6, "1.586500"),
            ("1.587", false, 2, "1.58"),
            ("-1.587", false, 8, "-1.58750000"),
            ("-1.587", false, 2, "-1.59"),
            ("1", false, 8, "0.50000000"),
            ("12.500", false, 8, "12.49950000"),
            ("120", false, 2, "119.50"),
            ("12.587", false, 2, "12.58"),
            ("1.587", true, 8, "1.58750000"),
            ("1.587", true, 2, "1.59"),
            ("-1.587", true, 6, "-1.586500"),
            ("1", true, 8, "1.50000000"),
            ("12.500", true, 8, "12.50050000"),
        ];
        for (text, high, digits, expected) in cases {
            assert_eq!(decimal(text).boundary(high, digits).unwrap().to_string(), expected, "{text} {high} {digits}");
        }
    }
}
