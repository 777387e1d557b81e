//! Real node processes on loopback: this program run again as `node`, driven by its own command line.

use std::fmt;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything between two nodes may take before the demo calls it stuck.
pub const PATIENCE: Duration = Duration::from_mins(2);
/// Between two looks at a node.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Why a step of the demo failed.
#[derive(Debug)]
pub enum ClusterFault {
    /// A process cannot be started, or a folder not made.
    Io {
        /// While doing what.
        act: String,
        /// Why.
        source: io::Error,
    },
    /// A command was refused or failed.
    Command {
        /// At which node.
        node: String,
        /// Which.
        command: String,
        /// What it said.
        message: String,
    },
    /// A daemon ended by itself.
    Ended {
        /// Of which node.
        node: String,
        /// Its exit code; -1 for a signal.
        code: i32,
    },
    /// Nothing came of it in time.
    Stuck {
        /// What was waited for.
        what: String,
    },
}

impl fmt::Display for ClusterFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { act, source } => write!(f, "{source} while {act}"),
            Self::Command { node, command, message } => write!(f, "{node}: `{command}`: {message}"),
            Self::Ended { node, code } => write!(f, "the daemon of {node} ended with {code}; see its log"),
            Self::Stuck { what } => write!(f, "waited {} s in vain for {what}", PATIENCE.as_secs()),
        }
    }
}

impl std::error::Error for ClusterFault {}

/// How a command ended, whatever it said.
#[derive(Debug, Clone)]
pub struct Said {
    /// The exit code; -1 for a signal.
    pub code: i32,
    /// What it wrote to standard output, as JSON; `null` when that is none.
    pub json: Value,
    /// What it wrote to standard error.
    pub error: String,
}

/// One node: its folder, and its daemon while it runs.
#[derive(Debug)]
pub struct Node {
    /// Its name in the consortium.
    pub name: String,
    /// Its folder.
    pub home: PathBuf,
    program: PathBuf,
    daemon: Option<Child>,
}

impl Node {
    /// A node whose folder will be `dir/NAME`. Nothing is made yet.
    ///
    /// # Errors
    /// [`ClusterFault::Io`] when this program cannot be found.
    pub fn new(name: &str, dir: &Path) -> Result<Self, ClusterFault> {
        let program = std::env::current_exe()
            .map_err(|source| ClusterFault::Io { act: "looking for this program".to_owned(), source })?;
        Ok(Self::with_program(name, dir, &program))
    }

    /// The same for another program than this one, that takes `node` and `worker` as its first argument as well.
    pub fn with_program(name: &str, dir: &Path, program: &Path) -> Self {
        Self { name: name.to_owned(), home: dir.join(name), program: program.to_owned(), daemon: None }
    }

    /// Runs a command at this node and gives its JSON.
    ///
    /// # Errors
    /// [`ClusterFault::Command`] with what it said, unless it ended with code 0.
    pub fn call(&self, args: &[&str]) -> Result<Value, ClusterFault> {
        let said = self.say(args)?;
        if said.code == 0 {
            return Ok(said.json);
        }
        Err(ClusterFault::Command { node: self.name.clone(), command: args.join(" "), message: said.error })
    }

    /// Runs a command at this node and gives how it ended, whatever it said.
    ///
    /// # Errors
    /// [`ClusterFault::Io`].
    pub fn say(&self, args: &[&str]) -> Result<Said, ClusterFault> {
        let output = self
            .command()
            .arg("--json")
            .args(args)
            .output()
            .map_err(|source| ClusterFault::Io { act: format!("running {}", args.join(" ")), source })?;
        let error = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let json = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        Ok(Said { code: output.status.code().unwrap_or(-1), json, error })
    }

    /// The exit code of a command, whatever it says.
    ///
    /// # Errors
    /// [`ClusterFault::Io`].
    pub fn exit_code(&self, args: &[&str]) -> Result<i32, ClusterFault> {
        let output = self
            .command()
            .args(args)
            .output()
            .map_err(|source| ClusterFault::Io { act: format!("running {}", args.join(" ")), source })?;
        Ok(output.status.code().unwrap_or(-1))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("node").arg("--home").arg(&self.home).stdin(Stdio::null());
        command
    }

    /// Starts the daemon and waits until it answers.
    ///
    /// # Errors
    /// [`ClusterFault`].
    pub fn start(&mut self) -> Result<(), ClusterFault> {
        let mut command = self.command();
        command.arg("run");
        self.start_as(command)
    }

    /// Starts the daemon below another program, such as a shell that sets a limit first: `wrapper`'s last words are the
    /// daemon's command line.
    ///
    /// # Errors
    /// [`ClusterFault`].
    ///
    /// # Panics
    /// When `wrapper` names no program.
    pub fn start_under(&mut self, wrapper: &[&str]) -> Result<(), ClusterFault> {
        let (first, rest) = wrapper.split_first().expect("a wrapper has a program");
        let inner = self.command();
        let mut command = Command::new(first);
        command.args(rest).arg(inner.get_program()).args(inner.get_args()).arg("run").stdin(Stdio::null());
        self.start_as(command)
    }

    fn start_as(&mut self, mut command: Command) -> Result<(), ClusterFault> {
        let log = self.home.with_extension("log");
        let open = |path: &Path| File::options().create(true).append(true).open(path);
        let file =
            open(&log).map_err(|source| ClusterFault::Io { act: format!("opening {}", log.display()), source })?;
        let child = command
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(|source| ClusterFault::Io { act: format!("starting {}", self.name), source })?;
        self.daemon = Some(child);
        let name = self.name.clone();
        wait(&format!("the daemon of {name}"), || {
            let ended = self.daemon.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if let Some(status) = ended {
                self.daemon = None;
                return Err(ClusterFault::Ended { node: name.clone(), code: status.code().unwrap_or(-1) });
            }
            self.exit_code(&["status"]).map(|code| code == 0)
        })
    }

    /// Ends the daemon gracefully, by its control socket.
    ///
    /// # Errors
    /// [`ClusterFault`].
    pub fn stop(&mut self) -> Result<(), ClusterFault> {
        let Some(mut child) = self.daemon.take() else { return Ok(()) };
        let told = self.call(&["shutdown"]);
        let deadline = Instant::now() + Duration::from_secs(15);
        while Instant::now() < deadline {
            if child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return told.map(drop);
            }
            sleep(LOOK_EVERY);
        }
        self.daemon = Some(child);
        self.kill();
        Err(ClusterFault::Stuck { what: format!("{} to stop", self.name) })
    }

    /// Ends the daemon as a crash would: kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.daemon.take() {
            // A child that has ended already cannot be killed; either way it is waited for.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// What the daemon has written about itself since the first start.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.home.with_extension("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The daemon's process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Child::id)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Looks again and again until `done`.
///
/// # Errors
/// [`ClusterFault::Stuck`] after [`PATIENCE`], or what a look failed with.
pub fn wait(what: &str, mut done: impl FnMut() -> Result<bool, ClusterFault>) -> Result<(), ClusterFault> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if done()? {
            return Ok(());
        }
        sleep(LOOK_EVERY);
    }
    Err(ClusterFault::Stuck { what: what.to_owned() })
}

/// A port of loopback that nobody listens on now.
///
/// # Errors
/// [`ClusterFault::Io`].
pub fn free_port() -> Result<u16, ClusterFault> {
    let bound = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
    bound
        .map(|address| address.port())
        .map_err(|source| ClusterFault::Io { act: "looking for a port".to_owned(), source })
}
