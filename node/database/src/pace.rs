//! How fast rows are asked for, so that a database that others work with is not slowed down.

use std::time::{Duration, Instant};

/// When the next rows may be asked for.
pub(crate) struct Pace {
    rows_per_second: Option<u32>,
    not_before: Option<Instant>,
}

impl Pace {
    pub(crate) const fn new(rows_per_second: Option<u32>) -> Self {
        Self { rows_per_second, not_before: None }
    }

    /// Sleeps until rows may be asked for.
    pub(crate) fn wait(&self) {
        let wait = self.not_before.map(|then| then.saturating_duration_since(Instant::now()));
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            std::thread::sleep(wait);
        }
    }

    /// These many rows were asked for at `now`. Time that went by unused is not made up for.
    pub(crate) fn took(&mut self, rows: u64, now: Instant) {
        if let Some(rate) = self.rows_per_second {
            let began = self.not_before.map_or(now, |then| then.max(now));
            self.not_before = began.checked_add(cost(rows, rate));
        }
    }
}

/// The time that these rows may take up.
fn cost(rows: u64, rows_per_second: u32) -> Duration {
    let nanos = u128::from(rows) * 1_000_000_000 / u128::from(rows_per_second.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_take_up_their_share_of_a_second_and_pauses_are_not_made_up_for() {
        let now = Instant::now();
        let mut pace = Pace::new(Some(100));
        pace.took(50, now);
        assert_eq!(pace.not_before, Some(now + Duration::from_millis(500)));
        pace.took(50, now + Duration::from_millis(100));
        assert_eq!(pace.not_before, Some(now + Duration::from_secs(1)));
        pace.took(100, now + Duration::from_secs(9));
        assert_eq!(pace.not_before, Some(now + Duration::from_secs(10)));
        assert_eq!(cost(1, 0), Duration::from_secs(1));
        let mut free = Pace::new(None);
        free.took(u64::MAX, now);
        assert!(free.not_before.is_none());
    }
}
