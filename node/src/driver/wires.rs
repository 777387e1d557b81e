//! Connections and the streams on them that wait for an answer, by the numbers that the endpoint knows them by.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cohortium_protocol::code::{ErrorCode, MessageType};
use cohortium_protocol::endpoint::io::{Answer, ConnId, Message, StreamId};
use cohortium_protocol::limits::{ANSWER_DEADLINE, CONTROL_FRAME_BYTES_MAX, HELLO_DEADLINE};
use cohortium_protocol::message::hello::Refused;
use cohortium_protocol::time::Seconds;
use cohortium_protocol::wire::codec;
use cohortium_transport::frame::{read_frame, write_frame};
use cohortium_transport::{Connection, RecvHalf, SendHalf};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::driver::carried::Folder;

/// How long a connection that is told to close may still deliver the answers before it.
const LAST_WORDS: Duration = Duration::from_millis(1500);
/// How long after the last answer the close comes, so that the peer reads the answer first.
const CLOSE_AFTER: Duration = Duration::from_millis(150);

/// A duration of the protocol as the clock takes it.
pub(crate) const fn duration(seconds: Seconds) -> Duration {
    Duration::from_secs(seconds.0)
}

/// A way to a peer.
#[derive(Clone)]
pub(crate) enum Wire {
    /// A connection.
    Network {
        /// The connection.
        connection: Connection,
        /// The answers that are being written on it.
        replies: TaskTracker,
        /// Whether HELLO has been answered well.
        greeted: Arc<watch::Sender<bool>>,
    },
    /// A folder that the peer exported.
    Folder(Arc<Folder>),
}

impl Wire {
    /// HELLO has been answered well: from now on the peer is heard.
    pub(crate) fn greet(&self) {
        if let Self::Network { greeted, .. } = self {
            greeted.send_replace(true);
        }
    }

    pub(crate) fn network(connection: Connection) -> Self {
        Self::Network { connection, replies: TaskTracker::new(), greeted: Arc::default() }
    }
}

/// Where an answer goes.
pub(crate) enum ReplyTo {
    /// To the stream that the request came on.
    Stream(SendHalf, RecvHalf),
    /// To a task of this process.
    Here(oneshot::Sender<Message>),
}

/// All connections and streams.
#[derive(Default)]
pub(crate) struct Wires {
    open: BTreeMap<ConnId, Wire>,
    waiting: BTreeMap<StreamId, (ConnId, ReplyTo)>,
    last: u64,
}

impl Wires {
    /// Numbers a new connection.
    pub(crate) fn add(&mut self, wire: Wire) -> ConnId {
        self.last += 1;
        let conn = ConnId(self.last);
        self.open.insert(conn, wire);
        conn
    }

    /// Numbers a stream whose request is about to be told. `None`: its connection is gone.
    pub(crate) fn ask(&mut self, conn: ConnId, reply: ReplyTo) -> Option<StreamId> {
        self.open.get(&conn)?;
        self.last += 1;
        let stream = StreamId(self.last);
        self.waiting.insert(stream, (conn, reply));
        Some(stream)
    }

    pub(crate) fn get(&self, conn: ConnId) -> Option<&Wire> {
        self.open.get(&conn)
    }

    /// The stream to answer on, which is answered once.
    pub(crate) fn take(&mut self, stream: StreamId) -> Option<(Wire, ReplyTo)> {
        let (conn, reply) = self.waiting.remove(&stream)?;
        Some((self.open.get(&conn)?.clone(), reply))
    }

    /// Forgets a connection and every stream on it. `None`: it was forgotten before.
    pub(crate) fn remove(&mut self, conn: ConnId) -> Option<Wire> {
        self.waiting.retain(|_, (on, _)| *on != conn);
        self.open.remove(&conn)
    }

    /// Closes everything with code 0.
    pub(crate) fn close_all(&mut self) {
        self.waiting.clear();
        for wire in std::mem::take(&mut self.open).into_values() {
            if let Wire::Network { connection, .. } = wire {
                connection.close(0, "the node stops");
            }
        }
    }
}

/// Sends one answer.
pub(crate) fn reply(wire: &Wire, to: ReplyTo, message: Message) {
    if message.kind == MessageType::HelloAck {
        wire.greet();
    }
    // Whoever joins asks once.
    let is_last = message.kind == MessageType::JoinAck;
    match (to, wire) {
        (ReplyTo::Here(answer), _) => drop(answer.send(message)),
        (ReplyTo::Stream(mut send, recv), Wire::Network { replies, .. }) => {
            replies.spawn(async move {
                let deadline = duration(ANSWER_DEADLINE);
                let written = write_frame(&mut send, message.kind, &message.payload, deadline).await;
                if written.is_ok() {
                    // The peer may have gone meanwhile; its own deadline tells it.
                    let _ = send.finish().await;
                }
                drop(recv);
            });
        }
        // A folder has no streams.
        (ReplyTo::Stream(..), Wire::Folder(_)) => {}
    }
    if is_last {
        let_go(wire);
    }
}

/// Closes a connection once the answers under way are out, and tells the peer why.
pub(crate) fn close(wire: Wire, code: ErrorCode) {
    end(wire, u32::from(code.code()), code.name());
}

/// Closes a connection whose peer has all that it came for, so that its place is free for the next.
fn let_go(wire: &Wire) {
    end(wire.clone(), 0, "answered");
}

fn end(wire: Wire, code: u32, reason: &'static str) {
    let Wire::Network { connection, replies, .. } = wire else { return };
    tokio::spawn(async move {
        replies.close();
        let _ = timeout(LAST_WORDS, replies.wait()).await;
        tokio::time::sleep(CLOSE_AFTER).await;
        connection.close(code, reason);
    });
}

/// Opens a stream, sends one frame, reads one frame.
pub(crate) async fn ask(connection: &Connection, message: &Message) -> Answer {
    let hello = matches!(message.kind, MessageType::Hello | MessageType::Join);
    let deadline = duration(if hello { HELLO_DEADLINE } else { ANSWER_DEADLINE });
    let exchange = async {
        let (mut send, mut recv) = connection.open().await.ok()?;
        write_frame(&mut send, message.kind, &message.payload, deadline).await.ok()?;
        // A peer that has read the whole frame may have stopped the stream: the answer comes all the same.
        let _ = send.finish().await;
        read_frame(&mut recv, deadline).await.ok()
    };
    match timeout(deadline, exchange).await.ok().flatten() {
        Some((kind, payload)) => answer(kind, payload),
        None => Answer::Lost,
    }
}

/// What an answering frame means.
fn answer(kind: MessageType, payload: Vec<u8>) -> Answer {
    if kind != MessageType::Refused {
        return Answer::Message(Message { kind, payload });
    }
    // A code of a later version, or none at all, is still a refusal.
    let code = codec::decode::<Refused>(&payload, CONTROL_FRAME_BYTES_MAX).ok();
    Answer::Refused(code.and_then(|refused| ErrorCode::from_code(refused.code)).unwrap_or(ErrorCode::Unavailable))
}
