//! A table travels in full, then as what changed, both ways; an opt-out travels as a delete.

use std::fs;

use cohortium_tests::real::network::{Network, Offer, Plan};
use cohortium_tests::real::source::{CANARY, column, table};

use crate::PROGRAM;

/// What a column must hold after landing: one cell a row, in order of text.
fn cells(of: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = of.collect();
    all.sort();
    all
}

#[test]
fn a_table_lands_in_full_then_as_a_delta_and_a_patient_who_opts_out_is_deleted() {
    let net = Network::new(Plan::pair(PROGRAM));
    table(&net.path("los.csv"), 0..1200, 0..0);
    net.offer_table("los");
    net.north().tell(&["share", "take", "los"]);
    net.op.until_landed("los", 1);
    let full = net.op.subscription("los")["snapshots"][0].clone();
    assert_eq!(full["base"], "full");
    checked_out(&net, "first.csv", 0..1200, 0..0, &[]);

    table(&net.path("los.csv"), 10..1205, 50..60);
    net.north().tell(&["share", "take", "los"]);
    net.op.until_landed("los", 2);
    let delta = net.op.subscription("los")["snapshots"][1].clone();
    assert_eq!(delta["base"], "delta");
    assert!(delta["bytes"].as_u64() < full["bytes"].as_u64(), "{delta} {full}");
    checked_out(&net, "second.csv", 10..1205, 50..60, &[]);

    for patient in ["77", "78"] {
        net.north().tell(&["optout", "add", "los", patient]);
    }
    net.north().tell(&["share", "take", "los"]);
    net.op.until_landed("los", 3);
    checked_out(&net, "third.csv", 10..1205, 50..60, &[77, 78]);
    net.north().tell(&["optout", "remove", "los", "78"]);
    net.north().tell(&["share", "take", "los"]);
    net.op.until_landed("los", 4);
    checked_out(&net, "fourth.csv", 10..1205, 50..60, &[77]);

    // Taken again without a change: nothing is stated.
    let ended = |site: &cohortium_tests::real::site::Site| site.acts("order").len();
    let before = ended(net.north());
    net.north().tell(&["share", "take", "los"]);
    assert!(ended(net.north()) > before);
    net.op.tell(&["subscription", "rollback", "los", "1"]);
    checked_out(&net, "back.csv", 0..1200, 0..0, &[]);
    net.op.tell(&["subscription", "rollback", "los", "4"]);
    assert_eq!(net.north().snapshots("los").len(), 4);
    net.op.verifies();
    net.north().verifies();
}

fn checked_out(net: &Network, name: &str, rows: std::ops::Range<u32>, changed: std::ops::Range<u32>, without: &[u32]) {
    let path = net.path(name);
    net.op.tell(&["subscription", "checkout", "los", &net.text(name)]);
    let stay = || rows.clone().filter(|row| !without.contains(row));
    assert_eq!(column(&path, "age"), cells(stay().map(|row| (20 + row % 60).to_string())), "{name}");
    let sodium = |row: u32| if changed.contains(&row) { "155" } else { "140" };
    assert_eq!(column(&path, "sodium"), cells(stay().map(|row| sodium(row).to_owned())), "{name}");
    let mut ids = column(&path, "eid");
    ids.dedup();
    assert_eq!(ids.len(), stay().count(), "each row keeps a pseudonym of its own");
    assert!(ids.iter().all(|id| id.parse::<u32>().is_err()), "no identifier stays what it was");
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains(CANARY) && column(&path, "name").is_empty());
    assert_eq!(net.op.tell(&["subscription", "count", "los"])["rows"], stay().count());
    // A checkout never overwrites.
    net.op.refused(&["subscription", "checkout", "los", &net.text(name)], 3);
}

#[test]
fn the_operator_shares_with_a_member_through_the_same_documents() {
    let net = Network::new(Plan::pair(PROGRAM));
    let path = net.text("codes.csv");
    fs::write(&path, "code,meaning\n2160-0,creatinine\n2345-7,glucose\n").unwrap();
    let define = ["--keep-role", "code=quasi-identifier,meaning=quasi-identifier"];
    net.offer(&Offer {
        from: &net.op,
        to: net.north(),
        name: "codes",
        source: &["--csv", &path, "--key", "code"],
        define: &define,
        approve: &[],
    });
    net.op.tell(&["share", "take", "codes"]);
    net.north().until_landed("codes", 1);
    fs::write(&path, "code,meaning\n2160-0,creatinine\n718-7,hemoglobin\n2345-7,glucose (serum)\n").unwrap();
    net.op.tell(&["share", "take", "codes"]);
    net.north().until_landed("codes", 2);
    net.north().tell(&["subscription", "checkout", "codes", &net.text("out.csv")]);
    assert_eq!(column(&net.path("out.csv"), "code"), ["2160-0", "2345-7", "718-7"]);
    assert_eq!(column(&net.path("out.csv"), "meaning"), ["creatinine", "glucose (serum)", "hemoglobin"]);
    // Who has what is told by the provider.
    let who = net.op.tell(&["share", "who"]);
    assert_eq!((&who[0]["consumer"], &who[0]["share"]), (&"north".into(), &"codes".into()));
    net.north().verifies();
}

#[test]
fn terms_that_change_need_a_new_approval_and_a_new_answer() {
    let net = Network::new(Plan::pair(PROGRAM));
    table(&net.path("los.csv"), 0..50, 0..0);
    net.offer_table("los");
    net.north().tell(&["share", "take", "los"]);
    net.op.until_landed("los", 1);
    // A wider share of the same name: one more column leaves.
    let define = ["share", "define", "los", "--dataset", "los", "--to", "op", "--purpose", "More", "--days", "30"];
    let wider = ["--pseudonym", "eid,name", "--round", "age=0,sodium=0"];
    net.north().tell(&[&define[..], &wider].concat());
    net.north().refused(&["share", "invite", "los", "--to", "op"], 3);
    net.north().tell(&["share", "approve", "los"]);
    net.north().tell(&["share", "invite", "los", "--to", "op"]);
    net.op.tell_soon(&["subscription", "accept", "los"]);
    net.north().until_state("los", "active");
    net.north().tell(&["share", "take", "los"]);
    net.op.until_landed("los", 2);
    assert_eq!(net.op.subscription("los")["snapshots"][1]["base"], "full", "new terms begin with a full copy");
    net.op.tell(&["subscription", "checkout", "los", &net.text("out.csv")]);
    assert_eq!(column(&net.path("out.csv"), "name").len(), 50);
}
