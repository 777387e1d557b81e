//! What must be refused, and that refusing it leaves the others alone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use cohortium_protocol::code::ErrorCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::*;
use crate::route::DialError;

// TLS-2
#[tokio::test]
async fn another_server_key_is_refused_by_a_typed_error_on_both_routes() {
    let (listener, dialler) = (listener_that(|_, _| true).await, dialler(2).await);
    for route in ROUTES {
        let wrong = DialTarget { peer_key: identity(3).public_key(), ..target(&listener, route) };
        let error = soon(dialler.dial(&wrong)).await.unwrap_err();
        assert!(matches!(error, DialError::WrongKey) && !error.another_route_may_help());
        assert!(error.to_string().contains("intercepts TLS is refused by design"));
    }
    let wrong = AnyTarget { peer_key: identity(3).public_key(), ..any_target(&listener) };
    let none = soon(dialler.dial_any(&wrong)).await.unwrap_err();
    assert_eq!(none.attempts.len(), 1, "a peer that answers ends the search: {none}");
}

/// A listener that shows a certificate, as an intercepting proxy does.
async fn certificate_listener() -> SocketAddr {
    let socket = tokio::net::TcpListener::bind(loopback()).await.unwrap();
    let addr = socket.local_addr().unwrap();
    let mut config = identity(1).server_config();
    // Without a verifier for raw keys and with a resolver for chains, rustls negotiates X.509.
    config.cert_resolver = Arc::new(Chain);
    tokio::spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        while let Ok((client, _)) = socket.accept().await {
            let _ = acceptor.accept(client).await;
        }
    });
    addr
}

#[derive(Debug)]
struct Chain;

impl rustls::server::ResolvesServerCert for Chain {
    fn resolve(&self, _hello: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }
}

// TLS-1
#[tokio::test]
async fn a_listener_without_raw_keys_is_no_peer() {
    let dialler = dialler(2).await;
    let addr = certificate_listener().await.into();
    let target = DialTarget { addr, peer_key: identity(1).public_key(), alpn: Alpn::Member, route: Route::Tcp };
    let error = soon(dialler.dial(&target)).await.unwrap_err();
    assert!(matches!(error, DialError::WrongKey | DialError::Refused), "{error:?}");
}

#[tokio::test]
async fn a_key_that_is_not_admitted_is_closed_before_any_stream_is_accepted() {
    for route in ROUTES {
        let listener = listener_that(|alpn, key| alpn == Alpn::Join || *key != identity(2).public_key()).await;
        let (refused, admitted) = (dialler(2).await, dialler(3).await);
        // TLS 1.3 lets the client finish first, so dialling works and the close follows.
        let ours = soon(refused.dial(&target(&listener, route.clone()))).await.unwrap();
        if let Ok((mut send, _recv)) = ours.open().await {
            let _ = send.write_all(b"early").await;
        }
        let code = u32::from(ErrorCode::IdentityRefused.code());
        let closed = soon(ours.closed()).await;
        assert!(closed_by_peer(&closed, code), "{route}: {closed:?}");
        let _kept = soon(admitted.dial(&target(&listener, route.clone()))).await.unwrap();
        let accepted = soon(listener.accept()).await.unwrap();
        assert_eq!(accepted.peer_key(), identity(3).public_key(), "the refused one never gets here");
        let join = DialTarget { alpn: Alpn::Join, ..target(&listener, route) };
        let _kept = soon(refused.dial(&join)).await.unwrap();
        assert_eq!(soon(listener.accept()).await.unwrap().alpn(), Alpn::Join);
    }
}

#[tokio::test]
async fn a_protocol_that_no_side_shares_is_refused() {
    let listener = listener_that(|_, _| true).await;
    let (mut config, _) = identity(2).client_config(&identity(1).public_key(), Alpn::Member);
    config.alpn_protocols = vec![b"h2".to_vec()];
    assert!(tls_dial(&listener, config.clone()).await.is_err());
    // A client that names no protocol gets through TLS, and no further.
    config.alpn_protocols = Vec::new();
    if let Ok(mut socket) = tls_dial(&listener, config).await {
        assert!(matches!(soon(socket.read(&mut [0; 64])).await, Ok(0) | Err(_)));
    }
    assert!(timeout(Duration::from_millis(200), listener.accept()).await.is_err());
}

async fn tls_dial(
    listener: &Transport,
    config: rustls::ClientConfig,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let socket = TcpStream::connect(listener.local_tcp().unwrap()).await?;
    let name = rustls::pki_types::ServerName::try_from("cohortium.invalid").unwrap();
    let mut tls = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
    // TLS 1.3: the server's refusal arrives with the first read.
    match timeout(Duration::from_millis(300), tls.read(&mut [0; 1])).await {
        Ok(Ok(0)) => Err(std::io::ErrorKind::UnexpectedEof.into()),
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) | Err(_) => Ok(tls),
    }
}

// TLS-1
#[tokio::test]
async fn a_client_without_a_key_is_refused() {
    let listener = listener_that(|_, _| true).await;
    let (mut config, _) = identity(2).client_config(&identity(1).public_key(), Alpn::Member);
    config.client_auth_cert_resolver = Arc::new(NoKey);
    assert!(tls_dial(&listener, config).await.is_err());
    assert!(timeout(Duration::from_millis(200), listener.accept()).await.is_err());
}

#[derive(Debug)]
struct NoKey;

