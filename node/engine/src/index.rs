//! The row index: which rows left last time, as sorted pairs of row id and row hash. Local; it never leaves its node.
//!
//! Layout: 8 bytes `COHIDX1\n`, rows as u64 little endian, 16 bytes policy version; then 32 bytes a row, ascending by id.

use std::io::{self, Write};

use crate::handle::RandomRead;

const MAGIC: &[u8; 8] = b"COHIDX1\n";
const HEADER_BYTES: usize = 32;
const ENTRY_BYTES: usize = 32;
/// Entries that share one bucket of the table, on average.
const BUCKET_ENTRIES: usize = 2;
/// Rows that are looked up together.
const LOOKUPS: usize = 128;
/// What no row's number is.
const NOWHERE: u32 = u32::MAX;

pub(crate) type Id = [u8; 16];
pub(crate) type RowHash = [u8; 16];

/// Why an index cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IndexFault {
    Read(io::ErrorKind),
    Damaged,
    TooManyRows,
}

/// The rows of last time, each to be found by its id and marked when it is seen again.
pub(crate) struct Previous {
    version: [u8; 16],
    /// Sorted; a hash is overwritten when its row has changed.
    entries: Vec<u8>,
    /// Where each bucket begins. Ids are keyed hashes, so their first bits spread them evenly.
    buckets: Vec<u32>,
    shift: u32,
    /// The place at which each row was seen in this run; 0: not yet.
    seen: Vec<u64>,
}

/// What a row is to the rows of last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sighting {
    New,
    Changed,
    Same,
    /// Its id was seen in this run already, at this place.
    Twice(u64),
}

/// A row of this run.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) id: Id,
    pub(crate) hash: RowHash,
    pub(crate) place: u64,
}

impl Previous {
    pub(crate) fn read(file: &dyn RandomRead, rows_max: u64) -> Result<Self, IndexFault> {
        let mut header = [0; HEADER_BYTES];
        if file.len() < HEADER_BYTES as u64 {
            return Err(IndexFault::Damaged);
        }
        file.read_at(0, &mut header).map_err(|error| IndexFault::Read(error.kind()))?;
        let (mut rows, mut version) = ([0; 8], [0; 16]);
        rows.copy_from_slice(&header[8..16]);
        version.copy_from_slice(&header[16..]);
        let rows = u64::from_le_bytes(rows);
        let body = file.len() - HEADER_BYTES as u64;
        if &header[..8] != MAGIC || rows.checked_mul(ENTRY_BYTES as u64) != Some(body) {
            return Err(IndexFault::Damaged);
        }
        if rows > rows_max.min(u64::from(NOWHERE - 1)) {
            return Err(IndexFault::TooManyRows);
        }
        let mut entries = vec![0; usize::try_from(body).map_err(|_| IndexFault::TooManyRows)?];
        for (block, offset) in entries.chunks_mut(1 << 20).zip((HEADER_BYTES as u64..).step_by(1 << 20)) {
            file.read_at(offset, block).map_err(|error| IndexFault::Read(error.kind()))?;
        }
        Self::new(version, entries)
    }

    fn new(version: [u8; 16], entries: Vec<u8>) -> Result<Self, IndexFault> {
        let rows = entries.len() / ENTRY_BYTES;
        let bits = (rows / BUCKET_ENTRIES).next_power_of_two().ilog2();
        let mut previous = Self { version, entries, buckets: Vec::new(), shift: 64 - bits, seen: vec![0; rows] };
        let mut buckets = vec![0; (1 << bits) + 1];
        for row in 0..rows {
            if row > 0 && previous.id(row - 1) >= previous.id(row) {
                return Err(IndexFault::Damaged);
            }
            buckets[previous.bucket(previous.id(row)) + 1] = u32::try_from(row + 1).map_err(|_| IndexFault::Damaged)?;
        }
        for bucket in 1..buckets.len() {
            buckets[bucket] = buckets[bucket].max(buckets[bucket - 1]);
        }
        previous.buckets = buckets;
        Ok(previous)
    }

    pub(crate) const fn version(&self) -> [u8; 16] {
        self.version
    }

    fn id(&self, row: usize) -> &[u8] {
        &self.entries[row * ENTRY_BYTES..row * ENTRY_BYTES + 16]
    }

    fn hash(&mut self, row: usize) -> &mut [u8] {
        &mut self.entries[row * ENTRY_BYTES + 16..(row + 1) * ENTRY_BYTES]
    }

    fn bucket(&self, id: &[u8]) -> usize {
        // With one bucket the shift is 64, which `checked_shr` answers with none.
        usize::try_from(first_8(id).checked_shr(self.shift).unwrap_or(0)).unwrap_or(0)
    }

