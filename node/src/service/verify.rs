//! Reading everything again: blobs, journals, audit logs. The first thing that is wrong is named.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cohortium_protocol::digest::BlobDigest;
use cohortium_protocol::endpoint::Endpoint;
use cohortium_protocol::ident::ConsortiumId;
use cohortium_protocol::log::check::{read_note, verify_log};
use cohortium_protocol::log::checkpoint::origin;
use cohortium_protocol::log::edge::CHECKPOINT_PATH;
use cohortium_protocol::log::fault::{LogFault, ReadFault};
use cohortium_protocol::log::tile::{TileFolder, TileRead};
use tokio::task::spawn_blocking;

use crate::control::{ErrorKind, Reply};
use crate::driver::hands::{Hands, Place};
use crate::driver::queue::Queue;
use crate::driver::witness::own_log_keys;
use crate::home::Home;
use crate::service::answer::{Answered, Out, broken, error, stopping};

/// Verifies all that this node keeps.
pub(crate) async fn run(queue: &Queue, hands: &Arc<Hands>, home: &Home, out: &mut Out) -> Answered {
    let failed = |fault: String| error(ErrorKind::VerifyFailed, fault);
    for (consortium, place) in hands.places() {
        let (hands, folder) = (Arc::clone(hands), home.log(&consortium));
        let checked = spawn_blocking(move || consortium_stands(&hands, consortium, &place, &folder));
        checked.await.map_err(|_| broken())?.map_err(failed)?;
    }
    let blobs = hands.blobs.clone();
    let all = spawn_blocking(move || blobs.list()).await.map_err(|_| broken())?;
    let all = all.map_err(|fault| error(ErrorKind::Local, fault))?;
    let parts = queue.look(parts).await.ok_or_else(stopping)?;
    if let Some((gone, place)) = parts.iter().find(|(digest, _)| !hands.blobs.contains(**digest)) {
        return Err(failed(format!("blob {gone} is not there: {place}")));
    }
    let mut done = 0;
    for digest in all {
        let blobs = hands.blobs.clone();
        match spawn_blocking(move || blobs.verify(digest)).await.map_err(|_| broken())? {
            Ok(blob) => done += blob.bytes,
            // Swept meanwhile.
            Err(_) if !hands.blobs.contains(digest) => {}
            Err(fault) => {
                let place = parts.get(&digest).map(|place| format!(" ({place})")).unwrap_or_default();
                return Err(failed(format!("{fault}{place}")));
            }
        }
        if !out.say(&Reply::Progress { done, total: None, unit: "bytes".to_owned() }).await {
            return Ok(Reply::Done);
        }
    }
    Ok(Reply::Done)
}

/// The files of all table versions that are kept, with where they belong: what a consolidation states must be there, byte for
/// byte.
fn parts(endpoint: &Endpoint) -> BTreeMap<BlobDigest, String> {
    let sets = endpoint.consortia().filter_map(|id| endpoint.state(id)).flat_map(|state| state.tables.sets());
    let mut parts = BTreeMap::new();
    for set in sets {
        for (table, of) in &set.consolidation.tables {
            for (member, part) in &of.parts {
                let place = format!("{member}'s part of table {table}, consolidation {}", set.consolidation.sequence);
                parts.extend(part.blobs.iter().map(|blob| (blob.digest, place.clone())));
            }
        }
    }
    parts
}

/// The journal by itself, the log by itself, and the log against the journal.
fn consortium_stands(hands: &Hands, consortium: ConsortiumId, place: &Place, folder: &Path) -> Result<(), String> {
    place.book.lock().verify().map_err(|fault| fault.to_string())?;
    place.audit.catch_up().map_err(|fault| fault.to_string())?;
    let log = place.audit.lock();
    if log.checkpoint().is_none() {
        return Ok(());
    }
    let signing = hands.keys.signing().map_err(|fault| fault.to_string())?.public();
    let keys = own_log_keys(folder.parent().unwrap_or(folder), &origin(&consortium, &place.party), signing)?;
    let files = LogFiles(folder.to_owned());
    let newest = read_note(&files, CHECKPOINT_PATH).map_err(|fault| fault.to_string())?;
    verify_log(&files, &newest, &keys).map_err(|fault| fault.to_string())?;
    drop(log);
    place.audit.compare().map_err(|fault| fault.to_string())
}

/// A log's folder, for reading.
struct LogFiles(PathBuf);

impl TileRead for LogFiles {
    fn read(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, ReadFault> {
        let path = self.0.join(path);
        let metadata = fs::symlink_metadata(&path).map_err(|fault| match fault.kind() {
            io::ErrorKind::NotFound => ReadFault::Missing,
            _ => ReadFault::Unreadable,
        })?;
        if !metadata.is_file() {
            return Err(ReadFault::Unreadable);
        }
        if metadata.len() > bytes_max as u64 {
            return Err(ReadFault::TooLong { bytes: metadata.len() });
        }
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(bytes_max as u64).read_to_end(&mut bytes));
        read.map(|_| bytes).map_err(|_| ReadFault::Unreadable)
    }
}

impl TileFolder for LogFiles {
    fn visit(&self, each: &mut dyn FnMut(&str)) -> Result<(), LogFault> {
        below(&self.0, "", each)
    }
}

fn below(root: &Path, folder: &str, each: &mut dyn FnMut(&str)) -> Result<(), LogFault> {
    let unreadable = |_| LogFault::Unreadable { path: if folder.is_empty() { "." } else { folder }.to_owned() };
    for entry in fs::read_dir(root.join(folder)).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        if entry.file_type().map_err(unreadable)?.is_dir() {
            below(root, &path, each)?;
        } else {
            each(&path);
        }
    }
    Ok(())
}
