//! The closed table of roles, by every verb: who may not is refused with 3, and nothing has changed.

use std::fs;

use cohortium_tests::real::network::{Network, Plan, TABLE_POLICY};
use cohortium_tests::real::site::Site;
use cohortium_tests::real::source::table;
use cohortium_tests::real::until;
use serde_json::{Value, json};

use crate::PROGRAM;

/// One person for each role, called by its initials.
const PEOPLE: [(&str, &str); 5] = [
    ("sa", "site-administrator"),
    ("ds", "data-steward"),
    ("po", "privacy-officer"),
    ("sc", "data-scientist"),
    ("au", "auditor"),
];

fn enrol(site: &Site) {
    for (name, role) in PEOPLE {
        site.tell(&["person", "key", name, "--no-passphrase"]);
        site.tell(&["person", "add", name, "--role", role]);
    }
}

/// What orders change.
fn state(site: &Site) -> Value {
    let view = site.view();
    let fields = ["persons", "datasets", "shares", "stopped", "proposals", "subscriptions", "joining", "linkage_epoch"];
    let confirmed: Vec<Value> =
        view["parties"].as_object().into_iter().flatten().map(|(_, party)| party["confirmed"].clone()).collect();
    json!({"fields": fields.map(|field| view[field].clone()), "confirmed": confirmed})
}

/// Everybody but `may` is refused, with the act named, and changes nothing; then the first of `may` does it.
fn only(site: &Site, may: &[&str], phrase: &str, verb: &[&str]) {
    let before = state(site);
    for (name, _) in PEOPLE.iter().filter(|(name, _)| !may.contains(name)) {
        let said = site.refused(&[&["--as", name], verb].concat(), 3);
        assert!(said.contains(phrase), "{name} {verb:?}: {said}");
    }
    assert_eq!(state(site), before, "{verb:?} was refused and changed something");
    let Some(first) = may.first() else { return };
    site.tell(&[&["--as", first], verb].concat());
}

// ROLE-3 ORDER-4
#[test]
fn every_verb_is_refused_to_whoever_lacks_its_role() {
    let net = Network::new(Plan { members: &["north", "south"], key_maker: Some("north"), ..Plan::pair(PROGRAM) });
    let (op, north) = (&net.op, net.north());
    enrol(op);
    enrol(north);
    let csv = net.text("los.csv");
    table(&net.path("los.csv"), 0..40, 0..0);

    only(north, &["sa"], "manage persons", &["person", "add", "sc", "--role", "data-scientist,auditor"]);
    only(op, &["sa"], "invite hospitals", &["consortium", "invite", "--name", "west", "--title", "West"]);
    only(op, &["sa"], "propose charters", &["charter", "propose", "--title", "Another"]);
    until("the proposal", || (!north.view()["proposals"].as_array().unwrap().is_empty()).then_some(()));
    only(north, &["po"], "bind this node", &["charter", "sign", "3"]);
    until("version 3 in force", || (north.view()["charter"]["version"] == 3).then_some(()));
    let fingerprint = north.view()["parties"]["south"]["fingerprint"].as_str().unwrap().to_owned();
    only(north, &["po"], "bind this node", &["consortium", "confirm", "south", &fingerprint]);
    only(north, &["po"], "linkage keys", &["linkage", "make"]);
    until("the key", || north.view()["linkage_epoch"].as_u64());
    only(north, &["po"], "linkage keys", &["linkage", "wrap"]);

    let dataset = ["dataset", "add", "los", "--csv", &csv, "--key", "eid", "--patient", "eid"];
    only(north, &["ds"], "define datasets", &dataset);
    only(north, &["ds"], "define datasets", &["dataset", "profile", "los"]);
    let define = ["share", "define", "los", "--dataset", "los", "--to", "op", "--purpose", "Test", "--days", "9"];
    only(north, &["ds"], "define datasets", &[&define[..], &TABLE_POLICY].concat());
    only(north, &["ds", "po"], "see rows", &["share", "preview", "los"]);
    only(north, &["po"], "let data leave", &["share", "approve", "los"]);
    only(north, &["po"], "let data leave", &["share", "invite", "los", "--to", "op"]);
    until("the invitation", || (op.subscription("los")["state"] == "invited").then_some(()));
    only(op, &["ds"], "manage subscriptions", &["subscription", "accept", "los"]);
    north.until_state("los", "active");
    only(north, &["ds"], "take snapshots", &["share", "take", "los"]);
    op.until_landed("los", 1);
    only(op, &["ds", "po"], "see rows", &["subscription", "count", "los"]);
    only(op, &["po", "ds"], "see rows", &["subscription", "checkout", "los", &net.text("out.csv")]);
    only(north, &["po"], "let data leave", &["share", "export", "los", &net.text("export")]);
    only(op, &["ds"], "manage subscriptions", &["share", "import", &net.text("export")]);
    only(op, &["ds"], "manage subscriptions", &["subscription", "pause", "los"]);
    only(op, &["ds"], "manage subscriptions", &["subscription", "resume", "los"]);
    only(op, &["ds"], "manage subscriptions", &["subscription", "rollback", "los", "1"]);
    only(op, &["ds"], "manage subscriptions", &["subscription", "prune", "los", "--keep", "1"]);
    only(north, &["po", "ds"], "record an opt-out", &["optout", "add", "los", "3"]);
    only(north, &["ds", "po"], "record an opt-out", &["optout", "remove", "los", "3"]);
    only(north, &["po"], "let data leave", &["share", "schedule", "los", "daily 02:30 Europe/Berlin"]);
    only(north, &["ds", "po", "sa"], "halt all output", &["stop"]);
    only(north, &["po"], "lift the halt", &["start"]);
    only(north, &["ds", "po"], "revoke or shorten", &["share", "revoke", "los"]);
    only(north, &["po"], "let data leave", &["share", "reinstate", "los"]);
    only(op, &["ds"], "manage subscriptions", &["subscription", "end", "los"]);
    only(north, &["sa"], "manage persons", &["person", "remove", "sc"]);
    north.verifies();
}

