//! Two endpoints, an operator and a member, that carry out each other's effects.

use super::*;

/// The keys of one party: root, TLS and signing from three seeds, and one person with every role.
pub(super) struct Party3 {
    pub(super) name: Name,
    pub(super) root: KeyPair,
    pub(super) tls: KeyPair,
    pub(super) signing: KeyPair,
    pub(super) ada: KeyPair,
}

impl Party3 {
    pub(super) fn new(name: &str, seed: u8) -> Self {
        let key = |n: u8| KeyPair::from_seed(&[seed.wrapping_mul(10).wrapping_add(n); 32]);
        Self { name: name.parse().unwrap(), root: key(1), tls: key(2), signing: key(3), ada: key(4) }
    }

    pub(super) fn record(&self, consortium: ConsortiumId, sequence: u64) -> Signed<NodeRecord> {
        let fields = NodeRecordFields {
            consortium,
            party: self.name.clone(),
            root: self.root.public(),
            sequence,
            tls: self.tls.public(),
            signing: self.signing.public(),
            sealing: SealingKey([5; 32]),
            not_before: UnixMillis(NOW.0 - 24 * 3600 * 1000),
            not_after: NOW.plus(Seconds(20 * 24 * 3600)),
            ext: Extensions::default(),
        };
        Signed::sign(&NodeRecord::try_from(fields).unwrap(), &self.root)
    }

    pub(super) fn person(&self, consortium: ConsortiumId, roles: &[Role]) -> Signed<Person> {
        Signed::sign(&person(consortium, &self.name, "ada", &self.ada, roles), &self.root)
    }
}

