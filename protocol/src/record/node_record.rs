//! The node record: which keys act for a party today. Signed by the party's root key.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ident::{ConsortiumId, Name};
use crate::key::pair::{PublicKey, SealingKey};
use crate::key::signed::Record;
use crate::limits::NODE_RECORD_VALIDITY_MAX;
use crate::record::extension::Extensions;
use crate::time::UnixMillis;

/// The keys of a party's node and how long they stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "NodeRecordFields", into = "NodeRecordFields")]
pub struct NodeRecord(NodeRecordFields);

/// A node record's fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecordFields {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// Whose node.
    pub party: Name,
    /// The root key that signs this record, by which a joining hospital is known before it is on the roster.
    pub root: PublicKey,
    /// Grows with every record; a lower one is stale.
    pub sequence: u64,
    /// The key of its TLS connections.
    pub tls: PublicKey,
    /// The key that signs its documents.
    pub signing: PublicKey,
    /// The key to which linkage keys are wrapped.
    pub sealing: SealingKey,
    /// Not valid before.
    pub not_before: UnixMillis,
    /// Not valid from here on.
    pub not_after: UnixMillis,
    /// Room for later versions.
    pub ext: Extensions,
}

/// Why fields do not make a node record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeRecordFault {
    /// It ends before it begins, or runs longer than 30 days.
    Validity,
    /// One key serves two purposes: a stolen TLS key must not sign manifests.
    KeyShared,
}

impl fmt::Display for NodeRecordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Validity => "the validity is empty or longer than 30 days",
            Self::KeyShared => "root, TLS and signing key are not three keys",
        })
    }
}

impl std::error::Error for NodeRecordFault {}

impl TryFrom<NodeRecordFields> for NodeRecord {
    type Error = NodeRecordFault;

    fn try_from(fields: NodeRecordFields) -> Result<Self, NodeRecordFault> {
        let longest = fields.not_before.plus(NODE_RECORD_VALIDITY_MAX);
        if fields.not_after <= fields.not_before || fields.not_after > longest {
            return Err(NodeRecordFault::Validity);
        }
        if fields.tls == fields.signing || fields.root == fields.tls || fields.root == fields.signing {
            return Err(NodeRecordFault::KeyShared);
        }
        Ok(Self(fields))
    }
}

impl From<NodeRecord> for NodeRecordFields {
    fn from(record: NodeRecord) -> Self {
        record.0
    }
}

impl std::ops::Deref for NodeRecord {
    type Target = NodeRecordFields;

    fn deref(&self) -> &NodeRecordFields {
        &self.0
    }
}

impl NodeRecord {
    /// Whether the record stands at `now`.
    pub fn stands_at(&self, now: UnixMillis) -> bool {
        self.not_before <= now && now < self.not_after
    }
}

impl Record for NodeRecord {
    const LABEL: &'static str = "application/vnd.cohortium.v1.node-record.v1";
    const TITLE: &'static str = "node record";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::pair::KeyPair;

    fn fields() -> NodeRecordFields {
        let key = |seed: u8| KeyPair::from_seed(&[seed; 32]).public();
        NodeRecordFields {
            consortium: ConsortiumId([1; 32]),
            party: "north".parse().unwrap(),
            root: key(1),
            sequence: 1,
            tls: key(2),
            signing: key(3),
            sealing: SealingKey([4; 32]),
            not_before: UnixMillis(1000),
            not_after: UnixMillis(1000).plus(NODE_RECORD_VALIDITY_MAX),
            ext: Extensions::default(),
        }
    }

    // NODE-1
    #[test]
    fn a_record_runs_at_most_thirty_days() {
        assert!(NodeRecord::try_from(fields()).is_ok());
        for not_after in [fields().not_after.0 + 1, 1000] {
            let bent = NodeRecordFields { not_after: UnixMillis(not_after), ..fields() };
            assert_eq!(NodeRecord::try_from(bent), Err(NodeRecordFault::Validity));
        }
        let record = NodeRecord::try_from(fields()).unwrap();
        let stands = [999, 1000, record.not_after.0 - 1, record.not_after.0].map(|ms| record.stands_at(UnixMillis(ms)));
        assert_eq!(stands, [false, true, true, false]);
    }

    // NODE-2
    #[test]
    fn each_key_has_one_purpose() {
        let key = fields().tls;
        for bent in [NodeRecordFields { signing: key, ..fields() }, NodeRecordFields { root: key, ..fields() }] {
            assert_eq!(NodeRecord::try_from(bent), Err(NodeRecordFault::KeyShared));
        }
    }
}
