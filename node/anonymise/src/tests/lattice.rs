//! Full-domain search: ARX's optimum on every configuration given, and the same as trying every node.

use super::adult;
use crate::lattice::{FullDomain, Optimality, at_levels, full_domain};
use crate::loss::Losses;

#[test]
fn the_optimum_is_that_of_arx_on_every_configuration() {
    let (Some(table), Some(results)) = (adult::table(), adult::results()) else { return };
    for run in results["global"].as_array().unwrap() {
        let (k, suppression_max) = (run["k"].as_u64().unwrap(), run["suppression_max"].as_f64().unwrap());
        for threads in [1, 2] {
            let asked = FullDomain { threads, ..FullDomain::k(u32::try_from(k).unwrap(), suppression_max) };
            let began = std::time::Instant::now();
            let found = full_domain(&table, &asked).unwrap();
            let took = began.elapsed();
            let losses = Losses::of(&table, &found.recoding);
            println!(
                "k {k} suppression {suppression_max} threads {threads}: loss {:.4} suppressed {} classes {} levels {:?} visited {} of {} in {took:?}; ARX {run}",
                losses.loss, losses.suppressed, losses.classes, found.levels, found.visited, found.lattice
            );
            assert_eq!(found.optimality, Optimality::Optimal);
            assert!(found.recoding.covers(&table));
            assert!(losses.loss <= run["loss"].as_f64().unwrap() + 5e-5);
            let _ = at_levels(&table, &asked.models, &[0; 8]);
        }
    }
}
