//! A new file or folder for people: it appears under its name whole or not at all, and takes nobody else's place.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use cohortium_store::seal::random;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// What is being made beside its final path, under a random name. Dropped before [`Fresh::place`], it is removed; nothing
/// else ever is.
pub(crate) struct Fresh {
    temp: PathBuf,
    path: PathBuf,
    kind: Kind,
    placed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
}

impl Fresh {
    /// Begins a folder that only this user can open.
    pub(crate) fn folder(path: &Path) -> io::Result<Self> {
        let temp = beside(path)?;
        DirBuilder::new().mode(0o700).create(&temp)?;
        Ok(Self { temp, path: path.to_owned(), kind: Kind::Folder, placed: false })
    }

    /// Begins a file that only this user can read.
    pub(crate) fn file(path: &Path) -> io::Result<(Self, File)> {
        let temp = beside(path)?;
        let file = create(&temp)?;
        Ok((Self { temp, path: path.to_owned(), kind: Kind::File, placed: false }, file))
    }

    /// Where it is until it is placed.
    pub(crate) fn temp(&self) -> &Path {
        &self.temp
    }

    /// Gives it its name, unless something has that name by now.
    pub(crate) fn place(mut self) -> io::Result<()> {
        match renameat_with(CWD, &self.temp, CWD, &self.path, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => self.place_by_hand()?,
            other => other?,
        }
        self.placed = true;
        // The name is there; that it may be lost with the power is what every file of a person may be.
        let _ = File::open(self.path.parent().unwrap_or(Path::new("/"))).and_then(|folder| folder.sync_all());
        Ok(())
    }

    /// For file systems that cannot rename without replacing: a link takes no place, and a folder replaces none but an
    /// empty one.
    fn place_by_hand(&self) -> io::Result<()> {
        match self.kind {
            Kind::File => {
                fs::hard_link(&self.temp, &self.path)?;
                fs::remove_file(&self.temp)
            }
            Kind::Folder if self.path.symlink_metadata().is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
            Kind::Folder => fs::rename(&self.temp, &self.path),
        }
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if self.placed {
            return;
        }
        let removed = match self.kind {
            Kind::File => fs::remove_file(&self.temp),
            Kind::Folder => fs::remove_dir_all(&self.temp),
        };
        if let Err(fault) = removed {
            tracing::warn!(event = "unfinished-output-stays", %fault);
        }
    }
}

/// A new file that only this user can read.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// A name that nobody has, in the same folder, so that a rename is enough.
fn beside(path: &Path) -> io::Result<PathBuf> {
    if path.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut temp = OsString::from(".");
    temp.push(name);
    temp.push(format!(".{:016x}.part", u64::from_le_bytes(random())));
    Ok(path.with_file_name(temp))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_appeared_meanwhile_or_was_there_before_is_neither_replaced_nor_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, folder) = (dir.path().join("out.csv"), dir.path().join("out"));
        fs::write(dir.path().join("out.csv.part"), b"mine").unwrap();
        fs::create_dir(dir.path().join("out.part")).unwrap();
        let (fresh_file, _) = Fresh::file(&file).unwrap();
        let fresh_folder = Fresh::folder(&folder).unwrap();
        fs::write(&file, b"theirs").unwrap();
        fs::create_dir(&folder).unwrap();
        for placed in [fresh_file.place(), fresh_folder.place()] {
            assert_eq!(placed.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        }
        assert!(Fresh::file(&file).is_err() && Fresh::folder(&folder).is_err());
        assert_eq!(fs::read(&file).unwrap(), b"theirs");
        assert_eq!(names(dir.path()), ["out", "out.csv", "out.csv.part", "out.part"]);
    }

    #[test]
    fn it_is_for_this_user_alone_and_goes_when_it_is_not_placed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, folder) = (dir.path().join("f"), dir.path().join("d"));
        let (fresh, _) = Fresh::file(&file).unwrap();
        fresh.place().unwrap();
        Fresh::folder(&folder).unwrap().place().unwrap();
        assert_eq!((mode(&file), mode(&folder)), (0o600, 0o700));
        let left = Fresh::folder(&dir.path().join("e")).unwrap();
        fs::write(left.temp().join("part"), b"row").unwrap();
        drop((left, Fresh::file(&dir.path().join("g")).unwrap()));
        assert_eq!(names(dir.path()), ["d", "f"]);
    }

    #[test]
    fn a_file_system_without_that_rename_is_no_excuse() {
        let dir = tempfile::tempdir().unwrap();
        let (fresh, _) = Fresh::file(&dir.path().join("f")).unwrap();
        fs::write(dir.path().join("f"), b"theirs").unwrap();
        assert!(fresh.place_by_hand().is_err());
        let folder = Fresh::folder(&dir.path().join("d")).unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        assert!(folder.place_by_hand().is_err());
        assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"theirs");
    }
}
