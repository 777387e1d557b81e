//! Streams over one TLS connection: yamux, with what it lacks.
//!
//! yamux has no codes and shows a reset as an end, so a part would pass for the whole. Therefore:
//! - within a stream, bytes travel in records (length, bytes), and only a record of length zero is an end;
//! - each side's first stream is its control stream: codes of resets, stops and the close, and keep-alives.
//!
//! ```text
//! control record:  | kind 1 | id or length 4 | code 4 | reason (close only) |      little endian
//! ```

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::io::{AsyncRead, AsyncWrite};
use futures::task::AtomicWaker;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::end::{Closed, Stats, StreamError};
use crate::limits::{self, TCP_STREAMS_MAX};

mod control;
mod driver;
mod linger;

use control::Control;

/// Payload of one record.
const RECORD_BYTES_MAX: usize = 64 * 1024 - LENGTH_BYTES;
const LENGTH_BYTES: usize = 4;
/// How long a stream that broke off waits for the code that explains it.
const EXPLAIN: Duration = Duration::from_secs(1);
/// Streams that wait for `accept`: as many as yamux lets a peer have, so that none is turned away.
const INBOUND_QUEUE: usize = 3 * TCP_STREAMS_MAX;
/// Control records that wait to be sent.
const CONTROL_QUEUE: usize = 256;

/// A multiplexed connection; the tasks behind it end when the last handle and stream are gone.
#[derive(Debug, Clone)]
pub(crate) struct Handle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    link: Link,
    opens: mpsc::Sender<oneshot::Sender<Arc<Pipe>>>,
    inbound: tokio::sync::Mutex<mpsc::Receiver<Arc<Pipe>>>,
    places: Arc<Semaphore>,
}

/// What streams and tasks of one connection share.
#[derive(Debug, Clone)]
struct Link {
    control: mpsc::Sender<Control>,
    closed: watch::Receiver<Option<Closed>>,
    meter: Arc<Meter>,
    /// Set once, by the first `close`.
    local: Arc<OnceLock<()>>,
    broken: CancellationToken,
}

#[derive(Debug, Default)]
struct Meter {
    sent: AtomicU64,
    received: AtomicU64,
    /// Microseconds; zero before the first measurement.
    rtt: AtomicU64,
}

type Registry = Arc<Mutex<BTreeMap<u32, Arc<Signals>>>>;

/// Which side dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Dialler,
    Listener,
}

/// Starts the multiplexer over an authenticated connection.
pub(crate) fn start<T>(socket: T, side: Side) -> Handle
where
    T: AsyncRead + AsyncWrite + Unpin + std::marker::Send + 'static,
{
    let mode = match side {
        Side::Dialler => yamux::Mode::Client,
        Side::Listener => yamux::Mode::Server,
    };
    let yamux = yamux::Connection::new(linger::Linger::new(socket), limits::yamux(), mode);
    let (control, control_queue) = mpsc::channel(CONTROL_QUEUE);
    let (closed_tx, closed) = watch::channel(None);
    let (opens, open_queue) = mpsc::channel(TCP_STREAMS_MAX);
    let (inbound_tx, inbound) = mpsc::channel(INBOUND_QUEUE);
    let broken = CancellationToken::new();
    let link =
        Link { control: control.clone(), closed, meter: Arc::default(), local: Arc::default(), broken: broken.clone() };
    let tasks = driver::Tasks {
        // Weak: the tasks must not keep alive what tells them to end.
        control: control.downgrade(),
        control_queue,
        opens: open_queue,
        inbound: inbound_tx,
        closed: closed_tx,
        meter: Arc::clone(&link.meter),
        local: Arc::clone(&link.local),
        broken,
        registry: Registry::default(),
    };
    driver::spawn(yamux, tasks);
    let places = Arc::new(Semaphore::new(TCP_STREAMS_MAX));
    Handle(Arc::new(Shared { link, opens, inbound: tokio::sync::Mutex::new(inbound), places }))
}

impl Handle {
    pub(crate) async fn open(&self) -> Result<(MuxSend, MuxRecv), Closed> {
        let place = Arc::clone(&self.0.places);
        let place = tokio::select! {
            place = place.acquire_owned() => place.expect("the semaphore is never closed"),
            closed = self.closed() => return Err(closed),
        };
        let (answer, opened) = oneshot::channel();
        if self.0.opens.send(answer).await.is_err() {
            return Err(self.closed().await);
        }
        match opened.await {
            Ok(pipe) => Ok(self.halves(pipe, Some(place))),
            Err(_) => Err(self.closed().await),
        }
    }

