//! Secrets that the configuration points to: passphrases from private files or the terminal, and the opened keystore.

use std::fmt;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use cohortium_store::keystore::{KeySource, Keystore, KeystoreFault, PassphraseCost};
use zeroize::Zeroizing;

use crate::config::resolve::KeyPlace;
use crate::home::{self, Home, HomeFault};

/// The longest passphrase, in bytes.
pub const PASSPHRASE_BYTES_MAX: u64 = 4096;

/// Why a secret is not to be had.
#[derive(Debug)]
pub enum SecretFault {
    /// The file that holds it is not taken.
    Home(HomeFault),
    /// The file's first line is empty or not UTF-8.
    NotPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// It would be asked for, and there is no terminal.
    NoTerminal {
        /// What it opens.
        what: String,
    },
    /// The terminal failed.
    Terminal {
        /// What the system said.
        source: io::Error,
    },
    /// The two passphrases typed differ.
    Differ,
    /// The keystore does not open.
    Keystore(KeystoreFault),
    /// The keystore opens but lacks one of the node's own keys.
    KeyMissing {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for SecretFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Home(fault) => fault.fmt(f),
            Self::NotPassphrase { path } => write!(f, "{} holds no passphrase in its first line", path.display()),
            Self::NoTerminal { what } => {
                write!(
                    f,
                    "the passphrase of {what} is needed and there is no terminal to ask at; name a passphrase file"
                )
            }
            Self::Terminal { source } => write!(f, "{source} while asking for a passphrase"),
            Self::Differ => f.write_str("the two passphrases differ; nothing was made"),
            Self::Keystore(fault) => fault.fmt(f),
            Self::KeyMissing { name } => write!(f, "the keystore holds no key {name}; restore it from a backup"),
        }
    }
}

impl std::error::Error for SecretFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Home(fault) => fault.source(),
            Self::Terminal { source } => Some(source),
            Self::Keystore(fault) => fault.source(),
            Self::NotPassphrase { .. } | Self::NoTerminal { .. } | Self::Differ | Self::KeyMissing { .. } => None,
        }
    }
}

impl From<KeystoreFault> for SecretFault {
    fn from(fault: KeystoreFault) -> Self {
        Self::Keystore(fault)
    }
}

/// Opens the node's keystore with what its configuration names.
///
/// # Errors
/// [`SecretFault`].
pub fn open_keystore(home: &Home, place: &KeyPlace) -> Result<Keystore, SecretFault> {
    Ok(Keystore::open(&home.keystore(), &key_source(place, Ask::Once)?)?)
}

/// One of the node's 32-byte keys.
///
/// # Errors
/// [`SecretFault::KeyMissing`].
pub fn seed(keystore: &Keystore, name: &str) -> Result<Zeroizing<[u8; 32]>, SecretFault> {
    let secret = keystore.secret(name);
    let bytes = secret.as_ref().and_then(|secret| <[u8; 32]>::try_from(secret.as_slice()).ok());
    bytes.map(Zeroizing::new).ok_or_else(|| SecretFault::KeyMissing { name: name.to_owned() })
}

/// How often a passphrase is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// To open something.
    Once,
    /// To make something: a slip of the finger would lock it for good.
    Twice,
}

/// The key source that a configuration names.
///
/// # Errors
/// [`SecretFault`].
pub fn key_source(place: &KeyPlace, ask: Ask) -> Result<KeySource, SecretFault> {
    let passphrase = match place {
        KeyPlace::KeyFile(path) => return Ok(KeySource::KeyFile(path.clone())),
        KeyPlace::PassphraseFile(path) => read_passphrase(path)?,
        KeyPlace::Prompt => ask_passphrase("the node's keystore", ask)?,
    };
    Ok(KeySource::Passphrase { passphrase, cost: PassphraseCost::RECOMMENDED })
}

/// The first line of a file that only this user may read.
///
/// # Errors
/// [`SecretFault`].
pub fn read_passphrase(path: &Path) -> Result<Zeroizing<String>, SecretFault> {
    let bytes = Zeroizing::new(home::read_private(path, PASSPHRASE_BYTES_MAX).map_err(SecretFault::Home)?);
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = std::str::from_utf8(line).ok().filter(|text| !text.is_empty());
    text.map(|text| Zeroizing::new(text.to_owned())).ok_or_else(|| SecretFault::NotPassphrase { path: path.to_owned() })
}

/// Asks at the terminal, without showing what is typed.
///
/// # Errors
/// [`SecretFault`].
pub fn ask_passphrase(what: &str, ask: Ask) -> Result<Zeroizing<String>, SecretFault> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(SecretFault::NoTerminal { what: what.to_owned() });
    }
    let first = ask_once(&format!("Passphrase of {what}: "))?;
    if ask == Ask::Twice && *ask_once("The same again: ")? != *first {
        return Err(SecretFault::Differ);
    }
    Ok(first)
}

fn ask_once(prompt: &str) -> Result<Zeroizing<String>, SecretFault> {
    let failed = |source: io::Error| SecretFault::Terminal { source };
    let mut error = io::stderr();
    write!(error, "{prompt}").and_then(|()| error.flush()).map_err(failed)?;
    let stdin = io::stdin();
    let shown = rustix::termios::tcgetattr(&stdin).map_err(|errno| failed(errno.into()))?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(rustix::termios::LocalModes::ECHO);
    let act = rustix::termios::OptionalActions::Flush;
    rustix::termios::tcsetattr(&stdin, act, &hidden).map_err(|errno| failed(errno.into()))?;
    let mut line = Zeroizing::new(String::new());
    let read = stdin.lock().read_line(&mut line);
    let restored = rustix::termios::tcsetattr(&stdin, act, &shown);
    writeln!(error).map_err(failed)?;
    read.map_err(failed)?;
    restored.map_err(|errno| failed(errno.into()))?;
    let text = line.trim_end_matches(['\n', '\r']);
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_passphrase_file_is_private_and_its_first_line_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        for (content, expected) in [
            ("a b\n", Some("a b")),
            ("a\r\nb", Some("a")),
            ("a", Some("a")),
            ("", None),
            ("\nb", None),
            ("\u{00e9}", Some("é")),
        ] {
            home::replace_private(&path, content.as_bytes()).unwrap();
            assert_eq!(read_passphrase(&path).ok().map(|text| text.to_string()).as_deref(), expected, "{content:?}");
        }
        home::replace_private(&path, &[0xff, 0xfe]).unwrap();
        assert!(matches!(read_passphrase(&path), Err(SecretFault::NotPassphrase { .. })));
        home::replace_private(&path, b"a").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(read_passphrase(&path), Err(SecretFault::Home(HomeFault::Open { .. }))));
    }
}
