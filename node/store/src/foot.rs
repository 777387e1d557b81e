//! The foot of a blob's file: its sealed outboard, its wrapped data key and its length, behind the sealed stream.
//!
//! ```text
//! sealed stream | sealed outboard | "CHRTBLOB" | version u16 | zero u16 | sealed outboard bytes u32 | blob bytes u64 | wrapped key 60
//! ```
//! Numbers are little endian. The wrapped key is bound to the digest and to all that stands before it, so a foot opens for
//! one blob alone; the outboard is sealed under the blob's key. A blob that is landing has the same bytes beside it.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use cohortium_protocol::digest::BlobDigest;
use cohortium_protocol::limits::BLOB_BYTES_MAX;
use cohortium_protocol::outboard::{Outboard, OutboardFault, outboard_bytes};

use crate::seal::{DataKey, OpenFault, SMALL_BYTES_MAX, SMALL_OVERHEAD_BYTES, WRAPPED_KEY_BYTES, WrappedKey};

const MAGIC: &[u8; 8] = b"CHRTBLOB";
const VERSION: u16 = 1;
const PLAIN_BYTES: usize = 24;
/// Bytes of a foot without the sealed outboard before it.
pub(crate) const FOOT_BYTES: usize = PLAIN_BYTES + WRAPPED_KEY_BYTES;
const _: () = assert!(SMALL_BYTES_MAX as u64 >= cohortium_protocol::limits::OUTBOARD_GROUPS_MAX * 32);

/// Why a foot is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FootFault {
    /// The file is too short, or does not end as a blob.
    NotABlob,
    /// A version that this program does not know.
    Version {
        /// The version found.
        found: u16,
    },
    /// The key does not unwrap: damaged, another blob's, or another node's.
    Key(OpenFault),
    /// The outboard does not open.
    SealedOutboard(OpenFault),
    /// The outboard is not the blob's.
    Outboard(OutboardFault),
}

impl fmt::Display for FootFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotABlob => write!(f, "the file does not end as a blob"),
            Self::Version { found } => write!(f, "the blob's file has the unknown version {found}"),
            Self::Key(fault) => write!(f, "the blob's key does not unwrap: {fault}"),
            Self::SealedOutboard(fault) => write!(f, "the blob's outboard does not open: {fault}"),
            Self::Outboard(fault) => write!(f, "the blob's outboard is wrong: {fault}"),
        }
    }
}

impl std::error::Error for FootFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Key(fault) | Self::SealedOutboard(fault) => Some(fault),
            Self::Outboard(fault) => Some(fault),
            Self::NotABlob | Self::Version { .. } => None,
        }
    }
}

/// What a foot says, once its key has unwrapped.
pub(crate) struct Foot {
    pub(crate) key: DataKey,
    pub(crate) blob_bytes: u64,
    /// Bytes of sealed outboard and foot together.
    pub(crate) whole_bytes: u64,
    sealed_outboard_bytes: usize,
}

/// Outboard and foot of a blob, to be written behind its stream.
pub(crate) fn encode(node: &DataKey, key: &DataKey, outboard: &Outboard) -> Vec<u8> {
    let mut bytes = key.seal_small(&slot(outboard.digest()), &outboard.to_bytes());
    let sealed = u32::try_from(bytes.len()).expect("an outboard is at most 8 MiB");
    let plain = plain(sealed, outboard.blob_bytes());
    bytes.extend_from_slice(&plain);
    bytes.extend_from_slice(&node.wrap(&wrap_slot(outboard.digest(), &plain), key).0);
    bytes
}

/// Reads the foot that ends the first `size` bytes of `file`, without the outboard.
pub(crate) fn read(file: &File, size: u64, node: &DataKey, digest: BlobDigest) -> io::Result<Result<Foot, FootFault>> {
    let Some(at) = size.checked_sub(FOOT_BYTES as u64) else { return Ok(Err(FootFault::NotABlob)) };
    let mut bytes = [0; FOOT_BYTES];
    file.read_exact_at(&mut bytes, at)?;
    Ok(parse(&bytes, node, digest))
}

fn parse(bytes: &[u8; FOOT_BYTES], node: &DataKey, digest: BlobDigest) -> Result<Foot, FootFault> {
    let (head, wrapped) = bytes.split_first_chunk::<PLAIN_BYTES>().expect("the array is longer");
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let blob_bytes = u64::from(number(20)) << 32 | u64::from(number(16));
    if &head[..8] != MAGIC {
        return Err(FootFault::NotABlob);
    }
    let found = u16::from_le_bytes([head[8], head[9]]);
    if found != VERSION {
        return Err(FootFault::Version { found });
    }
    let wrapped = WrappedKey(wrapped.try_into().expect("what follows the numbers is the wrapped key"));
    let key = node.unwrap(&wrap_slot(digest, head), &wrapped).map_err(FootFault::Key)?;
    let expected = outboard_bytes(blob_bytes) + SMALL_OVERHEAD_BYTES as u64;
    if blob_bytes > BLOB_BYTES_MAX.0 || u64::from(number(12)) != expected {
        return Err(FootFault::NotABlob);
    }
    let sealed_outboard_bytes = number(12) as usize;
    Ok(Foot { key, blob_bytes, whole_bytes: expected + FOOT_BYTES as u64, sealed_outboard_bytes })
}

impl Foot {
    /// Reads and checks the outboard that stands before this foot, where the file's first `size` bytes end.
    pub(crate) fn outboard(
        &self,
        file: &File,
        size: u64,
        digest: BlobDigest,
    ) -> io::Result<Result<Outboard, FootFault>> {
        let Some(at) = size.checked_sub(self.whole_bytes) else { return Ok(Err(FootFault::NotABlob)) };
        let mut sealed = vec![0; self.sealed_outboard_bytes];
        file.read_exact_at(&mut sealed, at)?;
        let opened = self.key.open_small(&slot(digest), &sealed).map_err(FootFault::SealedOutboard);
        Ok(opened.and_then(|bytes| Outboard::check(digest, self.blob_bytes, &bytes).map_err(FootFault::Outboard)))
    }
}

fn plain(sealed_outboard_bytes: u32, blob_bytes: u64) -> [u8; PLAIN_BYTES] {
    let mut plain = [0; PLAIN_BYTES];
    plain[..8].copy_from_slice(MAGIC);
    plain[8..10].copy_from_slice(&VERSION.to_le_bytes());
    plain[12..16].copy_from_slice(&sealed_outboard_bytes.to_le_bytes());
    plain[16..].copy_from_slice(&blob_bytes.to_le_bytes());
    plain
}

fn slot(digest: BlobDigest) -> Vec<u8> {
    [b"outboard ", digest.as_bytes().as_slice()].concat()
}

fn wrap_slot(digest: BlobDigest, plain: &[u8; PLAIN_BYTES]) -> Vec<u8> {
    [b"blob ", digest.as_bytes().as_slice(), plain].concat()
}
