//! Wrapping a linkage key to one recipient's sealing key: X25519, HKDF-SHA-256, AES-256-GCM. The relay cannot open it.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::Zeroizing;

use crate::key::pair::{SealingKey, SealingSecret};
use crate::wire::codec::Blob;

/// Why a wrap cannot be made or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrapFault {
    /// The other side's key is a small-order point.
    KeyRefused,
    /// Not wrapped to this key, for this purpose, or changed on the way.
    NotForUs,
}

impl fmt::Display for WrapFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeyRefused => "the sealing key is not usable",
            Self::NotForUs => "the wrapped key does not open with this node's sealing key",
        })
    }
}

impl std::error::Error for WrapFault {}

/// A 32-byte secret. No text form; wiped when dropped.
#[expect(missing_debug_implementations, reason = "a secret has no text form")]
#[derive(Clone, PartialEq, Eq)]
pub struct Secret32(Zeroizing<[u8; 32]>);

impl Secret32 {
    /// Takes 32 bytes over.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// HKDF-SHA-256 with `salt` and `info`, 32 bytes out.
///
/// # Panics
/// Never: the length is within what HKDF can give.
pub fn derive(salt: &[u8], secret: &Secret32, info: &[&[u8]]) -> Secret32 {
    let mut out = Zeroizing::new([0; 32]);
    let extracted = Salt::new(HKDF_SHA256, salt).extract(secret.as_bytes());
    let filled = extracted.expand(info, Length32);
    filled.and_then(|okm| okm.fill(out.as_mut())).expect("32 bytes are within HKDF-SHA-256's 8,160");
    Secret32(out)
}

#[derive(Debug, Clone, Copy)]
struct Length32;

impl KeyType for Length32 {
    fn len(&self) -> usize {
        32
    }
}

/// Wraps `secret` to `recipient`; `context` (who, for what) must be given again to open it.
///
/// `ephemeral` must be fresh: one key, one wrap, so that the fixed nonce is used once. Returns the ephemeral public
/// key and the ciphertext.
///
/// # Errors
/// [`WrapFault::KeyRefused`] when the recipient's key is a small-order point.
pub fn wrap(
    secret: &Secret32,
    ephemeral: &SealingSecret,
    recipient: &SealingKey,
    context: &[u8],
) -> Result<(SealingKey, Blob), WrapFault> {
    let public = ephemeral.public();
    let key = wrapping_key(ephemeral, recipient, &public, recipient, context)?;
    let mut bytes = secret.as_bytes().to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), Aad::from(context), &mut bytes)
        .map_err(|_| WrapFault::KeyRefused)?;
    Ok((public, Blob(bytes)))
}

/// Opens what [`wrap`] made.
///
/// # Errors
/// [`WrapFault`]; nothing of the secret is revealed.
pub fn unwrap(
    ours: &SealingSecret,
    ephemeral: &SealingKey,
    ciphertext: &Blob,
    context: &[u8],
) -> Result<Secret32, WrapFault> {
    let key = wrapping_key(ours, ephemeral, ephemeral, &ours.public(), context)?;
    let mut bytes = Zeroizing::new(ciphertext.0.clone());
    let opened = key
        .open_in_place(Nonce::assume_unique_for_key([0; 12]), Aad::from(context), &mut bytes)
        .map_err(|_| WrapFault::NotForUs)?;
    <[u8; 32]>::try_from(&*opened).map(Secret32::new).map_err(|_| WrapFault::NotForUs)
}

fn wrapping_key(
    ours: &SealingSecret,
    theirs: &SealingKey,
    ephemeral: &SealingKey,
    recipient: &SealingKey,
    context: &[u8],
) -> Result<LessSafeKey, WrapFault> {
    let shared = ours.agree(theirs).ok_or(WrapFault::KeyRefused)?;
    let info: [&[u8]; 4] = [b"cohortium/1 linkage wrap", ephemeral.as_bytes(), recipient.as_bytes(), context];
    let key = derive(b"", &Secret32(shared), &info);
    let unbound = UnboundKey::new(&AES_256_GCM, key.as_bytes()).map_err(|_| WrapFault::KeyRefused)?;
    Ok(LessSafeKey::new(unbound))
}

#[cfg(test)]
mod tests {
    use super::*;

    // LINK-2
    #[test]
    fn a_wrap_opens_for_its_recipient_and_context_alone() {
        let (ephemeral, recipient) = (SealingSecret::from_seed(&[1; 32]), SealingSecret::from_seed(&[2; 32]));
        let secret = Secret32::new([9; 32]);
        let (public, ciphertext) = wrap(&secret, &ephemeral, &recipient.public(), b"north 1").unwrap();
        assert!(unwrap(&recipient, &public, &ciphertext, b"north 1").is_ok_and(|opened| opened == secret));
        assert_eq!(unwrap(&recipient, &public, &ciphertext, b"north 2").err(), Some(WrapFault::NotForUs));
        let stranger = SealingSecret::from_seed(&[3; 32]);
        assert_eq!(unwrap(&stranger, &public, &ciphertext, b"north 1").err(), Some(WrapFault::NotForUs));
        for byte in 0..ciphertext.0.len() {
            let mut bent = ciphertext.clone();
            bent.0[byte] ^= 1;
            assert!(unwrap(&recipient, &public, &bent, b"north 1").is_err(), "byte {byte}");
        }
        assert_eq!(wrap(&secret, &ephemeral, &SealingKey([0; 32]), b"").err(), Some(WrapFault::KeyRefused));
    }
}
