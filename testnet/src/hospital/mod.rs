//! Seeded hospitals: the same plan gives the same bytes. Patients, encounters, laboratory values, vital signs and
//! diagnoses at several sites, each with its own way of writing, some patients at more than one, some cells dirty.
//!
//! Nothing here is a real person. Whatever points at a person carries a canary: a value that no node may ever write.

use std::fmt;

use serde::{Deserialize, Serialize};

mod calendar;
mod change;
mod clinic;
mod column;
pub mod corrupt;
mod dialect;
mod due;
mod files;
pub mod mapping;
mod names;
mod person;
pub mod public;
mod random;
mod row;
mod site;
mod truth;
mod world;

pub use change::{DayOfChange, TableChange};
pub use column::{Class, Column, LinkageField, TableKind};
pub use dialect::{
    ConcentrationUnit, DateStyle, DiagnosisSystem, Dialect, LineEnd, Mark, NameStyle, Notes, Quoting, TemperatureUnit,
};
pub use due::{Due, Loss};
pub use files::Written;
pub use person::Fault;
pub use row::{Row, Rows};
pub use site::{Dirt, DirtyCell, Site, SiteTable};
pub use truth::{Link, Registered, Truth};

use world::World;

/// Fewest and most sites.
pub const SITES: [u64; 2] = [2, 500];
/// Fewest and most encounters a site.
pub const ROWS_PER_SITE: [u64; 2] = [20, 100_000_000];
/// Most (sites x sites x rows per site): beyond it the ten digits of telephone canaries could run out.
pub const POPULATION_MAX: u64 = 10_000_000_000;
/// Most per cent of persons at two or more sites.
pub const SHARED_PERCENT_MAX: u64 = 40;
/// Most thousandths of patients or encounters with a dirty cell.
pub const DIRTY_PER_MILLE_MAX: u64 = 100;

/// What to generate. Shares are rounded down to whole persons or rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Everything follows from it.
    pub seed: u64,
    /// Number of hospitals.
    pub sites: u64,
    /// Encounters of each hospital. Its own patients are half as many, those of other sites come on top; laboratory
    /// values are about eleven times as many.
    pub rows_per_site: u64,
    /// Per cent of the population that two sites see (one in seven of them: three sites).
    pub shared_percent: u64,
    /// Per cent of the shared persons whose name or birth date one of their sites has wrong.
    pub faulty_percent: u64,
    /// In each table, thousandths of the patients (`patients.csv`) or encounters (the others) with one dirty cell.
    pub dirty_per_mille: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { seed: 1, sites: 5, rows_per_site: 2_000, shared_percent: 12, faulty_percent: 15, dirty_per_mille: 10 }
    }
}

/// Why a plan cannot be generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanError {
    /// The number of sites is not within `SITES`.
    Sites,
    /// The rows a site are not within `ROWS_PER_SITE`.
    RowsPerSite,
    /// More sites and rows together than `POPULATION_MAX`.
    Population,
    /// More shared persons than `SHARED_PERCENT_MAX`.
    SharedPercent,
    /// More than all shared persons are wrong.
    FaultyPercent,
    /// More dirty cells than `DIRTY_PER_MILLE_MAX`.
    DirtyPerMille,
    /// Chance sent so many shared persons to a small site that it has fewer encounters than patients.
    MoreVisitorsThanRows {
        /// From 0.
        site: u64,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sites => write!(f, "the number of sites is not within {} to {}", SITES[0], SITES[1]),
            Self::RowsPerSite => {
                write!(f, "the rows of a site are not within {} to {}", ROWS_PER_SITE[0], ROWS_PER_SITE[1])
            }
            Self::Population => write!(f, "sites x sites x rows is above {POPULATION_MAX}"),
            Self::SharedPercent => write!(f, "more than {SHARED_PERCENT_MAX} per cent of shared persons"),
            Self::FaultyPercent => write!(f, "more than 100 per cent of the shared persons with a fault"),
            Self::DirtyPerMille => write!(f, "more than {DIRTY_PER_MILLE_MAX} thousandths of dirty cells"),
            Self::MoreVisitorsThanRows { site } => {
                write!(f, "site {site} has more patients than encounters: take more rows or share fewer persons")
            }
        }
    }
}

impl std::error::Error for PlanError {}

impl Plan {
    fn check(&self) -> Result<(), PlanError> {
        let within = |value: u64, [low, high]: [u64; 2]| (low..=high).contains(&value);
        let together = self.sites.saturating_mul(self.sites).saturating_mul(self.rows_per_site);
        let rules = [
            (within(self.sites, SITES), PlanError::Sites),
            (within(self.rows_per_site, ROWS_PER_SITE), PlanError::RowsPerSite),
            (together <= POPULATION_MAX, PlanError::Population),
            (self.shared_percent <= SHARED_PERCENT_MAX, PlanError::SharedPercent),
            (self.faulty_percent <= 100, PlanError::FaultyPercent),
            (self.dirty_per_mille <= DIRTY_PER_MILLE_MAX, PlanError::DirtyPerMille),
        ];
        rules.into_iter().find(|(held, _)| !held).map_or(Ok(()), |(_, error)| Err(error))
    }

    fn home_patients(&self) -> u64 {
        self.rows_per_site / 2
    }

    fn persons(&self) -> u64 {
        self.sites * self.home_patients()
    }

    fn shared_persons(&self) -> u64 {
        self.persons() * self.shared_percent / 100
    }

    fn faulty_persons(&self) -> u64 {
        self.shared_persons() * self.faulty_percent / 100
    }
}

/// The generated hospitals and the truth about them.
#[derive(Debug, Clone)]
pub struct Consortium {
    /// In order of their names.
    pub sites: Vec<Site>,
    /// For evaluation only.
    pub truth: Truth,
}

impl Consortium {
    /// All canary values of all sites as first written: none may be in anything that a node wrote outside its member.
    pub fn canaries(&self) -> impl Iterator<Item = String> + '_ {
        self.sites.iter().flat_map(Site::canaries)
    }
}

/// Prepares the hospitals of a plan. Rows are made when they are read or written; what is kept is eight bytes for each
/// patient that a site shares.
///
/// # Errors
/// A plan outside its bounds.
pub fn generate(plan: &Plan) -> Result<Consortium, PlanError> {
    plan.check()?;
    let world = World::new(*plan);
    let mut visitors = vec![Vec::new(); random::index(plan.sites)];
    for person in world.shared_persons() {
        for site in world.sites_of(person).into_iter().skip(1) {
            visitors[random::index(site)].push(person);
        }
    }
    let numbered = (0..plan.sites).zip(visitors);
    let sites = numbered.map(|(number, guests)| Site::new(&world, number, guests)).collect::<Result<Vec<_>, _>>()?;
    let truth = Truth {
        persons: plan.persons(),
        shared_persons: plan.shared_persons(),
        faulty_persons: plan.faulty_persons(),
        sites: sites.clone(),
    };
    Ok(Consortium { sites, truth })
}

#[cfg(test)]
mod tests;
