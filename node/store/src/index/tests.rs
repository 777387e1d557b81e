//! Tests of the index.

use std::os::unix::fs::FileExt;

use super::*;
use crate::fixture;

fn open(dir: &Path) -> (Index, IndexState) {
    Index::open(dir, &fixture::key()).unwrap()
}

fn filled(dir: &Path) {
    let (index, _) = open(dir);
    let tree = index.tree::<(u64, String)>("blobs").unwrap();
    for number in 0..500_u64 {
        tree.put(&number.to_be_bytes(), &(number, format!("CANARY value {number}"))).unwrap();
    }
    drop(tree);
    index.close().unwrap();
}

#[test]
fn what_was_put_is_kept_over_a_clean_close_and_begun_anew_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(open(dir.path()).1, IndexState::New);
    assert_eq!(open(dir.path()).1, IndexState::NotClosed);
    filled(dir.path());
    let (index, state) = open(dir.path());
    assert_eq!(state, IndexState::Kept);
    let tree = index.tree::<(u64, String)>("blobs").unwrap();
    assert_eq!(tree.get(&7_u64.to_be_bytes()).unwrap().unwrap().0, 7);
    assert!(tree.get(b"none").unwrap().is_none());
    tree.remove(&7_u64.to_be_bytes()).unwrap();
    tree.remove(&7_u64.to_be_bytes()).unwrap();
    let mut seen = Vec::new();
    tree.scan(&0_u64.to_be_bytes()[..7], |_, (number, _)| seen.push(number)).unwrap();
    assert_eq!(seen, (0..256).filter(|number| *number != 7).collect::<Vec<_>>());
    tree.clear().unwrap();
    tree.scan(b"", |_, _| panic!("a cleared tree is empty")).unwrap();
    assert!(matches!(Index::open(dir.path(), &fixture::key()), Err(IndexFault::Disk(fault)) if fault.is_locked()));
    drop((tree, index));
    assert_eq!(open(dir.path()).1, IndexState::NotClosed);
}

#[test]
fn a_closed_index_refuses_and_lengths_have_two_sides() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = open(dir.path());
    let tree = index.tree::<String>("texts").unwrap();
    // The codec adds the text's length: 3 bytes here.
    let longest = VALUE_BYTES_MAX - SMALL_OVERHEAD_BYTES - 3;
    tree.put(&[1; INDEX_KEY_BYTES_MAX], &"x".repeat(longest)).unwrap();
    assert_eq!(tree.get(&[1; INDEX_KEY_BYTES_MAX]).unwrap().unwrap().len(), longest);
    assert!(matches!(tree.put(b"k", &"x".repeat(longest + 1)), Err(IndexFault::TooLong)));
    assert!(matches!(tree.put(&[1; INDEX_KEY_BYTES_MAX + 1], &String::new()), Err(IndexFault::TooLong)));
    let other = tree.clone();
    index.close().unwrap();
    assert!(matches!(other.get(b"k"), Err(IndexFault::Closed)));
    assert!(matches!(tree.put(b"k", &String::new()), Err(IndexFault::Closed)));
}

#[test]
fn values_are_sealed_to_their_tree_and_key_and_none_is_readable_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    for name in disk::names_in(&dir.path().join("sled")).unwrap() {
        let path = dir.path().join("sled").join(name);
        if path.is_file() {
            assert!(!fs::read(&path).unwrap().windows(6).any(|part| part == b"CANARY"), "{}", path.display());
        }
    }
    let (index, _) = open(dir.path());
    let tree = index.tree::<(u64, String)>("blobs").unwrap();
    let raw = tree.inner.get(1_u64.to_be_bytes()).unwrap().unwrap();
    tree.inner.insert(2_u64.to_be_bytes(), raw).unwrap();
    assert_eq!(tree.get(&1_u64.to_be_bytes()).unwrap().unwrap().0, 1);
    assert!(matches!(tree.get(&2_u64.to_be_bytes()), Err(IndexFault::Broken)));
    assert!(matches!(tree.get(&1_u64.to_be_bytes()), Err(IndexFault::Broken)), "broken once, broken for all");
    assert!(matches!(index.close(), Err(IndexFault::Broken)));
    assert_eq!(open(dir.path()).1, IndexState::NotClosed);
}

#[test]
fn a_panic_inside_is_caught_and_makes_the_index_broken() {
    let state = AtomicU8::new(OPEN);
    let fault = guarded::<()>(&state, || panic!("as sled does"));
    assert!(matches!(fault, Err(IndexFault::Broken)));
    assert!(matches!(guarded(&state, || Ok(())), Err(IndexFault::Broken)));
}

#[test]
fn flipped_bits_in_sled_s_files_never_reach_the_caller_as_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let keep = tempfile::tempdir().unwrap();
    copy(&dir.path().join("sled"), &keep.path().join("sled"));
    let mut states = Vec::new();
    for round in 0..40_u64 {
        fs::remove_dir_all(dir.path().join("sled")).ok();
        copy(&keep.path().join("sled"), &dir.path().join("sled"));
        fs::write(dir.path().join("closed"), b"").unwrap();
        flip(&dir.path().join("sled"), round);
        let (index, state) = open(dir.path());
        states.push(state);
        // Whatever opened must answer, rightly or as broken, and an index begun anew must work.
        let Ok(tree) = index.tree::<(u64, String)>("blobs") else { continue };
        let scanned = tree.scan(b"", |_, (number, text)| assert_eq!(text, format!("CANARY value {number}")));
        let put = tree.put(b"key", &(1, String::new()));
        assert!(matches!(&scanned, Ok(()) | Err(IndexFault::Broken)));
        assert!(state == IndexState::Kept || put.is_ok());
    }
    assert!(states.contains(&IndexState::Broken), "no flip was noticed: {states:?}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in disk::names_in(from).unwrap() {
        if from.join(&name).is_dir() {
            copy(&from.join(&name), &to.join(&name));
        } else {
            fs::copy(from.join(&name), to.join(&name)).unwrap();
        }
    }
}

/// Flips bits of every file at places that depend on the round.
fn flip(folder: &Path, round: u64) {
    for name in disk::names_in(folder).unwrap().into_iter().filter(|name| folder.join(name).is_file()) {
        let file = disk::open_both(&folder.join(name)).unwrap();
        let size = file.metadata().unwrap().len();
        for step in 0..if round < 20 { 1 } else { 50 } {
            let at = (round * 7919 + step * 104_729) % size.max(1);
            let mut byte = [0];
            if file.read_at(&mut byte, at).unwrap() == 1 {
                file.write_all_at(&[byte[0] ^ 1 << (round % 8)], at).unwrap();
            }
        }
    }
}

#[test]
fn an_open_index_writes_nothing_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = open(dir.path());
    let tree = index.tree::<u64>("blobs").unwrap();
    let written = || fs::read(dir.path().join("sled/db")).unwrap();
    let before = written();
    tree.put(b"key", &7).unwrap();
    // sled's own flusher would have come by twice.
    thread::sleep(Duration::from_millis(1200));
    assert!(written() == before, "what would be thrown away after a crash is not written before the end");
    drop(tree);
    index.close().unwrap();
    assert!(written() != before);
}
