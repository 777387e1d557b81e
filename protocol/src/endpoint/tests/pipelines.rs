//! Pipelines: begun once by each cause, step by step, under the roles of their person, with a bound on attempts.

use super::landing::{begin_landing, end_landing};
use super::*;
use crate::record::journal_entry::{StepEnd, StepFault};
use crate::record::mapping::{Mapping, MappingFields};
use crate::record::order::PipelineChange;
use crate::record::pipeline::{Pipeline, PipelineFields, Step, Trigger};
use crate::record::publish_place::{AbsentTable, PublishPlace, WrittenIds};
use crate::record::remote::{Address, DatabasePlace, Privacy};
use crate::state::pipelines::{Parking, Piped};

const WAIT: Seconds = Seconds(60);

fn pipeline(pair: &Pair, node: usize, trigger: Trigger, steps: Vec<Step>) -> Command {
    let fields = PipelineFields {
        consortium: pair.consortium,
        party: pair.parties[node].name.clone(),
        name: "nightly".parse().unwrap(),
        trigger,
        steps,
        attempts: 2,
        wait: WAIT,
        ext: Extensions::default(),
    };
    Command::DefinePipeline(Box::new(Pipeline::try_from(fields).unwrap()))
}

fn mapping() -> Name {
    "los".parse().unwrap()
}

/// A member with a source, a mapping of it and an approved share; nothing is taken yet.
fn ready() -> Pair {
    let mut pair = Pair::new();
    pair.order(1, Command::DefineDataset(dataset("/data/stays.csv"))).unwrap();
    let stays: Name = "stays".parse().unwrap();
    let fields = MappingFields {
        consortium: pair.consortium,
        party: pair.parties[1].name.clone(),
        name: mapping(),
        version: 1,
        schema: DocumentDigest([7; 32]),
        text: "mapping".to_owned(),
        sources: BTreeMap::from([(stays.clone(), dataset("/data/stays.csv").dataset)]),
        patients: stays,
        tables: [Name::try_from("person".to_owned()).unwrap()].into(),
        ext: Extensions::default(),
    };
    pair.order(1, Command::DefineMapping(Box::new(Mapping::try_from(fields).unwrap()))).unwrap();
    pair.order(1, Command::DefineShare(share(pair.consortium, 1, LandedRows::Exclude))).unwrap();
    pair
}

fn steps() -> Vec<Step> {
    vec![Step::Check { mapping: mapping(), thresholds: borne() }, Step::Share { share: SHARE }]
}

/// What the check of the member's pipeline bears.
fn borne() -> BTreeMap<crate::ident::Text, u16> {
    [("cdmTable".parse().unwrap(), 1_000)].into()
}

fn on_file() -> Trigger {
    Trigger::NewFile { dataset: dataset("/data/stays.csv").dataset }
}

fn due(pair: &mut Pair, cause: Option<u8>) {
    let (consortium, pipeline) = (pair.consortium, "nightly".parse().unwrap());
    let cause = cause.map(|byte| DocumentDigest([byte; 32]));
    pair.feed(1, Input::PipelineDue { consortium, pipeline, cause });
}

fn piped(pair: &Pair, node: usize) -> &Piped {
    pair.state(node).pipelines.values().next().unwrap()
}

fn map_begins(pair: &mut Pair) -> Option<Ticket> {
    let begun =
        |effect: &Effect| if let Effect::Map { ticket, plan } = effect { Some((*ticket, plan.clone())) } else { None };
    let (ticket, plan) = pair.pick(1, begun)?;
    assert_eq!(plan.thresholds, borne(), "the run is judged as the step says");
    Some(ticket)
}

fn run_begins(pair: &mut Pair) -> Option<Ticket> {
    pair.pick(1, |effect| if let Effect::Run { ticket, .. } = effect { Some(*ticket) } else { None })
}

fn mapped(pair: &mut Pair, ticket: Ticket, gates: Gates) {
    let end = MapEnd { set: listing().1, linkage: None, gates };
    pair.feed(1, Input::Mapped { ticket, end: Ok(end) });
}

