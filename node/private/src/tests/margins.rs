//! Margins of public data: the planner beside the optimum and beside equal splitting, consistency, and coverage.

use cohortium_protocol::quantity::Rho;

use crate::{
    account::{Cost, Purse, rho_within},
    bound::Bounds,
    interval::Family,
    margins::{Columns, Domain, Tables},
    mechanism::Additive,
    planner::{Estimates, Strategy, StrategyError, Wish},
    postprocess::{nonnegative, tree},
    tests::data::{self, Table, one_and_two},
};

fn rho_of_epsilon_1() -> Rho {
    let delta = Cost::ceiling(0.0, 1e-6).unwrap().delta;
    rho_within(1.0, delta).unwrap()
}

fn wishes(margins: &[Columns]) -> Vec<Wish> {
    margins.iter().map(|columns| Wish { columns: columns.clone(), weight: 1.0 }).collect()
}

fn measured(strategy: &Strategy, exact: &Tables<i64>) -> Estimates {
    strategy.release(&mut Purse::of(strategy.cost()), exact).unwrap()
}

/// The bound of Li and Miklau 2013 on every matrix mechanism with Gaussian noise, from the singular values of the workload over the
/// full table of all columns: `(sum of singular values)^2 / cells / (2 rho)`, as a root of a mean over answered cells.
fn spectral_bound(domain: &Domain, margins: &[Columns], rho: f64) -> f64 {
    let size = |column: usize| domain.size(column) as f64;
    let all = (0..domain.width()).map(size).product::<f64>();
    let mut sum = 0.0;
    for part in one_and_two(domain.width()).iter().chain([&Columns::new(Vec::new()).unwrap()]) {
        let times: f64 = part.list().iter().map(|column| size(*column) - 1.0).product();
        // Each margin that has the part adds the product of the sizes of all columns that it does not have.
        let holding = margins.iter().filter(|margin| part.list().iter().all(|column| margin.list().contains(column)));
        let value: f64 = holding.map(|margin| all / margin.list().iter().map(|c| size(*c)).product::<f64>()).sum();
        sum += times * value.sqrt();
    }
    let cells: f64 = margins.iter().map(|margin| margin.list().iter().map(|c| size(*c)).product::<f64>()).sum();
    (sum * sum / all / (2.0 * rho) / cells).sqrt()
}

fn squared_error(estimates: &Estimates, exact: &Tables<i64>) -> f64 {
    let each = exact.iter().map(|(margin, exact)| {
        let cells = estimates.margin(margin).unwrap();
        cells.iter().zip(exact).map(|(cell, exact)| (cell - *exact as f64).powi(2)).sum::<f64>()
    });
    each.sum()
}

// PRIV-12
#[test]
fn all_one_and_two_way_margins_are_within_5_percent_of_the_optimum() {
    for table in data::both() {
        let margins = one_and_two(table.domain.width());
        let exact = table.all_counts(&margins);
        let strategy = Strategy::within(table.domain.clone(), wishes(&margins), 1, rho_of_epsilon_1()).unwrap();
        let runs = 40;
        let sum: f64 = (0..runs).map(|_| squared_error(&measured(&strategy, &exact), &exact)).sum();
        let cells: usize = exact.values().map(Vec::len).sum();
        let found = (sum / f64::from(runs) / cells as f64).sqrt();
        let bound =
            spectral_bound(&table.domain, &margins, Cost { rho: rho_of_epsilon_1(), ..Cost::default() }.rho_up());
        println!(
            "{}: {} patients, {} margins, {cells} cells at epsilon 1: optimum RMSE {:.3} (spectral bound {bound:.3}), planned {:.3}, measured {found:.3} over {runs} runs, ratio {:.4}",
            table.name,
            table.rows.len(),
            margins.len(),
            strategy.optimum(),
            strategy.error(),
            found / strategy.optimum()
        );
        assert!((strategy.optimum() / bound - 1.0).abs() < 1e-9);
        assert!(strategy.error() <= 1.01 * strategy.optimum());
        assert!(found <= 1.05 * strategy.optimum());
        assert!(strategy.cost().rho <= rho_of_epsilon_1());
    }
}

