//! A value that must not leave is in no file that a node wrote, in no byte that went over the wire, in no export.

use std::fs;

use cohortium_testnet::canary::files_with;
use cohortium_tests::real::network::{Network, Plan};
use cohortium_tests::real::source::{CANARY, table};
use cohortium_tests::real::until;

use crate::PROGRAM;

#[test]
fn a_canary_is_nowhere_but_in_its_source() {
    let rows = 600_u32;
    let net = Network::new(Plan::relayed(PROGRAM));
    table(&net.path("los.csv"), 0..rows, 0..0);
    net.offer_table("los");
    // A person sees rows only as they would leave.
    let preview = net.north().tell(&["share", "preview", "los", "--rows", "5"]);
    assert!(!preview.to_string().contains(CANARY) && preview["rows"].as_array().unwrap().len() == 5, "{preview}");
    net.north().tell(&["optout", "add", "los", "3"]);
    net.north().tell(&["share", "take", "los"]);
    net.op.until_landed("los", 1);
    table(&net.path("los.csv"), 9..rows + 9, 20..40);
    net.north().tell(&["share", "take", "los"]);
    net.op.until_landed("los", 2);
    // A run that fails on a row of its source must not tell the row.
    let text = fs::read_to_string(net.path("los.csv")).unwrap();
    fs::write(net.path("los.csv"), format!("{text}9,{CANARY}beef,20,not a number\n{CANARY}beef\n")).unwrap();
    net.north().tell_soon(&["share", "take", "los"]);
    net.north().until_act("snapshot-failed", 0);
    let said = net.north().say(&["dataset", "profile", "los"]).unwrap();
    assert!(!said.error.contains(CANARY) && !said.json.to_string().contains(CANARY));
    fs::write(net.path("los.csv"), &text).unwrap();

    net.op.tell(&["subscription", "checkout", "los", &net.text("written/out.csv").replace("written/", "")]);
    fs::create_dir(net.path("written")).unwrap();
    fs::rename(net.path("out.csv"), net.path("written/out.csv")).unwrap();
    net.op.tell(&["subscription", "checkout", "los", &net.text("written/out.parquet")]);
    until("both to agree", || (net.north().snapshots("los").len() == 2).then_some(()));
    net.north().tell(&["share", "export", "los", &net.text("written/export")]);
    net.north().tell(&["history", "--documents", &net.text("written/documents")]);

    let canaries: Vec<String> = (0..rows + 9).map(|row| format!("{CANARY}{row:04x}")).collect();
    let mut files = 0;
    for folder in ["op", "north", "written"] {
        let (found, read) = files_with(&canaries, &net.path(folder)).unwrap();
        assert!(found.is_empty(), "{found:?}");
        files += read;
    }
    let kept = net.relay().kept();
    assert!(kept.len() > 20_000, "the wire was looked at");
    assert!(!kept.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
    for site in [&net.op, net.north()] {
        assert!(!site.log().contains(CANARY), "the log of {}", site.name);
        for entry in site.history() {
            assert!(!entry.to_string().contains(CANARY), "the journal of {}", site.name);
        }
    }
    eprintln!("{} canaries in none of {files} files and {} bytes of the wire", canaries.len(), kept.len());
}
