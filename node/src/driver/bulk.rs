//! Bulk bytes: serving a blob's parts out of the store, and fetching parts into a landing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes as Piece;
use cohortium_protocol::code::{ErrorCode, MessageType};
use cohortium_protocol::endpoint::io::{Answer, Message, Part};
use cohortium_protocol::limits::{ANSWER_DEADLINE, RANGE_DEADLINE};
use cohortium_protocol::message::hello::Refused;
use cohortium_protocol::message::transfer::BulkBegin;
use cohortium_protocol::outboard::Range;
use cohortium_protocol::quantity::Bytes;
use cohortium_protocol::record::listing::BlobRef;
use cohortium_protocol::wire::codec;
use cohortium_store::blob::{BlobFault, BlobReader, BlobStore};
use cohortium_store::stream::BLOCK_BYTES;
use cohortium_transport::frame::{read_frame, write_frame};
use cohortium_transport::{Connection, RecvHalf, SendHalf};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::driver::carried::{Folder, name_of};
use crate::driver::landings::Landings;
use crate::driver::wires::duration;

/// What is fetched, and with which frame it is asked for.
pub(crate) struct Wanted {
    pub(crate) message: Message,
    pub(crate) blob: BlobRef,
    pub(crate) part: Part,
}

impl Wanted {
    /// The range, if it is one; `None` too for an offset that is no range of the blob.
    pub(crate) fn range(&self) -> Option<Range> {
        self.part.range_of(self.blob)
    }
}

/// Asks for a part of a blob, and verifies and stores what comes.
pub(crate) async fn fetch(connection: &Connection, wanted: &Wanted, landings: &Arc<Landings>) -> Answer {
    let received = timeout(duration(RANGE_DEADLINE), receive(connection, wanted)).await;
    match received.unwrap_or(Err(Answer::Lost)) {
        Ok(bytes) => keep(wanted, bytes, landings).await,
        Err(answer) => answer,
    }
}

/// Reads a part out of a folder, and verifies and stores it exactly as from the network. A folder that is damaged is not
/// its provider's lie: what is wrong is noted for the person who brought it, and a good copy lands later.
pub(crate) async fn take_in(folder: &Arc<Folder>, wanted: &Wanted, landings: &Arc<Landings>) -> Answer {
    let range = wanted.range();
    if range.is_none() && wanted.part != Part::Outboard {
        return Answer::LocalFault;
    }
    let Some(bytes) = folder.read(wanted.blob, range).await else { return Answer::Lost };
    let answer = keep(wanted, bytes, landings).await;
    if answer == Answer::Wrong {
        folder.note(format!("{} is not what its digest says", name_of(wanted.blob.digest, range)));
        return Answer::Lost;
    }
    answer
}

/// Verifies and stores a part whose bytes are at hand.
async fn keep(wanted: &Wanted, mut bytes: Vec<u8>, landings: &Arc<Landings>) -> Answer {
    let (here, blob, range) = (Arc::clone(landings), wanted.blob, wanted.range());
    let kept = spawn_blocking(move || match range {
        None => here.put_outboard(blob, &bytes),
        Some(range) => here.put_range(blob, range, &mut bytes),
    });
    let answer = kept.await.unwrap_or(Answer::LocalFault);
    if range.is_some() && answer == Answer::Stored {
        let landings = Arc::clone(landings);
        // Nobody waits for it: the next ranges travel while the disk syncs.
        drop(spawn_blocking(move || landings.save(blob)));
    }
    answer
}

async fn receive(connection: &Connection, wanted: &Wanted) -> Result<Vec<u8>, Answer> {
    let (mut send, mut recv) = connection.open().await.map_err(|_| Answer::Lost)?;
    let (kind, payload) = (wanted.message.kind, &wanted.message.payload);
    write_frame(&mut send, kind, payload, duration(ANSWER_DEADLINE)).await.map_err(|_| Answer::Lost)?;
    // A peer that has read the whole frame may have stopped the stream: the answer comes all the same.
    let _ = send.finish().await;
    let (kind, payload) = read_frame(&mut recv, duration(ANSWER_DEADLINE)).await.map_err(|_| Answer::Lost)?;
    let expected = wanted.part.begun(wanted.blob, &Message { kind, payload })?;
    read_raw(&mut recv, expected).await
}

/// Exactly `expected` bytes and the stream's end. The length is this node's own knowledge, never the peer's word.
async fn read_raw(recv: &mut RecvHalf, expected: u64) -> Result<Vec<u8>, Answer> {
    let mut bytes = vec![0; usize::try_from(expected).expect("an outboard or range is at most 8 MiB")];
    recv.read_exact(&mut bytes).await.map_err(|error| match error {
        cohortium_transport::StreamError::EndedEarly => Answer::Wrong,
        cohortium_transport::StreamError::Reset { .. }
        | cohortium_transport::StreamError::Stopped { .. }
        | cohortium_transport::StreamError::Closed(_)
        | cohortium_transport::StreamError::Misused => Answer::Lost,
    })?;
    match recv.read_chunk(1).await {
        Ok(None) => Ok(bytes),
        Ok(Some(_)) => Err(Answer::Wrong),
        Err(_) => Err(Answer::Lost),
    }
}

