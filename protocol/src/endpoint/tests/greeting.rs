//! HELLO: who a peer must show to be, and what waits until it has.

use super::*;

/// A record, the connection's key, a clock, and how many documents are held.
type Claimed = (Signed<NodeRecord>, PublicKey, UnixMillis, u64);

// HELLO-3 HELLO-5 HELLO-6
#[test]
fn a_peer_shows_the_record_of_the_rosters_root_and_the_key_of_its_connection() {
    type Attempt = (fn(&Pair) -> Claimed, Option<ErrorCode>);
    let attempts: [Attempt; 7] = [
        (|p| (p.parties[1].record(p.consortium, 1), p.parties[1].tls.public(), NOW, 0), None),
        (
            |p| (p.parties[1].record(p.consortium, 1), p.parties[1].ada.public(), NOW, 0),
            Some(ErrorCode::IdentityRefused),
        ),
        (
            |p| (Party3::new("north", 3).record(p.consortium, 9), Party3::new("north", 3).tls.public(), NOW, 0),
            Some(ErrorCode::IdentityRefused),
        ),
        (
            |p| (Party3::new("south", 2).record(p.consortium, 9), p.parties[1].tls.public(), NOW, 0),
            Some(ErrorCode::IdentityRefused),
        ),
        (
            |p| (p.parties[1].record(p.consortium, 1), p.parties[1].tls.public(), UnixMillis(NOW.0 - 600_001), 0),
            Some(ErrorCode::ClockSkew),
        ),
        (|p| (p.parties[1].record(p.consortium, 1), p.parties[1].tls.public(), NOW, 99), Some(ErrorCode::Forked)),
        (
            |p| (p.parties[1].record(ConsortiumId([3; 32]), 1), p.parties[1].tls.public(), NOW, 0),
            Some(ErrorCode::IdentityRefused),
        ),
    ];
    for (place, (claim, expected)) in attempts.into_iter().enumerate() {
        let mut pair = Pair::new();
        let (record, tls, clock, documents) = claim(&pair);
        let held = Held { documents, head: MailHead::NONE };
        let hello = crate::message::hello::Hello {
            versions: crate::wire::version::VersionRange::OURS,
            consortium: pair.consortium,
            record,
            clock,
            held,
        };
        let (conn, side, protocol) = (ConnId(5), Side::Listener, Protocol::Main);
        pair.feed(0, Input::Connected { conn, side, protocol, consortium: None, tls });
        let message = Message { kind: MessageType::Hello, payload: codec::encode(&hello) };
        pair.feed(0, Input::Request { conn, stream: StreamId(61), message });
        let code = pair.seen[0].iter().find_map(|effect| match effect {
            Effect::Reply { stream, message, .. }
                if *stream == StreamId(61) && message.kind == MessageType::Refused =>
            {
                Some(code_of(message))
            }
            _ => None,
        });
        assert_eq!(code, expected, "attempt {place}");
    }
}

// HELLO-5
#[test]
fn both_sides_know_how_far_their_clocks_lie_apart() {
    let mut pair = Pair::new();
    pair.disconnect();
    pair.wall = [NOW, UnixMillis(NOW.0 - 90_000)];
    pair.connect();
    for (node, other) in [(0, 1), (1, 0)] {
        let clocks = pair.nodes[node].clocks(pair.consortium);
        let expected = Clocks { theirs: pair.wall[other], ours: pair.wall[node] };
        assert_eq!(clocks, BTreeMap::from([(pair.parties[other].name.clone(), expected)]));
    }
    pair.disconnect();
    assert!(pair.nodes[0].clocks(pair.consortium).is_empty());
}

// HELLO-7
#[test]
fn what_overtakes_the_answer_to_hello_waits_for_it() {
    let mut pair = Pair::new();
    let (side, protocol, conn) = (Side::Dialler, Protocol::Main, ConnId(7));
    let (consortium, tls) = (Some(pair.consortium), pair.parties[0].tls.public());
    let cx = Cx { mono: Millis(1), wall: NOW };
    pair.nodes[1].handle(cx, Input::Connected { conn, side, protocol, consortium, tls });
    let message = Message { kind: MessageType::Document, payload: vec![1, 2, 3] };
    for stream in 0..=EARLY_MAX as u64 {
        assert!(pair.nodes[1].conns.contains_key(&conn), "{stream} wait");
        let (stream, message) = (StreamId(70 + stream), message.clone());
        pair.nodes[1].handle(cx, Input::Request { conn, stream, message });
    }
    assert!(!pair.nodes[1].conns.contains_key(&conn), "only so many wait");
}

