//! Files and folders with context: every error says what was being done to which path, replacement is atomic, and a new
//! name is synced with its folder.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// An operation on a file or folder that failed. The operator acts next: disk full, permissions, a broken disk.
#[derive(Debug)]
pub struct DiskFault {
    /// What was being done, as in "while writing".
    pub act: &'static str,
    /// To which file or folder.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: io::Error,
}

impl DiskFault {
    /// Whether the disk or a quota is full.
    pub fn is_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// Whether another process holds the folder.
    pub fn is_locked(&self) -> bool {
        self.act == LOCKING && self.source.kind() == io::ErrorKind::WouldBlock
    }
}

impl fmt::Display for DiskFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} while {} {}", self.source, self.act, self.path.display())
    }
}

impl std::error::Error for DiskFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

const LOCKING: &str = "locking (another process may be using)";
const LOCK_TRIES: u32 = 25;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Adds the act and the path to an [`io::Error`].
pub(crate) trait During<T> {
    /// The result, its error with context.
    fn during(self, act: &'static str, path: &Path) -> Result<T, DiskFault>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, act: &'static str, path: &Path) -> Result<T, DiskFault> {
        self.map_err(|source| DiskFault { act, path: path.to_owned(), source })
    }
}

impl<T> During<T> for rustix::io::Result<T> {
    fn during(self, act: &'static str, path: &Path) -> Result<T, DiskFault> {
        self.map_err(|errno| DiskFault { act, path: path.to_owned(), source: errno.into() })
    }
}

/// Makes a folder that only this user can open, and those above it, each synced into its parent.
pub(crate) fn make_folder(path: &Path) -> Result<(), DiskFault> {
    // The folder of a bare file name is the present one.
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = parent_of(path);
    if !parent.as_os_str().is_empty() {
        make_folder(parent)?;
    }
    make_folder_unsynced(path)?;
    sync_folder(parent)
}

/// Makes a folder that only this user can open in one that is there; its name is durable when that one is synced.
pub(crate) fn make_folder_unsynced(path: &Path) -> Result<(), DiskFault> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        other => other.during("making the folder", path),
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), DiskFault> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path).and_then(|folder| folder.sync_all()).during("syncing the folder", path)
}

/// The folder that holds `path`.
pub(crate) fn parent_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// Bytes that this user may still write to the file system that holds `path`, and how many it has in all.
pub(crate) fn room(path: &Path) -> Result<(u64, u64), DiskFault> {
    let room = rustix::fs::statvfs(path).during("asking for the room at", path)?;
    Ok((room.f_bavail.saturating_mul(room.f_frsize), room.f_blocks.saturating_mul(room.f_frsize)))
}

/// Makes a file that did not exist, for reading and writing by this user alone.
pub(crate) fn create_new(path: &Path) -> Result<File, DiskFault> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600).open(path).during("creating", path)
}

/// Opens a file for reading and writing.
pub(crate) fn open_both(path: &Path) -> Result<File, DiskFault> {
    OpenOptions::new().read(true).write(true).open(path).during("opening", path)
}

/// Puts `bytes` in the place of the file at `path`, durably and at once: a reader or a crash sees the old or the new.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), DiskFault> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temp = PathBuf::from(name);
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&temp).during("creating", &temp)?;
    file.write_all(bytes).during("writing", &temp)?;
    file.sync_all().during("syncing", &temp)?;
    rename(&temp, path)?;
    sync_folder(parent_of(path))
}

/// Renames within one folder tree; not yet durable.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), DiskFault> {
    fs::rename(from, to).during("renaming to", to)
}

/// The whole file, which may be `max` bytes at most; `None` when there is none.
pub(crate) fn read_whole(path: &Path, max: u64) -> Result<Option<Vec<u8>>, DiskFault> {
    let size = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(fault) => return Err(fault).during("reading", path),
    };
    if size > max {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge)).during("reading", path);
    }
    fs::read(path).during("reading", path).map(Some)
}

/// Removes a file; that there is none is fine.
pub(crate) fn remove(path: &Path) -> Result<(), DiskFault> {
    match fs::remove_file(path) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.during("removing", path),
    }
}

/// The names in a folder, sorted; names that are not UTF-8 are none of ours and left out.
pub(crate) fn names_in(path: &Path) -> Result<Vec<String>, DiskFault> {
    let entries = fs::read_dir(path).during("listing", path)?;
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.during("listing", path)?.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

/// Holds a folder for one process, until dropped.
///
/// Tried for a moment: while another thread starts a child process, a lock that was just given back is still held by
/// the copy of its descriptor that the child closes when it executes.
pub(crate) fn lock_folder(path: &Path) -> Result<File, DiskFault> {
    let lock = path.join("lock");
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(&lock).during("opening", &lock)?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(fault)) => return Err(fault).during(LOCKING, path),
        }
    }
    Err(io::Error::from(io::ErrorKind::WouldBlock)).during(LOCKING, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_only_its_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        make_folder(&folder).unwrap();
        make_folder(parent_of(Path::new("bare-name"))).unwrap();
        let path = folder.join("f");
        assert!(read_whole(&path, 10).unwrap().is_none());
        for bytes in [&b"one"[..], b"two"] {
            replace(&path, bytes).unwrap();
            assert_eq!(read_whole(&path, 3).unwrap().unwrap(), bytes);
        }
        assert!(read_whole(&path, 2).is_err());
        assert_eq!(names_in(&folder).unwrap(), ["f"]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_locked_folder_is_refused_and_an_error_names_act_and_path() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock_folder(dir.path()).unwrap();
        let fault = lock_folder(dir.path()).unwrap_err();
        assert!(fault.is_locked() && !fault.is_full());
        drop(held);
        assert!(lock_folder(dir.path()).is_ok());
        let shown = replace(&dir.path().join("no/file"), b"").unwrap_err().to_string();
        assert!(shown.contains("while creating") && shown.contains("no/file.new"), "{shown}");
        let full = DiskFault { act: "writing", path: "f".into(), source: io::ErrorKind::StorageFull.into() };
        assert!(full.is_full());
    }
}
