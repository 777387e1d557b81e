//! Sealed streams: any number of bytes in blocks of 1 MiB, each AES-256-GCM, read and written in one pass or by place.
//!
//! ```text
//! | "CHRTSEAL" | version u16 | zero u16 | block bytes u32 | salt 16 | block 0 | tag 16 | block 1 | tag 16 | ...
//! ```
//! Numbers are little endian. The stream's key and nonce prefix are HKDF-SHA-256 of the data key with the salt; a block's
//! nonce is prefix 7, counter u32 big endian, last flag (STREAM: Hoang, Reyhanitabar, Rogaway, Vizar 2015); associated
//! data is the header and the slot. So a block that is flipped, moved, cut off or another stream's does not open. There is
//! always a last block, which may be empty; the others are full.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use cohortium_protocol::digest::BlobDigest;
use cohortium_protocol::limits::BLOB_BYTES_MAX;
use cohortium_protocol::outboard::{Outboard, OutboardBuilder};
use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce, Tag};
use zeroize::Zeroizing;

use crate::seal::{DataKey, KEY_BYTES, TAG_BYTES, aes, random, seal_in_place};

mod read;

pub use read::{SealedCursor, SealedReader};

/// Plain bytes of each block but the last.
pub const BLOCK_BYTES: usize = 1024 * 1024;
/// Bytes of the header.
pub const HEADER_BYTES: usize = 32;

const MAGIC: &[u8; 8] = b"CHRTSEAL";
const VERSION: u16 = 1;
const SALT_BYTES: usize = 16;
const PREFIX_BYTES: usize = 7;
const BLOCK: u64 = BLOCK_BYTES as u64;
const SEALED_BLOCK: u64 = BLOCK + TAG_BYTES as u64;
const HEADER: u64 = HEADER_BYTES as u64;
const _: () = assert!(BLOB_BYTES_MAX.0 / BLOCK < u32::MAX as u64, "a block's counter never wraps");

/// Why a stream cannot be written or read.
#[derive(Debug)]
pub enum StreamFault {
    /// The file does not begin as a sealed stream.
    NotSealed,
    /// A version that this program does not know.
    Version {
        /// The version found.
        found: u16,
    },
    /// The file has not the length of its content: cut off, or never finished.
    Length,
    /// A block is damaged, moved, of another stream, or under another key.
    Block {
        /// Its number, from 0.
        index: u32,
    },
    /// More than [`BLOB_BYTES_MAX`].
    TooLong,
    /// A block was given with a length or place that the stream has not.
    Place,
    /// An earlier write failed; the stream is lost.
    Poisoned,
    /// The disk refused.
    Disk {
        /// What was being done.
        act: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
}

impl fmt::Display for StreamFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSealed => write!(f, "the file is not a sealed stream"),
            Self::Version { found } => write!(f, "the sealed stream has the unknown version {found}"),
            Self::Length => write!(f, "the sealed stream is cut off"),
            Self::Block { index } => write!(f, "sealed block {index} is damaged, misplaced or under another key"),
            Self::TooLong => write!(f, "the stream is longer than {} bytes", BLOB_BYTES_MAX.0),
            Self::Place => write!(f, "the bytes are not whole blocks of the stream"),
            Self::Poisoned => write!(f, "an earlier write to the stream failed"),
            Self::Disk { act, source } => write!(f, "{source} while {act}"),
        }
    }
}

