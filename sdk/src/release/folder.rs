//! The folder of a release as it is read: on a disk, or wherever else somebody keeps one.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use cohortium_protocol::digest::{BlobDigest, Sha256};
use cohortium_protocol::outboard::OutboardBuilder;
use cohortium_protocol::record::release::FileDigest;

/// Bytes read at once.
const PIECE_BYTES: usize = 1 << 20;
/// Folders within folders.
const DEPTH_MAX: usize = 8;
/// Files of one release.
const FILES_MAX: usize = 20_000;

/// Why a file is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFault {
    /// It is not there.
    Missing,
    /// It is there and cannot be read, or is no plain file.
    Unreadable,
    /// It is longer than such a file can be.
    TooLong,
}

impl fmt::Display for ReadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "is missing",
            Self::Unreadable => "cannot be read, or is no plain file",
            Self::TooLong => "is longer than such a file can be",
        })
    }
}

impl std::error::Error for ReadFault {}

/// A folder of a release, to be read only.
pub trait FolderRead {
    /// The paths of all files, with `/` between folders and names.
    ///
    /// # Errors
    /// The path that cannot be listed.
    fn paths(&self) -> Result<Vec<String>, (String, ReadFault)>;

    /// Reads a file in pieces, to its end.
    ///
    /// # Errors
    /// [`ReadFault`].
    fn pieces(&self, path: &str, each: &mut dyn FnMut(&[u8])) -> Result<(), ReadFault>;

    /// A whole file of at most so many bytes.
    ///
    /// # Errors
    /// [`ReadFault`].
    fn whole(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, ReadFault> {
        let (mut bytes, mut long) = (Vec::new(), false);
        self.pieces(path, &mut |piece| {
            long |= bytes.len() + piece.len() > bytes_max;
            if !long {
                bytes.extend_from_slice(piece);
            }
        })?;
        if long { Err(ReadFault::TooLong) } else { Ok(bytes) }
    }

    /// A file's length and both digests.
    ///
    /// # Errors
    /// [`ReadFault`].
    fn digests(&self, path: &str) -> Result<(u64, BlobDigest, FileDigest), ReadFault> {
        let (mut blake3, mut sha256) = (OutboardBuilder::new(), Sha256::new());
        self.pieces(path, &mut |piece| {
            blake3.push(piece);
            sha256.push(piece);
        })?;
        let bytes = blake3.blob_bytes();
        Ok((bytes, blake3.finish().0, FileDigest(sha256.finish())))
    }
}

/// A folder on a disk.
#[derive(Debug, Clone)]
pub struct DiskFolder {
    root: PathBuf,
}

impl DiskFolder {
    /// The folder at `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Bytes of all its plain files that can be seen; what cannot is found out by who reads it.
    pub(super) fn bytes(&self) -> u64 {
        let paths = self.paths().unwrap_or_default();
        let sizes = paths.iter().filter_map(|path| fs::symlink_metadata(self.root.join(path)).ok());
        sizes.filter(fs::Metadata::is_file).map(|file| file.len()).sum()
    }

    fn visit(&self, folder: &str, depth: usize, found: &mut Vec<String>) -> Result<(), (String, ReadFault)> {
        let shown = || if folder.is_empty() { ".".to_owned() } else { folder.to_owned() };
        let unreadable = |_| (shown(), ReadFault::Unreadable);
        if depth > DEPTH_MAX || found.len() > FILES_MAX {
            return Err((shown(), ReadFault::TooLong));
        }
        for entry in fs::read_dir(self.root.join(folder)).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let path = if folder.is_empty() { name.into_owned() } else { format!("{folder}/{name}") };
            if entry.file_type().map_err(unreadable)?.is_dir() {
                self.visit(&path, depth + 1, found)?;
            } else {
                found.push(path);
            }
        }
        Ok(())
    }
}

impl FolderRead for DiskFolder {
    fn paths(&self) -> Result<Vec<String>, (String, ReadFault)> {
        let mut found = Vec::new();
        self.visit("", 0, &mut found)?;
        found.sort();
        Ok(found)
    }

    fn pieces(&self, path: &str, each: &mut dyn FnMut(&[u8])) -> Result<(), ReadFault> {
        let path = self.root.join(path);
        let kind = fs::symlink_metadata(&path).map_err(|fault| match fault.kind() {
            std::io::ErrorKind::NotFound => ReadFault::Missing,
            _ => ReadFault::Unreadable,
        })?;
        if !kind.is_file() {
            return Err(ReadFault::Unreadable);
        }
        let mut file = File::open(&path).map_err(|_| ReadFault::Unreadable)?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = file.read(&mut piece).map_err(|_| ReadFault::Unreadable)?;
            if read == 0 {
                return Ok(());
            }
            each(&piece[..read]);
        }
    }
}
