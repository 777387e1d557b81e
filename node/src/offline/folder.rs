//! The papers of an exported folder: its heading, signed by the provider's node, and the documents that the heading names.

use std::fmt;
use std::io::Read;
use std::path::Path;

use cohortium_protocol::digest::{DocumentDigest, sha256};
use cohortium_protocol::ident::ConsortiumId;
use cohortium_protocol::ident::Name;
use cohortium_protocol::key::pair::PublicKey;
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::limits::DOCUMENT_BYTES_MAX;
use cohortium_protocol::message::document::{Document, Numbered};
use cohortium_protocol::record::export_heading::ExportHeading;
use cohortium_protocol::record::node_record::NodeRecord;
use cohortium_protocol::time::UnixMillis;
use cohortium_protocol::wire::codec;

use crate::control::ErrorKind;

/// The heading.
pub(crate) const HEADING: &str = "heading.bin";
/// The documents.
pub(crate) const DOCUMENTS: &str = "documents.bin";
/// Documents of one folder.
const DOCUMENTS_MAX: usize = 1_000_000;
/// Bytes of all documents of one folder.
const DOCUMENTS_BYTES_MAX: u64 = 1 << 30;

/// The papers of a folder, as they were found: nothing of them is believed before [`check`].
pub(crate) struct Papers {
    pub(crate) heading: Signed<ExportHeading>,
    pub(crate) documents: Vec<Numbered>,
    /// Of the file of documents.
    pub(crate) digest: DocumentDigest,
}

/// What this node knows by itself, to check a folder with.
pub(crate) struct Known {
    pub(crate) consortium: ConsortiumId,
    pub(crate) us: Name,
    /// Whose folder a person said it is.
    pub(crate) provider: Name,
    /// The provider's root key in the charter in force here.
    pub(crate) root: PublicKey,
    /// Its newest node record that was heard, under that root.
    pub(crate) record: Option<NodeRecord>,
    pub(crate) now: UnixMillis,
}

/// The file of documents: each with its length before it.
pub(crate) fn documents_file(documents: &[Numbered]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for numbered in documents {
        let document = codec::encode(numbered);
        let length = u32::try_from(document.len()).expect("a document is at most 1 MiB");
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&document);
    }
    bytes
}

/// What the heading says of the file of documents.
pub(crate) fn documents_digest(file: &[u8]) -> DocumentDigest {
    DocumentDigest(sha256(&[file]))
}

/// Reads the heading alone. Blocks.
pub(crate) fn read_heading(folder: &Path) -> Result<Signed<ExportHeading>, String> {
    let path = folder.join(HEADING);
    let bytes = read_bounded(&path, DOCUMENT_BYTES_MAX as u64)?;
    Signed::from_bytes(&bytes).map_err(|fault| format!("{} {fault}", path.display()))
}

/// Reads heading and documents. Blocks.
pub(crate) fn read_papers(folder: &Path) -> Result<Papers, String> {
    let heading = read_heading(folder)?;
    let path = folder.join(DOCUMENTS);
    let file = read_bounded(&path, DOCUMENTS_BYTES_MAX)?;
    let documents = split(&file).ok_or_else(|| format!("{} is damaged", path.display()))?;
    Ok(Papers { heading, documents, digest: documents_digest(&file) })
}

fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    let (file, _) =
        crate::driver::files::open_plain(path).map_err(|fault| format!("{fault} while opening {}", path.display()))?;
    let mut bytes = Vec::new();
    let read = file.take(bytes_max + 1).read_to_end(&mut bytes);
    read.map_err(|fault| format!("{fault} while reading {}", path.display()))?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("{} is longer than {bytes_max} bytes", path.display()));
    }
    Ok(bytes)
}

fn split(mut file: &[u8]) -> Option<Vec<Numbered>> {
    let mut documents = Vec::new();
    while !file.is_empty() {
        let (length, rest) = file.split_first_chunk::<4>()?;
        let length =
            usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= DOCUMENT_BYTES_MAX)?;
        let (document, rest) = rest.split_at_checked(length)?;
        if documents.len() >= DOCUMENTS_MAX {
            return None;
        }
        documents.push(codec::decode(document, DOCUMENT_BYTES_MAX).ok()?);
        file = rest;
    }
    Some(documents)
}

