//! What the two parties share: one dataset, one share, one listing, and a document that is refused.

use super::*;
use crate::record::text_form::TextForm;

pub(super) fn dataset(path: &str) -> Dataset {
    Dataset {
        dataset: DATASET,
        name: "stays".parse().unwrap(),
        source: Source::Csv { path: path.parse().unwrap(), form: TextForm::default() },
        key: vec![],
        patient: None,
        linkage: None,
    }
}

pub(super) fn share(consortium: ConsortiumId, version: u32, landed_rows: LandedRows) -> Share {
    let column =
        |name: &str, treatment| Column::new(name.parse().unwrap(), ColumnType::Text, ColumnRole::Measure, treatment);
    // The second version keeps one column at home.
    let second = if version == 1 { Treatment::Round(1) } else { Treatment::Drop };
    let columns = vec![column("los", Treatment::Round(1)), column("sodium", second)];
    Share::try_from(ShareFields {
        consortium,
        provider: "north".parse().unwrap(),
        share: SHARE,
        name: "stays".parse().unwrap(),
        version,
        dataset: DATASET,
        form: Form::Snapshot,
        content: Content::Table(TableTerms::of(columns, Linkage::None)),
        purpose: "length of stay".parse().unwrap(),
        consumers: BTreeSet::from(["op".parse().unwrap()]),
        expires: NOW.plus(Seconds(30 * 24 * 3600)),
        landed_rows,
        schedule: Schedule::MANUAL,
        ext: Extensions::default(),
    })
    .unwrap()
}

/// A share that differs in some fields.
pub(super) fn altered(share: Share, change: impl FnOnce(&mut ShareFields)) -> Share {
    let mut fields = ShareFields::from(share);
    change(&mut fields);
    Share::try_from(fields).unwrap()
}

/// The same terms, whose rows carry tokens or not.
pub(super) fn linked(share: Share, linkage: Linkage) -> Share {
    altered(share, |fields| {
        if let Content::Table(table) = &mut fields.content {
            table.linkage = linkage;
        }
    })
}

/// What the member states of a first full snapshot under these terms.
pub(super) fn manifest(terms: &Share) -> Manifest {
    let (_, listing) = listing();
    Manifest {
        consortium: terms.consortium,
        provider: terms.provider.clone(),
        share: terms.share,
        terms: Signed::unsigned(terms).digest(),
        sequence: 1,
        previous: None,
        base: Base::Full,
        taken: NOW,
        listing,
        bytes: rows_blob().bytes,
        label: ContentLabel::Pseudonymised,
        columns: leaving_columns(terms),
        linkage: None,
        ext: Extensions::default(),
    }
}

impl Pair {
    /// The operator is invited to these terms by hand, and accepts. The member's own endpoint knows nothing of it.
    pub(super) fn subscribe(&mut self, terms: &Share) {
        let invitation = Invitation {
            consortium: self.consortium,
            subscription: SUBSCRIPTION,
            consumer: self.parties[0].name.clone(),
            share: terms.clone(),
            at: NOW,
            answer_by: NOW.plus(Seconds(3600)),
            accepted: None,
            ext: Extensions::default(),
        };
        let signed = Signed::sign(&invitation, &self.parties[1].signing);
        assert_eq!(self.deliver(0, Document::Invitation(signed)), None);
        // The member refuses an answer to what it knows nothing of; nobody hears it.
        self.deaf = true;
        self.accept();
    }

    /// The operator is brought a manifest; gives the code that it is refused with.
    pub(super) fn state_by_hand(&mut self, manifest: &Manifest) -> Option<ErrorCode> {
        let signed = Signed::sign(manifest, &self.parties[1].signing);
        self.deliver(0, Document::Manifest(signed))
    }
}

pub(super) fn rows_blob() -> BlobRef {
    BlobRef { digest: blob_digest(b"rows"), bytes: Bytes(4) }
}

pub(super) fn listing() -> (Listing, BlobRef) {
    listing_of(BlobRole::Rows)
}

/// A listing of one blob in this role.
pub(super) fn listing_of(role: BlobRole) -> (Listing, BlobRef) {
    let path = "rows.parquet".parse().unwrap();
    let rows = crate::quantity::Rows(u64::from(role == BlobRole::Rows));
    let content = Listing::try_from(vec![ListingEntry { path, role, blob: rows_blob(), rows }]).unwrap();
    let bytes = codec::encode(&content);
    let blob = BlobRef { digest: blob_digest(&bytes), bytes: Bytes(bytes.len() as u64) };
    (content, blob)
}

/// A document that the member refuses: an invitation from itself, signed by the operator.
pub(super) fn invalid(pair: &Pair) -> Document {
    let invitation = Invitation {
        consortium: pair.consortium,
        subscription: SubscriptionId([1; 16]),
        consumer: "op".parse().unwrap(),
        share: share(pair.consortium, 1, LandedRows::Exclude),
        at: NOW,
        answer_by: NOW.plus(Seconds(1)),
        accepted: None,
        ext: Extensions::default(),
    };
    Document::Invitation(Signed::sign(&invitation, &pair.parties[0].signing))
}
