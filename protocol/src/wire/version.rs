//! The wire version: what a node speaks, and which one two nodes take.

use serde::{Deserialize, Serialize};

/// A version of the protocol between nodes. Signing labels carry it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WireVersion(pub u16);

/// The version this library speaks.
pub const CURRENT: WireVersion = WireVersion(1);

/// ALPN of the protocol between members of a consortium.
pub const ALPN: &[u8] = b"cohortium/1";
/// ALPN of the join protocol, where the peer's key is not known yet.
pub const ALPN_JOIN: &[u8] = b"cohortium-join/1";

/// The versions a node speaks, from the oldest to the newest, without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRange {
    /// The oldest.
    pub oldest: WireVersion,
    /// The newest.
    pub newest: WireVersion,
}

impl VersionRange {
    /// What this library speaks.
    pub const OURS: Self = Self { oldest: CURRENT, newest: CURRENT };

    /// The newest version that both speak; `None` when there is none (spec WIRE-3).
    pub fn agree(self, other: Self) -> Option<WireVersion> {
        let newest = self.newest.min(other.newest);
        let oldest = self.oldest.max(other.oldest);
        (oldest <= newest && self.oldest <= self.newest && other.oldest <= other.newest).then_some(newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_nodes_take_the_newest_version_that_both_speak() {
        let range = |oldest, newest| VersionRange { oldest: WireVersion(oldest), newest: WireVersion(newest) };
        let cases = [
            (range(1, 1), range(1, 3), Some(1)),
            (range(1, 4), range(2, 3), Some(3)),
            (range(1, 1), range(2, 2), None),
            (range(3, 1), range(1, 3), None),
        ];
        for (ours, theirs, taken) in cases {
            assert_eq!(ours.agree(theirs), taken.map(WireVersion));
            assert_eq!(theirs.agree(ours), taken.map(WireVersion));
        }
    }
}
