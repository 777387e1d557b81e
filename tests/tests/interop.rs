//! The Python reference as a peer: it reads what real nodes wrote, and must come to the same signatures, digests, snapshot
//! ids, log leaves and blobs. It shares no code with the nodes.

#![expect(clippy::unwrap_used, reason = "what goes wrong fails the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cohortium_protocol::hex;
use cohortium_protocol::key::pair::KeyPair;
use cohortium_store::keystore::{KeySource, Keystore};
use cohortium_tests::real::bend::Bent;
use cohortium_tests::real::network::{Network, Plan};
use cohortium_tests::real::site::Site;
use cohortium_tests::real::source::{bytes, files_below, table};
use cohortium_tests::real::until;
use serde_json::{Value, json};

/// The program that is node and worker.
const PROGRAM: &str = env!("CARGO_BIN_EXE_cohortium-under-test");

fn seed(net: &Network, site: &Site, name: &str) -> [u8; 32] {
    let source = KeySource::KeyFile(net.path(&format!("{}.key", site.name)));
    let keystore = Keystore::open(&site.home.join("keystore"), &source).unwrap();
    keystore.secret(name).unwrap().as_slice().try_into().unwrap()
}

/// Everything that the reference is told of one node, written beside its files.
fn facts(net: &Network, site: &mut Site) -> std::path::PathBuf {
    let folder = net.path(&format!("{}.documents", site.name));
    let written = site.tell(&["history", "--documents", folder.to_str().unwrap()]);
    assert!(written["documents"].as_u64() > Some(10), "{written}");
    let shown: serde_json::Map<String, Value> = files_below(&folder)
        .iter()
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, site.tell(&["show", path.to_str().unwrap()]))
        })
        .collect();
    let view = site.view();
    // The log follows the journal with a little delay: at rest it has every leaf.
    site.down();
    site.up();
    let history = site.history();
    site.down();
    let salt_key = seed(net, site, "log-salt");
    let signing = KeyPair::from_seed(&seed(net, site, "signing")).public();
    let facts = json!({
        "party": site.name, "consortium": view["consortium"], "documents": folder, "shown": shown,
        "snapshots": view["subscriptions"].as_array().unwrap().iter()
            .flat_map(|each| each["snapshots"].as_array().unwrap().iter().map(|one| one["snapshot"].clone()))
            .collect::<Vec<Value>>(),
        "history": history, "log": site.consortium_dir().join("log"),
        "salt_key": hex::text(&salt_key), "signing": signing.to_string(),
    });
    let path = net.path(&format!("{}.facts.json", site.name));
    fs::write(&path, facts.to_string()).unwrap();
    path
}

fn reference(words: &[&str]) -> Result<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let script = root.join("tests/tests/interop/peer.py");
    let output = Command::new("python3").arg(script).arg(root.join("spec/reference")).args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    Err(format!("{said}{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn the_reference_reads_verifies_and_recomputes_what_two_nodes_wrote() {
    let mut net = Network::new(Plan::pair(PROGRAM));
    table(&net.path("los.csv"), 0..120, 0..0);
    net.offer_table("los");
    net.north().tell(&["share", "take", "los"]);
    net.op.until_landed("los", 1);
    table(&net.path("los.csv"), 3..125, 30..40);
    net.north().tell(&["share", "take", "los"]);
    net.op.until_landed("los", 2);
    fs::create_dir_all(net.path("set")).unwrap();
    fs::write(net.path("set/a.bin"), bytes(41, 700_000)).unwrap();
    fs::write(net.path("set/b.txt"), b"b").unwrap();
    net.offer_files("set");
    net.north().tell(&["share", "take", "set"]);
    net.north().tell(&["share", "schedule", "los", "daily 02:30 mon-fri Europe/Berlin"]);
    net.op.until_landed("set", 1);
    net.op.tell(&["subscription", "pause", "los"]);
    net.north().until_state("los", "paused");
    net.op.tell(&["subscription", "resume", "los"]);
    net.north().tell(&["share", "revoke", "los", "--reason", "end"]);
    net.op.until_state("los", "revoked");
    until("the receipts", || (net.north().acts("receipt").len() >= 3).then_some(()));
    // What has landed is not carried once more.
    net.op.down();
    fs::write(net.path("set/late.bin"), bytes(42, 600_000)).unwrap();
    net.north().tell(&["share", "take", "set"]);
    until("the snapshot", || net.north().snapshots("set").last().is_some_and(|state| state == "stated").then_some(()));
    net.north().tell(&["share", "export", "set", &net.text("export")]);
    net.op.up();
    net.op.until_landed("set", 2);
    net.north().until_landed("set", 2);

    let gone = Site::new("gone", &net.path(""), PROGRAM);
    let mut op = std::mem::replace(&mut net.op, gone);
    let mut north = net.members.remove(0);
    for site in [&mut op, &mut north] {
        let facts = facts(&net, site);
        let said = reference(&["node", facts.to_str().unwrap()]).unwrap_or_else(|said| panic!("{}: {said}", site.name));
        eprintln!("{}: {said}", site.name);
    }
    let facts = net.text("north.facts.json");
    let said = reference(&["export", &facts, &net.text("export")]).unwrap();
    eprintln!("{said}");

    // The reference can fail: a bit in a document, in the log, in a blob.
    let documents = files_below(&net.path("north.documents"));
    let manifest = documents.iter().find(|path| path.to_str().unwrap().contains("manifest")).unwrap();
    let bent = Bent::new(manifest, fs::metadata(manifest).unwrap().len() / 2, 2);
    assert!(reference(&["node", &facts]).is_err(), "a bent manifest was not noticed");
    drop(bent);
    // The widest bundle is the one that the checkpoint speaks of.
    let entries = files_below(&north.consortium_dir().join("log/tile/entries"));
    let width = |path: &&PathBuf| fs::metadata(path).unwrap().len();
    let bent = Bent::new(entries.iter().max_by_key(width).unwrap(), 10, 2);
    assert!(reference(&["node", &facts]).is_err(), "a bent leaf was not noticed");
    drop(bent);
    let blob = files_below(&net.path("export/blobs")).pop().unwrap();
    let bent = Bent::new(&blob, 0, 0);
    assert!(reference(&["export", &facts, &net.text("export")]).is_err(), "a bent blob was not noticed");
    drop(bent);
    reference(&["node", &facts]).unwrap();
}
