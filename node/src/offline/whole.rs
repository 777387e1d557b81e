//! Looks at an exported folder as a whole, before anything of it is taken in: it holds every blob that its manifests name and
//! this node lacks, each of its length and digest, and nothing besides. What is wrong is named by file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs::{File, read_dir};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use cohortium_protocol::digest::BlobDigest;
use cohortium_protocol::ident::{ShareId, SnapshotId, SubscriptionId};
use cohortium_protocol::limits::LISTING_BYTES_MAX;
use cohortium_protocol::message::document::{Document, Numbered};
use cohortium_protocol::outboard::{Outboard, Range, outboard_bytes, ranges};
use cohortium_protocol::record::listing::{BlobRef, Listing};
use cohortium_protocol::record::manifest::Base;
use cohortium_protocol::wire::codec;
use cohortium_store::blob::BlobStore;

use crate::driver::carried::{BLOBS, OUTBOARDS};
use crate::driver::files::open_plain;
use crate::driver::listings::listing;
use crate::driver::meter::Meter;

/// Why a part of a folder is not what its name says.
fn wrong(part: &str, name: impl Display, why: impl Display) -> String {
    format!("{part}/{name}: {why}")
}

/// A snapshot that a folder's documents state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stated {
    listing: BlobRef,
    /// Whether this node has still to land it: it is not settled here, and no full snapshot follows it.
    lacking: bool,
}

/// What the documents state of the share of one subscription, in order.
fn stated(documents: &[Numbered], subscription: SubscriptionId, settled: &BTreeSet<SnapshotId>) -> Vec<Stated> {
    let share = documents.iter().find_map(|numbered| match &numbered.document {
        Document::Invitation(signed) => signed.claimed().ok().filter(|said| said.subscription == subscription),
        _ => None,
    });
    let share: Option<ShareId> = share.map(|invitation| invitation.share.share);
    let manifests = documents.iter().filter_map(|numbered| match &numbered.document {
        Document::Manifest(signed) => Some((SnapshotId(signed.digest().0), signed.claimed().ok()?)),
        _ => None,
    });
    let manifests: Vec<_> = manifests.filter(|(_, manifest)| Some(manifest.share) == share).collect();
    let first = manifests.iter().rposition(|(_, manifest)| manifest.base == Base::Full).unwrap_or(0);
    let stated = manifests.iter().enumerate().map(|(at, (id, manifest))| Stated {
        listing: manifest.listing,
        lacking: at >= first && !settled.contains(id),
    });
    stated.collect()
}

/// A folder that is looked at, and the store that may have some of it.
struct Look<'a> {
    folder: &'a Path,
    store: &'a BlobStore,
    /// Every blob that is named, and whether it is lacking here.
    named: BTreeMap<BlobRef, bool>,
}

/// Checks the folder of one subscription. `settled`: the snapshots of it that have landed here, or never will. Blocks; reads the
/// folder once, in ranges, and no byte of a file that is not as long as a document says.
///
/// # Errors
/// The first file that is wrong, missing or named by no document.
pub(crate) fn check_blobs(
    folder: &Path,
    (documents, subscription): (&[Numbered], SubscriptionId),
    (settled, store): (&BTreeSet<SnapshotId>, &BlobStore),
    meter: &Meter,
) -> Result<(), String> {
    let mut look = Look { folder, store, named: BTreeMap::new() };
    for stated in stated(documents, subscription, settled) {
        look.listing(stated)?;
    }
    look.nothing_besides()?;
    meter.expect(look.named.keys().map(|blob| blob.bytes.0).sum());
    for (blob, lacking) in &look.named {
        look.blob(*blob, *lacking, |part| meter.add(part.len() as u64))?;
    }
    Ok(())
}

