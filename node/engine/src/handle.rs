//! Handles: random access to bytes that somebody else opened, and what Parquet's reader needs of them.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

/// Bytes of a block that is kept: as long as a sealed block, so that none is opened twice for two small reads.
const BLOCK_BYTES: u64 = 1 << 20;
/// Blocks that are kept of one handle.
const BLOCKS_KEPT: usize = 32;

/// Bytes that can be read at any place: a file, or a sealed blob that the node opens block by block.
pub trait RandomRead: Send + Sync {
    /// How many bytes there are.
    fn len(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills the whole buffer from `offset` on.
    ///
    /// # Errors
    /// Those of the medium; `UnexpectedEof` where fewer bytes are left than the buffer holds.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// What differs as soon as somebody writes: compared before and after a run. Only the length by default, which
    /// is enough where nobody can write.
    fn stamp(&self) -> Stamp {
        Stamp { bytes: self.len(), written: None }
    }
}

/// A state of a handle's bytes, to be compared with a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// How many bytes there were.
    pub bytes: u64,
    /// Times of the last write and the last change of the file itself, seconds and nanoseconds, where there are any.
    pub written: Option<[i64; 4]>,
}

/// A shared handle. Parquet's reader keeps one for each column.
pub type Handle = Arc<dyn RandomRead>;

impl RandomRead for File {
    fn len(&self) -> u64 {
        self.metadata().map_or(0, |metadata| metadata.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn stamp(&self) -> Stamp {
        let metadata = self.metadata().ok();
        let written = metadata.as_ref().map(|m| [m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()]);
        Stamp { bytes: metadata.map_or(0, |m| m.len()), written }
    }
}

impl RandomRead for Vec<u8> {
    fn len(&self) -> u64 {
        self.as_slice().len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        read_slice(self, offset, buffer)
    }
}

impl RandomRead for Bytes {
    fn len(&self) -> u64 {
        self.as_ref().len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        read_slice(self, offset, buffer)
    }
}

fn read_slice(bytes: &[u8], offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    let rest = usize::try_from(offset).ok().and_then(|from| bytes.get(from..));
    let part = rest.and_then(|rest| rest.get(..buffer.len())).ok_or(io::ErrorKind::UnexpectedEof)?;
    buffer.copy_from_slice(part);
    Ok(())
}

/// Reads a handle from one place on.
#[expect(missing_debug_implementations, reason = "a handle leads to rows")]
pub struct Sequential {
    handle: Handle,
    at: u64,
}

impl Sequential {
    /// From the beginning.
    pub fn new(handle: &Handle) -> Self {
        Self::from(handle, 0)
    }

    /// From this byte on.
    pub fn from(handle: &Handle, at: u64) -> Self {
        Self { handle: Arc::clone(handle), at }
    }
}

impl Read for Sequential {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.handle.len().saturating_sub(self.at)).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        self.handle.read_at(self.at, &mut buffer[..count])?;
        self.at += count as u64;
        Ok(count)
    }
}

/// A handle as Parquet reads it: every range is checked against the length before anything is allocated, and the last
/// blocks are kept.
#[derive(Clone)]
pub(crate) struct Chunks {
    handle: Handle,
    bytes: u64,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    blocks: Vec<(u64, Bytes)>,
    failed: Option<io::ErrorKind>,
}

impl Chunks {
    pub(crate) fn new(handle: &Handle) -> Self {
        Self { handle: Arc::clone(handle), bytes: handle.len(), kept: Arc::default() }
    }

    /// Whether the medium failed, and how: Parquet's own errors do not say so.
    pub(crate) fn failure(&self) -> Option<io::ErrorKind> {
        self.kept().failed
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn block(&self, number: u64) -> io::Result<Bytes> {
        let mut kept = self.kept();
        if let Some(at) = kept.blocks.iter().position(|(have, _)| *have == number) {
            let block = kept.blocks.remove(at);
            let bytes = block.1.clone();
            kept.blocks.push(block);
            return Ok(bytes);
        }
        let start = number * BLOCK_BYTES;
        let length = usize::try_from(BLOCK_BYTES.min(self.bytes.saturating_sub(start))).unwrap_or(0);
        let mut bytes = BytesMut::zeroed(length);
        if let Err(error) = self.handle.read_at(start, &mut bytes) {
            kept.failed = Some(error.kind());
            return Err(error);
        }
        let bytes = bytes.freeze();
        if kept.blocks.len() >= BLOCKS_KEPT {
            kept.blocks.remove(0);
        }
        kept.blocks.push((number, bytes.clone()));
        Ok(bytes)
    }

    /// These bytes; `UnexpectedEof` where there are not so many, before anything is allocated.
    pub(crate) fn range(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let end = start.checked_add(length as u64).filter(|end| *end <= self.bytes);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut whole = BytesMut::with_capacity(length);
        let mut at = start;
        while at < end {
            let block = self.block(at / BLOCK_BYTES)?;
            let from = usize::try_from(at % BLOCK_BYTES).unwrap_or(usize::MAX);
            let left = usize::try_from(end - at).unwrap_or(usize::MAX);
            let to = block.len().min(from.saturating_add(left));
            if from == 0 && to == length {
                return Ok(block.slice(..to));
            }
            let part = block.get(from..to).filter(|part| !part.is_empty()).ok_or(io::ErrorKind::UnexpectedEof)?;
            whole.extend_from_slice(part);
            at += part.len() as u64;
        }
        Ok(whole.freeze())
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Chunks {
    type T = BufReader<ChunkStream>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::with_capacity(4096, ChunkStream { chunks: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        Ok(self.range(start, length)?)
    }
}

/// A stream over [`Chunks`] from one place on.
pub(crate) struct ChunkStream {
    chunks: Chunks,
    at: u64,
}

impl Read for ChunkStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.chunks.bytes.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        let bytes = self.chunks.range(self.at, count)?;
        buffer[..count].copy_from_slice(&bytes);
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_what_the_file_holds_and_never_more() {
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let handle: Handle = Arc::new(bytes.clone());
        let chunks = Chunks::new(&handle);
        for (start, length) in [(0, 0), (0, 1 << 20), (1_048_570, 20), (5, 2_500_000), (2_999_999, 1), (3_000_000, 0)] {
            let range = chunks.range(start, length).unwrap();
            let from = usize::try_from(start).unwrap();
            assert_eq!(range, &bytes[from..from + length], "{start} {length}");
        }
        for (start, length) in [(3_000_000, 1), (0, 3_000_001), (u64::MAX, 2), (0, usize::MAX)] {
            assert!(chunks.range(start, length).is_err(), "{start} {length}");
        }
    }

    #[test]
    fn a_written_file_has_another_stamp() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"one").unwrap();
        let opened = File::open(file.path()).unwrap();
        let before = opened.stamp();
        assert_eq!(before, opened.stamp());
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(file.path(), b"two").unwrap();
        assert_ne!(before, opened.stamp());
    }
}
