//! Random tables, seeded: hierarchies of any shape, several rows a patient, sensitive columns, members.

use std::sync::Arc;

use crate::hierarchy::Hierarchy;
use crate::model::{Closeness, Distance, Diversity, DiversityKind, Models};
use crate::seed::{Dice, Purpose, Seed};
use crate::table::{Quasi, Sensitive, Table};

pub(super) fn dice(seed: u64) -> Dice {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    Seed(bytes).dice(Purpose::Attack, 7)
}

/// A hierarchy of one to five levels; each level gathers runs of values of the one below.
pub(super) fn hierarchy(dice: &mut Dice, name: &str) -> Hierarchy {
    let leaves = 1 + dice.below(12) as usize;
    let mut paths: Vec<Vec<String>> = (0..leaves).map(|leaf| vec![format!("{name}{leaf}")]).collect();
    for level in 1..=dice.below(4) {
        let mut node = 0;
        let mut last = String::new();
        for path in &mut paths {
            let below = path.last().unwrap().clone();
            if below != last && dice.below(2) == 0 {
                node += 1;
            }
            last = below;
            path.push(format!("{name}{level}.{node}"));
        }
    }
    Hierarchy::from_paths(paths).unwrap()
}

/// How a random table may look.
pub(super) struct Shape {
    pub(super) rows_max: u64,
    pub(super) columns_max: u64,
    pub(super) shared_patients: bool,
    pub(super) members: u64,
}

pub(super) const SMALL: Shape = Shape { rows_max: 200, columns_max: 5, shared_patients: true, members: 0 };

pub(super) fn table(dice: &mut Dice, shape: &Shape) -> Table {
    let rows = dice.below(shape.rows_max) as usize;
    let columns = 1 + dice.below(shape.columns_max);
    let column = |dice: &mut Dice, name: &str| {
        let hierarchy = hierarchy(dice, name);
        // Squares of a share: some values are frequent, others rare.
        let leaf = |_| (dice.share().powi(2) * hierarchy.leaves() as f64) as u32;
        let leaves = (0..rows).map(leaf).collect();
        (Arc::new(hierarchy), leaves)
    };
    let mut quasi = Vec::new();
    for at in 0..columns {
        let name = format!("q{at}");
        let (hierarchy, leaves) = column(dice, &name);
        quasi.push(Quasi::new(&name, hierarchy, leaves).unwrap());
    }
    let mut table = Table::new(quasi).unwrap();
    let (tree, values) = column(dice, "s");
    table = table.with_sensitive(Sensitive::new("s", values, Some(tree))).unwrap();
    if shape.shared_patients && dice.below(2) == 0 {
        let patients: Vec<u64> = (0..rows).map(|_| dice.below(1 + rows as u64 * 2 / 3)).collect();
        table = table.with_patients(&patients).unwrap();
    }
    if shape.members > 0 {
        let members: Vec<u32> = (0..rows).map(|_| dice.below(shape.members) as u32).collect();
        table = table.with_members(&members).unwrap();
    }
    table
}

/// Any models over the sensitive column `s`.
pub(super) fn models(dice: &mut Dice) -> Models {
    let mut models = Models::k(1 + dice.below(8) as u32);
    let column = || "s".to_owned();
    match dice.below(6) {
        0 => {
            let kind = DiversityKind::Distinct(1 + dice.below(4) as u32);
            models.diversity.push(Diversity { column: column(), kind });
        }
        1 => {
            let kind = DiversityKind::Entropy(1.0 + dice.share() * 2.0);
            models.diversity.push(Diversity { column: column(), kind });
        }
        2 => models.closeness.push(Closeness { column: column(), t: dice.share(), distance: Distance::Equal }),
        3 => models.closeness.push(Closeness { column: column(), t: dice.share() / 2.0, distance: Distance::Ordered }),
        4 => {
            models.closeness.push(Closeness { column: column(), t: dice.share(), distance: Distance::Hierarchical });
        }
        _ => {}
    }
    models
}
