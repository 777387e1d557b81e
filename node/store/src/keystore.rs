//! The keystore: one small file that holds the node key and the node's named secrets, opened by a key source.
//!
//! ```text
//! "CHRTKEYS" | version u16 | zero u16 | codec: key source's parameters, wrapped node key, sealed secrets
//! ```
//! A passphrase goes through Argon2id (RFC 9106) with stored parameters; a key file holds 32 random bytes that nobody
//! else may read. The key that comes out wraps the node key, which seals the secrets and stands above every data key.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use cohortium_protocol::ident::{Name, NameFault};
use cohortium_protocol::wire::codec::{self, Blob};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::disk::{self, DiskFault, During};
use crate::seal::{DataKey, KEY_BYTES, OpenFault, WRAPPED_KEY_BYTES, WrappedKey, random};

const MAGIC: &[u8; 8] = b"CHRTKEYS";
const VERSION: u16 = 1;
const PLAIN_BYTES: usize = 12;
const SALT_BYTES: usize = 16;
/// The largest keystore file.
pub const KEYSTORE_BYTES_MAX: usize = 1024 * 1024;
/// The largest single secret.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;

/// What a passphrase costs to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassphraseCost {
    /// Memory of one try, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes that could run at once.
    pub lanes: u32,
}

impl PassphraseCost {
    /// The second recommended option of RFC 9106, section 4: 64 MiB, 3 passes, 4 lanes.
    pub const RECOMMENDED: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 };
    /// The cheapest that is taken: 19 MiB, 2 passes, 1 lane (OWASP password storage, 2024).
    pub const FLOOR: Self = Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 };
    /// The dearest that is taken, so that a changed file cannot make the node take all memory.
    pub const CEILING: Self = Self { memory_kib: 4 * 1024 * 1024, passes: 64, lanes: 16 };

    fn is_taken(self) -> bool {
        let within = |value, floor, ceiling| (floor..=ceiling).contains(&value);
        within(self.memory_kib, Self::FLOOR.memory_kib, Self::CEILING.memory_kib)
            && within(self.passes, Self::FLOOR.passes, Self::CEILING.passes)
            && within(self.lanes, Self::FLOOR.lanes, Self::CEILING.lanes)
    }
}

/// Where the key comes from that opens a keystore.
#[derive(Clone)]
pub enum KeySource {
    /// A passphrase that a person types or a service manager hands over.
    Passphrase {
        /// The passphrase.
        passphrase: Zeroizing<String>,
        /// What trying it costs; used when a keystore is made or rewrapped, otherwise the file's own counts.
        cost: PassphraseCost,
    },
    /// A file of 32 random bytes that only this user may read, best on another medium than the data.
    KeyFile(PathBuf),
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passphrase { .. } => f.write_str("Passphrase"),
            Self::KeyFile(path) => write!(f, "KeyFile({})", path.display()),
        }
    }
}

/// The kinds of key source, as a keystore remembers which one opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// A passphrase.
    Passphrase,
    /// A key file.
    KeyFile,
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passphrase => "passphrase",
            Self::KeyFile => "key file",
        })
    }
}

/// Why a key file is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFileFault {
    /// Not a plain file.
    NotAFile,
    /// Group or others may do something with it.
    Permissions {
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to another user.
    Owner {
        /// That user's number.
        owner: u32,
    },
    /// It is not 32 bytes long.
    Length,
}

impl fmt::Display for KeyFileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFile => write!(f, "is not a plain file"),
            Self::Permissions { mode } => write!(f, "can be used by other users (mode {mode:04o}); fix: chmod 600"),
            Self::Owner { owner } => write!(f, "belongs to another user ({owner}); fix: chown it to the node's user"),
            Self::Length => write!(f, "is not {KEY_BYTES} bytes long"),
        }
    }
}

impl std::error::Error for KeyFileFault {}

