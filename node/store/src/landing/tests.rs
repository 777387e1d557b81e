//! Tests of landing blobs.

use cohortium_protocol::outboard::OutboardBuilder;

use super::*;
use crate::blob::Reserve;

const MIB: usize = 1024 * 1024;

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect()
}

fn named(plain: &[u8]) -> (BlobDigest, Vec<u8>) {
    let mut builder = OutboardBuilder::new();
    builder.push(plain);
    let (digest, outboard) = builder.finish();
    (digest, outboard.to_bytes())
}

fn open_store(dir: &std::path::Path) -> BlobStore {
    BlobStore::open(dir, &DataKey::from_bytes(&[3; 32])).unwrap()
}

fn part(plain: &[u8], range: Range) -> Vec<u8> {
    let start = usize::try_from(range.offset).unwrap();
    plain[start..start + usize::try_from(range.len).unwrap()].to_vec()
}

#[test]
fn ranges_land_in_any_order_and_make_the_blob() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path());
    for len in [0, 1, 256 * 1024, 4 * MIB, 4 * MIB + 1, 13 * MIB + 7] {
        let plain = bytes(len);
        let (digest, outboard) = named(&plain);
        let mut landing = Landing::open(&store, digest, len as u64).unwrap();
        assert_eq!(landing.outboard().is_some(), outboard.is_empty());
        landing.put_outboard(&outboard).unwrap();
        let missing = landing.missing();
        assert_eq!(missing.len() as u64, range_count(len as u64));
        for range in missing.iter().rev() {
            assert!(matches!(landing.finish(), Err(LandingFault::Incomplete { .. })));
            landing.write_range(*range, &mut part(&plain, *range)).unwrap();
            landing.write_range(*range, &mut part(&plain, *range)).unwrap();
        }
        assert_eq!(landing.finish().unwrap(), BlobRef { digest, bytes: len as u64 });
        assert_eq!(store.verify(digest).unwrap().bytes, len as u64);
        assert_eq!(disk::names_in(&dir.path().join("landing")).unwrap(), [] as [&str; 0]);
    }
}

#[test]
fn wrong_bytes_are_refused_before_anything_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path());
    let plain = bytes(5 * MIB);
    let (digest, outboard) = named(&plain);
    let mut landing = Landing::open(&store, digest, plain.len() as u64).unwrap();
    let first = landing.missing()[0];
    let refused = landing.write_range(first, &mut part(&plain, first));
    assert!(matches!(refused, Err(LandingFault::NoOutboard)));
    let mut wrong = outboard.clone();
    wrong[5] ^= 1;
    let refused = landing.put_outboard(&wrong);
    assert!(matches!(refused, Err(LandingFault::Outboard { source: OutboardFault::Root })));
    landing.put_outboard(&outboard).unwrap();
    let data = landing.path("data");
    let before = std::fs::read(&data).unwrap();
    for at in [0, 256 * 1024, 4 * MIB - 1] {
        let mut flipped = part(&plain, first);
        flipped[at] ^= 1;
        let fault = landing.write_range(first, &mut flipped).unwrap_err();
        let expected = OutboardFault::Group { index: (at / (256 * 1024)) as u64 };
        assert!(matches!(fault, LandingFault::Range { range, source } if range == first && source == expected));
    }
    let elsewhere = Range { offset: first.offset, len: first.len - 1 };
    assert!(landing.write_range(elsewhere, &mut part(&plain, elsewhere)).is_err());
    assert_eq!(std::fs::read(&data).unwrap(), before);
    assert_eq!(landing.missing().len(), 2);
}

#[test]
fn after_a_crash_only_the_ranges_since_the_last_checkpoint_are_missing() {
    let dir = tempfile::tempdir().unwrap();
    let plain = bytes(21 * MIB);
    let (digest, outboard) = named(&plain);
    let len = plain.len() as u64;
    let range = |index| Range::at(len, index).unwrap();
    let write = |landing: &Landing, index| landing.write_range(range(index), &mut part(&plain, range(index))).unwrap();
    {
        let store = open_store(dir.path());
        let mut landing = Landing::open(&store, digest, len).unwrap();
        landing.put_outboard(&outboard).unwrap();
        for index in [4, 0] {
            write(&landing, index);
        }
        landing.checkpoint().unwrap();
        write(&landing, 2);
        // Dropped without a checkpoint, as a killed process drops it: nothing is saved by the way.
    }
    let store = open_store(dir.path());
    assert_eq!(store.list_landing().unwrap(), [digest]);
    let landing = Landing::open(&store, digest, len).unwrap();
    assert_eq!(landing.missing(), [1, 2, 3, 5].map(range));
    assert_eq!(landing.outboard().unwrap().to_bytes(), outboard);
    for index in [1, 2, 3, 5] {
        write(&landing, index);
    }
    landing.finish().unwrap();
    drop(landing);
    store.verify(digest).unwrap();
    assert!(store.list_landing().unwrap().is_empty());
}

