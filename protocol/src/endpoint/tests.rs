//! Rules of the endpoint that an attacker would try first, each with the check's both sides. Faults of networks, disks
//! and time are the simulator's, in package `cohortium-tests`.

use std::collections::{BTreeMap, BTreeSet};

use super::io::*;
use super::*;
use crate::digest::{DocumentDigest, blob_digest, sha256_for};
use crate::ident::{DatasetId, Nonce};
use crate::key::signed::{Record, Signed};
use crate::message::document::{Document, Numbered};
use crate::message::transfer::RangeGet;
use crate::quantity::{AnonymityK, Bytes};
use crate::record::acceptance::Answer as Said;
use crate::record::charter::*;
use crate::record::dataset::{Dataset, Source};
use crate::record::extension::Extensions;
use crate::record::listing::{BlobRef, BlobRole, Listing, ListingEntry};
use crate::record::manifest::Base;
use crate::record::node_record::{NodeRecord, NodeRecordFields};
use crate::record::order::{Command, Order, Unchecked};
use crate::record::person::{Person, Role};
use crate::record::revocation::Change;
use crate::record::schedule::Schedule;
use crate::record::schema::{Column, ColumnRole, ColumnType, Treatment};
use crate::record::share::{Content, Form, Linkage, Share, ShareFields};
use crate::state::subscription::Fate;
use crate::time::Seconds;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const SHARE: ShareId = ShareId([7; 16]);
const SUBSCRIPTION: SubscriptionId = SubscriptionId([8; 16]);
const DATASET: DatasetId = DatasetId([9; 16]);

/// The keys of one party: root, TLS and signing from three seeds, and one person with every role.
struct Party3 {
    name: Name,
    root: KeyPair,
    tls: KeyPair,
    signing: KeyPair,
    ada: KeyPair,
}

impl Party3 {
    fn new(name: &str, seed: u8) -> Self {
        let key = |n: u8| KeyPair::from_seed(&[seed.wrapping_mul(10).wrapping_add(n); 32]);
        Self { name: name.parse().unwrap(), root: key(1), tls: key(2), signing: key(3), ada: key(4) }
    }

    fn record(&self, consortium: ConsortiumId, sequence: u64) -> Signed<NodeRecord> {
        let fields = NodeRecordFields {
            consortium,
            party: self.name.clone(),
            root: self.root.public(),
            sequence,
            tls: self.tls.public(),
            signing: self.signing.public(),
            sealing: SealingKey([5; 32]),
            not_before: NOW,
            not_after: NOW.plus(Seconds(20 * 24 * 3600)),
            ext: Extensions::default(),
        };
        Signed::sign(&NodeRecord::try_from(fields).unwrap(), &self.root)
    }

    fn person(&self, consortium: ConsortiumId, roles: &[Role]) -> Signed<Person> {
        Signed::sign(&person(consortium, &self.name, "ada", &self.ada, roles), &self.root)
    }
}

fn person(consortium: ConsortiumId, party: &Name, name: &str, key: &KeyPair, roles: &[Role]) -> Person {
    Person {
        consortium,
        party: party.clone(),
        person: name.parse().unwrap(),
        key: key.public(),
        roles: roles.iter().copied().collect(),
        not_after: NOW.plus(Seconds(365 * 24 * 3600)),
        ext: Extensions::default(),
    }
}

/// The operator and one member, both bound to charter version 2, connected to each other.
struct Pair {
    consortium: ConsortiumId,
    parties: [Party3; 2],
    nodes: [Endpoint; 2],
    written: [u64; 2],
    /// Effects that are not carried out by this harness.
    seen: [Vec<Effect>; 2],
    nonce: u8,
    /// Requests under way between the two, by their stream.
    asked: BTreeMap<StreamId, (usize, Ticket)>,
    /// While true, nothing is reported durable at the member.
    disk_waits: bool,
}

