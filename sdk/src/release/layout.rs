//! Where everything lies in the folder of a release (spec FOLD-1), for who writes one and who checks it.

use cohortium_protocol::record::release::Release;
use cohortium_protocol::wire::codec::Blob;
use serde::{Deserialize, Serialize};

/// The signed statement.
pub const STATEMENT: &str = "statement.cohortium";
/// The same for people; nothing is believed of it that the signed one does not say.
pub const STATEMENT_JSON: &str = "statement.json";
/// The project in the version that the request was reviewed against.
pub const PROJECT: &str = "project.cohortium";
/// The charter chain, from version 1 to the one that the request was reviewed against.
pub const CHARTER_FOLDER: &str = "charter";
/// Node records of the operator whose keys signed something here.
pub const OPERATOR_FOLDER: &str = "operator";
/// Node records of parties that cosigned the checkpoint, by their names.
pub const COSIGNER_FOLDER: &str = "cosigner";
/// The entry of the operator's journal that reserved the release.
pub const RESERVED: &str = "journal/reserved";
/// The entry that holds the signed statement.
pub const SIGNED: &str = "journal/signed";
/// That the first is in the operator's log.
pub const RESERVED_PROOF: &str = "log/reserved";
/// That the second is.
pub const SIGNED_PROOF: &str = "log/signed";
/// The end of names of signed documents.
pub const ENDING: &str = ".cohortium";

/// The path of the `number`-th document of a folder, from 1 on.
pub fn numbered(folder: &str, number: usize) -> String {
    format!("{folder}/{number:04}{ENDING}")
}

/// An entry of a journal with the salt of its leaf: what an inclusion proof is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalFile {
    /// The salt.
    pub salt: [u8; 32],
    /// The entry's bytes.
    pub entry: Blob,
}

/// The statement as people read it: JSON with sorted keys where the record has maps, and a line feed at the end.
pub fn statement_json(release: &Release) -> Vec<u8> {
    let mut json = serde_json::to_vec_pretty(release).unwrap_or_default();
    json.push(b'\n');
    json
}