#[test]
fn a_map_that_is_damaged_or_of_an_earlier_attempt_claims_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path());
    let plain = bytes(9 * MIB);
    let (digest, outboard) = named(&plain);
    let len = plain.len() as u64;
    let begin = || {
        let mut landing = Landing::open(&store, digest, len).unwrap();
        landing.put_outboard(&outboard).unwrap();
        landing
    };
    let landing = begin();
    let first = landing.missing()[0];
    landing.write_range(first, &mut part(&plain, first)).unwrap();
    landing.checkpoint().unwrap();
    let (map, head, data) = (landing.path("map"), landing.path("head"), landing.path("data"));
    drop(landing);
    assert_eq!(begin().missing().len(), 2);
    let saved = std::fs::read(&map).unwrap();
    for at in 0..saved.len() {
        let mut flipped = saved.clone();
        flipped[at] ^= 1;
        std::fs::write(&map, flipped).unwrap();
        assert_eq!(begin().missing().len(), 3, "byte {at}");
    }
    std::fs::write(&map, &saved).unwrap();
    // A head that is damaged: the landing begins anew, and the old map does not count for it.
    let mut flipped = std::fs::read(&head).unwrap();
    *flipped.last_mut().unwrap() ^= 1;
    std::fs::write(&head, flipped).unwrap();
    assert_eq!(begin().missing().len(), 3);
    std::fs::write(&map, &saved).unwrap();
    assert_eq!(begin().missing().len(), 3);
    // Data that is shorter than the map says.
    disk::open_both(&data).unwrap().set_len(1000).unwrap();
    assert_eq!(begin().missing().len(), 3);
}

#[test]
fn one_blob_lands_through_one_handle_and_an_impossible_length_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path());
    let (digest, _) = named(b"abc");
    let first = Landing::open(&store, digest, 3).unwrap();
    assert!(matches!(Landing::open(&store, digest, 3), Err(LandingFault::InProgress { .. })));
    drop(first);
    drop(Landing::open(&store, digest, 3).unwrap());
    let long = Landing::open(&store, digest, BLOB_BYTES_MAX.0 + 1);
    assert!(matches!(long, Err(LandingFault::Outboard { source: OutboardFault::BlobTooLong })));
    discard(&store, digest).unwrap();
    assert!(store.list_landing().unwrap().is_empty());
}

#[test]
fn a_crash_between_the_last_range_and_the_rename_costs_nothing_that_was_saved() {
    let dir = tempfile::tempdir().unwrap();
    let plain = bytes(4 * MIB + 9);
    let (digest, outboard) = named(&plain);
    let len = plain.len() as u64;
    {
        let store = open_store(dir.path());
        let mut landing = Landing::open(&store, digest, len).unwrap();
        landing.put_outboard(&outboard).unwrap();
        ranges(len).for_each(|range| landing.write_range(range, &mut part(&plain, range)).unwrap());
        landing.checkpoint().unwrap();
        // The foot was written, the rename was not.
        let file = disk::open_both(&landing.path("data")).unwrap();
        file.write_all_at(&[7; 100], sealed_bytes(len)).unwrap();
    }
    let store = open_store(dir.path());
    let landing = Landing::open(&store, digest, len).unwrap();
    assert!(landing.missing().is_empty());
    landing.finish().unwrap();
    store.verify(digest).unwrap();
}

#[test]
fn several_threads_land_one_blob_with_checkpoints_between() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path());
    let plain = bytes(40 * MIB + 1);
    let (digest, outboard) = named(&plain);
    let mut landing = Landing::open(&store, digest, plain.len() as u64).unwrap();
    landing.put_outboard(&outboard).unwrap();
    let missing = landing.missing();
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (landing, missing, plain) = (&landing, &missing, &plain);
            scope.spawn(move || {
                for range in missing.iter().skip(thread).step_by(3) {
                    landing.write_range(*range, &mut part(plain, *range)).unwrap();
                    landing.checkpoint().unwrap();
                }
            });
        }
    });
    assert!(!landing.checkpoint_due());
    landing.finish().unwrap();
    store.verify(digest).unwrap();
}

#[test]
fn a_blob_that_would_touch_the_reserve_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let plain = bytes(5 * MIB);
    let (digest, outboard) = named(&plain);
    let key = DataKey::from_bytes(&[3; 32]);
    {
        let store = BlobStore::open_reserving(dir.path(), &key, Reserve::Bytes(u64::MAX)).unwrap();
        let mut landing = Landing::open(&store, digest, plain.len() as u64).unwrap();
        let refused = landing.put_outboard(&outboard).unwrap_err();
        assert!(matches!(refused, LandingFault::NoRoom { needed, .. } if needed > plain.len() as u64), "{refused}");
        assert_eq!(disk::names_in(&dir.path().join("landing")).unwrap(), [] as [&str; 0]);
        let small = Landing::open(&store, named(b"small").0, 5);
        assert!(
            matches!(small, Err(LandingFault::NoRoom { .. })),
            "a blob of one group takes its room when it is opened"
        );
    }
    let store = BlobStore::open_reserving(dir.path(), &key, Reserve::Bytes(1)).unwrap();
    Landing::open(&store, digest, plain.len() as u64).unwrap().put_outboard(&outboard).unwrap();
    let (mib, gib) = (1 << 20, 1 << 30);
    assert_eq!(Reserve::OfSize.bytes(100 * gib), 5 * gib);
    assert_eq!(Reserve::OfSize.bytes(10 * gib), 2 * gib);
    assert_eq!(Reserve::OfSize.bytes(64 * mib), 16 * mib, "a small file system is not reserved whole");
}

#[test]
fn any_file_of_a_landing_shows_that_it_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path());
    let (digest, _) = named(b"x");
    for kind in ["head", "map", "data"] {
        std::fs::write(store.landing_path(digest, kind), b"rest").unwrap();
        assert_eq!(store.list_landing().unwrap(), [digest], "{kind}");
        discard(&store, digest).unwrap();
        assert!(store.list_landing().unwrap().is_empty());
    }
}
