//! Signed documents. `Signed<T>` came from anywhere; `Verified<T>` can only be made by checking the received bytes.
//!
//! The order is fixed (law 9): signatures over the bytes as received, then decode, then the canonical check inside the
//! codec. Nothing but this file looks into a `Signed`.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::code::ErrorCode;
use crate::digest::{DocumentDigest, sha256};
use crate::key::label::pre_authentication_encoding;
use crate::key::pair::{KeyPair, PublicKey, SignatureBytes};
use crate::limits::{DOCUMENT_BYTES_MAX, SIGNATURES_MAX};
use crate::wire::codec::{self, Blob, CodecFault};

/// A kind of document that is signed.
pub trait Record: Serialize + DeserializeOwned + Clone {
    /// Its payload type, with the wire and record version in it.
    const LABEL: &'static str;
    /// What a person calls it.
    const TITLE: &'static str;
}

/// One signature and the key it claims to be from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct SignatureLine {
    key: PublicKey,
    signature: SignatureBytes,
}

/// A payload, its type and the signatures over both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    payload_type: String,
    payload: Blob,
    signatures: Vec<SignatureLine>,
}

/// Why a document is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedFault {
    /// The payload type is not the expected record's.
    WrongType,
    /// More signatures than the bound, or not in strictly ascending order of their keys.
    SignatureOrder,
    /// A signature of an accepted key does not stand over the received bytes.
    SignatureInvalid,
    /// None of the accepted keys has signed.
    SignerMissing,
    /// The envelope or payload is not a canonical encoding.
    Codec(CodecFault),
}

impl SignedFault {
    /// What the peer is told.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::WrongType | Self::SignatureOrder | Self::Codec(_) => ErrorCode::Malformed,
            Self::SignatureInvalid | Self::SignerMissing => ErrorCode::SignatureInvalid,
        }
    }
}

impl fmt::Display for SignedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongType => f.write_str("is a document of another type"),
            Self::SignatureOrder => f.write_str("has signatures that are too many or out of order"),
            Self::SignatureInvalid => f.write_str("has a signature that does not stand over its bytes"),
            Self::SignerMissing => f.write_str("is not signed by a key that may sign it"),
            Self::Codec(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for SignedFault {}

impl From<CodecFault> for SignedFault {
    fn from(fault: CodecFault) -> Self {
        Self::Codec(fault)
    }
}

/// A document as received or as signed by this node: nothing about it is known yet.
pub struct Signed<T> {
    envelope: Envelope,
    kind: PhantomData<fn() -> T>,
}

impl<T: Record> Signed<T> {
    /// Encodes and signs a document.
    pub fn sign(document: &T, pair: &KeyPair) -> Self {
        let mut signed = Self::unsigned(document);
        signed.add_signature(pair);
        signed
    }

    /// The document with no signature yet; it verifies only after signatures were added.
    pub fn unsigned(document: &T) -> Self {
        let envelope = Envelope {
            payload_type: T::LABEL.to_owned(),
            payload: Blob(codec::encode(document)),
            signatures: Vec::new(),
        };
        Self { envelope, kind: PhantomData }
    }

    /// Adds this key's signature, in its place; a second time changes nothing (Ed25519 is deterministic).
    pub fn add_signature(&mut self, pair: &KeyPair) {
        let signature = pair.sign(&self.signed_bytes());
        self.insert(SignatureLine { key: pair.public(), signature });
    }

    /// The same document with the signatures of these keys alone: what nobody asked for is not carried on.
    #[must_use]
    pub fn only(&self, keys: &BTreeSet<PublicKey>) -> Self {
        let mut kept = self.clone();
        kept.envelope.signatures.retain(|line| keys.contains(&line.key));
        kept
    }

    /// Takes over the signatures that `other`, the same document, has and this one lacks.
    ///
    /// # Errors
    /// [`SignedFault::WrongType`] when the payloads differ.
    pub fn merge_signatures(&mut self, other: &Self) -> Result<(), SignedFault> {
        if self.envelope.payload != other.envelope.payload || self.envelope.payload_type != other.envelope.payload_type
        {
            return Err(SignedFault::WrongType);
        }
        other.envelope.signatures.iter().for_each(|line| self.insert(line.clone()));
        Ok(())
    }

    fn insert(&mut self, line: SignatureLine) {
        if let Err(place) = self.envelope.signatures.binary_search_by(|have| have.key.cmp(&line.key)) {
            self.envelope.signatures.insert(place, line);
        }
    }

    fn signed_bytes(&self) -> Vec<u8> {
        pre_authentication_encoding(&self.envelope.payload_type, &self.envelope.payload.0)
    }

    /// The document's name, whether or not its signatures stand.
    pub fn digest(&self) -> DocumentDigest {
        DocumentDigest(sha256(&[&self.signed_bytes()]))
    }

    /// Checks that at least one key of `accepted` has signed the received bytes, and decodes them.
    ///
    /// # Errors
    /// [`SignedFault`]. Every signature by an accepted key must stand; signatures by others are not looked at.
    pub fn verify(&self, accepted: &[PublicKey]) -> Result<Verified<T>, SignedFault> {
        let envelope = &self.envelope;
        if envelope.payload_type != T::LABEL {
            return Err(SignedFault::WrongType);
        }
        let ordered = envelope.signatures.iter().zip(envelope.signatures.iter().skip(1)).all(|(a, b)| a.key < b.key);
        if envelope.signatures.len() > SIGNATURES_MAX || !ordered {
            return Err(SignedFault::SignatureOrder);
        }
        let message = self.signed_bytes();
        let mut signers = BTreeSet::new();
        for line in envelope.signatures.iter().filter(|line| accepted.contains(&line.key)) {
            if !line.key.verifies(&message, &line.signature) {
                return Err(SignedFault::SignatureInvalid);
            }
            signers.insert(line.key);
        }
        if signers.is_empty() {
            return Err(SignedFault::SignerMissing);
        }
        let document = codec::decode(&envelope.payload.0, DOCUMENT_BYTES_MAX)?;
        Ok(Verified { document, signers, digest: DocumentDigest(sha256(&[&message])), signed: self.clone() })
    }

    /// Reads the claimed document to learn whose keys to check it with. Nothing may be done on its word.
    ///
    /// # Errors
    /// As [`Signed::verify`] without the signatures.
    pub fn claimed(&self) -> Result<T, SignedFault> {
        if self.envelope.payload_type != T::LABEL {
            return Err(SignedFault::WrongType);
        }
        Ok(codec::decode(&self.envelope.payload.0, DOCUMENT_BYTES_MAX)?)
    }

    /// The envelope's bytes, as they travel.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads an envelope.
    ///
    /// # Errors
    /// [`SignedFault::Codec`] when the bytes are not one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SignedFault> {
        Ok(codec::decode(bytes, DOCUMENT_BYTES_MAX)?)
    }
}

