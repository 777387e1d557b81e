//! The worker: this program run again with the argument `worker`, for one job that looks into hostile bytes.
//!
//! It gets open files and data keys over a socket, limits itself before it reads the job, does it, and writes one
//! report. It opens no path and no socket: its limit of open files is zero. Whatever kills it is a fault of the job.

pub(crate) mod job;
pub(crate) mod pass;
mod confine;
mod sealed;
mod files;
pub(crate) mod mapping;
mod draw;
mod publish;
mod looks;
pub(crate) mod release;
mod work;
pub(crate) mod pool;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::process::ExitCode;

use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::wire::codec;
use zeroize::Zeroizing;

use crate::config::resolve::WorkerLimits;
use crate::worker::pool::Pool;

use crate::worker::job::{JOB_BYTES_MAX, Job, REPORT_BYTES_MAX, Report, ReportFault};

pub use crate::worker::job::Probe;

/// The argument that makes this program a worker.
pub const ARGUMENT: &str = "worker";

/// The worker's exit codes; a report was written with the first alone.
const OK: u8 = 0;
const NO_JOB: u8 = 3;
const NOT_CONFINED: u8 = 4;
const NO_REPORT: u8 = 5;

/// Has a worker of `program` misbehave. Only tests ask for this; no request of a person or peer leads here.
///
/// # Errors
/// What the daemon would make of such a job.
#[doc(hidden)]
pub async fn probe(
    program: PathBuf,
    limits: WorkerLimits,
    probe: Probe,
    file: Option<File>,
) -> Result<String, RunFault> {
    let pool = Pool::new(Some(program), limits).map_err(|_| RunFault::WorkerLost)?;
    match pool.run(Job::Probe(probe), file.into_iter().map(OwnedFd::from).collect()).await {
        Ok(Report::Probed(said)) => Ok(said),
        Ok(_) => Err(RunFault::WorkerLost),
        Err(fault) => Err(fault.fault),
    }
}

/// The whole life of a worker process.
pub fn main() -> ExitCode {
    ExitCode::from(live())
}

fn live() -> u8 {
    let Ok((order, files)) = pass::receive(std::io::stdin()) else { return NO_JOB };
    if confine::confine(&order).is_err() {
        return NOT_CONFINED;
    }
    let Some(length) = usize::try_from(order.job_bytes).ok().filter(|length| *length <= JOB_BYTES_MAX) else {
        return NO_JOB;
    };
    let mut bytes = Zeroizing::new(vec![0; length]);
    if std::io::stdin().lock().read_exact(&mut bytes).is_err() {
        return NO_JOB;
    }
    let Ok(job) = codec::decode::<Job>(&bytes, JOB_BYTES_MAX) else { return NO_JOB };
    // What a panic says may quote a cell; nobody hears it, standard error leads nowhere.
    let done = catch_unwind(move || work::work(job, files, order.memory_bytes));
    let report: Result<Report, ReportFault> = done.unwrap_or(Err(ReportFault::LOST));
    let bytes = codec::encode(&report);
    if bytes.len() > REPORT_BYTES_MAX {
        return NO_REPORT;
    }
    let mut out = std::io::stdout().lock();
    match out.write_all(&bytes).and_then(|()| out.flush()) {
        Ok(()) => OK,
        Err(_) => NO_REPORT,
    }
}
