//! Tests of what a peer may send before its HELLO has been answered, over real connections on loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use cohortium_protocol::key::pair::PublicKey;
use cohortium_transport::frame::write_frame;
use cohortium_transport::{Admission, Alpn, DialTarget, Route, SendHalf, TlsIdentity, Transport, TransportConfig};
use tokio::sync::mpsc;

use super::*;

const SOON: Duration = Duration::from_secs(10);
const NOT_SOON: Duration = Duration::from_millis(200);

struct Everybody;

impl Admission for Everybody {
    fn admits(&self, _alpn: Alpn, _key: &PublicKey) -> bool {
        true
    }
}

async fn transport(seed: u8) -> Transport {
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let identity = TlsIdentity::from_seed(&[seed; 32]);
    let admission = Arc::new(Everybody);
    Transport::bind(TransportConfig { listen_udp: Some(here), listen_tcp: None, identity, admission }).await.unwrap()
}

/// A connection that is listened to on one end, and the peer on the other.
struct Line {
    _ends: [Transport; 2],
    peer: Connection,
    greeted: watch::Sender<bool>,
    events: mpsc::Receiver<Event>,
    open: Vec<SendHalf>,
}

impl Line {
    async fn new(side: Side, protocol: Protocol) -> Self {
        let (here, there) = (transport(1).await, transport(2).await);
        let alpn = if protocol == Protocol::Join { Alpn::Join } else { Alpn::Member };
        let peer_key = TlsIdentity::from_seed(&[1; 32]).public_key();
        let target = DialTarget { addr: here.local_udp().unwrap().into(), peer_key, alpn, route: Route::Quic };
        let peer = there.dial(&target).await.unwrap();
        let connection = timeout(SOON, here.accept()).await.unwrap().unwrap();
        let (queue, events) = Queue::new();
        let (greeted, seen) = watch::channel(false);
        tokio::spawn(listen(Heard { conn: ConnId(1), connection, side, protocol, greeted: seen }, queue));
        Self { _ends: [here, there], peer, greeted, events, open: Vec::new() }
    }

    async fn send(&mut self, kind: MessageType, bytes: usize) {
        let (mut send, _recv) = self.peer.open().await.unwrap();
        // A connection that was closed meanwhile is what some of these tests are about.
        let _ = write_frame(&mut send, kind, &vec![0; bytes], SOON).await;
        self.open.push(send);
    }

    async fn heard(&mut self) -> MessageType {
        match timeout(SOON, self.events.recv()).await.unwrap().unwrap() {
            Event::Request { message, .. } => message.kind,
            _ => panic!("no request"),
        }
    }

    async fn closed(&mut self) {
        let event = timeout(SOON, self.events.recv()).await.unwrap().unwrap();
        assert!(matches!(event, Event::Closed(ConnId(1))));
    }

    async fn silent(&mut self) {
        assert!(timeout(NOT_SOON, self.events.recv()).await.is_err(), "nothing more was heard");
    }
}

#[tokio::test]
async fn one_hello_is_heard_and_nothing_more_until_it_is_answered_well() {
    let mut line = Line::new(Side::Listener, Protocol::Main).await;
    line.send(MessageType::Hello, 100).await;
    assert_eq!(line.heard().await, MessageType::Hello);
    line.send(MessageType::Document, 1 << 20).await;
    line.send(MessageType::Hello, 100).await;
    line.silent().await;
    line.greeted.send_replace(true);
    let mut heard = [line.heard().await, line.heard().await];
    heard.sort_by_key(|kind| kind.code());
    assert_eq!(heard.map(|kind| kind == MessageType::Document || kind == MessageType::Hello), [true, true]);
    assert_ne!(heard[0], heard[1], "what was sent early was only late");
}

#[tokio::test]
async fn whoever_begins_with_anything_else_is_hung_up_on() {
    for (protocol, kind, bytes) in [
        (Protocol::Main, MessageType::Document, 10),
        (Protocol::Main, MessageType::Join, 10),
        (Protocol::Join, MessageType::Hello, 10),
    ] {
        let mut line = Line::new(Side::Listener, protocol).await;
        line.send(kind, bytes).await;
        line.closed().await;
        timeout(SOON, line.peer.closed()).await.unwrap();
    }
    let mut line = Line::new(Side::Listener, Protocol::Join).await;
    line.send(MessageType::Join, 10).await;
    assert_eq!(line.heard().await, MessageType::Join);
    line.send(MessageType::Join, 10).await;
    line.silent().await;
}

#[tokio::test]
async fn whoever_was_dialled_says_nothing_before_the_answer_to_our_hello() {
    let mut line = Line::new(Side::Dialler, Protocol::Main).await;
    line.send(MessageType::Document, 10).await;
    line.silent().await;
    line.greeted.send_replace(true);
    assert_eq!(line.heard().await, MessageType::Document);
    line.peer.close(0, "done");
    line.closed().await;
}
