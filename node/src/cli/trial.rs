//! `cohortium mapping test` and `diff`: mappings tried on fixtures, in a worker, without a daemon and without keys of the
//! node.
//!
//! Fixtures are rows that the mapping's author has made up: what differs is shown with its cells. Rows of patients do not
//! belong into fixtures.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use cohortium_engine::mapping::{Changed, Difference, Mapping as Written, Unlike, diff as differences};
use cohortium_protocol::limits::MAPPING_BYTES_MAX;
use cohortium_schema::schema::CommonSchema;
use serde_json::json;

use crate::cli::call::Cx;
use crate::cli::exit::CliFault;
use crate::cli::mapped::schema_of_file;
use crate::cli::print::Shown;
use crate::config::resolve::{Config, WorkerLimits};
use crate::control::ErrorKind;
use crate::driver::vocabulary::FILES as VOCABULARY_FILES;
use crate::home;
use crate::worker::job::{Job, Report, Trial, TrialOrder};
use crate::worker::mapping::QUARANTINE;
use crate::worker::pool::Pool;

/// Rows of one kind of difference that are shown to a person; a script gets all.
const SHOWN_MAX: usize = 20;
/// Files of fixtures at most.
const FILES_MAX: usize = 256;

/// A mapping and the rows to try it on.
#[derive(Debug, clap::Args)]
pub(crate) struct Test {
    /// The mapping
    file: PathBuf,
    /// A folder with SOURCE.csv for each source, expected/TABLE.csv and expected/quarantine.csv, and perhaps a made-up
    /// vocabulary/ of the three files of a download. Made-up rows alone: differences are shown with their cells
    #[arg(long, value_name = "DIR")]
    fixtures: PathBuf,
    /// Write what the mapping makes as what is expected
    #[arg(long)]
    accept: bool,
    /// The common schema, where it is a consortium's own
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
}

/// Two mappings.
#[derive(Debug, clap::Args)]
pub(crate) struct Diff {
    /// One mapping
    old: PathBuf,
    /// The other
    new: PathBuf,
    /// A folder with SOURCE.csv for each source: which facts come, go and change is shown too, with their cells
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,
    /// The common schema, where it is a consortium's own
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
}

pub(crate) fn test(cx: &Cx, test: &Test) -> Result<Shown, CliFault> {
    let schema = schema_of_file(test.schema.as_deref())?;
    let (text, written) = read(&test.file, &schema)?;
    let expected_in = test.fixtures.join("expected");
    let expected = if test.accept { BTreeSet::new() } else { csv_names(&expected_in)? };
    if expected.is_empty() && !test.accept {
        let why = format!("{} expects nothing; --accept writes what the mapping makes", expected_in.display());
        return Err(CliFault::not_found(why));
    }
    let own = test.schema.is_some().then(|| schema.canonical());
    let fixtures = Fixtures { folder: &test.fixtures, expected };
    let trial = run(cx, &fixtures, order(text, None, own, &[&written], &fixtures)?)?;
    if test.accept { accept(&expected_in, &trial) } else { Ok(judged(&trial)) }
}

pub(crate) fn diff(cx: &Cx, diff: &Diff) -> Result<Shown, CliFault> {
    let schema = schema_of_file(diff.schema.as_deref())?;
    let (old_text, old) = read(&diff.old, &schema)?;
    let (new_text, new) = read(&diff.new, &schema)?;
    let found = differences(&old, &new);
    let mut text = String::new();
    for Difference { what, place, old, new } in &found {
        let _ = writeln!(text, "{what} {place}");
        for (sign, side) in [('-', old), ('+', new)] {
            if let Some(side) = side {
                let _ = writeln!(text, "  {sign} {side}");
            }
        }
    }
    if found.is_empty() {
        text.push_str("The mappings say the same.\n");
    }
    let mut json = json!({"differences": found});
    if let Some(folder) = &diff.fixtures {
        let fixtures = Fixtures { folder, expected: BTreeSet::new() };
        let own = diff.schema.is_some().then(|| schema.canonical());
        let trial = run(cx, &fixtures, order(old_text, Some(new_text), own, &[&old, &new], &fixtures)?)?;
        tell_changed(&trial.changed, &mut text);
        json["facts"] = json!(trial.changed);
    }
    Ok(Shown::new(json, text))
}

