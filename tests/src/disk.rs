//! A node's disk: a journal of which a part is durable, blobs, and landings that keep what was checkpointed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cohortium_protocol::digest::BlobDigest;
use cohortium_protocol::endpoint::io::{Answer, LandingState, Part};
use cohortium_protocol::limits::{JOURNAL_ENTRY_BYTES_MAX, LISTING_BYTES_MAX};
use cohortium_protocol::outboard::{Outboard, Range, outboard_bytes, ranges};
use cohortium_protocol::quantity::Bytes;
use cohortium_protocol::record::journal_entry::JournalEntry;
use cohortium_protocol::record::listing::{BlobRef, Listing};
use cohortium_protocol::wire::codec;

pub(crate) type BlobBytes = Arc<Vec<u8>>;

/// A blob on its way in.
#[derive(Default, Clone)]
struct Landing {
    outboard: Option<Vec<u8>>,
    written: BTreeMap<u64, Vec<u8>>,
    safe: BTreeSet<u64>,
}

/// A node's disk.
#[derive(Default, Clone)]
pub(crate) struct Disk {
    journal: Vec<Vec<u8>>,
    durable: usize,
    blobs: BTreeMap<BlobDigest, BlobBytes>,
    landings: BTreeMap<BlobRef, Landing>,
    pub(crate) full: bool,
    /// Says that what it wrote is durable before it is. Put in on purpose.
    pub(crate) lies: bool,
}

impl Disk {
    pub(crate) fn append(&mut self, entries: &[JournalEntry]) {
        self.journal.extend(entries.iter().map(codec::encode));
    }

    pub(crate) fn written(&self) -> usize {
        self.journal.len()
    }

    pub(crate) fn durable(&self) -> usize {
        self.durable
    }

    pub(crate) fn sync(&mut self, upto: usize) {
        self.durable = self.durable.max(upto.min(self.journal.len()));
    }

    /// What a power cut leaves: all that is durable, and `lucky` entries more.
    pub(crate) fn cut_power(&mut self, lucky: usize) {
        let safe = if self.lies { self.durable.saturating_sub(3) } else { self.durable.saturating_add(lucky) };
        let kept = safe.min(self.journal.len());
        self.journal.truncate(kept);
        self.durable = self.journal.len();
        self.forget_unsafe();
    }

    /// What a kill leaves: all that was written, and of landings what a checkpoint names.
    pub(crate) fn kill(&mut self) {
        self.durable = self.journal.len();
        self.forget_unsafe();
    }

    fn forget_unsafe(&mut self) {
        for landing in self.landings.values_mut() {
            let Landing { written, safe, .. } = landing;
            written.retain(|offset, _| safe.contains(offset));
        }
    }

    /// Entries from `from` up to `upto`, read as after a start.
    pub(crate) fn entries(&self, from: usize, upto: usize) -> Vec<JournalEntry> {
        let part = self.journal.get(from..upto.min(self.journal.len())).unwrap_or_default();
        let read = |bytes: &Vec<u8>| codec::decode(bytes, JOURNAL_ENTRY_BYTES_MAX);
        part.iter().map(|bytes| read(bytes).expect("the journal holds what was encoded")).collect()
    }

    /// Puts an old journal in the place of the true one, which it gives back.
    pub(crate) fn roll_back(&mut self, upto: usize) -> Vec<Vec<u8>> {
        let true_one = self.journal.clone();
        self.journal.truncate(upto);
        self.durable = self.journal.len();
        true_one
    }

    pub(crate) fn restore(&mut self, journal: Vec<Vec<u8>>) {
        self.durable = journal.len();
        self.journal = journal;
    }

    pub(crate) fn blob(&self, digest: BlobDigest) -> Option<&BlobBytes> {
        self.blobs.get(&digest)
    }

    pub(crate) fn put(&mut self, blob: BlobRef, bytes: BlobBytes) {
        self.blobs.insert(blob.digest, bytes);
    }

    pub(crate) fn listing(&self, blob: BlobRef) -> Option<Listing> {
        codec::decode(self.blob(blob.digest)?, LISTING_BYTES_MAX).ok()
    }

