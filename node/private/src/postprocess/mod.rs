//! What is done to noised numbers after they are drawn, at no cost: parts add up and nothing is negative, with the error carried along.

mod shrink;
pub mod nonnegative;
pub mod tree;

/// An estimate and the interval around it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// The value.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Cell {
    /// A count: the interval of the noise around what was measured, without what a count cannot be, and wide enough to hold the value
    /// that post-processing gave. What is taken away holds no exact value, so the interval holds one as often as before.
    pub fn of_count(value: f64, measured: f64, half_width: f64) -> Self {
        let (low, high) = ((measured - half_width).max(0.0), (measured + half_width).max(0.0));
        Self { value, low: low.min(value), high: high.max(value) }
    }
}