/// Where fixtures lie, and which expected tables are compared.
struct Fixtures<'a> {
    folder: &'a Path,
    expected: BTreeSet<String>,
}

fn order(
    text: String,
    other: Option<String>,
    schema: Option<String>,
    mappings: &[&Written],
    fixtures: &Fixtures<'_>,
) -> Result<TrialOrder, CliFault> {
    let sources: BTreeSet<String> = mappings.iter().flat_map(|mapping| mapping.source.keys().cloned()).collect();
    if sources.len() + fixtures.expected.len() > FILES_MAX {
        return Err(CliFault::usage(format!("more than {FILES_MAX} files of fixtures")));
    }
    Ok(TrialOrder {
        text,
        other,
        schema,
        sources: sources.into_iter().collect(),
        has_vocabulary: fixtures.folder.join("vocabulary").is_dir(),
        expected: fixtures.expected.iter().cloned().collect(),
    })
}

/// The names of the comma-separated files of a folder; none where it is not there.
fn csv_names(folder: &Path) -> Result<BTreeSet<String>, CliFault> {
    let unread = |fault: std::io::Error| CliFault::usage(format!("{}: {fault}", folder.display()));
    if !folder.is_dir() {
        return Ok(BTreeSet::new());
    }
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(unread)? {
        let path = entry.map_err(unread)?.path();
        let is_csv = path.extension().is_some_and(|ending| ending == "csv");
        if let Some(name) = path.file_stem().and_then(|name| name.to_str()).filter(|_| is_csv) {
            names.insert(name.to_owned());
        }
    }
    Ok(names)
}

