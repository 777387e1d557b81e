//! Dialling a node: one route, or the first of QUIC, TCP and a proxy that leads to it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cohortium_protocol::key::pair::PublicKey;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ConnectError, ConnectionError};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::accept::quic_identity;
use crate::address::HostPort;
use crate::bind::Transport;
use crate::fallback::{self, Expected};
use crate::identity::{Alpn, KeyRefused, SERVER_NAME};
use crate::limits::{self, QUIC_TRY};
use crate::proxy;
use crate::route::{DialError, NoRoute, Route};
use crate::stream::Connection;

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

/// Whom to dial, and how.
#[derive(Debug, Clone)]
pub struct DialTarget {
    /// Where the peer listens.
    pub addr: HostPort,
    /// The one key it must show.
    pub peer_key: PublicKey,
    /// The protocol to speak.
    pub alpn: Alpn,
    /// The route.
    pub route: Route,
}

/// Whom to dial by whatever route leads there.
#[derive(Debug, Clone)]
pub struct AnyTarget {
    /// Where the peer listens for QUIC.
    pub udp: HostPort,
    /// Where the peer listens for TLS over TCP; most often the same.
    pub tcp: HostPort,
    /// The one key it must show.
    pub peer_key: PublicKey,
    /// The protocol to speak.
    pub alpn: Alpn,
    /// The proxy of this network, if there is one.
    pub proxy: Option<HostPort>,
}

impl Transport {
    /// Dials by one route. With TLS 1.3 this succeeds before the peer has refused this node's key: such a refusal is seen
    /// as [`Connection::closed`], so nothing may be sent before the peer has spoken.
    ///
    /// # Errors
    /// [`DialError`].
    pub async fn dial(&self, target: &DialTarget) -> Result<Connection, DialError> {
        self.dial_within(target, self.deadline()).await
    }

    /// Tries QUIC for a few seconds, then TCP, then the proxy; [`Connection::route`] says which one it was. A peer that
    /// answers and refuses ends the search.
    ///
    /// # Errors
    /// [`NoRoute`] with every attempt.
    pub async fn dial_any(&self, target: &AnyTarget) -> Result<Connection, NoRoute> {
        let mut routes = vec![Route::Quic, Route::Tcp];
        routes.extend(target.proxy.clone().map(|addr| Route::Proxy { addr }));
        let mut attempts = Vec::new();
        for route in routes {
            let (addr, deadline) = match &route {
                Route::Quic => (&target.udp, QUIC_TRY.min(self.deadline())),
                Route::Tcp | Route::Proxy { .. } => (&target.tcp, self.deadline()),
            };
            let one =
                DialTarget { addr: addr.clone(), peer_key: target.peer_key, alpn: target.alpn, route: route.clone() };
            match self.dial_within(&one, deadline).await {
                Ok(connection) => return Ok(connection),
                Err(error) => {
                    let go_on = error.another_route_may_help();
                    // A network behind a proxy often resolves no outside names itself.
                    let go_on = go_on || (target.proxy.is_some() && matches!(error, DialError::Unresolved { .. }));
                    attempts.push((route, error));
                    if !go_on {
                        break;
                    }
                }
            }
        }
        Err(NoRoute { attempts })
    }

    pub(crate) async fn dial_within(&self, target: &DialTarget, deadline: Duration) -> Result<Connection, DialError> {
        if self.is_closed() {
            return Err(DialError::Stopped);
        }
        let dialling = async {
            match &target.route {
                Route::Quic => self.dial_quic(target).await,
                Route::Tcp => {
                    let socket = tcp_socket(&target.addr).await?;
                    fallback::dial(socket, &self.expected(target), Route::Tcp).await
                }
                Route::Proxy { addr } => {
                    let mut socket = tcp_socket(addr).await?;
                    let opened = proxy::connect(&mut socket, &target.addr).await;
                    opened.map_err(|source| DialError::Proxy { source })?;
                    fallback::dial(socket, &self.expected(target), target.route.clone()).await
                }
            }
        };
        let connection = timeout(deadline, dialling).await.unwrap_or(Err(DialError::TimedOut { deadline }))?;
        self.watch(&connection);
        Ok(connection)
    }

    fn expected(&self, target: &DialTarget) -> Expected {
        let (config, refused) = self.identity().client_config(&target.peer_key, target.alpn);
        Expected { config: Arc::new(config), refused, peer: target.peer_key, alpn: target.alpn }
    }

