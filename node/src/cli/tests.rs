//! Tests of the command line as a whole: its grammar, its errors, and orders as a daemon would get them.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;

use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::record::order::{Command, Order};

use super::*;
use crate::control::{Call, ErrorKind, Reply, Request, View};
use crate::person as person_key;

/// A small consortium as its nodes see it: fixed, so that what is shown of it can be compared to the letter.
pub(crate) mod world;

#[test]
fn the_grammar_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_noun_and_verb_stands_in_the_readme() {
    let readme = include_str!("../../../README.md");
    for noun in Cli::command().get_subcommands().filter(|noun| noun.get_name() != "help") {
        assert!(readme.contains(&format!("| `{}` |", noun.get_name())), "noun {}", noun.get_name());
        let row = readme.lines().find(|line| line.starts_with(&format!("| `{}` |", noun.get_name()))).unwrap();
        for verb in noun.get_subcommands().filter(|verb| verb.get_name() != "help") {
            assert!(row.contains(&format!("`{}`", verb.get_name())), "{} {}", noun.get_name(), verb.get_name());
        }
    }
}

fn cli(home: &Path, args: &[&str]) -> Cli {
    let home = home.to_str().unwrap();
    let args = ["cohortium", "--home", home].into_iter().chain(args.iter().copied()).map(OsString::from);
    Cli::try_parse_from(args).unwrap()
}

fn end(home: &Path, args: &[&str]) -> Result<Shown, CliFault> {
    carry_out(cli(home, args))
}

/// A node in a new folder with one person, `alice`, and one membership.
fn node(dir: &Path, view: &View) -> std::path::PathBuf {
    let home = dir.join("node");
    let key = dir.join("key");
    let args = ["init", "--key-file", key.to_str().unwrap(), "--admin", "alice", "--no-person-passphrase"];
    end(&home, &args).unwrap();
    let membership = world::membership(view);
    Home::at(&home).write_membership(&membership).unwrap();
    home
}

/// Answers each call in order, and gives back what was asked.
fn daemon(home: &Path, replies: Vec<Reply>) -> std::thread::JoinHandle<Vec<Request>> {
    let listener = UnixListener::bind(Home::at(home).control_socket()).unwrap();
    std::thread::spawn(move || {
        let mut asked = Vec::new();
        for reply in replies {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
            asked.push(serde_json::from_str::<Call>(&line).unwrap().request);
            let progress = Reply::Progress { done: 1, total: None, unit: "rows".to_owned() };
            for reply in [progress, reply] {
                writeln!(stream, "{}", serde_json::to_string(&reply).unwrap()).unwrap();
            }
        }
        asked
    })
}

fn command(request: &Request, home: &Path) -> Command {
    let order: &Signed<Order> = match request {
        Request::Order(order) | Request::Preview { order, .. } | Request::Count { order } => order,
        other => panic!("no order: {other:?}"),
    };
    let public = person_key::public(&home.join("persons/alice.key")).unwrap();
    let order = order.verify(&[public]).unwrap();
    assert_eq!((order.person.as_str(), order.party.as_str()), ("alice", "north"));
    order.into_document().command
}

#[test]
fn an_order_reaches_the_daemon_signed_by_the_person_who_gave_it() {
    let dir = tempfile::tempdir().unwrap();
    let view = world::member();
    let home = node(dir.path(), &view);
    let seen = || Reply::View(vec![view.clone()]);
    let replies = vec![seen(), Reply::Done, seen(), Reply::Done, seen(), Reply::Count { rows: 7 }];
    let daemon = daemon(&home, replies);
    end(&home, &["share", "approve", "los"]).unwrap();
    end(&home, &["--as", "alice", "share", "revoke", "los@op", "--reason", "by law"]).unwrap();
    assert_eq!(end(&home, &["subscription", "count", "0a0a"]).unwrap().json["rows"], 7);
    let asked = daemon.join().unwrap();
    let terms = Signed::unsigned(&view.shares[0].share).digest();
    assert!(matches!(command(&asked[1], &home), Command::ApproveShare { terms: signed, .. } if signed == terms));
    let revoked = command(&asked[3], &home);
    assert!(matches!(revoked, Command::ChangeSubscription { subscription, reason: Some(reason), .. }
        if subscription == view.subscriptions[0].subscription && reason.as_str() == "by law"));
    assert!(matches!(command(&asked[5], &home), Command::ReadLanded { .. }));
}

#[test]
fn a_refusal_of_the_daemon_ends_with_its_kind() {
    let dir = tempfile::tempdir().unwrap();
    let view = world::member();
    let home = node(dir.path(), &view);
    let refused = Reply::Error { kind: ErrorKind::Refused, message: "no".to_owned() };
    let daemon = daemon(&home, vec![Reply::View(vec![view]), refused]);
    assert_eq!(end(&home, &["stop"]), Err(CliFault::refused("no")));
    daemon.join().unwrap();
}

