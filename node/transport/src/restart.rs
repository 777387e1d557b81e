//! What a restarted node can say of connections that it forgot: QUIC's stateless resets (RFC 9000, section 10.3), whose tokens
//! follow from a secret that outlives the process. Without them a peer waits for the idle timeout before it dials again.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cohortium_protocol::digest::keyed_id;
use cohortium_protocol::key::wrap::{Secret32, derive};
use quinn::crypto::{CryptoError, HmacKey};
use quinn::{ConnectionId, ConnectionIdGenerator, EndpointConfig};

/// Bytes of a connection id.
const ID_BYTES: usize = 8;
/// Bytes of a reset token.
const TOKEN_BYTES: usize = 16;

/// The secret of a node's resets, one for each TLS key.
#[derive(Clone)]
pub(crate) struct Restart(Secret32);

impl Restart {
    /// The secret that goes with the TLS key of this seed.
    pub(crate) fn of(seed: &[u8; 32]) -> Self {
        Self(derive(b"", &Secret32::new(*seed), &[b"cohortium quic stateless reset"]))
    }

    /// Settings of an endpoint whose forgotten connections are reset.
    pub(crate) fn endpoint(&self) -> EndpointConfig {
        let mut config = EndpointConfig::new(Arc::new(ResetKey(self.0.clone())));
        let secret = self.0.clone();
        config.cid_generator(move || Box::new(Ids::new(secret.clone())));
        config
    }
}

struct ResetKey(Secret32);

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(&keyed_id(self.0.as_bytes(), [b"token".as_slice(), data]));
    }

    fn signature_len(&self) -> usize {
        TOKEN_BYTES
    }

    /// Tokens are compared by their receiver alone, so nothing here learns from the time that this takes.
    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let expected = keyed_id(self.0.as_bytes(), [b"token".as_slice(), data]);
        if expected == signature { Ok(()) } else { Err(CryptoError) }
    }
}

/// Connection ids. Those of an earlier process are taken for ids too, so that they are answered by a reset.
struct Ids {
    secret: Secret32,
    began: u128,
    count: u64,
}

impl Ids {
    fn new(secret: Secret32) -> Self {
        let began = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        Self { secret, began, count: 0 }
    }
}

impl ConnectionIdGenerator for Ids {
    /// Nobody without the secret can tell which ids are of one connection, or foretell the next.
    fn generate_cid(&mut self) -> ConnectionId {
        self.count += 1;
        let (began, count) = (self.began.to_le_bytes(), self.count.to_le_bytes());
        let id = keyed_id(self.secret.as_bytes(), [b"connection".as_slice(), &began, &count]);
        ConnectionId::new(&id[..ID_BYTES])
    }

    fn cid_len(&self) -> usize {
        ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_tokens_outlive_the_process() {
        let mut ids = Ids::new(Restart::of(&[1; 32]).0);
        assert_ne!(ids.generate_cid(), ids.generate_cid());
        let token = |seed: u8, id: &[u8]| {
            let mut token = [0; TOKEN_BYTES];
            ResetKey(Restart::of(&[seed; 32]).0).sign(id, &mut token);
            token
        };
        assert_eq!(token(1, b"id"), token(1, b"id"));
        assert_ne!(token(1, b"id"), token(2, b"id"));
        assert_ne!(token(1, b"id"), token(1, b"di"));
    }
}
