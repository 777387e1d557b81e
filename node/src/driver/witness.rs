//! What cosigning needs of the disk: proofs and cosignatures of this node's log, peers' heads that it cosigned last, and
//! evidence against a log that was changed. The endpoint judges.

use std::fs;
use std::path::{Path, PathBuf};

use cohortium_protocol::digest::sha256;
use cohortium_protocol::endpoint::io::{Input, Ticket};
use cohortium_protocol::ident::Name;
use cohortium_protocol::key::pair::PublicKey;
use cohortium_protocol::limits::LOG_NOTE_BYTES_MAX;

use crate::driver::audit::Audit;
use crate::home::{HomeFault, make_folder, read_private, replace_private};

/// The end of a kept head's file, so that no party's name is another file's.
const ENDING: &str = ".checkpoint";

/// The heads and evidence of one consortium. Not sealed: a checkpoint is made to be shown.
#[derive(Clone)]
pub(crate) struct Witnessed(PathBuf);

impl Witnessed {
    /// In this folder, which is made with the first head.
    pub(crate) const fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// The last checkpoint of each peer that this node cosigned. Blocks.
    pub(crate) fn read(&self) -> Vec<(Name, String)> {
        let Ok(files) = fs::read_dir(&self.0) else { return Vec::new() };
        let mut heads = Vec::new();
        for path in files.filter_map(|file| file.ok().map(|file| file.path())) {
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(ENDING));
            let Some(peer) = name.and_then(|name| name.parse::<Name>().ok()) else { continue };
            match read_private(&path, LOG_NOTE_BYTES_MAX as u64).map(String::from_utf8) {
                Ok(Ok(checkpoint)) => heads.push((peer, checkpoint)),
                Ok(Err(_)) => tracing::error!(event = "witnessed-unreadable", %peer, fault = "not a text"),
                Err(fault) => tracing::error!(event = "witnessed-unreadable", %peer, %fault),
            }
        }
        heads
    }

    /// Keeps a peer's checkpoint in place of the one before. Durable when it returns. Blocks.
    pub(crate) fn keep(&self, ticket: Ticket, peer: &Name, checkpoint: &str) -> Input {
        let file = self.0.join(format!("{peer}{ENDING}"));
        let kept = make_folder(&self.0).and_then(|()| replace_private(&file, checkpoint.as_bytes()));
        if let Err(fault) = &kept {
            tracing::error!(event = "witnessed-not-kept", %peer, %fault);
        }
        Input::Witnessed { ticket, durable: kept.is_ok() }
    }

    /// Keeps two checkpoints that are not of one log: the first such piece for each head that was cosigned. Blocks.
    pub(crate) fn keep_evidence(&self, peer: &Name, last: &str, now: &str) {
        match self.write_evidence(peer, last, now) {
            Ok(folder) => tracing::error!(event = "split-view-evidence", %peer, folder = %folder.display()),
            Err(fault) => tracing::error!(event = "split-view-evidence-not-kept", %peer, %fault),
        }
    }

    fn write_evidence(&self, peer: &Name, last: &str, now: &str) -> Result<PathBuf, HomeFault> {
        // One piece for each head that was cosigned: a peer cannot fill the disk with heads that it makes up.
        let digest = sha256(&[last.as_bytes()]);
        let number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let all = self.0.join("evidence");
        let folder = all.join(format!("{peer}-{number:016x}"));
        if folder.join("now").exists() {
            return Ok(folder);
        }
        for made in [&self.0, &all, &folder] {
            make_folder(made)?;
        }
        replace_private(&folder.join("last"), last.as_bytes())?;
        replace_private(&folder.join("now"), now.as_bytes())?;
        Ok(folder)
    }
}

/// The proof that this node's log only grew since its checkpoint of size `from`. Blocks.
pub(crate) fn prove(audit: &Audit, ticket: Ticket, from: u64) -> Input {
    let log = audit.lock();
    let proof = match log.consistency(from) {
        Ok(bundle) => Some((log.head(), bundle.path)),
        Err(fault) => {
            tracing::error!(event = "log-not-proved", from, %fault);
            None
        }
    };
    Input::LogProof { ticket, proof }
}

/// A peer's cosignature of this node's checkpoint.
pub(crate) struct Cosignature {
    pub(crate) size: u64,
    pub(crate) name: String,
    pub(crate) key: PublicKey,
    pub(crate) checkpoint: String,
}

/// Adds a cosignature to the checkpoint it is of. Blocks.
pub(crate) fn add(audit: &Audit, cosignature: &Cosignature) {
    let Cosignature { size, name, key, checkpoint } = cosignature;
    match audit.lock().add_cosignature(*size, checkpoint, name, *key) {
        Ok(()) => tracing::info!(event = "log-cosigned", by = name, size),
        Err(fault) => tracing::error!(event = "cosignature-not-kept", by = name, size, %fault),
    }
}

/// The folder of one consortium's heads and evidence.
pub(crate) fn folder(consortium: &Path) -> PathBuf {
    consortium.join("witnessed")
}

#[cfg(test)]
mod tests {
    use super::*;

    // LOG-18
    #[test]
    fn the_last_head_of_each_peer_is_kept_and_evidence_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Witnessed::new(folder(dir.path()));
        assert!(kept.read().is_empty());
        let names: [Name; 2] = ["north".parse().unwrap(), "north.checkpoint".parse().unwrap()];
        for text in ["first\n", "second\n"] {
            for name in &names {
                let told = kept.keep(Ticket(1), name, text);
                assert!(matches!(told, Input::Witnessed { durable: true, .. }));
            }
        }
        kept.keep_evidence(&names[0], "one", "other");
        let mut heads = kept.read();
        heads.sort();
        assert_eq!(heads, names.map(|name| (name, "second\n".to_owned())));
    }
}
