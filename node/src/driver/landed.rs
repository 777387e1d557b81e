//! Landed versions: looked at in a worker, counted, and written to plain files for people.

use std::fs::DirBuilder;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cohortium_protocol::endpoint::io::LandedVersion;
use cohortium_protocol::quantity::Rows;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::listing::{BlobRef, BlobRole, Listing, ListingEntry};
use cohortium_store::blob::{BlobFault, BlobStore};
use tokio::task::spawn_blocking;

use crate::driver::fresh::{Fresh, create};
use crate::driver::hands::Hands;
use crate::driver::listings::{listing, rows_stated};
use crate::driver::meter::Meter;
use crate::worker::job::{Job, Key32, Part, Report, ReportFault, SealedFile, Shape};
use crate::worker::pass::FILES_MAX;

/// Bytes copied at once.
const PIECE_BYTES: usize = 1024 * 1024;

/// A landed version as its listings show it, before anything of it is opened.
pub(crate) enum Kind {
    /// A table: the listings from the full one on.
    Table(Vec<Listing>),
    /// A set of files nobody looks into: the last listing, which is whole.
    Files(Listing),
}

/// What the listings make of a version; `None` when they do not fit together.
pub(crate) fn kind_of(listings: Vec<Listing>) -> Option<Kind> {
    let all = |listing: &Listing, role: BlobRole| listing.entries().iter().all(|entry| entry.role == role);
    let table = |listing: &Listing| {
        let count = |role| listing.entries().iter().filter(|entry| entry.role == role).count();
        count(BlobRole::Rows) == 1 && count(BlobRole::Deletes) <= 1 && count(BlobRole::File) == 0
    };
    match listings.as_slice() {
        [only] if all(only, BlobRole::File) => Some(Kind::Files(only.clone())),
        [full, ..] if full.entries().len() == 1 && listings.iter().all(table) => Some(Kind::Table(listings)),
        _ => None,
    }
}

/// Looks at a version that has just landed; `None`: it is refused. Files of a set are only copied: nothing is parsed.
pub(crate) async fn check(hands: &Arc<Hands>, version: &LandedVersion) -> Option<Rows> {
    match open(hands, version.listings.clone()).await {
        Ok(Kind::Files(_)) => Some(Rows(0)),
        Ok(Kind::Table(listings)) => {
            let (chain, files) = chain(hands, listings).await.ok()?;
            match hands.pool.run(Job::Check { chain }, files).await {
                Ok(Report::Rows(rows)) => Some(rows),
                Ok(_) => None,
                Err(fault) => {
                    tracing::warn!(event = "landing-refused", fault = ?fault.fault);
                    None
                }
            }
        }
        Err(_) => None,
    }
}

async fn open(hands: &Arc<Hands>, listings: Vec<BlobRef>) -> Result<Kind, ReportFault> {
    let blobs = hands.blobs.clone();
    let read =
        spawn_blocking(move || listings.into_iter().map(|blob| listing(&blobs, blob)).collect::<Option<Vec<_>>>());
    let listings = read.await.ok().flatten();
    listings.and_then(kind_of).ok_or(ReportFault::of(RunFault::Malformed))
}

/// The listings of a landed table, the full one first.
pub(crate) async fn listings(hands: &Arc<Hands>, listings: Vec<BlobRef>) -> Result<Vec<Listing>, ReportFault> {
    match open(hands, listings).await? {
        Kind::Table(listings) => Ok(listings),
        Kind::Files(_) => Err(ReportFault::of(RunFault::Malformed)),
    }
}

