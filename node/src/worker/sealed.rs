//! Sealed blobs as the engine reads and writes them: by place, decrypted block by block.

use std::fs::File;
use std::io;
use std::sync::Arc;

use cohortium_engine::handle::{Handle, RandomRead};
use cohortium_protocol::wire::codec::Blob;
use cohortium_store::blob::BLOB_SLOT;
use cohortium_store::seal::DataKey;
use cohortium_store::stream::{Naming, SealedEnd, SealedReader, SealedWriter};

use crate::worker::job::{Made, SealedFile};

/// A sealed blob for reading.
struct Opened(SealedReader);

impl RandomRead for Opened {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let read = self.0.read_at(offset, buffer)?;
        if read == buffer.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// The blob in `file` as a handle.
pub(crate) fn open(file: File, sealed: &SealedFile) -> io::Result<Handle> {
    let reader = SealedReader::known(file, &DataKey::from_bytes(&sealed.key.0), BLOB_SLOT, sealed.bytes)?;
    Ok(Arc::new(Opened(reader)))
}

/// Begins the blob that is to be written to `file`.
pub(crate) fn create(file: File, sealed: &SealedFile) -> io::Result<SealedWriter<File>> {
    Ok(SealedWriter::new(file, &DataKey::from_bytes(&sealed.key.0), BLOB_SLOT, Naming::Digest)?)
}

/// Ends a blob and says what it is.
pub(crate) fn finish(writer: SealedWriter<File>) -> io::Result<Made> {
    let SealedEnd { bytes, named, .. } = writer.finish()?;
    let (digest, outboard) = named.ok_or(io::ErrorKind::InvalidData)?;
    Ok(Made { digest, bytes, outboard: Blob(outboard.to_bytes()) })
}