fn charters(parties: &[Party3; 2]) -> (Signed<Charter>, Signed<Charter>) {
    let party = |kind, party: &Party3| Party {
        kind,
        title: "A title".parse().unwrap(),
        root: party.root.public(),
        succeeds: None,
    };
    let first = CharterFields {
        consortium: None,
        version: 1,
        previous: None,
        title: "Pair".parse().unwrap(),
        kind: CharterKind::Rehearsal,
        at: NOW,
        roster: BTreeMap::from([(parties[0].name.clone(), party(PartyKind::Operator, &parties[0]))]),
        threshold: 1,
        schema: None,
        policy: ReleasePolicy { anonymity_k_min: AnonymityK(11), small_cell_min: 11 },
        accounts: BTreeMap::new(),
        terms: Terms { landed_rows: LandedRows::Exclude, share_validity_max: Seconds(100 * 24 * 3600), contract: None },
        linkage: None,
        ext: Extensions::default(),
    };
    let signed = Signed::sign(&Charter::try_from(first.clone()).unwrap(), &parties[0].root);
    let mut second = first;
    second.consortium = Some(ConsortiumId(signed.digest().0));
    (second.version, second.previous) = (2, Some(signed.digest()));
    second.roster.insert(parties[1].name.clone(), party(PartyKind::Member, &parties[1]));
    let mut both = Signed::sign(&Charter::try_from(second).unwrap(), &parties[0].root);
    both.add_signature(&parties[1].root);
    (signed, both)
}

impl Pair {
    fn new() -> Self {
        let parties = [Party3::new("op", 1), Party3::new("north", 2)];
        let (first, second) = charters(&parties);
        Self::with(parties, &first, &second)
    }

    /// A pair whose second charter has the signatures it has.
    fn with(parties: [Party3; 2], first: &Signed<Charter>, second: &Signed<Charter>) -> Self {
        let consortium = ConsortiumId(first.digest().0);
        let roles = [Role::SiteAdministrator, Role::DataSteward, Role::PrivacyOfficer];
        let nodes = [0, 1].map(|n: usize| {
            let us: &Party3 = &parties[n];
            let mut acts = vec![Act::Began { party: us.name.clone() }];
            acts.extend([first.clone(), second.clone()].map(Act::Charter));
            acts.extend(parties.iter().map(|party| Act::NodeRecord(party.record(consortium, 1))));
            acts.push(Act::Person(us.person(consortium, &roles)));
            let keys = NodeKeys {
                root: Some(us.root.clone()),
                signing: us.signing.clone(),
                tls: us.tls.public(),
                sealing: SealingKey([5; 32]),
            };
            let operator_root = parties[0].root.public();
            let membership = Membership { consortium, party: us.name.clone(), operator_root, keys };
            let mut node = Endpoint::default();
            // A charter comes into force at a member when the operator says so.
            let told = |act: &Act| n == 1 && matches!(act, Act::Charter(_));
            let actor = |act: &Act| if told(act) { Actor::Peer(parties[0].name.clone()) } else { Actor::Node };
            node.enter(membership, acts.into_iter().map(|act| JournalEntry { at: NOW, actor: actor(&act), act }));
            node
        });
        let mut pair = Self {
            consortium,
            parties,
            written: [6, 6],
            nodes,
            seen: [vec![], vec![]],
            nonce: 0,
            asked: BTreeMap::new(),
            disk_waits: false,
        };
        pair.connect();
        pair
    }

    fn connect(&mut self) {
        let tls = [0, 1].map(|n: usize| self.parties[n].tls.public());
        let consortium = Some(self.consortium);
        let protocol = Protocol::Main;
        let listens =
            Input::Connected { conn: ConnId(1), side: Side::Listener, protocol, consortium: None, tls: tls[1] };
        self.feed(0, listens);
        let protocol = Protocol::Main;
        self.feed(1, Input::Connected { conn: ConnId(1), side: Side::Dialler, protocol, consortium, tls: tls[0] });
        assert_eq!(self.nodes[1].connected_parties(self.consortium).len(), 1);
    }

