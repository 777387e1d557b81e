//! An operator and a member as real node processes, with shares between them, and the provider's journal as the clock.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use cohortium_testnet::cluster::{Node, free_port};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take before a bench calls it stuck.
const PATIENCE: Duration = Duration::from_mins(5);

/// A new folder on the disk where temporary files go.
pub(crate) fn folder() -> TempDir {
    tempfile::Builder::new().prefix("bench-").tempdir().unwrap()
}

/// Looks again and again until `done`.
pub(crate) fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        sleep(Duration::from_millis(100));
    }
}

/// A consortium of an operator and members.
pub(crate) struct Network {
    pub(crate) operator: Node,
    pub(crate) members: Vec<Node>,
    // Dropped after the nodes, which end first.
    dir: TempDir,
}

impl Network {
    /// An operator that runs, alone in its consortium.
    pub(crate) fn begin() -> Self {
        let dir = folder();
        let mut operator = Node::new("operator", dir.path()).unwrap();
        let address = format!("127.0.0.1:{}", free_port().unwrap());
        init(&operator, &["--listen-udp", &address, "--listen-tcp", &address]);
        let create = ["consortium", "create", "--title", "Bench", "--kind", "rehearsal", "--name", "operator"];
        operator.call(&[&create[..], &["--address", &address, "--threshold", "1"]].concat()).unwrap();
        operator.start().unwrap();
        Self { operator, members: Vec::new(), dir }
    }

    /// An operator and one member that is admitted and connected.
    pub(crate) fn of_two() -> Self {
        let mut network = Self::begin();
        network.join("member");
        network.admit();
        network
    }

    pub(crate) fn member(&self) -> &Node {
        &self.members[0]
    }

    /// A new member that has asked to join, and runs.
    pub(crate) fn join(&mut self, name: &str) {
        let token = self.dir.path().join(format!("{name}.token"));
        let token = token.to_str().unwrap();
        self.operator.call(&["consortium", "invite", "--name", name, "--title", name, "-o", token]).unwrap();
        let mut node = Node::new(name, self.dir.path()).unwrap();
        init(&node, &[]);
        // The operator answers few at a time; whoever is turned away asks again.
        wait("the operator's answer", || node.exit_code(&["consortium", "join", token]).unwrap() == 0);
        node.start().unwrap();
        self.members.push(node);
    }

    /// All who asked are admitted in one charter version, which the first member signs.
    pub(crate) fn admit(&self) {
        self.operator.call(&["charter", "propose", "--admit-all"]).unwrap();
        let first = self.member();
        wait("the charter", || first.exit_code(&["charter", "sign", "2"]).unwrap() == 0);
        wait("the charter in force", || first.call(&["charter", "show"]).unwrap()["charter"]["version"] == 2);
        let needed = self.members.len() as u64;
        wait("every member to be connected", || {
            self.operator.call(&["status"]).unwrap()["consortia"][0]["parties_connected"].as_u64() == Some(needed)
        });
    }

    /// A share of the member over a dataset that `dataset` adds, defined with `terms`, accepted by the operator.
    pub(crate) fn share(&self, name: &str, dataset: &[&str], terms: &[&str]) {
        let member = self.member();
        member.call(&[&["dataset", "add", name], dataset].concat()).unwrap();
        let fixed =
            ["share", "define", name, "--dataset", name, "--to", "operator", "--purpose", "bench", "--days", "9"];
        member.call(&[&fixed[..], terms].concat()).unwrap();
        let unchecked: &[&str] = if dataset.contains(&"--files") { &["--unchecked"] } else { &[] };
        member.call(&[&["share", "approve", name], unchecked].concat()).unwrap();
        member.call(&["share", "invite", name, "--to", "operator"]).unwrap();
        let there = format!("{name}@member");
        wait("the invitation", || self.operator.exit_code(&["subscription", "accept", &there]).unwrap() == 0);
        wait("the acceptance", || {
            let all = member.call(&["subscription", "list"]).unwrap();
            let active = |one: &Value| one["state"] == "active" && one["invitation"]["share"]["name"] == name;
            all.as_array().into_iter().flatten().any(active)
        });
    }

    /// Takes a snapshot, as soon as the share is free.
    pub(crate) fn take(&self, name: &str) {
        wait("the share to be free", || self.member().exit_code(&["share", "take", name]).unwrap() == 0);
    }

    /// The provider's side of the one subscription to `name`.
    pub(crate) fn subscription(&self, name: &str) -> Value {
        let all = self.member().call(&["subscription", "list"]).unwrap();
        let found = all.as_array().into_iter().flatten().find(|one| one["invitation"]["share"]["name"] == name);
        found.cloned().unwrap()
    }

    /// Bytes that the provider's journal says were served of `name`.
    pub(crate) fn served(&self, name: &str) -> u64 {
        self.subscription(name)["bytes_served"].as_u64().unwrap()
    }

    pub(crate) fn end(mut self) {
        for node in self.members.iter_mut().chain([&mut self.operator]) {
            node.stop().unwrap();
        }
    }
}

fn init(node: &Node, more: &[&str]) {
    let key = node.home.with_extension("key");
    let fixed =
        ["init", "--key-file", key.to_str().unwrap(), "--admin", "ada", "--roles", "data-steward,privacy-officer"];
    node.call(&[&fixed[..], &["--no-person-passphrase"], more].concat()).unwrap();
}

/// A journal as it grows, by one process that asks twice a second.
pub(crate) struct Journal {
    child: Child,
    lines: BufReader<ChildStdout>,
}

/// One entry of a journal.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) what: String,
    pub(crate) outcome: String,
    pub(crate) bytes: u64,
    /// The time of day, in milliseconds.
    at: u64,
}

impl Entry {
    /// Seconds from an earlier entry, at most a day before.
    pub(crate) fn since(&self, earlier: &Self) -> f64 {
        const DAY: u64 = 86_400_000;
        ((self.at + DAY - earlier.at) % DAY) as f64 / 1000.0
    }
}

impl Journal {
    /// Follows a node's journal from its present end on.
    pub(crate) fn follow(node: &Node) -> Self {
        let status = node.call(&["status"]).unwrap();
        let entries = status["consortia"][0]["journal_entries"].as_u64().unwrap().to_string();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("node").arg("--home").arg(&node.home);
        command.args(["--json", "history", "--follow", "--from", &entries]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next entry of this kind; what comes before it is passed over. A snapshot that failed or was refused is the end.
    pub(crate) fn next(&mut self, what: &str) -> Entry {
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "the journal ended before {what}");
            let entry: Value = serde_json::from_str(&line).unwrap();
            let entry = Entry {
                what: entry["what"].as_str().unwrap_or_default().to_owned(),
                outcome: entry["outcome"].as_str().unwrap_or_default().to_owned(),
                bytes: entry["bytes"].as_u64().unwrap_or(0),
                at: milliseconds(entry["at"].as_str().unwrap()),
            };
            let failed = entry.what == "snapshot-failed" || (entry.what == "receipt" && entry.outcome != "landed");
            assert!(!failed, "{}: {}", entry.what, entry.outcome);
            if entry.what == what {
                return entry;
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // It ends only when told to; either way it is waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The time of day of `2026-01-31T12:34:56.789Z`.
fn milliseconds(text: &str) -> u64 {
    let part = |from: usize, to: usize| text[from..to].parse::<u64>().unwrap();
    ((part(11, 13) * 60 + part(14, 16)) * 60 + part(17, 19)) * 1000 + part(20, 23)
}

/// A path as text.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// `dir/name`, made.
pub(crate) fn subfolder(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::create_dir_all(&path).unwrap();
    path
}
