//! Digests: SHA-256 names signed documents, BLAKE3 names blobs, keyed BLAKE3 names a member's rows.
//!
//! Documents are small and an outside checker should need nothing but a standard library, so they are named by
//! SHA-256; blobs are large, so they are named by BLAKE3 (DESIGN.md, decisions).

use ring::digest::{Context, SHA256};

use crate::hex::byte_string;

byte_string! {
    /// The name of a signed document: SHA-256 over its DSSE pre-authentication encoding (spec DOC-1).
    DocumentDigest, 32
}

byte_string! {
    /// The name of a blob: the plain BLAKE3 hash of its bytes.
    BlobDigest, 32
}

byte_string! {
    /// A BLAKE3 chaining value of an inner node or chunk group.
    ChainingValue, 32
}

/// SHA-256 of the parts, one after the other.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.push(part);
    }
    hasher.finish()
}

/// SHA-256 of bytes that come in pieces.
#[expect(missing_debug_implementations, reason = "what was hashed so far is nobody's matter")]
pub struct Sha256(Context);

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl Sha256 {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// The next piece.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all pieces.
    pub fn finish(self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(self.0.finish().as_ref());
        out
    }
}

/// SHA-256 of `bytes` for one purpose: `domain` and its length come first, so that no two purposes share a preimage.
pub fn sha256_for(domain: &'static str, bytes: &[u8]) -> [u8; 32] {
    sha256(&[&preamble(domain), bytes])
}

/// BLAKE3 of the parts, one after the other, for one purpose: [`sha256_for`] where there is much to hash.
pub fn blake3_for<'a>(domain: &'static str, parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&preamble(domain));
    for part in parts {
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// What stands before everything that is hashed for one purpose: a constant, the domain's length, the domain.
pub(crate) fn preamble(domain: &'static str) -> Vec<u8> {
    let length = u64::try_from(domain.len()).unwrap_or(u64::MAX).to_le_bytes();
    [b"cohortium/1 ", length.as_slice(), domain.as_bytes()].concat()
}

/// The digest of a whole blob that is at hand.
pub fn blob_digest(bytes: &[u8]) -> BlobDigest {
    BlobDigest(*blake3::hash(bytes).as_bytes())
}

/// A keyed BLAKE3 hash over the parts of one value, cut to 16 bytes: the same value under the same key gives the same
/// id, and nobody without the key can tell which value it was.
///
/// Each part is preceded by its length, so that `["ab", "c"]` and `["a", "bc"]` differ. Used for a member's own row
/// ids and opt-out entries, never for linkage tokens (those are HMACs, law 1).
pub fn keyed_id<'a>(key: &[u8; 32], parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in parts {
        hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(part);
    }
    let mut out = [0; 16];
    hasher.finalize_xof().fill(&mut out);
    out
}

/// [`keyed_id`] of parts that the caller has put into one message: each one's length as u64 little endian, then the part.
/// Much quicker for short messages.
///
/// # Panics
/// Never: a hash is longer than an id.
pub fn keyed_id_framed(key: &[u8; 32], message: &[u8]) -> [u8; 16] {
    *blake3::keyed_hash(key, message).as_bytes().first_chunk().expect("a hash has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_equal_the_published_test_values() {
        // FIPS 180-4 example "abc"; BLAKE3 test_vectors.json, input length 0.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(DocumentDigest(sha256(&[b"a", b"bc"])).to_string(), abc);
        let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(blob_digest(b"").to_string(), empty);
    }

    #[test]
    fn a_keyed_id_depends_on_key_and_on_where_parts_end() {
        let id = |key: u8, parts: [&[u8]; 2]| keyed_id(&[key; 32], parts);
        assert_eq!(id(1, [b"ab", b"c"]), id(1, [b"ab", b"c"]));
        assert_ne!(id(1, [b"ab", b"c"]), id(1, [b"a", b"bc"]));
        assert_ne!(id(1, [b"ab", b"c"]), id(2, [b"ab", b"c"]));
        let message = b"\x02\0\0\0\0\0\0\0ab\x01\0\0\0\0\0\0\0c";
        assert_eq!(keyed_id_framed(&[1; 32], message), id(1, [b"ab", b"c"]));
    }
}