/// The chain with its open files.
pub(crate) async fn chain(
    hands: &Arc<Hands>,
    listings: Vec<Listing>,
) -> Result<(Vec<Part>, Vec<OwnedFd>), ReportFault> {
    let blobs = hands.blobs.clone();
    let opened = spawn_blocking(move || {
        let (mut parts, mut files) = (Vec::new(), Vec::new());
        for listing in &listings {
            let part = part(&blobs, listing, &mut files).map_err(|fault| {
                tracing::error!(event = "blob-unreadable", %fault);
                ReportFault::of(RunFault::Unreadable)
            })?;
            parts.push(part.ok_or(ReportFault::of(RunFault::Malformed))?);
        }
        // One file more may come: what is written.
        if files.len() < FILES_MAX { Ok((parts, files)) } else { Err(ReportFault::of(RunFault::Limit)) }
    });
    opened.await.unwrap_or(Err(ReportFault::LOST))
}

fn part(blobs: &BlobStore, listing: &Listing, files: &mut Vec<OwnedFd>) -> Result<Option<Part>, BlobFault> {
    let mut sealed = |role: BlobRole| -> Result<Option<SealedFile>, BlobFault> {
        let Some(entry) = listing.entries().iter().find(|entry| entry.role == role) else { return Ok(None) };
        let (file, key, bytes) = blobs.open_for_worker(entry.blob.digest)?;
        files.push(file.into());
        Ok(Some(SealedFile { key: Key32(*key.expose()), bytes }))
    };
    let Some(rows) = sealed(BlobRole::Rows)? else { return Ok(None) };
    let deletes = sealed(BlobRole::Deletes)?;
    Ok(Some(Part {
        rows,
        rows_stated: rows_stated(listing, BlobRole::Rows),
        deletes,
        deletes_stated: rows_stated(listing, BlobRole::Deletes),
    }))
}

/// Counts the distinct rows of a version in its landed files; files of a set have none.
pub(crate) async fn count(hands: &Arc<Hands>, listings: Vec<BlobRef>) -> Result<Rows, ReportFault> {
    let Kind::Table(listings) = open(hands, listings).await? else { return Ok(Rows(0)) };
    let (chain, files) = chain(hands, listings).await?;
    rows_of(hands.pool.run(Job::Count { chain }, files).await)
}

fn rows_of(report: Result<Report, ReportFault>) -> Result<Rows, ReportFault> {
    match report? {
        Report::Rows(rows) => Ok(rows),
        _ => Err(ReportFault::LOST),
    }
}

/// Why a version was not written to a file.
#[derive(Debug)]
pub(crate) enum CheckoutFault {
    /// The version or its worker.
    Worker(ReportFault),
    /// The path's ending fits no form of this version.
    Ending,
    /// The file or folder could not be made or written.
    Io(io::Error),
    /// A stored blob could not be read.
    Blob(BlobFault),
}

impl std::fmt::Display for CheckoutFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Worker(ReportFault { detail: Some(detail), .. }) => f.write_str(detail),
            Self::Worker(ReportFault { fault, .. }) => write!(f, "the worker could not do it: {fault:?}"),
            Self::Ending => {
                f.write_str("a table is written to a path that ends in .parquet or .csv, files to a folder")
            }
            Self::Io(source) => write!(f, "{source} while writing the landed version"),
            Self::Blob(fault) => fault.fmt(f),
        }
    }
}

impl From<ReportFault> for CheckoutFault {
    fn from(fault: ReportFault) -> Self {
        Self::Worker(fault)
    }
}

impl From<io::Error> for CheckoutFault {
    fn from(fault: io::Error) -> Self {
        Self::Io(fault)
    }
}

/// Writes a version to a new file or folder, which appears whole or not at all.
pub(crate) async fn checkout(
    hands: &Arc<Hands>,
    listings: Vec<BlobRef>,
    path: PathBuf,
    meter: &Meter,
) -> Result<Rows, CheckoutFault> {
    let (fresh, rows) = match open(hands, listings).await? {
        Kind::Table(listings) => checkout_table(hands, listings, &path, meter).await?,
        Kind::Files(listing) => checkout_files(hands, listing, path, meter.clone()).await?,
    };
    fresh.place()?;
    Ok(rows)
}

