//! One segment of a journal: its header, its watermark and its records, as bytes. Folders and order are `journal`'s.
//!
//! ```text
//! 0     "CHRTJRNL" | version u16 | zero u16 | number u32 | first sequence u64 | chain 32 | salt 16 | mac 32 | zeros
//! 512   end of the acknowledged records u64 | next sequence u64 | mac 32 | zeros            (the watermark)
//! 1024  records: length u32 | check 4 | chain 32 | sealed entry | tag 16
//! ```
//! Numbers are little endian. Keys are HKDF-SHA-256 of the journal's key with the header, whose random salt makes them
//! this segment's alone; so the record's number in the segment is its nonce. A record's chain is SHA-256 over the chain and
//! the sealed entry of the record before it.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use cohortium_protocol::digest::sha256;
use cohortium_protocol::limits::JOURNAL_ENTRY_BYTES_MAX;
use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use ring::hmac;
use zeroize::Zeroizing;

use crate::seal::{DataKey, KEY_BYTES, TAG_BYTES, aes, seal_in_place};

/// Where the records begin: header and watermark have a disk sector each, so that a torn write cannot hurt the other.
pub(crate) const RECORDS_AT: u64 = 1024;
const WATERMARK_AT: u64 = 512;
const SECTOR: usize = 512;
const MAGIC: &[u8; 8] = b"CHRTJRNL";
const VERSION: u16 = 1;
const HEAD_BYTES: usize = 72;
const MAC_BYTES: usize = 32;
/// Bytes of a record before the sealed entry.
pub(crate) const RECORD_HEAD_BYTES: usize = 40;

/// What a segment's header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) number: u32,
    pub(crate) first_seq: u64,
    pub(crate) chain: [u8; 32],
    pub(crate) salt: [u8; 16],
}

/// Up to where a segment's records are known to have been acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Watermark {
    pub(crate) end: u64,
    pub(crate) next_seq: u64,
}

/// Why a header is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadFault {
    /// Never written to its end: the machine stopped while the segment was made.
    Torn,
    /// Damaged, or under another key.
    Damaged,
    /// Of a later version.
    Version(u16),
}

/// Why a record is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordFault {
    /// The file ends before the record does.
    Incomplete,
    /// The length does not stand.
    Length,
    /// It does not follow the record before it.
    Chain,
    /// The entry is damaged, moved, or under another key.
    Entry,
}

impl fmt::Display for RecordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete => write!(f, "is cut off"),
            Self::Length => write!(f, "has a damaged length"),
            Self::Chain => write!(f, "does not follow the record before it"),
            Self::Entry => write!(f, "is damaged, moved or under another key"),
        }
    }
}

impl std::error::Error for RecordFault {}

impl Head {
    fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_seq.to_le_bytes());
        bytes[24..56].copy_from_slice(&self.chain);
        bytes[56..72].copy_from_slice(&self.salt);
        bytes
    }

    /// The first [`RECORDS_AT`] bytes of a new segment: header and a watermark over no records.
    pub(crate) fn to_file(&self, keys: &SegmentKeys) -> Vec<u8> {
        let head = self.encode();
        let mut bytes = head.to_vec();
        bytes.extend_from_slice(hmac::sign(&keys.mac, &head).as_ref());
        bytes.resize(SECTOR, 0);
        let mark = Watermark { end: RECORDS_AT, next_seq: self.first_seq };
        bytes.extend_from_slice(&mark.encode(keys));
        bytes.resize(2 * SECTOR, 0);
        bytes
    }

    /// Reads header and watermark.
    pub(crate) fn read(file: &File, key: &DataKey) -> io::Result<Result<(Self, Watermark, SegmentKeys), HeadFault>> {
        let mut bytes = [0; 2 * SECTOR];
        match file.read_exact_at(&mut bytes, 0) {
            Err(fault) if fault.kind() == io::ErrorKind::UnexpectedEof => return Ok(Err(HeadFault::Torn)),
            other => other?,
        }
        if bytes[..SECTOR].iter().all(|byte| *byte == 0) || bytes[SECTOR..].iter().all(|byte| *byte == 0) {
            return Ok(Err(HeadFault::Torn));
        }
        Ok(Self::parse(&bytes, key))
    }

    fn parse(bytes: &[u8; 2 * SECTOR], key: &DataKey) -> Result<(Self, Watermark, SegmentKeys), HeadFault> {
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if &bytes[..8] != MAGIC {
            return Err(HeadFault::Damaged);
        }
        if version != VERSION {
            return Err(HeadFault::Version(version));
        }
        let head = Self {
            number: u32::from_le_bytes(array(&bytes[12..16])),
            first_seq: u64::from_le_bytes(array(&bytes[16..24])),
            chain: array(&bytes[24..56]),
            salt: array(&bytes[56..72]),
        };
        let keys = SegmentKeys::new(key, &head);
        let mark = &bytes[SECTOR..];
        let watermark =
            Watermark { end: u64::from_le_bytes(array(&mark[..8])), next_seq: u64::from_le_bytes(array(&mark[8..16])) };
        // Comparing with what would be written covers every byte, the zeros too.
        let mut expected = head.to_file(&keys);
        expected.splice(SECTOR..SECTOR + mark_bytes(), watermark.encode(&keys));
        if expected == bytes { Ok((head, watermark, keys)) } else { Err(HeadFault::Damaged) }
    }
}

