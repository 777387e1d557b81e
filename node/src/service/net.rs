//! The network: connections that come, and connections that are dialled until they stand, again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cohortium_protocol::code::ErrorCode;
use cohortium_protocol::endpoint::io::{Protocol, Side};
use cohortium_protocol::ident::ConsortiumId;
use cohortium_protocol::key::pair::PublicKey;
use cohortium_store::seal::random;
use cohortium_transport::{Alpn, Connection, DialError, DialTarget, HostPort, Route, Transport};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout};

use crate::config::file::RouteKind;
use crate::config::resolve::Config;
use crate::driver::queue::{Event, NewWire, Queue};
use crate::driver::wires::Wire;
use crate::home::MembershipFile;

/// The first pause after a failed dial; it doubles.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// A connection that stood this long was a good one: the pauses begin anew.
const GOOD: Duration = Duration::from_secs(5);
/// How long one route is tried while there are others.
const ROUTE_TRY: Duration = Duration::from_secs(4);
/// Hospitals that speak the join protocol at the same time.
const JOINS_MAX: usize = 8;
/// How long one of them is heard.
const JOIN_DEADLINE: Duration = Duration::from_secs(30);

/// Connections of one key that stand at the same time: one a consortium, and the one that follows a lost one.
const CONNECTIONS_PER_KEY_MAX: usize = 4;
/// Connections that came and stand at the same time.
const CONNECTIONS_MAX: usize = 1024;

/// Takes connections until the transport is closed.
pub(crate) async fn accept(transport: Transport, queue: Queue) {
    let (joins, guests) = (Arc::new(Semaphore::new(JOINS_MAX)), Guests::default());
    while let Some(connection) = transport.accept().await {
        let Some(guest) = guests.enter(connection.peer_key()) else {
            connection.close(u32::from(ErrorCode::Busy.code()), "too many connections");
            continue;
        };
        match connection.alpn() {
            Alpn::Member => {
                introduce(&queue, connection.clone(), Side::Listener, Protocol::Main, None).await;
                tokio::spawn(async move {
                    connection.closed().await;
                    drop(guest);
                });
            }
            Alpn::Join => {
                let Ok(place) = Arc::clone(&joins).try_acquire_owned() else {
                    connection.close(u32::from(ErrorCode::Busy.code()), "too many are joining");
                    continue;
                };
                introduce(&queue, connection.clone(), Side::Listener, Protocol::Join, None).await;
                tokio::spawn(async move {
                    let since = Instant::now();
                    match timeout(JOIN_DEADLINE, connection.closed()).await {
                        Ok(closed) => {
                            let millis = since.elapsed().as_millis();
                            tracing::debug!(event = "join-ended", %closed, millis);
                        }
                        Err(_) => connection.close(u32::from(ErrorCode::Busy.code()), "joining took too long"),
                    }
                    drop((place, guest));
                });
            }
        }
    }
}

/// Connections that came and stand, by key.
#[derive(Clone, Default)]
struct Guests(Arc<Mutex<BTreeMap<PublicKey, usize>>>);

impl Guests {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<PublicKey, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more; `None` when the key, or all together, have as many as they may.
    fn enter(&self, key: PublicKey) -> Option<Guest> {
        let mut counts = self.lock();
        let of_key = counts.get(&key).copied().unwrap_or(0);
        if of_key >= CONNECTIONS_PER_KEY_MAX || counts.values().sum::<usize>() >= CONNECTIONS_MAX {
            return None;
        }
        counts.insert(key, of_key + 1);
        Some(Guest { key, guests: self.clone() })
    }
}

/// Gives its place back when dropped.
struct Guest {
    key: PublicKey,
    guests: Guests,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut counts = self.guests.lock();
        let left = counts.get(&self.key).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            counts.remove(&self.key);
        } else {
            counts.insert(self.key, left);
        }
    }
}

/// Tells the core of a connection. `false`: the core has ended.
async fn introduce(
    queue: &Queue,
    connection: Connection,
    side: Side,
    protocol: Protocol,
    consortium: Option<ConsortiumId>,
) -> bool {
    let tls = connection.peer_key();
    let (number, numbered) = oneshot::channel();
    let wire = Wire::network(connection);
    let new = NewWire { wire, side, protocol, consortium, tls, number };
    queue.send(Event::Wire(Box::new(new))).await && numbered.await.is_ok()
}

/// Dials the operators of this node's consortia.
#[derive(Clone)]
pub(crate) struct Dialler(Arc<Inner>);

struct Inner {
    transport: Transport,
    queue: Queue,
    routes: Vec<Route>,
    dialled: Mutex<BTreeSet<ConsortiumId>>,
}

impl Dialler {
    pub(crate) fn new(transport: Transport, queue: Queue, config: &Config) -> Self {
        let route = |kind: &RouteKind| match kind {
            RouteKind::Quic => Some(Route::Quic),
            RouteKind::Tcp => Some(Route::Tcp),
            RouteKind::Proxy => config.proxy.clone().map(|addr| Route::Proxy { addr }),
        };
        let routes = config.routes.iter().filter_map(route).collect();
        Self(Arc::new(Inner { transport, queue, routes, dialled: Mutex::default() }))
    }

