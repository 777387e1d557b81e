//! Documents on their way to one peer, in order, and which of its documents are here.

use std::sync::Arc;

use crate::code::ErrorCode;
use crate::digest::DocumentDigest;
use crate::message::document::{Document, Held, MailHead};
use crate::record::journal_entry::Act;

/// Both directions of the document exchange with one peer.
#[derive(Debug, Clone)]
pub struct Mailbox {
    outgoing: Vec<Arc<Document>>,
    /// The head after each of them.
    heads: Vec<MailHead>,
    held: Held,
    /// What the last one that is here was refused with.
    refused: Option<ErrorCode>,
}

impl Default for Mailbox {
    fn default() -> Self {
        Self { outgoing: Vec::new(), heads: Vec::new(), held: Held::NONE, refused: None }
    }
}

impl Mailbox {
    /// Adds a document for the peer.
    pub fn push(&mut self, document: Arc<Document>) {
        let named = document.digest();
        self.push_named(document, named);
    }

    /// The same where its name is known: what goes to many is named once.
    pub(super) fn push_named(&mut self, document: Arc<Document>, named: DocumentDigest) {
        let last = self.heads.last().copied().unwrap_or(MailHead::NONE);
        self.heads.push(last.with(named));
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

    /// Notes one more, and what it was refused with.
    pub fn note_received(&mut self, document: DocumentDigest, refused: Option<ErrorCode>) {
        self.held = self.held.with(document);
        self.refused = refused;
    }

    /// What the peer's document of this number was refused with, if it was the last one: no earlier one is asked about
    /// again (spec MAIL-2).
    pub fn refusal(&self, index: u64) -> Option<ErrorCode> {
        self.refused.filter(|_| index.checked_add(1) == Some(self.held.documents))
    }
}

/// The document that a peer's act came as. Signatures are not in its name: of a charter's only those are kept that count.
pub(super) fn document_in(act: &Act) -> Option<DocumentDigest> {
    match act {
        Act::Charter(signed) => Some(signed.digest()),
        Act::NodeRecord(signed) => Some(signed.digest()),
        Act::Invitation(signed) => Some(signed.digest()),
        Act::Acceptance(signed) => Some(signed.digest()),
        Act::Standing(signed) => Some(signed.digest()),
        Act::Revocation(signed) => Some(signed.digest()),
        Act::Manifest(signed) => Some(signed.digest()),
        Act::Receipt(signed) => Some(signed.digest()),
        Act::LinkageWrap(signed) => Some(signed.digest()),
        Act::SiteNotice(signed) => Some(signed.digest()),
        Act::CommonSchema(signed) => Some(signed.digest()),
        Act::Project(signed) => Some(signed.digest()),
        Act::Withdrawal(signed) => Some(signed.digest()),
        Act::Announcement(signed) => Some(signed.digest()),
        Act::Objection(signed) => Some(signed.digest()),
        Act::Debit(signed) => Some(signed.digest()),
        Act::DocumentRefused { document, .. } | Act::DocumentKnown { document } => Some(*document),
        Act::Began { .. }
        | Act::Order(_)
        | Act::Person(_)
        | Act::JoinAsked { .. }
        | Act::SnapshotTaken { .. }
        | Act::SnapshotFailed { .. }
        | Act::LinkageKeyHeld { .. }
        | Act::Served { .. }
        | Act::PeerRefused { .. }
        | Act::SnapshotUnwanted { .. }
        | Act::Mapped { .. }
        | Act::MappingFailed { .. }
        | Act::Consolidated { .. }
        | Act::ConsolidationFailed { .. }
        | Act::Published { .. }
        | Act::PublishFailed { .. }
        | Act::AnswerRefused { .. }
        | Act::Compared { .. }
        | Act::PipelineBegan { .. }
        | Act::PipelineStep { .. }
        | Act::VocabularyLoaded(_)
        | Act::VocabularyFailed { .. }
        | Act::ReleaseRefused { .. }
        | Act::ReleaseSame { .. }
        | Act::ReleaseReserved(_)
        | Act::ReleaseMade { .. }
        | Act::ReleaseFailed { .. }
        | Act::ReleaseStopped { .. }
        | Act::Released(_)
        | Act::Erased { .. } => None,
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