/// The sum of absolute errors when each margin gets an equal share, as measured and with negative cells taken as zero.
fn equal_splitting(table: &Table, exact: &Tables<i64>) -> (f64, f64) {
    let share = Rho(rho_of_epsilon_1().0 / exact.len() as u128);
    let (mut raw, mut clipped) = (0.0, 0.0);
    for (margin, cells) in exact {
        assert_eq!(table.domain.cells(margin), Ok(cells.len()));
        let plan = Additive::within(Family::Gaussian, Bounds::new(1, 1).unwrap(), share).unwrap();
        let noised = plan.release(&mut Purse::of(plan.cost()), cells).unwrap();
        for (noised, exact) in noised.iter().zip(cells) {
            raw += (noised - exact).abs() as f64;
            clipped += (noised.max(&0) - exact).abs() as f64;
        }
    }
    (raw, clipped)
}

// PRIV-11, PRIV-12
#[test]
fn after_consistency_the_error_is_at_most_0_6_of_equal_splitting() {
    for table in data::both() {
        let margins = one_and_two(table.domain.width());
        let exact = table.all_counts(&margins);
        let strategy = Strategy::within(table.domain.clone(), wishes(&margins), 1, rho_of_epsilon_1()).unwrap();
        let runs = 5;
        let (mut ours, mut unbiased, mut raw, mut clipped) = (0.0, 0.0, 0.0, 0.0);
        let (mut squared, mut squared_before) = (0.0, 0.0);
        for _ in 0..runs {
            let estimates = measured(&strategy, &exact);
            let cells = nonnegative::margins(&estimates, &margins, 0.95);
            for (margin, exact) in &exact {
                ours += cells[margin]
                    .iter()
                    .zip(exact)
                    .map(|(cell, exact)| (cell.value - *exact as f64).abs())
                    .sum::<f64>();
                let straight = estimates.margin(margin).unwrap();
                unbiased += straight.iter().zip(exact).map(|(cell, exact)| (cell - *exact as f64).abs()).sum::<f64>();
            }
            squared_before += squared_error(&estimates, &exact);
            squared += exact
                .iter()
                .flat_map(|(margin, exact)| cells[margin].iter().zip(exact))
                .map(|(cell, exact)| (cell.value - *exact as f64).powi(2))
                .sum::<f64>();
            let equal = equal_splitting(&table, &exact);
            raw += equal.0;
            clipped += equal.1;
        }
        println!(
            "{}: L1 at epsilon 1 beside equal splitting: {:.3} after consistency, {:.3} before; beside equal splitting without negative cells {:.3}",
            table.name,
            ours / raw,
            unbiased / raw,
            ours / clipped
        );
        println!("{}: RMSE after consistency {:.3} of that before", table.name, (squared / squared_before).sqrt());
        assert!(squared < squared_before);
        assert!(ours <= 0.6 * raw, "{}", ours / raw);
    }
}

// PRIV-8, PRIV-11
#[test]
fn margins_agree_are_not_negative_and_their_intervals_cover_after_it() {
    for table in data::both() {
        let margins = one_and_two(table.domain.width());
        let exact = table.all_counts(&margins);
        let strategy = Strategy::within(table.domain.clone(), wishes(&margins), 1, rho_of_epsilon_1()).unwrap();
        let (mut inside, mut cells_seen, mut width) = (0_u32, 0_u32, 0.0);
        for _ in 0..5 {
            let cells = nonnegative::margins(&measured(&strategy, &exact), &margins, 0.95);
            for (margin, exact) in &exact {
                for (cell, exact) in cells[margin].iter().zip(exact) {
                    assert!(cell.value >= 0.0 && cell.low <= cell.value && cell.value <= cell.high);
                    inside += u32::from((cell.low..=cell.high).contains(&(*exact as f64)));
                    cells_seen += 1;
                    width += cell.high - cell.low;
                }
                let values: Vec<f64> = cells[margin].iter().map(|cell| cell.value).collect();
                for column in margin.list().iter().filter(|_| margin.list().len() == 2) {
                    let single = Columns::new(vec![*column]).unwrap();
                    let summed = table.domain.project(&values, margin, &single);
                    assert!(summed.iter().zip(&cells[&single]).all(|(sum, cell)| (sum - cell.value).abs() < 1e-6));
                }
            }
        }
        let share = f64::from(inside) / f64::from(cells_seen);
        println!(
            "{}: coverage of 95 % intervals after post-processing {share:.4} of {cells_seen} cells, mean width {:.1}",
            table.name,
            width / f64::from(cells_seen)
        );
        assert!(share >= 0.93, "{share}");
    }
}

