//! `cohortium doctor`: permissions, keys, disk, clock, daemon, and which routes lead to the operator.

use std::time::Duration;

use cohortium_protocol::code::ErrorCode;
use cohortium_protocol::ident::Name;
use cohortium_protocol::quantity::Bytes;
use cohortium_protocol::record::journal_entry::Act;
use cohortium_store::keystore::Keystore;
use cohortium_store::seal;
use cohortium_transport::probe::{ProbeTarget, Reach};
use cohortium_transport::{Alpn, TlsIdentity};
use serde_json::json;

use crate::cli::call::Cx;
use crate::cli::exit::{CliFault, chain};
use crate::cli::history::entries;
use crate::cli::join::{dialling, runtime};
use crate::cli::print::{Shown, Table, short, word};
use crate::config::resolve::{Config, KeyPlace};
use crate::control::{ErrorKind, View};
use crate::home::{self, Home, MembershipFile};

/// Less free disk than this is a fault, less than the second a warning.
const DISK_FAULT: Bytes = Bytes(1 << 30);
const DISK_WARN: Bytes = Bytes(10 << 30);
/// Clocks further apart than this are named: a connection is refused from ten minutes on.
const CLOCK_WARN: Duration = Duration::from_mins(1);
/// Refusals for a wrong clock are looked for in so many of the newest entries.
const ENTRIES_LOOKED_AT: u64 = 1000;

/// What to look at.
#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    /// Leave the network alone
    #[arg(long)]
    offline: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Ok,
    Warning,
    Fault,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
struct Finding {
    check: String,
    state: State,
    detail: String,
}

fn finding(check: &str, state: State, detail: impl Into<String>) -> Finding {
    Finding { check: check.to_owned(), state, detail: detail.into() }
}

/// A check that either stands or does not.
fn stands<E: std::error::Error>(check: &str, result: Result<(), E>, well: &str) -> Finding {
    match result {
        Ok(()) => finding(check, State::Ok, well),
        Err(fault) => finding(check, State::Fault, chain(&fault)),
    }
}

pub(crate) fn run(cx: &Cx, doctor: &Doctor) -> Result<Shown, CliFault> {
    let mut found = Vec::new();
    let home = Home::at(cx.home.path());
    if !home.config_file().is_file() {
        return Err(home::HomeFault::Missing { path: home.path().to_owned() }.into());
    }
    found.push(stands("home", home::check_private(home.path()), "only this user can open it"));
    let config = match Config::load(&home) {
        Ok(config) => config,
        Err(fault) => {
            found.push(finding("node.toml", State::Fault, chain(&fault)));
            return Ok(report(&found));
        }
    };
    found.push(finding("node.toml", State::Ok, "every value is known and within its bounds"));
    found.push(keys(&home, &config));
    found.push(person_keys(&home));
    found.push(disk(&home));
    let memberships = home.memberships()?;
    found.push(consortia(&home, &memberships));
    daemon(cx, &mut found);
    if !doctor.offline {
        routes(&config, &memberships, &mut found)?;
    }
    Ok(report(&found))
}

fn report(found: &[Finding]) -> Shown {
    let mut table = Table::new(["CHECK", "STATE", "DETAIL"]);
    for each in found {
        table.row([each.check.clone(), word(&each.state), each.detail.clone()]);
    }
    let worst = found.iter().filter(|each| each.state == State::Fault);
    let network = |each: &&Finding| each.check.starts_with("route") || each.check == "daemon";
    let (away, wrong): (Vec<&Finding>, Vec<&Finding>) = worst.partition(network);
    let kind = if !wrong.is_empty() {
        Some(ErrorKind::VerifyFailed)
    } else if away.is_empty() {
        None
    } else {
        Some(ErrorKind::Unreachable)
    };
    Shown { found: kind, ..Shown::new(json!({"healthy": kind.is_none(), "checks": found}), table.to_text()) }
}

/// Whether the keystore and what opens it are there and closed to others. Nothing is opened: that may need a person.
fn keys(home: &Home, config: &Config) -> Finding {
    let kind = match Keystore::source_kind(&home.keystore()) {
        Ok(kind) => kind,
        Err(fault) => return finding("keystore", State::Fault, chain(&fault)),
    };
    let private = home::check_private(&home.keystore()).and_then(|()| match &config.key {
        KeyPlace::KeyFile(path) | KeyPlace::PassphraseFile(path) => home::check_private(path),
        KeyPlace::Prompt => Ok(()),
    });
    if let Err(fault) = private {
        return finding("keystore", State::Fault, chain(&fault));
    }
    match &config.key {
        KeyPlace::KeyFile(path) | KeyPlace::PassphraseFile(path) if path.starts_with(home.path()) => finding(
            "keystore",
            State::Warning,
            format!("opened by a {kind} that lies beside it: whoever steals the disk has both"),
        ),
        KeyPlace::Prompt => finding("keystore", State::Ok, format!("opened by a {kind}, asked for at each start")),
        KeyPlace::KeyFile(_) | KeyPlace::PassphraseFile(_) => {
            finding("keystore", State::Ok, format!("opened by a {kind} kept elsewhere"))
        }
    }
}