/// Where the bytes of an answer go, and how many have gone.
pub(crate) struct Outlet {
    pub(crate) send: SendHalf,
    /// Kept open until the answer is out.
    pub(crate) recv: RecvHalf,
    /// Bytes of the blob that have been handed to the connection.
    pub(crate) sent: Arc<AtomicU64>,
}

/// Why a part was not served to its end. Either way the stream is reset, which the peer sees.
pub(crate) enum Unserved {
    /// The store has no such blob, or it is damaged.
    Store(BlobFault),
    /// The peer went away or was too slow.
    Peer,
}

/// Sends a part of a blob: the frame, then the bytes, block by block out of the store.
pub(crate) async fn serve(mut outlet: Outlet, blobs: BlobStore, blob: BlobRef, part: Part) -> Result<(), Unserved> {
    outlet.send.yield_to_others();
    let whole = timeout(duration(RANGE_DEADLINE), async {
        match part {
            Part::Outboard => serve_outboard(&mut outlet, blobs, blob).await?,
            Part::Range(_) => match part.range_of(blob) {
                Some(range) => serve_range(&mut outlet, blobs, blob, range).await?,
                None => refuse(&mut outlet).await?,
            },
        }
        outlet.send.finish().await.map_err(|_| Unserved::Peer)
    });
    let served = whole.await.unwrap_or(Err(Unserved::Peer));
    drop(outlet.recv);
    served
}

async fn begin(outlet: &mut Outlet, kind: MessageType, bytes: u64) -> Result<(), Unserved> {
    let payload = codec::encode(&BulkBegin { bytes: Bytes(bytes) });
    write_frame(&mut outlet.send, kind, &payload, duration(ANSWER_DEADLINE)).await.map_err(|_| Unserved::Peer)
}

async fn refuse(outlet: &mut Outlet) -> Result<(), Unserved> {
    let payload = codec::encode(&Refused { code: ErrorCode::NotFound.code() });
    write_frame(&mut outlet.send, MessageType::Refused, &payload, duration(ANSWER_DEADLINE))
        .await
        .map_err(|_| Unserved::Peer)
}

async fn write(outlet: &mut Outlet, piece: Piece) -> Result<(), Unserved> {
    let bytes = piece.len() as u64;
    // Counted first: when this is cut in the middle, the count is rather too high than too low.
    outlet.sent.fetch_add(bytes, Ordering::Relaxed);
    outlet.send.write_chunk(piece).await.map_err(|_| Unserved::Peer)
}

async fn serve_outboard(outlet: &mut Outlet, blobs: BlobStore, blob: BlobRef) -> Result<(), Unserved> {
    let read = spawn_blocking(move || blobs.outboard(blob.digest).map(|outboard| outboard.to_bytes()));
    let bytes = read.await.map_err(|_| Unserved::Peer)?.map_err(Unserved::Store)?;
    begin(outlet, MessageType::OutboardBegin, bytes.len() as u64).await?;
    write(outlet, Piece::from(bytes)).await
}

/// One block is read ahead while the one before is sent, so a range takes two blocks of memory.
async fn serve_range(outlet: &mut Outlet, blobs: BlobStore, blob: BlobRef, range: Range) -> Result<(), Unserved> {
    let opened = spawn_blocking(move || {
        let reader = Arc::new(blobs.reader(blob.digest)?);
        let first = block(&reader, range.offset, range.offset + range.len)?;
        Ok::<_, BlobFault>((reader, first))
    });
    let (reader, mut ready) = opened.await.map_err(|_| Unserved::Peer)?.map_err(Unserved::Store)?;
    begin(outlet, MessageType::RangeBegin, range.len).await?;
    let end = range.offset + range.len;
    let mut at = range.offset + ready.len() as u64;
    while at < end {
        let reader = Arc::clone(&reader);
        let next = spawn_blocking(move || block(&reader, at, end));
        write(outlet, Piece::from(ready)).await?;
        ready = next.await.map_err(|_| Unserved::Peer)?.map_err(Unserved::Store)?;
        at += ready.len() as u64;
    }
    write(outlet, Piece::from(ready)).await
}

/// The next block of a range, whole and decrypted.
fn block(reader: &BlobReader, at: u64, end: u64) -> Result<Vec<u8>, BlobFault> {
    let length = usize::try_from(end - at).map_or(BLOCK_BYTES, |rest| rest.min(BLOCK_BYTES));
    let mut bytes = vec![0; length];
    let read = reader.read_at(at, &mut bytes)?;
    if read < length {
        // The caller's idea of the blob is longer than the blob: nothing of it may be padded.
        return Err(BlobFault::NotFound { digest: reader.digest() });
    }
    Ok(bytes)
}
