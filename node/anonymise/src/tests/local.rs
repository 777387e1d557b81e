//! Local recoding: its bars on Adult, classes that hold, and one result for any number of threads.

use super::adult;
use crate::local::{Local, Value, local};
use crate::loss::Losses;
use crate::model::Judge;

#[test]
fn local_recoding_of_adult_loses_no_more_than_its_bars() {
    let Some(table) = adult::table() else { return };
    for (k, bar) in [(2, 0.031), (5, 0.075), (10, 0.107), (50, 0.22)] {
        for value in [Value::Balanced, Value::Broad, Value::Even] {
            let asked = Local { values: vec![value], ..Local::k(k) };
            let recoding = local(&table, &asked).unwrap();
            let losses = Losses::of(&table, &recoding);
            assert!(recoding.covers(&table));
            assert_eq!(losses.suppressed, 0);
            assert!(losses.loss <= bar, "k {k} {value:?}: {}", losses.loss);
            let judge = Judge::new(&table, &asked.models).unwrap();
            assert!(recoding.members().iter().all(|rows| judge.holds(rows)));
            assert!(local(&table, &Local { threads: 2, ..asked }).unwrap() == recoding, "two threads find the same");
        }
        let all = Local { values: vec![Value::Even, Value::Broad, Value::Balanced], ..Local::k(k) };
        let best = Losses::of(&table, &local(&table, &all).unwrap()).loss;
        let one = Losses::of(&table, &local(&table, &Local::k(k)).unwrap()).loss;
        assert!(best <= one, "the best of three is no worse than one of them");
    }
}
