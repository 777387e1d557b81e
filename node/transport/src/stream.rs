//! A connection and its streams, the same over QUIC and over TCP.
//!
//! A stream's half that is dropped before its end tells the peer so (reset or stop): an interrupted sender never looks like a
//! finished one, which quinn's own halves do when dropped.

use std::future::Future;
use std::net::SocketAddr;

use bytes::Bytes;
use cohortium_protocol::key::pair::PublicKey;
use quinn::VarInt;
use tokio_util::sync::CancellationToken;

use crate::end::{Closed, Stats, StreamError};
use crate::identity::Alpn;
use crate::limits::CLOSE_REASON_BYTES_MAX;
use crate::mux;
use crate::route::Route;

/// Below the priority that a stream has by itself.
const BULK_PRIORITY: i32 = -1;

/// An authenticated connection to one peer. Clones share it; when the last clone and stream are gone it closes with code 0.
#[derive(Debug, Clone)]
pub struct Connection {
    inner: Inner,
    peer: PublicKey,
    alpn: Alpn,
    route: Route,
    remote: SocketAddr,
}

#[derive(Debug, Clone)]
enum Inner {
    Quic(quinn::Connection),
    Mux(mux::Handle),
}

impl Connection {
    pub(crate) fn quic(inner: quinn::Connection, peer: PublicKey, alpn: Alpn) -> Self {
        let remote = inner.remote_address();
        Self { inner: Inner::Quic(inner), peer, alpn, route: Route::Quic, remote }
    }

    pub(crate) fn mux(inner: mux::Handle, peer: PublicKey, alpn: Alpn, route: Route, remote: SocketAddr) -> Self {
        Self { inner: Inner::Mux(inner), peer, alpn, route, remote }
    }

    /// Opens a stream; waits while the peer allows no more. The peer learns of it with the first byte.
    ///
    /// # Errors
    /// [`Closed`] when the connection is over.
    pub async fn open(&self) -> Result<(SendHalf, RecvHalf), Closed> {
        match &self.inner {
            Inner::Quic(quic) => Ok(quic_halves(quic.open_bi().await?)),
            Inner::Mux(mux) => mux.open().await.map(mux_halves),
        }
    }

    /// The next stream that the peer opened.
    ///
    /// # Errors
    /// [`Closed`] when the connection is over.
    pub async fn accept(&self) -> Result<(SendHalf, RecvHalf), Closed> {
        match &self.inner {
            Inner::Quic(quic) => Ok(quic_halves(quic.accept_bi().await?)),
            Inner::Mux(mux) => mux.accept().await.map(mux_halves),
        }
    }

    /// Closes at once: bytes that the peer has not read may be lost. The reason is a constant, so it can carry no data.
    pub fn close(&self, code: u32, reason: &'static str) {
        let reason = &reason.as_bytes()[..reason.len().min(CLOSE_REASON_BYTES_MAX)];
        match &self.inner {
            Inner::Quic(quic) => quic.close(VarInt::from_u32(code), reason),
            Inner::Mux(mux) => mux.close(code, reason),
        }
    }

    /// Waits for the end and says why.
    pub async fn closed(&self) -> Closed {
        match &self.inner {
            Inner::Quic(quic) => quic.closed().await.into(),
            Inner::Mux(mux) => mux.closed().await,
        }
    }

    /// Whether the connection is already over.
    pub fn is_closed(&self) -> bool {
        match &self.inner {
            Inner::Quic(quic) => quic.close_reason().is_some(),
            Inner::Mux(mux) => mux.is_closed(),
        }
    }

    /// A future that closes a TCP connection when `shutdown` comes; `None` over QUIC, whose endpoint does it. It keeps no
    /// connection alive and ends with it.
    pub(crate) fn ending(&self, shutdown: CancellationToken) -> Option<impl Future<Output = ()> + use<>> {
        match &self.inner {
            Inner::Quic(_) => None,
            Inner::Mux(mux) => Some(mux.ending(shutdown)),
        }
    }

    /// The key that the peer proved to hold.
    pub fn peer_key(&self) -> PublicKey {
        self.peer
    }

    /// The protocol agreed on.
    pub fn alpn(&self) -> Alpn {
        self.alpn
    }

    /// How the bytes travel.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// The address at the other end: the proxy's on that route.
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// What has been measured so far.
    pub fn stats(&self) -> Stats {
        match &self.inner {
            Inner::Quic(quic) => {
                let stats = quic.stats();
                Stats {
                    rtt: Some(stats.path.rtt),
                    path_mtu_bytes: Some(stats.path.current_mtu),
                    sent_bytes: stats.udp_tx.bytes,
                    received_bytes: stats.udp_rx.bytes,
                }
            }
            Inner::Mux(mux) => mux.stats(),
        }
    }
}

