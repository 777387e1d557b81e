//! Real servers for tests: each is started once, in a folder of its own, and gone with the process that started it.
//!
//! A shell stands between: it starts the server, waits until its standard input ends, which it does however this
//! process ends, stops that one server and takes the folder away.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// Says a line that the test harness does not swallow.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Says that a server is not installed. Where `COHORTIUM_NEED_DATABASES` is set, that is a failure.
pub(crate) fn skip(what: &str) {
    assert!(std::env::var_os("COHORTIUM_NEED_DATABASES").is_none(), "{what} is not installed and must be");
    say(&format!("skipped: {what} is not installed; README.md says how"));
}

/// What a server needs.
pub(crate) struct Room {
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    /// The certificate that signed the server's.
    pub(crate) root_pem: String,
    /// Another certificate, which signed nothing.
    pub(crate) other_pem: String,
    /// The server's user, where tests run as root and the server may not.
    pub(crate) user: Option<String>,
}

impl Room {
    /// A new folder with a certificate for `localhost`, owned by the user if tests run as root.
    pub(crate) fn new(name: &str, user: &str) -> Self {
        let folder = tempfile::Builder::new().prefix(&format!("cohortium-{name}-")).tempdir().unwrap().keep();
        let user = rustix::process::getuid().is_root().then(|| user.to_owned());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let authority = || {
            let mut terms = CertificateParams::new([]).unwrap();
            terms.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            CertifiedIssuer::self_signed(terms, KeyPair::generate().unwrap()).unwrap()
        };
        let (signer, stranger) = (authority(), authority());
        let key = KeyPair::generate().unwrap();
        let terms = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = terms.signed_by(&key, &signer).unwrap();
        fs::write(folder.join("server.crt"), certificate.pem()).unwrap();
        fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
        let (root_pem, other_pem) = (signer.pem(), stranger.pem());
        let room = Self { folder, port, root_pem, other_pem, user };
        must(Command::new("chmod").arg("600").arg(room.folder.join("server.key")));
        room.own();
        room
    }

    fn own(&self) {
        if let Some(user) = &self.user {
            must(Command::new("chown").arg("-R").arg(user).arg(&self.folder));
        }
    }

    /// A command that runs as the server's user.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let Some(user) = &self.user else { return Command::new(program) };
        let mut command = Command::new("setpriv");
        command.arg(format!("--reuid={user}")).arg(format!("--regid={user}")).arg("--clear-groups").arg(program);
        command
    }

    /// Starts the server. It ends when this process does.
    pub(crate) fn start(&self, server: &Command, signal: &str) -> Child {
        let script = r#"folder=$1; signal=$2; shift 2
            "$@" >"$folder/log" 2>&1 &
            server=$!
            cat >/dev/null
            kill -s "$signal" $server
            wait $server
            rm -rf "$folder""#;
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "room"]).arg(&self.folder).arg(signal).arg(server.get_program());
        shell.args(server.get_args()).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        shell.process_group(0).spawn().unwrap()
    }

    /// Waits until the server answers.
    pub(crate) fn await_answer(&self, mut answers: impl FnMut() -> bool) {
        let until = Instant::now() + Duration::from_mins(2);
        while !answers() {
            let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < until, "the server does not answer:\n{}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Runs a command that must succeed.
pub(crate) fn must(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&stderr));
    text
}

/// A program in one of these folders.
pub(crate) fn find(folders: &[PathBuf], program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let known = std::env::split_paths(&path).collect::<Vec<_>>();
    folders.iter().chain(&known).map(|folder| folder.join(program)).find(|program| program.exists())
}

/// The newest of the folders in which Debian keeps PostgreSQL's programs.
pub(crate) fn versions(root: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let number = |name: &OsStr| name.to_str().and_then(|name| name.parse::<u32>().ok());
    let mut found: Vec<(u32, PathBuf)> =
        entries.filter_map(|entry| Some((number(&entry.file_name())?, entry.path().join("bin")))).collect();
    found.sort_unstable_by(|one, other| other.cmp(one));
    found.into_iter().map(|(_, folder)| folder).collect()
}
