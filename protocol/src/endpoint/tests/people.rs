//! Charters, persons and orders: who may bind a node, and by whose word.

use super::*;

// CHAR-6
#[test]
fn a_members_signature_brings_a_charter_into_force_when_the_operator_says_so() {
    let parties = [Party3::new("op", 1), Party3::new("north", 2)];
    let (first, second) = charters(&parties);
    let proposed = second.only(&BTreeSet::from([parties[0].root.public()]));
    let mut pair = Pair::with(parties, &first, &proposed, &Amendment::default());
    let digest = second.digest();
    let version = |pair: &Pair, node: usize| pair.state(node).charters.head().map(|head| head.charter.version);
    assert_eq!([version(&pair, 0), version(&pair, 1)], [Some(1), Some(1)], "a threshold of one is not met by none");
    pair.order(1, Command::SignCharter(digest)).unwrap();
    assert_eq!([version(&pair, 0), version(&pair, 1)], [Some(2), Some(2)]);
    let north = pair.parties[1].name.clone();
    assert!(pair.state(1).charters.binding(&north).is_some(), "and binds the member");
}

// CHAR-9
#[test]
fn signatures_that_nobody_asked_for_are_not_carried_on() {
    let mut pair = Pair::new();
    let (_, mut padded) = charters(&pair.parties);
    for seed in 100..140 {
        padded.add_signature(&KeyPair::from_seed(&[seed; 32]));
    }
    let before = pair.state(0).charters.head().unwrap().signed.to_bytes().len();
    let index = pair.state(0).mail[&pair.parties[1].name].received();
    let numbered = Numbered { index, document: Document::Charter(padded) };
    let message = Message { kind: MessageType::Document, payload: codec::encode(&numbered) };
    pair.feed(0, Input::Request { conn: ConnId(1), stream: StreamId(21), message });
    assert_eq!(pair.state(0).charters.head().unwrap().signed.to_bytes().len(), before);
    assert_eq!(pair.state(0).mail[&pair.parties[1].name].received(), index + 1, "it counts as received");
}

// ROLE-4
#[test]
fn a_site_administrator_makes_nobody_a_steward_or_officer_alone() {
    let mut pair = Pair::new();
    let (home, party) = (pair.consortium, pair.parties[1].name.clone());
    let (bob, eve) = (KeyPair::from_seed(&[91; 32]), KeyPair::from_seed(&[92; 32]));
    let admin = person(home, &party, "bob", &bob, &[Role::SiteAdministrator]);
    let ada = pair.parties[1].ada.clone();
    pair.order(1, Command::EnrolPerson(Signed::sign(&admin, &ada))).unwrap();
    for role in [Role::DataSteward, Role::PrivacyOfficer] {
        for (name, key) in [("eve", &eve), ("bob", &bob)] {
            let trusted = person(home, &party, name, key, &[Role::SiteAdministrator, role]);
            let by_bob = Command::EnrolPerson(Signed::sign(&trusted, &bob));
            assert!(pair.order_by(1, "bob", &bob, by_bob).is_err(), "{name} as {role:?}");
        }
    }
    let auditor = person(home, &party, "eve", &eve, &[Role::Auditor]);
    pair.order_by(1, "bob", &bob, Command::EnrolPerson(Signed::sign(&auditor, &bob))).unwrap();
    let officer = person(home, &party, "eve", &eve, &[Role::PrivacyOfficer]);
    let by_ada = Command::EnrolPerson(Signed::sign(&officer, &ada));
    pair.order_by(1, "bob", &bob, by_ada).unwrap();
    let steward = person(home, &party, "bob", &bob, &[Role::SiteAdministrator, Role::DataSteward]);
    let root = pair.parties[1].root.clone();
    pair.order_by(1, "bob", &bob, Command::EnrolPerson(Signed::sign(&steward, &root))).unwrap();
}

