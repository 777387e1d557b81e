//! Local recoding: its bars on Adult, and classes that hold.

use super::adult;
use crate::local::{Local, Value, local};
use crate::loss::Losses;
use crate::model::{Judge, Models};

#[test]
fn local_recoding_of_adult_loses_no_more_than_its_bars() {
    let Some(table) = adult::table() else { return };
    for (k, bar) in [(2, 0.031), (5, 0.075), (10, 0.107), (50, 0.22)] {
        for value in [Value::Balanced, Value::Broad, Value::Even] {
            let asked = Local { values: vec![value], ..Local::k(k) };
            let began = std::time::Instant::now();
            let recoding = local(&table, &asked).unwrap();
            let took = began.elapsed();
            let losses = Losses::of(&table, &recoding);
            println!("k {k} {value:?}: loss {:.4} classes {} in {took:?}", losses.loss, losses.classes);
            assert!(recoding.covers(&table));
            assert_eq!(losses.suppressed, 0);
            let judge = Judge::new(&table, &asked.models).unwrap();
            assert!(recoding.members().iter().all(|rows| judge.holds(rows)));
            if value == Value::Balanced {
                assert!(losses.loss <= bar, "k {k}: {}", losses.loss);
            }
            let two = local(&table, &Local { threads: 2, ..asked }).unwrap();
            assert!(two == recoding, "two threads find the same");
        }
    }
    let _ = Models::k(1);
}
