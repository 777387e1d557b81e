//! The journal: append-only entries of one consortium, in one folder. The truth, from which everything else is rebuilt.
//!
//! An entry is durable before [`Journal::append`] returns. Entries are chained over all segments, so that a removed, moved or
//! changed entry is noticed; that the newest entries are missing cannot be noticed here, the audit log's cosigned
//! checkpoints show it. Each opening begins a new segment (made with the first append), so that a key and nonce never
//! come twice although the end of the last segment may have been cut off.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use cohortium_protocol::limits::JOURNAL_ENTRY_BYTES_MAX;

use crate::disk::{self, DiskFault, During};
use crate::seal::{DataKey, random};
use crate::segment::{Head, HeadFault, RECORDS_AT, Scan, SegmentKeys, Watermark, has_hole};

pub use crate::segment::RecordFault;

/// A segment that is this long is followed by a new one.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Entries of one batch together, in bytes.
pub const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why a journal cannot be opened, read or written.
#[derive(Debug)]
pub enum JournalFault {
    /// The disk refused, or another process holds the folder.
    Disk(DiskFault),
    /// An earlier write failed. What is on the disk is not known, so nothing is written or read until the next opening.
    Poisoned,
    /// A segment of this number is missing.
    Missing {
        /// Its number.
        segment: u32,
    },
    /// A segment's header is damaged, or under another key.
    Header {
        /// Its number.
        segment: u32,
    },
    /// A segment was written by a later version.
    Version {
        /// Its number.
        segment: u32,
        /// The version found.
        found: u16,
    },
    /// A segment does not follow the one before it: records were removed or exchanged.
    Chain {
        /// Its number.
        segment: u32,
    },
    /// A segment ends before entries that were acknowledged.
    CutOff {
        /// Its number.
        segment: u32,
        /// The first entry that is missing.
        seq: u64,
    },
    /// A record is damaged.
    Record {
        /// The segment's number.
        segment: u32,
        /// The record's sequence number.
        seq: u64,
        /// What is wrong with it.
        source: RecordFault,
    },
    /// An entry that is empty or longer than [`JOURNAL_ENTRY_BYTES_MAX`]; the caller's bug. Nothing was written.
    EntryLength,
    /// A batch longer than [`BATCH_BYTES_MAX`]; the caller's bug. Nothing was written.
    BatchLength,
    /// No entry has this sequence number.
    NotFound {
        /// The number.
        seq: u64,
    },
}

impl fmt::Display for JournalFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(fault) => fault.fmt(f),
            Self::Poisoned => write!(f, "an earlier write to the journal failed"),
            Self::Missing { segment } => write!(f, "journal segment {segment} is missing"),
            Self::Header { segment } => write!(f, "journal segment {segment} has a damaged header or another key"),
            Self::Version { segment, found } => write!(f, "journal segment {segment} has the unknown version {found}"),
            Self::Chain { segment } => write!(f, "journal segment {segment} does not follow the one before it"),
            Self::CutOff { segment, seq } => write!(f, "journal segment {segment} is cut off before entry {seq}"),
            Self::Record { segment, seq, source } => write!(f, "entry {seq} in journal segment {segment} {source}"),
            Self::EntryLength => write!(f, "a journal entry is empty or longer than {JOURNAL_ENTRY_BYTES_MAX} bytes"),
            Self::BatchLength => write!(f, "a batch of entries is longer than {BATCH_BYTES_MAX} bytes"),
            Self::NotFound { seq } => write!(f, "the journal has no entry {seq}"),
        }
    }
}

impl std::error::Error for JournalFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Disk(fault) => fault.source(),
            Self::Record { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<DiskFault> for JournalFault {
    fn from(fault: DiskFault) -> Self {
        Self::Disk(fault)
    }
}

/// What an opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Entries that stand.
    pub entries: u64,
    /// What had never been acknowledged and was cut off.
    pub torn_tail: Option<TornTail>,
}

/// The end of a segment that was being written when the process or the machine stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TornTail {
    /// The segment's number.
    pub segment: u32,
    /// Bytes that were cut off.
    pub bytes: u64,
}

/// One segment, as this opening knows it.
struct Segment {
    head: Head,
    /// Where each record begins.
    offsets: Vec<u32>,
    /// Where the last record ends.
    end: u64,
}

/// The journal of one consortium, open for one process.
pub struct Journal {
    dir: PathBuf,
    key: DataKey,
    segments: Vec<Segment>,
    /// The segment of this opening, the last of `segments`, once something was appended.
    current: Option<(File, SegmentKeys)>,
    next_seq: u64,
    chain: [u8; 32],
    poisoned: bool,
    _lock: File,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Journal({}, {} entries)", self.dir.display(), self.next_seq)
    }
}

