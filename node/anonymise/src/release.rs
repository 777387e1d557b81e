//! One job from table to recoding and report: the mode that was asked for, what it cost, and what the attacks found.

use crate::attack::{self, Finding};
use crate::lattice::{FullDomain, LatticeFault, Optimality, full_domain};
use crate::local::{Local, local};
use crate::loss::Losses;
use crate::model::{Judge, ModelFault, Models};
use crate::recoding::Recoding;
use crate::resistant::{Resistance, resistant};
use crate::seed::Seed;
use crate::table::Table;

/// How a table is recoded.
#[derive(Clone, Debug)]
pub enum Mode {
    /// The default: choices that attacks on minimal recodings cannot undo.
    Resistant(Models, Resistance),
    /// A partition as fine as the models allow.
    Local(Local),
    /// One level a column for all rows.
    FullDomain(FullDomain),
}

impl Mode {
    /// The default mode with its default parameters.
    pub fn default_for(models: Models) -> Self {
        Self::Resistant(models, Resistance::default())
    }

    /// What every class must satisfy.
    pub fn models(&self) -> &Models {
        match self {
            Self::Resistant(models, _) => models,
            Self::Local(local) => &local.models,
            Self::FullDomain(full) => &full.models,
        }
    }
}

/// What a job is told to look at once the recoding is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attacks {
    /// All that need no more than the table: the others are functions of [`crate::attack`].
    Run,
    /// None.
    Skip,
}

/// What is said of a recoding: to the privacy officer in full, in the statement as the charter allows.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Rows of the table.
    pub rows: usize,
    /// The measures.
    pub losses: Losses,
    /// How sure a full-domain search is; nothing for other modes.
    pub optimality: Option<Optimality>,
    /// The levels of a full-domain search.
    pub levels: Option<Vec<usize>>,
    /// What each attack found.
    pub findings: Vec<Finding>,
}

/// Runs a job.
///
/// # Errors
///
/// Models that do not fit the table, or a full-domain search that cannot be.
pub fn anonymise(
    table: &Table,
    mode: &Mode,
    attacks: Attacks,
    seed: &Seed,
) -> Result<(Recoding, Report), LatticeFault> {
    let (recoding, optimality, levels) = match mode {
        Mode::Resistant(models, resistance) => {
            (resistant(table, models, resistance, seed).map_err(LatticeFault::Model)?, None, None)
        }
        Mode::Local(asked) => (local(table, asked).map_err(LatticeFault::Model)?, None, None),
        Mode::FullDomain(asked) => {
            let found = full_domain(table, asked)?;
            (found.recoding, Some(found.optimality), found.levels)
        }
    };
    let findings = match attacks {
        Attacks::Run => attacked(table, &recoding, mode.models()).map_err(LatticeFault::Model)?,
        Attacks::Skip => Vec::new(),
    };
    let losses = Losses::of(table, &recoding);
    Ok((recoding, Report { rows: table.rows, losses, optimality, levels, findings }))
}

/// How much more frequent than in the release a value must be for a class to count as skewed.
const SKEW_FACTOR: f64 = 3.0;

/// Every attack that needs nothing beside the table and its recoding.
///
/// # Errors
///
/// Models that do not fit the table.
pub fn attacked(table: &Table, recoding: &Recoding, models: &Models) -> Result<Vec<Finding>, ModelFault> {
    let judge = Judge::new(table, models)?;
    let mut findings = vec![attack::downcoding(table, recoding), attack::greedy_choices(table, recoding)];
    for column in 0..table.sensitive.len() {
        findings.push(attack::homogeneity(table, recoding, column));
        findings.push(attack::skewness(table, recoding, column, SKEW_FACTOR));
        findings.push(attack::background(table, recoding, column, 1));
        findings.push(attack::minimality(table, recoding, &judge, column));
    }
    Ok(findings)
}