/// Why a keystore cannot be made, opened or changed.
#[derive(Debug)]
pub enum KeystoreFault {
    /// The disk refused.
    Disk(DiskFault),
    /// There is no keystore.
    NotFound {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There is a keystore already; it is never overwritten.
    Exists {
        /// Where it is.
        path: PathBuf,
    },
    /// Not a keystore, or damaged.
    Damaged,
    /// A version that this program does not know.
    Version {
        /// The version found.
        found: u16,
    },
    /// The keystore is opened by the other kind of key source.
    OtherSource {
        /// The kind that opens it.
        expected: SourceKind,
    },
    /// A wrong passphrase or key file, or a damaged keystore.
    Refused,
    /// The passphrase is empty.
    EmptyPassphrase,
    /// A cost outside of floor and ceiling.
    Cost,
    /// The key file is not taken.
    KeyFile {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: KeyFileFault,
    },
    /// A secret's name is not a name.
    Name(NameFault),
    /// A secret, or all of them together, are too long.
    TooLong,
}

impl fmt::Display for KeystoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(fault) => fault.fmt(f),
            Self::NotFound { path } => write!(f, "there is no keystore at {}", path.display()),
            Self::Exists { path } => write!(f, "there is a keystore at {} already", path.display()),
            Self::Damaged => write!(f, "the keystore is damaged"),
            Self::Version { found } => write!(f, "the keystore has the unknown version {found}"),
            Self::OtherSource { expected } => write!(f, "the keystore is opened by a {expected}"),
            Self::Refused => write!(f, "the passphrase or key file does not open the keystore"),
            Self::EmptyPassphrase => write!(f, "the passphrase is empty"),
            Self::Cost => write!(f, "the passphrase's cost is too low or too high"),
            Self::KeyFile { path, source } => write!(f, "key file {} {source}", path.display()),
            Self::Name(fault) => write!(f, "the secret's name {fault}"),
            Self::TooLong => write!(f, "the secrets are too long for the keystore"),
        }
    }
}

impl std::error::Error for KeystoreFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Disk(fault) => fault.source(),
            Self::KeyFile { source, .. } => Some(source),
            Self::Name(fault) => Some(fault),
            _ => None,
        }
    }
}

impl From<DiskFault> for KeystoreFault {
    fn from(fault: DiskFault) -> Self {
        Self::Disk(fault)
    }
}

/// What the file says about its key source; bound to the wrapped key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Source {
    Passphrase { salt: [u8; SALT_BYTES], cost: PassphraseCost },
    KeyFile { salt: [u8; SALT_BYTES] },
}

/// The file behind its magic and version.
#[derive(Serialize, Deserialize)]
struct Stored {
    source: Source,
    node_key: Blob,
    secrets: Blob,
}

/// An open keystore. Its content never prints.
pub struct Keystore {
    path: PathBuf,
    source: Source,
    wrapped: WrappedKey,
    node: DataKey,
    secrets: BTreeMap<Name, Zeroizing<Vec<u8>>>,
}

impl fmt::Debug for Keystore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keystore({})", self.path.display())
    }
}

impl Keystore {
    /// Makes a keystore with a new random node key and no secrets.
    ///
    /// # Errors
    /// [`KeystoreFault`]; an existing keystore is never touched.
    pub fn create(path: &Path, source: &KeySource) -> Result<Self, KeystoreFault> {
        if path.exists() {
            return Err(KeystoreFault::Exists { path: path.to_owned() });
        }
        disk::make_folder(disk::parent_of(path))?;
        let node = DataKey::random();
        let (source, wrapped) = wrap_node_key(source, &node)?;
        let keystore = Self { path: path.to_owned(), source, wrapped, node, secrets: BTreeMap::new() };
        keystore.save()?;
        Ok(keystore)
    }

    /// Opens a keystore. With a passphrase this takes as long as its stored cost says.
    ///
    /// # Errors
    /// [`KeystoreFault`].
    pub fn open(path: &Path, source: &KeySource) -> Result<Self, KeystoreFault> {
        let bytes = disk::read_whole(path, KEYSTORE_BYTES_MAX as u64)?;
        let bytes = bytes.ok_or_else(|| KeystoreFault::NotFound { path: path.to_owned() })?;
        let stored = parse(&bytes)?;
        let outer = outer_key(source, &stored.source)?;
        let wrapped =
            WrappedKey(<[u8; WRAPPED_KEY_BYTES]>::try_from(stored.node_key.0).map_err(|_| KeystoreFault::Damaged)?);
        let node = outer.unwrap(&source_slot(&stored.source), &wrapped).map_err(|_| KeystoreFault::Refused)?;
        let secrets = open_secrets(&node, &stored.secrets.0)?;
        Ok(Self { path: path.to_owned(), source: stored.source, wrapped, node, secrets })
    }

    /// Which kind of key source opens the keystore at `path`, for asking a person for the right thing.
    ///
    /// # Errors
    /// [`KeystoreFault`].
    pub fn source_kind(path: &Path) -> Result<SourceKind, KeystoreFault> {
        let bytes = disk::read_whole(path, KEYSTORE_BYTES_MAX as u64)?;
        let bytes = bytes.ok_or_else(|| KeystoreFault::NotFound { path: path.to_owned() })?;
        parse(&bytes).map(|stored| stored.source.kind())
    }

