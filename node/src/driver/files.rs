//! A folder of files that nobody looks into, copied into the store: read once or twice, hashed, sealed, never parsed.
//!
//! The daemon does this itself: bytes that are only copied cannot attack. What changed is decided by content alone.

use std::ffi::CStr;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use cohortium_protocol::digest::{DocumentDigest, sha256_for};
use cohortium_protocol::ident::{NameFault, RelPath};
use cohortium_protocol::limits::LISTING_ENTRIES_MAX;
use cohortium_protocol::outboard::OutboardBuilder;
use cohortium_protocol::quantity::{Bytes, Rows};
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::listing::{BlobRef, BlobRole, Listing, ListingEntry, ListingFault};
use cohortium_store::blob::{BlobFault, BlobStore};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, open, openat, statat};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use crate::driver::clock;

/// Folders within folders.
const DEPTH_MAX: usize = 64;
/// Bytes read at once.
const PIECE_BYTES: usize = 1024 * 1024;
/// A file changed this recently may change again without another time stamp: the kernel's clock ticks are as coarse.
const TICK: Duration = Duration::from_millis(20);

/// Why a folder is not taken. Names are for the provider's own eyes: they never reach a peer or the log of the process.
#[derive(Debug)]
pub(crate) enum FilesFault {
    /// The folder or something in it cannot be read.
    Unreadable { path: String },
    /// Neither a file nor a folder: a symbolic link, socket, pipe or device.
    Special { path: String },
    /// A name that could not stand in a listing.
    Name { path: String, fault: NameFault },
    /// A name that is not UTF-8.
    NotText { folder: String },
    /// Two names that collide, or too many files.
    Listing(ListingFault),
    /// Folders within folders beyond the bound.
    Depth { path: String },
    /// It changed while it was read.
    Changed,
    /// The store did not take it.
    Store(BlobFault),
    /// The node stops.
    Stopped,
}

impl fmt::Display for FilesFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path } => write!(f, "{path:?} cannot be read"),
            Self::Special { path } => {
                write!(f, "{path:?} is neither a file nor a folder; links and devices never leave")
            }
            Self::Name { path, fault } => write!(f, "the name {path:?} {fault}"),
            Self::NotText { folder } => write!(f, "a name in {folder:?} is not UTF-8"),
            Self::Listing(fault) => fault.fmt(f),
            Self::Depth { path } => write!(f, "{path:?} lies deeper than {DEPTH_MAX} folders"),
            Self::Changed => f.write_str("the folder changed while it was read"),
            Self::Store(fault) => fault.fmt(f),
            Self::Stopped => f.write_str("the node stops"),
        }
    }
}

impl From<&FilesFault> for RunFault {
    fn from(fault: &FilesFault) -> Self {
        match fault {
            FilesFault::Unreadable { .. } => Self::Unreadable,
            FilesFault::Special { .. }
            | FilesFault::Name { .. }
            | FilesFault::NotText { .. }
            | FilesFault::Listing(ListingFault::Order | ListingFault::CaseTwin(_) | ListingFault::FileIsFolder(_)) => {
                Self::Malformed
            }
            FilesFault::Listing(ListingFault::TooMany) | FilesFault::Depth { .. } | FilesFault::Store(_) => Self::Limit,
            FilesFault::Changed => Self::Changed,
            FilesFault::Stopped => Self::WorkerLost,
        }
    }
}

/// What differs as soon as somebody writes to a file or puts another in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileStamp {
    device: u64,
    inode: u64,
    bytes: i64,
    written: [i64; 4],
}

