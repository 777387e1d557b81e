//! Tests of the tile log: what is on the disk after every kind of stop, and what is refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cohortium_protocol::log::check::{Report, verify_log};
use cohortium_protocol::log::checkpoint::cosigned;
use cohortium_protocol::log::leaf_entry;
use cohortium_protocol::log::tile::{TileFolder, growth};
use cohortium_protocol::time::UnixMillis;

use super::*;

const ORIGIN: &str = "cohortium/0000/north";
const PEER: &str = "cohortium/0000/south";

fn signer() -> LogSigner {
    LogSigner { origin: ORIGIN.to_owned(), pair: KeyPair::from_seed(&[1; 32]), former: vec![] }
}

fn peer() -> KeyPair {
    KeyPair::from_seed(&[2; 32])
}

fn leaf(index: u64) -> LeafEntry {
    leaf_entry(&[3; 32], &index.to_le_bytes())
}

fn leaves(range: std::ops::Range<u64>) -> Vec<LeafEntry> {
    range.map(leaf).collect()
}

fn journal(count: u64) -> impl LeafScan {
    move |each: &mut dyn FnMut(LeafEntry)| {
        (0..count).for_each(|index| each(leaf(index)));
        Ok(())
    }
}

impl TileFolder for TileFiles {
    fn visit(&self, each: &mut dyn FnMut(&str)) -> Result<(), LogFault> {
        for name in fs::read_dir(self.at("")).unwrap() {
            let entry = name.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() {
                Self::visit(self, &name, each).unwrap();
            } else {
                each(&name);
            }
        }
        Ok(())
    }
}

fn verify(dir: &Path) -> Result<Report, LogFault> {
    let files = TileFiles::new(dir);
    let keys = LogKeys::new(ORIGIN, [signer().pair.public()], Strangers::Refuse).unwrap();
    let keys = keys.with_cosigner(PEER, peer().public()).unwrap();
    verify_log(&files, &read_note(&files, CHECKPOINT_PATH)?, &keys)
}

fn content(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = TileFiles::new(dir);
    let mut paths = Vec::new();
    TileFolder::visit(&files, &mut |path| paths.push(path.to_owned())).unwrap();
    paths.into_iter().map(|path| (path.clone(), fs::read(dir.join(path)).unwrap())).collect()
}

fn tempdir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

// LOG-6, LOG-7
#[test]
fn a_log_is_the_same_however_its_leaves_arrive_and_verifies_after_each_append() {
    let (one, other) = (tempdir(), tempdir());
    let mut log = TileLog::open(one.path(), signer()).unwrap();
    assert_eq!((log.head().size, log.checkpoint()), (0, None));
    let mut size = 0;
    for step in [1, 1, 253, 1, 1, 255, 300, 1] {
        let head = log.append(&leaves(size..size + step)).unwrap();
        size += step;
        assert_eq!(head.size, size);
        assert_eq!(verify(one.path()).unwrap().head, head, "after {size}");
        log = TileLog::open(one.path(), signer()).unwrap();
        assert_eq!(log.head(), head);
    }
    let mut whole = TileLog::open(other.path(), signer()).unwrap();
    assert_eq!(whole.append(&leaves(0..size)).unwrap(), log.head());
    assert_eq!(whole.checkpoint(), log.checkpoint());
    let tiles = content(other.path());
    assert_eq!(tiles.keys().filter(|path| path.starts_with("tile/")).count(), growth(0, size).count());
    for (path, bytes) in tiles {
        assert_eq!(fs::read(one.path().join(&path)).ok().as_ref(), Some(&bytes), "{path}");
    }
    assert_eq!(log.history().unwrap(), [1, 2, 255, 256, 257, 512, 812, 813]);
}