    /// Lets another key source open this keystore, and the present one no longer: a new passphrase or key file. The
    /// node key stays. Old bytes of the file may remain on the disk, so a source that is known to others needs new
    /// data too.
    ///
    /// # Errors
    /// [`KeystoreFault`]; the present key source then still opens it.
    pub fn rewrap(&mut self, source: &KeySource) -> Result<(), KeystoreFault> {
        let (source, wrapped) = wrap_node_key(source, &self.node)?;
        let old = (std::mem::replace(&mut self.source, source), std::mem::replace(&mut self.wrapped, wrapped));
        self.save().inspect_err(|_| (self.source, self.wrapped) = old)
    }

    /// A secret by its name.
    pub fn secret(&self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        let name: Name = name.parse().ok()?;
        self.secrets.get(&name).cloned()
    }

    /// The names of all secrets, in order.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.secrets.keys()
    }

    /// Keeps a secret under a name, in the place of one that is there; durable when this returns.
    ///
    /// # Errors
    /// [`KeystoreFault`]; the keystore is then as it was.
    pub fn put_secret(&mut self, name: &str, secret: &[u8]) -> Result<(), KeystoreFault> {
        let name: Name = name.parse().map_err(KeystoreFault::Name)?;
        if secret.len() > SECRET_BYTES_MAX {
            return Err(KeystoreFault::TooLong);
        }
        let old = self.secrets.insert(name.clone(), Zeroizing::new(secret.to_vec()));
        self.save().inspect_err(|_| match old {
            Some(old) => drop(self.secrets.insert(name, old)),
            None => drop(self.secrets.remove(&name)),
        })
    }

    /// Removes a secret, durably, and with it everything that only it opens (crypto-shredding). Returns whether there
    /// was one.
    ///
    /// The file's old bytes may remain on the disk, under the same node key: that the secret is gone for good may be
    /// claimed only where the key source can destroy a slot, which a passphrase and a key file cannot.
    ///
    /// # Errors
    /// [`KeystoreFault`]; the keystore is then as it was.
    pub fn remove_secret(&mut self, name: &str) -> Result<bool, KeystoreFault> {
        let name: Name = name.parse().map_err(KeystoreFault::Name)?;
        let Some(old) = self.secrets.remove(&name) else { return Ok(false) };
        self.save().inspect_err(|_| drop(self.secrets.insert(name, old)))?;
        Ok(true)
    }

    /// The data key of one purpose and object: always the same, derived from the node key.
    pub fn data_key(&self, purpose: &str, id: &[u8]) -> DataKey {
        self.node.derive("data", b"").derive(purpose, id)
    }

    /// Wraps the random key of one object under the node key.
    pub fn wrap(&self, slot: &[u8], key: &DataKey) -> WrappedKey {
        self.node.derive("envelopes", b"").wrap(slot, key)
    }

    /// Unwraps what [`Keystore::wrap`] wrapped for the same slot.
    ///
    /// # Errors
    /// [`OpenFault`].
    pub fn unwrap(&self, slot: &[u8], wrapped: &WrappedKey) -> Result<DataKey, OpenFault> {
        self.node.derive("envelopes", b"").unwrap(slot, wrapped)
    }

    fn save(&self) -> Result<(), KeystoreFault> {
        let secrets: BTreeMap<&Name, Blob> =
            self.secrets.iter().map(|(name, secret)| (name, Blob(secret.to_vec()))).collect();
        let plain = Zeroizing::new(codec::encode(&secrets));
        for (_, mut copy) in secrets {
            zeroize::Zeroize::zeroize(&mut copy.0);
        }
        if plain.len() > KEYSTORE_BYTES_MAX / 2 {
            return Err(KeystoreFault::TooLong);
        }
        let stored = Stored {
            source: self.source.clone(),
            node_key: Blob(self.wrapped.0.to_vec()),
            secrets: Blob(secrets_key(&self.node).seal_small(b"secrets", &plain)),
        };
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&codec::encode(&stored));
        Ok(disk::replace(&self.path, &bytes)?)
    }
}

