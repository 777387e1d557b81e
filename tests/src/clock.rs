//! Time: one simulated time for the world, and for each node a monotonic clock and a wall clock that may be wrong.

use cohortium_protocol::endpoint::io::Cx;
use cohortium_protocol::time::{Millis, UnixMillis};

/// The wall time at which every run begins: 2026-01-01.
pub(crate) const EPOCH: u64 = 1_767_225_600_000;

/// A node's clocks.
pub(crate) struct Clock {
    /// Of the monotonic clock against simulated time; changes with every start.
    mono_offset: u64,
    /// How far the wall clock is ahead.
    ahead: u64,
    /// How far it is behind.
    behind: u64,
}

impl Clock {
    pub(crate) const fn right() -> Self {
        Self { mono_offset: 1, ahead: 0, behind: 0 }
    }

    pub(crate) const fn boot(&mut self, mono_offset: u64) {
        self.mono_offset = mono_offset;
    }

    pub(crate) const fn set_ahead(&mut self, by: u64) {
        (self.ahead, self.behind) = (by, 0);
    }

    pub(crate) const fn set_behind(&mut self, by: u64) {
        (self.ahead, self.behind) = (0, by);
    }

    /// Whether it is too wrong to take part.
    pub(crate) const fn is_wrong(&self) -> bool {
        self.ahead.abs_diff(self.behind) > 300_000
    }

    pub(crate) const fn wall(&self, now: u64) -> UnixMillis {
        UnixMillis((EPOCH + now + self.ahead).saturating_sub(self.behind))
    }

    pub(crate) const fn cx(&self, now: u64) -> Cx {
        Cx { mono: Millis(self.mono_offset + now), wall: self.wall(now) }
    }

    /// The simulated time of a monotonic one.
    pub(crate) const fn when(&self, mono: Millis) -> u64 {
        mono.0.saturating_sub(self.mono_offset)
    }
}
