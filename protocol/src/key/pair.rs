//! Signing and sealing keys. Weak keys have no value of type [`PublicKey`].

use std::fmt;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use crate::hex::{self, byte_string};

byte_string! {
    /// An Ed25519 signature.
    SignatureBytes, 64
}

/// A key that is not a point of large order, so that a signature under it binds one message (spec KEY-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeakKey;

impl fmt::Display for WeakKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not a public key, or is one of small order")
    }
}

impl std::error::Error for WeakKey {}

/// An Ed25519 public key: a canonical point that is not of small order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Checks the 32 bytes.
    ///
    /// # Errors
    /// [`WeakKey`] for bytes that are no point, a small-order point, or not the canonical encoding of their point.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, WeakKey> {
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| WeakKey)?;
        // A sign that no point has is only that of x = 0, which is a small-order point.
        if key.is_weak() || !is_reduced(&bytes) { Err(WeakKey) } else { Ok(Self(bytes)) }
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether `signature` over exactly `message` stands, by the strict rules (no small-order R, canonical S).
    pub fn verifies(&self, message: &[u8], signature: &SignatureBytes) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        VerifyingKey::from_bytes(&self.0).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
    }

    /// A short text that two people can compare by voice: eight groups of four digits of the key's SHA-256.
    pub fn fingerprint(&self) -> String {
        let digest = crate::digest::sha256_for("fingerprint", &self.0);
        let groups: Vec<String> = digest.chunks(2).take(8).map(hex::text).collect();
        groups.join("-")
    }
}

/// Whether the y coordinate of an encoding is below 2^255 - 19, as RFC 8032 (5.1.3) asks. Every entry of a journal has keys in it, and
/// this takes less than to encode the point again.
fn is_reduced(bytes: &[u8; 32]) -> bool {
    let [least, middle @ .., top] = bytes;
    let all_ones = top & 0x7f == 0x7f && middle.iter().all(|byte| *byte == 0xff);
    !all_ones || *least < 0xed
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl std::str::FromStr for PublicKey {
    type Err = WeakKey;

    fn from_str(text: &str) -> Result<Self, WeakKey> {
        hex::parse(text).map_err(|_| WeakKey).and_then(Self::from_bytes)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        hex::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_bytes(hex::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// An Ed25519 key pair. Neither shown nor stored by this crate; wiped when dropped.
#[expect(missing_debug_implementations, reason = "a secret has no text form")]
#[derive(Clone)]
pub struct KeyPair(SigningKey);

impl KeyPair {
    /// The pair of a 32-byte seed, which must come from a secure random source.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs exactly `message`.
    pub fn sign(&self, message: &[u8]) -> SignatureBytes {
        SignatureBytes(self.0.sign(message).to_bytes())
    }
}

byte_string! {
    /// An X25519 public key, to which a linkage key is wrapped.
    SealingKey, 32
}

/// The secret half of a sealing key.
#[expect(missing_debug_implementations, reason = "a secret has no text form")]
#[derive(Clone)]
pub struct SealingSecret(StaticSecret);

impl SealingSecret {
    /// The secret of 32 random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(StaticSecret::from(*seed))
    }

    /// The public half.
    pub fn public(&self) -> SealingKey {
        SealingKey(x25519_dalek::PublicKey::from(&self.0).to_bytes())
    }

    /// The shared secret with `theirs`; `None` when their key contributes nothing (a small-order point).
    pub(crate) fn agree(&self, theirs: &SealingKey) -> Option<Zeroizing<[u8; 32]>> {
        let shared = self.0.diffie_hellman(&x25519_dalek::PublicKey::from(theirs.0));
        shared.was_contributory().then(|| Zeroizing::new(shared.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // KEY-1
    #[test]
    fn a_key_of_small_order_or_with_a_second_encoding_is_refused() {
        let mut small_order = vec![[0; 32], [0; 32]];
        small_order[1][0] = 1;
        let mut minus_one = [0xff; 32];
        (minus_one[0], minus_one[31]) = (0xec, 0x7f);
        let mut non_canonical_one = [0xff; 32];
        (non_canonical_one[0], non_canonical_one[31]) = (0xee, 0x7f);
        small_order.extend([minus_one, non_canonical_one]);
        for bytes in small_order {
            assert_eq!(PublicKey::from_bytes(bytes), Err(WeakKey), "{bytes:02x?}");
        }
    }

    // KEY-1
    #[test]
    fn exactly_the_encodings_that_a_point_has_are_keys() {
        // Every y that is not below the prime, its neighbours below it, small ones and some of all sizes; both signs.
        let high = (0xe0..=0xff).map(|least| {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (least, 0x7f);
            bytes
        });
        let low = (0..=64).map(|least| {
            let mut bytes = [0; 32];
            bytes[0] = least;
            bytes
        });
        let others = (0..64).map(|seed: u8| crate::digest::sha256(&[&[seed]]));
        let mut keys = 0;
        for bytes in high.chain(low).chain(others) {
            for sign in [0, 0x80] {
                let mut bytes = bytes;
                bytes[31] = bytes[31] & 0x7f | sign;
                // What is encoded again must be the same.
                let point = VerifyingKey::from_bytes(&bytes).ok();
                let again = point.filter(|key| !key.is_weak() && key.to_edwards().compress().to_bytes() == bytes);
                assert_eq!(PublicKey::from_bytes(bytes).is_ok(), again.is_some(), "{bytes:02x?}");
                keys += usize::from(again.is_some());
            }
        }
        assert!(keys > 50, "some are keys: {keys}");
    }

    // KEY-2
    #[test]
    fn a_signature_binds_key_and_message() {
        let pair = KeyPair::from_seed(&[7; 32]);
        let signature = pair.sign(b"message");
        assert!(pair.public().verifies(b"message", &signature));
        assert!(!pair.public().verifies(b"messagf", &signature));
        assert!(!KeyPair::from_seed(&[8; 32]).public().verifies(b"message", &signature));
        let mut bent = signature;
        bent.0[63] ^= 0x10;
        assert!(!pair.public().verifies(b"message", &bent));
    }
}