impl std::error::Error for StreamFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Disk { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<StreamFault> for io::Error {
    fn from(fault: StreamFault) -> Self {
        match fault {
            StreamFault::Disk { source, .. } => source,
            other => Self::new(io::ErrorKind::InvalidData, other),
        }
    }
}

fn disk(act: &'static str) -> impl FnOnce(io::Error) -> StreamFault {
    move |source| StreamFault::Disk { act, source }
}

/// Blocks of a stream of `len` plain bytes; at least one.
pub const fn block_count(len: u64) -> u64 {
    if len == 0 { 1 } else { len.div_ceil(BLOCK) }
}

/// Bytes of a sealed stream of `len` plain bytes.
pub const fn sealed_bytes(len: u64) -> u64 {
    HEADER + len + block_count(len) * TAG_BYTES as u64
}

/// Plain bytes of a sealed stream of `sealed` bytes; `None` when no stream has that length.
pub const fn plain_bytes(sealed: u64) -> Option<u64> {
    let Some(body) = sealed.checked_sub(HEADER) else { return None };
    let len = match body % SEALED_BLOCK {
        0 => body / SEALED_BLOCK * BLOCK,
        rest if rest >= TAG_BYTES as u64 => body / SEALED_BLOCK * BLOCK + rest - TAG_BYTES as u64,
        _ => return None,
    };
    // An empty block stands only in an empty stream.
    if sealed == sealed_bytes(len) && len <= BLOB_BYTES_MAX.0 { Some(len) } else { None }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Inner,
    Last,
}

/// The key of one stream, with what every block of it is bound to.
struct Cipher {
    key: LessSafeKey,
    prefix: [u8; PREFIX_BYTES],
    aad: Vec<u8>,
}

impl Cipher {
    fn new(key: &DataKey, header: &[u8; HEADER_BYTES], slot: &[u8]) -> Self {
        let salt = &header[HEADER_BYTES - SALT_BYTES..];
        let mut bytes = Zeroizing::new([0; KEY_BYTES + PREFIX_BYTES]);
        key.expand(salt, &[b"cohortium-store/1 stream"], bytes.as_mut());
        let (block_key, prefix) = bytes.split_first_chunk::<KEY_BYTES>().expect("the array is longer than a key");
        let prefix = prefix.try_into().expect("what follows the key is the prefix");
        Self { key: aes(block_key), prefix, aad: [header, slot].concat() }
    }

    fn nonce(&self, index: u32, place: Place) -> [u8; NONCE_LEN] {
        let mut nonce = [0; NONCE_LEN];
        nonce[..PREFIX_BYTES].copy_from_slice(&self.prefix);
        nonce[PREFIX_BYTES..NONCE_LEN - 1].copy_from_slice(&index.to_be_bytes());
        nonce[NONCE_LEN - 1] = u8::from(place == Place::Last);
        nonce
    }

    fn seal(&self, index: u32, place: Place, block: &mut [u8]) -> [u8; TAG_BYTES] {
        seal_in_place(&self.key, self.nonce(index, place), &self.aad, block)
    }

    fn open(&self, index: u32, place: Place, tag: [u8; TAG_BYTES], block: &mut [u8]) -> Result<(), StreamFault> {
        let nonce = Nonce::assume_unique_for_key(self.nonce(index, place));
        let opened = self.key.open_in_place_separate_tag(nonce, Aad::from(&self.aad), Tag::from(tag), block, 0..);
        if opened.is_err() {
            block.fill(0);
            return Err(StreamFault::Block { index });
        }
        Ok(())
    }
}

fn header_of(salt: [u8; SALT_BYTES]) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..10].copy_from_slice(&VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&u32::try_from(BLOCK_BYTES).expect("1 MiB fits 32 bits").to_le_bytes());
    header[16..].copy_from_slice(&salt);
    header
}

fn read_header(file: &File) -> Result<[u8; HEADER_BYTES], StreamFault> {
    let mut header = [0; HEADER_BYTES];
    file.read_exact_at(&mut header, 0).map_err(|fault| match fault.kind() {
        io::ErrorKind::UnexpectedEof => StreamFault::Length,
        _ => disk("reading a sealed stream's header")(fault),
    })?;
    let [magic @ .., v0, v1] = *header.first_chunk::<10>().expect("the header is longer");
    if &magic != MAGIC {
        return Err(StreamFault::NotSealed);
    }
    let found = u16::from_le_bytes([v0, v1]);
    if found != VERSION {
        return Err(StreamFault::Version { found });
    }
    // The other fields have one value in this version; the blocks' associated data holds the whole header anyway.
    let salt = header.last_chunk::<SALT_BYTES>().expect("the header is longer");
    if header_of(*salt) == header { Ok(header) } else { Err(StreamFault::NotSealed) }
}

