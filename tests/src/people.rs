//! The people of the world: they found, join, sign, share and change their minds, at random times and in random order.

use std::collections::{BTreeMap, BTreeSet};

use cohortium_protocol::code::MessageType;
use cohortium_protocol::endpoint::io::{Answer, Input, Message, OrderFault, Protocol, Ticket};
use cohortium_protocol::ident::{ConsortiumId, Name, Nonce};
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::limits::NODE_RECORD_VALIDITY_MAX;
use cohortium_protocol::message::join::{Join, JoinAck, prove, secret_digest, secret_id};
use cohortium_protocol::quantity::{AnonymityK, ContributionBound, Delta, Rho};
use cohortium_protocol::record::charter::{
    AccountTerms, Charter, CharterFields, CharterKind, LandedRows, LinkageTerms, Party, PartyKind, ReleasePolicy, Terms,
};
use cohortium_protocol::record::extension::Extensions;
use cohortium_protocol::record::journal_entry::{Act, Actor, JournalEntry};
use cohortium_protocol::record::order::{Command, Order};
use cohortium_protocol::record::person::Role;
use cohortium_protocol::record::project::BudgetShare;
use cohortium_protocol::record::safeguards::{Renewal, SafeguardFields, Safeguards};
use cohortium_protocol::time::Seconds;
use cohortium_protocol::wire::codec;

use crate::net::Asker;
use crate::node::{Node, Power};
use crate::world::{Event, OPERATOR, World};

/// An order that was given.
pub(crate) struct Given {
    pub(crate) node: usize,
    pub(crate) nonce: Nonce,
    pub(crate) lawful: bool,
    pub(crate) signed: Signed<Order>,
}

