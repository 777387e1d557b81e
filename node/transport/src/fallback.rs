//! TLS 1.3 over TCP, directly or through a proxy: the same keys and protocols as QUIC, streams by yamux.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CommonState, Error as TlsError};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::compat::TokioAsyncReadCompatExt;

use crate::identity::{self, Alpn, KeyRefused, SERVER_NAME};
use crate::limits::{IDLE_TIMEOUT, KEEP_ALIVE};
use crate::mux::{self, Side};
use crate::route::{DialError, Route};
use crate::stream::Connection;

use cohortium_protocol::key::pair::PublicKey;

/// What a dialler asks of the other end.
pub(crate) struct Expected {
    pub(crate) config: Arc<rustls::ClientConfig>,
    pub(crate) refused: KeyRefused,
    pub(crate) peer: PublicKey,
    pub(crate) alpn: Alpn,
}

/// TLS and streams over a socket that leads to the peer.
pub(crate) async fn dial(socket: TcpStream, expected: &Expected, route: Route) -> Result<Connection, DialError> {
    let remote = socket.peer_addr().map_err(|source| DialError::Unreachable { source })?;
    tune(&socket);
    let name = ServerName::try_from(SERVER_NAME).expect("the constant is a name");
    let connector = TlsConnector::from(Arc::clone(&expected.config));
    let tls = connector.connect(name, socket).await.map_err(|error| dial_error(error, &expected.refused))?;
    if alpn_of(tls.get_ref().1) != Some(expected.alpn) {
        return Err(DialError::NoCommonProtocol);
    }
    let handle = mux::start(tls.compat(), Side::Dialler);
    Ok(Connection::mux(handle, expected.peer, expected.alpn, route, remote))
}

/// The listener's side of TLS; `None` for whatever is no peer. The caller sets the deadline.
pub(crate) async fn accept(
    socket: TcpStream,
    remote: SocketAddr,
    config: Arc<rustls::ServerConfig>,
) -> Option<Connection> {
    tune(&socket);
    let tls = TlsAcceptor::from(config).accept(socket).await.ok()?;
    let state = tls.get_ref().1;
    let (key, alpn) = (identity::peer_key(state.peer_certificates())?, alpn_of(state)?);
    let handle = mux::start(tls.compat(), Side::Listener);
    Some(Connection::mux(handle, key, alpn, Route::Tcp, remote))
}

fn alpn_of(state: &CommonState) -> Option<Alpn> {
    state.alpn_protocol().and_then(Alpn::from_bytes)
}

/// Latency and liveness; every option is a wish.
fn tune(socket: &TcpStream) {
    let keep_alive = socket2::TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE);
    let options = socket2::SockRef::from(socket);
    let set = [
        options.set_tcp_nodelay(true),
        options.set_tcp_keepalive(&keep_alive),
        #[cfg(target_os = "linux")]
        options.set_tcp_user_timeout(Some(IDLE_TIMEOUT)),
    ];
    for error in set.into_iter().filter_map(Result::err) {
        tracing::debug!(%error, "a TCP option stays as it is");
    }
}

/// Sorts a failed handshake by who must act.
fn dial_error(error: io::Error, refused: &KeyRefused) -> DialError {
    if refused.get() {
        return DialError::WrongKey;
    }
    match error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
        // A listener without raw public keys is not a node: most often a proxy that shows its own certificate.
        Some(TlsError::PeerIncompatible(_) | TlsError::InvalidCertificate(_)) => DialError::WrongKey,
        Some(TlsError::AlertReceived(AlertDescription::NoApplicationProtocol)) => DialError::NoCommonProtocol,
        Some(TlsError::AlertReceived(_)) => DialError::Refused,
        Some(_) => DialError::NotTls,
        None => DialError::Unreachable { source: error },
    }
}
