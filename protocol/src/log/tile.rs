//! Tiles: the files of the log, as C2SP tlog-tiles lays them out. Tile height 8, so a tile is 256 hashes wide.

use crate::log::LeafEntry;
use crate::log::fault::{LogFault, ReadFault};
use crate::log::tree::TreeHash;

/// Hashes of a full tile, entries of a full bundle.
pub const TILE_WIDTH: u16 = 256;
/// The highest level of tiles that a tree of 64-bit size has.
pub const LEVEL_MAX: u8 = 7;
/// Bytes of a hash in a tile.
const HASH_BYTES: usize = 32;
/// Bytes of an entry in a bundle: a 16-bit length, big endian, and 32 bytes.
const ENTRY_BYTES: usize = 34;
/// The length prefix of every entry: all are 32 bytes long (spec LOG-2).
const ENTRY_PREFIX: [u8; 2] = [0, 32];

/// Reads the files of a log, wherever they are.
pub trait TileRead {
    /// The content of the file at `path` below the log's folder, with `/` between components.
    ///
    /// # Errors
    /// [`ReadFault`]; a file of more than `bytes_max` bytes is not read.
    fn read(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, ReadFault>;
}

/// A log's folder as a whole: what [`crate::log::check::verify_log`] needs to find files that do not belong there.
pub trait TileFolder: TileRead {
    /// Calls `each` with the path of every file below the log's folder, in any order.
    ///
    /// # Errors
    /// [`LogFault::Unreadable`] with the folder that cannot be listed.
    fn visit(&self, each: &mut dyn FnMut(&str)) -> Result<(), LogFault>;
}

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TileKind {
    /// Entries of the log: an entry bundle.
    Entries,
    /// Hashes of the nodes at 8 times this level, at most [`LEVEL_MAX`].
    Hashes(u8),
}

impl TileKind {
    /// Every kind, bundles first, then hash tiles from the leaves up.
    pub fn all() -> impl Iterator<Item = Self> {
        std::iter::once(Self::Entries).chain((0..=LEVEL_MAX).map(Self::Hashes))
    }

    /// How many items of this kind a tree of `size` leaves has in all its tiles.
    pub fn items(self, size: u64) -> u64 {
        match self {
            Self::Entries => size,
            Self::Hashes(level) => size.checked_shr(u32::from(level).saturating_mul(8)).unwrap_or(0),
        }
    }

    const fn item_bytes(self) -> usize {
        match self {
            Self::Entries => ENTRY_BYTES,
            Self::Hashes(_) => HASH_BYTES,
        }
    }
}

/// The name of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tile {
    kind: TileKind,
    index: u64,
    width: u16,
}

/// How a tile stands to a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The tree of this size has it.
    Current,
    /// A narrower form of the tree's partial tile, kept for readers of earlier checkpoints.
    Earlier,
    /// The tree has no such tile, or has it full and so no longer partial.
    Foreign,
}

impl Tile {
    /// The tile of this kind at `index`; `None` for a width of 0 or over 256, or a level over [`LEVEL_MAX`].
    pub fn new(kind: TileKind, index: u64, width: u16) -> Option<Self> {
        let level = match kind {
            TileKind::Entries => 0,
            TileKind::Hashes(level) => level,
        };
        (level <= LEVEL_MAX && (1..=TILE_WIDTH).contains(&width)).then_some(Self { kind, index, width })
    }

    /// The tile of this kind and index in a tree of `size` leaves, full or partial; `None` when it would be empty.
    pub fn at(kind: TileKind, index: u64, size: u64) -> Option<Self> {
        let before = index.checked_mul(u64::from(TILE_WIDTH))?;
        let items = kind.items(size).saturating_sub(before).min(u64::from(TILE_WIDTH));
        Self::new(kind, index, u16::try_from(items).ok()?)
    }

    /// What it holds.
    pub const fn kind(self) -> TileKind {
        self.kind
    }

    /// Its place among the tiles of its kind.
    pub const fn index(self) -> u64 {
        self.index
    }

    /// How many items it holds.
    pub const fn width(self) -> u16 {
        self.width
    }

    /// Whether it holds fewer than 256 items.
    pub const fn is_partial(self) -> bool {
        self.width < TILE_WIDTH
    }

    /// The length of its file in bytes.
    pub fn file_bytes(self) -> usize {
        usize::from(self.width).saturating_mul(self.kind.item_bytes())
    }

    /// Its path below the log's folder: `tile/<L>/<N>` or `tile/entries/<N>`, with `.p/<W>` when partial (spec LOG-5).
    pub fn path(self) -> String {
        let folder = match self.kind {
            TileKind::Entries => "entries".to_owned(),
            TileKind::Hashes(level) => level.to_string(),
        };
        let number = index_path(self.index);
        if self.is_partial() {
            return format!("tile/{folder}/{number}.p/{}", self.width);
        }
        format!("tile/{folder}/{number}")
    }

