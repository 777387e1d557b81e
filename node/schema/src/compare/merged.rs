//! What of counts is shown: in bins of at least 11, open at both ends, and shares in whole per cent.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::COUNT_MIN;
use crate::bins::label;

/// A whole number of per cent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Percent(pub u8);

/// Several of the fixed bins as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MergedBin {
    /// Where it begins. The first has no beginning.
    pub from: Option<String>,
    /// Values in it, rounded down to a multiple of 11.
    pub values: u64,
}

/// The bins of all sites together, merged from the left until each holds at least 11 values of all sites but any one:
/// whoever subtracts its own finds no smaller count. The last has no end. Fewer than two are none. Counts are rounded.
pub(super) fn common_bins(sites: &[&BTreeMap<u16, u64>]) -> Vec<MergedBin> {
    let places: BTreeSet<u16> = sites.iter().flat_map(|bins| bins.keys().copied()).collect();
    let mut merged: Vec<(u16, Vec<u64>)> = Vec::new();
    let mut open: Option<(u16, Vec<u64>)> = None;
    let enough = |counts: &[u64]| {
        let all: u64 = counts.iter().sum();
        counts.iter().all(|own| all - own >= COUNT_MIN)
    };
    for place in places {
        let here: Vec<u64> = sites.iter().map(|bins| bins.get(&place).copied().unwrap_or(0)).collect();
        let (from, counts) = match open.take() {
            None => (place, here),
            Some((from, counts)) => (from, add(&counts, &here)),
        };
        if enough(&counts) {
            merged.push((from, counts));
        } else {
            open = Some((from, counts));
        }
    }
    if let (Some((_, rest)), Some((_, last))) = (open, merged.last_mut()) {
        *last = add(last, &rest);
    }
    if merged.len() < 2 {
        return Vec::new();
    }
    let shown = |(place, (from, counts)): (usize, &(u16, Vec<u64>))| {
        let values: u64 = counts.iter().sum();
        MergedBin { from: (place > 0).then(|| label(*from)), values: values - values % COUNT_MIN }
    };
    merged.iter().enumerate().map(shown).collect()
}

fn add(one: &[u64], other: &[u64]) -> Vec<u64> {
    one.iter().zip(other).map(|(a, b)| a + b).collect()
}

/// A share in whole per cent, unless it or what it leaves is a count of 1 to 10. Nothing and all are told: nobody is in
/// the one, and nobody is left out of the other.
pub(super) fn shown_share(part: u64, whole: u64) -> Option<Percent> {
    let small = |count: u64| (1..COUNT_MIN).contains(&count);
    let percent = part.checked_mul(100)?.checked_add(whole / 2)?.checked_div(whole)?;
    if small(part) || small(whole - part) { None } else { u8::try_from(percent).ok().map(Percent) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(bins: &[(u16, u64)]) -> BTreeMap<u16, u64> {
        bins.iter().copied().collect()
    }

    #[test]
    fn whoever_subtracts_its_own_finds_no_small_count() {
        let sites = [
            site(&[(10, 40), (11, 3), (12, 40), (15, 1)]),
            site(&[(10, 6), (11, 40), (13, 40)]),
            site(&[(10, 5), (12, 30), (13, 40), (14, 2)]),
        ];
        let sites: Vec<&BTreeMap<u16, u64>> = sites.iter().collect();
        let bins = common_bins(&sites);
        // Bin 10 without the first site holds 11; bin 11 without the second 3, so that it goes with 12.
        let shown: Vec<_> = bins.iter().map(|bin| (bin.from.clone(), bin.values)).collect();
        assert_eq!(shown, [(None, 44), (Some(label(11)), 110), (Some(label(13)), 77)]);
        let fewer = [site(&[(10, 40), (12, 40)]), site(&[(10, 5), (12, 40)]), site(&[(10, 5), (12, 40)])];
        let fewer: Vec<&BTreeMap<u16, u64>> = fewer.iter().collect();
        assert_eq!(common_bins(&fewer), [], "10 of two sites are less than 11, and one bin alone says nothing");
    }

    #[test]
    fn a_share_of_few_is_not_shown() {
        let cases = [(0, 100, Some(0)), (1, 100, None), (10, 100, None), (11, 100, Some(11)), (100, 100, Some(100))];
        for (part, whole, shown) in cases {
            assert_eq!(shown_share(part, whole), shown.map(Percent), "{part}");
        }
        assert_eq!((shown_share(90, 100), shown_share(89, 100)), (None, Some(Percent(89))));
        assert_eq!(shown_share(0, 0), None);
    }
}
