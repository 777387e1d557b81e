//! Reads every blob of an exported folder against its outboard, before anything of the folder is taken in: a folder lands as a
//! whole, and what is wrong with it is named by file, whether or not its blobs are needed here.

use std::fs::{File, read_dir};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use cohortium_protocol::digest::BlobDigest;
use cohortium_protocol::outboard::{Outboard, outboard_bytes, ranges};

use crate::driver::carried::{BLOBS, OUTBOARDS};
use crate::driver::files::open_plain;

/// Why a part of a folder is not what its name says.
fn wrong(part: &str, name: &str, why: impl std::fmt::Display) -> String {
    format!("{part}/{name}: {why}")
}

/// Checks every blob. Blocks; reads the folder once, in ranges.
///
/// # Errors
/// The first file that is wrong, and why.
pub(crate) fn check_blobs(folder: &Path) -> Result<(), String> {
    let entries = read_dir(folder.join(BLOBS)).map_err(|fault| format!("{fault} while reading the folder {BLOBS}"))?;
    let mut buffer = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|fault| format!("{fault} while reading the folder {BLOBS}"))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // What is no blob's name is asked for by nobody.
        let Ok(digest) = name.parse::<BlobDigest>() else { continue };
        check_blob(folder, &name, digest, &mut buffer)?;
    }
    Ok(())
}

fn check_blob(folder: &Path, name: &str, digest: BlobDigest, buffer: &mut Vec<u8>) -> Result<(), String> {
    let (file, bytes) = open(&folder.join(BLOBS).join(name)).map_err(|fault| wrong(BLOBS, name, fault))?;
    let outboard = read_outboard(&folder.join(OUTBOARDS).join(name), digest, bytes)
        .map_err(|fault| wrong(OUTBOARDS, name, fault))?;
    for range in ranges(bytes) {
        buffer.resize(usize::try_from(range.len).expect("a range is 4 MiB at most"), 0);
        file.read_exact_at(buffer, range.offset).map_err(|fault| wrong(BLOBS, name, fault))?;
        outboard.verify_range(range, buffer).map_err(|fault| wrong(BLOBS, name, fault))?;
    }
    Ok(())
}

fn read_outboard(path: &Path, digest: BlobDigest, blob_bytes: u64) -> io::Result<Outboard> {
    let (mut file, bytes) = open(path)?;
    if bytes != outboard_bytes(blob_bytes) {
        return Err(io::Error::other(format!("is {bytes} bytes long, not {}", outboard_bytes(blob_bytes))));
    }
    let mut all = Vec::new();
    file.read_to_end(&mut all)?;
    Outboard::check(digest, blob_bytes, &all).map_err(io::Error::other)
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let (file, _) = open_plain(path)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}
