//! `cohortium source`: files that may become sources, looked at without a daemon. Nothing is parsed in this process: a
//! worker is started for it, under a worker's limits.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cohortium_engine::observe::ObservedColumn;
use cohortium_protocol::ident::Name;
use cohortium_protocol::quantity::Bytes;
use cohortium_protocol::record::dataset::Source;
use serde_json::{Value, json};

use crate::cli::call::Cx;
use crate::cli::dataset::{Form, absolute};
use crate::cli::drafted;
use crate::cli::exit::CliFault;
use crate::cli::join::runtime;
use crate::cli::print::{Shown, word};
use crate::config::resolve::WorkerLimits;
use crate::control::ErrorKind;
use crate::driver::fresh::{Fresh, create};
use crate::worker::job::{Job, Report};
use crate::worker::pass::FILES_MAX;
use crate::worker::pool::Pool;

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Draft what a file's columns are, and a mapping of them, for a person to correct
    Profile(Box<Profile>),
    /// Run a folder of case files of the SQL on FHIR suite, and print the suite's report
    SofReport {
        /// The folder
        folder: PathBuf,
    },
}

/// A file that is to be drafted.
#[derive(Debug, clap::Args)]
pub(crate) struct Profile {
    /// The file; its ending says what it is: .csv, .tsv, .parquet, .ndjson, .json or .arrow
    file: PathBuf,
    #[command(flatten)]
    form: Form,
    /// The name of the dataset and the mapping [default: the file's]
    #[arg(long)]
    name: Option<Name>,
    /// Write schema.toml and mapping.toml into a new folder
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(crate) fn run(cx: &Cx, verb: Verb) -> Result<Shown, CliFault> {
    match verb {
        Verb::Profile(profile) => draft(cx, &profile),
        Verb::SofReport { folder } => sof_report(cx, &folder),
    }
}

/// Limits of a worker where no node's configuration says others.
const LIMITS: WorkerLimits = WorkerLimits {
    memory: Bytes(1 << 30),
    cpu: Duration::from_hours(1),
    wall: Duration::from_hours(2),
    output: Bytes(1 << 30),
    pool: 1,
};

/// Has a worker of this program do one job.
fn work(cx: &Cx, job: Job, files: Vec<OwnedFd>) -> Result<Report, CliFault> {
    let limits = cx.config().map_or(LIMITS, |config| config.worker);
    let pool = Pool::new(None, limits).map_err(|fault| CliFault::local(format!("starting a worker: {fault}")))?;
    runtime()?.block_on(pool.run(job, files)).map_err(|fault| {
        let said = fault.detail.unwrap_or_else(|| format!("the worker could not do it: {}", word(&fault.fault)));
        CliFault::refused(said)
    })
}

fn opened(path: &Path) -> Result<OwnedFd, CliFault> {
    let opened = File::open(path).map(OwnedFd::from);
    opened.map_err(|fault| CliFault::new(ErrorKind::NotFound, format!("{}: {fault}", path.display())))
}

fn draft(cx: &Cx, profile: &Profile) -> Result<Shown, CliFault> {
    let path = absolute(&profile.file)?;
    let ending = profile.file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let source = match ending {
        "parquet" => Source::Parquet { path },
        "ndjson" => Source::Ndjson { path },
        "json" => Source::Json { path },
        "arrow" => Source::ArrowIpc { path },
        _ => Source::Csv { path, form: profile.form.checked()? },
    };
    let shown = profile.file.file_name().and_then(|name| name.to_str()).unwrap_or("source").to_owned();
    let name = match &profile.name {
        Some(name) => name.clone(),
        None => named(&shown),
    };
    let Report::Observed(columns) = work(cx, Job::Observe { source }, vec![opened(&profile.file)?])? else {
        return Err(CliFault::other_reply());
    };
    let (schema, mapping) = (drafted::schema(&shown, &columns), drafted::mapping(name.as_str(), &columns));
    let json = json!({"name": name, "columns": listed(&columns), "schema": schema, "mapping": mapping});
    let Some(folder) = &profile.output else { return Ok(Shown::new(json, format!("{schema}\n{mapping}"))) };
    write(folder, &[("schema.toml", &schema), ("mapping.toml", &mapping)])?;
    Ok(Shown::new(json, format!("schema.toml and mapping.toml are in {}\n", folder.display())))
}

fn listed(columns: &[ObservedColumn]) -> Vec<Value> {
    let one = |column: &ObservedColumn| json!({"name": column.name, "looks": column.looks, "role": column.role, "class": column.class});
    columns.iter().map(one).collect()
}

/// A name made of a file's.
fn named(file: &str) -> Name {
    let stem = file.split('.').next().unwrap_or_default().to_lowercase();
    let usable = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let made: String = stem.chars().map(usable).take(32).collect();
    made.trim_start_matches(['-', '_']).parse().unwrap_or_else(|_| "source".parse().expect("these letters are a name"))
}

fn write(folder: &Path, files: &[(&str, &str)]) -> Result<(), CliFault> {
    let wrong = |fault: std::io::Error| CliFault::usage(format!("{}: {fault}", folder.display()));
    let fresh = Fresh::folder(folder).map_err(wrong)?;
    for (name, text) in files {
        let mut file = create(&fresh.temp().join(name)).map_err(wrong)?;
        std::io::Write::write_all(&mut file, text.as_bytes()).map_err(wrong)?;
    }
    fresh.place().map_err(wrong)
}

fn sof_report(cx: &Cx, folder: &Path) -> Result<Shown, CliFault> {
    let wrong = |fault: std::io::Error| CliFault::new(ErrorKind::NotFound, format!("{}: {fault}", folder.display()));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(wrong)? {
        let name = entry.map_err(wrong)?.file_name();
        let name = name.into_string().map_err(|_| CliFault::usage("a file's name is not UTF-8 text"))?;
        if Path::new(&name).extension().is_some_and(|ending| ending == "json") {
            names.push(name);
        }
    }
    names.sort();
    if names.is_empty() || names.len() > FILES_MAX {
        return Err(CliFault::usage(format!("a suite is 1 to {FILES_MAX} case files that end in .json")));
    }
    let files = names.iter().map(|name| opened(&folder.join(name))).collect::<Result<Vec<_>, _>>()?;
    let Report::Suite { report } = work(cx, Job::Suite { names }, files)? else {
        return Err(CliFault::other_reply());
    };
    let json: Value = serde_json::from_str(&report).map_err(|_| CliFault::other_reply())?;
    let failed = json.as_object().into_iter().flat_map(|files| files.values()).any(has_failed);
    Ok(Shown { found: failed.then_some(ErrorKind::VerifyFailed), ..Shown::new(json, report) })
}

/// Whether a case of a file did not pass.
fn has_failed(file: &Value) -> bool {
    let cases = file["tests"].as_array();
    cases.is_none_or(|cases| cases.iter().any(|case| case["result"]["passed"] != Value::Bool(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_is_named_after_its_file() {
        for (file, name) in [("LOS 2024.csv", "los-2024"), ("_x.y", "x"), ("ä.csv", "source"), ("", "source")] {
            assert_eq!(named(file).as_str(), name);
        }
    }

    #[test]
    fn a_file_without_cases_or_with_one_that_fails_has_failed() {
        let case = |passed: bool| json!({"name": "a", "result": {"passed": passed}});
        assert!(!has_failed(&json!({"tests": [case(true), case(true)]})));
        assert!(has_failed(&json!({"tests": [case(true), case(false)]})) && has_failed(&json!({})));
    }
}
