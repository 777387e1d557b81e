//! Linkage keys and statements: whom a key is wrapped for, whose wrap is opened, whose check value counts.

use super::*;
use crate::record::linkage_wrap::LinkageWrap;
use crate::wire::codec::Blob;

const KEY: LinkageKeyId = LinkageKeyId([4; 16]);

fn held() -> Act {
    Act::LinkageKeyHeld { epoch: 1, key: KEY }
}

fn statement(check: u8) -> LinkageStatement {
    LinkageStatement { epoch: 1, key: KEY, normaliser: 1, check: LinkageCheck([check; 16]) }
}

/// To whom the member wraps its key when it is told to.
fn recipients(pair: &mut Pair) -> Vec<String> {
    pair.order(1, Command::WrapLinkageKey { epoch: 1 }).unwrap();
    let wrap = |effect: &Effect| match effect {
        Effect::WrapLinkageKey { recipients, .. } => Some(recipients.clone()),
        _ => None,
    };
    pair.pick(1, wrap).unwrap().into_iter().map(|(name, _)| name.to_string()).collect()
}

/// The other member's wrap for this one, as the operator relays it.
fn relayed(pair: &Pair, south: &Party3) -> Document {
    let wrap = LinkageWrap {
        consortium: pair.consortium,
        epoch: 1,
        key: KEY,
        maker: south.name.clone(),
        recipient: pair.parties[1].name.clone(),
        sealing: SealingKey([5; 32]),
        ephemeral: SealingKey([6; 32]),
        ciphertext: Blob(vec![1; 48]),
        at: NOW,
        ext: Extensions::default(),
    };
    Document::LinkageWrap(Signed::sign(&wrap, &south.signing))
}

fn opens(pair: &mut Pair) -> bool {
    let open = |effect: &Effect| matches!(effect, Effect::OpenLinkageWrap { .. }).then_some(());
    pair.pick(1, open).is_some()
}

fn confirm(pair: &mut Pair, south: &Party3) {
    let (party, root) = (south.name.clone(), south.root.public());
    pair.order(1, Command::ConfirmRoot { party, root }).unwrap();
}

// LINK-1
#[test]
fn a_key_is_wrapped_only_for_a_party_whose_root_a_person_has_compared() {
    let south = Party3::new("south", 3);
    let mut amendment = Amendment::linked("north");
    amendment.past[1].push(held());
    let mut pair = Pair::amended(&amendment);
    assert!(recipients(&mut pair).is_empty(), "nobody has been met");
    confirm(&mut pair, &south);
    assert_eq!(recipients(&mut pair), ["south"]);
    pair.wall[1] = UnixMillis(NOW.0 + 20 * 24 * 3600 * 1000 - 1);
    assert_eq!(pair.state(1).records[&south.name].record.not_after.0, pair.wall[1].0 + 1);
    assert_eq!(recipients(&mut pair), ["south"], "its record stands for a millisecond more");
    pair.wall[1].0 += 1;
    assert!(recipients(&mut pair).is_empty(), "the record of the met root has run out");
}

// LINK-1
#[test]
fn a_wrap_is_opened_only_once_a_person_has_compared_its_makers_root() {
    let south = Party3::new("south", 3);
    let mut pair = Pair::amended(&Amendment::linked("south"));
    let wrap = relayed(&pair, &south);
    assert_eq!(pair.deliver(1, wrap), None, "it is kept");
    assert!(!opens(&mut pair), "and not opened: nobody here has met its maker");
    pair.feed(1, Input::Tick);
    assert!(!opens(&mut pair));
    confirm(&mut pair, &south);
    pair.mono = Millis(10_000);
    pair.feed(1, Input::Tick);
    assert!(opens(&mut pair));
}

// LINK-6
#[test]
fn a_check_value_is_the_key_makers_alone() {
    for (key_maker, other_value) in [("south", None), ("north", Some(ErrorCode::LinkageMismatch))] {
        let mut amendment = Amendment::linked(key_maker);
        amendment.past[0].push(held());
        let mut pair = Pair::amended(&amendment);
        let terms = linked(share(pair.consortium, 1, LandedRows::Exclude), Linkage::Token);
        pair.subscribe(&terms);
        let first = Manifest { linkage: Some(statement(1)), ..manifest(&terms) };
        assert_eq!(pair.state_by_hand(&first), None, "{key_maker}");
        let values: Vec<_> = pair.state(0).linkage.checks.values().copied().collect();
        let expected = if key_maker == "north" { vec![LinkageCheck([1; 16])] } else { vec![] };
        assert_eq!(values, expected, "what a member states that is not the key maker is nobody's measure");
        let previous = Some(SnapshotId(Signed::unsigned(&first).digest().0));
        let second = Manifest { linkage: Some(statement(2)), sequence: 2, previous, ..first };
        assert_eq!(pair.state_by_hand(&second), other_value, "{key_maker}");
    }
}

