//! Notices of comparisons: to the site that one is about, and to nobody else.

use super::{State, known};
use crate::ident::Name;
use crate::key::signed::Signed;
use crate::message::document::Document;
use crate::record::site_notice::SiteNotice;

/// Notices that are kept for reading; all are in the journal.
const NOTICES_KEPT: usize = 256;

impl State {
    /// One of this node's own goes to the member that it is about, and to nobody else (spec QUAL-3).
    pub(super) fn apply_notice(&mut self, signed: &Signed<SiteNotice>, peer: Option<&Name>) {
        let notice = known(signed);
        self.post(peer, &notice.member, Document::SiteNotice(signed.clone()));
        self.notices.push(notice);
        let over = self.notices.len().saturating_sub(NOTICES_KEPT);
        self.notices.drain(..over);
    }
}