const fn mark_bytes() -> usize {
    16 + MAC_BYTES
}

impl Watermark {
    fn encode(self, keys: &SegmentKeys) -> Vec<u8> {
        let mut bytes = [self.end.to_le_bytes(), self.next_seq.to_le_bytes()].concat();
        let mac = hmac::sign(&keys.mac, &[b"watermark ", bytes.as_slice()].concat());
        bytes.extend_from_slice(mac.as_ref());
        bytes
    }

    /// Writes it in its place, without a sync: it goes to the disk with the next batch at the latest, and never claims
    /// more than a sync before it has made durable.
    pub(crate) fn write(self, file: &File, keys: &SegmentKeys) -> io::Result<()> {
        file.write_all_at(&self.encode(keys), WATERMARK_AT)
    }
}

/// The keys of one segment.
#[derive(Debug)]
pub(crate) struct SegmentKeys {
    aes: LessSafeKey,
    mac: hmac::Key,
    number: u32,
    first_seq: u64,
}

impl SegmentKeys {
    pub(crate) fn new(key: &DataKey, head: &Head) -> Self {
        let mut bytes = Zeroizing::new([0; KEY_BYTES + MAC_BYTES]);
        key.expand(&head.salt, &[b"cohortium-store/1 segment ", &head.encode()], bytes.as_mut());
        let (seal, mac) = bytes.split_first_chunk::<KEY_BYTES>().expect("the array holds two keys");
        let mac = hmac::Key::new(hmac::HMAC_SHA256, mac);
        Self { aes: aes(seal), mac, number: head.number, first_seq: head.first_seq }
    }

    fn check(&self, seq: u64, length: u32) -> [u8; 4] {
        let mut message = b"length ".to_vec();
        message.extend_from_slice(&seq.to_le_bytes());
        message.extend_from_slice(&length.to_le_bytes());
        array(&hmac::sign(&self.mac, &message).as_ref()[..4])
    }

    fn nonce(&self, seq: u64) -> [u8; NONCE_LEN] {
        let mut nonce = [0; NONCE_LEN];
        nonce[4..].copy_from_slice(&(seq - self.first_seq).to_be_bytes());
        nonce
    }

    fn aad(&self, seq: u64, length: u32, chain: &[u8; 32]) -> Vec<u8> {
        [&self.number.to_le_bytes()[..], &seq.to_le_bytes(), &length.to_le_bytes(), chain].concat()
    }

    /// Appends the record of `entry` to `out` and moves `chain` on.
    pub(crate) fn write_record(&self, seq: u64, entry: &[u8], chain: &mut [u8; 32], out: &mut Vec<u8>) {
        let length = u32::try_from(entry.len()).expect("an entry is at most 2 MiB");
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&self.check(seq, length));
        out.extend_from_slice(chain);
        let at = out.len();
        out.extend_from_slice(entry);
        let tag = seal_in_place(&self.aes, self.nonce(seq), &self.aad(seq, length, chain), &mut out[at..]);
        out.extend_from_slice(&tag);
        *chain = next_chain(chain, &out[at..]);
    }

    /// The length that a record's head states, if it stands.
    fn length(&self, seq: u64, head: &[u8; RECORD_HEAD_BYTES]) -> Result<u32, RecordFault> {
        let length = u32::from_le_bytes(array(&head[..4]));
        let stands = head[4..8] == self.check(seq, length) && length as usize <= JOURNAL_ENTRY_BYTES_MAX;
        if stands { Ok(length) } else { Err(RecordFault::Length) }
    }

    fn open(&self, seq: u64, chain: &[u8; 32], sealed: &mut Vec<u8>) -> Result<(), RecordFault> {
        let length = sealed.len() - TAG_BYTES;
        let aad = self.aad(seq, u32::try_from(length).map_err(|_| RecordFault::Length)?, chain);
        let nonce = Nonce::assume_unique_for_key(self.nonce(seq));
        self.aes.open_in_place(nonce, Aad::from(aad), sealed).map_err(|_| RecordFault::Entry)?;
        sealed.truncate(length);
        Ok(())
    }

    /// Reads the record `seq` that begins at `at`.
    pub(crate) fn read_record(&self, file: &File, at: u64, seq: u64) -> io::Result<Result<Vec<u8>, RecordFault>> {
        let mut head = [0; RECORD_HEAD_BYTES];
        file.read_exact_at(&mut head, at)?;
        let length = match self.length(seq, &head) {
            Ok(length) => length as usize,
            Err(fault) => return Ok(Err(fault)),
        };
        let mut sealed = vec![0; length + TAG_BYTES];
        file.read_exact_at(&mut sealed, at + RECORD_HEAD_BYTES as u64)?;
        Ok(self.open(seq, &array(&head[8..]), &mut sealed).map(|()| sealed))
    }
}