// SNAP-11
#[test]
fn label_and_columns_are_what_the_accepted_terms_say() {
    let harbor: fn(Share) -> Share = |terms| {
        altered(terms, |fields| {
            if let Content::Table(table) = &mut fields.content {
                table.standard = Standard::HipaaSafeHarbor;
            }
        })
    };
    let plain: fn(Share) -> Share = |terms| terms;
    let files: fn(Share) -> Share = |terms| altered(terms, |fields| fields.content = Content::UncheckedFiles);
    let labels = [ContentLabel::Pseudonymised, ContentLabel::Unchecked, ContentLabel::SafeHarbor];
    let stated = |terms: fn(Share) -> Share, change: &dyn Fn(&mut Manifest)| {
        let mut pair = Pair::amended(&Amendment::linked("north"));
        let terms = terms(share(pair.consortium, 1, LandedRows::Exclude));
        pair.subscribe(&terms);
        let mut manifest = Manifest { label: ContentLabel::of(&terms.content), ..manifest(&terms) };
        change(&mut manifest);
        pair.state_by_hand(&manifest)
    };
    for (right, terms) in labels.into_iter().zip([plain, files, harbor]) {
        for label in labels {
            let expected = if label == right { None } else { Some(ErrorCode::Malformed) };
            assert_eq!(stated(terms, &|manifest| manifest.label = label), expected, "{right:?} as {label:?}");
        }
    }
    let malformed = Some(ErrorCode::Malformed);
    assert_eq!(stated(plain, &|manifest| manifest.columns.truncate(1)), malformed);
    assert_eq!(stated(plain, &|manifest| manifest.columns[0].role = ColumnRole::Sensitive), malformed);
    let column = || Column::new("x".parse().unwrap(), ColumnType::Text, ColumnRole::Sensitive, Treatment::Keep);
    assert_eq!(stated(files, &|manifest| manifest.columns.push(column())), malformed);
}

// LINK-8
#[test]
fn label_and_linkage_statement_are_what_the_accepted_terms_ask_for() {
    type Terms = fn(Share) -> Share;
    let (without, with): (Terms, Terms) = (|terms| terms, |terms| linked(terms, Linkage::Token));
    let files: Terms = |terms| altered(terms, |fields| fields.content = Content::UncheckedFiles);
    let (pseudonymised, unchecked) = (ContentLabel::Pseudonymised, ContentLabel::Unchecked);
    let (fits, label, linkage) = (None, Some(ErrorCode::Malformed), Some(ErrorCode::LinkageMismatch));
    let cases: [(Terms, ContentLabel, Option<LinkageStatement>, Option<ErrorCode>); 9] = [
        (without, pseudonymised, None, fits),
        (without, pseudonymised, Some(statement(1)), linkage),
        (without, unchecked, None, label),
        (with, pseudonymised, Some(statement(1)), fits),
        (with, pseudonymised, None, linkage),
        (with, unchecked, Some(statement(1)), label),
        (files, unchecked, None, fits),
        (files, unchecked, Some(statement(1)), linkage),
        (files, pseudonymised, None, label),
    ];
    for (place, (terms, label, linkage, expected)) in cases.into_iter().enumerate() {
        let mut amendment = Amendment::linked("north");
        amendment.past[0].push(held());
        let mut pair = Pair::amended(&amendment);
        let terms = terms(share(pair.consortium, 1, LandedRows::Exclude));
        pair.subscribe(&terms);
        let stated = Manifest { label, linkage, ..manifest(&terms) };
        assert_eq!(pair.state_by_hand(&stated), expected, "case {place}");
    }
}

// LINK-1
#[test]
fn a_wrap_that_has_waited_is_opened_only_by_the_record_that_stands_now() {
    let validity = 20 * 24 * 3600 * 1000;
    for (after, other_key, expected) in [(validity - 1, false, true), (validity, false, false), (0, true, false)] {
        let south = Party3::new("south", 3);
        let mut pair = Pair::amended(&Amendment::linked("south"));
        let wrap = relayed(&pair, &south);
        assert_eq!(pair.deliver(1, wrap), None);
        if other_key {
            let mut fields = NodeRecordFields::from(south.record(pair.consortium, 2).claimed().unwrap());
            fields.signing = KeyPair::from_seed(&[87; 32]).public();
            let record = Signed::sign(&NodeRecord::try_from(fields).unwrap(), &south.root);
            assert_eq!(pair.deliver(1, Document::NodeRecord(record)), None);
        }
        pair.wall[1] = UnixMillis(NOW.0 + after);
        confirm(&mut pair, &south);
        pair.mono = Millis(10_000);
        pair.feed(1, Input::Tick);
        assert_eq!(opens(&mut pair), expected, "{after} ms later, signed with another key: {other_key}");
    }
}
