//! `cohortium check`: the quality of a mapping's tables as they would leave, before anything does; and what a comparison of
//! sites found here.

use std::io::Write;
use std::path::{Path, PathBuf};

use cohortium_protocol::ident::Name;
use cohortium_protocol::record::allowance::Allowance;
use cohortium_protocol::record::order::Command;
use cohortium_protocol::record::site_notice::{Departure, SiteNotice};
use cohortium_schema::gate::{Measured, Outcome, Report, RunOutcome, Thresholds};
use cohortium_schema::limits::SCHEMA_BYTES_MAX;
use serde_json::{Value, json};

use crate::cli::call::Cx;
use crate::cli::exit::CliFault;
use crate::cli::mapped::found;
use crate::cli::print::{Shown, Table, short, word};
use crate::control::{ErrorKind, Reply, Request};
use crate::driver::fresh::Fresh;
use crate::home;

/// What is checked.
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// The mapping
    #[arg(required_unless_present = "notices")]
    mapping: Option<Name>,
    /// Judge by these thresholds, `check = per cent` a line, beside those of the list
    #[arg(long, value_name = "FILE")]
    thresholds: Option<PathBuf>,
    /// Write the report as a page to look at into a new file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Map the sources anew, and keep nothing of it, although the last run's tables are fresh
    #[arg(long)]
    again: bool,
    /// Show what comparisons of sites found about this one
    #[arg(long, conflicts_with_all = ["mapping", "thresholds", "html", "again"])]
    notices: bool,
}

pub(crate) fn run(cx: &Cx, check: &Check) -> Result<Shown, CliFault> {
    let Some(mapping) = &check.mapping else { return Ok(notices(&cx.view()?.notices)) };
    let thresholds = thresholds(check.thresholds.as_deref())?;
    let view = cx.view()?;
    found(&view, mapping)?;
    let order = cx.signed(&view, Command::CheckMapping { mapping: mapping.clone() })?;
    let Reply::Told { message: Some(text) } = cx.call(Request::CheckMapping { order, again: check.again })? else {
        return Err(CliFault::other_reply());
    };
    let told: Value = serde_json::from_str(&text).map_err(|_| CliFault::other_reply())?;
    let measured: Measured = told
        .get("measured")
        .and_then(|measured| serde_json::from_value(measured.clone()).ok())
        .ok_or_else(CliFault::other_reply)?;
    let report = judged(&measured, &thresholds, &allowance(&told)?)?;
    if let Some(path) = &check.html {
        page(&report, &format!("{mapping}, before it leaves"), path)?;
    }
    let fresh = told.get("fresh").and_then(Value::as_bool).unwrap_or(false);
    let json = json!({
        "mapping": mapping, "kept": fresh, "digest": report.digest(), "outcome": report.outcome, "report": report,
        "measured": measured,
    });
    let of = if fresh { "the last run's tables" } else { "a run of which nothing was kept" };
    let text = format!("{}\nof       {of}\n", text_of(&report));
    Ok(Shown { found: failed(report.outcome), ..Shown::new(json, text) })
}

/// Exit code 5 where something fatal failed.
pub(crate) fn failed(outcome: RunOutcome) -> Option<ErrorKind> {
    (outcome == RunOutcome::Fail).then_some(ErrorKind::VerifyFailed)
}

/// The text of a file of thresholds.
pub(crate) fn thresholds_text(file: Option<&Path>) -> Result<Option<String>, CliFault> {
    let Some(file) = file else { return Ok(None) };
    let bytes = home::read_bounded(file, SCHEMA_BYTES_MAX as u64)?;
    let text = String::from_utf8(bytes);
    text.map(Some).map_err(|_| CliFault::usage(format!("{} is not UTF-8 text", file.display())))
}

pub(crate) fn thresholds(file: Option<&Path>) -> Result<Thresholds, CliFault> {
    match thresholds_text(file)? {
        None => Ok(Thresholds::default()),
        Some(text) => Thresholds::parse(&text).map_err(|fault| CliFault::usage(fault.to_string())),
    }
}

