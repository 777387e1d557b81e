//! Documents between two nodes: each in its place and once.

use super::*;

// MAIL-1 MAIL-2
#[test]
fn a_document_is_taken_in_its_place_and_once() {
    let mut pair = Pair::new();
    pair.share(LandedRows::Exclude);
    let north = pair.parties[1].name.clone();
    let received = pair.state(0).mail[&north].received();
    assert_eq!(received, pair.state(1).mail[&pair.parties[0].name].len(), "nothing is left over");
    let (entries, first) = (pair.state(0).entries, pair.state(1).mail[&pair.parties[0].name].get(0).cloned().unwrap());
    for (stream, index, kind) in [(31, 0, MessageType::Done), (32, received + 1, MessageType::Refused)] {
        let numbered = Numbered { index, document: (*first).clone() };
        let message = Message { kind: MessageType::Document, payload: codec::encode(&numbered) };
        pair.feed(0, Input::Request { conn: ConnId(1), stream: StreamId(stream), message });
        let reply = pair.seen[0].iter().find_map(|effect| match effect {
            Effect::Reply { stream: s, message, .. } if *s == StreamId(stream) => Some(message.kind),
            _ => None,
        });
        assert_eq!(reply, Some(kind), "index {index}");
    }
    assert_eq!(pair.state(0).entries, entries, "neither is entered");
}

// EXPORT-2
#[test]
fn a_folder_that_may_be_anybodys_uses_up_no_place() {
    let mut pair = Pair::new();
    let (op, protocol) = (pair.parties[0].name.clone(), Protocol::Offline("op".parse().unwrap()));
    let (consortium, tls) = (Some(pair.consortium), pair.parties[0].tls.public());
    let received = pair.state(1).mail.get(&op).map_or(0, Mailbox::received);
    pair.feed(1, Input::Connected { conn: ConnId(9), side: Side::Dialler, protocol, consortium, tls });
    let numbered = Numbered { index: received, document: invalid(&pair) };
    let message = Message { kind: MessageType::Document, payload: codec::encode(&numbered) };
    pair.feed(1, Input::Request { conn: ConnId(9), stream: StreamId(41), message: message.clone() });
    assert_eq!(pair.state(1).mail.get(&op).map_or(0, Mailbox::received), received);
    pair.feed(1, Input::Request { conn: ConnId(1), stream: StreamId(42), message });
    assert_eq!(pair.state(1).mail[&op].received(), received + 1, "over a connection it counts");
}

// MAIL-4
#[test]
fn a_peer_that_sends_without_end_is_refused_and_heard_again_after_an_hour() {
    let hour = 3_600_000;
    let mut pair = Pair::new();
    let north = pair.parties[1].name.clone();
    pair.mono = Millis(hour);
    let send = |pair: &mut Pair, sequence| {
        let record = pair.parties[1].record(pair.consortium, sequence);
        pair.nodes[1].persist(pair.consortium, &Actor::Node, vec![Act::NodeRecord(record)]);
        pair.feed(1, Input::Tick);
        pair.state(0).mail[&pair.parties[1].name].received()
    };
    let fill = |pair: &mut Pair, documents: usize| {
        pair.feed(0, Input::Tick);
        for _ in 0..documents {
            assert!(pair.nodes[0].may_grow(pair.consortium, &pair.parties[1].name, 1));
        }
    };
    fill(&mut pair, 9_999);
    let received = pair.state(1).mail[&pair.parties[0].name].len();
    assert_eq!(send(&mut pair, 2), received + 1, "the last one of this hour");
    assert_eq!(send(&mut pair, 3), received + 1, "the next one is not counted");
    let busy = Effect::Close { conn: ConnId(1), code: ErrorCode::Busy };
    assert!(pair.seen[0].contains(&busy), "and the connection is closed");
    pair.disconnect();
    assert!(!pair.try_connect(), "nor is a newer record in a HELLO taken");
    pair.disconnect();
    pair.mono = Millis(2 * hour);
    assert!(pair.try_connect());
    assert_eq!(pair.state(0).mail[&north].received(), received + 2);
}
