//! Reading sealed streams: by place, from several threads, or through a cursor.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use cohortium_protocol::limits::BLOB_BYTES_MAX;

use super::{
    BLOCK, Cipher, HEADER, Place, SEALED_BLOCK, StreamFault, block_count, disk, plain_bytes, read_header, sealed_bytes,
};
use crate::seal::{DataKey, TAG_BYTES};

/// The block that was last opened for a read of a part of it.
struct Opened {
    index: u32,
    bytes: Vec<u8>,
}

/// Reads a sealed stream by place; several threads may read at once.
pub struct SealedReader {
    file: File,
    cipher: Cipher,
    len: u64,
    last: u32,
    recent: Mutex<Option<Opened>>,
}

impl fmt::Debug for SealedReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedReader({} bytes)", self.len)
    }
}

impl SealedReader {
    /// Opens a file that is one sealed stream, and its last block, so that the length stands.
    ///
    /// # Errors
    /// [`StreamFault`].
    pub fn open(file: File, key: &DataKey, slot: &[u8]) -> Result<Self, StreamFault> {
        let size = file.metadata().map_err(disk("asking for a sealed stream's length"))?.len();
        let len = plain_bytes(size).ok_or(StreamFault::Length)?;
        let reader = Self::known(file, key, slot, len)?;
        reader.check_last()?;
        Ok(reader)
    }

    /// Opens the last block, which shows that the stream ends where its length says.
    ///
    /// # Errors
    /// [`StreamFault`].
    pub fn check_last(&self) -> Result<(), StreamFault> {
        self.open_block(self.last, &mut vec![0; self.block_len(self.last)])
    }

    /// Opens a stream whose length the caller knows from elsewhere; other things may follow it in the file.
    ///
    /// # Errors
    /// [`StreamFault`]; the blocks are checked when they are read.
    pub fn known(file: File, key: &DataKey, slot: &[u8], len: u64) -> Result<Self, StreamFault> {
        let size = file.metadata().map_err(disk("asking for a sealed stream's length"))?.len();
        if len > BLOB_BYTES_MAX.0 || size < sealed_bytes(len) {
            return Err(StreamFault::Length);
        }
        let header = read_header(&file)?;
        let last = u32::try_from(block_count(len) - 1).map_err(|_| StreamFault::TooLong)?;
        Ok(Self { cipher: Cipher::new(key, &header, slot), file, len, last, recent: Mutex::new(None) })
    }

    /// Plain bytes of the stream.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the stream has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn block_len(&self, index: u32) -> usize {
        let rest = self.len.saturating_sub(u64::from(index) * BLOCK);
        usize::try_from(rest.min(BLOCK)).expect("a block is at most 1 MiB")
    }

    /// Reads one block from the disk into `block`, which has its length, and opens it there.
    fn open_block(&self, index: u32, block: &mut [u8]) -> Result<(), StreamFault> {
        let at = HEADER + u64::from(index) * SEALED_BLOCK;
        let mut tag = [0; TAG_BYTES];
        let read = self.file.read_exact_at(block, at);
        let read = read.and_then(|()| self.file.read_exact_at(&mut tag, at + block.len() as u64));
        read.map_err(|fault| match fault.kind() {
            io::ErrorKind::UnexpectedEof => StreamFault::Length,
            _ => disk("reading a sealed block")(fault),
        })?;
        self.cipher.open(index, if index == self.last { Place::Last } else { Place::Inner }, tag, block)
    }

    /// Fills `buf` with the plain bytes from `offset` on; fewer only where the stream ends. Returns how many.
    ///
    /// Whole blocks are opened in `buf` itself, without a copy.
    ///
    /// # Errors
    /// [`StreamFault::Block`] with the block's number, or [`StreamFault::Disk`]; `buf` then holds no plain bytes of
    /// the block that failed.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, StreamFault> {
        let rest = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let total = rest.min(buf.len());
        let mut done = 0;
        while done < total {
            let at = offset + done as u64;
            let index = u32::try_from(at / BLOCK).map_err(|_| StreamFault::TooLong)?;
            let skip = within_block(at);
            let length = self.block_len(index);
            let take = (length - skip).min(total - done);
            let part = &mut buf[done..done + take];
            if take == length {
                self.open_block(index, part)?;
            } else {
                self.read_part(index, skip, part)?;
            }
            done += take;
        }
        Ok(total)
    }

    /// Reads a part of a block, through the block that was last opened.
    fn read_part(&self, index: u32, skip: usize, part: &mut [u8]) -> Result<(), StreamFault> {
        // Another thread's block is not waited for: this read then opens its own copy.
        let mut recent = self.recent.try_lock().ok();
        if let Some(Some(opened)) = recent.as_deref().filter(|o| o.as_ref().is_some_and(|o| o.index == index)) {
            part.copy_from_slice(&opened.bytes[skip..skip + part.len()]);
            return Ok(());
        }
        let mut bytes = recent.as_mut().and_then(|slot| slot.take()).map(|opened| opened.bytes).unwrap_or_default();
        bytes.resize(self.block_len(index), 0);
        self.open_block(index, &mut bytes)?;
        part.copy_from_slice(&bytes[skip..skip + part.len()]);
        if let Some(slot) = recent.as_mut() {
            **slot = Some(Opened { index, bytes });
        }
        Ok(())
    }
}

/// Reads a sealed stream from its beginning, or from where it is set, through one block of memory.
#[derive(Debug)]
pub struct SealedCursor {
    reader: Arc<SealedReader>,
    at: u64,
    block: Vec<u8>,
    held: Option<u32>,
}

impl SealedCursor {
    /// A cursor at the beginning.
    pub fn new(reader: Arc<SealedReader>) -> Self {
        Self { reader, at: 0, block: Vec::new(), held: None }
    }
}

impl BufRead for SealedCursor {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at >= self.reader.len {
            return Ok(&[]);
        }
        let index = u32::try_from(self.at / BLOCK).map_err(|_| StreamFault::TooLong)?;
        if self.held != Some(index) {
            self.held = None;
            self.block.resize(self.reader.block_len(index), 0);
            self.reader.open_block(index, &mut self.block)?;
            self.held = Some(index);
        }
        let skip = within_block(self.at);
        Ok(&self.block[skip..])
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount as u64;
    }
}

impl Read for SealedCursor {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut from = self.fill_buf()?;
        let read = from.read(buf)?;
        self.consume(read);
        Ok(read)
    }
}

impl Seek for SealedCursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.reader.len.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

fn within_block(at: u64) -> usize {
    usize::try_from(at % BLOCK).expect("a block is 1 MiB")
}
