//! `cohortium mapping`: how this node's sources become tables of the common schema.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use cohortium_protocol::ident::{DatasetId, Name, Text};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::record::charter::LandedRows;
use cohortium_protocol::record::extension::Extensions;
use cohortium_protocol::record::mapping::{Mapping, MappingFields};
use cohortium_protocol::record::order::Command;
use cohortium_protocol::record::schedule::Schedule;
use cohortium_schema::gate::{Measured, Thresholds};
use cohortium_store::seal;
use serde_json::json;

use crate::cli::call::Cx;
use crate::cli::check;
use crate::cli::exit::CliFault;
use crate::cli::find;
use crate::cli::mapped::{common_schema, content, found, schema_of_file};
use crate::cli::print::{Shown, Table, from_word, short, yes};
use crate::cli::share::{self, Terms};
use crate::cli::trial;
use crate::control::{Reply, Request, View};
use crate::driver::fresh::Fresh;
use crate::offered;

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Read a mapping file and say what is wrong with it; needs no daemon
    Check {
        /// The file
        file: PathBuf,
        /// The common schema, where it is a consortium's own
        #[arg(long, value_name = "FILE")]
        schema: Option<PathBuf>,
    },
    /// Run a mapping on made-up rows and compare with what is expected; needs no daemon
    Test(trial::Test),
    /// What differs between two mapping files, and in the facts that they make; needs no daemon
    Diff(trial::Diff),
    /// Define a mapping, or its next version
    Define {
        /// The file
        file: PathBuf,
    },
    /// Map this node's sources now, and wait for the end
    Run {
        /// The mapping
        name: Name,
        /// Let this table come out empty; without it, a run that empties a table makes nothing
        #[arg(long, value_name = "TABLE")]
        allow_empty: Vec<Name>,
    },
    /// This node's mappings: version, digest, who signed it and when
    List,
    /// One mapping
    Show {
        /// The mapping
        name: Name,
    },
    /// What had changed of the sources when the mapping ran last
    Drift {
        /// The mapping
        name: Name,
    },
    /// What became of every row and fact of the last run, and the quality of what was made
    Report {
        /// The mapping
        name: Name,
        /// Write it as a page to look at into a new file
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        /// Judge by these thresholds, `check = per cent` a line, beside those of the list
        #[arg(long, value_name = "FILE")]
        thresholds: Option<PathBuf>,
    },
    /// Write the last run's quarantine to a new file: source, place, table, column and reason of each entry
    Quarantine {
        /// The mapping
        name: Name,
        /// A path that ends in .csv or .parquet
        file: PathBuf,
    },
    /// Define a dataset and a share for each table of a mapping that has run, to be previewed and approved
    Offer(Box<Offer>),
}

/// Terms of the shares of a mapping's tables.
#[derive(Debug, clap::Args)]
pub(crate) struct Offer {
    /// The mapping
    name: Name,
    /// Who may be invited
    #[arg(long, value_name = "PARTY,..", value_delimiter = ',', required = true)]
    to: Vec<Name>,
    /// What they may be used for
    #[arg(long)]
    purpose: Text,
    /// No byte after so many days
    #[arg(long, value_name = "N")]
    days: u32,
    /// What revocation and expiry mean for landed rows: exclude, keep or erase [default: the charter's]
    #[arg(long, value_parser = from_word::<LandedRows>)]
    on_revocation: Option<LandedRows>,
}

/// How long `run` waits.
const RUN_DEADLINE: Duration = Duration::from_hours(12);
/// Between two looks at a mapping that runs.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(crate) fn run(cx: &Cx, verb: Verb) -> Result<Shown, CliFault> {
    match verb {
        Verb::Check { file, schema } => check_file(&file, schema.as_deref()),
        Verb::Test(test) => trial::test(cx, &test),
        Verb::Diff(diff) => trial::diff(cx, &diff),
        Verb::Define { file } => define(cx, &file),
        Verb::Run { name, allow_empty } => map(cx, &name, allow_empty.into_iter().collect()),
        Verb::List => Ok(list(&cx.view()?)),
        Verb::Report { name, html, thresholds } => report(cx, &name, html.as_deref(), thresholds.as_deref()),
        Verb::Show { name } => show(&cx.view()?, &name),
        Verb::Drift { name } => drift(cx, &name),
        Verb::Quarantine { name, file } => quarantine(cx, &name, &file),
        Verb::Offer(offer) => self::offer(cx, &offer),
    }
}

