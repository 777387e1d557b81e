//! The check of a whole log: every entry and every hash is read again and recomputed, and the first wrong place is named.
//!
//! Two trees are grown at once, one from the entries and one from the level 0 tiles. The signed root tells which of them
//! is right, so that a flipped bit is looked for in the file where it is.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits::LOG_NOTE_BYTES_MAX;
use crate::log::checkpoint::{LogKeys, OpenCheckpoint};
use crate::log::edge::{CHECKPOINT_PATH, Edge};
use crate::log::fault::{LogFault, first_difference};
use crate::log::note::NoteFault;
use crate::log::tile::{
    Standing, TILE_WIDTH, Tile, TileFolder, TileKind, TileRead, entry_offset, hash_offset, index_path, parse_index_path,
};
use crate::log::tree::{Frontier, TreeHead, leaf_hash};

/// The folder of every checkpoint that the log ever signed, by size.
pub const HISTORY_FOLDER: &str = "checkpoints";

/// The path of the kept checkpoint of `size`: `checkpoints/<N>`, the size written as a tile's index is.
pub fn history_path(size: u64) -> String {
    format!("{HISTORY_FOLDER}/{}", index_path(size))
}

/// What was checked and found right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The log's head.
    pub head: TreeHead,
    /// Tiles and entry bundles read, earlier partial ones included.
    pub tiles: u64,
    /// Checkpoints whose signatures and roots were verified, the newest included.
    pub checkpoints: u64,
    /// Who cosigned any of them.
    pub cosigners: BTreeSet<String>,
    /// Signatures by keys that the reader does not know.
    pub strangers: u64,
}

/// Checks the log in `folder` against its newest checkpoint and against every kept one (spec LOG-16).
///
/// A flipped bit of any tile, entry bundle or checkpoint is found and its file named, a bit of a signature line by an
/// unknown key only when `keys` refuse strangers. Memory does not grow with the log, but for 8 bytes and a head a
/// kept checkpoint.
///
/// # Errors
/// The first [`LogFault`].
pub fn verify_log(folder: &impl TileFolder, checkpoint: &str, keys: &LogKeys) -> Result<Report, LogFault> {
    let newest = keys.open(checkpoint).map_err(|fault| LogFault::Note { path: CHECKPOINT_PATH.to_owned(), fault })?;
    same_as_in_folder(folder, checkpoint)?;
    let files = Files::sort(folder, newest.head.size)?;
    let mut walk = Walk::new(folder, newest.head);
    let mut report = Report { head: newest.head, tiles: 0, checkpoints: 0, cosigners: BTreeSet::new(), strangers: 0 };
    report.take(newest);
    for size in &files.history {
        let open = read_history(folder, *size, keys)?;
        walk.promised.insert(*size, open.head);
        report.take(open);
    }
    walk.run(&files.earlier)?;
    report.tiles = walk.tiles;
    match files.foreign {
        Some(path) => Err(LogFault::Unexpected { path }),
        None => Ok(report),
    }
}

impl Report {
    fn take(&mut self, open: OpenCheckpoint) {
        self.checkpoints = self.checkpoints.saturating_add(1);
        self.strangers = self.strangers.saturating_add(u64::try_from(open.strangers).unwrap_or(u64::MAX));
        self.cosigners.extend(open.cosigned.into_iter().map(|signed| signed.name));
    }
}

/// The folder's own newest checkpoint, when it has one, is the one that is checked.
fn same_as_in_folder(folder: &impl TileRead, checkpoint: &str) -> Result<(), LogFault> {
    let path = CHECKPOINT_PATH.to_owned();
    match read_note(folder, CHECKPOINT_PATH) {
        Err(LogFault::Missing { .. }) => Ok(()),
        Err(fault) => Err(fault),
        Ok(found) => match first_difference(found.as_bytes(), checkpoint.as_bytes()) {
            Some(byte) => Err(LogFault::Differs { path, byte }),
            None => Ok(()),
        },
    }
}

