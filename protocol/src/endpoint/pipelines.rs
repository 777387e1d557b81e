//! Pipelines: what begins them, and their steps one after the other, each under the roles of the person who ordered it.

use crate::digest::DocumentDigest;
use crate::ident::{ConsortiumId, Name};
use crate::record::journal_entry::{Act, Actor, StepEnd, StepFault};
use crate::record::pipeline::{Pipeline, Step, Trigger};
use crate::rule::role::{action_of_step, permits};
use crate::state::pipelines::Piped;
use crate::time::UnixMillis;

use super::io::OrderFault;
use super::orders::{Consequence, Then, and_then};
use super::plan::{Awaited, MapWishes};
use super::{Endpoint, Room};

impl Endpoint {
    /// A pipeline of this party whose parts are there, by a person who may order every step of it (spec PIPE-2).
    pub(super) fn define_pipeline(room: &Room, person: &Name, pipeline: &Pipeline) -> Result<Consequence, OrderFault> {
        let state = &room.state;
        if pipeline.consortium != state.consortium || pipeline.party != state.party {
            return Err(OrderFault::NotForNow);
        }
        for step in &pipeline.steps {
            let action = action_of_step(step);
            if !state.persons.get(person).is_some_and(|person| permits(&person.roles, action)) {
                return Err(OrderFault::RoleMissing { action: action.phrase() });
            }
            match step {
                Step::Check { mapping, .. } if !state.mappings.contains_key(mapping) => {
                    return Err(OrderFault::NotFound { what: "mapping" });
                }
                Step::Share { share } if !state.offers.contains_key(share) => {
                    return Err(OrderFault::NotFound { what: "share" });
                }
                Step::Check { .. } | Step::Share { .. } | Step::Consolidate | Step::Publish { .. } => {}
            }
        }
        match &pipeline.trigger {
            Trigger::NewFile { dataset } => match state.datasets.get(dataset).map(|found| found.source.path()) {
                None => return Err(OrderFault::NotFound { what: "dataset" }),
                Some(None) => return Err(OrderFault::OutOfOrder { why: "the dataset has no file to look at" }),
                Some(Some(_)) => {}
            },
            Trigger::Landed { subscription: Some(id) } => super::orders::consumed(room, *id).map(|_| ())?,
            Trigger::Landed { subscription: None } | Trigger::Schedule(_) => {}
        }
        Ok(and_then(vec![], Then::Pipelines))
    }

    /// The clock or a file says that a pipeline begins.
    pub(super) fn pipeline_due(&mut self, consortium: ConsortiumId, name: &Name, cause: Option<DocumentDigest>) {
        let found = self.rooms.get(&consortium).and_then(|room| room.state.pipelines.get(name));
        if let Some(begun) = found.filter(|found| found.begins_with(cause)).map(|found| found.order) {
            self.begin_pipeline(consortium, name, begun, cause);
        }
        self.pipelines_due();
    }

    fn begin_pipeline(
        &mut self,
        consortium: ConsortiumId,
        name: &Name,
        order: DocumentDigest,
        cause: Option<DocumentDigest>,
    ) {
        let act = Act::PipelineBegan { pipeline: name.clone(), order, cause };
        self.persist(consortium, &Actor::Node, vec![act]);
    }

    /// Begins what a landing is due to begin, and every step that waits for nothing any more.
    pub(super) fn pipelines_due(&mut self) {
        let now = self.cx().wall;
        let mut begun = Vec::new();
        for (consortium, room) in self.rooms.iter().filter(|(_, room)| !room.state.stopped) {
            for (name, found) in &room.state.pipelines {
                let cause = room.state.landed_cause(&found.pipeline.trigger);
                if cause.is_some() && found.begins_with(cause) {
                    begun.push((*consortium, name.clone(), found.order, cause));
                }
            }
        }
        for (consortium, name, order, cause) in begun {
            self.begin_pipeline(consortium, &name, order, cause);
        }
        let mut due = Vec::new();
        for (consortium, room) in self.rooms.iter().filter(|(_, room)| !room.state.stopped) {
            let idle =
                room.state.pipelines.iter().filter(|(name, _)| !room.stepping.values().any(|busy| busy == *name));
            let ready = idle.filter(|(_, found)| found.step_due(now).is_some());
            due.extend(ready.map(|(name, _)| (*consortium, name.clone())));
        }
        for (consortium, name) in due {
            self.begin_step(consortium, &name, now);
        }
    }