fn ends(pair: &Pair, node: usize) -> Vec<(u16, u16, StepEnd)> {
    let step = |entry: &JournalEntry| match &entry.act {
        Act::PipelineStep { step, attempt, end, .. } => Some((*step, *attempt, *end)),
        _ => None,
    };
    pair.journals[node].iter().filter_map(step).collect()
}

fn later(pair: &mut Pair, after: Seconds) {
    pair.wall = pair.wall.map(|at| at.plus(after));
    pair.mono = pair.mono.plus(after);
    pair.feed(1, Input::Tick);
}

// PIPE-2 PIPE-5
#[test]
fn a_file_begins_a_pipeline_once_and_its_steps_follow_one_another() {
    let mut pair = ready();
    let terms = share(pair.consortium, 1, LandedRows::Exclude);
    pair.approve(&terms).unwrap();
    let command = pipeline(&pair, 1, on_file(), steps());
    pair.order(1, command).unwrap();
    assert!(map_begins(&mut pair).is_none(), "nothing has begun it");
    due(&mut pair, Some(1));
    let ticket = map_begins(&mut pair).expect("the first step");
    assert!(run_begins(&mut pair).is_none(), "the second waits for the first");
    mapped(&mut pair, ticket, Gates::Held);
    let ticket = run_begins(&mut pair).expect("the second step");
    pair.feed(1, Input::RunEnded { ticket, end: RunEnd::Unchanged });
    assert_eq!(ends(&pair, 1), [(0, 1, StepEnd::Done), (1, 1, StepEnd::Done)]);
    assert_eq!((piped(&pair, 1).run, piped(&pair, 1).runs), (None, 1));
    due(&mut pair, Some(1));
    assert!(map_begins(&mut pair).is_none(), "the same file begins nothing again");
    due(&mut pair, Some(2));
    assert!(map_begins(&mut pair).is_some());
    let order = piped(&pair, 1).order;
    let began = |entry: &&JournalEntry| matches!(&entry.act, Act::PipelineBegan { order: of, .. } if *of == order);
    assert_eq!(pair.journals[1].iter().filter(began).count(), 2, "each beginning names the order it is bound to");
}

// PIPE-3
#[test]
fn an_approval_is_never_automated() {
    let mut pair = ready();
    let command = pipeline(&pair, 1, on_file(), steps());
    pair.order(1, command).unwrap();
    due(&mut pair, Some(1));
    let ticket = map_begins(&mut pair).unwrap();
    mapped(&mut pair, ticket, Gates::Held);
    assert!(run_begins(&mut pair).is_none(), "nobody has approved the terms");
    assert_eq!(ends(&pair, 1).last(), Some(&(1, 1, StepEnd::Parked(StepFault::NotApproved))));
    assert!(pair.state(1).offers[&SHARE].approved_now().is_none());
    later(&mut pair, Seconds(24 * 3600));
    assert!(run_begins(&mut pair).is_none(), "it waits for a person");
    let terms = share(pair.consortium, 1, LandedRows::Exclude);
    pair.approve(&terms).unwrap();
    let retry = Command::ChangePipeline { pipeline: "nightly".parse().unwrap(), change: PipelineChange::Retry };
    pair.order(1, retry).unwrap();
    assert!(run_begins(&mut pair).is_some(), "it goes on where it was");
    assert!(map_begins(&mut pair).is_none());
}

