//! Fixed bins for quantities of any size: the same for everybody, so that no bin tells what was observed.
//!
//! Twenty bins a decade at the preferred numbers of ISO 3, series R20: neighbours differ by about an eighth, much less
//! than any pair of units that are mistaken for one another.

use std::sync::LazyLock;

/// ISO 3, series R20, in hundredths.
const R20: [u16; 20] =
    [100, 112, 125, 140, 160, 180, 200, 224, 250, 280, 315, 355, 400, 450, 500, 560, 630, 710, 800, 900];
/// The first decade: a millionth.
const DECADE_FIRST: i32 = -6;
/// How many decades have bins: up to a thousand million.
const DECADES: i32 = 15;

/// Lower edges of the bins of positive quantities, and the last one's upper edge.
static EDGES: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let edge = |decade: i32, step: u16| format!("{step}e{}", decade - 2).parse().unwrap_or(f64::INFINITY);
    let decades = DECADE_FIRST..DECADE_FIRST + DECADES;
    let edges = decades.flat_map(|decade| R20.iter().map(move |step| edge(decade, *step)));
    edges.chain([edge(DECADE_FIRST + DECADES, 100)]).collect()
});

/// The number of bins: below zero, zero, too small, the bins between two edges, too large, not a number.
pub const BINS: usize = 3 + 20 * 15 + 2;
const NEGATIVE: u16 = 0;
const ZERO: u16 = 1;
const NOT_A_NUMBER: u16 = 3 + 20 * 15 + 1;

/// The bin of a quantity.
pub fn bin(value: f64) -> u16 {
    if value.is_nan() {
        NOT_A_NUMBER
    } else if value < 0.0 {
        NEGATIVE
    } else if value == 0.0 {
        ZERO
    } else {
        let below = EDGES.partition_point(|edge| *edge <= value);
        u16::try_from(below).map_or(NOT_A_NUMBER, |below| 2 + below)
    }
}

/// What a bin is called: its lower edge, or what it holds.
pub fn label(bin: u16) -> String {
    let edge = usize::from(bin).checked_sub(3).and_then(|place| EDGES.get(place));
    match (bin, edge) {
        (NEGATIVE, _) => "below 0".to_owned(),
        (ZERO, _) => "0".to_owned(),
        (2, _) => "above 0".to_owned(),
        (NOT_A_NUMBER, _) | (_, None) => "not a number".to_owned(),
        (_, Some(edge)) => format!("from {edge}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_in_the_bin_that_begins_at_or_below_it() {
        assert_eq!(EDGES.len(), 301);
        assert!(EDGES.windows(2).all(|pair| pair[0] < pair[1] && pair[1] / pair[0] < 1.15));
        let label_of = |value| label(bin(value));
        assert_eq!(label_of(5.0), "from 5");
        assert_eq!(label_of(5.0_f64.next_down()), "from 4.5");
        assert_eq!(label_of(5.59), "from 5");
        assert_eq!(label_of(140.0), "from 140");
        assert_eq!(label_of(-0.0), "0");
        assert_eq!(label_of(-1e300), "below 0");
        assert_eq!((label_of(1e-7), label_of(1e-6), label_of(1e-6_f64.next_down())), {
            ("above 0".to_owned(), "from 0.000001".to_owned(), "above 0".to_owned())
        });
        assert_eq!(label_of(1e9), "from 1000000000");
        assert_eq!((bin(1e9), bin(f64::INFINITY), bin(f64::MAX)), (303, 303, 303));
        assert_eq!(bin(1e9_f64.next_down()), 302);
        assert_eq!((bin(f64::NAN), usize::from(bin(f64::NAN)) + 1), (304, BINS));
        assert_eq!(label_of(f64::NAN), "not a number");
    }

    #[test]
    fn units_that_are_taken_for_one_another_are_bins_apart() {
        for (value, factor) in [(5.5, 18.02), (37.0, 2.66), (70.0, 2.2), (1.75, 100.0)] {
            assert!(bin(value * factor) - bin(value) >= 6);
        }
    }
}