/// Reads a checkpoint's text, which must be UTF-8 and within the cap.
///
/// # Errors
/// [`LogFault`] naming the file.
pub fn read_note(from: &impl TileRead, path: &str) -> Result<String, LogFault> {
    let bytes = from
        .read(path, LOG_NOTE_BYTES_MAX)
        .map_err(|fault| LogFault::unread(path.to_owned(), fault, LOG_NOTE_BYTES_MAX))?;
    String::from_utf8(bytes).map_err(|_| LogFault::Note { path: path.to_owned(), fault: NoteFault::NotText })
}

fn read_history(from: &impl TileRead, size: u64, keys: &LogKeys) -> Result<OpenCheckpoint, LogFault> {
    let path = history_path(size);
    let text = read_note(from, &path)?;
    let open = keys.open(&text).map_err(|fault| LogFault::Note { path: path.clone(), fault })?;
    // The file's name is the size: a checkpoint under another name hides the one that belongs there.
    if open.head.size == size { Ok(open) } else { Err(LogFault::Unexpected { path }) }
}

/// The files of a folder, by what they are to a log of this size.
#[derive(Default)]
struct Files {
    history: BTreeSet<u64>,
    earlier: Vec<Tile>,
    foreign: Option<String>,
}

impl Files {
    fn sort(folder: &impl TileFolder, size: u64) -> Result<Self, LogFault> {
        let mut files = Self::default();
        let mut promised_more = None;
        folder.visit(&mut |path| {
            let kept = path.strip_prefix(HISTORY_FOLDER).and_then(|rest| rest.strip_prefix('/'));
            let kept = kept.and_then(parse_index_path);
            let tile = Tile::parse(path);
            match (kept, tile.map(|tile| (tile, tile.standing(size)))) {
                (Some(kept), _) if kept <= size => drop(files.history.insert(kept)),
                (Some(kept), _) => promised_more = Some(kept),
                (None, Some((_, Standing::Current))) => {}
                (None, Some((tile, Standing::Earlier))) => files.earlier.push(tile),
                (None, None) if path == CHECKPOINT_PATH => {}
                (None, Some((_, Standing::Foreign)) | None) => {
                    let first = files.foreign.take().filter(|first| first.as_str() <= path);
                    files.foreign = Some(first.unwrap_or_else(|| path.to_owned()));
                }
            }
        })?;
        match promised_more {
            Some(size) => Err(LogFault::RolledBack { path: history_path(size), size }),
            None => Ok(files),
        }
    }
}

/// A place that two computations disagree on: the file and the byte.
type Place = (String, u64);

/// The walk over all tiles from the left, and what it has found so far.
struct Walk<'a, F> {
    folder: &'a F,
    head: TreeHead,
    promised: BTreeMap<u64, TreeHead>,
    /// The tree that the entries make.
    entries: Edge,
    /// The tree that the level 0 tiles make.
    leaves: Frontier,
    tiles: u64,
    /// The first entry that is not what its leaf hash says: its place in the bundle, and in the level 0 tile.
    leaf_differs: Option<(Place, Place)>,
    /// The first higher tile that is not what the entries make.
    inner_differs: Option<Place>,
    /// The first kept checkpoint that commits to another tree.
    forked: Option<(String, u64)>,
}

impl<'a, F: TileRead> Walk<'a, F> {
    fn new(folder: &'a F, head: TreeHead) -> Self {
        Self {
            folder,
            head,
            promised: BTreeMap::new(),
            entries: Edge::default(),
            leaves: Frontier::default(),
            tiles: 0,
            leaf_differs: None,
            inner_differs: None,
            forked: None,
        }
    }

