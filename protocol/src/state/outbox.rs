//! Documents on their way to one peer, in order, and which of its documents are here.

use std::sync::Arc;

use crate::digest::DocumentDigest;
use crate::message::document::{Document, Held, MailHead};

/// Both directions of the document exchange with one peer.
#[derive(Debug, Clone)]
pub struct Mailbox {
    outgoing: Vec<Arc<Document>>,
    /// The head after each of them.
    heads: Vec<MailHead>,
    held: Held,
}

impl Default for Mailbox {
    fn default() -> Self {
        Self { outgoing: Vec::new(), heads: Vec::new(), held: Held::NONE }
    }
}

impl Mailbox {
    /// Adds a document for the peer.
    pub fn push(&mut self, document: Arc<Document>) {
        let last = self.heads.last().copied().unwrap_or(MailHead::NONE);
        self.heads.push(last.with(document.digest()));
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

    /// Whether what the peer says it holds is what was written for it (spec HELLO-6, HELLO-9).
    pub fn has_written(&self, held: Held) -> bool {
        let written = match held.documents.checked_sub(1) {
            None => Some(MailHead::NONE),
            Some(last) => usize::try_from(last).ok().and_then(|last| self.heads.get(last).copied()),
        };
        written == Some(held.head)
    }

    /// How many of the peer's documents are durably here.
    pub const fn received(&self) -> u64 {
        self.held.documents
    }

    /// Which of the peer's documents are durably here.
    pub const fn held(&self) -> Held {
        self.held
    }

    /// Notes one more.
    pub fn note_received(&mut self, document: DocumentDigest) {
        self.held = self.held.with(document);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(byte: u8) -> DocumentDigest {
        DocumentDigest([byte; 32])
    }

    // MAIL-3
    #[test]
    fn a_head_names_its_documents_and_their_order() {
        let held = |bytes: &[u8]| bytes.iter().fold(Held::NONE, |held, byte| held.with(document(*byte)));
        assert_eq!(held(&[1, 2]), held(&[1, 2]));
        assert_eq!(held(&[1, 2]).documents, 2);
        for other in [&[2, 1][..], &[1], &[1, 2, 2], &[1, 3], &[]] {
            assert_ne!(held(&[1, 2]).head, held(other).head, "{other:?}");
        }
    }
}
