//! What the kernel says of a process: its memory now and at most, its processor time, the memory of its workers.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

/// Between two looks at the workers of a node.
const LOOK_EVERY: Duration = Duration::from_millis(50);

fn status(pid: u32, key: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Memory that is resident now, in MiB.
pub(crate) fn resident_mib(pid: u32) -> f64 {
    status(pid, "VmRSS:").unwrap_or(0) as f64 / 1024.0
}

/// The most memory that was ever resident, in MiB.
pub(crate) fn peak_mib(pid: u32) -> f64 {
    status(pid, "VmHWM:").unwrap_or(0) as f64 / 1024.0
}

/// Bytes that a process has written by system calls, to any file, cached or not.
pub(crate) fn written_bytes(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

/// Seconds of processor time, in the program and in the kernel.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpu {
    pub(crate) user: f64,
    pub(crate) system: f64,
}

fn ticks(stat: &str) -> Option<Cpu> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let seconds = |at: usize| fields.get(at)?.parse::<f64>().ok().map(|ticks| ticks / 100.0);
    Some(Cpu { user: seconds(11)?, system: seconds(12)? })
}

/// Processor time of a process so far, with all its threads.
pub(crate) fn cpu(pid: u32) -> Cpu {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(|stat| ticks(&stat)).unwrap_or_default()
}

impl std::ops::Sub for Cpu {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { user: self.user - before.user, system: self.system - before.system }
    }
}

/// Watches the workers of a node until dropped.
#[derive(Debug)]
pub(crate) struct Workers {
    peak_kib: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Workers {
    pub(crate) fn of(pid: u32) -> Self {
        let (peak_kib, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (peak, ended) = (Arc::clone(&peak_kib), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                for child in children(pid) {
                    peak.fetch_max(status(child, "VmHWM:").unwrap_or(0), Ordering::Relaxed);
                }
                sleep(LOOK_EVERY);
            }
        });
        Self { peak_kib, stop, thread: Some(thread) }
    }

    /// The most that any worker had so far, in MiB.
    pub(crate) fn peak_mib(&self) -> f64 {
        self.peak_kib.load(Ordering::Relaxed) as f64 / 1024.0
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Processes that any thread of `pid` has started and that still run.
fn children(pid: u32) -> Vec<u32> {
    let mut all = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        all.extend(text.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
    }
    all
}
