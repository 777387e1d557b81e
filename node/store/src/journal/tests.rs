//! Tests of the journal: what was acknowledged is kept, what was not may go, and damage is named.

use std::fs;
use std::process::Command;

use super::*;
use crate::fixture;

type Entries = Vec<Vec<u8>>;

fn open(dir: &Path) -> Result<(Journal, Recovered, Entries), JournalFault> {
    let mut entries = Vec::new();
    let (journal, recovered) = Journal::open(dir, &fixture::key(), |seq, entry| {
        assert_eq!(seq, entries.len() as u64);
        entries.push(entry.to_vec());
    })?;
    Ok((journal, recovered, entries))
}

fn entry(seq: u64) -> Vec<u8> {
    format!("entry {seq} ").repeat(usize::try_from(seq).unwrap() % 7 + 1).into_bytes()
}

/// Three openings of 2, 3 and 1 entries.
fn three_segments(dir: &Path) {
    for batch in [0..2, 2..5, 5..6] {
        let (mut journal, ..) = open(dir).unwrap();
        journal.append(&batch.map(entry).collect::<Vec<_>>()).unwrap();
    }
}

#[test]
fn what_was_appended_comes_back_in_order_after_any_number_of_openings() {
    let dir = tempfile::tempdir().unwrap();
    three_segments(dir.path());
    let (mut journal, recovered, entries) = open(dir.path()).unwrap();
    assert_eq!(recovered, Recovered { entries: 6, torn_tail: None });
    assert_eq!(entries, (0..6).map(entry).collect::<Vec<_>>());
    assert_eq!(journal.append(&[entry(6), entry(7)]).unwrap(), 6);
    assert_eq!(journal.append(&[] as &[Vec<u8>]).unwrap(), 8);
    for seq in 0..8 {
        assert_eq!(journal.read(seq).unwrap(), entry(seq));
    }
    assert!(matches!(journal.read(8), Err(JournalFault::NotFound { seq: 8 })));
    journal.verify().unwrap();
    let mut seen = Vec::new();
    journal.scan(4, |seq, bytes| seen.push((seq, bytes.to_vec()))).unwrap();
    assert_eq!(seen, (4..8).map(|seq| (seq, entry(seq))).collect::<Vec<_>>());
    assert_eq!(Journal::verify_folder(dir.path(), &fixture::key(), |_, _| {}).unwrap().entries, 8);
}

#[test]
fn version_1_still_opens() {
    let dir = tempfile::tempdir().unwrap();
    let golden = [include_str!("../../tests/fixtures/segment1.hex"), include_str!("../../tests/fixtures/segment2.hex")];
    for (text, number) in golden.iter().zip(1..) {
        fs::write(segment_path(dir.path(), number), fixture::bytes(text)).unwrap();
    }
    let (mut journal, recovered, entries) = open(dir.path()).unwrap();
    assert_eq!(recovered, Recovered { entries: 3, torn_tail: None });
    assert_eq!(entries, [b"first".to_vec(), b"second".to_vec(), b"third".to_vec()]);
    assert_eq!(journal.append(&[b"fourth"]).unwrap(), 3);
    // And it is written with the same bytes.
    let head = Head { number: 1, first_seq: 0, chain: [0; 32], salt: fixture::salt() };
    let keys = SegmentKeys::new(&fixture::key(), &head);
    let (mut bytes, mut chain) = (head.to_file(&keys), [0; 32]);
    keys.write_record(0, b"first", &mut chain, &mut bytes);
    let end = bytes.len() as u64;
    keys.write_record(1, b"second", &mut chain, &mut bytes);
    let path = dir.path().join("written");
    fs::write(&path, bytes).unwrap();
    Watermark { end, next_seq: 1 }.write(&disk::open_both(&path).unwrap(), &keys).unwrap();
    assert_eq!(fs::read(path).unwrap(), fixture::bytes(golden[0]));
}

