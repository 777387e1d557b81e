//! A snapshot carried by hand: it lands, and a folder with one bit turned does not, nor does it spoil what comes later.

use std::fs;
use std::path::Path;

use cohortium_tests::real::bend::{Bent, places};
use cohortium_tests::real::network::{Network, Plan};
use cohortium_tests::real::source::{bytes, column, files_below, table};
use cohortium_tests::real::{is_long, until};

use crate::PROGRAM;

// EXPORT-3
#[test]
fn an_export_lands_and_one_with_a_bit_turned_is_refused_by_name() {
    let mut net = Network::new(Plan::pair(PROGRAM));
    table(&net.path("los.csv"), 0..700, 0..0);
    net.offer_table("los");
    net.op.down();
    net.north().tell(&["share", "take", "los"]);
    until("the snapshot", || (net.north().snapshots("los") == ["stated"]).then_some(()));
    let folder = net.text("export");
    let exported = net.north().tell(&["share", "export", "los", &folder]);
    assert!(exported["bytes"].as_u64() > Some(0));
    net.north().refused(&["share", "export", "los", &folder], 3);
    net.north_mut().down();
    net.op.up();
    let files = files_below(Path::new(&folder));
    assert!(files.len() >= 3, "{files:?}");
    let most = if is_long() { 400 } else { 6 };
    for (number, path) in files.iter().enumerate() {
        for at in places(path, most, 11 + number as u64) {
            let bent = Bent::new(path, at, u32::try_from(at % 8).unwrap());
            let said = net.op.say(&["share", "import", &folder]).unwrap();
            let place = format!("byte {at} of {}", path.display());
            assert!(said.code == 5 || said.code == 3, "{place}: {} {}", said.code, said.error);
            assert_ne!(net.op.snapshots("los"), ["landed"], "{place}");
            drop(bent);
        }
    }
    for path in files.iter().filter(|path| path.starts_with(net.path("export/blobs"))) {
        let aside = net.path("aside");
        fs::rename(path, &aside).unwrap();
        named(&net, &folder, path);
        fs::rename(&aside, path).unwrap();
    }
    let besides = net.path("export/blobs/besides");
    fs::File::create(&besides).unwrap().set_len(1 << 40).unwrap();
    named(&net, &folder, &besides);
    fs::remove_file(&besides).unwrap();
    net.op.tell(&["share", "import", &folder]);
    net.op.until_landed("los", 1);
    net.op.tell(&["subscription", "checkout", "los", &net.text("out.csv")]);
    assert_eq!(column(&net.path("out.csv"), "age").len(), 700);
    // Taken in again: nothing happens.
    net.op.tell(&["share", "import", &folder]);
    assert_eq!(net.op.snapshots("los"), ["landed"]);
    // Both meet again over the network and agree.
    net.north_mut().up();
    net.north().until_landed("los", 1);
    table(&net.path("los.csv"), 0..710, 0..0);
    net.north().tell(&["share", "take", "los"]);
    net.op.until_landed("los", 2);
}

/// The operator refuses the folder, and names this file of it.
fn named(net: &Network, folder: &str, path: &Path) {
    let said = net.op.say(&["share", "import", folder]).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(said.code == 5 && said.error.contains(name), "{name}: {} {}", said.code, said.error);
    assert_ne!(net.op.snapshots("los"), ["landed"], "{name}");
}

#[test]
fn a_folder_for_another_party_or_of_a_revoked_share_is_refused() {
    let mut net = Network::new(Plan { members: &["north", "south"], ..Plan::pair(PROGRAM) });
    fs::create_dir_all(net.path("set")).unwrap();
    fs::write(net.path("set/a"), bytes(8, 100_000)).unwrap();
    net.offer_files("set");
    net.op.down();
    net.north().tell(&["share", "take", "set"]);
    until("the snapshot", || (net.north().snapshots("set") == ["stated"]).then_some(()));
    let folder = net.text("export");
    net.north().tell(&["share", "export", "set", &folder]);
    let said = net.members[1].say(&["share", "import", &folder]).unwrap();
    assert!(said.code == 3 || said.code == 4, "{} {}", said.code, said.error);
    let said = net.north().say(&["share", "import", &folder]).unwrap();
    assert_eq!(said.code, 3, "{}", said.error);
    net.north().tell(&["share", "revoke", "set"]);
    net.north().refused(&["share", "export", "set", &net.text("late")], 3);
    assert!(!net.path("late").exists() && !net.path("late.part").exists());
}