impl Journal {
    /// Opens the journal in `dir`, made if there is none, checks all of it and gives each entry with its number to `visit`.
    ///
    /// An end that was never acknowledged is cut off, durably, before this returns. A batch is not atomic: its first
    /// entries may stand although it was never acknowledged.
    ///
    /// # Errors
    /// [`JournalFault`], naming segment and entry; the folder is then as it was, and what was visited is void.
    /// Cost: reads and opens every entry once.
    pub fn open(
        dir: &Path,
        key: &DataKey,
        mut visit: impl FnMut(u64, &[u8]),
    ) -> Result<(Self, Recovered), JournalFault> {
        disk::make_folder(dir)?;
        let lock = disk::lock_folder(dir)?;
        let found = Found::check(dir, key, &mut visit)?;
        if let Some((torn, keep)) = found.torn {
            cut(dir, torn, keep)?;
        }
        if let Some(last) = found.segments.last() {
            // What a killed process wrote but did not sync is told to others from now on: make it durable first.
            let path = segment_path(dir, last.head.number);
            disk::open_both(&path)?.sync_all().during("syncing", &path)?;
        }
        let recovered = found.recovered();
        let Found { segments, next_seq, chain, .. } = found;
        let journal = Self {
            dir: dir.to_owned(),
            key: key.clone(),
            segments,
            current: None,
            next_seq,
            chain,
            poisoned: false,
            _lock: lock,
        };
        Ok((journal, recovered))
    }

    /// Checks a journal without changing or holding it, giving each entry to `visit`. For offline verification; run it
    /// on a folder that nobody writes, or the end may look torn.
    ///
    /// # Errors
    /// [`JournalFault`], naming segment and entry.
    pub fn verify_folder(
        dir: &Path,
        key: &DataKey,
        mut visit: impl FnMut(u64, &[u8]),
    ) -> Result<Recovered, JournalFault> {
        let found = Found::check(dir, key, &mut visit)?;
        Ok(found.recovered())
    }

    /// Reads everything again and checks it, up to the last entry acknowledged.
    ///
    /// # Errors
    /// [`JournalFault`], naming segment and entry.
    pub fn verify(&self) -> Result<(), JournalFault> {
        self.scan(0, |_, _| {})
    }

    /// Entries so far, which is the number of the next.
    pub fn entries(&self) -> u64 {
        self.next_seq
    }

    /// Whether a write has failed, after which the node must serve nothing.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// Writes entries and syncs once (group commit). Returns the first one's number once all are durable.
    ///
    /// # Errors
    /// [`JournalFault::EntryLength`] and [`JournalFault::BatchLength`] leave the journal as it was. After any other fault
    /// the journal is poisoned: it refuses everything until it is opened again.
    pub fn append(&mut self, batch: &[impl AsRef<[u8]>]) -> Result<u64, JournalFault> {
        self.refuse_if_poisoned()?;
        let lengths = || batch.iter().map(|entry| entry.as_ref().len());
        if lengths().any(|length| length == 0 || length > JOURNAL_ENTRY_BYTES_MAX) {
            return Err(JournalFault::EntryLength);
        }
        if lengths().sum::<usize>() > BATCH_BYTES_MAX {
            return Err(JournalFault::BatchLength);
        }
        let first = self.next_seq;
        if batch.is_empty() {
            return Ok(first);
        }
        // Lifted only after the sync: a failed write or sync leaves the file in a state nobody knows.
        self.poisoned = true;
        if self.current.is_none() || self.segments.last().is_some_and(|last| last.end >= SEGMENT_BYTES) {
            self.begin_segment()?;
        }
        let marked = self.write(batch)?;
        self.poisoned = !marked;
        Ok(first)
    }

    /// Writes and syncs a batch. Returns whether the watermark could be moved too: if not, this batch stands, but
    /// nothing more may be written.
    fn write(&mut self, batch: &[impl AsRef<[u8]>]) -> Result<bool, JournalFault> {
        let (file, keys) = self.current.as_ref().expect("the caller begins a segment");
        let segment = self.segments.last_mut().expect("the current segment is the last of the list");
        let path = segment_path(&self.dir, segment.head.number);
        let (mut chain, mut bytes, mut offsets) = (self.chain, Vec::new(), Vec::with_capacity(batch.len()));
        let mut seq = self.next_seq;
        for entry in batch {
            let at = segment.end + bytes.len() as u64;
            offsets
                .push(u32::try_from(at).expect("a segment and a batch are 64 MiB each, with less than that in heads"));
            keys.write_record(seq, entry.as_ref(), &mut chain, &mut bytes);
            seq += 1;
        }
        file.write_all_at(&bytes, segment.end).during("appending to", &path)?;
        file.sync_data().during("syncing", &path)?;
        segment.end += bytes.len() as u64;
        segment.offsets.append(&mut offsets);
        (self.next_seq, self.chain) = (seq, chain);
        Ok(Watermark { end: segment.end, next_seq: seq }.write(file, keys).is_ok())
    }

