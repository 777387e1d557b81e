//! `cohortium consolidate`: the landed tables of all members as versions of one set of tables.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use cohortium_protocol::digest::DocumentDigest;
use cohortium_protocol::ident::{Name, Text};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::record::consolidation::Consolidation;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::order::Command;
use cohortium_protocol::record::publish_place::{AbsentTable, PublishPlace, WrittenIds};
use serde_json::{Value, json};

use crate::cli::call::Cx;
use crate::cli::check;
use crate::cli::exit::CliFault;
use crate::cli::lineage::{self, Lineage};
use crate::cli::print::{Shown, Table, short, word, yes};
use crate::cli::remote::{self, ReachFlags};
use crate::control::{ErrorKind, Reply, Request, View};

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Make new table versions of what has landed, and wait for the end
    Run,
    /// The kept sets of table versions
    List,
    /// Use an earlier set again
    Use {
        /// The consolidation: its number, or the beginning of its digest
        set: String,
    },
    /// Write the tables in use to a new folder as Parquet, a folder for each table and within it for each member
    Export {
        /// A path that does not exist yet
        folder: PathBuf,
    },
    /// Let the tables in use be what a PostgreSQL of this party holds: whole, or not at all
    Publish(Box<Publish>),
    /// Which snapshots, mappings, vocabularies and software tables were made of and with
    Lineage(Lineage),
    /// The quality gates over one member's landed tables: the digest that the member's `check` gives, how it ended
    Quality {
        /// One member alone
        member: Option<Name>,
        /// Judge by these thresholds, `check = per cent` a line, beside those of the list
        #[arg(long, value_name = "FILE")]
        thresholds: Option<PathBuf>,
    },
    /// Compare five sites or more: whose units, missing values or distributions depart. Each is told what concerns it
    Compare,
}

/// Where tables are published.
#[derive(Debug, clap::Args)]
pub(crate) struct Publish {
    /// HOST, HOST:PORT, or the path of its socket or the socket's folder
    #[arg(long, value_name = "ADDRESS", required = true)]
    postgres: String,
    #[command(flatten)]
    reach: ReachFlags,
    /// The schema that the tables are in [default: where the server finds them]
    #[arg(long)]
    schema: Option<Text>,
    /// Make tables that are not there
    #[arg(long)]
    create: bool,
    /// Write ids of rows as numbers from 1, of this publication alone: the official OMOP tables hold no ids of 63 bits
    #[arg(long)]
    number_ids: bool,
}

/// How long `run` waits.
const RUN_DEADLINE: Duration = Duration::from_hours(12);
/// Between two looks at a consolidation that runs.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(crate) fn run(cx: &Cx, verb: Verb) -> Result<Shown, CliFault> {
    match verb {
        Verb::Run => consolidate(cx),
        Verb::List => Ok(list(&cx.view()?)),
        Verb::Export { folder } => export(cx, &folder),
        Verb::Publish(publish) => self::publish(cx, &publish),
        Verb::Use { set } => use_again(cx, &set),
        Verb::Lineage(lineage) => lineage::run(cx, &lineage),
        Verb::Quality { member, thresholds } => quality(cx, member, thresholds.as_deref()),
        Verb::Compare => compare(cx),
    }
}

fn digest_of(set: &Consolidation) -> DocumentDigest {
    Signed::unsigned(set).digest()
}

fn current(view: &View) -> Option<&Consolidation> {
    view.table_sets.iter().find(|set| Some(digest_of(set)) == view.tables)
}

fn consolidate(cx: &Cx) -> Result<Shown, CliFault> {
    let before = cx.view()?.tables;
    let view = cx.view()?;
    cx.give(&view, Command::Consolidate)?;
    let began = Instant::now();
    while began.elapsed() < RUN_DEADLINE {
        let view = cx.view()?;
        if !view.consolidating {
            if let Some(fault) = &view.tables_fault {
                return Err(CliFault::refused(format!("nothing was consolidated: {fault}; see the daemon's log")));
            }
            let set =
                current(&view).ok_or_else(|| CliFault::not_found("nothing that can be consolidated has landed"))?;
            let unchanged = view.tables == before;
            let tables: Vec<&Name> = set.tables.keys().collect();
            let json = json!({
                "number": set.sequence, "digest": view.tables, "tables": tables, "unchanged": unchanged,
                "left_out": set.left_out,
            });
            let mut text = if unchanged {
                format!("Nothing has changed since consolidation {}\n", set.sequence)
            } else {
                format!("Consolidation {} of {} tables\n", set.sequence, tables.len())
            };
            for (member, fault) in &set.left_out {
                text.push_str(&left_out(member, *fault));
            }
            return Ok(Shown::new(json, text));
        }
        sleep(LOOK_EVERY);
    }
    Err(CliFault::local("the consolidation is still running; `cohortium history` shows its end"))
}