/// Has a worker of this program do it: fixtures are files of somebody, and are parsed like any other.
fn run(cx: &Cx, fixtures: &Fixtures<'_>, order: TrialOrder) -> Result<Trial, CliFault> {
    let mut files: Vec<OwnedFd> = Vec::new();
    let mut open = |path: PathBuf| {
        let file = File::open(&path).map_err(|fault| CliFault::not_found(format!("{}: {fault}", path.display())))?;
        files.push(file.into());
        Ok::<_, CliFault>(())
    };
    for source in &order.sources {
        open(fixtures.folder.join(format!("{source}.csv")))?;
    }
    for name in VOCABULARY_FILES.iter().filter(|_| order.has_vocabulary) {
        open(fixtures.folder.join("vocabulary").join(name))?;
    }
    for table in &order.expected {
        open(fixtures.folder.join("expected").join(format!("{table}.csv")))?;
    }
    let limits = Config::load(&cx.home).map_or_else(|_| WorkerLimits::default(), |config| config.worker);
    let local = |fault: std::io::Error| CliFault::local(format!("{fault} while starting a worker"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(local)?;
    let pool = Pool::new(None, limits).map_err(local)?;
    let job = Job::Trial { order: Box::new(order) };
    match runtime.block_on(pool.run(job, files)) {
        Ok(Report::Tried(trial)) => Ok(*trial),
        Ok(_) => Err(CliFault::local("the worker did something else")),
        Err(fault) => Err(CliFault::refused(
            fault.detail.unwrap_or_else(|| format!("the worker could not do it: {:?}", fault.fault)),
        )),
    }
}

/// Writes what was made as what is expected: a file a table that has rows, and the quarantine.
fn accept(folder: &Path, trial: &Trial) -> Result<Shown, CliFault> {
    let unwritten = |path: &Path, fault: std::io::Error| CliFault::usage(format!("{}: {fault}", path.display()));
    std::fs::create_dir_all(folder).map_err(|fault| unwritten(folder, fault))?;
    let mut written = Vec::new();
    for (name, table) in &trial.tables {
        let path = folder.join(format!("{name}.csv"));
        std::fs::write(&path, table.to_csv()).map_err(|fault| unwritten(&path, fault))?;
        written.push(name.as_str());
    }
    let text = format!("Expected from now on: {}\n", written.join(", "));
    Ok(Shown::new(json!({"accepted": written}), text))
}

fn judged(trial: &Trial) -> Shown {
    let mut text = String::new();
    for (name, unlike) in &trial.unlike {
        if unlike.is_none() {
            let _ = writeln!(text, "{name}: as expected");
        } else {
            tell_unlike(name, unlike, &mut text);
        }
    }
    let untold =
        trial.tables.iter().filter(|(name, table)| !trial.unlike.contains_key(*name) && !table.rows.is_empty());
    let untold: Vec<&str> = untold.map(|(name, _)| name.as_str()).collect();
    if !untold.is_empty() {
        let _ = writeln!(text, "made, and nothing is expected of it: {}", untold.join(", "));
    }
    let passed = trial.unlike.values().all(Unlike::is_none) && !untold.contains(&QUARANTINE);
    let report: serde_json::Value = serde_json::from_slice(&trial.report.0).unwrap_or_default();
    let json = json!({"passed": passed, "tables": trial.unlike, "unexpected_tables": untold, "report": report});
    Shown { json, text, found: (!passed).then_some(ErrorKind::VerifyFailed) }
}

fn tell_unlike(name: &str, unlike: &Unlike, text: &mut String) {
    let _ = writeln!(text, "{name}: {}", unlike.header.join(", "));
    tell_rows("- expected, not made:", &unlike.missing, text);
    tell_rows("+ made, not expected:", &unlike.unexpected, text);
}

fn tell_rows(what: &str, rows: &[Vec<String>], text: &mut String) {
    for row in rows.iter().take(SHOWN_MAX) {
        let _ = writeln!(text, "  {what} {}", row.join(", "));
    }
    if rows.len() > SHOWN_MAX {
        let _ = writeln!(text, "  {what} {} more", rows.len() - SHOWN_MAX);
    }
}

fn tell_changed(changed: &BTreeMap<String, Changed>, text: &mut String) {
    for (name, changed) in changed.iter().filter(|(_, changed)| !changed.is_none()) {
        let (come, go, change) = (changed.come.len(), changed.go.len(), changed.change.len());
        let _ = writeln!(text, "{name}: {come} facts come, {go} go, {change} change: {}", changed.header.join(", "));
        tell_rows("+", &changed.come, text);
        tell_rows("-", &changed.go, text);
        for each in changed.change.iter().take(SHOWN_MAX) {
            let cells: Vec<String> =
                each.cells.iter().map(|(column, (was, is))| format!("{column} {was} -> {is}")).collect();
            let _ = writeln!(text, "  ~ {}: {}", each.key, cells.join(", "));
        }
    }
    if changed.values().all(Changed::is_none) {
        text.push_str("Both make the same facts of these fixtures.\n");
    }
}

/// A mapping with the files that it names.
pub(crate) fn read(file: &Path, schema: &CommonSchema) -> Result<(String, Written), CliFault> {
    let bytes = home::read_bounded(file, MAPPING_BYTES_MAX as u64)?;
    let text =
        String::from_utf8(bytes).map_err(|_| CliFault::usage(format!("{} is not UTF-8 text", file.display())))?;
    let text = with_files(file, &text)?;
    let written =
        Written::parse(&text, schema).map_err(|fault| CliFault::usage(format!("{}: {fault}", file.display())))?;
    Ok((text, written))
}

/// The files that a mapping names, from its folder, put into its text.
fn with_files(file: &Path, text: &str) -> Result<String, CliFault> {
    let wrong = |fault: &dyn std::fmt::Display| CliFault::usage(format!("{}: {fault}", file.display()));
    let wanted = Written::files_wanted(text).map_err(|fault| wrong(&fault))?;
    let folder = file.parent().unwrap_or_else(|| Path::new("."));
    let mut files = BTreeMap::new();
    for name in wanted {
        if Path::new(&name).file_name() != Some(std::ffi::OsStr::new(&name)) {
            return Err(wrong(&format!("the file {name} of a code map must lie beside the mapping")));
        }
        let bytes = home::read_bounded(&folder.join(&name), MAPPING_BYTES_MAX as u64)?;
        let content = String::from_utf8(bytes).map_err(|_| wrong(&format!("{name} is not UTF-8 text")))?;
        files.insert(name, content);
    }
    Ok(Written::with_files(text, &files))
}