// PIPE-2
#[test]
fn a_pipeline_does_nothing_that_its_person_may_not_do_now() {
    let mut pair = ready();
    let terms = share(pair.consortium, 1, LandedRows::Exclude);
    pair.approve(&terms).unwrap();
    let key = KeyPair::from_seed(&[77; 32]);
    let enrol = |pair: &mut Pair, roles: &[Role]| {
        let record = person(pair.consortium, &pair.parties[1].name, "eve", &key, roles);
        let signed = Signed::sign(&record, &pair.parties[1].root);
        pair.order(1, Command::EnrolPerson(signed)).unwrap();
    };
    for role in [Role::SiteAdministrator, Role::PrivacyOfficer, Role::DataScientist, Role::Auditor] {
        enrol(&mut pair, &[role]);
        let command = pipeline(&pair, 1, on_file(), steps());
        let refused = pair.order_by(1, "eve", &key, command);
        assert!(matches!(refused, Err(OrderFault::RoleMissing { .. })), "{role:?}");
    }
    enrol(&mut pair, &[Role::DataSteward]);
    let command = pipeline(&pair, 1, on_file(), steps());
    pair.order_by(1, "eve", &key, command).unwrap();
    due(&mut pair, Some(1));
    let ticket = map_begins(&mut pair).unwrap();
    enrol(&mut pair, &[Role::Auditor]);
    mapped(&mut pair, ticket, Gates::Held);
    assert!(run_begins(&mut pair).is_none(), "the role is gone");
    assert_eq!(piped(&pair, 1).parked, Some(Parking::ByFault(StepFault::RoleMissing)));
    enrol(&mut pair, &[]);
    let retry = || Command::ChangePipeline { pipeline: "nightly".parse().unwrap(), change: PipelineChange::Retry };
    pair.order(1, retry()).unwrap();
    assert!(run_begins(&mut pair).is_none(), "another person's retry lends it no roles");
    enrol(&mut pair, &[Role::DataSteward]);
    pair.order(1, retry()).unwrap();
    assert!(run_begins(&mut pair).is_some());
}

// PIPE-4
#[test]
fn a_step_that_fails_is_tried_again_after_its_wait_and_parked_after_its_last_attempt() {
    let mut pair = ready();
    let command = pipeline(&pair, 1, on_file(), steps());
    pair.order(1, command).unwrap();
    due(&mut pair, Some(1));
    let ticket = map_begins(&mut pair).unwrap();
    pair.feed(1, Input::Mapped { ticket, end: Err(RunFault::Unreadable) });
    later(&mut pair, Seconds(WAIT.0 - 1));
    assert!(map_begins(&mut pair).is_none(), "it rests");
    later(&mut pair, Seconds(6));
    let ticket = map_begins(&mut pair).expect("the second attempt");
    mapped(&mut pair, ticket, Gates::Failed);
    let fault = StepFault::Run(RunFault::Unreadable);
    assert_eq!(ends(&pair, 1), [(0, 1, StepEnd::Failed(fault)), (0, 2, StepEnd::Parked(StepFault::Gates))]);
    later(&mut pair, Seconds(48 * 3600));
    due(&mut pair, Some(2));
    assert!(map_begins(&mut pair).is_none(), "a parked pipeline does nothing");
    let change = |change| Command::ChangePipeline { pipeline: "nightly".parse().unwrap(), change };
    pair.order(1, change(PipelineChange::Retry)).unwrap();
    let ticket = map_begins(&mut pair).expect("from the first attempt on");
    assert_eq!(piped(&pair, 1).run.map(|run| run.attempt), Some(1));
    pair.order(1, change(PipelineChange::Park)).unwrap();
    mapped(&mut pair, ticket, Gates::Held);
    assert!(run_begins(&mut pair).is_none(), "parked by a person");
    pair.order(1, change(PipelineChange::Remove)).unwrap();
    assert!(pair.state(1).pipelines.is_empty());
    assert!(matches!(pair.order(1, change(PipelineChange::Retry)), Err(OrderFault::NotFound { .. })));
}

