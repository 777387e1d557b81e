//! Connections between nodes: QUIC, and TLS over TCP where UDP is dropped.
//!
//! This package knows keys and protocols (ALPNs), and moves frames and raw bytes. It knows no message and no record: who may
//! speak is asked of [`Admission`], what is said is for the sessions of `cohortium-protocol`.
//!
//! Read [`bind`] for a node's endpoint, [`stream`] for a connection, [`frame`] for messages.

mod restart;
pub mod identity;
pub mod limits;
pub mod address;
pub mod proxy;
pub mod route;
pub mod end;
mod mux;
pub mod stream;
pub mod frame;
mod fallback;
mod accept;
pub mod bind;
pub mod dial;
pub mod probe;

pub use crate::address::HostPort;
pub use crate::bind::{Transport, TransportConfig};
pub use crate::dial::{AnyTarget, DialTarget};
pub use crate::end::{Closed, StreamError};
pub use crate::identity::{Admission, Alpn, TlsIdentity};
pub use crate::route::{DialError, NoRoute, Route};
pub use crate::stream::{Connection, RecvHalf, SendHalf};

#[cfg(test)]
mod tests;
