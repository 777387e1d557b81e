//! Shares: terms, approvals, and which terms bind.

use super::*;
use crate::record::dataset::{DateFormat, LinkageColumns};
use crate::state::subscription::Phase;

// SHARE-7
#[test]
fn an_approval_ends_with_the_source_it_was_given_for() {
    let mut pair = Pair::new();
    pair.share(LandedRows::Exclude);
    pair.order(1, Command::DefineDataset(dataset("/data/stays.csv"))).unwrap();
    assert!(pair.state(1).offers[&SHARE].approved_now().is_some(), "the same source");
    pair.order(1, Command::DefineDataset(dataset("/data/names.csv"))).unwrap();
    assert_eq!(pair.order(1, Command::TakeSnapshot { share: SHARE }), Err(OrderFault::NotApproved));
    let terms = share(pair.consortium, 1, LandedRows::Exclude);
    pair.approve(&terms).unwrap();
    assert_eq!(pair.order(1, Command::TakeSnapshot { share: SHARE }), Ok(()));
}

// SHARE-8
#[test]
fn an_offer_that_is_not_accepted_changes_no_accepted_terms() {
    let mut pair = Pair::new();
    pair.share(LandedRows::Exclude);
    let stricter = share(pair.consortium, 2, LandedRows::Erase);
    pair.order(1, Command::DefineShare(stricter)).unwrap();
    pair.invite().unwrap();
    assert_eq!(pair.subscription(0).terms_in_force().landed_rows, LandedRows::Exclude);
    pair.accept();
    assert_eq!(pair.subscription(0).terms_in_force().landed_rows, LandedRows::Erase);
}

// SHARE-3
#[test]
fn nothing_is_invited_to_or_taken_before_the_officer_has_approved_exactly_these_terms() {
    let mut pair = Pair::new();
    pair.order(1, Command::DefineDataset(dataset("/data/stays.csv"))).unwrap();
    let terms = share(pair.consortium, 1, LandedRows::Exclude);
    pair.order(1, Command::DefineShare(terms.clone())).unwrap();
    assert_eq!(pair.invite(), Err(OrderFault::NotApproved));
    assert_eq!(pair.order(1, Command::TakeSnapshot { share: SHARE }), Err(OrderFault::NotApproved));
    let other = DocumentDigest(sha256_for("other", b"terms"));
    let approval = Command::ApproveShare { share: SHARE, terms: other, unchecked: Unchecked::No };
    assert!(pair.order(1, approval).is_err());
    pair.approve(&terms).unwrap();
    assert_eq!(pair.invite(), Ok(()));
    assert_eq!(Share::TITLE, "share");
}

// SHARE-5
#[test]
fn terms_fit_the_charter_and_follow_the_last_ones() {
    type Change = fn(&mut ShareFields);
    let cases: [(bool, &str, Change, bool); 12] = [
        (false, "as they are", |_| {}, true),
        (false, "a consumer outside", |terms| terms.consumers.extend(["west".parse().unwrap()]), false),
        (true, "a member as consumer", |terms| terms.consumers.extend(["south".parse().unwrap()]), true),
        (false, "as long as allowed", |terms| terms.expires = NOW.plus(Seconds(100 * 24 * 3600)), true),
        (false, "longer", |terms| terms.expires = UnixMillis(NOW.0 + 100 * 24 * 3600 * 1000 + 1), false),
        (false, "over already", |terms| terms.expires = NOW, false),
        (false, "stricter", |terms| terms.landed_rows = LandedRows::Erase, true),
        (false, "laxer", |terms| terms.landed_rows = LandedRows::Keep, false),
        (true, "tokens", |terms| token(terms), true),
        (false, "tokens without a key maker", |terms| token(terms), false),
        (false, "version 0 is none, 2 is not the first", |terms| terms.version = 2, false),
        (false, "another's name", |terms| terms.provider = "south".parse().unwrap(), false),
    ];
    for (linked, what, change, fits) in cases {
        let mut pair = defining(linked);
        let terms = altered(share(pair.consortium, 1, LandedRows::Exclude), change);
        assert_eq!(pair.order(1, Command::DefineShare(terms)).is_ok(), fits, "{what}");
    }
    let mut pair = defining(false);
    for (version, fits) in [(1, true), (1, false), (3, false), (2, true)] {
        let terms = altered(share(pair.consortium, 1, LandedRows::Exclude), |terms| terms.version = version);
        assert_eq!(pair.order(1, Command::DefineShare(terms)).is_ok(), fits, "version {version}");
    }
}

