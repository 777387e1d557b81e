//! Ids that were seen: which stand twice, and which of the references to them lead nowhere. Exact, in bounded memory.

/// References that are remembered before equal ones are first put together.
const COMPACT_FROM: usize = 1 << 16;

/// The keys of a table's rows.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    ids: Vec<i64>,
    sorted: bool,
    overflowed: bool,
}

impl Keys {
    /// Remembers the keys of some rows.
    pub(crate) fn see(&mut self, ids: impl ExactSizeIterator<Item = i64>, ids_max: usize) {
        self.overflowed |= self.ids.len() + ids.len() > ids_max;
        if !self.overflowed {
            self.ids.extend(ids);
            self.sorted = false;
        }
    }

    /// To be called before anything is asked.
    pub(crate) fn sort(&mut self) {
        if !self.sorted {
            self.ids.sort_unstable();
            self.sorted = true;
        }
    }

    /// Rows whose key another row has too; nothing where there were too many to remember.
    pub(crate) fn duplicates(&self) -> Option<u64> {
        let repeated = self.ids.chunk_by(|a, b| a == b).map(<[i64]>::len).filter(|rows| *rows > 1);
        (!self.overflowed).then(|| repeated.map(|rows| rows as u64).sum())
    }
}

/// The references of a field, equal ones counted.
#[derive(Debug, Default)]
pub(crate) struct References {
    counted: Vec<(i64, u64)>,
    compact_at: usize,
    overflowed: bool,
}

impl References {
    /// Remembers the references of some rows.
    pub(crate) fn see(&mut self, ids: impl Iterator<Item = i64>, ids_max: usize) {
        for id in ids {
            match self.counted.last_mut() {
                Some((last, rows)) if *last == id => *rows += 1,
                _ => self.counted.push((id, 1)),
            }
        }
        if self.counted.len() >= self.compact_at.max(COMPACT_FROM) {
            self.compact();
            self.compact_at = self.counted.len() * 2;
            if self.counted.len() > ids_max {
                self.overflowed = true;
                self.counted = Vec::new();
            }
        }
    }

    /// To be called before anything is asked.
    pub(crate) fn compact(&mut self) {
        self.counted.sort_unstable_by_key(|(id, _)| *id);
        self.counted.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 += if same { next.1 } else { 0 };
            same
        });
    }

    /// Rows that refer to none of the keys. Both sides were sorted.
    pub(crate) fn dangling(&self, keys: &Keys) -> Option<u64> {
        let known = |id: &i64, from: &mut usize| {
            *from += keys.ids[*from..].iter().take_while(|key| *key < id).count();
            keys.ids.get(*from) == Some(id)
        };
        let mut from = 0;
        let nowhere = self.counted.iter().filter(|(id, _)| !known(id, &mut from));
        (!self.overflowed && !keys.overflowed).then(|| nowhere.map(|(_, rows)| rows).sum())
    }

    /// Keys that nothing refers to. Both sides were sorted.
    pub(crate) fn unreferred(&self, keys: &Keys) -> Option<u64> {
        let mut from = 0;
        let referred = keys.ids.iter().filter(|key| {
            from += self.counted[from..].iter().take_while(|(id, _)| id < key).count();
            self.counted.get(from).is_some_and(|(id, _)| id == *key)
        });
        (!self.overflowed && !keys.overflowed).then(|| keys.ids.len() as u64 - referred.count() as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::limits::IDS_MAX;

    fn keys(ids: &[i64]) -> Keys {
        let mut keys = Keys::default();
        keys.see(ids.iter().copied(), IDS_MAX);
        keys.sort();
        keys
    }

    fn references(ids: &[i64]) -> References {
        let mut references = References::default();
        references.see(ids.iter().copied(), IDS_MAX);
        references.compact();
        references
    }

    #[test]
    fn every_row_of_a_repeated_key_counts() {
        assert_eq!(keys(&[]).duplicates(), Some(0));
        assert_eq!(keys(&[3, 1, 2]).duplicates(), Some(0));
        assert_eq!(keys(&[3, 1, 3, 2, 1, 3]).duplicates(), Some(5));
    }

    #[test]
    fn references_to_nowhere_are_counted_by_row_in_any_order() {
        let known = keys(&[5, 1, 9]);
        assert_eq!(references(&[1, 9, 5, 5]).dangling(&known), Some(0));
        assert_eq!(references(&[2, 2, 1, 10, 2, i64::MIN]).dangling(&known), Some(5));
        assert_eq!(references(&[2]).dangling(&keys(&[])), Some(1));
        assert_eq!(references(&[9, 9]).unreferred(&known), Some(2));
        assert_eq!(references(&[]).unreferred(&known), Some(3));
    }

    #[test]
    fn sorted_counts_equal_sets_over_many_unsorted_rows() {
        let mut state = 1_u64;
        let mut random = |below: i64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            i64::try_from(state >> 33).unwrap() % below
        };
        let ids: Vec<i64> = (0..200_000).map(|_| random(60_000)).collect();
        let to: Vec<i64> = (0..300_000).map(|_| random(90_000)).collect();
        let mut counts = BTreeMap::new();
        for id in &ids {
            *counts.entry(id).or_insert(0_u64) += 1;
        }
        let known: BTreeSet<&i64> = ids.iter().collect();
        let referred: BTreeSet<&i64> = to.iter().collect();
        let (have, refer) = (keys(&ids), references(&to));
        assert_eq!(have.duplicates(), Some(counts.values().filter(|rows| **rows > 1).sum()));
        assert_eq!(refer.dangling(&have), Some(to.iter().filter(|id| !known.contains(id)).count() as u64));
        let unreferred = ids.iter().filter(|id| !referred.contains(id)).count() as u64;
        assert_eq!(refer.unreferred(&have), Some(unreferred));
        let mut small = References::default();
        to.chunks(1_000).for_each(|some| small.see(some.iter().copied(), IDS_MAX));
        assert!(small.counted.len() <= 2 * 90_000, "equal references are put together on the way");
        small.compact();
        assert_eq!(small.counted, refer.counted);
    }

    #[test]
    fn more_ids_than_the_bound_are_not_answered_for() {
        let (mut at, mut over) = (Keys::default(), Keys::default());
        at.see([1, 2, 3].into_iter(), 3);
        over.see([1, 2, 3, 4].into_iter(), 3);
        assert_eq!((at.duplicates(), over.duplicates()), (Some(0), None));
        let mut many = References::default();
        many.see(0..i64::try_from(COMPACT_FROM).unwrap(), COMPACT_FROM - 1);
        assert_eq!(many.dangling(&at), None);
        assert_eq!(many.unreferred(&at), None);
        assert_eq!(references(&[1]).dangling(&over), None);
    }
}
