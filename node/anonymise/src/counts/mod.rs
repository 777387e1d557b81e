//! Tables of counts that are not differentially private: counts under a floor are suppressed, and as many others as it takes
//! so that nobody with all totals and a linear program learns the small ones; then rounding, if asked.
//!
//! A table has every total over every set of its dimensions. A patient counts in one cell.

mod lines;
mod program;
mod protect;
mod table;

pub use lines::Lines;
pub use protect::{CELLS_MAX, CountFault, Protected, Protection, Rounding, protect, protect_from};
pub use table::body;

pub(crate) use program::Program;

use crate::attack::{Attack, Finding};
use crate::hierarchy::Node;
use crate::table::Table;

/// Counts by the values of some dimensions, without totals.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "holds counts of patients before protection")]
pub struct Cube {
    pub(crate) sizes: Vec<usize>,
    pub(crate) counts: Vec<u64>,
}

impl Cube {
    /// Counts in the order of the dimensions, the last one running fastest; nothing where their number is not the product of
    /// the sizes.
    pub fn new(sizes: Vec<usize>, counts: Vec<u64>) -> Option<Self> {
        (!sizes.contains(&0) && sizes.iter().product::<usize>() == counts.len()).then_some(Self { sizes, counts })
    }

    /// Patients of a table by the values of some columns at some levels. A patient counts where its first row is.
    pub fn of(table: &Table, columns: &[(usize, usize)]) -> Self {
        Self::counted(table, columns, |_| true)
    }

    /// The same without the patients whom a member knows.
    pub fn without(table: &Table, columns: &[(usize, usize)], member: u32) -> Self {
        let bit = 1_u128.checked_shl(member).unwrap_or(0);
        Self::counted(table, columns, |row| table.known_to.as_ref().is_none_or(|known| known[row] & bit == 0))
    }

    /// Whether the cells and totals of such columns are more than a protected table may have.
    pub fn is_too_large(table: &Table, columns: &[(usize, usize)]) -> bool {
        let width = |(column, level): &(usize, usize)| table.quasi[*column].hierarchy.width(*level) + 1;
        columns.iter().map(width).try_fold(1_usize, usize::checked_mul).is_none_or(|cells| cells > CELLS_MAX)
    }

    fn counted(table: &Table, columns: &[(usize, usize)], counts_row: impl Fn(usize) -> bool) -> Self {
        let sizes: Vec<usize> =
            columns.iter().map(|(column, level)| table.quasi[*column].hierarchy.width(*level)).collect();
        let mut counts = vec![0; sizes.iter().product()];
        let mut seen = std::collections::HashSet::new();
        for row in 0..table.rows {
            if !seen.insert(table.patient(row as u32)) || !counts_row(row) {
                continue;
            }
            let place = |at: usize, ((column, level), size): (&(usize, usize), &usize)| {
                let quasi = &table.quasi[*column];
                at * size + quasi.hierarchy.over(*level, quasi.leaves[row]) as usize
            };
            counts[columns.iter().zip(&sizes).fold(0, place)] += 1;
        }
        Self { sizes, counts }
    }

    /// How a value of a dimension is written, for cubes of a table.
    pub fn label(table: &Table, (column, level): (usize, usize), index: usize) -> &str {
        table.quasi[column].hierarchy.label(Node { level: level as u8, index: index as u32 })
    }
}

/// The linear attack on a protected table: for every small count, the least and the most that all released values together
/// allow. A count is found out where fewer than `floor` values remain.
pub fn linear(cube: &Cube, protected: &Protected, floor: u64) -> Finding {
    let lines = Lines::of(cube);
    let open: Vec<usize> = (0..lines.cells()).filter(|cell| protected.exact(*cell).is_none()).collect();
    let mut program = Program::new(&lines, &open, |cell| protected.exact(cell).unwrap_or(0));
    let small: Vec<usize> = (0..open.len()).filter(|at| (1..floor).contains(&lines.value(open[*at]))).collect();
    let found = small.iter().filter(|at| {
        let (low, high) = program.bounds(**at);
        high.is_some_and(|high| high - low < floor - 1)
    });
    let found = found.count();
    let assumes = "all released values before rounding, that counts are not negative, and the rule of suppression";
    Finding { attack: Attack::Linear, assumes, claimed: found, held: found, by_chance: 0.0, of: small.len() }
}
