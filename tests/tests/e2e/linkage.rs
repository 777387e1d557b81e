//! Linkage tokens: the same patient carries the same token from two hospitals, and a wrong key or epoch is refused.

use std::fs;

use cohortium_node::home::linkage_secret;
use cohortium_protocol::ident::ConsortiumId;
use cohortium_protocol::record::charter::CharterKind;
use cohortium_store::keystore::{KeySource, Keystore};
use cohortium_tests::real::network::{Network, Offer, Plan};
use cohortium_tests::real::site::Site;
use cohortium_tests::real::source::column;
use cohortium_tests::real::until;

use crate::PROGRAM;

/// North makes the key and wraps it for south, whose fingerprint a person has compared.
fn linked() -> Network {
    let net = Network::new(Plan { members: &["north", "south"], key_maker: Some("north"), ..Plan::pair(PROGRAM) });
    make_and_wrap(&net, 1);
    net
}

pub(crate) fn make_and_wrap(net: &Network, epoch: u64) {
    let (north, south) = (net.north(), &net.members[1]);
    let fingerprint = south.view()["parties"]["south"]["fingerprint"].as_str().unwrap().to_owned();
    north.refused(&["consortium", "confirm", "south", "0000 0000"], 5);
    north.tell_soon(&["consortium", "confirm", "south", &fingerprint]);
    // Nobody opens a key of a maker whose fingerprint was not compared.
    let fingerprint = north.view()["parties"]["north"]["fingerprint"].as_str().unwrap().to_owned();
    south.tell_soon(&["consortium", "confirm", "north", &fingerprint]);
    north.tell(&["linkage", "make"]);
    until("the key at its maker", || (north.view()["linkage_epoch"] == epoch).then_some(()));
    until("the key at the other", || {
        // The other's node record may still be on its way.
        north.tell(&["linkage", "wrap"]);
        (south.view()["linkage_epoch"] == epoch).then_some(())
    });
}

fn patients(net: &Network, name: &str, rows: &[(&str, &str, &str)]) {
    let lines = rows.iter().enumerate();
    let lines: Vec<String> =
        lines.map(|(id, (given, family, birth))| format!("{id},{given},{family},{birth},7\n")).collect();
    let text = format!("id,given,family,birth,score\n{}", lines.concat());
    fs::write(net.path(&format!("{name}.csv")), text).unwrap();
}

fn offer(net: &Network, from: &Site, name: &str) {
    let path = net.text(&format!("{name}.csv"));
    let fields = ["--link-given", "given", "--link-family", "family", "--link-birth", "birth"];
    let drop = ["--link", "--drop", "given,family,birth", "--pseudonym", "id", "--round", "score=0"];
    net.offer(&Offer {
        from,
        to: &net.op,
        name,
        source: &[&["--csv", &path, "--key", "id", "--patient", "id"], &fields[..]].concat(),
        define: &drop,
        approve: &[],
    });
}

fn tokens(net: &Network, name: &str) -> Vec<String> {
    let out = format!("{name}.out.csv");
    net.op.tell(&["subscription", "checkout", name, &net.text(&out)]);
    let header = fs::read_to_string(net.path(&out)).unwrap().lines().next().unwrap().to_owned();
    let token = header.split(',').find(|name| name.contains("link") || name.contains("token"));
    column(&net.path(&out), token.unwrap_or_else(|| panic!("no token in {header}")))
}

#[test]
fn one_patient_has_one_token_at_two_hospitals() {
    let net = linked();
    patients(&net, "nord", &[("Anna", "Müller", "1970-01-02"), ("Bob", "Ray", "1950-05-06")]);
    patients(&net, "sued", &[("ANNA", "Mueller", "1970-01-02"), ("anna ", "müller", "1970-01-02")]);
    offer(&net, net.north(), "nord");
    offer(&net, &net.members[1], "sued");
    net.north().tell(&["share", "take", "nord"]);
    net.members[1].tell(&["share", "take", "sued"]);
    net.op.until_landed("nord", 1);
    net.op.until_landed("sued", 1);
    let (north, south) = (tokens(&net, "nord"), tokens(&net, "sued"));
    assert_eq!((north.len(), south.len()), (2, 2));
    assert!(south.iter().any(|token| north.contains(token)), "{north:?} {south:?}");
    assert_ne!(north[0], north[1]);
    assert!(net.op.view()["linkage_epoch"].is_null(), "the operator holds no linkage key");
}

/// Puts another key in the place of the member's sub-key, as a restored or mixed-up keystore would.
fn exchange_key(net: &Network, site: &Site, epoch: u32) {
    let id: ConsortiumId = site.consortium_dir().file_name().unwrap().to_str().unwrap().parse().unwrap();
    let source = KeySource::KeyFile(net.path(&format!("{}.key", site.name)));
    let mut keystore = Keystore::open(&site.home.join("keystore"), &source).unwrap();
    let name = linkage_secret(CharterKind::Rehearsal, &id, epoch);
    assert!(keystore.secret(&name).is_some(), "the key is where it is looked for");
    keystore.put_secret(&name, &[9; 32]).unwrap();
}

// LINK-3
#[test]
fn a_wrong_key_or_epoch_is_refused_and_never_silently_unmatched() {
    let mut net = linked();
    patients(&net, "sued", &[("Anna", "Müller", "1970-01-02")]);
    offer(&net, &net.members[1], "sued");
    net.members[1].tell(&["share", "take", "sued"]);
    net.op.until_landed("sued", 1);
    net.members[1].down();
    exchange_key(&net, &net.members[1], 1);
    net.members[1].up();
    patients(&net, "sued", &[("Anna", "Müller", "1970-01-02"), ("Bob", "Ray", "1950-05-06")]);
    net.members[1].tell(&["share", "take", "sued"]);
    let said = until("the wrong key to be refused", || {
        let at_home = net.members[1].acts("snapshot-failed").last().map(|act| format!("provider: {}", act["fault"]));
        let abroad = net.op.acts("document-refused").last().map(|act| format!("consumer: {}", act["code"]));
        at_home.or(abroad)
    });
    eprintln!("a wrong linkage key: refused by the {said}");
    assert!(said.contains("linkage"), "{said}");
    assert_eq!(net.op.snapshots("sued"), ["landed"], "nothing of it landed");

    // A new epoch, whose key nobody has made yet.
    net.op.tell(&["charter", "propose", "--next-epoch"]);
    // That strengthens: it binds without the members' signatures.
    net.until_bound("3");
    patients(&net, "nord", &[("Cy", "Twombly", "1928-04-25")]);
    offer(&net, net.north(), "nord");
    let failed = net.north().acts("snapshot-failed").len();
    net.north().tell(&["share", "take", "nord"]);
    assert_eq!(net.north().until_act("snapshot-failed", failed)["fault"], "no-linkage-key");
    net.north().tell(&["linkage", "make"]);
    until("the new key", || (net.north().view()["linkage_epoch"] == 2).then_some(()));
    // The operator knows a new key by its wraps; until one is made, a statement under it is refused.
    let fingerprint = net.north().view()["parties"]["south"]["fingerprint"].as_str().unwrap().to_owned();
    net.north().tell_soon(&["consortium", "confirm", "south", &fingerprint]);
    net.north().tell(&["linkage", "wrap"]);
    until("the new key at the other", || (net.members[1].view()["linkage_epoch"] == 2).then_some(()));
    net.north().tell_soon(&["share", "take", "nord"]);
    net.op.until_landed("nord", 1);
}
