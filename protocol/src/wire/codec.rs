//! The one bincode configuration. Everything that is signed, sent or stored as a record is encoded and decoded here.
//!
//! bincode by itself is not canonical: over-long varints, trailing bytes and unsorted maps decode (DESIGN.md). So a value
//! is decoded only when its re-encoding equals the bytes read (spec CODEC-2), and the caller states the cap first.

use std::fmt;

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The largest value of all: what one decode may claim before the cap of its type is looked at.
const DECODE_BYTES_MAX: usize = crate::limits::LISTING_BYTES_MAX;

const CONFIG: Configuration<LittleEndian, Varint, Limit<DECODE_BYTES_MAX>> =
    bincode::config::standard().with_little_endian().with_variable_int_encoding().with_limit::<DECODE_BYTES_MAX>();

/// Why bytes are not the encoding of a value. Carries no content of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodecFault {
    /// More bytes than the cap of this type; nothing was decoded.
    TooLong {
        /// The cap.
        max: usize,
    },
    /// Not an encoding of this type, or a value that its type refuses.
    Malformed,
    /// Bytes after the value.
    Trailing,
    /// An encoding of a value, but not the one that every encoder must write.
    NotCanonical,
}

impl fmt::Display for CodecFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { max } => write!(f, "is longer than {max} bytes"),
            Self::Malformed => write!(f, "is not an encoding of the expected type"),
            Self::Trailing => write!(f, "has bytes after its end"),
            Self::NotCanonical => write!(f, "is not the canonical encoding of its value"),
        }
    }
}

impl std::error::Error for CodecFault {}

/// The canonical encoding.
///
/// # Panics
/// When a type of this workspace cannot be encoded, which its golden test shows: no recursion, no sequence of unknown
/// length, no untagged enum.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, CONFIG).expect("records are plain data and always encode")
}

/// Decodes the whole of `bytes`, which may be `max` bytes at most.
///
/// # Errors
/// [`CodecFault`]; nothing is allocated beyond a small multiple of `max`.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, CodecFault> {
    if bytes.len() > max {
        return Err(CodecFault::TooLong { max });
    }
    let (value, consumed) =
        bincode::serde::decode_from_slice::<T, _>(bytes, CONFIG).map_err(|_| CodecFault::Malformed)?;
    if consumed != bytes.len() {
        return Err(CodecFault::Trailing);
    }
    if encode(&value) != bytes {
        return Err(CodecFault::NotCanonical);
    }
    Ok(value)
}

/// A byte string of varying length: a length and the bytes in the codec, hexadecimal digits in JSON.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Blob(pub Vec<u8>);

impl fmt::Debug for Blob {
    /// The length only: the content may be a document of any kind.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(&crate::hex::text(&self.0));
        }
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            let (pairs, rest) = text.as_bytes().as_chunks::<2>();
            let bytes: Option<Vec<u8>> = pairs
                .iter()
                .map(|pair| std::str::from_utf8(pair).ok().and_then(|p| crate::hex::parse::<1>(p).ok()).map(|[b]| b))
                .collect();
            return match bytes {
                Some(bytes) if rest.is_empty() => Ok(Self(bytes)),
                _ => Err(serde::de::Error::custom("expected hexadecimal digits")),
            };
        }
        deserializer.deserialize_byte_buf(ByteBufVisitor).map(Self)
    }
}

struct ByteBufVisitor;

impl serde::de::Visitor<'_> for ByteBufVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a byte string")
    }

    fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn only_the_canonical_bytes_decode() {
        let map = BTreeMap::from([(1_u16, Blob(vec![7])), (2, Blob(vec![]))]);
        let good = encode(&map);
        assert_eq!(good, [2, 1, 1, 7, 2, 0]);
        assert_eq!(decode::<BTreeMap<u16, Blob>>(&good, 64), Ok(map));
        let cases: [(&[u8], CodecFault); 6] = [
            (&[2, 2, 0, 1, 1, 7], CodecFault::NotCanonical),
            (&[2, 1, 1, 7, 1, 1, 7], CodecFault::NotCanonical),
            (&[251, 2, 0, 1, 1, 7, 2, 0], CodecFault::NotCanonical),
            (&[2, 1, 1, 7, 2, 0, 0], CodecFault::Trailing),
            (&[2, 1, 1, 7, 2], CodecFault::Malformed),
            (&[253, 255, 255, 255, 255, 255, 255, 255, 255], CodecFault::Malformed),
        ];
        for (bytes, fault) in cases {
            assert_eq!(decode::<BTreeMap<u16, Blob>>(bytes, 64), Err(fault), "{bytes:?}");
        }
        assert_eq!(decode::<BTreeMap<u16, Blob>>(&good, 5), Err(CodecFault::TooLong { max: 5 }));
    }
}
