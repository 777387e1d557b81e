//! Groups of rows that are written alike, and how they roll up when one column goes one level up: from groups to groups,
//! never from rows.

use std::hash::{BuildHasherDefault, Hash, Hasher};

use crate::hierarchy::Node;
use crate::table::Table;

/// Where each column stands in a packed row.
pub(super) struct Packing {
    shift: Vec<u32>,
    width: Vec<u32>,
}

impl Packing {
    /// Nothing where the columns together take more than 128 bits.
    pub(super) fn of(table: &Table) -> Option<Self> {
        let (mut shift, mut width, mut at) = (Vec::new(), Vec::new(), 0);
        for column in &table.quasi {
            let bits = usize::BITS - (column.hierarchy.leaves() - 1).leading_zeros();
            shift.push(at);
            width.push(bits);
            at += bits;
        }
        (at <= 128).then_some(Self { shift, width })
    }

    pub(super) fn bits(&self) -> u32 {
        self.width.iter().sum()
    }

    pub(super) fn part<K: Key>(&self, key: K, column: usize) -> usize {
        key.part(self.shift[column], self.width[column])
    }
}

/// A packed row.
pub(super) trait Key: Copy + Eq + Hash + Send + Sync {
    const EMPTY: Self;
    fn part(self, shift: u32, width: u32) -> usize;
    fn with(self, shift: u32, width: u32, part: usize) -> Self;
}

macro_rules! key {
    ($kind:ty) => {
        impl Key for $kind {
            const EMPTY: Self = 0;

            fn part(self, shift: u32, width: u32) -> usize {
                // A column of one leaf takes no bits, and may stand at the very end.
                if width == 0 { 0 } else { ((self >> shift) & ((1 << width) - 1)) as usize }
            }

            fn with(self, shift: u32, width: u32, part: usize) -> Self {
                if width == 0 { self } else { self & !(((1 << width) - 1) << shift) | (part as $kind) << shift }
            }
        }
    };
}

key!(u64);
key!(u128);

/// Multiplies and folds: packed rows are no enemy's choice of bits, and a search hashes millions of them.
#[derive(Default)]
pub(super) struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    fn write_u128(&mut self, word: u128) {
        self.write_u64((word >> 64) as u64);
        self.write_u64(word as u64);
    }
}

/// An open table from keys to places in a list, used again for each roll-up.
pub(super) struct Places<K> {
    slots: Vec<(K, u32)>,
    mask: usize,
    stamp: u32,
    stamps: Vec<u32>,
    hasher: BuildHasherDefault<Fold>,
}

impl<K: Key> Places<K> {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), mask: 0, stamp: 0, stamps: Vec::new(), hasher: BuildHasherDefault::default() }
    }

    pub(super) fn clear(&mut self, keys: usize) {
        let size = (keys * 2).next_power_of_two().max(16);
        if self.slots.len() < size {
            self.slots = vec![(K::EMPTY, 0); size];
            self.stamps = vec![0; size];
            self.stamp = 0;
        }
        self.mask = size - 1;
        self.stamp += 1;
    }

    /// The place of a key, `next` where it is new.
    pub(super) fn place(&mut self, key: K, next: u32) -> u32 {
        use std::hash::BuildHasher;
        let mut at = self.hasher.hash_one(key) as usize & self.mask;
        loop {
            if self.stamps[at] != self.stamp {
                self.stamps[at] = self.stamp;
                self.slots[at] = (key, next);
                return next;
            }
            if self.slots[at].0 == key {
                return self.slots[at].1;
            }
            at = (at + 1) & self.mask;
        }
    }
}

/// The groups of one lattice node: each with its packed values and its rows.
pub(super) struct Groups<K> {
    pub(super) keys: Vec<K>,
    pub(super) rows: Vec<u32>,
    /// The group of each leaf group; kept only where counting rows does not decide.
    pub(super) of_leaf_group: Vec<u32>,
}

/// The groups of the rows as they are, and each row's group.
pub(super) fn leaf_groups<K: Key>(table: &Table, packing: &Packing, keep: bool) -> (Groups<K>, Vec<u32>) {
    let mut places = Places::new();
    places.clear(table.rows);
    let mut groups = Groups { keys: Vec::new(), rows: Vec::new(), of_leaf_group: Vec::new() };
    let mut of_row = Vec::new();
    for row in 0..table.rows {
        let pack = |key: K, (at, column): (usize, &crate::table::Quasi)| {
            key.with(packing.shift[at], packing.width[at], column.leaves[row] as usize)
        };
        let key = table.quasi.iter().enumerate().fold(K::EMPTY, pack);
        let place = groups.add(&mut places, key, 1);
        if keep {
            of_row.push(place);
        }
    }
    if keep {
        groups.of_leaf_group = (0..groups.keys.len() as u32).collect();
    }
    (groups, of_row)
}

impl<K: Key> Groups<K> {
    fn add(&mut self, places: &mut Places<K>, key: K, rows: u32) -> u32 {
        let place = places.place(key, self.keys.len() as u32);
        if place as usize == self.keys.len() {
            self.keys.push(key);
            self.rows.push(rows);
        } else {
            self.rows[place as usize] += rows;
        }
        place
    }

    /// The groups after one column has gone up from a level to the next.
    pub(super) fn rolled_up(
        &self,
        table: &Table,
        packing: &Packing,
        column: usize,
        level: usize,
        places: &mut Places<K>,
    ) -> Self {
        let hierarchy = &table.quasi[column].hierarchy;
        let above = |index: usize| {
            let leaf = hierarchy.leaves_of(Node { level: level as u8, index: index as u32 }).start;
            hierarchy.over(level + 1, leaf)
        };
        let above: Vec<u32> = (0..hierarchy.width(level)).map(above).collect();
        let (shift, width) = (packing.shift[column], packing.width[column]);
        places.clear(self.keys.len());
        let mut groups = Self { keys: Vec::new(), rows: Vec::new(), of_leaf_group: Vec::new() };
        let mut moved = Vec::with_capacity(if self.of_leaf_group.is_empty() { 0 } else { self.keys.len() });
        for (key, rows) in self.keys.iter().zip(&self.rows) {
            let key = key.with(shift, width, above[key.part(shift, width)] as usize);
            let place = groups.add(places, key, *rows);
            if !self.of_leaf_group.is_empty() {
                moved.push(place);
            }
        }
        groups.of_leaf_group = self.of_leaf_group.iter().map(|group| moved[*group as usize]).collect();
        groups
    }
}