fn check_file(file: &Path, schema: Option<&Path>) -> Result<Shown, CliFault> {
    let (_, written) = trial::read(file, &schema_of_file(schema)?)?;
    let tables: BTreeSet<&str> = written.fact.iter().map(|fact| fact.table.as_str()).collect();
    let text = format!(
        "Mapping {} version {} is well formed: {} rules from {} sources into {}\n",
        written.mapping,
        written.version,
        written.fact.len(),
        written.source.len(),
        tables.iter().copied().collect::<Vec<_>>().join(", ")
    );
    let json = json!({"mapping": written.mapping, "version": written.version, "tables": tables});
    Ok(Shown::new(json, text))
}

fn define(cx: &Cx, file: &Path) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let schema = common_schema(cx, &view)?;
    let (text, written) = trial::read(file, &schema)?;
    let mut sources: BTreeMap<Name, DatasetId> = BTreeMap::new();
    let named = |text: &str| {
        text.parse::<Name>().map_err(|fault| CliFault::usage(format!("{}: the name {text} {fault}", file.display())))
    };
    let allowance = written.allowance(&schema).map_err(|fault| CliFault::usage(fault.to_string()))?;
    for (source, rules) in &written.source {
        sources.insert(named(source)?, find::dataset(&view, &rules.dataset)?.dataset);
    }
    let fields = MappingFields {
        consortium: view.consortium,
        party: view.party.clone(),
        name: named(&written.mapping)?,
        version: written.version,
        schema: schema.digest(),
        text,
        sources,
        patients: named(&written.patients.source)?,
        tables: written.fact.iter().map(|fact| named(&fact.table)).collect::<Result<_, _>>()?,
        ext: allowance.beside(Extensions::default()),
    };
    let mapping = Mapping::try_from(fields).map_err(|fault| CliFault::usage(fault.to_string()))?;
    let digest = Signed::unsigned(&mapping).digest();
    let (name, version) = (mapping.name.clone(), mapping.version);
    cx.give(&view, Command::DefineMapping(Box::new(mapping)))?;
    let text = format!("Mapping {name} version {version}: {digest}\n");
    Ok(Shown::new(json!({"mapping": name, "version": version, "digest": digest}), text))
}

fn map(cx: &Cx, name: &Name, empty: BTreeSet<Name>) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let before = found(&view, name)?.runs;
    let mapping = name.clone();
    let command =
        if empty.is_empty() { Command::RunMapping { mapping } } else { Command::RunMappingDespite { mapping, empty } };
    cx.give(&view, command)?;
    let began = Instant::now();
    while began.elapsed() < RUN_DEADLINE {
        let view = cx.view()?;
        let now = found(&view, name)?;
        if now.runs > before {
            return match (&now.fault, &now.set) {
                (None, Some(set)) => {
                    let text = format!("Mapping {name} has run: set {}\n", short(set));
                    Ok(Shown::new(json!({"mapping": name, "set": set, "linked": now.linked}), text))
                }
                (fault, _) => {
                    let fault = fault.clone().unwrap_or_default();
                    let why = told(cx, &view, name)?.unwrap_or(fault);
                    Err(CliFault::refused(format!("mapping {name} made nothing: {why}")))
                }
            };
        }
        sleep(LOOK_EVERY);
    }
    Err(CliFault::local(format!("mapping {name} is still running; `cohortium history` shows its end")))
}

