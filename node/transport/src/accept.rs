//! The listener's side: who gets a handshake, its deadline, and the question to [`Admission`] right behind it.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use cohortium_protocol::code::ErrorCode;
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::fallback;
use crate::identity::{self, Admission, Alpn};
use crate::limits::{HANDSHAKES_MAX, HANDSHAKES_PER_ADDRESS_MAX};
use crate::stream::Connection;

/// What both listeners of a transport share.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) admission: Arc<dyn Admission>,
    pub(crate) accepted: mpsc::Sender<Connection>,
    pub(crate) deadline: Duration,
    pub(crate) gate: Gate,
    pub(crate) shutdown: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Door {
    /// Carries one handshake to its end within the deadline, asks for admission and hands the connection on.
    async fn greet(&self, handshake: impl Future<Output = Option<Connection>>) {
        let connection = tokio::select! {
            done = timeout(self.deadline, handshake) => done.ok().flatten(),
            () = self.shutdown.cancelled() => None,
        };
        let Some(connection) = connection else { return };
        if !self.admission.admits(connection.alpn(), &connection.peer_key()) {
            connection.close(u32::from(ErrorCode::IdentityRefused.code()), "the key is not admitted");
            return;
        }
        self.watch(&connection);
        // A full queue holds this handshake's place, so that no more arrive than the node takes. An error is a node that stops.
        let _ = self.accepted.send(connection).await;
    }

    /// Closes a TCP connection when the transport closes, as a QUIC endpoint does by itself.
    pub(crate) fn watch(&self, connection: &Connection) {
        if let Some(ending) = connection.ending(self.shutdown.clone()) {
            self.tasks.spawn(ending);
        }
    }
}

/// Takes QUIC handshakes until the endpoint closes.
pub(crate) async fn quic(endpoint: quinn::Endpoint, door: Door) {
    while let Some(incoming) = endpoint.accept().await {
        // An address that has not shown that it receives costs one small packet, never a handshake.
        if !incoming.remote_address_validated() {
            let _ = incoming.retry();
            continue;
        }
        let Some(ticket) = door.gate.enter(incoming.remote_address().ip()) else {
            incoming.refuse();
            continue;
        };
        let Ok(connecting) = incoming.accept() else { continue };
        let door = door.clone();
        door.tasks.clone().spawn(async move {
            door.greet(async { connecting.await.ok().and_then(quic_connection) }).await;
            drop(ticket);
        });
    }
}

fn quic_connection(quic: quinn::Connection) -> Option<Connection> {
    let (peer, alpn) = quic_identity(&quic)?;
    Some(Connection::quic(quic, peer, alpn))
}

/// The key and protocol of a finished QUIC handshake.
pub(crate) fn quic_identity(quic: &quinn::Connection) -> Option<(cohortium_protocol::key::pair::PublicKey, Alpn)> {
    let chain = quic.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    let data = quic.handshake_data()?.downcast::<quinn::crypto::rustls::HandshakeData>().ok()?;
    Some((identity::peer_key(Some(&chain))?, Alpn::from_bytes(&data.protocol?)?))
}

/// Takes TCP connections until the transport closes.
pub(crate) async fn tcp(listener: TcpListener, config: Arc<RwLock<Arc<rustls::ServerConfig>>>, door: Door) {
    loop {
        let next = tokio::select! {
            next = listener.accept() => next,
            () = door.shutdown.cancelled() => return,
        };
        match next {
            Ok((socket, remote)) => {
                let config = Arc::clone(&config.read().unwrap_or_else(PoisonError::into_inner));
                tcp_handshake(socket, remote, config, &door);
            }
            Err(error) => {
                // Most often no file descriptor is left: a pause, or this loop takes a whole core.
                tracing::warn!(%error, "a TCP connection was not taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn tcp_handshake(socket: TcpStream, remote: SocketAddr, config: Arc<rustls::ServerConfig>, door: &Door) {
    let Some(ticket) = door.gate.enter(remote.ip()) else { return };
    let door = door.clone();
    door.tasks.clone().spawn(async move {
        door.greet(fallback::accept(socket, remote, config)).await;
        drop(ticket);
    });
}

/// Counts handshakes that run, in all and by address.
#[derive(Clone)]
pub(crate) struct Gate {
    places: Arc<Semaphore>,
    by_address: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(HANDSHAKES_MAX)), by_address: Arc::default() }
    }

    /// A ticket for one handshake of this address; `None` when it has as many as it may, or all have together. Nobody
    /// waits here: a loop that waits for a place would be stopped by whoever holds one.
    fn enter(&self, address: IpAddr) -> Option<Ticket> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let site = site(address);
        let mut counts = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(site).or_insert(0);
        if *count >= HANDSHAKES_PER_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(Ticket { site, by_address: Arc::clone(&self.by_address), _place: place })
    }
}

/// Gives the address's place back when dropped.
struct Ticket {
    site: IpAddr,
    by_address: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
    _place: OwnedSemaphorePermit,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut counts = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.site) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.site);
            }
        }
    }
}

/// One sender's address: in IPv6 a site has a whole /64.
fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn one_address_cannot_take_every_handshake() {
        let gate = Gate::new();
        let (one, two) = ("2001:db8::1".parse().unwrap(), "2001:db8:0:1::1".parse().unwrap());
        let mut tickets: Vec<_> = (0..HANDSHAKES_PER_ADDRESS_MAX).map(|_| gate.enter(one).unwrap()).collect();
        assert!(gate.enter(one).is_none() && gate.enter("2001:db8::2".parse().unwrap()).is_none());
        assert!(gate.enter(two).is_some());
        tickets.pop();
        assert!(gate.enter(one).is_some());
        tickets.clear();
        assert!(gate.by_address.lock().unwrap().is_empty());
    }

    #[test]
    fn a_full_gate_refuses_at_once_and_keeps_no_count_of_the_refused() {
        let gate = Gate::new();
        let host = |n: usize| IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(0x0a00_0000 + n).unwrap()));
        let tickets: Vec<_> = (0..HANDSHAKES_MAX).map(|n| gate.enter(host(n)).unwrap()).collect();
        assert!(gate.enter(host(HANDSHAKES_MAX)).is_none());
        assert_eq!(gate.by_address.lock().unwrap().len(), HANDSHAKES_MAX);
        drop(tickets);
        assert!(gate.enter(host(HANDSHAKES_MAX)).is_some());
    }
}
