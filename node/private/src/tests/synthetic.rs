//! Synthetic tables of public data: how near their margins are, and that rows come from noised values alone.

use std::collections::BTreeSet;

use cohortium_protocol::quantity::Rho;

use crate::{
    account::{Cost, Purse, rho_within},
    margins::{Columns, Domain, Tables},
    mechanism::ReleaseError,
    synthetic::Synthetic,
    tests::data::{self, Table, one_and_two},
};

fn rho_of(epsilon: f64) -> Rho {
    rho_within(epsilon, Cost::ceiling(0.0, 1e-6).unwrap().delta).unwrap()
}

/// Half the sum of differences of shares, a mean over margins of this many columns.
fn distance(one: &Table, other: &Table, columns: usize) -> f64 {
    let margins: Vec<Columns> =
        one_and_two(one.domain.width()).into_iter().filter(|margin| margin.list().len() == columns).collect();
    let apart = |margin: &Columns| {
        let (a, b) = (one.counts(margin), other.counts(margin));
        let share = |cell: i64, rows: usize| cell as f64 / rows as f64;
        let sum: f64 =
            a.iter().zip(b).map(|(a, b)| (share(*a, one.rows.len()) - share(b, other.rows.len())).abs()).sum();
        sum / 2.0
    };
    margins.iter().map(apart).sum::<f64>() / margins.len() as f64
}

fn synthetic(table: &Table, exact: &Tables<i64>, epsilon: f64, seed: u8) -> Table {
    let plan = Synthetic::within(table.domain.clone(), 1, rho_of(epsilon)).unwrap();
    let mut purse = Purse::of(Cost { rho: rho_of(epsilon), ..Cost::default() });
    let model = plan.release(&mut purse, exact).unwrap();
    assert_eq!(model.pairs().count(), table.domain.width() - 1);
    Table { name: table.name, domain: table.domain.clone(), rows: model.rows(None, [seed; 32]) }
}

/// The same columns, each shuffled by itself: what is left when pairs say nothing.
fn independent(table: &Table) -> Table {
    let rows = table.rows.len();
    let moved = |at: usize, column: usize| table.rows[(at + column * 7_919) * 31 % rows][column];
    let rows = (0..rows).map(|at| (0..table.domain.width()).map(|column| moved(at, column)).collect()).collect();
    Table { name: table.name, domain: table.domain.clone(), rows }
}

// PRIV-14
#[test]
fn synthetic_rows_have_the_margins_that_were_measured() {
    for table in data::both() {
        let exact = table.all_counts(&one_and_two(table.domain.width()));
        let baseline = distance(&table, &independent(&table), 2);
        // The last is what a tree can say with hardly any noise.
        for epsilon in [1.0, 4.0, 200.0] {
            let made = synthetic(&table, &exact, epsilon, 1);
            let (one, two) = (distance(&table, &made, 1), distance(&table, &made, 2));
            let (rows, made_rows) = (table.rows.len() as f64, made.rows.len() as f64);
            println!(
                "{} at epsilon {epsilon}: {made_rows} rows for {rows}; mean distance of columns {one:.4}, of pairs {two:.4}, of pairs of independent columns {baseline:.4}",
                table.name
            );
            assert!((made_rows / rows - 1.0).abs() < 0.02);
            assert!(one < 0.03 && two < baseline, "{one} {two} {baseline}");
        }
    }
}

// PRIV-4, PRIV-14
#[test]
fn a_synthetic_table_is_paid_in_full_and_its_rows_follow_from_the_seed() {
    let domain = Domain::new(vec![3, 2, 4]).unwrap();
    let rows: Vec<Vec<usize>> = (0..900).map(|at| vec![at % 3, at % 3 % 2, at % 4]).collect();
    let table = Table { name: "made up", domain: domain.clone(), rows };
    let exact = table.all_counts(&one_and_two(3));
    let plan = Synthetic::within(domain, 1, rho_of(4.0)).unwrap();
    assert!(plan.cost().rho <= rho_of(4.0));
    let short = Cost { rho: Rho(plan.cost().rho.0 - 1), ..Cost::default() };
    assert_eq!(plan.release(&mut Purse::of(short), &exact).map(|_| ()), Err(ReleaseError::NotPaid));
    assert_eq!(plan.release(&mut Purse::of(plan.cost()), &Tables::new()).map(|_| ()), Err(ReleaseError::Failed));
    let model = plan.release(&mut Purse::of(plan.cost()), &exact).unwrap();
    let drawn = model.rows(Some(500), [3; 32]);
    assert_eq!((drawn.len(), &drawn), (500, &model.rows(Some(500), [3; 32])));
    assert_ne!(drawn, model.rows(Some(500), [4; 32]));
    let pairs: BTreeSet<&[usize]> = model.pairs().map(Columns::list).collect();
    assert!(pairs.contains(&[0, 1][..]), "the one pair that depends is chosen: {pairs:?}");
    // Tables at the ends of their type, and empty ones, give a model too.
    for extreme in [i64::MAX, 0, i64::MIN] {
        let exact = exact.iter().map(|(margin, cells)| (margin.clone(), vec![extreme; cells.len()])).collect();
        let model = plan.release(&mut Purse::of(plan.cost()), &exact).unwrap();
        assert_eq!(model.rows(Some(10), [0; 32]).len(), 10);
    }
}