fn quic_halves((send, recv): (quinn::SendStream, quinn::RecvStream)) -> (SendHalf, RecvHalf) {
    (SendHalf(Send::Quic { stream: send, ended: false }), RecvHalf(Recv::Quic(recv)))
}

fn mux_halves((send, recv): (mux::MuxSend, mux::MuxRecv)) -> (SendHalf, RecvHalf) {
    (SendHalf(Send::Mux(send)), RecvHalf(Recv::Mux(recv)))
}

/// The sending half of a stream. Dropped before [`SendHalf::finish`], it resets the stream with code 0.
#[derive(Debug)]
pub struct SendHalf(Send);

#[derive(Debug)]
enum Send {
    Quic { stream: quinn::SendStream, ended: bool },
    Mux(mux::MuxSend),
}

impl SendHalf {
    /// Sends all of `bytes`; waits while the peer's window is full.
    ///
    /// # Errors
    /// [`StreamError`]; an unknown part of the bytes has been sent then.
    pub async fn write_all(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        match &mut self.0 {
            Send::Quic { stream, .. } => Ok(stream.write_all(bytes).await?),
            Send::Mux(mux) => mux.write_all(bytes).await,
        }
    }

    /// Sends all of `bytes`, without a copy over QUIC.
    ///
    /// # Errors
    /// As [`SendHalf::write_all`].
    pub async fn write_chunk(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        match &mut self.0 {
            Send::Quic { stream, .. } => Ok(stream.write_chunk(bytes).await?),
            Send::Mux(mux) => mux.write_all(&bytes).await,
        }
    }

    /// Marks the stream's end. The bytes still travel on after this returns.
    ///
    /// # Errors
    /// [`StreamError`]; the peer has stopped the stream or the connection is over.
    pub async fn finish(&mut self) -> Result<(), StreamError> {
        match &mut self.0 {
            Send::Quic { stream, ended } => {
                *ended = true;
                stream.finish().map_err(|_| StreamError::Misused)
            }
            Send::Mux(mux) => mux.finish().await,
        }
    }

    /// Lets the bytes of all other streams go first: bulk must not hold up a word. Over TCP streams take turns anyway.
    pub fn yield_to_others(&mut self) {
        if let Send::Quic { stream, .. } = &mut self.0 {
            // Fails only on a stream that has ended, which sends nothing any more.
            let _ = stream.set_priority(BULK_PRIORITY);
        }
    }

    /// Gives up; bytes under way may be lost. Without effect after the end.
    pub fn reset(&mut self, code: u32) {
        match &mut self.0 {
            Send::Quic { stream, ended } => {
                if !std::mem::replace(ended, true) {
                    // Fails only on a stream that has ended, where nothing is to be said any more.
                    let _ = stream.reset(VarInt::from_u32(code));
                }
            }
            Send::Mux(mux) => mux.reset(code),
        }
    }
}

impl Drop for SendHalf {
    fn drop(&mut self) {
        // quinn would finish the stream: the peer would take a part for the whole.
        self.reset(0);
    }
}

/// The receiving half of a stream. Dropped before the end, it stops the stream with code 0.
#[derive(Debug)]
pub struct RecvHalf(Recv);

#[derive(Debug)]
enum Recv {
    Quic(quinn::RecvStream),
    Mux(mux::MuxRecv),
}

impl RecvHalf {
    /// Fills `buffer`.
    ///
    /// # Errors
    /// [`StreamError`]; [`StreamError::EndedEarly`] when the peer finished before.
    pub async fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), StreamError> {
        match &mut self.0 {
            Recv::Quic(stream) => stream.read_exact(buffer).await.map_err(|error| match error {
                quinn::ReadExactError::FinishedEarly(_) => StreamError::EndedEarly,
                quinn::ReadExactError::ReadError(error) => error.into(),
            }),
            Recv::Mux(mux) => mux.read_exact(buffer).await,
        }
    }

    /// The next bytes, at most `max`, without a copy over QUIC; `None` at the end that the peer marked.
    ///
    /// # Errors
    /// [`StreamError`]; an end that the peer did not mark is [`StreamError::Reset`], never `None`.
    pub async fn read_chunk(&mut self, max: usize) -> Result<Option<Bytes>, StreamError> {
        match &mut self.0 {
            Recv::Quic(stream) => Ok(stream.read_chunk(max, true).await?.map(|chunk| chunk.bytes)),
            Recv::Mux(mux) => mux.read_chunk(max).await,
        }
    }

    /// Tells the peer that no more bytes are wanted. Without effect after the end.
    pub fn stop(&mut self, code: u32) {
        match &mut self.0 {
            Recv::Quic(stream) => {
                // Fails only on a stream that has ended or was stopped.
                let _ = stream.stop(VarInt::from_u32(code));
            }
            Recv::Mux(mux) => mux.stop(code),
        }
    }
}