/// Why the last run made nothing, as the worker told it.
fn told(cx: &Cx, view: &View, name: &Name) -> Result<Option<String>, CliFault> {
    let order = cx.signed(view, Command::ReadMapped { mapping: name.clone() })?;
    match cx.call(Request::MappingFault { order })? {
        Reply::Told { message } => Ok(message),
        _ => Err(CliFault::other_reply()),
    }
}

fn show(view: &View, name: &Name) -> Result<Shown, CliFault> {
    let found = found(view, name)?;
    let named = |id: &DatasetId| {
        let known = view.datasets.iter().find(|dataset| dataset.dataset == *id);
        known.map_or_else(|| short(id), |dataset| dataset.name.to_string())
    };
    let sources: Vec<String> = found.sources.iter().map(|(source, id)| format!("{source}: {}", named(id))).collect();
    let tables: Vec<&str> = found.tables.iter().map(Name::as_str).collect();
    let mut facts = Table::new(["Mapping", name.as_str()]);
    facts.row(["version".to_owned(), found.version.to_string()]);
    facts.row(["digest".to_owned(), found.digest.to_string()]);
    facts.row(["signed by".to_owned(), found.by.to_string()]);
    facts.row(["signed at".to_owned(), found.at.clone()]);
    facts.row(["schema".to_owned(), short(&found.schema)]);
    facts.row(["sources".to_owned(), sources.join(", ")]);
    facts.row(["tables".to_owned(), tables.join(", ")]);
    facts.row(["runs".to_owned(), found.runs.to_string()]);
    facts.row(["set".to_owned(), found.set.as_ref().map_or_else(|| "none yet".to_owned(), short)]);
    facts.row(["fresh".to_owned(), yes(found.set.is_some() && !found.stale).to_owned()]);
    if let Some(fault) = &found.fault {
        facts.row(["last run".to_owned(), format!("made nothing: {fault}")]);
    }
    Ok(Shown::new(json!(found), facts.to_text()))
}

/// What had changed at the last run that made a set; and why a later one was refused.
fn drift(cx: &Cx, name: &Name) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let refused = if found(&view, name)?.fault.is_some() { told(cx, &view, name)? } else { None };
    let drift = match found(&view, name)?.set {
        None => serde_json::Value::Null,
        Some(_) => last_report(cx, &view, name)?.get("drift").cloned().unwrap_or_default(),
    };
    let mut text = crate::cli::account::drift(&drift);
    if let Some(refused) = &refused {
        text = format!("{text}The last run made nothing: {refused}\n");
    }
    Ok(Shown::new(json!({"mapping": name, "drift": drift, "refused": refused}), text))
}

fn list(view: &View) -> Shown {
    let mut table =
        Table::new(["MAPPING", "VERSION", "DIGEST", "SIGNED BY", "SIGNED AT", "TABLES", "SET", "FRESH", "LINKED"]);
    for each in &view.mappings {
        let tables: Vec<String> = each.tables.iter().map(ToString::to_string).collect();
        table.row([
            each.name.to_string(),
            each.version.to_string(),
            short(&each.digest),
            each.by.to_string(),
            each.at.clone(),
            tables.join(", "),
            each.set.as_ref().map(short).unwrap_or_default(),
            yes(each.set.is_some() && !each.stale).to_owned(),
            yes(each.linked).to_owned(),
        ]);
    }
    Shown::new(json!(view.mappings), table.or("No mappings yet.\n"))
}

fn last_report(cx: &Cx, view: &View, name: &Name) -> Result<serde_json::Value, CliFault> {
    found(view, name)?;
    let order = cx.signed(view, Command::ReadMapped { mapping: name.clone() })?;
    let Reply::Told { message: Some(text) } = cx.call(Request::MappingReport { order })? else {
        return Err(CliFault::other_reply());
    };
    serde_json::from_str(&text).map_err(|_| CliFault::other_reply())
}

