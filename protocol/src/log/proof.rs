//! Proofs that a leaf is in the log and that a log only grew: made from tiles, verified without them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::LOG_PROOF_BYTES_MAX;
use crate::log::LeafEntry;
use crate::log::checkpoint::{LogKeys, OpenCheckpoint};
use crate::log::fault::LogFault;
use crate::log::note::NoteFault;
use crate::log::tile::{TILE_WIDTH, Tile, TileKind, TileRead};
use crate::log::tree::{TreeHash, TreeHead, empty_root, leaf_hash, node_hash, root_over, split};
use crate::wire::codec::{self, CodecFault};

/// Why a proof does not prove what it claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProofFault {
    /// The leaf's index is not below the tree's size.
    Index,
    /// A path of another length than index and sizes demand.
    PathLength,
    /// The path leads to another root.
    Root,
    /// The later head is smaller than the earlier one: the log was rolled back.
    RolledBack,
    /// Two heads of one size with different roots: the log was forked.
    Forked,
    /// A bundle of another log than its checkpoint.
    Origin,
    /// A checkpoint in the bundle does not stand.
    Note(NoteFault),
    /// Bytes that are no bundle.
    Codec(CodecFault),
}

impl fmt::Display for ProofFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index => write!(f, "the proof's index is not below the size of the tree"),
            Self::PathLength => write!(f, "the proof's path has the wrong length"),
            Self::Root => write!(f, "the proof leads to another root"),
            Self::RolledBack => write!(f, "the later checkpoint is smaller than the earlier one"),
            Self::Forked => write!(f, "two checkpoints of one size have different roots"),
            Self::Origin => write!(f, "the proof is of another log"),
            Self::Note(fault) => write!(f, "the proof's checkpoint {fault}"),
            Self::Codec(fault) => write!(f, "the proof {fault}"),
        }
    }
}

impl std::error::Error for ProofFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Note(fault) => Some(fault),
            Self::Codec(fault) => Some(fault),
            Self::Index | Self::PathLength | Self::Root | Self::RolledBack | Self::Forked | Self::Origin => None,
        }
    }
}

/// Verifies that the leaf with this hash is at `index` of the tree of `head` (RFC 9162, 2.1.3.2; spec LOG-14).
///
/// # Errors
/// [`ProofFault`].
pub fn verify_inclusion(leaf: &TreeHash, index: u64, head: &TreeHead, path: &[TreeHash]) -> Result<(), ProofFault> {
    let mut walk = Walk { at: index, last: head.size.checked_sub(1).ok_or(ProofFault::Index)? };
    if index > walk.last {
        return Err(ProofFault::Index);
    }
    let mut hash = *leaf;
    for sibling in path {
        hash = match walk.side()? {
            Side::Left => node_hash(sibling, &hash),
            Side::Right => node_hash(&hash, sibling),
        };
        walk.up();
    }
    walk.ends_at_the_root()?;
    if hash == head.root { Ok(()) } else { Err(ProofFault::Root) }
}

/// Verifies that the tree of `old` is the beginning of the tree of `new` (RFC 9162, 2.1.4.2; spec LOG-14).
///
/// # Errors
/// [`ProofFault`]; [`ProofFault::Forked`] and [`ProofFault::RolledBack`] need no proof.
pub fn verify_consistency(old: &TreeHead, new: &TreeHead, path: &[TreeHash]) -> Result<(), ProofFault> {
    if old.size > new.size {
        return Err(ProofFault::RolledBack);
    }
    if old.size == new.size || old.size == 0 {
        let equal = if old.size == new.size { old.root == new.root } else { old.root == empty_root() };
        return match (equal, path) {
            (false, _) => Err(ProofFault::Forked),
            (true, []) => Ok(()),
            (true, [_, ..]) => Err(ProofFault::PathLength),
        };
    }
    let (first, rest) = match path {
        [] => return Err(ProofFault::PathLength),
        _ if old.size.is_power_of_two() => (&old.root, path),
        [first, rest @ ..] => (first, rest),
    };
    let mut walk = Walk { at: old.size.saturating_sub(1), last: new.size.saturating_sub(1) };
    walk.skip(walk.at.trailing_ones());
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in rest {
        match walk.side()? {
            Side::Left => {
                old_hash = node_hash(sibling, &old_hash);
                new_hash = node_hash(sibling, &new_hash);
            }
            Side::Right => new_hash = node_hash(&new_hash, sibling),
        }
        walk.up();
    }
    walk.ends_at_the_root()?;
    if old_hash == old.root && new_hash == new.root { Ok(()) } else { Err(ProofFault::Root) }
}