impl FileStamp {
    #[expect(
        clippy::unnecessary_cast,
        clippy::cast_possible_wrap,
        reason = "the fields' types differ between machines"
    )]
    pub(crate) fn of(stat: &Stat) -> Self {
        let written =
            [stat.st_mtime as i64, stat.st_mtime_nsec as i64, stat.st_ctime as i64, stat.st_ctime_nsec as i64];
        Self { device: stat.st_dev as u64, inode: stat.st_ino as u64, bytes: stat.st_size as i64, written }
    }

    /// The stamp of a file at a path, by name.
    pub(crate) fn digest(&self, path: &Path) -> DocumentDigest {
        let Self { device, inode, bytes, written } = self;
        let numbers = [device.to_le_bytes(), inode.to_le_bytes(), bytes.to_le_bytes()];
        let times = written.map(i64::to_le_bytes);
        let path = path.as_os_str().as_encoded_bytes();
        DocumentDigest(sha256_for("file stamp", &[&numbers.concat(), &times.concat(), path].concat()))
    }

    /// Waits until a write from now on would show.
    pub(crate) fn let_age(&self) {
        let [.., seconds, nanos] = self.written;
        let changed = u64::try_from(seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000)).unwrap_or(0);
        let age = Duration::from_millis(clock::wall().0.saturating_sub(changed));
        std::thread::sleep(TICK.saturating_sub(age));
    }
}

/// Opens a plain file for reading; the last component may be no link. With what it was when it was opened.
pub(crate) fn open_plain(path: &Path) -> Result<(File, FileStamp), Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    plain(open(path, flags, Mode::empty())?)
}

fn plain(fd: OwnedFd) -> Result<(File, FileStamp), Errno> {
    let stat = fstat(&fd)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    Ok((File::from(fd), FileStamp::of(&stat)))
}

/// One file found on a walk.
struct Found<'a> {
    folder: &'a OwnedFd,
    name: &'a CStr,
    path: RelPath,
    stamp: FileStamp,
}

/// What a copy needs.
pub(crate) struct Copy<'a> {
    pub(crate) blobs: &'a BlobStore,
    /// The snapshot before.
    pub(crate) previous: Option<&'a Listing>,
    pub(crate) stop: &'a CancellationToken,
}

/// Copies every file below `folder` into the store and lists them. Blocks; memory does not grow with the files' length.
pub(crate) fn take(folder: &Path, copy: &Copy<'_>) -> Result<Listing, FilesFault> {
    let root = open_root(folder)?;
    let (mut entries, mut seen) = (Vec::new(), Vec::new());
    walk(&root, "", 0, &mut |found| {
        if entries.len() >= LISTING_ENTRIES_MAX {
            return Err(FilesFault::Listing(ListingFault::TooMany));
        }
        let blob = copy.file(&found)?;
        seen.push((found.path.clone(), found.stamp));
        entries.push(ListingEntry { path: found.path, role: BlobRole::File, blob, rows: Rows(0) });
        Ok(())
    })?;
    // Files that came, went or were renamed meanwhile: the second walk sees what the first one saw.
    let mut again = seen.len();
    let root = open_root(folder)?;
    seen.sort_by(|a, b| a.0.cmp(&b.0));
    walk(&root, "", 0, &mut |found| {
        let known = seen.binary_search_by(|(path, _)| path.cmp(&found.path)).ok().and_then(|at| seen.get(at));
        again = again.checked_sub(1).ok_or(FilesFault::Changed)?;
        if known.is_some_and(|(_, stamp)| *stamp == found.stamp) { Ok(()) } else { Err(FilesFault::Changed) }
    })?;
    if again > 0 {
        return Err(FilesFault::Changed);
    }
    entries.sort();
    Listing::try_from(entries).map_err(FilesFault::Listing)
}

/// Looks at every name below `folder` without reading a file; gives the first `most` of them.
pub(crate) fn look(folder: &Path, most: usize) -> Result<Vec<String>, FilesFault> {
    let mut names = Vec::new();
    walk(&open_root(folder)?, "", 0, &mut |found| {
        if names.len() < most {
            names.push(found.path.to_string());
        }
        Ok(())
    })?;
    Ok(names)
}

fn open_root(folder: &Path) -> Result<OwnedFd, FilesFault> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    open(folder, flags, Mode::empty()).map_err(|_| FilesFault::Unreadable { path: folder.display().to_string() })
}

