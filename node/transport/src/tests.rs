//! Two transports on loopback: what must work on both routes, and what must be refused.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cohortium_protocol::key::pair::PublicKey;
use tokio::time::timeout;

use crate::bind::{Transport, TransportConfig};
use crate::dial::{AnyTarget, DialTarget};
use crate::end::Closed;
use crate::identity::{Admission, Alpn, TlsIdentity};
use crate::route::Route;
use crate::stream::Connection;

mod refusals;
mod routes;
mod streams;

/// Admits what a closure says.
struct Admit<F>(F);

impl<F: Fn(Alpn, &PublicKey) -> bool + Send + Sync> Admission for Admit<F> {
    fn admits(&self, alpn: Alpn, key: &PublicKey) -> bool {
        (self.0)(alpn, key)
    }
}

fn identity(seed: u8) -> TlsIdentity {
    TlsIdentity::from_seed(&[seed; 32])
}

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

async fn listener_that(admit: impl Fn(Alpn, &PublicKey) -> bool + Send + Sync + 'static) -> Transport {
    listener_with(admit, Duration::from_secs(10)).await
}

async fn listener_with(
    admit: impl Fn(Alpn, &PublicKey) -> bool + Send + Sync + 'static,
    deadline: Duration,
) -> Transport {
    let config = TransportConfig {
        listen_udp: Some(loopback()),
        listen_tcp: Some(loopback()),
        identity: identity(1),
        admission: Arc::new(Admit(admit)),
    };
    Transport::bind_with(config, deadline).await.unwrap()
}

/// A node that only dials.
async fn dialler(seed: u8) -> Transport {
    let admission = Arc::new(Admit(|_, _: &PublicKey| false));
    let config = TransportConfig { listen_udp: None, listen_tcp: None, identity: identity(seed), admission };
    Transport::bind(config).await.unwrap()
}

fn target(listener: &Transport, route: Route) -> DialTarget {
    let addr = match route {
        Route::Quic => listener.local_udp(),
        Route::Tcp | Route::Proxy { .. } => listener.local_tcp(),
    };
    DialTarget { addr: addr.unwrap().into(), peer_key: identity(1).public_key(), alpn: Alpn::Member, route }
}

fn any_target(listener: &Transport) -> AnyTarget {
    AnyTarget {
        udp: listener.local_udp().unwrap().into(),
        tcp: listener.local_tcp().unwrap().into(),
        peer_key: identity(1).public_key(),
        alpn: Alpn::Member,
        proxy: None,
    }
}

/// Both ends of one connection, and the transports that keep it.
struct Pair {
    ours: Connection,
    theirs: Connection,
    dialler: Transport,
    listener: Transport,
}

async fn pair(route: Route) -> Pair {
    let (listener, dialler) = (listener_that(|_, _| true).await, dialler(2).await);
    let ours = dialler.dial(&target(&listener, route)).await.unwrap();
    let theirs = soon(listener.accept()).await.unwrap();
    Pair { ours, theirs, dialler, listener }
}

/// Both kinds of connection.
const ROUTES: [Route; 2] = [Route::Quic, Route::Tcp];

/// No test waits forever.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.expect("within ten seconds")
}

fn closed_by_peer(closed: &Closed, code: u32) -> bool {
    matches!(closed, Closed::Peer { code: theirs, .. } if *theirs == code)
}
