//! Listings out of the blob store, and what they say of a version.

use cohortium_protocol::limits::LISTING_BYTES_MAX;
use cohortium_protocol::quantity::Rows;
use cohortium_protocol::record::listing::{BlobRef, BlobRole, Listing};
use cohortium_protocol::wire::codec;
use cohortium_store::blob::{BlobFault, BlobStore};

/// Reads a listing out of the store; `None` when the blob is none, cannot be read, or is too long to be one. Blocks.
pub(crate) fn listing(blobs: &BlobStore, blob: BlobRef) -> Option<Listing> {
    read_listing(blobs, blob).ok().flatten()
}

/// As [`listing`], but tells a blob that cannot be read from one that is no listing. Blocks.
pub(crate) fn read_listing(blobs: &BlobStore, blob: BlobRef) -> Result<Option<Listing>, BlobFault> {
    let length = usize::try_from(blob.bytes.0).ok().filter(|length| *length <= LISTING_BYTES_MAX);
    let reader = blobs.reader(blob.digest)?;
    let Some(length) = length.filter(|_| reader.bytes() == blob.bytes.0) else { return Ok(None) };
    let mut bytes = vec![0; length];
    reader.read_at(0, &mut bytes)?;
    Ok(codec::decode(&bytes, LISTING_BYTES_MAX).ok())
}

/// Rows that a listing states of one role.
pub(crate) fn rows_stated(listing: &Listing, role: BlobRole) -> Rows {
    Rows(listing.entries().iter().filter(|entry| entry.role == role).map(|entry| entry.rows.0).sum())
}
