//! An operator and a hospital as real processes on loopback: what the daemon does between the command line and the peer.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what goes wrong fails the test")]

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cohortium");
const PATIENCE: Duration = Duration::from_mins(1);

/// One node's folder and its daemon. Killed when dropped.
struct Node {
    home: PathBuf,
    daemon: Option<Child>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Node {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("--home").arg(&self.home).arg("--json").args(words).stdin(Stdio::null());
        command
    }

    /// The answer, or the error with its exit code.
    fn try_do(&self, words: &[&str]) -> Result<Value, (i32, String)> {
        let output = self.command(words).output().unwrap();
        if output.status.success() {
            return Ok(serde_json::from_slice(&output.stdout).unwrap_or(Value::Null));
        }
        Err((output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    fn tell(&self, words: &[&str]) -> Value {
        self.try_do(words).unwrap_or_else(|(code, said)| panic!("{words:?} ended with {code}: {said}"))
    }

    /// Repeats an act until it is allowed: documents need a moment to arrive.
    fn tell_when_ready(&self, words: &[&str]) -> Value {
        let started = Instant::now();
        loop {
            match self.try_do(words) {
                Ok(value) => return value,
                Err((code, said)) if started.elapsed() > PATIENCE => panic!("{words:?} ended with {code}: {said}"),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    fn start(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.home.join("daemon.log")).unwrap();
        let daemon = self.command(&["run"]).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.daemon = Some(daemon);
        self.tell_when_ready(&["status"]);
    }

    fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }

    fn end(&mut self) {
        self.tell(&["shutdown"]);
        let started = Instant::now();
        let mut daemon = self.daemon.take().unwrap();
        while daemon.try_wait().unwrap().is_none() {
            assert!(started.elapsed() < Duration::from_secs(12), "a stop takes ten seconds at most");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn snapshots(&self) -> Vec<String> {
        let list = self.tell(&["subscription", "list"]);
        let snapshots = list[0]["snapshots"].as_array().cloned().unwrap_or_default();
        snapshots.iter().map(|snapshot| snapshot["state"].as_str().unwrap_or("?").to_owned()).collect()
    }

    fn wait_for(&self, what: &str, done: impl Fn(&[String]) -> bool) {
        let started = Instant::now();
        loop {
            let states = self.snapshots();
            if done(&states) {
                return;
            }
            let log = fs::read_to_string(self.home.join("daemon.log")).unwrap_or_default();
            assert!(started.elapsed() < PATIENCE, "{what}: {states:?}\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn landed(&self, count: usize) {
        let all = |states: &[String]| states.len() == count && states.iter().all(|state| state == "landed");
        self.wait_for("landing", all);
    }
}

/// A consortium of two, charter in force, both daemons up.
struct Pair {
    dir: tempfile::TempDir,
    op: Node,
    north: Node,
}

impl Pair {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let (mut op, mut north) = (Node { home: at("op"), daemon: None }, Node { home: at("north"), daemon: None });
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let roles = ["--roles", "data-steward,privacy-officer", "--no-person-passphrase"];
        let op_key = at("op.key").display().to_string();
        let mut init = vec!["init", "--key-file", &op_key, "--listen-udp", &address, "--admin", "olga"];
        init.extend(roles);
        op.tell(&init);
        let begin = ["consortium", "create", "--title", "Test", "--kind", "rehearsal", "--name", "op", "--address"];
        op.tell(&[&begin[..], &[&address]].concat());
        op.start();
        let token = at("north.token").display().to_string();
        op.tell(&["consortium", "invite", "--name", "north", "--title", "North", "-o", &token]);
        let north_key = at("north.key").display().to_string();
        let mut init = vec!["init", "--key-file", &north_key, "--admin", "nora"];
        init.extend(roles);
        north.tell(&init);
        north.tell(&["consortium", "join", &token]);
        north.start();
        op.tell(&["charter", "propose", "--admit", "north"]);
        north.tell_when_ready(&["charter", "sign", "2"]);
        Self { dir, op, north }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn csv(&self, rows: std::ops::Range<u32>, sodium: u32) -> PathBuf {
        let path = self.path("los.csv");
        let lines = rows.map(|i| format!("{i},{},{}\n", 20 + i % 60, if i == 7 { sodium } else { 140 }));
        fs::write(&path, format!("eid,age,sodium\n{}", lines.collect::<String>())).unwrap();
        path
    }

    /// A share of the hospital, accepted by the operator; nothing taken yet.
    fn share(&self, source: &[&str], approve: &[&str]) {
        self.north.tell(&[&["dataset", "add", "los"], source].concat());
        let define = ["share", "define", "los", "--dataset", "los", "--to", "op", "--purpose", "Test", "--days", "30"];
        self.north.tell_when_ready(&define);
        self.north.tell(&[&["share", "approve", "los"], approve].concat());
        self.north.tell(&["share", "invite", "los", "--to", "op"]);
        self.op.tell_when_ready(&["subscription", "accept", "los"]);
        self.north.wait_for_state("active");
    }
}

impl Pair {
    /// A folder whose papers were changed is refused before any place of the provider's documents is used up, and an
    /// order to take it in is a data steward's.
    fn only_whole_papers_are_taken(&self, folder: &Path) {
        let documents = folder.join("documents.bin");
        let good = fs::read(&documents).unwrap();
        let mut doubled = good.clone();
        doubled.extend_from_slice(&good);
        for bent in [doubled, Vec::new()] {
            fs::write(&documents, bent).unwrap();
            let (code, said) = self.op.try_do(&["share", "import", &text(folder)]).unwrap_err();
            assert!(code == 5 && said.contains("documents"), "{code} {said}");
        }
        fs::write(&documents, good).unwrap();
        self.op.refuses_an_auditor(&[&["share", "import", &text(folder)]]);
    }
}

impl Node {
    /// Every one of these acts is a person's order, and needs a role that an auditor does not have.
    fn refuses_an_auditor(&self, acts: &[&[&str]]) {
        self.tell(&["person", "key", "aud", "--no-passphrase"]);
        self.tell(&["person", "add", "aud", "--role", "auditor"]);
        for act in acts {
            let (code, said) = self.try_do(&[&["--as", "aud"], *act].concat()).unwrap_err();
            assert_eq!(code, 3, "{act:?}: {said}");
        }
    }
}

impl Node {
    fn wait_for_state(&self, wanted: &str) {
        let started = Instant::now();
        while self.tell(&["subscription", "list"])[0]["state"] != wanted {
            assert!(started.elapsed() < PATIENCE, "the subscription is not {wanted}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn a_table_travels_full_and_as_a_delta_and_its_identifier_does_not() {
    let mut pair = Pair::new();
    let csv = pair.csv(0..1000, 140);
    pair.share(&["--csv", &text(&csv), "--key", "eid", "--patient", "eid"], &[]);
    pair.north.tell(&["share", "take", "los"]);
    pair.op.landed(1);
    assert_eq!(pair.op.tell(&["subscription", "count", "los"])["rows"], 1000);
    pair.csv(5..1003, 155);
    pair.north.tell(&["share", "take", "los"]);
    pair.op.landed(2);
    let list = pair.op.tell(&["subscription", "list"]);
    assert_eq!(list[0]["snapshots"][1]["base"], "delta");
    assert_eq!(pair.op.tell(&["subscription", "count", "los"])["rows"], 998);
    let out = pair.path("landed.csv");
    pair.op.tell(&["subscription", "checkout", "los", &text(&out)]);
    let landed = fs::read_to_string(out).unwrap();
    assert_eq!(landed.lines().count(), 999);
    assert!(landed.contains(",155") && !landed.lines().next().unwrap().contains("eid"));
    pair.north.tell(&["share", "take", "los"]);
    assert_eq!(pair.op.snapshots().len(), 2, "an unchanged table is not stated again");
    for node in [&pair.op, &pair.north] {
        node.tell(&["verify"]);
    }
    pair.north.tell(&["share", "revoke", "los"]);
    pair.op.wait_for_state("revoked");
    pair.op.end();
    pair.north.end();
    for node in [&pair.op, &pair.north] {
        node.tell(&["verify"]);
    }
}

#[test]
fn what_happened_to_one_thing_is_found_also_after_a_kill_and_without_the_index() {
    let mut pair = Pair::new();
    let csv = pair.csv(0..50, 140);
    pair.share(&["--csv", &text(&csv), "--key", "eid", "--patient", "eid"], &[]);
    pair.north.tell(&["share", "take", "los"]);
    pair.op.landed(1);
    let whats = |history: &Value| -> Vec<String> {
        history.as_array().unwrap().iter().map(|entry| entry["what"].as_str().unwrap().to_owned()).collect()
    };
    let los = whats(&pair.north.tell(&["history", "--about", "los"]));
    assert!(los.iter().any(|what| what == "order") && los.iter().any(|what| what == "manifest"), "{los:?}");
    assert!(!los.iter().any(|what| what == "charter" || what == "began"), "{los:?}");
    let list = pair.op.tell(&["subscription", "list"]);
    let snapshot = list[0]["snapshots"][0]["snapshot"].as_str().unwrap().to_owned();
    let seen = |op: &Node| {
        let shown = op.tell(&["show", &snapshot[..12]]);
        assert_eq!((shown["title"].as_str(), shown["digest"].as_str()), (Some("manifest"), Some(snapshot.as_str())));
        let about = whats(&op.tell(&["history", "--about", &snapshot]));
        assert!(about.starts_with(&["manifest".to_owned()]) && about.contains(&"receipt".to_owned()), "{about:?}");
        let both = whats(&op.tell(&["history", "--about", "los@north"]));
        assert!(both.contains(&"invitation".to_owned()) && both.contains(&"answer".to_owned()), "{both:?}");
        for words in [["show", "0123456789abcdef"].as_slice(), &["history", "--about", "0123456789abcdef"]] {
            assert_eq!(op.try_do(words).unwrap_err().0, 4, "{words:?}");
        }
    };
    seen(&pair.op);
    pair.op.kill();
    pair.op.start();
    seen(&pair.op);
    pair.op.end();
    let consortia = pair.op.home.join("consortia");
    let index = fs::read_dir(consortia).unwrap().next().unwrap().unwrap().path().join("index");
    assert!(index.join("closed").is_file(), "a node that stops closes its index");
    pair.op.start();
    seen(&pair.op);
    pair.op.end();
    fs::remove_dir_all(&index).unwrap();
    pair.op.start();
    seen(&pair.op);
}

#[test]
fn a_set_of_files_goes_on_after_a_kill_of_either_side() {
    let mut pair = Pair::new();
    let set = pair.path("set");
    fs::create_dir_all(set.join("deep")).unwrap();
    let big: Vec<u8> = (0..200_000_000_u64).map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
    fs::write(set.join("deep/big.bin"), &big).unwrap();
    fs::write(set.join("note.txt"), b"small").unwrap();
    pair.share(&["--files", &text(&set)], &["--unchecked"]);
    pair.north.tell(&["share", "take", "los"]);
    pair.op.wait_for("manifest", |states| !states.is_empty());
    std::thread::sleep(Duration::from_millis(300));
    pair.op.kill();
    pair.op.start();
    std::thread::sleep(Duration::from_millis(200));
    pair.north.kill();
    pair.north.start();
    pair.op.landed(1);
    let out = pair.path("out");
    pair.op.tell(&["subscription", "checkout", "los", &text(&out)]);
    assert!(fs::read(out.join("deep/big.bin")).unwrap() == big, "every byte of the large file");
    assert_eq!(fs::read(out.join("note.txt")).unwrap(), b"small");
    std::os::unix::fs::symlink("/etc/hostname", set.join("link")).unwrap();
    let (code, said) = pair.north.try_do(&["dataset", "profile", "los"]).unwrap_err();
    assert!(code == 3 && said.contains("link"), "{code} {said}");
}

#[test]
fn an_export_carried_by_hand_lands_and_a_bent_one_does_not() {
    let mut pair = Pair::new();
    let csv = pair.csv(0..500, 140);
    pair.share(&["--csv", &text(&csv), "--key", "eid", "--patient", "eid"], &[]);
    pair.op.end();
    pair.north.tell(&["share", "take", "los"]);
    pair.north.wait_for("stated", |states| states == ["stated"]);
    let folder = pair.path("by-hand");
    pair.north.refuses_an_auditor(&[&["share", "export", "los", &text(&folder)], &["dataset", "profile", "los"]]);
    assert!(!folder.exists());
    let exported = pair.north.tell(&["share", "export", "los", &text(&folder)]);
    assert_eq!(exported["snapshots"], 1);
    assert!(pair.north.try_do(&["share", "export", "los", &text(&folder)]).is_err(), "a folder is written once");
    pair.north.end();
    pair.op.start();
    pair.only_whole_papers_are_taken(&folder);
    let blob = fs::read_dir(folder.join("blobs")).unwrap().map(|entry| entry.unwrap().path());
    let blob = blob.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let good = fs::read(&blob).unwrap();
    let mut bent = good.clone();
    bent[100] ^= 1;
    fs::write(&blob, bent).unwrap();
    let (code, said) = pair.op.try_do(&["share", "import", &text(&folder)]).unwrap_err();
    let name = blob.file_name().unwrap().to_str().unwrap();
    assert!(code == 5 && said.contains(name), "{code} {said}");
    fs::write(&blob, good).unwrap();
    pair.op.tell_when_ready(&["share", "import", &text(&folder)]);
    pair.op.landed(1);
    assert_eq!(pair.op.tell(&["subscription", "count", "los"])["rows"], 500);
    // Both meet again and agree on what each has.
    pair.north.start();
    pair.north.landed(1);
}
