//! A node's folder: where everything lies, who may open it, and which consortia the node is in.
//!
//! ```text
//! HOME/            0700
//!   node.toml      configuration as written
//!   keystore       secrets, sealed by passphrase or key file
//!   blobs/         the store's, all consortia
//!   consortia/<hex>/{membership.json, journal/, log/, index/}
//!   persons/NAME.key, NAME.pub
//!   control.sock   while the daemon runs
//! ```

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use cohortium_protocol::ident::{ConsortiumId, Name, Text};
use cohortium_protocol::key::pair::PublicKey;
use cohortium_protocol::record::charter::CharterKind;
use cohortium_store::keystore::Keystore;
use cohortium_store::seal::DataKey;
use cohortium_transport::HostPort;
use serde::{Deserialize, Serialize};

/// The file of the node's configuration.
pub const CONFIG_FILE: &str = "node.toml";
/// The file that says which party this node is in a consortium.
pub const MEMBERSHIP_FILE: &str = "membership.json";
/// The keystore's names of the node's own keys, each 32 bytes: TLS, documents, linkage wraps, root, salts of the log.
pub const NODE_SECRETS: [&str; 5] = ["tls", "signing", "sealing", "root", "log-salt"];
/// The largest membership file.
const MEMBERSHIP_BYTES_MAX: u64 = 64 * 1024;

/// Why a node's folder cannot be made or used.
#[derive(Debug)]
pub enum HomeFault {
    /// There is something there already; nothing of it is touched.
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// There is no node's folder.
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Other users of this machine can open it.
    Open {
        /// The file or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to another user.
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// That user's number.
        owner: u32,
    },
    /// A membership file that is damaged.
    Membership {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    Io {
        /// What was being done.
        act: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for HomeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists { path } => {
                write!(f, "{} is there already; a node is only made in a new folder", path.display())
            }
            Self::Missing { path } => write!(f, "there is no node in {}; `cohortium init` makes one", path.display()),
            Self::Open { path, mode } => {
                write!(f, "{} can be used by other users (mode {mode:04o}); fix: chmod go-rwx", path.display())
            }
            Self::Owner { path, owner } => {
                write!(f, "{} belongs to another user ({owner}); run as that user", path.display())
            }
            Self::Membership { path } => write!(f, "{} is damaged; restore it from a backup", path.display()),
            Self::Io { act, path, source } => write!(f, "{source} while {act} {}", path.display()),
        }
    }
}

impl std::error::Error for HomeFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Exists { .. }
            | Self::Missing { .. }
            | Self::Open { .. }
            | Self::Owner { .. }
            | Self::Membership { .. } => None,
        }
    }
}

/// Which party this node is in one consortium, as `membership.json` holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipFile {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// This node's name in it.
    pub party: Name,
    /// The operator's root key, by which the first charter is known.
    pub operator_root: PublicKey,
    /// The operator's TLS key, for the first connection.
    pub operator_tls: PublicKey,
    /// Where members dial; `None` at the operator itself.
    pub operator_address: Option<String>,
    /// At the operator: the address that invitation tokens name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_address: Option<String>,
    /// What people at this node call the consortium.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Text>,
    /// Rehearsal or production: which keys of the keystore it may use.
    pub kind: CharterKind,
}

impl MembershipFile {
    /// Where the operator is dialled, if this node is a member.
    pub fn dial_address(&self) -> Option<HostPort> {
        self.operator_address.as_ref().and_then(|address| address.parse().ok())
    }
}

/// A node's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    path: PathBuf,
}

impl Home {
    /// The folder, whether or not it is there.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// An existing node's folder that nobody else can open.
    ///
    /// # Errors
    /// [`HomeFault`].
    pub fn open(path: &Path) -> Result<Self, HomeFault> {
        let home = Self::at(path);
        if !home.config_file().is_file() {
            return Err(HomeFault::Missing { path: path.to_owned() });
        }
        check_private(path)?;
        Ok(home)
    }