    pub(crate) async fn accept(&self) -> Result<(MuxSend, MuxRecv), Closed> {
        let next = self.0.inbound.lock().await.recv().await;
        match next {
            Some(pipe) => Ok(self.halves(pipe, None)),
            None => Err(self.closed().await),
        }
    }

    pub(crate) fn close(&self, code: u32, reason: &[u8]) {
        if self.0.link.local.set(()).is_ok() {
            self.0.link.tell(Control::Close { code, reason: reason.to_vec() });
        }
    }

    pub(crate) async fn closed(&self) -> Closed {
        self.0.link.closed().await
    }

    /// Closes when `shutdown` comes and waits until the peer has been told; ends with the connection otherwise.
    pub(crate) fn ending(&self, shutdown: CancellationToken) -> impl Future<Output = ()> + use<> {
        let (shared, mut closed) = (Arc::downgrade(&self.0), self.0.link.closed.clone());
        async move {
            tokio::select! {
                _ = closed.wait_for(Option::is_some) => return,
                () = shutdown.cancelled() => {}
            }
            if let Some(handle) = shared.upgrade().map(Self) {
                handle.close(0, b"the node stops");
                handle.closed().await;
            }
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.link.local.get().is_some() || self.0.link.closed.borrow().is_some()
    }

    pub(crate) fn stats(&self) -> Stats {
        let meter = &self.0.link.meter;
        let rtt = Some(meter.rtt.load(Ordering::Relaxed)).filter(|micros| *micros != 0);
        Stats {
            rtt: rtt.map(Duration::from_micros),
            path_mtu_bytes: None,
            sent_bytes: meter.sent.load(Ordering::Relaxed),
            received_bytes: meter.received.load(Ordering::Relaxed),
        }
    }

    fn halves(&self, pipe: Arc<Pipe>, place: Option<OwnedSemaphorePermit>) -> (MuxSend, MuxRecv) {
        let lease = Arc::new(Lease { pipe, _place: place, shared: Arc::clone(&self.0) });
        let send = MuxSend { lease: Arc::clone(&lease), record: Vec::new(), ended: false };
        (send, MuxRecv { lease, header: [0; LENGTH_BYTES], filled: 0, left: 0, state: RecvState::Open })
    }
}

impl Link {
    async fn closed(&self) -> Closed {
        let mut closed = self.closed.clone();
        match closed.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(Closed::Lost),
            Err(_) => Closed::Lost,
        }
    }

    /// Queues a control record. A queue that is full means a peer that reads nothing: the connection is cut.
    fn tell(&self, control: Control) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.control.try_send(control) {
            self.broken.cancel();
        }
    }
}

/// What both halves of a stream hold: the stream, its place among the open ones, and the connection.
#[derive(Debug)]
struct Lease {
    pipe: Arc<Pipe>,
    _place: Option<OwnedSemaphorePermit>,
    shared: Arc<Shared>,
}

/// The codes that the control stream delivered for one stream; 0 is none, otherwise code + 1.
#[derive(Debug, Default)]
struct Signals {
    reset: AtomicU64,
    stop: AtomicU64,
    wakers: Arc<Wakers>,
}

/// Wakes both halves: yamux keeps one place for a waker that both need when its queue is full.
#[derive(Debug, Default)]
struct Wakers {
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.reader.wake();
        self.writer.wake();
    }
}

impl Signals {
    fn set(&self, slot: &AtomicU64, code: u32) {
        // The first code stands.
        let _ = slot.compare_exchange(0, u64::from(code) + 1, Ordering::AcqRel, Ordering::Acquire);
        Arc::clone(&self.wakers).wake();
    }

    fn get(slot: &AtomicU64) -> Option<u32> {
        slot.load(Ordering::Acquire).checked_sub(1).and_then(|code| u32::try_from(code).ok())
    }
}

/// One yamux stream, used by a reader and a writer at the same time.
#[derive(Debug)]
struct Pipe {
    id: u32,
    stream: Mutex<yamux::Stream>,
    signals: Arc<Signals>,
    waker: Waker,
    registry: Registry,
}

