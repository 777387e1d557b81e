//! Extension maps: room for later versions. Even ids are critical, odd ids may be ignored (spec DOC-6).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::{EXTENSION_BYTES_MAX, EXTENSIONS_MAX};
use crate::wire::codec::Blob;

/// Why an extension map is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtensionFault {
    /// An even id that this version does not know: the document means more than we understand.
    CriticalUnknown(u16),
    /// More entries, or a longer entry, than the bound.
    TooLarge,
}

impl fmt::Display for ExtensionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CriticalUnknown(id) => write!(f, "critical extension {id} is not known to this version"),
            Self::TooLarge => f.write_str("the extension map is larger than allowed"),
        }
    }
}

impl std::error::Error for ExtensionFault {}

/// Extensions by id. This version knows none, so it keeps odd ones as they came and refuses even ones.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<u16, Blob>", into = "BTreeMap<u16, Blob>")]
pub struct Extensions(BTreeMap<u16, Blob>);

impl TryFrom<BTreeMap<u16, Blob>> for Extensions {
    type Error = ExtensionFault;

    fn try_from(map: BTreeMap<u16, Blob>) -> Result<Self, ExtensionFault> {
        if map.len() > EXTENSIONS_MAX || map.values().any(|value| value.0.len() > EXTENSION_BYTES_MAX) {
            return Err(ExtensionFault::TooLarge);
        }
        match map.keys().find(|id| id.is_multiple_of(2)) {
            Some(id) => Err(ExtensionFault::CriticalUnknown(*id)),
            None => Ok(Self(map)),
        }
    }
}

impl From<Extensions> for BTreeMap<u16, Blob> {
    fn from(extensions: Extensions) -> Self {
        extensions.0
    }
}

impl Extensions {
    /// One extension.
    ///
    /// # Panics
    /// When the id is even or the value too long: a bug of the caller.
    pub fn one(id: u16, value: Vec<u8>) -> Self {
        Self::try_from(BTreeMap::from([(id, Blob(value))])).expect("our own extensions are odd and short")
    }

    /// These and one more.
    ///
    /// # Panics
    /// When the id is even, the value too long or the map full: a bug of the caller.
    #[must_use]
    pub fn with(mut self, id: u16, value: Vec<u8>) -> Self {
        self.0.insert(id, Blob(value));
        Self::try_from(self.0).expect("our own extensions are odd, short and few")
    }

    /// The value of an extension.
    pub fn get(&self, id: u16) -> Option<&[u8]> {
        self.0.get(&id).map(|value| value.0.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::codec::{decode, encode};

    // DOC-6
    #[test]
    fn an_unknown_even_id_is_refused_and_an_odd_one_kept() {
        let map = |id: u16, bytes: usize| BTreeMap::from([(id, Blob(vec![1; bytes]))]);
        let odd = encode(&map(7, EXTENSION_BYTES_MAX));
        assert_eq!(encode(&decode::<Extensions>(&odd, 8192).unwrap()), odd);
        assert!(decode::<Extensions>(&encode(&map(8, 1)), 8192).is_err());
        assert!(decode::<Extensions>(&encode(&map(7, EXTENSION_BYTES_MAX + 1)), 8192).is_err());
    }
}
