//! Memory of releases: new ones together with all earlier ones keep k, and without memory the harness finds who is exposed.

use super::random;
use crate::attack::intersection;
use crate::local::{Local, local};
use crate::memory::{History, exposed, with_history};
use crate::model::Models;
use crate::recoding::SUPPRESSED;
use crate::resistant::{Resistance, resistant};
use crate::seed::Seed;
use crate::table::Table;

const K: usize = 4;

/// A growing population: each version has most patients of the one before and some newcomers.
fn versions(seed: u64) -> Vec<(Table, Vec<u64>)> {
    let mut dice = random::dice(seed);
    let shape = random::Shape { rows_max: 600, shared_patients: false, ..random::SMALL };
    let whole = random::table(&mut dice, &shape);
    let part = |from: u64, to: u64, dice: &mut crate::seed::Dice| {
        let rows: Vec<u32> = (0..whole.rows() as u32)
            .filter(|row| (from..to).contains(&(u64::from(*row) % 100)) || dice.below(40) == 0)
            .collect();
        let patients = rows.iter().map(|row| 5_000 + u64::from(*row)).collect();
        (whole.only(&rows), patients)
    };
    vec![part(0, 80, &mut dice), part(0, 82, &mut dice), part(5, 100, &mut dice), part(0, 100, &mut dice)]
}

// ANON-7
#[test]
fn every_release_together_with_the_earlier_ones_keeps_k() {
    let (mut found_without, mut released) = (0, 0);
    for seed in 0..40 {
        let (mut remembered, mut forgotten) = (History::default(), History::default());
        for (version, (table, patients)) in versions(seed).iter().enumerate() {
            let recode = |table: &Table| {
                if version % 2 == 0 {
                    return local(table, &Local::k(K as u32));
                }
                resistant(table, &Models::k(K as u32), &Resistance::default(), &Seed([version as u8; 32]))
            };
            let recoding = with_history(table, patients, &remembered, K, recode).unwrap();
            assert!(exposed(patients, &recoding, &remembered, K).is_empty(), "seed {seed} version {version}");
            assert!(recoding.covers(table));
            released += recoding.rows() - recoding.suppressed();
            remembered.add(patients, &recoding);
            let alone = recode(table).unwrap();
            found_without += exposed(patients, &alone, &forgotten, K).len();
            forgotten.add(patients, &alone);
        }
    }
    assert!(found_without > 1_000, "without memory {found_without} patients are exposed");
    assert!(released > 10_000, "with memory {released} rows are released");
}

// ANON-7
#[test]
fn a_newcomer_waits_until_k_newcomers_are_there() {
    let mut dice = random::dice(3);
    let shape = random::Shape { rows_max: 900, shared_patients: false, ..random::SMALL };
    let whole = std::iter::repeat_with(|| random::table(&mut dice, &shape)).find(|table| table.rows() > 200).unwrap();
    let release = |rows: std::ops::Range<u32>, history: &History| {
        let rows: Vec<u32> = rows.collect();
        let patients: Vec<u64> = rows.iter().map(|row| u64::from(*row)).collect();
        let table = whole.only(&rows);
        let recoding = with_history(&table, &patients, history, K, |table| local(table, &Local::k(K as u32))).unwrap();
        (patients, recoding)
    };
    let mut history = History::default();
    let (patients, first) = release(0..100, &history);
    history.add(&patients, &first);
    for newcomers in 1..=K as u32 {
        let (_, second) = release(0..100 + newcomers, &history);
        let waiting = second.class_of()[100..].iter().filter(|class| **class == SUPPRESSED).count();
        assert_eq!(waiting, if newcomers < K as u32 { newcomers as usize } else { 0 });
    }
    // Leavers: one patient fewer would be found by subtraction, so others of the same class stay out with it.
    let (patients, without_one) = release(1..100, &history);
    assert!(exposed(&patients, &without_one, &history, K).is_empty());
    assert!(without_one.suppressed() >= K - 1);
}

#[test]
fn intersection_finds_what_two_releases_tell_together() {
    let mut dice = random::dice(8);
    let shape = random::Shape { rows_max: 900, shared_patients: false, ..random::SMALL };
    let table = std::iter::repeat_with(|| random::table(&mut dice, &shape)).find(|table| table.rows() > 300).unwrap();
    let first = local(&table, &Local::k(K as u32)).unwrap();
    let same = intersection((&table, &first), (&table, &first), Some, K);
    assert_eq!(same.held, 0, "the same release twice tells nothing new");
    let second = resistant(&table, &Models::k(K as u32), &Resistance::default(), &Seed([1; 32])).unwrap();
    assert!(intersection((&table, &first), (&table, &second), Some, K).held > 0);
    let mut history = History::default();
    let patients: Vec<u64> = (0..table.rows() as u64).collect();
    history.add(&patients, &first);
    let careful = with_history(&table, &patients, &history, K, |table| {
        resistant(table, &Models::k(K as u32), &Resistance::default(), &Seed([1; 32]))
    });
    assert_eq!(intersection((&table, &first), (&table, &careful.unwrap()), Some, K).held, 0);
}
