//! Offline verification of a release: its folder and, as the anchor, the consortium's id are all that is needed.
//!
//! What is checked, and in which order, is spec chapter 17. The first thing that is wrong is named with its file.

mod batches;
mod check;
mod export;
mod fault;
mod folder;
mod layout;
mod open;
mod rows;

pub use batches::{Batches, RowsFault, WrongRows};
pub use check::{VerifiedRelease, verify};
pub use fault::{ReleaseFault, Wrong};
pub use folder::{DiskFolder, FolderRead, ReadFault};
pub use layout::{
    CHARTER_FOLDER, COSIGNER_FOLDER, ENDING, JournalFile, OPERATOR_FOLDER, PROJECT, RESERVED, RESERVED_PROOF, SIGNED,
    SIGNED_PROOF, STATEMENT, STATEMENT_JSON, numbered, statement_json,
};
pub use open::{OpenRelease, Progress};
pub use rows::{ReleasedRows, rows};

#[cfg(test)]
mod tests;