    /// Feeds an input and carries out what follows between the two nodes, until nothing does.
    fn feed(&mut self, node: usize, input: Input) {
        let cx = Cx { mono: Millis(1), wall: NOW };
        self.nodes[node].handle(cx, input);
        while let Some(effect) = self.nodes[node].poll_effect() {
            self.carry_out(node, effect);
        }
    }

    fn carry_out(&mut self, node: usize, effect: Effect) {
        let other = 1 - node;
        match effect {
            Effect::Persist { consortium, first, entries } => {
                assert_eq!(first, self.written[node], "entries follow one another");
                self.written[node] += entries.len() as u64;
                if !(self.disk_waits && node == 1) {
                    self.feed(node, Input::Persisted { consortium, upto: self.written[node] });
                }
            }
            Effect::Ask { conn, ticket, message } => {
                let stream = StreamId(ticket.0 * 2 + node as u64 + 1000);
                self.asked.insert(stream, (node, ticket));
                self.feed(other, Input::Request { conn, stream, message });
            }
            Effect::Reply { stream, message, .. } if self.asked.contains_key(&stream) => {
                let (asker, ticket) = self.asked.remove(&stream).unwrap();
                self.feed(asker, Input::Answered { ticket, answer: Answer::Message(message) });
            }
            kept => self.seen[node].push(kept),
        }
    }

    fn order(&mut self, node: usize, command: Command) -> Result<(), OrderFault> {
        let key = self.parties[node].ada.clone();
        self.order_by(node, "ada", &key, command)
    }

    fn order_by(&mut self, node: usize, who: &str, key: &KeyPair, command: Command) -> Result<(), OrderFault> {
        self.nonce += 1;
        let order = Order {
            consortium: self.consortium,
            party: self.parties[node].name.clone(),
            person: who.parse().unwrap(),
            nonce: Nonce([self.nonce; 16]),
            at: NOW,
            command,
            ext: Extensions::default(),
        };
        self.give(node, Signed::sign(&order, key))
    }

    fn give(&mut self, node: usize, order: Signed<Order>) -> Result<(), OrderFault> {
        let ticket = Ticket(1_000_000 + u64::from(self.nonce));
        self.feed(node, Input::Order { ticket, order: Box::new(order) });
        let done = |effect: &Effect| matches!(effect, Effect::OrderDone { ticket: t, .. } if *t == ticket);
        let Some(at) = self.seen[node].iter().position(done) else { return Ok(()) };
        match self.seen[node].remove(at) {
            Effect::OrderDone { result, .. } => result,
            _ => unreachable!("only an answer was looked for"),
        }
    }

    fn state(&self, node: usize) -> &State {
        self.nodes[node].state(self.consortium).unwrap()
    }

    fn subscription(&self, node: usize) -> &crate::state::subscription::Subscription {
        &self.state(node).subscriptions[&SUBSCRIPTION]
    }

    /// The member shares, the operator accepts, and one full snapshot is stated.
    fn share(&mut self, landed_rows: LandedRows) {
        self.order(1, Command::DefineDataset(dataset("/data/stays.csv"))).unwrap();
        let share = share(self.consortium, 1, landed_rows);
        self.order(1, Command::DefineShare(share.clone())).unwrap();
        self.approve(&share).unwrap();
        self.invite().unwrap();
        self.accept();
        self.take();
    }

    fn approve(&mut self, share: &Share) -> Result<(), OrderFault> {
        let terms = Signed::unsigned(share).digest();
        self.order(1, Command::ApproveShare { share: SHARE, terms, unchecked: Unchecked::No })
    }

    fn invite(&mut self) -> Result<(), OrderFault> {
        let consumer = "op".parse().unwrap();
        let answer_by = NOW.plus(Seconds(3600));
        self.order(1, Command::Invite { share: SHARE, consumer, subscription: SUBSCRIPTION, answer_by })
    }

