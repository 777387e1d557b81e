//! What an operator asks of consolidated rows, and who hears of it.

use super::landing::{begin_landing, end_landing};
use super::*;
use crate::record::consolidation::ConsolidatedPart;
use crate::record::mapping::Origin;
use crate::record::site_notice::{Departure, SiteNotice, SiteNoticeFields};
use crate::table_version::PartDigest;

/// A pair whose operator has one landed mapped table, consolidated as if these members had stated it.
pub(super) fn consolidated(amendment: &Amendment, members: &[&str]) -> Pair {
    let mut pair = Pair::amended(amendment);
    pair.share(LandedRows::Exclude);
    begin_landing(&mut pair, Some(listing().0));
    end_landing(&mut pair);
    let (content, listed) = listing();
    let origin = Origin {
        mapping: DocumentDigest([1; 32]),
        schema: DocumentDigest([2; 32]),
        set: listed.digest,
        table: "person".parse().unwrap(),
        software: "cohortium-0.1.0".parse().unwrap(),
    };
    let (ticket, _) = pair.begin_run();
    let taken = Taken {
        base: Base::Full,
        listing: listed,
        content,
        index: None,
        linkage: None,
        origin: Some(origin),
        vocabulary: None,
    };
    pair.feed(1, Input::RunEnded { ticket, end: RunEnd::Taken(Box::new(taken)) });
    begin_landing(&mut pair, Some(listing().0));
    end_landing(&mut pair);
    pair.order(0, Command::Consolidate).unwrap();
    let begun = |effect: &Effect| {
        if let Effect::Consolidate { ticket, plan } = effect { Some((*ticket, plan.tables.clone())) } else { None }
    };
    let (ticket, tables) = pair.pick(0, begun).unwrap();
    let part = ConsolidatedPart {
        share: SHARE,
        snapshot: tables[0].version.snapshot,
        mapping: None,
        vocabulary: None,
        digest: PartDigest([5; 32]),
        blobs: Vec::new(),
    };
    let parts = members.iter().map(|member| (member.parse().unwrap(), part.clone())).collect();
    let tables = BTreeMap::from([("person".parse().unwrap(), parts)]);
    let made =
        ConsolidatedSet { schema: DocumentDigest([2; 32]), tables, left_out: BTreeMap::new(), listing: listing().1 };
    pair.feed(0, Input::Consolidated { ticket, end: Ok(Box::new(made)) });
    assert!(pair.state(0).tables.current().is_some());
    pair
}

fn missing() -> Departure {
    let (table, field) = ("person".parse().unwrap(), "person_id".parse().unwrap());
    Departure::Missing { table, field, here: Some(60), elsewhere: Some(20) }
}

fn notice(pair: &Pair, member: &str, operator: &str) -> SiteNotice {
    let fields = SiteNoticeFields {
        consortium: pair.consortium,
        operator: operator.parse().unwrap(),
        member: member.parse().unwrap(),
        consolidation: DocumentDigest([1; 32]),
        sites: 5,
        departures: vec![missing()],
        at: NOW,
        ext: Extensions::default(),
    };
    fields.try_into().unwrap()
}

fn with_south() -> Amendment {
    Amendment { south: Some(Party3::new("south", 3)), ..Amendment::default() }
}

/// Documents of a kind that a node has written for a party.
fn notices_for(pair: &Pair, node: usize, party: &str) -> usize {
    let Some(mail) = pair.state(node).mail.get(&party.parse::<Name>().unwrap()) else { return 0 };
    (0..mail.len()).filter(|n| matches!(mail.get(*n).map(|d| (**d).clone()), Some(Document::SiteNotice(_)))).count()
}

// QUAL-3
#[test]
fn a_notice_reaches_the_member_that_it_is_about_and_nobody_else() {
    let mut pair = Pair::amended(&with_south());
    let found = BTreeMap::from([("north".parse().unwrap(), vec![missing()])]);
    let departures = SiteDepartures { sites: 5, found };
    let consolidation = DocumentDigest([1; 32]);
    pair.feed(0, Input::Compared { consortium: pair.consortium, consolidation, departures });
    assert_eq!((notices_for(&pair, 0, "north"), notices_for(&pair, 0, "south")), (1, 0));
    let [received] = &pair.state(1).notices[..] else { panic!("one notice") };
    assert_eq!((received.member.as_str(), received.sites, &received.departures), ("north", 5, &vec![missing()]));
    assert_eq!(notices_for(&pair, 1, "op"), 0, "what was received is not sent on");
    let compared = |entry: &JournalEntry| matches!(entry.act, Act::Compared { .. });
    assert!(pair.journals[0].iter().any(compared), "every run is on record");
    let told = |entry: &JournalEntry| matches!(entry.act, Act::SiteNotice(_));
    assert!(pair.journals[1].iter().any(told), "on both sides");
}

// QUAL-3
#[test]
fn a_notice_about_another_member_or_by_anybody_but_the_operator_is_refused() {
    let mut pair = Pair::amended(&with_south());
    let by_operator = pair.parties[0].signing.clone();
    let about = |pair: &Pair, member: &str, operator: &str, key: &KeyPair| {
        Document::SiteNotice(Signed::sign(&notice(pair, member, operator), key))
    };
    let other = about(&pair, "south", "op", &by_operator);
    assert_eq!(pair.deliver(1, other), Some(ErrorCode::IdentityRefused), "it concerns another member");
    let other = about(&pair, "north", "south", &by_operator);
    assert_eq!(pair.deliver(1, other), Some(ErrorCode::IdentityRefused), "it names another operator");
    let by_member = pair.parties[1].signing.clone();
    let other = about(&pair, "op", "north", &by_member);
    assert_eq!(pair.deliver(0, other), Some(ErrorCode::IdentityRefused), "a member compares nobody");
    assert!(pair.state(0).notices.is_empty() && pair.state(1).notices.is_empty());
    let fits = about(&pair, "north", "op", &by_operator);
    assert_eq!(pair.deliver(1, fits), None);
    assert_eq!(pair.state(1).notices.len(), 1);
}