/// Why a folder cannot be taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    NoRecord,
    NotSigned,
    OtherConsortium,
    OtherProvider,
    OtherConsumer,
    OtherDocuments,
}

impl Unfit {
    /// A folder that is meant for somebody else is sound and refused; any other does not verify.
    pub(crate) fn kind(self) -> ErrorKind {
        match self {
            Self::OtherConsortium | Self::OtherProvider | Self::OtherConsumer => ErrorKind::Refused,
            Self::NoRecord | Self::NotSigned | Self::OtherDocuments => ErrorKind::VerifyFailed,
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRecord => "this node has no node record of the provider that stands now",
            Self::NotSigned => "the heading is not signed by the provider's node",
            Self::OtherConsortium => "the folder is for another consortium",
            Self::OtherProvider => "the folder is another provider's",
            Self::OtherConsumer => "the folder is for another party",
            Self::OtherDocuments => "the documents are not those that the heading names",
        })
    }
}

/// Believes a folder: its heading is signed with the signing key of the provider's node, is meant for this node, and names
/// exactly these documents. An order that nobody signed would use up the places of the provider's documents.
pub(crate) fn check(papers: &Papers, known: &Known) -> Result<ExportHeading, Unfit> {
    let key = signing_key(papers, known).ok_or(Unfit::NoRecord)?;
    let heading = papers.heading.verify(&[key]).map_err(|_| Unfit::NotSigned)?;
    if heading.consortium != known.consortium {
        return Err(Unfit::OtherConsortium);
    }
    if heading.provider != known.provider {
        return Err(Unfit::OtherProvider);
    }
    if heading.consumer != known.us {
        return Err(Unfit::OtherConsumer);
    }
    if heading.documents != papers.digest {
        return Err(Unfit::OtherDocuments);
    }
    Ok(heading.into_document())
}