/// On which side of the path the next sibling is.
enum Side {
    Left,
    Right,
}

/// The two numbers `fn` and `sn` of RFC 9162: the node's place at this height, and the last node's.
struct Walk {
    at: u64,
    last: u64,
}

impl Walk {
    fn side(&mut self) -> Result<Side, ProofFault> {
        if self.last == 0 {
            return Err(ProofFault::PathLength);
        }
        let odd = self.at & 1 == 1;
        if !odd && self.at != self.last {
            return Ok(Side::Right);
        }
        // The last node of a height without a sibling rises until it is a right child.
        self.skip(if odd { 0 } else { self.at.trailing_zeros() });
        Ok(Side::Left)
    }

    fn skip(&mut self, heights: u32) {
        self.at = self.at.checked_shr(heights).unwrap_or(0);
        self.last = self.last.checked_shr(heights).unwrap_or(0);
    }

    fn up(&mut self) {
        self.skip(1);
    }

    const fn ends_at_the_root(&self) -> Result<(), ProofFault> {
        if self.last == 0 { Ok(()) } else { Err(ProofFault::PathLength) }
    }
}

/// Reads the hashes of a tree of one size from its tiles and makes proofs of them. Tiles are kept once read.
#[derive(Debug)]
pub struct TreeReader<'a, R> {
    from: &'a R,
    size: u64,
    tiles: BTreeMap<Tile, Vec<TreeHash>>,
}

impl<'a, R: TileRead> TreeReader<'a, R> {
    /// A reader of the tree of `size` leaves.
    pub const fn new(from: &'a R, size: u64) -> Self {
        Self { from, size, tiles: BTreeMap::new() }
    }

    /// The proof that leaf `index` is in the tree; `None` when it is not.
    ///
    /// # Errors
    /// [`LogFault`] when a tile cannot be read.
    pub fn inclusion(&mut self, index: u64) -> Result<Option<Vec<TreeHash>>, LogFault> {
        if index >= self.size {
            return Ok(None);
        }
        let (mut start, mut end, mut path) = (0_u64, self.size, Vec::new());
        while end.saturating_sub(start) > 1 {
            let middle = start.saturating_add(split(end.saturating_sub(start)));
            if index < middle {
                path.push(self.root_of(middle, end)?);
                end = middle;
            } else {
                path.push(self.root_of(start, middle)?);
                start = middle;
            }
        }
        path.reverse();
        Ok(Some(path))
    }

    /// The proof that the tree's first `old` leaves are the tree of that size; `None` when it has fewer.
    ///
    /// # Errors
    /// [`LogFault`] when a tile cannot be read.
    pub fn consistency(&mut self, old: u64) -> Result<Option<Vec<TreeHash>>, LogFault> {
        if old > self.size {
            return Ok(None);
        }
        let (mut start, mut end, mut path) = (0_u64, self.size, Vec::new());
        while old != 0 && end != old {
            let middle = start.saturating_add(split(end.saturating_sub(start)));
            if old <= middle {
                path.push(self.root_of(middle, end)?);
                end = middle;
            } else {
                path.push(self.root_of(start, middle)?);
                start = middle;
            }
        }
        // The old tree's own last subtree, unless that is the whole old tree, whose root the verifier has.
        if start != 0 {
            path.push(self.root_of(start, end)?);
        }
        path.reverse();
        Ok(Some(path))
    }

    /// The head of the tree as its tiles make it.
    ///
    /// # Errors
    /// [`LogFault`] when a tile cannot be read.
    pub fn head(&mut self) -> Result<TreeHead, LogFault> {
        let root = if self.size == 0 { empty_root() } else { self.root_of(0, self.size)? };
        Ok(TreeHead { size: self.size, root })
    }

    /// The root over the leaves from `start` to before `end`, a subtree as RFC 6962 splits trees: the perfect subtrees
    /// of its length from the left, folded from the right.
    fn root_of(&mut self, start: u64, end: u64) -> Result<TreeHash, LogFault> {
        let (mut parts, mut from) = (Vec::new(), start);
        while let Some(height) = end.saturating_sub(from).checked_ilog2() {
            parts.push(self.node(height, from.wrapping_shr(height))?);
            from = from.saturating_add(1_u64.wrapping_shl(height));
        }
        let root = parts.into_iter().rev().reduce(|right, left| node_hash(&left, &right));
        Ok(root.expect("a subtree has at least one leaf"))
    }

