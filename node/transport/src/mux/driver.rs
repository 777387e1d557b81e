//! The tasks of one multiplexed connection: one polls yamux, one writes and one reads control records.

use std::future::poll_fn;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use futures::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::end::Closed;

use super::control::{self, Control, LAST_WORDS, PingSent, Reader};
use super::{EXPLAIN, Meter, Pipe, Registry};

/// yamux numbers a dialler's streams 1, 3, 5 and a listener's 2, 4, 6: the first of each is the control stream.
const CONTROL_ID_MAX: u32 = 2;

/// What the tasks of a connection own.
pub(super) struct Tasks {
    pub(super) control: mpsc::WeakSender<Control>,
    pub(super) control_queue: mpsc::Receiver<Control>,
    pub(super) opens: mpsc::Receiver<oneshot::Sender<Arc<Pipe>>>,
    pub(super) inbound: mpsc::Sender<Arc<Pipe>>,
    pub(super) closed: watch::Sender<Option<Closed>>,
    pub(super) meter: Arc<Meter>,
    pub(super) local: Arc<OnceLock<()>>,
    pub(super) broken: CancellationToken,
    pub(super) registry: Registry,
}

/// Starts the three tasks. They end together, when the connection does.
pub(super) fn spawn<T>(yamux: yamux::Connection<T>, tasks: Tasks)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(run(yamux, tasks));
}

async fn run<T: AsyncRead + AsyncWrite + Unpin>(mut yamux: yamux::Connection<T>, tasks: Tasks) {
    // The writer's end is the end of this side, the reader's end that of the peer; both stop the loop.
    let ending = CancellationToken::new();
    let ping_sent = PingSent::default();
    let (peer_control, reader) = start_reader(&tasks, &ping_sent, &ending);
    let mut switch = Switch {
        opens: tasks.opens,
        waiting: None,
        inbound: tasks.inbound,
        registry: tasks.registry,
        peer_control: Some(peer_control),
    };
    if let Ok(stream) = poll_fn(|cx| yamux.poll_new_outbound(cx)).await {
        let (queue, done) = (tasks.control_queue, ending.clone());
        tokio::spawn(async move {
            control::write_all(stream, queue, ping_sent).await;
            done.cancel();
        });
    }
    let lost = tokio::select! {
        () = poll_fn(|cx| switch.poll(&mut yamux, cx)) => true,
        () = ending.cancelled() => false,
        () = tasks.broken.cancelled() => false,
    };
    if !lost {
        let _ = timeout(LAST_WORDS, poll_fn(|cx| yamux.poll_close(cx))).await;
    }
    // Dropping yamux ends every stream; what was received before stays readable.
    drop(yamux);
    drop(switch);
    let reason = reason(&tasks.local, &tasks.broken, reader).await;
    ending.cancel();
    // Nobody waits for the reason when every handle is gone.
    let _ = tasks.closed.send(Some(reason));
}

fn start_reader(
    tasks: &Tasks,
    ping_sent: &PingSent,
    ending: &CancellationToken,
) -> (oneshot::Sender<yamux::Stream>, JoinHandle<Closed>) {
    let (peer_control, stream) = oneshot::channel();
    let reader = Reader {
        queue: tasks.control.clone(),
        registry: Arc::clone(&tasks.registry),
        meter: Arc::clone(&tasks.meter),
        ping_sent: Arc::clone(ping_sent),
    };
    let done = ending.clone();
    let reader = tokio::spawn(async move {
        let closed = reader.run(stream).await;
        done.cancel();
        closed
    });
    (peer_control, reader)
}

/// The peer's word comes before the network's: its close arrives just before the connection ends.
async fn reason(local: &OnceLock<()>, broken: &CancellationToken, reader: JoinHandle<Closed>) -> Closed {
    if local.get().is_some() {
        reader.abort();
        return Closed::Local;
    }
    if broken.is_cancelled() {
        reader.abort();
        return Closed::Protocol;
    }
    match timeout(EXPLAIN, reader).await {
        Ok(Ok(closed)) => closed,
        Ok(Err(_)) | Err(_) => Closed::Lost,
    }
}

/// Hands streams between yamux and the connection's handles.
struct Switch {
    opens: mpsc::Receiver<oneshot::Sender<Arc<Pipe>>>,
    waiting: Option<oneshot::Sender<Arc<Pipe>>>,
    inbound: mpsc::Sender<Arc<Pipe>>,
    registry: Registry,
    peer_control: Option<oneshot::Sender<yamux::Stream>>,
}

impl Switch {
    /// Ready when yamux is.
    fn poll<T>(&mut self, yamux: &mut yamux::Connection<T>, cx: &mut Context<'_>) -> Poll<()>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            if self.poll_open(yamux, cx).is_ready() {
                return Poll::Ready(());
            }
            match yamux.poll_next_inbound(cx) {
                Poll::Ready(Some(Ok(stream))) => self.deliver(stream),
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(%error, "a multiplexed connection ended");
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Opens what is asked for; ready when yamux refuses, which ends the connection.
    fn poll_open<T>(&mut self, yamux: &mut yamux::Connection<T>, cx: &mut Context<'_>) -> Poll<()>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            if self.waiting.is_none() {
                match self.opens.poll_recv(cx) {
                    Poll::Ready(Some(answer)) => self.waiting = Some(answer),
                    // The handles are gone: the control writer ends the connection.
                    Poll::Ready(None) | Poll::Pending => return Poll::Pending,
                }
            }
            match yamux.poll_new_outbound(cx) {
                Poll::Ready(Ok(stream)) => {
                    let pipe = Pipe::new(stream, &self.registry);
                    // An asker who has gone away drops the stream again.
                    let _ = self.waiting.take().map(|answer| answer.send(pipe));
                }
                Poll::Ready(Err(error)) => {
                    tracing::debug!(%error, "no more streams on a multiplexed connection");
                    return Poll::Ready(());
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// A side's first stream is its control stream; which frame arrives first says nothing, the id does. A queue that is
    /// full drops the stream, which resets it.
    fn deliver(&mut self, stream: yamux::Stream) {
        if stream.id().val() <= CONTROL_ID_MAX {
            // A second control stream cannot be: yamux refuses an id that is in use, and this one is never given back.
            let _ = self.peer_control.take().map(|control| control.send(stream));
        } else {
            drop(self.inbound.try_send(Pipe::new(stream, &self.registry)));
        }
    }
}
