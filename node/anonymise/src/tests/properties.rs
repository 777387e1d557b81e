//! Properties: generalising never shrinks a class, every class of every output keeps its models, no input panics.

use proptest::prelude::*;

use super::random;
use crate::lattice::{FullDomain, Optimality, at_levels, full_domain};
use crate::local::{Local, Value, local};
use crate::loss::{Losses, Measure};
use crate::model::{Judge, Models, Recipients};
use crate::recoding::{Recoding, SUPPRESSED};
use crate::resistant::{Resistance, resistant};
use crate::seed::Seed;
use crate::table::Table;

fn holds(table: &Table, models: &Models, recoding: &Recoding) -> bool {
    let judge = Judge::over(table, models, |row| recoding.class_of()[row as usize] != SUPPRESSED).unwrap();
    recoding.covers(table) && recoding.members().iter().all(|rows| judge.holds(rows))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generalising_never_shrinks_a_class(seed: u64) {
        let mut dice = random::dice(seed);
        let table = random::table(&mut dice, &random::SMALL);
        let mut levels: Vec<usize> = table.quasi().iter().map(|_| 0).collect();
        let one = Models::k(1);
        let mut finer = at_levels(&table, &one, &levels).unwrap();
        while let Some(column) = (0..levels.len()).find(|at| levels[*at] + 1 < table.quasi()[*at].hierarchy().levels()) {
            levels[column] += 1;
            let coarser = at_levels(&table, &one, &levels).unwrap();
            let (before, after) = (finer.members(), coarser.members());
            for row in 0..table.rows() {
                let own = table.patients_of(before.of(finer.class_of()[row] as usize));
                prop_assert!(table.patients_of(after.of(coarser.class_of()[row] as usize)) >= own);
            }
            prop_assert!(Losses::of(&table, &coarser).loss >= Losses::of(&table, &finer).loss);
            finer = coarser;
        }
    }

    #[test]
    fn every_class_of_every_output_keeps_its_models(seed: u64) {
        let mut dice = random::dice(seed);
        let table = random::table(&mut dice, &random::SMALL);
        let models = random::models(&mut dice);
        let values = vec![Value::Balanced, Value::Broad, Value::Even];
        for threads in [1, 2] {
            let asked = Local { models: models.clone(), values: values.clone(), threads };
            prop_assert!(holds(&table, &models, &local(&table, &asked).unwrap()));
        }
        let safe = resistant(&table, &models, &Resistance::default(), &Seed([seed as u8; 32])).unwrap();
        prop_assert!(holds(&table, &models, &safe));
        let asked = FullDomain { models: models.clone(), ..FullDomain::k(1, 1.0) };
        prop_assert!(holds(&table, &models, &full_domain(&table, &asked).unwrap().recoding));
    }

    #[test]
    fn no_recipient_is_left_alone_with_its_own_patients(seed: u64) {
        let mut dice = random::dice(seed);
        let shape = random::Shape { members: 3, ..random::SMALL };
        let table = random::table(&mut dice, &shape);
        let k = 1 + dice.below(5) as u32;
        let models = Models { recipients: Some(Recipients { members: vec![0, 2] }), ..Models::k(k) };
        let recodings = [
            local(&table, &Local { models: models.clone(), ..Local::k(k) }).unwrap(),
            resistant(&table, &models, &Resistance::default(), &Seed([1; 32])).unwrap(),
            full_domain(&table, &FullDomain { models: models.clone(), ..FullDomain::k(k, 1.0) }).unwrap().recoding,
        ];
        let known_to = table.known_to.as_ref().unwrap();
        for recoding in recodings {
            for rows in recoding.members().iter() {
                for member in [0, 2] {
                    let others = rows.iter().filter(|row| known_to[**row as usize] >> member & 1 == 0);
                    let others = table.patients_of(&others.copied().collect::<Vec<u32>>());
                    prop_assert!(others == 0 || others >= k as usize);
                }
                for row in rows.iter().filter(|row| known_to[**row as usize].count_ones() == 2) {
                    let pair = known_to[*row as usize];
                    let others = rows.iter().filter(|row| known_to[**row as usize] & pair == 0);
                    prop_assert!(table.patients_of(&others.copied().collect::<Vec<u32>>()) >= k as usize);
                }
            }
        }
    }

    #[test]
    fn the_search_finds_what_trying_every_node_finds(seed: u64) {
        let mut dice = random::dice(seed);
        let shape = random::Shape { rows_max: 120, columns_max: 3, ..random::SMALL };
        let table = random::table(&mut dice, &shape);
        let models = random::models(&mut dice);
        let limit = [0.0, 0.1, 0.5, 1.0][dice.below(4) as usize];
        let measure =
            [Measure::Loss, Measure::Entropy, Measure::Discernibility, Measure::AverageClassSize][dice.below(4) as usize];
        let asked = FullDomain { models: models.clone(), measure, threads: 2, ..FullDomain::k(1, limit) };
        let found = full_domain(&table, &asked).unwrap();
        if found.optimality == Optimality::Heuristic {
            prop_assert!(!models.closeness.is_empty(), "only distributions of reference may change under the search");
            return Ok(());
        }
        let best = every_node(&table, &asked);
        match &found.levels {
            None => prop_assert!(best.is_none()),
            Some(levels) => {
                let own = price(&table, &unsettled(&table, &models, levels), measure);
                prop_assert!((own - best.unwrap()).abs() <= 1e-5 * own.abs().max(1.0), "{own} {best:?}");
            }
        }
    }
}

/// The classes of a node as the search prices them: judged against the distributions of the whole table.
fn unsettled(table: &Table, models: &Models, levels: &[usize]) -> Recoding {
    let all = at_levels(table, &Models::k(1), levels).unwrap();
    let judge = Judge::new(table, models).unwrap();
    let drop: Vec<bool> = all.members().iter().map(|rows| !judge.holds(rows)).collect();
    all.without(&drop)
}

fn price(table: &Table, recoding: &Recoding, measure: Measure) -> f64 {
    let losses = Losses::of(table, recoding);
    match measure {
        Measure::Loss => losses.loss,
        Measure::Entropy => losses.entropy,
        Measure::Discernibility => losses.discernibility as f64,
        Measure::AverageClassSize if losses.classes == 0 => f64::MAX,
        Measure::AverageClassSize => losses.average_class_size,
    }
}

fn every_node(table: &Table, asked: &FullDomain) -> Option<f64> {
    let heights: Vec<usize> = table.quasi().iter().map(|column| column.hierarchy().levels()).collect();
    let nodes: usize = heights.iter().product();
    let mut best: Option<f64> = None;
    for node in 0..nodes {
        let mut rest = node;
        let level = |height: &usize| {
            let level = rest % height;
            rest /= height;
            level
        };
        let levels: Vec<usize> = heights.iter().map(level).collect();
        let recoding = unsettled(table, &asked.models, &levels);
        if recoding.suppressed() as f64 <= asked.suppression_max * table.rows() as f64 {
            let price = price(table, &recoding, asked.measure);
            best = Some(best.map_or(price, |best| best.min(price)));
        }
    }
    best
}
