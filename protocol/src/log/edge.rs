//! The right edge of the log: the tiles that are still open, to which entries are appended.

use crate::log::LeafEntry;
use crate::log::fault::LogFault;
use crate::log::tile::{LEVEL_MAX, TILE_WIDTH, Tile, TileKind, TileRead, bundle_bytes, entry_offset, hash_bytes};
use crate::log::tree::{Frontier, TreeHash, TreeHead, leaf_hash, root_over};

/// The name of the newest checkpoint's file.
pub const CHECKPOINT_PATH: &str = "checkpoint";
/// How many levels of tiles there are.
const LEVELS: usize = 8;
const _: () = assert!(LEVEL_MAX == 7 && LEVELS == 8);

/// The open tiles of a log: enough to append without reading anything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edge {
    frontier: Frontier,
    entries: Vec<LeafEntry>,
    levels: [Vec<TreeHash>; LEVELS],
}

impl Edge {
    /// The edge of the log whose head is `head`, read from its partial tiles.
    ///
    /// # Errors
    /// [`LogFault`] when a tile is missing or of a wrong length, or when the tiles do not make the head's root.
    pub fn load(head: &TreeHead, from: &impl TileRead) -> Result<Self, LogFault> {
        let open = |kind: TileKind| {
            let index = kind.items(head.size).div_euclid(u64::from(TILE_WIDTH));
            Tile::at(kind, index, head.size)
        };
        let mut edge = Self::default();
        if let Some(tile) = open(TileKind::Entries) {
            edge.entries = tile.read_entries(from)?;
        }
        for (nodes, level) in edge.levels.iter_mut().zip(0_u8..) {
            if let Some(tile) = open(TileKind::Hashes(level)) {
                *nodes = tile.read_hashes(from)?;
            }
        }
        edge.frontier = Frontier::from_peaks(head.size, edge.peaks()).unwrap_or_default();
        edge.matches(head)?;
        Ok(edge)
    }

    /// The roots of the perfect subtrees: the binary parts of each open tile, from the highest level down.
    fn peaks(&self) -> Vec<TreeHash> {
        let mut peaks = Vec::new();
        for nodes in self.levels.iter().rev() {
            let mut rest = nodes.as_slice();
            while let Some(high) = rest.len().checked_ilog2() {
                let (part, after) = rest.split_at(1_usize.wrapping_shl(high));
                peaks.push(root_over(part.iter().copied()));
                rest = after;
            }
        }
        peaks
    }

    fn matches(&self, head: &TreeHead) -> Result<(), LogFault> {
        if self.head() != *head {
            return Err(LogFault::Forked { path: CHECKPOINT_PATH.to_owned(), size: head.size });
        }
        let [leaves, ..] = &self.levels;
        let wrong = self.entries.iter().zip(leaves).zip(0..).find(|((entry, leaf), _)| leaf_hash(&entry.0) != **leaf);
        let tile = Tile::at(TileKind::Entries, head.size.div_euclid(u64::from(TILE_WIDTH)), head.size);
        match wrong.zip(tile) {
            Some(((_, place), tile)) => Err(LogFault::Differs { path: tile.path(), byte: entry_offset(place) }),
            None => Ok(()),
        }
    }

    /// The tree's size and root.
    pub fn head(&self) -> TreeHead {
        self.frontier.head()
    }

    /// The number of leaves.
    pub const fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Appends one entry. Each tile that becomes full by it is handed to `full` with its bytes.
    pub fn append(&mut self, entry: LeafEntry, full: &mut impl FnMut(Tile, Vec<u8>)) {
        let width = usize::from(TILE_WIDTH);
        let leaf = leaf_hash(&entry.0);
        self.frontier.append(leaf);
        self.entries.push(entry);
        if self.entries.len() == width {
            let bytes = bundle_bytes(&self.entries);
            self.entries.clear();
            full(self.last_full(TileKind::Entries), bytes);
        }
        let mut hash = leaf;
        for level in 0..=LEVEL_MAX {
            let closed = self.last_full(TileKind::Hashes(level));
            let Some(nodes) = self.levels.get_mut(usize::from(level)) else { return };
            nodes.push(hash);
            if nodes.len() < width {
                return;
            }
            full(closed, hash_bytes(nodes));
            hash = root_over(nodes.drain(..));
        }
    }

