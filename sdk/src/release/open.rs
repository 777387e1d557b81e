//! A release for who uses it: verified when it is opened, and its rows only ever made of bytes that were verified.

use std::cell::Cell;
use std::fmt;
use std::path::Path;

use cohortium_protocol::ident::ConsortiumId;
use cohortium_protocol::record::charter::CharterKind;
use cohortium_protocol::record::project::ReleaseKind;
use cohortium_protocol::record::release::{AggregateDone, Done, Release};

use super::batches::{Batches, RowsFault};
use super::check::{VerifiedRelease, verify};
use super::fault::ReleaseFault;
use super::folder::{DiskFolder, FolderRead, ReadFault};

/// The release of a folder that was verified.
#[derive(Debug, Clone)]
pub struct OpenRelease {
    folder: DiskFolder,
    verified: VerifiedRelease,
}

impl OpenRelease {
    /// Verifies the folder of a release and opens it. Without the anchor anybody could have made all of it:
    /// [`VerifiedRelease::anchored`] says so.
    ///
    /// # Errors
    /// The first thing that is wrong with the folder.
    pub fn open(path: &Path, anchor: Option<ConsortiumId>) -> Result<Self, ReleaseFault> {
        Self::open_watched(path, anchor, &|_| true)
    }

    /// The same, and `each` is told how far it is with every piece of a file. Where it answers `false` no file is read any
    /// more: the file then counts as unreadable.
    ///
    /// # Errors
    /// As [`OpenRelease::open`].
    pub fn open_watched(
        path: &Path,
        anchor: Option<ConsortiumId>,
        each: &dyn Fn(Progress) -> bool,
    ) -> Result<Self, ReleaseFault> {
        let folder = DiskFolder::new(path);
        let total = folder.bytes();
        let verified = verify(&Watched { folder: &folder, done: Cell::new(0), total, each }, anchor)?;
        Ok(Self { folder, verified })
    }

    /// What stands of it.
    pub const fn verified(&self) -> &VerifiedRelease {
        &self.verified
    }

    /// The statement.
    pub const fn statement(&self) -> &Release {
        &self.verified.release
    }

    /// Rows, counts or private answers.
    pub fn kind(&self) -> ReleaseKind {
        self.verified.release.done.kind()
    }

    /// Whether it is of a rehearsal: no real patient may be behind it.
    pub fn rehearsal(&self) -> bool {
        self.verified.kind == CharterKind::Rehearsal
    }

    /// What it cost the population's account, and what its noise is; `None` for rows and counts, which claim no epsilon.
    pub fn cost(&self) -> Option<&AggregateDone> {
        match &self.verified.release.done {
            Done::Aggregate(done) => Some(done),
            Done::Microdata { .. } | Done::Counts { .. } => None,
        }
    }

    /// Its rows as Arrow, file by file. Each file is read whole, compared once more with the statement, and then decoded from
    /// memory: what has changed on the disk since it was opened is never decoded.
    ///
    /// # Errors
    /// [`RowsFault`] of the first file; of the others while they are read.
    pub fn batches(&self) -> Result<Batches, RowsFault> {
        Batches::new(self.folder.clone(), &self.verified.release)
    }
}

/// How far the verification of a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that were read.
    pub done: u64,
    /// Bytes of all files of the folder, as it was when the verification began.
    pub total: u64,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes", self.done, self.total)
    }
}

/// A folder that tells how much of it was read.
struct Watched<'a> {
    folder: &'a DiskFolder,
    done: Cell<u64>,
    total: u64,
    each: &'a dyn Fn(Progress) -> bool,
}

impl FolderRead for Watched<'_> {
    fn paths(&self) -> Result<Vec<String>, (String, ReadFault)> {
        self.folder.paths()
    }

    fn pieces(&self, path: &str, each: &mut dyn FnMut(&[u8])) -> Result<(), ReadFault> {
        let mut goes_on = true;
        self.folder.pieces(path, &mut |piece| {
            goes_on = goes_on && {
                // The statement is read twice: it is told once.
                let done = self.done.get().saturating_add(piece.len() as u64).min(self.total);
                self.done.set(done);
                (self.each)(Progress { done, total: self.total })
            };
            if goes_on {
                each(piece);
            }
        })?;
        if goes_on { Ok(()) } else { Err(ReadFault::Unreadable) }
    }
}
