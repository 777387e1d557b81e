//! The pipeline: what a person has ordered to happen by itself, step by step, whenever its trigger comes. Local.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ident::{ConsortiumId, DatasetId, Name, ShareId, SubscriptionId, Text};
use crate::key::signed::Record;
use crate::limits::{PIPELINE_ATTEMPTS_MAX, PIPELINE_STEPS_MAX, PIPELINE_THRESHOLDS_MAX, PIPELINE_WAIT_MAX};
use crate::record::extension::Extensions;
use crate::record::publish_place::PublishPlace;
use crate::record::schedule::Schedule;
use crate::time::Seconds;

/// What begins a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// Another version has landed.
    Landed {
        /// Of this subscription; of any where none is named.
        subscription: Option<SubscriptionId>,
    },
    /// The file of a dataset is another than before.
    NewFile {
        /// The dataset.
        dataset: DatasetId,
    },
    /// The time.
    Schedule(Schedule),
}

/// One step. There is none that lets data leave to another party by itself: a share is taken under terms that a privacy
/// officer has approved, or the pipeline is parked (spec PIPE-3). What is published stays with the party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Map the sources; the gates of the result must not fail.
    Check {
        /// The mapping.
        mapping: Name,
        /// What is borne beside the list's own thresholds, in thousandths, by a check or by its kind.
        thresholds: BTreeMap<Text, u16>,
    },
    /// Take a snapshot of an approved share.
    Share {
        /// The share.
        share: ShareId,
    },
    /// Make table versions of what has landed.
    Consolidate,
    /// Let the tables in use be what a database of the party's own holds.
    Publish {
        /// Where.
        into: Box<PublishPlace>,
    },
}

impl Step {
    fn stands(&self) -> bool {
        match self {
            Self::Check { thresholds, .. } => {
                thresholds.len() <= PIPELINE_THRESHOLDS_MAX && thresholds.values().all(|borne| *borne <= 1_000)
            }
            Self::Share { .. } | Self::Consolidate | Self::Publish { .. } => true,
        }
    }
}

/// The fields of a pipeline, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineFields {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// At which party.
    pub party: Name,
    /// Its name there. Another definition of the same name takes its place.
    pub name: Name,
    /// What begins it.
    pub trigger: Trigger,
    /// What it does, in order; a step begins when the one before it is done.
    pub steps: Vec<Step>,
    /// How often a step is tried before the pipeline is parked.
    pub attempts: u16,
    /// Before the second attempt; doubled before each later one, to a day at most.
    pub wait: Seconds,
    /// Room for later versions.
    pub ext: Extensions,
}

/// A pipeline, as its person's order states it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PipelineFields", into = "PipelineFields")]
pub struct Pipeline(PipelineFields);

/// Why fields do not make a pipeline (spec PIPE-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PipelineFault {
    /// No step, or more than the bound.
    Steps,
    /// No attempt, or more than the bound.
    Attempts,
    /// No wait, or a longer one than the bound.
    Wait,
    /// A schedule that never comes.
    Manual,
    /// A threshold over 1,000 thousandths, or more of them than the bound.
    Threshold,
}

impl fmt::Display for PipelineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps => write!(f, "a pipeline has 1 to {PIPELINE_STEPS_MAX} steps"),
            Self::Attempts => write!(f, "a step is tried 1 to {PIPELINE_ATTEMPTS_MAX} times"),
            Self::Wait => write!(f, "the wait is 1 to {} seconds", PIPELINE_WAIT_MAX.0),
            Self::Manual => f.write_str("a manual schedule begins nothing"),
            Self::Threshold => {
                write!(f, "a step has at most {PIPELINE_THRESHOLDS_MAX} thresholds, each of 0 to 100 per cent")
            }
        }
    }
}

impl std::error::Error for PipelineFault {}

impl TryFrom<PipelineFields> for Pipeline {
    type Error = PipelineFault;

