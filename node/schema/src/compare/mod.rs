//! Comparing sites: whose units, missing values or distributions depart from those of the others.
//!
//! Law 8: at least five sites; counts under 11 are merged with their neighbours or not shown; no extremes; what was found
//! about a site is told to that site and the operator only. Most faults of this kind are found by nothing else (Pfaff
//! 2022, doi 10.1093/jamia/ocab217: 37 of 56 sites).

mod distance;
mod merged;
mod summary;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use cohortium_protocol::ident::Name;
use serde::Serialize;

use self::distance::{jensen_shannon, median_and_deviation, shares, usual};
pub use self::merged::{MergedBin, Percent};
use self::merged::{common_bins, shown_share};
pub use self::summary::{Quantity, SiteSummary};
use crate::fraction::{real, share};

/// Sites that a comparison needs, of the whole and of each thing compared (law 8).
pub const SITES_MIN: usize = 5;
/// The least count that is shown (law 6).
pub const COUNT_MIN: u64 = 11;
/// Values that a site needs before its distribution is compared: fewer depart by chance.
const VALUES_MIN: u64 = 50;
/// How many deviations away is far. Source: Iglewicz and Hoaglin 1993.
const DEVIATIONS_MAX: f64 = 3.5;
/// Shares of missing values that differ by less are not worth a word.
const MISSING_DIFFERENCE_MIN: f64 = 0.1;
/// Distances of distributions that are smaller are a matter of patients: normal distributions that are half a
/// standard deviation apart are at 0.21, one at 0.40, two at 0.70. Units that are mistaken for one another are near 1.
const DISTANCE_MIN: f64 = 0.4;
/// The part of a site's values in units of its own from which these are departing.
const UNIT_SHARE_MIN: f64 = 0.05;

/// What departs at a site.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Departure {
    /// A field has many more or many fewer missing values.
    Missing {
        /// The table.
        table: String,
        /// The field.
        field: String,
        /// Of the site.
        here: Option<Percent>,
        /// Of all others together.
        elsewhere: Option<Percent>,
    },
    /// A quantity is in units that hardly anybody else has.
    Units {
        /// What is measured.
        of: Quantity,
        /// The units, by concept; 0 is none.
        units: Vec<i64>,
        /// The part of the site's values.
        here: Option<Percent>,
    },
    /// Values of a quantity in one unit are distributed in another way.
    Distribution {
        /// What is measured.
        of: Quantity,
        /// The unit's concept; 0 is none.
        unit: i64,
        /// The Jensen-Shannon distance to what is usual at the others, in hundredths.
        distance: u8,
    },
}

/// What departs, and where.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Accusation {
    /// The site.
    pub site: Name,
    /// What departs there.
    pub departure: Departure,
}

/// A quantity over all sites together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pooled {
    /// What is measured.
    pub of: Quantity,
    /// The unit's concept; 0 is none.
    pub unit: i64,
    /// Values in merged bins: no count under 11 stands in it or follows from it and one site's own.
    pub bins: Vec<MergedBin>,
}

/// A comparison of at least five sites.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    sites: BTreeSet<Name>,
    found: Vec<Accusation>,
    pooled: Vec<Pooled>,
}

/// What the operator sees.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ForOperator<'a> {
    /// The sites.
    pub sites: &'a BTreeSet<Name>,
    /// Everything that departs.
    pub found: &'a [Accusation],
    /// All sites together.
    pub pooled: &'a [Pooled],
}

/// What one site sees: itself and all together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ForSite<'a> {
    /// How many sites there are.
    pub sites: usize,
    /// What departs at this site.
    pub found: Vec<&'a Departure>,
    /// All sites together.
    pub pooled: &'a [Pooled],
}

impl Comparison {
    /// What the operator sees.
    pub fn for_operator(&self) -> ForOperator<'_> {
        ForOperator { sites: &self.sites, found: &self.found, pooled: &self.pooled }
    }

    /// What one of the sites sees. Nothing for a name that is not among them.
    pub fn for_site(&self, site: &Name) -> Option<ForSite<'_>> {
        self.sites.contains(site).then(|| {
            let found = self.found.iter().filter(|found| found.site == *site).map(|found| &found.departure);
            ForSite { sites: self.sites.len(), found: found.collect(), pooled: &self.pooled }
        })
    }
}

/// Compares sites.
///
/// # Errors
/// [`TooFewSites`]: fewer than five different ones.
pub fn compare(sites: &[SiteSummary]) -> Result<Comparison, TooFewSites> {
    let names: BTreeSet<Name> = sites.iter().map(|site| site.site.clone()).collect();
    if names.len() < SITES_MIN || names.len() < sites.len() {
        return Err(TooFewSites { sites: names.len(), sites_min: SITES_MIN });
    }
    let mut found = missing(sites);
    let mut pooled = Vec::new();
    let quantities: BTreeSet<&Quantity> = sites.iter().flat_map(|site| site.values.keys()).collect();
    for quantity in quantities {
        let with: Vec<(&Name, &Units)> =
            sites.iter().filter_map(|site| Some((&site.site, site.values.get(quantity)?))).collect();
        if with.len() >= SITES_MIN {
            found.extend(units(quantity, &with));
        }
        let all_units: BTreeSet<i64> = with.iter().flat_map(|(_, units)| units.keys().copied()).collect();
        for unit in all_units {
            let with: Vec<(&Name, &Bins)> =
                with.iter().filter_map(|(site, units)| Some((*site, units.get(&unit)?))).collect();
            if with.len() >= SITES_MIN {
                found.extend(distribution(quantity, unit, &with));
                let bins: Vec<&Bins> = with.iter().map(|(_, bins)| *bins).collect();
                pooled.push(Pooled { of: quantity.clone(), unit, bins: common_bins(&bins) });
            }
        }
    }
    found.sort_by(|a, b| a.site.cmp(&b.site));
    pooled.retain(|pooled| !pooled.bins.is_empty());
    Ok(Comparison { sites: names, found, pooled })
}