impl Pipe {
    fn new(stream: yamux::Stream, registry: &Registry) -> Arc<Self> {
        let (id, signals) = (stream.id().val(), Arc::<Signals>::default());
        held(registry).insert(id, Arc::clone(&signals));
        let waker = Waker::from(Arc::clone(&signals.wakers));
        Arc::new(Self { id, stream: Mutex::new(stream), signals, waker, registry: Arc::clone(registry) })
    }

    fn poll<R>(&self, poll: impl FnOnce(Pin<&mut yamux::Stream>, &mut Context<'_>) -> R) -> R {
        poll(Pin::new(&mut *held(&self.stream)), &mut Context::from_waker(&self.waker))
    }

    /// Reads some bytes; `Ok(0)` is yamux's end, which may be a reset.
    async fn read(&self, buffer: &mut [u8]) -> Result<usize, Cut> {
        poll_fn(|cx| {
            self.signals.wakers.reader.register(cx.waker());
            if let Some(code) = Signals::get(&self.signals.reset) {
                return Poll::Ready(Err(Cut::Code(code)));
            }
            self.poll(|stream, cx| stream.poll_read(cx, buffer)).map_err(|_| Cut::Unexplained)
        })
        .await
    }

    async fn write(&self, bytes: &[u8]) -> Result<usize, Cut> {
        poll_fn(|cx| {
            self.signals.wakers.writer.register(cx.waker());
            if let Some(code) = Signals::get(&self.signals.stop) {
                return Poll::Ready(Err(Cut::Code(code)));
            }
            self.poll(|stream, cx| stream.poll_write(cx, bytes)).map_err(|_| Cut::Unexplained)
        })
        .await
    }

    /// Waits for yamux to take the end of the sending direction.
    async fn end(&self) -> Result<(), Cut> {
        poll_fn(|cx| {
            self.signals.wakers.writer.register(cx.waker());
            self.poll(AsyncWrite::poll_close).map_err(|_| Cut::Unexplained)
        })
        .await
    }

    /// Waits until the control stream has said why, for as long as its answer can take.
    async fn explained(&self, slot: &AtomicU64, waker: &AtomicWaker) -> Option<u32> {
        let code = poll_fn(|cx| {
            waker.register(cx.waker());
            Signals::get(slot).map_or(Poll::Pending, Poll::Ready)
        });
        timeout(EXPLAIN, code).await.ok()
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        held(&self.registry).remove(&self.id);
    }
}

/// Why a direction broke off.
enum Cut {
    Code(u32),
    Unexplained,
}

impl Lease {
    async fn reset_error(&self, cut: Cut) -> StreamError {
        let signals = &self.pipe.signals;
        match cut {
            Cut::Code(code) => StreamError::Reset { code },
            Cut::Unexplained => tokio::select! {
                biased;
                closed = self.shared.link.closed() => StreamError::Closed(closed),
                code = self.pipe.explained(&signals.reset, &signals.wakers.reader) => {
                    StreamError::Reset { code: code.unwrap_or(0) }
                }
            },
        }
    }

