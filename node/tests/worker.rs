//! A worker process that misbehaves: it is stopped by its limits, and the job is refused with a code, never the daemon hurt.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use cohortium_node::config::resolve::WorkerLimits;
use cohortium_node::worker::{Probe, probe};
use cohortium_protocol::quantity::Bytes;
use cohortium_protocol::record::journal_entry::RunFault;

const LIMITS: WorkerLimits = WorkerLimits {
    memory: Bytes(512 << 20),
    cpu: Duration::from_secs(2),
    wall: Duration::from_secs(20),
    output: Bytes(1 << 20),
    pool: 2,
};

async fn ask(limits: WorkerLimits, what: Probe) -> Result<String, RunFault> {
    probe(PathBuf::from(env!("CARGO_BIN_EXE_cohortium")), limits, what, None).await
}

#[tokio::test]
async fn a_worker_opens_no_path_and_no_socket() {
    let path = env!("CARGO_BIN_EXE_cohortium").to_owned();
    let opened = ask(LIMITS, Probe::OpenPath { path }).await.unwrap();
    assert!(opened.starts_with("Err"), "{opened}");
    // EMFILE: the limit of open files is zero.
    assert_eq!(ask(LIMITS, Probe::OpenSocket).await.unwrap(), "Err(Some(24))");
}

#[tokio::test]
async fn a_worker_knows_nothing_of_the_daemons_environment() {
    assert_eq!(ask(LIMITS, Probe::Environment).await.unwrap(), "0");
}

#[tokio::test]
async fn a_panic_is_a_lost_worker() {
    assert_eq!(ask(LIMITS, Probe::Panic).await, Err(RunFault::WorkerLost));
}

#[tokio::test]
async fn memory_time_and_output_have_limits() {
    assert!(ask(LIMITS, Probe::Allocate { bytes: 16 << 20 }).await.is_ok());
    assert_eq!(ask(LIMITS, Probe::Allocate { bytes: 1 << 30 }).await, Err(RunFault::Limit));
    let started = Instant::now();
    assert_eq!(ask(LIMITS, Probe::Spin).await, Err(RunFault::Limit));
    assert!(started.elapsed() < Duration::from_secs(15), "processor time ended it");
    let short = WorkerLimits { wall: Duration::from_secs(1), ..LIMITS };
    assert_eq!(ask(short, Probe::Sleep).await, Err(RunFault::Limit));
    let program = PathBuf::from(env!("CARGO_BIN_EXE_cohortium"));
    for (bytes, end) in [(1 << 19, Ok(String::new())), (1 << 22, Err(RunFault::Limit))] {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(probe(program.clone(), LIMITS, Probe::Write { bytes }, Some(file)).await, end);
    }
}

#[tokio::test]
async fn a_program_that_is_no_worker_is_a_lost_worker() {
    for program in ["/bin/false", "/nonexistent"] {
        let lost = probe(PathBuf::from(program), LIMITS, Probe::Environment, None).await;
        assert_eq!(lost, Err(RunFault::WorkerLost), "{program}");
    }
}
