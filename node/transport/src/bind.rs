//! A node's endpoint: the UDP and TCP sockets it listens and dials with, and its TLS identity.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use cohortium_protocol::limits::HANDSHAKE_DEADLINE;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, VarInt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accept::{self, Door, Gate};
use crate::identity::{Admission, TlsIdentity};
use crate::limits;
use crate::stream::Connection;

/// How long a graceful close waits for peers to hear it.
const CLOSE_DEADLINE: Duration = Duration::from_secs(3);

/// What a transport is made of.
#[expect(missing_debug_implementations, reason = "holds a secret key")]
pub struct TransportConfig {
    /// Where QUIC listens; `None` for a node that only dials.
    pub listen_udp: Option<SocketAddr>,
    /// Where TLS over TCP listens; `None` for a node that only dials.
    pub listen_tcp: Option<SocketAddr>,
    /// The node's key.
    pub identity: TlsIdentity,
    /// Who may connect.
    pub admission: Arc<dyn Admission>,
}

/// Why a transport cannot listen. All are for the operator of this node.
#[derive(Debug)]
pub enum BindError {
    /// The UDP socket.
    Udp {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The TCP socket.
    Tcp {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp { addr, .. } => write!(f, "cannot listen on UDP {addr}"),
            Self::Tcp { addr, .. } => write!(f, "cannot listen on TCP {addr}"),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Udp { source, .. } | Self::Tcp { source, .. } => Some(source),
        }
    }
}

/// A node's endpoint. Clones share it.
#[derive(Clone)]
pub struct Transport(Arc<Inner>);

struct Inner {
    identity: RwLock<TlsIdentity>,
    server_tls: Arc<RwLock<Arc<rustls::ServerConfig>>>,
    listener: Option<Endpoint>,
    /// Endpoints that only dial, made when first needed: IPv4, IPv6.
    diallers: Mutex<[Option<Endpoint>; 2]>,
    udp_addr: Option<SocketAddr>,
    tcp_addr: Option<SocketAddr>,
    accepted: tokio::sync::Mutex<mpsc::Receiver<Connection>>,
    door: Door,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("udp", &self.0.udp_addr)
            .field("tcp", &self.0.tcp_addr)
            .finish_non_exhaustive()
    }
}

impl Transport {
    /// Opens the sockets and starts to listen. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`BindError`]; nothing is left open.
    pub async fn bind(config: TransportConfig) -> Result<Self, BindError> {
        Self::bind_with(config, limits::duration(HANDSHAKE_DEADLINE)).await
    }

    pub(crate) async fn bind_with(config: TransportConfig, deadline: Duration) -> Result<Self, BindError> {
        let tls = config.identity.server_config();
        let tcp = match config.listen_tcp {
            Some(addr) => {
                let listener = TcpListener::bind(addr).await.map_err(|source| BindError::Tcp { addr, source })?;
                let bound = listener.local_addr().map_err(|source| BindError::Tcp { addr, source })?;
                Some((listener, bound))
            }
            None => None,
        };
        let listener = match config.listen_udp {
            Some(addr) => {
                let udp = |source| BindError::Udp { addr, source };
                let endpoint = udp_endpoint(addr, &config.identity, Some(quic_server(&tls))).map_err(udp)?;
                let bound = endpoint.local_addr().map_err(udp)?;
                Some((endpoint, bound))
            }
            None => None,
        };
        let (accepted_tx, accepted) = mpsc::channel(limits::ACCEPTED_MAX);
        let door = Door {
            admission: config.admission,
            accepted: accepted_tx,
            deadline,
            gate: Gate::new(),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let server_tls = Arc::new(RwLock::new(Arc::new(tls)));
        let tcp_addr = tcp.as_ref().map(|(_, bound)| *bound);
        if let Some((endpoint, _)) = &listener {
            door.tasks.spawn(accept::quic(endpoint.clone(), door.clone()));
        }
        if let Some((socket, _)) = tcp {
            door.tasks.spawn(accept::tcp(socket, Arc::clone(&server_tls), door.clone()));
        }
        Ok(Self(Arc::new(Inner {
            identity: RwLock::new(config.identity),
            server_tls,
            udp_addr: listener.as_ref().map(|(_, bound)| *bound),
            listener: listener.map(|(endpoint, _)| endpoint),
            diallers: Mutex::default(),
            tcp_addr,
            accepted: tokio::sync::Mutex::new(accepted),
            door,
        })))
    }

    /// Where QUIC listens.
    pub fn local_udp(&self) -> Option<SocketAddr> {
        self.0.udp_addr
    }

    /// Where TLS over TCP listens.
    pub fn local_tcp(&self) -> Option<SocketAddr> {
        self.0.tcp_addr
    }

    /// The next admitted connection, of either kind; `None` once the transport is closed.
    pub async fn accept(&self) -> Option<Connection> {
        tokio::select! {
            biased;
            () = self.0.door.shutdown.cancelled() => None,
            next = async { self.0.accepted.lock().await.recv().await } => next,
        }
    }

    /// Takes a new TLS key, for a new node record. Connections that stand keep the key they were made with.
    pub fn rebind(&self, identity: TlsIdentity) {
        let tls = identity.server_config();
        if let Some(listener) = &self.0.listener {
            listener.set_server_config(Some(quic_server(&tls)));
        }
        *self.0.server_tls.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tls);
        *self.0.identity.write().unwrap_or_else(PoisonError::into_inner) = identity;
    }

