//! Full-domain search: ARX's optimum on every configuration given, on one thread and on two, and what a small budget gives.

use super::adult;
use crate::lattice::{FullDomain, LatticeFault, Optimality, full_domain};
use crate::loss::Losses;

#[test]
fn the_optimum_is_that_of_arx_on_every_configuration() {
    let (Some(table), Some(results)) = (adult::table(), adult::results()) else { return };
    for run in results["global"].as_array().unwrap() {
        let (k, suppression_max) = (run["k"].as_u64().unwrap(), run["suppression_max"].as_f64().unwrap());
        for threads in [1, 2] {
            let asked = FullDomain { threads, ..FullDomain::k(u32::try_from(k).unwrap(), suppression_max) };
            let found = full_domain(&table, &asked).unwrap();
            let losses = Losses::of(&table, &found.recoding);
            assert_eq!(found.optimality, Optimality::Optimal);
            assert_eq!(found.lattice, u128::from(results["lattice_nodes"].as_u64().unwrap()));
            assert!(found.recoding.covers(&table));
            assert!((losses.loss - run["loss"].as_f64().unwrap()).abs() < 5e-5, "{}", losses.loss);
            assert_eq!(losses.suppressed as u64, run["suppressed"].as_u64().unwrap());
            assert_eq!(losses.classes as u64, run["classes"].as_u64().unwrap());
            if let Some(levels) = run["levels"].as_array() {
                let levels: Vec<usize> = levels.iter().map(|level| level.as_u64().unwrap() as usize).collect();
                assert_eq!(found.levels, Some(levels));
            }
        }
    }
}

#[test]
fn a_search_whose_budget_ends_says_so_and_still_keeps_k() {
    let Some(table) = adult::table() else { return };
    let best = Losses::of(&table, &full_domain(&table, &FullDomain::k(5, 1.0)).unwrap().recoding).loss;
    for nodes_max in [1, 5, 20] {
        let found = full_domain(&table, &FullDomain { nodes_max, ..FullDomain::k(5, 1.0) }).unwrap();
        assert_eq!(found.optimality, Optimality::Heuristic);
        assert!(found.visited <= nodes_max);
        let losses = Losses::of(&table, &found.recoding);
        assert!(losses.loss >= best && losses.risk.smallest_class >= 5);
    }
    let stopped = full_domain(&table, &FullDomain { stop: Some(|| true), ..FullDomain::k(5, 1.0) }).unwrap();
    assert_eq!(stopped.optimality, Optimality::Heuristic);
    assert!(Losses::of(&table, &stopped.recoding).loss < 0.5, "the climb is a fair choice already");
    for limit in [-0.1, 1.1, f64::NAN] {
        assert_eq!(full_domain(&table, &FullDomain::k(5, limit)).err(), Some(LatticeFault::Suppression));
    }
}
