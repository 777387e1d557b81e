//! Tests of the blob store.

use std::io::Read;

use cohortium_protocol::digest::blob_digest;

use super::*;
use crate::fixture;
use crate::stream::{BLOCK_BYTES, SealedCursor};

fn node() -> DataKey {
    DataKey::from_bytes(&[0x11; 32])
}

fn store() -> (tempfile::TempDir, BlobStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = BlobStore::open(dir.path(), &node()).unwrap();
    (dir, store)
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect()
}

fn read_all(store: &BlobStore, digest: BlobDigest) -> Vec<u8> {
    let reader = store.reader(digest).unwrap();
    let (mut whole, mut part) = (Vec::new(), Vec::new());
    for range in ranges(reader.bytes()) {
        reader.read_range(range, &mut part).unwrap();
        whole.extend_from_slice(&part);
    }
    whole
}

fn temp_files(dir: &Path) -> usize {
    disk::names_in(&dir.join("temp")).unwrap().len()
}

#[test]
fn a_blob_of_any_length_comes_back_and_verifies() {
    let (dir, store) = store();
    let all = bytes(9 * BLOCK_BYTES + 17);
    let mut stored = Vec::new();
    for len in [0, 1, 256 * 1024, 256 * 1024 + 1, BLOCK_BYTES, 4 * BLOCK_BYTES, 4 * BLOCK_BYTES + 1, all.len()] {
        let blob = store.put(&all[..len]).unwrap();
        assert_eq!(blob, BlobRef { digest: blob_digest(&all[..len]), bytes: len as u64 });
        assert_eq!(read_all(&store, blob.digest), &all[..len]);
        assert_eq!(store.verify(blob.digest).unwrap(), blob);
        assert_eq!(store.outboard(blob.digest).unwrap().blob_bytes(), len as u64);
        stored.push(blob.digest);
    }
    stored.sort();
    assert_eq!(store.list().unwrap(), stored);
    assert!(store.disk_bytes(stored[0]).unwrap() > 0);
    assert_eq!(temp_files(dir.path()), 0);
    store.remove(stored[0]).unwrap();
    store.remove(stored[0]).unwrap();
    assert!(!store.contains(stored[0]) && store.contains(stored[1]));
    assert!(matches!(store.reader(stored[0]), Err(BlobFault::NotFound { .. })));
}

#[test]
fn version_1_still_opens() {
    let (dir, store) = store();
    let digest = blob_digest(b"abc");
    let path = dir.path().join("temp/x");
    fs::write(&path, fixture::bytes(include_str!("../../tests/fixtures/blob.hex"))).unwrap();
    store.place(&path, digest).unwrap();
    assert_eq!(store.verify(digest).unwrap(), BlobRef { digest, bytes: 3 });
    assert_eq!(read_all(&store, digest), b"abc");
}

#[test]
fn a_flipped_bit_in_any_byte_of_a_blob_s_file_fails_its_verification() {
    let (_dir, store) = store();
    for plain in [b"".as_slice(), b"a small blob"] {
        let blob = store.put(plain).unwrap();
        let path = store.path(blob.digest);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&path, &flipped).unwrap();
            let fault = store.verify(blob.digest).unwrap_err();
            assert!(fault.to_string().contains(&blob.digest.to_string()), "byte {at}: {fault}");
            fs::write(&path, &whole[..at]).unwrap();
            assert!(store.verify(blob.digest).is_err(), "cut to {at}");
        }
    }
    let blob = store.put(&bytes(3 * BLOCK_BYTES)).unwrap();
    let path = store.path(blob.digest);
    let mut flipped = fs::read(&path).unwrap();
    flipped[32 + BLOCK_BYTES + 16 + 5] ^= 1;
    fs::write(&path, flipped).unwrap();
    let fault = store.verify(blob.digest).unwrap_err();
    assert!(matches!(fault, BlobFault::Damaged { source: StreamFault::Block { index: 1 }, .. }), "{fault}");
}

