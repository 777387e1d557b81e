//! Real node processes for tests: an operator and members on loopback, driven by their own command line.
//!
//! Nothing here sleeps for a fixed time to let something happen: it looks until it has happened, or fails after
//! [`PATIENCE`]. What goes wrong is a panic with the node's log, because only tests call this.

pub mod source;
pub mod site;
pub mod network;
pub mod relay;
pub mod bend;
pub mod opened;

use std::time::{Duration, Instant};

/// How long anything between two nodes may take.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks until there is something to be seen.
///
/// # Panics
/// After [`PATIENCE`], naming `what` was waited for.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(began.elapsed() <= PATIENCE, "waited {} s in vain for {what}", PATIENCE.as_secs());
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Whether the long form of the tests was asked for (`COHORTIUM_LONG=1`, as `./long` does).
pub fn is_long() -> bool {
    std::env::var_os("COHORTIUM_LONG").is_some_and(|value| value == "1")
}
