//! The command line's side of the control socket: one request, its progress, its answer; and orders signed by a person.

use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cohortium_protocol::ident::{Name, Nonce};
use cohortium_protocol::key::pair::KeyPair;
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::record::extension::Extensions;
use cohortium_protocol::record::order::{Command, Order};
use cohortium_protocol::time::UnixMillis;
use cohortium_store::seal;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::exit::CliFault;
use crate::cli::find;
use crate::config::resolve::Config;
use crate::control::{CONTROL_VERSION, Call, Reply, Request, View};
use crate::home::{Home, MembershipFile};
use crate::person;

/// The longest answer line.
const REPLY_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What every command knows.
#[derive(Debug, Clone)]
pub(crate) struct Cx {
    /// The node's folder.
    pub(crate) home: Home,
    /// For scripts.
    pub(crate) json: bool,
    /// Which consortium, where the node is in several.
    pub(crate) consortium: Option<String>,
    /// Whose key signs: a name, or a path to a key file as `NAME=PATH`.
    pub(crate) person: Option<String>,
    /// The file with the passphrase of that key.
    pub(crate) person_passphrase: Option<PathBuf>,
}

impl Cx {
    /// The node's configuration; the folder is checked first.
    pub(crate) fn config(&self) -> Result<Config, CliFault> {
        Home::open(self.home.path())?;
        Ok(Config::load(&self.home)?)
    }

    /// Asks the running daemon.
    pub(crate) fn call(&self, request: Request) -> Result<Reply, CliFault> {
        Home::open(self.home.path())?;
        let bar = if self.json || !io::stderr().is_terminal() { None } else { Some(hidden_bar()) };
        let reply = exchange(&self.home.control_socket(), request, bar.as_ref());
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        match reply? {
            Reply::Error { kind, message } => Err(CliFault::new(kind, message)),
            reply => Ok(reply),
        }
    }

    /// Whether a daemon answers at the socket.
    pub(crate) fn daemon_runs(&self) -> bool {
        matches!(exchange(&self.home.control_socket(), Request::Ping, None), Ok(Reply::Pong { .. }))
    }

    /// Refuses while a daemon runs: it holds the journal and the keystore.
    pub(crate) fn daemon_must_rest(&self) -> Result<(), CliFault> {
        if self.daemon_runs() {
            return Err(CliFault::refused("the daemon runs and holds the journal; stop it first: cohortium shutdown"));
        }
        Ok(())
    }

    /// All consortia of the node.
    pub(crate) fn views(&self) -> Result<Vec<View>, CliFault> {
        match self.call(Request::View)? {
            Reply::View(views) => Ok(views),
            _ => Err(CliFault::other_reply()),
        }
    }

    /// The consortium that the command is about.
    pub(crate) fn view(&self) -> Result<View, CliFault> {
        let chosen = self.membership()?.consortium;
        let found = self.views()?.into_iter().find(|view| view.consortium == chosen);
        found.ok_or_else(|| {
            CliFault::not_found(format!("the daemon is not in consortium {chosen} yet; stop it and run it again"))
        })
    }

    /// Which party this node is in the consortium that the command is about.
    pub(crate) fn membership(&self) -> Result<MembershipFile, CliFault> {
        let memberships = Home::open(self.home.path())?.memberships()?;
        find::membership(&memberships, self.consortium.as_deref()).cloned()
    }

    /// Signs a command as the person who gives it.
    pub(crate) fn signed(&self, view: &View, command: Command) -> Result<Box<Signed<Order>>, CliFault> {
        let (name, pair) = self.person()?;
        Ok(Box::new(sign(view, name, &pair, command)))
    }

    /// Has an order carried out.
    pub(crate) fn give(&self, view: &View, command: Command) -> Result<(), CliFault> {
        let order = self.signed(view, command)?;
        match self.call(Request::Order(order))? {
            Reply::Done => Ok(()),
            _ => Err(CliFault::other_reply()),
        }
    }

    /// The acting person and their key.
    pub(crate) fn person(&self) -> Result<(Name, KeyPair), CliFault> {
        let (name, path) = self.person_file()?;
        let pair = person::open(&path, self.person_passphrase.as_deref())?;
        Ok((name, pair))
    }

    fn person_file(&self) -> Result<(Name, PathBuf), CliFault> {
        let written =
            match &self.person {
                Some(text) => text.clone(),
                None => self.config()?.person.map(String::from).ok_or_else(|| {
                    CliFault::usage("whose order is this: give --as NAME, or set `person` in node.toml")
                })?,
            };
        let (name, path) = written.split_once('=').map_or((written.as_str(), None), |(name, path)| (name, Some(path)));
        let name: Name = name.parse().map_err(|fault| CliFault::usage(format!("--as: the person's name {fault}")))?;
        let path = path.map_or_else(|| person::key_path(&self.home, &name), PathBuf::from);
        Ok((name, path))
    }
}

/// The order of a person for one node and consortium.
pub(crate) fn sign(view: &View, person: Name, pair: &KeyPair, command: Command) -> Signed<Order> {
    let order = Order {
        consortium: view.consortium,
        party: view.party.clone(),
        person,
        nonce: Nonce(seal::random()),
        at: now(),
        command,
        ext: Extensions::default(),
    };
    Signed::sign(&order, pair)
}

/// The wall clock.
pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn exchange(socket: &Path, request: Request, bar: Option<&ProgressBar>) -> Result<Reply, CliFault> {
    let stream = UnixStream::connect(socket).map_err(|fault| match fault.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            CliFault::unreachable("the daemon does not run; start it: cohortium run")
        }
        io::ErrorKind::InvalidInput => {
            CliFault::local(format!("the path {} is too long for a socket", socket.display()))
        }
        _ => CliFault::unreachable(format!("{fault} while connecting to {}", socket.display())),
    })?;
    let lost = |fault: io::Error| CliFault::unreachable(format!("{fault} while talking to the daemon"));
    let call = Call { version: CONTROL_VERSION, request };
    let mut line = serde_json::to_vec(&call).map_err(|_| CliFault::usage("the request has no JSON form"))?;
    line.push(b'\n');
    (&stream).write_all(&line).map_err(lost)?;
    let mut lines = BufReader::new((&stream).take(REPLY_BYTES_MAX));
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).map_err(lost)? == 0 {
            return Err(CliFault::unreachable("the daemon closed the socket without an answer; see its log"));
        }
        match serde_json::from_str(&line).map_err(|_| CliFault::other_reply())? {
            Reply::Progress { done, total, unit } => show_progress(bar, done, total, unit),
            reply => return Ok(reply),
        }
    }
}

fn hidden_bar() -> ProgressBar {
    ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())
}

/// Moves the bar; it appears with the first progress, so that short work shows none.
fn show_progress(bar: Option<&ProgressBar>, done: u64, total: Option<u64>, unit: String) {
    let Some(bar) = bar else { return };
    if bar.is_hidden() {
        let template = match (unit.as_str(), total) {
            ("bytes", Some(_)) => "{bar:30} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left",
            ("bytes", None) => "{spinner} {binary_bytes}, {binary_bytes_per_sec}",
            (_, Some(_)) => "{bar:30} {pos} of {len} {msg}, {eta} left",
            (_, None) => "{spinner} {pos} {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(unit);
        bar.set_draw_target(ProgressDrawTarget::stderr());
    }
    if let Some(total) = total {
        bar.set_length(total);
    }
    bar.set_position(done);
}
