//! The folder as a peer: it answers fetches, and what it holds is believed by digests and signatures alone.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cohortium_protocol::endpoint::io::{Answer, Part};
use cohortium_protocol::ident::{ConsortiumId, Name, SubscriptionId};
use cohortium_protocol::limits::DOCUMENT_BYTES_MAX;
use cohortium_protocol::message::document::Numbered;
use cohortium_protocol::outboard::outboard_bytes;
use cohortium_protocol::wire::codec;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use crate::driver::bulk::{self, Wanted};
use crate::driver::landings::Landings;

/// The documents.
pub(crate) const DOCUMENTS: &str = "documents.bin";
/// The folder of blobs.
pub(crate) const BLOBS: &str = "blobs";
/// The folder of outboards.
pub(crate) const OUTBOARDS: &str = "outboards";
/// Documents of one folder.
const DOCUMENTS_MAX: usize = 1_000_000;

/// What a folder says it is. Nothing is believed of it that a signature does not say again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Heading {
    pub(crate) consortium: ConsortiumId,
    pub(crate) provider: Name,
    pub(crate) subscription: SubscriptionId,
}

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

    fn note(&self, what: String) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
    }

    /// Reads a part of a blob, and verifies and stores it exactly as from the network. A folder that is damaged is not its
    /// provider's lie: what is wrong is named to the person who brought it, and a good copy lands later.
    pub(crate) async fn fetch(self: Arc<Self>, wanted: &Wanted, landings: &Arc<Landings>) -> Answer {
        let name = match wanted.part {
            Part::Outboard => format!("{OUTBOARDS}/{}", wanted.blob.digest),
            Part::Range(_) => format!("{BLOBS}/{}", wanted.blob.digest),
        };
        let (path, range, blob_bytes) = (self.path.join(&name), wanted.range(), wanted.blob.bytes.0);
        let read = spawn_blocking(move || match range {
            None => read_part(&path, outboard_bytes(blob_bytes), 0, outboard_bytes(blob_bytes)),
            Some(range) => read_part(&path, blob_bytes, range.offset, range.len),
        });
        let answer = match read.await {
            Ok(Ok(bytes)) => bulk::keep(wanted, bytes, landings).await,
            Ok(Err(fault)) => {
                self.note(format!("{name}: {fault}"));
                return Answer::Lost;
            }
            Err(_) => Answer::LocalFault,
        };
        if answer == Answer::Wrong {
            self.note(format!("{name} is not what its digest says"));
            return Answer::Lost;
        }
        answer
    }
}

/// `length` bytes from `offset` of a plain file that is `whole` bytes long.
fn read_part(path: &Path, whole: u64, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let (file, _) = crate::driver::files::open_plain(path)?;
    if file.metadata()?.len() != whole {
        return Err(io::Error::other(format!("is not {whole} bytes long")));
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// One length-prefixed piece of `documents.bin`.
pub(crate) fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a document is at most 1 MiB");
    [&length.to_le_bytes(), bytes].concat()
}

/// Reads heading and documents. Blocks.
pub(crate) fn read_documents(folder: &Path) -> Result<(Heading, Vec<Numbered>), String> {
    let path = folder.join(DOCUMENTS);
    let malformed = || format!("{} is damaged", path.display());
    let (file, _) = crate::driver::files::open_plain(&path).map_err(|fault| format!("{fault} while opening {}", path.display()))?;
    let mut reader = io::BufReader::new(file);
    let heading = next(&mut reader).map_err(|_| malformed())?.ok_or_else(malformed)?;
    let heading = codec::decode(&heading, DOCUMENT_BYTES_MAX).map_err(|_| malformed())?;
    let mut documents = Vec::new();
    while let Some(bytes) = next(&mut reader).map_err(|_| malformed())? {
        if documents.len() >= DOCUMENTS_MAX {
            return Err(malformed());
        }
        documents.push(codec::decode(&bytes, DOCUMENT_BYTES_MAX).map_err(|_| malformed())?);
    }
    Ok((heading, documents))
}

/// The next piece, bounded before it is allocated; `None` at the end.
fn next(reader: &mut io::BufReader<File>) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    let mut first = [0; 1];
    if reader.read(&mut first)? == 0 {
        return Ok(None);
    }
    length[0] = first[0];
    reader.read_exact(&mut length[1..])?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > DOCUMENT_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}