/// A journal of three acknowledged entries and one whose batch was cut by `change`; gives the path and the old size.
fn with_unacknowledged(dir: &Path) -> (PathBuf, u64, u64) {
    let (mut journal, ..) = open(dir).unwrap();
    journal.append(&[entry(0), entry(1)]).unwrap();
    journal.append(&[entry(2)]).unwrap();
    let path = segment_path(dir, 1);
    let acknowledged = fs::metadata(&path).unwrap().len();
    // The watermark of the third batch never came to the disk: as after a power cut during it.
    let marked = fs::read(&path).unwrap();
    journal.append(&[entry(30).repeat(40)]).unwrap();
    drop(journal);
    let mut bytes = fs::read(&path).unwrap();
    bytes[512..1024].copy_from_slice(&marked[512..1024]);
    fs::write(&path, &bytes).unwrap();
    (path, acknowledged, bytes.len() as u64)
}

#[test]
fn a_record_torn_at_any_byte_is_cut_off_and_the_journal_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (path, acknowledged, size) = with_unacknowledged(dir.path());
    let whole = fs::read(&path).unwrap();
    for cut in acknowledged..size {
        for other in disk::names_in(dir.path()).unwrap() {
            disk::remove(&dir.path().join(other)).unwrap();
        }
        fs::write(&path, &whole[..usize::try_from(cut).unwrap()]).unwrap();
        let (mut journal, recovered, entries) = open(dir.path()).unwrap();
        assert_eq!(entries.len(), 3, "cut at {cut}");
        let torn = TornTail { segment: 1, bytes: cut - acknowledged };
        assert_eq!(recovered.torn_tail, (cut > acknowledged).then_some(torn));
        assert_eq!(fs::metadata(&path).unwrap().len(), acknowledged);
        assert_eq!(journal.append(&[entry(3)]).unwrap(), 3);
        drop(journal);
        let (_, recovered, entries) = open(dir.path()).unwrap();
        assert_eq!((recovered.torn_tail, entries.len()), (None, 4));
    }
}

#[test]
fn pages_that_a_power_cut_left_unwritten_are_a_torn_end() {
    let dir = tempfile::tempdir().unwrap();
    let (path, acknowledged, size) = with_unacknowledged(dir.path());
    let whole = fs::read(&path).unwrap();
    let (from, to) = (usize::try_from(acknowledged).unwrap(), usize::try_from(size).unwrap());
    let holes =
        [from..to, from.next_multiple_of(512)..to, from.next_multiple_of(512)..from.next_multiple_of(512) + 512];
    for hole in holes {
        let mut bytes = whole.clone();
        bytes[hole].fill(0);
        fs::write(&path, &bytes).unwrap();
        let (_, recovered, entries) = open(dir.path()).unwrap();
        assert_eq!((entries.len(), recovered.torn_tail.is_some()), (3, true));
    }
    // The same hole in what was acknowledged is damage.
    let mut bytes = whole;
    bytes[1024..1536].fill(0);
    fs::write(&path, &bytes).unwrap();
    let fault = open(dir.path()).unwrap_err();
    assert!(matches!(fault, JournalFault::Record { segment: 1, seq: 0, .. }), "{fault}");
}

#[test]
fn a_flipped_bit_in_any_byte_of_any_segment_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    three_segments(dir.path());
    for number in 1..=3 {
        let path = segment_path(dir.path(), number);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, &bytes).unwrap();
            let fault = open(dir.path()).map(|_| ()).unwrap_err();
            let named = match fault {
                JournalFault::Record { segment, .. }
                | JournalFault::Header { segment }
                | JournalFault::Version { segment, .. }
                | JournalFault::CutOff { segment, .. } => segment,
                other => panic!("byte {at}: {other}"),
            };
            assert_eq!(named, number, "byte {at}");
            assert_eq!(fs::read(&path).unwrap(), bytes, "a refused journal is not changed");
        }
        fs::write(&path, &whole).unwrap();
    }
    open(dir.path()).unwrap();
}