pub(super) fn person(consortium: ConsortiumId, party: &Name, name: &str, key: &KeyPair, roles: &[Role]) -> Person {
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
pub(super) struct Pair {
    pub(super) consortium: ConsortiumId,
    pub(super) parties: [Party3; 2],
    pub(super) nodes: [Endpoint; 2],
    /// What each node has written.
    pub(super) journals: [Vec<JournalEntry>; 2],
    /// How much of it there was at the beginning.
    pub(super) backup: [usize; 2],
    /// Effects that are not carried out by this harness.
    pub(super) seen: [Vec<Effect>; 2],
    pub(super) nonce: u8,
    /// Requests under way between the two, by their stream.
    pub(super) asked: BTreeMap<StreamId, (usize, Ticket)>,
    /// While true, nothing is reported durable at the slow node.
    pub(super) disk_waits: bool,
    /// Whose disk it is.
    pub(super) slow: usize,
    /// What each node's wall clock shows.
    pub(super) wall: [UnixMillis; 2],
    /// Both nodes' monotonic clock.
    pub(super) mono: Millis,
    /// Streams that tests have opened.
    pub(super) streams: u64,
    /// While true, answers to the operator get lost.
    pub(super) deaf: bool,
    /// While true, the member says nothing but HELLO.
    pub(super) silent: bool,
}

/// What a test has otherwise than the plain pair: a second member on the roster, linkage terms, entries of the past.
#[derive(Default)]
pub(super) struct Amendment {
    pub(super) south: Option<Party3>,
    pub(super) linkage: Option<LinkageTerms>,
    pub(super) past: [Vec<Act>; 2],
    /// The common schema that version 2 names.
    pub(super) schema: Option<DocumentDigest>,
    /// Its accounts.
    pub(super) accounts: BTreeMap<Name, AccountTerms>,
    /// Its extensions.
    pub(super) ext: Extensions,
}

impl Amendment {
    /// A second member, and linkage terms that name the key maker.
    pub(super) fn linked(key_maker: &str) -> Self {
        let linkage = Some(LinkageTerms { key_maker: key_maker.parse().unwrap(), epoch: 1 });
        Self { south: Some(Party3::new("south", 3)), linkage, ..Self::default() }
    }
}

pub(super) fn charters(parties: &[Party3; 2]) -> (Signed<Charter>, Signed<Charter>) {
    amended_charters(parties, &Amendment::default())
}

/// Version 1 of the operator alone, and version 2 with the member and what the amendment brings, in force.
pub(super) fn amended_charters(parties: &[Party3; 2], amendment: &Amendment) -> (Signed<Charter>, Signed<Charter>) {
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
    for member in parties[1..].iter().chain(&amendment.south) {
        second.roster.insert(member.name.clone(), party(PartyKind::Member, member));
    }
    second.linkage.clone_from(&amendment.linkage);
    second.schema = amendment.schema;
    second.accounts.clone_from(&amendment.accounts);
    second.ext.clone_from(&amendment.ext);
    let mut both = Signed::sign(&Charter::try_from(second).unwrap(), &parties[0].root);
    both.add_signature(&parties[1].root);
    (signed, both)
}

/// The endpoint of one of the two, from its journal.
fn endpoint(consortium: ConsortiumId, parties: &[Party3; 2], n: usize, journal: &[JournalEntry]) -> Endpoint {
    let us = &parties[n];
    let keys = NodeKeys {
        root: Some(us.root.clone()),
        signing: us.signing.clone(),
        tls: us.tls.public(),
        sealing: SealingKey([5; 32]),
    };
    let operator_root = parties[0].root.public();
    let membership = Membership { consortium, party: us.name.clone(), operator_root, keys };
    let mut node = Endpoint::default();
    node.enter(membership, journal.iter().cloned());
    node
}

impl Pair {
    pub(super) fn new() -> Self {
        let parties = [Party3::new("op", 1), Party3::new("north", 2)];
        let (first, second) = charters(&parties);
        Self::with(parties, &first, &second, &Amendment::default())
    }

    /// A pair whose charter and past are amended.
    pub(super) fn amended(amendment: &Amendment) -> Self {
        let parties = [Party3::new("op", 1), Party3::new("north", 2)];
        let (first, second) = amended_charters(&parties, amendment);
        Self::with(parties, &first, &second, amendment)
    }

    /// A pair whose second charter has the signatures it has.
    pub(super) fn with(
        parties: [Party3; 2],
        first: &Signed<Charter>,
        second: &Signed<Charter>,
        amendment: &Amendment,
    ) -> Self {
        let consortium = ConsortiumId(first.digest().0);
        let roles = [Role::SiteAdministrator, Role::DataSteward, Role::PrivacyOfficer];
        let journals = [0, 1].map(|n: usize| {
            let us: &Party3 = &parties[n];
            let mut acts = vec![Act::Began { party: us.name.clone() }];
            acts.extend([first.clone(), second.clone()].map(Act::Charter));
            acts.extend(parties.iter().map(|party| Act::NodeRecord(party.record(consortium, 1))));
            acts.extend(amendment.south.iter().map(|south| Act::NodeRecord(south.record(consortium, 1))));
            acts.push(Act::Person(us.person(consortium, &roles)));
            acts.extend(amendment.past[n].iter().cloned());
            // A charter comes into force at a member when the operator says so.
            let told = |act: &Act| n == 1 && matches!(act, Act::Charter(_));
            let actor = |act: &Act| if told(act) { Actor::Peer(parties[0].name.clone()) } else { Actor::Node };
            acts.into_iter().map(|act| JournalEntry { at: NOW, actor: actor(&act), act }).collect::<Vec<_>>()
        });
        let nodes = [0, 1].map(|n: usize| endpoint(consortium, &parties, n, &journals[n]));
        let mut pair = Self {
            consortium,
            parties,
            backup: [journals[0].len(), journals[1].len()],
            journals,
            nodes,
            seen: [vec![], vec![]],
            nonce: 0,
            asked: BTreeMap::new(),
            disk_waits: false,
            slow: 1,
            wall: [NOW; 2],
            mono: Millis(1),
            streams: 500_000,
            deaf: false,
            silent: false,
        };
        pair.connect();
        pair
    }

    pub(super) fn connect(&mut self) {
        assert!(self.try_connect());
    }

    /// The member dials the operator; says whether both then stand.
    pub(super) fn try_connect(&mut self) -> bool {
        let tls = [0, 1].map(|n: usize| self.parties[n].tls.public());
        let consortium = Some(self.consortium);
        let protocol = Protocol::Main;
        let listens =
            Input::Connected { conn: ConnId(1), side: Side::Listener, protocol, consortium: None, tls: tls[1] };
        self.feed(0, listens);
        let protocol = Protocol::Main;
        self.feed(1, Input::Connected { conn: ConnId(1), side: Side::Dialler, protocol, consortium, tls: tls[0] });
        self.nodes.iter().all(|node| node.connected_parties(self.consortium).len() == 1)
    }

    /// The connection ends for both.
    pub(super) fn disconnect(&mut self) {
        for node in [0, 1] {
            self.feed(node, Input::Disconnected { conn: ConnId(1) });
        }
        self.asked.clear();
    }

    /// A node is restored from what was on its disk at the beginning. The connection is gone.
    pub(super) fn restore(&mut self, node: usize) {
        self.disconnect();
        self.seen[node].clear();
        self.journals[node].truncate(self.backup[node]);
        self.nodes[node] = endpoint(self.consortium, &self.parties, node, &self.journals[node]);
    }

    /// A node goes down and comes up again from its own journal. The connection is gone.
    pub(super) fn restart(&mut self, node: usize) {
        self.disconnect();
        self.seen[node].clear();
        self.nodes[node] = endpoint(self.consortium, &self.parties, node, &self.journals[node]);
        self.feed(node, Input::Tick);
    }

    /// How many entries a node has written.
    pub(super) fn written(&self, node: usize) -> u64 {
        self.journals[node].len() as u64
    }

    /// Feeds an input and carries out what follows between the two nodes, until nothing does.
    pub(super) fn feed(&mut self, node: usize, input: Input) {
        let cx = Cx { mono: self.mono, wall: self.wall[node] };
        self.nodes[node].handle(cx, input);
        while let Some(effect) = self.nodes[node].poll_effect() {
            self.carry_out(node, effect);
        }
    }

    pub(super) fn carry_out(&mut self, node: usize, effect: Effect) {
        let other = 1 - node;
        match effect {
            Effect::Persist { consortium, first, entries } => {
                assert_eq!(first, self.written(node), "entries follow one another");
                self.journals[node].extend(entries);
                if !(self.disk_waits && node == self.slow) {
                    self.feed(node, Input::Persisted { consortium, upto: self.written(node) });
                }
            }
            Effect::Ask { message, .. } if self.silent && node == 1 && message.kind != MessageType::Hello => {}
            Effect::Ask { conn, ticket, message } => {
                let stream = StreamId(ticket.0 * 2 + node as u64 + 1000);
                self.asked.insert(stream, (node, ticket));
                self.feed(other, Input::Request { conn, stream, message });
            }
            Effect::Reply { stream, message, .. } if self.asked.contains_key(&stream) => {
                let (asker, ticket) = self.asked.remove(&stream).unwrap();
                if self.deaf && asker == 0 {
                    return;
                }
                self.feed(asker, Input::Answered { ticket, answer: Answer::Message(message) });
            }
            kept => self.seen[node].push(kept),
        }
    }

    pub(super) fn order(&mut self, node: usize, command: Command) -> Result<(), OrderFault> {
        let key = self.parties[node].ada.clone();
        self.order_by(node, "ada", &key, command)
    }

    pub(super) fn order_by(
        &mut self,
        node: usize,
        who: &str,
        key: &KeyPair,
        command: Command,
    ) -> Result<(), OrderFault> {
        self.nonce += 1;
        let order = Order {
            consortium: self.consortium,
            party: self.parties[node].name.clone(),
            person: who.parse().unwrap(),
            nonce: Nonce([self.nonce; 16]),
            at: self.wall[node],
            command,
            ext: Extensions::default(),
        };
        self.give(node, Signed::sign(&order, key))
    }

    pub(super) fn give(&mut self, node: usize, order: Signed<Order>) -> Result<(), OrderFault> {
        let ticket = Ticket(1_000_000 + u64::from(self.nonce));
        self.feed(node, Input::Order { ticket, order: Box::new(order) });
        let done = |effect: &Effect| matches!(effect, Effect::OrderDone { ticket: t, .. } if *t == ticket);
        let Some(at) = self.seen[node].iter().position(done) else { return Ok(()) };
        match self.seen[node].remove(at) {
            Effect::OrderDone { result, .. } => result,
            _ => unreachable!("only an answer was looked for"),
        }
    }

    pub(super) fn state(&self, node: usize) -> &State {
        self.nodes[node].state(self.consortium).unwrap()
    }

    pub(super) fn subscription(&self, node: usize) -> &crate::state::subscription::Subscription {
        &self.state(node).subscriptions[&SUBSCRIPTION]
    }

    /// The member shares, the operator accepts, and one full snapshot is stated.
    pub(super) fn share(&mut self, landed_rows: LandedRows) {
        self.order(1, Command::DefineDataset(dataset("/data/stays.csv"))).unwrap();
        let share = share(self.consortium, 1, landed_rows);
        self.order(1, Command::DefineShare(share.clone())).unwrap();
        self.approve(&share).unwrap();
        self.invite().unwrap();
        self.accept();
        self.take();
    }

    pub(super) fn approve(&mut self, share: &Share) -> Result<(), OrderFault> {
        let terms = Signed::unsigned(share).digest();
        self.order(1, Command::ApproveShare { share: SHARE, terms, unchecked: Unchecked::No })
    }

    pub(super) fn invite(&mut self) -> Result<(), OrderFault> {
        let consumer = "op".parse().unwrap();
        let answer_by = NOW.plus(Seconds(3600));
        self.order(1, Command::Invite { share: SHARE, consumer, subscription: SUBSCRIPTION, answer_by })
    }

    pub(super) fn accept(&mut self) {
        let invitation = self.subscription(0).invitation_digest;
        let (subscription, answer) = (SUBSCRIPTION, Said::Accept);
        self.order(0, Command::AnswerInvitation { subscription, invitation, answer }).unwrap();
    }

    /// A full snapshot is taken.
    pub(super) fn take(&mut self) {
        let (ticket, _) = self.begin_run();
        self.end_run(ticket, Base::Full);
    }

    /// A run is ordered and begun.
    pub(super) fn begin_run(&mut self) -> (Ticket, Box<RunPlan>) {
        self.order(1, Command::TakeSnapshot { share: SHARE }).unwrap();
        let run = |effect: &Effect| match effect {
            Effect::Run { ticket, plan } => Some((*ticket, plan.clone())),
            _ => None,
        };
        self.pick(1, run).unwrap()
    }

    /// A run ends with one blob of rows.
    pub(super) fn end_run(&mut self, ticket: Ticket, base: Base) {
        let (content, listing) = listing();
        let taken = Taken { base, listing, content, index: None, linkage: None, origin: None, vocabulary: None };
        self.feed(1, Input::RunEnded { ticket, end: RunEnd::Taken(Box::new(taken)) });
    }

    /// Takes the first effect of a kind out of what a node gave.
    pub(super) fn pick<T>(&mut self, node: usize, mut wanted: impl FnMut(&Effect) -> Option<T>) -> Option<T> {
        let (at, found) = self.seen[node].iter().enumerate().find_map(|(at, effect)| Some((at, wanted(effect)?)))?;
        self.seen[node].remove(at);
        Some(found)
    }

    /// Brings `node` the next document of the other one; gives the code that it is refused with.
    pub(super) fn deliver(&mut self, node: usize, document: Document) -> Option<ErrorCode> {
        let from = self.parties[1 - node].name.clone();
        let index = self.state(node).mail.get(&from).map_or(0, Mailbox::received);
        let message = Message { kind: MessageType::Document, payload: codec::encode(&Numbered { index, document }) };
        let answer = self.request(node, message);
        (answer.kind == MessageType::Refused).then(|| code_of(&answer))
    }

    /// Sends a request to `node`; gives its answer.
    pub(super) fn request(&mut self, node: usize, message: Message) -> Message {
        self.streams += 1;
        let stream = StreamId(self.streams);
        self.feed(node, Input::Request { conn: ConnId(1), stream, message });
        let answer = |effect: &Effect| match effect {
            Effect::Reply { stream: s, message, .. } if *s == stream => Some(message.clone()),
            _ => None,
        };
        self.pick(node, answer).expect("it is answered")
    }

    /// The operator asks for the first range of the stated snapshot's rows.
    pub(super) fn ask_range(&mut self, stream: u64) {
        let snapshot = self.subscription(0).snapshots.last().unwrap().id;
        let blob = rows_blob().digest;
        let get = RangeGet { subscription: SUBSCRIPTION, snapshot, blob, offset: Bytes(0) };
        let message = Message { kind: MessageType::RangeGet, payload: codec::encode(&get) };
        self.feed(1, Input::Request { conn: ConnId(1), stream: StreamId(stream), message });
    }

    pub(super) fn serves(&self) -> usize {
        self.seen[1].iter().filter(|effect| matches!(effect, Effect::Serve { .. })).count()
    }

    pub(super) fn refusal(&self, stream: u64) -> Option<ErrorCode> {
        self.seen[1].iter().find_map(|effect| match effect {
            Effect::Reply { stream: s, message, .. } if *s == StreamId(stream) => Some(code_of(message)),
            _ => None,
        })
    }
}
