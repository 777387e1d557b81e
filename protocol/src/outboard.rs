//! A blob's outboard: the BLAKE3 chaining values of its chunk groups, by which every group is verified alone.
//!
//! The digest of a blob is its plain BLAKE3 hash. BLAKE3 is a binary tree, so the values of whole subtrees, merged, give
//! the same hash (BLAKE3 paper, section 2.1). Reading and writing files is left to the store, sending to the transport.

use std::fmt;

use blake3::Hasher;
use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use crate::digest::{BlobDigest, ChainingValue, blob_digest};
use crate::limits::{BLOB_BYTES_MAX, GROUP_BYTES_MIN, OUTBOARD_GROUPS_MAX, RANGE_BYTES};

/// Bytes of one serialised chaining value.
pub const CHAINING_VALUE_BYTES: u64 = 32;

/// Bytes of one chunk group of a blob of `len` bytes: a power of two, so large that no outboard has too many groups.
pub fn group_bytes(len: u64) -> u64 {
    group_bytes_within(len, GROUP_BYTES_MIN, OUTBOARD_GROUPS_MAX)
}

fn group_bytes_within(len: u64, group_min: u64, groups_max: u64) -> u64 {
    let needed = len.div_ceil(groups_max.max(1)).max(group_min);
    needed.checked_next_power_of_two().unwrap_or(1 << 63)
}

/// Chunk groups of a blob of `len` bytes; none when it is empty.
pub fn group_count(len: u64) -> u64 {
    len.div_ceil(group_bytes(len))
}

/// Bytes of the serialised outboard of a blob of `len` bytes: nothing for an empty blob or a blob of one group.
pub fn outboard_bytes(len: u64) -> u64 {
    match group_count(len) {
        0 | 1 => 0,
        groups => groups.saturating_mul(CHAINING_VALUE_BYTES),
    }
}

/// A part of a blob: the unit of transfer, verification and resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    /// Where it begins in the blob, in bytes; a multiple of [`RANGE_BYTES`].
    pub offset: u64,
    /// Its bytes: [`RANGE_BYTES`], or fewer in the last range.
    pub len: u64,
}

impl Range {
    /// The `index`-th range of a blob of `blob_bytes`; `None` after the end.
    pub fn at(blob_bytes: u64, index: u64) -> Option<Self> {
        let offset = index.checked_mul(RANGE_BYTES)?;
        let rest = blob_bytes.checked_sub(offset).filter(|rest| *rest > 0)?;
        Some(Self { offset, len: rest.min(RANGE_BYTES) })
    }

    /// Which range of its blob it is, from 0.
    pub fn index(self) -> u64 {
        self.offset.div_euclid(RANGE_BYTES)
    }

    /// Whether this is exactly one of the ranges of a blob of `blob_bytes`.
    pub fn is_of(self, blob_bytes: u64) -> bool {
        Self::at(blob_bytes, self.index()) == Some(self)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "range of {} bytes at {}", self.len, self.offset)
    }
}

/// Ranges of a blob of `len` bytes.
pub fn range_count(len: u64) -> u64 {
    len.div_ceil(RANGE_BYTES)
}

/// Every range of a blob of `len` bytes, in order.
pub fn ranges(len: u64) -> impl Iterator<Item = Range> {
    (0..range_count(len)).map_while(move |index| Range::at(len, index))
}

/// Why an outboard, group or range is not the blob's. The sender's fault, never the reader's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboardFault {
    /// The blob would be longer than [`BLOB_BYTES_MAX`].
    BlobTooLong,
    /// The serialised outboard has not the length that the blob's length asks for.
    Length {
        /// The right length, in bytes.
        expected: u64,
    },
    /// The chaining values do not merge to the blob's digest.
    Root,
    /// The blob has no group of this number.
    NoGroup {
        /// The number asked for.
        index: u64,
    },
    /// The group's bytes are too many or too few.
    GroupLength {
        /// Number of the group.
        index: u64,
        /// The right length, in bytes.
        expected: u64,
    },
    /// The group's bytes are not the blob's.
    Group {
        /// Number of the group.
        index: u64,
    },
    /// Not one of the blob's ranges, or its bytes are too many or too few.
    NoRange,
}

