//! Decimal numbers as people write them: read exactly, rounded, compared, written in one way. No float in between.

use std::cmp::Ordering;

/// Significant digits at most: what an `i128` holds with room for carrying.
const DIGITS_MAX: usize = 36;
/// The largest exponent, either way: more than any float has.
const EXPONENT_MAX: u32 = 400;
/// Digits behind the point in what a bound is compared by ([`cohortium_protocol::record::literal::Decimal::scaled`]).
const BOUND_SCALE: i32 = 18;

/// `units` times 10 to the power of minus `scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal {
    units: i128,
    scale: i32,
}

impl Decimal {
    /// A whole number, or one with a fixed number of digits behind the point.
    pub(crate) const fn new(units: i128, scale: i32) -> Self {
        Self { units, scale }
    }

    /// The number that a text writes: `-12`, `+0.50`, `.5`, `1.5e-3`. `None`: it writes none, or one of over 36 digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (negative, digits) = match mantissa.as_bytes().first()? {
            b'-' => (true, &mantissa[1..]),
            b'+' => (false, &mantissa[1..]),
            _ => (false, mantissa),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let written = [whole, fraction].concat();
        let significant = written.trim_start_matches('0');
        let well_formed = !written.is_empty() && written.bytes().all(|byte| byte.is_ascii_digit());
        if !well_formed || significant.len() > DIGITS_MAX || exponent.unsigned_abs() > EXPONENT_MAX {
            return None;
        }
        let units: i128 = if significant.is_empty() { 0 } else { significant.parse().ok()? };
        let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        let signed = if negative { -units } else { units };
        (scale.unsigned_abs() <= 2 * EXPONENT_MAX).then_some(Self { units: signed, scale })
    }

    /// Whether nothing changes by rounding to so many digits.
    pub(crate) const fn has_at_most(self, digits: i8) -> bool {
        self.scale <= digits as i32
    }

    /// Rounded to so many digits behind the point, half away from zero; below 0 to tens, hundreds and so on.
    pub(crate) fn round(self, digits: i8) -> Self {
        let scale = i32::from(digits);
        let Some(cut) = u32::try_from(self.scale - scale).ok().filter(|cut| *cut > 0) else { return self };
        // 10^39 is more than an u128 holds, and less than half of it is left of no i128.
        let Some(power) = 10_u128.checked_pow(cut) else { return Self { units: 0, scale: 0 } };
        // 2^127 and half of 10^38 together are less than 2^128.
        let magnitude = (self.units.unsigned_abs() + power / 2) / power;
        let magnitude = i128::try_from(magnitude).expect("a tenth of 2^128 is less than 2^127");
        Self { units: magnitude * self.units.signum(), scale }
    }

    /// The units at this scale, which is at least its own; `None` where they are too large.
    pub(crate) fn units_at(self, scale: i32) -> Option<i128> {
        let power = 10_i128.checked_pow(u32::try_from(scale - self.scale).ok()?)?;
        self.units.checked_mul(power)
    }

    /// Compares with a bound that comes times 10^18.
    pub(crate) fn compare(self, bound: i128) -> Ordering {
        if self.scale <= BOUND_SCALE {
            let by_sign = self.units.cmp(&0);
            return self.units_at(BOUND_SCALE).map_or(by_sign, |units| units.cmp(&bound));
        }
        let by_sign = 0.cmp(&bound);
        let wide = Self::new(bound, BOUND_SCALE).units_at(self.scale);
        wide.map_or(if bound == 0 { self.units.cmp(&0) } else { by_sign }, |bound| self.units.cmp(&bound))
    }

    /// The one way to write it: no sign of a zero, no exponent, no needless digit.
    pub(crate) fn to_text(self) -> String {
        let Self { mut units, mut scale } = self;
        while scale > 0 && units % 10 == 0 {
            (units, scale) = (units / 10, if units == 0 { 0 } else { scale - 1 });
        }
        let sign = if units < 0 { "-" } else { "" };
        let digits = units.unsigned_abs().to_string();
        if units == 0 {
            return digits;
        }
        let Ok(places) = usize::try_from(scale) else {
            let zeros = usize::try_from(scale.unsigned_abs()).unwrap_or_default();
            return format!("{sign}{digits}{}", "0".repeat(zeros));
        };
        if places == 0 {
            return format!("{sign}{digits}");
        }
        let padded = format!("{digits:0>width$}", width = places + 1);
        let (whole, fraction) = padded.split_at(padded.len() - places);
        format!("{sign}{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounded(text: &str, digits: i8) -> Option<String> {
        Decimal::parse(text).map(|number| number.round(digits).to_text())
    }

    #[test]
    fn a_number_is_rounded_half_away_from_zero() {
        let table = [
            ("139.46", 1, "139.5"),
            ("139.45", 1, "139.5"),
            ("-139.45", 1, "-139.5"),
            ("139.449", 1, "139.4"),
            ("139.40", 1, "139.4"),
            ("139.04", 1, "139"),
            ("7", 3, "7"),
            ("007.50", 3, "7.5"),
            ("+.5", 0, "1"),
            ("-0.4", 0, "0"),
            ("-0", 0, "0"),
            ("145", -1, "150"),
            ("144", -1, "140"),
            ("44", -2, "0"),
            ("55", -2, "100"),
            ("1.5e3", -3, "2000"),
            ("1.5E-3", 3, "0.002"),
            ("1e2", 0, "100"),
            ("1e-99", 3, "0"),
            (" 12.5 ", 1, "12.5"),
            ("1e30", 0, "1000000000000000000000000000000"),
        ];
        for (text, digits, expected) in table {
            assert_eq!(rounded(text, digits).as_deref(), Some(expected), "{text} {digits}");
        }
        let long = "9".repeat(36);
        assert_eq!(rounded(&format!("0.{long}"), 0).as_deref(), Some("1"));
        for bad in [
            "",
            "-",
            ".",
            "1,5",
            "1 2",
            "0x1",
            "NaN",
            "inf",
            "1e",
            "1e999",
            "1e-2147483648",
            "1e2147483647",
            "--1",
            "1.2.3",
            "\u{661}",
            &"9".repeat(37),
        ] {
            assert_eq!(Decimal::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn whatever_units_and_scale_a_source_states_rounding_ends() {
        let table = [
            (i128::MAX, 1, 0, "17014118346046923173168730371588410573"),
            (i128::MIN, 1, 0, "-17014118346046923173168730371588410573"),
            (i128::MIN, 38, 0, "-2"),
            (99_999_999_999_999_999_999_999_999_999_999_999_999, 38, 0, "1"),
            (i128::MIN, 39, 0, "0"),
            (i128::MAX, 127, -128, "0"),
        ];
        for (units, scale, digits, expected) in table {
            assert_eq!(Decimal::new(units, scale).round(digits).to_text(), expected, "{units} {scale}");
        }
    }

    #[test]
    fn a_number_is_compared_exactly_with_a_bound() {
        let bound = |text: &str| text.parse::<cohortium_protocol::record::literal::Decimal>().unwrap().scaled();
        let table = [
            ("18", "18", Ordering::Equal),
            ("17.999999999999999999999", "18", Ordering::Less),
            ("18.000000000000000000001", "18", Ordering::Greater),
            ("0.0000000000000000001", "0", Ordering::Greater),
            ("-0.0000000000000000001", "0", Ordering::Less),
            ("1e400", "999999999999999999", Ordering::Greater),
            ("-1e400", "-999999999999999999", Ordering::Less),
            ("1e-400", "-1", Ordering::Greater),
            ("1e-400", "1", Ordering::Less),
            ("-1e-400", "0", Ordering::Less),
            ("-2", "-1.5", Ordering::Less),
        ];
        for (text, other, expected) in table {
            assert_eq!(Decimal::parse(text).unwrap().compare(bound(other)), expected, "{text} {other}");
        }
    }
}