impl rustls::client::ResolvesClientCert for NoKey {
    fn resolve(
        &self,
        _hints: &[&[u8]],
        _schemes: &[rustls::SignatureScheme],
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// A TLS 1.2 `ClientHello`: one suite, `signature_algorithms`, no `supported_versions`.
const TLS12_HELLO: &[u8] = &[
    0x16, 0x03, 0x01, 0x00, 0x37, 0x01, 0x00, 0x00, 0x33, 0x03, 0x03, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 0x00, 0x00, 0x02, 0xc0, 0x2b, 0x01, 0x00,
    0x00, 0x08, 0x00, 0x0d, 0x00, 0x04, 0x00, 0x02, 0x08, 0x07,
];

// TLS-1
#[tokio::test]
async fn tls_1_2_is_refused() {
    let listener = listener_that(|_, _| true).await;
    let mut socket = TcpStream::connect(listener.local_tcp().unwrap()).await.unwrap();
    socket.write_all(TLS12_HELLO).await.unwrap();
    let mut alert = [0; 7];
    soon(socket.read_exact(&mut alert)).await.unwrap();
    assert_eq!((alert[0], alert[5], alert[6]), (21, 2, 70), "a fatal protocol_version alert");
}

#[tokio::test]
async fn garbage_does_not_disturb_the_listener() {
    let (listener, dialler) = (listener_that(|_, _| true).await, dialler(2).await);
    let udp = UdpSocket::bind(loopback()).await.unwrap();
    for round in 0_u8..50 {
        let packet: Vec<u8> = (0..=255_u8).cycle().map(|i| i.wrapping_mul(31).wrapping_add(round)).take(1200).collect();
        udp.send_to(&packet, listener.local_udp().unwrap()).await.unwrap();
        let mut long_header = packet;
        long_header[0] = 0xc0;
        long_header[1..5].copy_from_slice(&[0, 0, 0, 1]);
        udp.send_to(&long_header, listener.local_udp().unwrap()).await.unwrap();
        let mut tcp = TcpStream::connect(listener.local_tcp().unwrap()).await.unwrap();
        let _ = tcp.write_all(&[round; 100]).await;
    }
    for route in ROUTES {
        let ours = soon(dialler.dial(&target(&listener, route))).await.unwrap();
        let theirs = soon(listener.accept()).await.unwrap();
        assert_eq!(theirs.peer_key(), identity(2).public_key());
        ours.close(0, "done");
    }
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_dropped_at_the_deadline() {
    let deadline = Duration::from_millis(600);
    let listener = listener_with(|_, _| true, deadline).await;
    let mut silent = TcpStream::connect(listener.local_tcp().unwrap()).await.unwrap();
    let mut slow = TcpStream::connect(listener.local_tcp().unwrap()).await.unwrap();
    slow.write_all(&TLS12_HELLO[..20]).await.unwrap();
    let started = Instant::now();
    for socket in [&mut silent, &mut slow] {
        assert!(matches!(soon(socket.read(&mut [0; 16])).await, Ok(0) | Err(_)));
    }
    let took = started.elapsed();
    assert!(took >= deadline / 2 && took < deadline * 4, "{took:?}");
}

#[tokio::test]
async fn silent_callers_of_one_address_are_turned_away_and_the_loop_goes_on() {
    let listener = listener_with(|_, _| true, Duration::from_secs(20)).await;
    let mut held = Vec::new();
    for _ in 0..crate::limits::HANDSHAKES_PER_ADDRESS_MAX {
        held.push(TcpStream::connect(listener.local_tcp().unwrap()).await.unwrap());
    }
    // Each one more is closed at once instead of waiting for a place, so the next is looked at too.
    for _ in 0..3 {
        let mut extra = TcpStream::connect(listener.local_tcp().unwrap()).await.unwrap();
        assert!(matches!(soon(extra.read(&mut [0; 1])).await, Ok(0) | Err(_)));
    }
}

#[tokio::test]
async fn a_dial_to_silence_ends_at_the_deadline() {
    let admission = Arc::new(Admit(|_, _: &PublicKey| false));
    let config = TransportConfig { listen_udp: None, listen_tcp: None, identity: identity(2), admission };
    let dialler = Transport::bind_with(config, Duration::from_millis(400)).await.unwrap();
    let udp = UdpSocket::bind(loopback()).await.unwrap();
    let tcp = tokio::net::TcpListener::bind(loopback()).await.unwrap();
    for (addr, route) in [(udp.local_addr(), Route::Quic), (tcp.local_addr(), Route::Tcp)] {
        let addr = addr.unwrap().into();
        let target = DialTarget { addr, peer_key: identity(1).public_key(), alpn: Alpn::Member, route };
        assert!(matches!(soon(dialler.dial(&target)).await, Err(DialError::TimedOut { .. })));
    }
}

#[tokio::test]
async fn admission_is_asked_with_the_key_and_protocol_of_the_handshake() {
    let asked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked);
    let listener = listener_that(move |alpn, key| {
        seen.store(alpn == Alpn::Join && *key == identity(2).public_key(), Ordering::SeqCst);
        true
    })
    .await;
    let dialler = dialler(2).await;
    for route in ROUTES {
        asked.store(false, Ordering::SeqCst);
        let join = DialTarget { alpn: Alpn::Join, ..target(&listener, route) };
        let _kept = soon(dialler.dial(&join)).await.unwrap();
        soon(listener.accept()).await.unwrap();
        assert!(asked.load(Ordering::SeqCst));
    }
}