impl fmt::Display for OutboardFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BlobTooLong => write!(f, "the blob is longer than {} bytes", BLOB_BYTES_MAX.0),
            Self::Length { expected } => write!(f, "the outboard is not {expected} bytes long"),
            Self::Root => write!(f, "the outboard does not merge to the blob's digest"),
            Self::NoGroup { index } => write!(f, "the blob has no chunk group {index}"),
            Self::GroupLength { index, expected } => write!(f, "chunk group {index} is not {expected} bytes long"),
            Self::Group { index } => write!(f, "chunk group {index} is not the blob's"),
            Self::NoRange => write!(f, "the bytes are not one whole range of the blob"),
        }
    }
}

impl std::error::Error for OutboardFault {}

/// The chaining values of a blob's chunk groups, known to merge to its digest.
///
/// Shape: one value a group, in the blob's order; none for an empty blob and for a blob of one group, whose bytes are
/// checked against the digest itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Outboard {
    digest: BlobDigest,
    blob_bytes: u64,
    group_bytes: u64,
    groups: Vec<ChainingValue>,
}

impl fmt::Debug for Outboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outboard({}, {} bytes, {} values)", self.digest, self.blob_bytes, self.groups.len())
    }
}

impl Outboard {
    /// Reads a serialised outboard and merges it to the root.
    ///
    /// # Errors
    /// [`OutboardFault`] when the blob is too long, the length is wrong or the root is not `digest`; the length is
    /// checked before anything is allocated.
    pub fn check(digest: BlobDigest, blob_bytes: u64, bytes: &[u8]) -> Result<Self, OutboardFault> {
        if blob_bytes > BLOB_BYTES_MAX.0 {
            return Err(OutboardFault::BlobTooLong);
        }
        let expected = outboard_bytes(blob_bytes);
        if u64::try_from(bytes.len()) != Ok(expected) {
            return Err(OutboardFault::Length { expected });
        }
        let groups: Vec<_> = bytes.as_chunks::<32>().0.iter().copied().map(ChainingValue).collect();
        let stands = match (blob_bytes, groups.is_empty()) {
            (0, _) => blob_digest(b"") == digest,
            (_, true) => true,
            (_, false) => root(&groups) == digest,
        };
        if !stands {
            return Err(OutboardFault::Root);
        }
        Ok(Self { digest, blob_bytes, group_bytes: group_bytes(blob_bytes), groups })
    }

    /// The blob's digest.
    pub const fn digest(&self) -> BlobDigest {
        self.digest
    }

    /// The blob's bytes.
    pub const fn blob_bytes(&self) -> u64 {
        self.blob_bytes
    }

    /// Bytes of each group but the last.
    pub const fn group_bytes(&self) -> u64 {
        self.group_bytes
    }

    /// The chaining values, in the blob's order.
    pub fn groups(&self) -> &[ChainingValue] {
        &self.groups
    }

