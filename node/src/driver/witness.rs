//! What cosigning needs of the disk: proofs and cosignatures of this node's log, who has cosigned it, peers' heads that it
//! cosigned last, and evidence against a log that was changed. The endpoint judges.

use std::path::{Path, PathBuf};
use std::{fs, io};

use cohortium_protocol::digest::sha256;
use cohortium_protocol::endpoint::io::{Input, Ticket};
use cohortium_protocol::ident::Name;
use cohortium_protocol::key::pair::PublicKey;
use cohortium_protocol::limits::LOG_NOTE_BYTES_MAX;
use cohortium_protocol::log::checkpoint::{Checkpoint, LogKeys, Strangers};
use cohortium_protocol::log::note::Note;

use crate::driver::audit::Audit;
use crate::home::{HomeFault, make_folder, read_private, replace_private};

/// The end of a kept head's file, so that no party's name is another file's.
const ENDING: &str = ".checkpoint";
/// Who has cosigned this node's log: a line `ORIGIN=KEY` for each key.
const COSIGNERS: &str = "cosigners";
/// Bytes of that file.
const COSIGNERS_BYTES_MAX: u64 = 16 << 20;
/// The folder of evidence, and the two checkpoints of each piece of it.
const EVIDENCE: &str = "evidence";
const LAST: &str = "last";
const NOW: &str = "now";

/// The heads and evidence of one consortium. Not sealed: a checkpoint is made to be shown.
#[derive(Clone)]
pub(crate) struct Witnessed(PathBuf);

impl Witnessed {
    /// In this folder, which is made with the first head.
    pub(crate) const fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// The last checkpoint of each peer that this node cosigned. Blocks.
    ///
    /// # Errors
    /// The file that cannot be read, in words: without it this node would cosign whatever it is shown next.
    pub(crate) fn read(&self) -> Result<Vec<(Name, String)>, String> {
        let files = match fs::read_dir(&self.0) {
            Ok(files) => files,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(fault) => return Err(format!("{fault} while reading {}", self.0.display())),
        };
        let mut heads = Vec::new();
        for file in files {
            let path = file.map_err(|fault| format!("{fault} while reading {}", self.0.display()))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(ENDING));
            let Some(peer) = name.and_then(|name| name.parse::<Name>().ok()) else { continue };
            let bytes = read_private(&path, LOG_NOTE_BYTES_MAX as u64).map_err(|fault| fault.to_string())?;
            let checkpoint = String::from_utf8(bytes).map_err(|_| format!("{} is damaged", path.display()))?;
            heads.push((peer, checkpoint));
        }
        Ok(heads)
    }

    /// Writes down who cosigns this node's log. Durable when it returns. Blocks.
    fn know(&self, name: &str, key: PublicKey) -> Result<(), String> {
        let mut all = cosigners(&self.0)?;
        let line = format!("{name}={key}");
        if all.lines().any(|known| known == line) {
            return Ok(());
        }
        all = format!("{all}{line}\n");
        let kept = make_folder(&self.0).and_then(|()| replace_private(&self.0.join(COSIGNERS), all.as_bytes()));
        kept.map_err(|fault| fault.to_string())
    }

    /// Keeps a peer's checkpoint in place of the one before, unless that one is of a larger log. Durable when it returns.
    /// Blocks.
    pub(crate) fn keep(&self, ticket: Ticket, peer: &Name, checkpoint: &str) -> Input {
        let file = self.0.join(format!("{peer}{ENDING}"));
        let before =
            read_private(&file, LOG_NOTE_BYTES_MAX as u64).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if before.and_then(|before| size_of(&before)) > size_of(checkpoint) {
            tracing::error!(event = "witnessed-not-kept", %peer, fault = "a checkpoint of a larger log is kept already");
            return Input::Witnessed { ticket, durable: false };
        }
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
        let all = self.0.join(EVIDENCE);
        let folder = all.join(format!("{peer}-{number:016x}"));
        if folder.join(NOW).exists() {
            return Ok(folder);
        }
        for made in [&self.0, &all, &folder] {
            make_folder(made)?;
        }
        replace_private(&folder.join(LAST), last.as_bytes())?;
        replace_private(&folder.join(NOW), now.as_bytes())?;
        Ok(folder)
    }
}

/// The size that a checkpoint states, where it can be read.
fn size_of(checkpoint: &str) -> Option<u64> {
    let note = Note::parse(checkpoint).ok()?;
    Some(Checkpoint::parse(note.text()).ok()?.head.size)
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
pub(crate) fn add(witnessed: &Witnessed, audit: &Audit, cosignature: &Cosignature) {
    let Cosignature { size, name, key, checkpoint } = cosignature;
    // Held from here on: who cosigns is read and written again as a whole, and two peers may cosign at once.
    let mut log = audit.lock();
    // First, so that no checkpoint ever has a signature of somebody unknown.
    if let Err(fault) = witnessed.know(name, *key) {
        tracing::error!(event = "cosignature-not-kept", by = name, size, %fault);
        return;
    }
    match log.add_cosignature(*size, checkpoint, name, *key) {
        Ok(()) => tracing::info!(event = "log-cosigned", by = name, size),
        Err(fault) => tracing::error!(event = "cosignature-not-kept", by = name, size, %fault),
    }
}

fn cosigners(folder: &Path) -> Result<String, String> {
    let path = folder.join(COSIGNERS);
    if !path.exists() {
        return Ok(String::new());
    }
    let bytes = read_private(&path, COSIGNERS_BYTES_MAX).map_err(|fault| fault.to_string())?;
    String::from_utf8(bytes).map_err(|_| format!("{} is damaged", path.display()))
}

/// The keys by which a node checks its own log: its own, and those of everybody who has cosigned it. Any other signature
/// is a fault, so that no bit of a checkpoint can change unseen. Blocks.
///
/// # Errors
/// What cannot be read, in words.
pub(crate) fn own_log_keys(consortium: &Path, origin: &str, own: PublicKey) -> Result<LogKeys, String> {
    let folder = folder(consortium);
    let mut keys = LogKeys::new(origin, [own], Strangers::Refuse).map_err(|fault| fault.to_string())?;
    for line in cosigners(&folder)?.lines() {
        let wrong = || format!("{} is damaged", folder.join(COSIGNERS).display());
        let (name, key) = line.rsplit_once('=').ok_or_else(wrong)?;
        keys = keys.with_cosigner(name, key.parse().map_err(|_| wrong())?).map_err(|_| wrong())?;
    }
    Ok(keys)
}

/// Two checkpoints of a peer that are not of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// The name of its folder: the peer, and a number for the head that was cosigned.
    pub(crate) name: String,
    /// Where it lies.
    pub(crate) folder: PathBuf,
    /// The checkpoint that this node cosigned last.
    pub(crate) last: String,
    /// The one it was shown then.
    pub(crate) now: String,
}