    /// The last tile of this kind that is full.
    fn last_full(&self, kind: TileKind) -> Tile {
        let index = kind.items(self.size()).div_euclid(u64::from(TILE_WIDTH)).saturating_sub(1);
        Tile::new(kind, index, TILE_WIDTH).expect("kinds go up to the highest level and the width is in bounds")
    }

    /// The open tiles with their bytes: one of each kind that has any item left over.
    pub fn partials(&self) -> Vec<(Tile, Vec<u8>)> {
        let bytes = |kind: TileKind| match kind {
            TileKind::Entries => bundle_bytes(&self.entries),
            TileKind::Hashes(level) => hash_bytes(self.levels.get(usize::from(level)).map_or(&[], Vec::as_slice)),
        };
        let open = |kind: TileKind| {
            let index = kind.items(self.size()).div_euclid(u64::from(TILE_WIDTH));
            Tile::at(kind, index, self.size()).map(|tile| (tile, bytes(kind)))
        };
        TileKind::all().filter_map(open).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::log::fault::ReadFault;
    use crate::log::tile::{TileFolder, growth};

    /// A log in memory: files by path.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Files(pub(crate) BTreeMap<String, Vec<u8>>);

    impl TileRead for Files {
        fn read(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, ReadFault> {
            match self.0.get(path) {
                None => Err(ReadFault::Missing),
                Some(bytes) if bytes.len() > bytes_max => Err(ReadFault::TooLong { bytes: bytes.len() as u64 }),
                Some(bytes) => Ok(bytes.clone()),
            }
        }
    }

    impl TileFolder for Files {
        fn visit(&self, each: &mut dyn FnMut(&str)) -> Result<(), LogFault> {
            self.0.keys().for_each(|path| each(path));
            Ok(())
        }
    }

    pub(crate) fn entry(index: u64) -> LeafEntry {
        crate::log::leaf_entry(&[3; 32], &index.to_le_bytes())
    }

    /// The files of a log of `size` leaves without its checkpoint, and its head.
    pub(crate) fn log_of(size: u64) -> (Files, TreeHead) {
        let (mut files, mut edge) = (Files::default(), Edge::default());
        for index in 0..size {
            edge.append(entry(index), &mut |tile, bytes| {
                files.0.insert(tile.path(), bytes);
            });
        }
        files.0.extend(edge.partials().into_iter().map(|(tile, bytes)| (tile.path(), bytes)));
        (files, edge.head())
    }

    // LOG-6
    #[test]
    fn the_tiles_written_are_the_tiles_of_the_size() {
        for size in [0, 1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 70_000] {
            let (files, _) = log_of(size);
            let mut expected: Vec<String> = growth(0, size).map(Tile::path).collect();
            expected.sort();
            assert_eq!(files.0.keys().cloned().collect::<Vec<_>>(), expected, "{size}");
            for (path, bytes) in &files.0 {
                assert_eq!(bytes.len(), Tile::parse(path).unwrap().file_bytes(), "{path}");
            }
        }
    }

    #[test]
    fn an_edge_that_is_read_back_goes_on_as_if_it_had_never_stopped() {
        for size in [0, 1, 2, 255, 256, 300, 511, 66_000] {
            let (files, head) = log_of(size);
            let mut edge = Edge::load(&head, &files).unwrap();
            assert_eq!(edge.head(), head);
            for index in size..size + 300 {
                edge.append(entry(index), &mut |_, _| {});
            }
            assert_eq!(edge.head(), log_of(size + 300).1, "{size}");
        }
    }

    #[test]
    fn an_edge_that_does_not_make_the_root_is_refused() {
        let (files, head) = log_of(300);
        for path in ["tile/entries/001.p/44", "tile/0/001.p/44", "tile/1/000.p/1"] {
            let mut bent = files.clone();
            bent.0.get_mut(path).unwrap()[31] ^= 1;
            assert!(Edge::load(&head, &bent).is_err(), "{path}");
            bent.0.remove(path);
            assert_eq!(Edge::load(&head, &bent), Err(LogFault::Missing { path: path.to_owned() }));
        }
    }
}
