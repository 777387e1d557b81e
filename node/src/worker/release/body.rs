//! The files of a body: Parquet, each below a bound of rows, with both of its digests.

use std::io::{self, Write};

use cohortium_anonymise::file;
use cohortium_protocol::digest::Sha256;
use cohortium_protocol::quantity::Rows;
use cohortium_protocol::record::release::FileDigest;

use crate::worker::files::{Files, disk_full};
use crate::worker::job::{ReportFault, SealedFile};
use crate::worker::release::BodyMade;
use crate::worker::sealed;

/// Rows as the engines hand them on. This program looks into none.
pub(super) type Batch = cohortium_anonymise::body::Batch;

/// Rows of one file, as long as there are files.
const FILE_ROWS: usize = 1_000_000;

/// Hashes what it passes on.
struct Hashing<W> {
    inner: W,
    sha256: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sha256.push(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes a body: one file at least, also where it has no row. Files that are left over are taken from the job unused.
pub(super) fn write(body: &Batch, into: &[SealedFile], files: &mut Files) -> Result<Vec<BodyMade>, ReportFault> {
    let rows = body.num_rows();
    let each = rows.div_ceil(into.len().max(1)).max(FILE_ROWS);
    let mut made = Vec::new();
    for (number, sealed) in into.iter().enumerate() {
        let file = files.next()?;
        let from = number * each;
        if number > 0 && from >= rows {
            continue;
        }
        let part = body.slice(from, each.min(rows - from));
        let inner = sealed::create(file, sealed).map_err(disk_full)?;
        let mut out = Hashing { inner, sha256: Sha256::new() };
        file::write(&part, &mut out)?;
        let sha256 = out.sha256.finish();
        let rows = Rows(part.num_rows() as u64);
        let written = sealed::finish(out.inner).map_err(disk_full)?;
        made.push(BodyMade { made: written, sha256: FileDigest(sha256), rows });
    }
    Ok(made)
}
