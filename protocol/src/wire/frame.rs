//! The frame: an eight-byte header and one message. Every stream begins with one; a range's bytes follow it raw.
//!
//! ```text
//! 0        2        4                 8
//! | type   | zero   | payload length  | payload ...      all little endian
//! ```

use std::fmt;

use crate::code::MessageType;

/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = 8;

/// A checked header: the type is known and the length is within the type's bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the payload is.
    pub kind: MessageType,
    /// Bytes of the payload.
    pub payload_bytes: usize,
}

/// Why a header is refused, before anything is allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameFault {
    /// A type that this version does not know.
    UnknownType(u16),
    /// The reserved bytes are not zero.
    Reserved,
    /// A payload longer than its type allows.
    TooLong {
        /// The type's bound.
        max: usize,
    },
}

impl fmt::Display for FrameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType(code) => write!(f, "frame type {code} is not known"),
            Self::Reserved => write!(f, "the frame's reserved bytes are not zero"),
            Self::TooLong { max } => write!(f, "the frame's payload is longer than {max} bytes"),
        }
    }
}

impl std::error::Error for FrameFault {}

impl FrameHeader {
    /// Reads a header.
    ///
    /// # Errors
    /// [`FrameFault`]; the stream is then reset, since the next frame's place is not known.
    pub fn parse(bytes: [u8; HEADER_BYTES]) -> Result<Self, FrameFault> {
        let [t0, t1, z0, z1, l0, l1, l2, l3] = bytes;
        let code = u16::from_le_bytes([t0, t1]);
        let kind = MessageType::from_code(code).ok_or(FrameFault::UnknownType(code))?;
        if [z0, z1] != [0, 0] {
            return Err(FrameFault::Reserved);
        }
        let max = kind.payload_bytes_max();
        match usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])) {
            Ok(payload_bytes) if payload_bytes <= max => Ok(Self { kind, payload_bytes }),
            _ => Err(FrameFault::TooLong { max }),
        }
    }
}

/// A whole frame.
///
/// # Panics
/// When the payload is longer than its type allows: the sender's bug, never the peer's.
pub fn frame(kind: MessageType, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() <= kind.payload_bytes_max(), "a message is never longer than its type allows");
    let length = u32::try_from(payload.len()).expect("the bound of every type fits 32 bits");
    let mut bytes = Vec::with_capacity(HEADER_BYTES.saturating_add(payload.len()));
    bytes.extend_from_slice(&kind.code().to_le_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_refused_before_anything_is_allocated() {
        let good = frame(MessageType::Hello, &[0; 5]);
        let header: [u8; 8] = good[..8].try_into().unwrap();
        assert_eq!(FrameHeader::parse(header), Ok(FrameHeader { kind: MessageType::Hello, payload_bytes: 5 }));
        let max = u32::try_from(MessageType::Hello.payload_bytes_max()).unwrap();
        let with_length = |n: u32| {
            let mut bytes = header;
            bytes[4..].copy_from_slice(&n.to_le_bytes());
            FrameHeader::parse(bytes)
        };
        assert!(with_length(max).is_ok());
        assert_eq!(with_length(max + 1), Err(FrameFault::TooLong { max: max as usize }));
        assert_eq!(FrameHeader::parse([0xff, 0xff, 0, 0, 0, 0, 0, 0]), Err(FrameFault::UnknownType(0xffff)));
        let mut reserved = header;
        reserved[2] = 1;
        assert_eq!(FrameHeader::parse(reserved), Err(FrameFault::Reserved));
    }
}
