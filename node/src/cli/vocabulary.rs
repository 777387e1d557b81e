//! `cohortium vocabulary`: the user's own download of a vocabulary, read once and kept as an index in this node's store.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use cohortium_protocol::ident::Text;
use cohortium_protocol::record::order::Command;
use serde_json::json;

use crate::cli::call::Cx;
use crate::cli::exit::CliFault;
use crate::cli::print::{Shown, Table, short, yes};
use crate::control::{Reply, Request, View};

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Read a download from Athena: the folder with its files of concepts, relationships and vocabularies
    Load {
        /// The folder, on the node's machine
        dir: PathBuf,
    },
    /// The vocabularies that were loaded, with release and digest
    List,
}

/// How long `load` waits.
const LOAD_DEADLINE: Duration = Duration::from_hours(2);
/// Between two looks at a load that runs.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(crate) fn run(cx: &Cx, verb: Verb) -> Result<Shown, CliFault> {
    match verb {
        Verb::Load { dir } => load(cx, &dir),
        Verb::List => Ok(list(&cx.view()?)),
    }
}

fn load(cx: &Cx, dir: &std::path::Path) -> Result<Shown, CliFault> {
    let path = std::path::absolute(dir).map_err(|fault| CliFault::usage(format!("{}: {fault}", dir.display())))?;
    let text = path.into_os_string().into_string().map_err(|_| CliFault::usage("the path is not UTF-8 text"))?;
    let folder: Text = text.parse().map_err(|fault| CliFault::usage(format!("the folder's path {fault}")))?;
    let view = cx.view()?;
    let before = view.vocabulary_loads;
    cx.give(&view, Command::LoadVocabulary { folder })?;
    let began = Instant::now();
    while began.elapsed() < LOAD_DEADLINE {
        let view = cx.view()?;
        if view.vocabulary_loads > before {
            return loaded(cx, &view);
        }
        sleep(LOOK_EVERY);
    }
    Err(CliFault::local("the vocabulary is still being loaded; `cohortium history` shows its end"))
}

fn loaded(cx: &Cx, view: &View) -> Result<Shown, CliFault> {
    match (&view.vocabulary_fault, view.vocabularies.last()) {
        (None, Some(last)) => {
            let text = format!("Vocabulary {} is in use: {}\n", last.release, last.digest);
            Ok(Shown::new(json!(last), text))
        }
        (fault, _) => {
            let told = match cx.call(Request::VocabularyFault)? {
                Reply::Told { message } => message,
                _ => None,
            };
            let why = told.or_else(|| fault.clone()).unwrap_or_default();
            Err(CliFault::refused(format!("no vocabulary was loaded: {why}")))
        }
    }
}

fn list(view: &View) -> Shown {
    let mut table = Table::new(["RELEASE", "DIGEST", "LOADED", "IN USE"]);
    for each in &view.vocabularies {
        table.row([each.release.to_string(), short(&each.digest), each.at.clone(), yes(each.in_use).to_owned()]);
    }
    Shown::new(
        json!(view.vocabularies),
        table.or("No vocabulary is loaded; `cohortium vocabulary load DIR` reads one.\n"),
    )
}