/// Calls `each` with every plain file below `folder`; anything that is neither file nor folder is refused by its name.
fn walk(
    folder: &OwnedFd,
    above: &str,
    depth: usize,
    each: &mut dyn FnMut(Found<'_>) -> Result<(), FilesFault>,
) -> Result<(), FilesFault> {
    let unreadable = |path: &str| FilesFault::Unreadable { path: path.to_owned() };
    if depth >= DEPTH_MAX {
        return Err(FilesFault::Depth { path: above.to_owned() });
    }
    for entry in Dir::read_from(folder).map_err(|_| unreadable(above))? {
        let entry = entry.map_err(|_| unreadable(above))?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let text = name.to_str().map_err(|_| FilesFault::NotText { folder: above.to_owned() })?;
        let path = if above.is_empty() { text.to_owned() } else { format!("{above}/{text}") };
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| unreadable(&path))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let inner = openat(folder, name, flags, Mode::empty()).map_err(|_| unreadable(&path))?;
                walk(&inner, &path, depth + 1, each)?;
            }
            FileType::RegularFile => {
                let checked = RelPath::try_from(path.clone()).map_err(|fault| FilesFault::Name { path, fault })?;
                each(Found { folder, name, path: checked, stamp: FileStamp::of(&stat) })?;
            }
            _ => return Err(FilesFault::Special { path }),
        }
    }
    Ok(())
}

