//! The node's two clocks, read in one place.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cohortium_protocol::endpoint::io::Cx;
use cohortium_protocol::time::{Millis, UnixMillis};

/// A monotonic clock that begins with the process, and the wall clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// What time it is, for one input.
    pub(crate) fn cx(self) -> Cx {
        Cx { mono: Millis(millis(self.start.elapsed())), wall: wall() }
    }

    /// How long until `at`; nothing when it has passed.
    pub(crate) fn until(self, at: Millis) -> Duration {
        Duration::from_millis(at.0).saturating_sub(self.start.elapsed())
    }
}

/// The wall clock; a time before 1970 is 1970.
pub(crate) fn wall() -> UnixMillis {
    UnixMillis(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