    /// The node at `height`, the `index`-th from the left: one run of hashes of the tile that covers it.
    fn node(&mut self, height: u32, index: u64) -> Result<TreeHash, LogFault> {
        let (level, within) = (height.div_euclid(8), height.rem_euclid(8));
        let first = index.wrapping_shl(within);
        let kind = TileKind::Hashes(u8::try_from(level).expect("a height is below 64"));
        let tile = Tile::at(kind, first.div_euclid(u64::from(TILE_WIDTH)), self.size)
            .expect("a perfect subtree of the tree has a tile that is not empty");
        let hashes = self.tile(tile)?;
        let skip = usize::try_from(first.rem_euclid(u64::from(TILE_WIDTH))).expect("a place in a tile is below 256");
        let run = hashes.iter().skip(skip).take(1_usize.wrapping_shl(within)).copied();
        Ok(root_over(run))
    }

    fn tile(&mut self, tile: Tile) -> Result<&[TreeHash], LogFault> {
        if !self.tiles.contains_key(&tile) {
            let hashes = tile.read_hashes(self.from)?;
            self.tiles.insert(tile, hashes);
        }
        Ok(self.tiles.get(&tile).map_or(&[], Vec::as_slice))
    }
}

/// A proof of one leaf that stands by itself: with the log's public key it is verified offline.
///
/// Who also has the leaf's salt and journal record compares [`crate::log::leaf_entry`] of them with `leaf`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InclusionBundle {
    /// The log.
    pub origin: String,
    /// The leaf's index.
    pub index: u64,
    /// The entry at that index.
    pub leaf: LeafEntry,
    /// The hashes beside the way from the leaf to the root, from below.
    pub path: Vec<TreeHash>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

impl InclusionBundle {
    /// The bundle's bytes in the protocol's codec.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads a bundle. Nothing in it is verified.
    ///
    /// # Errors
    /// [`ProofFault::Codec`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ProofFault> {
        codec::decode(bytes, LOG_PROOF_BYTES_MAX).map_err(ProofFault::Codec)
    }

    /// Verifies checkpoint and path.
    ///
    /// # Errors
    /// [`ProofFault`].
    pub fn verify(&self, keys: &LogKeys) -> Result<OpenCheckpoint, ProofFault> {
        if self.origin != keys.origin() {
            return Err(ProofFault::Origin);
        }
        let open = keys.open(&self.checkpoint).map_err(ProofFault::Note)?;
        verify_inclusion(&leaf_hash(&self.leaf.0), self.index, &open.head, &self.path)?;
        Ok(open)
    }
}

/// A proof that a log only grew between two checkpoints, verified offline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsistencyBundle {
    /// The log.
    pub origin: String,
    /// The earlier signed checkpoint.
    pub old: String,
    /// The later signed checkpoint.
    pub new: String,
    /// The hashes that make both roots.
    pub path: Vec<TreeHash>,
}

