//! `cohortium pipeline`: what happens by itself, ordered by one file, and how it stands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cohortium_protocol::ident::{Name, Text};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::record::extension::Extensions;
use cohortium_protocol::record::order::{Command, PipelineChange};
use cohortium_protocol::record::pipeline::{Pipeline, PipelineFields, Step, Trigger};
use cohortium_protocol::record::publish_place::{AbsentTable, PublishPlace, WrittenIds};
use cohortium_protocol::time::Seconds;
use cohortium_schema::gate::Checks;
use serde::Deserialize;
use serde_json::json;

use crate::cli::call::Cx;
use crate::cli::exit::CliFault;
use crate::cli::find;
use crate::cli::mapped::{common_schema, found};
use crate::cli::print::{Shown, Table};
use crate::cli::remote::{POSTGRES_PORT, ReachFlags, shown_place};
use crate::cli::when;
use crate::control::{PipelineView, View};
use crate::home;

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Define a pipeline by a file, or another of the same name
    Define {
        /// The file
        file: PathBuf,
    },
    /// This node's pipelines
    List,
    /// How they stand: at which step, and what is in the way
    Status {
        /// One pipeline alone
        name: Option<Name>,
    },
    /// Try the step that failed anew; a parked pipeline goes on
    Retry {
        /// The pipeline
        name: Name,
    },
    /// Let it do nothing until somebody retries it
    Park {
        /// The pipeline
        name: Name,
    },
    /// Take it away
    Remove {
        /// The pipeline
        name: Name,
    },
}

/// The longest file of a pipeline.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// How often a step is tried, where the file does not say.
const ATTEMPTS: u16 = 5;
/// Before the second attempt, where the file does not say.
const WAIT: Seconds = Seconds(60);

pub(crate) fn run(cx: &Cx, verb: Verb) -> Result<Shown, CliFault> {
    match verb {
        Verb::Define { file } => define(cx, &file),
        Verb::List => Ok(list(&cx.view()?)),
        Verb::Status { name } => status(&cx.view()?, name.as_ref()),
        Verb::Retry { name } => change(cx, &name, PipelineChange::Retry),
        Verb::Park { name } => change(cx, &name, PipelineChange::Park),
        Verb::Remove { name } => change(cx, &name, PipelineChange::Remove),
    }
}

/// As a person writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Name,
    on: WrittenTrigger,
    /// `check MAPPING`, `share SHARE`, `consolidate`, `publish`.
    steps: Vec<String>,
    retry: Option<WrittenRetry>,
    /// Where a step `publish` lets the tables in use be.
    publish: Option<WrittenPlace>,
    /// What a check bears beside the list's own thresholds, in per cent.
    #[serde(default)]
    thresholds: BTreeMap<Text, f64>,
}

/// As the flags of `consolidate publish` say it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPlace {
    postgres: String,
    #[serde(flatten)]
    reach: ReachFlags,
    schema: Option<Text>,
    #[serde(default)]
    create: bool,
    #[serde(default)]
    number_ids: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum WrittenTrigger {
    /// A subscription, or `any`.
    Landed(String),
    /// A dataset whose file is looked at.
    File(String),
    /// As `share schedule` reads it.
    Schedule(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRetry {
    attempts: Option<u16>,
    wait_seconds: Option<u64>,
}

fn define(cx: &Cx, file: &Path) -> Result<Shown, CliFault> {
    let wrong = |what: String| CliFault::usage(format!("{}: {what}", file.display()));
    let bytes = home::read_bounded(file, FILE_BYTES_MAX)?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("not UTF-8 text".to_owned()))?;
    let written: Written = toml::from_str(&text).map_err(|fault| wrong(fault.message().to_owned()))?;
    let view = cx.view()?;
    let trigger = match &written.on {
        WrittenTrigger::Landed(of) if of == "any" => Trigger::Landed { subscription: None },
        WrittenTrigger::Landed(of) => {
            Trigger::Landed { subscription: Some(find::subscription(&view, of)?.subscription) }
        }
        WrittenTrigger::File(dataset) => Trigger::NewFile { dataset: find::dataset(&view, dataset)?.dataset },
        WrittenTrigger::Schedule(schedule) => Trigger::Schedule(when::schedule(schedule).map_err(wrong)?),
    };
    let checks = Checks::of(&common_schema(cx, &view)?);
    let thresholds = checks.per_mille(&written.thresholds).map_err(|fault| wrong(fault.to_string()))?;
    let place = written.publish.as_ref().map(place).transpose()?;
    let parts = Parts { thresholds, place };
    let steps = written.steps.iter().map(|step| read_step(&view, step, &parts));
    let steps = steps.collect::<Result<Vec<_>, _>>()?;
    let retry = written.retry.as_ref();
    let fields = PipelineFields {
        consortium: view.consortium,
        party: view.party.clone(),
        name: written.name.clone(),
        trigger,
        steps,
        attempts: retry.and_then(|retry| retry.attempts).unwrap_or(ATTEMPTS),
        wait: retry.and_then(|retry| retry.wait_seconds).map_or(WAIT, Seconds),
        ext: Extensions::default(),
    };
    let pipeline = Pipeline::try_from(fields).map_err(|fault| wrong(fault.to_string()))?;
    let digest = Signed::unsigned(&pipeline).digest();
    let steps = pipeline.steps.len();
    cx.give(&view, Command::DefinePipeline(Box::new(pipeline)))?;
    let text = format!("Pipeline {} of {steps} steps\n", written.name);
    Ok(Shown::new(json!({"pipeline": written.name, "digest": digest, "steps": steps}), text))
}

/// What steps share.
struct Parts {
    thresholds: BTreeMap<Text, u16>,
    place: Option<PublishPlace>,
}

fn place(written: &WrittenPlace) -> Result<PublishPlace, CliFault> {
    Ok(PublishPlace {
        place: written.reach.place(&written.postgres, POSTGRES_PORT)?,
        schema: written.schema.clone(),
        absent: if written.create { AbsentTable::Create } else { AbsentTable::Refuse },
        ids: if written.number_ids { WrittenIds::Numbered } else { WrittenIds::Whole },
    })
}

fn read_step(view: &View, written: &str, parts: &Parts) -> Result<Step, CliFault> {
    match written.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["check", mapping] => {
            let name: Name = mapping.parse().map_err(|fault| CliFault::usage(format!("the mapping's name {fault}")))?;
            found(view, &name)?;
            Ok(Step::Check { mapping: name, thresholds: parts.thresholds.clone() })
        }
        ["share", share] => Ok(Step::Share { share: find::share(view, share)?.share.share }),
        ["consolidate"] => Ok(Step::Consolidate),
        ["publish"] => match &parts.place {
            Some(place) => Ok(Step::Publish { into: Box::new(place.clone()) }),
            None => Err(CliFault::usage("the step publish needs a [publish] with postgres, database and user")),
        },
        _ => Err(CliFault::usage(format!(
            "{written:?} is no step; write \"check MAPPING\", \"share SHARE\", \"consolidate\" or \"publish\""
        ))),
    }
}

