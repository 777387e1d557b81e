//! Attacks on a release, run before it is signed: what each assumes to be known, what it claims, and how much of that is right.
//!
//! Attackers see the recoding (how classes are written and how many rows each has) and know the algorithm. The harness holds
//! the truth beside what they claim. What counts as refined is what holds beyond what the same claims would hold by chance, if
//! each row had drawn its cell from the table's own margins: a claim that any guesser could make is no attack.

mod clustered;
mod disclosure;
mod downcoding;
mod intersection;
mod linkage;
mod minimality;
mod recipient;

pub use clustered::{Clustered, downcode_clusters};
pub use disclosure::{background, homogeneity, skewness};
pub use downcoding::{downcoding, greedy_choices};
pub use intersection::intersection;
pub use linkage::{Auxiliary, linkage};
pub use minimality::minimality;
pub use recipient::recipient;

use crate::hierarchy::Node;
use crate::recoding::Recoding;
use crate::table::Table;

/// What an attack found.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The attack.
    pub attack: Attack,
    /// What the attacker is taken to know.
    pub assumes: &'static str,
    /// Cells or rows that claims are about.
    pub claimed: usize,
    /// Those of claims that hold.
    pub held: usize,
    /// Those that would hold by chance.
    pub by_chance: f64,
    /// What could be attacked: generalised cells, or released rows.
    pub of: usize,
}

/// The attacks of the harness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attack {
    /// A file with names and quasi-identifiers is joined to the release.
    Linkage,
    /// A class in which all share one sensitive value.
    Homogeneity,
    /// A class in which a sensitive value is far more frequent than in the table.
    Skewness,
    /// A few values of a class are excluded by what is known of one patient.
    Background,
    /// A class was generalised only because a finer one would have broken a model.
    Minimality,
    /// Cells are refined by what a minimal recoding would otherwise have released.
    Downcoding,
    /// Cells are refined by the greedy choices of a local recoder.
    GreedyChoices,
    /// Two releases of the same patients are joined.
    Intersection,
    /// Suppressed cells of tables of counts are bounded by their totals.
    Linear,
}

impl Finding {
    /// The share that is refined or disclosed beyond chance, from 0 to 1.
    pub fn refined(&self) -> f64 {
        if self.of == 0 {
            return 0.0;
        }
        ((self.held as f64 - self.by_chance) / self.of as f64).max(0.0)
    }
}

/// Cells of released rows that are not written as leaves.
pub fn generalised_cells(table: &Table, recoding: &Recoding) -> usize {
    let members = recoding.members();
    let cell = |(column, node): (usize, &Node)| usize::from(open(table, column, *node));
    let of_class = |class: usize| recoding.written(class as u32).iter().enumerate().map(cell).sum::<usize>();
    members.iter().enumerate().map(|(class, rows)| rows.len() * of_class(class)).sum()
}

/// Whether a value could be several leaves.
fn open(table: &Table, column: usize, node: Node) -> bool {
    table.quasi[column].hierarchy.leaves_of(node).len() > 1
}
