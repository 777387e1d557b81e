//! A folder and its documents, with every part of it missing, added or replaced in turn.

use std::fs;

use cohortium_protocol::digest::DocumentDigest;
use cohortium_protocol::ident::{ConsortiumId, DatasetId};
use cohortium_protocol::key::pair::KeyPair;
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::outboard::OutboardBuilder;
use cohortium_protocol::quantity::{Bytes, Rows};
use cohortium_protocol::record::charter::LandedRows;
use cohortium_protocol::record::extension::Extensions;
use cohortium_protocol::record::invitation::Invitation;
use cohortium_protocol::record::listing::{BlobRole, ListingEntry};
use cohortium_protocol::record::manifest::{ContentLabel, Manifest};
use cohortium_protocol::record::schedule::Schedule;
use cohortium_protocol::record::share::{Content, Form, Share, ShareFields};
use cohortium_protocol::time::UnixMillis;
use cohortium_store::seal::DataKey;

use super::*;

const CONSORTIUM: ConsortiumId = ConsortiumId([1; 32]);
const SUBSCRIPTION: SubscriptionId = SubscriptionId([2; 16]);
const SHARE: ShareId = ShareId([3; 16]);

fn invitation() -> Invitation {
    let share = Share::try_from(ShareFields {
        consortium: CONSORTIUM,
        provider: "north".parse().unwrap(),
        share: SHARE,
        name: "set".parse().unwrap(),
        version: 1,
        dataset: DatasetId([4; 16]),
        form: Form::Snapshot,
        content: Content::UncheckedFiles,
        purpose: "a test".parse().unwrap(),
        consumers: BTreeSet::from(["op".parse().unwrap()]),
        expires: UnixMillis(9),
        landed_rows: LandedRows::Keep,
        schedule: Schedule::MANUAL,
        ext: Extensions::default(),
    });
    Invitation {
        consortium: CONSORTIUM,
        subscription: SUBSCRIPTION,
        consumer: "op".parse().unwrap(),
        share: share.unwrap(),
        at: UnixMillis(1),
        answer_by: UnixMillis(2),
        accepted: None,
        ext: Extensions::default(),
    }
}

fn manifest(sequence: u64, base: Base, listing: BlobRef) -> Manifest {
    Manifest {
        consortium: CONSORTIUM,
        provider: "north".parse().unwrap(),
        share: SHARE,
        terms: DocumentDigest([5; 32]),
        sequence,
        previous: None,
        base,
        taken: UnixMillis(1),
        listing,
        bytes: Bytes(0),
        label: ContentLabel::Unchecked,
        columns: Vec::new(),
        linkage: None,
        ext: Extensions::default(),
    }
}

/// A folder, the documents that came with it, and a store that has none of it.
struct Carried {
    dir: tempfile::TempDir,
    store: BlobStore,
    documents: Vec<Numbered>,
    snapshots: Vec<SnapshotId>,
}

impl Carried {
    /// With one snapshot for each base, of one file each.
    fn new(bases: &[Base]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for part in [BLOBS, OUTBOARDS] {
            fs::create_dir(dir.path().join(part)).unwrap();
        }
        let store = BlobStore::open(&dir.path().join("store"), &DataKey::random()).unwrap();
        let key = KeyPair::from_seed(&[6; 32]);
        let mut carried = Self { dir, store, documents: Vec::new(), snapshots: Vec::new() };
        carried.push(Document::Invitation(Signed::sign(&invitation(), &key)));
        for (sequence, base) in (1..).zip(bases) {
            let blob = carried.put(format!("content {sequence}").as_bytes());
            let path = "a".parse().unwrap();
            let entry = ListingEntry { path, role: BlobRole::File, blob, rows: Rows(0) };
            let listing = carried.put(&codec::encode(&Listing::try_from(vec![entry]).unwrap()));
            let signed = Signed::sign(&manifest(sequence, *base, listing), &key);
            carried.snapshots.push(SnapshotId(signed.digest().0));
            carried.push(Document::Manifest(signed));
        }
        carried
    }

    fn push(&mut self, document: Document) {
        self.documents.push(Numbered { index: self.documents.len() as u64, document });
    }