fn left_out(member: &Name, fault: RunFault) -> String {
    let why = match fault {
        RunFault::SetStale => {
            "its landed tables are of several mapping runs; it must take every share of the last one".to_owned()
        }
        other => format!("its landed rows cannot be taken in ({}); the daemon's log names the table", word(&other)),
    };
    format!("Left out: {member}, whose rows of before stay: {why}\n")
}

fn list(view: &View) -> Shown {
    let mut table = Table::new(["NUMBER", "DIGEST", "AT", "TABLES", "MEMBERS", "IN USE"]);
    let mut json = Vec::new();
    for set in &view.table_sets {
        let digest = digest_of(set);
        let members: BTreeSet<&Name> = set.tables.values().flat_map(|table| table.parts.keys()).collect();
        table.row([
            set.sequence.to_string(),
            short(&digest),
            set.at.to_string(),
            set.tables.len().to_string(),
            members.len().to_string(),
            yes(Some(digest) == view.tables).to_owned(),
        ]);
        json.push(json!({"digest": digest, "consolidation": set, "in_use": Some(digest) == view.tables}));
    }
    Shown::new(Value::Array(json), table.or("Nothing has been consolidated yet.\n"))
}

fn use_again(cx: &Cx, written: &str) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let fits = |set: &&Consolidation| {
        set.sequence.to_string() == written || (written.len() >= 8 && digest_of(set).to_string().starts_with(written))
    };
    let set = view.table_sets.iter().find(fits);
    let set = set.ok_or_else(|| CliFault::not_found("no such set is kept; `cohortium consolidate list` shows them"))?;
    let consolidation = digest_of(set);
    cx.give(&view, Command::UseTables { consolidation })?;
    let text = format!("Consolidation {} is in use\n", set.sequence);
    Ok(Shown::new(json!({"number": set.sequence, "digest": consolidation}), text))
}

fn in_use(view: &View) -> Result<(DocumentDigest, u64), CliFault> {
    let set = current(view).ok_or_else(|| CliFault::not_found("nothing has been consolidated yet"))?;
    Ok((digest_of(set), set.sequence))
}

fn export(cx: &Cx, folder: &Path) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let (consolidation, number) = in_use(&view)?;
    let folder = std::path::absolute(folder).map_err(|fault| CliFault::usage(fault.to_string()))?;
    let folder = folder.into_os_string().into_string().map_err(|_| CliFault::usage("the path is not UTF-8 text"))?;
    let order = cx.signed(&view, Command::ReadTables { consolidation })?;
    match cx.call(Request::ExportTables { order, folder: folder.clone() })? {
        Reply::Done => {
            let text = format!("The tables of consolidation {number} are in {folder}; they are not sealed there\n");
            Ok(Shown::new(json!({"number": number, "digest": consolidation, "folder": folder}), text))
        }
        _ => Err(CliFault::other_reply()),
    }
}

