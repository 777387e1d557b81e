//! How bytes travel to a peer, and why they do not.

use std::time::Duration;
use std::{fmt, io};

use crate::address::HostPort;
use crate::proxy::ProxyError;

/// How bytes travel to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// QUIC over UDP.
    Quic,
    /// TLS over TCP.
    Tcp,
    /// TLS over TCP through an HTTP CONNECT proxy.
    Proxy {
        /// The proxy.
        addr: HostPort,
    },
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quic => f.write_str("quic"),
            Self::Tcp => f.write_str("tcp"),
            Self::Proxy { addr } => write!(f, "proxy {addr}"),
        }
    }
}

/// Why a dial failed: first what the peer or something between caused, then the network, then this node.
#[derive(Debug)]
pub enum DialError {
    /// Another key than the expected one, or a certificate: not this peer.
    WrongKey,
    /// The peer speaks none of our protocols, or not this one.
    NoCommonProtocol,
    /// The peer refused the handshake.
    Refused,
    /// Something answered that does not speak TLS 1.3 or QUIC as a node does.
    NotTls,
    /// The proxy did not connect.
    Proxy {
        /// Why.
        source: ProxyError,
    },
    /// The name has no address.
    Unresolved {
        /// What the resolver says; `None` when it found nothing.
        source: Option<io::Error>,
    },
    /// The network led to no answer.
    Unreachable {
        /// What the system says.
        source: io::Error,
    },
    /// No answer in time.
    TimedOut {
        /// The time it had.
        deadline: Duration,
    },
    /// The transport is closed: a bug of the caller, or the node stops.
    Stopped,
}

impl DialError {
    /// Whether another route to the same peer may do better: nobody at the other end has spoken as a node.
    pub fn another_route_may_help(&self) -> bool {
        match self {
            Self::NotTls | Self::Proxy { .. } | Self::Unreachable { .. } | Self::TimedOut { .. } => true,
            Self::WrongKey | Self::NoCommonProtocol | Self::Refused | Self::Unresolved { .. } | Self::Stopped => false,
        }
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongKey => {
                f.write_str("the peer's key is not the expected one: a proxy that intercepts TLS is refused by design")
            }
            Self::NoCommonProtocol => f.write_str("the peer does not speak the protocol asked for"),
            Self::Refused => f.write_str("the peer refused the handshake"),
            Self::NotTls => f.write_str("what answered is not a node"),
            Self::Proxy { .. } => f.write_str("the proxy did not connect"),
            Self::Unresolved { .. } => f.write_str("the peer's name has no address"),
            Self::Unreachable { .. } => f.write_str("the peer cannot be reached"),
            Self::TimedOut { deadline } => write!(f, "the peer did not answer within {deadline:?}"),
            Self::Stopped => f.write_str("this node's transport is closed"),
        }
    }
}

impl std::error::Error for DialError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Proxy { source } => Some(source),
            Self::Unresolved { source: Some(source) } | Self::Unreachable { source } => Some(source),
            Self::WrongKey
            | Self::NoCommonProtocol
            | Self::Refused
            | Self::NotTls
            | Self::Unresolved { source: None }
            | Self::TimedOut { .. }
            | Self::Stopped => None,
        }
    }
}

/// No route led to the peer: each one tried, in order, and why it failed.
#[derive(Debug)]
pub struct NoRoute {
    /// At least one attempt.
    pub attempts: Vec<(Route, DialError)>,
}

impl fmt::Display for NoRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no route leads to the peer")?;
        self.attempts.iter().try_for_each(|(route, error)| write!(f, "; {route}: {error}"))
    }
}

impl std::error::Error for NoRoute {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.attempts.last().map(|(_, error)| error as _)
    }
}
