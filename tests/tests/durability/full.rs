//! A full disk: a clear error, nothing half landed, and it goes on when there is room. Without a journal nothing is served.

use std::fs;

use cohortium_tests::real::network::{Network, Plan, Way};
use cohortium_tests::real::source::{big_file, same, table};
use cohortium_tests::real::until;

use crate::PROGRAM;
use crate::disk::Disk;

const MIB: u64 = 1 << 20;

/// A shell that allows no file longer than so many KiB, and lets the write fail instead of killing the process.
fn limited(kibibytes: u64) -> [String; 4] {
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", kibibytes * 2);
    ["sh".to_owned(), "-c".to_owned(), script, "sh".to_owned()]
}

#[test]
fn a_blob_that_does_not_fit_does_not_half_land_and_lands_when_there_is_room() {
    let mut net = Network::new(Plan::pair(PROGRAM));
    fs::create_dir_all(net.path("set")).unwrap();
    big_file(&net.path("set/big.bin"), 21, 24);
    fs::write(net.path("set/small"), b"small").unwrap();
    net.offer_files("set");
    net.op.down();
    let wrapper = limited(8 * 1024);
    net.op.start_under(&wrapper.each_ref().map(String::as_str)).unwrap();
    net.north().tell(&["share", "take", "set"]);
    until("the disk's word in the log", || net.op.log().contains("landing-failed").then_some(()));
    assert_eq!(net.op.snapshots("set"), ["landing"]);
    assert_ne!(net.op.say(&["subscription", "checkout", "set", &net.text("none")]).unwrap().code, 0);
    net.op.tell(&["verify"]);
    net.op.down();
    net.op.up();
    net.op.until_landed("set", 1);
    net.op.tell(&["subscription", "checkout", "set", &net.text("out")]);
    assert!(same(&net.path("out/big.bin"), &net.path("set/big.bin")));
    // The provider's own disk: the run fails with its code and the next one works.
    net.north_mut().down();
    net.north_mut().start_under(&wrapper.each_ref().map(String::as_str)).unwrap();
    big_file(&net.path("set/more.bin"), 22, 24);
    let failed = net.north().acts("snapshot-failed").len();
    net.north().tell(&["share", "take", "set"]);
    assert_eq!(net.north().until_act("snapshot-failed", failed)["fault"], "limit");
    net.north_mut().down();
    net.north_mut().up();
    net.north().tell(&["share", "take", "set"]);
    net.op.until_landed("set", 2);
    net.op.verifies();
    net.north().verifies();
}

#[test]
fn a_disk_that_is_really_full_is_survived_by_both_sides() {
    let Some(disk) = Disk::memory(150) else { return };
    let place = disk.path();
    let net = Network::new(Plan { within: Some(&place), ..Plan::pair(PROGRAM) });
    table(&net.path("los.csv"), 0..300, 0..0);
    net.offer_table("los");
    fs::create_dir_all(net.path("set")).unwrap();
    big_file(&net.path("set/big.bin"), 23, 60);
    net.offer_files("set");
    // 60 in the source, 60 at the provider: 30 are left for the consumer.
    net.north().tell(&["share", "take", "set"]);
    until("the disk's word in the log", || net.op.log().contains("landing-failed").then_some(()));
    assert_eq!(net.op.snapshots("set"), ["landing"]);
    disk.resize(400);
    net.op.until_landed("set", 1);
    net.op.tell(&["subscription", "checkout", "set", &net.text("out")]);
    assert!(same(&net.path("out/big.bin"), &net.path("set/big.bin")));
    net.op.verifies();
    net.north().verifies();
}

#[test]
fn without_a_journal_nothing_is_served_and_no_order_is_carried_out() {
    let Some(disk) = Disk::memory(300) else { return };
    let place = disk.path();
    let mut net = Network::new(Plan { within: Some(&place), way: Way::Relayed, ..Plan::pair(PROGRAM) });
    fs::create_dir_all(net.path("set")).unwrap();
    big_file(&net.path("set/big.bin"), 24, 64);
    net.offer_files("set");
    // The consumer rests while the provider takes the snapshot; then the disk is full to the last byte.
    net.op.down();
    net.north().tell(&["share", "take", "set"]);
    until("the snapshot", || (net.north().snapshots("set") == ["stated"]).then_some(()));
    let filler = disk.fill();
    // An order that cannot be written down is not carried out. What is left of the journal's last page takes a few.
    let order = ["share", "schedule", "set", "daily 02:30 UTC"];
    let mut answers = (0..100).map(|_| net.north().say(&order).unwrap());
    let said = answers.find(|said| said.code != 0).expect("a full disk takes no more entries");
    assert_eq!(said.code, 7, "{}", said.error);
    assert!(said.error.contains("journal"), "{}", said.error);
    // The consumer's own writes would fail too: a little room for it, which the provider no longer asks for.
    fs::remove_file(&filler).unwrap();
    net.op.up();
    let before = net.relay().up();
    std::thread::sleep(std::time::Duration::from_secs(3));
    let served = net.relay().up() - before;
    assert!(served < MIB, "{served} bytes were served by a node without a journal");
    let mut north = net.members.remove(0);
    north.kill();
    north.up();
    net.members.push(north);
    net.op.until_landed("set", 1);
    net.north().verifies();
    net.op.verifies();
}