// PIPE-4
#[test]
fn a_publication_waits_for_tables_and_is_tried_again_as_any_other_step() {
    let mut pair = Pair::new();
    let place = DatabasePlace {
        address: Address::Socket { path: "/run/db".parse().unwrap() },
        privacy: Privacy::WithinMachine,
        database: "cdm".parse().unwrap(),
        user: "writer".parse().unwrap(),
        password: None,
        statement_seconds: 300,
    };
    let into = Box::new(PublishPlace { place, schema: None, absent: AbsentTable::Refuse, ids: WrittenIds::Whole });
    pair.share(LandedRows::Exclude);
    let command = pipeline(&pair, 0, Trigger::Landed { subscription: None }, vec![Step::Publish { into }]);
    pair.order(0, command).unwrap();
    begin_landing(&mut pair, Some(listing().0));
    end_landing(&mut pair);
    let publishes = |pair: &mut Pair| {
        pair.wall = pair.wall.map(|at| at.plus(Seconds(WAIT.0 * 2)));
        pair.mono = pair.mono.plus(Seconds(WAIT.0 * 2));
        pair.feed(0, Input::Tick);
        pair.pick(0, |effect| if let Effect::Publish { ticket, .. } = effect { Some(*ticket) } else { None })
    };
    assert!(publishes(&mut pair).is_none(), "nothing has been consolidated");
    assert_eq!(ends(&pair, 0), [(0, 1, StepEnd::Failed(StepFault::OutOfOrder))]);
    pair.order(0, Command::Consolidate).unwrap();
    let begun = |effect: &Effect| if let Effect::Consolidate { ticket, .. } = effect { Some(*ticket) } else { None };
    let ticket = pair.pick(0, begun).unwrap();
    let (tables, left_out) = (BTreeMap::new(), BTreeMap::new());
    let made = ConsolidatedSet { schema: DocumentDigest([2; 32]), tables, left_out, listing: listing().1 };
    pair.feed(0, Input::Consolidated { ticket, end: Ok(Box::new(made)) });
    let ticket = publishes(&mut pair).expect("the second attempt");
    pair.feed(0, Input::Published { ticket, end: Ok(()) });
    assert_eq!(ends(&pair, 0)[1..], [(0, 2, StepEnd::Done)]);
    assert_eq!((piped(&pair, 0).run, piped(&pair, 0).runs), (None, 1));
}

// PIPE-5
#[test]
fn a_landing_begins_a_pipeline_once_also_after_a_restart() {
    let mut pair = Pair::new();
    let command = pipeline(&pair, 0, Trigger::Landed { subscription: None }, vec![Step::Consolidate]);
    pair.order(0, command).unwrap();
    pair.share(LandedRows::Exclude);
    let consolidates = |pair: &mut Pair| {
        let begun =
            |effect: &Effect| if let Effect::Consolidate { ticket, .. } = effect { Some(*ticket) } else { None };
        pair.pick(0, begun)
    };
    assert!(consolidates(&mut pair).is_none(), "nothing has landed");
    begin_landing(&mut pair, Some(listing().0));
    end_landing(&mut pair);
    pair.mono = pair.mono.plus(Seconds(10));
    pair.feed(0, Input::Tick);
    let first = consolidates(&mut pair).expect("it landed");
    // The node is started again before the step has ended: it is begun anew, and the landing begins nothing else.
    pair.backup[0] = pair.journals[0].len();
    pair.restore(0);
    pair.mono = pair.mono.plus(Seconds(10));
    pair.feed(0, Input::Tick);
    let again = consolidates(&mut pair).expect("the step is begun anew");
    let _ = first;
    pair.feed(0, Input::Consolidated { ticket: again, end: Err(RunFault::Limit) });
    pair.wall = pair.wall.map(|at| at.plus(WAIT));
    pair.mono = pair.mono.plus(Seconds(10));
    pair.feed(0, Input::Tick);
    let third = consolidates(&mut pair).expect("the second attempt");
    let made = ConsolidatedSet {
        schema: DocumentDigest([2; 32]),
        tables: BTreeMap::new(),
        left_out: BTreeMap::new(),
        listing: listing().1,
    };
    pair.feed(0, Input::Consolidated { ticket: third, end: Ok(Box::new(made)) });
    pair.mono = pair.mono.plus(Seconds(10));
    pair.feed(0, Input::Tick);
    assert!(consolidates(&mut pair).is_none(), "the same landing begins nothing again");
    let began = |entry: &&JournalEntry| matches!(entry.act, Act::PipelineBegan { .. });
    assert_eq!(pair.journals[0].iter().filter(began).count(), 1);
}
