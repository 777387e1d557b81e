//! Values that people write into terms: days, decimal numbers, ZIP areas. Each has exactly one spelling.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ident::{NameFault, checked_text};

/// Digits of a [`Decimal`] before the point, and behind it.
pub const DECIMAL_DIGITS_MAX: usize = 18;

checked_text! {
    /// A day of the calendar, `2024-02-29`, years 0001 to 9999. Its order as text is its order in time.
    Day, check_day
}
checked_text! {
    /// A decimal number: `-18.5`; at most 18 digits before and behind the point, no needless zero, no `-0`.
    Decimal, check_decimal
}
checked_text! {
    /// The first three digits of a US ZIP code.
    ZipArea, check_zip_area
}

fn check_day(text: &str) -> Result<(), NameFault> {
    let fault = NameFault::Form { of: "a day like 2024-02-29" };
    let mut parts = text.split('-');
    let mut number = |digits: usize| {
        let part = parts.next().filter(|part| part.len() == digits && is_digits(part))?;
        part.parse::<u32>().ok()
    };
    let (Some(year), Some(month), Some(day)) = (number(4), number(2), number(2)) else { return Err(fault) };
    if parts.next().is_none() && is_day(year, month, day) { Ok(()) } else { Err(fault) }
}

/// Whether there is such a day in the Gregorian calendar, from year 1 on.
pub const fn is_day(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    };
    year > 0 && day > 0 && day <= days
}

fn check_decimal(text: &str) -> Result<(), NameFault> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "1"));
    let whole_fits = is_digits(whole) && (whole == "0" || !whole.starts_with('0')) && whole.len() <= DECIMAL_DIGITS_MAX;
    let fraction_fits = is_digits(fraction) && !fraction.ends_with('0') && fraction.len() <= DECIMAL_DIGITS_MAX;
    if whole_fits && fraction_fits && text != "-0" {
        return Ok(());
    }
    Err(NameFault::Form { of: "a decimal number like -18.5, with at most 18 digits before and behind the point" })
}

fn check_zip_area(text: &str) -> Result<(), NameFault> {
    if text.len() == 3 && is_digits(text) { Ok(()) } else { Err(NameFault::Form { of: "three digits" }) }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Decimal {
    /// The number times 10^18.
    pub fn scaled(&self) -> i128 {
        let (whole, fraction) = self.as_str().split_once('.').unwrap_or((self.as_str(), ""));
        // At most 1 + 18 + 18 characters: 10^36 fits an i128.
        format!("{whole}{fraction:0<DECIMAL_DIGITS_MAX$}").parse().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_has_one_spelling() {
        for good in ["2024-02-29", "0001-01-01", "9999-12-31"] {
            assert!(good.parse::<Day>().is_ok(), "{good}");
        }
        for bad in
            ["", "2023-02-29", "0000-01-01", "2024-2-29", "2024-02-29T00:00", "2024-13-01", "+024-01-01", "2024-02"]
        {
            assert!(bad.parse::<Day>().is_err(), "{bad}");
        }
        let whole = "9".repeat(18);
        for good in ["0", "-1", "18.5", "0.001", whole.as_str(), &format!("-{whole}.{whole}")] {
            assert!(good.parse::<Decimal>().is_ok(), "{good}");
        }
        for bad in ["", "-", "-0", "01", "1.", ".5", "1.50", "1e3", "+1", "1 ", "1.2.3", &"1".repeat(19)] {
            assert!(bad.parse::<Decimal>().is_err(), "{bad}");
        }
        assert!("036".parse::<ZipArea>().is_ok());
        for bad in ["", "36", "0361", "0x3"] {
            assert!(bad.parse::<ZipArea>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_decimal_is_scaled_exactly() {
        let scaled = |text: &str| text.parse::<Decimal>().unwrap().scaled();
        assert_eq!(scaled("1"), 1_000_000_000_000_000_000);
        assert_eq!(scaled("-0.5"), -500_000_000_000_000_000);
        assert_eq!(scaled(&format!("{0}.{0}", "9".repeat(18))), 10_i128.pow(36) - 1);
    }
}
