//! What ends or halts a transfer ends it at once, and what lifts it goes on where it was.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cohortium_protocol::time::UnixMillis;
use cohortium_tests::real::network::{Network, Plan};
use cohortium_tests::real::source::{big_file, same};
use cohortium_tests::real::{is_long, until};

use crate::PROGRAM;

const MIB: u64 = 1 << 20;
/// What may go over the wire beside the blob's own bytes: documents, frames, keep-alives.
const BESIDE: u64 = 3 * MIB;
/// Ranges that may be under way when a transfer is cut.
const IN_FLIGHT: u64 = 8 * 4 * MIB;

/// A consortium whose member has begun to send one large file, slowly.
fn sending(mebibytes: u64) -> Network {
    let net = Network::new(Plan::relayed(PROGRAM));
    fs::create_dir_all(net.path("set")).unwrap();
    big_file(&net.path("set/big.bin"), 3, mebibytes);
    net.offer_files("set");
    net.relay().slow_to(24 * MIB);
    net.north().tell(&["share", "take", "set"]);
    until("the first bytes", || (net.relay().up() > 16 * MIB).then_some(()));
    net
}

/// From a second after now on, nothing but keep-alives passes; looked at for two seconds.
fn nothing_flows(net: &Network) {
    sleep(Duration::from_secs(1));
    let (before, began) = (net.relay().up(), Instant::now());
    while began.elapsed() < Duration::from_secs(2) {
        let more = net.relay().up() - before;
        assert!(more < 64 * 1024, "{more} bytes were served more than a second later");
        sleep(Duration::from_millis(50));
    }
}

fn lands_whole(net: &Network, mebibytes: u64, resumes: u64) {
    net.relay().slow_to(0);
    net.op.until_landed("set", 1);
    let (up, most) = (net.relay().up(), mebibytes * MIB + resumes * IN_FLIGHT + BESIDE);
    assert!(up <= most, "{up} bytes went over the wire for {mebibytes} MiB: landed ranges were sent again");
    net.op.tell(&["subscription", "checkout", "set", &net.text("out")]);
    assert!(same(&net.path("out/big.bin"), &net.path("set/big.bin")));
}

#[test]
fn after_a_revocation_no_byte_is_served_and_a_reinstatement_goes_on_where_it_was() {
    let size = if is_long() { 1024 } else { 128 };
    let net = sending(size);
    net.north().tell(&["share", "revoke", "set", "--reason", "test"]);
    nothing_flows(&net);
    net.op.until_state("set", "revoked");
    assert_eq!(net.op.snapshots("set"), ["landing"], "nothing half landed counts as landed");
    net.op.refused(&["subscription", "checkout", "set", &net.text("none")], 3);
    // What was served is written down every five seconds: the next look finds nothing more.
    sleep(Duration::from_secs(6));
    let served = net.north().bytes_served("set");
    assert!(served > 0);
    sleep(Duration::from_secs(6));
    assert_eq!(net.north().bytes_served("set"), served);
    net.north().refused(&["share", "export", "set", &net.text("export")], 3);
    net.north().tell(&["share", "reinstate", "set"]);
    lands_whole(&net, size, 1);
    net.north().verifies();
    net.op.verifies();
}

#[test]
fn stop_halts_all_output_and_start_lifts_it() {
    let net = sending(96);
    net.north().tell(&["stop"]);
    nothing_flows(&net);
    assert_eq!(net.north().view()["stopped"], true);
    net.north().refused(&["share", "take", "set"], 3);
    net.north().refused(&["share", "export", "set", &net.text("export")], 3);
    assert_eq!(net.op.snapshots("set"), ["landing"]);
    net.north().tell(&["start"]);
    lands_whole(&net, 96, 1);
}

#[test]
fn a_stop_outlives_a_crash() {
    let mut net = sending(64);
    net.north().tell(&["stop"]);
    net.north_mut().crash();
    nothing_flows(&net);
    assert_eq!(net.north().view()["stopped"], true);
    net.north().tell(&["start"]);
    net.relay().slow_to(0);
    net.op.until_landed("set", 1);
}

#[test]
fn a_consumer_pauses_resumes_and_ends() {
    let net = sending(64);
    net.op.tell(&["subscription", "pause", "set"]);
    nothing_flows(&net);
    net.north().until_state("set", "paused");
    assert_eq!(net.op.snapshots("set"), ["landing"]);
    net.op.tell(&["subscription", "resume", "set"]);
    lands_whole(&net, 64, 1);
    net.op.tell(&["subscription", "end", "set"]);
    net.north().until_state("set", "ended");
    fs::write(net.path("set/more"), b"more").unwrap();
    let before = net.relay().up();
    let _ = net.north().say(&["share", "take", "set"]).unwrap();
    net.op.refused(&["subscription", "resume", "set"], 3);
    sleep(Duration::from_millis(500));
    assert!(net.relay().up() - before < 64 * 1024);
    assert_eq!(net.op.snapshots("set").len(), 1, "nothing comes after the end");
}

/// A time so many milliseconds from now, as the command line reads it.
fn at(millis: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    UnixMillis(u64::try_from(now).unwrap() + millis).to_string()
}

#[test]
fn a_share_whose_time_is_over_is_cut() {
    let net = sending(96);
    net.north().tell(&["share", "expire", "set", &at(700)]);
    sleep(Duration::from_millis(700));
    nothing_flows(&net);
    net.op.until_state("set", "expired");
    net.north().until_state("set", "expired");
    assert_eq!(net.op.snapshots("set"), ["landing"]);
    net.op.refused(&["subscription", "checkout", "set", &net.text("none")], 3);
}
