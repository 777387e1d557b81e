//! Links to files: who holds one may read one file of one version for one recipient, until it expires. The link is
//! all the proof there is, as clients ask for files without their token; so it is checked each time.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cohortium_protocol::digest::BlobDigest;
use cohortium_protocol::time::UnixMillis;
use ring::hmac;

use crate::recipient::{RecipientId, TokenHash};

/// The key under which a server makes its links and page tokens; no link outlives it. Has no text form.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "it is a secret")]
pub struct LinkKey(hmac::Key);

impl LinkKey {
    /// A key of 256 bits that come from a secure random source and are used for nothing else.
    pub fn new(random: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, random))
    }

    /// A tag over parts whose number and lengths the domain fixes, except the last.
    pub(crate) fn tag(&self, domain: &'static str, parts: &[&[u8]]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(domain.as_bytes());
        for part in parts {
            context.update(part);
        }
        context.sign()
    }

    /// Whether `shown` is the tag over these parts, compared in constant time.
    pub(crate) fn is_tag(&self, domain: &'static str, parts: &[&[u8]], shown: &[u8]) -> bool {
        let message = [&[domain.as_bytes()], parts].concat().concat();
        hmac::verify(&self.0, &message, shown).is_ok()
    }
}

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) recipient: RecipientId,
    /// The table's id, which outlives its name.
    pub(crate) table: [u8; 16],
    pub(crate) version: u64,
    pub(crate) file: BlobDigest,
    pub(crate) expires: UnixMillis,
}

const DOMAIN: &str = "cohortium/share-link/1";
const CLAIMS_BYTES: usize = 16 + 16 + 8 + 32 + 8;
const TAG_BYTES: usize = 32;
/// Characters of a link: the claims and the tag in base64url.
const LINK_CHARACTERS: usize = (CLAIMS_BYTES + TAG_BYTES).div_ceil(3) * 4;

impl Claims {
    fn bytes(&self) -> [u8; CLAIMS_BYTES] {
        let mut bytes = [0; CLAIMS_BYTES];
        bytes[..16].copy_from_slice(&self.recipient.0);
        bytes[16..32].copy_from_slice(&self.table);
        bytes[32..40].copy_from_slice(&self.version.to_be_bytes());
        bytes[40..72].copy_from_slice(&self.file.0);
        bytes[72..].copy_from_slice(&self.expires.0.to_be_bytes());
        bytes
    }

    /// The last part of the link's path. The token's hash is under the tag, so that a new token ends all old links.
    pub(crate) fn sign(&self, key: &LinkKey, token: &TokenHash) -> String {
        let bytes = self.bytes();
        let tag = key.tag(DOMAIN, &[&token.0, &bytes]);
        URL_SAFE_NO_PAD.encode([&bytes, tag.as_ref()].concat())
    }
}

/// A link as somebody showed it: nothing in it is true yet.
#[derive(Clone, Copy)]
pub(crate) struct Shown {
    claims: Claims,
    tag: [u8; TAG_BYTES],
}

impl Shown {
    /// Takes a link apart; `None` when no server writes one like this.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if text.len() > LINK_CHARACTERS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (claims, tag) = bytes.split_at_checked(CLAIMS_BYTES)?;
        let part = |from: usize, to: usize| claims.get(from..to);
        let claims = Claims {
            recipient: RecipientId(part(0, 16)?.try_into().ok()?),
            table: part(16, 32)?.try_into().ok()?,
            version: u64::from_be_bytes(part(32, 40)?.try_into().ok()?),
            file: BlobDigest(part(40, 72)?.try_into().ok()?),
            expires: UnixMillis(u64::from_be_bytes(part(72, 80)?.try_into().ok()?)),
        };
        Some(Self { claims, tag: tag.try_into().ok()? })
    }

    /// Whose key decides about it.
    pub(crate) fn recipient(&self) -> RecipientId {
        self.claims.recipient
    }

    /// The claims, if this server made them for the token of this hash.
    pub(crate) fn verify(&self, key: &LinkKey, token: &TokenHash) -> Option<Claims> {
        key.is_tag(DOMAIN, &[&token.0, &self.claims.bytes()], &self.tag).then_some(self.claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            recipient: RecipientId([1; 16]),
            table: [2; 16],
            version: 3,
            file: BlobDigest([4; 32]),
            expires: UnixMillis(5),
        }
    }

    // DSS-12
    #[test]
    fn a_link_holds_only_under_its_key_its_token_and_unchanged() {
        let (key, token) = (LinkKey::new(&[7; 32]), TokenHash([8; 32]));
        let link = claims().sign(&key, &token);
        assert_eq!(link.len(), 150);
        let opened = |text: &str, key: &LinkKey, token: &TokenHash| Shown::read(text)?.verify(key, token);
        assert_eq!(opened(&link, &key, &token), Some(claims()));
        assert_eq!(opened(&link, &LinkKey::new(&[6; 32]), &token), None, "another server's");
        assert_eq!(opened(&link, &key, &TokenHash([9; 32])), None, "a token that was replaced");
        for at in 0..link.len() {
            let mut bytes = link.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(opened(&changed, &key, &token), None, "character {at}");
        }
        for bad in ["", "A", &link[1..], &format!("{link}A"), &format!("{link}="), "..", "%2e"] {
            assert!(opened(bad, &key, &token).is_none(), "{bad:?}");
        }
    }
}
