//! The daemon: starts every part in order, waits for the end, and stops them in reverse.
//!
//! Order of start: keystore (the caller opened it), blob store, journals, endpoint, audit logs, transport, services. A part
//! that cannot start stops those before it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cohortium_store::blob::{BlobFault, BlobStore};
use cohortium_store::keystore::{Keystore, KeystoreFault};
use cohortium_transport::bind::BindError;
use cohortium_transport::{Transport, TransportConfig};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::config::resolve::Config;
use crate::driver::books::BookFault;
use crate::driver::core::{Core, CoreParts};
use crate::driver::entry::{self, EnterFault};
use crate::driver::hands::Hands;
use crate::driver::keys::{Keys, SecretMissing};
use crate::driver::queue::{Event, Queue};
use crate::driver::shown::Shown;
use crate::home::{self, Home, HomeFault};
use crate::service::control::ControlFault;
use crate::service::{control, net, pipelines, schedule};
use crate::telemetry;
use crate::worker::pool::Pool;

/// How long a stop may take, all parts together.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// Threads that carry out effects; the blocking ones come and go.
const WORKER_THREADS: usize = 2;
const BLOCKING_THREADS_MAX: usize = 24;
const THREAD_STACK_BYTES: usize = 1024 * 1024;

/// What a daemon is made of.
#[expect(missing_debug_implementations, reason = "holds secrets")]
pub struct Settings {
    /// The node's folder.
    pub home: Home,
    /// The open keystore.
    pub keystore: Keystore,
    /// The configuration in force.
    pub config: Config,
    /// The program that is run with the argument `worker`; `None`: this one.
    pub worker_program: Option<PathBuf>,
}

/// Why a daemon does not run.
#[derive(Debug)]
pub enum DaemonFault {
    /// The node's folder.
    Home(HomeFault),
    /// The keystore.
    Keystore(KeystoreFault),
    /// The keystore lacks a secret that every node has.
    SecretMissing(SecretMissing),
    /// The store of blobs.
    Blobs(BlobFault),
    /// A journal.
    Journal(BookFault),
    /// A consortium.
    Enter(EnterFault),
    /// The network.
    Bind(BindError),
    /// The control socket.
    Control(ControlFault),
    /// The system gave no threads.
    Runtime(std::io::Error),
}

impl fmt::Display for DaemonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Home(fault) => fault.fmt(f),
            Self::Keystore(fault) => fault.fmt(f),
            Self::SecretMissing(fault) => fault.fmt(f),
            Self::Blobs(fault) => fault.fmt(f),
            Self::Journal(fault) => fault.fmt(f),
            Self::Enter(fault) => fault.fmt(f),
            Self::Bind(fault) => fault.fmt(f),
            Self::Control(fault) => fault.fmt(f),
            Self::Runtime(source) => write!(f, "{source} while starting threads"),
        }
    }
}

impl std::error::Error for DaemonFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Home(fault) => Some(fault),
            Self::Keystore(fault) => Some(fault),
            Self::SecretMissing(fault) => Some(fault),
            Self::Blobs(fault) => Some(fault),
            Self::Journal(fault) => Some(fault),
            Self::Enter(fault) => Some(fault),
            Self::Bind(fault) => Some(fault),
            Self::Control(fault) => Some(fault),
            Self::Runtime(source) => Some(source),
        }
    }
}

macro_rules! from_faults {
    ($($variant:ident: $fault:ty),+ $(,)?) => {
        $(impl From<$fault> for DaemonFault {
            fn from(fault: $fault) -> Self {
                Self::$variant(fault)
            }
        })+
    };
}
from_faults! {
    Home: HomeFault,
    Keystore: KeystoreFault,
    SecretMissing: SecretMissing,
    Blobs: BlobFault,
    Journal: BookFault,
    Enter: EnterFault,
    Bind: BindError,
    Control: ControlFault,
}

/// Runs a daemon until SIGTERM, SIGINT or a `Shutdown` on its control socket.
///
/// # Errors
/// [`DaemonFault`]; everything that had started is stopped again.
pub fn run(settings: Settings) -> Result<(), DaemonFault> {
    telemetry::start(settings.config.log);
    leave_no_trace().map_err(DaemonFault::Runtime)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_stack_size(THREAD_STACK_BYTES)
        .thread_keep_alive(Duration::from_secs(5))
        .enable_all()
        .build()
        .map_err(DaemonFault::Runtime)?;
    let ended = runtime.block_on(async {
        let running = Running::start(settings).await?;
        running.until_told().await;
        running.stop().await;
        Ok(())
    });
    // A blocking read of a device that hangs must not hold the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

/// No core file, and no other process of this user may look into this one's memory: keys and rows are in it.
///
/// # Errors
/// What the system said.
fn leave_no_trace() -> std::io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// A daemon that runs in this process.
pub struct Running {
    queue: Queue,
    transport: Transport,
    hands: Arc<Hands>,
    shown: Shown,
    shutdown: watch::Receiver<bool>,
    control: control::Control,
    core: tokio::task::JoinHandle<()>,
    services: Vec<tokio::task::JoinHandle<()>>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Running({:?})", self.transport)
    }
}

