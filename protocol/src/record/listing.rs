//! The listing: the blob that names a snapshot's blobs. Not signed itself; the manifest names it by digest.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::BlobDigest;
use crate::ident::RelPath;
use crate::limits::{BLOB_BYTES_MAX, LISTING_ENTRIES_MAX};
use crate::quantity::{Bytes, Rows};

/// A blob's name and length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "(BlobDigest, Bytes)", into = "(BlobDigest, Bytes)")]
pub struct BlobRef {
    /// Its BLAKE3 hash.
    pub digest: BlobDigest,
    /// Its length.
    pub bytes: Bytes,
}

/// A blob longer than the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobTooLong;

impl fmt::Display for BlobTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a blob is longer than {BLOB_BYTES_MAX}")
    }
}

impl std::error::Error for BlobTooLong {}

impl TryFrom<(BlobDigest, Bytes)> for BlobRef {
    type Error = BlobTooLong;

    fn try_from((digest, bytes): (BlobDigest, Bytes)) -> Result<Self, BlobTooLong> {
        if bytes > BLOB_BYTES_MAX { Err(BlobTooLong) } else { Ok(Self { digest, bytes }) }
    }
}

impl From<BlobRef> for (BlobDigest, Bytes) {
    fn from(blob: BlobRef) -> Self {
        (blob.digest, blob.bytes)
    }
}

/// What a blob is to its snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlobRole {
    /// Rows of a table, as Parquet: all of them, or in a delta the new and changed ones.
    Rows,
    /// Ids of rows that are gone, as Parquet.
    Deletes,
    /// A file of a file set.
    File,
}

/// One blob of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ListingEntry {
    /// Where it belongs.
    pub path: RelPath,
    /// What it is.
    pub role: BlobRole,
    /// Which blob.
    pub blob: BlobRef,
    /// Rows in it; zero for files.
    pub rows: Rows,
}

/// A snapshot's blobs, in ascending order of their paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<ListingEntry>", into = "Vec<ListingEntry>")]
pub struct Listing(Vec<ListingEntry>);

/// Why entries do not make a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListingFault {
    /// More entries than the bound.
    TooMany,
    /// Not in strictly ascending order of paths.
    Order,
    /// Two paths that differ in case only: one file on some systems.
    CaseTwin(RelPath),
    /// A path that is also the folder of another.
    FileIsFolder(RelPath),
}

impl fmt::Display for ListingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => write!(f, "the listing has more than {LISTING_ENTRIES_MAX} entries"),
            Self::Order => f.write_str("the listing's paths are not in ascending order"),
            Self::CaseTwin(path) => write!(f, "{path} and another path differ in case only"),
            Self::FileIsFolder(path) => write!(f, "{path} is also a folder of another path"),
        }
    }
}

impl std::error::Error for ListingFault {}

impl TryFrom<Vec<ListingEntry>> for Listing {
    type Error = ListingFault;

    fn try_from(entries: Vec<ListingEntry>) -> Result<Self, ListingFault> {
        if entries.len() > LISTING_ENTRIES_MAX {
            return Err(ListingFault::TooMany);
        }
        if !entries.iter().zip(entries.iter().skip(1)).all(|(a, b)| a.path < b.path) {
            return Err(ListingFault::Order);
        }
        let folded: Vec<String> = entries.iter().map(|entry| entry.path.as_str().to_lowercase()).collect();
        let mut files = BTreeSet::new();
        for (entry, text) in entries.iter().zip(&folded) {
            if !files.insert(text.as_str()) {
                return Err(ListingFault::CaseTwin(entry.path.clone()));
            }
        }
        for (entry, text) in entries.iter().zip(&folded) {
            let mut folders = text.match_indices('/').filter_map(|(at, _)| text.get(..at));
            if folders.any(|folder| files.contains(folder)) {
                return Err(ListingFault::FileIsFolder(entry.path.clone()));
            }
        }
        Ok(Self(entries))
    }
}

impl From<Listing> for Vec<ListingEntry> {
    fn from(listing: Listing) -> Self {
        listing.0
    }
}

impl Listing {
    /// The entries, in ascending order of their paths.
    pub fn entries(&self) -> &[ListingEntry] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::blob_digest;

    fn entry(path: &str) -> ListingEntry {
        let blob = BlobRef { digest: blob_digest(b"x"), bytes: Bytes(1) };
        ListingEntry { path: path.parse().unwrap(), role: BlobRole::File, blob, rows: Rows(0) }
    }

    // SNAP-3
    #[test]
    fn paths_that_could_overwrite_one_another_are_no_listing() {
        let listing = |paths: &[&str]| Listing::try_from(paths.iter().map(|path| entry(path)).collect::<Vec<_>>());
        assert!(listing(&["a", "a.b", "b/a", "b/c"]).is_ok());
        assert_eq!(listing(&["b", "a"]).err(), Some(ListingFault::Order));
        assert_eq!(listing(&["a", "a"]).err(), Some(ListingFault::Order));
        assert_eq!(listing(&["A", "a"]).err(), Some(ListingFault::CaseTwin("a".parse().unwrap())));
        assert_eq!(listing(&["a", "a/b"]).err(), Some(ListingFault::FileIsFolder("a/b".parse().unwrap())));
        assert_eq!(listing(&["A", "a/b"]).err(), Some(ListingFault::FileIsFolder("a/b".parse().unwrap())));
    }

    // SNAP-4
    #[test]
    fn a_blob_is_at_most_one_tebibyte() {
        let with = |bytes| BlobRef::try_from((blob_digest(b""), Bytes(bytes))).is_ok();
        assert_eq!([with(BLOB_BYTES_MAX.0), with(BLOB_BYTES_MAX.0 + 1)], [true, false]);
    }
}