    fn accept(&mut self) {
        let invitation = self.subscription(0).invitation_digest;
        let (subscription, answer) = (SUBSCRIPTION, Said::Accept);
        self.order(0, Command::AnswerInvitation { subscription, invitation, answer }).unwrap();
    }

    fn take(&mut self) {
        self.order(1, Command::TakeSnapshot { share: SHARE }).unwrap();
        let at = self.seen[1].iter().position(|effect| matches!(effect, Effect::Run { .. })).unwrap();
        let Effect::Run { ticket, .. } = self.seen[1].remove(at) else { unreachable!("looked for a run") };
        let (content, listing) = listing();
        let taken = Taken { base: Base::Full, listing, content, index: None, linkage: None };
        self.feed(1, Input::RunEnded { ticket, end: RunEnd::Taken(Box::new(taken)) });
    }

    /// The operator asks for the first range of the stated snapshot's rows.
    fn ask_range(&mut self, stream: u64) {
        let snapshot = self.subscription(0).snapshots.last().unwrap().id;
        let blob = rows_blob().digest;
        let get = RangeGet { subscription: SUBSCRIPTION, snapshot, blob, offset: Bytes(0) };
        let message = Message { kind: MessageType::RangeGet, payload: codec::encode(&get) };
        self.feed(1, Input::Request { conn: ConnId(1), stream: StreamId(stream), message });
    }

    fn serves(&self) -> usize {
        self.seen[1].iter().filter(|effect| matches!(effect, Effect::Serve { .. })).count()
    }

    fn refusal(&self, stream: u64) -> Option<ErrorCode> {
        self.seen[1].iter().find_map(|effect| match effect {
            Effect::Reply { stream: s, message, .. } if *s == StreamId(stream) => Some(code_of(message)),
            _ => None,
        })
    }
}

fn dataset(path: &str) -> Dataset {
    Dataset {
        dataset: DATASET,
        name: "stays".parse().unwrap(),
        source: Source::Csv { path: path.parse().unwrap(), delimiter: b',' },
        key: vec![],
        patient: None,
        linkage: None,
    }
}

fn share(consortium: ConsortiumId, version: u32, landed_rows: LandedRows) -> Share {
    let column = |name: &str, treatment| Column {
        name: name.parse().unwrap(),
        kind: ColumnType::Text,
        role: ColumnRole::Measure,
        treatment,
    };
    // The second version keeps one column at home.
    let second = if version == 1 { Treatment::Keep } else { Treatment::Drop };
    let columns = vec![column("los", Treatment::Keep), column("sodium", second)];
    Share::try_from(ShareFields {
        consortium,
        provider: "north".parse().unwrap(),
        share: SHARE,
        name: "stays".parse().unwrap(),
        version,
        dataset: DATASET,
        form: Form::Snapshot,
        content: Content::Table { columns, linkage: Linkage::None },
        purpose: "length of stay".parse().unwrap(),
        consumers: BTreeSet::from(["op".parse().unwrap()]),
        expires: NOW.plus(Seconds(30 * 24 * 3600)),
        landed_rows,
        schedule: Schedule::MANUAL,
        ext: Extensions::default(),
    })
    .unwrap()
}

fn rows_blob() -> BlobRef {
    BlobRef { digest: blob_digest(b"rows"), bytes: Bytes(4) }
}

fn listing() -> (Listing, BlobRef) {
    let path = "rows.parquet".parse().unwrap();
    let rows = crate::quantity::Rows(1);
    let content =
        Listing::try_from(vec![ListingEntry { path, role: BlobRole::Rows, blob: rows_blob(), rows }]).unwrap();
    let bytes = codec::encode(&content);
    let blob = BlobRef { digest: blob_digest(&bytes), bytes: Bytes(bytes.len() as u64) };
    (content, blob)
}

