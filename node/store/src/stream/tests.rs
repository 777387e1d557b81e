//! Tests of sealed streams.

use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use cohortium_protocol::digest::{blob_digest, sha256};

use super::*;
use crate::fixture;

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect()
}

fn seal(plain: &[u8], piece: usize) -> Vec<u8> {
    let mut writer =
        SealedWriter::with_salt(Vec::new(), &fixture::key(), b"slot", Naming::Digest, fixture::salt()).unwrap();
    plain.chunks(piece).for_each(|piece| writer.write_all(piece).unwrap());
    let end = writer.finish().unwrap();
    assert_eq!(end.bytes, plain.len() as u64);
    assert_eq!(end.named.unwrap().0, blob_digest(plain));
    end.inner
}

fn file_of(sealed: &[u8]) -> File {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(sealed, 0).unwrap();
    file
}

fn open(sealed: &[u8]) -> Result<SealedReader, StreamFault> {
    SealedReader::open(file_of(sealed), &fixture::key(), b"slot")
}

fn read_all(reader: &SealedReader) -> Result<Vec<u8>, StreamFault> {
    let mut plain = vec![0; usize::try_from(reader.len()).unwrap()];
    reader.read_at(0, &mut plain).map(|_| plain)
}

#[test]
fn version_1_has_these_bytes_and_still_opens() {
    let golden = fixture::bytes(include_str!("../../tests/fixtures/stream.hex"));
    assert_eq!(seal(b"a sealed stream", 4), golden);
    assert_eq!(read_all(&open(&golden).unwrap()).unwrap(), b"a sealed stream");
    let long: Vec<u8> = (0..=255).cycle().take(2 * BLOCK_BYTES).chain(*b"end").collect();
    let digest = fixture::bytes(include_str!("../../tests/fixtures/stream_digest.hex"));
    assert_eq!(sha256(&[&seal(&long, 70_000)]).to_vec(), digest);
}

#[test]
fn any_length_comes_back_by_any_way_of_reading() {
    let all = bytes(3 * BLOCK_BYTES + 5);
    for len in [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES, 3 * BLOCK_BYTES + 5] {
        let sealed = seal(&all[..len], 333_333);
        assert_eq!(sealed.len() as u64, sealed_bytes(len as u64));
        assert_eq!(plain_bytes(sealed.len() as u64), Some(len as u64));
        let reader = open(&sealed).unwrap();
        assert_eq!(read_all(&reader).unwrap(), &all[..len]);
        for (offset, want) in [(0, 10), (len / 2, BLOCK_BYTES), (BLOCK_BYTES - 3, 6), (len, 9), (len + 1, 9)] {
            let mut part = vec![0; want];
            let read = reader.read_at(offset as u64, &mut part).unwrap();
            assert_eq!(&part[..read], all[..len].get(offset..len.min(offset + want)).unwrap_or_default());
        }
        let mut cursor = SealedCursor::new(Arc::new(reader));
        let mut plain = Vec::new();
        cursor.read_to_end(&mut plain).unwrap();
        assert_eq!(plain, &all[..len]);
        cursor.seek(SeekFrom::End(-i64::try_from(len.min(7)).unwrap())).unwrap();
        plain.clear();
        cursor.read_to_end(&mut plain).unwrap();
        assert_eq!(plain, &all[len - len.min(7)..len]);
    }
}

#[test]
fn a_flipped_bit_anywhere_is_refused_with_the_block_s_number() {
    let short = seal(b"short", 5);
    for at in 0..short.len() {
        for bit in 0..8 {
            let mut flipped = short.clone();
            flipped[at] ^= 1 << bit;
            assert!(open(&flipped).is_err(), "byte {at} bit {bit}");
        }
    }
    let sealed = seal(&bytes(2 * BLOCK_BYTES + 9), BLOCK_BYTES);
    for (block, at) in [(0, 40), (1, HEADER_BYTES + BLOCK_BYTES + 20), (1, sealed.len() - 30), (2, sealed.len() - 1)] {
        let mut flipped = sealed.clone();
        flipped[at] ^= 0x80;
        let fault = open(&flipped).and_then(|reader| read_all(&reader)).unwrap_err();
        assert!(matches!(fault, StreamFault::Block { index } if index == block), "{at}: {fault}");
    }
}

#[test]
fn a_refused_block_leaves_no_plain_bytes_behind() {
    let mut sealed = seal(&vec![0x55; 2 * BLOCK_BYTES], BLOCK_BYTES);
    sealed[HEADER_BYTES + BLOCK_BYTES] ^= 1;
    let mut part = vec![0xee; BLOCK_BYTES];
    open(&sealed).unwrap().read_at(0, &mut part).unwrap_err();
    assert!(part.iter().all(|byte| *byte == 0));
}

#[test]
fn truncation_and_growth_are_refused() {
    let plain = bytes(2 * BLOCK_BYTES + 9);
    let sealed = seal(&plain, BLOCK_BYTES);
    let cuts = [0, 31, 32, 47, 48, 100, HEADER_BYTES + BLOCK_BYTES + 16, HEADER_BYTES + 2 * (BLOCK_BYTES + 16)];
    for cut in cuts.into_iter().chain(sealed.len() - 30..sealed.len()) {
        assert!(open(&sealed[..cut]).is_err(), "cut to {cut}");
    }
    for more in [1, 15, 16, 17] {
        assert!(open(&[&sealed[..], &vec![0; more]].concat()).is_err(), "{more} more");
    }
    // A stream of whole blocks, cut where a block ends, has a right length; the last-flag shows it.
    let whole = seal(&plain[..2 * BLOCK_BYTES], BLOCK_BYTES);
    let fault = open(&whole[..HEADER_BYTES + BLOCK_BYTES + 16]).unwrap_err();
    assert!(matches!(fault, StreamFault::Block { index: 0 }), "{fault}");
}

