//! Exit codes that scripts rely on, and errors as JSON.

use std::fs;

use cohortium_tests::real::network::{Network, Plan};

use crate::PROGRAM;

#[test]
fn every_kind_of_failure_has_its_code_and_its_json() {
    let mut net = Network::new(Plan::pair(PROGRAM));
    let north = net.north();
    // 2: the words are wrong. clap's own errors go to standard error alone.
    for words in
        [&["dance"][..], &["share", "take"], &["subscription", "prune", "x"], &["share", "expire", "x", "soon"]]
    {
        let said = north.say(words).unwrap();
        assert_eq!(said.code, 2, "{words:?}");
        assert!(!said.error.is_empty(), "{words:?}");
    }
    // 3: refused.
    north.refused(&["consortium", "invite", "--name", "x", "--title", "X"], 3);
    // 4: no such thing.
    for words in [
        &["share", "take", "nothing"][..],
        &["subscription", "show", "nothing"],
        &["dataset", "profile", "nothing"],
        &["charter", "sign", "99"],
        &["consortium", "confirm", "nobody", "0000"],
    ] {
        north.refused(words, 4);
    }
    let gone = net.text("gone.csv");
    north.refused(&["dataset", "add", "gone", "--csv", &gone], 4);
    fs::write(&gone, "eid,age\n1,2\n").unwrap();
    north.tell(&["dataset", "add", "gone", "--csv", &gone]);
    fs::remove_file(&gone).unwrap();
    north.refused(&["dataset", "profile", "gone"], 4);
    // 0, with JSON to read.
    assert_eq!(north.tell(&["status"])["consortia"].as_array().map(Vec::len).or(Some(1)), Some(1));
    for words in [&["share", "list"][..], &["subscription", "list"], &["person", "list"], &["history"], &["doctor"]] {
        let said = north.say(words).unwrap();
        assert!(!said.json.is_null(), "{words:?} has no JSON: {}", said.error);
    }
    // 6: nobody there.
    net.north_mut().down();
    let said = net.north().refused(&["status"], 6);
    assert!(said.contains("cohortium run"), "{said}");
    net.north().refused(&["share", "list"], 6);
    // 7: this machine.
    let config = net.north().home.join("node.toml");
    let good = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("colour = \"red\"\n{good}")).unwrap();
    let said = net.north().refused(&["verify"], 7);
    assert!(said.contains("colour"), "{said}");
    fs::write(&config, good).unwrap();
    // 5: see `damage`; here a document that is none.
    fs::write(net.path("none.signed"), b"nonsense").unwrap();
    net.north().refused(&["show", &net.text("none.signed")], 5);
}
