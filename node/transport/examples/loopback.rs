//! Moves 1 GiB over loopback by each route: as one stream, and as ranges of 4 MiB on a stream each,
//! eight in flight. Prints MB/s. Not a bench of the product: it finds settings.

#![expect(clippy::unwrap_used, reason = "a measuring program stops at the first error")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use cohortium_protocol::key::pair::PublicKey;
use cohortium_transport::{Admission, Alpn, Connection, DialTarget, Route, TlsIdentity, Transport, TransportConfig};
use tokio::task::JoinSet;

const TOTAL: usize = 1 << 30;
const RANGE: usize = 4 << 20;
const IN_FLIGHT: usize = 8;

struct Everyone;

impl Admission for Everyone {
    fn admits(&self, _alpn: Alpn, _key: &PublicKey) -> bool {
        true
    }
}

async fn transport(seed: u8) -> Transport {
    let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Transport::bind(TransportConfig {
        listen_udp: Some(loopback),
        listen_tcp: Some(loopback),
        identity: TlsIdentity::from_seed(&[seed; 32]),
        admission: Arc::new(Everyone),
    })
    .await
    .unwrap()
}

async fn connected(route: Route) -> (Connection, Connection, Transport, Transport) {
    let (server, client) = (transport(1).await, transport(2).await);
    let addr = if route == Route::Quic { server.local_udp() } else { server.local_tcp() };
    let peer_key = TlsIdentity::from_seed(&[1; 32]).public_key();
    let target = DialTarget { addr: addr.unwrap().into(), peer_key, alpn: Alpn::Member, route };
    let ours = client.dial(&target).await.unwrap();
    let theirs = server.accept().await.unwrap();
    (ours, theirs, client, server)
}

/// One stream of the whole gibibyte: what the bare connection can do.
async fn one_stream(route: Route) -> f64 {
    let (ours, theirs, _client, _server) = connected(route).await;
    let chunk = Bytes::from(vec![7; RANGE]);
    let started = Instant::now();
    let sending = tokio::spawn(async move {
        let (mut send, recv) = ours.open().await.unwrap();
        for _ in 0..TOTAL / RANGE {
            send.write_chunk(chunk.clone()).await.unwrap();
        }
        send.finish().await.unwrap();
        (send, recv, ours)
    });
    let (_back, mut recv) = theirs.accept().await.unwrap();
    let mut received = 0;
    while let Some(bytes) = recv.read_chunk(usize::MAX).await.unwrap() {
        received += bytes.len();
    }
    assert_eq!(received, TOTAL);
    let rate = TOTAL as f64 / started.elapsed().as_secs_f64() / 1e6;
    let (_send, _recv, ours) = sending.await.unwrap();
    eprintln!("    {:?}", ours.stats());
    rate
}

/// Ranges of 4 MiB, each asked for on its own stream, eight at a time.
async fn ranges(route: Route) -> f64 {
    let (ours, theirs, _client, _server) = connected(route).await;
    let chunk = Bytes::from(vec![7; RANGE]);
    tokio::spawn(async move {
        while let Ok((mut send, mut recv)) = theirs.accept().await {
            let chunk = chunk.clone();
            tokio::spawn(async move {
                recv.read_exact(&mut [0; 8]).await.unwrap();
                send.write_chunk(chunk).await.unwrap();
                send.finish().await.unwrap();
                let _ = recv.read_chunk(1).await;
            });
        }
    });
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    let mut received = 0;
    for number in 0..TOTAL / RANGE {
        if tasks.len() == IN_FLIGHT {
            received += tasks.join_next().await.unwrap().unwrap();
        }
        let ours = ours.clone();
        tasks.spawn(async move {
            let (mut send, mut recv) = ours.open().await.unwrap();
            send.write_all(&(number as u64).to_le_bytes()).await.unwrap();
            send.finish().await.unwrap();
            let mut count = 0;
            while let Some(bytes) = recv.read_chunk(usize::MAX).await.unwrap() {
                count += bytes.len();
            }
            count
        });
    }
    while let Some(done) = tasks.join_next().await {
        received += done.unwrap();
    }
    assert_eq!(received, TOTAL);
    TOTAL as f64 / started.elapsed().as_secs_f64() / 1e6
}

/// Seconds of processor time that this process has used; `None` where the system does not say.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u32 = fields.get(11)?.parse::<u32>().ok()? + fields.get(12)?.parse::<u32>().ok()?;
    Some(f64::from(ticks) / 100.0)
}

#[tokio::main]
async fn main() {
    for route in [Route::Quic, Route::Tcp] {
        for _ in 0..3 {
            let start = cpu_seconds();
            let rate = one_stream(route.clone()).await;
            let middle = cpu_seconds();
            let rate_ranges = ranges(route.clone()).await;
            let used = |a: Option<f64>, b: Option<f64>| a.zip(b).map_or(0.0, |(a, b)| b - a);
            let (one, many) = (used(start, middle), used(middle, cpu_seconds()));
            println!(
                "{route}: one stream {rate:.0} MB/s ({one:.2} s CPU), ranges {rate_ranges:.0} MB/s ({many:.2} s CPU)"
            );
        }
    }
}
