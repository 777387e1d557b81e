//! The row index: which rows left last time, by row id and row hash, each to be found and marked when it is seen again.

use std::io::{self, Write};

use crate::index_file::{self, ENTRY_BYTES, Entry, GONE, Loaded, Origin, PreviousIndex};

pub(crate) use crate::index_file::{Id, IndexFault, RowHash};

/// Entries that share one bucket of the table, on average.
const BUCKET_ENTRIES: usize = 2;
/// Rows that are looked up together.
const LOOKUPS: usize = 128;
/// What no row's number is.
const NOWHERE: u32 = u32::MAX;

/// One in so many rows of the base may have changed before another base is written.
const CHANGES_IN: u64 = 8;

/// The rows of last time, each to be found by its id and marked when it is seen again.
pub(crate) struct Previous {
    /// Sorted; a hash is overwritten when its row has changed.
    loaded: Loaded,
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
    pub(crate) fn read(index: &PreviousIndex<'_>, rows_max: u64) -> Result<Self, IndexFault> {
        Self::new(index_file::read(index, rows_max.min(u64::from(NOWHERE - 1)))?)
    }

    fn new(loaded: Loaded) -> Result<Self, IndexFault> {
        let rows = loaded.origins.len();
        let bits = (rows / BUCKET_ENTRIES).next_power_of_two().ilog2();
        let mut previous = Self { loaded, buckets: Vec::new(), shift: 64 - bits, seen: vec![0; rows] };
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
        self.loaded.version
    }

    fn id(&self, row: usize) -> &[u8] {
        &self.loaded.entries[row * ENTRY_BYTES..row * ENTRY_BYTES + 16]
    }

    fn hash(&mut self, row: usize) -> &mut [u8] {
        &mut self.loaded.entries[row * ENTRY_BYTES + 16..(row + 1) * ENTRY_BYTES]
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
        let origin = &mut self.loaded.origins[row];
        *origin = origin.changed();
        Sighting::Changed
    }
}