impl Look<'_> {
    /// Names what a snapshot is made of. The listing of one that is not lacking may be left out.
    fn listing(&mut self, stated: Stated) -> Result<(), String> {
        let blob = stated.listing;
        if blob.bytes.0 > LISTING_BYTES_MAX as u64 {
            return Err(wrong(BLOBS, blob.digest, "is too long for a listing"));
        }
        let mut bytes = Vec::new();
        let here = self.blob(blob, stated.lacking, |part| bytes.extend_from_slice(part))?;
        let content: Option<Listing> =
            if here { codec::decode(&bytes, LISTING_BYTES_MAX).ok() } else { listing(self.store, blob) };
        let Some(content) = content else {
            return if here || stated.lacking { Err(wrong(BLOBS, blob.digest, "is no listing")) } else { Ok(()) };
        };
        for named in content.entries().iter().map(|entry| entry.blob).chain([blob]) {
            *self.named.entry(named).or_default() |= stated.lacking;
        }
        Ok(())
    }

    /// Reads a blob against its length, outboard and digest. `false`: the folder has it not, and need not have it.
    fn blob(&self, blob: BlobRef, lacking: bool, mut take: impl FnMut(&[u8])) -> Result<bool, String> {
        let name = blob.digest;
        let file = match open(&self.folder.join(BLOBS).join(name.to_string())) {
            Ok(file) => file,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                let needed = lacking && !self.store.contains(name);
                return if needed { Err(wrong(BLOBS, name, "is missing")) } else { Ok(false) };
            }
            Err(fault) => return Err(wrong(BLOBS, name, fault)),
        };
        is_long(&file, blob.bytes.0).map_err(|fault| wrong(BLOBS, name, fault))?;
        let outboard = self.outboard(blob).map_err(|fault| wrong(OUTBOARDS, name, fault))?;
        let mut buffer = Vec::new();
        for range in ranges(blob.bytes.0) {
            read_range(&file, &outboard, range, &mut buffer).map_err(|fault| wrong(BLOBS, name, fault))?;
            take(&buffer);
        }
        Ok(true)
    }

    fn outboard(&self, blob: BlobRef) -> io::Result<Outboard> {
        let mut file = open(&self.folder.join(OUTBOARDS).join(blob.digest.to_string()))?;
        is_long(&file, outboard_bytes(blob.bytes.0))?;
        let mut all = Vec::new();
        file.read_to_end(&mut all)?;
        Outboard::check(blob.digest, blob.bytes.0, &all).map_err(io::Error::other)
    }

    /// Nothing lies there that no document names: nobody would look at it, and it may be of any length.
    fn nothing_besides(&self) -> Result<(), String> {
        let names: BTreeSet<BlobDigest> = self.named.keys().map(|blob| blob.digest).collect();
        for part in [BLOBS, OUTBOARDS] {
            let unread = |fault: io::Error| format!("{fault} while reading the folder {part}");
            for entry in read_dir(self.folder.join(part)).map_err(unread)? {
                let name = entry.map_err(unread)?.file_name();
                let digest = name.to_str().and_then(|name| name.parse::<BlobDigest>().ok());
                if digest.is_none_or(|digest| !names.contains(&digest)) {
                    return Err(wrong(part, name.to_string_lossy().escape_debug(), "is named by no document"));
                }
            }
        }
        Ok(())
    }
}

fn read_range(file: &File, outboard: &Outboard, range: Range, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.resize(usize::try_from(range.len).expect("a range is 4 MiB at most"), 0);
    file.read_exact_at(buffer, range.offset)?;
    outboard.verify_range(range, buffer).map_err(io::Error::other)
}

fn open(path: &Path) -> io::Result<File> {
    Ok(open_plain(path)?.0)
}

fn is_long(file: &File, wanted: u64) -> io::Result<()> {
    let bytes = file.metadata()?.len();
    if bytes == wanted { Ok(()) } else { Err(io::Error::other(format!("is {bytes} bytes long, not {wanted}"))) }
}

#[cfg(test)]
mod tests;
