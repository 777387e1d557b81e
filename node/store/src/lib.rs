//! What a node keeps: journal, index, blobs, keys; all of it sealed.
//!
//! The journal is the truth of one consortium, append-only and fsynced before anybody is told. The index is what can be
//! rebuilt from it. Blobs are whole files named by their digest. The keystore is one small file outside of all of them.
//! Everything else that touches the disk goes through `disk`, so that an error always says what was being done and where.
//! Nothing here knows a protocol rule: which entry may be written and which blob may be served is decided by the caller.
//!
//! ```text
//! keystore  passphrase or key file -> node key -> data keys
//! journal   segments of sealed records, chained            (truth)
//! index     sled trees of sealed values                    (rebuilt from the journal)
//! blob      sealed stream + sealed outboard + wrapped key  (one file a blob)
//! landing   ranges of a blob that is on its way, with the map of those that are safe
//! tiles     audit log: tiles, bundles, signed checkpoints  (derived from the journal, not sealed)
//! ```

pub mod disk;
pub mod seal;
pub mod stream;
pub mod keystore;
pub mod journal;
mod segment;
pub mod blob;
mod foot;
pub mod landing;
pub mod index;
mod tile_files;
pub mod tiles;

#[cfg(test)]
mod fixture;