    fn run(&mut self, earlier: &[Tile]) -> Result<(), LogFault> {
        self.compare_promise();
        let bundles = self.head.size.div_ceil(u64::from(TILE_WIDTH));
        for index in 0..bundles {
            self.bundle(index)?;
        }
        let open = self.entries.partials();
        for (tile, made) in &open {
            if !matches!(tile.kind(), TileKind::Entries | TileKind::Hashes(0)) {
                self.compare(*tile, made)?;
            }
        }
        for tile in earlier {
            let wide = open.iter().find(|(wide, _)| (wide.kind(), wide.index()) == (tile.kind(), tile.index()));
            let (_, made) = wide.expect("an earlier form stands beside its open tile");
            let made = made.get(..tile.file_bytes()).expect("an earlier form is narrower than the open tile");
            self.compare(*tile, made)?;
        }
        self.verdict()
    }

    /// One bundle and the level 0 tile over it.
    fn bundle(&mut self, index: u64) -> Result<(), LogFault> {
        let bundle = Tile::at(TileKind::Entries, index, self.head.size).expect("the index is below the size's bundles");
        let tile = Tile::at(TileKind::Hashes(0), index, self.head.size).expect("a bundle has a tile");
        let (entries, hashes) = (bundle.read_entries(self.folder)?, tile.read_hashes(self.folder)?);
        self.tiles = self.tiles.saturating_add(2);
        let mut full = Vec::new();
        for ((entry, hash), place) in entries.into_iter().zip(hashes).zip(0_u64..) {
            let made = leaf_hash(&entry.0);
            if let (Some(byte), None) = (first_difference(&hash.0, &made.0), &self.leaf_differs) {
                let in_bundle = (bundle.path(), entry_offset(place));
                self.leaf_differs = Some((in_bundle, (tile.path(), hash_offset(place).saturating_add(byte))));
            }
            self.entries.append(entry, &mut |tile, bytes| full.push((tile, bytes)));
            self.leaves.append(hash);
            self.compare_promise();
        }
        for (tile, made) in full {
            if !matches!(tile.kind(), TileKind::Entries | TileKind::Hashes(0)) {
                self.compare(tile, &made)?;
            }
        }
        Ok(())
    }

    /// Compares a tile's file with what the entries make.
    fn compare(&mut self, tile: Tile, made: &[u8]) -> Result<(), LogFault> {
        let found = tile.read(self.folder)?;
        self.tiles = self.tiles.saturating_add(1);
        if let (Some(byte), None) = (first_difference(&found, made), &self.inner_differs) {
            self.inner_differs = Some((tile.path(), byte));
        }
        Ok(())
    }

    /// Compares the tree so far with the kept checkpoint of this size, if there is one.
    fn compare_promise(&mut self) {
        let made = self.entries.head();
        if self.promised.get(&made.size).is_some_and(|promised| *promised != made) && self.forked.is_none() {
            self.forked = Some((history_path(made.size), made.size));
        }
    }