/// What somebody would like to do, and which roles may.
pub(crate) type Wish = (Command, &'static [Role]);

pub(crate) const ADMIN: &[Role] = &[Role::SiteAdministrator];
pub(crate) const STEWARD: &[Role] = &[Role::DataSteward];
pub(crate) const OFFICER: &[Role] = &[Role::PrivacyOfficer];
pub(crate) const EITHER: &[Role] = &[Role::DataSteward, Role::PrivacyOfficer];
pub(crate) const ANYBODY: &[Role] = &[Role::SiteAdministrator, Role::DataSteward, Role::PrivacyOfficer];

fn text(words: &str) -> cohortium_protocol::ident::Text {
    words.parse().expect("plain words are a text")
}

fn plain_name(name: &str) -> Name {
    name.parse().expect("plain letters are a name")
}

/// What the one account grants at first: some private questions.
const ACCOUNT_RHO: u128 = 10;

/// The one account: of everybody's patients.
fn account() -> AccountTerms {
    AccountTerms {
        population: text("All patients"),
        rho: Rho(ACCOUNT_RHO),
        delta: Delta(1 << 40),
        tokens_per_person_max: ContributionBound(2),
        patients_max: 1_000_000,
    }
}

fn said(fields: &CharterFields) -> Safeguards {
    Safeguards::of(&fields.ext).expect("a charter's safeguards can be read")
}

/// The same, with so many seconds to object in.
fn waits(said: &Safeguards, wait: u64) -> Safeguards {
    let fields = SafeguardFields { objection_wait: Seconds(wait), ..said.clone().into() };
    fields.try_into().expect("a minute is a waiting time")
}

impl World {
    /// The operator founds the consortium; hospitals are not there yet.
    pub(crate) fn found(&mut self, members: u64) {
        let operator: Name = "operator".parse().expect("a plain name");
        let nobody = ConsortiumId([0; 32]);
        let mut node = Node::new(operator.clone(), nobody, self.operator_root, &mut self.dice);
        let party = Party {
            kind: PartyKind::Operator,
            title: text("Operator"),
            root: node.secrets.root.public(),
            succeeds: None,
        };
        let now = node.clock.wall(0);
        let threshold = if self.dice.percent(60) { 1 } else { 2 };
        let wait = if self.dice.percent(40) { self.dice.between(5, 60) } else { 0 };
        let fields = CharterFields {
            consortium: None,
            version: 1,
            previous: None,
            title: text("Simulated"),
            kind: CharterKind::Production,
            at: now,
            roster: BTreeMap::from([(operator.clone(), party)]),
            threshold,
            schema: None,
            policy: ReleasePolicy { anonymity_k_min: AnonymityK(11), small_cell_min: 11 },
            accounts: BTreeMap::from([(plain_name("patients"), account())]),
            terms: Terms { landed_rows: LandedRows::Keep, share_validity_max: Seconds(30 * 24 * 3600), contract: None },
            linkage: None,
            ext: waits(&Safeguards::default(), wait).beside(Extensions::default()),
        };
        let charter = Charter::try_from(fields).expect("one operator and the floors are a charter");
        let signed = Signed::sign(&charter, &node.secrets.root);
        self.consortium = ConsortiumId(signed.digest().0);
        self.operator_root = node.secrets.root.public();
        let record = node.secrets.record(self.consortium, &operator, 1, now, NODE_RECORD_VALIDITY_MAX);
        self.begin(&mut node, vec![Act::Charter(signed), Act::NodeRecord(record)]);
        self.nodes.push(node);
        for n in 1..=members {
            let name: Name = format!("m{n}").parse().expect("a letter and a digit");
            let mut node = Node::new(name, self.consortium, self.operator_root, &mut self.dice);
            node.root_offline = self.dice.percent(20);
            self.nodes.push(node);
        }
        self.start(OPERATOR);
        self.enrol_all(OPERATOR);
    }

    /// The first entries, as the command line writes them.
    fn begin(&self, node: &mut Node, documents: Vec<Act>) {
        let at = node.clock.wall(self.now);
        let until = at.plus(Seconds(365 * 24 * 3600));
        let first = node.orderer(Role::SiteAdministrator);
        let person = node.enrol(self.consortium, first, until, &node.secrets.root);
        let mut acts = vec![Act::Began { party: node.name.clone() }];
        acts.extend(documents);
        acts.push(Act::Person(person));
        let entries: Vec<JournalEntry> =
            acts.into_iter().map(|act| JournalEntry { at, actor: Actor::Node, act }).collect();
        node.disk.append(&entries);
        node.disk.kill();
        node.power = Power::Off;
    }

    pub(crate) fn enrol_all(&mut self, node: usize) {
        for role in [Role::DataSteward, Role::PrivacyOfficer, Role::DataScientist] {
            let found = &self.nodes[node];
            let until = found.clock.wall(self.now).plus(Seconds(300 * 24 * 3600));
            let person = found.enrol(self.consortium, found.orderer(role), until, &found.secrets.root);
            self.order(node, (Command::EnrolPerson(person), ADMIN), Role::SiteAdministrator);
        }
    }

    /// A person of this role gives an order.
    pub(crate) fn order(&mut self, node: usize, wish: Wish, role: Role) {
        let (command, roles) = wish;
        let nonce = Nonce(self.dice.bytes());
        let found = &self.nodes[node];
        let person = found.orderer(role);
        let order = Order {
            consortium: self.consortium,
            party: found.name.clone(),
            person: person.name.clone(),
            nonce,
            at: found.clock.wall(self.now),
            command,
            ext: Extensions::default(),
        };
        let signed = Signed::sign(&order, &person.key);
        let lawful = roles.contains(&role);
        if lawful {
            self.check.lawful.insert(nonce);
        }
        self.give(node, nonce, signed, lawful);
    }

    fn give(&mut self, node: usize, nonce: Nonce, signed: Signed<Order>, lawful: bool) {
        let number = self.number();
        let given = Given { node, nonce, lawful, signed: signed.clone() };
        self.orders.insert(number, given);
        let life = self.nodes[node].life;
        self.feed(node, life, Input::Order { ticket: Ticket(number), order: Box::new(signed) });
    }

    pub(crate) fn order_done(&mut self, node: usize, ticket: Ticket, result: &Result<(), OrderFault>) {
        let Some(given) = self.orders.remove(&ticket.0) else { return };
        if result.is_err() {
            return;
        }
        let name = &self.nodes[node].name;
        if !given.lawful {
            return self.complain(format!("{name} carried out an order that it must refuse"));
        }
        if !self.nodes[node].shadow.orders.contains(&given.nonce) {
            return self.complain(format!("{name} acknowledged an order that is not durable"));
        }
        self.check.promised.entry(given.node).or_default().insert(given.nonce);
        self.past_orders.push((given.node, given.signed));
    }

    /// Somebody does something.
    pub(crate) fn person_acts(&mut self) {
        if self.calm {
            return;
        }
        let next = self.dice.between(10, 700);
        self.soon(next, Event::Person);
        for _ in 0..6 {
            if self.somebody_acts() {
                return;
            }
        }
    }

    fn somebody_acts(&mut self) -> bool {
        let sound: Vec<usize> = (0..self.nodes.len()).filter(|node| self.nodes[*node].is_sound()).collect();
        let Some(node) = self.dice.pick(&sound) else { return false };
        match self.dice.below(100) {
            0..8 => return self.hospital_joins(),
            8..14 => return self.somebody_changes_sources(node),
            14..16 => return self.replay_order(node),
            16..18 => return self.visit(node),
            18..20 => return self.schedule_fires(node),
            _ => {}
        }
        let Some((command, roles)) = self.wish(node) else { return false };
        let wrong = self.dice.percent(6);
        let role = if wrong {
            let others: Vec<Role> = self.nodes[node]
                .persons
                .iter()
                .map(|person| person.role)
                .filter(|role| !roles.contains(role))
                .collect();
            self.dice.pick(&others)
        } else {
            self.dice.pick(roles)
        };
        let Some(role) = role else { return false };
        self.order(node, (command, roles), role);
        true
    }

    fn wish(&mut self, node: usize) -> Option<Wish> {
        // First of all hospitals must be in.
        let binds = self
            .state(node)
            .charters
            .binding(&self.nodes[node].name)
            .is_some_and(|version| version.charter.version > 1);
        let joins = if binds && !self.dice.percent(10) { 22 } else { 90 };
        match self.dice.below(100) {
            0..10 if node == OPERATOR => self.wish_token(),
            10..22 if node == OPERATOR => self.wish_charter(),
            n if n < joins && node != OPERATOR => self.wish_signature(node),
            0..22 => self.wish_signature(node),
            22..42 if node == OPERATOR => self.wish_release(),
            32..36 if node != OPERATOR => self.wish_guard(node),
            22..27 => self.wish_confirmation(node),
            27..32 => self.wish_linkage(node),
            _ => self.wish_trade(node),
        }
    }

    fn wish_token(&mut self) -> Option<Wish> {
        let waiting = |n: &usize| self.nodes[*n].power == Power::Unborn && !self.tokens.contains_key(n);
        let waiting: Vec<usize> = (1..self.nodes.len()).filter(waiting).collect();
        let node = self.dice.pick(&waiting)?;
        let nonce = Nonce(self.dice.bytes());
        self.tokens.insert(node, nonce);
        let expires = self.nodes[OPERATOR].clock.wall(self.now).plus(Seconds(3600));
        let (party, title) = (self.nodes[node].name.clone(), text("A hospital"));
        Some((Command::IssueJoinToken { secret: secret_digest(&nonce), party, title, expires }, ADMIN))
    }

    fn wish_charter(&mut self) -> Option<Wish> {
        let state = self.state(OPERATOR);
        let head = state.charters.head()?;
        let mut fields = CharterFields::from(head.charter.clone());
        fields.consortium = Some(self.consortium);
        fields.version += 1;
        fields.previous = Some(head.digest);
        fields.at = self.nodes[OPERATOR].clock.wall(self.now);
        let joining: Vec<(Name, _)> =
            state.joining.iter().map(|(name, known)| (name.clone(), known.record.root)).collect();
        let admits = !joining.is_empty() && self.dice.percent(90);
        if !admits && !self.dice.percent(15) {
            return None;
        }
        for (name, root) in joining.into_iter().filter(|_| admits) {
            let party = Party { kind: PartyKind::Member, title: text("A hospital"), root, succeeds: None };
            fields.roster.insert(name, party);
        }
        let members: Vec<Name> = fields
            .roster
            .iter()
            .filter(|(_, party)| party.kind == PartyKind::Member)
            .map(|(name, _)| name.clone())
            .collect();
        if fields.linkage.is_none() && self.dice.percent(70) {
            fields.linkage = self.dice.pick(&members).map(|key_maker| LinkageTerms { key_maker, epoch: 1 });
        } else if !admits {
            self.bend(&mut fields, &members);
        }
        Charter::try_from(fields).ok().map(|charter| (Command::ProposeCharter(charter), ADMIN))
    }

    /// A change of the constitution: stricter, laxer, a new epoch, or somebody leaves.
    fn bend(&mut self, fields: &mut CharterFields, members: &[Name]) {
        match self.dice.below(7) {
            0 => fields.policy.small_cell_min += 1,
            5 => {
                let wait = if self.dice.percent(50) { 0 } else { self.dice.between(5, 60) };
                fields.ext = waits(&said(fields), wait).beside(fields.ext.clone());
            }
            6 => self.enlarge(fields),
            1 => fields.threshold = if fields.threshold == 1 { 2 } else { 1 },
            2 => fields.terms.share_validity_max = Seconds(20 * 24 * 3600),
            3 => {
                if let Some(linkage) = &mut fields.linkage {
                    linkage.epoch += 1;
                }
            }
            _ => {
                let keeps = fields.linkage.as_ref().map(|linkage| linkage.key_maker.clone());
                let may_go: Vec<Name> = members.iter().filter(|name| Some(*name) != keeps.as_ref()).cloned().collect();
                if members.len() > 2
                    && let Some(name) = self.dice.pick(&may_go)
                {
                    fields.roster.remove(&name);
                }
            }
        }
    }

    /// The account grants more; sometimes nobody says for which unit, and then it must not come into force.
    fn enlarge(&mut self, fields: &mut CharterFields) {
        let Some(account) = fields.accounts.get_mut(&plain_name("patients")) else { return };
        account.rho.0 += u128::from(self.dice.between(1, 6));
        if self.dice.percent(80) {
            let mut renewing = SafeguardFields::from(said(fields));
            let renewal = Renewal { version: fields.version, unit: text("patient-year") };
            renewing.renewed.insert(plain_name("patients"), renewal);
            let renewing = Safeguards::try_from(renewing).expect("one renewal is short");
            fields.ext = renewing.beside(fields.ext.clone());
        }
    }

    /// A member objects to what is announced, or bounds what its patients pay.
    fn wish_guard(&mut self, node: usize) -> Option<Wish> {
        if self.dice.percent(20) {
            let cap = BudgetShare { rho: Rho(u128::from(self.dice.between(2, 12))), delta: Delta(1 << 40) };
            let cap = (!self.dice.percent(20)).then_some(cap);
            return Some((Command::Cap { cap }, OFFICER));
        }
        let asked: Vec<_> = self.state(node).ledger.waiting().map(|told| told.announcement.release).collect();
        let release = self.dice.pick(&asked)?;
        Some((Command::Object { release, reason: text("too much") }, OFFICER))
    }

    /// A version that this node has not signed and whose roster has it.
    pub(crate) fn unsigned_versions(&self, node: usize) -> Vec<cohortium_protocol::digest::DocumentDigest> {
        let root = self.nodes[node].secrets.root.public();
        let (state, name) = (self.state(node), &self.nodes[node].name);
        let versions = state.charters.proposals().chain(state.charters.chain());
        let open =
            versions.filter(|version| version.charter.roster.contains_key(name) && !version.signers.contains(&root));
        open.filter(|version| version.charter.version > 1).map(|version| version.digest).collect()
    }

    fn wish_signature(&mut self, node: usize) -> Option<Wish> {
        let open = self.unsigned_versions(node);
        self.dice.pick(&open).map(|digest| (Command::SignCharter(digest), OFFICER))
    }

    fn wish_confirmation(&mut self, node: usize) -> Option<Wish> {
        let state = self.state(node);
        let head = state.charters.head()?;
        let open: Vec<(Name, _)> = head
            .charter
            .roster
            .iter()
            .filter(|(name, party)| **name != state.party && state.confirmed.get(*name) != Some(&party.root))
            .map(|(name, party)| (name.clone(), party.root))
            .collect();
        self.dice.pick(&open).map(|(party, root)| (Command::ConfirmRoot { party, root }, OFFICER))
    }

    fn wish_linkage(&mut self, node: usize) -> Option<Wish> {
        let state = self.state(node);
        let terms = state.charters.binding(&state.party)?.charter.linkage.clone()?;
        if terms.key_maker != state.party && !self.dice.percent(5) {
            return None;
        }
        let epoch = terms.epoch;
        let held = self.state(node).linkage.held.contains_key(&epoch);
        Some((if held { Command::WrapLinkageKey { epoch } } else { Command::MakeLinkageKey { epoch } }, OFFICER))
    }

    fn hospital_joins(&mut self) -> bool {
        let ready: Vec<usize> =
            self.tokens.keys().copied().filter(|node| self.nodes[*node].power == Power::Unborn).collect();
        let Some(node) = self.dice.pick(&ready) else { return false };
        self.join(node);
        true
    }

    /// A hospital's command line asks to join; it asks again when no answer comes.
    pub(crate) fn join(&mut self, node: usize) {
        if self.nodes[node].power != Power::Unborn || !self.nodes[OPERATOR].is_on() {
            return;
        }
        let Some(secret) = self.tokens.get(&node).map(secret_digest) else { return };
        let now = self.nodes[node].clock.wall(self.now);
        let runs = match (self.nodes[node].root_offline, self.dice.percent(30)) {
            (true, _) => Seconds(self.dice.between(60, 900)),
            (false, true) => Seconds(self.dice.between(60, 9 * 24 * 3600)),
            (false, false) => NODE_RECORD_VALIDITY_MAX,
        };
        let found = &self.nodes[node];
        let record = found.secrets.record(self.consortium, &found.name, 1, now, runs);
        let keys = (self.nodes[OPERATOR].secrets.tls.public(), found.secrets.tls.public(), found.secrets.root.public());
        let proof = prove(secret, &keys.0, &keys.1, &keys.2);
        let join = Join { consortium: self.consortium, secret: secret_id(secret), proof, record };
        let message = Message { kind: MessageType::Join, payload: codec::encode(&join) };
        let admitted = self.nodes[OPERATOR].endpoint.expects_joins(self.nodes[OPERATOR].clock.wall(self.now));
        let link = self.open_link(node, Protocol::Join, admitted);
        let wait = self.net.links.get(&link).map_or(1, |link| link.latency) + 1;
        self.join_frame(node, link, wait, message);
    }

    fn join_frame(&mut self, node: usize, link: u64, wait: u64, message: Message) {
        let id = self.number();
        let asked = crate::net::Ask { link, end: 0, asker: Asker::Joiner, message, bulk: None, open: true };
        self.net.asks.insert(id, asked);
        self.soon(wait, Event::Arrive { ask: id });
        self.soon(20_000, Event::Join { node });
    }

    pub(crate) fn join_answered(&mut self, node: usize, link: u64, answer: Answer) {
        self.cut_link(link);
        let Answer::Message(message) = answer else { return };
        let Ok(ack) = codec::decode::<JoinAck>(&message.payload, usize::MAX) else { return };
        if message.kind != MessageType::JoinAck || self.nodes[node].power != Power::Unborn {
            return;
        }
        let stands = ack.charter.digest().0 == self.consortium.0 && ack.charter.verify(&[self.operator_root]).is_ok();
        if !stands || ack.record.verify(&[self.operator_root]).is_err() {
            return self.complain("the operator answers a join with documents that do not stand".to_owned());
        }
        let state = self.state(OPERATOR);
        let (joining, name) = (state.joining.get(&self.nodes[node].name), &self.nodes[node].name);
        let own = joining.or_else(|| state.records.get(name)).map(|known| known.signed.clone());
        let Some(own) = own else { return self.complain("a joined hospital's record is not kept".to_owned()) };
        let placeholder =
            Node::new("x".parse().expect("a letter"), self.consortium, self.operator_root, &mut self.dice);
        let mut found = std::mem::replace(&mut self.nodes[node], placeholder);
        self.begin(&mut found, vec![Act::Charter(ack.charter), Act::NodeRecord(own), Act::NodeRecord(ack.record)]);
        self.nodes[node] = found;
        self.start(node);
        self.enrol_all(node);
    }

    /// Somebody takes the root key out of the safe: signs charters and a new node record with the node stopped.
    pub(crate) fn visit(&mut self, node: usize) -> bool {
        if !self.nodes[node].root_offline || !self.nodes[node].is_sound() || self.nodes[node].clock.is_wrong() {
            return false;
        }
        let open = self.unsigned_versions(node);
        let at = self.nodes[node].clock.wall(self.now);
        let margin = Seconds(if self.calm { 3600 } else { 30 });
        let due = self
            .state(node)
            .records
            .get(&self.nodes[node].name)
            .is_some_and(|known| known.record.not_after <= at.plus(margin));
        if open.is_empty() && !due {
            return false;
        }
        let versions: Vec<_> = {
            let charters = &self.state(node).charters;
            let all = charters.proposals().chain(charters.chain());
            all.filter(|version| open.contains(&version.digest)).map(|version| version.signed.clone()).collect()
        };
        self.crash(node, crate::world::Kept::Written);
        let found = &mut self.nodes[node];
        let mut acts = Vec::new();
        for mut signed in versions {
            signed.add_signature(&found.secrets.root);
            acts.push(Act::Charter(signed));
        }
        if due {
            found.record_sequence += 1;
            let record =
                found.secrets.record(self.consortium, &found.name, found.record_sequence, at, NODE_RECORD_VALIDITY_MAX);
            acts.push(Act::NodeRecord(record));
        }
        let entries: Vec<JournalEntry> =
            acts.into_iter().map(|act| JournalEntry { at, actor: Actor::Node, act }).collect();
        found.disk.append(&entries);
        found.disk.kill();
        self.soon(300, Event::Start { node });
        true
    }

    fn replay_order(&mut self, node: usize) -> bool {
        let here: Vec<Signed<Order>> =
            self.past_orders.iter().filter(|(at, _)| *at == node).map(|(_, signed)| signed.clone()).collect();
        let Some(signed) = self.dice.pick(&here) else { return false };
        let Ok(order) = signed.claimed() else { return false };
        self.give(node, order.nonce, signed, false);
        true
    }

    fn schedule_fires(&mut self, node: usize) -> bool {
        let shares: BTreeSet<_> =
            self.nodes[node].endpoint.schedules(self.consortium).into_iter().map(|(share, _)| share).collect();
        let shares: Vec<_> = shares.into_iter().collect();
        let Some(share) = self.dice.pick(&shares) else { return false };
        let (consortium, life) = (self.consortium, self.nodes[node].life);
        self.feed(node, life, Input::RunDue { consortium, share });
        true
    }
}