/// All evidence of one consortium, by name. Blocks.
///
/// # Errors
/// What cannot be read, in words.
pub(crate) fn evidence(consortium: &Path) -> Result<Vec<Evidence>, String> {
    let all = folder(consortium).join(EVIDENCE);
    let unread = |fault: io::Error| format!("{fault} while reading {}", all.display());
    let entries = match fs::read_dir(&all) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(unread)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unread)?;
        let (name, folder) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
        let read = |file: &str| {
            let path = folder.join(file);
            let bytes = read_private(&path, LOG_NOTE_BYTES_MAX as u64).map_err(|fault| fault.to_string())?;
            String::from_utf8(bytes).map_err(|_| format!("{} is damaged", path.display()))
        };
        // The second one is written last: without it the piece was not finished.
        if folder.join(NOW).exists() {
            let (last, now) = (read(LAST)?, read(NOW)?);
            found.push(Evidence { name, folder, last, now });
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// The folder of one consortium's heads and evidence.
pub(crate) fn folder(consortium: &Path) -> PathBuf {
    consortium.join("witnessed")
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::key::pair::KeyPair;
    use cohortium_protocol::log::checkpoint::signed;
    use cohortium_protocol::log::tree::{TreeHash, TreeHead};

    use super::*;
    use crate::driver::audit::tests::audit;

    // LOG-18
    #[test]
    fn the_last_head_of_each_peer_is_kept_and_evidence_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Witnessed::new(folder(dir.path()));
        assert_eq!(kept.read(), Ok(Vec::new()));
        let names: [Name; 2] = ["north".parse().unwrap(), "north.checkpoint".parse().unwrap()];
        for text in ["first\n", "second\n"] {
            for name in &names {
                let told = kept.keep(Ticket(1), name, text);
                assert!(matches!(told, Input::Witnessed { durable: true, .. }));
            }
        }
        assert_eq!(evidence(dir.path()), Ok(Vec::new()));
        kept.keep_evidence(&names[0], "one", "other");
        kept.keep_evidence(&names[0], "one", "a third");
        let pieces = evidence(dir.path()).unwrap();
        let [piece] = pieces.as_slice() else { unreachable!("one for each head: {pieces:?}") };
        assert!(piece.name.starts_with("north-") && piece.folder.ends_with(&piece.name));
        assert_eq!((piece.last.as_str(), piece.now.as_str()), ("one", "other"));
        let mut heads = kept.read().unwrap();
        heads.sort();
        assert_eq!(heads, names.clone().map(|name| (name, "second\n".to_owned())));
        // What cannot be read is no reason to cosign anything.
        fs::write(dir.path().join("witnessed/north.checkpoint"), [0xff, 0xfe]).unwrap();
        assert!(kept.read().unwrap_err().contains("north.checkpoint"));
    }

    // LOG-18
    #[test]
    fn a_kept_head_is_never_written_over_by_that_of_a_smaller_log() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Witnessed::new(folder(dir.path()));
        let (north, pair): (Name, _) = ("north".parse().unwrap(), KeyPair::from_seed(&[1; 32]));
        let of = |size| signed("log", TreeHead { size, root: TreeHash([2; 32]) }, &pair).unwrap();
        for (size, durable, stands) in [(5, true, 5), (9, true, 9), (5, false, 9), (9, true, 9), (10, true, 10)] {
            let told = kept.keep(Ticket(1), &north, &of(size));
            assert!(matches!(told, Input::Witnessed { durable: told, .. } if told == durable), "{size}");
            assert_eq!(kept.read().unwrap(), [(north.clone(), of(stands))]);
        }
    }

    // LOG-12
    #[test]
    fn peers_that_cosign_at_the_same_time_are_all_known() {
        let dir = tempfile::tempdir().unwrap();
        let (kept, audit) = (Witnessed::new(folder(dir.path())), audit(&dir.path().join("of")));
        std::thread::scope(|scope| {
            for seed in 1..=16 {
                let (kept, audit) = (&kept, &audit);
                scope.spawn(move || {
                    let key = KeyPair::from_seed(&[seed; 32]).public();
                    let checkpoint = String::new();
                    add(kept, audit, &Cosignature { size: 0, name: format!("log/{seed}"), key, checkpoint });
                });
            }
        });
        assert_eq!(cosigners(&folder(dir.path())).unwrap().lines().count(), 16);
    }
}
