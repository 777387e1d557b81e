//! The control stream: each side writes its own and reads the peer's. A ping each keep-alive, codes, and the close.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::end::{Closed, printable};
use crate::limits::{CLOSE_REASON_BYTES_MAX, IDLE_TIMEOUT, KEEP_ALIVE};

use super::{Meter, Registry, Signals, held};

const RECORD_BYTES: usize = 9;
/// How long the last words of a connection may take.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);

/// One control record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Control {
    Ping,
    Pong,
    Reset { id: u32, code: u32 },
    Stop { id: u32, code: u32 },
    Close { code: u32, reason: Vec<u8> },
}

impl Control {
    fn encode(&self) -> Vec<u8> {
        let (kind, id, code, reason): (u8, u32, u32, &[u8]) = match self {
            Self::Ping => (0, 0, 0, &[]),
            Self::Pong => (1, 0, 0, &[]),
            Self::Reset { id, code } => (2, *id, *code, &[]),
            Self::Stop { id, code } => (3, *id, *code, &[]),
            Self::Close { code, reason } => {
                let reason = &reason[..reason.len().min(CLOSE_REASON_BYTES_MAX)];
                (4, u32::try_from(reason.len()).expect("at most 128"), *code, reason)
            }
        };
        [&[kind][..], &id.to_le_bytes(), &code.to_le_bytes(), reason].concat()
    }
}

/// Reads one record; `None` when the peer breaks the rules or the stream ends.
async fn read(stream: &mut yamux::Stream) -> Option<Control> {
    let mut record = [0; RECORD_BYTES];
    stream.read_exact(&mut record).await.ok()?;
    let [kind, i0, i1, i2, i3, c0, c1, c2, c3] = record;
    let (id, code) = (u32::from_le_bytes([i0, i1, i2, i3]), u32::from_le_bytes([c0, c1, c2, c3]));
    match kind {
        0 => Some(Control::Ping),
        1 => Some(Control::Pong),
        2 => Some(Control::Reset { id, code }),
        3 => Some(Control::Stop { id, code }),
        4 => {
            let length = usize::try_from(id).ok().filter(|length| *length <= CLOSE_REASON_BYTES_MAX)?;
            let mut reason = vec![0; length];
            stream.read_exact(&mut reason).await.ok()?;
            Some(Control::Close { code, reason })
        }
        _ => None,
    }
}

/// When the last ping left that has no answer yet.
pub(super) type PingSent = Arc<Mutex<Option<Instant>>>;

/// Writes control records until the close, or until nobody is left to send one; then says so and ends the stream.
pub(super) async fn write_all(mut stream: yamux::Stream, mut queue: mpsc::Receiver<Control>, ping_sent: PingSent) {
    let mut keep_alive = tokio::time::interval(KEEP_ALIVE);
    loop {
        let next = tokio::select! {
            next = queue.recv() => next.unwrap_or(Control::Close { code: 0, reason: Vec::new() }),
            _ = keep_alive.tick() => Control::Ping,
        };
        if next == Control::Ping {
            *held(&ping_sent) = Some(Instant::now());
        }
        let last = matches!(next, Control::Close { .. });
        let bytes = next.encode();
        let written = async { stream.write_all(&bytes).await.is_ok() && (!last || stream.close().await.is_ok()) };
        if last {
            // Whether or not the peer hears it, the connection ends.
            let _ = timeout(LAST_WORDS, written).await;
            return;
        }
        if !written.await {
            return;
        }
    }
}

/// What the reader of the peer's control stream needs.
pub(super) struct Reader {
    pub(super) queue: mpsc::WeakSender<Control>,
    pub(super) registry: Registry,
    pub(super) meter: Arc<Meter>,
    pub(super) ping_sent: PingSent,
}

impl Reader {
    /// Reads until the peer closes, falls silent or breaks the rules.
    pub(super) async fn run(self, stream: oneshot::Receiver<yamux::Stream>) -> Closed {
        let mut stream = match timeout(IDLE_TIMEOUT, stream).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(_)) => return Closed::Lost,
            Err(_) => return Closed::TimedOut,
        };
        loop {
            match timeout(IDLE_TIMEOUT, read(&mut stream)).await {
                Ok(Some(Control::Close { code, reason })) => return Closed::Peer { code, reason: printable(&reason) },
                Ok(Some(control)) => self.act(&control),
                Ok(None) => return Closed::Lost,
                Err(_) => return Closed::TimedOut,
            }
        }
    }

    fn act(&self, control: &Control) {
        match *control {
            Control::Ping => {
                // A full queue answers the peer's ping late or never; the queue's owner cuts the connection then.
                let _ = self.queue.upgrade().map(|queue| queue.try_send(Control::Pong));
            }
            Control::Pong => {
                if let Some(sent) = held(&self.ping_sent).take() {
                    let micros = u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX);
                    self.meter.rtt.store(micros.max(1), Ordering::Relaxed);
                }
            }
            Control::Reset { id, code } => self.signal(id, code, |signals| &signals.reset),
            Control::Stop { id, code } => self.signal(id, code, |signals| &signals.stop),
            Control::Close { .. } => {}
        }
    }

    /// A stream that is not known has ended here: nothing is left to tell.
    fn signal(&self, id: u32, code: u32, slot: fn(&Signals) -> &std::sync::atomic::AtomicU64) {
        let signals = held(&self.registry).get(&id).cloned();
        if let Some(signals) = signals {
            signals.set(slot(&signals), code);
        }
    }
}
