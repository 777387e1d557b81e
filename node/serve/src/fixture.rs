//! Made-up tables for the tests of this package.

use cohortium_protocol::digest::{BlobDigest, blob_digest};
use cohortium_protocol::time::UnixMillis;

use crate::catalogue::{DataFile, Table, Version};
use crate::schema::{Column, ColumnType};

/// The content of a made-up file: its bytes tell its number and place.
pub(crate) fn content(number: u8) -> Vec<u8> {
    let length = 1000 + usize::from(number);
    (0..length).map(|at| u8::try_from(at % 251).unwrap() ^ number).collect()
}

pub(crate) fn digest(number: u8) -> BlobDigest {
    blob_digest(&content(number))
}

pub(crate) fn file(number: u8) -> DataFile {
    DataFile { digest: digest(number), bytes: u64::try_from(content(number).len()).unwrap(), rows: 10 }
}

pub(crate) fn version(number: u64, released: u64, files: &[u8]) -> Version {
    let columns = vec![Column { name: "a".to_owned(), holds: ColumnType::Long, nullable: true, comment: None }];
    Version { number, released: UnixMillis(released), columns, files: files.iter().copied().map(file).collect() }
}

pub(crate) fn table(name: &str, id: u8, versions: Vec<Version>) -> Table {
    Table { name: name.parse().unwrap(), id: [id; 16], share_id: [9; 16], description: None, versions }
}