/// Takes all open files that the system lets this process have: a job may come with thousands of them.
fn allow_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(fault) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(event = "open-files-limited", current = limit.current, %fault);
    }
}

impl Running {
    /// Starts every part, in order. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`DaemonFault`]; everything that had started is stopped again.
    pub async fn start(settings: Settings) -> Result<Self, DaemonFault> {
        let Settings { home, keystore, config, worker_program } = settings;
        let blobs = BlobStore::open_reserving(&home.blobs(), &home::blobs_key(&keystore), config.reserve)?;
        let keys = Keys::new(keystore)?;
        let identity = keys.tls_identity()?;
        let memberships = home.memberships()?;
        let mut entrances = Vec::new();
        for membership in &memberships {
            entrances.push(entry::open(&home, &keys, membership)?);
        }
        allow_open_files();
        let pool = Pool::new(worker_program, config.worker).map_err(DaemonFault::Runtime)?;
        let (queue, events) = Queue::new();
        let hands = Arc::new(Hands::new(queue.clone(), blobs, keys, pool));
        let shown = Shown::default();
        let control = control::Control::bind(&home.control_socket())?;
        let admission = Arc::new(shown.admission());
        let (listen_udp, listen_tcp) = (config.listen_udp, config.listen_tcp);
        let transport = Transport::bind(TransportConfig { listen_udp, listen_tcp, identity, admission }).await?;
        let core = Core::new(CoreParts { hands: Arc::clone(&hands), shown: shown.clone(), events });
        let core = tokio::spawn(core.run());
        let dialler = net::Dialler::new(transport.clone(), queue.clone(), &config);
        // Until every consortium has entered, a sweep would take the blobs of those that have not for unnamed.
        let entering = hands.making.clone().read_owned().await;
        for (membership, entrance) in memberships.iter().zip(entrances) {
            entry::announce(&queue, &hands, entrance).await;
            dialler.dial(membership);
        }
        drop(entering);
        let (shutdown_tx, shutdown) = watch::channel(false);
        let services = vec![
            tokio::spawn(net::accept(transport.clone(), queue.clone())),
            tokio::spawn(schedule::run(queue.clone(), shown.schedules())),
            tokio::spawn(pipelines::run(queue.clone())),
        ];
        let office = control::Office {
            home,
            queue: queue.clone(),
            hands: Arc::clone(&hands),
            dialler,
            preview_rows_max: config.privacy.preview_rows_max,
            shutdown: shutdown_tx,
        };
        control.serve(Arc::new(office));
        tracing::info!(event = "started", udp = ?transport.local_udp(), tcp = ?transport.local_tcp());
        Ok(Self { queue, transport, hands, shown, shutdown, control, core, services })
    }

    /// Where QUIC listens.
    pub fn local_udp(&self) -> Option<SocketAddr> {
        self.transport.local_udp()
    }

    /// Where TLS over TCP listens.
    pub fn local_tcp(&self) -> Option<SocketAddr> {
        self.transport.local_tcp()
    }

    /// Waits until somebody asks for the end: a signal, or `Shutdown` on the control socket.
    pub async fn until_told(&self) {
        use tokio::signal::unix::{SignalKind, signal};
        let mut shutdown = self.shutdown.clone();
        let told = async move { drop(shutdown.wait_for(|told| *told).await) };
        let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
            return told.await;
        };
        tokio::select! {
            () = told => {}
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    }

    /// Stops every part in reverse: takes nothing new, ends the journal's batch, makes landings safe, closes connections.
    pub async fn stop(self) {
        tracing::info!(event = "stopping");
        self.control.stop();
        for service in &self.services {
            service.abort();
        }
        let quiet = async {
            self.hands.end().await;
            let (done, ended) = tokio::sync::oneshot::channel();
            if self.queue.send(Event::Stop(done)).await {
                let _ = ended.await;
            }
            self.hands.save().await;
            self.transport.close().await;
        };
        if timeout(STOP_DEADLINE, quiet).await.is_err() {
            tracing::warn!(event = "stopped-late");
        }
        self.core.abort();
        self.shown.clear();
        tracing::info!(event = "stopped");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_leaves_no_core_and_cannot_be_looked_into() {
        use rustix::process::dumpable_behavior;

        leave_no_trace().unwrap();
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }

    #[test]
    fn a_daemon_may_open_as_many_files_as_the_system_lets_it() {
        let most = getrlimit(Resource::Nofile).maximum;
        // One less is room enough for the tests beside this one.
        let fewer = most.map(|most| most - 1);
        setrlimit(Resource::Nofile, Rlimit { current: fewer, maximum: most }).unwrap();
        allow_open_files();
        assert_eq!(getrlimit(Resource::Nofile).current, most);
    }
}