// CHAR-6
#[test]
fn a_members_signature_brings_a_charter_into_force_when_the_operator_says_so() {
    let parties = [Party3::new("op", 1), Party3::new("north", 2)];
    let (first, second) = charters(&parties);
    let proposed = second.only(&BTreeSet::from([parties[0].root.public()]));
    let mut pair = Pair::with(parties, &first, &proposed);
    let digest = second.digest();
    let version = |pair: &Pair, node: usize| pair.state(node).charters.head().map(|head| head.charter.version);
    assert_eq!([version(&pair, 0), version(&pair, 1)], [Some(1), Some(1)], "a threshold of one is not met by none");
    pair.order(1, Command::SignCharter(digest)).unwrap();
    assert_eq!([version(&pair, 0), version(&pair, 1)], [Some(2), Some(2)]);
    let north = pair.parties[1].name.clone();
    assert!(pair.state(1).charters.binding(&north).is_some(), "and binds the member");
}

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
    let upto = pair.written[1];
    pair.feed(1, Input::Persisted { consortium: pair.consortium, upto });
    assert_eq!((pair.serves(), pair.refusal(13)), (1, Some(ErrorCode::Revoked)));
    pair.ask_range(14);
    assert_eq!((pair.serves(), pair.refusal(14)), (1, Some(ErrorCode::Revoked)));
}

/// A document that the member refuses: an invitation from itself, signed by the operator.
fn invalid(pair: &Pair) -> Document {
    let invitation = crate::record::invitation::Invitation {
        consortium: pair.consortium,
        subscription: SubscriptionId([1; 16]),
        consumer: "op".parse().unwrap(),
        share: share(pair.consortium, 1, LandedRows::Exclude),
        at: NOW,
        answer_by: NOW.plus(Seconds(1)),
        ext: Extensions::default(),
    };
    Document::Invitation(Signed::sign(&invitation, &pair.parties[0].signing))
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
    let received = pair.state(1).mail.get(&op).map_or(0, |mail| mail.received());
    pair.feed(1, Input::Connected { conn: ConnId(9), side: Side::Dialler, protocol, consortium, tls });
    let numbered = Numbered { index: received, document: invalid(&pair) };
    let message = Message { kind: MessageType::Document, payload: codec::encode(&numbered) };
    pair.feed(1, Input::Request { conn: ConnId(9), stream: StreamId(41), message: message.clone() });
    assert_eq!(pair.state(1).mail.get(&op).map_or(0, |mail| mail.received()), received);
    pair.feed(1, Input::Request { conn: ConnId(1), stream: StreamId(42), message });
    assert_eq!(pair.state(1).mail[&op].received(), received + 1, "over a connection it counts");
}

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

// HELLO-3 HELLO-5 HELLO-6
#[test]
fn a_peer_shows_the_record_of_the_rosters_root_and_the_key_of_its_connection() {
    let attempts: [(fn(&Pair) -> (Signed<NodeRecord>, PublicKey, UnixMillis, u64), Option<ErrorCode>); 7] = [
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
        let (record, tls, clock, received) = claim(&pair);
        let hello = crate::message::hello::Hello {
            versions: crate::wire::version::VersionRange::OURS,
            consortium: pair.consortium,
            record,
            clock,
            received,
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

// JRNL-1
#[test]
fn nothing_is_done_after_the_journal_failed() {
    let mut pair = Pair::new();
    pair.share(LandedRows::Exclude);
    pair.feed(1, Input::JournalFailed);
    assert!(
        pair.seen[1]
            .iter()
            .any(|effect| matches!(effect, Effect::Cut { subscription } if *subscription == SUBSCRIPTION))
    );
    assert_eq!(pair.order(1, Command::Stop), Err(OrderFault::Unavailable));
    pair.ask_range(81);
    assert_eq!((pair.serves(), pair.refusal(81)), (0, Some(ErrorCode::Unavailable)));
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