#[test]
fn a_blob_in_another_s_place_or_under_another_node_s_key_is_refused() {
    let (dir, store) = store();
    let (a, b) = (store.put(b"one").unwrap(), store.put(b"two").unwrap());
    fs::create_dir_all(store.path(b.digest).parent().unwrap()).unwrap();
    fs::copy(store.path(a.digest), store.path(b.digest)).unwrap();
    assert!(matches!(store.reader(b.digest), Err(BlobFault::Foot { source: FootFault::Key(_), .. })));
    drop(store);
    let other = BlobStore::open(dir.path(), &DataKey::random()).unwrap();
    assert!(matches!(other.reader(a.digest), Err(BlobFault::Foot { source: FootFault::Key(_), .. })));
}

#[test]
fn what_was_not_finished_disappears() {
    let (dir, store) = store();
    let mut writer = store.create().unwrap();
    writer.write_all(b"half").unwrap();
    assert_eq!(temp_files(dir.path()), 1);
    drop(writer);
    assert_eq!(temp_files(dir.path()), 0);
    fs::write(dir.path().join("temp/left-over"), b"x").unwrap();
    assert!(matches!(BlobStore::open(dir.path(), &node()), Err(BlobFault::Disk(fault)) if fault.is_locked()));
    assert_eq!(temp_files(dir.path()), 1, "another process's temporary files are left alone");
    drop(store);
    let store = BlobStore::open(dir.path(), &node()).unwrap();
    assert_eq!((temp_files(dir.path()), store.list().unwrap().len()), (0, 0));
}

#[test]
fn a_worker_gets_one_blob_s_file_and_key_and_no_more() {
    let (_dir, store) = store();
    let plain = bytes(2 * BLOCK_BYTES + 3);
    let (one, two) = (store.put(&plain).unwrap(), store.put(b"another").unwrap());
    let (file, key, len) = store.open_for_worker(one.digest).unwrap();
    let reader = SealedReader::known(file, &key, BLOB_SLOT, len).unwrap();
    let mut read = Vec::new();
    SealedCursor::new(Arc::new(reader)).read_to_end(&mut read).unwrap();
    assert_eq!(read, plain);
    let (file, _, len) = store.open_for_worker(two.digest).unwrap();
    let reader = SealedReader::known(file, &key, BLOB_SLOT, len).unwrap();
    assert!(matches!(reader.read_at(0, &mut [0; 7]), Err(StreamFault::Block { index: 0 })));
}

/// What a worker does with a pending blob.
fn work(pending: &Pending, plain: &[u8]) -> (BlobDigest, u64, Vec<u8>) {
    let (file, key) = pending.for_worker().unwrap();
    let mut writer = SealedWriter::new(file, &key, BLOB_SLOT, Naming::Digest).unwrap();
    writer.push(plain).unwrap();
    let end = writer.finish().unwrap();
    let (digest, outboard) = end.named.unwrap();
    (digest, end.bytes, outboard.to_bytes())
}

#[test]
fn what_a_worker_wrote_is_adopted_when_report_and_file_fit() {
    let (dir, store) = store();
    let plain = bytes(5 * BLOCK_BYTES + 1);
    let pending = store.prepare_for_worker().unwrap();
    let (digest, len, outboard) = work(&pending, &plain);
    let blob = pending.commit(digest, len, &outboard).unwrap();
    assert_eq!((store.verify(blob.digest).unwrap(), read_all(&store, digest)), (blob, plain.clone()));

    let pending = store.prepare_for_worker().unwrap();
    let (digest, len, mut outboard) = work(&pending, &plain[1..]);
    outboard[0] ^= 1;
    assert!(matches!(pending.commit(digest, len, &outboard), Err(BlobFault::Digest { .. })));

    // A report that is right in itself, of other bytes than the file's.
    let pending = store.prepare_for_worker().unwrap();
    work(&pending, &plain[..100]);
    let small = blob_digest(b"small");
    assert!(matches!(pending.commit(small, 5, &[]), Err(BlobFault::Adopt { source: StreamFault::Length })));

    let pending = store.prepare_for_worker().unwrap();
    pending.for_worker().unwrap().0.write_all_at(b"not sealed", 0).unwrap();
    assert!(matches!(pending.commit(small, 5, &[]), Err(BlobFault::Adopt { .. })));

    // The right length and a lie about the bytes: the last block stands, verification tells.
    let pending = store.prepare_for_worker().unwrap();
    work(&pending, b"smell");
    pending.commit(small, 5, &[]).unwrap();
    assert!(matches!(store.verify(small), Err(BlobFault::Digest { source: OutboardFault::Group { index: 0 }, .. })));
    assert_eq!(temp_files(dir.path()), 0);
}