async fn checkout_table(
    hands: &Arc<Hands>,
    listings: Vec<Listing>,
    path: &Path,
    meter: &Meter,
) -> Result<(Fresh, Rows), CheckoutFault> {
    let shape = match path.extension().and_then(|ending| ending.to_str()) {
        Some("parquet") => Shape::Parquet,
        Some("csv") => Shape::Csv,
        _ => return Err(CheckoutFault::Ending),
    };
    let (chain, mut files) = chain(hands, listings).await?;
    let (fresh, file) = Fresh::file(path)?;
    files.push(file.try_clone()?.into());
    let merged = hands.pool.run(Job::Merge { chain, shape }, files);
    let rows = rows_of(meter.follow(&file, merged).await)?;
    Ok((fresh, rows))
}

async fn checkout_files(
    hands: &Arc<Hands>,
    listing: Listing,
    path: PathBuf,
    meter: Meter,
) -> Result<(Fresh, Rows), CheckoutFault> {
    meter.expect(listing.entries().iter().map(|entry| entry.blob.bytes.0).sum());
    let blobs = hands.blobs.clone();
    let copied = spawn_blocking(move || {
        let fresh = Fresh::folder(&path)?;
        for entry in listing.entries() {
            copy_out(&blobs, entry, fresh.temp(), &meter)?;
        }
        Ok((fresh, Rows(0)))
    });
    copied.await.unwrap_or(Err(CheckoutFault::Worker(ReportFault::LOST)))
}

/// The path was checked to lie below its folder when the listing was decoded; the folder is new, so nothing is in it but
/// what was put there.
fn copy_out(blobs: &BlobStore, entry: &ListingEntry, folder: &Path, meter: &Meter) -> Result<(), CheckoutFault> {
    let path = folder.join(entry.path.as_str());
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    let mut file = create(&path)?;
    let reader = blobs.reader(entry.blob.digest).map_err(CheckoutFault::Blob)?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = 0;
    loop {
        let read = reader.read_at(at, &mut piece).map_err(CheckoutFault::Blob)?;
        if read == 0 {
            break;
        }
        file.write_all(&piece[..read])?;
        at += read as u64;
        meter.add(read as u64);
    }
    file.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::digest::blob_digest;
    use cohortium_protocol::quantity::Bytes;

    use super::*;

    fn listing_of(entries: &[(&str, BlobRole)]) -> Listing {
        let blob = BlobRef { digest: blob_digest(b"x"), bytes: Bytes(1) };
        let entry = |(path, role): &(&str, BlobRole)| ListingEntry {
            path: path.parse().unwrap(),
            role: *role,
            blob,
            rows: Rows(0),
        };
        Listing::try_from(entries.iter().map(entry).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_version_is_a_table_with_its_deltas_or_one_set_of_files_and_nothing_between() {
        let full = listing_of(&[("r", BlobRole::Rows)]);
        let delta = listing_of(&[("d", BlobRole::Deletes), ("r", BlobRole::Rows)]);
        let set = listing_of(&[("a", BlobRole::File), ("b", BlobRole::File)]);
        let mixed = listing_of(&[("a", BlobRole::File), ("r", BlobRole::Rows)]);
        let two = listing_of(&[("q", BlobRole::Rows), ("r", BlobRole::Rows)]);
        assert!(matches!(kind_of(vec![full.clone(), delta.clone()]), Some(Kind::Table(all)) if all.len() == 2));
        assert!(matches!(kind_of(vec![set.clone()]), Some(Kind::Files(_))));
        assert!(matches!(kind_of(vec![listing_of(&[])]), Some(Kind::Files(_))), "a set may be empty");
        for wrong in [vec![], vec![mixed], vec![two], vec![delta.clone()], vec![full, set.clone()], vec![set, delta]] {
            assert!(kind_of(wrong).is_none());
        }
    }
}
