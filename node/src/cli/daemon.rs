//! The verbs about the daemon itself: run, stop and start all output, end it, and how it stands.

use cohortium_protocol::record::order::Command;
use serde_json::json;

use crate::cli::BANNER;
use crate::cli::call::Cx;
use crate::cli::exit::{CliFault, chain};
use crate::cli::print::{Shown, Table, short, word};
use crate::config::secret;
use crate::control::{ErrorKind, Reply, Request, View};
use crate::daemon::{self, DaemonFault, Settings};

/// Runs until it is told to end.
pub(crate) fn run(cx: &Cx) -> Result<Shown, CliFault> {
    let config = cx.config()?;
    if cx.daemon_runs() {
        return Err(CliFault::refused("a daemon runs in this folder already; `cohortium status` shows it"));
    }
    let keystore = secret::open_keystore(&cx.home, &config.key)?;
    eprintln!("{BANNER}");
    let settings = Settings { home: cx.home.clone(), keystore, config, worker_program: None };
    daemon::run(settings).map_err(|fault| CliFault::new(kind_of(&fault), chain(&fault)))?;
    Ok(Shown::new(json!({"ended": true}), ""))
}

fn kind_of(fault: &DaemonFault) -> ErrorKind {
    match fault {
        DaemonFault::Bind(_) => ErrorKind::Unreachable,
        _ => ErrorKind::Local,
    }
}

pub(crate) fn stop(cx: &Cx) -> Result<Shown, CliFault> {
    cx.give(&cx.view()?, Command::Stop)?;
    Ok(Shown::new(json!({"stopped": true}), "All output is stopped; `cohortium start` lifts it\n"))
}

pub(crate) fn start(cx: &Cx) -> Result<Shown, CliFault> {
    cx.give(&cx.view()?, Command::Start)?;
    Ok(Shown::new(json!({"stopped": false}), "The halt is lifted\n"))
}

pub(crate) fn shutdown(cx: &Cx) -> Result<Shown, CliFault> {
    match cx.call(Request::Shutdown)? {
        Reply::Done => Ok(Shown::new(json!({"shutdown": true}), "The daemon ends\n")),
        _ => Err(CliFault::other_reply()),
    }
}

pub(crate) fn status(cx: &Cx) -> Result<Shown, CliFault> {
    let Reply::Pong { version, pid } = cx.call(Request::Ping)? else { return Err(CliFault::other_reply()) };
    Ok(standing(&version, pid, &cx.views()?))
}

fn standing(version: &str, pid: u32, views: &[View]) -> Shown {
    let mut text = format!("Running, version {version}, process {pid}\n");
    let mut json = Vec::new();
    for view in views {
        let connected = view.parties.values().filter(|party| party.connected).count();
        let others = view.parties.len().saturating_sub(1);
        let mut facts = Table::new(["Consortium", &short(&view.consortium)]);
        let mut fact = |name: &str, value: String| facts.row([name.to_owned(), value]);
        fact("this node", view.party.to_string());
        let charter = view
            .charter
            .as_ref()
            .map(|charter| format!("{} version {} ({})", charter.title, charter.version, word(&charter.kind)));
        fact("charter", charter.unwrap_or_else(|| "none in force here yet".to_owned()));
        fact("proposals", view.proposals.len().to_string());
        fact("parties connected", format!("{connected} of {others}"));
        fact("joining", view.joining.len().to_string());
        fact("datasets, shares", format!("{}, {}", view.datasets.len(), view.shares.len()));
        let active = view.subscriptions.iter().filter(|each| each.state == "active").count();
        fact("subscriptions", format!("{active} active of {}", view.subscriptions.len()));
        fact("output", if view.stopped { "stopped" } else { "on" }.to_owned());
        fact("journal", format!("{} entries", view.journal_entries));
        text = format!("{text}\n{}", facts.to_text());
        json.push(json!({
            "consortium": view.consortium, "party": view.party, "stopped": view.stopped,
            "charter": view.charter.as_ref().map(|charter| charter.version),
            "proposals": view.proposals.len(), "joining": view.joining.len(),
            "parties_connected": connected, "parties_other": others,
            "datasets": view.datasets.len(), "shares": view.shares.len(),
            "subscriptions_active": active, "subscriptions": view.subscriptions.len(),
            "journal_entries": view.journal_entries, "linkage_epoch": view.linkage_epoch,
        }));
    }
    Shown::new(json!({"running": true, "version": version, "pid": pid, "consortia": json}), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::world;

    #[test]
    fn the_status_has_a_stable_json_shape() {
        let shown = standing("0.1.0", 7, &[world::member()]);
        let golden = concat!(
            r#"{"consortia":[{"charter":2,"consortium":"0101010101010101010101010101010101010101010101010101010101010101","#,
            r#""datasets":1,"joining":0,"journal_entries":42,"linkage_epoch":4,"parties_connected":1,"parties_other":2,"#,
            r#""party":"north","proposals":0,"shares":1,"stopped":false,"subscriptions":1,"subscriptions_active":1}],"#,
            r#""pid":7,"running":true,"version":"0.1.0"}"#
        );
        assert_eq!(shown.json.to_string(), golden);
        assert!(shown.text.contains("parties connected  1 of 2"), "{}", shown.text);
    }
}
