//! Folders of files: what changed is sent, what was renamed is not, and what could escape is refused by name.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use cohortium_tests::real::network::{Network, Plan};
use cohortium_tests::real::source::{bytes, files_below};
use cohortium_tests::real::until;

use crate::PROGRAM;

/// The files of a checkout with their content, by path.
fn content(root: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let name = |path: &std::path::Path| path.strip_prefix(root).unwrap().display().to_string();
    files_below(root).iter().map(|path| (name(path), fs::read(path).unwrap())).collect()
}

#[test]
fn what_is_added_changed_deleted_and_renamed_arrives_and_renamed_content_is_not_sent_again() {
    let net = Network::new(Plan::relayed(PROGRAM));
    let set = net.path("set");
    fs::create_dir_all(set.join("a/b")).unwrap();
    let big = bytes(1, 9 << 20);
    fs::write(set.join("a/b/big.bin"), &big).unwrap();
    fs::write(set.join("a/note.txt"), b"one").unwrap();
    fs::write(set.join("empty"), b"").unwrap();
    net.offer_files("set");
    net.north().tell(&["share", "take", "set"]);
    net.op.until_landed("set", 1);
    net.op.tell(&["subscription", "checkout", "set", &net.text("one")]);
    assert_eq!(content(&net.path("one")), content(&set));

    fs::rename(set.join("a/b/big.bin"), set.join("moved.bin")).unwrap();
    fs::write(set.join("a/note.txt"), b"two").unwrap();
    fs::remove_file(set.join("empty")).unwrap();
    fs::write(set.join("new"), b"new").unwrap();
    let before = net.relay().up();
    net.north().tell(&["share", "take", "set"]);
    net.op.until_landed("set", 2);
    let travelled = net.relay().up() - before;
    assert!(travelled < 1 << 20, "{travelled} bytes for a rename and two small files");
    net.op.tell(&["subscription", "checkout", "set", &net.text("two")]);
    assert_eq!(content(&net.path("two")), content(&set));

    // The same content written again is no change, whatever the clock says.
    fs::write(set.join("new"), b"new").unwrap();
    net.north().tell(&["share", "take", "set"]);
    fs::write(set.join("last"), b"last").unwrap();
    net.north().tell_soon(&["share", "take", "set"]);
    net.op.until_landed("set", 3);
    assert_eq!(net.north().snapshots("set").len(), 3);
    net.op.verifies();
}

#[test]
fn a_file_that_changes_while_it_is_read_fails_the_run_and_nothing_of_it_is_stated() {
    let net = Network::new(Plan::pair(PROGRAM));
    let set = net.path("set");
    fs::create_dir_all(&set).unwrap();
    fs::write(set.join("big"), bytes(2, 48 << 20)).unwrap();
    net.offer_files("set");
    let (ends, path) = (Arc::new(AtomicBool::new(false)), set.join("restless"));
    let end = Arc::clone(&ends);
    let writer = thread::spawn(move || {
        for i in 0_u64.. {
            if end.load(Ordering::Relaxed) {
                return;
            }
            fs::write(&path, i.to_string()).unwrap();
        }
    });
    net.north().tell(&["share", "take", "set"]);
    let failed = net.north().until_act("snapshot-failed", 0);
    ends.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    assert_eq!(failed["fault"], "changed");
    assert!(net.north().snapshots("set").is_empty(), "nothing is stated");
    net.north().tell_soon(&["share", "take", "set"]);
    net.op.until_landed("set", 1);
}

#[test]
fn names_that_try_to_escape_or_to_deceive_are_refused_by_name() {
    let net = Network::new(Plan::pair(PROGRAM));
    let set = net.path("set");
    fs::create_dir_all(&set).unwrap();
    fs::write(set.join("good.txt"), b"good").unwrap();
    net.offer_files("set");
    let mut failed = 0;
    let mut refused = |shown: &str| {
        let said = net.north().refused(&["dataset", "profile", "set"], 3);
        assert!(said.contains(shown), "{said} does not name {shown}");
        net.north().tell_soon(&["share", "take", "set"]);
        let act = net.north().until_act("snapshot-failed", failed);
        assert_eq!(act["fault"], "malformed", "{shown}");
        failed += 1;
    };
    symlink("/etc/hostname", set.join("link")).unwrap();
    refused("link");
    fs::remove_file(set.join("link")).unwrap();
    symlink("/etc", set.join("folder-link")).unwrap();
    refused("folder-link");
    fs::remove_file(set.join("folder-link")).unwrap();
    // Hidden or turned-round text, a confusable, a control character, a backslash, a name that ends in a dot.
    let names = ["a\u{202E}gnp.exe", "new\nline", "back\\slash", "tab\there", "zero\u{200B}width"];
    for name in names {
        fs::write(set.join(name), b"x").unwrap();
        let visible: String = name.chars().take_while(char::is_ascii_alphanumeric).collect();
        refused(&visible);
        fs::remove_file(set.join(name)).unwrap();
    }
    // Two names that one file system takes for one are seen when the listing is made.
    fs::write(set.join("GOOD.TXT"), b"twin").unwrap();
    net.north().tell_soon(&["share", "take", "set"]);
    assert_eq!(net.north().until_act("snapshot-failed", failed)["fault"], "malformed");
    fs::remove_file(set.join("GOOD.TXT")).unwrap();
    net.north().tell_soon(&["share", "take", "set"]);
    net.op.until_landed("set", 1);
}

#[test]
fn unchecked_files_leave_only_with_the_word_of_the_privacy_officer_that_says_so() {
    let net = Network::new(Plan::pair(PROGRAM));
    let set = net.text("set");
    fs::create_dir_all(&set).unwrap();
    fs::write(net.path("set").join("scan.dcm"), b"pixels").unwrap();
    let north = net.north();
    north.tell(&["dataset", "add", "set", "--files", &set]);
    let define = ["share", "define", "set", "--dataset", "set", "--to", "op", "--purpose", "Scans", "--days", "3"];
    north.tell_soon(&define);
    let said = north.refused(&["share", "approve", "set"], 3);
    assert!(said.contains("--unchecked"), "{said}");
    north.refused(&["share", "invite", "set", "--to", "op"], 3);
    north.refused(&["share", "take", "set"], 3);
    north.tell(&["share", "approve", "set", "--unchecked"]);
    north.tell(&["share", "invite", "set", "--to", "op"]);
    net.op.tell_soon(&["subscription", "accept", "set"]);
    north.until_state("set", "active");
    north.tell(&["share", "take", "set"]);
    net.op.until_landed("set", 1);
    let manifest = until("the manifest", || net.op.acts("manifest").last().cloned());
    assert!(!manifest.is_null());
    assert_eq!(
        net.op.subscription("set")["invitation"]["share"]["content"],
        "unchecked-files",
        "the label is everywhere"
    );
}
