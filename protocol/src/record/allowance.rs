//! The allowance: what a member's mapping states of the quality of its tables. It stands in an extension of the mapping and of
//! the manifests of its tables, so that whoever looks at them judges as the member has.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ident::{Name, Text};
use crate::limits::{EXTENSION_BYTES_MAX, MAPPING_TABLES_MAX, PIPELINE_THRESHOLDS_MAX};
use crate::record::extension::Extensions;
use crate::wire::codec::{self, CodecFault};

/// The fields of an allowance, not yet checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowanceFields {
    /// Tables of the common schema that the mapping leaves out on purpose.
    pub left_out: BTreeSet<Name>,
    /// What is borne beside the list's own thresholds, in thousandths, by a check or by its kind.
    pub thresholds: BTreeMap<Text, u16>,
}

/// A checked allowance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "AllowanceFields", into = "AllowanceFields")]
pub struct Allowance(AllowanceFields);

/// Why fields do not make an allowance (spec MAP-22).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllowanceFault {
    /// A threshold over 1,000 thousandths.
    Threshold,
    /// More tables or thresholds than the bounds, or together longer than an extension.
    TooLarge,
}

impl fmt::Display for AllowanceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Threshold => f.write_str("a threshold is 0 to 100 per cent"),
            Self::TooLarge => write!(
                f,
                "at most {MAPPING_TABLES_MAX} tables are left out and {PIPELINE_THRESHOLDS_MAX} thresholds set, in \
                 {EXTENSION_BYTES_MAX} bytes together"
            ),
        }
    }
}

impl std::error::Error for AllowanceFault {}

impl TryFrom<AllowanceFields> for Allowance {
    type Error = AllowanceFault;

    fn try_from(fields: AllowanceFields) -> Result<Self, AllowanceFault> {
        if fields.thresholds.values().any(|borne| *borne > 1_000) {
            return Err(AllowanceFault::Threshold);
        }
        let many = fields.left_out.len() > MAPPING_TABLES_MAX || fields.thresholds.len() > PIPELINE_THRESHOLDS_MAX;
        if many || codec::encode(&fields).len() > EXTENSION_BYTES_MAX {
            return Err(AllowanceFault::TooLarge);
        }
        Ok(Self(fields))
    }
}

impl From<Allowance> for AllowanceFields {
    fn from(allowance: Allowance) -> Self {
        allowance.0
    }
}

impl std::ops::Deref for Allowance {
    type Target = AllowanceFields;

    fn deref(&self) -> &AllowanceFields {
        &self.0
    }
}

impl Allowance {
    /// The id of the extension: odd, so a reader may pass it over.
    pub const EXTENSION: u16 = 5;

    /// Beside other extensions; an allowance that states nothing leaves them as they are.
    ///
    /// # Panics
    /// Never: an allowance has the bound of an extension.
    #[must_use]
    pub fn beside(&self, extensions: Extensions) -> Extensions {
        if *self == Self::default() { extensions } else { extensions.with(Self::EXTENSION, codec::encode(self)) }
    }

    /// Out of the extensions of a mapping or manifest; where there is none, one that states nothing.
    ///
    /// # Errors
    /// Bytes that are no allowance.
    pub fn of(extensions: &Extensions) -> Result<Self, CodecFault> {
        extensions
            .get(Self::EXTENSION)
            .map_or_else(|| Ok(Self::default()), |bytes| codec::decode(bytes, EXTENSION_BYTES_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(tables: usize, thresholds: usize, borne: u16) -> AllowanceFields {
        AllowanceFields {
            left_out: (0..tables).map(|number| format!("t{number}").parse().unwrap()).collect(),
            thresholds: (0..thresholds).map(|number| (format!("c{number}").parse().unwrap(), borne)).collect(),
        }
    }

    // MAP-22
    #[test]
    fn an_allowance_is_within_its_bounds_and_travels_in_an_extension_that_may_be_passed_over() {
        let made = Allowance::try_from(fields(MAPPING_TABLES_MAX, PIPELINE_THRESHOLDS_MAX, 1_000)).unwrap();
        let extensions = made.beside(Extensions::one(1, vec![7]));
        assert_eq!((Allowance::of(&extensions).unwrap(), extensions.get(1)), (made, Some(&[7][..])));
        let fault = |fields| Allowance::try_from(fields).err();
        assert_eq!(fault(fields(1, 1, 1_001)), Some(AllowanceFault::Threshold));
        assert_eq!(fault(fields(MAPPING_TABLES_MAX + 1, 0, 0)), Some(AllowanceFault::TooLarge));
        assert_eq!(fault(fields(0, PIPELINE_THRESHOLDS_MAX + 1, 0)), Some(AllowanceFault::TooLarge));
        let long = (0..PIPELINE_THRESHOLDS_MAX).map(|number| (format!("{number:0>100}").parse().unwrap(), 1)).collect();
        assert_eq!(fault(AllowanceFields { thresholds: long, ..fields(0, 0, 0) }), Some(AllowanceFault::TooLarge));
        assert_eq!(Allowance::of(&Extensions::default()).unwrap(), Allowance::default());
        assert_eq!(Allowance::default().beside(Extensions::default()), Extensions::default());
        let over = codec::encode(&fields(0, 1, 1_001));
        assert!(Allowance::of(&Extensions::one(Allowance::EXTENSION, over)).is_err());
    }
}
