//! The power fails at any moment: what a node has said is done, is done.

use std::fs;
use std::thread;
use std::time::Duration;

use cohortium_tests::real::network::{Network, Plan, Way};
use cohortium_tests::real::source::{big_file, same, table};
use cohortium_tests::real::{is_long, until};

use crate::PROGRAM;
use crate::disk::Disk;

/// Entries that both the control socket and later the journal must tell alike.
fn told(site: &cohortium_tests::real::site::Site) -> Vec<String> {
    site.history().iter().map(ToString::to_string).collect()
}

#[test]
fn after_a_power_cut_every_acknowledged_act_is_there() {
    let Some(mut disk) = Disk::ext4(900) else { return };
    let place = disk.path();
    let mut net = Network::new(Plan { within: Some(&place), way: Way::Relayed, ..Plan::pair(PROGRAM) });
    table(&net.path("los.csv"), 0..300, 0..0);
    net.offer_table("los");
    fs::create_dir_all(net.path("set")).unwrap();
    big_file(&net.path("set/big.bin"), 31, 48);
    net.offer_files("set");
    sync(&net);
    let rounds = if is_long() { 25 } else { 4 };
    for round in 0..rounds {
        // Something is always under way: a transfer that is cut at another place each time, orders, deltas.
        table(&net.path("los.csv"), round..300 + round, 0..0);
        fs::write(net.path(&format!("set/round-{round}")), format!("{round}")).unwrap();
        sync(&net);
        net.relay().slow_to(u64::from(12 + round) << 20);
        net.north().tell_soon(&["share", "take", "los"]);
        net.north().tell_soon(&["share", "take", "set"]);
        net.op.tell(&["subscription", "pause", "los"]);
        net.op.tell(&["subscription", "resume", "los"]);
        thread::sleep(Duration::from_millis(u64::from(round * 397 % 1100)));
        let before = [told(&net.op), told(net.north())];
        let landed = [net.op.snapshots("los"), net.op.snapshots("set")];
        disk.cut();
        net.op.kill();
        net.north_mut().kill();
        disk.again();
        net.relay().slow_to(0);
        net.op.up();
        net.north_mut().up();
        for (site, before) in [&net.op, net.north()].into_iter().zip(before) {
            let after = told(site);
            assert!(after.len() >= before.len(), "round {round}: {} lost acknowledged entries", site.name);
            assert!(after[..before.len()] == before[..], "round {round}: {} tells another past", site.name);
            site.verifies();
        }
        for (share, before) in ["los", "set"].into_iter().zip(landed) {
            for (number, state) in before.iter().enumerate().filter(|(_, state)| *state == "landed") {
                assert_eq!(net.op.snapshots(share).get(number), Some(state), "round {round}: {share}");
            }
        }
    }
    // After all of it, what was stated lands, and the last state is the right one.
    net.north().tell_soon(&["share", "take", "los"]);
    net.north().tell_soon(&["share", "take", "set"]);
    for share in ["los", "set"] {
        until(&format!("everything of {share} to land"), || {
            let (here, there) = (net.north().snapshots(share), net.op.snapshots(share));
            (here.len() == there.len() && there.iter().all(|state| state == "landed")).then_some(())
        });
    }
    net.op.tell(&["subscription", "checkout", "set", &net.text("out")]);
    assert!(same(&net.path("out/big.bin"), &net.path("set/big.bin")));
    let last = rounds - 1;
    assert_eq!(fs::read_to_string(net.path(&format!("out/round-{last}"))).unwrap(), last.to_string());
    assert_eq!(net.op.tell(&["subscription", "count", "los"])["rows"], 300);
    eprintln!("{rounds} power cuts, nothing lost");
}

/// The sources are the test's own files: they must survive the cut, whoever wrote them.
fn sync(net: &Network) {
    for path in cohortium_tests::real::source::files_below(&net.path("set")) {
        fs::File::open(path).unwrap().sync_all().unwrap();
    }
    for folder in [net.path("set"), net.path("")] {
        fs::File::open(folder).unwrap().sync_all().unwrap();
    }
    fs::File::open(net.path("los.csv")).unwrap().sync_all().unwrap();
}
