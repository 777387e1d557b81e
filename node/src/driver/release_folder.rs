//! The folder of a release: drawn at its operator for whoever it is shared with, and verified, all of it, where it lands.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use cohortium_protocol::digest::DocumentDigest;
use cohortium_protocol::endpoint::io::{LandedVersion, RunPlan, Taken};
use cohortium_protocol::ident::{ConsortiumId, Name, ReleaseId};
use cohortium_protocol::key::pair::PublicKey;
use cohortium_protocol::key::signed::{Record, Signed};
use cohortium_protocol::limits::JOURNAL_ENTRY_BYTES_MAX;
use cohortium_protocol::log::checkpoint::origin;
use cohortium_protocol::log::note::{KeyKind, Note, NoteKey};
use cohortium_protocol::log::proof::InclusionBundle;
use cohortium_protocol::quantity::{Bytes, Rows};
use cohortium_protocol::record::charter::Charter;
use cohortium_protocol::record::journal_entry::{Act, JournalEntry, RunFault};
use cohortium_protocol::record::listing::{BlobRef, BlobRole, Listing, ListingEntry};
use cohortium_protocol::record::manifest::Base;
use cohortium_protocol::record::node_record::NodeRecord;
use cohortium_protocol::record::project::Project;
use cohortium_protocol::record::release::Release;
use cohortium_protocol::state::releases::SignedRelease;
use cohortium_protocol::wire::codec::{self, Blob};
use cohortium_sdk::release::{
    CHARTER_FOLDER, COSIGNER_FOLDER, ENDING, FolderRead, JournalFile, OPERATOR_FOLDER, PROJECT, RESERVED,
    RESERVED_PROOF, ReadFault, SIGNED, SIGNED_PROOF, STATEMENT, STATEMENT_JSON, numbered, statement_json, verify,
};
use cohortium_store::blob::BlobStore;
use tokio::task::spawn_blocking;

use crate::driver::hands::{Hands, Place};
use crate::driver::listings::listing;
use crate::driver::making::{Run, blocking, disk, store};
use crate::driver::sets::open;
use crate::worker::job::{Job, Report};
use crate::worker::pass::FILES_MAX;

/// Entries of the journal that are read under one lock.
const READ_ENTRIES: u64 = 1000;

/// Draws the folder of a signed release. It never changes: a second run finds nothing new.
pub(crate) async fn run(hands: &Arc<Hands>, plan: RunPlan) -> Run<Option<Taken>> {
    if plan.previous.is_some() {
        return Ok(None);
    }
    let signed = plan.release.ok_or(RunFault::SetStale)?;
    let consortium = plan.consortium;
    let chain = hands.queue.look(move |endpoint| {
        let chain = endpoint.state(consortium)?.charters.chain();
        Some(chain.iter().map(|version| (version.digest, version.signed.clone())).collect::<Vec<_>>())
    });
    let chain = chain.await.flatten().ok_or(RunFault::WorkerLost)?;
    let (hands, place) = (Arc::clone(hands), hands.place(&consortium).ok_or(RunFault::WorkerLost)?);
    blocking(move || {
        let statement = signed.signed.claimed().map_err(|_| RunFault::Malformed)?;
        let drawing = Drawing { consortium, place, chain, signed, statement };
        let content = drawing.draw(&hands)?;
        let listing = store(&hands.blobs, &content)?;
        Ok(Some(Taken {
            base: Base::Full,
            listing,
            content,
            index: None,
            linkage: None,
            origin: None,
            vocabulary: None,
        }))
    })
    .await
}

/// What a folder is drawn from.
struct Drawing {
    consortium: ConsortiumId,
    place: Place,
    chain: Vec<(DocumentDigest, Signed<Charter>)>,
    signed: SignedRelease,
    statement: Release,
}

/// A node record, read and as signed.
type Recorded = (NodeRecord, Signed<NodeRecord>);
/// Parties and their node records, by the origins of their logs.
type Parties<'a> = BTreeMap<String, (&'a Name, &'a Vec<Recorded>)>;

/// What the journal holds for a folder.
#[derive(Default)]
struct Journaled {
    project: Option<Signed<Project>>,
    /// Node records by party, in their order.
    records: BTreeMap<Name, Vec<Recorded>>,
    reserved: Vec<u8>,
    signed: Vec<u8>,
}