    fn try_from(fields: PipelineFields) -> Result<Self, PipelineFault> {
        if fields.steps.is_empty() || fields.steps.len() > PIPELINE_STEPS_MAX {
            return Err(PipelineFault::Steps);
        }
        if fields.attempts == 0 || fields.attempts > PIPELINE_ATTEMPTS_MAX {
            return Err(PipelineFault::Attempts);
        }
        if fields.wait == Seconds(0) || fields.wait > PIPELINE_WAIT_MAX {
            return Err(PipelineFault::Wait);
        }
        if !fields.steps.iter().all(Step::stands) {
            return Err(PipelineFault::Threshold);
        }
        match &fields.trigger {
            Trigger::Schedule(schedule) if *schedule == Schedule::MANUAL => Err(PipelineFault::Manual),
            Trigger::Landed { .. } | Trigger::NewFile { .. } | Trigger::Schedule(_) => Ok(Self(fields)),
        }
    }
}

impl From<Pipeline> for PipelineFields {
    fn from(pipeline: Pipeline) -> Self {
        pipeline.0
    }
}

impl std::ops::Deref for Pipeline {
    type Target = PipelineFields;

    fn deref(&self) -> &PipelineFields {
        &self.0
    }
}

impl Pipeline {
    /// How long after the failure of this attempt (from 1) the next one begins.
    pub fn wait_after(&self, attempt: u16) -> Seconds {
        let doublings = u32::from(attempt.saturating_sub(1)).min(16);
        let wait = self.wait.0.checked_shl(doublings).unwrap_or(PIPELINE_WAIT_MAX.0);
        Seconds(wait.min(PIPELINE_WAIT_MAX.0))
    }
}

impl Record for Pipeline {
    const LABEL: &'static str = "application/vnd.cohortium.v1.pipeline.v1";
    const TITLE: &'static str = "pipeline";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> PipelineFields {
        PipelineFields {
            consortium: ConsortiumId([1; 32]),
            party: "north".parse().unwrap(),
            name: "nightly".parse().unwrap(),
            trigger: Trigger::Landed { subscription: None },
            steps: vec![Step::Consolidate],
            attempts: 3,
            wait: Seconds(60),
            ext: Extensions::default(),
        }
    }

    fn changed(change: impl FnOnce(&mut PipelineFields)) -> Option<PipelineFault> {
        let mut fields = fields();
        change(&mut fields);
        Pipeline::try_from(fields).err()
    }

    // PIPE-1
    #[test]
    fn a_pipeline_has_steps_attempts_and_a_wait_within_bounds() {
        use PipelineFault::{Attempts, Manual, Steps, Threshold, Wait};
        assert_eq!(changed(|_| {}), None);
        assert_eq!(changed(|fields| fields.steps.clear()), Some(Steps));
        assert_eq!(changed(|fields| fields.steps = vec![Step::Consolidate; PIPELINE_STEPS_MAX]), None);
        assert_eq!(changed(|fields| fields.steps = vec![Step::Consolidate; PIPELINE_STEPS_MAX + 1]), Some(Steps));
        assert_eq!(changed(|fields| fields.attempts = 0), Some(Attempts));
        assert_eq!(changed(|fields| fields.attempts = PIPELINE_ATTEMPTS_MAX), None);
        assert_eq!(changed(|fields| fields.attempts = PIPELINE_ATTEMPTS_MAX + 1), Some(Attempts));
        assert_eq!(changed(|fields| fields.wait = Seconds(0)), Some(Wait));
        assert_eq!(changed(|fields| fields.wait = PIPELINE_WAIT_MAX), None);
        assert_eq!(changed(|fields| fields.wait = Seconds(PIPELINE_WAIT_MAX.0 + 1)), Some(Wait));
        let check = |borne: u16, count: usize| {
            let thresholds = (0..count).map(|number| (format!("check {number}").parse().unwrap(), borne)).collect();
            changed(|fields| fields.steps = vec![Step::Check { mapping: "los".parse().unwrap(), thresholds }])
        };
        assert_eq!((check(1_000, PIPELINE_THRESHOLDS_MAX), check(1_001, 1)), (None, Some(Threshold)));
        assert_eq!(check(0, PIPELINE_THRESHOLDS_MAX + 1), Some(Threshold));
        assert_eq!(changed(|fields| fields.trigger = Trigger::Schedule(Schedule::MANUAL)), Some(Manual));
    }

    // PIPE-4
    #[test]
    fn the_wait_doubles_to_a_day_at_most() {
        let pipeline = Pipeline::try_from(fields()).unwrap();
        let waits = [1, 2, 3, 11, 12, u16::MAX].map(|attempt| pipeline.wait_after(attempt).0);
        assert_eq!(waits, [60, 120, 240, 61_440, 86_400, 86_400]);
    }
}
