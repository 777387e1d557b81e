//! Serving: which bytes may leave at this moment.

use super::*;
use crate::message::transfer::BulkBegin;
use crate::record::acceptance::StandingState;

// XFER-1
#[test]
fn a_range_that_waits_for_the_disk_does_not_leave_after_a_revocation() {
    let mut pair = Pair::new();
    pair.share(LandedRows::Exclude);
    pair.ask_range(11);
    assert_eq!(pair.serves(), 1, "an active subscription is served");
    pair.disk_waits = true;
    let refusal = Numbered { index: pair.state(1).mail[&pair.parties[0].name].received(), document: invalid(&pair) };
    let message = Message { kind: MessageType::Document, payload: codec::encode(&refusal) };
    pair.feed(1, Input::Request { conn: ConnId(1), stream: StreamId(12), message });
    pair.ask_range(13);
    assert_eq!(pair.serves(), 1, "the second waits for the entry before it");
    let change = Change::Revoke;
    pair.order(1, Command::ChangeSubscription { subscription: SUBSCRIPTION, change, reason: None }).unwrap();
    pair.disk_waits = false;
    let upto = pair.written(1);
    pair.feed(1, Input::Persisted { consortium: pair.consortium, upto });
    assert_eq!((pair.serves(), pair.refusal(13)), (1, Some(ErrorCode::Revoked)));
    pair.ask_range(14);
    assert_eq!((pair.serves(), pair.refusal(14)), (1, Some(ErrorCode::Revoked)));
}

// XFER-4
#[test]
fn nothing_leaves_while_the_node_is_stopped() {
    let mut pair = Pair::new();
    pair.share(LandedRows::Exclude);
    pair.order(1, Command::Stop).unwrap();
    pair.ask_range(11);
    assert_eq!((pair.serves(), pair.refusal(11)), (0, Some(ErrorCode::Stopped)));
    pair.order(1, Command::Start).unwrap();
    pair.ask_range(12);
    assert_eq!(pair.serves(), 1);
}

// XFER-5
#[test]
fn narrowed_terms_end_the_serving_of_what_was_wider() {
    let mut pair = Pair::new();
    pair.share(LandedRows::Exclude);
    pair.ask_range(51);
    assert_eq!(pair.serves(), 1);
    let narrower = share(pair.consortium, 2, LandedRows::Exclude);
    pair.order(1, Command::DefineShare(narrower)).unwrap();
    pair.invite().unwrap();
    pair.accept();
    pair.ask_range(52);
    assert_eq!((pair.serves(), pair.refusal(52)), (1, Some(ErrorCode::NotFound)));
}

// JRNL-1
#[test]
fn nothing_is_done_after_the_journal_failed() {
    let mut pair = Pair::new();
    pair.share(LandedRows::Exclude);
    pair.feed(1, Input::JournalFailed);
    assert!(
        pair.seen[1].iter().any(|effect| matches!(effect, Effect::Cut { under } if under.subscription == SUBSCRIPTION))
    );
    assert_eq!(pair.order(1, Command::Stop), Err(OrderFault::Unavailable));
    pair.ask_range(81);
    assert_eq!((pair.serves(), pair.refusal(81)), (0, Some(ErrorCode::Unavailable)));
}

// XFER-2
#[test]
fn a_consumer_reads_as_many_bytes_as_it_has_computed_and_no_others() {
    let group = 262_144;
    let blob = BlobRef { digest: blob_digest(b"rows"), bytes: Bytes(4_194_304 + 7) };
    let (last, first) = (Part::Range(Bytes(4_194_304)), Part::Range(Bytes(0)));
    let (range, outboard) = (MessageType::RangeBegin, MessageType::OutboardBegin);
    let groups = (4_194_304 / group + 1) * 32;
    let cases = [
        (first, range, 4_194_304, Ok(4_194_304)),
        (first, range, 4_194_305, Err(Answer::Wrong)),
        (first, range, 4_194_303, Err(Answer::Wrong)),
        (last, range, 7, Ok(7)),
        (last, range, 4_194_304, Err(Answer::Wrong)),
        (Part::Outboard, outboard, groups, Ok(groups)),
        (Part::Outboard, outboard, groups + 32, Err(Answer::Wrong)),
        (Part::Outboard, range, groups, Err(Answer::Wrong)),
        (first, outboard, 4_194_304, Err(Answer::Wrong)),
        (Part::Range(Bytes(1)), range, 4_194_304, Err(Answer::Wrong)),
        (Part::Range(Bytes(8_388_608)), range, 0, Err(Answer::Wrong)),
    ];
    for (part, kind, bytes, expected) in cases {
        let message = Message { kind, payload: codec::encode(&BulkBegin { bytes: Bytes(bytes) }) };
        assert_eq!(part.begun(blob, &message), expected, "{part:?} begun with {bytes} bytes");
    }
    let refusal = refused(ErrorCode::Revoked);
    assert_eq!(first.begun(blob, &refusal), Err(Answer::Refused(ErrorCode::Revoked)));
}

// XFER-1
#[test]
fn a_revocation_in_one_consortium_cuts_nothing_of_another_that_has_the_same_id() {
    let mut pair = Pair::new();
    pair.share(LandedRows::Exclude);
    let parties = [Party3::new("op", 4), Party3::new("north", 5)];
    let (first, second) = charters(&parties);
    let mut other = Pair::with(parties, &first, &second, &Amendment::default());
    other.share(LandedRows::Exclude);
    let under = |pair: &Pair| Under { consortium: pair.consortium, subscription: SUBSCRIPTION };
    let (ours, theirs) = (under(&pair), under(&other));
    let room = other.nodes[1].rooms.remove(&theirs.consortium).unwrap();
    pair.nodes[1].rooms.insert(theirs.consortium, room);
    for under in [ours, theirs] {
        let (conn, stream, part) = (ConnId(2), StreamId(2), Part::Outboard);
        let waits = Effect::Serve { conn, stream, under, blob: rows_blob(), part };
        pair.nodes[1].rooms.get_mut(&under.consortium).unwrap().held.push_back((u64::MAX, waits));
    }
    pair.feed(1, Input::Served { under: theirs, bytes: Bytes(5) });
    let change = Change::Revoke;
    pair.order(1, Command::ChangeSubscription { subscription: SUBSCRIPTION, change, reason: None }).unwrap();
    let room = |under: Under| &pair.nodes[1].rooms[&under.consortium];
    assert_eq!([room(ours).held.len(), room(theirs).held.len()], [0, 1]);
    assert_eq!([room(ours).served.len(), room(theirs).served.len()], [0, 1]);
    assert!(pair.seen[1].contains(&Effect::Cut { under: ours }));
    assert!(!pair.seen[1].contains(&Effect::Cut { under: theirs }));
}

// XFER-1
#[test]
fn a_provider_that_hears_of_a_pause_ends_what_it_serves_and_a_resumption_ends_nothing() {
    let mut pair = Pair::new();
    pair.share(LandedRows::Exclude);
    let ours = Under { consortium: pair.consortium, subscription: SUBSCRIPTION };
    let cut = |pair: &mut Pair| {
        let found = |effect: &Effect| matches!(effect, Effect::Cut { under } if *under == ours).then_some(());
        pair.pick(1, found).is_some()
    };
    assert!(!cut(&mut pair));
    for (state, ends) in [(StandingState::Paused, true), (StandingState::Active, false), (StandingState::Ended, true)] {
        pair.order(0, Command::SetStanding { subscription: SUBSCRIPTION, state }).unwrap();
        assert_eq!(cut(&mut pair), ends, "{state:?}");
    }
}