impl Drawing {
    fn draw(&self, hands: &Hands) -> Run<Listing> {
        let journaled = self.journaled()?;
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        files.insert(STATEMENT.to_owned(), self.signed.signed.to_bytes());
        files.insert(STATEMENT_JSON.to_owned(), statement_json(&self.statement));
        let project = journaled.project.as_ref().ok_or(RunFault::SetStale)?;
        files.insert(PROJECT.to_owned(), project.to_bytes());
        let upto = self.chain.iter().position(|(digest, _)| *digest == self.statement.charter);
        let upto = upto.ok_or(RunFault::SetStale)?;
        for (number, (_, charter)) in (1..).zip(self.chain.iter().take(upto + 1)) {
            files.insert(numbered(CHARTER_FOLDER, number), charter.to_bytes());
        }
        self.prove(&journaled, project, &mut files)?;
        let mut entries: BTreeSet<ListingEntry> = BTreeSet::new();
        for file in &self.statement.body {
            entries.insert(entry(file.path.as_str(), file.blob())?);
        }
        for (path, bytes) in files {
            let stored = hands.blobs.put(&bytes).map_err(|fault| disk(&fault))?;
            entries.insert(entry(&path, BlobRef { digest: stored.digest, bytes: Bytes(stored.bytes) })?);
        }
        Listing::try_from(entries.into_iter().collect::<Vec<_>>()).map_err(|_| RunFault::Limit)
    }

    /// The journal's entries and their proofs, with node records for every key that signed something.
    fn prove(
        &self,
        journaled: &Journaled,
        project: &Signed<Project>,
        files: &mut BTreeMap<String, Vec<u8>>,
    ) -> Run<()> {
        let failed = |fault: &dyn std::fmt::Display| {
            tracing::error!(event = "log-not-proved", %fault);
            RunFault::Limit
        };
        self.place.audit.catch_up().map_err(|fault| failed(&fault))?;
        let proofs = [
            (RESERVED, RESERVED_PROOF, self.statement.reserved, &journaled.reserved),
            (SIGNED, SIGNED_PROOF, self.signed.entry, &journaled.signed),
        ];
        let parties: Parties<'_> =
            journaled.records.iter().map(|(party, all)| (origin(&self.consortium, party), (party, all))).collect();
        let (mut operator, mut cosigners) = (BTreeMap::new(), BTreeMap::new());
        for (record, signed) in journaled.records.get(&self.place.party).into_iter().flatten() {
            let keys = [record.signing];
            if signs(&self.signed.signed, &keys) || signs(project, &keys) {
                operator.insert(record.sequence, signed.clone());
            }
        }
        for (path, proof_path, index, bytes) in proofs {
            let (salt, mut bundle) = self.place.audit.prove(index).map_err(|fault| failed(&fault))?;
            let known = Explained {
                parties: &parties,
                own: &self.place.party,
                operator: &mut operator,
                cosigners: &mut cosigners,
            };
            bundle = known.keep(bundle).ok_or(RunFault::SetStale)?;
            files.insert(path.to_owned(), codec::encode(&JournalFile { salt, entry: Blob(bytes.clone()) }));
            files.insert(proof_path.to_owned(), bundle.encode());
        }
        for (number, record) in (1..).zip(operator.values()) {
            files.insert(numbered(OPERATOR_FOLDER, number), record.to_bytes());
        }
        for (party, record) in cosigners {
            files.insert(format!("{COSIGNER_FOLDER}/{party}{ENDING}"), record.to_bytes());
        }
        Ok(())
    }

    fn journaled(&self) -> Run<Journaled> {
        let mut found = Journaled::default();
        let mut from = 0;
        loop {
            let entries = self.place.book.read(from, READ_ENTRIES).map_err(|fault| {
                tracing::error!(event = "journal-unreadable", %fault);
                RunFault::Unreadable
            })?;
            if entries.is_empty() {
                return Ok(found);
            }
            from += entries.len() as u64;
            for (seq, bytes) in entries {
                self.see(seq, bytes, &mut found)?;
            }
        }
    }

    fn see(&self, seq: u64, bytes: Vec<u8>, found: &mut Journaled) -> Run<()> {
        let entry: JournalEntry = codec::decode(&bytes, JOURNAL_ENTRY_BYTES_MAX).map_err(|_| RunFault::Unreadable)?;
        match entry.act {
            Act::Project(signed) if signed.digest() == self.statement.project => found.project = Some(signed),
            Act::NodeRecord(signed) | Act::JoinAsked { record: signed, .. } => {
                if let Ok(record) = signed.claimed() {
                    found.records.entry(record.party.clone()).or_default().push((record, signed));
                }
            }
            _ => {}
        }
        if seq == self.statement.reserved {
            found.reserved = bytes;
        } else if seq == self.signed.entry {
            found.signed = bytes;
        }
        Ok(())
    }
}

fn signs<T: Record>(document: &Signed<T>, keys: &[PublicKey]) -> bool {
    document.verify(keys).is_ok()
}