fn person_keys(home: &Home) -> Finding {
    let Ok(files) = std::fs::read_dir(home.persons()) else {
        return finding("person keys", State::Warning, "there is no folder of person keys");
    };
    let keys: Vec<_> =
        files.flatten().map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "key")).collect();
    let open = keys.iter().find_map(|path| home::check_private(path).err());
    match open {
        Some(fault) => finding("person keys", State::Fault, chain(&fault)),
        None => finding("person keys", State::Ok, format!("{}, each for its owner alone", keys.len())),
    }
}

fn disk(home: &Home) -> Finding {
    match rustix::fs::statvfs(home.path()) {
        Ok(stat) => free(Bytes(stat.f_bavail.saturating_mul(stat.f_frsize))),
        Err(errno) => finding("disk", State::Fault, std::io::Error::from(errno).to_string()),
    }
}

fn free(bytes: Bytes) -> Finding {
    let state = if bytes < DISK_FAULT {
        State::Fault
    } else if bytes < DISK_WARN {
        State::Warning
    } else {
        State::Ok
    };
    finding("disk", state, format!("{bytes} free"))
}

fn consortia(home: &Home, memberships: &[MembershipFile]) -> Finding {
    let lacking = memberships.iter().find(|each| !home.journal(&each.consortium).is_dir());
    match lacking {
        Some(each) => finding(
            "journals",
            State::Fault,
            format!("consortium {} has no journal; restore it", short(&each.consortium)),
        ),
        None => {
            finding("journals", State::Ok, format!("found: {}; `cohortium verify` reads them whole", memberships.len()))
        }
    }
}

fn daemon(cx: &Cx, found: &mut Vec<Finding>) {
    let views = match cx.views() {
        Ok(views) => views,
        Err(fault) => return found.push(finding("daemon", State::Fault, fault.message)),
    };
    found.push(finding("daemon", State::Ok, format!("runs; consortia: {}", views.len())));
    for view in &views {
        let others = view.parties.iter().filter(|(name, _)| **name != view.party);
        let connected: Vec<&str> = others.filter(|(_, party)| party.connected).map(|(name, _)| name.as_str()).collect();
        let detail = if connected.is_empty() { "nobody is connected".to_owned() } else { connected.join(", ") };
        let state = if connected.is_empty() { State::Warning } else { State::Ok };
        found.push(finding(&format!("peers in {}", short(&view.consortium)), state, detail));
        found.push(clock(cx, view));
    }
}

/// A connection stands only between clocks that agree within ten minutes; one that was refused for it is in the journal.
fn clock(cx: &Cx, view: &View) -> Finding {
    let check = format!("clock in {}", short(&view.consortium));
    let apart: Vec<(&Name, i64)> =
        view.parties.iter().filter_map(|(name, party)| Some((name, party.clock_ahead_ms?))).collect();
    let connected = apart.len();
    let from = view.journal_entries.saturating_sub(ENTRIES_LOOKED_AT);
    let newest = entries(cx, view, from, ENTRIES_LOOKED_AT).unwrap_or_default();
    let skewed = |act: &Act| matches!(act, Act::PeerRefused { code: ErrorCode::ClockSkew, .. });
    match newest.iter().rev().find(|(_, entry)| skewed(&entry.act)) {
        Some((_, entry)) if connected == 0 => finding(
            &check,
            State::Fault,
            format!("a peer's clock and this one differed by over 10 minutes at {}", entry.at),
        ),
        Some((_, entry)) => {
            finding(&check, State::Warning, format!("one peer's clock differed by over 10 minutes at {}", entry.at))
        }
        None => compared(&check, &apart),
    }
}

