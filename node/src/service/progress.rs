//! Tells a caller how far long work is, a few times a second, until it ends.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::control::Reply;
use crate::driver::meter::Meter;
use crate::service::answer::Out;

/// Between two words about the same work.
const EVERY: Duration = Duration::from_millis(250);

fn reply(meter: &Meter) -> Reply {
    let (done, total) = meter.read();
    Reply::Progress { done, total, unit: "bytes".to_owned() }
}

/// Does `work`, and says how far `meter` is meanwhile. A caller that has gone is told nothing more; the work goes on.
pub(crate) async fn told<T>(out: &mut Out, meter: &Meter, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is now, and short work says nothing.
    ticks.tick().await;
    let mut listens = true;
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = ticks.tick(), if listens => listens = out.say(&reply(meter)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, BufReader};
    use tokio::net::UnixStream;
    use tokio::time::sleep;

    use super::*;

    fn progress(line: &str) -> (u64, Option<u64>) {
        match serde_json::from_str(line).unwrap() {
            Reply::Progress { done, total, .. } => (done, total),
            other => unreachable!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn long_work_tells_how_far_it_is_and_short_work_says_nothing() {
        for steps in [0, 3] {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let (mut out, meter) = (Out::new(ours.into_split().1), Meter::default());
            meter.expect(30);
            let work = async {
                for _ in 0..steps {
                    meter.add(10);
                    sleep(EVERY * 2).await;
                }
                steps
            };
            assert_eq!(told(&mut out, &meter, work).await, steps);
            drop(out);
            let (mut lines, mut seen) = (BufReader::new(theirs).lines(), Vec::new());
            while let Some(line) = lines.next_line().await.unwrap() {
                seen.push(progress(&line));
            }
            assert_eq!(seen.is_empty(), steps == 0, "{seen:?}");
            assert!(seen.is_sorted() && seen.iter().all(|(done, all)| *done > 0 && *all == Some(30)), "{seen:?}");
        }
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_ends_no_work() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut out, meter) = (Out::new(ours.into_split().1), Meter::default());
        drop(theirs);
        assert_eq!(
            told(&mut out, &meter, async {
                sleep(EVERY * 3).await;
                7
            })
            .await,
            7
        );
    }
}