    /// Makes the folder, which may not be there or must be empty.
    ///
    /// # Errors
    /// [`HomeFault`].
    pub fn create(path: &Path) -> Result<Self, HomeFault> {
        let taken = match fs::read_dir(path) {
            Ok(mut entries) => entries.next().is_some(),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => false,
            Err(_) => true,
        };
        if taken {
            return Err(HomeFault::Exists { path: path.to_owned() });
        }
        make_folder(path)?;
        check_private(path)?;
        let home = Self::at(path);
        for folder in [home.consortia(), home.persons()] {
            make_folder(&folder)?;
        }
        Ok(home)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration as written.
    pub fn config_file(&self) -> PathBuf {
        self.path.join(CONFIG_FILE)
    }

    /// The keystore.
    pub fn keystore(&self) -> PathBuf {
        self.path.join("keystore")
    }

    /// The store of blobs.
    pub fn blobs(&self) -> PathBuf {
        self.path.join("blobs")
    }

    /// The folder of all consortia.
    pub fn consortia(&self) -> PathBuf {
        self.path.join("consortia")
    }

    /// The folder of one consortium.
    pub fn consortium(&self, id: &ConsortiumId) -> PathBuf {
        self.consortia().join(id.to_string())
    }

    /// The journal of one consortium.
    pub fn journal(&self, id: &ConsortiumId) -> PathBuf {
        self.consortium(id).join("journal")
    }

    /// The audit log of one consortium.
    pub fn log(&self, id: &ConsortiumId) -> PathBuf {
        self.consortium(id).join("log")
    }

    /// The index of one consortium.
    pub fn index(&self, id: &ConsortiumId) -> PathBuf {
        self.consortium(id).join("index")
    }

    /// The folder of person keys.
    pub fn persons(&self) -> PathBuf {
        self.path.join("persons")
    }

    /// The socket of the running daemon.
    pub fn control_socket(&self) -> PathBuf {
        self.path.join("control.sock")
    }

    /// The consortia this node is in, in the order of their ids.
    ///
    /// # Errors
    /// [`HomeFault`]; a folder without a membership file (a join that was not finished) is passed over.
    pub fn memberships(&self) -> Result<Vec<MembershipFile>, HomeFault> {
        let folder = self.consortia();
        let mut found = Vec::new();
        for entry in fs::read_dir(&folder).map_err(|source| io_fault("listing", &folder, source))? {
            let entry = entry.map_err(|source| io_fault("listing", &folder, source))?;
            let path = entry.path().join(MEMBERSHIP_FILE);
            if path.is_file() {
                found.push(read_membership(&path)?);
            }
        }
        found.sort_by_key(|membership| membership.consortium);
        Ok(found)
    }

    /// Writes a membership, durably: from here on the node is in the consortium.
    ///
    /// # Errors
    /// [`HomeFault`].
    ///
    /// # Panics
    /// Never: a membership is plain data with text keys.
    pub fn write_membership(&self, membership: &MembershipFile) -> Result<(), HomeFault> {
        let folder = self.consortium(&membership.consortium);
        make_folder(&folder)?;
        let mut json = serde_json::to_vec_pretty(membership).expect("a membership is plain data with text keys");
        json.push(b'\n');
        replace_private(&folder.join(MEMBERSHIP_FILE), &json)
    }
}

fn read_membership(path: &Path) -> Result<MembershipFile, HomeFault> {
    let bytes = read_bounded(path, MEMBERSHIP_BYTES_MAX)?;
    let damaged = || HomeFault::Membership { path: path.to_owned() };
    let membership: MembershipFile = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
    let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    if folder == Some(membership.consortium.to_string().as_str()) { Ok(membership) } else { Err(damaged()) }
}

/// The key under which the journal of a consortium is sealed.
pub fn journal_key(keystore: &Keystore, id: &ConsortiumId) -> DataKey {
    keystore.data_key("journal", id.as_bytes())
}

/// The key under which the index of a consortium is sealed.
pub fn index_key(keystore: &Keystore, id: &ConsortiumId) -> DataKey {
    keystore.data_key("index", id.as_bytes())
}

/// The key that wraps the keys of blobs.
pub fn blobs_key(keystore: &Keystore) -> DataKey {
    keystore.data_key("blobs", b"")
}

/// The keystore's name of the key of a consortium's local row ids. A rehearsal has names of its own, so that it never
/// touches a production key. (Names of secrets hold at most 64 characters: half of the id is enough to tell two apart.)
pub fn rows_secret(kind: CharterKind, id: &ConsortiumId) -> String {
    format!("{}rows.{}", kind_prefix(kind), short(id))
}

/// The keystore's name of a consortium's linkage sub-key of one epoch.
pub fn linkage_secret(kind: CharterKind, id: &ConsortiumId, epoch: u32) -> String {
    format!("{}linkage.{}.{epoch}", kind_prefix(kind), short(id))
}

const fn kind_prefix(kind: CharterKind) -> &'static str {
    match kind {
        CharterKind::Rehearsal => "rehearsal.",
        CharterKind::Production => "",
    }
}

