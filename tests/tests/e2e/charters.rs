//! A charter binds who has signed it: changes need the threshold, and a node acts under no charter that it has not accepted.

use cohortium_tests::real::network::{Network, Plan};
use cohortium_tests::real::source::table;
use cohortium_tests::real::until;
use serde_json::Value;

use crate::PROGRAM;

fn version(view: &Value) -> u64 {
    view["charter"]["version"].as_u64().unwrap_or(0)
}

// CHAR-6 CHAR-7
#[test]
fn a_change_needs_the_threshold_and_strengthening_does_not() {
    let net = Network::new(Plan { members: &["north", "south", "west"], ..Plan::pair(PROGRAM) });
    net.op.tell(&["charter", "propose", "--threshold", "2"]);
    net.sign("3");
    // A weakening change: nobody, then one, then two have signed.
    net.op.tell(&["charter", "propose", "--share-days", "700"]);
    until("the proposal at all", || {
        net.members.iter().all(|site| !site.view()["proposals"].as_array().unwrap().is_empty()).then_some(())
    });
    assert_eq!(version(&net.op.view()), 3);
    net.members[0].tell(&["charter", "sign", "4"]);
    until("one signature at the operator", || {
        let signed = net.op.view()["proposals"][0]["signed"].as_array().map_or(0, Vec::len);
        (signed >= 2).then_some(())
    });
    assert_eq!(version(&net.op.view()), 3, "one of two needed signatures binds nobody");
    assert_eq!(version(&net.members[0].view()), 3);
    net.members[1].tell(&["charter", "sign", "4"]);
    until("version 4 at those who signed", || {
        [&net.op, &net.members[0], &net.members[1]].iter().all(|site| version(&site.view()) == 4).then_some(())
    });
    // The third has not accepted it and stays bound by the last one.
    assert_eq!(version(&net.members[2].view()), 3);
    net.members[2].tell(&["charter", "sign", "4"]);
    until("version 4 at the third", || (version(&net.members[2].view()) == 4).then_some(()));
    let diff = net.op.tell(&["charter", "diff", "3", "4"]);
    assert!(diff.to_string().contains("share_validity_max"), "{diff}");
    for site in std::iter::once(&net.op).chain(&net.members) {
        site.verifies();
    }
}

// CHAR-10
#[test]
fn a_node_that_has_not_accepted_a_charter_does_nothing_under_it() {
    let mut net = Network::new(Plan::pair(PROGRAM));
    let south = net.join("south", Plan::pair(PROGRAM));
    net.op.tell(&["charter", "propose", "--admit", "south"]);
    net.members[0].tell_soon(&["charter", "sign", "3"]);
    until("version 3 in force", || (version(&net.op.view()) == 3).then_some(()));
    until("the charter at the new member", || {
        (!south.view()["proposals"].as_array().unwrap().is_empty()).then_some(())
    });
    table(&net.path("los.csv"), 0..30, 0..0);
    // What its own files are called is the node's own matter; a share of them is not.
    south.tell(&["dataset", "add", "los", "--csv", &net.text("los.csv"), "--key", "eid"]);
    let to_op = ["share", "define", "los", "--dataset", "los", "--to", "op", "--purpose", "Test", "--days", "9"];
    let to_op = [&to_op[..], &cohortium_tests::real::network::TABLE_POLICY].concat();
    south.refused(&to_op, 3);
    south.refused(&["linkage", "make"], 3);
    let to_south =
        ["share", "define", "codes", "--dataset", "codes", "--to", "south", "--purpose", "Codes", "--days", "9"];
    net.op.tell(&["dataset", "add", "codes", "--csv", &net.text("los.csv"), "--key", "eid"]);
    net.op.tell(&[&to_south[..], &cohortium_tests::real::network::TABLE_POLICY].concat());
    net.op.tell(&["share", "approve", "codes"]);
    let invited = net.op.say(&["share", "invite", "codes", "--to", "south"]).unwrap();
    eprintln!("an invitation to a member that has not signed ended with {}: {}", invited.code, invited.error);
    assert_ne!(south.say(&["subscription", "accept", "codes"]).unwrap().code, 0);
    south.tell(&["charter", "sign", "3"]);
    until("the charter at the new member", || (version(&south.view()) == 3).then_some(()));
    south.tell(&to_op);
    net.members.push(south);
}

// JOIN-4 CHAR-2
#[test]
fn a_token_is_used_once_and_a_production_charter_keeps_its_floors() {
    let net = Network::new(Plan::pair(PROGRAM));
    let token = net.text("west.token");
    net.op.tell(&["consortium", "invite", "--name", "west", "--title", "West", "-o", &token]);
    net.op.refused(&["consortium", "invite", "--name", "east", "--title", "East", "-o", &token], 3);
    let dir = net.path("");
    let (west, thief) = (
        cohortium_tests::real::site::Site::new("west", &dir, PROGRAM),
        cohortium_tests::real::site::Site::new("thief", &dir, PROGRAM),
    );
    for site in [&west, &thief] {
        cohortium_tests::real::network::init(site, &dir, &[]);
    }
    west.tell(&["consortium", "join", &token]);
    let said = thief.refused(&["consortium", "join", &token], 3);
    assert!(said.contains("token") || said.contains("secret"), "{said}");
    let fresh = cohortium_tests::real::site::Site::new("fresh", &dir, PROGRAM);
    cohortium_tests::real::network::init(&fresh, &dir, &[]);
    let base = ["consortium", "create", "--title", "T", "--name", "op", "--address", "127.0.0.1:1"];
    let weak = [&base[..], &["--kind", "production", "--k", "5"]].concat();
    let said = fresh.say(&weak).unwrap();
    assert!(said.code == 2 || said.code == 3, "{} {}", said.code, said.error);
}
