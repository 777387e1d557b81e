//! How far one piece of long work is, for whoever waits for it.

use std::fs::File;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::interval;

/// How often a file is looked at that somebody else writes.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Bytes done and bytes to do. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    done: AtomicU64,
    total: AtomicU64,
}

impl Meter {
    /// So much more is done.
    pub(crate) fn add(&self, bytes: u64) {
        self.0.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So much is done in all.
    pub(crate) fn set(&self, bytes: u64) {
        self.0.done.store(bytes, Ordering::Relaxed);
    }

    /// So much there is to do, from nothing on.
    pub(crate) fn expect(&self, bytes: u64) {
        self.set(0);
        self.0.total.store(bytes, Ordering::Relaxed);
    }

    /// What is done, and all there is where that is known: what nobody knows is not made up, and no bar runs past its end.
    pub(crate) fn read(&self) -> (u64, Option<u64>) {
        let (done, total) = (self.0.done.load(Ordering::Relaxed), self.0.total.load(Ordering::Relaxed));
        (done, (total >= done && total > 0).then_some(total))
    }

    /// Does `work`, which makes `file` longer.
    pub(crate) async fn follow<T>(&self, file: &File, work: impl Future<Output = T>) -> T {
        let (mut work, mut looks) = (pin!(work), interval(LOOK_EVERY));
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ = looks.tick() => self.set(file.metadata().map_or(0, |file| file.len())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tokio::time::sleep;

    use super::*;

    #[test]
    fn no_bar_runs_past_its_end() {
        let meter = Meter::default();
        meter.set(5);
        assert_eq!(meter.read(), (5, None), "nobody knows how much there is");
        meter.expect(5);
        assert_eq!(meter.read(), (0, Some(5)));
        meter.add(5);
        assert_eq!(meter.read(), (5, Some(5)));
        meter.add(1);
        assert_eq!(meter.read(), (6, None), "it was more");
    }

    #[tokio::test]
    async fn a_file_that_grows_is_followed() {
        let (meter, mut file) = (Meter::default(), tempfile::tempfile().unwrap());
        let seen = file.try_clone().unwrap();
        let work = async {
            file.write_all(b"seven b").unwrap();
            sleep(LOOK_EVERY * 2).await;
            meter.read().0
        };
        assert_eq!(meter.follow(&seen, work).await, 7);
    }
}
