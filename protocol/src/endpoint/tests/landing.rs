//! Landings: what a consumer takes in, and what it erases.

use super::*;

// SNAP-7
#[test]
fn an_erasure_is_stated_when_the_bytes_are_gone_and_takes_what_had_half_landed() {
    let mut pair = Pair::new();
    pair.share(LandedRows::Erase);
    assert_eq!(pair.subscription(0).snapshots[0].fate, Fate::Stated, "on its way");
    let change = Change::Revoke;
    pair.order(1, Command::ChangeSubscription { subscription: SUBSCRIPTION, change, reason: None }).unwrap();
    assert_eq!(pair.subscription(0).snapshots[0].fate, Fate::Erased);
    let live = pair.nodes[0].live_blobs(pair.consortium);
    assert!(live.is_empty(), "nothing of it is named any more");
    assert_eq!(pair.subscription(1).snapshots[0].fate, Fate::Stated, "no receipt before the sweep");
    pair.feed(0, Input::Swept { whole: false });
    assert_eq!(pair.subscription(1).snapshots[0].fate, Fate::Stated, "nor after one that failed");
    pair.feed(0, Input::Swept { whole: true });
    assert_eq!(pair.subscription(1).snapshots[0].fate, Fate::Erased);
}

/// The operator's next snapshot is on its way in, its listing there and read.
pub(super) fn begin_landing(pair: &mut Pair, listing: Option<Listing>) {
    let open = |effect: &Effect| match effect {
        Effect::OpenLanding { ticket, .. } => Some(*ticket),
        _ => None,
    };
    let ticket = pair.pick(0, open).expect("a landing begins");
    pair.feed(0, Input::LandingOpened { ticket, state: Some(LandingState::Complete) });
    let read = |effect: &Effect| match effect {
        Effect::ReadListing { ticket, .. } => Some(*ticket),
        _ => None,
    };
    let ticket = pair.pick(0, read).expect("its listing is read");
    pair.feed(0, Input::ListingRead { ticket, listing });
}

/// Every blob that the landing asks for is there.
pub(super) fn end_unchecked(pair: &mut Pair) {
    let next = |effect: &Effect| match effect {
        Effect::OpenLanding { ticket, .. } => Some(*ticket),
        _ => None,
    };
    while let Some(ticket) = pair.pick(0, next) {
        pair.feed(0, Input::LandingOpened { ticket, state: Some(LandingState::Complete) });
    }
}

/// And the worker has looked.
pub(super) fn end_landing(pair: &mut Pair) {
    end_unchecked(pair);
    let check = |effect: &Effect| match effect {
        Effect::Check { ticket, .. } => Some(*ticket),
        _ => None,
    };
    let ticket = pair.pick(0, check).expect("it is looked at");
    pair.feed(0, Input::Checked { ticket, rows: Some(crate::quantity::Rows(1)) });
}

fn fate(pair: &Pair, node: usize) -> Fate {
    pair.subscription(node).snapshots.last().unwrap().fate
}

// SNAP-6
#[test]
fn bytes_that_are_wrong_again_and_again_refuse_the_snapshot() {
    for (wrong, expected) in [(2, Fate::Stated), (3, Fate::Refused)] {
        let mut pair = Pair::new();
        pair.share(LandedRows::Exclude);
        begin_landing(&mut pair, Some(listing().0));
        let open = |effect: &Effect| match effect {
            Effect::OpenLanding { ticket, .. } => Some(*ticket),
            _ => None,
        };
        let ticket = pair.pick(0, open).unwrap();
        let state = Some(LandingState::Missing(vec![Bytes(0)]));
        pair.feed(0, Input::LandingOpened { ticket, state });
        for _ in 0..wrong {
            assert_eq!(fate(&pair, 0), Fate::Stated);
            let fetch = |effect: &Effect| match effect {
                Effect::Fetch { ticket, .. } => Some(*ticket),
                _ => None,
            };
            let ticket = pair.pick(0, fetch).expect("it is asked for again");
            pair.feed(0, Input::Answered { ticket, answer: Answer::Wrong });
        }
        assert_eq!((fate(&pair, 0), fate(&pair, 1)), (expected, expected), "{wrong} wrong answers");
        let asked = pair.seen[0].iter().any(|effect| matches!(effect, Effect::Fetch { .. }));
        assert_eq!(asked, expected == Fate::Stated, "a refused snapshot is not asked for");
    }
}

