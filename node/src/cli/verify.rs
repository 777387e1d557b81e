//! `cohortium verify`: everything stored is read again and checked; by the daemon while one runs, else here.

use std::io::{self, IsTerminal};

use cohortium_protocol::key::pair::KeyPair;
use cohortium_protocol::log::check::{read_note, verify_log};
use cohortium_protocol::log::checkpoint::origin;
use cohortium_protocol::log::edge::CHECKPOINT_PATH;
use cohortium_protocol::log::tile::{TILE_WIDTH, Tile, TileKind};
use cohortium_protocol::log::{LeafEntry, leaf_entry, leaf_salt};
use cohortium_store::blob::BlobStore;
use cohortium_store::journal::Journal;
use cohortium_store::keystore::Keystore;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::cli::call::Cx;
use crate::cli::exit::CliFault;
use crate::cli::log::{Folder, log_fault};
use crate::cli::print::{Shown, short};
use crate::config::secret;
use crate::control::{Reply, Request};
use crate::driver::witness::own_log_keys;
use crate::home::{self, MembershipFile};

pub(crate) fn run(cx: &Cx) -> Result<Shown, CliFault> {
    let config = cx.config()?;
    if cx.daemon_runs() {
        return match cx.call(Request::Verify)? {
            Reply::Done => Ok(Shown::new(
                json!({"verified": true, "by": "daemon"}),
                "Every blob, journal entry and log tile is as it was written.\n",
            )),
            _ => Err(CliFault::other_reply()),
        };
    }
    let keystore = secret::open_keystore(&cx.home, &config.key)?;
    let (mut consortia, mut text) = (Vec::new(), String::new());
    for membership in cx.home.memberships()? {
        let (entries, leaves) = check_consortium(cx, &keystore, &membership)?;
        let id = short(&membership.consortium);
        text = format!("{text}consortium {id}: {entries} journal entries, {leaves} log entries\n");
        consortia.push(json!({"consortium": membership.consortium, "journal_entries": entries, "log_entries": leaves}));
    }
    let blobs = check_blobs(cx, &keystore)?;
    let text = format!("{text}{blobs} blobs\nEverything is as it was written.\n");
    let json: Value = json!({"verified": true, "by": "command", "consortia": consortia, "blobs": blobs});
    Ok(Shown::new(json, text))
}

/// Checks the journal, then the log against its checkpoints and against the journal.
fn check_consortium(cx: &Cx, keystore: &Keystore, membership: &MembershipFile) -> Result<(u64, u64), CliFault> {
    let id = &membership.consortium;
    let salt = secret::seed(keystore, "log-salt")?;
    let mut leaves = Vec::new();
    let found = Journal::verify_folder(&cx.home.journal(id), &home::journal_key(keystore, id), |seq, record| {
        leaves.push(leaf_entry(&leaf_salt(&salt, seq), record));
    });
    let entries = found.map_err(|fault| {
        let fault = CliFault::from(fault);
        CliFault::new(fault.kind, format!("consortium {}: {}", short(id), fault.message))
    })?;
    let folder = Folder(cx.home.log(id));
    // Before its first start a node has a journal and no log yet.
    if !folder.0.join(CHECKPOINT_PATH).exists() && !folder.0.join("tile").exists() {
        return Ok((entries.entries, 0));
    }
    let public = KeyPair::from_seed(&*secret::seed(keystore, "signing")?).public();
    let checkpoint = read_note(&folder, CHECKPOINT_PATH).map_err(|fault| log_fault(&folder.0, &fault))?;
    let keys = own_log_keys(&cx.home.consortium(id), &origin(id, &membership.party), public);
    let keys = keys.map_err(CliFault::wrong)?;
    let report = verify_log(&folder, &checkpoint, &keys).map_err(|fault| log_fault(&folder.0, &fault))?;
    compare(&folder, report.head.size, &leaves)?;
    Ok((entries.entries, report.head.size))
}

/// Each leaf is the salted digest of the journal entry of its number.
fn compare(folder: &Folder, size: u64, leaves: &[LeafEntry]) -> Result<(), CliFault> {
    let width = u64::from(TILE_WIDTH);
    for bundle in 0..size.div_ceil(width) {
        let Some(tile) = Tile::at(TileKind::Entries, bundle, size) else { continue };
        let logged = tile.read_entries(folder).map_err(|fault| log_fault(&folder.0, &fault))?;
        for (leaf, index) in logged.iter().zip(bundle * width..) {
            let ours = usize::try_from(index).ok().and_then(|index| leaves.get(index));
            if ours != Some(leaf) {
                let what = if ours.is_none() { "the journal has no such entry" } else { "the journal has another" };
                return Err(CliFault::wrong(format!("entry {index} of the log in {}: {what}", folder.0.display())));
            }
        }
    }
    Ok(())
}

fn check_blobs(cx: &Cx, keystore: &Keystore) -> Result<usize, CliFault> {
    if !cx.home.blobs().is_dir() {
        return Ok(0);
    }
    let store = BlobStore::open(&cx.home.blobs(), &home::blobs_key(keystore))?;
    let digests = store.list()?;
    let shown = !cx.json && io::stderr().is_terminal();
    let bar = if shown { ProgressBar::new(digests.len() as u64) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos} of {len} blobs, {eta} left") {
        bar.set_style(style);
    }
    for digest in &digests {
        store.verify(*digest)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(digests.len())
}

#[cfg(test)]
mod tests {
    use cohortium_store::tiles::{LogSigner, TileLog};

    use super::*;
    use crate::control::ErrorKind;

    #[test]
    fn a_leaf_that_is_not_its_journal_entry_s_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let pair = KeyPair::from_seed(&[1; 32]);
        let signer = LogSigner { origin: "cohortium/test/north".to_owned(), pair, former: Vec::new() };
        let leaves: Vec<LeafEntry> = (0..=255_u8).chain(0..10).map(|byte| LeafEntry([byte; 32])).collect();
        let mut log = TileLog::open(dir.path(), signer).unwrap();
        log.append(&leaves).unwrap();
        let folder = Folder(dir.path().to_owned());
        assert_eq!(compare(&folder, 266, &leaves), Ok(()));
        let mut bent = leaves.clone();
        bent[258] = LeafEntry([0xff; 32]);
        let fault = compare(&folder, 266, &bent).unwrap_err();
        assert_eq!(fault.kind, ErrorKind::VerifyFailed);
        assert!(fault.message.contains("entry 258"), "{}", fault.message);
        assert!(compare(&folder, 266, &leaves[..260]).unwrap_err().message.contains("entry 260"));
    }
}
