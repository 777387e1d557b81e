//! The join protocol: a hospital that is on no roster shows its key and a one-time secret. One stream, two frames.

use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::digest::{DocumentDigest, sha256_for};
use crate::hex::byte_string;
use crate::ident::{ConsortiumId, Name, Text};
use crate::key::pair::PublicKey;
use crate::key::signed::Signed;
use crate::record::charter::Charter;
use crate::record::node_record::NodeRecord;
use crate::time::UnixMillis;

byte_string! {
    /// HMAC-SHA-256 by which a hospital shows that it holds the one-time secret.
    JoinProof, 32
}

/// What an operator sends a hospital by mail: enough to find and recognise the consortium's node, once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// The name the hospital will have.
    pub party: Name,
    /// The operator's root key, from which its node record is checked.
    pub operator: PublicKey,
    /// The operator's TLS key, so that the first connection is to nobody else.
    pub tls: PublicKey,
    /// `host:port` of the operator's node.
    pub address: Text,
    /// The one-time secret.
    pub secret: crate::ident::Nonce,
    /// It cannot be used from here on.
    pub expires: UnixMillis,
}

impl std::fmt::Debug for JoinToken {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JoinToken({} to {})", self.party, self.consortium)
    }
}

/// The name under which an operator keeps a one-time secret (spec JOIN-2).
pub fn secret_digest(secret: &crate::ident::Nonce) -> DocumentDigest {
    DocumentDigest(sha256_for("join secret", secret.as_bytes()))
}

/// By which a hospital says which secret it holds, without showing what proves it (spec JOIN-2).
pub fn secret_id(secret: DocumentDigest) -> DocumentDigest {
    DocumentDigest(sha256_for("join secret id", secret.as_bytes()))
}

/// Proves the secret for one pair of TLS keys and one root, so that a proof seen elsewhere is of no use (spec JOIN-1).
pub fn prove(
    secret: DocumentDigest,
    operator_tls: &PublicKey,
    hospital_tls: &PublicKey,
    root: &PublicKey,
) -> JoinProof {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mut proof = [0; 32];
    proof.copy_from_slice(hmac::sign(&key, &proven(operator_tls, hospital_tls, root)).as_ref());
    JoinProof(proof)
}

/// Whether `proof` is what [`prove`] makes of the same, compared in constant time: how far a guess is right shows nowhere.
pub fn proves(
    proof: &JoinProof,
    secret: DocumentDigest,
    operator_tls: &PublicKey,
    hospital_tls: &PublicKey,
    root: &PublicKey,
) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::verify(&key, &proven(operator_tls, hospital_tls, root), proof.as_bytes()).is_ok()
}

fn proven(operator_tls: &PublicKey, hospital_tls: &PublicKey, root: &PublicKey) -> Vec<u8> {
    let keys = [operator_tls, hospital_tls, root].map(|key| key.as_bytes().as_slice());
    [b"cohortium/1 join", keys[0], keys[1], keys[2]].concat()
}

/// A hospital asks to be put to the members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// Which secret: [`secret_id`] of its digest.
    pub secret: DocumentDigest,
    /// That it holds it.
    pub proof: JoinProof,
    /// Its node record, signed by the root key in it.
    pub record: Signed<NodeRecord>,
}

/// The operator has noted it. Admission needs a charter version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinAck {
    /// The first charter, whose digest is the consortium's id.
    pub charter: Signed<Charter>,
    /// The operator's node record.
    pub record: Signed<NodeRecord>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::Nonce;
    use crate::key::pair::KeyPair;

    // JOIN-1
    #[test]
    fn a_proof_is_for_one_secret_and_these_three_keys() {
        let key = |seed: u8| KeyPair::from_seed(&[seed; 32]).public();
        let secret = secret_digest(&Nonce([1; 16]));
        let proof = prove(secret, &key(1), &key(2), &key(3));
        let others = [
            prove(secret_digest(&Nonce([2; 16])), &key(1), &key(2), &key(3)),
            prove(secret, &key(4), &key(2), &key(3)),
            prove(secret, &key(1), &key(4), &key(3)),
            prove(secret, &key(1), &key(2), &key(4)),
        ];
        assert!(others.iter().all(|other| *other != proof));
        let proves = |proof: &JoinProof| proves(proof, secret, &key(1), &key(2), &key(3));
        assert!(proves(&proof));
        assert!(!others.iter().any(proves));
        let mut bent = proof;
        bent.0[31] ^= 1;
        assert!(!proves(&bent), "every byte counts");
    }
}
