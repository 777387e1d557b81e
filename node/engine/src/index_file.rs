//! Row indexes as files. Local; they never leave their node.
//!
//! A whole index is a base: 8 bytes `COHIDX1\n`, rows as u64 little endian, 16 bytes policy version; then 32 bytes a row,
//! ascending by id: id, hash. What has changed since is written beside it: 8 bytes `COHIDX2\n`, entries as u64, 16 bytes
//! policy version, 40 bytes that name the base; then entries as in a base, of rows that are new, have another hash, or with
//! a hash of zeros are gone. Changes are always over a base, never over other changes: two files say all there is.

use std::io::{self, Write};

use crate::handle::RandomRead;

/// What names a row.
pub(crate) type Id = [u8; 16];
/// A keyed hash of what a row leaves as.
pub(crate) type RowHash = [u8; 16];
/// A row's id and its hash.
pub(crate) type Entry = (Id, RowHash);

/// Why an index cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IndexFault {
    Read(io::ErrorKind),
    Damaged,
    TooManyRows,
}

const WHOLE: &[u8; 8] = b"COHIDX1\n";
const CHANGES: &[u8; 8] = b"COHIDX2\n";
const WHOLE_HEADER_BYTES: usize = 32;
const CHANGES_HEADER_BYTES: usize = WHOLE_HEADER_BYTES + BASE_NAME_BYTES;
pub(crate) const ENTRY_BYTES: usize = 32;
/// Bytes that are read at once.
const PIECE_BYTES: usize = 1 << 20;
/// The hash of a row that is gone. No row has it: hashes are keyed.
pub(crate) const GONE: RowHash = [0; 16];

/// Bytes of a base's name. What they mean is its owner's.
pub const BASE_NAME_BYTES: usize = 40;
/// As many bytes of an index as [`base_of`] wants to see.
pub const INDEX_HEAD_BYTES: usize = CHANGES_HEADER_BYTES;

/// The name of the base that an index with this beginning is over; `None`: it is a base itself.
pub fn base_of(head: &[u8]) -> Option<[u8; BASE_NAME_BYTES]> {
    if head.first_chunk() != Some(CHANGES) {
        return None;
    }
    head.get(WHOLE_HEADER_BYTES..)?.first_chunk().copied()
}

/// The row index of the snapshot before.
#[expect(missing_debug_implementations, reason = "it leads to ids of rows")]
pub struct PreviousIndex<'a> {
    /// A whole index.
    pub base: &'a dyn RandomRead,
    /// How its owner calls it.
    pub name: [u8; BASE_NAME_BYTES],
    /// What had changed since, if anything was written beside it.
    pub changes: Option<&'a dyn RandomRead>,
}

/// Where a row's entry comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It is as in the base.
    Base,
    /// The base has it with another hash.
    Changed,
    /// The base does not have it.
    Added,
}

impl Origin {
    /// After its hash has changed.
    pub(crate) const fn changed(self) -> Self {
        match self {
            Self::Base | Self::Changed => Self::Changed,
            Self::Added => Self::Added,
        }
    }
}

/// An index in memory.
pub(crate) struct Loaded {
    pub(crate) version: [u8; 16],
    pub(crate) base: [u8; BASE_NAME_BYTES],
    pub(crate) base_rows: u64,
    /// 32 bytes a row, ascending by id.
    pub(crate) entries: Vec<u8>,
    /// One for each row.
    pub(crate) origins: Vec<Origin>,
    /// Ids of the base that are gone, ascending.
    pub(crate) gone: Vec<Id>,
}

/// Reads an index; whether a base is sorted is its reader's to see.
pub(crate) fn read(index: &PreviousIndex<'_>, rows_max: u64) -> Result<Loaded, IndexFault> {
    let (head, entries) = read_file::<WHOLE_HEADER_BYTES>(index.base, *WHOLE, rows_max)?;
    let version = version_in(&head);
    let base_rows = (entries.len() / ENTRY_BYTES) as u64;
    let origins = vec![Origin::Base; entries.len() / ENTRY_BYTES];
    let mut loaded = Loaded { version, base: index.name, base_rows, entries, origins, gone: Vec::new() };
    if let Some(changes) = index.changes {
        let (head, changes) = read_file::<CHANGES_HEADER_BYTES>(changes, *CHANGES, rows_max)?;
        let sorted = changes.chunks_exact(ENTRY_BYTES).zip(changes.chunks_exact(ENTRY_BYTES).skip(1));
        let sorted = sorted.into_iter().all(|(one, next)| one[..16] < next[..16]);
        if version_in(&head) != version || base_of(&head) != Some(index.name) || !sorted {
            return Err(IndexFault::Damaged);
        }
        loaded.apply(&changes)?;
        if loaded.origins.len() as u64 > rows_max {
            return Err(IndexFault::TooManyRows);
        }
    }
    Ok(loaded)
}

