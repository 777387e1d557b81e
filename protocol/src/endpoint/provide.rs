//! The provider's side of a transfer: which bytes of which blob may leave to whom at this moment.

use std::collections::BTreeMap;

use crate::code::{ErrorCode, MessageType};
use crate::digest::BlobDigest;
use crate::ident::{ConsortiumId, Name, SnapshotId, SubscriptionId};
use crate::limits::{CONTROL_FRAME_BYTES_MAX, RANGE_BYTES};
use crate::message::transfer::{OutboardGet, RangeGet};
use crate::quantity::Bytes;
use crate::record::journal_entry::{Act, Actor};
use crate::record::listing::{BlobRef, Listing};
use crate::state::charters::Standing;
use crate::state::share::Offer;
use crate::state::subscription::Side;
use crate::wire::codec;

use super::io::{ConnId, Effect, Message, Part, StreamId, Ticket, Under};
use super::{Endpoint, Room, Up, Waiting, refused};

/// Requests that wait for a listing to be read, at most, over all peers.
const PARKED_MAX: usize = 256;

/// What a peer asks for.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    subscription: SubscriptionId,
    snapshot: SnapshotId,
    blob: BlobDigest,
    part: Part,
}

/// A request that waits for a listing.
#[derive(Debug, Clone)]
pub(super) struct Parked {
    conn: ConnId,
    stream: StreamId,
    peer: Name,
    wanted: Wanted,
}

/// What is to be done with a request.
enum Verdict {
    Serve(BlobRef),
    ReadListingFirst(BlobRef),
    Refuse(ErrorCode),
}

impl Endpoint {
    pub(super) fn transfer_asked(&mut self, conn: ConnId, stream: StreamId, up: &Up, message: &Message) {
        let wanted = if message.kind == MessageType::RangeGet {
            codec::decode::<RangeGet>(&message.payload, CONTROL_FRAME_BYTES_MAX).map(|get| {
                let part = Part::Range(get.offset);
                Wanted { subscription: get.subscription, snapshot: get.snapshot, blob: get.blob, part }
            })
        } else {
            codec::decode::<OutboardGet>(&message.payload, CONTROL_FRAME_BYTES_MAX).map(|get| Wanted {
                subscription: get.subscription,
                snapshot: get.snapshot,
                blob: get.blob,
                part: Part::Outboard,
            })
        };
        match wanted {
            Ok(wanted) => {
                let parked = Parked { conn, stream, peer: up.peer.clone(), wanted };
                self.serve_or_refuse(up.consortium, up.standing, parked);
            }
            Err(_) => self.reply_now(conn, stream, refused(ErrorCode::Malformed)),
        }
    }

    fn serve_or_refuse(&mut self, consortium: ConsortiumId, standing: Standing, parked: Parked) {
        let Some(room) = self.rooms.get(&consortium) else { return };
        let verdict = match standing {
            Standing::Party => self.judge(room, &parked.peer, &parked.wanted),
            Standing::CharterOnly => Verdict::Refuse(ErrorCode::CharterNotInForce),
        };
        let Parked { conn, stream, wanted, .. } = parked;
        match verdict {
            Verdict::Serve(blob) => {
                let (under, part) = (Under { consortium, subscription: wanted.subscription }, wanted.part);
                self.after(consortium, Effect::Serve { conn, stream, under, blob, part });
            }
            Verdict::Refuse(code) => self.after(consortium, Effect::Reply { conn, stream, message: refused(code) }),
            Verdict::ReadListingFirst(blob) => self.park(consortium, blob, parked),
        }
    }

    fn park(&mut self, consortium: ConsortiumId, blob: BlobRef, parked: Parked) {
        let snapshot = parked.wanted.snapshot;
        let Some(room) = self.rooms.get_mut(&consortium) else { return };
        if room.parked.len() >= PARKED_MAX {
            return self.reply_now(parked.conn, parked.stream, refused(ErrorCode::Busy));
        }
        room.parked.push(parked);
        let waiting = Waiting::ServeListing { consortium, snapshot };
        if !self.waiting.values().any(|other| *other == waiting) {
            let ticket = self.ticket(waiting);
            self.effects.push_back(Effect::ReadListing { ticket, blob });
        }
    }

    pub(super) fn serve_listing_read(&mut self, consortium: ConsortiumId, snapshot: SnapshotId, read: Option<Listing>) {
        let Some(room) = self.rooms.get_mut(&consortium) else { return };
        let Some(listing) = read else {
            let (lost, rest): (Vec<Parked>, Vec<Parked>) =
                std::mem::take(&mut room.parked).into_iter().partition(|parked| parked.wanted.snapshot == snapshot);
            room.parked = rest;
            for parked in lost {
                self.reply_now(parked.conn, parked.stream, refused(ErrorCode::Busy));
            }
            return;
        };
        remember(room, snapshot, &listing);
        let (ready, rest) =
            std::mem::take(&mut room.parked).into_iter().partition(|parked| parked.wanted.snapshot == snapshot);
        room.parked = rest;
        let ready: Vec<Parked> = ready;
        for parked in ready {
            let standing = self.conns.get(&parked.conn).and_then(|conn| conn.up.as_ref()).map(|up| up.standing);
            self.serve_or_refuse(consortium, standing.unwrap_or(Standing::CharterOnly), parked);
        }
    }