    /// Where each id stands, or [`NOWHERE`].
    ///
    /// Every look-up waits for memory at a place of its own. In short loops without branches between them the
    /// processor waits for many at once.
    fn find(&self, rows: &[Seen], found: &mut [u32]) {
        let mut heads = [0; LOOKUPS];
        for (row, low) in rows.iter().zip(found.iter_mut()) {
            *low = self.buckets[self.bucket(&row.id)];
        }
        for (low, head) in found.iter().zip(&mut heads) {
            *head = self.head(*low as usize);
        }
        for ((row, at), head) in rows.iter().zip(found).zip(heads) {
            let (wanted, mut here) = (first_8(&row.id), head);
            while here < wanted {
                *at += 1;
                here = self.head(*at as usize);
            }
            // Ids with equal first bytes are next to impossible, and found all the same.
            while self.get(*at as usize).is_some_and(|id| id < row.id.as_slice()) {
                *at += 1;
            }
            if self.get(*at as usize) != Some(row.id.as_slice()) {
                *at = NOWHERE;
            }
        }
    }

    fn get(&self, row: usize) -> Option<&[u8]> {
        (row < self.seen.len()).then(|| self.id(row))
    }

    /// The first bytes of the row's id; behind the last row the greatest.
    fn head(&self, row: usize) -> u64 {
        self.get(row).map_or(u64::MAX, first_8)
    }

    /// Marks the row as seen at `place`, which is never 0.
    fn mark(&mut self, row: usize, hash: &RowHash, place: u64) -> Sighting {
        match self.seen[row] {
            0 => self.seen[row] = place,
            first => return Sighting::Twice(first),
        }
        if self.hash(row) == hash {
            return Sighting::Same;
        }
        self.hash(row).copy_from_slice(hash);
        Sighting::Changed
    }
}

fn first_8(id: &[u8]) -> u64 {
    u64::from_be_bytes(*id.first_chunk().expect("an id has 16 bytes"))
}

/// The rows of this run beside those of last time.
pub(crate) struct RowIndex {
    version: [u8; 16],
    previous: Option<Previous>,
    fresh: Vec<Seen>,
}

impl RowIndex {
    /// `previous` must be of the same policy version.
    pub(crate) const fn new(version: [u8; 16], previous: Option<Previous>) -> Self {
        Self { version, previous, fresh: Vec::new() }
    }

    /// Takes rows in, and says what each is. Two new rows of one id are found by [`Self::settle`].
    pub(crate) fn see(&mut self, rows: &[Seen]) -> Vec<Sighting> {
        let Some(previous) = &mut self.previous else {
            self.fresh.extend_from_slice(rows);
            return vec![Sighting::New; rows.len()];
        };
        let mut sightings = Vec::with_capacity(rows.len());
        for rows in rows.chunks(LOOKUPS) {
            let mut found = [NOWHERE; LOOKUPS];
            previous.find(rows, &mut found[..rows.len()]);
            for (row, at) in rows.iter().zip(found) {
                sightings.push(if at == NOWHERE {
                    self.fresh.push(*row);
                    Sighting::New
                } else {
                    previous.mark(at as usize, &row.hash, row.place)
                });
            }
        }
        sightings
    }

    /// Sorts the new rows. The places of two with one id, if there are such.
    pub(crate) fn settle(&mut self) -> Option<(u64, u64)> {
        self.fresh.sort_unstable_by_key(|fresh| (u128::from_be_bytes(fresh.id), fresh.place));
        self.fresh.windows(2).find(|pair| pair[0].id == pair[1].id).map(|pair| (pair[0].place, pair[1].place))
    }

    /// The ids of last time that were not seen again, ascending.
    pub(crate) fn gone(&self) -> Vec<Id> {
        let Some(previous) = &self.previous else { return Vec::new() };
        let unseen = previous.seen.iter().enumerate().filter(|(_, seen)| **seen == 0);
        unseen.filter_map(|(row, _)| previous.id(row).try_into().ok()).collect()
    }

    /// Writes the index of this run, after [`Self::settle`].
    pub(crate) fn write(&self, sink: &mut dyn Write) -> io::Result<()> {
        let none = (Vec::new(), Vec::new());
        let (seen, entries) = self.previous.as_ref().map_or((&none.0, &none.1), |p| (&p.seen, &p.entries));
        let kept = entries.chunks_exact(ENTRY_BYTES).zip(seen).filter(|(_, seen)| **seen != 0).map(|(entry, _)| entry);
        let rows = seen.iter().filter(|seen| **seen != 0).count() + self.fresh.len();
        let mut out = Vec::with_capacity(1 << 20);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&(rows as u64).to_le_bytes());
        out.extend_from_slice(&self.version);
        let mut fresh = self.fresh.iter().peekable();
        for entry in kept.map(Some).chain([None]) {
            while let Some(next) = fresh.next_if(|next| entry.is_none_or(|entry| next.id.as_slice() < &entry[..16])) {
                out.extend_from_slice(&next.id);
                out.extend_from_slice(&next.hash);
                flush(&mut out, sink, 1 << 20)?;
            }
            out.extend_from_slice(entry.unwrap_or_default());
            flush(&mut out, sink, 1 << 20)?;
        }
        flush(&mut out, sink, 0)
    }
}

