//! Lineage of table versions: from each to snapshot, mapping, vocabulary release and software version. Out of the running
//! node, or offline out of the consolidation's document alone.

use std::io::Write;
use std::path::{Path, PathBuf};

use cohortium_engine::consolidate::lineage::{Run, open_lineage};
use cohortium_protocol::digest::DocumentDigest;
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::limits::DOCUMENT_BYTES_MAX;
use cohortium_protocol::record::consolidation::Consolidation;
use serde_json::{Value, json};

use crate::cli::call::Cx;
use crate::cli::exit::CliFault;
use crate::cli::print::{Shown, Table, short};
use crate::driver::fresh::Fresh;
use crate::home;

/// Which lineage.
#[derive(Debug, clap::Args)]
pub(crate) struct Lineage {
    /// One table, or 8 digits or more of one version of a table in any set that is kept; or the file of a consolidation, as
    /// `history --documents` writes it: that needs no daemon
    #[arg(value_name = "TABLE|VERSION|FILE")]
    of: Option<String>,
    /// Write it as two events of `OpenLineage`, a line each, into a new file
    #[arg(long, value_name = "FILE")]
    openlineage: Option<PathBuf>,
}

pub(crate) fn run(cx: &Cx, lineage: &Lineage) -> Result<Shown, CliFault> {
    let wanted = lineage.of.as_deref();
    let file = wanted.map(Path::new).filter(|path| path.is_file());
    let (sets, wanted) = match file {
        Some(path) => (vec![read(path)?], None),
        None => (held(cx, wanted)?, wanted),
    };
    let fits = |set: &&Consolidation| wanted.is_none_or(|wanted| versions(set, wanted).next().is_some());
    let set = sets.iter().rev().find(fits).ok_or_else(|| {
        CliFault::not_found("there is no such table or version in the sets that are kept, and no such file")
    })?;
    if let Some(path) = &lineage.openlineage {
        write_events(set, path)?;
    }
    Ok(shown(set, wanted))
}

/// The document in a file. Its form is checked, its signature is its reader's to check: `log prove` shows that it is in the
/// operator's log.
fn read(path: &Path) -> Result<Consolidation, CliFault> {
    let bytes = home::read_bounded(path, DOCUMENT_BYTES_MAX as u64)?;
    let wrong = |fault: &dyn std::fmt::Display| CliFault::wrong(format!("{}: {fault}", path.display()));
    let signed = Signed::<Consolidation>::from_bytes(&bytes).map_err(|fault| wrong(&fault))?;
    signed.claimed().map_err(|fault| wrong(&fault))
}

/// The set in use; all that are kept where a version is asked for.
fn held(cx: &Cx, wanted: Option<&str>) -> Result<Vec<Consolidation>, CliFault> {
    let view = cx.view()?;
    let current = |set: &Consolidation| Some(digest_of(set)) == view.tables;
    let all = wanted.is_some_and(is_version);
    let sets: Vec<Consolidation> = view.table_sets.iter().filter(|set| all || current(set)).cloned().collect();
    if sets.is_empty() { Err(CliFault::not_found("nothing has been consolidated yet")) } else { Ok(sets) }
}

fn digest_of(set: &Consolidation) -> DocumentDigest {
    Signed::unsigned(set).digest()
}

fn is_version(text: &str) -> bool {
    text.len() >= 8 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The tables of a set that are meant.
fn versions<'a>(set: &'a Consolidation, wanted: &'a str) -> impl Iterator<Item = &'a cohortium_protocol::ident::Name> {
    let tables = set.tables.iter().filter(move |(name, table)| {
        name.as_str() == wanted || (is_version(wanted) && table.version.to_string().starts_with(wanted))
    });
    tables.map(|(name, _)| name)
}

fn shown(set: &Consolidation, wanted: Option<&str>) -> Shown {
    let mut table =
        Table::new(["TABLE", "VERSION", "MEMBER", "SHARE", "SNAPSHOT", "MAPPING", "VOCABULARY", "SOFTWARE"]);
    let mut json = Vec::new();
    let meant = |name: &cohortium_protocol::ident::Name| {
        wanted.is_none_or(|wanted| versions(set, wanted).any(|meant| meant == name))
    };
    for (name, of) in set.tables.iter().filter(|(name, _)| meant(name)) {
        for (member, part) in &of.parts {
            table.row([
                name.to_string(),
                short(&of.version),
                member.to_string(),
                short(&part.share),
                short(&part.snapshot),
                part.mapping.as_ref().map(short).unwrap_or_default(),
                part.vocabulary.as_ref().map(|vocabulary| vocabulary.release.to_string()).unwrap_or_default(),
                set.software.to_string(),
            ]);
            json.push(json!({
                "table": name, "version": of.version, "member": member, "share": part.share, "snapshot": part.snapshot,
                "mapping": part.mapping, "vocabulary": part.vocabulary, "content": part.digest,
                "schema": set.schema, "software": set.software,
            }));
        }
    }
    Shown::new(Value::Array(json), table.or("There is no such table.\n"))
}

/// The run is named by the consolidation's digest, so that the same document makes the same events.
fn write_events(set: &Consolidation, path: &Path) -> Result<(), CliFault> {
    let mut id = [0; 16];
    id.iter_mut().zip(digest_of(set).0).for_each(|(to, from)| *to = from);
    let run = Run { id, started: set.at, completed: set.at };
    let lines: Vec<String> = open_lineage(set, &run).iter().map(|event| format!("{event}\n")).collect();
    let unwritten = |fault: std::io::Error| CliFault::usage(format!("{}: {fault}", path.display()));
    let (fresh, mut file) = Fresh::file(path).map_err(unwritten)?;
    file.write_all(lines.concat().as_bytes()).and_then(|()| fresh.place()).map_err(unwritten)
}
