//! Row indexes in the store: one blob, or two where the newest holds only what has changed since a base.
//!
//! Of an index the daemon reads its first bytes, which say what it is over. A base lives as long as an index over it.

use std::os::fd::OwnedFd;

use cohortium_engine::index_file::{BASE_NAME_BYTES, INDEX_HEAD_BYTES, base_of};
use cohortium_protocol::digest::BlobDigest;
use cohortium_protocol::quantity::Bytes;
use cohortium_protocol::record::listing::BlobRef;
use cohortium_store::blob::{BlobFault, BlobStore};

use crate::worker::job::{IndexFiles, Key32, SealedFile};

/// How the engine is told to call a base: digest, then length as u64 little endian.
fn name_of(base: BlobRef) -> [u8; BASE_NAME_BYTES] {
    let mut name = [0; BASE_NAME_BYTES];
    let (digest, bytes) = name.split_at_mut(BASE_NAME_BYTES - 8);
    digest.copy_from_slice(base.digest.as_bytes());
    bytes.copy_from_slice(&base.bytes.0.to_le_bytes());
    name
}

fn named(name: &[u8; BASE_NAME_BYTES]) -> Option<BlobRef> {
    let (digest, bytes) = name.split_first_chunk::<32>()?;
    let bytes = u64::from_le_bytes(*bytes.first_chunk()?);
    Some(BlobRef { digest: BlobDigest(*digest), bytes: Bytes(bytes) })
}

/// What an index is over; `None`: it is a base itself. Blocks.
///
/// # Errors
/// [`BlobFault`] where the index cannot be read.
pub(crate) fn base(blobs: &BlobStore, index: BlobRef) -> Result<Option<BlobRef>, BlobFault> {
    let reader = blobs.reader(index.digest)?;
    let mut head = [0; INDEX_HEAD_BYTES];
    let read = reader.read_at(0, &mut head)?;
    Ok(head.get(..read).and_then(base_of).as_ref().and_then(named))
}

/// Opens an index for a worker: base, then changes if there are any. Blocks.
///
/// # Errors
/// [`BlobFault`].
pub(crate) fn open(blobs: &BlobStore, index: BlobRef) -> Result<(IndexFiles, Vec<OwnedFd>), BlobFault> {
    let mut files = Vec::new();
    let mut sealed = |blob: BlobRef| {
        let (file, key, bytes) = blobs.open_for_worker(blob.digest)?;
        files.push(file.into());
        Ok::<_, BlobFault>(SealedFile { key: Key32(*key.expose()), bytes })
    };
    let below = base(blobs, index)?;
    let base = sealed(below.unwrap_or(index))?;
    let changes = below.map(|_| sealed(index)).transpose()?;
    Ok((IndexFiles { base, name: name_of(below.unwrap_or(index)).to_vec(), changes }, files))
}

#[cfg(test)]
mod tests {
    use cohortium_store::seal::DataKey;

    use super::*;

    #[test]
    fn changes_name_their_base_and_a_base_names_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(dir.path(), &DataKey::random()).unwrap();
        let put = |bytes: &[u8]| {
            let stored = blobs.put(bytes).unwrap();
            BlobRef { digest: stored.digest, bytes: Bytes(stored.bytes) }
        };
        let below = put(&[b"COHIDX1\n".as_slice(), &[0; 24]].concat());
        let over = put(&[b"COHIDX2\n".as_slice(), &[0; 24], &name_of(below)].concat());
        assert_eq!((base(&blobs, below).unwrap(), base(&blobs, over).unwrap()), (None, Some(below)));
        let (alone, files) = open(&blobs, below).unwrap();
        assert!(alone.changes.is_none() && files.len() == 1 && alone.name == name_of(below));
        let (both, files) = open(&blobs, over).unwrap();
        assert_eq!((both.base.bytes, both.changes.unwrap().bytes), (below.bytes.0, over.bytes.0));
        assert!(files.len() == 2 && both.name == name_of(below));
        blobs.remove(below.digest).unwrap();
        assert!(matches!(open(&blobs, over).err(), Some(BlobFault::NotFound { digest }) if digest == below.digest));
    }
}
