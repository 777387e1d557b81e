//! Loading a vocabulary: the user's own download through a worker into an index in this node's store.
//!
//! Nothing of a licensed vocabulary is shipped, and nothing of it leaves: release and digest alone are told to others.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use cohortium_protocol::ident::Text;
use cohortium_protocol::quantity::Bytes;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::listing::BlobRef;
use cohortium_protocol::record::vocabulary::{LoadedVocabulary, Vocabulary};

use crate::driver::hands::Hands;
use crate::driver::making::{Opened, Run, blocking, disk};
use crate::driver::told::About;
use crate::worker::job::{Job, Key32, Report, SealedFile};

/// The files of a download that are read, in the order of the job.
pub(crate) const FILES: [&str; 3] = ["CONCEPT.csv", "CONCEPT_RELATIONSHIP.csv", "VOCABULARY.csv"];

/// Reads a download and keeps its index.
pub(crate) async fn load(hands: &Arc<Hands>, folder: Text) -> Run<LoadedVocabulary> {
    let own = Arc::clone(hands);
    let (opened, pending, index, files) = blocking(move || {
        let (mut opened, mut files) = (Vec::new(), Vec::<OwnedFd>::new());
        for name in FILES {
            let path = PathBuf::from(folder.as_str()).join(name);
            let found = path.to_str().ok_or(RunFault::Unreadable).and_then(Opened::new);
            let (source, file) =
                found.inspect_err(|_| own.told.keep(&About::Vocabulary, Some(format!("{name} cannot be opened"))))?;
            opened.push(source);
            files.push(file);
        }
        let pending = own.blobs.prepare_for_worker().map_err(|fault| disk(&fault))?;
        let (file, key) = pending.for_worker().map_err(|fault| disk(&fault))?;
        files.push(file.into());
        Ok((opened, pending, SealedFile { key: Key32(*key.expose()), bytes: 0 }, files))
    })
    .await?;
    let report = hands.pool.run(Job::LoadVocabulary { index }, files).await.map_err(|fault| {
        tracing::warn!(event = "vocabulary-refused", fault = ?fault.fault);
        hands.told.keep(&About::Vocabulary, fault.detail);
        fault.fault
    })?;
    hands.told.keep(&About::Vocabulary, None);
    let Report::Vocabulary { release, digest, index: made } = report else { return Err(RunFault::WorkerLost) };
    blocking(move || {
        opened.iter().try_for_each(Opened::unchanged)?;
        let stored = pending.commit(made.digest, made.bytes, &made.outboard.0).map_err(|fault| disk(&fault))?;
        let index = BlobRef { digest: stored.digest, bytes: Bytes(stored.bytes) };
        Ok(LoadedVocabulary { vocabulary: Vocabulary { release, digest }, index })
    })
    .await
}
