//! A journal whose end was torn by a crash opens without what was never acknowledged; one that lost more does not open.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use cohortium_tests::real::network::{Network, Plan};
use cohortium_tests::real::site::Site;
use cohortium_tests::real::source::{bytes, files_below, table};

use crate::PROGRAM;

/// The newest segment of a node's journal.
fn newest(site: &Site) -> PathBuf {
    let files = files_below(&site.consortium_dir().join("journal"));
    let mut plain = files.into_iter().filter(|path| fs::metadata(path).unwrap().len() > 0);
    plain.rfind(|path| path.extension().is_none_or(|ending| ending != "lock")).unwrap()
}

fn ran() -> Network {
    let net = Network::new(Plan::pair(PROGRAM));
    table(&net.path("los.csv"), 0..200, 0..0);
    net.offer_table("los");
    net.north().tell(&["share", "take", "los"]);
    net.op.until_landed("los", 1);
    net.north().until_landed("los", 1);
    net
}

#[test]
fn bytes_of_a_write_that_never_ended_are_dropped() {
    let mut net = ran();
    for (seed, length) in [(1, 1), (2, 17), (3, 39)] {
        let before = net.op.history().len();
        net.op.kill();
        let path = newest(&net.op);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(&bytes(seed, length)).unwrap();
        net.op.up();
        assert!(net.op.history().len() >= before, "{length} torn bytes cost entries");
        net.op.verifies();
    }
    // What no write of a record can have left is damage, and is not cut off.
    net.op.kill();
    let path = newest(&net.op);
    let good = fs::read(&path).unwrap();
    OpenOptions::new().append(true).open(&path).unwrap().write_all(&bytes(4, 4096)).unwrap();
    assert!(net.op.start().is_err(), "a node starts over a damaged journal");
    assert_eq!(fs::metadata(&path).unwrap().len(), good.len() as u64 + 4096, "damage was cut off");
    fs::write(&path, &good).unwrap();
    net.op.up();
    // Half of a block that the file system had given and nobody had written: zeros.
    net.op.kill();
    let path = newest(&net.op);
    let length = fs::metadata(&path).unwrap().len();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(length + 8192).unwrap();
    net.op.up();
    net.op.verifies();
    table(&net.path("los.csv"), 0..210, 0..0);
    net.north().tell_soon(&["share", "take", "los"]);
    net.op.until_landed("los", 2);
}

#[test]
fn acknowledged_entries_that_are_gone_are_noticed_and_the_node_does_not_go_on() {
    let mut net = ran();
    net.north().tell(&["stop"]);
    net.north().tell(&["start"]);
    net.north_mut().down();
    let path = newest(net.north());
    let good = fs::read(&path).unwrap();
    for less in [1, 40, good.len() as u64 / 2] {
        File::options().write(true).open(&path).unwrap().set_len(good.len() as u64 - less).unwrap();
        let said = net.north().refused(&["verify"], 5);
        assert!(said.contains("entr") || said.contains("segment") || said.contains("log"), "{less}: {said}");
        assert!(net.north_mut().start().is_err(), "{less} bytes less, and the node starts");
        fs::write(&path, &good).unwrap();
    }
    net.north_mut().up();
    net.north().verifies();
}
