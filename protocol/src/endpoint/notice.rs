//! What people are told: notices of what happened, and why an order is not carried out.

use crate::code::ErrorCode;
use crate::digest::{BlobDigest, DocumentDigest};
use crate::ident::{Name, ReleaseId, ShareId, SnapshotId, SubscriptionId};
use crate::quantity::Rows;
use crate::record::journal_entry::RunFault;
use crate::record::refusal::Refusal;
use crate::rule::ledger::Disagreement;
use crate::time::UnixMillis;

/// Something a person may want to see; also a line of the structured log. No content of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A party's connection stands, HELLO done.
    PeerUp(Name),
    /// It is gone.
    PeerDown(Name),
    /// A peer was refused, or refused us.
    Refused {
        /// Who, if known.
        peer: Option<Name>,
        /// Why.
        code: ErrorCode,
    },
    /// A peer holds documents of this node that this node did not write: its disk was rolled back, or the peer lies.
    MailForked(Name),
    /// A charter version is in force here.
    CharterInForce(u32),
    /// A snapshot was stated.
    Stated(ShareId, SnapshotId),
    /// A run produced nothing.
    RunFailed(ShareId, RunFault),
    /// A run found nothing new.
    Unchanged(ShareId),
    /// Sources were mapped.
    Mapped(Name),
    /// A mapping run made nothing.
    MappingFailed(Name, RunFault),
    /// A vocabulary was loaded.
    VocabularyLoaded(DocumentDigest),
    /// A vocabulary was not loaded.
    VocabularyFailed(RunFault),
    /// What has landed was consolidated.
    Consolidated(DocumentDigest),
    /// Nothing has changed since the last consolidation.
    ConsolidatedAlready,
    /// A consolidation made nothing.
    ConsolidationFailed(RunFault),
    /// Table versions were published.
    Published(DocumentDigest),
    /// A publication changed nothing, or with `Unsettled` perhaps everything.
    PublishFailed(DocumentDigest, RunFault),
    /// A request for a release was refused by review.
    ReleaseRefused(ReleaseId, Refusal),
    /// A release was made and waits for the privacy officer.
    ReleaseMade(ReleaseId),
    /// A release was paid for and is none: why, is for the privacy officer.
    ReleaseNotMade(ReleaseId),
    /// Members are asked about a release, until then.
    Announced(ReleaseId, UnixMillis),
    /// A member has objected to a release: it is not made.
    Objected(ReleaseId, Name),
    /// What the operator states of the ledger does not agree with what is known here.
    LedgerDisagrees(ReleaseId, Disagreement),
    /// Releases have cost this node's patients more than its cap: what it shares is revoked.
    CapPassed,
    /// A release was recalled, by us or by its operator.
    Withdrawn(ReleaseId),
    /// A version landed and is in use.
    Landed(SubscriptionId, SnapshotId, Rows),
    /// A landing was refused.
    LandingRefused(SubscriptionId, SnapshotId, ErrorCode),
    /// A subscription was revoked, by us or by its provider.
    Revoked(SubscriptionId),
    /// A peer shows a log that is not the one it showed before: it was changed, forked or rolled back.
    SplitView(Name),
    /// A blob of a peer did not match its digest.
    Lied(Name, BlobDigest),
}

/// Why sites are not compared: the one reason, whatever is in their tables (spec QUAL-2).
pub const TOO_FEW_SITES: &str = "a comparison needs five sites";

/// Why an order is not carried out. For the person who gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderFault {
    /// The signature, person or validity does not stand.
    NotEnrolled,
    /// The person's roles do not allow this.
    RoleMissing {
        /// What was tried.
        action: &'static str,
    },
    /// Given for another node or consortium, or too long ago, or twice.
    NotForNow,
    /// This node acts under no charter yet, or not the one needed.
    CharterNotInForce,
    /// No such share, subscription, dataset, charter or party.
    NotFound {
        /// What was looked for.
        what: &'static str,
    },
    /// The state does not allow it.
    OutOfOrder {
        /// What stands in the way.
        why: &'static str,
    },
    /// The privacy officer has not approved these terms.
    NotApproved,
    /// The node has been told to stop all output.
    Stopped,
    /// The document in it does not stand.
    Document,
    /// The journal cannot be written.
    Unavailable,
}

impl std::fmt::Display for OrderFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotEnrolled => f.write_str("this key is not that of a person enrolled at this node"),
            Self::RoleMissing { action } => write!(f, "your roles do not allow you to {action}"),
            Self::NotForNow => f.write_str("the order is for another node, too old, or was given before"),
            Self::CharterNotInForce => f.write_str("no charter that this node has accepted is in force"),
            Self::NotFound { what } => write!(f, "there is no such {what}"),
            Self::OutOfOrder { why } => f.write_str(why),
            Self::NotApproved => f.write_str("the privacy officer has not approved these terms"),
            Self::Stopped => f.write_str("all output is stopped; `cohortium start` lifts it"),
            Self::Document => f.write_str("the document in the order does not stand"),
            Self::Unavailable => f.write_str("the journal cannot be written, so nothing is done"),
        }
    }
}

impl std::error::Error for OrderFault {}