    /// Reads a path that [`Tile::path`] writes; `None` for every other text.
    pub fn parse(path: &str) -> Option<Self> {
        let (folder, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let kind = match folder {
            "entries" => TileKind::Entries,
            digit => TileKind::Hashes(u8::try_from(decimal(digit)?).ok()?),
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, u16::try_from(decimal(width)?).ok().filter(|w| *w < TILE_WIDTH)?),
            None => (rest, TILE_WIDTH),
        };
        Self::new(kind, parse_index_path(number)?, width)
    }

    /// How it stands to a tree of `size` leaves.
    pub fn standing(self, size: u64) -> Standing {
        match Self::at(self.kind, self.index, size) {
            Some(current) if current.width == self.width => Standing::Current,
            Some(current) if current.is_partial() && self.width < current.width => Standing::Earlier,
            _ => Standing::Foreign,
        }
    }

    /// Reads its file, which must have exactly its length.
    ///
    /// # Errors
    /// [`LogFault`] naming the file.
    pub fn read(self, from: &impl TileRead) -> Result<Vec<u8>, LogFault> {
        let expected = self.file_bytes();
        let bytes =
            from.read(&self.path(), expected).map_err(|fault| LogFault::unread(self.path(), fault, expected))?;
        if bytes.len() != expected {
            let found = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            return Err(LogFault::unread(self.path(), ReadFault::TooLong { bytes: found }, expected));
        }
        Ok(bytes)
    }

    /// Reads the hashes of a hash tile.
    ///
    /// # Errors
    /// [`LogFault`] naming the file.
    pub fn read_hashes(self, from: &impl TileRead) -> Result<Vec<TreeHash>, LogFault> {
        let bytes = self.read(from)?;
        Ok(bytes.as_chunks::<HASH_BYTES>().0.iter().map(|hash| TreeHash(*hash)).collect())
    }

    /// Reads the entries of a bundle.
    ///
    /// # Errors
    /// [`LogFault`] naming the file and the length prefix that is wrong.
    pub fn read_entries(self, from: &impl TileRead) -> Result<Vec<LeafEntry>, LogFault> {
        let bytes = self.read(from)?;
        let mut entries = Vec::with_capacity(usize::from(self.width));
        for (record, place) in bytes.as_chunks::<ENTRY_BYTES>().0.iter().zip(0_u64..) {
            let [high, low, entry @ ..] = record;
            if [*high, *low] != ENTRY_PREFIX {
                let within = u64::from(*high == ENTRY_PREFIX[0]);
                return Err(LogFault::Differs { path: self.path(), byte: entry_offset(place).saturating_add(within) });
            }
            entries.push(LeafEntry(*entry));
        }
        Ok(entries)
    }
}

/// Where the entry at `place` of a bundle begins, in bytes.
pub(crate) const fn entry_offset(place: u64) -> u64 {
    place.saturating_mul(34)
}

/// Where the hash at `place` of a tile begins, in bytes.
pub(crate) const fn hash_offset(place: u64) -> u64 {
    place.saturating_mul(32)
}

/// The file of a bundle.
pub fn bundle_bytes(entries: &[LeafEntry]) -> Vec<u8> {
    entries.iter().flat_map(|entry| ENTRY_PREFIX.into_iter().chain(entry.0)).collect()
}

