//! `cohortium history`: the journal as a table of who did what and when, and as it grows.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cohortium_protocol::quantity::Bytes;
use cohortium_protocol::record::journal_entry::JournalEntry;
use serde_json::{Value, json};

use crate::cli::act::{document, tell, who};
use crate::cli::call::Cx;
use crate::cli::exit::CliFault;
use crate::cli::find;
use crate::cli::print::{Shown, Table, visible, write_line};
use crate::control::{Reply, Request, View};
use crate::home;

/// Entries that one call gives at most.
const CALL_ENTRIES: u32 = 1000;
/// How often `--follow` asks.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);

/// Which entries.
#[derive(Debug, clap::Args)]
pub(crate) struct History {
    /// The first entry
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// How many entries at most
    #[arg(long, default_value_t = 10_000)]
    limit: u64,
    /// Go on as the journal grows, until interrupted; with --json one object a line
    #[arg(long)]
    follow: bool,
    /// Write every signed document among them to a new folder, for `cohortium show`
    #[arg(long, value_name = "DIR", conflicts_with = "follow")]
    documents: Option<PathBuf>,
    /// Only what names this share, dataset, subscription or document: a name, SHARE@PARTY, or 8 digits or more of an id
    #[arg(long, value_name = "ID|NAME")]
    about: Option<String>,
}

pub(crate) fn run(cx: &Cx, history: &History) -> Result<Shown, CliFault> {
    let view = cx.view()?;
    let about = history.about.as_deref().map(|text| find::about(&view, text)).transpose()?;
    if history.follow {
        return follow(cx, &view, history.from, about.as_deref());
    }
    let found = entries_about(cx, &view, history.from, history.limit, about.as_deref())?;
    match &history.documents {
        Some(folder) => write_documents(folder, &found),
        None => Ok(shown(&found)),
    }
}

fn write_documents(folder: &Path, found: &[(u64, JournalEntry)]) -> Result<Shown, CliFault> {
    if folder.exists() {
        return Err(CliFault::refused(format!("{} is there already; give a new folder", folder.display())));
    }
    home::make_folder(folder)?;
    let mut written = 0_u64;
    for (index, entry) in found {
        if let Some(bytes) = document(&entry.act) {
            let name = format!("{index:08}-{}.signed", tell(&entry.act).what);
            home::create_private(&folder.join(name), &bytes)?;
            written += 1;
        }
    }
    let shown = folder.display().to_string();
    Ok(Shown::new(json!({"folder": shown, "documents": written}), format!("{written} documents are in {shown}\n")))
}

/// Journal entries from one on.
pub(crate) fn entries(cx: &Cx, view: &View, from: u64, limit: u64) -> Result<Vec<(u64, JournalEntry)>, CliFault> {
    entries_about(cx, view, from, limit, None)
}

fn entries_about(
    cx: &Cx,
    view: &View,
    from: u64,
    limit: u64,
    about: Option<&str>,
) -> Result<Vec<(u64, JournalEntry)>, CliFault> {
    let (mut found, mut next) = (Vec::new(), from);
    loop {
        let left = limit.saturating_sub(found.len() as u64);
        let wanted = u32::try_from(left).unwrap_or(u32::MAX).min(CALL_ENTRIES);
        if wanted == 0 {
            return Ok(found);
        }
        let about = about.map(ToOwned::to_owned);
        let request = Request::History { consortium: view.consortium, from: next, limit: wanted, about };
        let Reply::History(some) = cx.call(request)? else { return Err(CliFault::other_reply()) };
        let Some((last, _)) = some.last() else { return Ok(found) };
        next = last.saturating_add(1);
        found.extend(some);
    }
}

fn follow(cx: &Cx, view: &View, from: u64, about: Option<&str>) -> Result<Shown, CliFault> {
    let mut next = from;
    loop {
        for (index, entry) in entries_about(cx, view, next, u64::MAX, about)? {
            next = index.saturating_add(1);
            let line = if cx.json { as_json(index, &entry).to_string() } else { cells(index, &entry).join("  ") };
            write_line(&visible(&line));
        }
        std::thread::sleep(FOLLOW_EVERY);
    }
}

fn shown(found: &[(u64, JournalEntry)]) -> Shown {
    let mut table = Table::new(["ENTRY", "WHEN", "WHO", "WHAT", "ABOUT", "BYTES", "OUTCOME"]);
    for (index, entry) in found {
        table.row(cells(*index, entry));
    }
    let json: Vec<Value> = found.iter().map(|(index, entry)| as_json(*index, entry)).collect();
    Shown::new(json!(json), table.or("Nothing has happened yet.\n"))
}

fn cells(index: u64, entry: &JournalEntry) -> Vec<String> {
    let told = tell(&entry.act);
    vec![
        index.to_string(),
        entry.at.to_string(),
        who(&entry.actor),
        told.what.to_owned(),
        told.about,
        told.bytes.map(|bytes| Bytes(bytes).to_string()).unwrap_or_default(),
        told.outcome,
    ]
}

fn as_json(index: u64, entry: &JournalEntry) -> Value {
    let told = tell(&entry.act);
    json!({
        "entry": index, "at": entry.at.to_string(), "actor": entry.actor, "what": told.what, "about": told.about,
        "bytes": told.bytes, "outcome": told.outcome, "act": entry.act,
    })
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::ident::SubscriptionId;
    use cohortium_protocol::record::journal_entry::{Act, Actor};
    use cohortium_protocol::time::UnixMillis;

    use super::*;

    #[test]
    fn an_entry_is_told_in_both_forms() {
        let act = Act::Served { subscription: SubscriptionId([10; 16]), bytes: Bytes(2048) };
        let entry = JournalEntry { at: UnixMillis(0), actor: Actor::Peer("op".parse().unwrap()), act };
        let shown = shown(&[(7, entry)]);
        let golden = concat!(
            r#"[{"about":"0a0a0a0a","act":{"served":{"bytes":2048,"subscription":"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"}},"#,
            r#""actor":{"peer":"op"},"at":"1970-01-01T00:00:00.000Z","bytes":2048,"entry":7,"outcome":"","what":"served"}]"#
        );
        assert_eq!(shown.json.to_string(), golden);
        assert!(shown.text.contains("party op  served  0a0a0a0a  2.0 KiB"), "{}", shown.text);
    }
}
