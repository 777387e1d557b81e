//! What was measured, judged against thresholds: pass, pass with failures, or fail.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use cohortium_protocol::digest::{DocumentDigest, sha256_for};
use cohortium_protocol::ident::{Name, Text};
use cohortium_protocol::record::allowance::Allowance;
use serde::Serialize;

use super::check::{Severity, TABLE_PRESENT, is_threshold};
use super::measured::{Count, Measured, Unfit};
use super::page;
use super::profile::TableProfile;
use crate::fraction::real;
use crate::limits::SCHEMA_BYTES_MAX;

/// Thresholds that somebody has set beside those of the list, by id of a check or by name of its kind, in per cent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Thresholds(BTreeMap<String, f64>);

impl Thresholds {
    /// Reads `name = per cent` or `id = per cent`, a line each, in TOML.
    ///
    /// # Errors
    /// [`ThresholdFault`].
    pub fn parse(text: &str) -> Result<Self, ThresholdFault> {
        if text.len() > SCHEMA_BYTES_MAX {
            return Err(ThresholdFault::TooLong { bytes_max: SCHEMA_BYTES_MAX });
        }
        let set: BTreeMap<String, f64> = toml::from_str(text).map_err(|error| ThresholdFault::Syntax {
            line: error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1),
        })?;
        match set.iter().find(|(_, value)| !is_threshold(**value)) {
            Some((check, _)) => Err(ThresholdFault::Range { check: check.clone() }),
            None => Ok(Self(set)),
        }
    }

    /// Those in thousandths, as orders have them.
    ///
    /// # Errors
    /// [`ThresholdFault::Range`]: one is over 1,000.
    pub fn per_mille(set: impl IntoIterator<Item = (String, u16)>) -> Result<Self, ThresholdFault> {
        let checked = set.into_iter().map(|(check, borne)| {
            let value = f64::from(borne) / 10.0;
            if is_threshold(value) { Ok((check, value)) } else { Err(ThresholdFault::Range { check }) }
        });
        Ok(Self(checked.collect::<Result<_, _>>()?))
    }

    /// As an allowance states them.
    fn stated(set: &BTreeMap<Text, u16>) -> Self {
        Self(set.iter().map(|(check, borne)| (check.to_string(), f64::from(*borne) / 10.0)).collect())
    }

    /// The threshold of a check: its own, else its kind's.
    fn of(&self, id: &str, name: &str) -> Option<f64> {
        self.0.get(id).or_else(|| self.0.get(name)).copied()
    }
}

/// What became of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is within its threshold.
    Pass,
    /// It is beyond its threshold.
    Fail,
    /// There was nothing to check.
    NotApplicable,
    /// It could not be checked.
    Error,
}

/// What became of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    /// Nothing failed.
    Pass,
    /// Something failed, and nothing fatal.
    PassWithFailures,
    /// Something fatal failed, or could not be checked.
    Fail,
}

/// One check, judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The check.
    pub id: String,
    /// Its kind's name.
    pub name: String,
    /// The table.
    pub table: String,
    /// The field, unless it is about a whole table.
    pub field: Option<String>,
    /// How bad a failure is.
    pub severity: Severity,
    /// How many break the rule.
    pub violated: u64,
    /// How many were looked at.
    pub applicable: u64,
    /// Per cent that may.
    pub threshold: f64,
    /// What became of it.
    pub outcome: Outcome,
    /// Why nothing was counted.
    pub reason: Option<Unfit>,
}

/// A quality report of one member's mapped tables. For that member and the operator's engine: law 8.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The version of this form.
    pub form: u32,
    /// The schema.
    pub schema: DocumentDigest,
    /// The vocabulary's release, if there was one.
    pub vocabulary: Option<String>,
    /// Tables that the mapping leaves out on purpose: that they are not there is no failure.
    pub left_out: BTreeSet<Name>,
    /// What the mapping states that its tables bear beside the list's thresholds, in thousandths.
    pub stated: BTreeMap<Text, u16>,
    /// What became of the whole.
    pub outcome: RunOutcome,
    /// The checks, in the order of their list.
    pub checks: Vec<Finding>,
    /// What the tables look like.
    pub tables: Vec<TableProfile>,
}