#[test]
fn a_range_that_is_not_the_blob_s_is_refused() {
    let (_dir, store) = store();
    let reader = store.reader(store.put(b"abc").unwrap().digest).unwrap();
    for range in [Range { offset: 0, len: 2 }, Range { offset: 1, len: 2 }, Range { offset: 4 << 20, len: 3 }] {
        assert!(matches!(reader.read_range(range, &mut Vec::new()), Err(BlobFault::Digest { .. })));
    }
}

#[test]
fn no_stored_file_holds_plain_bytes() {
    let (dir, store) = store();
    let canary = b"CANARY-PATIENT-0001 ".repeat(20_000);
    store.put(&canary).unwrap();
    let mut folders = vec![dir.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for name in disk::names_in(&folder).unwrap() {
            let path = folder.join(name);
            if path.is_dir() {
                folders.push(path);
            } else {
                let found = fs::read(&path).unwrap();
                assert!(!found.windows(14).any(|part| part == &canary[..14]), "{}", path.display());
            }
        }
    }
}

/// Run by hand: cargo test --release -p cohortium-store speed -- --ignored --nocapture
#[test]
#[ignore = "a measurement, not a rule"]
fn speed_of_one_gibibyte_on_one_thread() {
    let (_dir, store) = store();
    let piece = bytes(BLOCK_BYTES);
    let start = std::time::Instant::now();
    let mut writer = store.create().unwrap();
    (0..1024).for_each(|_| writer.push(&piece).unwrap());
    let wrote = start.elapsed();
    let blob = writer.finish().unwrap();
    let synced = start.elapsed();
    let reader = store.reader(blob.digest).unwrap();
    let start = std::time::Instant::now();
    let mut buffer = Vec::new();
    ranges(blob.bytes).for_each(|range| reader.read_range(range, &mut buffer).unwrap());
    let read = start.elapsed();
    let start = std::time::Instant::now();
    store.verify(blob.digest).unwrap();
    let verified = start.elapsed();
    // The parts of it, alone: what the file system, the hash and the cipher take.
    let start = std::time::Instant::now();
    let mut raw = tempfile::tempfile().unwrap();
    (0..1024).for_each(|_| raw.write_all(&piece).unwrap());
    let filesystem = start.elapsed();
    let start = std::time::Instant::now();
    let mut builder = cohortium_protocol::outboard::OutboardBuilder::new();
    (0..1024).for_each(|_| builder.push(&piece));
    let hash = start.elapsed();
    let start = std::time::Instant::now();
    let mut sealed = SealedWriter::new(std::io::sink(), &node(), BLOB_SLOT, Naming::None).unwrap();
    (0..1024).for_each(|_| sealed.push(&piece).unwrap());
    println!("file system {filesystem:?}, hash {hash:?}, seal {:?}", start.elapsed());
    println!("write {wrote:?}, with sync {synced:?}, read {read:?}, verify {verified:?}");
}

#[test]
fn every_folder_of_blobs_is_there_from_the_beginning() {
    let dir = tempfile::tempdir().unwrap();
    drop(BlobStore::open(dir.path(), &node()).unwrap());
    let objects = dir.path().join("objects");
    fs::remove_dir(objects.join("7f")).unwrap();
    let store = BlobStore::open(dir.path(), &node()).unwrap();
    assert_eq!(disk::names_in(&objects).unwrap().len(), 256);
    let blob = store.put(b"x").unwrap();
    assert_eq!(store.list().unwrap(), [blob.digest]);
}
