//! Documents on their way to one peer, in order, and how many of its documents are here.

use std::sync::Arc;

use crate::message::document::Document;

/// Both directions of the document exchange with one peer.
#[derive(Debug, Clone, Default)]
pub struct Mailbox {
    outgoing: Vec<Arc<Document>>,
    received: u64,
}

impl Mailbox {
    /// Adds a document for the peer.
    pub fn push(&mut self, document: Arc<Document>) {
        self.outgoing.push(document);
    }

    /// The document of this number, if there is one yet.
    pub fn get(&self, index: u64) -> Option<&Arc<Document>> {
        self.outgoing.get(usize::try_from(index).ok()?)
    }

    /// Whether exactly this document is or was for the peer.
    pub fn holds(&self, document: &Arc<Document>) -> bool {
        self.outgoing.contains(document)
    }

    /// How many documents there are for the peer since the first.
    pub fn len(&self) -> u64 {
        u64::try_from(self.outgoing.len()).unwrap_or(u64::MAX)
    }

    /// Whether there was never a document for the peer.
    pub fn is_empty(&self) -> bool {
        self.outgoing.is_empty()
    }

    /// How many of the peer's documents are durably here.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Notes one more.
    pub fn note_received(&mut self) {
        self.received = self.received.saturating_add(1);
    }
}