fn next_chain(chain: &[u8; 32], sealed: &[u8]) -> [u8; 32] {
    sha256(&[b"cohortium-store/1 chain ", chain, sealed])
}

/// Reads a segment's records in order.
pub(crate) struct Scan<'a> {
    keys: &'a SegmentKeys,
    reader: BufReader<&'a File>,
    /// Where the next record begins.
    pub(crate) at: u64,
    /// The sequence number of the next record.
    pub(crate) seq: u64,
    /// The chain that the next record must carry.
    pub(crate) chain: [u8; 32],
    size: u64,
}

impl<'a> Scan<'a> {
    /// A scan over the first `size` bytes of the segment.
    pub(crate) fn new(file: &'a File, keys: &'a SegmentKeys, head: &Head, size: u64) -> io::Result<Self> {
        let mut reader = BufReader::with_capacity(256 * 1024, file);
        reader.seek(SeekFrom::Start(RECORDS_AT))?;
        Ok(Self { keys, reader, at: RECORDS_AT, seq: head.first_seq, chain: head.chain, size })
    }

    /// The segment's number.
    pub(crate) fn number(&self) -> u32 {
        self.keys.number
    }

    /// The next entry; `None` at the end. After a fault, `at` and `seq` are those of the record that is refused.
    pub(crate) fn next_entry(&mut self) -> io::Result<Option<Result<Vec<u8>, RecordFault>>> {
        let rest = self.size.saturating_sub(self.at);
        if rest == 0 {
            return Ok(None);
        }
        if rest < RECORD_HEAD_BYTES as u64 {
            return Ok(Some(Err(RecordFault::Incomplete)));
        }
        let mut head = [0; RECORD_HEAD_BYTES];
        self.reader.read_exact(&mut head)?;
        let length = match self.keys.length(self.seq, &head) {
            Ok(length) => length as usize,
            Err(fault) => return Ok(Some(Err(fault))),
        };
        let whole = (RECORD_HEAD_BYTES + length + TAG_BYTES) as u64;
        if rest < whole {
            return Ok(Some(Err(RecordFault::Incomplete)));
        }
        if head[8..] != self.chain {
            return Ok(Some(Err(RecordFault::Chain)));
        }
        let mut sealed = vec![0; length + TAG_BYTES];
        self.reader.read_exact(&mut sealed)?;
        let chain = next_chain(&self.chain, &sealed);
        if let Err(fault) = self.keys.open(self.seq, &self.chain, &mut sealed) {
            return Ok(Some(Err(fault)));
        }
        self.at += whole;
        self.seq += 1;
        self.chain = chain;
        Ok(Some(Ok(sealed)))
    }
}

/// Whether a disk sector of the file from `from` on was never written, which after a power cut reads as zeros although
/// the file has its full length (ext4 writes lengths and data apart). Sealed bytes are never a run of zeros, and no
/// flipped bit makes them one.
pub(crate) fn has_hole(file: &File, from: u64, size: u64) -> io::Result<bool> {
    let sector = SECTOR as u64;
    let mut at = from;
    let mut bytes = [0; SECTOR];
    while at < size {
        let end = (at / sector + 1) * sector;
        let part = &mut bytes[..usize::try_from(end.min(size) - at).expect("a sector is 512 bytes")];
        file.read_exact_at(part, at)?;
        if part.len() >= 4 && part.iter().all(|byte| *byte == 0) {
            return Ok(true);
        }
        at = end;
    }
    Ok(false)
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the caller cuts the slice to the array's length")
}