#[test]
fn acknowledged_entries_that_were_cut_off_are_missed() {
    let dir = tempfile::tempdir().unwrap();
    three_segments(dir.path());
    for number in 1..=3 {
        let path = segment_path(dir.path(), number);
        let whole = fs::read(&path).unwrap();
        for cut in 1024..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let fault = open(dir.path()).map(|_| ()).unwrap_err();
            assert!(matches!(fault, JournalFault::CutOff { segment, .. } if segment == number), "{cut}: {fault}");
        }
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn removed_exchanged_and_repeated_segments_and_records_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    three_segments(dir.path());
    let paths: Vec<_> = (1..=3).map(|number| segment_path(dir.path(), number)).collect();
    let files: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    fs::remove_file(&paths[1]).unwrap();
    assert!(matches!(open(dir.path()), Err(JournalFault::Missing { segment: 2 })));
    fs::rename(&paths[2], &paths[1]).unwrap();
    assert!(matches!(open(dir.path()), Err(JournalFault::Chain { segment: 2 })));
    fs::write(&paths[1], &files[0]).unwrap();
    assert!(matches!(open(dir.path()), Err(JournalFault::Chain { segment: 2 })));
    // Two records of one segment, exchanged; both are whole, and of equal length.
    let other = tempfile::tempdir().unwrap();
    let (mut journal, ..) = open(other.path()).unwrap();
    journal.append(&[b"aaaa", b"bbbb"]).unwrap();
    drop(journal);
    let path = segment_path(other.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    let middle = (bytes.len() - 1024) / 2;
    bytes[1024..].rotate_left(middle);
    fs::write(&path, bytes).unwrap();
    assert!(matches!(open(other.path()), Err(JournalFault::Record { segment: 1, seq: 0, .. })));
}

#[test]
fn a_segment_whose_header_was_never_finished_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    three_segments(dir.path());
    for torn in [vec![], vec![1; 700], vec![0; 1024]] {
        fs::write(segment_path(dir.path(), 4), torn).unwrap();
        let (journal, recovered, entries) = open(dir.path()).unwrap();
        assert_eq!((entries.len(), recovered.torn_tail.map(|torn| torn.segment)), (6, Some(4)));
        drop(journal);
        assert!(!segment_path(dir.path(), 4).exists());
    }
    let (mut journal, ..) = open(dir.path()).unwrap();
    journal.append(&[entry(6)]).unwrap();
    drop(journal);
    fs::write(segment_path(dir.path(), 3), vec![0; 1024]).unwrap();
    assert!(matches!(open(dir.path()), Err(JournalFault::Header { segment: 3 })));
}

#[test]
fn no_two_openings_share_a_key_and_an_opening_without_an_append_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let (mut journal, ..) = open(dir.path()).unwrap();
        journal.append(&[b"the same entry"]).unwrap();
        drop(journal);
        drop(open(dir.path()).unwrap());
    }
    let files: Vec<_> = (1..=3).map(|number| fs::read(segment_path(dir.path(), number)).unwrap()).collect();
    assert!(!segment_path(dir.path(), 4).exists());
    assert_ne!(files[0][1064..], files[1][1064..]);
    assert_ne!(files[1][1064..], files[2][1064..]);
}

#[test]
fn after_a_failed_write_nothing_is_written_or_read() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, ..) = open(dir.path()).unwrap();
    journal.append(&[entry(0)]).unwrap();
    let path = segment_path(dir.path(), 1);
    journal.current.as_mut().unwrap().0 = File::open(&path).unwrap();
    let fault = journal.append(&[entry(1)]).unwrap_err();
    assert!(fault.to_string().contains("while appending to"), "{fault}");
    assert!(journal.is_poisoned());
    assert!(matches!(journal.append(&[entry(1)]), Err(JournalFault::Poisoned)));
    assert!(matches!(journal.read(0), Err(JournalFault::Poisoned)));
    assert!(matches!(journal.verify(), Err(JournalFault::Poisoned)));
    drop(journal);
    assert_eq!(open(dir.path()).unwrap().2, [entry(0)]);
}