fn entry(path: &str, blob: BlobRef) -> Run<ListingEntry> {
    let path = path.parse().map_err(|_| RunFault::WorkerLost)?;
    Ok(ListingEntry { path, role: BlobRole::File, blob, rows: Rows(0) })
}

/// Who may have signed a checkpoint, and the records that the folder gets for those who have.
struct Explained<'a> {
    parties: &'a Parties<'a>,
    own: &'a Name,
    operator: &'a mut BTreeMap<u64, Signed<NodeRecord>>,
    cosigners: &'a mut BTreeMap<Name, Signed<NodeRecord>>,
}

impl Explained<'_> {
    /// Leaves out signatures that no record explains: whoever reads the folder could not either.
    fn keep(self, mut bundle: InclusionBundle) -> Option<InclusionBundle> {
        let note = Note::parse(&bundle.checkpoint).ok()?;
        let mut kept = format!("{}\n", note.text());
        for line in note.signatures() {
            let found = self.parties.iter().find_map(|(name, (party, records))| {
                let kind = if *party == self.own { KeyKind::Log } else { KeyKind::Cosigner };
                let by =
                    |record: &&Recorded| NoteKey::new(name, kind, record.0.signing).is_ok_and(|key| line.is_by(&key));
                records.iter().rfind(by).map(|record| (*party, record))
            });
            let Some((party, (record, signed))) = found else { continue };
            // One record a cosigner: it has one key at a time, and a checkpoint one signature of it.
            if party == self.own {
                self.operator.insert(record.sequence, signed.clone());
            } else if self.cosigners.get(party).is_none_or(|known| known == signed) {
                self.cosigners.insert(party.clone(), signed.clone());
            } else {
                continue;
            }
            // A String takes all.
            let _ = writeln!(kept, "{line}");
        }
        bundle.checkpoint = kept;
        Some(bundle)
    }
}

/// A landed folder in the store.
struct Landed {
    blobs: BlobStore,
    files: BTreeMap<String, BlobRef>,
}

/// Bytes read at once.
const PIECE_BYTES: usize = 1 << 20;

impl FolderRead for Landed {
    fn paths(&self) -> Result<Vec<String>, (String, ReadFault)> {
        Ok(self.files.keys().cloned().collect())
    }

    fn pieces(&self, path: &str, each: &mut dyn FnMut(&[u8])) -> Result<(), ReadFault> {
        let blob = self.files.get(path).ok_or(ReadFault::Missing)?;
        let reader = self.blobs.reader(blob.digest).map_err(|_| ReadFault::Unreadable)?;
        let (mut piece, mut at) = (vec![0; PIECE_BYTES], 0);
        loop {
            let read = reader.read_at(at, &mut piece).map_err(|_| ReadFault::Unreadable)?;
            if read == 0 {
                return Ok(());
            }
            each(&piece[..read]);
            at += read as u64;
        }
    }
}

/// Verifies a landed folder with the consortium as its anchor, and has a worker count the rows of its body; `None`: it is
/// refused.
pub(crate) async fn check(
    hands: &Arc<Hands>,
    version: &LandedVersion,
    (consortium, release): (ConsortiumId, ReleaseId),
) -> Option<Rows> {
    let [only] = version.listings.as_slice() else { return None };
    let (own, only) = (Arc::clone(hands), *only);
    let verified = spawn_blocking(move || {
        let listing = listing(&own.blobs, only)?;
        let files: BTreeMap<String, BlobRef> =
            listing.entries().iter().map(|entry| (entry.path.to_string(), entry.blob)).collect();
        let folder = Landed { blobs: own.blobs.clone(), files };
        match verify(&folder, Some(consortium)) {
            Ok(verified) if verified.release.release == release => Some(verified),
            Ok(_) => None,
            Err(fault) => {
                tracing::warn!(event = "release-not-verified", %release, %fault);
                None
            }
        }
    });
    let verified = verified.await.ok().flatten()?;
    let mut rows = Rows(0);
    for body in verified.release.body.chunks(FILES_MAX) {
        let (mut sealed, mut files): (Vec<_>, Vec<OwnedFd>) = (Vec::new(), Vec::new());
        for file in body {
            let (opened, fd) = open(hands, file.blob()).ok()?;
            sealed.push(opened);
            files.push(fd);
        }
        let counted = hands.pool.run(Job::CountBody { files: sealed }, files).await;
        let Ok(Report::Counted(counted)) = counted else {
            tracing::warn!(event = "landing-refused", %release);
            return None;
        };
        let stated: Vec<Rows> = body.iter().map(|file| file.rows).collect();
        if counted != stated {
            return None;
        }
        rows.0 += stated.iter().map(|rows| rows.0).sum::<u64>();
    }
    Some(rows)
}