    pub(crate) fn open_landing(&mut self, blob: BlobRef) -> Option<LandingState> {
        if let Some(bytes) = self.blobs.get(&blob.digest) {
            return (u64::try_from(bytes.len()) == Ok(blob.bytes.0)).then_some(LandingState::Complete);
        }
        if self.full {
            return None;
        }
        let landing = self.landings.entry(blob).or_default();
        if landing.outboard.is_none() {
            return Some(LandingState::NeedsOutboard);
        }
        let missing = ranges(blob.bytes.0).filter(|range| !landing.written.contains_key(&range.offset));
        Some(LandingState::Missing(missing.map(|range| Bytes(range.offset)).collect()))
    }

    /// Checks and keeps a part that came, as a node does: nothing that does not verify is written.
    pub(crate) fn keep(
        &mut self,
        blob: BlobRef,
        part: Part,
        bytes: Vec<u8>,
        verify: Verify,
        checkpoint: bool,
    ) -> Answer {
        if self.full {
            return Answer::LocalFault;
        }
        let Some(landing) = self.landings.get_mut(&blob) else { return Answer::LocalFault };
        let checked = |outboard: &[u8]| Outboard::check(blob.digest, blob.bytes.0, outboard);
        match part {
            Part::Outboard => {
                if verify == Verify::Yes && checked(&bytes).is_err() {
                    return Answer::Wrong;
                }
                landing.outboard = Some(bytes);
            }
            Part::Range(offset) => {
                let Some(outboard) = &landing.outboard else { return Answer::LocalFault };
                let range = Range::at(blob.bytes.0, offset.0 / cohortium_protocol::limits::RANGE_BYTES);
                let stands = range
                    .zip(checked(outboard).ok())
                    .is_some_and(|(range, outboard)| outboard.verify_range(range, &bytes).is_ok());
                if verify == Verify::Yes && !stands {
                    return Answer::Wrong;
                }
                landing.written.insert(offset.0, bytes);
                if checkpoint {
                    landing.safe.extend(landing.written.keys().copied());
                }
            }
        }
        Answer::Stored
    }

    /// Makes a complete landing a blob.
    pub(crate) fn finish(&mut self, blob: BlobRef) -> bool {
        if self.blobs.contains_key(&blob.digest) {
            return true;
        }
        let Some(landing) = self.landings.get(&blob) else { return false };
        let complete = ranges(blob.bytes.0).all(|range| landing.written.contains_key(&range.offset));
        if self.full || !complete {
            return false;
        }
        let bytes: Vec<u8> = landing.written.values().flatten().copied().collect();
        self.landings.remove(&blob);
        self.blobs.insert(blob.digest, Arc::new(bytes));
        true
    }

    pub(crate) fn sweep(&mut self, named: &BTreeSet<BlobDigest>) {
        self.blobs.retain(|digest, _| named.contains(digest));
        self.landings.retain(|blob, _| named.contains(&blob.digest));
    }
}

/// Whether a part is verified before it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verify {
    Yes,
    /// A fault put in on purpose.
    No,
}

/// The bytes of a part as an honest provider sends them.
pub(crate) fn part_bytes(blob: BlobRef, bytes: &[u8], part: Part) -> Vec<u8> {
    match part {
        Part::Outboard if outboard_bytes(blob.bytes.0) == 0 => Vec::new(),
        Part::Outboard => {
            let mut builder = cohortium_protocol::outboard::OutboardBuilder::new();
            builder.push(bytes);
            builder.finish().1.to_bytes()
        }
        Part::Range(offset) => {
            let range = Range::at(blob.bytes.0, offset.0 / cohortium_protocol::limits::RANGE_BYTES);
            let from = usize::try_from(offset.0).unwrap_or(usize::MAX);
            let len = range.map_or(0, |range| usize::try_from(range.len).unwrap_or(0));
            bytes.get(from..from.saturating_add(len)).unwrap_or_default().to_vec()
        }
    }
}
