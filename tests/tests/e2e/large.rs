//! A file of any size travels in bounded memory.

use std::fs;

use cohortium_tests::real::network::{Network, Plan};
use cohortium_tests::real::site::Site;
use cohortium_tests::real::source::{big_file, same};
use cohortium_tests::real::{is_long, until};

use crate::PROGRAM;

/// The most that either daemon may ever have held, in KiB.
const PEAK_KIB_MAX: u64 = 200 * 1024;

/// The most memory that a daemon has held so far, in KiB.
fn peak(site: &Site) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", site.pid().unwrap())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_file_larger_than_the_memory_it_may_take_travels_whole() {
    let mebibytes = if is_long() { 5 * 1024 } else { 320 };
    let net = Network::new(Plan::pair(PROGRAM));
    fs::create_dir_all(net.path("set")).unwrap();
    big_file(&net.path("set/big.bin"), 51, mebibytes);
    net.offer_files("set");
    net.north().tell(&["share", "take", "set"]);
    // A long run: patience of its own, a minute for each look.
    for _ in 0..if is_long() { 20 } else { 1 } {
        if net.op.snapshots("set") == ["landed"] {
            break;
        }
        let landed = || (net.op.snapshots("set") == ["landed"]).then_some(());
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| until("the large file", landed)));
    }
    assert_eq!(net.op.snapshots("set"), ["landed"]);
    net.op.tell(&["subscription", "checkout", "set", &net.text("out")]);
    assert!(same(&net.path("out/big.bin"), &net.path("set/big.bin")));
    for site in [&net.op, net.north()] {
        let peak = peak(site);
        eprintln!("{}: {} MiB at most for a file of {mebibytes} MiB", site.name, peak / 1024);
        assert!(peak < PEAK_KIB_MAX, "{}: {peak} KiB", site.name);
    }
}
