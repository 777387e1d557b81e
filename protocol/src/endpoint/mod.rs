//! The endpoint: one node's part in all its consortia, without I/O. Inputs in, effects out.
//!
//! Order of use: [`Endpoint::handle`] one input, then [`Endpoint::poll_effect`] until it gives `None`, then
//! [`Endpoint::poll_wake`] for the time of the next `Input::Tick`. Nothing leaves before the entry that explains it is
//! durable: effects that depend on an entry are held back until `Input::Persisted` (spec JRNL-1).

pub mod io;

use crate::ident::{ConsortiumId, Name};
use crate::key::pair::{KeyPair, PublicKey, SealingKey};
use crate::record::journal_entry::JournalEntry;
use crate::time::Millis;

use io::{Cx, Effect, Input};

/// A node's keys in one consortium.
#[expect(missing_debug_implementations, reason = "holds secrets")]
pub struct NodeKeys {
    /// Signs charters and node records; `None` where it is kept offline.
    pub root: Option<KeyPair>,
    /// Signs documents.
    pub signing: KeyPair,
    /// The public half of the TLS key.
    pub tls: PublicKey,
    /// The public half of the sealing key.
    pub sealing: SealingKey,
}

/// This node's place in one consortium.
#[expect(missing_debug_implementations, reason = "holds secrets")]
pub struct Membership {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// Which party this node is.
    pub party: Name,
    /// The operator's root key, by which the first charter is known.
    pub operator_root: PublicKey,
    /// Its keys.
    pub keys: NodeKeys,
}

/// One node's part in all its consortia.
#[derive(Debug, Default)]
pub struct Endpoint {}

impl Endpoint {
    /// Takes part in a consortium, with what the journal holds of it from the first entry on.
    pub fn enter(&mut self, _membership: Membership, _journal: impl IntoIterator<Item = JournalEntry>) {}

    /// Takes one thing that happened.
    pub fn handle(&mut self, _cx: Cx, _input: Input) {}

    /// The next thing to do, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        None
    }

    /// When to send `Input::Tick` at the latest.
    pub fn poll_wake(&self) -> Option<Millis> {
        None
    }
}