fn short(id: &ConsortiumId) -> String {
    id.to_string().chars().take(32).collect()
}

/// Refuses a file or folder that another user owns or can open.
///
/// # Errors
/// [`HomeFault`].
pub fn check_private(path: &Path) -> Result<(), HomeFault> {
    let metadata = fs::metadata(path).map_err(|source| io_fault("asking for the permissions of", path, source))?;
    check_metadata(path, &metadata)
}

fn check_metadata(path: &Path, metadata: &fs::Metadata) -> Result<(), HomeFault> {
    let mode = metadata.mode() & 0o7777;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(HomeFault::Owner { path: path.to_owned(), owner: metadata.uid() });
    }
    if mode & 0o077 != 0 {
        return Err(HomeFault::Open { path: path.to_owned(), mode });
    }
    Ok(())
}

/// Makes a folder for this user alone, and those above it with the usual permissions.
pub(crate) fn make_folder(path: &Path) -> Result<(), HomeFault> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.exists()) {
        fs::create_dir_all(parent).map_err(|source| io_fault("making", parent, source))?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        // What is written into it later would be lost with its name.
        other => {
            other.map_err(|source| io_fault("making the folder", path, source))?;
            sync_parent(path)
        }
    }
}

/// Writes a new file for this user alone, durably; one that is there is never touched.
pub(crate) fn create_private(path: &Path, bytes: &[u8]) -> Result<(), HomeFault> {
    let mut options = OpenOptions::new();
    let file = match options.write(true).create_new(true).mode(0o600).open(path) {
        Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {
            return Err(HomeFault::Exists { path: path.to_owned() });
        }
        other => other.map_err(|source| io_fault("creating", path, source))?,
    };
    write_synced(file, path, bytes)?;
    sync_parent(path)
}

/// Puts a file for this user alone in the place of what is there, durably and at once.
pub(crate) fn replace_private(path: &Path, bytes: &[u8]) -> Result<(), HomeFault> {
    let mut temp = path.as_os_str().to_owned();
    temp.push(".new");
    let temp = PathBuf::from(temp);
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&temp);
    write_synced(file.map_err(|source| io_fault("creating", &temp, source))?, &temp, bytes)?;
    fs::rename(&temp, path).map_err(|source| io_fault("renaming to", path, source))?;
    sync_parent(path)
}

fn write_synced(mut file: File, path: &Path, bytes: &[u8]) -> Result<(), HomeFault> {
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|source| io_fault("writing", path, source))
}

fn sync_parent(path: &Path) -> Result<(), HomeFault> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|folder| folder.sync_all()).map_err(|source| io_fault("syncing", parent, source))
}

/// The whole of a file of at most `max` bytes.
pub(crate) fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>, HomeFault> {
    let file = File::open(path).map_err(|source| io_fault("opening", path, source))?;
    read_open(file, path, max)
}

