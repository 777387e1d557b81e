//! Keys of sealed objects, and small sealed values. Streams of any length are `stream`'s.
//!
//! AES-256-GCM everywhere; associated data names the slot, so that a sealed value cannot stand in another's place.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// Bytes that sealing adds to a block.
pub const TAG_BYTES: usize = 16;
/// Bytes of a key that another key has wrapped.
pub const WRAPPED_KEY_BYTES: usize = NONCE_LEN + KEY_BYTES + TAG_BYTES;
/// Bytes that [`DataKey::seal_small`] adds to a value.
pub const SMALL_OVERHEAD_BYTES: usize = 1 + NONCE_LEN + TAG_BYTES;

/// The version of the small sealed value.
const SMALL_VERSION: u8 = 1;
/// The most that one small value may hold: an outboard of the most groups.
pub const SMALL_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Random bytes of the operating system.
///
/// # Panics
/// When the operating system has none, which getrandom(2) excludes once the machine has started.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("getrandom does not fail after the machine has started");
    bytes
}

/// A sealed value that does not open: damaged, in another's place, or under another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenFault {
    /// Too short to be sealed, or longer than [`SMALL_BYTES_MAX`].
    Length,
    /// A version that this program does not know.
    Version {
        /// The version found.
        found: u8,
    },
    /// Damaged, in another slot, or sealed under another key.
    Refused,
}

impl fmt::Display for OpenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => write!(f, "the sealed value has an impossible length"),
            Self::Version { found } => write!(f, "the sealed value has the unknown version {found}"),
            Self::Refused => write!(f, "the sealed value is damaged, misplaced or under another key"),
        }
    }
}

impl std::error::Error for OpenFault {}

/// A key under which things are sealed. Wiped when dropped; never printed, never serialised.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; KEY_BYTES]>);

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey")
    }
}

/// A [`DataKey`] that another one has wrapped for one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrappedKey(pub [u8; WRAPPED_KEY_BYTES]);

impl DataKey {
    /// A new random key.
    pub fn random() -> Self {
        Self(Zeroizing::new(random()))
    }

    /// The key of these bytes, which are copied; the caller wipes its own.
    pub fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The bytes, for handing the key to a worker process.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// The key for one `purpose` and `id` below this one: HKDF-SHA-256 (RFC 5869).
    #[must_use]
    pub fn derive(&self, purpose: &str, id: &[u8]) -> Self {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        let length = u64::try_from(purpose.len()).unwrap_or(u64::MAX).to_le_bytes();
        let info: [&[u8]; 4] = [b"cohortium-store/1 key ", &length, purpose.as_bytes(), id];
        self.expand(&[], &info, bytes.as_mut());
        Self(bytes)
    }

    /// HKDF-SHA-256 of this key.
    pub(crate) fn expand(&self, salt: &[u8], info: &[&[u8]], out: &mut [u8]) {
        struct Length(usize);
        impl KeyType for Length {
            fn len(&self) -> usize {
                self.0
            }
        }
        let key = Salt::new(HKDF_SHA256, salt).extract(self.0.as_slice());
        key.expand(info, Length(out.len()))
            .and_then(|bytes| bytes.fill(out))
            .expect("HKDF-SHA-256 gives up to 8,160 bytes and a key takes 96 at most");
    }

    /// Wraps `inner` so that only this key and the same `slot` unwrap it (envelope encryption).
    pub fn wrap(&self, slot: &[u8], inner: &Self) -> WrappedKey {
        let nonce = random();
        let mut wrapped = [0; WRAPPED_KEY_BYTES];
        let (head, rest) = wrapped.split_at_mut(NONCE_LEN);
        let (key, tag) = rest.split_at_mut(KEY_BYTES);
        head.copy_from_slice(&nonce);
        key.copy_from_slice(inner.expose());
        tag.copy_from_slice(&seal_in_place(&aes(self.expose()), nonce, &slot_aad(b"wrap", slot), key));
        WrappedKey(wrapped)
    }

    /// Unwraps what [`DataKey::wrap`] wrapped for the same slot.
    ///
    /// # Errors
    /// [`OpenFault::Refused`].
    pub fn unwrap(&self, slot: &[u8], wrapped: &WrappedKey) -> Result<Self, OpenFault> {
        let (nonce, rest) = wrapped.0.split_first_chunk::<NONCE_LEN>().ok_or(OpenFault::Length)?;
        let mut bytes = Zeroizing::new(rest.to_vec());
        let key = aes(self.expose());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let aad = slot_aad(b"wrap", slot);
        let opened = key.open_in_place(nonce, Aad::from(aad), &mut bytes).map_err(|_| OpenFault::Refused)?;
        let inner: &[u8; KEY_BYTES] = (&*opened).try_into().map_err(|_| OpenFault::Length)?;
        Ok(Self::from_bytes(inner))
    }

    /// Seals a value of at most [`SMALL_BYTES_MAX`] for one slot: version, random nonce, ciphertext, tag.
    ///
    /// Random nonces are safe for 2^32 values under one key (NIST SP 800-38D, section 8.3); no tree or file of a node
    /// comes near it.
    pub fn seal_small(&self, slot: &[u8], value: &[u8]) -> Vec<u8> {
        self.seal_small_with(random(), slot, value)
    }