#[test]
fn what_is_wrong_before_the_daemon_is_asked_has_its_kind_too() {
    let dir = tempfile::tempdir().unwrap();
    let home = node(dir.path(), &world::member());
    let kind = |args: &[&str]| end(&home, args).map_err(|fault| fault.kind).unwrap_err();
    assert_eq!(kind(&["status"]), ErrorKind::Unreachable);
    assert_eq!(kind(&["--consortium", "ffff", "share", "list"]), ErrorKind::NotFound);
    assert_eq!(kind(&["dataset", "add", "x", "--csv", "/no/such/file"]), ErrorKind::NotFound);
    assert_eq!(kind(&["consortium", "join", "cohortium-join:x"]), ErrorKind::Usage);
    let init = end(&home, &["init", "--key-file", "/nowhere/key"]).unwrap_err();
    assert_eq!(init.kind, ErrorKind::Refused, "an existing home is refused: {init}");
    let nowhere = end(&dir.path().join("nowhere"), &["status"]).unwrap_err();
    assert_eq!(nowhere.kind, ErrorKind::NotFound);
    assert!(nowhere.message.contains("cohortium init"));
}

#[test]
fn init_makes_a_node_with_its_keys_and_one_person() {
    let dir = tempfile::tempdir().unwrap();
    let (home, passphrase) = (dir.path().join("node"), dir.path().join("p"));
    crate::home::create_private(&passphrase, b"a long passphrase\n").unwrap();
    let file = passphrase.to_str().unwrap();
    let args = [
        "--person-passphrase-file",
        file,
        "init",
        "--passphrase-file",
        file,
        "--admin",
        "bob",
        "--roles",
        "privacy-officer,data-steward",
        "--listen-udp",
        "127.0.0.1:7411",
    ];
    let shown = end(&home, &args).unwrap();
    let golden = serde_json::json!({"name": "bob", "roles": ["site-administrator", "data-steward", "privacy-officer"]});
    assert_eq!(shown.json["person"], golden);
    assert!(shown.text.contains(BANNER));
    let config = crate::config::resolve::Config::load(&Home::open(&home).unwrap()).unwrap();
    let keystore = crate::config::secret::open_keystore(&Home::at(&home), &config.key).unwrap();
    for name in crate::home::NODE_SECRETS {
        assert!(crate::config::secret::seed(&keystore, name).is_ok(), "{name}");
    }
    let pair = person_key::open(&home.join("persons/bob.key"), Some(&passphrase)).unwrap();
    assert!(pair.public() == config.first_person.unwrap().key);
    assert_eq!(config.person.unwrap().as_str(), "bob");
}

#[test]
fn an_init_that_is_refused_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("node");
    let key = dir.path().join("key");
    let fault = end(&home, &["init", "--key-file", key.to_str().unwrap(), "--listen-udp", "nonsense"]).unwrap_err();
    assert_eq!(fault.kind, ErrorKind::Usage);
    assert!(fault.message.contains("listen_udp"), "{fault}");
    assert!(!home.exists() && !key.exists());
}

#[test]
fn a_consortium_begins_with_its_first_entries_in_the_journal() {
    use cohortium_protocol::limits::JOURNAL_ENTRY_BYTES_MAX;
    use cohortium_protocol::record::journal_entry::{Act, JournalEntry};
    use cohortium_protocol::wire::codec;
    use cohortium_store::journal::Journal;

    let dir = tempfile::tempdir().unwrap();
    let (home, key) = (dir.path().join("node"), dir.path().join("key"));
    let key = key.to_str().unwrap();
    end(&home, &["init", "--key-file", key, "--admin", "alice", "--no-person-passphrase"]).unwrap();
    let args = [
        "consortium",
        "create",
        "--title",
        "Test",
        "--kind",
        "rehearsal",
        "--name",
        "op",
        "--address",
        "op.example:7411",
    ];
    let shown = end(&home, &args).unwrap();
    let home = Home::open(&home).unwrap();
    let membership = home.memberships().unwrap().remove(0);
    assert_eq!(shown.json["consortium"], membership.consortium.to_string());
    assert_eq!((membership.operator_address.as_deref(), membership.party.as_str()), (None, "op"));
    let config = crate::config::resolve::Config::load(&home).unwrap();
    let keystore = crate::config::secret::open_keystore(&home, &config.key).unwrap();
    assert!(keystore.secret(&crate::home::rows_secret(membership.kind, &membership.consortium)).is_some());
    let mut acts = Vec::new();
    let journal_key = crate::home::journal_key(&keystore, &membership.consortium);
    Journal::verify_folder(&home.journal(&membership.consortium), &journal_key, |_, bytes| {
        acts.push(codec::decode::<JournalEntry>(bytes, JOURNAL_ENTRY_BYTES_MAX).unwrap().act);
    })
    .unwrap();
    let [Act::Began { party }, Act::Charter(charter), Act::NodeRecord(record), Act::Person(person)] = acts.as_slice()
    else {
        panic!("{acts:?}");
    };
    let root = [membership.operator_root];
    assert_eq!((party.as_str(), charter.digest().0), ("op", membership.consortium.0));
    assert_eq!(charter.verify(&root).unwrap().operator().1.root, membership.operator_root);
    assert_eq!(record.verify(&root).unwrap().tls, membership.operator_tls);
    assert_eq!(person.verify(&root).unwrap().person.as_str(), "alice");
    let verified = end(home.path(), &["verify"]).unwrap();
    assert_eq!(verified.json["consortia"][0]["journal_entries"], 4);
}

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let shown = end(Path::new("/nowhere"), &["completions", shell]).unwrap();
        assert!(shown.text.contains("cohortium"), "{shell}");
    }
}
