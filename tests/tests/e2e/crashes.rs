//! Kill -9 of either side, at any step: everything lands, and nothing twice.

use std::fs;
use std::time::Instant;

use cohortium_tests::real::network::{Network, Plan, TABLE_POLICY};
use cohortium_tests::real::source::{big_file, column, same, table};
use cohortium_tests::real::until;

use crate::PROGRAM;

const MIB: u64 = 1 << 20;

/// One manifest a snapshot and one receipt each, at both sides.
fn nothing_came_twice(net: &Network, snapshots: usize) {
    for site in [&net.op, net.north()] {
        until(&format!("the receipts at {}", site.name), || (site.acts("receipt").len() >= snapshots).then_some(()));
        assert_eq!(site.acts("receipt").len(), snapshots, "{}", site.name);
        assert_eq!(site.acts("manifest").len(), snapshots, "{}", site.name);
        site.verifies();
    }
}

#[test]
fn a_transfer_survives_kills_of_both_sides_and_lands_once() {
    let mut net = Network::new(Plan::relayed(PROGRAM));
    fs::create_dir_all(net.path("set")).unwrap();
    big_file(&net.path("set/big.bin"), 4, 160);
    net.offer_files("set");
    net.relay().slow_to(32 * MIB);
    net.north().tell(&["share", "take", "set"]);
    let passed = |net: &Network, bytes: u64| until("bytes to pass", || (net.relay().up() > bytes).then_some(()));
    passed(&net, 40 * MIB);
    net.op.crash();
    let at = net.relay().up();
    passed(&net, at + 24 * MIB);
    net.north_mut().crash();
    let at = net.relay().up();
    passed(&net, at + 24 * MIB);
    net.op.kill();
    net.north_mut().kill();
    net.north_mut().up();
    net.op.up();
    net.relay().slow_to(0);
    net.op.until_landed("set", 1);
    // A kill of the consumer costs what came since its last checkpoint (a second) and the ranges in flight.
    let (up, most) = (net.relay().up(), (160 + 3 * 32 + 2 * 36 + 3) * MIB);
    assert!(up < most, "{up} bytes for 160 MiB");
    net.op.tell(&["subscription", "checkout", "set", &net.text("out")]);
    assert!(same(&net.path("out/big.bin"), &net.path("set/big.bin")));
    nothing_came_twice(&net, 1);
}

#[test]
fn a_kill_between_any_two_steps_loses_nothing_that_was_acknowledged() {
    let mut net = Network::new(Plan::relayed(PROGRAM));
    let csv = net.text("los.csv");
    table(&net.path("los.csv"), 0..400, 0..0);
    net.north().tell(&["dataset", "add", "los", "--csv", &csv, "--key", "eid", "--patient", "eid"]);
    net.north_mut().crash();
    let define = ["share", "define", "los", "--dataset", "los", "--to", "op", "--purpose", "Test", "--days", "30"];
    net.north().tell(&[&define[..], &TABLE_POLICY].concat());
    net.north_mut().crash();
    net.north().tell(&["share", "approve", "los"]);
    net.north_mut().crash();
    net.north().tell(&["share", "invite", "los", "--to", "op"]);
    net.north_mut().crash();
    net.op.crash();
    net.op.tell_soon(&["subscription", "accept", "los"]);
    net.op.crash();
    net.north().until_state("los", "active");
    net.north().tell(&["share", "take", "los"]);
    // The run is in memory when the order is answered: killed now, it is taken again by a new order.
    until("the manifest", || (!net.north().snapshots("los").is_empty()).then_some(()));
    net.north_mut().crash();
    net.op.crash();
    net.op.until_landed("los", 1);
    net.op.crash();
    net.north().until_landed("los", 1);
    net.north_mut().crash();
    table(&net.path("los.csv"), 5..410, 20..30);
    net.north().tell(&["share", "take", "los"]);
    until("the second manifest", || (net.north().snapshots("los").len() == 2).then_some(()));
    net.north_mut().crash();
    net.op.until_landed("los", 2);
    net.op.tell(&["subscription", "checkout", "los", &net.text("out.csv")]);
    assert_eq!(column(&net.path("out.csv"), "sodium").iter().filter(|cell| *cell == "155").count(), 10);
    assert_eq!(column(&net.path("out.csv"), "eid").len(), 405);
    nothing_came_twice(&net, 2);
    net.north().tell(&["share", "revoke", "los"]);
    net.north_mut().crash();
    net.op.until_state("los", "revoked");
    net.op.crash();
    net.op.refused(&["subscription", "count", "los"], 3);
    for site in [&net.op, net.north()] {
        site.verifies();
    }
}

#[test]
fn a_cut_connection_is_dialled_again_and_the_transfer_goes_on() {
    let net = Network::new(Plan::relayed(PROGRAM));
    fs::create_dir_all(net.path("set")).unwrap();
    big_file(&net.path("set/big.bin"), 5, 64);
    net.offer_files("set");
    net.relay().slow_to(24 * MIB);
    net.north().tell(&["share", "take", "set"]);
    for at in [8, 20] {
        until("bytes to pass", || (net.relay().up() > at * MIB).then_some(()));
        net.relay().cut();
    }
    net.relay().slow_to(0);
    net.op.until_landed("set", 1);
    nothing_came_twice(&net, 1);
}

#[test]
fn over_quic_both_sides_find_each_other_again_after_a_kill() {
    let mut net = Network::new(Plan::pair(PROGRAM));
    table(&net.path("los.csv"), 0..100, 0..0);
    net.offer_table("los");
    let began = Instant::now();
    net.op.crash();
    net.north().tell(&["share", "take", "los"]);
    net.op.until_landed("los", 1);
    let after_operator = began.elapsed();
    let began = Instant::now();
    net.north_mut().crash();
    table(&net.path("los.csv"), 0..110, 0..0);
    net.north().tell(&["share", "take", "los"]);
    net.op.until_landed("los", 2);
    eprintln!("found again after {after_operator:?} and {:?}", began.elapsed());
    nothing_came_twice(&net, 2);
}
