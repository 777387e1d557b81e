//! Documents between two nodes: each in its place and once.

use super::*;
use crate::state::subscription::Phase;

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

// MAIL-4 MAIL-6
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
    for (node, seen) in pair.seen.iter().enumerate() {
        assert!(!seen.iter().any(|effect| matches!(effect, Effect::Close { .. })), "{node} keeps the connection");
    }
    pair.disconnect();
    assert!(!pair.try_connect(), "nor is a newer record in a HELLO taken");
    pair.disconnect();
    pair.mono = Millis(2 * hour);
    assert!(pair.try_connect());
    assert_eq!(pair.state(0).mail[&north].received(), received + 2);
}

// MAIL-6
#[test]
fn a_peer_that_was_busy_is_left_in_rest_for_five_minutes_and_no_longer() {
    let (hour, rest) = (3_600_000, 300_000);
    let mut pair = Pair::new();
    let north = pair.parties[1].name.clone();
    pair.mono = Millis(2 * hour - rest);
    pair.feed(0, Input::Tick);
    for _ in 0..10_000 {
        assert!(pair.nodes[0].may_grow(pair.consortium, &north, 1));
    }
    let before = pair.state(0).mail[&north].received();
    let record = pair.parties[1].record(pair.consortium, 2);
    pair.nodes[1].persist(pair.consortium, &Actor::Node, vec![Act::NodeRecord(record)]);
    pair.feed(1, Input::Tick);
    let refusals = |pair: &Pair| {
        let busy = |entry: &&JournalEntry| matches!(entry.act, Act::PeerRefused { code: ErrorCode::Busy, .. });
        pair.journals[0].iter().filter(busy).count()
    };
    assert_eq!((pair.state(0).mail[&north].received(), refusals(&pair)), (before, 1));
    pair.mono = Millis(2 * hour - 1);
    pair.feed(1, Input::Tick);
    assert_eq!(refusals(&pair), 1, "a millisecond too early it is not asked again");
    assert_eq!(pair.nodes[1].poll_wake(), Some(Millis(2 * hour)), "it wakes in time");
    pair.mono = Millis(2 * hour);
    pair.feed(1, Input::Tick);
    assert_eq!(pair.state(0).mail[&north].received(), before + 1, "another hour has begun");
}

// MAIL-1 MAIL-2 SHARE-21
#[test]
fn an_answer_that_came_too_late_counts_for_nothing_at_either_side_whatever_was_lost() {
    /// What is lost of the refusal: nothing, its way back, or the memory of the consumer too.
    #[derive(Debug, PartialEq)]
    enum Lost {
        Nothing,
        Refusal,
        Memory,
    }
    for lost in [Lost::Nothing, Lost::Refusal, Lost::Memory] {
        let mut pair = Pair::new();
        pair.order(1, Command::DefineDataset(dataset("/data/stays.csv"))).unwrap();
        let share = share(pair.consortium, 1, LandedRows::Exclude);
        pair.order(1, Command::DefineShare(share.clone())).unwrap();
        pair.approve(&share).unwrap();
        pair.invite().unwrap();
        // The provider's clock is past the time, the consumer's is a minute behind.
        pair.wall[1] = pair.subscription(1).invitation.answer_by;
        pair.wall[0] = UnixMillis(pair.wall[1].0 - 60_000);
        pair.deaf = lost != Lost::Nothing;
        pair.accept();
        assert_eq!(pair.subscription(0).phase(NOW) == Phase::Active, pair.deaf, "{lost:?}");
        if lost == Lost::Memory {
            pair.backup[0] = pair.journals[0].len();
            pair.restore(0);
        } else {
            pair.disconnect();
        }
        pair.deaf = false;
        pair.connect();
        assert_eq!(pair.subscription(1).phase(NOW), Phase::Invited, "{lost:?}");
        assert_eq!(pair.subscription(0).phase(NOW), Phase::Invited, "{lost:?}");
        let entries = pair.journals[0].len();
        pair.disconnect();
        pair.connect();
        assert_eq!(pair.journals[0].len(), entries, "{lost:?}: what was heard is not asked again");
        pair.wall = [NOW; 2];
        pair.accept();
        assert_eq!(pair.subscription(1).phase(NOW), Phase::Active, "{lost:?}: in time it is taken");
        assert_eq!(pair.subscription(0).phase(NOW), Phase::Active, "{lost:?}");
        pair.take();
        assert!(pair.subscription(0).has_acted());
        let (north, entries) = (pair.parties[1].name.clone(), pair.journals[0].len());
        for sent in 0..pair.state(0).mail[&north].len() {
            pair.nodes[0].note_refused(pair.consortium, &north, sent, ErrorCode::Expired);
        }
        pair.feed(0, Input::Tick);
        assert_eq!(pair.journals[0].len(), entries, "{lost:?}: what was acted on is not taken back");
    }
}
