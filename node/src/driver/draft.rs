//! What a worker made in one run, before it counts: it is thrown away without a sync, or made durable side by side.

use std::thread;

use cohortium_engine::delta::TakeReport;
use cohortium_protocol::ident::RelPath;
use cohortium_protocol::quantity::{Bytes, Rows};
use cohortium_protocol::record::listing::{BlobRef, BlobRole, Listing, ListingEntry};
use cohortium_protocol::wire::codec;
use cohortium_store::blob::{BlobFault, BlobStore, Pending};

use crate::worker::job::Made;

/// The path of a table's rows in its listing.
pub(crate) const ROWS_PATH: &str = "rows.parquet";
/// The path of a delta's deletes.
pub(crate) const DELETES_PATH: &str = "deletes.parquet";

/// A blob that a worker has written and named. Dropped before [`Draft::commit`], nothing of it stays.
#[derive(Debug)]
struct Draft {
    pending: Pending,
    made: Made,
}

impl Draft {
    fn blob(&self) -> BlobRef {
        BlobRef { digest: self.made.digest, bytes: Bytes(self.made.bytes) }
    }

    fn commit(self) -> Result<BlobRef, BlobFault> {
        self.pending.commit(self.made.digest, self.made.bytes, &self.made.outboard.0).map(stored)
    }
}

const fn stored(blob: cohortium_store::blob::BlobRef) -> BlobRef {
    BlobRef { digest: blob.digest, bytes: Bytes(blob.bytes) }
}

/// The blobs of one table's run.
#[derive(Debug)]
pub(crate) struct Drafts {
    rows: Draft,
    deletes: Option<Draft>,
    index: Option<Draft>,
}

/// A run's blobs and its listing, all of them durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) listing: BlobRef,
    pub(crate) index: Option<BlobRef>,
}

impl Drafts {
    /// What was made in the files that were prepared for it: rows, deletes, row index.
    pub(crate) fn new(
        [rows_in, deletes_in, index_in]: [Pending; 3],
        rows: Made,
        deletes: Option<Made>,
        index: Option<Made>,
    ) -> Self {
        let draft = |pending, made| Draft { pending, made };
        Self {
            rows: draft(rows_in, rows),
            deletes: deletes.map(|made| draft(deletes_in, made)),
            index: index.map(|made| draft(index_in, made)),
        }
    }

    /// The listing of them, with what the worker reports of their rows. `None`: they cannot be listed.
    pub(crate) fn listing(&self, report: &TakeReport) -> Option<Listing> {
        let entry = |path: &str, role, draft: &Draft, rows: Rows| {
            let path: RelPath = path.parse().expect("a constant that is a path");
            ListingEntry { path, role, blob: draft.blob(), rows }
        };
        let deletes = self.deletes.as_ref().map(|draft| entry(DELETES_PATH, BlobRole::Deletes, draft, report.deletes));
        let rows = entry(ROWS_PATH, BlobRole::Rows, &self.rows, report.rows_out);
        // Deletes come before rows, as their paths do.
        Listing::try_from(deletes.into_iter().chain([rows]).collect::<Vec<ListingEntry>>()).ok()
    }

    /// Makes the blobs and their listing durable. A disk that syncs several files at once takes about as long as for
    /// the largest of them. Blocks.
    ///
    /// # Errors
    /// The first fault; blobs that are durable all the same are named by nothing, and swept.
    pub(crate) fn keep(self, blobs: &BlobStore, listing: &Listing) -> Result<Kept, BlobFault> {
        let Self { rows, deletes, index } = self;
        let had_index = index.is_some();
        thread::scope(|scope| {
            let drafts = [Some(rows), deletes, index].into_iter().flatten();
            let commits: Vec<_> = drafts.map(|draft| scope.spawn(|| draft.commit())).collect();
            let listing = blobs.put(&codec::encode(listing)).map(stored);
            // A thread that panicked panics here: the run has no blob then, and ends as lost.
            let kept: Vec<_> = commits.into_iter().map(|commit| commit.join().expect("a commit ends")).collect();
            let kept = kept.into_iter().collect::<Result<Vec<BlobRef>, BlobFault>>()?;
            Ok(Kept { listing: listing?, index: kept.last().copied().filter(|_| had_index) })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use cohortium_protocol::record::manifest::Base;
    use cohortium_protocol::wire::codec::Blob;
    use cohortium_store::blob::BLOB_SLOT;
    use cohortium_store::seal::DataKey;
    use cohortium_store::stream::{Naming, SealedWriter};

    use super::*;

    /// A file with these bytes as a worker writes it, and what the worker says of it.
    fn made(blobs: &BlobStore, bytes: &[u8]) -> (Pending, Made) {
        let pending = blobs.prepare_for_worker().unwrap();
        let (file, key) = pending.for_worker().unwrap();
        let mut writer = SealedWriter::new(file, &key, BLOB_SLOT, Naming::Digest).unwrap();
        writer.write_all(bytes).unwrap();
        let end = writer.finish().unwrap();
        let (digest, outboard) = end.named.unwrap();
        (pending, Made { digest, bytes: end.bytes, outboard: Blob(outboard.to_bytes()) })
    }

    fn report() -> TakeReport {
        TakeReport {
            base: Base::Delta,
            rows_source: Rows(9),
            rows_out: Rows(2),
            rows_version: Rows(9),
            deletes: Rows(1),
            filtered: Rows(0),
            opted_out: Rows(0),
            without_token: Rows(0),
            unchanged: false,
            has_index: true,
            content: [0; 16],
            columns: Vec::new(),
        }
    }

    fn drafts(blobs: &BlobStore) -> Drafts {
        let [(a, rows), (b, deletes), (c, index)] =
            [&b"rows"[..], b"deletes", b"index"].map(|bytes| made(blobs, bytes));
        Drafts::new([a, b, c], rows, Some(deletes), Some(index))
    }

    #[test]
    fn a_run_counts_when_all_of_it_is_kept_and_leaves_nothing_before() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(dir.path(), &DataKey::random()).unwrap();
        let thrown = drafts(&blobs);
        assert!(thrown.listing(&report()).is_some());
        drop(thrown);
        assert!(blobs.list().unwrap().is_empty(), "what nobody keeps is not stored");
        let wanted = drafts(&blobs);
        let listing = wanted.listing(&report()).unwrap();
        let index = wanted.index.as_ref().unwrap().blob();
        let kept = wanted.keep(&blobs, &listing).unwrap();
        assert_eq!(kept.index, Some(index));
        let named = listing.entries().iter().map(|entry| entry.blob).chain([kept.listing, index]);
        assert!(named.clone().all(|blob| blobs.verify(blob.digest).unwrap().bytes == blob.bytes.0));
        assert_eq!((named.count(), blobs.list().unwrap().len()), (4, 4));
        let mut lied = drafts(&blobs);
        lied.deletes.as_mut().unwrap().made.bytes += 1;
        assert!(lied.keep(&blobs, &listing).is_err(), "what a worker said and did not write");
        let (a, rows) = made(&blobs, b"no index");
        let plain = Drafts::new(
            [a, blobs.prepare_for_worker().unwrap(), blobs.prepare_for_worker().unwrap()],
            rows,
            None,
            None,
        );
        assert_eq!(plain.keep(&blobs, &listing).unwrap().index, None);
    }
}
