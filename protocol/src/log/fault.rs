//! What can be wrong with a log's files: every fault names the file, and where it can be known the byte.

use std::fmt;

use crate::log::note::NoteFault;

/// Why a file of the log could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFault {
    /// There is no such file.
    Missing,
    /// The file is there and cannot be read.
    Unreadable,
    /// The file is longer than the caller allows; nothing of it was kept.
    TooLong {
        /// Its length in bytes.
        bytes: u64,
    },
}

/// The first thing that is wrong with a log, by the path of its file below the log's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogFault {
    /// A file that the checkpoint's size demands is not there.
    Missing {
        /// The file.
        path: String,
    },
    /// A file or folder cannot be read.
    Unreadable {
        /// The file or folder.
        path: String,
    },
    /// A tile or bundle of another length than its name demands.
    Length {
        /// The file.
        path: String,
        /// What its name demands.
        bytes_expected: u64,
        /// What it has.
        bytes_found: u64,
    },
    /// Content that is not what the checkpoint commits to.
    Differs {
        /// The file.
        path: String,
        /// The first wrong byte; in an entry bundle the first byte of the wrong entry.
        byte: u64,
    },
    /// A checkpoint that is malformed, not signed by the log, or carries a wrong signature.
    Note {
        /// The file.
        path: String,
        /// What is wrong with it.
        fault: NoteFault,
    },
    /// A checkpoint, signed by the log, that commits to another tree than the entries make: a fork or a rewritten log.
    Forked {
        /// The file of the checkpoint.
        path: String,
        /// The tree size at which the two differ.
        size: u64,
    },
    /// The log ends before a size that a checkpoint promised: it was rolled back.
    RolledBack {
        /// The file of the checkpoint that promised more.
        path: String,
        /// The size it promised.
        size: u64,
    },
    /// A file that does not belong to a log of this size.
    Unexpected {
        /// The file.
        path: String,
    },
}

impl LogFault {
    /// The fault of a file that could not be read, or not within `bytes_expected`.
    pub fn unread(path: String, fault: ReadFault, bytes_expected: usize) -> Self {
        match fault {
            ReadFault::Missing => Self::Missing { path },
            ReadFault::Unreadable => Self::Unreadable { path },
            ReadFault::TooLong { bytes } => Self::Length {
                path,
                bytes_expected: u64::try_from(bytes_expected).unwrap_or(u64::MAX),
                bytes_found: bytes,
            },
        }
    }

    /// The file that is at fault.
    pub fn path(&self) -> &str {
        match self {
            Self::Missing { path }
            | Self::Unreadable { path }
            | Self::Length { path, .. }
            | Self::Differs { path, .. }
            | Self::Note { path, .. }
            | Self::Forked { path, .. }
            | Self::RolledBack { path, .. }
            | Self::Unexpected { path } => path,
        }
    }
}

impl fmt::Display for LogFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { path } => write!(f, "{path} is missing"),
            Self::Unreadable { path } => write!(f, "{path} cannot be read"),
            Self::Length { path, bytes_expected, bytes_found } => {
                write!(f, "{path} has {bytes_found} bytes where {bytes_expected} are expected")
            }
            Self::Differs { path, byte } => {
                write!(f, "{path} is not what the checkpoint commits to, from byte {byte} on")
            }
            Self::Note { path, fault } => write!(f, "{path} {fault}"),
            Self::Forked { path, size } => {
                write!(f, "{path} commits to another tree of {size} leaves than the log's entries make")
            }
            Self::RolledBack { path, size } => write!(f, "{path} commits to {size} leaves, the log ends before"),
            Self::Unexpected { path } => write!(f, "{path} does not belong to the log"),
        }
    }
}

impl std::error::Error for LogFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Note { fault, .. } => Some(fault),
            Self::Missing { .. }
            | Self::Unreadable { .. }
            | Self::Length { .. }
            | Self::Differs { .. }
            | Self::Forked { .. }
            | Self::RolledBack { .. }
            | Self::Unexpected { .. } => None,
        }
    }
}

/// The first place where `found` is not `expected`, in bytes; `None` when the two are equal.
pub(crate) fn first_difference(found: &[u8], expected: &[u8]) -> Option<u64> {
    let differing = found.iter().zip(expected).position(|(a, b)| a != b);
    let shorter = (found.len() != expected.len()).then(|| found.len().min(expected.len()));
    differing.or(shorter).and_then(|at| u64::try_from(at).ok())
}