    fn begin_segment(&mut self) -> Result<(), JournalFault> {
        let number = self.segments.last().map_or(0, |last| last.head.number) + 1;
        let head = Head { number, first_seq: self.next_seq, chain: self.chain, salt: random() };
        let keys = SegmentKeys::new(&self.key, &head);
        let path = segment_path(&self.dir, number);
        let file = disk::create_new(&path)?;
        file.write_all_at(&head.to_file(&keys), 0).during("writing", &path)?;
        file.sync_all().during("syncing", &path)?;
        disk::sync_folder(&self.dir)?;
        self.segments.push(Segment { head, offsets: Vec::new(), end: RECORDS_AT });
        self.current = Some((file, keys));
        Ok(())
    }

    /// The entry `seq`.
    ///
    /// # Errors
    /// [`JournalFault::NotFound`], or what is wrong with it.
    pub fn read(&self, seq: u64) -> Result<Vec<u8>, JournalFault> {
        self.refuse_if_poisoned()?;
        let not_found = JournalFault::NotFound { seq };
        let after = self.segments.partition_point(|segment| segment.head.first_seq <= seq);
        let Some(segment) = after.checked_sub(1).and_then(|index| self.segments.get(index)) else {
            return Err(not_found);
        };
        let index = usize::try_from(seq - segment.head.first_seq).ok();
        let Some(at) = index.and_then(|index| segment.offsets.get(index)) else { return Err(not_found) };
        let number = segment.head.number;
        let path = segment_path(&self.dir, number);
        let file = File::open(&path).during("opening", &path)?;
        let keys = SegmentKeys::new(&self.key, &segment.head);
        match keys.read_record(&file, u64::from(*at), seq) {
            Err(fault) if fault.kind() == io::ErrorKind::UnexpectedEof => {
                Err(JournalFault::CutOff { segment: number, seq })
            }
            other => {
                other.during("reading", &path)?.map_err(|source| JournalFault::Record { segment: number, seq, source })
            }
        }
    }

    /// Gives each entry from `from` on with its number to `visit`, checking all segments that hold them.
    ///
    /// # Errors
    /// [`JournalFault`], naming segment and entry.
    pub fn scan(&self, from: u64, mut visit: impl FnMut(u64, &[u8])) -> Result<(), JournalFault> {
        self.refuse_if_poisoned()?;
        let after = self.segments.partition_point(|segment| segment.head.first_seq <= from);
        for segment in self.segments.iter().skip(after.saturating_sub(1)) {
            let opened = Opened::open(&self.dir, segment.head.number, &self.key)?;
            let head = opened.head.as_ref().ok().filter(|(head, ..)| *head == segment.head);
            let Some((head, _, keys)) = head else {
                return Err(JournalFault::Header { segment: segment.head.number });
            };
            if opened.size < segment.end {
                let seq = head.first_seq + segment.offsets.partition_point(|at| u64::from(*at) < opened.size) as u64;
                return Err(JournalFault::CutOff { segment: head.number, seq });
            }
            let mut records = Scan::new(&opened.file, keys, head, segment.end).during("reading", &opened.path)?;
            while let Some(entry) = records.next_entry().during("reading", &opened.path)? {
                let fault = |source| JournalFault::Record { segment: head.number, seq: records.seq, source };
                let entry = entry.map_err(fault)?;
                if records.seq > from {
                    visit(records.seq - 1, &entry);
                }
            }
        }
        Ok(())
    }

    fn refuse_if_poisoned(&self) -> Result<(), JournalFault> {
        if self.poisoned { Err(JournalFault::Poisoned) } else { Ok(()) }
    }
}

/// A segment's file with its header read.
struct Opened {
    path: PathBuf,
    file: File,
    size: u64,
    head: Result<(Head, Watermark, SegmentKeys), HeadFault>,
}

impl Opened {
    fn open(dir: &Path, number: u32, key: &DataKey) -> Result<Self, JournalFault> {
        let path = segment_path(dir, number);
        let file = match File::open(&path) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                return Err(JournalFault::Missing { segment: number });
            }
            other => other.during("opening", &path)?,
        };
        let size = file.metadata().during("asking for the length of", &path)?.len();
        let head = Head::read(&file, key).during("reading", &path)?;
        Ok(Self { path, file, size, head })
    }
}