/// The signing key in the provider's newest record: the one that is known here or, where no network is, one in the folder
/// that the provider's root has signed.
fn signing_key(papers: &Papers, known: &Known) -> Option<PublicKey> {
    let carried = papers.documents.iter().filter_map(|numbered| match &numbered.document {
        Document::NodeRecord(signed) => signed.verify(&[known.root]).ok(),
        _ => None,
    });
    let carried = carried.map(cohortium_protocol::key::signed::Verified::into_document).filter(|record| {
        (&record.consortium, &record.party, &record.root) == (&known.consortium, &known.provider, &known.root)
    });
    // Of two with the same number the one that was heard counts: the last of the greatest is taken.
    let newest = carried.chain(known.record.clone()).max_by_key(|record| record.sequence)?;
    (newest.root == known.root && newest.stands_at(known.now)).then_some(newest.signing)
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::ident::SubscriptionId;
    use cohortium_protocol::key::pair::{KeyPair, SealingKey};
    use cohortium_protocol::record::extension::Extensions;
    use cohortium_protocol::record::node_record::NodeRecordFields;

    use super::*;

    fn pair(seed: u8) -> KeyPair {
        KeyPair::from_seed(&[seed; 32])
    }

    /// A record of the provider, whose root is key 1.
    fn record(sequence: u64, signing: u8, root: u8) -> Signed<NodeRecord> {
        let fields = NodeRecordFields {
            consortium: ConsortiumId([7; 32]),
            party: "north".parse().unwrap(),
            root: pair(root).public(),
            sequence,
            tls: pair(40).public(),
            signing: pair(signing).public(),
            sealing: SealingKey([4; 32]),
            not_before: UnixMillis(0),
            not_after: UnixMillis(1000),
            ext: Extensions::default(),
        };
        Signed::sign(&NodeRecord::try_from(fields).unwrap(), &pair(root))
    }

    fn known(record: Option<Signed<NodeRecord>>) -> Known {
        Known {
            consortium: ConsortiumId([7; 32]),
            us: "op".parse().unwrap(),
            provider: "north".parse().unwrap(),
            root: pair(1).public(),
            record: record.map(|signed| signed.claimed().unwrap()),
            now: UnixMillis(10),
        }
    }

    fn heading(file: &[u8]) -> ExportHeading {
        ExportHeading {
            consortium: ConsortiumId([7; 32]),
            provider: "north".parse().unwrap(),
            consumer: "op".parse().unwrap(),
            subscription: SubscriptionId([3; 16]),
            documents: documents_digest(file),
            at: UnixMillis(1),
            ext: Extensions::default(),
        }
    }

    fn numbered(documents: Vec<Signed<NodeRecord>>) -> Vec<Numbered> {
        let documents = (0..).zip(documents);
        documents.map(|(index, signed)| Numbered { index, document: Document::NodeRecord(signed) }).collect()
    }

    fn papers(documents: Vec<Signed<NodeRecord>>, signer: u8, change: impl Fn(&mut ExportHeading)) -> Papers {
        let documents = numbered(documents);
        let file = documents_file(&documents);
        let mut heading = heading(&file);
        change(&mut heading);
        Papers { heading: Signed::sign(&heading, &pair(signer)), documents, digest: documents_digest(&file) }
    }

    // EXPORT-1
    #[test]
    fn a_folder_is_believed_only_when_its_providers_node_has_signed_all_of_it_for_this_node() {
        let heard = || known(Some(record(1, 2, 1)));
        assert!(check(&papers(vec![], 2, |_| {}), &heard()).is_ok());
        let refused = [
            (papers(vec![], 9, |_| {}), "a stranger's signature"),
            (papers(vec![], 1, |_| {}), "the root signs no heading"),
            (papers(vec![], 2, |heading| heading.consortium = ConsortiumId([8; 32])), "another consortium"),
            (papers(vec![], 2, |heading| heading.provider = "south".parse().unwrap()), "another provider"),
            (papers(vec![], 2, |heading| heading.consumer = "south".parse().unwrap()), "another consumer"),
            (papers(vec![], 2, |heading| heading.documents = documents_digest(b"other")), "other documents"),
        ];
        for (papers, why) in refused {
            assert!(check(&papers, &heard()).is_err(), "{why}");
        }
        let late = Known { now: UnixMillis(1000), ..heard() };
        assert!(check(&papers(vec![], 2, |_| {}), &late).is_err(), "the record has run out");
        assert!(check(&papers(vec![], 2, |_| {}), &known(None)).is_err(), "nothing is known of the provider");
    }

    #[test]
    fn a_record_in_the_folder_counts_when_the_root_signed_it_and_it_is_newer() {
        let newer = || record(2, 3, 1);
        assert!(check(&papers(vec![newer()], 3, |_| {}), &known(Some(record(1, 2, 1)))).is_ok());
        assert!(check(&papers(vec![newer()], 3, |_| {}), &known(None)).is_ok());
        assert!(check(&papers(vec![newer()], 2, |_| {}), &known(Some(record(1, 2, 1)))).is_err(), "an old key");
        assert!(
            check(&papers(vec![record(1, 3, 1)], 3, |_| {}), &known(Some(record(2, 2, 1)))).is_err(),
            "an old record"
        );
        assert!(check(&papers(vec![record(2, 3, 5)], 3, |_| {}), &known(None)).is_err(), "another root");
    }

    #[test]
    fn papers_are_read_as_they_were_written_and_damaged_ones_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let written = papers(vec![record(1, 2, 1), record(2, 3, 1)], 3, |_| {});
        let file = documents_file(&written.documents);
        let put = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
        put(HEADING, &written.heading.to_bytes());
        put(DOCUMENTS, &file);
        let read = read_papers(dir.path()).unwrap();
        assert_eq!((read.documents.len(), read.digest), (2, written.digest));
        assert!(check(&read, &known(None)).is_ok());
        for bent in [&file[..file.len() - 1], &[255; 4], &[1, 0, 0]] {
            put(DOCUMENTS, bent);
            assert!(read_papers(dir.path()).is_err());
        }
        // An index that was changed is well formed, and is refused by the digest.
        let mut moved = written.documents.clone();
        moved[1].index = 5;
        put(DOCUMENTS, &documents_file(&moved));
        assert!(check(&read_papers(dir.path()).unwrap(), &known(None)).is_err());
    }
}