fn flush(out: &mut Vec<u8>, sink: &mut dyn Write, above: usize) -> io::Result<()> {
    if out.len() > above {
        sink.write_all(out)?;
        out.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(value: u64) -> Id {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&value.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
        id[8..].copy_from_slice(&value.to_be_bytes());
        id
    }

    fn seen(row: u64, hash: u8, place: u64) -> Seen {
        Seen { id: id(row), hash: [hash; 16], place }
    }

    #[test]
    fn ids_that_begin_alike_are_found_and_those_between_are_not() {
        let ids = |last: &[u8]| -> Vec<Id> {
            let id = |head: u8, last| {
                let mut id = [head; 16];
                id[15] = last;
                id
            };
            [0, 7, 255].into_iter().flat_map(|head| last.iter().map(move |last| id(head, *last))).collect()
        };
        let rows = |last: &[u8]| -> Vec<Seen> {
            ids(last).into_iter().map(|id| Seen { id, hash: [1; 16], place: 1 }).collect()
        };
        let mut first = RowIndex::new([9; 16], None);
        first.see(&rows(&[1, 3, 255]));
        assert_eq!(first.settle(), None);
        let mut bytes = Vec::new();
        first.write(&mut bytes).unwrap();
        let mut index = RowIndex::new([9; 16], Previous::read(&bytes, 10).ok());
        assert_eq!(index.see(&rows(&[0, 2, 4, 254])), [Sighting::New; 12]);
        assert_eq!(index.see(&rows(&[1, 3, 255])), [Sighting::Same; 9]);
    }

    fn run(previous: Option<Vec<u8>>, rows: &[(u64, u8)]) -> (Vec<Sighting>, Vec<Id>, Vec<u8>) {
        let previous = previous.map(|bytes| Previous::read(&bytes, 1 << 20).unwrap());
        let mut index = RowIndex::new([9; 16], previous);
        let rows: Vec<Seen> = rows.iter().zip(1..).map(|((row, hash), place)| seen(*row, *hash, place)).collect();
        let sightings = index.see(&rows);
        assert_eq!(index.settle(), None);
        let mut bytes = Vec::new();
        index.write(&mut bytes).unwrap();
        (sightings, index.gone(), bytes)
    }

    #[test]
    fn an_index_of_a_delta_is_the_index_of_the_whole() {
        for rows in [0, 1, 2, 7, 1000] {
            let old: Vec<_> = (0..rows).map(|row| (row, 1)).collect();
            let (sightings, gone, bytes) = run(None, &old);
            assert!(gone.is_empty() && sightings.iter().all(|sighting| *sighting == Sighting::New));
            let new: Vec<_> = (1..rows + 5).map(|row| (row, if row % 3 == 0 { 2 } else { 1 })).collect();
            let (sightings, gone, delta) = run(Some(bytes), &new);
            assert_eq!(delta, run(None, &new).2, "{rows}");
            assert_eq!(gone, if rows > 0 { vec![id(0)] } else { vec![] });
            for ((row, _), sighting) in new.iter().zip(sightings) {
                let changed = if row % 3 == 0 { Sighting::Changed } else { Sighting::Same };
                assert_eq!(sighting, if *row < rows { changed } else { Sighting::New });
            }
        }
    }

    #[test]
    fn an_id_seen_twice_names_both_places() {
        let (_, _, bytes) = run(None, &[(1, 1), (2, 1)]);
        let mut index = RowIndex::new([9; 16], Previous::read(&bytes, 10).ok());
        assert_eq!(index.see(&[seen(1, 1, 5), seen(1, 2, 8)]), [Sighting::Same, Sighting::Twice(5)]);
        assert_eq!(index.see(&[seen(3, 1, 11), seen(3, 1, 9)]), [Sighting::New; 2]);
        assert_eq!(index.settle(), Some((9, 11)));
    }

    #[test]
    fn a_damaged_index_is_a_fault() {
        let (_, _, bytes) = run(None, &[(1, 1), (2, 1), (3, 1)]);
        assert!(Previous::read(&bytes, 3).is_ok());
        assert_eq!(Previous::read(&bytes, 2).err(), Some(IndexFault::TooManyRows));
        for length in 0..bytes.len() {
            assert_eq!(Previous::read(&bytes[..length].to_vec(), 3).err(), Some(IndexFault::Damaged), "{length}");
        }
        let mut swapped = bytes;
        swapped[32..96].rotate_left(32);
        assert_eq!(Previous::read(&swapped, 3).err(), Some(IndexFault::Damaged));
    }
}