impl ConsistencyBundle {
    /// The bundle's bytes in the protocol's codec.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads a bundle. Nothing in it is verified.
    ///
    /// # Errors
    /// [`ProofFault::Codec`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ProofFault> {
        codec::decode(bytes, LOG_PROOF_BYTES_MAX).map_err(ProofFault::Codec)
    }

    /// Verifies both checkpoints and the path; gives the earlier and the later one.
    ///
    /// # Errors
    /// [`ProofFault`]. [`ProofFault::Forked`] with both signatures standing is evidence against the log.
    pub fn verify(&self, keys: &LogKeys) -> Result<(OpenCheckpoint, OpenCheckpoint), ProofFault> {
        if self.origin != keys.origin() {
            return Err(ProofFault::Origin);
        }
        let old = keys.open(&self.old).map_err(ProofFault::Note)?;
        let new = keys.open(&self.new).map_err(ProofFault::Note)?;
        verify_consistency(&old.head, &new.head, &self.path)?;
        Ok((old, new))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hex;
    use crate::log::checkpoint::Strangers;
    use crate::log::checkpoint::signed;
    use crate::log::checkpoint::tests::{ORIGIN, keys, log_pair};
    use crate::log::edge::tests::{Files, entry, log_of};
    use crate::log::tree::tests::{LEAVES, ROOTS};

    fn hash(text: &str) -> TreeHash {
        TreeHash(hex::parse(text).unwrap())
    }

    fn reference(size: usize) -> (Files, TreeHead) {
        let hashes: Vec<u8> = LEAVES[..size].iter().flat_map(|leaf| leaf_hash(leaf).0).collect();
        let path = Tile::at(TileKind::Hashes(0), 0, size as u64).unwrap().path();
        let files = Files([(path, hashes)].into());
        (files, TreeHead { size: size as u64, root: hash(ROOTS[size - 1]) })
    }

    // LOG-14: the paths and proofs of certificate-transparency's merkle_tree_test.cc.
    #[test]
    fn inclusion_paths_equal_the_reference_vectors() {
        let cases: [(u64, usize, &[&str]); 4] = [
            (0, 1, &[]),
            (
                0,
                8,
                &[
                    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
                ],
            ),
            (
                5,
                8,
                &[
                    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                ],
            ),
            (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
        ];
        for (index, size, path) in cases {
            let (files, head) = reference(size);
            let expected: Vec<TreeHash> = path.iter().map(|text| hash(text)).collect();
            let mut reader = TreeReader::new(&files, head.size);
            assert_eq!(reader.inclusion(index).unwrap().unwrap(), expected);
            assert_eq!(reader.head().unwrap(), head);
            let leaf = leaf_hash(LEAVES[usize::try_from(index).unwrap()]);
            assert_eq!(verify_inclusion(&leaf, index, &head, &expected), Ok(()));
        }
    }

    // LOG-14
    #[test]
    fn consistency_proofs_equal_the_reference_vectors() {
        let cases: [(usize, usize, &[&str]); 4] = [
            (1, 1, &[]),
            (
                1,
                8,
                &[
                    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
                ],
            ),
            (
                6,
                8,
                &[
                    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                ],
            ),
            (
                2,
                5,
                &[
                    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                ],
            ),
        ];
        for (old, new, path) in cases {
            let ((_, old), (files, new)) = (reference(old), reference(new));
            let expected: Vec<TreeHash> = path.iter().map(|text| hash(text)).collect();
            assert_eq!(TreeReader::new(&files, new.size).consistency(old.size).unwrap().unwrap(), expected);
            assert_eq!(verify_consistency(&old, &new, &expected), Ok(()));
        }
    }

    // LOG-14
    #[test]
    fn every_leaf_of_every_size_has_a_proof_that_verifies_only_at_its_place() {
        for size in 1..=300_u64 {
            let (files, head) = log_of(size);
            let mut reader = TreeReader::new(&files, size);
            for index in 0..size {
                let path = reader.inclusion(index).unwrap().unwrap();
                let leaf = leaf_hash(&entry(index).0);
                assert_eq!(verify_inclusion(&leaf, index, &head, &path), Ok(()), "{index} of {size}");
                let beside = if index == 0 { size - 1 } else { index - 1 };
                assert!(size == 1 || verify_inclusion(&leaf, beside, &head, &path).is_err(), "{beside} of {size}");
            }
            assert_eq!(reader.inclusion(size).unwrap(), None);
            assert_eq!(reader.head().unwrap(), head);
        }
    }

    // LOG-14
    #[test]
    fn every_pair_of_sizes_has_a_consistency_proof() {
        let heads: Vec<TreeHead> = (0..=300).map(|size| log_of(size).1).collect();
        for new in &heads {
            let (files, _) = log_of(new.size);
            let mut reader = TreeReader::new(&files, new.size);
            for old in heads.iter().take_while(|old| old.size <= new.size) {
                let path = reader.consistency(old.size).unwrap().unwrap();
                assert_eq!(verify_consistency(old, new, &path), Ok(()), "{} to {}", old.size, new.size);
            }
            assert_eq!(reader.consistency(new.size + 1).unwrap(), None);
        }
        let other = TreeHead { root: TreeHash([9; 32]), ..heads[5] };
        assert_eq!(verify_consistency(&heads[5], &other, &[]), Err(ProofFault::Forked));
        assert_eq!(verify_consistency(&heads[6], &heads[5], &[]), Err(ProofFault::RolledBack));
        assert_eq!(verify_consistency(&TreeHead { size: 0, ..other }, &heads[5], &[]), Err(ProofFault::Forked));
        assert_eq!(verify_consistency(&heads[0], &heads[5], &[TreeHash([0; 32])]), Err(ProofFault::PathLength));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        // LOG-14
        #[test]
        fn a_changed_proof_proves_nothing(
            (size, index) in (2..2000_u64).prop_flat_map(|size| (Just(size), 0..size)),
            which in any::<prop::sample::Index>(), bit in 0..256_usize, old in any::<prop::sample::Index>(),
        ) {
            let (files, head) = log_of(size);
            let mut reader = TreeReader::new(&files, size);
            let leaf = leaf_hash(&entry(index).0);
            let path = reader.inclusion(index).unwrap().unwrap();
            prop_assert_eq!(verify_inclusion(&leaf, index, &head, &path), Ok(()));
            let flip = |hash: &mut TreeHash| hash.0[bit / 8] ^= 1 << (bit % 8);
            let mut bent = path.clone();
            flip(&mut bent[which.index(path.len())]);
            prop_assert_eq!(verify_inclusion(&leaf, index, &head, &bent), Err(ProofFault::Root));
            let (mut bent_leaf, mut bent_head) = (leaf, head);
            flip(&mut bent_leaf);
            flip(&mut bent_head.root);
            prop_assert!(verify_inclusion(&bent_leaf, index, &head, &path).is_err());
            prop_assert!(verify_inclusion(&leaf, index, &bent_head, &path).is_err());
            prop_assert!(verify_inclusion(&leaf, index, &head, &path[1..]).is_err());
            prop_assert!(verify_inclusion(&leaf, index, &head, &[path.clone(), vec![leaf]].concat()).is_err());
            prop_assert_eq!(verify_inclusion(&leaf, size, &head, &path), Err(ProofFault::Index));

            let old_size = 1 + old.index(usize::try_from(size - 1).unwrap()) as u64;
            let old = log_of(old_size).1;
            let path = reader.consistency(old_size).unwrap().unwrap();
            prop_assert_eq!(verify_consistency(&old, &head, &path), Ok(()));
            let mut bent = path.clone();
            flip(&mut bent[which.index(path.len())]);
            prop_assert!(verify_consistency(&old, &head, &bent).is_err());
            let mut bent_old = old;
            flip(&mut bent_old.root);
            prop_assert!(verify_consistency(&bent_old, &head, &path).is_err());
            prop_assert!(verify_consistency(&old, &bent_head, &path).is_err());
            prop_assert!(verify_consistency(&old, &head, &path[1..]).is_err());
            prop_assert!(verify_consistency(&old, &head, &[path, vec![leaf]].concat()).is_err());
        }
    }

    // LOG-15
    #[test]
    fn an_inclusion_bundle_stands_by_itself_and_no_changed_byte_of_it_does() {
        let (files, head) = log_of(11);
        let bundle = InclusionBundle {
            origin: ORIGIN.to_owned(),
            index: 4,
            leaf: entry(4),
            path: TreeReader::new(&files, 11).inclusion(4).unwrap().unwrap(),
            checkpoint: signed(ORIGIN, head, &log_pair()).unwrap(),
        };
        let keys = keys(Strangers::Refuse);
        let bytes = bundle.encode();
        assert_eq!(InclusionBundle::decode(&bytes).unwrap().verify(&keys).unwrap().head, head);
        for bit in 0..bytes.len() * 8 {
            let mut bent = bytes.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            let verdict = InclusionBundle::decode(&bent).and_then(|bundle| bundle.verify(&keys));
            assert!(verdict.is_err(), "bit {bit}");
        }
    }

    // LOG-15
    #[test]
    fn a_consistency_bundle_names_a_fork_and_a_roll_back() {
        let ((_, old), (files, new)) = (log_of(5), log_of(11));
        let at = |head: TreeHead| signed(ORIGIN, head, &log_pair()).unwrap();
        let path = TreeReader::new(&files, 11).consistency(5).unwrap().unwrap();
        let bundle = ConsistencyBundle { origin: ORIGIN.to_owned(), old: at(old), new: at(new), path };
        let keys = keys(Strangers::Refuse);
        assert!(ConsistencyBundle::decode(&bundle.encode()).unwrap().verify(&keys).is_ok());
        let back = ConsistencyBundle { old: at(new), new: at(old), ..bundle.clone() };
        assert_eq!(back.verify(&keys), Err(ProofFault::RolledBack));
        let other = TreeHead { root: TreeHash([9; 32]), ..old };
        let fork = ConsistencyBundle { new: at(other), path: vec![], ..bundle.clone() };
        assert_eq!(fork.verify(&keys), Err(ProofFault::Forked));
        let elsewhere = ConsistencyBundle { origin: "cohortium/0000/east".to_owned(), ..bundle };
        assert_eq!(elsewhere.verify(&keys), Err(ProofFault::Origin));
    }
}
