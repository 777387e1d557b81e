//! The simulation: many seeds on every push, each a consortium with its own faults; and proof that the checkers can fail.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use cohortium_tests::{Mutation, Outcome, Trace, run};

/// Seeds of a push.
const SEEDS: u64 = 500;
/// So many failing seeds are shown; then the run ends.
const FAILURES_SHOWN_MAX: usize = 5;
/// Seeds within which a mutation must be found.
const SEEDS_FOR_MUTATION: u64 = 40;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/regressions")
}

/// Seeds that failed once.
fn regressions() -> Vec<u64> {
    let files = std::fs::read_dir(folder()).into_iter().flatten().flatten();
    let mut seeds: Vec<u64> = files
        .filter(|file| file.path().extension().is_some_and(|name| name == "seed"))
        .filter_map(|file| std::fs::read_to_string(file.path()).ok())
        .filter_map(|text| text.lines().next().and_then(|line| line.trim().parse().ok()))
        .collect();
    seeds.sort_unstable();
    seeds
}

fn keep(seed: u64, complaint: &str) {
    let path = folder().join(format!("{seed}.seed"));
    let kept = std::fs::create_dir_all(folder()).and_then(|()| std::fs::write(&path, format!("{seed}\n{complaint}\n")));
    if let Err(error) = kept {
        println!("the seed could not be kept: {error}");
    }
}

fn show(seed: u64, outcome: &Outcome) {
    for line in &outcome.tail {
        println!("{line}");
    }
    println!("seed {seed}: {}", outcome.complaint.as_deref().unwrap_or("fine"));
    println!("replay it with COHORTIUM_SEED={seed}");
}

#[test]
fn every_seed_ends_with_every_snapshot_where_it_belongs_and_nothing_where_it_does_not() {
    if let Some(seed) = number("COHORTIUM_SEED") {
        let outcome = run(seed, None, Trace::Shown);
        assert_eq!(outcome.complaint, None, "seed {seed}");
        return;
    }
    let began = Instant::now();
    let count = number("COHORTIUM_SEEDS").unwrap_or(SEEDS);
    let first = number("COHORTIUM_FIRST").unwrap_or(0);
    let seeds: Vec<u64> = regressions().into_iter().chain(first..first + count).collect();
    let tally = run_all(&seeds);
    let taken = began.elapsed();
    let rate = f64::from(u32::try_from(seeds.len()).unwrap_or(u32::MAX)) / taken.as_secs_f64();
    println!(
        "{} seeds, {rate:.1} seeds/s, {} blobs landed, {} releases signed and {} recalled, {} lines of history",
        seeds.len(),
        tally.landed,
        tally.signed,
        tally.recalled,
        tally.lines
    );
    assert!(tally.failed.is_empty(), "{:?}", tally.failed);
    assert!(tally.landed > count, "the seeds land too little to show anything: {}", tally.landed);
}

/// What the worlds of many seeds came to.
#[derive(Default)]
struct Tally {
    landed: u64,
    lines: u64,
    signed: u64,
    recalled: u64,
    failed: Vec<(u64, String)>,
}

/// Runs the seeds on all processors; each world is whole in one thread, so its history does not depend on the others.
fn run_all(seeds: &[u64]) -> Tally {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let next = AtomicUsize::new(0);
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = run(*seed, None, Trace::Quiet);
                    let mut tally = tally.lock().expect("no thread panics while it counts");
                    tally.landed += outcome.landed;
                    tally.lines += outcome.lines;
                    tally.signed += outcome.signed;
                    tally.recalled += outcome.recalled;
                    let Some(complaint) = &outcome.complaint else { continue };
                    show(*seed, &outcome);
                    keep(*seed, complaint);
                    tally.failed.push((*seed, complaint.clone()));
                    if tally.failed.len() >= FAILURES_SHOWN_MAX {
                        next.store(seeds.len(), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    tally.into_inner().expect("no thread panics while it counts")
}

#[test]
fn equal_seeds_give_equal_histories_and_others_do_not() {
    for seed in 1000..1005 {
        let (one, other) = (run(seed, None, Trace::Quiet), run(seed, None, Trace::Quiet));
        assert_eq!(one.digest, other.digest, "seed {seed}");
        assert_ne!(one.digest, run(seed + 100, None, Trace::Quiet).digest);
    }
}

#[test]
fn every_fault_that_is_put_in_is_found() {
    let only = std::env::var("COHORTIUM_MUTATION").ok();
    for mutation in Mutation::ALL {
        if only.as_ref().is_some_and(|only| *only != format!("{mutation:?}")) {
            continue;
        }
        let found = (0..SEEDS_FOR_MUTATION).find_map(|seed| {
            let outcome = run(seed, Some(mutation), Trace::Quiet);
            outcome.complaint.map(|complaint| (seed, complaint))
        });
        let (seed, complaint) = found.unwrap_or_else(|| panic!("no seed finds {mutation:?}"));
        println!("{mutation:?} is found by seed {seed}: {complaint}");
    }
}
