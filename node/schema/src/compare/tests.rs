//! Sites that were made up from seeds: one that departs is found, and sites that do not are left alone.

use super::*;
use crate::bins::bin;
use crate::gate::{Histogram, Measured, TableProfile};

/// A seeded generator. Source: Vigna 2015, splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn uniform(&mut self) -> f64 {
        real(self.next() >> 11) / real(1 << 53)
    }

    /// Standard normal, by Box and Muller.
    fn normal(&mut self) -> f64 {
        let (u, v) = (1.0 - self.uniform(), self.uniform());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

/// What a made-up site's laboratory measures: concept, unit, mean, deviation.
const QUANTITIES: [(i64, i64, f64, f64); 5] =
    [(1, 101, 5.6, 1.2), (2, 102, 140.0, 4.0), (3, 103, 85.0, 30.0), (4, 104, 13.5, 1.8), (5, 105, 7.4, 0.06)];

struct Site {
    rows: u64,
    /// What each quantity's values are multiplied by, and in which unit they are said to be.
    factors: [f64; 5],
    units: [i64; 5],
    missing: f64,
}

impl Default for Site {
    fn default() -> Self {
        Self { rows: 400, factors: [1.0; 5], units: QUANTITIES.map(|(_, unit, _, _)| unit), missing: 0.2 }
    }
}

fn summary(name: &str, site: &Site, random: &mut Random) -> SiteSummary {
    let mut histograms = Vec::new();
    for (place, (concept, _, mean, deviation)) in QUANTITIES.into_iter().enumerate() {
        // Sites have other patients: means differ by a fifth of a deviation.
        let mean = mean + random.normal() * deviation * 0.2;
        let mut bins = BTreeMap::new();
        for _ in 0..site.rows {
            let value = (mean + random.normal() * deviation) * site.factors[place];
            *bins.entry(bin(value)).or_default() += 1;
        }
        let (field, unit) = ("value_as_number".to_owned(), site.units[place]);
        histograms.push(Histogram { field, concept, unit, bins });
    }
    let rows = site.rows * 5;
    let without =
        (0..rows).filter(|_| random.uniform() < site.missing + 0.03 * (random.uniform() - 0.5)).count() as u64;
    let missing = BTreeMap::from([("visit_occurrence_id".to_owned(), without), ("person_id".to_owned(), 0)]);
    let table = TableProfile {
        table: "measurement".to_owned(),
        rows,
        missing,
        day: None,
        months: BTreeMap::new(),
        far: 0,
        histograms,
        left_out: 0,
    };
    let schema = cohortium_protocol::digest::DocumentDigest([0; 32]);
    let measured = Measured { schema, vocabulary: None, measures: Vec::new(), tables: vec![table] };
    SiteSummary::new(name.parse().unwrap(), &measured)
}

/// Seven sites, the third of them as given.
fn seven(odd: &Site, seed: u64) -> Vec<SiteSummary> {
    let mut random = Random(seed);
    let plain = Site::default();
    (0..7).map(|place| summary(&format!("s{place}"), if place == 2 { odd } else { &plain }, &mut random)).collect()
}

fn accused(comparison: &Comparison) -> Vec<(String, &Departure)> {
    comparison.found.iter().map(|found| (found.site.to_string(), &found.departure)).collect()
}

#[test]
fn fewer_than_five_sites_are_not_compared() {
    let sites = seven(&Site::default(), 1);
    assert_eq!(compare(&sites[..4]), Err(TooFewSites { sites: 4, sites_min: 5 }));
    assert!(compare(&sites[..5]).is_ok());
    let twice = [&sites[..5], &sites[..1]].concat();
    assert!(compare(&twice).is_err(), "a site that stands there twice counts twice");
    let same = vec![sites[0].clone(); 5];
    assert_eq!(compare(&same), Err(TooFewSites { sites: 1, sites_min: 5 }));
}

#[test]
fn sites_that_do_not_depart_are_left_alone() {
    let mut alarms = 0;
    for seed in 0..200 {
        let comparison = compare(&seven(&Site::default(), seed)).unwrap();
        alarms += comparison.found.len();
    }
    println!("{alarms} false alarms in 200 comparisons of 7 sites, 5 quantities and 2 fields");
    assert_eq!(alarms, 0);
}

#[test]
fn milligrams_among_millimoles_are_found_whatever_they_are_called() {
    for seed in 0..50 {
        let factors = [18.016, 1.0, 1.0, 1.0, 1.0];
        let mislabelled = Site { factors, ..Site::default() };
        let comparison = compare(&seven(&mislabelled, seed)).unwrap();
        let found = accused(&comparison);
        let [(site, Departure::Distribution { of, unit: 101, distance })] = &found[..] else { panic!("{found:?}") };
        assert!(site == "s2" && of.concept == 1 && *distance > 95);
        let labelled = Site { units: [201, 102, 103, 104, 105], ..mislabelled };
        let comparison = compare(&seven(&labelled, seed)).unwrap();
        let found = accused(&comparison);
        let [(site, Departure::Units { of, units, here })] = &found[..] else { panic!("{found:?}") };
        assert!(site == "s2" && of.concept == 1 && *units == [201] && *here == Some(Percent(100)));
    }
}

#[test]
fn a_site_that_lacks_what_others_have_is_found() {
    for seed in 0..50 {
        let comparison = compare(&seven(&Site { missing: 0.6, ..Site::default() }, seed)).unwrap();
        let found = accused(&comparison);
        let [(site, Departure::Missing { field, here, elsewhere, .. })] = &found[..] else { panic!("{found:?}") };
        assert!(site == "s2" && field == "visit_occurrence_id");
        assert!(here.unwrap().0.abs_diff(60) <= 5 && elsewhere.unwrap().0.abs_diff(20) <= 3);
    }
}

#[test]
fn few_values_are_not_judged() {
    let few = |rows| Site { rows, factors: [18.016; 5], ..Site::default() };
    let found = |rows| compare(&seven(&few(rows), 3)).unwrap().found.len();
    assert_eq!(found(VALUES_MIN - 1), 0);
    assert_eq!(found(VALUES_MIN), 5);
}

#[test]
fn a_site_sees_itself_and_all_together_and_nobody_else() {
    let comparison = compare(&seven(&Site { factors: [18.016; 5], ..Site::default() }, 4)).unwrap();
    let operator = comparison.for_operator();
    assert_eq!((operator.sites.len(), operator.found.len()), (7, 5));
    let site = |name: &str| comparison.for_site(&name.parse().unwrap());
    assert_eq!(site("s2").unwrap().found.len(), 5);
    let other = site("s3").unwrap();
    assert!(other.found.is_empty());
    let text = serde_json::to_string(&other).unwrap();
    assert!(!text.contains("s2"), "another site is not named");
    assert!(site("s9").is_none());
    let pooled: Vec<i64> = operator.pooled.iter().map(|pooled| pooled.of.concept).collect();
    assert_eq!(pooled, [1, 2, 3, 4], "the fifth lies in one bin, which says nothing");
    for pooled in operator.pooled {
        assert!(pooled.bins.len() > 1 && pooled.bins.iter().all(|bin| bin.values >= COUNT_MIN));
        assert!(pooled.bins[0].from.is_none(), "the lowest value is not shown");
    }
}