    /// Dials from now on, unless this node is the operator or dials already.
    pub(crate) fn dial(&self, membership: &MembershipFile) {
        let Some(address) = membership.dial_address() else { return };
        let consortium = membership.consortium;
        if self.0.dialled.lock().unwrap_or_else(PoisonError::into_inner).insert(consortium) {
            let (dialler, first_key) = (self.clone(), membership.operator_tls);
            tokio::spawn(async move { dialler.keep_dialling(consortium, address, first_key).await });
        }
    }

    async fn keep_dialling(self, consortium: ConsortiumId, address: HostPort, first_key: PublicKey) {
        let mut pause = PAUSE_MIN;
        let mut other_key = false;
        loop {
            // A node record that came later names a later key; after a refusal the other one is tried.
            let Some(known) = self.operator_key(consortium).await else { return };
            let key = if other_key { first_key } else { known.unwrap_or(first_key) };
            match self.reach(&address, key).await {
                Ok(connection) => {
                    let since = Instant::now();
                    let told =
                        introduce(&self.0.queue, connection.clone(), Side::Dialler, Protocol::Main, Some(consortium));
                    if !told.await {
                        return;
                    }
                    let closed = connection.closed().await;
                    tracing::info!(event = "connection-ended", %consortium, %closed);
                    if since.elapsed() >= GOOD {
                        pause = PAUSE_MIN;
                    }
                }
                Err(DialError::Stopped) => return,
                Err(fault) => {
                    other_key = matches!(fault, DialError::WrongKey) && !other_key;
                    tracing::info!(event = "dial-failed", %consortium, %fault);
                }
            }
            sleep(jittered(pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// The operator's TLS key as its newest node record names it; outer `None`: the core has ended.
    async fn operator_key(&self, consortium: ConsortiumId) -> Option<Option<PublicKey>> {
        let look = self.0.queue.look(move |endpoint| {
            let state = endpoint.state(consortium)?;
            let operator = state.charters.head()?.charter.operator().0.clone();
            Some(state.records.get(&operator)?.record.tls)
        });
        look.await
    }

    async fn reach(&self, address: &HostPort, key: PublicKey) -> Result<Connection, DialError> {
        let mut last = DialError::Stopped;
        for (at, route) in self.0.routes.iter().enumerate() {
            let alpn = Alpn::Member;
            let target = DialTarget { addr: address.clone(), peer_key: key, alpn, route: route.clone() };
            let dialling = self.0.transport.dial(&target);
            let more = at + 1 < self.0.routes.len();
            let dialled = if more {
                timeout(ROUTE_TRY, dialling).await.unwrap_or(Err(DialError::TimedOut { deadline: ROUTE_TRY }))
            } else {
                dialling.await
            };
            match dialled {
                Ok(connection) => return Ok(connection),
                Err(fault) => {
                    // A network behind a proxy often resolves no outside names itself.
                    let go_on = fault.another_route_may_help() || matches!(fault, DialError::Unresolved { .. });
                    last = fault;
                    if !go_on {
                        break;
                    }
                }
            }
        }
        Err(last)
    }
}

/// Between half and one and a half of a pause, so that 200 members do not come back at the same moment.
fn jittered(pause: Duration) -> Duration {
    let [share] = random::<1>();
    pause / 2 + pause * u32::from(share) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_one_key_nor_all_together_have_more_connections_than_they_may() {
        let key =
            |n: usize| cohortium_protocol::key::pair::KeyPair::from_seed(&[u8::try_from(n).unwrap(); 32]).public();
        let guests = Guests::default();
        let mut of_one: Vec<Guest> = (0..CONNECTIONS_PER_KEY_MAX).map(|_| guests.enter(key(0)).unwrap()).collect();
        assert!(guests.enter(key(0)).is_none());
        of_one.pop();
        of_one.push(guests.enter(key(0)).unwrap());
        let others = CONNECTIONS_MAX / CONNECTIONS_PER_KEY_MAX;
        let keys: Vec<PublicKey> = (1..others)
            .map(|n| {
                let mut seed = [9; 32];
                seed[..8].copy_from_slice(&n.to_le_bytes());
                cohortium_protocol::key::pair::KeyPair::from_seed(&seed).public()
            })
            .collect();
        let all: Vec<Guest> = keys.iter().flat_map(|key| (0..4).map(|_| guests.enter(*key).unwrap())).collect();
        assert_eq!(all.len() + of_one.len(), CONNECTIONS_MAX);
        assert!(guests.enter(key(255)).is_none());
        drop((all, of_one));
        assert!(guests.lock().is_empty());
    }

    #[test]
    fn pauses_are_spread_around_their_length() {
        for _ in 0..1000 {
            let pause = jittered(Duration::from_secs(1));
            assert!((Duration::from_millis(500)..=Duration::from_millis(1500)).contains(&pause));
        }
    }
}
