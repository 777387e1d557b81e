//! Routes: authentication both ways, the proxy, falling back, identity change, closing, probing.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::*;
use crate::address::HostPort;
use crate::probe::{ProbeTarget, Reach};
use crate::route::DialError;

/// A proxy that knows CONNECT and nothing else; counts its tunnels.
async fn connect_proxy(status: &'static str, tunnels: Arc<AtomicUsize>) -> HostPort {
    let socket = TcpListener::bind(loopback()).await.unwrap();
    let addr = socket.local_addr().unwrap().into();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = socket.accept().await {
            let tunnels = Arc::clone(&tunnels);
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(client.read_u8().await.unwrap());
                }
                let request = String::from_utf8(request).unwrap();
                let target = request.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap().to_owned();
                client.write_all(format!("HTTP/1.1 {status}\r\nVia: test\r\n\r\n").as_bytes()).await.unwrap();
                if status.starts_with("200") {
                    tunnels.fetch_add(1, Ordering::SeqCst);
                    let mut server = TcpStream::connect(target).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    });
    addr
}

async fn echo_once(ours: &Connection, theirs: &Connection) {
    let (mut send, mut recv) = ours.open().await.unwrap();
    send.write_all(b"ping").await.unwrap();
    send.finish().await.unwrap();
    let (mut back, mut got) = soon(theirs.accept()).await.unwrap();
    let mut bytes = [0; 4];
    soon(got.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(soon(got.read_chunk(64)).await, Ok(None));
    back.write_all(&bytes).await.unwrap();
    back.finish().await.unwrap();
    assert_eq!(soon(recv.read_chunk(64)).await.unwrap().unwrap(), &b"ping"[..]);
    assert_eq!(soon(recv.read_chunk(64)).await, Ok(None));
}

#[tokio::test]
async fn both_sides_know_each_other_on_both_routes_and_either_opens_streams() {
    for route in ROUTES {
        let pair = pair(route.clone()).await;
        assert_eq!(pair.ours.peer_key(), identity(1).public_key());
        assert_eq!(pair.theirs.peer_key(), identity(2).public_key());
        assert_eq!((pair.ours.alpn(), pair.theirs.alpn()), (Alpn::Member, Alpn::Member));
        assert_eq!((pair.ours.route(), pair.theirs.route()), (&route, &route));
        echo_once(&pair.ours, &pair.theirs).await;
        echo_once(&pair.theirs, &pair.ours).await;
        let stats = pair.ours.stats();
        assert!(stats.sent_bytes >= 8 && stats.received_bytes >= 8, "{stats:?}");
        assert_eq!(stats.path_mtu_bytes.is_some(), route == Route::Quic);
    }
}

#[tokio::test]
async fn a_proxy_carries_the_same_connection() {
    let tunnels = Arc::new(AtomicUsize::new(0));
    let addr = connect_proxy("200 Connection established", Arc::clone(&tunnels)).await;
    let (listener, dialler) = (listener_that(|_, _| true).await, dialler(2).await);
    let route = Route::Proxy { addr };
    let ours = soon(dialler.dial(&target(&listener, route.clone()))).await.unwrap();
    let theirs = soon(listener.accept()).await.unwrap();
    assert_eq!((ours.route(), theirs.route()), (&route, &Route::Tcp));
    assert_eq!(theirs.peer_key(), identity(2).public_key());
    echo_once(&ours, &theirs).await;
    assert_eq!(tunnels.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_proxys_refusal_is_named_with_its_status() {
    let addr = connect_proxy("403 Forbidden", Arc::default()).await;
    let (listener, dialler) = (listener_that(|_, _| true).await, dialler(2).await);
    let refused = soon(dialler.dial(&target(&listener, Route::Proxy { addr }))).await.unwrap_err();
    let DialError::Proxy { source } = refused else { panic!("{refused}") };
    assert_eq!(source.to_string(), "the proxy refused to connect, status 403");
}

#[tokio::test]
async fn where_udp_is_dropped_tcp_is_taken_and_then_the_proxy() {
    let (listener, dialler) = (listener_that(|_, _| true).await, dialler(2).await);
    let direct = soon(dialler.dial_any(&any_target(&listener))).await.unwrap();
    assert_eq!(direct.route(), &Route::Quic);

    // A socket that is never read drops UDP as a firewall does.
    let hole = UdpSocket::bind(loopback()).await.unwrap();
    let no_udp = AnyTarget { udp: hole.local_addr().unwrap().into(), ..any_target(&listener) };
    assert_eq!(soon(dialler.dial_any(&no_udp)).await.unwrap().route(), &Route::Tcp);

    // Names that only the proxy can resolve: here the proxy sends every tunnel to the listener.
    let proxy = forwarder(listener.local_tcp().unwrap()).await;
    let unknown: HostPort = "node.invalid:7070".parse().unwrap();
    let proxied = AnyTarget { udp: unknown.clone(), tcp: unknown, proxy: Some(proxy.clone()), ..any_target(&listener) };
    let connection = soon(dialler.dial_any(&proxied)).await.unwrap();
    assert_eq!(connection.route(), &Route::Proxy { addr: proxy });
}

/// A CONNECT proxy whose tunnels all lead to `server`.
async fn forwarder(server: SocketAddr) -> HostPort {
    let socket = TcpListener::bind(loopback()).await.unwrap();
    let addr = socket.local_addr().unwrap().into();
    tokio::spawn(async move {
        while let Ok((client, _)) = socket.accept().await {
            tokio::spawn(forward(client, server));
        }
    });
    addr
}

async fn forward(mut client: TcpStream, server: SocketAddr) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(client.read_u8().await?);
    }
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    let mut upstream = TcpStream::connect(server).await?;
    copy_bidirectional(&mut client, &mut upstream).await.map(|_| ())
}

#[tokio::test]
async fn a_new_identity_serves_new_connections_and_leaves_the_old_ones() {
    let pair = pair(Route::Quic).await;
    pair.listener.rebind(identity(9));
    for route in ROUTES {
        let old = target(&pair.listener, route);
        assert!(matches!(soon(pair.dialler.dial(&old)).await, Err(DialError::WrongKey)));
        let new = DialTarget { peer_key: identity(9).public_key(), ..old };
        soon(pair.dialler.dial(&new)).await.unwrap();
        soon(pair.listener.accept()).await.unwrap();
    }
    echo_once(&pair.ours, &pair.theirs).await;
    pair.dialler.rebind(identity(8));
    let new = DialTarget { peer_key: identity(9).public_key(), ..target(&pair.listener, Route::Tcp) };
    let _kept = soon(pair.dialler.dial(&new)).await.unwrap();
    assert_eq!(soon(pair.listener.accept()).await.unwrap().peer_key(), identity(8).public_key());
}

#[tokio::test]
async fn closing_a_transport_tells_the_peers_and_ends_accept() {
    for route in ROUTES {
        let pair = pair(route).await;
        let waiting = tokio::spawn({
            let listener = pair.listener.clone();
            async move { listener.accept().await.is_none() }
        });
        soon(pair.listener.close()).await;
        assert!(closed_by_peer(&soon(pair.ours.closed()).await, 0));
        assert_eq!(soon(pair.theirs.closed()).await, Closed::Local);
        assert!(soon(waiting).await.unwrap());
        soon(pair.dialler.close()).await;
        let refused = pair.dialler.dial(&target(&pair.listener, Route::Tcp)).await;
        assert!(matches!(refused, Err(DialError::Stopped)));
    }
}

#[tokio::test]
async fn a_probe_says_which_routes_lead_to_the_peer() {
    let (listener, dialler) = (listener_that(|_, _| true).await, dialler(2).await);
    let any = any_target(&listener);
    let proxy = forwarder(listener.local_tcp().unwrap()).await;
    let good = ProbeTarget { udp: any.udp, tcp: any.tcp, peer_key: any.peer_key, alpn: any.alpn, proxy: Some(proxy) };
    let report = soon(dialler.probe(&good)).await;
    let Reach::Peer { path_mtu_bytes: Some(mtu), .. } = report.udp else { panic!("{report:?}") };
    assert!(mtu >= 1200);
    assert!(matches!(report.tcp, Reach::Peer { path_mtu_bytes: None, .. }), "{report:?}");
    assert!(matches!(report.proxy, Some(Reach::Peer { .. })), "{report:?}");

    let dropped = UdpSocket::bind(loopback()).await.unwrap().local_addr().unwrap();
    let wrong = ProbeTarget { udp: dropped.into(), peer_key: identity(7).public_key(), proxy: None, ..good };
    let report = soon(dialler.probe(&wrong)).await;
    assert!(matches!(report.udp, Reach::Silent(_)), "{report:?}");
    assert!(matches!(report.tcp, Reach::Answered(DialError::WrongKey)), "{report:?}");
    assert!(report.proxy.is_none());
}