/// Whether the writer also computes the digest and outboard of what it seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Compute them, in the same pass.
    Digest,
    /// Seal only.
    None,
}

/// Seals a stream whose length is not known beforehand, in one pass and one block of memory.
///
/// Dropped without [`SealedWriter::finish`], what was written lacks its last block and never opens.
pub struct SealedWriter<W: Write> {
    inner: W,
    cipher: Cipher,
    block: Vec<u8>,
    index: u32,
    bytes: u64,
    builder: Option<OutboardBuilder>,
    poisoned: bool,
}

impl<W: Write> fmt::Debug for SealedWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedWriter({} bytes)", self.bytes)
    }
}

/// A stream that has been sealed to its end; not yet synced.
#[derive(Debug)]
pub struct SealedEnd<W> {
    /// Where it was written.
    pub inner: W,
    /// Plain bytes.
    pub bytes: u64,
    /// Digest and outboard of the plain bytes, with [`Naming::Digest`].
    pub named: Option<(BlobDigest, Outboard)>,
}

impl<W: Write> SealedWriter<W> {
    /// Begins a stream at the present place of `inner`, under `key` and bound to `slot`.
    ///
    /// # Errors
    /// [`StreamFault::Disk`].
    pub fn new(inner: W, key: &DataKey, slot: &[u8], naming: Naming) -> Result<Self, StreamFault> {
        Self::with_salt(inner, key, slot, naming, random())
    }

    fn with_salt(
        mut inner: W,
        key: &DataKey,
        slot: &[u8],
        naming: Naming,
        salt: [u8; SALT_BYTES],
    ) -> Result<Self, StreamFault> {
        let header = header_of(salt);
        inner.write_all(&header).map_err(disk("writing a sealed stream's header"))?;
        let builder = (naming == Naming::Digest).then(OutboardBuilder::new);
        let block = Vec::with_capacity(BLOCK_BYTES + TAG_BYTES);
        Ok(Self { inner, cipher: Cipher::new(key, &header, slot), block, index: 0, bytes: 0, builder, poisoned: false })
    }

    /// Plain bytes taken so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn flush_block(&mut self, place: Place) -> Result<(), StreamFault> {
        if self.poisoned {
            return Err(StreamFault::Poisoned);
        }
        // Set before the seal: a block that was sealed but not written must not be sealed again under its nonce.
        self.poisoned = true;
        if let Some(builder) = &mut self.builder {
            builder.push(&self.block);
        }
        let tag = self.cipher.seal(self.index, place, &mut self.block);
        self.block.extend_from_slice(&tag);
        self.inner.write_all(&self.block).map_err(disk("writing a sealed block"))?;
        self.block.clear();
        self.index = self.index.checked_add(1).ok_or(StreamFault::TooLong)?;
        self.poisoned = false;
        Ok(())
    }

    /// Takes all of `bytes`.
    ///
    /// # Errors
    /// [`StreamFault::TooLong`], of which nothing is taken; [`StreamFault::Disk`] or [`StreamFault::Poisoned`]: the stream
    /// is lost.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), StreamFault> {
        if self.poisoned {
            return Err(StreamFault::Poisoned);
        }
        let total = self.bytes.saturating_add(bytes.len() as u64);
        if total > BLOB_BYTES_MAX.0 {
            return Err(StreamFault::TooLong);
        }
        while !bytes.is_empty() {
            if self.block.len() == BLOCK_BYTES {
                self.flush_block(Place::Inner)?;
            }
            let take = bytes.len().min(BLOCK_BYTES - self.block.len());
            let (now, later) = bytes.split_at(take);
            self.block.extend_from_slice(now);
            bytes = later;
        }
        self.bytes = total;
        Ok(())
    }

    /// Seals the last block and gives everything back.
    ///
    /// # Errors
    /// [`StreamFault::Disk`] or [`StreamFault::Poisoned`].
    pub fn finish(mut self) -> Result<SealedEnd<W>, StreamFault> {
        self.flush_block(Place::Last)?;
        self.inner.flush().map_err(disk("flushing a sealed stream"))?;
        Ok(SealedEnd { inner: self.inner, bytes: self.bytes, named: self.builder.map(OutboardBuilder::finish) })
    }
}