/// The file of a hash tile.
pub fn hash_bytes(hashes: &[TreeHash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// The tiles that a growth from `from` to `to` leaves writes: full ones, and one partial of each kind that is left over
/// (spec LOG-6). Bundles first, each kind from the left.
pub fn growth(from: u64, to: u64) -> impl Iterator<Item = Tile> {
    let grown = move |kind: &TileKind| kind.items(from) < kind.items(to);
    let width = u64::from(TILE_WIDTH);
    TileKind::all().filter(grown).flat_map(move |kind| {
        let (first, end) = (kind.items(from).div_euclid(width), kind.items(to).div_ceil(width));
        (first..end).filter_map(move |index| Tile::at(kind, index, to))
    })
}

/// The partial tiles of the tree of `from` leaves that are full in the tree of `to`: all narrower forms of them can go
/// once a checkpoint of `to` is durable (spec LOG-7).
pub fn superseded(from: u64, to: u64) -> impl Iterator<Item = Tile> {
    TileKind::all().filter_map(move |kind| {
        let index = kind.items(from).div_euclid(u64::from(TILE_WIDTH));
        let partial = Tile::at(kind, index, from)?;
        Tile::at(kind, index, to).filter(|tile| !tile.is_partial()).map(|_| partial)
    })
}

/// A number as zero-padded three-digit path elements, all but the last beginning with `x`: 1234067 is `x001/x234/067`.
pub fn index_path(index: u64) -> String {
    let mut path = format!("{:03}", index.rem_euclid(1000));
    let mut rest = index.div_euclid(1000);
    while rest > 0 {
        path = format!("x{:03}/{path}", rest.rem_euclid(1000));
        rest = rest.div_euclid(1000);
    }
    path
}

/// Reads what [`index_path`] writes; `None` for every other text.
pub fn parse_index_path(path: &str) -> Option<u64> {
    let mut index = 0_u64;
    for element in path.split('/') {
        let digits = element.strip_prefix('x').unwrap_or(element);
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    // One number has one path: missing or superfluous elements and misplaced x are refused here.
    (index_path(index) == path).then_some(index)
}

/// A decimal number without sign or leading zeros.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    if digits && canonical { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    // LOG-5: the examples of C2SP tlog-tiles.
    #[test]
    fn paths_equal_the_examples_of_tlog_tiles() {
        let cases = [
            (TileKind::Hashes(0), 1_234_067, 256, "tile/0/x001/x234/067"),
            (TileKind::Hashes(0), 273, 112, "tile/0/273.p/112"),
            (TileKind::Hashes(1), 1, 17, "tile/1/001.p/17"),
            (TileKind::Hashes(2), 0, 1, "tile/2/000.p/1"),
            (TileKind::Entries, 999, 256, "tile/entries/999"),
            (TileKind::Entries, 1000, 255, "tile/entries/x001/000.p/255"),
            (TileKind::Hashes(7), u64::MAX, 256, "tile/7/x018/x446/x744/x073/x709/x551/615"),
        ];
        for (kind, index, width, path) in cases {
            let tile = Tile::new(kind, index, width).unwrap();
            assert_eq!(tile.path(), path);
            assert_eq!(Tile::parse(path), Some(tile));
        }
    }

    // LOG-5
    #[test]
    fn a_tile_has_one_path_and_no_other_is_read() {
        let wrong = [
            "",
            "tile",
            "tile/",
            "tile/0",
            "tile/0/",
            "tile/0/1",
            "tile/0/0001",
            "tile/0/x000/001",
            "tile/0/x001",
            "tile/8/000",
            "tile/00/000",
            "tile/+1/000",
            "tile/-1/000",
            "tile/0/x001/x234",
            "tile/0/001/234",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p",
            "tile/0/000.p/1/",
            "tile/entry/000",
            "tile/0/00a",
            "/tile/0/000",
            "tile/0/../000",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
            "tile//000",
            "tile//0/000",
            "tile/0/000.p/1.p/1",
            "tile//.p/1",
        ];
        for path in wrong {
            assert_eq!(Tile::parse(path), None, "{path}");
        }
    }

    // LOG-6: 70,000 leaves and 256 leaves are the examples of tlog-tiles.
    #[test]
    fn a_tree_has_the_tiles_that_tlog_tiles_names() {
        let shape = |size: u64| {
            let mut counts = Vec::new();
            for kind in TileKind::all().skip(1) {
                let tiles: Vec<Tile> = growth(0, size).filter(|tile| tile.kind() == kind).collect();
                let full = tiles.iter().filter(|tile| !tile.is_partial()).count();
                let partial = tiles.iter().find(|tile| tile.is_partial()).map_or(0, |tile| tile.width());
                counts.push((full, partial));
            }
            counts
        };
        assert_eq!(shape(70_000)[..4], [(273, 112), (1, 17), (0, 1), (0, 0)]);
        assert_eq!(shape(256)[..3], [(1, 0), (0, 1), (0, 0)]);
        assert!(shape(0).iter().all(|level| *level == (0, 0)));
        assert_eq!(growth(0, 256).filter(|tile| tile.kind() == TileKind::Entries).count(), 1);
    }

    // LOG-6, LOG-7
    #[test]
    fn growth_step_by_step_leaves_the_tiles_of_the_last_size() {
        for step in [1_u64, 7, 255, 256, 257, 1000] {
            let (mut files, mut size) = (std::collections::BTreeSet::new(), 0);
            while size < 70_000 {
                let next = size + step;
                let written: Vec<Tile> = growth(size, next).collect();
                if step == 1 {
                    assert!(written.len() <= 2 + 8, "one leaf writes one bundle and at most one tile a level");
                }
                files.extend(written);
                for gone in superseded(size, next) {
                    files.retain(|tile: &Tile| {
                        !tile.is_partial() || (tile.kind(), tile.index()) != (gone.kind(), gone.index())
                    });
                }
                size = next;
            }
            let current: Vec<Tile> =
                files.iter().copied().filter(|tile| tile.standing(size) == Standing::Current).collect();
            let mut expected: Vec<Tile> = growth(0, size).collect();
            expected.sort();
            assert_eq!(current, expected, "step {step}");
            assert!(files.iter().all(|tile| tile.standing(size) != Standing::Foreign), "step {step}");
        }
    }

    #[test]
    fn a_bundle_prefixes_each_entry_with_its_length_big_endian() {
        let bytes = bundle_bytes(&[LeafEntry([1; 32]), LeafEntry([2; 32])]);
        assert_eq!(bytes.len(), 68);
        assert_eq!((&bytes[..3], &bytes[33..37]), (&[0, 32, 1][..], &[1, 0, 32, 2][..]));
    }
}