// SHARE-5
#[test]
fn shifts_need_a_patient_column_and_one_bound_in_all_shares_of_a_node() {
    let mut pair = Pair::amended(&Amendment::default());
    let patient = |patient: Option<&str>| {
        let patient = patient.map(|name| name.parse().unwrap());
        Command::DefineDataset(Dataset { patient, ..dataset("/data/stays.csv") })
    };
    let shifting = |pair: &Pair, id: u8, days_max| {
        Command::DefineShare(altered(share(pair.consortium, 1, LandedRows::Exclude), |terms| {
            terms.share = ShareId([id; 16]);
            if let Content::Table(table) = &mut terms.content {
                table.columns[1].role = ColumnRole::QuasiIdentifier;
                table.columns[1].treatment = Treatment::ShiftDates { format: DateFormat::Iso, days_max };
            }
        }))
    };
    pair.order(1, patient(None)).unwrap();
    let first = shifting(&pair, 1, 30);
    assert!(pair.order(1, first).is_err(), "no patient column");
    pair.order(1, patient(Some("eid"))).unwrap();
    for (id, days_max, fits) in [(1, 30, true), (2, 31, false), (2, 30, true)] {
        let defined = shifting(&pair, id, days_max);
        assert_eq!(pair.order(1, defined).is_ok(), fits, "share {id} within {days_max}");
    }
}

fn token(terms: &mut ShareFields) {
    if let Content::Table(table) = &mut terms.content {
        table.linkage = Linkage::Token;
    }
}

/// A pair whose member has a dataset that tokens can be made from, with a key maker in the charter or without.
fn defining(linked: bool) -> Pair {
    let mut pair = Pair::amended(&if linked { Amendment::linked("north") } else { Amendment::default() });
    let column = |name: &str| name.parse().unwrap();
    let linkage = Some(LinkageColumns {
        given: column("given"),
        family: column("family"),
        birth: column("birth"),
        birth_format: DateFormat::Iso,
    });
    pair.order(1, Command::DefineDataset(Dataset { linkage, ..dataset("/data/stays.csv") })).unwrap();
    pair
}

// SHARE-9
#[test]
fn an_acceptance_that_crosses_a_later_invitation_counts_on_neither_side() {
    for crosses in [true, false] {
        let mut pair = Pair::new();
        pair.order(1, Command::DefineDataset(dataset("/data/stays.csv"))).unwrap();
        let terms = share(pair.consortium, 1, LandedRows::Exclude);
        pair.order(1, Command::DefineShare(terms.clone())).unwrap();
        pair.approve(&terms).unwrap();
        pair.invite().unwrap();
        let phases = |pair: &Pair| [0, 1].map(|node: usize| pair.subscription(node).phase(NOW));
        let terms = |pair: &Pair| [0, 1].map(|node: usize| pair.subscription(node).terms_in_force().version);
        if crosses {
            pair.disconnect();
        }
        pair.accept();
        assert_eq!(phases(&pair)[0], Phase::Active);
        pair.order(1, Command::DefineShare(share(pair.consortium, 2, LandedRows::Exclude))).unwrap();
        pair.invite().unwrap();
        if crosses {
            pair.connect();
        }
        let expected = if crosses { Phase::Invited } else { Phase::Active };
        assert_eq!(phases(&pair), [expected; 2], "crosses: {crosses}");
        pair.accept();
        assert_eq!((phases(&pair), terms(&pair)), ([Phase::Active; 2], [2; 2]));
        // The second acceptance is known to have been heard; a third that crosses a fourth leads back to it.
        pair.order(1, Command::DefineShare(later(&pair, 3))).unwrap();
        pair.invite().unwrap();
        pair.disconnect();
        pair.accept();
        assert_eq!(terms(&pair), [3, 2]);
        pair.order(1, Command::DefineShare(later(&pair, 4))).unwrap();
        pair.invite().unwrap();
        pair.connect();
        assert_eq!((phases(&pair), terms(&pair)), ([Phase::Active; 2], [2; 2]));
        let expires = [0, 1].map(|node: usize| pair.subscription(node).expires);
        assert_eq!(expires, [share(pair.consortium, 2, LandedRows::Exclude).expires; 2]);
    }
}

// SHARE-26
#[test]
fn what_the_dataset_says_of_a_patient_counts_whatever_the_column_is_called() {
    let keep = Treatment::Keep;
    let month = Treatment::Month { format: DateFormat::Iso };
    for (name, treatment, fits) in [
        ("nr", keep, false),
        ("nr", Treatment::Zip3, false),
        ("nr", Treatment::Pseudonym, true),
        ("nr", Treatment::Drop, true),
        ("g", keep, false),
        ("f", keep, false),
        ("f", Treatment::Pseudonym, true),
        ("b", keep, false),
        ("b", month, true),
        ("ward", keep, true),
    ] {
        let mut pair = Pair::new();
        let column = |name: &str| name.parse::<crate::ident::ColumnName>().unwrap();
        let linkage = LinkageColumns {
            given: column("g"),
            family: column("f"),
            birth: column("b"),
            birth_format: DateFormat::Iso,
        };
        let patient = Some(column("nr"));
        let declared = Dataset { patient, linkage: Some(linkage), ..dataset("/data/stays.csv") };
        pair.order(1, Command::DefineDataset(declared)).unwrap();
        let terms = altered(share(pair.consortium, 1, LandedRows::Exclude), |fields| {
            if let Content::Table(table) = &mut fields.content {
                table.columns.push(Column::new(column(name), ColumnType::Text, ColumnRole::QuasiIdentifier, treatment));
            }
        });
        assert_eq!(pair.order(1, Command::DefineShare(terms)).is_ok(), fits, "{name} {treatment:?}");
    }
}

