//! The network: connections between members and operator, requests on streams of their own, and bulk that flows in
//! pieces. It delays, reorders, loses and cuts; it never alters what TLS would protect.

use std::collections::{BTreeMap, BTreeSet};

use cohortium_protocol::endpoint::io::{Message, Part, Protocol, Ticket};
use cohortium_protocol::ident::SubscriptionId;
use cohortium_protocol::quantity::Bytes;
use cohortium_protocol::record::listing::BlobRef;

/// One connection. Its number is its `ConnId` at both ends.
pub(crate) struct Link {
    /// The dialler and the listener.
    pub(crate) ends: [usize; 2],
    pub(crate) lives: [u32; 2],
    /// Whether each end still believes in it.
    pub(crate) up: [bool; 2],
    /// Whether anything still passes.
    pub(crate) carries: bool,
    pub(crate) protocol: Protocol,
    /// Of one way, in milliseconds, at most.
    pub(crate) latency: u64,
}

/// What a bulk request asks for.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) subscription: SubscriptionId,
    pub(crate) blob: BlobRef,
    pub(crate) part: Part,
}

/// Who waits for an answer.
#[derive(Clone)]
pub(crate) enum Asker {
    /// An endpoint.
    Endpoint(Ticket),
    /// A hospital's command line that wants to join.
    Joiner,
    /// A hostile hand; the answer is looked at by the checker.
    Hostile(crate::hostile::Attack),
}

/// One request on a stream of its own.
pub(crate) struct Ask {
    pub(crate) link: u64,
    /// Which end asks.
    pub(crate) end: usize,
    pub(crate) asker: Asker,
    pub(crate) message: Message,
    pub(crate) bulk: Option<Wanted>,
    /// Whether an answer may still be given.
    pub(crate) open: bool,
}

/// Bulk bytes on their way.
pub(crate) struct Flow {
    pub(crate) ask: u64,
    pub(crate) provider: usize,
    pub(crate) subscription: SubscriptionId,
    pub(crate) bytes: Vec<u8>,
    pub(crate) pieces: u64,
    pub(crate) sent: u64,
    /// Between two pieces, in milliseconds.
    pub(crate) pace: u64,
    /// Since when the rules no longer allow it.
    pub(crate) denied: Option<(u64, String)>,
}

impl Flow {
    pub(crate) fn bytes_sent(&self) -> Bytes {
        let all = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        Bytes(all * self.sent / self.pieces.max(1))
    }
}

/// Everything that is under way.
#[derive(Default)]
pub(crate) struct Net {
    pub(crate) links: BTreeMap<u64, Link>,
    pub(crate) asks: BTreeMap<u64, Ask>,
    pub(crate) flows: BTreeMap<u64, Flow>,
    /// Requests whose asker has gone: the other end may not know yet, and what it serves reaches nobody.
    pub(crate) hung_up: BTreeSet<u64>,
}

impl Net {
    /// The end of a link that `node` is.
    pub(crate) fn end_of(&self, link: u64, node: usize) -> Option<usize> {
        self.links.get(&link)?.ends.iter().position(|end| *end == node)
    }

    /// The other node of a link.
    pub(crate) fn peer(&self, link: u64, node: usize) -> Option<usize> {
        let ends = self.links.get(&link)?.ends;
        Some(if ends[0] == node { ends[1] } else { ends[0] })
    }

    /// Forgets the requests of a link, of one end or of both.
    pub(crate) fn hang_up(&mut self, link: u64, end: Option<usize>) {
        let ended = self.asks.extract_if(.., |_, ask| ask.link == link && end.is_none_or(|end| ask.end == end));
        self.hung_up.extend(ended.map(|(id, _)| id));
    }

    /// The link over which two nodes could talk now.
    pub(crate) fn between(&self, member: usize, operator: usize) -> Option<u64> {
        let mut links = self.links.iter();
        let open = |link: &Link| link.ends == [member, operator] && link.carries && link.protocol == Protocol::Main;
        links.find(|(_, link)| open(link)).map(|(id, _)| *id)
    }

    /// Whether the dialler still believes in a link to the operator.
    pub(crate) fn believes(&self, member: usize) -> bool {
        self.links.values().any(|link| link.ends[0] == member && link.up[0] && link.protocol == Protocol::Main)
    }
}
