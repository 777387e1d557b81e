//! A relay of TCP connections that counts, slows, cuts and keeps what passes.

#![expect(clippy::unwrap_used, reason = "only tests call this; what goes wrong fails them")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that pass at once.
const PIECE_BYTES: usize = 32 * 1024;
/// The most that is kept of what passes.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// The relay. Its threads end when it is dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    closed: AtomicBool,
    blocked: AtomicBool,
    /// Bytes a second in each direction; 0 is as fast as it goes.
    rate: AtomicU64,
    /// From those who dial to who listens.
    up: AtomicU64,
    down: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
    kept: Mutex<Vec<u8>>,
}

impl Relay {
    /// Listens on loopback and passes on to `target`.
    ///
    /// # Panics
    /// When there is no port.
    pub fn new(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, target, &accepting));
        Self { address, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets at most so many bytes a second through, in each direction; 0 lifts that.
    pub fn slow_to(&self, bytes_per_second: u64) {
        self.shared.rate.store(bytes_per_second, Ordering::Relaxed);
    }

    /// Bytes that have gone from members to the operator.
    pub fn up(&self) -> u64 {
        self.shared.up.load(Ordering::Relaxed)
    }

    /// Bytes that have gone from the operator to members.
    pub fn down(&self) -> u64 {
        self.shared.down.load(Ordering::Relaxed)
    }

    /// Ends every connection now; new ones are taken.
    pub fn cut(&self) {
        for stream in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Ends every connection and takes no new one until [`Relay::unblock`].
    pub fn block(&self) {
        self.shared.blocked.store(true, Ordering::Relaxed);
        self.cut();
    }

    /// Takes connections again.
    pub fn unblock(&self) {
        self.shared.blocked.store(false, Ordering::Relaxed);
    }

    /// What has passed so far, both directions mixed, up to a bound.
    pub fn kept(&self) -> Vec<u8> {
        self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        self.cut();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, target: SocketAddr, shared: &Arc<Shared>) {
    while let Ok((near, _)) = listener.accept() {
        if shared.closed.load(Ordering::Relaxed) {
            return;
        }
        if shared.blocked.load(Ordering::Relaxed) {
            continue;
        }
        let Ok(far) = TcpStream::connect(target) else { continue };
        let clone = |stream: &TcpStream| stream.try_clone().unwrap();
        shared.open.lock().unwrap_or_else(PoisonError::into_inner).extend([clone(&near), clone(&far)]);
        for (from, to, is_up) in [(clone(&near), clone(&far), true), (far, near, false)] {
            let shared = Arc::clone(shared);
            thread::spawn(move || pass(from, to, &shared, is_up));
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, shared: &Shared, is_up: bool) {
    let counter = if is_up { &shared.up } else { &shared.down };
    let mut piece = vec![0; PIECE_BYTES];
    let mut due = Instant::now();
    while let Ok(read @ 1..) = from.read(&mut piece) {
        let rate = shared.rate.load(Ordering::Relaxed);
        if let Some(nanos) = (read as u64 * 1_000_000_000).checked_div(rate) {
            due = due.max(Instant::now()) + Duration::from_nanos(nanos);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        keep(shared, &piece[..read]);
        if to.write_all(&piece[..read]).is_err() {
            break;
        }
        counter.fetch_add(read as u64, Ordering::Relaxed);
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

fn keep(shared: &Shared, piece: &[u8]) {
    let mut kept = shared.kept.lock().unwrap_or_else(PoisonError::into_inner);
    let room = KEPT_BYTES_MAX.saturating_sub(kept.len());
    kept.extend_from_slice(&piece[..piece.len().min(room)]);
}
