//! The linkage wrap: the linkage key of one epoch, encrypted by its maker to one member. The operator only relays it.

use serde::{Deserialize, Serialize};

use crate::ident::{ConsortiumId, Name};
use crate::key::pair::SealingKey;
use crate::key::signed::Record;
use crate::record::extension::Extensions;
use crate::record::manifest::LinkageKeyId;
use crate::time::UnixMillis;
use crate::wire::codec::Blob;

/// One wrapped key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkageWrap {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// The charter's epoch.
    pub epoch: u32,
    /// Which sub-key comes out, so that the recipient can check what it opened.
    pub key: LinkageKeyId,
    /// Who made and wrapped it.
    pub maker: Name,
    /// For whom.
    pub recipient: Name,
    /// The recipient's sealing key it was wrapped to.
    pub sealing: SealingKey,
    /// The ephemeral public key.
    pub ephemeral: SealingKey,
    /// The encrypted key.
    pub ciphertext: Blob,
    /// When.
    pub at: UnixMillis,
    /// Room for later versions.
    pub ext: Extensions,
}

impl Record for LinkageWrap {
    const LABEL: &'static str = "application/vnd.cohortium.v1.linkage-wrap.v1";
    const TITLE: &'static str = "linkage wrap";
}
