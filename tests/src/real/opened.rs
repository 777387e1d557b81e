//! A node's stores, opened with its own keys after its daemon has ended: every blob and journal entry as it was before it was
//! sealed, and of a Parquet blob every page unpacked.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "only tests call this; what goes wrong fails them")]

use std::path::Path;

use cohortium_node::home::{self, Home};
use cohortium_store::blob::BlobStore;
use cohortium_store::journal::Journal;
use cohortium_store::keystore::{KeySource, Keystore};

/// A blob or a journal entry in plain.
#[derive(Clone, PartialEq, Eq)]
pub struct Plain {
    /// What it is.
    pub name: String,
    /// Its bytes as they were sealed.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} bytes", self.name, self.bytes.len())
    }
}

/// Everything that the node in `home` has stored sealed. Its daemon must have ended. `key` is its key file.
pub fn stored(home: &Path, key: &Path) -> Vec<Plain> {
    let home = Home::open(home).unwrap();
    let keystore = Keystore::open(&home.keystore(), &KeySource::KeyFile(key.to_owned())).unwrap();
    let mut found = Vec::new();
    let blobs = BlobStore::open(&home.blobs(), &home::blobs_key(&keystore)).unwrap();
    for digest in blobs.list().unwrap() {
        let reader = blobs.reader(digest).unwrap();
        let mut bytes = vec![0; usize::try_from(reader.bytes()).unwrap()];
        let read = reader.read_at(0, &mut bytes).unwrap();
        assert_eq!(read, bytes.len());
        found.push(Plain { name: format!("blob {digest}"), bytes });
    }
    for membership in home.memberships().unwrap() {
        let id = &membership.consortium;
        Journal::verify_folder(&home.journal(id), &home::journal_key(&keystore, id), |number, record| {
            found.push(Plain { name: format!("journal entry {number}"), bytes: record.to_vec() });
        })
        .unwrap();
    }
    found
}
