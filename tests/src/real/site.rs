//! One node under test: its command line, its control socket, and what it shows of its state.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "only tests call this; what goes wrong fails them"
)]

use std::io::{BufRead, BufReader, Write};
use std::ops::{Deref, DerefMut};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use cohortium_testnet::cluster::Node;
use serde_json::{Value, json};

use super::until;

/// A node, its daemon, and short ways to ask it.
#[derive(Debug)]
pub struct Site(Node);

impl Deref for Site {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.0
    }
}

impl DerefMut for Site {
    fn deref_mut(&mut self) -> &mut Node {
        &mut self.0
    }
}

impl Site {
    /// A node in `dir/NAME`, run by `program`. Nothing is made yet.
    pub fn new(name: &str, dir: &Path, program: &str) -> Self {
        Self(Node::with_program(name, dir, Path::new(program)))
    }

    /// Has a command carried out and gives its JSON.
    ///
    /// # Panics
    /// When it is refused.
    pub fn tell(&self, args: &[&str]) -> Value {
        let said = self.say(args).unwrap();
        assert_eq!(said.code, 0, "{}: {args:?}: {}\n{}", self.name, said.error, self.log());
        said.json
    }

    /// A command that must end with `code`; gives what it said. The JSON on standard output says the same.
    ///
    /// # Panics
    /// When it ends otherwise.
    pub fn refused(&self, args: &[&str], code: i32) -> String {
        let said = self.say(args).unwrap();
        assert_eq!(said.code, code, "{}: {args:?}: {} {}", self.name, said.json, said.error);
        assert_eq!(said.json["error"]["code"], code, "{args:?}: the JSON names the code: {}", said.json);
        let message = said.json["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert!(!message.is_empty(), "{args:?}: an error has a sentence");
        message
    }

    /// Repeats a command until it is allowed: documents need a moment to arrive.
    ///
    /// # Panics
    /// When it never is.
    pub fn tell_soon(&self, args: &[&str]) -> Value {
        let mut last = String::new();
        until(&format!("{}: {args:?} to be allowed", self.name), || {
            let said = self.say(args).unwrap();
            if said.code != 0 && said.error != last {
                last.clone_from(&said.error);
                eprintln!("{}: {args:?}: {last}", self.name);
            }
            (said.code == 0).then_some(said.json)
        })
    }

    /// Starts the daemon.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn up(&mut self) {
        if let Err(fault) = self.start() {
            panic!("{fault}\n{}", self.log());
        }
    }

    /// Ends the daemon gracefully.
    ///
    /// # Panics
    /// When it does not end.
    pub fn down(&mut self) {
        if let Err(fault) = self.stop() {
            panic!("{fault}\n{}", self.log());
        }
    }

    /// Kill -9, then a start.
    pub fn crash(&mut self) {
        self.kill();
        self.up();
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.home.join("control.sock")
    }

    /// The last line that the daemon answers to a raw request; `None` when it does not answer.
    pub fn ask(&self, request: &Value) -> Option<Value> {
        let mut stream = UnixStream::connect(self.socket()).ok()?;
        let call = json!({"version": 1, "request": request});
        stream.write_all(format!("{call}\n").as_bytes()).ok()?;
        BufReader::new(stream)
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| serde_json::from_str::<Value>(&line).ok())
            .find(|reply| reply.get("progress").is_none())
    }

    /// What the node knows of its only consortium.
    ///
    /// # Panics
    /// When the daemon does not answer.
    pub fn view(&self) -> Value {
        let reply = self.ask(&json!("view")).unwrap_or_else(|| panic!("{} does not answer\n{}", self.name, self.log()));
        reply["view"][0].clone()
    }

    /// The subscription to a share of this name; `null` when there is none.
    pub fn subscription(&self, share: &str) -> Value {
        let view = self.view();
        let all = view["subscriptions"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|each| each["invitation"]["share"]["name"] == share).unwrap_or(Value::Null)
    }

    /// The states of a subscription's snapshots, in order.
    pub fn snapshots(&self, share: &str) -> Vec<String> {
        let found = self.subscription(share);
        let all = found["snapshots"].as_array().cloned().unwrap_or_default();
        all.iter().map(|each| each["state"].as_str().unwrap_or("?").to_owned()).collect()
    }

    /// Waits until a subscription is in this state.
    pub fn until_state(&self, share: &str, state: &str) {
        until(&format!("{share} to be {state} at {}", self.name), || {
            (self.subscription(share)["state"] == state).then_some(())
        });
    }

    /// Waits until exactly `count` snapshots have landed and none is on its way.
    pub fn until_landed(&self, share: &str, count: usize) {
        until(&format!("{count} snapshots of {share} to land at {}", self.name), || {
            let states = self.snapshots(share);
            assert!(states.iter().all(|state| state != "refused"), "a snapshot was refused: {}", self.log());
            (states.len() == count && states.iter().all(|state| state == "landed")).then_some(())
        });
    }

    /// Bytes that this provider has written down as served under a subscription.
    pub fn bytes_served(&self, share: &str) -> u64 {
        self.subscription(share)["bytes_served"].as_u64().unwrap_or(0)
    }

    /// Every entry of the journal, oldest first, as the control socket tells it.
    pub fn history(&self) -> Vec<Value> {
        let consortium = self.view()["consortium"].clone();
        let (mut all, mut from) = (Vec::new(), 0_u64);
        loop {
            let request = json!({"history": {"consortium": consortium, "from": from, "limit": 1000}});
            let reply = self.ask(&request).unwrap();
            let entries = reply["history"].as_array().cloned().unwrap_or_default();
            if entries.is_empty() {
                return all;
            }
            from += entries.len() as u64;
            all.extend(entries.into_iter().map(|entry| entry[1].clone()));
        }
    }

    /// The acts of one kind, as the journal writes them.
    pub fn acts(&self, kind: &str) -> Vec<Value> {
        self.history().iter().filter_map(|entry| entry["act"].get(kind).cloned()).collect()
    }

    /// Waits until the journal has more than `before` acts of a kind; gives the last.
    pub fn until_act(&self, kind: &str, before: usize) -> Value {
        until(&format!("act {kind} at {}", self.name), || {
            let acts = self.acts(kind);
            if acts.len() > before { acts.last().cloned() } else { None }
        })
    }

    /// Both verifications: of everything stored, and of the audit log by itself.
    pub fn verifies(&self) {
        self.tell(&["verify"]);
        self.tell(&["log", "verify"]);
    }

    /// The folder of the node's only consortium.
    ///
    /// # Panics
    /// When there is none.
    pub fn consortium_dir(&self) -> PathBuf {
        let entries = std::fs::read_dir(self.home.join("consortia")).unwrap();
        let mut folders = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
        folders.next().unwrap()
    }

    /// Files below a folder of the node's home, with their lengths, in order.
    pub fn files_below(&self, folder: &str) -> Vec<PathBuf> {
        super::source::files_below(&self.home.join(folder))
    }
}
