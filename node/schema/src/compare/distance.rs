//! How far a distribution lies from another, and how far a number from others.

use std::collections::{BTreeMap, BTreeSet};

use crate::fraction::share;

/// How many of the fixed bins are one here: the fewer bins, the less is chance. Four are about half as much again.
const BINS_AS_ONE: u16 = 4;

/// The part of the values in each bin.
pub(super) fn shares(bins: &BTreeMap<u16, u64>) -> BTreeMap<u16, f64> {
    let all = bins.values().sum();
    let mut shares = BTreeMap::new();
    for (bin, values) in bins {
        *shares.entry(bin / BINS_AS_ONE).or_insert(0.0) += share(*values, all);
    }
    shares
}

/// What is usual: bin by bin the median of the shares, scaled to 1 together. One site, however large or odd, does not
/// move it. Without a bin that half of them have there is nothing usual.
pub(super) fn usual(all: &[&BTreeMap<u16, f64>]) -> BTreeMap<u16, f64> {
    let bins: BTreeSet<u16> = all.iter().flat_map(|shares| shares.keys().copied()).collect();
    let in_bin = |bin: &u16| all.iter().map(|shares| shares.get(bin).copied().unwrap_or(0.0)).collect();
    let medians: Vec<(u16, f64)> = bins.into_iter().map(|bin| (bin, median(in_bin(&bin)))).collect();
    let sum: f64 = medians.iter().map(|(_, share)| share).sum();
    medians.into_iter().filter(|(_, share)| *share > 0.0).map(|(bin, share)| (bin, share / sum)).collect()
}

/// The Jensen-Shannon distance of two distributions: 0 equal, 1 without a common bin. The square root of the divergence
/// in bits. Source: Lin 1991, "Divergence measures based on the Shannon entropy"; Endres and Schindelin 2003 for the root.
pub(super) fn jensen_shannon(one: &BTreeMap<u16, f64>, other: &BTreeMap<u16, f64>) -> f64 {
    let part = |of: &BTreeMap<u16, f64>, bin: &u16| of.get(bin).copied().unwrap_or(0.0);
    let half = |p: f64, q: f64| if p > 0.0 { p * (2.0 * p / (p + q)).log2() / 2.0 } else { 0.0 };
    let all = one.keys().chain(other.keys().filter(|bin| !one.contains_key(*bin)));
    let divergence: f64 = all
        .map(|bin| {
            let (p, q) = (part(one, bin), part(other, bin));
            half(p, q) + half(q, p)
        })
        .sum();
    divergence.clamp(0.0, 1.0).sqrt()
}

/// The median and the median absolute deviation, scaled so that it estimates a standard deviation. Source: Iglewicz and
/// Hoaglin 1993, "How to detect and handle outliers", section 3. Of nothing: 0 and 0.
pub(super) fn median_and_deviation(values: &[f64]) -> (f64, f64) {
    let centre = median(values.to_vec());
    let deviations = values.iter().map(|value| (value - centre).abs()).collect();
    (centre, 1.4826 * median(deviations))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match (values.get(values.len().wrapping_sub(1) / 2), values.get(values.len() / 2)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shares of bins that are far enough apart to stay apart.
    fn parts(bins: &[(u16, u64)]) -> BTreeMap<u16, f64> {
        shares(&bins.iter().map(|(bin, values)| (bin * BINS_AS_ONE, *values)).collect())
    }

    #[test]
    fn the_distance_is_0_of_equal_and_1_of_disjoint_distributions() {
        let one = parts(&[(1, 10), (2, 30)]);
        assert!(jensen_shannon(&one, &parts(&[(1, 100), (2, 300)])) < 1e-6);
        assert!((jensen_shannon(&one, &parts(&[(3, 5)])) - 1.0).abs() < 1e-12);
        // Half and half against all in one: H(3/4, 1/4) - H(1/2, 1/2) / 2 = 0.811278 - 0.5 bits.
        let half = jensen_shannon(&parts(&[(1, 1), (2, 1)]), &parts(&[(1, 1)]));
        assert!((half * half - 0.311_278_124_459).abs() < 1e-9, "{half}");
        let back = jensen_shannon(&parts(&[(1, 1)]), &parts(&[(1, 1), (2, 1)]));
        assert!((half - back).abs() < 1e-12, "it is symmetric");
    }

    #[test]
    fn one_odd_site_does_not_move_what_is_usual() {
        let (a, b, odd) = (parts(&[(1, 50), (2, 50)]), parts(&[(1, 40), (2, 60)]), parts(&[(9, 1_000_000)]));
        let of_three = usual(&[&a, &b, &odd]);
        assert_eq!(of_three.keys().copied().collect::<Vec<_>>(), [1, 2]);
        assert!((of_three.values().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(usual(&[&parts(&[(1, 1)]), &parts(&[(2, 1)]), &parts(&[(3, 1)])]).is_empty());
        assert!((jensen_shannon(&a, &BTreeMap::new()) - 0.5_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn median_and_deviation_do_not_follow_one_outlier() {
        assert_eq!(median_and_deviation(&[1.0, 2.0, 3.0, 4.0, 1_000.0]), (3.0, 1.4826));
        assert_eq!(median_and_deviation(&[1.0, 3.0]), (2.0, 1.4826));
        assert_eq!(median_and_deviation(&[]), (0.0, 0.0));
    }
}