// QUAL-2
#[test]
fn fewer_than_five_sites_are_not_compared_and_a_member_compares_nobody() {
    let five = ["a", "b", "c", "d", "e"];
    let refused = Err(OrderFault::OutOfOrder { why: TOO_FEW_SITES });
    let mut pair = consolidated(&Amendment::default(), &five[..4]);
    assert_eq!(pair.order(0, Command::CompareSites), refused);
    let mut pair = consolidated(&Amendment::default(), &five);
    assert_eq!(pair.order(0, Command::CompareSites), Ok(()));
    assert!(matches!(pair.order(1, Command::CompareSites), Err(OrderFault::OutOfOrder { .. })));
    let member = |name: &str| Command::CheckTables { member: name.parse().unwrap() };
    assert_eq!(pair.order(0, member("e")), Ok(()));
    assert!(matches!(pair.order(0, member("f")), Err(OrderFault::NotFound { .. })));
}

// SQL-1 SQL-2
#[test]
fn rows_are_asked_for_by_those_who_may_see_them_while_all_of_them_may_be_used() {
    let mut pair = consolidated(&Amendment::default(), &["north"]);
    let query = || Command::query(&Nonce([3; 16]), "SELECT 1", "A test");
    assert_eq!(pair.order(0, query()), Ok(()));
    for (role, may) in [
        (Role::SiteAdministrator, false),
        (Role::DataScientist, false),
        (Role::Auditor, false),
        (Role::DataSteward, true),
        (Role::PrivacyOfficer, true),
    ] {
        let key = KeyPair::from_seed(&[77; 32]);
        let record = person(pair.consortium, &pair.parties[0].name, "eve", &key, &[role]);
        let signed = Signed::sign(&record, &pair.parties[0].root);
        pair.order(0, Command::EnrolPerson(signed)).unwrap();
        assert_eq!(pair.order_by(0, "eve", &key, query()).is_ok(), may, "{role:?}");
    }
    pair.order(1, Command::ChangeSubscription { subscription: SUBSCRIPTION, change: Change::Revoke, reason: None })
        .unwrap();
    assert!(matches!(pair.order(0, query()), Err(OrderFault::OutOfOrder { .. })), "a row of it was revoked");
    assert!(pair.nodes[0].usable_tables(pair.consortium, NOW).is_none());
}

// ROLE-3 QUAL-1
#[test]
fn quality_comparisons_and_pipelines_need_their_roles() {
    use crate::record::pipeline::{Pipeline, PipelineFields, Step, Trigger};
    let mut pair = consolidated(&Amendment::default(), &["a", "b", "c", "d", "north"]);
    let fields = PipelineFields {
        consortium: pair.consortium,
        party: pair.parties[0].name.clone(),
        name: "tables".parse().unwrap(),
        trigger: Trigger::Landed { subscription: None },
        steps: vec![Step::Consolidate],
        attempts: 1,
        wait: Seconds(1),
        ext: Extensions::default(),
    };
    let pipeline = Pipeline::try_from(fields).unwrap();
    let key = KeyPair::from_seed(&[77; 32]);
    for role in Role::ALL {
        let record = person(pair.consortium, &pair.parties[0].name, "eve", &key, &[role]);
        let signed = Signed::sign(&record, &pair.parties[0].root);
        pair.order(0, Command::EnrolPerson(signed)).unwrap();
        let sees = matches!(role, Role::DataSteward | Role::PrivacyOfficer);
        let steward = role == Role::DataSteward;
        let cases = [
            (Command::CheckTables { member: "north".parse().unwrap() }, sees),
            (Command::CompareSites, steward),
            (Command::DefinePipeline(Box::new(pipeline.clone())), steward),
        ];
        for (command, may) in cases {
            let said = pair.order_by(0, "eve", &key, command.clone());
            let refused = matches!(said, Err(OrderFault::RoleMissing { .. }));
            assert_eq!((said.is_ok(), refused), (may, !may), "{role:?} {command:?}");
        }
        // Whether there is such a mapping is asked after whether the person may know.
        let check = Command::CheckMapping { mapping: "none".parse().unwrap() };
        let said = pair.order_by(0, "eve", &key, check);
        assert_eq!(matches!(said, Err(OrderFault::RoleMissing { .. })), !sees, "{role:?}");
    }
}

// SQL-1
#[test]
fn an_order_names_question_and_reason_and_has_no_word_of_them() {
    let salt = Nonce([3; 16]);
    let command = Command::query(&salt, "SELECT canary", "because of canary");
    assert!(!codec::encode(&command).windows(6).any(|bytes| bytes == b"canary"));
    assert_ne!(command, Command::query(&Nonce([4; 16]), "SELECT canary", "because of canary"), "salted");
    assert_ne!(command, Command::query(&salt, "SELECT canary", "another reason"));
    assert_ne!(command, Command::query(&salt, "SELECT canary ", "because of canary"));
}
