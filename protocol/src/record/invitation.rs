//! The invitation: a provider offers one consumer a subscription to a share, with the share's exact terms.

use serde::{Deserialize, Serialize};

use crate::digest::DocumentDigest;
use crate::ident::{ConsortiumId, Name, SubscriptionId};
use crate::key::signed::Record;
use crate::record::extension::Extensions;
use crate::record::share::Share;
use crate::time::UnixMillis;

/// An offer. The same subscription may be invited again with a later version of the share; the consumer then answers anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// The subscription, in every version.
    pub subscription: SubscriptionId,
    /// Who is invited.
    pub consumer: Name,
    /// The terms.
    pub share: Share,
    /// When it was made.
    pub at: UnixMillis,
    /// It cannot be accepted from here on.
    pub answer_by: UnixMillis,
    /// The invitation of this subscription that the provider holds as accepted: its terms bind until this one is.
    pub accepted: Option<DocumentDigest>,
    /// Room for later versions.
    pub ext: Extensions,
}

impl Record for Invitation {
    const LABEL: &'static str = "application/vnd.cohortium.v1.invitation.v1";
    const TITLE: &'static str = "invitation";
}