impl<W: Write> Write for SealedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes)?;
        Ok(bytes.len())
    }

    /// Does nothing: a block is written when it is full or the last.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Puts blocks at their places in a stream whose length is known; several threads may write different blocks at once.
///
/// Nonce safety: a block may be written again, after a crash, only with the same plain bytes, since its nonce is fixed by
/// its place. The caller checks the bytes against the blob's digest first, so only one content of a block can ever
/// come here, and sealing it twice gives the same bytes.
pub struct SealedBlockWriter {
    file: File,
    cipher: Cipher,
    len: u64,
    last: u32,
}

impl fmt::Debug for SealedBlockWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedBlockWriter({} bytes)", self.len)
    }
}

impl SealedBlockWriter {
    /// Begins a stream of `len` plain bytes in an empty file. A stream of no bytes is complete at once.
    ///
    /// # Errors
    /// [`StreamFault::TooLong`] or [`StreamFault::Disk`].
    pub fn create(file: File, key: &DataKey, slot: &[u8], len: u64) -> Result<Self, StreamFault> {
        if len > BLOB_BYTES_MAX.0 {
            return Err(StreamFault::TooLong);
        }
        file.write_all_at(&header_of(random()), 0).map_err(disk("writing a sealed stream's header"))?;
        let writer = Self::resume(file, key, slot, len)?;
        if len == 0 {
            writer.put(0, &mut [])?;
        }
        Ok(writer)
    }

    /// Goes on with a stream that [`SealedBlockWriter::create`] began with the same key, slot and length.
    ///
    /// # Errors
    /// [`StreamFault`].
    pub fn resume(file: File, key: &DataKey, slot: &[u8], len: u64) -> Result<Self, StreamFault> {
        let header = read_header(&file)?;
        let last = u32::try_from(block_count(len) - 1).map_err(|_| StreamFault::TooLong)?;
        Ok(Self { cipher: Cipher::new(key, &header, slot), file, len, last })
    }

    /// Writes the plain `bytes` of whole blocks from `offset` on. They are sealed where they lie: `bytes` is
    /// ciphertext afterwards.
    ///
    /// # Errors
    /// [`StreamFault::Place`] when `offset` is not a block's or `bytes` does not end with one, [`StreamFault::Disk`].
    pub fn write_blocks(&self, offset: u64, bytes: &mut [u8]) -> Result<(), StreamFault> {
        let end = offset.checked_add(bytes.len() as u64).filter(|end| *end <= self.len).ok_or(StreamFault::Place)?;
        if !offset.is_multiple_of(BLOCK) || !(end.is_multiple_of(BLOCK) || end == self.len) {
            return Err(StreamFault::Place);
        }
        let first = u32::try_from(offset / BLOCK).map_err(|_| StreamFault::TooLong)?;
        (first..).zip(bytes.chunks_mut(BLOCK_BYTES)).try_for_each(|(index, block)| self.put(index, block))
    }

    fn put(&self, index: u32, block: &mut [u8]) -> Result<(), StreamFault> {
        let place = if index == self.last { Place::Last } else { Place::Inner };
        let tag = self.cipher.seal(index, place, block);
        let at = HEADER + u64::from(index) * SEALED_BLOCK;
        let written = self.file.write_all_at(block, at);
        written
            .and_then(|()| self.file.write_all_at(&tag, at + block.len() as u64))
            .map_err(disk("writing a sealed block"))
    }

    /// The file, for syncing.
    pub fn file(&self) -> &File {
        &self.file
    }
}

#[cfg(test)]
mod tests;
