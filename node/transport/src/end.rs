//! How connections and streams end, and what a connection measures: the same words over QUIC and over TCP.

use std::fmt;
use std::time::Duration;

use quinn::VarInt;

use crate::limits::CLOSE_REASON_BYTES_MAX;

/// Why a connection is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// The peer closed it. Its reason is cut to printable ASCII.
    Peer {
        /// The peer's code.
        code: u32,
        /// The peer's words, for the operator's log.
        reason: String,
    },
    /// The peer broke QUIC, TLS or the multiplexer's rules, or says that this side did.
    Protocol,
    /// The peer has no such connection any more: it restarted.
    Reset,
    /// Nothing was heard for [`crate::limits::IDLE_TIMEOUT`].
    TimedOut,
    /// The network ended it without a word of the peer.
    Lost,
    /// This side closed it.
    Local,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer { code, reason } if reason.is_empty() => {
                write!(f, "the peer closed the connection, code {code}")
            }
            Self::Peer { code, reason } => write!(f, "the peer closed the connection, code {code}: {reason}"),
            Self::Protocol => f.write_str("the connection ended by a violation of its transport's rules"),
            Self::Reset => f.write_str("the peer no longer knows the connection"),
            Self::TimedOut => f.write_str("the peer fell silent"),
            Self::Lost => f.write_str("the network ended the connection"),
            Self::Local => f.write_str("this side closed the connection"),
        }
    }
}

impl std::error::Error for Closed {}

impl From<quinn::ConnectionError> for Closed {
    fn from(error: quinn::ConnectionError) -> Self {
        use quinn::ConnectionError as Quic;
        match error {
            Quic::ApplicationClosed(close) => {
                Self::Peer { code: code_of(close.error_code), reason: printable(&close.reason) }
            }
            Quic::VersionMismatch | Quic::TransportError(_) | Quic::ConnectionClosed(_) => Self::Protocol,
            Quic::Reset => Self::Reset,
            Quic::TimedOut => Self::TimedOut,
            Quic::LocallyClosed => Self::Local,
            Quic::CidsExhausted => Self::Lost,
        }
    }
}

/// Why a stream cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamError {
    /// The peer gave up sending.
    Reset {
        /// The peer's code; 0 when it gave none.
        code: u32,
    },
    /// The peer wants no more bytes.
    Stopped {
        /// The peer's code; 0 when it gave none.
        code: u32,
    },
    /// The peer finished the stream before the bytes that were due.
    EndedEarly,
    /// The whole connection is over.
    Closed(Closed),
    /// A write after the stream's end, or a read after a stop: a bug of the caller.
    Misused,
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset { code } => write!(f, "the peer gave up the stream, code {code}"),
            Self::Stopped { code } => write!(f, "the peer stopped the stream, code {code}"),
            Self::EndedEarly => f.write_str("the stream ended before the bytes that were due"),
            Self::Closed(_) => f.write_str("the stream's connection is over"),
            Self::Misused => f.write_str("the stream was already finished on this side"),
        }
    }
}

impl std::error::Error for StreamError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Closed(closed) => Some(closed),
            Self::Reset { .. } | Self::Stopped { .. } | Self::EndedEarly | Self::Misused => None,
        }
    }
}

impl From<quinn::WriteError> for StreamError {
    fn from(error: quinn::WriteError) -> Self {
        match error {
            quinn::WriteError::Stopped(code) => Self::Stopped { code: code_of(code) },
            quinn::WriteError::ConnectionLost(lost) => Self::Closed(lost.into()),
            quinn::WriteError::ClosedStream | quinn::WriteError::ZeroRttRejected => Self::Misused,
        }
    }
}

impl From<quinn::ReadError> for StreamError {
    fn from(error: quinn::ReadError) -> Self {
        use quinn::ReadError as Quic;
        match error {
            Quic::Reset(code) => Self::Reset { code: code_of(code) },
            Quic::ConnectionLost(lost) => Self::Closed(lost.into()),
            Quic::ClosedStream | Quic::IllegalOrderedRead | Quic::ZeroRttRejected => Self::Misused,
        }
    }
}

/// What a connection measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// The round trip; `None` over TCP until the first answer to a keep-alive.
    pub rtt: Option<Duration>,
    /// The largest UDP payload that the path is known to carry; `None` over TCP.
    pub path_mtu_bytes: Option<u16>,
    /// Bytes sent: UDP payloads over QUIC, stream payload over TCP.
    pub sent_bytes: u64,
    /// Bytes received, counted alike.
    pub received_bytes: u64,
}

/// A peer's QUIC code as ours: codes above 32 bits are no code of the protocol.
fn code_of(code: VarInt) -> u32 {
    u32::try_from(code.into_inner()).unwrap_or(u32::MAX)
}

/// A peer's reason, so that a terminal and a log can show it.
pub(crate) fn printable(reason: &[u8]) -> String {
    let shown = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    reason.iter().take(CLOSE_REASON_BYTES_MAX).filter(|byte| shown(byte)).map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_reason_is_cut_to_what_a_terminal_can_show() {
        assert_eq!(printable(b"not \x1b[2Jknown\n\xff"), "not [2Jknown");
        assert_eq!(printable(&[b'x'; 1000]).len(), CLOSE_REASON_BYTES_MAX);
    }
}
