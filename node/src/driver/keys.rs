//! The keystore as the driver uses it: the node's own keys, and the keys of each consortium.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cohortium_protocol::endpoint::NodeKeys;
use cohortium_protocol::ident::ConsortiumId;
use cohortium_protocol::key::pair::{KeyPair, SealingSecret};
use cohortium_protocol::key::wrap::Secret32;
use cohortium_protocol::record::charter::CharterKind;
use cohortium_store::keystore::{Keystore, KeystoreFault};
use cohortium_store::seal::{DataKey, random};
use cohortium_transport::TlsIdentity;
use zeroize::Zeroizing;

use crate::home;

/// The keystore lacks a secret that every node has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretMissing {
    /// Its name.
    pub name: String,
}

impl fmt::Display for SecretMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the keystore has no secret {}", self.name)
    }
}

impl std::error::Error for SecretMissing {}

/// The open keystore. Writing to it blocks for a sync.
pub(crate) struct Keys(Mutex<Keystore>);

impl Keys {
    /// Takes the keystore over, when it holds what every node has.
    pub(crate) fn new(keystore: Keystore) -> Result<Self, SecretMissing> {
        let keys = Self(Mutex::new(keystore));
        for name in ["tls", "signing", "sealing", "log-salt"] {
            keys.needed(name)?;
        }
        Ok(keys)
    }

    fn lock(&self) -> MutexGuard<'_, Keystore> {
        // Every change of a keystore is whole or undone, so a holder that panicked leaves a sound one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seed(&self, name: &str) -> Option<Zeroizing<[u8; 32]>> {
        let bytes = self.lock().secret(name)?;
        Some(Zeroizing::new(bytes.as_slice().try_into().ok()?))
    }

    fn needed(&self, name: &str) -> Result<Zeroizing<[u8; 32]>, SecretMissing> {
        self.seed(name).ok_or_else(|| SecretMissing { name: name.to_owned() })
    }

    pub(crate) fn tls_identity(&self) -> Result<TlsIdentity, SecretMissing> {
        Ok(TlsIdentity::from_seed(&*self.needed("tls")?))
    }

    pub(crate) fn node_keys(&self) -> Result<NodeKeys, SecretMissing> {
        Ok(NodeKeys {
            root: self.seed("root").map(|seed| KeyPair::from_seed(&seed)),
            signing: self.signing()?,
            tls: KeyPair::from_seed(&*self.needed("tls")?).public(),
            sealing: self.sealing()?.public(),
        })
    }

    pub(crate) fn signing(&self) -> Result<KeyPair, SecretMissing> {
        Ok(KeyPair::from_seed(&*self.needed("signing")?))
    }

    pub(crate) fn sealing(&self) -> Result<SealingSecret, SecretMissing> {
        Ok(SealingSecret::from_seed(&*self.needed("sealing")?))
    }

    pub(crate) fn log_salt(&self) -> Result<Zeroizing<[u8; 32]>, SecretMissing> {
        self.needed("log-salt")
    }

    pub(crate) fn journal_key(&self, consortium: &ConsortiumId) -> DataKey {
        home::journal_key(&self.lock(), consortium)
    }

    pub(crate) fn index_key(&self, consortium: &ConsortiumId) -> DataKey {
        home::index_key(&self.lock(), consortium)
    }

    /// The key of a consortium's local row ids, made when first needed. Blocks.
    pub(crate) fn rows(&self, kind: CharterKind, consortium: &ConsortiumId) -> Result<Secret32, KeystoreFault> {
        let name = home::rows_secret(kind, consortium);
        let mut keystore = self.lock();
        let kept = keystore.secret(&name).and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
        if let Some(bytes) = kept {
            return Ok(Secret32::new(bytes));
        }
        let fresh = Zeroizing::new(random::<32>());
        keystore.put_secret(&name, fresh.as_slice())?;
        Ok(Secret32::new(*fresh))
    }

    /// The linkage key of one epoch, if this node holds it.
    pub(crate) fn linkage(&self, kind: CharterKind, consortium: &ConsortiumId, epoch: u32) -> Option<Secret32> {
        self.seed(&home::linkage_secret(kind, consortium, epoch)).map(|seed| Secret32::new(*seed))
    }

    /// Keeps the linkage key of one epoch. Blocks.
    pub(crate) fn keep_linkage(
        &self,
        kind: CharterKind,
        consortium: &ConsortiumId,
        epoch: u32,
        key: &Secret32,
    ) -> Result<(), KeystoreFault> {
        self.lock().put_secret(&home::linkage_secret(kind, consortium, epoch), key.as_bytes())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use cohortium_store::keystore::{KeySource, create_key_file};

    use super::*;

    /// A new node's keys, in files that begin with `name`.
    pub(crate) fn keys(dir: &Path, name: &str) -> Keys {
        Keys::new(keystore(dir, name, &["tls", "signing", "sealing", "log-salt"])).unwrap()
    }

    fn keystore(dir: &Path, name: &str, secrets: &[&str]) -> Keystore {
        let file = dir.join(format!("{name}.key"));
        create_key_file(&file).unwrap();
        let mut keystore = Keystore::create(&dir.join(name), &KeySource::KeyFile(file)).unwrap();
        for secret in secrets {
            keystore.put_secret(secret, &random::<32>()).unwrap();
        }
        keystore
    }

    #[test]
    fn a_keystore_that_lacks_a_key_of_the_node_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let fault = Keys::new(keystore(dir.path(), "node", &["tls", "signing", "log-salt"])).err().unwrap();
        assert_eq!(fault, SecretMissing { name: "sealing".to_owned() });
    }
}