    fn put(&self, bytes: &[u8]) -> BlobRef {
        let mut builder = OutboardBuilder::new();
        builder.push(bytes);
        let (digest, outboard) = builder.finish();
        for (part, bytes) in [(BLOBS, bytes), (OUTBOARDS, outboard.to_bytes().as_slice())] {
            fs::write(self.dir.path().join(part).join(digest.to_string()), bytes).unwrap();
        }
        BlobRef { digest, bytes: Bytes(bytes.len() as u64) }
    }

    /// The blobs of the first snapshot: its file and its listing.
    fn first(&self) -> [BlobRef; 2] {
        let found = stated(&self.documents, SUBSCRIPTION, &BTreeSet::new());
        let bytes = fs::read(self.dir.path().join(BLOBS).join(found[0].listing.digest.to_string())).unwrap();
        let listing: Listing = codec::decode(&bytes, LISTING_BYTES_MAX).unwrap();
        [listing.entries()[0].blob, found[0].listing]
    }

    fn remove(&self, blob: BlobRef) {
        for part in [BLOBS, OUTBOARDS] {
            fs::remove_file(self.dir.path().join(part).join(blob.digest.to_string())).unwrap();
        }
    }

    fn check(&self, settled: &[SnapshotId]) -> Result<(), String> {
        let settled: BTreeSet<_> = settled.iter().copied().collect();
        let (settled, meter) = ((&settled, &self.store), Meter::default());
        let checked = check_blobs(self.dir.path(), (&self.documents, SUBSCRIPTION), settled, &meter);
        assert!(checked.is_err() || meter.read().0 > 0, "it tells how far it is");
        checked
    }
}

// EXPORT-3
#[test]
fn a_folder_without_a_blob_that_is_named_and_lacking_is_refused() {
    for which in [0, 1] {
        let carried = Carried::new(&[Base::Full]);
        assert_eq!(carried.check(&[]), Ok(()));
        let blob = carried.first()[which];
        carried.remove(blob);
        assert_eq!(carried.check(&[]).unwrap_err(), format!("blobs/{}: is missing", blob.digest));
    }
    // What has landed, or is superseded, may be left out as a whole.
    for (bases, settles, lacks) in [
        (&[Base::Full, Base::Full][..], false, false),
        (&[Base::Full, Base::Delta], false, true),
        (&[Base::Full, Base::Delta], true, false),
    ] {
        let carried = Carried::new(bases);
        for blob in carried.first() {
            carried.remove(blob);
        }
        let settled = if settles { &carried.snapshots[..1] } else { &[] };
        assert_eq!(carried.check(settled).is_err(), lacks, "{bases:?} {settles}");
    }
    // A blob that the store has need not travel again.
    let carried = Carried::new(&[Base::Full]);
    carried.store.put(b"content 1").unwrap();
    carried.remove(carried.first()[0]);
    assert_eq!(carried.check(&[]), Ok(()));
}

// EXPORT-3
#[test]
fn a_file_of_another_length_or_that_no_document_names_is_refused_without_being_read() {
    let names = ["0".repeat(64), "note.txt".to_owned()];
    for (part, name) in [BLOBS, OUTBOARDS].into_iter().flat_map(|part| names.iter().map(move |name| (part, name))) {
        let carried = Carried::new(&[Base::Full]);
        let file = File::create(carried.dir.path().join(part).join(name)).unwrap();
        file.set_len(1 << 40).unwrap();
        assert_eq!(carried.check(&[]).unwrap_err(), format!("{part}/{name}: is named by no document"));
    }
    for part in [BLOBS, OUTBOARDS] {
        let carried = Carried::new(&[Base::Full]);
        let name = carried.first()[0].digest;
        let path = carried.dir.path().join(part).join(name.to_string());
        let before = fs::metadata(&path).unwrap().len();
        File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
        let expected = format!("{part}/{name}: is {} bytes long, not {before}", 1_u64 << 40);
        assert_eq!(carried.check(&[]).unwrap_err(), expected);
    }
}

// EXPORT-3
#[test]
fn a_blob_with_a_bit_turned_is_named() {
    let carried = Carried::new(&[Base::Full]);
    let name = carried.first()[0].digest.to_string();
    fs::write(carried.dir.path().join(BLOBS).join(&name), b"content 2").unwrap();
    assert!(carried.check(&[]).unwrap_err().starts_with(&format!("blobs/{name}: ")));
}
