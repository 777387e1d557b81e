//! What a node knows of the linkage keys of its consortium.

use std::collections::{BTreeMap, BTreeSet};

use crate::ident::Name;
use crate::key::signed::Signed;
use crate::record::linkage_wrap::LinkageWrap;
use crate::record::manifest::{LinkageCheck, LinkageKeyId};

/// What this node knows of linkage keys.
#[derive(Debug, Clone, Default)]
pub struct LinkageState {
    /// Keys in the keystore, by epoch.
    pub held: BTreeMap<u32, LinkageKeyId>,
    /// The key that the key maker has announced, by epoch: what every manifest's statement must name.
    pub announced: BTreeMap<u32, LinkageKeyId>,
    /// The check value that the key maker's manifests state for a key and normaliser: every other must equal it.
    pub checks: BTreeMap<(LinkageKeyId, u16), LinkageCheck>,
    /// To whom a wrap went, by epoch.
    pub wrapped: BTreeMap<u32, BTreeSet<Name>>,
    /// Wraps that arrived for this node.
    pub received: Vec<Signed<LinkageWrap>>,
}

impl LinkageState {
    /// A key is in the keystore now; the first that is known of an epoch is the announced one.
    pub fn hold(&mut self, epoch: u32, key: LinkageKeyId) {
        self.held.insert(epoch, key);
        self.announced.entry(epoch).or_insert(key);
    }
}
