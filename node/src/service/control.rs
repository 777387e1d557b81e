//! The local socket: one JSON object a line, from processes of the same user alone.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::net::sockopt::socket_peercred;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::control::{CONTROL_VERSION, Call, ErrorKind, Reply, Request};
use crate::home::{self, HomeFault};
use crate::service::answer::Out;
pub(crate) use crate::service::office::Office;

/// Bytes of one line.
const LINE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Connections at the same time.
const CALLERS_MAX: usize = 32;

/// Why there is no control socket.
#[derive(Debug)]
pub enum ControlFault {
    /// Its folder can be opened by others.
    Home(HomeFault),
    /// The system refused it.
    Bind {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for ControlFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Home(fault) => fault.fmt(f),
            Self::Bind { path, source } => write!(f, "{source} while making the control socket {}", path.display()),
        }
    }
}

impl std::error::Error for ControlFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Home(fault) => Some(fault),
            Self::Bind { source, .. } => Some(source),
        }
    }
}

/// The control socket of a running daemon. Removed when it stops.
#[derive(Debug)]
pub(crate) struct Control {
    listener: Arc<UnixListener>,
    path: PathBuf,
    serving: Mutex<Option<JoinHandle<()>>>,
}

impl Control {
    /// Makes the socket at `path`, in a folder that nobody else can open. A socket that a daemon left there is replaced:
    /// the caller holds the node's store, so no other daemon of this node runs.
    pub(crate) fn bind(path: &Path) -> Result<Self, ControlFault> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        home::check_private(folder).map_err(ControlFault::Home)?;
        let fault = |source| ControlFault::Bind { path: path.to_owned(), source };
        match fs::remove_file(path) {
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(fault)?,
        }
        let listener = UnixListener::bind(path).map_err(fault)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(fault)?;
        Ok(Self { listener: Arc::new(listener), path: path.to_owned(), serving: Mutex::default() })
    }

    /// Answers callers from now on.
    pub(crate) fn serve(&self, office: Arc<Office>) {
        let serving = tokio::spawn(accept(Arc::clone(&self.listener), office));
        *self.serving.lock().unwrap_or_else(PoisonError::into_inner) = Some(serving);
    }

    /// Takes no more callers and removes the socket.
    pub(crate) fn stop(&self) {
        if let Some(serving) = self.serving.lock().unwrap_or_else(PoisonError::into_inner).take() {
            serving.abort();
        }
        if let Err(fault) = fs::remove_file(&self.path) {
            tracing::debug!(event = "socket-stays", %fault);
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn accept(listener: Arc<UnixListener>, office: Arc<Office>) {
    let callers = Arc::new(Semaphore::new(CALLERS_MAX));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of files, most often: others must end first.
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&callers).acquire_owned().await else { return };
        if !is_ours(&stream) {
            tracing::warn!(event = "caller-refused");
            continue;
        }
        let office = Arc::clone(&office);
        tokio::spawn(async move {
            converse(stream, &office).await;
            drop(place);
        });
    }
}

/// Whether the process at the other end runs as this user.
fn is_ours(stream: &UnixStream) -> bool {
    socket_peercred(stream).is_ok_and(|peer| is_owner(peer.uid.as_raw(), rustix::process::geteuid().as_raw()))
}

/// Not even the machine's administrator: whoever gives orders does it as the node's user.
const fn is_owner(peer: u32, us: u32) -> bool {
    peer == us
}

async fn converse(stream: UnixStream, office: &Office) {
    let (read, write) = stream.into_split();
    let (mut reader, mut out) = (BufReader::new(read), Out::new(write));
    loop {
        let mut line = Vec::new();
        let read = (&mut reader).take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line).await;
        if !read.is_ok_and(|bytes| bytes > 0) {
            return;
        }
        let request = match understand(&line) {
            Ok(request) => request,
            Err(reply) => {
                out.say(&reply).await;
                return;
            }
        };
        let last = matches!(request, Request::Shutdown);
        let reply = office.answer(request, &mut out).await;
        if !out.say(&reply).await || last {
            if last {
                office.end();
            }
            return;
        }
    }
}

/// The version is read first: the rest may be of another one.
#[derive(serde::Deserialize)]
struct Version {
    version: u32,
}

fn understand(line: &[u8]) -> Result<Request, Reply> {
    let usage = |message: &str| Reply::Error { kind: ErrorKind::Usage, message: message.to_owned() };
    if line.len() as u64 > LINE_BYTES_MAX {
        return Err(usage("the request is longer than 4 MiB"));
    }
    let version: Version = serde_json::from_slice(line).map_err(|_| usage("the request is not understood"))?;
    if version.version != CONTROL_VERSION {
        return Err(usage(
            "the daemon speaks another version of the control language; use the program it was started with",
        ));
    }
    let call: Call = serde_json::from_slice(line).map_err(|_| usage("the request is not understood"))?;
    Ok(call.request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_or_a_long_line_is_refused_before_it_is_read() {
        assert!(matches!(understand(br#"{"version":1,"request":"ping"}"#), Ok(Request::Ping)));
        // Nothing leaves, is taken in or looked at without the order of a person.
        for bare in [
            r#"{"export":{"consortium":"00","subscription":"00","folder":"/f"}}"#,
            r#"{"import":{"consortium":"00","folder":"/f"}}"#,
            r#"{"profile":{"source":{"files":{"folder":"/f"}}}}"#,
        ] {
            let line = format!(r#"{{"version":1,"request":{bare}}}"#);
            assert!(understand(line.as_bytes()).is_err(), "{bare}");
        }
        for wrong in [
            &br#"{"version":2,"request":"ping"}"#[..],
            br#"{"request":"ping"}"#,
            b"ping",
            br#"{"version":1,"request":"pong"}"#,
        ] {
            assert!(matches!(understand(wrong), Err(Reply::Error { kind: ErrorKind::Usage, .. })));
        }
        let long = vec![b' '; usize::try_from(LINE_BYTES_MAX).unwrap() + 1];
        assert!(matches!(understand(&long), Err(Reply::Error { kind: ErrorKind::Usage, .. })));
    }

    #[test]
    fn only_the_nodes_own_user_is_heard() {
        assert_eq!([is_owner(1000, 1000), is_owner(1001, 1000), is_owner(0, 1000)], [true, false, false]);
    }

    #[tokio::test]
    async fn the_socket_is_closed_to_others_and_its_folder_must_be_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let control = Control::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(is_ours(&UnixStream::connect(&path).await.unwrap()));
        drop(control);
        assert!(!path.exists());
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
        assert!(matches!(Control::bind(&path), Err(ControlFault::Home(_))));
    }
}
