//! Which leaf a cell is: by its label, by its place on a grid of numbers, or by its day.

use std::collections::HashMap;

/// A cell of a quasi-identifier as it stands in a table.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "holds a cell")]
pub enum Cell<'a> {
    /// A text.
    Text(&'a str),
    /// A whole number.
    Whole(i64),
    /// Any other number.
    Real(f64),
    /// A day, counted from 1970-01-01.
    Day(i32),
}

#[derive(Clone, Debug)]
pub(super) enum Lookup {
    /// Texts are looked up as they are, whole numbers as they are written.
    Labels(HashMap<String, u32>),
    /// Numbers, in steps from a lower bound; what lies outside counts as the outermost leaf.
    Grid { lower: f64, unit: f64, leaves: u32 },
    /// Days from a first one.
    Days { first: i32, leaves: u32 },
}

impl Lookup {
    pub(super) fn leaf(&self, cell: Cell<'_>) -> Option<u32> {
        match (self, cell) {
            (Self::Labels(leaves), Cell::Text(text)) => leaves.get(text).copied(),
            (Self::Labels(leaves), Cell::Whole(number)) => leaves.get(number.to_string().as_str()).copied(),
            (Self::Grid { .. }, Cell::Whole(number)) => self.leaf(Cell::Real(number as f64)),
            (Self::Grid { lower, unit, leaves }, Cell::Real(number)) => on_grid(number, *lower, *unit, *leaves),
            (Self::Grid { .. }, Cell::Text(text)) => self.leaf(Cell::Real(text.trim().parse().ok()?)),
            (Self::Days { first, leaves }, Cell::Day(day)) => {
                u32::try_from(day.checked_sub(*first)?).ok().filter(|leaf| leaf < leaves)
            }
            (Self::Labels(_), Cell::Real(_) | Cell::Day(_))
            | (Self::Grid { .. }, Cell::Day(_))
            | (Self::Days { .. }, Cell::Text(_) | Cell::Whole(_) | Cell::Real(_)) => None,
        }
    }
}

/// The step of a finite number: a grid says how precisely a number is told, and its ends are bottom and top codes.
fn on_grid(number: f64, lower: f64, unit: f64, leaves: u32) -> Option<u32> {
    if !number.is_finite() {
        return None;
    }
    let step = ((number - lower) / unit).floor().clamp(0.0, f64::from(leaves - 1));
    Some(step as u32)
}
