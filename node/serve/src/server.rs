//! Sockets: where the server listens, TLS, how many connections there are.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::api::{Sharing, router};
use crate::http;

/// A certificate chain and its key, ready for TLS 1.2 and 1.3.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "it holds a private key")]
pub struct TlsKeys(Arc<ServerConfig>);

/// Why a server does not listen.
#[derive(Debug)]
pub enum ServerFault {
    /// Without TLS a token would be readable on the way: only within this machine.
    InTheOpen {
        /// The address.
        address: SocketAddr,
    },
    /// The address is not free, or not of this machine.
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The certificate or its key is no PEM, or the two do not belong together.
    Certificate,
}

impl fmt::Display for ServerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InTheOpen { address } => {
                write!(f, "{address} is no loopback address, and there is no certificate: tokens would be readable")
            }
            Self::Bind { address, .. } => write!(f, "while listening on {address}"),
            Self::Certificate => write!(f, "the certificate and its key are no PEM, or do not belong together"),
        }
    }
}

impl std::error::Error for ServerFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { source, .. } => Some(source),
            Self::InTheOpen { .. } | Self::Certificate => None,
        }
    }
}

impl TlsKeys {
    /// A chain, the server's own certificate first, and its key, both in PEM.
    ///
    /// # Errors
    /// [`ServerFault::Certificate`].
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, ServerFault> {
        let wrong = ServerFault::Certificate;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(|_| wrong)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| ServerFault::Certificate)?;
        // Windows programs such as Power BI speak TLS 1.2 on systems that are still in use.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|_| ServerFault::Certificate)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|_| ServerFault::Certificate)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

/// A socket that listens.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.address)
    }
}

/// What the server waits after the system refused it a connection, as when it has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Server {
    /// Listens on `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// [`ServerFault`].
    pub async fn bind(address: SocketAddr, tls: Option<TlsKeys>) -> Result<Self, ServerFault> {
        if tls.is_none() && !address.ip().is_loopback() {
            return Err(ServerFault::InTheOpen { address });
        }
        let fault = |source| ServerFault::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(fault)?;
        let address = listener.local_addr().map_err(fault)?;
        Ok(Self { listener, address, tls: tls.map(|keys| TlsAcceptor::from(keys.0)) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` ends; then every connection is cut.
    pub async fn run(self, sharing: Arc<Sharing>, stop: impl Future<Output = ()> + Send) {
        let app = router(Arc::clone(&sharing));
        let places = Arc::new(Semaphore::new(sharing.limits.connections_max));
        let mut connections = JoinSet::new();
        let accept = async {
            loop {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                let Ok((stream, _)) = self.listener.accept().await else {
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                };
                while connections.try_join_next().is_some() {}
                let served = serve(stream, self.tls.clone(), app.clone(), Arc::clone(&sharing));
                connections.spawn(async move {
                    served.await;
                    drop(place);
                });
            }
        };
        tokio::select! {
            () = accept => {}
            () = stop => {}
        }
        connections.shutdown().await;
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, app: Router, sharing: Arc<Sharing>) {
    let limits = sharing.limits;
    // Without it small answers wait for the acknowledgement of the head.
    let _set = stream.set_nodelay(true);
    let now = move || sharing.ground.now();
    match tls {
        None => http::serve(stream, app, limits, now).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = timeout(limits.handshake_max, tls.accept(stream)).await {
                http::serve(stream, app, limits, now).await;
            }
        }
    }
}