    async fn dial_quic(&self, target: &DialTarget) -> Result<Connection, DialError> {
        let mut last = DialError::Unresolved { source: None };
        for remote in resolve(&target.addr).await? {
            let (tls, refused) = self.identity().client_config(&target.peer_key, target.alpn);
            let crypto = QuicClientConfig::try_from(tls).expect("the provider has QUIC's first cipher suite");
            let mut config = quinn::ClientConfig::new(Arc::new(crypto));
            config.transport_config(Arc::new(limits::quic_transport()));
            let endpoint = self.dialler(remote).map_err(|source| DialError::Unreachable { source })?;
            let connecting =
                endpoint.connect_with(config, remote, SERVER_NAME).map_err(|error| connect_error(&error))?;
            match connecting.await {
                Ok(quic) => {
                    let agreed = quic_identity(&quic).is_some_and(|agreed| agreed == (target.peer_key, target.alpn));
                    let connection = Connection::quic(quic, target.peer_key, target.alpn);
                    return if agreed { Ok(connection) } else { Err(DialError::NoCommonProtocol) };
                }
                Err(error) => last = quic_error(error, &refused),
            }
            if !last.another_route_may_help() {
                break;
            }
        }
        Err(last)
    }
}

async fn resolve(addr: &HostPort) -> Result<Vec<SocketAddr>, DialError> {
    let found = tokio::net::lookup_host((addr.host(), addr.port())).await;
    let found: Vec<_> =
        found.map_err(|source| DialError::Unresolved { source: Some(source) })?.take(ADDRESSES_MAX).collect();
    if found.is_empty() { Err(DialError::Unresolved { source: None }) } else { Ok(found) }
}

/// A TCP connection to the first address that takes one.
pub(crate) async fn tcp_socket(addr: &HostPort) -> Result<TcpStream, DialError> {
    let mut last = DialError::Unresolved { source: None };
    for remote in resolve(addr).await? {
        match TcpStream::connect(remote).await {
            Ok(socket) => return Ok(socket),
            Err(source) => last = DialError::Unreachable { source },
        }
    }
    Err(last)
}

fn connect_error(error: &ConnectError) -> DialError {
    match error {
        ConnectError::EndpointStopping => DialError::Stopped,
        ConnectError::CidsExhausted
        | ConnectError::InvalidServerName(_)
        | ConnectError::InvalidRemoteAddress(_)
        | ConnectError::NoDefaultClientConfig
        | ConnectError::UnsupportedVersion => {
            DialError::Unreachable { source: io::Error::from(io::ErrorKind::InvalidInput) }
        }
    }
}

/// A TLS alert as QUIC carries it (RFC 9001, section 4.8).
const CRYPTO_ERROR: u64 = 0x100;
const ALERT_HANDSHAKE_FAILURE: u64 = CRYPTO_ERROR + 40;
const ALERT_NO_APPLICATION_PROTOCOL: u64 = CRYPTO_ERROR + 120;
/// QUIC's own refusal, before any TLS: the listener is busy.
const CONNECTION_REFUSED: u64 = 0x2;

/// Sorts a failed QUIC handshake by who must act.
fn quic_error(error: ConnectionError, refused: &KeyRefused) -> DialError {
    if refused.get() {
        return DialError::WrongKey;
    }
    match error {
        ConnectionError::TransportError(ours) => match u64::from(ours.code) {
            // Raised here when the listener has no raw public key to show.
            ALERT_HANDSHAKE_FAILURE => DialError::WrongKey,
            ALERT_NO_APPLICATION_PROTOCOL => DialError::NoCommonProtocol,
            _ => DialError::NotTls,
        },
        ConnectionError::ConnectionClosed(theirs) => match u64::from(theirs.error_code) {
            ALERT_NO_APPLICATION_PROTOCOL => DialError::NoCommonProtocol,
            CONNECTION_REFUSED => DialError::Unreachable { source: io::ErrorKind::ConnectionRefused.into() },
            _ => DialError::Refused,
        },
        ConnectionError::ApplicationClosed(_) => DialError::Refused,
        ConnectionError::VersionMismatch => DialError::NotTls,
        ConnectionError::Reset => DialError::Unreachable { source: io::ErrorKind::ConnectionReset.into() },
        ConnectionError::TimedOut => DialError::Unreachable { source: io::ErrorKind::TimedOut.into() },
        ConnectionError::LocallyClosed => DialError::Stopped,
        ConnectionError::CidsExhausted => DialError::Unreachable { source: io::ErrorKind::OutOfMemory.into() },
    }
}
