//! Who may read what: recipients, their tokens and their scopes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cohortium_protocol::digest::sha256;
use cohortium_protocol::time::UnixMillis;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::name::TableName;

/// Random bytes of a token.
pub const TOKEN_BYTES: usize = 32;

/// What a recipient shows to be let in: 256 random bits, written in 43 characters of base64url. Wiped when dropped; it
/// has no text form but [`BearerToken::reveal`].
#[expect(missing_debug_implementations, reason = "it is a secret")]
pub struct BearerToken(Zeroizing<[u8; TOKEN_BYTES]>);

impl BearerToken {
    /// A token of these bytes, which come from a secure random source and are used for nothing else.
    pub fn new(random: [u8; TOKEN_BYTES]) -> Self {
        Self(Zeroizing::new(random))
    }

    /// Reads what a caller showed. The length is no secret.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        let read = URL_SAFE_NO_PAD.decode_slice(text.as_bytes(), bytes.as_mut()).ok()?;
        (read == TOKEN_BYTES).then_some(Self(bytes))
    }

    /// The text that goes into the recipient's profile, once.
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0.as_ref()))
    }

    /// What the node keeps of it. SHA-256 is enough: nobody guesses 256 random bits, however fast the hash is.
    pub fn hash(&self) -> TokenHash {
        TokenHash(sha256(&[b"cohortium/share-token/1", self.0.as_ref()]))
    }
}

/// What is kept of a token.
#[derive(Clone, Copy)]
pub struct TokenHash(pub [u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash")
    }
}

/// An id that stays with a recipient, whatever its name or token: 128 random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecipientId(pub [u8; 16]);

/// Whether a recipient is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Until its token expires.
    Admitted,
    /// Not any more: every token and every link ended with it.
    Revoked,
}

/// Somebody whom tables were granted to.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// Its id.
    pub id: RecipientId,
    /// Its name, for people and for the log.
    pub name: String,
    /// The hash of its one token.
    pub token: TokenHash,
    /// Until when the token is good.
    pub expires: UnixMillis,
    /// Whether it is let in.
    pub standing: Standing,
    /// The tables that were granted to it; nothing else exists for it.
    pub tables: BTreeSet<TableName>,
}

/// Why a recipient is not let in. It is told only to who has shown a token or a link of this recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shut {
    /// The token's time is over.
    Expired,
    /// The recipient was revoked.
    Revoked,
}

impl Recipient {
    /// Whether the recipient is let in at `now`.
    ///
    /// # Errors
    /// [`Shut`].
    pub fn admit(&self, now: UnixMillis) -> Result<(), Shut> {
        match self.standing {
            Standing::Revoked => Err(Shut::Revoked),
            Standing::Admitted if now >= self.expires => Err(Shut::Expired),
            Standing::Admitted => Ok(()),
        }
    }

    /// Whether the table was granted to it.
    pub fn may_read(&self, table: &TableName) -> bool {
        self.tables.contains(table)
    }
}

/// All recipients of a node. A value of its own; the node hands out another one after every grant and revocation.
#[derive(Debug, Clone, Default)]
pub struct Recipients(BTreeMap<RecipientId, Arc<Recipient>>);

impl Recipients {
    /// These recipients; of two with one id the later stays.
    pub fn new(recipients: impl IntoIterator<Item = Recipient>) -> Self {
        Self(recipients.into_iter().map(|recipient| (recipient.id, Arc::new(recipient))).collect())
    }

    /// The recipient of this id.
    pub fn get(&self, id: RecipientId) -> Option<&Arc<Recipient>> {
        self.0.get(&id)
    }

    /// Whose token this is. Every hash is compared whole, whether or not one has matched.
    pub(crate) fn by_token(&self, token: &BearerToken) -> Option<&Arc<Recipient>> {
        let shown = token.hash();
        let mut found = None;
        for recipient in self.0.values() {
            if bool::from(recipient.token.0.ct_eq(&shown.0)) {
                found = Some(recipient);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipient(id: u8, token: u8) -> Recipient {
        Recipient {
            id: RecipientId([id; 16]),
            name: format!("r{id}"),
            token: BearerToken::new([token; 32]).hash(),
            expires: UnixMillis(100),
            standing: Standing::Admitted,
            tables: BTreeSet::from(["a.b.c".parse().unwrap()]),
        }
    }

    // DSS-2
    #[test]
    fn a_token_finds_its_recipient_by_its_hash_alone() {
        let all = Recipients::new([recipient(1, 7), recipient(2, 8)]);
        let shown = BearerToken::new([8; 32]).reveal();
        assert_eq!(shown.len(), 43);
        let found = |text: &str| all.by_token(&BearerToken::read(text)?).map(|recipient| recipient.id);
        assert_eq!(found(&shown), Some(RecipientId([2; 16])));
        assert_eq!(found(&BearerToken::new([9; 32]).reveal()), None);
        for bad in ["", "x", &shown[..42], &format!("{}A", *shown), &format!("{}=", *shown), "ä"] {
            assert!(BearerToken::read(bad).is_none(), "{bad:?}");
        }
        let kept = format!("{all:?}");
        assert!(!kept.contains(&*shown) && !kept.contains("8, 8, 8, 8"), "neither token nor hash is shown");
        assert_ne!(recipient(2, 8).token.0, [8; 32], "what is kept is no token");
    }

    #[test]
    fn a_recipient_is_let_in_until_its_time_and_not_after_a_revocation() {
        let good = recipient(1, 7);
        assert_eq!([99, 100].map(|now| good.admit(UnixMillis(now))), [Ok(()), Err(Shut::Expired)]);
        let revoked = Recipient { standing: Standing::Revoked, ..recipient(1, 7) };
        assert_eq!([0, 100].map(|now| revoked.admit(UnixMillis(now))), [Err(Shut::Revoked); 2]);
    }

    #[test]
    fn what_was_not_granted_is_not_readable() {
        let one = recipient(1, 7);
        assert!(one.may_read(&"a.b.c".parse().unwrap()));
        assert!(!one.may_read(&"a.b.d".parse().unwrap()) && !one.may_read(&"b.b.c".parse().unwrap()));
    }
}