    /// Closes every connection with code 0, tells the peers, and stops listening. Takes at most a few seconds.
    pub async fn close(&self) {
        self.0.door.shutdown.cancel();
        let dialled = self.0.diallers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let endpoints: Vec<Endpoint> =
            self.0.listener.clone().into_iter().chain(dialled.into_iter().flatten()).collect();
        for endpoint in &endpoints {
            endpoint.close(VarInt::from_u32(0), b"the node stops");
        }
        self.0.door.tasks.close();
        let idle = async {
            for endpoint in &endpoints {
                endpoint.wait_idle().await;
            }
            self.0.door.tasks.wait().await;
        };
        if timeout(CLOSE_DEADLINE, idle).await.is_err() {
            tracing::debug!("a peer did not hear the close in time");
        }
    }

    /// Whether [`Transport::close`] was called.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.door.shutdown.is_cancelled()
    }

    pub(crate) fn identity(&self) -> TlsIdentity {
        self.0.identity.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn watch(&self, connection: &Connection) {
        self.0.door.watch(connection);
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.0.door.deadline
    }

    /// The endpoint that reaches `remote`: the listener's own socket where the address family allows it.
    pub(crate) fn dialler(&self, remote: SocketAddr) -> io::Result<Endpoint> {
        if let (Some(endpoint), Some(bound)) = (&self.0.listener, self.0.udp_addr)
            && bound.is_ipv4() == remote.is_ipv4()
            && (!bound.ip().is_loopback() || remote.ip().is_loopback())
        {
            return Ok(endpoint.clone());
        }
        let mut diallers = self.0.diallers.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = &mut diallers[usize::from(remote.is_ipv6())];
        if let Some(endpoint) = slot {
            return Ok(endpoint.clone());
        }
        let any = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let endpoint = udp_endpoint(SocketAddr::new(any, 0), &self.identity(), None)?;
        Ok(slot.insert(endpoint).clone())
    }
}

fn quic_server(tls: &rustls::ServerConfig) -> quinn::ServerConfig {
    let crypto = QuicServerConfig::try_from(tls.clone()).expect("the provider has QUIC's first cipher suite");
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    limits::quic_listener(&mut config);
    config
}

fn udp_endpoint(addr: SocketAddr, identity: &TlsIdentity, server: Option<quinn::ServerConfig>) -> io::Result<Endpoint> {
    let socket = UdpSocket::bind(addr)?;
    limits::enlarge_buffers(&socket2::SockRef::from(&socket));
    // Who only dials gets another port with each start, so nobody asks it about what it forgot; and two sockets with one
    // secret would tell each other's reset tokens.
    let config = if server.is_some() { identity.restart().endpoint() } else { quinn::EndpointConfig::default() };
    let config = limits::quic_endpoint(config);
    Endpoint::new(config, server, socket, Arc::new(quinn::TokioRuntime))
}