/// This node's clock beside those of connected peers: the one that is furthest away.
fn compared(check: &str, apart: &[(&Name, i64)]) -> Finding {
    let Some((peer, ahead)) = apart.iter().max_by_key(|(_, ahead)| ahead.unsigned_abs()) else {
        return finding(check, State::Warning, "nobody to compare it with");
    };
    let state = if ahead.unsigned_abs() > CLOCK_WARN.as_millis().try_into().unwrap_or(u64::MAX) {
        State::Warning
    } else {
        State::Ok
    };
    let [whole, part] = [ahead.unsigned_abs() / 1000, ahead.unsigned_abs() % 1000 / 100];
    let side = if *ahead < 0 { "behind" } else { "ahead of" };
    let of = apart.len();
    finding(check, state, format!("the clock of {peer} is {whole}.{part} s {side} this one, the most of {of} compared"))
}

/// Whole handshakes with the operator by each route, under a key made for this one probe.
fn routes(config: &Config, memberships: &[MembershipFile], found: &mut Vec<Finding>) -> Result<(), CliFault> {
    let runtime = runtime()?;
    for membership in memberships {
        let Some(addr) = membership.dial_address() else { continue };
        let target = ProbeTarget {
            udp: addr.clone(),
            tcp: addr.clone(),
            peer_key: membership.operator_tls,
            alpn: Alpn::Join,
            proxy: config.proxy.clone(),
        };
        let report = runtime.block_on(async {
            let transport = dialling(TlsIdentity::from_seed(&seal::random())).await?;
            let report = transport.probe(&target).await;
            transport.close().await;
            Ok::<_, CliFault>(report)
        })?;
        let reached = [("quic", Some(&report.udp)), ("tcp", Some(&report.tcp)), ("proxy", report.proxy.as_ref())];
        let any = reached.iter().any(|(_, reach)| matches!(reach, Some(Reach::Peer { .. })));
        for (route, reach) in reached {
            if let Some(reach) = reach {
                found.push(route_finding(&format!("route {route} to {addr}"), reach, any));
            }
        }
    }
    Ok(())
}

/// A route that fails is a fault only when no other leads there.
fn route_finding(check: &str, reach: &Reach, another: bool) -> Finding {
    let failed = if another { State::Warning } else { State::Fault };
    let ms = |time: &Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    match reach {
        Reach::Peer { rtt, handshake, path_mtu_bytes } => {
            let mtu = path_mtu_bytes.map(|bytes| format!(", packets up to {bytes} bytes")).unwrap_or_default();
            finding(check, State::Ok, format!("round trip {}, handshake {}{mtu}", ms(rtt), ms(handshake)))
        }
        Reach::Answered(fault) => finding(check, failed, format!("something answers, but {}", chain(fault))),
        Reach::Silent(fault) => finding(check, failed, chain(fault)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_the_network_and_one_of_the_node_end_differently() {
        let ok = finding("home", State::Ok, "");
        let warning = finding("disk", State::Warning, "");
        let away = finding("route quic to op:1", State::Fault, "");
        let wrong = finding("keystore", State::Fault, "");
        let kind = |found: &[Finding]| report(found).found;
        assert_eq!(kind(&[ok.clone(), warning.clone()]), None);
        assert_eq!(kind(&[ok.clone(), away.clone()]), Some(ErrorKind::Unreachable));
        assert_eq!(kind(&[away, wrong]), Some(ErrorKind::VerifyFailed));
        let golden = r#"{"checks":[{"check":"home","detail":"","state":"ok"}],"healthy":true}"#;
        assert_eq!(report(&[ok]).json.to_string(), golden);
    }

    #[test]
    fn the_clock_that_is_furthest_away_is_named_and_a_minute_is_a_warning() {
        let names: [Name; 2] = ["north".parse().unwrap(), "south".parse().unwrap()];
        let of = |ahead: &[i64]| compared("clock", &names.iter().zip(ahead.iter().copied()).collect::<Vec<_>>());
        for (ahead, state, said) in [
            (&[60_000, 0][..], State::Ok, "north is 60.0 s ahead of"),
            (&[5, -60_001], State::Warning, "south is 60.0 s behind"),
            (&[-250], State::Ok, "north is 0.2 s behind"),
            (&[], State::Warning, "nobody to compare it with"),
        ] {
            let found = of(ahead);
            assert!(found.state == state && found.detail.contains(said), "{found:?}");
        }
    }

    #[test]
    fn free_disk_is_judged_on_both_sides_of_each_bound() {
        let cases = [
            (DISK_FAULT.0 - 1, State::Fault),
            (DISK_FAULT.0, State::Warning),
            (DISK_WARN.0 - 1, State::Warning),
            (DISK_WARN.0, State::Ok),
        ];
        for (bytes, state) in cases {
            assert_eq!(free(Bytes(bytes)).state, state, "{bytes}");
        }
    }
}
