//! Counts as real numbers, and shares of counts.

/// A count as a real number.
#[expect(clippy::cast_precision_loss, reason = "counts of rows stay far below 2^53")]
pub(crate) fn real(count: u64) -> f64 {
    count as f64
}

/// Which part of a whole, 0 to 1; of nothing, 0.
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { real(part) / real(whole) }
}
