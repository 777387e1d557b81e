//! A client of our own that breaks the rules of HELLO and of frames: each is answered by its code, and the node goes on.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cohortium_protocol::code::{ErrorCode, MessageType};
use cohortium_protocol::ident::ConsortiumId;
use cohortium_protocol::key::pair::{KeyPair, PublicKey};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::message::document::Held;
use cohortium_protocol::message::hello::{Hello, Refused};
use cohortium_protocol::record::node_record::{NodeRecord, NodeRecordFields};
use cohortium_protocol::time::UnixMillis;
use cohortium_protocol::wire::codec;
use cohortium_protocol::wire::version::{VersionRange, WireVersion};
use cohortium_store::keystore::{KeySource, Keystore};
use cohortium_tests::real::network::{Network, Plan};
use cohortium_tests::real::site::Site;
use cohortium_tests::real::source::table;
use cohortium_transport::frame::{read_frame, write_frame};
use cohortium_transport::{
    Admission, Alpn, Closed, Connection, DialTarget, Route, TlsIdentity, Transport, TransportConfig,
};
use serde_json::Value;

use crate::PROGRAM;

const SOON: Duration = Duration::from_secs(12);
const HOUR: u64 = 3_600_000;

struct Nobody;

impl Admission for Nobody {
    fn admits(&self, _alpn: Alpn, _key: &PublicKey) -> bool {
        false
    }
}

/// A secret of a node that is at rest.
fn seed(net: &Network, site: &Site, name: &str) -> [u8; 32] {
    let source = KeySource::KeyFile(net.path(&format!("{}.key", site.name)));
    let keystore = Keystore::open(&site.home.join("keystore"), &source).unwrap();
    keystore.secret(name).unwrap().as_slice().try_into().unwrap()
}

/// What the client needs to speak as the member, whose daemon rests.
struct Client {
    consortium: ConsortiumId,
    operator: PublicKey,
    address: std::net::SocketAddr,
    tls: [u8; 32],
    root: KeyPair,
    record: Signed<NodeRecord>,
}

impl Client {
    fn of(net: &Network) -> Self {
        let north = net.north();
        let mut record = north.acts("node-record").into_iter().map(|json| serde_json::from_value(json).unwrap());
        let of_north = |signed: &Signed<NodeRecord>| signed.claimed().unwrap().party.as_str() == "north";
        Self {
            consortium: north.view()["consortium"].as_str().unwrap().parse().unwrap(),
            operator: KeyPair::from_seed(&seed(net, &net.op, "tls")).public(),
            address: net.address,
            tls: seed(net, north, "tls"),
            root: KeyPair::from_seed(&seed(net, north, "root")),
            record: record.rfind(of_north).unwrap(),
        }
    }

    async fn connect(&self, tls: [u8; 32], route: Route) -> (Transport, Connection) {
        let identity = TlsIdentity::from_seed(&tls);
        let config = TransportConfig { listen_udp: None, listen_tcp: None, identity, admission: Arc::new(Nobody) };
        let transport = Transport::bind(config).await.unwrap();
        let target = DialTarget { addr: self.address.into(), peer_key: self.operator, alpn: Alpn::Member, route };
        let connection = transport.dial(&target).await.unwrap();
        (transport, connection)
    }

    /// How a connection ends whose first frame is one that may not be.
    async fn cut_off(&self, route: &Route, kind: MessageType) -> Closed {
        let (transport, connection) = self.connect(self.tls, route.clone()).await;
        let (mut send, _recv) = connection.open().await.unwrap();
        let _ = write_frame(&mut send, kind, &[0; 40], SOON).await;
        let end = closed(&connection).await;
        transport.close().await;
        end
    }

    fn hello(&self) -> Hello {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        Hello {
            versions: VersionRange::OURS,
            consortium: self.consortium,
            record: self.record.clone(),
            clock: UnixMillis(u64::try_from(now).unwrap()),
            held: Held::NONE,
        }
    }

    /// The code that a HELLO is refused with; `None` when it is taken.
    async fn refusal(&self, hello: &Hello) -> Option<ErrorCode> {
        let mut answers = Vec::new();
        for route in [Route::Quic, Route::Tcp] {
            let (transport, connection) = self.connect(self.tls, route).await;
            answers.push(ask(&connection, MessageType::Hello, &codec::encode(hello)).await);
            transport.close().await;
        }
        assert_eq!(answers[0], answers[1], "both routes answer alike");
        answers[0]
    }

    /// The record with other fields, signed by `root`.
    fn record_with(&self, root: &KeyPair, change: impl FnOnce(&mut NodeRecordFields)) -> Signed<NodeRecord> {
        let mut fields = NodeRecordFields::from(self.record.claimed().unwrap());
        change(&mut fields);
        Signed::sign(&NodeRecord::try_from(fields).unwrap(), root)
    }
}

