//! Counted things, each with its unit as its type.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    /// Three significant digits with a binary unit, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
        for (unit, shift) in UNITS {
            if self.0 >> shift > 0 {
                let tenths = u128::from(self.0).saturating_mul(10) >> shift;
                return write!(f, "{}.{} {unit}", tenths.div_euclid(10), tenths.rem_euclid(10));
            }
        }
        write!(f, "{} B", self.0)
    }
}

/// A number of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Rows(pub u64);

/// The smallest number of patients in an equivalence class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AnonymityK(pub u32);

/// At how many members' tokens one person may appear: `m_max` of law 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ContributionBound(pub u32);

/// A zero-concentrated differential privacy loss, in units of 2^-80. Rounded against the spender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Rho(#[serde(with = "amount")] pub u128);

/// A failure probability, in units of 2^-100. Rounded against the spender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Delta(#[serde(with = "amount")] pub u128);

/// Amounts of a budget: a number on the wire; for people a number, or from 2^64 on its digits as text, which most readers of
/// JSON could not hold otherwise (spec CODEC-1).
mod amount {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(u64),
        Digits(String),
    }

    pub(super) fn serialize<S: Serializer>(amount: &u128, to: S) -> Result<S::Ok, S::Error> {
        match u64::try_from(*amount) {
            _ if !to.is_human_readable() => amount.serialize(to),
            Ok(number) => number.serialize(to),
            Err(_) => to.collect_str(amount),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        if !from.is_human_readable() {
            return u128::deserialize(from);
        }
        match Written::deserialize(from)? {
            Written::Number(number) => Ok(number.into()),
            Written::Digits(digits) => digits.parse().map_err(|_| D::Error::custom("an amount is a number in digits")),
        }
    }
}

/// A share or a loss in millionths: 1,000,000 is the whole. Rounded up, against who releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Millionths(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    // CODEC-1
    #[test]
    fn an_amount_of_a_budget_is_a_number_or_from_2_to_the_64_on_its_digits() {
        for (amount, json) in
            [(7, "7"), (u128::from(u64::MAX), "18446744073709551615"), (1 << 64, "\"18446744073709551616\"")]
        {
            assert_eq!(serde_json::to_string(&Rho(amount)).unwrap(), json);
            assert_eq!(serde_json::from_str::<Delta>(json).unwrap(), Delta(amount));
            // A value, which a number beyond 64 bits could not be in.
            assert!(serde_json::to_value(Rho(amount)).is_ok());
        }
        assert!(serde_json::from_str::<Rho>("\"-1\"").is_err());
    }

    #[test]
    fn bytes_are_shown_in_the_largest_unit_they_fill() {
        for (bytes, shown) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_572_864, "1.5 MiB"), (5 << 30, "5.0 GiB")]
        {
            assert_eq!(Bytes(bytes).to_string(), shown);
        }
    }
}
