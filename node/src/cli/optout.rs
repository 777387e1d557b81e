//! `cohortium optout`: a patient's wish, by the identifier that the source uses; only its keyed id is kept.

use std::io::{self, BufRead};

use cohortium_protocol::record::order::{Command, OptOutChoice};
use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::call::Cx;
use crate::cli::exit::CliFault;
use crate::cli::find;
use crate::cli::print::{Shown, word};
use crate::control::{Reply, Request};

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// The patient's rows do not leave, and those that left are deleted by the next snapshot
    Add(Patient),
    /// The patient's rows may leave again
    Remove(Patient),
}

/// Whose rows.
#[derive(Debug, clap::Args)]
pub(crate) struct Patient {
    /// The dataset
    dataset: String,
    /// The patient's identifier as the source writes it; - reads it from standard input, so that no other user sees it
    patient: String,
}

pub(crate) fn run(cx: &Cx, verb: Verb) -> Result<Shown, CliFault> {
    let (wanted, choice) = match verb {
        Verb::Add(wanted) => (wanted, OptOutChoice::Out),
        Verb::Remove(wanted) => (wanted, OptOutChoice::In),
    };
    let view = cx.view()?;
    let dataset = find::dataset(&view, &wanted.dataset)?;
    if dataset.patient.is_none() {
        return Err(CliFault::refused(format!(
            "dataset {} names no patient column; define it again with --patient",
            dataset.name
        )));
    }
    let patient = Zeroizing::new(identifier(wanted.patient)?);
    let (consortium, id) = (view.consortium, dataset.dataset);
    let request = Request::OptOutEntry { consortium, dataset: id, patient: patient.to_string() };
    let Reply::OptOutEntry(entry) = cx.call(request)? else { return Err(CliFault::other_reply()) };
    cx.give(&view, Command::OptOut { dataset: id, entry, choice })?;
    let word = word(&choice);
    Ok(Shown::new(json!({"dataset": dataset.name, "entry": entry, "choice": word}), format!("Recorded: {word}\n")))
}

fn identifier(given: String) -> Result<String, CliFault> {
    if given != "-" {
        return Ok(given);
    }
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|fault| CliFault::local(format!("{fault} while reading the patient")))?;
    let line = line.trim_end_matches(['\n', '\r']);
    if line.is_empty() { Err(CliFault::usage("no patient on standard input")) } else { Ok(line.to_owned()) }
}
