//! Snapshots carried by hand: a provider writes a folder, a consumer takes it in with the same checks as from the network.
//!
//! ```text
//! heading.bin        who exported what for whom, with the digest of documents.bin, signed by the provider's node
//! documents.bin      every document in order, each with its length as u32, little endian
//! blobs/<digest>     the blobs of the snapshots, not sealed
//! outboards/<digest> their outboards
//! ```

pub(crate) mod folder;
pub(crate) mod whole;
pub(crate) mod export;
pub(crate) mod import;