    /// The serialised form: the values, one after the other.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.groups.iter().flat_map(|group| group.0).collect()
    }

    /// Checks that `bytes` are the blob's group `index`.
    ///
    /// # Errors
    /// [`OutboardFault::NoGroup`], [`OutboardFault::GroupLength`] or [`OutboardFault::Group`].
    pub fn verify_group(&self, index: u64, bytes: &[u8]) -> Result<(), OutboardFault> {
        let offset = index.checked_mul(self.group_bytes).ok_or(OutboardFault::NoGroup { index })?;
        let rest = self.blob_bytes.checked_sub(offset).filter(|rest| *rest > 0);
        let expected = rest.ok_or(OutboardFault::NoGroup { index })?.min(self.group_bytes);
        if u64::try_from(bytes.len()) != Ok(expected) {
            return Err(OutboardFault::GroupLength { index, expected });
        }
        let stands = match usize::try_from(index).ok().and_then(|index| self.groups.get(index)) {
            Some(group) => Hasher::new().set_input_offset(offset).update(bytes).finalize_non_root() == group.0,
            None => blob_digest(bytes) == self.digest,
        };
        if stands { Ok(()) } else { Err(OutboardFault::Group { index }) }
    }

    /// Checks that `bytes` are the blob's `range`, group by group.
    ///
    /// # Errors
    /// [`OutboardFault::NoRange`], or the first group that is wrong.
    pub fn verify_range(&self, range: Range, bytes: &[u8]) -> Result<(), OutboardFault> {
        if !range.is_of(self.blob_bytes) || u64::try_from(bytes.len()) != Ok(range.len) {
            return Err(OutboardFault::NoRange);
        }
        let first = range.offset.div_euclid(self.group_bytes.max(1));
        let step = usize::try_from(self.group_bytes).map_err(|_| OutboardFault::NoRange)?;
        (first..).zip(bytes.chunks(step.max(1))).try_for_each(|(index, group)| self.verify_group(index, group))
    }
}

/// The digest of two or more groups' values.
fn root(groups: &[ChainingValue]) -> BlobDigest {
    let (left, right) = halves(groups);
    BlobDigest(*merge_subtrees_root(&subtree(left), &subtree(right), Mode::Hash).as_bytes())
}

/// The chaining value over one or more groups' values.
fn subtree(groups: &[ChainingValue]) -> [u8; 32] {
    match groups {
        [] => [0; 32],
        [one] => one.0,
        many => {
            let (left, right) = halves(many);
            merge_subtrees_non_root(&subtree(left), &subtree(right), Mode::Hash)
        }
    }
}

/// Splits as BLAKE3 does: the left half is the largest power of two that leaves something for the right.
fn halves(groups: &[ChainingValue]) -> (&[ChainingValue], &[ChainingValue]) {
    groups.split_at(groups.len().next_power_of_two() >> 1)
}

/// Computes digest and outboard of a blob whose length is not known beforehand, in one pass.
///
/// Keeps the values of the groups that are complete, nothing of the bytes. When there are too many groups, each two are
/// merged to one of twice the size.
#[derive(Clone)]
pub struct OutboardBuilder {
    done: Vec<ChainingValue>,
    hasher: Hasher,
    in_group: u64,
    group_bytes: u64,
    groups_max: u64,
    blob_bytes: u64,
}

impl fmt::Debug for OutboardBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutboardBuilder({} bytes)", self.blob_bytes)
    }
}

impl Default for OutboardBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl OutboardBuilder {
    /// A builder that has seen nothing.
    pub fn new() -> Self {
        Self::within(GROUP_BYTES_MIN, OUTBOARD_GROUPS_MAX)
    }

    fn within(group_bytes: u64, groups_max: u64) -> Self {
        Self { done: Vec::new(), hasher: Hasher::new(), in_group: 0, group_bytes, groups_max, blob_bytes: 0 }
    }

    /// Bytes pushed so far. Whoever writes a blob stops at [`BLOB_BYTES_MAX`].
    pub const fn blob_bytes(&self) -> u64 {
        self.blob_bytes
    }