    /// What is wrong, judged by the signed root.
    fn verdict(&mut self) -> Result<(), LogFault> {
        let entries_are_right = self.entries.head() == self.head;
        let place = match (self.leaf_differs.take(), self.inner_differs.take()) {
            (Some((_, in_tile)), _) if entries_are_right => Some(in_tile),
            (Some((in_bundle, _)), _) => Some(in_bundle),
            // Entries and leaves agree. When they make another root, a higher tile that still has the old hash shows
            // where they were changed together.
            (None, inner) => inner,
        };
        if let Some((path, byte)) = place {
            return Err(LogFault::Differs { path, byte });
        }
        if !entries_are_right {
            return Err(LogFault::Forked { path: CHECKPOINT_PATH.to_owned(), size: self.head.size });
        }
        match self.forked.take() {
            Some((path, size)) => Err(LogFault::Forked { path, size }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::checkpoint::tests::{ORIGIN, PEER, keys, log_pair, peer_pair};
    use crate::log::checkpoint::{Strangers, cosigned, signed};
    use crate::log::edge::tests::{Files as Memory, log_of};
    use crate::time::UnixMillis;

    fn checkpoint(head: TreeHead) -> String {
        signed(ORIGIN, head, &log_pair()).unwrap()
    }

    /// A log as a writer leaves it: earlier partial tiles, kept checkpoints, one of them cosigned.
    fn whole(size: u64, kept: &[u64]) -> (Memory, String) {
        let (mut files, head) = log_of(size);
        for size_then in kept {
            let (then, head_then) = log_of(*size_then);
            for (path, bytes) in then.0 {
                if Tile::parse(&path).unwrap().standing(size) == Standing::Earlier {
                    files.0.insert(path, bytes);
                }
            }
            files.0.insert(history_path(*size_then), checkpoint(head_then).into_bytes());
        }
        let newest = cosigned(&checkpoint(head), PEER, &peer_pair(), UnixMillis(5000)).unwrap();
        files.0.insert(CHECKPOINT_PATH.to_owned(), newest.clone().into_bytes());
        files.0.insert(history_path(size), newest.clone().into_bytes());
        (files, newest)
    }

    fn verify(files: &Memory) -> Result<Report, LogFault> {
        let path = CHECKPOINT_PATH.to_owned();
        let newest = read_note(files, CHECKPOINT_PATH).map_err(|_| LogFault::Unreadable { path })?;
        verify_log(files, &newest, &keys(Strangers::Refuse))
    }

    // LOG-16
    #[test]
    fn a_whole_log_verifies_at_every_shape() {
        for (size, kept) in
            [(0, vec![]), (1, vec![0]), (256, vec![255]), (600, vec![1, 520, 590]), (66_000, vec![65_990])]
        {
            let (files, _) = whole(size, &kept);
            let report = verify(&files).unwrap();
            assert_eq!(report.head, log_of(size).1);
            assert_eq!(report.checkpoints, kept.len() as u64 + 2);
            assert_eq!(report.cosigners, BTreeSet::from([PEER.to_owned()]));
            let tiles = files.0.keys().filter(|path| path.starts_with("tile/")).count();
            assert_eq!(report.tiles, tiles as u64, "every tile is read");
        }
    }

    // LOG-16
    #[test]
    fn every_flipped_bit_of_every_file_is_named_with_its_file_and_byte() {
        let (files, _) = whole(270, &[260]);
        assert!(verify(&files).is_ok());
        for (path, bytes) in &files.0 {
            // Every bit of the full tiles would take a minute; every 61st touches each hash four times.
            let step = if bytes.len() > 2000 { 61 } else { 1 };
            for bit in (0..bytes.len() * 8).step_by(step) {
                let mut bent = files.clone();
                bent.0.get_mut(path).unwrap()[bit / 8] ^= 1 << (bit % 8);
                let fault = verify(&bent).expect_err(&format!("{path} bit {bit}"));
                if path == CHECKPOINT_PATH {
                    assert!(matches!(fault, LogFault::Unreadable { .. } | LogFault::Note { .. }), "{fault}");
                }
                assert_eq!(fault.path(), path, "bit {bit}: {fault}");
                let Some(tile) = Tile::parse(path) else { continue };
                let LogFault::Differs { byte, .. } = fault else { unreachable!("{fault}") };
                let flipped = bit as u64 / 8;
                // In a current bundle only the entry is known to be wrong, elsewhere the byte.
                let exact = tile.kind() != TileKind::Entries || tile.standing(270) == Standing::Earlier;
                let place = if exact || flipped % 34 < 2 { flipped } else { flipped / 34 * 34 };
                assert_eq!(byte, place, "{path} bit {bit}");
            }
        }
    }

    // LOG-16
    #[test]
    fn a_missing_cut_or_grown_file_is_named() {
        let (files, _) = whole(66_000, &[65_990]);
        for path in files.0.keys().filter(|path| path.starts_with("tile/")) {
            let tile = Tile::parse(path).unwrap();
            if !tile.is_partial() && !tile.index().is_multiple_of(100) {
                continue;
            }
            let bytes_expected = tile.file_bytes() as u64;
            let mut bent = files.clone();
            bent.0.get_mut(path).unwrap().push(0);
            let fault = LogFault::Length { path: path.clone(), bytes_expected, bytes_found: bytes_expected + 1 };
            assert_eq!(verify(&bent), Err(fault));
            bent.0.get_mut(path).unwrap().truncate(5);
            let fault = LogFault::Length { path: path.clone(), bytes_expected, bytes_found: 5 };
            assert_eq!(verify(&bent), Err(fault));
            bent.0.remove(path);
            if tile.standing(66_000) == Standing::Current {
                assert_eq!(verify(&bent), Err(LogFault::Missing { path: path.clone() }));
            }
        }
    }

    // LOG-16
    #[test]
    fn a_file_that_does_not_belong_to_the_log_is_named() {
        let (files, _) = whole(270, &[260]);
        let foreign = [
            "tile/0/002",
            "tile/0/000.p/3",
            "tile/0/001.p/15",
            "tile/2/000.p/1",
            "notes.txt",
            "tile/0/001.p/14.tmp",
            "checkpoints/x",
            "tile/entries/001",
            "checkpoint.bak",
        ];
        for path in foreign {
            let mut more = files.clone();
            more.0.insert(path.to_owned(), vec![0; 32]);
            assert_eq!(verify(&more), Err(LogFault::Unexpected { path: path.to_owned() }));
        }
        let mut renamed = files.clone();
        let note = renamed.0.remove(&history_path(260)).unwrap();
        renamed.0.insert(history_path(261), note);
        assert_eq!(verify(&renamed), Err(LogFault::Unexpected { path: history_path(261) }));
    }

    // LOG-16, LOG-8
    #[test]
    fn a_fork_and_a_roll_back_are_named() {
        let (files, _) = whole(270, &[260]);
        let mut forked = files.clone();
        let other = TreeHead { size: 260, root: crate::log::tree::empty_root() };
        forked.0.insert(history_path(260), checkpoint(other).into_bytes());
        assert_eq!(verify(&forked), Err(LogFault::Forked { path: history_path(260), size: 260 }));

        let mut rolled_back = whole(265, &[]).0;
        rolled_back.0.insert(history_path(270), files.0[&history_path(270)].clone());
        assert_eq!(verify(&rolled_back), Err(LogFault::RolledBack { path: history_path(270), size: 270 }));

        let (mut rewritten, newest) = whole(270, &[]);
        let other = TreeHead { size: 270, root: crate::log::tree::empty_root() };
        rewritten.0.insert(CHECKPOINT_PATH.to_owned(), checkpoint(other).into_bytes());
        rewritten.0.remove(&history_path(270));
        assert_eq!(verify(&rewritten), Err(LogFault::Forked { path: CHECKPOINT_PATH.to_owned(), size: 270 }));
        let fault = verify_log(&rewritten, &newest, &keys(Strangers::Refuse)).unwrap_err();
        assert_eq!(fault.path(), CHECKPOINT_PATH, "the folder's checkpoint is not the one held: {fault}");
    }

    // LOG-16
    #[test]
    fn an_entry_changed_together_with_its_hash_is_found_by_the_tile_above() {
        let (mut files, _) = whole(600, &[]);
        let bundle = files.0.get_mut("tile/entries/001").unwrap();
        bundle[40] ^= 1;
        let entry: [u8; 32] = bundle[36..68].try_into().unwrap();
        files.0.get_mut("tile/0/001").unwrap()[32..64].copy_from_slice(&leaf_hash(&entry).0);
        let Err(LogFault::Differs { path, byte }) = verify(&files) else { unreachable!() };
        assert_eq!((path.as_str(), byte / 32), ("tile/1/000.p/2", 1), "the second hash stands over the second bundle");
    }
}