    /// The whole rule of what may leave (spec XFER-1 to XFER-4): the right consumer, a subscription that flows now, no
    /// halt, a snapshot stated to it, a blob of that snapshot, a range of that blob.
    fn judge(&self, room: &Room, peer: &Name, wanted: &Wanted) -> Verdict {
        let found = room.state.subscriptions.get(&wanted.subscription);
        let Some(found) = found.filter(|found| found.side == Side::Provider && found.peer == *peer) else {
            return Verdict::Refuse(ErrorCode::NotFound);
        };
        if room.state.stopped {
            return Verdict::Refuse(ErrorCode::Stopped);
        }
        if let Err(code) = found.may_flow(self.cx().wall) {
            return Verdict::Refuse(code);
        }
        let offer = room.state.offers.get(&found.invitation.share.share);
        let live = offer.is_some_and(|offer| offer.live().iter().any(|stated| stated.id == wanted.snapshot));
        let accepted = |terms| found.terms == Some(terms);
        let snapshot = found.snapshot(wanted.snapshot).filter(|snapshot| live && accepted(snapshot.manifest.terms));
        let Some(snapshot) = snapshot else {
            return Verdict::Refuse(ErrorCode::NotFound);
        };
        let listing = snapshot.manifest.listing;
        let blob = if listing.digest == wanted.blob {
            Some(listing)
        } else {
            match room.listings.get(&wanted.snapshot) {
                None => return Verdict::ReadListingFirst(listing),
                Some(blobs) => blobs.get(&wanted.blob).copied(),
            }
        };
        match blob {
            Some(blob) if part_exists(blob, wanted.part) => Verdict::Serve(blob),
            Some(_) => Verdict::Refuse(ErrorCode::Malformed),
            None => Verdict::Refuse(ErrorCode::NotFound),
        }
    }

    /// Keeps the listing of a snapshot that was just taken, so that the first request need not read it.
    pub(super) fn keep_listing(&mut self, consortium: ConsortiumId, snapshot: SnapshotId, listing: &Listing) {
        if let Some(room) = self.rooms.get_mut(&consortium) {
            remember(room, snapshot, listing);
        }
    }

    pub(super) fn note_served(&mut self, under: Under, bytes: Bytes) {
        let room = self.rooms.get_mut(&under.consortium);
        if let Some(room) = room.filter(|room| room.state.subscriptions.contains_key(&under.subscription)) {
            let served = room.served.entry(under.subscription).or_default();
            *served = served.saturating_add(bytes.0);
        }
    }

    /// Writes down what was served since the last time.
    pub(super) fn journal_served(&mut self) {
        let due: Vec<(ConsortiumId, Vec<Act>)> = self
            .rooms
            .iter_mut()
            .map(|(id, room)| {
                let served = std::mem::take(&mut room.served);
                let act = |(subscription, bytes)| Act::Served { subscription, bytes: Bytes(bytes) };
                (*id, served.into_iter().map(act).collect())
            })
            .collect();
        for (consortium, acts) in due {
            self.persist(consortium, &Actor::Node, acts);
        }
    }

    pub(super) fn listing_read(&mut self, ticket: Ticket, listing: Option<Listing>) {
        match self.waiting.remove(&ticket) {
            Some(Waiting::ServeListing { consortium, snapshot }) => {
                self.serve_listing_read(consortium, snapshot, listing);
            }
            Some(Waiting::Listing { consortium, subscription }) => {
                self.landing_listing(consortium, subscription, listing);
            }
            _ => {}
        }
    }
}

/// Keeps a listing in memory, and forgets those whose snapshots are not served any more.
fn remember(room: &mut Room, snapshot: SnapshotId, listing: &Listing) {
    let live: std::collections::BTreeSet<SnapshotId> =
        room.state.offers.values().flat_map(Offer::live).map(|stated| stated.id).collect();
    room.listings.retain(|id, _| live.contains(id));
    room.listings.insert(snapshot, blobs_of(listing));
}

fn blobs_of(listing: &Listing) -> BTreeMap<BlobDigest, BlobRef> {
    listing.entries().iter().map(|entry| (entry.blob.digest, entry.blob)).collect()
}

/// Whether a blob has this part: a range begins at a multiple of 4 MiB within it.
fn part_exists(blob: BlobRef, part: Part) -> bool {
    match part {
        Part::Outboard => true,
        Part::Range(offset) => offset.0.is_multiple_of(RANGE_BYTES) && offset < blob.bytes,
    }
}