// SHARE-25
#[test]
fn terms_under_safe_harbor_do_not_run_beyond_their_own_end() {
    for (standard, fits) in [(Standard::HipaaSafeHarbor, false), (Standard::None, true)] {
        let mut pair = Pair::new();
        pair.order(1, Command::DefineDataset(dataset("/data/stays.csv"))).unwrap();
        let terms = altered(share(pair.consortium, 1, LandedRows::Exclude), |fields| {
            if let Content::Table(table) = &mut fields.content {
                table.standard = standard;
            }
        });
        pair.order(1, Command::DefineShare(terms.clone())).unwrap();
        pair.approve(&terms).unwrap();
        pair.invite().unwrap();
        pair.accept();
        let later = terms.expires.plus(Seconds(1));
        for (at, fits) in [(terms.expires, true), (later, fits)] {
            let change =
                Command::ChangeSubscription { subscription: SUBSCRIPTION, change: Change::Expires(at), reason: None };
            assert_eq!(pair.order(1, change).is_ok(), fits, "{standard:?}");
        }
    }
}

// SHARE-22
#[test]
fn a_party_has_one_running_subscription_to_a_share() {
    let mut pair = Pair::new();
    pair.order(1, Command::DefineDataset(dataset("/data/stays.csv"))).unwrap();
    let terms = share(pair.consortium, 1, LandedRows::Exclude);
    pair.order(1, Command::DefineShare(terms.clone())).unwrap();
    pair.approve(&terms).unwrap();
    pair.invite().unwrap();
    let invite = |pair: &mut Pair, subscription| {
        let (consumer, answer_by) = ("op".parse().unwrap(), NOW.plus(Seconds(3600)));
        pair.order(1, Command::Invite { share: SHARE, consumer, subscription, answer_by })
    };
    let second = SubscriptionId([77; 16]);
    assert!(invite(&mut pair, second).is_err(), "the first may still be accepted");
    let answer = |pair: &mut Pair, subscription, answer| {
        let invitation = pair.state(0).subscriptions[&subscription].invitation_digest;
        pair.order(0, Command::AnswerInvitation { subscription, invitation, answer })
    };
    answer(&mut pair, SUBSCRIPTION, Said::Refuse).unwrap();
    invite(&mut pair, second).unwrap();
    let next = share(pair.consortium, 2, LandedRows::Exclude);
    pair.order(1, Command::DefineShare(next.clone())).unwrap();
    pair.approve(&next).unwrap();
    assert!(pair.invite().is_err(), "the second may still be accepted");
    invite(&mut pair, second).unwrap();
    answer(&mut pair, second, Said::Accept).unwrap();
    let last = later(&pair, 3);
    pair.order(1, Command::DefineShare(last)).unwrap();
    assert!(pair.invite().is_err(), "the second runs");
    invite(&mut pair, second).unwrap();
}

// SHARE-10
#[test]
fn a_provider_cannot_take_back_an_acceptance_that_it_has_acted_on() {
    for stated in [true, false] {
        let mut pair = Pair::new();
        pair.share(LandedRows::Exclude);
        if !stated {
            // Other terms, accepted, and nothing stated under them.
            pair.order(1, Command::DefineShare(later(&pair, 2))).unwrap();
            pair.invite().unwrap();
            pair.accept();
        }
        let held = pair.subscription(0).accepted_digest;
        let last = pair.subscription(0).invitation.clone();
        let first = if stated { None } else { last.accepted };
        let mut next = |accepted: Option<DocumentDigest>| {
            let share = altered(last.share.clone(), |terms| terms.version += 1);
            let signed = Signed::sign(&Invitation { share, accepted, ..last.clone() }, &pair.parties[1].signing);
            pair.deliver(0, Document::Invitation(signed))
        };
        assert_eq!(next(Some(DocumentDigest([7; 32]))), Some(ErrorCode::Forked), "one that never was");
        if stated {
            assert_eq!(next(first), Some(ErrorCode::Forked), "rows have been stated under it");
            assert_eq!(next(held), None);
        } else {
            assert_eq!(next(None), Some(ErrorCode::Forked), "the one before was acted on long ago");
            assert_eq!(next(first), None, "the acceptance may have crossed it");
        }
    }
}

/// Narrower terms, which need no approval of their own: they end earlier.
fn later(pair: &Pair, version: u32) -> Share {
    altered(share(pair.consortium, 2, LandedRows::Exclude), |terms| {
        terms.version = version;
        terms.expires = NOW.plus(Seconds(u64::from(10 - version) * 24 * 3600));
    })
}