/// What a mapping states of its tables, as a report or an answer repeats it; nothing where a version before knew nothing of
/// it.
pub(crate) fn allowance(told: &Value) -> Result<Allowance, CliFault> {
    let Some(told) = told.get("allowance") else { return Ok(Allowance::default()) };
    serde_json::from_value(told.clone()).map_err(|_| CliFault::other_reply())
}

pub(crate) fn judged(measured: &Measured, thresholds: &Thresholds, stated: &Allowance) -> Result<Report, CliFault> {
    Report::new(measured, thresholds, stated).map_err(|fault| CliFault::usage(fault.to_string()))
}

/// The report as a page in a new file.
pub(crate) fn page(report: &Report, title: &str, path: &Path) -> Result<(), CliFault> {
    let unwritten = |fault: std::io::Error| CliFault::usage(format!("{}: {fault}", path.display()));
    let (fresh, mut file) = Fresh::file(path).map_err(unwritten)?;
    file.write_all(report.to_html(title).as_bytes()).and_then(|()| fresh.place()).map_err(unwritten)
}

/// What failed, the outcome, the digest.
pub(crate) fn text_of(report: &Report) -> String {
    let mut table = Table::new(["FAILED", "SEVERITY", "VIOLATED", "OF", "ALLOWED %"]);
    let bad = report.checks.iter().filter(|check| matches!(check.outcome, Outcome::Fail | Outcome::Error));
    for check in bad {
        table.row([
            check.id.clone(),
            word(&check.severity),
            check.violated.to_string(),
            check.applicable.to_string(),
            check.threshold.to_string(),
        ]);
    }
    let passed = report.checks.iter().filter(|check| check.outcome == Outcome::Pass).count();
    let failed = table.or("No check failed.\n");
    let left_out: Vec<&str> = report.left_out.iter().map(Name::as_str).collect();
    let stated = stated_text(&left_out.join(", "), report.stated.iter().map(|(check, borne)| (check.as_str(), *borne)));
    format!("{failed}\n{stated}passed   {passed}\nquality  {}\ndigest   {}", word(&report.outcome), report.digest())
}

/// What the mapping states, for people: a report is worth what is left of its checks.
pub(crate) fn stated_text<'a>(left_out: &str, borne: impl Iterator<Item = (&'a str, u16)>) -> String {
    let borne: Vec<String> = borne.map(|(check, borne)| format!("{check} {} %", f64::from(borne) / 10.0)).collect();
    let line = |what: &str, words: String| if words.is_empty() { words } else { format!("{what}  {words}\n") };
    line("left out", left_out.to_owned()) + &line("borne   ", borne.join(", "))
}

fn notices(notices: &[SiteNotice]) -> Shown {
    let mut table = Table::new(["AT", "MEMBER", "SITES", "TABLES", "WHAT", "WHERE", "HERE"]);
    for notice in notices {
        for departure in &notice.departures {
            let (what, place, here) = departure_words(departure);
            table.row([
                notice.at.to_string(),
                notice.member.to_string(),
                notice.sites.to_string(),
                short(&notice.consolidation),
                what.to_owned(),
                place,
                here,
            ]);
        }
    }
    Shown::new(json!(notices), table.or("No comparison has found anything here.\n"))
}

fn departure_words(departure: &Departure) -> (&'static str, String, String) {
    let per_cent = |share: &Option<u8>| share.map_or_else(|| "few".to_owned(), |share| format!("{share} %"));
    match departure {
        Departure::Missing { table, field, here, elsewhere } => {
            let here = format!("{}, elsewhere {}", per_cent(here), per_cent(elsewhere));
            ("missing values", format!("{table}.{field}"), here)
        }
        Departure::Units { of, units, here } => {
            let units: Vec<String> = units.iter().map(ToString::to_string).collect();
            let place = format!("{}.{} concept {}", of.table, of.field, of.concept);
            ("units", place, format!("{} in {}", per_cent(here), units.join(" ")))
        }
        Departure::Distribution { of, unit, distance } => {
            let place = format!("{}.{} concept {} unit {unit}", of.table, of.field, of.concept);
            ("distribution", place, format!("distance {distance} of 100"))
        }
    }
}