fn change(cx: &Cx, pipeline: &Name, change: PipelineChange) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    cx.give(&view, Command::ChangePipeline { pipeline: pipeline.clone(), change })?;
    let done = match change {
        PipelineChange::Retry => "goes on",
        PipelineChange::Park => "is parked",
        PipelineChange::Remove => "is gone",
    };
    Ok(Shown::new(json!({"pipeline": pipeline, "change": change}), format!("Pipeline {pipeline} {done}\n")))
}

fn list(view: &View) -> Shown {
    let mut table = Table::new(["PIPELINE", "ON", "STEPS", "BY", "ATTEMPTS"]);
    for each in &view.pipelines {
        let pipeline = &each.pipeline;
        let steps: Vec<String> = pipeline.steps.iter().map(|step| step_words(view, step)).collect();
        table.row([
            pipeline.name.to_string(),
            trigger_words(view, &pipeline.trigger),
            steps.join(", "),
            each.person.to_string(),
            pipeline.attempts.to_string(),
        ]);
    }
    Shown::new(json!(view.pipelines), table.or("No pipelines yet.\n"))
}

fn status(view: &View, name: Option<&Name>) -> Result<Shown, CliFault> {
    let wanted = |each: &&PipelineView| name.is_none_or(|name| *name == each.pipeline.name);
    let found: Vec<&PipelineView> = view.pipelines.iter().filter(wanted).collect();
    if let (Some(name), true) = (name, found.is_empty()) {
        return Err(CliFault::not_found(format!("no pipeline {name}; `cohortium pipeline list` shows them")));
    }
    let mut table = Table::new(["PIPELINE", "STATE", "STEP", "ATTEMPT", "RUNS", "LAST", "WHY"]);
    for each in &found {
        let step = each.step.and_then(|step| each.pipeline.steps.get(usize::from(step)));
        table.row([
            each.pipeline.name.to_string(),
            each.state.clone(),
            step.map(|step| step_words(view, step)).unwrap_or_default(),
            each.attempt.map(|attempt| format!("{attempt} of {}", each.pipeline.attempts)).unwrap_or_default(),
            each.runs.to_string(),
            each.last.clone().unwrap_or_default(),
            each.fault.clone().unwrap_or_default(),
        ]);
    }
    Ok(Shown::new(json!(found), table.or("No pipelines yet.\n")))
}

fn step_words(view: &View, step: &Step) -> String {
    match step {
        Step::Check { mapping, .. } => format!("check {mapping}"),
        Step::Share { share } => {
            let known = view.shares.iter().find(|known| known.share.share == *share);
            known.map_or_else(|| format!("share {share}"), |known| format!("share {}", known.share.name))
        }
        Step::Consolidate => "consolidate".to_owned(),
        Step::Publish { into } => format!("publish to {}", shown_place(&into.place)),
    }
}

fn trigger_words(view: &View, trigger: &Trigger) -> String {
    match trigger {
        Trigger::Landed { subscription: None } => "landed".to_owned(),
        Trigger::Landed { subscription: Some(id) } => {
            let known = view.subscriptions.iter().find(|known| known.subscription == *id);
            known.map_or_else(|| "landed".to_owned(), |known| format!("landed {}", known.invitation.share.name))
        }
        Trigger::NewFile { dataset } => {
            let known = view.datasets.iter().find(|known| known.dataset == *dataset);
            known.map_or_else(|| "file".to_owned(), |known| format!("file {}", known.name))
        }
        Trigger::Schedule(schedule) => when::shown_schedule(schedule),
    }
}