/// Everything that stands in a folder, and the end that does not and may go.
struct Found {
    segments: Vec<Segment>,
    next_seq: u64,
    chain: [u8; 32],
    torn: Option<(TornTail, Keep)>,
}

/// What of a torn segment stays.
#[derive(Clone, Copy)]
enum Keep {
    Nothing,
    Bytes(u64),
}

impl Found {
    fn check(dir: &Path, key: &DataKey, visit: &mut dyn FnMut(u64, &[u8])) -> Result<Self, JournalFault> {
        let numbers: Vec<u32> = disk::names_in(dir)?.iter().filter_map(|name| segment_number(name)).collect();
        let mut found = Self { segments: Vec::new(), next_seq: 0, chain: [0; 32], torn: None };
        for (number, expected) in numbers.iter().zip(1..) {
            if *number != expected {
                return Err(JournalFault::Missing { segment: expected });
            }
            let position = if expected as usize == numbers.len() { Position::Last } else { Position::Inner };
            found.check_segment(&Opened::open(dir, *number, key)?, *number, position, visit)?;
        }
        Ok(found)
    }

    fn check_segment(
        &mut self,
        opened: &Opened,
        number: u32,
        position: Position,
        visit: &mut dyn FnMut(u64, &[u8]),
    ) -> Result<(), JournalFault> {
        let (head, mark, keys) = match &opened.head {
            Ok(parts) => parts,
            // The header is synced before the first record is written: a file without a whole one has no records.
            Err(HeadFault::Torn) if position == Position::Last && opened.size <= RECORDS_AT => {
                self.torn = Some((TornTail { segment: number, bytes: opened.size }, Keep::Nothing));
                return Ok(());
            }
            Err(HeadFault::Version(found)) => return Err(JournalFault::Version { segment: number, found: *found }),
            Err(HeadFault::Torn | HeadFault::Damaged) => return Err(JournalFault::Header { segment: number }),
        };
        if head.number != number || head.first_seq != self.next_seq || head.chain != self.chain {
            return Err(JournalFault::Chain { segment: number });
        }
        let mut records = Scan::new(&opened.file, keys, head, opened.size).during("reading", &opened.path)?;
        let mut offsets = Vec::new();
        let refused = loop {
            let at = records.at;
            match records.next_entry().during("reading", &opened.path)? {
                None => break None,
                Some(Err(fault)) => break Some(fault),
                Some(Ok(entry)) => {
                    offsets.push(u32::try_from(at).map_err(|_| JournalFault::Header { segment: number })?);
                    visit(records.seq - 1, &entry);
                }
            }
        };
        let end = records.at;
        if Self::end_is_torn(opened, position, &records, *mark, refused)? {
            let torn = TornTail { segment: number, bytes: opened.size - end };
            self.torn = Some((torn, Keep::Bytes(end)));
        }
        (self.next_seq, self.chain) = (records.seq, records.chain);
        self.segments.push(Segment { head: head.clone(), offsets, end });
        Ok(())
    }

    fn recovered(&self) -> Recovered {
        Recovered { entries: self.next_seq, torn_tail: self.torn.map(|(torn, _)| torn) }
    }

    /// Whether the scan stopped at bytes that were never acknowledged and may go.
    fn end_is_torn(
        opened: &Opened,
        position: Position,
        records: &Scan<'_>,
        mark: Watermark,
        refused: Option<RecordFault>,
    ) -> Result<bool, JournalFault> {
        let (segment, seq) = (records.number(), records.seq);
        match refused {
            None | Some(RecordFault::Incomplete) if records.at < mark.end => Err(JournalFault::CutOff { segment, seq }),
            None => Ok(false),
            Some(source) => {
                let may_be_torn = position == Position::Last && records.at >= mark.end;
                let torn = may_be_torn
                    && (source == RecordFault::Incomplete
                        || has_hole(&opened.file, records.at, opened.size).during("reading", &opened.path)?);
                if torn { Ok(true) } else { Err(JournalFault::Record { segment, seq, source }) }
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    Inner,
    Last,
}

/// Cuts a torn end off, durably.
fn cut(dir: &Path, torn: TornTail, keep: Keep) -> Result<(), DiskFault> {
    let path = segment_path(dir, torn.segment);
    match keep {
        Keep::Nothing => {
            disk::remove(&path)?;
            disk::sync_folder(dir)
        }
        Keep::Bytes(end) => {
            let file = disk::open_both(&path)?;
            file.set_len(end).during("cutting the torn end of", &path)?;
            file.sync_all().during("syncing", &path)
        }
    }
}

fn segment_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:010}.segment"))
}

fn segment_number(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".segment")?;
    digits.parse().ok().filter(|number| format!("{number:010}") == digits)
}

#[cfg(test)]
mod tests;
