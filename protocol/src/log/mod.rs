//! The audit log: an RFC 6962 Merkle tree in the C2SP tlog-tiles layout, with signed-note checkpoints (spec chapter 6).
//!
//! A leaf is a salted digest of one journal record, so the log's files say nothing about the records. Nothing here
//! reads a file: tiles come through [`tile::TileRead`], and what is to be written is handed out as tiles and bytes.

pub mod tree;
pub mod note;
pub mod fault;
pub mod tile;
pub mod edge;
pub mod checkpoint;
pub mod proof;
pub mod witness;
pub mod check;

use ring::hmac;

use crate::digest::sha256_for;
use crate::hex::byte_string;

byte_string! {
    /// What an entry bundle holds for one journal record: its salted digest, never the record (spec LOG-2).
    LeafEntry, 32
}

/// The salt of leaf `index`: HMAC-SHA256 under the log's salt key over the index as 8 bytes, little endian (spec LOG-3).
///
/// Erasing one salt, or the key, unlinks the leaves from their records for everybody.
pub fn leaf_salt(key: &[u8; 32], index: u64) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut salt = [0; 32];
    salt.copy_from_slice(hmac::sign(&key, &index.to_le_bytes()).as_ref());
    salt
}

/// The entry of a journal record: SHA-256 for "log leaf" over the salt and the record (spec LOG-2).
pub fn leaf_entry(salt: &[u8; 32], record: &[u8]) -> LeafEntry {
    let salted = [salt.as_slice(), record].concat();
    LeafEntry(sha256_for("log leaf", &salted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;

    // LOG-2, LOG-3: computed with Python's hmac and hashlib.
    #[test]
    fn an_entry_is_the_salted_digest_that_an_outside_script_computes() {
        let salt = leaf_salt(&[7; 32], 258);
        assert_eq!(salt, hex::parse("f318840665dc44cc5cc81cbba4d7d0e1ebcb2284a0c9292147e71c169b5a4b08").unwrap());
        let entry = leaf_entry(&salt, b"record");
        assert_eq!(entry.to_string(), "cff1126de2ce957dbee7b0fdaccea66e99caaa09b41c8157a70e5e38bed1e78c");
        assert_ne!(leaf_entry(&leaf_salt(&[7; 32], 259), b"record"), entry);
        assert_ne!(leaf_entry(&leaf_salt(&[8; 32], 258), b"record"), entry);
    }
}