#[test]
fn moved_blocks_other_slots_other_keys_and_unfinished_streams_are_refused() {
    let sealed = seal(&bytes(3 * BLOCK_BYTES), BLOCK_BYTES);
    let (first, second) = (HEADER_BYTES, HEADER_BYTES + BLOCK_BYTES + 16);
    let mut swapped = sealed.clone();
    swapped.copy_within(first..second, second);
    swapped[first..second].copy_from_slice(&sealed[second..second + BLOCK_BYTES + 16]);
    let fault = open(&swapped).and_then(|reader| read_all(&reader)).unwrap_err();
    assert!(matches!(fault, StreamFault::Block { index: 0 }), "{fault}");
    let wrong = |key: &DataKey, slot: &[u8]| SealedReader::open(file_of(&sealed), key, slot).unwrap_err();
    assert!(matches!(wrong(&fixture::key(), b"slit"), StreamFault::Block { index: 2 }));
    assert!(matches!(wrong(&DataKey::random(), b"slot"), StreamFault::Block { index: 2 }));
    let mut unfinished = SealedWriter::new(Vec::new(), &fixture::key(), b"slot", Naming::None).unwrap();
    unfinished.push(&bytes(2 * BLOCK_BYTES + 1)).unwrap();
    assert!(open(&unfinished.inner).is_err());
}

#[test]
fn a_later_version_and_another_file_are_named_as_such() {
    let mut sealed = seal(b"x", 1);
    sealed[8] = 2;
    assert!(matches!(open(&sealed), Err(StreamFault::Version { found: 2 })));
    sealed[0] = b'X';
    assert!(matches!(open(&sealed), Err(StreamFault::NotSealed)));
}

#[test]
fn a_stream_that_failed_to_write_never_seals_again() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if bytes.len() > 100 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(bytes.len()) }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut writer = SealedWriter::new(Full, &fixture::key(), b"slot", Naming::None).unwrap();
    let fault = writer.push(&bytes(BLOCK_BYTES + 1)).unwrap_err();
    assert!(fault.to_string().contains("while writing a sealed block"), "{fault}");
    assert!(matches!(writer.push(&bytes(BLOCK_BYTES + 1)), Err(StreamFault::Poisoned)));
    assert!(matches!(writer.finish(), Err(StreamFault::Poisoned)));
}

#[test]
fn blocks_put_in_any_order_make_the_same_stream_as_one_pass() {
    let plain = bytes(3 * BLOCK_BYTES + 77);
    let file = tempfile::tempfile().unwrap();
    let len = plain.len() as u64;
    let writer = SealedBlockWriter::create(file.try_clone().unwrap(), &fixture::key(), b"slot", len).unwrap();
    for part in [2 * BLOCK_BYTES..plain.len(), 0..BLOCK_BYTES, BLOCK_BYTES..2 * BLOCK_BYTES] {
        writer.write_blocks(part.start as u64, &mut plain[part].to_vec()).unwrap();
    }
    let sealed = |file: &File| {
        let mut sealed = vec![0; usize::try_from(sealed_bytes(len)).unwrap()];
        file.read_exact_at(&mut sealed, 0).unwrap();
        sealed
    };
    let before = sealed(&file);
    assert_eq!(read_all(&open(&before).unwrap()).unwrap(), plain);
    let again = SealedBlockWriter::resume(file.try_clone().unwrap(), &fixture::key(), b"slot", len).unwrap();
    again.write_blocks(0, &mut plain[..BLOCK_BYTES].to_vec()).unwrap();
    assert_eq!(sealed(&file), before, "the same bytes at the same place seal to the same bytes");
    for (offset, length) in [(1, 5), (0, 5), (0, BLOCK_BYTES + 1), (3 * BLOCK_BYTES, 78), (4 * BLOCK_BYTES, 1)] {
        let fault = again.write_blocks(offset as u64, &mut vec![0; length]).unwrap_err();
        assert!(matches!(fault, StreamFault::Place), "{offset} {length}");
    }
    let empty = SealedBlockWriter::create(tempfile::tempfile().unwrap(), &fixture::key(), b"slot", 0).unwrap();
    SealedReader::open(empty.file().try_clone().unwrap(), &fixture::key(), b"slot").unwrap();
}

#[test]
fn several_threads_read_one_stream_at_once() {
    let plain = bytes(4 * BLOCK_BYTES + 123);
    let reader = open(&seal(&plain, BLOCK_BYTES)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (reader, plain) = (&reader, &plain);
            scope.spawn(move || {
                for step in 0..60 {
                    let offset = (step * 7 + thread * 13) * 64_123 % plain.len();
                    let mut part = vec![0; 10_000 + step * 30_000];
                    let read = reader.read_at(offset as u64, &mut part).unwrap();
                    assert_eq!(&part[..read], &plain[offset..(offset + part.len()).min(plain.len())]);
                }
            });
        }
    });
}
