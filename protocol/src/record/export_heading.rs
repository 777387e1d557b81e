//! The heading of a folder that carries a share by hand: who exported what for whom. Signed, since a folder may be anybody's.

use serde::{Deserialize, Serialize};

use crate::digest::DocumentDigest;
use crate::ident::{ConsortiumId, Name, SubscriptionId};
use crate::key::signed::Record;
use crate::record::extension::Extensions;
use crate::time::UnixMillis;

/// One exported folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportHeading {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// Who exported it.
    pub provider: Name,
    /// For whom.
    pub consumer: Name,
    /// Under which subscription.
    pub subscription: SubscriptionId,
    /// SHA-256 of the file of numbered documents: their order is part of what is signed.
    pub documents: DocumentDigest,
    /// When.
    pub at: UnixMillis,
    /// Room for later versions.
    pub ext: Extensions,
}

impl Record for ExportHeading {
    const LABEL: &'static str = "application/vnd.cohortium.v1.export-heading.v1";
    const TITLE: &'static str = "export heading";
}
