//! Which cells are suppressed: those under the floor, and others until a linear program cannot undo it.

use super::{Cube, Lines, Program};
use crate::seed::{Purpose, Seed};

/// Most cells and totals of a protected table.
pub const CELLS_MAX: usize = 20_000;
/// Most suppressed cells times lines: what one linear program may take.
const PROGRAM_MAX: usize = 16_000_000;

/// How released counts are rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// As counted.
    None,
    /// To the nearest multiple of this base.
    Nearest(u64),
    /// To a multiple above or below, by chance and without bias.
    Random(u64),
}

/// What a table of counts is protected by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection {
    /// The least count that may be released; smaller ones, except zero, are suppressed.
    pub floor: u64,
    /// How the others are rounded.
    pub rounding: Rounding,
}

/// Why there is no protected table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountFault {
    /// It has over [`CELLS_MAX`] cells, or too many of them are suppressed for one linear program.
    TooLarge,
    /// A floor below 2 or a base of 0 protects nothing.
    Protection,
}

impl std::fmt::Display for CountFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge => write!(f, "the table of counts has too many cells"),
            Self::Protection => write!(f, "the floor is below 2, or the base of rounding is 0"),
        }
    }
}

impl std::error::Error for CountFault {}

/// A table of counts that may leave.
#[expect(missing_debug_implementations, reason = "holds exact counts beside the released ones")]
pub struct Protected {
    exact: Vec<Option<u64>>,
    released: Vec<Option<u64>>,
    /// Cells and totals under the floor.
    pub small: usize,
    /// Cells and totals that were suppressed so that these stay hidden.
    pub complementary: usize,
}

impl Protected {
    /// A table in which just these cells are hidden: what a release without complementary suppression would be.
    #[cfg(test)]
    pub(crate) fn of(lines: &Lines, hidden: impl Fn(usize) -> bool) -> Self {
        let shown = |cell| (!hidden(cell)).then(|| lines.value(cell));
        let exact: Vec<Option<u64>> = (0..lines.cells()).map(shown).collect();
        Self { released: exact.clone(), exact, small: 0, complementary: 0 }
    }

    /// What is released of a cell; see [`Lines::cell`].
    pub fn released(&self, cell: usize) -> Option<u64> {
        self.released[cell]
    }

    /// What is released before rounding.
    pub(crate) fn exact(&self, cell: usize) -> Option<u64> {
        self.exact[cell]
    }

    /// A cell as a share of another in thousandths, from released values alone, so that it says nothing new.
    pub fn thousandths(&self, cell: usize, of: usize) -> Option<u64> {
        let (part, whole) = (self.released[cell]?, self.released[of]?);
        (part * 1_000 + whole / 2).checked_div(whole)
    }
}

/// Protects a table.
///
/// # Errors
///
/// A table that is too large, a protection that protects nothing.
///
/// Cost: a linear program for each suppressed small cell and round; rounds are at most the cells.
pub fn protect(cube: &Cube, protection: &Protection, seed: &Seed) -> Result<Protected, CountFault> {
    protect_from(cube, &[], protection, seed)
}

/// Protects a table also from readers who can subtract patients of their own: `others` is the table without those of one
/// reader each. What is hidden for one of them is hidden for all, which leaves every small count as many values or more.
///
/// # Errors
///
/// As [`protect`].
pub fn protect_from(
    cube: &Cube,
    others: &[Cube],
    protection: &Protection,
    seed: &Seed,
) -> Result<Protected, CountFault> {
    let base = match protection.rounding {
        Rounding::None => 1,
        Rounding::Nearest(base) | Rounding::Random(base) => base,
    };
    if protection.floor < 2 || base == 0 {
        return Err(CountFault::Protection);
    }
    if cube.sizes.iter().map(|size| size + 1).product::<usize>() > CELLS_MAX {
        return Err(CountFault::TooLarge);
    }
    let lines = Lines::of(cube);
    let mut hidden = vec![false; lines.cells()];
    for each in std::iter::once(cube).chain(others) {
        hide(&Lines::of(each), protection.floor, &mut hidden)?;
    }
    let exact: Vec<Option<u64>> =
        hidden.iter().enumerate().map(|(cell, hidden)| (!hidden).then(|| lines.value(cell))).collect();
    let mut dice = seed.dice(Purpose::Round, 0);
    let released = exact.iter().map(|value| {
        value.map(|value| match protection.rounding {
            Rounding::None => value,
            Rounding::Nearest(base) => (value + base / 2) / base * base,
            Rounding::Random(base) => {
                let over = value % base;
                value - over + if dice.below(base) < over { base } else { 0 }
            }
        })
    });
    let released = released.collect();
    let is_small = |cell: &usize| (1..protection.floor).contains(&lines.value(*cell));
    let small_count = (0..lines.cells()).filter(is_small).count();
    let complementary = hidden.iter().filter(|hidden| **hidden).count() - small_count;
    Ok(Protected { exact, released, small: small_count, complementary })
}

/// Hides small counts, and others until none of them is found out.
fn hide(lines: &Lines, floor: u64, hidden: &mut [bool]) -> Result<(), CountFault> {
    let small: Vec<bool> = (0..lines.cells()).map(|cell| (1..floor).contains(&lines.value(cell))).collect();
    hidden.iter_mut().zip(&small).for_each(|(hidden, small)| *hidden |= small);
    while let Some(cell) = found_out(lines, &small, hidden, floor)? {
        // What is found out although everything beside it is hidden cannot be: then nothing bounds it.
        let Some(next) = beside(lines, cell, hidden) else { break };
        hidden[next] = true;
    }
    Ok(())
}

/// A small cell for which fewer than `floor` values are left.
fn found_out(lines: &Lines, small: &[bool], hidden: &[bool], floor: u64) -> Result<Option<usize>, CountFault> {
    let open: Vec<usize> = (0..hidden.len()).filter(|cell| hidden[*cell]).collect();
    if open.len().saturating_mul(lines.lines().len()) > PROGRAM_MAX {
        return Err(CountFault::TooLarge);
    }
    let mut program = Program::new(lines, &open, |cell| lines.value(cell));
    let found = (0..open.len()).filter(|at| small[open[*at]]).find(|at| {
        let (low, high) = program.bounds(*at);
        high.is_some_and(|high| high - low < floor - 1)
    });
    Ok(found.map(|at| open[at]))
}

/// What is hidden next: in the line through the cell with the fewest hidden cells, the smallest count that is not zero; else
/// a zero; else the total; lines through hidden cells beside it after that.
fn beside(lines: &Lines, cell: usize, hidden: &[bool]) -> Option<usize> {
    let mut reached = vec![cell];
    let mut seen = vec![false; hidden.len()];
    seen[cell] = true;
    let mut at = 0;
    while at < reached.len() {
        let mut through: Vec<&Vec<usize>> = lines.through(reached[at]).collect();
        through.sort_by_key(|line| line.iter().filter(|cell| hidden[**cell]).count());
        for line in through {
            let (total, parts) = line.split_last()?;
            let shown = parts.iter().filter(|cell| !hidden[**cell]);
            let next = shown.min_by_key(|cell| (lines.value(**cell) == 0, lines.value(**cell)));
            if let Some(next) = next.or(Some(total).filter(|total| !hidden[**total])) {
                return Some(*next);
            }
            for next in line {
                if !seen[*next] {
                    seen[*next] = true;
                    reached.push(*next);
                }
            }
        }
        at += 1;
    }
    None
}