/// One request on a stream of its own: the code it is refused with, or `None` for another answer.
async fn ask(connection: &Connection, kind: MessageType, payload: &[u8]) -> Option<ErrorCode> {
    let (mut send, mut recv) = connection.open().await.unwrap();
    write_frame(&mut send, kind, payload, SOON).await.unwrap();
    let _ = send.finish().await;
    let (kind, payload) = read_frame(&mut recv, SOON).await.unwrap();
    if kind != MessageType::Refused {
        return None;
    }
    ErrorCode::from_code(codec::decode::<Refused>(&payload, 64).unwrap().code)
}

async fn closed(connection: &Connection) -> Closed {
    tokio::time::timeout(Duration::from_secs(30), connection.closed()).await.expect("a broken client is cut off")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The member is at rest and the operator runs.
fn alone() -> (Network, Client) {
    let mut net = Network::new(Plan::pair(PROGRAM));
    table(&net.path("los.csv"), 0..60, 0..0);
    net.offer_table("los");
    let client = Client::of(&net);
    net.north_mut().down();
    (net, client)
}

/// The operator has taken no harm: the true member comes back and a snapshot lands.
fn unharmed(mut net: Network) {
    net.op.tell(&["status"]);
    net.north_mut().up();
    net.north().tell(&["share", "take", "los"]);
    net.op.until_landed("los", 1);
    net.op.verifies();
}

// HELLO-2 HELLO-3 HELLO-4 HELLO-5 HELLO-6
#[test]
fn a_hello_that_does_not_hold_is_answered_with_its_code() {
    let (net, client) = alone();
    runtime().block_on(async {
        let hello = client.hello();
        let clock = |clock: u64| Hello { clock: UnixMillis(clock), ..client.hello() };
        assert_eq!(client.refusal(&clock(hello.clock.0 + HOUR)).await, Some(ErrorCode::ClockSkew));
        assert_eq!(client.refusal(&clock(hello.clock.0 - HOUR)).await, Some(ErrorCode::ClockSkew));
        let other = Hello { consortium: ConsortiumId([9; 32]), ..client.hello() };
        assert_eq!(client.refusal(&other).await, Some(ErrorCode::ConsortiumUnknown));
        let later = VersionRange { oldest: WireVersion(2), newest: WireVersion(9) };
        let version = Hello { versions: later, ..client.hello() };
        assert_eq!(client.refusal(&version).await, Some(ErrorCode::VersionUnknown));
        let held = Held { documents: 1_000_000, ..Held::NONE };
        let future = Hello { held, ..client.hello() };
        assert_eq!(client.refusal(&future).await, Some(ErrorCode::Forked), "a member that knows more than was said");

        let stranger = KeyPair::from_seed(&[77; 32]);
        let records = [
            // Signed by another root than the roster's.
            (client.record_with(&stranger, |_| ()), ErrorCode::IdentityRefused),
            (client.record_with(&stranger, |fields| fields.root = stranger.public()), ErrorCode::IdentityRefused),
            // Another party's name, another TLS key than the connection's, another consortium.
            (
                client.record_with(&client.root, |fields| fields.party = "op".parse().unwrap()),
                ErrorCode::IdentityRefused,
            ),
            (client.record_with(&client.root, |fields| fields.tls = stranger.public()), ErrorCode::IdentityRefused),
            (
                client.record_with(&client.root, |fields| fields.consortium = ConsortiumId([9; 32])),
                ErrorCode::IdentityRefused,
            ),
            // The same number with other content: two nodes with one key.
            (
                client.record_with(&client.root, |fields| fields.not_after = UnixMillis(fields.not_after.0 - 1)),
                ErrorCode::Forked,
            ),
            (
                client.record_with(&client.root, |fields| {
                    fields.sequence += 1;
                    fields.not_before = UnixMillis(1);
                    fields.not_after = UnixMillis(2);
                }),
                ErrorCode::Expired,
            ),
        ];
        for (number, (record, code)) in records.into_iter().enumerate() {
            let refused = client.refusal(&Hello { record, ..client.hello() }).await;
            assert_eq!(refused, Some(code), "record {number}");
        }
        assert_eq!(client.refusal(&client.hello()).await, None, "the true HELLO is taken");
    });
    let codes: Vec<Value> = net.op.acts("peer-refused").into_iter().map(|act| act["code"].clone()).collect();
    assert!(codes.contains(&"clock-skew".into()) && codes.contains(&"identity-refused".into()), "{codes:?}");
    unharmed(net);
}

#[test]
fn a_key_that_is_on_no_roster_is_closed_before_it_says_anything() {
    let (net, client) = alone();
    runtime().block_on(async {
        for route in [Route::Quic, Route::Tcp] {
            let (_transport, connection) = client.connect([78; 32], route).await;
            let Closed::Peer { code, .. } = closed(&connection).await else { panic!("not closed by the node") };
            assert_eq!(code, u32::from(ErrorCode::IdentityRefused.code()));
        }
    });
    unharmed(net);
}

// WIRE-1 WIRE-2 HELLO-1
#[test]
fn frames_that_break_the_rules_cost_the_client_its_connection_and_nobody_else() {
    let (net, client) = alone();
    runtime().block_on(async {
        let oversize = [&MessageType::Hello.code().to_le_bytes()[..], &[0, 0], &u32::MAX.to_le_bytes()].concat();
        let reserved = [&MessageType::Hello.code().to_le_bytes()[..], &[1, 0], &8_u32.to_le_bytes()].concat();
        let unknown = [&9999_u16.to_le_bytes()[..], &[0, 0], &0_u32.to_le_bytes()].concat();
        let garbage = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec();
        for (name, bytes) in
            [("oversize", oversize), ("reserved", reserved), ("unknown", unknown), ("garbage", garbage)]
        {
            for route in [Route::Quic, Route::Tcp] {
                let (transport, connection) = client.connect(client.tls, route).await;
                let (mut send, mut recv) = connection.open().await.unwrap();
                send.write_all(&bytes).await.unwrap();
                let _ = send.finish().await;
                let answer = read_frame(&mut recv, SOON).await;
                let refused = !matches!(answer, Ok((kind, _)) if kind != MessageType::Refused);
                assert!(refused, "{name}: {answer:?}");
                transport.close().await;
            }
        }
        // A well-formed frame of nonsense is answered; of a request before any HELLO not even the payload is read.
        for route in [Route::Quic, Route::Tcp] {
            let (transport, connection) = client.connect(client.tls, route.clone()).await;
            assert_eq!(ask(&connection, MessageType::Hello, b"nonsense").await, Some(ErrorCode::Malformed));
            transport.close().await;
            for kind in [MessageType::RangeGet, MessageType::Document] {
                let ends = [client.cut_off(&route, kind).await, client.cut_off(&route, kind).await];
                let said = |end: &Closed| matches!(end, Closed::Peer { code, .. } if *code == u32::from(ErrorCode::OutOfOrder.code()));
                // A last word that was lost is followed by a reset. Over TCP what was sent and not read may take it along.
                let silent = |end: &Closed| *end == Closed::Reset || (route == Route::Tcp && *end == Closed::Lost);
                assert!(ends.iter().all(|end| said(end) || silent(end)), "{kind:?} over {route}: {ends:?}");
                assert!(route == Route::Tcp || ends.iter().any(said), "{kind:?}: the code is never heard: {ends:?}");
            }
        }
        // Whoever says nothing at all is cut off.
        let (_transport, connection) = client.connect(client.tls, Route::Tcp).await;
        let end = closed(&connection).await;
        assert!(matches!(end, Closed::Peer { .. } | Closed::Lost), "{end:?}");
    });
    unharmed(net);
}

// MAIL-2 XFER-3
#[test]
fn after_hello_a_document_of_the_past_is_harmless_and_one_of_the_future_is_refused() {
    use cohortium_protocol::message::document::{Document, Numbered};
    use cohortium_protocol::message::transfer::RangeGet;
    let (net, client) = alone();
    let before = net.op.view()["journal_entries"].as_u64().unwrap();
    runtime().block_on(async {
        let (_transport, connection) = client.connect(client.tls, Route::Quic).await;
        assert_eq!(ask(&connection, MessageType::Hello, &codec::encode(&client.hello())).await, None);
        let document =
            |index| codec::encode(&Numbered { index, document: Document::NodeRecord(client.record.clone()) });
        for _ in 0..3 {
            assert_eq!(
                ask(&connection, MessageType::Document, &document(0)).await,
                None,
                "a replay is answered as before"
            );
        }
        assert_eq!(ask(&connection, MessageType::Document, &document(500)).await, Some(ErrorCode::OutOfOrder));
        assert_eq!(
            ask(&connection, MessageType::Hello, &codec::encode(&client.hello())).await,
            Some(ErrorCode::OutOfOrder)
        );
        // Bytes of a subscription in which this party is no consumer.
        let found = net.op.subscription("los");
        let get = RangeGet {
            subscription: found["subscription"].as_str().unwrap().parse().unwrap(),
            snapshot: "00".repeat(32).parse().unwrap(),
            blob: "00".repeat(32).parse().unwrap(),
            offset: cohortium_protocol::quantity::Bytes(0),
        };
        assert_eq!(ask(&connection, MessageType::RangeGet, &codec::encode(&get)).await, Some(ErrorCode::NotFound));
        connection.close(0, "done");
    });
    let after = net.op.view()["journal_entries"].as_u64().unwrap();
    assert!(after - before < 10, "replays fill no journal: {before} {after}");
    unharmed(net);
}