    fn seal_small_with(&self, nonce: [u8; NONCE_LEN], slot: &[u8], value: &[u8]) -> Vec<u8> {
        assert!(value.len() <= SMALL_BYTES_MAX, "the caller bounds a small value");
        let mut sealed = Vec::with_capacity(value.len() + SMALL_OVERHEAD_BYTES);
        sealed.push(SMALL_VERSION);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(value);
        let body = sealed.get_mut(1 + NONCE_LEN..).expect("version and nonce were pushed");
        let tag = seal_in_place(&aes(self.expose()), nonce, &slot_aad(b"small", slot), body);
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Opens what [`DataKey::seal_small`] sealed for the same slot.
    ///
    /// # Errors
    /// [`OpenFault`].
    pub fn open_small(&self, slot: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenFault> {
        if sealed.len() < SMALL_OVERHEAD_BYTES || sealed.len() > SMALL_BYTES_MAX + SMALL_OVERHEAD_BYTES {
            return Err(OpenFault::Length);
        }
        let (version, rest) = sealed.split_first().ok_or(OpenFault::Length)?;
        if *version != SMALL_VERSION {
            return Err(OpenFault::Version { found: *version });
        }
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(OpenFault::Length)?;
        let mut body = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let key = aes(self.expose());
        let aad = slot_aad(b"small", slot);
        let length = key.open_in_place(nonce, Aad::from(aad), &mut body).map_err(|_| OpenFault::Refused)?.len();
        // What lies behind the length is the tag.
        body.truncate(length);
        Ok(body)
    }
}

/// The AES-256-GCM key of these bytes.
pub(crate) fn aes(bytes: &[u8; KEY_BYTES]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).expect("AES-256 takes 32 bytes"))
}

/// Seals a buffer of at most a few MiB where it lies.
pub(crate) fn seal_in_place(
    key: &LessSafeKey,
    nonce: [u8; NONCE_LEN],
    aad: &[u8],
    bytes: &mut [u8],
) -> [u8; TAG_BYTES] {
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), bytes)
        .expect("AES-GCM seals up to 64 GiB and a block is at most 8 MiB");
    tag.as_ref().try_into().expect("the tag of AES-GCM is 16 bytes")
}

fn slot_aad(kind: &[u8], slot: &[u8]) -> Vec<u8> {
    [b"cohortium-store/1 ", kind, b" ", slot].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_value_opens_in_its_slot_alone_and_no_bit_may_change() {
        let key = DataKey::random();
        let sealed = key.seal_small(b"slot", b"value");
        assert_eq!(key.open_small(b"slot", &sealed).unwrap(), b"value");
        assert_eq!(key.open_small(b"other", &sealed), Err(OpenFault::Refused));
        assert_eq!(DataKey::random().open_small(b"slot", &sealed), Err(OpenFault::Refused));
        assert_ne!(sealed, key.seal_small(b"slot", b"value"), "a nonce is never used twice");
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 0x40;
            assert!(key.open_small(b"slot", &flipped).is_err(), "byte {at}");
            assert!(key.open_small(b"slot", &sealed[..at]).is_err(), "cut at {at}");
        }
        let mut newer = sealed;
        newer[0] = 2;
        assert_eq!(key.open_small(b"slot", &newer), Err(OpenFault::Version { found: 2 }));
    }

    #[test]
    fn a_wrapped_key_comes_back_for_its_slot_alone() {
        let (outer, inner) = (DataKey::random(), DataKey::random());
        let wrapped = outer.wrap(b"blob a", &inner);
        assert_eq!(outer.unwrap(b"blob a", &wrapped).unwrap().expose(), inner.expose());
        assert_eq!(outer.unwrap(b"blob b", &wrapped).unwrap_err(), OpenFault::Refused);
        assert_eq!(inner.unwrap(b"blob a", &wrapped).unwrap_err(), OpenFault::Refused);
        for at in 0..WRAPPED_KEY_BYTES {
            let mut flipped = wrapped;
            flipped.0[at] ^= 1;
            assert!(outer.unwrap(b"blob a", &flipped).is_err(), "byte {at}");
        }
    }

    #[test]
    fn derived_keys_differ_by_purpose_and_id_and_a_key_does_not_print() {
        let key = DataKey::from_bytes(&[7; 32]);
        let derived = [key.derive("ab", b"c"), key.derive("a", b"bc"), key.derive("ab", b"d"), key.clone()];
        for (i, a) in derived.iter().enumerate() {
            for b in &derived[i + 1..] {
                assert_ne!(a.expose(), b.expose());
            }
        }
        assert_eq!(key.derive("ab", b"c").expose(), derived[0].expose());
        assert_eq!(format!("{key:?}"), "DataKey");
    }

    #[test]
    fn version_1_has_these_bytes_and_still_opens() {
        let key = crate::fixture::key();
        let golden = crate::fixture::bytes(include_str!("../tests/fixtures/small.hex"));
        assert_eq!(key.seal_small_with([0xa0; 12], b"slot", b"a small value"), golden);
        assert_eq!(key.open_small(b"slot", &golden).unwrap(), b"a small value");
        let wrapped = crate::fixture::bytes(include_str!("../tests/fixtures/wrapped.hex"));
        let wrapped = WrappedKey(wrapped.try_into().unwrap());
        let outer = DataKey::from_bytes(&[0x11; 32]);
        assert_eq!(outer.unwrap(b"slot", &wrapped).unwrap().expose(), key.expose());
    }
}
