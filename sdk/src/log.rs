//! Offline verification of a log's folder: a copy on a disk, and the public keys, are all that is needed.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use cohortium_protocol::log::check::{read_note, verify_log};
use cohortium_protocol::log::edge::CHECKPOINT_PATH;
use cohortium_protocol::log::fault::ReadFault;
use cohortium_protocol::log::tile::TileRead;

pub use cohortium_protocol::log::check::Report;
pub use cohortium_protocol::log::checkpoint::{LogKeys, Strangers};
pub use cohortium_protocol::log::fault::LogFault;
pub use cohortium_protocol::log::proof::{ConsistencyBundle, InclusionBundle, ProofFault};
pub use cohortium_protocol::log::tile::TileFolder;

/// A log's folder, to be read only.
#[derive(Debug, Clone)]
pub struct LogFolder {
    root: PathBuf,
}

impl LogFolder {
    /// The folder at `root`, which holds `checkpoint` and `tile/`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Reads every file of the log, recomputes every hash, and compares all of it with the signed checkpoints (spec
    /// LOG-16). Symbolic links and other special files are reported as files that do not belong to the log.
    ///
    /// # Errors
    /// The first [`LogFault`]; it names the file, and the byte where that can be known.
    pub fn verify(&self, keys: &LogKeys) -> Result<Report, LogFault> {
        let checkpoint = read_note(self, CHECKPOINT_PATH)?;
        verify_log(self, &checkpoint, keys)
    }

    /// The same against a checkpoint that was got elsewhere, from a peer or an earlier visit: the folder's newest one
    /// has to be that very text.
    ///
    /// # Errors
    /// The first [`LogFault`].
    pub fn verify_against(&self, checkpoint: &str, keys: &LogKeys) -> Result<Report, LogFault> {
        verify_log(self, checkpoint, keys)
    }

    fn visit_below(&self, folder: &str, each: &mut dyn FnMut(&str)) -> Result<(), LogFault> {
        let unreadable = |_| LogFault::Unreadable { path: if folder.is_empty() { "." } else { folder }.to_owned() };
        for entry in fs::read_dir(self.root.join(folder)).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let path = if folder.is_empty() { name.into_owned() } else { format!("{folder}/{name}") };
            let kind = entry.file_type().map_err(unreadable)?;
            if kind.is_dir() {
                self.visit_below(&path, each)?;
            } else if kind.is_file() {
                each(&path);
            } else {
                each(&format!("{path} (not a plain file)"));
            }
        }
        Ok(())
    }
}

impl TileRead for LogFolder {
    fn read(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, ReadFault> {
        let path = self.root.join(path);
        let kind = fs::symlink_metadata(&path).map_err(|fault| match fault.kind() {
            io::ErrorKind::NotFound => ReadFault::Missing,
            _ => ReadFault::Unreadable,
        })?;
        if !kind.is_file() {
            return Err(ReadFault::Unreadable);
        }
        let cap = u64::try_from(bytes_max).unwrap_or(u64::MAX);
        if kind.len() > cap {
            return Err(ReadFault::TooLong { bytes: kind.len() });
        }
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(cap).read_to_end(&mut bytes));
        read.map(|_| bytes).map_err(|_| ReadFault::Unreadable)
    }
}

impl TileFolder for LogFolder {
    fn visit(&self, each: &mut dyn FnMut(&str)) -> Result<(), LogFault> {
        self.visit_below("", each)
    }
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::key::pair::KeyPair;
    use cohortium_protocol::log::checkpoint::signed;
    use cohortium_protocol::log::edge::Edge;
    use cohortium_protocol::log::leaf_entry;

    use super::*;

    const ORIGIN: &str = "cohortium/0000/north";

    fn pair() -> KeyPair {
        KeyPair::from_seed(&[1; 32])
    }

    fn keys() -> LogKeys {
        LogKeys::new(ORIGIN, [pair().public()], Strangers::Refuse).unwrap()
    }

    fn put(root: &Path, path: &str, bytes: &[u8]) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// A log of 300 leaves in a folder, and the paths of its files.
    fn log_in(root: &Path) -> Vec<String> {
        let mut edge = Edge::default();
        let mut paths = vec![CHECKPOINT_PATH.to_owned()];
        for index in 0..300_u64 {
            edge.append(leaf_entry(&[3; 32], &index.to_le_bytes()), &mut |tile, bytes| {
                put(root, &tile.path(), &bytes);
                paths.push(tile.path());
            });
        }
        for (tile, bytes) in edge.partials() {
            put(root, &tile.path(), &bytes);
            paths.push(tile.path());
        }
        put(root, CHECKPOINT_PATH, signed(ORIGIN, edge.head(), &pair()).unwrap().as_bytes());
        paths
    }

    // LOG-16
    #[test]
    fn a_flipped_bit_or_a_missing_file_of_a_folder_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let paths = log_in(dir.path());
        let folder = LogFolder::new(dir.path());
        let report = folder.verify(&keys()).unwrap();
        assert_eq!((report.head.size, report.tiles), (300, 5));
        for path in paths {
            let whole = fs::read(dir.path().join(&path)).unwrap();
            for bit in (0..whole.len() * 8).step_by(331) {
                let mut bent = whole.clone();
                bent[bit / 8] ^= 1 << (bit % 8);
                put(dir.path(), &path, &bent);
                let fault = folder.verify(&keys()).unwrap_err();
                assert_eq!(fault.path(), path, "bit {bit}: {fault}");
            }
            fs::remove_file(dir.path().join(&path)).unwrap();
            assert_eq!(folder.verify(&keys()), Err(LogFault::Missing { path: path.clone() }));
            put(dir.path(), &path, &whole);
        }
        let held = fs::read_to_string(dir.path().join(CHECKPOINT_PATH)).unwrap();
        assert!(folder.verify_against(&held, &keys()).is_ok());
        let other = signed(ORIGIN, cohortium_protocol::log::edge::Edge::default().head(), &pair()).unwrap();
        assert_eq!(folder.verify_against(&other, &keys()).unwrap_err().path(), CHECKPOINT_PATH);
    }

    // LOG-16
    #[test]
    fn a_link_or_a_file_of_another_kind_does_not_belong_to_a_log() {
        let dir = tempfile::tempdir().unwrap();
        log_in(dir.path());
        let folder = LogFolder::new(dir.path());
        put(dir.path(), "tile/0/notes", b"x");
        assert_eq!(folder.verify(&keys()), Err(LogFault::Unexpected { path: "tile/0/notes".to_owned() }));
        fs::remove_file(dir.path().join("tile/0/notes")).unwrap();
        let tile = dir.path().join("tile/0/000");
        fs::rename(&tile, dir.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("../../elsewhere", &tile).unwrap();
        assert_eq!(folder.verify(&keys()), Err(LogFault::Unreadable { path: "tile/0/000".to_owned() }));
    }
}