// LOG-6
#[test]
fn one_leaf_writes_only_open_tiles_and_the_checkpoint() {
    let dir = tempdir();
    let mut log = TileLog::open(dir.path(), signer()).unwrap();
    log.append(&leaves(0..1000)).unwrap();
    let before = content(dir.path());
    log.append(&leaves(1000..1001)).unwrap();
    let after = content(dir.path());
    let written: Vec<&str> =
        after.iter().filter(|(path, bytes)| before.get(*path) != Some(bytes)).map(|(path, _)| path.as_str()).collect();
    assert_eq!(written, ["checkpoint", "checkpoints/x001/001", "tile/0/003.p/233", "tile/entries/003.p/233"]);
}

// LOG-6
#[test]
fn a_batch_of_thousands_is_written_at_once() {
    let dir = tempdir();
    let mut log = TileLog::open(dir.path(), signer()).unwrap();
    log.append(&leaves(0..70_000)).unwrap();
    assert_eq!(verify(dir.path()).unwrap().head, log.head());
    assert_eq!(log.inclusion(69_999).unwrap().verify(&signer().keys().unwrap()).unwrap().head, log.head());
    assert!(matches!(log.inclusion(70_000), Err(TilesFault::NotFound)));
}

// LOG-8
#[test]
fn what_a_crash_left_beside_the_checkpoint_is_removed_and_the_log_goes_on() {
    let dir = tempdir();
    let mut log = TileLog::open(dir.path(), signer()).unwrap();
    log.append(&leaves(0..300)).unwrap();
    let before = content(dir.path());
    log.append(&leaves(300..900)).unwrap();
    // The crash: all tiles of 900 leaves are there, its checkpoint is not, partial tiles of 300 are gone or not.
    let mut files = content(dir.path());
    files.retain(|path, _| !path.starts_with("checkpoint"));
    files.extend(before.clone());
    files.extend([("tile/0/003.new".to_owned(), vec![1]), ("checkpoint.new".to_owned(), vec![1])]);
    files.insert("checkpoints/999.new".to_owned(), vec![1]);
    let crashed = tempdir();
    for (path, bytes) in &files {
        let path = crashed.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    assert!(verify(crashed.path()).is_err());
    let mut again = TileLog::open(crashed.path(), signer()).unwrap();
    assert_eq!(again.head().size, 300);
    assert_eq!(content(crashed.path()), before);
    assert_eq!(again.catch_up(100, leaves(100..950)).unwrap().size, 950);
    assert_eq!(verify(crashed.path()).unwrap().head, again.head());
}

// LOG-8
#[test]
fn a_crash_between_publishing_and_keeping_a_checkpoint_is_made_good() {
    let dir = tempdir();
    let mut log = TileLog::open(dir.path(), signer()).unwrap();
    log.append(&leaves(0..10)).unwrap();
    let files = content(dir.path());
    fs::remove_file(dir.path().join(history_path(10))).unwrap();
    TileLog::open(dir.path(), signer()).unwrap();
    assert_eq!(content(dir.path()), files);
}

// LOG-4, LOG-8
#[test]
fn a_journal_that_disagrees_with_the_log_is_a_fork_and_changes_nothing() {
    let dir = tempdir();
    let mut log = TileLog::open(dir.path(), signer()).unwrap();
    log.append(&leaves(0..300)).unwrap();
    log.append(&leaves(300..400)).unwrap();
    let before = content(dir.path());
    let forked = |index: u64| {
        let mut wrong = leaves(0..500);
        wrong[usize::try_from(index).unwrap()] = leaf(9999);
        wrong
    };
    assert!(matches!(log.catch_up(0, forked(299)), Err(TilesFault::Forked { size: 300 })));
    assert!(matches!(log.catch_up(0, leaves(0..399)), Err(TilesFault::RolledBack { journal: 399, published: 400 })));
    assert!(matches!(log.catch_up(401, leaves(401..500)), Err(TilesFault::Gap { size: 400, from: 401 })));
    let scan = |wrong: Vec<LeafEntry>| {
        move |each: &mut dyn FnMut(LeafEntry)| {
            for leaf in &wrong {
                each(*leaf);
            }
            Ok(())
        }
    };
    let rebuilt = |wrong| TileLog::rebuild(dir.path(), signer(), scan(wrong)).map(|log| log.head());
    assert!(matches!(rebuilt(forked(299)), Err(TilesFault::Forked { size: 300 })));
    assert!(matches!(rebuilt(forked(300)), Err(TilesFault::Forked { size: 400 })));
    assert!(matches!(rebuilt(leaves(0..399)), Err(TilesFault::RolledBack { journal: 399, published: 400 })));
    assert_eq!(content(dir.path()), before, "nothing was written");
    assert_eq!(log.catch_up(400, leaves(400..500)).unwrap().size, 500, "a refusal is no failed write");
}

// LOG-8
#[test]
fn a_published_checkpoint_is_never_overwritten_by_another_of_its_size() {
    let dir = tempdir();
    let mut log = TileLog::open(dir.path(), signer()).unwrap();
    log.append(&leaves(0..10)).unwrap();
    log.append(&leaves(10..20)).unwrap();
    // Somebody puts an old state back, and the journal goes on in another way.
    let old = fs::read(dir.path().join(history_path(10))).unwrap();
    fs::write(dir.path().join(CHECKPOINT_PATH), old).unwrap();
    fs::write(dir.path().join("tile/0/000.p/10"), &fs::read(dir.path().join("tile/0/000.p/20")).unwrap()[..320])
        .unwrap();
    let mut log = TileLog::open(dir.path(), signer()).unwrap();
    let kept = fs::read(dir.path().join(history_path(20))).unwrap();
    assert!(matches!(log.append(&leaves(30..40)), Err(TilesFault::Forked { size: 20 })));
    assert_eq!(fs::read(dir.path().join(history_path(20))).unwrap(), kept);
    assert!(matches!(log.append(&leaves(10..20)), Err(TilesFault::Poisoned)));
}

// LOG-8
#[test]
fn a_damaged_log_is_made_again_from_the_journal() {
    let dir = tempdir();
    let mut log = TileLog::open(dir.path(), signer()).unwrap();
    log.append(&leaves(0..590)).unwrap();
    log.append(&leaves(590..600)).unwrap();
    let head = log.head();
    let whole = content(dir.path());
    for path in whole.keys().filter(|path| !path.starts_with("checkpoints/")) {
        let mut bent = whole[path].clone();
        bent[5] ^= 1;
        fs::write(dir.path().join(path), bent).unwrap();
        assert_eq!(verify(dir.path()).unwrap_err().path(), path);
        let edge =
            ["checkpoint", "tile/0/002.p/88", "tile/entries/002.p/88", "tile/1/000.p/2"].contains(&path.as_str());
        assert_eq!(matches!(TileLog::open(dir.path(), signer()), Err(TilesFault::Damaged(_))), edge, "{path}");
        assert_eq!(TileLog::rebuild(dir.path(), signer(), journal(600)).unwrap().head(), head);
        assert_eq!(content(dir.path()), whole, "{path}");
    }
    fs::remove_dir_all(dir.path().join("tile")).unwrap();
    fs::remove_file(dir.path().join(CHECKPOINT_PATH)).unwrap();
    assert!(matches!(TileLog::open(dir.path(), signer()), Err(TilesFault::Damaged(LogFault::Missing { .. }))));
    let log = TileLog::rebuild(dir.path(), signer(), journal(700)).unwrap();
    assert_eq!(verify(dir.path()).unwrap().head, log.head());
    assert_eq!(log.history().unwrap(), [590, 600, 700]);
    let fault = TileLog::rebuild(dir.path(), signer(), |_: &mut dyn FnMut(LeafEntry)| {
        Err(JournalFault::Disk(DiskFault {
            act: "reading",
            path: "j".into(),
            source: std::io::ErrorKind::Other.into(),
        }))
    });
    assert!(matches!(fault, Err(TilesFault::Journal(_))));
}

// LOG-12
#[test]
fn cosignatures_are_kept_with_their_checkpoint() {
    let dir = tempdir();
    let mut log = TileLog::open(dir.path(), signer()).unwrap();
    log.append(&leaves(0..10)).unwrap();
    let first = cosigned(log.checkpoint().unwrap(), PEER, &peer(), UnixMillis(5000)).unwrap();
    log.add_cosignature(10, &first, PEER, peer().public()).unwrap();
    assert_eq!(log.checkpoint(), Some(first.as_str()));
    log.append(&leaves(10..20)).unwrap();
    let again = cosigned(&first, PEER, &peer(), UnixMillis(9000)).unwrap();
    log.add_cosignature(10, &again, PEER, peer().public()).unwrap();
    let mut log = TileLog::open(dir.path(), signer()).unwrap();
    assert_eq!(log.checkpoint_at(10).unwrap(), Some(again.clone()));
    assert!(!log.checkpoint().unwrap().contains(PEER));
    assert!(matches!(log.add_cosignature(20, &again, PEER, peer().public()), Err(TilesFault::Note(_))));
    assert!(matches!(log.add_cosignature(11, &again, PEER, peer().public()), Err(TilesFault::NotFound)));
    let wrong = signer().pair.public();
    assert!(matches!(log.add_cosignature(10, &again, PEER, wrong), Err(TilesFault::Note(_))));
    assert_eq!(verify(dir.path()).unwrap().cosigners.into_iter().collect::<Vec<_>>(), [PEER]);
}

// LOG-15
#[test]
fn proofs_of_a_log_on_disk_verify_offline() {
    let dir = tempdir();
    let mut log = TileLog::open(dir.path(), signer()).unwrap();
    log.append(&leaves(0..300)).unwrap();
    log.append(&leaves(300..700)).unwrap();
    let keys = signer().keys().unwrap();
    for index in [0, 255, 256, 299, 300, 699] {
        let proof = InclusionBundle::decode(&log.inclusion(index).unwrap().encode()).unwrap();
        assert_eq!((proof.verify(&keys).unwrap().head, proof.leaf), (log.head(), leaf(index)));
    }
    let proof = ConsistencyBundle::decode(&log.consistency(300).unwrap().encode()).unwrap();
    let (old, new) = proof.verify(&keys).unwrap();
    assert_eq!((old.head.size, new.head), (300, log.head()));
    assert!(matches!(log.consistency(301), Err(TilesFault::NotFound)));
}

// LOG-9
#[test]
fn a_new_signing_key_goes_on_after_the_former_one() {
    let dir = tempdir();
    TileLog::open(dir.path(), signer()).unwrap().append(&leaves(0..10)).unwrap();
    let renewed = LogSigner { pair: KeyPair::from_seed(&[7; 32]), former: vec![signer().pair.public()], ..signer() };
    let stranger = LogSigner { former: vec![], ..renewed.clone() };
    assert!(matches!(TileLog::open(dir.path(), stranger), Err(TilesFault::Damaged(LogFault::Note { .. }))));
    let mut log = TileLog::open(dir.path(), renewed.clone()).unwrap();
    log.append(&leaves(10..20)).unwrap();
    let files = TileFiles::new(dir.path());
    let report = verify_log(&files, log.checkpoint().unwrap(), &renewed.keys().unwrap()).unwrap();
    assert_eq!((report.head, report.checkpoints), (log.head(), 3));
}

// LOG-8
#[test]
fn a_failed_write_poisons_the_log_until_it_is_opened_again() {
    let dir = tempdir();
    let mut log = TileLog::open(dir.path(), signer()).unwrap();
    log.append(&leaves(0..10)).unwrap();
    // A folder in the place of the next tile: the rename fails.
    let blocked = dir.path().join("tile/0/000.p/20");
    fs::create_dir_all(blocked.join("x")).unwrap();
    assert!(matches!(log.append(&leaves(10..20)), Err(TilesFault::Disk(_))));
    assert!(log.is_poisoned() && matches!(log.append(&leaves(10..20)), Err(TilesFault::Poisoned)));
    fs::remove_dir_all(blocked).unwrap();
    let mut log = TileLog::open(dir.path(), signer()).unwrap();
    assert_eq!(log.append(&leaves(10..20)).unwrap().size, 20);
    assert_eq!(verify(dir.path()).unwrap().head, log.head());
}
