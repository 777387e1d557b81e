//! `cohortium mapping`: how this node's sources become tables of the common schema.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use cohortium_engine::mapping::Mapping as Written;
use cohortium_protocol::ident::{DatasetId, Name, Text};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::limits::MAPPING_BYTES_MAX;
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
use crate::cli::mapped::{common_schema, content, found};
use crate::cli::print::{Shown, Table, from_word, short, yes};
use crate::cli::share::{self, Terms};
use crate::cli::when;
use crate::control::{Reply, Request, View};
use crate::driver::fresh::Fresh;
use crate::home;
use crate::offered;

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Read a mapping file and say what is wrong with it; needs no daemon
    Check {
        /// The file
        file: PathBuf,
    },
    /// Define a mapping, or its next version
    Define {
        /// The file
        file: PathBuf,
    },
    /// Map this node's sources now, and wait for the end
    Run {
        /// The mapping
        name: Name,
    },
    /// This node's mappings
    List,
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
    /// When snapshots are taken
    #[arg(long, default_value = "manual", value_parser = when::schedule)]
    schedule: Schedule,
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
        Verb::Check { file } => check_file(&file),
        Verb::Define { file } => define(cx, &file),
        Verb::Run { name } => map(cx, &name),
        Verb::List => Ok(list(&cx.view()?)),
        Verb::Report { name, html, thresholds } => report(cx, &name, html.as_deref(), thresholds.as_deref()),
        Verb::Quarantine { name, file } => quarantine(cx, &name, &file),
        Verb::Offer(offer) => self::offer(cx, &offer),
    }
}

fn read(file: &Path) -> Result<(String, Written), CliFault> {
    let bytes = home::read_bounded(file, MAPPING_BYTES_MAX as u64)?;
    let text =
        String::from_utf8(bytes).map_err(|_| CliFault::usage(format!("{} is not UTF-8 text", file.display())))?;
    let written = Written::parse(&text, &common_schema())
        .map_err(|fault| CliFault::usage(format!("{}: {fault}", file.display())))?;
    Ok((text, written))
}

fn check_file(file: &Path) -> Result<Shown, CliFault> {
    let (_, written) = read(file)?;
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
    let (text, written) = read(file)?;
    let view = cx.view()?;
    let mut sources: BTreeMap<Name, DatasetId> = BTreeMap::new();
    let named = |text: &str| {
        text.parse::<Name>().map_err(|fault| CliFault::usage(format!("{}: the name {text} {fault}", file.display())))
    };
    for (source, rules) in &written.source {
        sources.insert(named(source)?, find::dataset(&view, &rules.dataset)?.dataset);
    }
    let fields = MappingFields {
        consortium: view.consortium,
        party: view.party.clone(),
        name: named(&written.mapping)?,
        version: written.version,
        schema: common_schema().digest(),
        text,
        sources,
        patients: named(&written.patients.source)?,
        tables: written.fact.iter().map(|fact| named(&fact.table)).collect::<Result<_, _>>()?,
        ext: Extensions::default(),
    };
    let mapping = Mapping::try_from(fields).map_err(|fault| CliFault::usage(fault.to_string()))?;
    let digest = Signed::unsigned(&mapping).digest();
    let (name, version) = (mapping.name.clone(), mapping.version);
    cx.give(&view, Command::DefineMapping(Box::new(mapping)))?;
    let text = format!("Mapping {name} version {version}: {digest}\n");
    Ok(Shown::new(json!({"mapping": name, "version": version, "digest": digest}), text))
}

fn map(cx: &Cx, name: &Name) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let before = found(&view, name)?.runs;
    cx.give(&view, Command::RunMapping { mapping: name.clone() })?;
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
                    let order = cx.signed(&view, Command::ReadMapped { mapping: name.clone() })?;
                    let told = match cx.call(Request::MappingFault { order })? {
                        Reply::Told { message } => message,
                        _ => None,
                    };
                    Err(CliFault::refused(told.map_or_else(
                        || format!("mapping {name} made nothing: {fault}"),
                        |told| format!("mapping {name} made nothing: {told}"),
                    )))
                }
            };
        }
        sleep(LOOK_EVERY);
    }
    Err(CliFault::local(format!("mapping {name} is still running; `cohortium history` shows its end")))
}

fn list(view: &View) -> Shown {
    let mut table = Table::new(["MAPPING", "VERSION", "DIGEST", "TABLES", "SET", "FRESH", "LINKED"]);
    for each in &view.mappings {
        let tables: Vec<String> = each.tables.iter().map(ToString::to_string).collect();
        table.row([
            each.name.to_string(),
            each.version.to_string(),
            short(&each.digest),
            tables.join(", "),
            each.set.as_ref().map(short).unwrap_or_default(),
            yes(each.set.is_some() && !each.stale).to_owned(),
            yes(each.linked).to_owned(),
        ]);
    }
    Shown::new(json!(view.mappings), table.or("No mappings yet.\n"))
}

fn report(cx: &Cx, name: &Name, html: Option<&Path>, thresholds: Option<&Path>) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    found(&view, name)?;
    let order = cx.signed(&view, Command::ReadMapped { mapping: name.clone() })?;
    let Reply::Told { message: Some(text) } = cx.call(Request::MappingReport { order })? else {
        return Err(CliFault::other_reply());
    };
    let mut report: serde_json::Value = serde_json::from_str(&text).map_err(|_| CliFault::other_reply())?;
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
    let judged = check::judged(&measured, thresholds)?;
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
    let schema = common_schema();
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
            schedule: offer.schedule.clone(),
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