fn report(cx: &Cx, name: &Name, html: Option<&Path>, thresholds: Option<&Path>) -> Result<Shown, CliFault> {
    let mut report = last_report(cx, &cx.view()?, name)?;
    if thresholds.is_some() {
        judge_again(&mut report, &check::thresholds(thresholds)?, name)?;
    }
    if let Some(path) = html {
        let page = report.get("page").and_then(serde_json::Value::as_str).unwrap_or_default();
        let unwritten = |fault: std::io::Error| CliFault::usage(format!("{}: {fault}", path.display()));
        let (fresh, mut file) = Fresh::file(path).map_err(unwritten)?;
        file.write_all(page.as_bytes()).and_then(|()| fresh.place()).map_err(unwritten)?;
    }
    Ok(Shown::new(report.clone(), crate::cli::account::shown(&report)))
}

/// Other thresholds over what the run has counted: no other run is needed.
fn judge_again(report: &mut serde_json::Value, thresholds: &Thresholds, name: &Name) -> Result<(), CliFault> {
    let measured: Measured = report
        .get("measured")
        .and_then(|measured| serde_json::from_value(measured.clone()).ok())
        .ok_or_else(|| CliFault::refused("the run before kept no counts; run the mapping again"))?;
    let judged = check::judged(&measured, thresholds, &check::allowance(report)?)?;
    if let Some(all) = report.as_object_mut() {
        all.insert("quality".to_owned(), json!(judged));
        all.insert("digest".to_owned(), json!(judged.digest()));
        all.insert("page".to_owned(), json!(judged.to_html(&name.to_string())));
    }
    Ok(())
}

fn quarantine(cx: &Cx, name: &Name, file: &Path) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    found(&view, name)?;
    let path = std::path::absolute(file).map_err(|fault| CliFault::usage(format!("{}: {fault}", file.display())))?;
    let text = path.clone().into_os_string().into_string();
    let path = text.map_err(|_| CliFault::usage("the path is not UTF-8 text"))?;
    let order = cx.signed(&view, Command::ReadMapped { mapping: name.clone() })?;
    match cx.call(Request::Quarantine { order, path: path.clone() })? {
        Reply::Done => Ok(Shown::new(json!({"file": path}), format!("Written to {path}\n"))),
        _ => Err(CliFault::other_reply()),
    }
}

fn offer(cx: &Cx, offer: &Offer) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let mapping = found(&view, &offer.name)?;
    if mapping.set.is_none() {
        return Err(CliFault::refused(format!("run it first: cohortium mapping run {}", offer.name)));
    }
    let schema = common_schema(cx, &view)?;
    let mut shares = Vec::new();
    for table in &mapping.tables {
        let found = schema.table(table.as_str()).ok_or_else(|| CliFault::not_found("the schema has no such table"))?;
        let name: Name = format!("{}.{table}", offer.name)
            .parse()
            .map_err(|fault| CliFault::usage(format!("the share's name {fault}")))?;
        let known = view.datasets.iter().find(|dataset| dataset.name == name).map(|dataset| dataset.dataset);
        let id = known.unwrap_or_else(|| DatasetId(seal::random()));
        let dataset = offered::dataset(id, name.clone(), &offer.name, found);
        let dataset = dataset.map_err(|fault| CliFault::usage(fault.to_string()))?;
        cx.give(&view, Command::DefineDataset(dataset))?;
        let terms = Terms {
            name: name.clone(),
            to: offer.to.clone(),
            purpose: offer.purpose.clone(),
            expires: None,
            days: Some(offer.days),
            form: None,
            // A schedule would take the same set again and again: a pipeline maps first.
            schedule: Schedule::MANUAL,
            on_revocation: offer.on_revocation,
        };
        let content = content(found, mapping.linked)?;
        let made = share::terms(&view, terms, id, content, cx.config()?.privacy.share_days_max)?;
        cx.give(&view, Command::DefineShare(made))?;
        shares.push(name);
    }
    let names: Vec<&str> = shares.iter().map(Name::as_str).collect();
    let text = format!("To be previewed and approved: {}\n", names.join(", "));
    Ok(Shown::new(json!({"shares": shares}), text))
}
