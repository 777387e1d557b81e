//! What happened in a run, in words: its last lines for people, and a digest of all of them.

use std::collections::VecDeque;
use std::fmt::Arguments;

use cohortium_protocol::digest::sha256;

/// Lines that are kept for a failing seed.
const LINES_KEPT: usize = 160;

/// Whether every line is printed as it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trace {
    /// Nothing is printed.
    Quiet,
    /// Every line goes to standard output.
    Shown,
}

/// All lines of a run.
pub(crate) struct History {
    lines: VecDeque<String>,
    digest: [u8; 32],
    pending: Vec<u8>,
    trace: Trace,
    pub(crate) count: u64,
}

impl History {
    pub(crate) fn new(trace: Trace) -> Self {
        Self { lines: VecDeque::new(), digest: [0; 32], pending: Vec::new(), trace, count: 0 }
    }

    pub(crate) fn note(&mut self, now: u64, line: Arguments<'_>) {
        let line = format!("{:>7}.{:03} {line}", now / 1000, now % 1000);
        if self.trace == Trace::Shown {
            println!("{line}");
        }
        self.count += 1;
        self.pending.extend_from_slice(line.as_bytes());
        if self.pending.len() > 8192 {
            self.fold();
        }
        if self.lines.len() == LINES_KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    fn fold(&mut self) {
        self.digest = sha256(&[&self.digest, &self.pending]);
        self.pending.clear();
    }

    pub(crate) fn digest(&mut self) -> [u8; 32] {
        self.fold();
        self.digest
    }

    pub(crate) fn tail(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }
}
