//! Fetching one object: by ranges, each of the same version, within a size.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use futures::StreamExt;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt};

use crate::place::{Credentials, Place};

/// The bounds of one fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchLimits {
    /// Bytes of the object. 1 TiB.
    pub object_bytes_max: u64,
    /// Bytes of one request. 8 MiB.
    pub range_bytes: u64,
    /// The longest that connecting may take. 10 seconds.
    pub connect_max: Duration,
    /// The longest that one request may take, with what is tried again. 2 minutes.
    pub request_max: Duration,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            object_bytes_max: 1 << 40,
            range_bytes: 8 << 20,
            connect_max: Duration::from_secs(10),
            request_max: Duration::from_mins(2),
        }
    }
}

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The object's bytes.
    pub bytes: u64,
    /// The store's tag of the version: another tag is another version.
    pub tag: String,
}

/// Why an object was not fetched. What is in the sink then is not to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchFault {
    /// Endpoint, bucket, key or certificate cannot be used.
    Place,
    /// The way to the store is neither TLS nor within this machine.
    NotPrivate,
    /// There is no such object or bucket.
    NotFound,
    /// The credentials are wrong or may not read it.
    Denied,
    /// The store gives no tag by which a version can be told from the next.
    NoTag,
    /// The object changed while it was fetched.
    Changed,
    /// The object is over the limit.
    TooLarge {
        /// Its bytes.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// A range was not as long as was asked for.
    Length {
        /// Where it begins.
        at: u64,
    },
    /// The store was not reached, or failed, also after some tries.
    Store {
        /// How many bytes were fetched before.
        at: u64,
    },
    /// The sink took no more.
    Sink {
        /// Why.
        kind: io::ErrorKind,
    },
}

impl fmt::Display for FetchFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place => f.write_str("endpoint, bucket, key or certificate cannot be used"),
            Self::NotPrivate => f.write_str("the store is neither reached by TLS nor within this machine"),
            Self::NotFound => f.write_str("there is no such object"),
            Self::Denied => f.write_str("the store does not let these credentials read the object"),
            Self::NoTag => f.write_str("the store does not say which version of the object it gives"),
            Self::Changed => f.write_str("the object changed while it was fetched"),
            Self::TooLarge { bytes, max } => write!(f, "the object has {bytes} bytes, more than {max}"),
            Self::Length { at } => write!(f, "the range at byte {at} is not as long as it must be"),
            Self::Store { at } => write!(f, "the store was not reached or failed at byte {at}"),
            Self::Sink { kind } => write!(f, "the bytes could not be kept: {kind}"),
        }
    }
}

impl std::error::Error for FetchFault {}

impl FetchFault {
    /// Our code for a fault of the store; its text stays behind.
    fn of(error: &Error, at: u64) -> Self {
        match error {
            Error::NotFound { .. } => Self::NotFound,
            Error::Precondition { .. } => Self::Changed,
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => Self::Denied,
            Error::InvalidPath { .. } => Self::Place,
            _ => Self::Store { at },
        }
    }
}

/// Fetches the object into the sink, in the runtime of whoever calls. The sink's end is the caller's to make durable.
///
/// # Errors
/// [`FetchFault`].
pub async fn fetch(
    place: &Place,
    credentials: Option<&Credentials>,
    limits: &FetchLimits,
    sink: &mut (impl Write + Send),
) -> Result<Fetched, FetchFault> {
    let (store, path) = place.store(credentials, limits)?;
    let meta = store.head(&path).await.map_err(|error| FetchFault::of(&error, 0))?;
    // A weak tag stays the same for versions that only mean the same.
    let tag = meta.e_tag.filter(|tag| !tag.is_empty() && !tag.starts_with("W/")).ok_or(FetchFault::NoTag)?;
    if meta.size > limits.object_bytes_max {
        return Err(FetchFault::TooLarge { bytes: meta.size, max: limits.object_bytes_max });
    }
    let version = Version { bytes: meta.size, tag };
    let mut at = 0;
    while at < version.bytes {
        let end = version.bytes.min(at + limits.range_bytes.max(1));
        if let Err(fault) = range(&store, &path, &version, at..end, sink).await {
            // Some stores look at the range before the version, and refuse the one for the other.
            let now = store.head(&path).await;
            let other = now.is_ok_and(|meta| meta.e_tag.as_ref() != Some(&version.tag));
            return Err(if other && matches!(fault, FetchFault::Store { .. }) { FetchFault::Changed } else { fault });
        }
        at = end;
    }
    Ok(Fetched { bytes: version.bytes, tag: version.tag })
}

struct Version {
    bytes: u64,
    tag: String,
}

/// Fetches one range of this version and no other: the store is told, and what it answers is looked at, because some
/// stores do not listen.
async fn range(
    store: &impl ObjectStore,
    path: &Path,
    version: &Version,
    range: std::ops::Range<u64>,
    sink: &mut (impl Write + Send),
) -> Result<(), FetchFault> {
    let at = range.start;
    let asked = GetOptions {
        if_match: Some(version.tag.clone()),
        range: Some(GetRange::Bounded(range.clone())),
        ..GetOptions::default()
    };
    let answer = store.get_opts(path, asked).await.map_err(|error| FetchFault::of(&error, at))?;
    if answer.meta.e_tag.as_ref() != Some(&version.tag) || answer.meta.size != version.bytes {
        return Err(FetchFault::Changed);
    }
    if answer.range != range {
        return Err(FetchFault::Length { at });
    }
    let mut left = range.end - range.start;
    let mut pieces = answer.into_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| FetchFault::of(&error, at))?;
        left = left.checked_sub(piece.len() as u64).ok_or(FetchFault::Length { at })?;
        sink.write_all(&piece).map_err(|error| FetchFault::Sink { kind: error.kind() })?;
    }
    if left == 0 { Ok(()) } else { Err(FetchFault::Length { at }) }
}