impl Source {
    fn kind(&self) -> SourceKind {
        match self {
            Self::Passphrase { .. } => SourceKind::Passphrase,
            Self::KeyFile { .. } => SourceKind::KeyFile,
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Stored, KeystoreFault> {
    let (plain, rest) = bytes.split_first_chunk::<PLAIN_BYTES>().ok_or(KeystoreFault::Damaged)?;
    let [magic @ .., v0, v1, z0, z1] = plain;
    let found = u16::from_le_bytes([*v0, *v1]);
    if magic != MAGIC || [*z0, *z1] != [0, 0] {
        return Err(KeystoreFault::Damaged);
    }
    if found != VERSION {
        return Err(KeystoreFault::Version { found });
    }
    codec::decode(rest, KEYSTORE_BYTES_MAX).map_err(|_| KeystoreFault::Damaged)
}

fn open_secrets(node: &DataKey, sealed: &[u8]) -> Result<BTreeMap<Name, Zeroizing<Vec<u8>>>, KeystoreFault> {
    let plain = secrets_key(node).open_small(b"secrets", sealed).map_err(|_| KeystoreFault::Damaged)?;
    let plain = Zeroizing::new(plain);
    let secrets: BTreeMap<Name, Blob> =
        codec::decode(&plain, KEYSTORE_BYTES_MAX).map_err(|_| KeystoreFault::Damaged)?;
    Ok(secrets.into_iter().map(|(name, secret)| (name, Zeroizing::new(secret.0))).collect())
}

fn secrets_key(node: &DataKey) -> DataKey {
    node.derive("secrets", b"")
}

fn source_slot(source: &Source) -> Vec<u8> {
    [b"node key ".as_slice(), &codec::encode(source)].concat()
}

fn wrap_node_key(source: &KeySource, node: &DataKey) -> Result<(Source, WrappedKey), KeystoreFault> {
    let salt = random();
    let stored = match source {
        KeySource::Passphrase { cost, .. } => Source::Passphrase { salt, cost: *cost },
        KeySource::KeyFile(_) => Source::KeyFile { salt },
    };
    let wrapped = outer_key(source, &stored)?.wrap(&source_slot(&stored), node);
    Ok((stored, wrapped))
}

/// The key that wraps the node key.
fn outer_key(source: &KeySource, stored: &Source) -> Result<DataKey, KeystoreFault> {
    match (source, stored) {
        (KeySource::Passphrase { passphrase, .. }, Source::Passphrase { salt, cost }) => {
            passphrase_key(passphrase, salt, *cost)
        }
        (KeySource::KeyFile(path), Source::KeyFile { salt }) => Ok(read_key_file(path)?.derive("key file", salt)),
        (KeySource::Passphrase { .. }, Source::KeyFile { .. }) | (KeySource::KeyFile(_), Source::Passphrase { .. }) => {
            Err(KeystoreFault::OtherSource { expected: stored.kind() })
        }
    }
}

fn passphrase_key(passphrase: &str, salt: &[u8; SALT_BYTES], cost: PassphraseCost) -> Result<DataKey, KeystoreFault> {
    if passphrase.is_empty() {
        return Err(KeystoreFault::EmptyPassphrase);
    }
    if !cost.is_taken() {
        return Err(KeystoreFault::Cost);
    }
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(KEY_BYTES));
    let params = params.map_err(|_| KeystoreFault::Cost)?;
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, bytes.as_mut())
        .map_err(|_| KeystoreFault::Cost)?;
    Ok(DataKey::from_bytes(&bytes))
}

/// Makes a key file of 32 random bytes that only this user can read, durably.
///
/// # Errors
/// [`DiskFault`]; an existing file is never touched.
pub fn create_key_file(path: &Path) -> Result<(), DiskFault> {
    disk::make_folder(disk::parent_of(path))?;
    let mut file = disk::create_new(path)?;
    file.write_all(DataKey::random().expose()).during("writing", path)?;
    file.sync_all().during("syncing", path)?;
    disk::sync_folder(disk::parent_of(path))
}

fn read_key_file(path: &Path) -> Result<DataKey, KeystoreFault> {
    let refused = |source| KeystoreFault::KeyFile { path: path.to_owned(), source };
    // Without O_NONBLOCK a named pipe in the file's place would stop the node here.
    let flags = rustix::fs::OFlags::NONBLOCK.bits();
    let flags = i32::try_from(flags).expect("the flag is a low bit");
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path).during("opening", path)?;
    // Asked of the open file, so that it cannot be exchanged between the check and the read.
    let metadata = file.metadata().during("asking for the permissions of", path)?;
    let user = rustix::process::geteuid().as_raw();
    check_key_file(&metadata, user).map_err(refused)?;
    let mut bytes = Zeroizing::new([0; KEY_BYTES + 1]);
    let mut length = 0;
    while length < bytes.len() {
        match file.read(&mut bytes[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
            Err(fault) => return Err(fault).during("reading", path)?,
        }
    }
    let whole = bytes.first_chunk::<KEY_BYTES>().filter(|_| length == KEY_BYTES);
    whole.map(DataKey::from_bytes).ok_or_else(|| refused(KeyFileFault::Length))
}

fn check_key_file(metadata: &fs::Metadata, user: u32) -> Result<(), KeyFileFault> {
    let mode = metadata.mode() & 0o7777;
    if !metadata.is_file() {
        return Err(KeyFileFault::NotAFile);
    }
    if metadata.uid() != user {
        return Err(KeyFileFault::Owner { owner: metadata.uid() });
    }
    if mode & 0o077 != 0 {
        return Err(KeyFileFault::Permissions { mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