    fn begin_step(&mut self, consortium: ConsortiumId, name: &Name, now: UnixMillis) {
        let Some(room) = self.rooms.get(&consortium) else { return };
        let Some(found) = room.state.pipelines.get(name) else { return };
        let Some((_, step)) = found.step_due(now) else { return };
        let (awaited, then) = match may_step(room, found, step, now) {
            Ok(begun) => begun,
            Err(fault) => return self.end_step(consortium, name, Err(fault)),
        };
        if let Some(room) = self.rooms.get_mut(&consortium) {
            room.stepping.insert(awaited, name.clone());
        }
        self.then(consortium, Some(&then));
    }

    /// What a step waited for has ended.
    pub(super) fn step_ended(&mut self, consortium: ConsortiumId, awaited: &Awaited, end: Result<(), StepFault>) {
        let name = self.rooms.get_mut(&consortium).and_then(|room| room.stepping.remove(awaited));
        if let Some(name) = name {
            self.end_step(consortium, &name, end);
            self.pipelines_due();
        }
    }

    fn end_step(&mut self, consortium: ConsortiumId, name: &Name, end: Result<(), StepFault>) {
        let found = self.rooms.get(&consortium).and_then(|room| room.state.pipelines.get(name));
        let Some((found, run)) = found.and_then(|found| Some((found, found.run?))) else { return };
        let last = run.attempt >= found.pipeline.attempts;
        let end = match end {
            Ok(()) => StepEnd::Done,
            Err(fault) if last || !mends(fault) => StepEnd::Parked(fault),
            Err(fault) => StepEnd::Failed(fault),
        };
        let act = Act::PipelineStep { pipeline: name.clone(), step: run.step, attempt: run.attempt, end };
        self.persist(consortium, &Actor::Node, vec![act]);
    }
}

/// Whether waiting may mend it. What only a person can mend parks the pipeline at once (spec PIPE-4).
const fn mends(fault: StepFault) -> bool {
    match fault {
        StepFault::Run(_) | StepFault::Gates | StepFault::OutOfOrder => true,
        StepFault::RoleMissing | StepFault::NotApproved | StepFault::NotFound => false,
    }
}

/// A step begins under the rules of the order that does the same once: by the person who ordered the pipeline, if that
/// person is still enrolled and has the role now (spec PIPE-2).
fn may_step(room: &Room, found: &Piped, step: &Step, now: UnixMillis) -> Result<(Awaited, Then), StepFault> {
    let person = room.state.person(&found.person, now).ok_or(StepFault::RoleMissing)?;
    if !permits(&person.roles, action_of_step(step)) {
        return Err(StepFault::RoleMissing);
    }
    let (awaited, consequence) = match step {
        Step::Check { mapping, thresholds } => {
            let wishes = MapWishes { thresholds: thresholds.clone(), ..MapWishes::default() };
            let begun = Endpoint::run_mapping(room, mapping, wishes);
            (Awaited::Mapping(mapping.clone()), begun)
        }
        Step::Share { share } => (Awaited::Run(*share), Endpoint::take_snapshot(room, now, *share)),
        Step::Consolidate => (Awaited::Consolidation, Endpoint::consolidate(room)),
        Step::Publish { into } => {
            // Before the first consolidation there is nothing to publish yet: that is a matter of waiting.
            let set = room.state.tables.current().map(|set| set.digest).ok_or(StepFault::OutOfOrder)?;
            (Awaited::Publication, Endpoint::publish(room, now, set, into))
        }
    };
    match consequence {
        Ok(Consequence { then: Some(then), .. }) => Ok((awaited, then)),
        Err(OrderFault::NotApproved) => Err(StepFault::NotApproved),
        Err(OrderFault::NotFound { .. }) => Err(StepFault::NotFound),
        Err(OrderFault::RoleMissing { .. } | OrderFault::NotEnrolled) => Err(StepFault::RoleMissing),
        Ok(Consequence { then: None, .. })
        | Err(
            OrderFault::NotForNow
            | OrderFault::CharterNotInForce
            | OrderFault::OutOfOrder { .. }
            | OrderFault::Stopped
            | OrderFault::Document
            | OrderFault::Unavailable,
        ) => Err(StepFault::OutOfOrder),
    }
}
