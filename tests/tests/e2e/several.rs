//! One node in two consortia: each has its own journal, keys and persons; a rehearsal's keys are its own.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use cohortium_store::keystore::{KeySource, Keystore};
use cohortium_testnet::cluster::free_port;
use cohortium_tests::real::network::{TABLE_POLICY, create, init};
use cohortium_tests::real::site::Site;
use cohortium_tests::real::source::{column, table};
use cohortium_tests::real::until;

use crate::PROGRAM;

fn operator(name: &str, kind: &str, dir: &Path) -> Site {
    let address: SocketAddr = ([127, 0, 0, 1], free_port().unwrap()).into();
    let listen = address.to_string();
    let mut op = Site::new(name, dir, PROGRAM);
    init(&op, dir, &["--listen-udp", &listen, "--listen-tcp", &listen]);
    create(&op, &listen, kind);
    op.up();
    op
}

#[test]
fn a_node_in_a_rehearsal_and_a_production_keeps_them_apart() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let ops = [operator("opr", "rehearsal", dir.path()), operator("opp", "production", dir.path())];
    let mut north = Site::new("north", dir.path(), PROGRAM);
    init(&north, dir.path(), &[]);
    for op in &ops {
        let token = at(&format!("{}.token", op.name));
        op.tell(&["consortium", "invite", "--name", "north", "--title", "North", "-o", &token]);
        north.tell(&["consortium", "join", &token]);
    }
    north.up();
    let said = north.refused(&["charter", "show"], 2);
    assert!(said.contains("several consortia"), "{said}");
    table(&dir.path().join("los.csv"), 0..90, 0..0);
    for (op, name) in ops.iter().zip(["A rehearsal", "A production"]) {
        let tell = |words: &[&str]| north.tell_soon(&[&["--consortium", name], words].concat());
        op.tell(&["charter", "propose", "--admit-all"]);
        tell(&["charter", "sign", "2"]);
        tell(&["dataset", "add", "los", "--csv", &at("los.csv"), "--key", "eid"]);
        let define =
            ["share", "define", "los", "--dataset", "los", "--to", &op.name, "--purpose", "Test", "--days", "9"];
        tell(&[&define[..], &TABLE_POLICY].concat());
        tell(&["share", "approve", "los"]);
        tell(&["share", "invite", "los", "--to", &op.name]);
        op.tell_soon(&["subscription", "accept", "los"]);
        until("the answer", || {
            let list = north.tell(&["--consortium", name, "subscription", "list"]);
            (list[0]["state"] == "active").then_some(())
        });
        tell(&["share", "take", "los"]);
        op.until_landed("los", 1);
        op.tell(&["subscription", "checkout", "los", &at(&format!("{}.csv", op.name))]);
    }
    let ids = |op: &Site| column(&dir.path().join(format!("{}.csv", op.name)), "eid");
    let (rehearsal, production) = (ids(&ops[0]), ids(&ops[1]));
    assert_eq!((rehearsal.len(), production.len()), (90, 90));
    assert!(rehearsal.iter().all(|id| !production.contains(id)), "one patient has two ids that nobody can compare");
    // Revoking one leaves the other alone; a stop in one is not one in the other.
    north.tell(&["--consortium", "A rehearsal", "share", "revoke", "los"]);
    ops[0].until_state("los", "revoked");
    assert_eq!(ops[1].subscription("los")["state"], "active");
    north.tell(&["verify"]);
    north.down();
    let source = KeySource::KeyFile(dir.path().join("north.key"));
    let keystore = Keystore::open(&north.home.join("keystore"), &source).unwrap();
    let names: Vec<String> = keystore.names().map(ToString::to_string).collect();
    let rows: Vec<&String> = names.iter().filter(|name| name.contains("rows.")).collect();
    assert_eq!(rows.len(), 2, "{names:?}");
    assert_eq!(rows.iter().filter(|name| name.starts_with("rehearsal.")).count(), 1, "{names:?}");
    drop(keystore);
    assert_eq!(fs::read_dir(north.home.join("consortia")).unwrap().count(), 2);
}
