//! Why long work made nothing: a code for journals, records and logs, with nothing of a source's content in it.

use serde::{Deserialize, Serialize};

/// Why a run made nothing. Carries nothing of the source's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunFault {
    /// The source cannot be opened or read.
    Unreadable,
    /// It changed while it was read.
    Changed,
    /// It is not in the declared format.
    Malformed,
    /// Its columns are not the share's.
    ColumnsDiffer,
    /// Two rows have one key.
    KeyTwice,
    /// It needed more memory, time or disk than allowed.
    Limit,
    /// A linkage key is needed and not held.
    NoLinkageKey,
    /// The worker ended without an answer.
    WorkerLost,
    /// The mapped tables are older than an opt-out, a source's definition or the linkage key, or were never made.
    SetStale,
    /// The connection was lost while the new version became visible: it is there whole, or not at all.
    Unsettled,
    /// A vocabulary is needed and not loaded.
    NoVocabulary,
    /// The sources are no longer what the mapping was written for.
    Drifted,
    /// A table that had rows would have none.
    Emptied,
}
