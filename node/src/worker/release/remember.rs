//! What a release told of each patient, in our codec, for later releases. It holds patients and never leaves the node.

use std::collections::BTreeSet;
use std::io::Write;

use cohortium_anonymise::memory::{History, Told};
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::wire::codec;

use crate::worker::files::{Files, disk_full};
use crate::worker::job::{Made, ReportFault, SealedFile};
use crate::worker::sealed;

/// The longest memory of one release.
const MEMORY_BYTES_MAX: usize = 1 << 30;

/// As it is written: each patient's number and classes, ascending.
type Written = Vec<(u64, Vec<u32>)>;

/// What earlier releases told, oldest first.
pub(super) fn history(earlier: &[SealedFile], files: &mut Files) -> Result<History, ReportFault> {
    let mut history = History::default();
    for sealed in earlier {
        let handle = files.sealed(sealed)?;
        let length = usize::try_from(handle.len()).map_err(|_| ReportFault::of(RunFault::Limit))?;
        let mut bytes = vec![0; length];
        handle.read_at(0, &mut bytes).map_err(|_| ReportFault::of(RunFault::Unreadable))?;
        history.push(read(&bytes)?);
    }
    Ok(history)
}

fn read(bytes: &[u8]) -> Result<Told, ReportFault> {
    let written: Written = codec::decode(bytes, MEMORY_BYTES_MAX).map_err(|_| ReportFault::of(RunFault::Malformed))?;
    Ok(written
        .into_iter()
        .map(|(patient, classes)| (patient, classes.into_iter().collect::<BTreeSet<u32>>()))
        .collect())
}

/// Writes what a release told.
pub(super) fn write(told: &Told, into: &SealedFile, files: &mut Files) -> Result<Made, ReportFault> {
    let written: Written =
        told.iter().map(|(patient, classes)| (*patient, classes.iter().copied().collect())).collect();
    let mut out = sealed::create(files.next()?, into).map_err(disk_full)?;
    out.write_all(&codec::encode(&written)).map_err(disk_full)?;
    sealed::finish(out).map_err(disk_full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_read_as_it_was_written() {
        let told: Told = [(7, BTreeSet::from([0, 3])), (u64::MAX, BTreeSet::from([1]))].into();
        let written: Written =
            told.iter().map(|(patient, classes)| (*patient, classes.iter().copied().collect())).collect();
        let bytes = codec::encode(&written);
        assert!(read(&bytes).is_ok_and(|again| again == told));
        assert!(read(&bytes[..bytes.len() - 1]).is_err());
    }
}
