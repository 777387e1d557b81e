//! What `doctor` asks: which routes lead to a peer, how far it is, and how large a packet may be.

use std::time::{Duration, Instant};

use cohortium_protocol::key::pair::PublicKey;
use tokio::time::timeout;

use crate::address::HostPort;
use crate::bind::Transport;
use crate::dial::{DialTarget, tcp_socket};
use crate::identity::Alpn;
use crate::limits::QUIC_TRY;
use crate::route::{DialError, Route};
use crate::stream::Connection;

/// How long the search for the path's largest packet may take.
const SETTLE: Duration = Duration::from_millis(1500);
const STEP: Duration = Duration::from_millis(100);
/// Steps without change after which the search counts as done.
const QUIET_STEPS: u32 = 4;

/// Whom to probe.
#[derive(Debug, Clone)]
pub struct ProbeTarget {
    /// Where the peer listens for QUIC.
    pub udp: HostPort,
    /// Where the peer listens for TLS over TCP.
    pub tcp: HostPort,
    /// The peer's key.
    pub peer_key: PublicKey,
    /// The protocol of the handshakes.
    pub alpn: Alpn,
    /// The proxy of this network, if there is one.
    pub proxy: Option<HostPort>,
}

/// What one route gave.
#[derive(Debug)]
pub enum Reach {
    /// A whole handshake with the right peer.
    Peer {
        /// The round trip: of packets over QUIC, of the TCP connection's opening otherwise.
        rtt: Duration,
        /// From the first packet to the end of the handshake.
        handshake: Duration,
        /// The largest UDP payload; `None` over TCP.
        path_mtu_bytes: Option<u16>,
    },
    /// Something answered, but no handshake came of it.
    Answered(DialError),
    /// Nothing answered.
    Silent(DialError),
}

/// What every route gave.
#[derive(Debug)]
pub struct ProbeReport {
    /// QUIC.
    pub udp: Reach,
    /// TLS over TCP.
    pub tcp: Reach,
    /// TLS through the proxy; `None` when there is none.
    pub proxy: Option<Reach>,
}

impl Transport {
    /// Tries each route once, one after the other; takes at most a few seconds a route. The peer sees connections that
    /// close with code 0 before their first stream.
    pub async fn probe(&self, target: &ProbeTarget) -> ProbeReport {
        let udp = self.probe_route(target, Route::Quic).await;
        let tcp = self.probe_route(target, Route::Tcp).await;
        let proxy = match &target.proxy {
            Some(addr) => Some(self.probe_route(target, Route::Proxy { addr: addr.clone() }).await),
            None => None,
        };
        ProbeReport { udp, tcp, proxy }
    }

    async fn probe_route(&self, target: &ProbeTarget, route: Route) -> Reach {
        let (addr, opened_at) = match &route {
            Route::Quic => (&target.udp, None),
            Route::Tcp => (&target.tcp, Some(&target.tcp)),
            Route::Proxy { addr } => (&target.tcp, Some(addr)),
        };
        let opening = match opened_at {
            Some(at) => tcp_opening(at).await,
            None => None,
        };
        let dial = DialTarget { addr: addr.clone(), peer_key: target.peer_key, alpn: target.alpn, route };
        let started = Instant::now();
        match self.dial_within(&dial, QUIC_TRY.min(self.deadline())).await {
            Ok(connection) => {
                let handshake = started.elapsed();
                let path_mtu_bytes = settled_mtu(&connection).await;
                let rtt = opening.or(connection.stats().rtt).unwrap_or(handshake);
                connection.close(0, "probed");
                Reach::Peer { rtt, handshake, path_mtu_bytes }
            }
            Err(error) => match &error {
                DialError::WrongKey
                | DialError::NoCommonProtocol
                | DialError::Refused
                | DialError::NotTls
                | DialError::Proxy { .. } => Reach::Answered(error),
                DialError::Unresolved { .. }
                | DialError::Unreachable { .. }
                | DialError::TimedOut { .. }
                | DialError::Stopped => Reach::Silent(error),
            },
        }
    }
}

/// The time of TCP's own handshake.
async fn tcp_opening(addr: &HostPort) -> Option<Duration> {
    let started = Instant::now();
    let socket = timeout(QUIC_TRY, tcp_socket(addr)).await.ok()?.ok()?;
    let opening = started.elapsed();
    drop(socket);
    Some(opening)
}

/// The largest packet once it has stopped growing; `None` over TCP.
async fn settled_mtu(connection: &Connection) -> Option<u16> {
    let started = Instant::now();
    let mut mtu = connection.stats().path_mtu_bytes?;
    let mut quiet = 0;
    while quiet < QUIET_STEPS && started.elapsed() < SETTLE {
        tokio::time::sleep(STEP).await;
        let now = connection.stats().path_mtu_bytes?;
        quiet = if now == mtu { quiet + 1 } else { 0 };
        mtu = now;
    }
    Some(mtu)
}