// ORDER-1 ORDER-2 ORDER-3 ORDER-4
#[test]
fn an_order_is_of_an_enrolled_person_for_this_node_now_once_and_within_the_roles() {
    let mut pair = Pair::new();
    let stranger = KeyPair::from_seed(&[77; 32]);
    assert_eq!(pair.order_by(1, "ada", &stranger, Command::Stop), Err(OrderFault::NotEnrolled));
    assert_eq!(pair.order_by(1, "eve", &stranger, Command::Stop), Err(OrderFault::NotEnrolled));
    let order = |party: &str, at| Order {
        consortium: pair.consortium,
        party: party.parse().unwrap(),
        person: "ada".parse().unwrap(),
        nonce: Nonce([200; 16]),
        at,
        command: Command::Stop,
        ext: Extensions::default(),
    };
    let skew = crate::limits::CLOCK_SKEW_MAX.millis();
    let orders = [
        (order("op", NOW), Err(OrderFault::NotForNow)),
        (order("north", UnixMillis(NOW.0 - skew - 1)), Err(OrderFault::NotForNow)),
        (order("north", UnixMillis(NOW.0 - skew)), Ok(())),
        (order("north", NOW), Err(OrderFault::NotForNow)),
    ];
    let ada = pair.parties[1].ada.clone();
    for (order, expected) in orders {
        pair.nonce += 1;
        assert_eq!(pair.give(1, Signed::sign(&order, &ada)), expected, "{order:?}");
    }
    let roles = person(pair.consortium, &pair.parties[1].name, "kim", &stranger, &[Role::Auditor]);
    pair.order(1, Command::EnrolPerson(Signed::sign(&roles, &ada))).unwrap();
    let refused = pair.order_by(1, "kim", &stranger, Command::Start);
    assert_eq!(refused, Err(OrderFault::RoleMissing { action: "lift the halt" }));
}

// JOIN-3
#[test]
fn a_join_token_is_for_a_new_name_and_thirty_days_at_most() {
    let mut pair = Pair::new();
    let longest = crate::limits::JOIN_TOKEN_VALIDITY_MAX.millis();
    let expires = |after: u64| UnixMillis(NOW.0 + after);
    let cases = [
        (0, "west", expires(longest), true),
        (0, "east", expires(longest + 1), false),
        (0, "east", expires(1), true),
        (0, "east-2", NOW, false),
        (0, "north", expires(1), false),
        (0, "op", expires(1), false),
        (1, "west", expires(1), false),
    ];
    for (place, (node, party, expires, fits)) in cases.into_iter().enumerate() {
        let secret = DocumentDigest([u8::try_from(place).unwrap(); 32]);
        let (party, title) = (party.parse().unwrap(), "A title".parse().unwrap());
        let order = Command::IssueJoinToken { secret, party, title, expires };
        assert_eq!(pair.order(node, order).is_ok(), fits, "case {place}");
    }
    leave(&mut pair);
    assert!(!pair.state(0).charters.head().unwrap().charter.roster.contains_key(&pair.parties[1].name));
    let (party, title) = (pair.parties[1].name.clone(), "A title".parse().unwrap());
    let order = Command::IssueJoinToken { secret: DocumentDigest([99; 32]), party, title, expires: expires(1) };
    assert!(pair.order(0, order).is_err(), "a name that a party had");
}

/// A third version of the charter, in which the member is not any more.
fn leave(pair: &mut Pair) {
    let head = pair.state(0).charters.head().unwrap().clone();
    let mut third = CharterFields::from(head.charter.clone());
    (third.version, third.previous) = (3, Some(head.digest));
    third.roster.remove(&pair.parties[1].name);
    let mut signed = Signed::sign(&Charter::try_from(third).unwrap(), &pair.parties[0].root);
    signed.add_signature(&pair.parties[1].root);
    assert_eq!(pair.deliver(0, Document::Charter(signed)), None);
}