#[test]
fn lengths_have_two_sides() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, ..) = open(dir.path()).unwrap();
    let max = vec![7; JOURNAL_ENTRY_BYTES_MAX];
    journal.append(&[&max]).unwrap();
    assert!(matches!(journal.append(&[vec![7; max.len() + 1]]), Err(JournalFault::EntryLength)));
    assert!(matches!(journal.append(&[b""]), Err(JournalFault::EntryLength)));
    let batch = vec![&max; BATCH_BYTES_MAX / max.len()];
    assert!(matches!(journal.append(&[batch.as_slice(), &[&max]].concat()), Err(JournalFault::BatchLength)));
    // 64 MiB in one segment: the next batch begins a new one.
    journal.append(&batch).unwrap();
    journal.append(&[b"next"]).unwrap();
    assert_eq!(journal.segments.iter().map(|segment| segment.offsets.len()).collect::<Vec<_>>(), [33, 1]);
    assert_eq!((journal.read(0).unwrap(), journal.read(33).unwrap()), (max, b"next".to_vec()));
    journal.verify().unwrap();
    drop(journal);
    assert_eq!(open(dir.path()).unwrap().1.entries, 34);
}

#[test]
fn another_key_and_a_second_process_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    three_segments(dir.path());
    let other = Journal::open(dir.path(), &DataKey::random(), |_, _| {});
    assert!(matches!(other, Err(JournalFault::Header { segment: 1 })));
    let held = open(dir.path()).unwrap();
    assert!(matches!(open(dir.path()), Err(JournalFault::Disk(fault)) if fault.is_locked()));
    drop(held);
    assert!(open(dir.path()).is_ok());
}

#[test]
fn damage_after_the_opening_is_named_by_read_and_verify() {
    let dir = tempfile::tempdir().unwrap();
    three_segments(dir.path());
    let (journal, ..) = open(dir.path()).unwrap();
    let path = segment_path(dir.path(), 2);
    let whole = fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(journal.read(4), Err(JournalFault::Record { segment: 2, seq: 4, .. })));
    assert!(matches!(journal.verify(), Err(JournalFault::Record { segment: 2, seq: 4, .. })));
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(journal.verify(), Err(JournalFault::CutOff { segment: 2, .. })));
    assert!(matches!(journal.read(4), Err(JournalFault::CutOff { segment: 2, seq: 4 })));
}

/// Not a test of its own: the process that `an_acknowledged_entry_survives_kill_9` kills.
#[test]
fn appender_process() {
    let Ok(dir) = std::env::var("COHORTIUM_STORE_TEST_APPEND") else { return };
    let (mut journal, ..) = open(Path::new(&dir)).unwrap();
    for seq in journal.entries().. {
        journal.append(&[entry(seq)]).unwrap();
        // One line an acknowledgement; the parent counts them.
        fs::write(Path::new(&dir).join("acknowledged"), (seq + 1).to_string()).unwrap();
    }
}

#[test]
fn an_acknowledged_entry_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "journal::tests::appender_process", "--nocapture"])
            .env("COHORTIUM_STORE_TEST_APPEND", dir.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(250));
        child.kill().unwrap();
        child.wait().unwrap();
        let acknowledged: u64 =
            fs::read_to_string(dir.path().join("acknowledged")).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        let (_, recovered, entries) = open(dir.path()).unwrap();
        assert!(recovered.entries >= acknowledged, "{} < {acknowledged}", recovered.entries);
        assert_eq!(entries, (0..recovered.entries).map(entry).collect::<Vec<_>>());
    }
}