/// The first bytes of an id as a number that sorts like it.
pub(crate) fn first_8(id: &[u8]) -> u64 {
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

    /// Writes the index of this run, after [`Self::settle`]: where little has changed since the base only that.
    pub(crate) fn write(&self, sink: &mut dyn Write, base_rows_min: u64) -> io::Result<()> {
        let Some(previous) = &self.previous else { return self.write_whole(sink, &[], &[]) };
        match self.changes(previous, base_rows_min) {
            Some(changes) => index_file::write_changes(sink, self.version, previous.loaded.base, &changes),
            None => self.write_whole(sink, &previous.seen, &previous.loaded.entries),
        }
    }

    /// What differs from the base by now, ascending by id; `None`: so much that another base is written.
    fn changes(&self, previous: &Previous, base_rows_min: u64) -> Option<Vec<Entry>> {
        let Loaded { origins, gone, base_rows, .. } = &previous.loaded;
        let changes_max = usize::try_from(base_rows / CHANGES_IN).unwrap_or(usize::MAX);
        if *base_rows < base_rows_min || self.fresh.len() > changes_max {
            return None;
        }
        let mut changes: Vec<Entry> = self.fresh.iter().map(|fresh| (fresh.id, fresh.hash)).collect();
        for (row, (seen, origin)) in previous.seen.iter().zip(origins).enumerate() {
            let hash = match (*seen != 0, origin) {
                (true, Origin::Base) | (false, Origin::Added) => continue,
                (true, Origin::Changed | Origin::Added) => 16..ENTRY_BYTES,
                (false, Origin::Base | Origin::Changed) => 0..0,
            };
            let entry = &previous.loaded.entries[row * ENTRY_BYTES..(row + 1) * ENTRY_BYTES];
            let id = *entry.first_chunk::<16>()?;
            changes.push((id, entry[hash].try_into().unwrap_or(GONE)));
            if changes.len() > changes_max {
                return None;
            }
        }
        changes.extend(gone.iter().map(|id| (*id, GONE)));
        // A row that was gone and is back has both; what it is now comes first.
        changes.sort_unstable_by_key(|(id, hash)| (u128::from_be_bytes(*id), *hash == GONE));
        changes.dedup_by_key(|(id, _)| *id);
        (changes.len() <= changes_max).then_some(changes)
    }

    fn write_whole(&self, sink: &mut dyn Write, seen: &[u64], entries: &[u8]) -> io::Result<()> {
        let kept = entries.chunks_exact(ENTRY_BYTES).zip(seen).filter(|(_, seen)| **seen != 0).map(|(entry, _)| entry);
        let rows = seen.iter().filter(|seen| **seen != 0).count() + self.fresh.len();
        let mut out = Vec::with_capacity(1 << 20);
        out.extend_from_slice(&index_file::whole_header(rows as u64, self.version));
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

    const VERSION: [u8; 16] = [9; 16];
    const NAME: [u8; 40] = [3; 40];

    fn id(value: u64) -> Id {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&value.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
        id[8..].copy_from_slice(&value.to_be_bytes());
        id
    }

    fn seen(row: u64, hash: u8, place: u64) -> Seen {
        Seen { id: id(row), hash: [hash; 16], place }
    }

    /// An index as it is stored: the base, and what has changed since.
    #[derive(Clone, Default)]
    struct Stored {
        base: Vec<u8>,
        changes: Option<Vec<u8>>,
    }

    impl Stored {
        fn read(&self, rows_max: u64) -> Result<Previous, IndexFault> {
            let changes = self.changes.as_ref().map(|changes| changes as _);
            Previous::read(&PreviousIndex { base: &self.base, name: NAME, changes }, rows_max)
        }

        /// What it says, whichever way it is stored.
        fn rows(&self) -> Vec<u8> {
            if self.base.is_empty() { Vec::new() } else { self.read(1 << 20).unwrap().loaded.entries }
        }
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
        let mut first = RowIndex::new(VERSION, None);
        first.see(&rows(&[1, 3, 255]));
        assert_eq!(first.settle(), None);
        let mut base = Vec::new();
        first.write(&mut base, 0).unwrap();
        let mut index = RowIndex::new(VERSION, Stored { base, changes: None }.read(10).ok());
        assert_eq!(index.see(&rows(&[0, 2, 4, 254])), [Sighting::New; 12]);
        assert_eq!(index.see(&rows(&[1, 3, 255])), [Sighting::Same; 9]);
    }

    fn run(previous: Option<&Stored>, rows: &[(u64, u8)]) -> (Vec<Sighting>, Vec<Id>, Stored) {
        let mut index = RowIndex::new(VERSION, previous.map(|previous| previous.read(1 << 20).unwrap()));
        let rows: Vec<Seen> = rows.iter().zip(1..).map(|((row, hash), place)| seen(*row, *hash, place)).collect();
        let sightings = index.see(&rows);
        assert_eq!(index.settle(), None);
        let mut bytes = Vec::new();
        index.write(&mut bytes, 10).unwrap();
        let stored = match previous {
            Some(previous) if index_file::base_of(&bytes) == Some(NAME) => {
                Stored { base: previous.base.clone(), changes: Some(bytes) }
            }
            _ => Stored { base: bytes, changes: None },
        };
        (sightings, index.gone(), stored)
    }

    #[test]
    fn an_index_of_a_delta_is_the_index_of_the_whole() {
        for rows in [0, 1, 2, 7, 1000] {
            let old: Vec<_> = (0..rows).map(|row| (row, 1)).collect();
            let (sightings, gone, stored) = run(None, &old);
            assert!(gone.is_empty() && sightings.iter().all(|sighting| *sighting == Sighting::New));
            let new: Vec<_> = (1..rows + 5).map(|row| (row, if row % 3 == 0 { 2 } else { 1 })).collect();
            let (sightings, gone, delta) = run(Some(&stored), &new);
            assert!(delta.changes.is_none(), "too many changes");
            assert!(delta.base == run(None, &new).2.base, "{rows}");
            assert_eq!(gone, if rows > 0 { vec![id(0)] } else { vec![] });
            for ((row, _), sighting) in new.iter().zip(sightings) {
                let changed = if row % 3 == 0 { Sighting::Changed } else { Sighting::Same };
                assert_eq!(sighting, if *row < rows { changed } else { Sighting::New });
            }
        }
    }

    #[test]
    fn changes_over_a_base_say_what_a_whole_index_says_run_after_run() {
        let mut table: std::collections::BTreeMap<u64, u8> = (0..2_000).map(|row| (row, 1)).collect();
        let (_, _, mut stored) = run(None, &table.clone().into_iter().collect::<Vec<_>>());
        let (mut beside, mut bases) = (0, 0);
        for day in 1..40_u64 {
            // Rows change, change back, go, come back with what they were or something else, and new ones come.
            for step in 0..12 {
                let row = (day * 31 + step * 7) % 2_100;
                match (day + step) % 4 {
                    0 => drop(table.remove(&row)),
                    1 => drop(table.insert(row, 1)),
                    _ => drop(table.insert(row, u8::try_from(day).unwrap())),
                }
            }
            let rows: Vec<_> = table.clone().into_iter().collect();
            let (sightings, gone, next) = run(Some(&stored), &rows);
            let before = stored.rows();
            let known = |id: Id| before.chunks_exact(32).find(|entry| entry[..16] == id).map(|entry| entry[16]);
            for ((row, hash), sighting) in rows.iter().zip(&sightings) {
                let expected = match known(id(*row)) {
                    None => Sighting::New,
                    Some(was) if was == *hash => Sighting::Same,
                    Some(_) => Sighting::Changed,
                };
                assert_eq!(*sighting, expected, "day {day}, row {row}");
            }
            assert_eq!(
                before.len() / 32 + sightings.iter().filter(|s| **s == Sighting::New).count(),
                rows.len() + gone.len()
            );
            assert!(next.rows() == run(None, &rows).2.rows(), "day {day}");
            match &next.changes {
                Some(changes) => {
                    beside += 1;
                    assert!(changes.len() < next.base.len() / 7);
                }
                None => bases += 1,
            }
            stored = next;
        }
        assert!(beside > 20 && bases > 0, "{beside} times beside, {bases} new bases");
    }

    #[test]
    fn an_id_seen_twice_names_both_places() {
        let (_, _, stored) = run(None, &[(1, 1), (2, 1)]);
        let mut index = RowIndex::new(VERSION, stored.read(10).ok());
        assert_eq!(index.see(&[seen(1, 1, 5), seen(1, 2, 8)]), [Sighting::Same, Sighting::Twice(5)]);
        assert_eq!(index.see(&[seen(3, 1, 11), seen(3, 1, 9)]), [Sighting::New; 2]);
        assert_eq!(index.settle(), Some((9, 11)));
    }

    #[test]
    fn a_damaged_index_is_a_fault() {
        let fault = |stored: &Stored, rows| stored.read(rows).err();
        let (_, _, stored) = run(None, &[(1, 1), (2, 1), (3, 1)]);
        assert_eq!((fault(&stored, 3), fault(&stored, 2)), (None, Some(IndexFault::TooManyRows)));
        for length in 0..stored.base.len() {
            let cut = Stored { base: stored.base[..length].to_vec(), changes: None };
            assert_eq!(fault(&cut, 3), Some(IndexFault::Damaged), "{length}");
        }
        let mut swapped = stored;
        swapped.base[32..96].rotate_left(32);
        assert_eq!(fault(&swapped, 3), Some(IndexFault::Damaged));
    }

    #[test]
    fn damaged_changes_or_those_of_another_base_are_a_fault() {
        let rows: Vec<_> = (0..50).map(|row| (row, 1)).collect();
        let (_, _, base) = run(None, &rows);
        let (_, _, stored) = run(Some(&base), &[&rows[1..], &[(0, 2), (70, 1)]].concat());
        let changes = stored.changes.clone().unwrap();
        assert_eq!((stored.read(51).err(), stored.read(50).err()), (None, Some(IndexFault::TooManyRows)));
        let with = |changes: Vec<u8>| Stored { base: base.base.clone(), changes: Some(changes) }.read(60).err();
        for length in 0..changes.len() {
            assert_eq!(with(changes[..length].to_vec()), Some(IndexFault::Damaged), "{length}");
        }
        for at in [0, 8, 16, 32, 71] {
            let mut bent = changes.clone();
            bent[at] ^= 1;
            assert_eq!(with(bent), Some(IndexFault::Damaged), "byte {at}");
        }
        let mut swapped = changes;
        swapped[72..136].rotate_left(32);
        assert_eq!(with(swapped), Some(IndexFault::Damaged));
    }
}