// HELLO-8
#[test]
fn a_connection_ends_with_the_record_and_the_key_it_was_opened_with() {
    let up = |pair: &Pair| pair.nodes[0].connected_parties(pair.consortium).len();
    let validity = 20 * 24 * 3600 * 1000;
    for (after, open) in [(validity - 1, 1), (validity, 0)] {
        let mut pair = Pair::new();
        pair.wall[0] = UnixMillis(NOW.0 + after);
        pair.feed(0, Input::Tick);
        assert_eq!(up(&pair), open, "{after} ms after the record was signed");
    }
    for (tls, open) in [(None, 1), (Some(KeyPair::from_seed(&[88; 32]).public()), 0)] {
        let mut pair = Pair::new();
        let north = &pair.parties[1];
        let mut fields = NodeRecordFields::from(north.record(pair.consortium, 2).claimed().unwrap());
        fields.tls = tls.unwrap_or(fields.tls);
        let record = Signed::sign(&NodeRecord::try_from(fields).unwrap(), &north.root);
        assert_eq!(pair.deliver(0, Document::NodeRecord(record)), None);
        pair.feed(0, Input::Tick);
        assert_eq!(up(&pair), open, "the newer record names {tls:?}");
        let closed = Effect::Close { conn: ConnId(1), code: ErrorCode::Expired };
        assert_eq!(pair.seen[0].contains(&closed), open == 0);
    }
}

// HELLO-8 HELLO-10
#[test]
fn a_dialler_with_a_renewed_key_and_nothing_to_say_stays() {
    for (tls, open) in [(91, true), (92, false)] {
        let mut pair = Pair::new();
        pair.disconnect();
        // The member has renewed its TLS key, and shows the record in HELLO alone.
        pair.parties[1].tls = KeyPair::from_seed(&[91; 32]);
        let record = pair.parties[1].record(pair.consortium, 2);
        pair.nodes[1].persist(pair.consortium, &Actor::Node, vec![Act::NodeRecord(record)]);
        pair.silent = true;
        assert!(pair.try_connect());
        assert_eq!(pair.state(0).records[&pair.parties[1].name].record.sequence, 1, "it waits for the first word");
        // A record that came since by another way is newer still.
        if tls == 92 {
            pair.parties[1].tls = KeyPair::from_seed(&[92; 32]);
            let newer = pair.parties[1].record(pair.consortium, 3);
            pair.nodes[0].persist(pair.consortium, &Actor::Node, vec![Act::NodeRecord(newer)]);
        }
        pair.feed(0, Input::Tick);
        assert_eq!(pair.nodes[0].connected_parties(pair.consortium).len() == 1, open, "{tls}");
    }
}

// HELLO-6 HELLO-9
#[test]
fn a_node_whose_disk_was_rolled_back_is_noticed_also_when_it_has_written_on() {
    /// The operator signs another record of its own: one document for the member.
    fn renew(pair: &mut Pair, sequence: u64) {
        let record = pair.parties[0].record(pair.consortium, sequence);
        pair.nodes[0].persist(pair.consortium, &Actor::Node, vec![Act::NodeRecord(record)]);
        pair.feed(0, Input::Tick);
    }
    let wrote = |pair: &Pair| pair.state(0).mail[&pair.parties[1].name].len();
    for (after, forked) in [(&[2, 3][..], false), (&[2][..], true), (&[4, 5][..], true), (&[4, 5, 6][..], true)] {
        let mut pair = Pair::new();
        let backup = wrote(&pair);
        renew(&mut pair, 2);
        renew(&mut pair, 3);
        assert_eq!(pair.state(1).mail[&pair.parties[0].name].received(), backup + 2);
        pair.restore(0);
        for sequence in after {
            renew(&mut pair, *sequence);
        }
        assert_eq!(wrote(&pair), backup + after.len() as u64);
        let up = pair.try_connect();
        assert_eq!(up, !forked, "restored and written on: {after:?}");
        let told = Effect::Notify(Notice::MailForked(pair.parties[1].name.clone()));
        assert_eq!(pair.seen[0].contains(&told), forked, "its people are told");
        let closed = Effect::Close { conn: ConnId(1), code: ErrorCode::Forked };
        assert_eq!(pair.seen[0].contains(&closed), forked);
    }
}

// HELLO-10
#[test]
fn a_dialler_that_was_rolled_back_leaves_no_record_behind() {
    /// The member signs another record of its own.
    fn renew(pair: &mut Pair, sequence: u64) {
        let record = pair.parties[1].record(pair.consortium, sequence);
        pair.nodes[1].persist(pair.consortium, &Actor::Node, vec![Act::NodeRecord(record)]);
        pair.feed(1, Input::Tick);
    }
    let known = |pair: &Pair| pair.state(0).records[&pair.parties[1].name].record.sequence;
    let mut pair = Pair::new();
    renew(&mut pair, 2);
    renew(&mut pair, 3);
    assert_eq!(known(&pair), 3);
    pair.restore(1);
    renew(&mut pair, 9);
    assert!(!pair.try_connect(), "it has written less than the operator holds");
    assert_eq!(known(&pair), 3, "the record of the forgotten disk is not taken");
    // A record that was renewed while nothing was connected is taken with the first word.
    let mut pair = Pair::new();
    pair.disconnect();
    renew(&mut pair, 2);
    assert_eq!(known(&pair), 1);
    assert!(pair.try_connect());
    assert_eq!(known(&pair), 2);
}
