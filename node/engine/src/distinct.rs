//! Whether ids are distinct, in eight bytes of memory for each: their first bytes are sorted, and only ids whose first bytes
//! stand there twice are looked at as wholes, in a second reading.
//!
//! Ids are keyed hashes, so at a lawful provider no two begin alike. Who sends ids that do costs us that second reading and
//! the memory for them, which is no more than all of them together.

use crate::index::{Id, first_8};

/// The first bytes of ids.
#[derive(Default)]
pub(crate) struct Heads(Vec<u64>);

impl Heads {
    /// Takes ids in; gives how many there are so far.
    pub(crate) fn take_in(&mut self, ids: impl Iterator<Item = Id>) -> usize {
        self.0.extend(ids.map(|id| first_8(&id)));
        self.0.len()
    }

    /// Those that stand there more than once; `None`: all ids are distinct.
    pub(crate) fn settle(self) -> Option<Suspects> {
        let Self(mut heads) = self;
        heads.sort_unstable();
        let twice = heads.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        let mut twice: Vec<u64> = twice.collect();
        twice.dedup();
        (!twice.is_empty()).then(|| Suspects { heads: twice, ids: Vec::new() })
    }
}

/// Ids that may be the same, with their rows.
pub(crate) struct Suspects {
    /// Ascending.
    heads: Vec<u64>,
    ids: Vec<(Id, u64)>,
}

impl Suspects {
    /// Takes in, in a second reading, the ids of these rows that begin like another.
    pub(crate) fn take_in(&mut self, ids: impl Iterator<Item = (Id, u64)>) {
        self.ids.extend(ids.filter(|(id, _)| self.heads.binary_search(&first_8(id)).is_ok()));
    }

    /// The first row that has the id of an earlier one.
    pub(crate) fn twice(mut self) -> Option<u64> {
        self.ids.sort_unstable_by_key(|(id, row)| (u128::from_be_bytes(*id), *row));
        self.ids.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1].1).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(head: u64, tail: u64) -> Id {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&head.to_be_bytes());
        id[8..].copy_from_slice(&tail.to_be_bytes());
        id
    }

    fn twice(ids: &[Id]) -> Option<u64> {
        let mut heads = Heads::default();
        assert_eq!(heads.take_in(ids.iter().copied()), ids.len());
        let mut suspects = heads.settle()?;
        suspects.take_in(ids.iter().copied().zip(1..));
        suspects.twice()
    }

    #[test]
    fn ids_that_only_begin_alike_are_distinct_and_the_first_repetition_is_named() {
        let distinct: Vec<Id> = (0..1_000).map(|row| id(row * 7 % 1_000, row)).collect();
        assert_eq!(twice(&distinct), None);
        let alike: Vec<Id> = (0..1_000).map(|row| id(row / 10, row)).collect();
        assert_eq!(twice(&alike), None);
        let mut again = alike;
        again[700] = again[3];
        again[650] = again[649];
        assert_eq!(twice(&again), Some(651));
        assert_eq!(twice(&[id(5, 5), id(5, 6), id(5, 5), id(5, 6)]), Some(3));
    }
}
