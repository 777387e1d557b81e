//! The open files that a job comes with, taken in the order in which the job names them.

use std::fs::File;
use std::sync::Arc;

use cohortium_engine::handle::Handle;
use cohortium_engine::limits::Limits;
use cohortium_protocol::record::journal_entry::RunFault;

use crate::worker::job::{ReportFault, SealedFile};
use crate::worker::sealed;

/// The files of a job, taken in order, and the bounds of what is done with them.
pub(super) struct Files {
    files: std::vec::IntoIter<File>,
    pub(super) limits: Limits,
}

impl Files {
    pub(super) fn new(files: Vec<File>, limits: Limits) -> Self {
        Self { files: files.into_iter(), limits }
    }

    pub(super) fn next(&mut self) -> Result<File, ReportFault> {
        self.files.next().ok_or(ReportFault::LOST)
    }

    pub(super) fn plain(&mut self) -> Result<Handle, ReportFault> {
        Ok(Arc::new(self.next()?))
    }

    pub(super) fn either(&mut self, sealed: Option<&SealedFile>) -> Result<Handle, ReportFault> {
        match sealed {
            Some(sealed) => self.sealed(sealed),
            None => self.plain(),
        }
    }

    pub(super) fn sealed(&mut self, file: &SealedFile) -> Result<Handle, ReportFault> {
        sealed::open(self.next()?, file).map_err(|_| ReportFault::of(RunFault::Unreadable))
    }
}

pub(super) fn disk_full(_: std::io::Error) -> ReportFault {
    ReportFault::of(RunFault::Limit)
}
