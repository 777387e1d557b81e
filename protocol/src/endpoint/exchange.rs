//! One request: the message that asks, which part of a blob it asks for, and how it ends.

use crate::code::{ErrorCode, MessageType};
use crate::limits::{CONTROL_FRAME_BYTES_MAX, RANGE_BYTES};
use crate::message::transfer::BulkBegin;
use crate::outboard::{Range, outboard_bytes};
use crate::quantity::Bytes;
use crate::record::listing::BlobRef;
use crate::wire::codec;

/// A message: its type and its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub kind: MessageType,
    /// Its encoding.
    pub payload: Vec<u8>,
}

/// How a request of ours ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// One frame came back.
    Message(Message),
    /// A bulk answer was received, verified and stored.
    Stored,
    /// What came was not what the digest says, or not as long: the peer lies or is broken.
    Wrong,
    /// The peer refused with this code.
    Refused(ErrorCode),
    /// The stream or connection ended first, or a deadline passed.
    Lost,
    /// This node could not store it (disk full, write error).
    LocalFault,
}

/// Which part of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its outboard.
    Outboard,
    /// The range that begins here.
    Range(Bytes),
}

impl Part {
    /// The range of `blob` that this is; `None` for an outboard, and for an offset at which no range begins.
    pub fn range_of(self, blob: BlobRef) -> Option<Range> {
        match self {
            Self::Outboard => None,
            Self::Range(offset) => {
                let index = offset.0.checked_div(RANGE_BYTES)?;
                Range::at(blob.bytes.0, index).filter(|range| range.offset == offset.0)
            }
        }
    }

    /// Judges the frame that answers the request for this part of `blob`, before any byte after it is read: the number
    /// of bytes that follow is this node's own knowledge, never the peer's word (spec XFER-2).
    ///
    /// # Errors
    /// The answer that the request ended with: refused, or [`Answer::Wrong`] for another frame or number.
    pub fn begun(self, blob: BlobRef, message: &Message) -> Result<u64, Answer> {
        let (kind, bytes) = match self {
            Self::Outboard => (MessageType::OutboardBegin, outboard_bytes(blob.bytes.0)),
            Self::Range(_) => (MessageType::RangeBegin, self.range_of(blob).ok_or(Answer::Wrong)?.len),
        };
        if message.kind == MessageType::Refused {
            return Err(Answer::Refused(super::code_of(message)));
        }
        let announced = codec::decode::<BulkBegin>(&message.payload, CONTROL_FRAME_BYTES_MAX);
        let as_computed = message.kind == kind && announced == Ok(BulkBegin { bytes: Bytes(bytes) });
        if as_computed { Ok(bytes) } else { Err(Answer::Wrong) }
    }
}
