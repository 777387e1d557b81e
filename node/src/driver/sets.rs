//! Sets of tables of this node's own store: a listing that names tables, quarantine, report and what they were made of.

use std::os::fd::OwnedFd;

use cohortium_protocol::digest::DocumentDigest;
use cohortium_protocol::ident::{Name, RelPath};
use cohortium_protocol::limits::EXTENSION_BYTES_MAX;
use cohortium_protocol::quantity::Rows;
use cohortium_protocol::record::dataset::{Dataset, Source};
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::listing::{BlobRef, BlobRole, ListingEntry};
use cohortium_protocol::record::mapping::Origin;
use cohortium_protocol::record::vocabulary::Vocabulary;
use cohortium_protocol::wire::codec;

use crate::driver::hands::Hands;
use crate::driver::listings::listing;
use crate::driver::making::{Run, disk};
use crate::worker::job::{Key32, SealedFile};

/// The path of a set's account and quality report in its listing.
pub(crate) const REPORT_PATH: &str = "report.json";
/// The path of its quarantine.
pub(crate) const QUARANTINE_PATH: &str = "quarantine.parquet";
/// The path of what it was made of.
pub(crate) const ORIGIN_PATH: &str = "origin";

/// The path of what the sources were, for the next run.
pub(crate) const SHAPES_PATH: &str = "shapes";
/// The path of the vocabulary that codes were mapped with.
pub(crate) const VOCABULARY_PATH: &str = "vocabulary";

/// The path of a mapped table in its set's listing.
pub(crate) fn table_path(table: &str) -> String {
    format!("tables/{table}.parquet")
}

/// One file of a set.
pub(crate) fn entry(path: &str, role: BlobRole, blob: BlobRef, rows: Rows) -> Run<ListingEntry> {
    let path: RelPath = path.parse().map_err(|_| RunFault::WorkerLost)?;
    Ok(ListingEntry { path, role, blob, rows })
}

/// Finds a file of a set.
pub(crate) fn find(hands: &Hands, set: BlobRef, path: &str) -> Run<ListingEntry> {
    let listing = listing(&hands.blobs, set).ok_or(RunFault::SetStale)?;
    listing.entries().iter().find(|entry| entry.path.as_str() == path).cloned().ok_or(RunFault::SetStale)
}

/// Opens a mapped table for a worker.
pub(crate) fn open_table(hands: &Hands, set: BlobRef, table: &Name) -> Run<(SealedFile, OwnedFd)> {
    let found = find(hands, set, &table_path(table.as_str()))?;
    open(hands, found.blob)
}

/// Opens a blob of this node's own for a worker.
pub(crate) fn open(hands: &Hands, blob: BlobRef) -> Run<(SealedFile, OwnedFd)> {
    let (file, key, bytes) = hands.blobs.open_for_worker(blob.digest).map_err(|fault| disk(&fault))?;
    Ok((SealedFile { key: Key32(*key.expose()), bytes }, file.into()))
}

/// The mapping and the common schema that a set was made with.
pub(crate) fn made_of(hands: &Hands, set: BlobRef) -> Run<(DocumentDigest, DocumentDigest)> {
    let bytes = read(hands, find(hands, set, ORIGIN_PATH)?.blob)?;
    codec::decode(&bytes, ORIGIN_BYTES_MAX).map_err(|_| RunFault::SetStale)
}

/// The vocabulary that the codes of a set were mapped with.
pub(crate) fn vocabulary(hands: &Hands, set: BlobRef) -> Run<Option<Vocabulary>> {
    let listing = listing(&hands.blobs, set).ok_or(RunFault::SetStale)?;
    let Some(found) = listing.entries().iter().find(|entry| entry.path.as_str() == VOCABULARY_PATH) else {
        return Ok(None);
    };
    let bytes = read(hands, found.blob)?;
    codec::decode(&bytes, EXTENSION_BYTES_MAX).map(Some).map_err(|_| RunFault::SetStale)
}

/// What a manifest of a mapped table says of where its rows come from.
pub(crate) fn origin(hands: &Hands, set: BlobRef, dataset: &Dataset) -> Run<Option<Origin>> {
    let Source::Mapped { table, .. } = &dataset.source else { return Ok(None) };
    let (mapping, schema) = made_of(hands, set)?;
    let software = concat!("cohortium-", env!("CARGO_PKG_VERSION")).parse().map_err(|_| RunFault::WorkerLost)?;
    Ok(Some(Origin { mapping, schema, set: set.digest, table: table.clone(), software }))
}

/// Two digests.
const ORIGIN_BYTES_MAX: usize = 64;
/// A report for a person's screen, at most.
const REPORT_READ_MAX: u64 = 64 << 20;

/// A small file of a set.
pub(crate) fn read(hands: &Hands, blob: BlobRef) -> Run<Vec<u8>> {
    let reader = hands.blobs.reader(blob.digest).map_err(|fault| disk(&fault))?;
    let length = usize::try_from(blob.bytes.0.min(REPORT_READ_MAX)).map_err(|_| RunFault::Limit)?;
    let mut bytes = vec![0; length];
    reader.read_at(0, &mut bytes).map_err(|fault| disk(&fault))?;
    Ok(bytes)
}
