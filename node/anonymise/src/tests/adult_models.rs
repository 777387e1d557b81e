//! l, t and several rows a patient on a real table, in every mode: what random tables are too small to show.

use super::adult;
use crate::lattice::FullDomain;
use crate::local::Local;
use crate::loss::Losses;
use crate::model::{Closeness, Distance, Diversity, DiversityKind, Judge, Models};
use crate::recoding::SUPPRESSED;
use crate::release::{Attacks, Mode, anonymise};
use crate::resistant::Resistance;
use crate::seed::Seed;

#[test]
fn every_mode_keeps_diversity_and_closeness_on_adult_and_still_releases_most_rows() {
    let Some(table) = adult::table() else { return };
    let patients: Vec<u64> = (0..table.rows() as u64).map(|row| row % 20_000).collect();
    let table = table.with_patients(&patients).unwrap();
    let diversity =
        |column: &str, kind| Models { diversity: vec![Diversity { column: column.to_owned(), kind }], ..Models::k(5) };
    let closeness = |column: &str, t, distance| Models {
        closeness: vec![Closeness { column: column.to_owned(), t, distance }],
        ..Models::k(5)
    };
    let asked = [
        Models::k(5),
        diversity("occupation", DiversityKind::Distinct(3)),
        diversity("occupation", DiversityKind::Entropy(2.5)),
        closeness("salary-class", 0.2, Distance::Equal),
        closeness("occupation", 0.3, Distance::Hierarchical),
        closeness("occupation", 0.2, Distance::Ordered),
    ];
    for (at, models) in asked.into_iter().enumerate() {
        let full = FullDomain { models: models.clone(), nodes_max: 100, threads: 2, ..FullDomain::k(1, 1.0) };
        let modes = [
            Mode::Local(Local { models: models.clone(), threads: 2, ..Local::k(1) }),
            Mode::Resistant(models.clone(), Resistance::default()),
            Mode::FullDomain(full),
        ];
        for (mode, asked) in modes.iter().enumerate() {
            let (recoding, _) = anonymise(&table, asked, Attacks::Skip, &Seed([1; 32])).unwrap();
            let losses = Losses::of(&table, &recoding);
            println!("models {at} mode {mode}: loss {:.4} suppressed {}", losses.loss, losses.suppressed);
            let released = |row: u32| recoding.class_of()[row as usize] != SUPPRESSED;
            let judge = Judge::over(&table, &models, released).unwrap();
            assert!(recoding.covers(&table) && recoding.members().iter().all(|rows| judge.holds(rows)));
            assert!(losses.loss < 0.9, "models {at} mode {mode}: {}", losses.loss);
        }
    }
}
