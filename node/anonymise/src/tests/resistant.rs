//! The attack-resistant mode beside the plain ones, under the attacks.

use super::adult;
use crate::attack::{Clustered, Finding, downcode_clusters, downcoding, greedy_choices};
use crate::local::{Local, local};
use crate::loss::Losses;
use crate::model::{Judge, Models};
use crate::recoding::Recoding;
use crate::resistant::{Resistance, Rest, resistant};
use crate::seed::Seed;
use crate::table::Table;

fn shown(name: &str, table: &Table, recoding: &Recoding, findings: &[Finding]) {
    let losses = Losses::of(table, recoding);
    println!("{name}: loss {:.4} classes {} suppressed {}", losses.loss, losses.classes, losses.suppressed);
    for finding in findings {
        println!(
            "  {:?} claimed {} held {} chance {:.1} of {}: refined {:.4}",
            finding.attack,
            finding.claimed,
            finding.held,
            finding.by_chance,
            finding.of,
            finding.refined()
        );
    }
}

const REST: [Rest; 2] = [Rest::Leaves, Rest::Stays(4.0)];

#[test]
fn on_adult_attacks_refine_at_most_one_percent_of_the_default_mode() {
    let Some(table) = adult::table() else { return };
    for k in [2, 5, 11, 50] {
        let plain = local(&table, &Local::k(k)).unwrap();
        let findings = [downcoding(&table, &plain), greedy_choices(&table, &plain)];
        shown(&format!("plain k {k}"), &table, &plain, &findings);
        assert!(findings.iter().any(|finding| finding.refined() > 0.02), "the attacks find something to refine");
        for rest in REST {
            for seed in 0..3 {
                let resistance = Resistance { rest, ..Resistance::default() };
                let safe = resistant(&table, &Models::k(k), &resistance, &Seed([seed; 32])).unwrap();
                let findings = [downcoding(&table, &safe), greedy_choices(&table, &safe)];
                shown(&format!("{rest:?} k {k} seed {seed}"), &table, &safe, &findings);
                assert!(safe.covers(&table));
                let models = Models::k(k);
                let judge = Judge::new(&table, &models).unwrap();
                assert!(safe.members().iter().all(|rows| judge.holds(rows)));
                assert!(findings.iter().all(|finding| finding.refined() <= 0.01));
            }
        }
    }
}

#[test]
fn on_clustered_data_the_plain_mode_is_refined_and_the_default_is_not() {
    for k in [5, 11] {
        let construction = Clustered { clusters: 40, columns: 6, k };
        for seed in 0..3 {
            let table = construction.table(&Seed([seed; 32])).unwrap();
            assert!((200..=2_000).contains(&table.rows()));
            let plain = local(&table, &Local::k(k)).unwrap();
            let finding = downcode_clusters(&table, &plain);
            shown(&format!("clusters plain k {k}"), &table, &plain, std::slice::from_ref(&finding));
            assert!(finding.refined() >= 0.2);
            let safe = resistant(&table, &Models::k(k), &Resistance::default(), &Seed([seed; 32])).unwrap();
            let findings = [downcode_clusters(&table, &safe), downcoding(&table, &safe), greedy_choices(&table, &safe)];
            shown(&format!("clusters default k {k}"), &table, &safe, &findings);
            assert!(safe.classes() > 1);
            assert!(findings.iter().all(|finding| finding.refined() <= 0.01));
        }
    }
}

#[test]
fn another_seed_makes_other_choices_and_the_same_seed_the_same() {
    let Some(table) = adult::table() else { return };
    let with = |seed| resistant(&table, &Models::k(5), &Resistance::default(), &Seed([seed; 32])).unwrap();
    assert!(with(1) == with(1));
    assert!(with(1) != with(2));
}