    /// Takes the next bytes of the blob. Fast for pieces of 64 KiB and more.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.in_group == self.group_bytes {
                self.close_group();
            }
            let room = self.group_bytes.saturating_sub(self.in_group);
            let take = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
            let (now, later) = bytes.split_at(take);
            self.hasher.update(now);
            let taken = u64::try_from(take).unwrap_or(u64::MAX);
            self.in_group = self.in_group.saturating_add(taken);
            self.blob_bytes = self.blob_bytes.saturating_add(taken);
            bytes = later;
        }
    }

    /// Ends a whole group that more bytes follow.
    fn close_group(&mut self) {
        self.done.push(ChainingValue(self.hasher.finalize_non_root()));
        self.hasher = Hasher::new();
        self.hasher.set_input_offset(self.blob_bytes);
        self.in_group = 0;
        if u64::try_from(self.done.len()).is_ok_and(|groups| groups >= self.groups_max) {
            self.done = self.done.chunks(2).map(|pair| ChainingValue(subtree(pair))).collect();
            self.group_bytes = self.group_bytes.saturating_mul(2);
        }
    }

    /// The blob's digest and outboard.
    pub fn finish(mut self) -> (BlobDigest, Outboard) {
        let digest = if self.done.is_empty() {
            BlobDigest(*self.hasher.finalize().as_bytes())
        } else {
            self.done.push(ChainingValue(self.hasher.finalize_non_root()));
            root(&self.done)
        };
        let Self { done: groups, group_bytes, blob_bytes, .. } = self;
        (digest, Outboard { digest, blob_bytes, group_bytes, groups })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::cast_possible_truncation, reason = "test blobs are small")]

    use super::*;

    const GROUP: usize = 256 * 1024;
    const RANGE: usize = 4 * 1024 * 1024;

    fn bytes(len: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    fn build(blob: &[u8], piece: usize) -> (BlobDigest, Outboard) {
        let mut builder = OutboardBuilder::new();
        blob.chunks(piece).for_each(|piece| builder.push(piece));
        builder.finish()
    }

    #[test]
    fn the_digest_is_the_plain_hash_and_every_range_verifies() {
        let around = |n: usize| [n - 1, n, n + 1];
        let lengths = [0, 1].into_iter().chain(around(1024)).chain(around(GROUP)).chain(around(2 * GROUP));
        let lengths = lengths.chain(around(3 * GROUP)).chain(around(RANGE)).chain([2 * RANGE + 5 * GROUP + 7]);
        let blob = bytes(2 * RANGE + 5 * GROUP + 7);
        for len in lengths {
            let blob = &blob[..len];
            for piece in [999, 64 * 1024, GROUP, RANGE] {
                let (digest, outboard) = build(blob, piece);
                assert_eq!(digest, blob_digest(blob), "{len} by {piece}");
                let stored = outboard.to_bytes();
                assert_eq!(stored.len() as u64, outboard_bytes(len as u64));
                assert_eq!(Outboard::check(digest, len as u64, &stored), Ok(outboard), "{len} by {piece}");
            }
            let (digest, outboard) = build(blob, RANGE);
            assert_eq!((outboard.digest(), outboard.blob_bytes()), (digest, len as u64));
            let mut covered = 0;
            for range in ranges(len as u64) {
                assert_eq!(range.offset, covered);
                covered += range.len;
                let part = &blob[range.offset as usize..covered as usize];
                assert_eq!(outboard.verify_range(range, part), Ok(()), "{len}, {range}");
            }
            assert_eq!((covered, ranges(len as u64).count() as u64), (len as u64, range_count(len as u64)));
        }
    }

    #[test]
    fn a_flipped_bit_in_any_byte_of_a_group_is_refused() {
        for len in [1, 1025, 2 * GROUP + 3] {
            let mut blob = bytes(len);
            let (_, outboard) = build(&blob, RANGE);
            // Every byte of short groups, every 997th of long ones; each flip costs one group's hash.
            let step = if len < 4096 { 1 } else { 997 };
            for at in (0..len).step_by(step).chain([len - 1]) {
                let group = at / GROUP;
                blob[at] ^= 1 << (at % 8);
                let part = &blob[group * GROUP..len.min((group + 1) * GROUP)];
                let fault = OutboardFault::Group { index: group as u64 };
                assert_eq!(outboard.verify_group(group as u64, part), Err(fault), "{len} at {at}");
                blob[at] ^= 1 << (at % 8);
            }
        }
    }

    #[test]
    fn a_flipped_bit_in_any_value_or_in_the_digest_is_refused() {
        let blob = bytes(4 * GROUP + 1);
        let (digest, outboard) = build(&blob, RANGE);
        let mut stored = outboard.to_bytes();
        for at in 0..stored.len() {
            stored[at] ^= 0x10;
            assert_eq!(Outboard::check(digest, blob.len() as u64, &stored), Err(OutboardFault::Root));
            stored[at] ^= 0x10;
        }
        let mut other = digest;
        other.0[31] ^= 1;
        assert_eq!(Outboard::check(other, blob.len() as u64, &stored), Err(OutboardFault::Root));
        assert_eq!(Outboard::check(other, 0, &[]), Err(OutboardFault::Root));
        let one = bytes(10);
        let alone = Outboard::check(other, 10, &[]).unwrap();
        assert_eq!(alone.verify_group(0, &one), Err(OutboardFault::Group { index: 0 }));
    }

    #[test]
    fn wrong_lengths_are_refused_before_anything_is_hashed() {
        let blob = bytes(2 * GROUP + 1);
        let len = blob.len() as u64;
        let (digest, outboard) = build(&blob, RANGE);
        let stored = outboard.to_bytes();
        let expected = 96;
        assert_eq!(Outboard::check(digest, len, &stored[..64]), Err(OutboardFault::Length { expected }));
        assert_eq!(Outboard::check(digest, len - 1, &stored), Err(OutboardFault::Length { expected: 64 }));
        assert_eq!(Outboard::check(digest, BLOB_BYTES_MAX.0 + 1, &stored), Err(OutboardFault::BlobTooLong));
        assert_eq!(outboard.verify_group(3, &[]), Err(OutboardFault::NoGroup { index: 3 }));
        assert_eq!(outboard.verify_group(u64::MAX, &[]), Err(OutboardFault::NoGroup { index: u64::MAX }));
        assert_eq!(outboard.verify_group(2, &[]), Err(OutboardFault::GroupLength { index: 2, expected: 1 }));
        for range in
            [Range { offset: 0, len: len - 1 }, Range { offset: 1, len: len - 1 }, Range { offset: len, len: 0 }]
        {
            let end = (range.offset + range.len) as usize;
            let fault = outboard.verify_range(range, &blob[range.offset as usize..end]);
            assert_eq!(fault, Err(OutboardFault::NoRange));
        }
        assert_eq!(outboard.verify_range(Range { offset: 0, len }, &blob[1..]), Err(OutboardFault::NoRange));
    }

    #[test]
    fn groups_grow_so_that_there_are_never_too_many() {
        let edge = GROUP_BYTES_MIN * OUTBOARD_GROUPS_MAX;
        for (len, group) in [(0, 1), (edge, 1), (edge + 1, 2), (2 * edge, 2), (2 * edge + 1, 4), (BLOB_BYTES_MAX.0, 16)]
        {
            assert_eq!(group_bytes(len), group * GROUP_BYTES_MIN, "{len}");
            assert!(group_count(len) <= OUTBOARD_GROUPS_MAX);
        }
        // The same rule on groups of one chunk, at most four of them.
        let blob = bytes(40 * 1024);
        for len in 0..blob.len() {
            if len % 1024 > 1 && len % 1024 < 1023 {
                continue;
            }
            let mut builder = OutboardBuilder::within(1024, 4);
            blob[..len].chunks(700).for_each(|piece| builder.push(piece));
            let (digest, outboard) = builder.finish();
            assert_eq!(digest, blob_digest(&blob[..len]), "{len}");
            assert_eq!(outboard.group_bytes, group_bytes_within(len as u64, 1024, 4), "{len}");
            let groups = (len as u64).div_ceil(outboard.group_bytes);
            assert_eq!(outboard.groups.len() as u64, if groups == 1 { 0 } else { groups });
            for (index, group) in blob[..len].chunks(outboard.group_bytes as usize).enumerate() {
                assert_eq!(outboard.verify_group(index as u64, group), Ok(()), "{len}, group {index}");
            }
        }
    }
}
