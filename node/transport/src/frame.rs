//! Frames on a stream: the header's bound is checked before its payload is allocated, and a deadline cuts a slow peer.

use std::fmt;
use std::time::Duration;

use cohortium_protocol::code::MessageType;
use cohortium_protocol::wire::frame::{FrameFault, FrameHeader, HEADER_BYTES, frame};
use tokio::time::timeout;

use crate::end::StreamError;
use crate::stream::{RecvHalf, SendHalf};

/// Why a frame was not read or written. The stream is of no more use then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameError {
    /// The peer's header is refused.
    Header(FrameFault),
    /// The peer did not send or take the frame in time.
    Slow {
        /// The time it had.
        deadline: Duration,
    },
    /// The stream ended or broke.
    Stream(StreamError),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(_) => f.write_str("the peer's frame is refused"),
            Self::Slow { deadline } => write!(f, "the peer took longer than {deadline:?} for a frame"),
            Self::Stream(_) => f.write_str("the stream broke within a frame"),
        }
    }
}

impl std::error::Error for FrameError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Header(fault) => Some(fault),
            Self::Slow { .. } => None,
            Self::Stream(error) => Some(error),
        }
    }
}

/// Reads one frame within `deadline`, counted from this call to the payload's last byte.
///
/// # Errors
/// [`FrameError`]; nothing beyond the header is read or allocated when the header is refused.
pub async fn read_frame(recv: &mut RecvHalf, deadline: Duration) -> Result<(MessageType, Vec<u8>), FrameError> {
    timeout(deadline, read(recv)).await.unwrap_or(Err(FrameError::Slow { deadline }))
}

/// Writes one frame within `deadline`.
///
/// # Errors
/// [`FrameError::Slow`] or [`FrameError::Stream`]; a part of the frame may have been sent.
///
/// # Panics
/// When the payload is longer than its type allows: the caller's bug.
pub async fn write_frame(
    send: &mut SendHalf,
    kind: MessageType,
    payload: &[u8],
    deadline: Duration,
) -> Result<(), FrameError> {
    let bytes = frame(kind, payload);
    match timeout(deadline, send.write_all(&bytes)).await {
        Ok(written) => written.map_err(FrameError::Stream),
        Err(_) => Err(FrameError::Slow { deadline }),
    }
}

async fn read(recv: &mut RecvHalf) -> Result<(MessageType, Vec<u8>), FrameError> {
    let mut header = [0; HEADER_BYTES];
    recv.read_exact(&mut header).await.map_err(FrameError::Stream)?;
    let header = FrameHeader::parse(header).map_err(FrameError::Header)?;
    let mut payload = vec![0; header.payload_bytes];
    recv.read_exact(&mut payload).await.map_err(FrameError::Stream)?;
    Ok((header.kind, payload))
}