impl Report {
    /// Judges what was measured: by these thresholds, else by those that the mapping states, else by the list's.
    ///
    /// # Errors
    /// [`ThresholdFault::Unknown`]: a threshold of no check.
    pub fn new(measured: &Measured, thresholds: &Thresholds, stated: &Allowance) -> Result<Self, ThresholdFault> {
        let known = |set: &str| measured.measures.iter().any(|measure| measure.id == set || measure.name == set);
        if let Some(check) = thresholds.0.keys().find(|set| !known(set)) {
            return Err(ThresholdFault::Unknown { check: check.clone() });
        }
        let by_mapping = Thresholds::stated(&stated.thresholds);
        let checks: Vec<Finding> = measured
            .measures
            .iter()
            .map(|measure| {
                let of = |set: &Thresholds| set.of(&measure.id, &measure.name);
                let threshold = of(thresholds).or_else(|| of(&by_mapping)).unwrap_or(measure.threshold);
                let left_out = measure.name == TABLE_PRESENT
                    && stated.left_out.iter().any(|table| table.as_str() == measure.table)
                    && !measured.tables.iter().any(|seen| seen.table == measure.table);
                let count = if left_out { Count::NotApplicable(Unfit::LeftOut) } else { measure.count };
                let (violated, applicable, outcome, reason) = judge(count, threshold);
                let (id, name, table) = (measure.id.clone(), measure.name.clone(), measure.table.clone());
                let (field, severity) = (measure.field.clone(), measure.severity);
                Finding { id, name, table, field, severity, violated, applicable, threshold, outcome, reason }
            })
            .collect();
        let (schema, vocabulary) = (measured.schema, measured.vocabulary.clone());
        let (outcome, tables) = (whole(&checks), measured.tables.clone());
        let (left_out, stated) = (stated.left_out.clone(), stated.thresholds.clone());
        Ok(Self { form: 2, schema, vocabulary, left_out, stated, outcome, checks, tables })
    }

    /// The report in canonical JSON: keys in the order of this type, no spaces, integers and shortest decimals.
    ///
    /// # Panics
    /// Never: names, numbers and flags have a JSON form.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names, numbers and flags have a JSON form")
    }

    /// The digest of [`Report::to_json`]: the same wherever the same rows are checked in the same way.
    pub fn digest(&self) -> DocumentDigest {
        DocumentDigest(sha256_for("quality report", self.to_json().as_bytes()))
    }

    /// The report as one page for a browser that needs nothing else. `title` stands at its top.
    pub fn to_html(&self, title: &str) -> String {
        page::page(self, title)
    }
}

/// A threshold of 0 bears no violated row; any other bears that share of the rows. Source: the Data Quality
/// Dashboard's `evaluateThresholds.R`.
fn judge(count: Count, threshold: f64) -> (u64, u64, Outcome, Option<Unfit>) {
    match count {
        Count::NotApplicable(reason) => (0, 0, Outcome::NotApplicable, Some(reason)),
        Count::Error(reason) => (0, 0, Outcome::Error, Some(reason)),
        Count::Of { violated, applicable } => {
            let too_many = real(violated) * 100.0 > threshold * real(applicable);
            (violated, applicable, if too_many { Outcome::Fail } else { Outcome::Pass }, None)
        }
    }
}

fn whole(checks: &[Finding]) -> RunOutcome {
    let bad = |finding: &&Finding| matches!(finding.outcome, Outcome::Fail | Outcome::Error);
    match checks.iter().filter(bad).map(|finding| finding.severity).min() {
        None => RunOutcome::Pass,
        Some(Severity::Fatal) => RunOutcome::Fail,
        Some(Severity::Convention | Severity::Characterization) => RunOutcome::PassWithFailures,
    }
}

/// Why thresholds cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ThresholdFault {
    /// They are longer than anything we read.
    TooLong {
        /// The bound.
        bytes_max: usize,
    },
    /// They are not TOML, or not a number each.
    Syntax {
        /// Line, from 1; 0 where the reader does not know.
        line: usize,
    },
    /// One is not 0 to 100 per cent.
    Range {
        /// Of which check.
        check: String,
    },
    /// One is of no check.
    Unknown {
        /// As written.
        check: String,
    },
}

impl fmt::Display for ThresholdFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes_max } => write!(f, "the thresholds are longer than {bytes_max} bytes"),
            Self::Syntax { line } => write!(f, "the thresholds, line {line}: not a number for a check in TOML"),
            Self::Range { check } => write!(f, "threshold of {check:?}: 0 to 100 per cent"),
            Self::Unknown { check } => write!(f, "threshold of {check:?}: there is no such check"),
        }
    }
}

impl std::error::Error for ThresholdFault {}
