//! What the server stands on. The node implements it; nothing else of the node is seen from here.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use cohortium_protocol::digest::BlobDigest;
use cohortium_protocol::time::UnixMillis;

use crate::catalogue::Catalogue;
use crate::name::TableName;
use crate::recipient::{RecipientId, Recipients};

/// Something of the node does not answer; the reason is in the node's own log. The caller is told no more than this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unavailable;

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the node's log or store does not answer")
    }
}

impl std::error::Error for Unavailable {}

/// The content of one file. It is read from a thread that may block.
pub trait FileBytes: Send + Sync {
    /// Bytes from `offset` on: at least one, at most `most`, all of them within the file.
    ///
    /// # Errors
    /// [`Unavailable`], also when the content is damaged.
    fn read(&self, offset: u64, most: usize) -> Result<Bytes, Unavailable>;
}

/// What the node gives: what is offered, to whom, the bytes, the log, the time. It is asked anew in every request, and
/// between the pieces of a file, so that what it takes back is gone at once.
pub trait Ground: Send + Sync + 'static {
    /// What is offered now. Cheap.
    fn catalogue(&self) -> Arc<Catalogue>;

    /// Who is known now. Cheap.
    fn recipients(&self) -> Arc<Recipients>;

    /// Opens a file of the catalogue. May block.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn open(&self, file: BlobDigest) -> Result<Arc<dyn FileBytes>, Unavailable>;

    /// Writes an entry that is durable when this returns; no byte of it leaves before, and none after an error. May block.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn record(&self, access: &Access) -> Result<(), Unavailable>;

    /// The time, for expiry and for the log.
    fn now(&self) -> UnixMillis;
}

/// One answer with content, as it goes into the log: who gets how many bytes of what, and when. A reader that is cut or
/// goes away gets fewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Who asked.
    pub recipient: RecipientId,
    /// What for.
    pub what: Accessed,
    /// Bytes of the answer's body, at most.
    pub bytes: u64,
    /// When.
    pub at: UnixMillis,
}

/// What an answer tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accessed {
    /// Names of shares, schemas or tables.
    Names,
    /// A table's schema, or which files a version has, with links to them.
    Table {
        /// The table.
        table: TableName,
        /// The version.
        version: u64,
    },
    /// The content of a file.
    File {
        /// The table.
        table: TableName,
        /// The version.
        version: u64,
        /// The file.
        file: BlobDigest,
        /// The first byte.
        first: u64,
    },
}
