//! Person key files: `NAME.key` holds the 32-byte seed, sealed under a passphrase or plain for its owner alone; `NAME.pub`
//! holds the public half for everybody.

use std::fmt;
use std::path::{Path, PathBuf};

use cohortium_protocol::ident::Name;
use cohortium_protocol::key::pair::{KeyPair, PublicKey};
use cohortium_store::keystore::{KeySource, Keystore, KeystoreFault, PassphraseCost};
use cohortium_store::seal;
use zeroize::Zeroizing;

use crate::config::secret::{self, Ask, SecretFault};
use crate::home::{self, Home, HomeFault};

/// The secret of a sealed person key.
const SECRET: &str = "person";
/// Bytes of a plain key file.
const SEED_BYTES: usize = 32;
/// The largest key file.
const KEY_FILE_BYTES_MAX: u64 = 64 * 1024;

/// How a new person key is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protection {
    /// By a passphrase, from this file or asked for.
    Passphrase(Option<PathBuf>),
    /// By the file's permissions alone.
    FileOnly,
}

/// Why a person key is not to be had.
#[derive(Debug)]
pub enum PersonFault {
    /// The file is not taken.
    Home(HomeFault),
    /// There is no such key file.
    NotFound {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The passphrase is not to be had.
    Secret(SecretFault),
    /// The passphrase does not open it.
    Refused {
        /// The file.
        path: PathBuf,
    },
    /// Not a person key.
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The sealed file cannot be made.
    Keystore(KeystoreFault),
}

impl fmt::Display for PersonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Home(fault) => fault.fmt(f),
            Self::NotFound { path } => {
                write!(f, "there is no person key {}; `cohortium person key NAME` makes one", path.display())
            }
            Self::Secret(fault) => fault.fmt(f),
            Self::Refused { path } => write!(f, "the passphrase does not open {}", path.display()),
            Self::Damaged { path } => write!(f, "{} is not a person key", path.display()),
            Self::Keystore(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for PersonFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Home(fault) => fault.source(),
            Self::Secret(fault) => fault.source(),
            Self::Keystore(fault) => fault.source(),
            Self::NotFound { .. } | Self::Refused { .. } | Self::Damaged { .. } => None,
        }
    }
}

/// The key file of a person of this node.
pub fn key_path(home: &Home, person: &Name) -> PathBuf {
    home.persons().join(format!("{person}.key"))
}

/// The public half beside a key file.
fn public_path(key: &Path) -> PathBuf {
    key.with_extension("pub")
}

/// Makes a key file and its public half.
///
/// # Errors
/// [`PersonFault`]; a key file that is there is never touched.
pub fn create(path: &Path, protection: &Protection) -> Result<PublicKey, PersonFault> {
    if path.exists() {
        return Err(PersonFault::Home(HomeFault::Exists { path: path.to_owned() }));
    }
    let seed = Zeroizing::new(seal::random::<SEED_BYTES>());
    let public = KeyPair::from_seed(&seed).public();
    match protection {
        Protection::FileOnly => home::create_private(path, seed.as_ref()).map_err(PersonFault::Home)?,
        Protection::Passphrase(file) => {
            let passphrase = passphrase(file.as_deref(), path, Ask::Twice)?;
            let source = KeySource::Passphrase { passphrase, cost: PassphraseCost::RECOMMENDED };
            let mut sealed = Keystore::create(path, &source).map_err(PersonFault::Keystore)?;
            sealed.put_secret(SECRET, seed.as_ref()).map_err(PersonFault::Keystore)?;
        }
    }
    let text = format!("{public}\n");
    home::replace_private(&public_path(path), text.as_bytes()).map_err(PersonFault::Home)?;
    Ok(public)
}

/// Opens a key file; one that other users can read is refused.
///
/// # Errors
/// [`PersonFault`].
pub fn open(path: &Path, passphrase_file: Option<&Path>) -> Result<KeyPair, PersonFault> {
    if !path.exists() {
        return Err(PersonFault::NotFound { path: path.to_owned() });
    }
    let bytes = Zeroizing::new(home::read_private(path, KEY_FILE_BYTES_MAX).map_err(PersonFault::Home)?);
    if let Ok(seed) = <[u8; SEED_BYTES]>::try_from(bytes.as_slice()) {
        return Ok(KeyPair::from_seed(&Zeroizing::new(seed)));
    }
    if Keystore::source_kind(path).is_err() {
        return Err(PersonFault::Damaged { path: path.to_owned() });
    }
    let passphrase = passphrase(passphrase_file, path, Ask::Once)?;
    let source = KeySource::Passphrase { passphrase, cost: PassphraseCost::RECOMMENDED };
    let sealed = Keystore::open(path, &source).map_err(|fault| match fault {
        KeystoreFault::Refused => PersonFault::Refused { path: path.to_owned() },
        other => PersonFault::Keystore(other),
    })?;
    let seed = secret::seed(&sealed, SECRET).map_err(|_| PersonFault::Damaged { path: path.to_owned() })?;
    Ok(KeyPair::from_seed(&seed))
}

/// The public half of a key file, for which no passphrase is needed.
///
/// # Errors
/// [`PersonFault`].
pub fn public(path: &Path) -> Result<PublicKey, PersonFault> {
    let path = public_path(path);
    if !path.exists() {
        return Err(PersonFault::NotFound { path });
    }
    let bytes = home::read_bounded(&path, 1024).map_err(PersonFault::Home)?;
    let text = std::str::from_utf8(&bytes).ok().map(str::trim_end);
    text.and_then(|text| text.parse().ok()).ok_or(PersonFault::Damaged { path })
}

fn passphrase(file: Option<&Path>, key: &Path, ask: Ask) -> Result<Zeroizing<String>, PersonFault> {
    match file {
        Some(path) => secret::read_passphrase(path),
        None => secret::ask_passphrase(&key.display().to_string(), ask),
    }
    .map_err(PersonFault::Secret)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_comes_back_by_its_passphrase_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (key, right, wrong) = (dir.path().join("alice.key"), dir.path().join("p"), dir.path().join("q"));
        home::create_private(&right, b"correct horse\n").unwrap();
        home::create_private(&wrong, b"battery\n").unwrap();
        let made = create(&key, &Protection::Passphrase(Some(right.clone()))).unwrap();
        assert!(open(&key, Some(&right)).unwrap().public() == made);
        assert_eq!(public(&key).unwrap(), made);
        assert!(matches!(open(&key, Some(&wrong)).err(), Some(PersonFault::Refused { .. })));
        assert!(matches!(create(&key, &Protection::FileOnly), Err(PersonFault::Home(HomeFault::Exists { .. }))));
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("alice.key");
        let made = create(&key, &Protection::FileOnly).unwrap();
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(open(&key, None).unwrap().public() == made);
        for mode in [0o640, 0o604] {
            fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(open(&key, None).err(), Some(PersonFault::Home(HomeFault::Open { .. }))), "{mode:o}");
        }
        assert!(matches!(open(&dir.path().join("bob.key"), None).err(), Some(PersonFault::NotFound { .. })));
        let other = dir.path().join("other.key");
        home::create_private(&other, b"not a key").unwrap();
        assert!(matches!(open(&other, None).err(), Some(PersonFault::Damaged { .. })));
    }
}
