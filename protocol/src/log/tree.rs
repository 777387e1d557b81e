//! The Merkle tree of RFC 6962: its hashes, its heads, and the frontier to which leaves are appended.

use serde::{Deserialize, Serialize};

use crate::digest::sha256;
use crate::hex::byte_string;

byte_string! {
    /// The hash of a node of the tree, leaf or inner.
    TreeHash, 32
}

/// The hash of a leaf (RFC 6962, 2.1): the prefix keeps leaves and inner nodes apart.
pub fn leaf_hash(entry: &[u8]) -> TreeHash {
    TreeHash(sha256(&[&[0], entry]))
}

/// The hash of an inner node (RFC 6962, 2.1).
pub fn node_hash(left: &TreeHash, right: &TreeHash) -> TreeHash {
    TreeHash(sha256(&[&[1], &left.0, &right.0]))
}

/// The root of the tree without leaves: SHA-256 of nothing.
pub fn empty_root() -> TreeHash {
    TreeHash(sha256(&[]))
}

/// How many leaves a tree has, and its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeHead {
    /// The number of leaves.
    pub size: u64,
    /// The root.
    pub root: TreeHash,
}

/// What is needed to append: the roots of the perfect subtrees that make up the tree, the largest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<TreeHash>,
}

impl Frontier {
    /// The frontier of a tree of `size` leaves from its peaks, one for each set bit of `size`, the largest first.
    /// `None` when their number differs. The caller compares [`Frontier::head`] with a root it trusts.
    pub fn from_peaks(size: u64, peaks: Vec<TreeHash>) -> Option<Self> {
        let count = u32::try_from(peaks.len()).ok()?;
        (count == size.count_ones()).then_some(Self { size, peaks })
    }

    /// The number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends one leaf, given by its hash.
    ///
    /// # Panics
    /// After 2^64 - 1 leaves, which no node lives to write.
    pub fn append(&mut self, leaf: TreeHash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.peaks.pop().expect("there is one peak for each set bit of the size");
            hash = node_hash(&left, &hash);
        }
        self.peaks.push(hash);
        self.size = self.size.checked_add(1).expect("a log has fewer than 2^64 leaves");
    }

    /// The tree's size and root.
    pub fn head(&self) -> TreeHead {
        let root = self.peaks.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
        TreeHead { size: self.size, root: root.unwrap_or_else(empty_root) }
    }
}

impl Extend<TreeHash> for Frontier {
    fn extend<I: IntoIterator<Item = TreeHash>>(&mut self, leaves: I) {
        leaves.into_iter().for_each(|leaf| self.append(leaf));
    }
}

/// The root of the tree over these hashes, taken as they are: for leaves' hashes the tree's root, for a run of 2^n
/// nodes of one height their ancestor.
pub fn root_over(hashes: impl IntoIterator<Item = TreeHash>) -> TreeHash {
    let mut frontier = Frontier::default();
    frontier.extend(hashes);
    frontier.head().root
}

/// The largest power of two below `size`: where RFC 6962 splits a tree of `size` leaves, at least two of them.
pub(crate) const fn split(size: u64) -> u64 {
    let top = 63_u32.saturating_sub(size.saturating_sub(1).leading_zeros());
    1_u64.wrapping_shl(top)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::hex;

    /// The eight leaves of the reference tests of certificate-transparency (`merkle_tree_test.cc`).
    pub(crate) const LEAVES: [&[u8]; 8] = [
        &[],
        &[0x00],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
    ];
    /// The roots after each of them, from the same file.
    pub(crate) const ROOTS: [&str; 8] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    /// The definition of RFC 6962, 2.1, word for word: what the fast code is compared with.
    pub(crate) fn merkle_tree_hash(leaves: &[TreeHash]) -> TreeHash {
        match leaves {
            [] => empty_root(),
            [leaf] => *leaf,
            _ => {
                let mut k = 1;
                while k * 2 < leaves.len() {
                    k *= 2;
                }
                node_hash(&merkle_tree_hash(&leaves[..k]), &merkle_tree_hash(&leaves[k..]))
            }
        }
    }

    /// `count` different leaves, as hashes.
    pub(crate) fn hashes(count: u64) -> Vec<TreeHash> {
        (0..count).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    // LOG-1
    #[test]
    fn roots_equal_the_reference_vectors() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let mut frontier = Frontier::default();
        assert_eq!(frontier.head(), TreeHead { size: 0, root: TreeHash(hex::parse(empty).unwrap()) });
        for (leaf, root) in LEAVES.into_iter().zip(ROOTS) {
            frontier.append(leaf_hash(leaf));
            assert_eq!(frontier.head().root.to_string(), root);
        }
    }

    // LOG-1
    #[test]
    fn the_frontier_agrees_with_the_definition_at_every_size() {
        let leaves = hashes(600);
        let mut frontier = Frontier::default();
        for (size, leaf) in leaves.iter().enumerate() {
            assert_eq!(frontier.head().root, merkle_tree_hash(&leaves[..size]), "{size}");
            frontier.append(*leaf);
        }
        assert_eq!(Frontier::from_peaks(3, hashes(3)), None);
        assert_eq!(Frontier::from_peaks(frontier.size(), frontier.peaks.clone()), Some(frontier));
    }

    #[test]
    fn a_tree_splits_at_the_largest_power_of_two_below_its_size() {
        for (size, at) in
            [(2, 1), (3, 2), (4, 2), (5, 4), (8, 4), (9, 8), (u64::MAX, 1 << 63), ((1 << 63) + 1, 1 << 63)]
        {
            assert_eq!(split(size), at, "{size}");
        }
    }
}