impl Copy<'_> {
    fn file(&self, found: &Found<'_>) -> Result<BlobRef, FilesFault> {
        let path = || found.path.to_string();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = openat(found.folder.as_fd(), found.name, flags, Mode::empty());
        let (mut file, stamp) = fd.and_then(plain).map_err(|_| FilesFault::Unreadable { path: path() })?;
        if stamp != found.stamp {
            return Err(FilesFault::Changed);
        }
        stamp.let_age();
        let blob = match self.unchanged(found, &mut file)? {
            Some(blob) => blob,
            None => self.store(found, &mut file)?,
        };
        let after = fstat(&file).map_err(|_| FilesFault::Unreadable { path: path() })?;
        let whole = i64::try_from(blob.bytes.0).is_ok_and(|bytes| bytes == stamp.bytes);
        if whole && FileStamp::of(&after) == stamp { Ok(blob) } else { Err(FilesFault::Changed) }
    }

    /// A file of the length it had in the snapshot before is hashed first: most often it is the same.
    fn unchanged(&self, found: &Found<'_>, file: &mut File) -> Result<Option<BlobRef>, FilesFault> {
        let entries = self.previous.map_or(&[][..], Listing::entries);
        let before = entries.binary_search_by(|entry| entry.path.cmp(&found.path)).ok().and_then(|at| entries.get(at));
        let length = u64::try_from(found.stamp.bytes).unwrap_or(0);
        let Some(before) =
            before.filter(|entry| entry.blob.bytes.0 == length && self.blobs.contains(entry.blob.digest))
        else {
            return Ok(None);
        };
        let mut builder = OutboardBuilder::new();
        self.read(found, file, |piece| {
            builder.push(piece);
            Ok(())
        })?;
        let bytes = Bytes(builder.blob_bytes());
        let (digest, _) = builder.finish();
        let same = (BlobRef { digest, bytes }) == before.blob;
        std::io::Seek::rewind(file).map_err(|_| FilesFault::Unreadable { path: found.path.to_string() })?;
        Ok(same.then_some(before.blob))
    }

    fn store(&self, found: &Found<'_>, file: &mut File) -> Result<BlobRef, FilesFault> {
        let mut writer = self.blobs.create().map_err(FilesFault::Store)?;
        self.read(found, file, |piece| writer.push(piece).map_err(FilesFault::Store))?;
        let stored = writer.finish().map_err(FilesFault::Store)?;
        Ok(BlobRef { digest: stored.digest, bytes: Bytes(stored.bytes) })
    }

    /// Reads to the end, but never past the length that the file had: a file that grows is not followed.
    fn read(
        &self,
        found: &Found<'_>,
        file: &mut File,
        mut each: impl FnMut(&[u8]) -> Result<(), FilesFault>,
    ) -> Result<(), FilesFault> {
        let mut limited = file.take(u64::try_from(found.stamp.bytes).unwrap_or(0));
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            if self.stop.is_cancelled() {
                return Err(FilesFault::Stopped);
            }
            let read = limited.read(&mut piece).map_err(|_| FilesFault::Unreadable { path: found.path.to_string() })?;
            if read == 0 {
                return Ok(());
            }
            each(&piece[..read])?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use cohortium_protocol::digest::blob_digest;
    use cohortium_store::seal::DataKey;

    use super::*;

    struct Place {
        dir: tempfile::TempDir,
        blobs: BlobStore,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir_all(dir.path().join("set/b")).unwrap();
            fs::write(dir.path().join("set/a.txt"), b"one").unwrap();
            fs::write(dir.path().join("set/b/c.bin"), vec![7; 3_000_000]).unwrap();
            let blobs = BlobStore::open(&dir.path().join("blobs"), &DataKey::random()).unwrap();
            Self { dir, blobs }
        }

        fn set(&self) -> std::path::PathBuf {
            self.dir.path().join("set")
        }

        fn take(&self, previous: Option<&Listing>) -> Result<Listing, FilesFault> {
            take(&self.set(), &Copy { blobs: &self.blobs, previous, stop: &CancellationToken::new() })
        }
    }

    fn paths(listing: &Listing) -> Vec<&str> {
        listing.entries().iter().map(|entry| entry.path.as_str()).collect()
    }

    #[test]
    fn change_is_decided_by_content_and_never_by_time() {
        let place = Place::new();
        let first = place.take(None).unwrap();
        assert_eq!(paths(&first), ["a.txt", "b/c.bin"]);
        assert_eq!(first.entries()[0].blob.digest, blob_digest(b"one"));
        fs::write(place.set().join("a.txt"), b"one").unwrap();
        assert_eq!(place.take(Some(&first)).unwrap(), first, "written again with the same content");
        fs::write(place.set().join("a.txt"), b"two").unwrap();
        let second = place.take(Some(&first)).unwrap();
        assert_eq!(second.entries()[0].blob.digest, blob_digest(b"two"));
        fs::rename(place.set().join("b/c.bin"), place.set().join("d.bin")).unwrap();
        fs::remove_file(place.set().join("a.txt")).unwrap();
        let third = place.take(Some(&second)).unwrap();
        assert_eq!(paths(&third), ["d.bin"]);
        assert_eq!(third.entries()[0].blob, first.entries()[1].blob, "a renamed file is the same blob");
    }

    #[test]
    fn links_and_special_files_are_refused_by_name() {
        let place = Place::new();
        let link = place.set().join("b/link");
        std::os::unix::fs::symlink("/etc/hostname", &link).unwrap();
        assert!(matches!(place.take(None), Err(FilesFault::Special { path }) if path == "b/link"));
        fs::remove_file(&link).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(place.set().join("socket")).unwrap();
        assert!(matches!(place.take(None), Err(FilesFault::Special { path }) if path == "socket"));
        fs::remove_file(place.set().join("socket")).unwrap();
        let root_link = place.dir.path().join("root");
        std::os::unix::fs::symlink(place.set(), &root_link).unwrap();
        assert!(matches!(look(&root_link, 0), Err(FilesFault::Unreadable { .. })));
        assert!(open_plain(&root_link).is_err() && open_plain(&place.set()).is_err());
    }

    // NAME-3
    #[test]
    fn a_name_that_could_be_another_is_refused() {
        for name in ["a\u{202E}vsc.b", "A.TXT", "back\\slash"] {
            let place = Place::new();
            fs::write(place.set().join(name), b"x").unwrap();
            let fault = place.take(None).unwrap_err();
            assert_eq!(RunFault::from(&fault), RunFault::Malformed, "{fault}");
        }
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_fails_the_run() {
        let place = Place::new();
        fs::write(place.set().join("big"), vec![1; 64 << 20]).unwrap();
        let path = place.set().join("a.txt");
        let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let until = std::sync::Arc::clone(&done);
        let writer = std::thread::spawn(move || {
            for i in 0_u64.. {
                fs::write(&path, format!("{i}")).unwrap();
                std::thread::sleep(Duration::from_millis(1));
                if until.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
            }
        });
        let taken = place.take(None);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        writer.join().unwrap();
        assert!(matches!(taken, Err(FilesFault::Changed)));
    }
}
