//! A folder that a peer exported, as a way to its blobs: what it holds is believed by digests alone.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cohortium_protocol::digest::BlobDigest;
use cohortium_protocol::outboard::{Range, outboard_bytes};
use cohortium_protocol::record::listing::BlobRef;
use tokio::task::spawn_blocking;

use crate::driver::files::open_plain;

/// The folder of blobs.
pub(crate) const BLOBS: &str = "blobs";
/// The folder of outboards.
pub(crate) const OUTBOARDS: &str = "outboards";

/// A folder that is being taken in.
pub(crate) struct Folder {
    path: PathBuf,
    wrong: Mutex<Option<String>>,
}

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), wrong: Mutex::default() }
    }

    /// The first thing in it that was missing or wrong.
    pub(crate) fn wrong(&self) -> Option<String> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is wrong is named to the person who brought the folder.
    pub(crate) fn note(&self, what: String) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
    }

    /// A range of a blob, or its outboard. `None`: it is not there or cannot be read, which was noted.
    pub(crate) async fn read(self: &Arc<Self>, blob: BlobRef, range: Option<Range>) -> Option<Vec<u8>> {
        let name = name_of(blob.digest, range);
        let (path, bytes) = (self.path.join(&name), blob.bytes.0);
        let read = spawn_blocking(move || match range {
            None => read_part(&path, outboard_bytes(bytes), 0, outboard_bytes(bytes)),
            Some(range) => read_part(&path, bytes, range.offset, range.len),
        });
        let read = read.await.unwrap_or_else(|_| Err(io::Error::other("could not be read")));
        read.map_err(|fault| self.note(format!("{name}: {fault}"))).ok()
    }
}

/// Where a part lies in the folder.
pub(crate) fn name_of(digest: BlobDigest, range: Option<Range>) -> String {
    let folder = if range.is_some() { BLOBS } else { OUTBOARDS };
    format!("{folder}/{digest}")
}

/// `length` bytes from `offset` of a plain file that is `whole` bytes long.
fn read_part(path: &Path, whole: u64, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let (file, _) = open_plain(path)?;
    if file.metadata()?.len() != whole {
        return Err(io::Error::other(format!("is not {whole} bytes long")));
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}