/// The whole of a file of at most `max` bytes that no other user owns or can open. The open file is asked, so that it
/// cannot be exchanged between the check and the read.
pub(crate) fn read_private(path: &Path, max: u64) -> Result<Vec<u8>, HomeFault> {
    // Without O_NONBLOCK a named pipe in the file's place would stop the command here.
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).expect("the flag is a low bit");
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = file.map_err(|source| io_fault("opening", path, source))?;
    let metadata = file.metadata().map_err(|source| io_fault("asking for the permissions of", path, source))?;
    if !metadata.is_file() {
        return Err(io_fault("reading", path, io::Error::other("not a plain file")));
    }
    check_metadata(path, &metadata)?;
    read_open(file, path, max)
}

fn read_open(file: File, path: &Path, max: u64) -> Result<Vec<u8>, HomeFault> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, max + 1), &mut bytes)
        .map_err(|source| io_fault("reading", path, source))?;
    if bytes.len() as u64 > max {
        return Err(io_fault("reading", path, io::ErrorKind::FileTooLarge.into()));
    }
    Ok(bytes)
}

pub(crate) fn io_fault(act: &'static str, path: &Path, source: io::Error) -> HomeFault {
    HomeFault::Io { act, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use cohortium_protocol::key::pair::KeyPair;

    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_home_is_made_once_and_is_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/node");
        let home = Home::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(matches!(Home::create(&path), Err(HomeFault::Exists { .. })));
        assert!(matches!(Home::open(&path), Err(HomeFault::Missing { .. })));
        create_private(&home.config_file(), b"").unwrap();
        assert!(Home::open(&path).is_ok());
        for mode in [0o701, 0o710, 0o750] {
            set_mode(&path, mode);
            assert!(matches!(Home::open(&path), Err(HomeFault::Open { .. })), "{mode:o}");
        }
    }

    #[test]
    fn a_private_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        create_private(&path, b"secret").unwrap();
        assert_eq!(read_private(&path, 6).unwrap(), b"secret");
        assert!(read_private(&path, 5).is_err());
        assert!(matches!(create_private(&path, b"x"), Err(HomeFault::Exists { .. })));
        for mode in [0o604, 0o640, 0o602] {
            set_mode(&path, mode);
            assert!(matches!(read_private(&path, 6), Err(HomeFault::Open { .. })), "{mode:o}");
        }
        assert!(read_private(dir.path(), 6).is_err(), "a folder is no file");
    }

    #[test]
    fn memberships_come_back_in_order_and_a_misplaced_one_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::create(&dir.path().join("node")).unwrap();
        let key = KeyPair::from_seed(&[1; 32]).public();
        let membership = |byte: u8| MembershipFile {
            consortium: ConsortiumId([byte; 32]),
            party: "north".parse().unwrap(),
            operator_root: key,
            operator_tls: key,
            operator_address: Some("op.example:7".to_owned()),
            public_address: None,
            title: None,
            kind: CharterKind::Rehearsal,
        };
        for byte in [2, 1] {
            home.write_membership(&membership(byte)).unwrap();
        }
        fs::create_dir(home.consortia().join("unfinished")).unwrap();
        assert_eq!(home.memberships().unwrap(), [membership(1), membership(2)]);
        assert_eq!(membership(1).dial_address().unwrap().to_string(), "op.example:7");
        let (from, to) = (home.consortium(&ConsortiumId([1; 32])), home.consortium(&ConsortiumId([3; 32])));
        fs::rename(from, to).unwrap();
        assert!(matches!(home.memberships(), Err(HomeFault::Membership { .. })));
    }

    #[test]
    fn a_rehearsal_has_secrets_of_its_own_and_all_names_are_names() {
        let id = ConsortiumId([0xab; 32]);
        let mut names = std::collections::BTreeSet::new();
        for kind in [CharterKind::Rehearsal, CharterKind::Production] {
            names.insert(rows_secret(kind, &id));
            names.insert(linkage_secret(kind, &id, u32::MAX));
        }
        assert_eq!(names.len(), 4);
        names.extend(NODE_SECRETS.map(str::to_owned));
        assert!(names.iter().all(|name| name.parse::<Name>().is_ok()), "{names:?}");
    }
}
