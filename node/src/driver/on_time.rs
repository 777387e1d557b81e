//! The time of a private answer: it comes at one moment that was fixed before a row was read, and so does the word that there is none.
//!
//! What a sampler takes to draw a large noise is longer than what it takes to draw a small one, and rows take their time too. Whoever
//! could see when an answer was ready would see something of both (law 7).

use std::future::Future;

use cohortium_protocol::record::journal_entry::RunFault;
use tokio::time::{Instant, sleep_until, timeout_at};

/// What comes of `work`, at `due` and at no other time. What is not ready by then is dropped, and has failed; whatever it failed of,
/// it is one fault (spec REL-31).
pub(crate) async fn at<T>(due: Instant, work: impl Future<Output = Result<T, RunFault>>) -> Result<T, RunFault> {
    let made = timeout_at(due, work).await;
    sleep_until(due).await;
    match made {
        Ok(Ok(made)) => Ok(made),
        Ok(Err(_)) | Err(_) => Err(RunFault::Limit),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use cohortium_private::account::Purse;
    use cohortium_private::bound::Bounds;
    use cohortium_private::interval::{Family, Noise};
    use cohortium_private::mechanism::Additive;
    use cohortium_private::owner::Owner;
    use tokio::sync::Semaphore;

    use super::*;

    const IN_FLIGHT: usize = 64;
    const EXACT: i64 = 1_000;

    /// How large the noise was, what drawing it took, and what the answer took.
    #[derive(Debug, Clone, Copy)]
    struct Seen {
        noise: f64,
        drawing: f64,
        answer: f64,
    }

    /// One request as the worker answers it: a purse of what was paid, a thread that draws, the answer at its time.
    async fn asked(additive: Additive, answer_time: Duration) -> Seen {
        let began = Instant::now();
        let work = async {
            let drawn = tokio::task::spawn_blocking(move || {
                let owner = Owner::start(Purse::of(additive.cost())).ok()?;
                let (noised, drawing) = owner
                    .draw(move |purse| {
                        let began = std::time::Instant::now();
                        let noised = additive.release(purse, &[EXACT])?;
                        Ok((noised, began.elapsed()))
                    })
                    .ok()?;
                Some((noised[0].abs_diff(EXACT), drawing))
            });
            drawn.await.ok().flatten().ok_or(RunFault::WorkerLost)
        };
        let (noise, drawing) = at(began + answer_time, work).await.expect("a draw takes less than its time");
        let answer = began.elapsed();
        #[expect(clippy::cast_precision_loss, reason = "noise is far below 2^52")]
        let noise = noise as f64;
        Seen { noise, drawing: drawing.as_secs_f64(), answer: answer.as_secs_f64() }
    }

    async fn requests(count: usize, family: Family) -> Vec<Seen> {
        let additive = Additive::of(Noise { family, scale: 200.0 }, Bounds::new(1, 1).unwrap()).unwrap();
        let places = Arc::new(Semaphore::new(IN_FLIGHT));
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..count {
            let place = Arc::clone(&places).acquire_owned().await.unwrap();
            all.spawn(async move {
                let seen = asked(additive, Duration::from_millis(250)).await;
                drop(place);
                seen
            });
        }
        all.join_all().await
    }

    /// Ranks, equal values sharing the mean of theirs.
    fn ranks(values: &[f64]) -> Vec<f64> {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
        let mut ranks = vec![0.0; values.len()];
        for group in order.chunk_by(|a, b| values[*a].total_cmp(&values[*b]).is_eq()) {
            let first = order.iter().position(|at| *at == group[0]).unwrap();
            let mean =
                f64::from(u32::try_from(first).unwrap()) + (f64::from(u32::try_from(group.len()).unwrap()) - 1.0) / 2.0;
            for at in group {
                ranks[*at] = mean;
            }
        }
        ranks
    }

    /// Spearman's rank correlation: Pearson's of the ranks.
    fn correlation(a: &[f64], b: &[f64]) -> f64 {
        let (a, b) = (ranks(a), ranks(b));
        let n = f64::from(u32::try_from(a.len()).unwrap());
        let mean = (n - 1.0) / 2.0;
        let sum = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum::<f64>();
        sum(&a, &b) / (sum(&a, &a) * sum(&b, &b)).sqrt()
    }

    /// Above this a correlation of so many pairs is none by chance in 999 of 1,000 cases: 3.29 is the normal quantile of 0.9995.
    fn chance(count: usize) -> f64 {
        3.29 / f64::from(u32::try_from(count - 1).unwrap()).sqrt()
    }

    // REL-31
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_time_of_an_answer_says_nothing_of_its_noise() {
        let count = if std::env::var_os("COHORTIUM_LONG").is_some() { 10_000 } else { 2_000 };
        for family in [Family::Laplace, Family::Gaussian] {
            let mut passed = false;
            // By chance one run in a thousand shows what is not there; two in a row, one in a million.
            for _ in 0..2 {
                let seen = requests(count, family).await;
                let of = |part: fn(&Seen) -> f64| seen.iter().map(part).collect::<Vec<_>>();
                let noise = of(|seen| seen.noise);
                let drawing = correlation(&noise, &of(|seen| seen.drawing));
                let answer = correlation(&noise, &of(|seen| seen.answer));
                let bound = chance(count);
                println!(
                    "{family:?}: {count} requests, {IN_FLIGHT} in flight: noise and drawing {drawing:.3}, noise and answer {answer:.3}, bound {bound:.3}"
                );
                if family == Family::Laplace {
                    assert!(drawing > bound, "drawing itself tells nothing: this test could not fail");
                }
                passed = answer.abs() <= bound;
                if passed {
                    break;
                }
            }
            assert!(passed, "{family:?}: when an answer comes tells how large its noise is");
        }
    }

    // REL-31
    #[tokio::test]
    async fn answers_faults_and_what_is_not_ready_come_at_the_same_time() {
        let due = Duration::from_millis(400);
        for (after, end, expected) in [
            (0, Ok(7), Ok(7)),
            (200, Ok(7), Ok(7)),
            (0, Err(RunFault::Malformed), Err(RunFault::Limit)),
            (100, Err(RunFault::WorkerLost), Err(RunFault::Limit)),
            (800, Ok(7), Err(RunFault::Limit)),
            (60_000, Ok(7), Err(RunFault::Limit)),
        ] {
            let began = Instant::now();
            let work = async {
                tokio::time::sleep(Duration::from_millis(after)).await;
                end
            };
            assert_eq!(at(began + due, work).await, expected, "{after}");
            let taken = began.elapsed();
            assert!(due <= taken && taken < due + Duration::from_millis(300), "{after}: {taken:?}");
        }
    }
}