fn publish(cx: &Cx, publish: &Publish) -> Result<Shown, CliFault> {
    let place = publish.reach.place(&publish.postgres, remote::POSTGRES_PORT)?;
    let shown = remote::shown_place(&place);
    let absent = if publish.create { AbsentTable::Create } else { AbsentTable::Refuse };
    let ids = if publish.number_ids { WrittenIds::Numbered } else { WrittenIds::Whole };
    let into = Box::new(PublishPlace { place, schema: publish.schema.clone(), absent, ids });
    let view = cx.view()?;
    let (consolidation, number) = in_use(&view)?;
    cx.give(&view, Command::Publish { consolidation, into })?;
    let began = Instant::now();
    while began.elapsed() < RUN_DEADLINE {
        let view = cx.view()?;
        if view.publishing {
            sleep(LOOK_EVERY);
            continue;
        }
        return match &view.published {
            Some((of, None)) if *of == consolidation => {
                let text = format!("The tables of consolidation {number} are in {shown}\n");
                Ok(Shown::new(json!({"number": number, "digest": consolidation}), text))
            }
            Some((_, Some(fault))) => {
                let order = cx.signed(&view, Command::ReadTables { consolidation })?;
                let told = match cx.call(Request::PublicationFault { order })? {
                    Reply::Told { message } => message.map(|message| format!(": {message}")).unwrap_or_default(),
                    _ => return Err(CliFault::other_reply()),
                };
                Err(CliFault::refused(format!("nothing was published: {fault}{told}")))
            }
            _ => Err(CliFault::local("the publication was lost; `cohortium history` shows what became of it")),
        };
    }
    Err(CliFault::local("the publication is still running; `cohortium history` shows its end"))
}

/// Of one member or of each: every look is an order of its own.
fn quality(cx: &Cx, member: Option<Name>, thresholds: Option<&Path>) -> Result<Shown, CliFault> {
    let thresholds = check::thresholds_text(thresholds)?;
    let view = cx.view()?;
    if let Some(member) = member {
        return quality_of(cx, &view, &member, thresholds);
    }
    let set = current(&view).ok_or_else(|| CliFault::not_found("nothing has been consolidated yet"))?;
    let members: BTreeSet<&Name> = set.tables.values().flat_map(|table| table.parts.keys()).collect();
    let mut all = Shown::new(Value::Null, "");
    let mut json = Vec::new();
    for member in members {
        let one = quality_of(cx, &view, member, thresholds.clone())?;
        json.push(one.json);
        let _ = writeln!(all.text, "{member}\n{}", one.text);
        all.found = all.found.or(one.found);
    }
    Ok(Shown { json: Value::Array(json), ..all })
}

fn quality_of(cx: &Cx, view: &View, member: &Name, thresholds: Option<String>) -> Result<Shown, CliFault> {
    let order = cx.signed(view, Command::CheckTables { member: member.clone() })?;
    let Reply::Told { message: Some(text) } = cx.call(Request::CheckTables { order, thresholds })? else {
        return Err(CliFault::other_reply());
    };
    let told: Value = serde_json::from_str(&text).map_err(|_| CliFault::other_reply())?;
    let word = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut table = Table::new(["CHECK", "SEVERITY", "OUTCOME"]);
    for each in told.get("checks").and_then(Value::as_array).into_iter().flatten() {
        if word(each, "outcome") != "pass" {
            table.row([word(each, "id"), word(each, "severity"), word(each, "outcome")]);
        }
    }
    let failed = table.or("No check failed.\n");
    let names = |key: &str| told.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let left_out: Vec<String> = names("left_out").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let borne = told.get("stated").and_then(Value::as_object).into_iter().flatten();
    let borne = borne.filter_map(|(check, borne)| Some((check.as_str(), u16::try_from(borne.as_u64()?).ok()?)));
    let stated = check::stated_text(&left_out.join(", "), borne);
    let text = format!("{failed}\n{stated}quality  {}\ndigest   {}\n", word(&told, "outcome"), word(&told, "digest"));
    let found = (word(&told, "outcome") == "fail").then_some(ErrorKind::VerifyFailed);
    Ok(Shown { found, ..Shown::new(told, text) })
}

fn compare(cx: &Cx) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let order = cx.signed(&view, Command::CompareSites)?;
    let Reply::Told { message: Some(text) } = cx.call(Request::CompareSites { order })? else {
        return Err(CliFault::other_reply());
    };
    let told: Value = serde_json::from_str(&text).map_err(|_| CliFault::other_reply())?;
    let mut table = Table::new(["SITE", "DEPARTS IN"]);
    for each in told.pointer("/comparison/found").and_then(Value::as_array).into_iter().flatten() {
        let site = each.get("site").and_then(Value::as_str).unwrap_or_default();
        table.row([site.to_owned(), each.get("departure").map(ToString::to_string).unwrap_or_default()]);
    }
    let text = format!("{}Each site that departs is told what concerns it.\n", table.or("No site departs.\n"));
    Ok(Shown::new(told, text))
}