impl<T> Clone for Signed<T> {
    fn clone(&self) -> Self {
        Self { envelope: self.envelope.clone(), kind: PhantomData }
    }
}

impl<T> PartialEq for Signed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.envelope == other.envelope
    }
}

impl<T> Eq for Signed<T> {}

impl<T> fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signed({}, {} signatures)", self.envelope.payload_type, self.envelope.signatures.len())
    }
}

impl<T> Serialize for Signed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.envelope.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Signed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Envelope::deserialize(deserializer).map(|envelope| Self { envelope, kind: PhantomData })
    }
}

/// A document whose signatures stand over the bytes it was read from. Made by [`Signed::verify`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T> {
    document: T,
    signers: BTreeSet<PublicKey>,
    digest: DocumentDigest,
    signed: Signed<T>,
}

impl<T> Verified<T> {
    /// The accepted keys that have signed.
    pub const fn signers(&self) -> &BTreeSet<PublicKey> {
        &self.signers
    }

    /// The document's name.
    pub const fn digest(&self) -> DocumentDigest {
        self.digest
    }

    /// The document as it was received.
    pub const fn signed(&self) -> &Signed<T> {
        &self.signed
    }

    /// The document alone.
    pub fn into_document(self) -> T {
        self.document
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.document
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    struct Note(String);
    impl Record for Note {
        const LABEL: &'static str = "application/vnd.cohortium.v1.note.v1";
        const TITLE: &'static str = "note";
    }

    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    struct Other(String);
    impl Record for Other {
        const LABEL: &'static str = "application/vnd.cohortium.v1.other.v1";
        const TITLE: &'static str = "other";
    }

    fn pair(seed: u8) -> KeyPair {
        KeyPair::from_seed(&[seed; 32])
    }

    // DOC-3
    #[test]
    fn every_flipped_bit_of_an_envelope_is_refused() {
        let signed = Signed::sign(&Note("terms".to_owned()), &pair(1));
        let bytes = signed.to_bytes();
        for bit in 0..bytes.len() * 8 {
            let mut bent = bytes.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            let verdict = Signed::<Note>::from_bytes(&bent).and_then(|signed| signed.verify(&[pair(1).public()]));
            assert!(verdict.is_err(), "bit {bit}");
        }
    }

    // DOC-4
    #[test]
    fn a_signature_over_one_type_is_not_one_over_another() {
        let signed = Signed::sign(&Note("x".to_owned()), &pair(1));
        let mut other = Signed::<Other>::unsigned(&Other("x".to_owned()));
        other.envelope.signatures.clone_from(&signed.envelope.signatures);
        assert_eq!(other.verify(&[pair(1).public()]), Err(SignedFault::SignatureInvalid));
        let relabelled = Signed::<Other>::from_bytes(&signed.to_bytes()).unwrap();
        assert_eq!(relabelled.verify(&[pair(1).public()]), Err(SignedFault::WrongType));
    }

    // DOC-5
    #[test]
    fn only_accepted_keys_count_and_each_once() {
        let mut signed = Signed::sign(&Note("x".to_owned()), &pair(1));
        signed.add_signature(&pair(2));
        signed.add_signature(&pair(2));
        let keys = [pair(1).public(), pair(2).public(), pair(3).public()];
        assert_eq!(signed.verify(&keys).unwrap().signers().len(), 2);
        assert_eq!(signed.verify(&keys[2..]), Err(SignedFault::SignerMissing));
        let line = signed.envelope.signatures[0].clone();
        signed.envelope.signatures.insert(0, line);
        assert_eq!(signed.verify(&keys), Err(SignedFault::SignatureOrder));
    }
}