    async fn stop_error(&self, cut: Cut) -> StreamError {
        let signals = &self.pipe.signals;
        match cut {
            Cut::Code(code) => StreamError::Stopped { code },
            Cut::Unexplained => tokio::select! {
                biased;
                closed = self.shared.link.closed() => StreamError::Closed(closed),
                code = self.pipe.explained(&signals.stop, &signals.wakers.writer) => {
                    StreamError::Stopped { code: code.unwrap_or(0) }
                }
            },
        }
    }
}

/// The sending half.
#[derive(Debug)]
pub(crate) struct MuxSend {
    lease: Arc<Lease>,
    record: Vec<u8>,
    ended: bool,
}

impl MuxSend {
    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        if self.ended {
            return Err(StreamError::Misused);
        }
        for payload in bytes.chunks(RECORD_BYTES_MAX) {
            self.record(payload).await?;
            self.lease.shared.link.meter.sent.fetch_add(payload.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    pub(crate) async fn finish(&mut self) -> Result<(), StreamError> {
        if self.ended {
            return Err(StreamError::Misused);
        }
        self.record(&[]).await?;
        // The record is queued behind all others: from here on the end is certain to arrive, or the connection is cut.
        self.ended = true;
        if let Err(cut) = self.lease.pipe.end().await {
            return Err(self.lease.stop_error(cut).await);
        }
        Ok(())
    }

    pub(crate) fn reset(&mut self, code: u32) {
        if !std::mem::replace(&mut self.ended, true) {
            self.lease.shared.link.tell(Control::Reset { id: self.lease.pipe.id, code });
        }
    }

    /// Header and payload in one buffer, so that they leave in one TLS record.
    async fn record(&mut self, payload: &[u8]) -> Result<(), StreamError> {
        let length = u32::try_from(payload.len()).expect("a record is at most 64 KiB");
        self.record.clear();
        self.record.extend_from_slice(&length.to_le_bytes());
        self.record.extend_from_slice(payload);
        let mut sent = 0;
        while sent < self.record.len() {
            match self.lease.pipe.write(&self.record[sent..]).await {
                Ok(0) => return Err(self.lease.stop_error(Cut::Unexplained).await),
                Ok(count) => sent += count,
                Err(cut) => return Err(self.lease.stop_error(cut).await),
            }
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RecvState {
    Open,
    Finished,
    Stopped,
}

/// The receiving half.
#[derive(Debug)]
pub(crate) struct MuxRecv {
    lease: Arc<Lease>,
    header: [u8; LENGTH_BYTES],
    filled: usize,
    /// Bytes of the present record that have not been read.
    left: usize,
    state: RecvState,
}

impl MuxRecv {
    pub(crate) async fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), StreamError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..]).await? {
                0 => return Err(StreamError::EndedEarly),
                count => filled += count,
            }
        }
        Ok(())
    }

    pub(crate) async fn read_chunk(&mut self, max: usize) -> Result<Option<Bytes>, StreamError> {
        let mut buffer = BytesMut::zeroed(max.min(RECORD_BYTES_MAX));
        let count = self.read(&mut buffer).await?;
        buffer.truncate(count);
        Ok(Some(buffer.freeze()).filter(|bytes| !bytes.is_empty()))
    }

    pub(crate) fn stop(&mut self, code: u32) {
        if self.state == RecvState::Open {
            self.state = RecvState::Stopped;
            self.lease.shared.link.tell(Control::Stop { id: self.lease.pipe.id, code });
        }
    }

    /// Some bytes of the stream; zero only at the end that the peer marked.
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, StreamError> {
        match self.state {
            RecvState::Open => {}
            RecvState::Finished => return Ok(0),
            RecvState::Stopped => return Err(StreamError::Misused),
        }
        if self.left == 0 && !self.next_record().await? {
            return Ok(0);
        }
        let most = buffer.len().min(self.left);
        let count = self.some(&mut buffer[..most]).await?;
        self.left -= count;
        self.lease.shared.link.meter.received.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    /// Reads a record's header; false at the end. A cancelled call keeps what it has read.
    async fn next_record(&mut self) -> Result<bool, StreamError> {
        while self.filled < LENGTH_BYTES {
            let mut part = [0; LENGTH_BYTES];
            let want = LENGTH_BYTES - self.filled;
            let count = self.some(&mut part[..want]).await?;
            self.header[self.filled..self.filled + count].copy_from_slice(&part[..count]);
            self.filled += count;
        }
        self.filled = 0;
        match u32::from_le_bytes(self.header) as usize {
            0 => {
                self.state = RecvState::Finished;
                Ok(false)
            }
            length if length <= RECORD_BYTES_MAX => {
                self.left = length;
                Ok(true)
            }
            _ => {
                self.lease.shared.link.broken.cancel();
                Err(StreamError::Closed(Closed::Protocol))
            }
        }
    }

    /// At least one byte.
    async fn some(&mut self, buffer: &mut [u8]) -> Result<usize, StreamError> {
        match self.lease.pipe.read(buffer).await {
            Ok(0) => Err(self.lease.reset_error(Cut::Unexplained).await),
            Ok(count) => Ok(count),
            Err(cut) => Err(self.lease.reset_error(cut).await),
        }
    }
}

impl Drop for MuxRecv {
    fn drop(&mut self) {
        self.stop(0);
    }
}

/// The lock's value; a panic elsewhere cannot leave it half changed, since each holder makes one call.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