fn version_in(head: &[u8]) -> [u8; 16] {
    let mut version = [0; 16];
    version.copy_from_slice(&head[16..32]);
    version
}

/// The header and the entries of a file.
fn read_file<const HEAD: usize>(
    file: &dyn RandomRead,
    magic: [u8; 8],
    rows_max: u64,
) -> Result<([u8; HEAD], Vec<u8>), IndexFault> {
    let unread = |error: io::Error| IndexFault::Read(error.kind());
    let mut head = [0; HEAD];
    let body = file.len().checked_sub(HEAD as u64).ok_or(IndexFault::Damaged)?;
    file.read_at(0, &mut head).map_err(unread)?;
    let mut rows = [0; 8];
    rows.copy_from_slice(&head[8..16]);
    let rows = u64::from_le_bytes(rows);
    if head.first_chunk() != Some(&magic) || rows.checked_mul(ENTRY_BYTES as u64) != Some(body) {
        return Err(IndexFault::Damaged);
    }
    if rows > rows_max {
        return Err(IndexFault::TooManyRows);
    }
    let mut entries = vec![0; usize::try_from(body).map_err(|_| IndexFault::TooManyRows)?];
    for (piece, offset) in entries.chunks_mut(PIECE_BYTES).zip((HEAD as u64..).step_by(PIECE_BYTES)) {
        file.read_at(offset, piece).map_err(unread)?;
    }
    Ok((head, entries))
}

impl Loaded {
    /// Applies sorted changes to the entries of a base, in place.
    fn apply(&mut self, changes: &[u8]) -> Result<(), IndexFault> {
        let mut changes = changes.chunks_exact(ENTRY_BYTES).peekable();
        let mut added: Vec<&[u8]> = Vec::new();
        let mut kept = 0;
        for row in 0..self.origins.len() {
            let at = row * ENTRY_BYTES;
            let mut entry = [0; ENTRY_BYTES];
            entry.copy_from_slice(&self.entries[at..at + ENTRY_BYTES]);
            while let Some(new) = changes.next_if(|change| change[..16] < entry[..16]) {
                added.push(new);
            }
            let mut origin = Origin::Base;
            if let Some(change) = changes.next_if(|change| change[..16] == entry[..16]) {
                if change[16..] == GONE {
                    self.gone.extend(entry.first_chunk::<16>());
                    continue;
                }
                entry.copy_from_slice(change);
                origin = Origin::Changed;
            }
            self.entries[kept * ENTRY_BYTES..(kept + 1) * ENTRY_BYTES].copy_from_slice(&entry);
            self.origins[kept] = origin;
            kept += 1;
        }
        added.extend(changes);
        if added.iter().any(|entry| entry[16..] == GONE) {
            // What the base does not have cannot be gone from it.
            return Err(IndexFault::Damaged);
        }
        self.entries.truncate(kept * ENTRY_BYTES);
        self.origins.truncate(kept);
        self.insert(&added);
        Ok(())
    }

    /// Puts sorted new entries between the others, from the last one on.
    fn insert(&mut self, added: &[&[u8]]) {
        let mut from = self.origins.len();
        let mut to = from + added.len();
        self.entries.resize(to * ENTRY_BYTES, 0);
        self.origins.resize(to, Origin::Added);
        for entry in added.iter().rev() {
            while from > 0 && self.entries[(from - 1) * ENTRY_BYTES..][..16] > entry[..16] {
                from -= 1;
                to -= 1;
                self.entries.copy_within(from * ENTRY_BYTES..(from + 1) * ENTRY_BYTES, to * ENTRY_BYTES);
                self.origins[to] = self.origins[from];
            }
            to -= 1;
            self.entries[to * ENTRY_BYTES..(to + 1) * ENTRY_BYTES].copy_from_slice(entry);
            self.origins[to] = Origin::Added;
        }
    }
}

/// The header of a whole index.
pub(crate) fn whole_header(rows: u64, version: [u8; 16]) -> [u8; WHOLE_HEADER_BYTES] {
    let mut header = [0; WHOLE_HEADER_BYTES];
    header[..8].copy_from_slice(WHOLE);
    header[8..16].copy_from_slice(&rows.to_le_bytes());
    header[16..].copy_from_slice(&version);
    header
}

/// Writes changes over a base.
pub(crate) fn write_changes(
    sink: &mut dyn Write,
    version: [u8; 16],
    base: [u8; BASE_NAME_BYTES],
    changes: &[Entry],
) -> io::Result<()> {
    let mut out = Vec::with_capacity(CHANGES_HEADER_BYTES + changes.len() * ENTRY_BYTES);
    out.extend_from_slice(CHANGES);
    out.extend_from_slice(&(changes.len() as u64).to_le_bytes());
    out.extend_from_slice(&version);
    out.extend_from_slice(&base);
    for (id, hash) in changes {
        out.extend_from_slice(id);
        out.extend_from_slice(hash);
    }
    sink.write_all(&out)
}