// ORDER-1 ORDER-3
#[test]
fn a_strangers_key_and_an_order_given_twice_are_refused() {
    let net = Network::new(Plan::pair(PROGRAM));
    let north = net.north();
    let strange = net.text("stranger.key");
    north.tell(&["person", "key", "stranger", "--output", &strange, "--no-passphrase"]);
    let before = state(north);
    for who in ["stranger", "ada"] {
        let said = north.refused(&["--as", &format!("{who}={strange}"), "stop"], 3);
        assert!(said.contains("not that of a person enrolled"), "{said}");
    }
    assert_eq!(state(north), before);
    // A person who is no longer enrolled.
    north.tell(&["person", "key", "bea", "--no-passphrase"]);
    north.tell(&["person", "add", "bea", "--role", "privacy-officer"]);
    north.tell(&["--as", "bea", "stop"]);
    north.tell(&["--as", "bea", "start"]);
    north.tell(&["person", "remove", "bea"]);
    north.refused(&["--as", "bea", "stop"], 3);

    // The exact bytes of an order that was carried out, sent again by a process that can open the socket.
    north.tell(&["stop"]);
    let order = north.acts("order").last().cloned().unwrap();
    north.tell(&["start"]);
    let reply = north.ask(&json!({"order": order})).unwrap();
    assert_eq!(reply["error"]["kind"], "refused", "{reply}");
    assert!(reply["error"]["message"].as_str().unwrap().contains("given before"), "{reply}");
    assert_eq!(north.view()["stopped"], false);
    // The same order at another node of the consortium.
    let reply = net.op.ask(&json!({"order": order})).unwrap();
    assert_eq!(reply["error"]["kind"], "refused", "{reply}");
    // And bent by one digit.
    let mut text = order.to_string();
    let at = text.find("\"payload\"").unwrap() + 40;
    let other = if text.as_bytes()[at] == b'0' { "1" } else { "0" };
    text.replace_range(at..=at, other);
    let bent: Value = serde_json::from_str(&text).unwrap();
    let reply = north.ask(&json!({"order": bent})).unwrap();
    assert!(reply["error"].is_object(), "{reply}");
    assert_eq!(north.view()["stopped"], false);
    // A key file that others can read is not used.
    let path = north.home.join("persons/ada.key");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert!(north.say(&["stop"]).unwrap().code != 0);
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    north.verifies();
}