type Bins = BTreeMap<u16, u64>;
type Units = BTreeMap<i64, Bins>;
type Shares = BTreeMap<u16, f64>;

/// Fields of which a site lacks a share that departs: by robust deviations, in which the site's own sampling error and a
/// least spread are counted, so that sites that all but agree accuse nobody.
fn missing(sites: &[SiteSummary]) -> Vec<Accusation> {
    let fields: BTreeSet<&(String, String)> = sites.iter().flat_map(|site| site.missing.keys()).collect();
    let mut found = Vec::new();
    for place in fields {
        let with = sites.iter().filter_map(|site| Some((&site.site, *site.missing.get(place)?)));
        let with: Vec<(&Name, (u64, u64))> = with.filter(|(_, (_, rows))| *rows >= VALUES_MIN).collect();
        if with.len() < SITES_MIN {
            continue;
        }
        let shares: Vec<f64> = with.iter().map(|(_, (without, rows))| share(*without, *rows)).collect();
        let (centre, spread) = median_and_deviation(&shares);
        let sums = with.iter().fold((0, 0), |sum, (_, (without, rows))| (sum.0 + without, sum.1 + rows));
        for ((site, (without, rows)), here) in with.iter().zip(&shares) {
            let sampling = (centre * (1.0 - centre) / real(*rows)).sqrt();
            let far = DEVIATIONS_MAX * spread.hypot(sampling);
            if (here - centre).abs() > far.max(MISSING_DIFFERENCE_MIN) {
                let here = shown_share(*without, *rows);
                let elsewhere = shown_share(sums.0 - without, sums.1 - rows);
                let (table, field) = place.clone();
                let departure = Departure::Missing { table, field, here, elsewhere };
                found.push(Accusation { site: (*site).clone(), departure });
            }
        }
    }
    found
}

/// Sites that have a quantity in units that less than half of the other sites have at all.
fn units(quantity: &Quantity, with: &[(&Name, &Units)]) -> Vec<Accusation> {
    let rows = |bins: &Bins| bins.values().sum::<u64>();
    let has = |units: &Units, unit: i64| {
        let all: u64 = units.values().map(rows).sum();
        share(units.get(&unit).map_or(0, rows), all) >= UNIT_SHARE_MIN
    };
    let mut found = Vec::new();
    for (site, here) in with {
        let all: u64 = here.values().map(rows).sum();
        let alone = |unit: &i64| {
            let others = with.iter().filter(|(other, _)| other != site);
            2 * others.filter(|(_, units)| has(units, *unit)).count() < with.len() - 1
        };
        let own: Vec<i64> = here.keys().copied().filter(|unit| has(here, *unit)).filter(alone).collect();
        let in_them: u64 = own.iter().filter_map(|unit| here.get(unit)).map(rows).sum();
        if !own.is_empty() && in_them >= COUNT_MIN {
            let here = shown_share(in_them, all);
            let departure = Departure::Units { of: quantity.clone(), units: own, here };
            found.push(Accusation { site: (*site).clone(), departure });
        }
    }
    found
}

/// Sites whose values lie far from what is usual elsewhere: far in themselves, and farther than sites lie from one
/// another.
fn distribution(quantity: &Quantity, unit: i64, with: &[(&Name, &Bins)]) -> Vec<Accusation> {
    let enough = with.iter().filter(|(_, bins)| bins.values().sum::<u64>() >= VALUES_MIN);
    let enough: Vec<(&Name, Shares)> = enough.map(|(site, bins)| (*site, shares(bins))).collect();
    if enough.len() < SITES_MIN {
        return Vec::new();
    }
    let distance = |(site, own): &(&Name, Shares)| {
        let others: Vec<&Shares> = enough.iter().filter(|(other, _)| other != site).map(|(_, shares)| shares).collect();
        jensen_shannon(own, &usual(&others))
    };
    let distances: Vec<f64> = enough.iter().map(distance).collect();
    let (centre, spread) = median_and_deviation(&distances);
    let far = (centre + DEVIATIONS_MAX * spread).max(DISTANCE_MIN);
    let departing = enough.iter().zip(&distances).filter(|(_, distance)| **distance > far);
    departing
        .map(|((site, _), distance)| {
            let departure = Departure::Distribution { of: quantity.clone(), unit, distance: hundredths(*distance) };
            Accusation { site: (*site).clone(), departure }
        })
        .collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a distance is 0 to 1")]
fn hundredths(distance: f64) -> u8 {
    (distance.clamp(0.0, 1.0) * 100.0).round() as u8
}

/// Too few sites to compare, or one of them twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooFewSites {
    /// How many different ones there are.
    pub sites: usize,
    /// How many there must be.
    pub sites_min: usize,
}

impl fmt::Display for TooFewSites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a comparison needs {} different sites, each once; there are {}", self.sites_min, self.sites)
    }
}

impl std::error::Error for TooFewSites {}