// SNAP-8
#[test]
fn a_listing_has_the_blobs_and_bytes_that_its_manifest_says() {
    let blob = |byte: u8, bytes: u64| BlobRef { digest: blob_digest(&[byte]), bytes: Bytes(bytes) };
    let entry = |path: &str, role, blob| ListingEntry {
        path: path.parse().unwrap(),
        role,
        blob,
        rows: crate::quantity::Rows(0),
    };
    let rows = |path: &str, byte| entry(path, BlobRole::Rows, blob(byte, 5));
    let deletes = |path: &str| entry(path, BlobRole::Deletes, blob(9, 3));
    let file = |path: &str, byte| entry(path, BlobRole::File, blob(byte, 7));
    let (table, files) = (ContentLabel::Pseudonymised, ContentLabel::Unchecked);
    let harbor = ContentLabel::SafeHarbor;
    let cases = [
        ("a full table", table, Base::Full, vec![rows("a", 1)], 5, true),
        ("a byte less", table, Base::Full, vec![rows("a", 1)], 4, false),
        ("a byte more", table, Base::Full, vec![rows("a", 1)], 6, false),
        ("no rows", table, Base::Full, vec![], 0, false),
        ("rows twice", table, Base::Full, vec![rows("a", 1), rows("b", 2)], 10, false),
        ("a full table that deletes", table, Base::Full, vec![deletes("a"), rows("b", 1)], 8, false),
        ("a table with a file", table, Base::Full, vec![file("a", 3), rows("b", 1)], 12, false),
        ("a delta", table, Base::Delta, vec![deletes("a"), rows("b", 1)], 8, true),
        ("an empty delta", table, Base::Delta, vec![], 0, true),
        ("a delta with rows twice", table, Base::Delta, vec![rows("a", 1), rows("b", 2)], 10, false),
        ("a delta that deletes twice", table, Base::Delta, vec![deletes("a"), deletes("b")], 3, false),
        ("a delta with a file", table, Base::Delta, vec![file("a", 3)], 7, false),
        ("a full table under Safe Harbor", harbor, Base::Full, vec![rows("a", 1)], 5, true),
        ("a delta under Safe Harbor", harbor, Base::Delta, vec![rows("a", 1)], 5, false),
        ("a file set", files, Base::Full, vec![file("a", 3), file("b", 4)], 14, true),
        ("one blob under two paths", files, Base::Full, vec![file("a", 3), file("b", 3)], 7, true),
        ("a file set with rows", files, Base::Full, vec![rows("a", 1)], 5, false),
        ("a file set as a delta", files, Base::Delta, vec![file("a", 3)], 7, false),
    ];
    for (what, label, base, entries, bytes, expected) in cases {
        let listing = Listing::try_from(entries).unwrap();
        let terms = share(ConsortiumId([1; 32]), 1, LandedRows::Exclude);
        let stated = Manifest { label, base, bytes: Bytes(bytes), ..manifest(&terms) };
        assert_eq!(super::super::land::fits(&listing, &stated), expected, "{what}");
    }
}

// SNAP-8
#[test]
fn a_listing_that_does_not_fit_refuses_the_snapshot() {
    let two = |bytes: u64| {
        let (content, _) = listing();
        let mut entries = content.entries().to_vec();
        entries[0].blob.bytes = Bytes(bytes);
        Listing::try_from(entries).unwrap()
    };
    for (read, expected) in [(None, Fate::Refused), (Some(two(5)), Fate::Refused), (Some(two(4)), Fate::Stated)] {
        let mut pair = Pair::new();
        pair.share(LandedRows::Exclude);
        begin_landing(&mut pair, read);
        assert_eq!(fate(&pair, 0), expected);
    }
}

// SNAP-9
#[test]
fn the_snapshot_after_a_refused_one_is_full() {
    let skew = crate::limits::CLOCK_SKEW_MAX.millis();
    for (behind, builds) in [(skew, true), (skew + 1, false)] {
        let mut pair = Pair::new();
        pair.share(LandedRows::Exclude);
        let (ticket, plan) = pair.begin_run();
        assert!(plan.previous.is_some(), "a delta is taken");
        // The consumer's clock is behind: it refuses a manifest of its future.
        pair.wall[0] = UnixMillis(NOW.0 - behind);
        pair.end_run(ticket, Base::Delta);
        let (ticket, plan) = pair.begin_run();
        assert_eq!(plan.previous.is_some(), builds, "the consumer is {behind} ms behind");
        pair.wall[0] = NOW;
        pair.end_run(ticket, Base::Full);
        assert!(pair.begin_run().1.previous.is_some(), "and after a full one it is a delta again");
    }
    let mut pair = Pair::new();
    pair.share(LandedRows::Exclude);
    begin_landing(&mut pair, None);
    assert!(pair.begin_run().1.previous.is_none(), "a receipt that says refused counts as much");
}

// SNAP-10
#[test]
fn a_receipt_does_not_go_back() {
    let landed = Outcome::Landed { bytes: rows_blob().bytes };
    let (refused, erased) = (Outcome::Refused(ErrorCode::Malformed), Outcome::Erased);
    let back = Some(ErrorCode::OutOfOrder);
    let courses = [
        vec![(landed, None), (landed, back), (refused, back), (erased, None), (landed, back), (erased, back)],
        vec![(refused, None), (landed, back), (erased, None), (refused, back)],
        vec![(erased, None), (landed, back), (refused, back), (erased, back)],
    ];
    for course in courses {
        let mut pair = Pair::new();
        pair.share(LandedRows::Exclude);
        for (outcome, expected) in course {
            let receipt = Receipt {
                consortium: pair.consortium,
                subscription: SUBSCRIPTION,
                snapshot: pair.subscription(1).snapshots[0].id,
                consumer: pair.parties[0].name.clone(),
                outcome,
                at: NOW,
                ext: Extensions::default(),
            };
            let signed = Signed::sign(&receipt, &pair.parties[0].signing);
            assert_eq!(pair.deliver(1, Document::Receipt(signed)), expected, "{outcome:?}");
        }
    }
}

// SNAP-5
#[test]
fn a_version_is_in_use_when_the_worker_has_looked_at_it() {
    let mut pair = Pair::new();
    pair.share(LandedRows::Exclude);
    begin_landing(&mut pair, Some(listing().0));
    assert_eq!(pair.subscription(0).current, None);
    end_landing(&mut pair);
    assert_eq!((fate(&pair, 0), fate(&pair, 1)), (Fate::Landed, Fate::Landed));
    assert!(pair.subscription(0).current.is_some());
}
