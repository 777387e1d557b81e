//! Cosigning: one node shows the head of its audit log, the other cosigns it or says from where it wants a proof.

use serde::{Deserialize, Serialize};

use crate::log::tree::TreeHash;

/// The head of the sender's log, to be cosigned (spec LOG-17).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogOffer {
    /// The size that the path begins at: what the receiver cosigned last, as far as the sender knows; else 0.
    pub old: u64,
    /// The checkpoint, with the log's own signature alone.
    pub checkpoint: String,
    /// The consistency proof from `old` to the checkpoint; empty where `old` is 0.
    pub path: Vec<TreeHash>,
}

/// What the reader of a log answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogAnswer {
    /// The checkpoint with its cosignature.
    Cosigned(String),
    /// It has cosigned this size before and wants a proof from there.
    ProveFrom(u64),
}
