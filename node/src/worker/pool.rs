//! The daemon's side of workers: starts them, two at a time beside what is bound to a time, and turns whatever becomes of them into an answer.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::wire::codec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::config::resolve::WorkerLimits;
use crate::worker::job::{Job, REPORT_BYTES_MAX, Report, ReportFault};
use crate::worker::pass::{self, Order};

/// Workers that run at the same time.
const WORKERS_MAX: usize = 2;
/// How long a worker that has closed its output may take to end.
const EXIT_DEADLINE: Duration = Duration::from_secs(5);

/// Signals by which the kernel ends a process that is over a limit: abort (no memory), processor time, file size.
const SIGABRT: i32 = 6;
const SIGXCPU: i32 = 24;
const SIGXFSZ: i32 = 25;

/// Starts workers.
#[derive(Debug)]
pub(crate) struct Pool {
    program: PathBuf,
    limits: WorkerLimits,
    slots: Semaphore,
    closed: CancellationToken,
}

impl Pool {
    /// Workers of `program`, or of this one.
    ///
    /// # Errors
    /// When the system does not say which program this is.
    pub(crate) fn new(program: Option<PathBuf>, limits: WorkerLimits) -> io::Result<Self> {
        let program = program.map_or_else(std::env::current_exe, Ok)?;
        Ok(Self { program, limits, slots: Semaphore::new(WORKERS_MAX), closed: CancellationToken::new() })
    }

    /// Kills every worker and starts no more.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }

    /// Whether the node stops.
    pub(crate) fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// Has a worker do one job, when one of the two places is free.
    ///
    /// # Errors
    /// [`ReportFault`]: what the worker said, or what its end says.
    pub(crate) async fn run(&self, job: Job, files: Vec<OwnedFd>) -> Result<Report, ReportFault> {
        tokio::select! {
            biased;
            () = self.closed.cancelled() => Err(ReportFault::LOST),
            report = self.one(job, files) => report,
        }
    }

    /// The same without waiting for a place: for what is bound to a time. There is one at a time in each consortium.
    ///
    /// # Errors
    /// As [`Pool::run`].
    pub(crate) async fn run_at_once(&self, job: Job, files: Vec<OwnedFd>) -> Result<Report, ReportFault> {
        tokio::select! {
            biased;
            () = self.closed.cancelled() => Err(ReportFault::LOST),
            report = self.begun(&job, files) => report,
        }
    }

    async fn one(&self, job: Job, files: Vec<OwnedFd>) -> Result<Report, ReportFault> {
        let slot = self.slots.acquire().await.map_err(|_| ReportFault::LOST)?;
        let report = self.begun(&job, files).await;
        drop(slot);
        report
    }

    async fn begun(&self, job: &Job, files: Vec<OwnedFd>) -> Result<Report, ReportFault> {
        match timeout(self.limits.wall, self.whole(job, files)).await {
            Ok(Ok((bytes, status))) => understand(&bytes, status),
            Ok(Err(fault)) => {
                tracing::error!(event = "worker-not-started", %fault);
                Err(ReportFault::LOST)
            }
            Err(_) => {
                tracing::warn!(event = "worker-ended", cause = "time");
                Err(ReportFault::of(RunFault::Limit))
            }
        }
    }

    /// Starts a worker, gives it the job, and reads all it says until it ends. Dropped, the worker is killed.
    async fn whole(&self, job: &Job, files: Vec<OwnedFd>) -> io::Result<(Vec<u8>, ExitStatus)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        let mut child = self.spawn(theirs.into())?;
        let bytes = Zeroizing::new(codec::encode(job));
        let order = Order {
            job_bytes: bytes.len() as u64,
            files: files.len() as u64,
            memory_bytes: self.limits.memory.0,
            cpu_seconds: self.limits.cpu.as_secs(),
            output_bytes: self.limits.output.0,
        };
        pass::send(&ours, order, &files)?;
        drop(files);
        ours.set_nonblocking(true)?;
        let mut socket = UnixStream::from_std(ours)?;
        // A worker that dies before it has read its job says why by its end.
        let _ = socket.write_all(&bytes).await;
        let mut said = Vec::new();
        let out = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        out.take(REPORT_BYTES_MAX as u64 + 1).read_to_end(&mut said).await?;
        let status = timeout(EXIT_DEADLINE, child.wait()).await.map_err(|_| io::ErrorKind::TimedOut)??;
        Ok((said, status))
    }

    fn spawn(&self, stdin: OwnedFd) -> io::Result<Child> {
        Command::new(&self.program)
            .arg(super::ARGUMENT)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(stdin))
            .stdout(Stdio::piped())
            // What parsers and panics say may quote a cell (law 12).
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    }
}

fn understand(bytes: &[u8], status: ExitStatus) -> Result<Report, ReportFault> {
    if status.success() {
        let report: Result<Result<Report, ReportFault>, _> = codec::decode(bytes, REPORT_BYTES_MAX);
        return report.unwrap_or(Err(ReportFault::LOST));
    }
    tracing::warn!(event = "worker-ended", code = status.code(), signal = status.signal());
    let over_limit = matches!(status.signal(), Some(SIGABRT | SIGXCPU | SIGXFSZ));
    Err(ReportFault::of(if over_limit { RunFault::Limit } else { RunFault::WorkerLost }))
}
