//! What a peer may send, and when: one small HELLO or JOIN first, the rest once that has been answered well.

use std::sync::Arc;

use cohortium_protocol::code::{ErrorCode, MessageType};
use cohortium_protocol::endpoint::io::{ConnId, Message, Protocol, Side};
use cohortium_protocol::limits::{CONTROL_FRAME_BYTES_MAX, HEADER_DEADLINE};
use cohortium_protocol::wire::frame::{FrameHeader, HEADER_BYTES};
use cohortium_transport::{Connection, RecvHalf};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::driver::queue::{Event, Queue};
use crate::driver::wires::{ReplyTo, duration};

/// First frames of one connection that are read at the same time.
const FRAMES_READ_MAX: usize = 8;

/// A connection that is listened to.
pub(crate) struct Heard {
    pub(crate) conn: ConnId,
    pub(crate) connection: Connection,
    pub(crate) side: Side,
    pub(crate) protocol: Protocol,
    /// Turns true when HELLO has been answered well.
    pub(crate) greeted: watch::Receiver<bool>,
}

/// Hands every first frame that the peer sends to the core, until the connection ends.
pub(crate) async fn listen(heard: Heard, queue: Queue) {
    let conn = heard.conn;
    // Before HELLO a peer has no more than one frame here, and whoever dialled has none.
    let opened = heard.side == Side::Dialler || open(&heard, &queue).await;
    if opened {
        let mut greeted = heard.greeted.clone();
        let up = tokio::select! {
            up = greeted.wait_for(|up| *up) => up.is_ok(),
            _ = heard.connection.closed() => false,
        };
        if up {
            go_on(&heard, &queue).await;
        }
    }
    queue.send(Event::Closed(conn)).await;
}

/// Takes the one frame that may come before HELLO is answered. `false`: there was none, or it is none that may come.
async fn open(heard: &Heard, queue: &Queue) -> bool {
    let Ok((send, mut recv)) = heard.connection.accept().await else { return false };
    let first = timeout(duration(HEADER_DEADLINE), frame(&mut recv, |header| may_open(&heard.protocol, header))).await;
    let Ok(Some(message)) = first else {
        heard.connection.close(u32::from(ErrorCode::OutOfOrder.code()), "the first frame is none that may come first");
        return false;
    };
    queue.send(Event::Request { conn: heard.conn, message, reply: ReplyTo::Stream(send, recv) }).await
}

/// Whether a frame may be the first of a connection.
fn may_open(protocol: &Protocol, header: FrameHeader) -> bool {
    let kind = if *protocol == Protocol::Join { MessageType::Join } else { MessageType::Hello };
    header.kind == kind && header.payload_bytes <= CONTROL_FRAME_BYTES_MAX
}

async fn go_on(heard: &Heard, queue: &Queue) {
    let slots = Arc::new(Semaphore::new(FRAMES_READ_MAX));
    while let Ok((send, mut recv)) = heard.connection.accept().await {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break };
        let (queue, conn) = (queue.clone(), heard.conn);
        tokio::spawn(async move {
            let wanted = |header: FrameHeader| header.kind != MessageType::Join;
            // A frame that is late, malformed or not of this protocol ends its stream and nothing else.
            if let Ok(Some(message)) = timeout(duration(HEADER_DEADLINE), frame(&mut recv, wanted)).await {
                queue.send(Event::Request { conn, message, reply: ReplyTo::Stream(send, recv) }).await;
            }
            drop(slot);
        });
    }
}

/// Reads a frame, refusing its header before anything is allocated for it.
async fn frame(recv: &mut RecvHalf, wanted: impl Fn(FrameHeader) -> bool) -> Option<Message> {
    let mut header = [0; HEADER_BYTES];
    recv.read_exact(&mut header).await.ok()?;
    let header = FrameHeader::parse(header).ok().filter(|header| wanted(*header))?;
    let mut payload = vec![0; header.payload_bytes];
    recv.read_exact(&mut payload).await.ok()?;
    Some(Message { kind: header.kind, payload })
}

#[cfg(test)]
mod tests;
