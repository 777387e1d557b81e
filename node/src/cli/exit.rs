//! How a command ends: what went wrong in one sentence, and the exit code that scripts rely on.

use std::fmt;

use cohortium_store::blob::BlobFault;
use cohortium_store::journal::JournalFault;
use cohortium_store::keystore::KeystoreFault;
use serde_json::{Value, json};

use crate::config::resolve::ConfigFault;
use crate::config::secret::SecretFault;
use crate::control::ErrorKind;
use crate::home::HomeFault;
use crate::person::PersonFault;

/// Every exit code with what it means; the README holds the same table.
pub const EXIT_CODES: [(u8, &str); 7] = [
    (0, "done"),
    (2, "usage: the command or its arguments are wrong"),
    (3, "refused: the rules, a role or a passphrase do not allow it"),
    (4, "not found: no such thing here"),
    (5, "verify failed: a check found something wrong"),
    (6, "unreachable: the daemon, a peer or the network is not there"),
    (7, "local: disk, journal, keystore, configuration or worker"),
];

/// The exit code of a kind of failure.
pub const fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Usage => 2,
        ErrorKind::Refused => 3,
        ErrorKind::NotFound => 4,
        ErrorKind::VerifyFailed => 5,
        ErrorKind::Unreachable => 6,
        ErrorKind::Local => 7,
    }
}

const fn kind_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Usage => "usage",
        ErrorKind::Refused => "refused",
        ErrorKind::NotFound => "not-found",
        ErrorKind::VerifyFailed => "verify-failed",
        ErrorKind::Unreachable => "unreachable",
        ErrorKind::Local => "local",
    }
}

/// Why a command did not do what it was asked to. The sentence reads after "error: ".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CliFault {
    /// Which exit code.
    pub(crate) kind: ErrorKind,
    /// The fault, the place, what to do.
    pub(crate) message: String,
}

impl CliFault {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Refused, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    pub(crate) fn local(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Local, message)
    }

    pub(crate) fn wrong(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::VerifyFailed, message)
    }

    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unreachable, message)
    }

    /// The daemon sent a reply that the request does not have: two versions at one socket.
    pub(crate) fn other_reply() -> Self {
        Self::local(
            "the daemon answered something else than was asked; run the same version of daemon and command line",
        )
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({"error": {"kind": kind_name(self.kind), "code": exit_code(self.kind), "message": self.message}})
    }
}

impl fmt::Display for CliFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// An error and all that caused it, as one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

impl From<HomeFault> for CliFault {
    fn from(fault: HomeFault) -> Self {
        let kind = match fault {
            HomeFault::Missing { .. } => ErrorKind::NotFound,
            HomeFault::Exists { .. } => ErrorKind::Refused,
            HomeFault::Open { .. } | HomeFault::Owner { .. } | HomeFault::Membership { .. } | HomeFault::Io { .. } => {
                ErrorKind::Local
            }
        };
        Self::new(kind, chain(&fault))
    }
}

impl From<ConfigFault> for CliFault {
    fn from(fault: ConfigFault) -> Self {
        Self::local(format!("node.toml: {}", chain(&fault)))
    }
}

impl From<SecretFault> for CliFault {
    fn from(fault: SecretFault) -> Self {
        let kind = match fault {
            SecretFault::Keystore(KeystoreFault::Refused) => ErrorKind::Refused,
            SecretFault::Keystore(KeystoreFault::NotFound { .. }) => ErrorKind::NotFound,
            SecretFault::NoTerminal { .. } | SecretFault::Differ => ErrorKind::Usage,
            SecretFault::Home(_)
            | SecretFault::NotPassphrase { .. }
            | SecretFault::Terminal { .. }
            | SecretFault::Keystore(_)
            | SecretFault::KeyMissing { .. } => ErrorKind::Local,
        };
        Self::new(kind, chain(&fault))
    }
}

impl From<KeystoreFault> for CliFault {
    fn from(fault: KeystoreFault) -> Self {
        SecretFault::Keystore(fault).into()
    }
}

impl From<PersonFault> for CliFault {
    fn from(fault: PersonFault) -> Self {
        match fault {
            PersonFault::Home(fault) => fault.into(),
            PersonFault::Secret(fault) => fault.into(),
            PersonFault::Keystore(fault) => fault.into(),
            PersonFault::NotFound { .. } => Self::not_found(fault.to_string()),
            PersonFault::Refused { .. } => Self::refused(fault.to_string()),
            PersonFault::Damaged { .. } => Self::local(fault.to_string()),
        }
    }
}

impl From<JournalFault> for CliFault {
    fn from(fault: JournalFault) -> Self {
        let kind = match fault {
            JournalFault::Missing { .. }
            | JournalFault::Header { .. }
            | JournalFault::Chain { .. }
            | JournalFault::CutOff { .. }
            | JournalFault::Record { .. } => ErrorKind::VerifyFailed,
            JournalFault::NotFound { .. } => ErrorKind::NotFound,
            JournalFault::Disk(_)
            | JournalFault::Poisoned
            | JournalFault::Version { .. }
            | JournalFault::EntryLength
            | JournalFault::BatchLength => ErrorKind::Local,
        };
        Self::new(kind, chain(&fault))
    }
}

impl From<BlobFault> for CliFault {
    fn from(fault: BlobFault) -> Self {
        let kind = match fault {
            BlobFault::Foot { .. } | BlobFault::Damaged { .. } | BlobFault::Digest { .. } => ErrorKind::VerifyFailed,
            BlobFault::NotFound { .. } => ErrorKind::NotFound,
            BlobFault::Disk(_) | BlobFault::Write { .. } | BlobFault::Adopt { .. } => ErrorKind::Local,
        };
        Self::new(kind, chain(&fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [ErrorKind; 6] = [
        ErrorKind::Usage,
        ErrorKind::Refused,
        ErrorKind::NotFound,
        ErrorKind::VerifyFailed,
        ErrorKind::Unreachable,
        ErrorKind::Local,
    ];

    #[test]
    fn every_kind_has_its_code_in_the_table_and_the_table_stands_in_the_readme() {
        let readme = include_str!("../../../README.md");
        let codes: Vec<u8> = EXIT_CODES.iter().map(|(code, _)| *code).collect();
        for (kind, expected) in KINDS.into_iter().zip(2..) {
            assert_eq!(exit_code(kind), expected);
            assert!(codes.contains(&expected));
        }
        for (code, meaning) in EXIT_CODES {
            let row = format!("| {code} | {meaning} |");
            assert!(readme.contains(&row), "the README lacks the row: {row}");
        }
    }

    #[test]
    fn an_error_has_a_stable_json_shape_and_shows_its_causes_once() {
        let fault = CliFault::refused("no");
        assert_eq!(fault.to_json().to_string(), r#"{"error":{"code":3,"kind":"refused","message":"no"}}"#);
        let source = std::io::Error::other("disk gone");
        let home = HomeFault::Io { act: "reading", path: "f".into(), source };
        assert_eq!(chain(&home), "disk gone while reading f");
    }
}
