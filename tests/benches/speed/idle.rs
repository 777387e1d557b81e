//! Memory of a node that does nothing, and of an operator for each member that is connected. All are real daemons.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Settings;
use crate::network::Network;
use crate::report::{Bar, Outcome, Series, Side};
use crate::watch;

const IDLE_MIB_MAX: f64 = 50.0;
const PER_MEMBER_MIB_MAX: f64 = 10.0;
/// How long nothing happens before memory is read.
const QUIET: Duration = Duration::from_secs(8);

pub(crate) fn run(settings: &Settings) -> Outcome {
    let mut network = Network::begin();
    let operator = network.operator.pid().unwrap();
    sleep(QUIET);
    let alone = watch::resident_mib(operator);
    let began = Instant::now();
    for number in 0..settings.members {
        network.join(&format!("member-{number:03}"));
    }
    let joined = began.elapsed().as_secs_f64();
    network.admit();
    sleep(QUIET);
    let connected = watch::resident_mib(operator);
    let peak = watch::peak_mib(operator);
    let idle = Series(network.members.iter().map(|node| watch::resident_mib(node.pid().unwrap())).collect());
    // Ended by a kill: two hundred graceful ends one after the other measure nothing.
    drop(network);
    let members = settings.members;
    let each = (connected - alone) / members as f64;
    let bar =
        |what: &str, measured, bound| Bar { what: what.to_owned(), measured, bound, side: Side::AtMost, unit: " MiB" };
    let row = |what: String, mib: String| vec![what, mib];
    Outcome {
        title: format!("Memory of idle nodes, and of an operator with {members} members connected"),
        header: vec!["what", "resident MiB"],
        rows: vec![
            row("operator alone".to_owned(), format!("{alone:.1}")),
            row(format!("member, connected and idle, median of {members}"), idle.shown(1)),
            row(format!("operator with {members} members connected"), format!("{connected:.1}")),
            row("operator at its peak, while they joined and were admitted".to_owned(), format!("{peak:.1}")),
            row("operator for each member".to_owned(), format!("{each:.2}")),
        ],
        bars: vec![
            bar("idle operator", alone, IDLE_MIB_MAX),
            bar("idle member, the largest", idle.max(), IDLE_MIB_MAX),
            bar("operator for each member connected", each, PER_MEMBER_MIB_MAX),
        ],
        notes: vec![format!(
            "Each member is a real daemon that joined with a token; all are admitted in one charter version. Joining took \
             {joined:.0} s."
        )],
        raw: json!({"members": members, "operator_alone_mib": alone, "operator_connected_mib": connected,
            "operator_peak_mib": peak, "member_mib": idle.0, "joining_seconds": joined}),
    }
}
