//! Pipelines of this node: what was ordered, how far it is, and what stands in its way.

use super::State;
use crate::digest::DocumentDigest;
use crate::ident::{Name, SnapshotId, SubscriptionId};
use crate::key::signed::Signed;
use crate::record::journal_entry::{StepEnd, StepFault};
use crate::record::order::{Order, PipelineChange};
use crate::record::pipeline::{Pipeline, Step, Trigger};
use crate::state::subscription::{Fate, Side, Subscription};
use crate::time::UnixMillis;

/// A pipeline and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piped {
    /// As it was ordered.
    pub pipeline: Pipeline,
    /// The digest of that order.
    pub order: DocumentDigest,
    /// Who gave it: whose roles it acts under.
    pub person: Name,
    /// What it is at; `None` while it waits for its trigger.
    pub run: Option<PipelineRun>,
    /// Why it does nothing until somebody retries it.
    pub parked: Option<Parking>,
    /// What began it last.
    pub cause: Option<DocumentDigest>,
    /// How often it has come to its end.
    pub runs: u64,
    /// When its last step ended.
    pub last: Option<UnixMillis>,
}

/// How far a pipeline is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PipelineRun {
    /// The step, from 0.
    pub step: u16,
    /// The attempt that is made, or that comes next, from 1.
    pub attempt: u16,
    /// When the one before failed, and why.
    pub failed: Option<(UnixMillis, StepFault)>,
}

/// Why a pipeline is parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parking {
    /// A person said so.
    ByPerson,
    /// A step failed too often, or in a way that waiting does not mend.
    ByFault(StepFault),
}

impl PipelineRun {
    const FIRST: Self = Self { step: 0, attempt: 1, failed: None };
}

impl Piped {
    /// The step that it is at and may begin now.
    pub fn step_due(&self, now: UnixMillis) -> Option<(PipelineRun, &Step)> {
        let run = self.run.filter(|_| self.parked.is_none())?;
        let rested = run.failed.is_none_or(|(at, _)| {
            let attempt = run.attempt.saturating_sub(1);
            now >= at.plus(self.pipeline.wait_after(attempt))
        });
        let step = self.pipeline.steps.get(usize::from(run.step))?;
        rested.then_some((run, step))
    }

    /// Whether it may begin because of this.
    pub fn begins_with(&self, cause: Option<DocumentDigest>) -> bool {
        self.run.is_none() && self.parked.is_none() && (cause.is_none() || cause != self.cause)
    }
}

impl State {
    pub(super) fn define_pipeline(&mut self, signed: &Signed<Order>, person: Name, pipeline: Pipeline) {
        let order = signed.digest();
        let runs = self.pipelines.get(&pipeline.name).map_or(0, |known| known.runs);
        let name = pipeline.name.clone();
        let piped = Piped { pipeline, order, person, run: None, parked: None, cause: None, runs, last: None };
        self.pipelines.insert(name, piped);
    }

    pub(super) fn change_pipeline(&mut self, name: &Name, change: PipelineChange) {
        if change == PipelineChange::Remove {
            self.pipelines.remove(name);
            return;
        }
        let Some(found) = self.pipelines.get_mut(name) else { return };
        found.parked = (change == PipelineChange::Park).then_some(Parking::ByPerson);
        if let Some(run) = found.run.as_mut().filter(|_| change == PipelineChange::Retry) {
            (run.attempt, run.failed) = (1, None);
        }
    }

    pub(super) fn begin_pipeline(&mut self, name: &Name, cause: Option<DocumentDigest>) {
        if let Some(found) = self.pipelines.get_mut(name) {
            found.run = Some(PipelineRun::FIRST);
            found.cause = cause.or(found.cause);
        }
    }

    pub(super) fn end_step(&mut self, name: &Name, step: u16, end: StepEnd, at: UnixMillis) {
        let Some(found) = self.pipelines.get_mut(name) else { return };
        found.last = Some(at);
        let Some(run) = found.run.as_mut().filter(|run| run.step == step) else { return };
        match end {
            StepEnd::Done => {
                let next = run.step.saturating_add(1);
                if usize::from(next) < found.pipeline.steps.len() {
                    *run = PipelineRun { step: next, ..PipelineRun::FIRST };
                } else {
                    (found.run, found.runs) = (None, found.runs.saturating_add(1));
                }
            }
            StepEnd::Failed(fault) => {
                run.attempt = run.attempt.saturating_add(1);
                run.failed = Some((at, fault));
            }
            StepEnd::Parked(fault) => found.parked = Some(Parking::ByFault(fault)),
        }
    }

    /// What has landed as far as a pipeline's trigger asks for it, by name; `None` where nothing has.
    pub fn landed_cause(&self, trigger: &Trigger) -> Option<DocumentDigest> {
        let Trigger::Landed { subscription } = trigger else { return None };
        let consumed = self.subscriptions.values().filter(|found| found.side == Side::Consumer);
        let wanted = consumed.filter(|found| subscription.is_none_or(|id| id == found.id));
        let newest = |found: &Subscription| {
            let landed = found.snapshots.iter().rev().find(|snapshot| snapshot.fate == Fate::Landed)?;
            Some((found.id, landed.id))
        };
        let landed: Vec<(SubscriptionId, SnapshotId)> = wanted.filter_map(newest).collect();
        let bytes: Vec<[u8; 48]> = landed
            .iter()
            .map(|(subscription, snapshot)| {
                let mut pair = [0; 48];
                pair.iter_mut().zip(subscription.0.iter().chain(&snapshot.0)).for_each(|(to, from)| *to = *from);
                pair
            })
            .collect();
        let named = || DocumentDigest(crate::digest::sha256_for("landed", &bytes.concat()));
        (!landed.is_empty()).then(named)
    }
}
