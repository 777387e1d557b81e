//! The files of a tile log: read within bounds, listed, and written many at a time, durably.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use cohortium_protocol::log::fault::ReadFault;
use cohortium_protocol::log::tile::TileRead;

use crate::disk::{DiskFault, During, make_folder, parent_of, rename, sync_folder};

/// How the name of a file ends that is not complete.
pub(crate) const UNFINISHED: &str = ".new";

/// A log's folder on disk.
#[derive(Debug, Clone)]
pub(crate) struct TileFiles {
    root: PathBuf,
}

impl TileRead for TileFiles {
    fn read(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, ReadFault> {
        let file = File::open(self.root.join(path)).map_err(|fault| match fault.kind() {
            io::ErrorKind::NotFound => ReadFault::Missing,
            _ => ReadFault::Unreadable,
        })?;
        let bytes = file.metadata().map_err(|_| ReadFault::Unreadable)?.len();
        let cap = u64::try_from(bytes_max).unwrap_or(u64::MAX);
        if bytes > cap {
            return Err(ReadFault::TooLong { bytes });
        }
        let mut content = Vec::new();
        file.take(cap).read_to_end(&mut content).map_err(|_| ReadFault::Unreadable)?;
        Ok(content)
    }
}

impl TileFiles {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Calls `each` with the path of every file below `folder`, itself below the log's folder. That there is no such
    /// folder is fine. Names that are not UTF-8 are none of ours and left out.
    pub(crate) fn visit(&self, folder: &str, each: &mut dyn FnMut(&str)) -> Result<(), DiskFault> {
        let at = self.at(folder);
        let entries = match fs::read_dir(&at) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.during("listing", &at)?,
        };
        for entry in entries {
            let entry = entry.during("listing", &at)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = format!("{folder}/{name}");
            if entry.file_type().during("listing", &at)?.is_dir() {
                self.visit(&path, each)?;
            } else {
                each(&path);
            }
        }
        Ok(())
    }

    /// Writes these files, each whole or not at all, and returns when all of them and their names are durable.
    ///
    /// All are written before the first is synced: the file system then commits them together.
    pub(crate) fn write(&self, files: &[(String, Vec<u8>)]) -> Result<(), DiskFault> {
        let (mut folders, mut open) = (BTreeSet::new(), Vec::with_capacity(files.len()));
        for (path, bytes) in files {
            let path = self.at(path);
            if folders.insert(parent_of(&path).to_owned()) {
                make_folder(parent_of(&path))?;
            }
            let unfinished = path.with_added_extension(&UNFINISHED[1..]);
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = options.open(&unfinished).during("creating", &unfinished)?;
            file.write_all(bytes).during("writing", &unfinished)?;
            open.push((file, unfinished, path));
        }
        for (file, unfinished, _) in &open {
            file.sync_all().during("syncing", unfinished)?;
        }
        for (_, unfinished, path) in &open {
            rename(unfinished, path)?;
        }
        folders.iter().try_for_each(|folder| sync_folder(folder))
    }
}