// PRIV-8, PRIV-11
#[test]
fn a_hierarchy_s_intervals_cover_and_are_narrower_than_those_of_single_nodes() {
    // 3 regions of 4 hospitals of 5 wards, some empty.
    let mut nodes = vec![(None, 0)];
    nodes.extend((0..3).map(|_| (Some(0), 0)));
    nodes.extend((0..12).map(|at| (Some(1 + at / 4), 0)));
    nodes.extend((0..60).map(|at| (Some(4 + at / 5), if at % 3 == 0 { 0 } else { at * 7 })));
    for at in (1..nodes.len()).rev() {
        let above: usize = nodes[at].0.unwrap();
        nodes[above].1 += nodes[at].1;
    }
    let exact: Vec<i64> = nodes.iter().map(|node| i64::try_from(node.1).unwrap()).collect();
    // A patient is in one node of each of four levels.
    let plan = Additive::within(Family::Gaussian, Bounds::new(4, 1).unwrap(), rho_of_epsilon_1()).unwrap();
    let variance = plan.noise().deviation().powi(2);
    let (mut inside, mut seen, mut ours, mut single) = (0_u32, 0_u32, 0.0, 0.0);
    for _ in 0..150 {
        let noised = plan.release(&mut Purse::of(plan.cost()), &exact).unwrap();
        let measured: Vec<_> = nodes
            .iter()
            .zip(&noised)
            .map(|(node, value)| tree::Node { above: node.0, value: *value as f64, variance })
            .collect();
        let cells = tree::consistent(&measured, 0.95).unwrap();
        for ((cell, exact), noised) in cells.iter().zip(&exact).zip(&noised) {
            inside += u32::from((cell.low..=cell.high).contains(&(*exact as f64)));
            seen += 1;
            ours += (cell.value - *exact as f64).abs();
            single += (noised - exact).abs() as f64;
        }
    }
    let share = f64::from(inside) / f64::from(seen);
    println!("hierarchy of 76 nodes: coverage {share:.4} of 95 %, L1 {:.3} of single nodes'", ours / single);
    assert!(share >= 0.94 && ours < 0.8 * single);
}

#[test]
fn what_cannot_be_planned_is_refused_by_public_sizes_alone() {
    let domain = Domain::new(vec![3, 1]).unwrap();
    let of = |lists: &[&[usize]], weight: f64| -> Vec<Wish> {
        let wish = |list: &&[usize]| Wish { columns: Columns::new(list.to_vec()).unwrap(), weight };
        lists.iter().map(wish).collect()
    };
    let plan = |wishes, rho| Strategy::within(domain.clone(), wishes, 1, rho);
    assert_eq!(plan(of(&[], 1.0), rho_of_epsilon_1()), Err(StrategyError::Margins));
    assert_eq!(plan(of(&[&[0], &[0]], 1.0), rho_of_epsilon_1()), Err(StrategyError::Margins));
    assert_eq!(plan(of(&[&[0]], f64::NAN), rho_of_epsilon_1()), Err(StrategyError::Margins));
    assert!(plan(of(&[&[2]], 1.0), rho_of_epsilon_1()).is_err());
    assert!(plan(of(&[&[0]], 1.0), Rho(0)).is_err());
    // A column of one value has no part of its own, and its margin is known all the same. Counts at their ends do no harm.
    let strategy = plan(of(&[&[0, 1], &[1]], 1.0), rho_of_epsilon_1()).unwrap();
    let margins: Vec<Columns> = strategy.margins().cloned().collect();
    for extreme in [i64::MAX, i64::MIN, 0] {
        let exact: Tables<i64> = [(margins[0].clone(), vec![extreme; 3]), (margins[1].clone(), vec![extreme])].into();
        let cells = nonnegative::margins(&measured(&strategy, &exact), &margins, 0.95);
        assert!(cells.values().flatten().all(|cell| cell.value >= 0.0 && cell.high.is_finite()));
    }
}
