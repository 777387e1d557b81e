//! Which sweeps were asked for, and whether one waits.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Sweeps that were asked for, and whether one waits. One is enough for any number of reasons.
#[derive(Default)]
pub(crate) struct Sweeps {
    asked: AtomicU64,
    waiting: AtomicBool,
}

impl Sweeps {
    /// `true`: the caller must run one.
    pub(crate) fn begin(&self) -> bool {
        self.asked.fetch_add(1, Ordering::AcqRel);
        !self.waiting.swap(true, Ordering::AcqRel)
    }

    /// Waits again after a sweep that was not whole. `false`: another waits already.
    pub(super) fn waits_again(&self) -> bool {
        !self.waiting.swap(true, Ordering::AcqRel)
    }

    /// How many were asked for so far.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Acquire)
    }

    /// The one that waited begins: whoever asks from here on needs another. How many it does for; read last, so that no
    /// reason falls between the two.
    pub(super) fn take(&self) -> u64 {
        self.waiting.store(false, Ordering::Release);
        self.asked()
    }
}
