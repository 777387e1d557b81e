//! The world: nodes, network, time and chance, and the loop in which everything happens in one order.

use std::collections::BTreeMap;

use cohortium_protocol::endpoint::Endpoint;
use cohortium_protocol::endpoint::io::{
    Answer, ConnId, Effect, Input, Message, Protocol, ReleasePlan, RunPlan, Side, StreamId, Ticket,
};
use cohortium_protocol::ident::{ConsortiumId, Name};
use cohortium_protocol::key::pair::PublicKey;
use cohortium_protocol::state::State;

use crate::Mutation;
use crate::check::Checker;
use crate::dice::Dice;
use crate::history::{History, Trace};
use crate::net::{Ask, Asker, Link, Net, Wanted};
use crate::node::{Node, Power};

/// The operator's place among the nodes.
pub(crate) const OPERATOR: usize = 0;

/// Something that is going to happen.
pub(crate) enum Event {
    Feed { node: usize, life: u32, input: Box<Input> },
    Tick { node: usize, life: u32, at: u64 },
    Durable { node: usize, life: u32, upto: usize },
    Dial { node: usize },
    Arrive { ask: u64 },
    Answer { ask: u64, answer: Answer },
    Piece { flow: u64 },
    Bulk { ask: u64, bytes: Vec<u8> },
    Gone { link: u64, end: usize },
    RunEnds { node: usize, life: u32, ticket: Ticket, plan: Box<RunPlan> },
    Computed { node: usize, life: u32, ticket: Ticket, plan: Box<ReleasePlan> },
    Sweep { node: usize, life: u32 },
    Start { node: usize },
    Person,
    Fault,
    Join { node: usize },
    TrueJournal { node: usize },
    Heal { node: usize },
    Outlaw { node: usize },
}

/// How bad things are, of a hundred.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) latency_max: u64,
    pub(crate) lost: u64,
    pub(crate) lies: u64,
    pub(crate) faults_every: u64,
}

/// What is simulated.
pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) now: u64,
    pub(crate) queue: BTreeMap<(u64, u64), Event>,
    pub(crate) numbers: u64,
    pub(crate) consortium: ConsortiumId,
    pub(crate) operator_root: PublicKey,
    pub(crate) nodes: Vec<Node>,
    pub(crate) net: Net,
    pub(crate) check: Checker,
    pub(crate) history: History,
    pub(crate) mutation: Option<Mutation>,
    pub(crate) weather: Weather,
    pub(crate) orders: BTreeMap<u64, crate::people::Given>,
    pub(crate) past_orders:
        Vec<(usize, cohortium_protocol::key::signed::Signed<cohortium_protocol::record::order::Order>)>,
    pub(crate) tokens: BTreeMap<usize, cohortium_protocol::ident::Nonce>,
    /// Healed: no fault from here on.
    pub(crate) calm: bool,
}

impl World {
    pub(crate) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(crate) fn soon(&mut self, after: u64, event: Event) {
        let number = self.number();
        self.queue.insert((self.now + after, number), event);
    }

    pub(crate) fn later(&mut self, node: usize, after: u64, input: Input) {
        let life = self.nodes[node].life;
        self.soon(after, Event::Feed { node, life, input: Box::new(input) });
    }

    pub(crate) fn latency(&mut self, link: u64) -> u64 {
        let most = self.net.links.get(&link).map_or(1, |link| link.latency);
        self.dice.between(1, most.max(1))
    }

    pub(crate) fn state(&self, node: usize) -> &State {
        self.nodes[node].state(self.consortium)
    }

    pub(crate) fn place_of(&self, name: &Name) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == *name)
    }

    /// Lets things happen until `end`, or until a checker complains.
    pub(crate) fn run_until(&mut self, end: u64) {
        while self.check.complaint.is_none() {
            let Some(entry) = self.queue.first_entry() else { break };
            let (at, _) = *entry.key();
            if at > end {
                break;
            }
            let event = entry.remove();
            self.now = at;
            self.happen(event);
        }
        self.now = self.now.max(end);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Feed { node, life, input } => self.feed(node, life, *input),
            Event::Tick { node, life, at } => {
                if self.nodes[node].tick_at == Some(at) && self.nodes[node].life == life {
                    self.nodes[node].tick_at = None;
                    self.feed(node, life, Input::Tick);
                    self.check_awake(node);
                }
            }
            Event::Durable { node, life, upto } => self.durable(node, life, upto),
            Event::Dial { node } => self.dial(node),
            Event::Arrive { ask } => self.arrive(ask),
            Event::Answer { ask, answer } => self.answer(ask, answer),
            Event::Piece { flow } => self.piece(flow),
            Event::Bulk { ask, bytes } => self.bulk(ask, bytes),
            Event::Gone { link, end } => self.gone(link, end),
            Event::RunEnds { node, life, ticket, plan } => self.run_ends(node, life, ticket, &plan),
            Event::Computed { node, life, ticket, plan } => self.computed(node, life, ticket, &plan),
            Event::Sweep { node, life } => self.sweep(node, life),
            Event::Start { node } => self.start(node),
            Event::Person => self.person_acts(),
            Event::Fault => self.fault_strikes(),
            Event::Join { node } => self.join(node),
            Event::TrueJournal { node } => {
                if self.nodes[node].true_journal.is_some() {
                    self.true_journal(node);
                }
            }
            Event::Heal { node } => self.heal(node),
            Event::Outlaw { node } => self.outlaw(node),
        }
    }

    pub(crate) fn feed(&mut self, node: usize, life: u32, input: Input) {
        let found = &mut self.nodes[node];
        if found.power != Power::On || found.life != life {
            return;
        }
        if !matches!(input, Input::Tick | Input::Persisted { .. }) {
            self.history.note(self.now, format_args!("{} <- {}", found.name, crate::words::input(&input)));
        }
        let cx = found.clock.cx(self.now);
        found.endpoint.handle(cx, input);
        while let Some(effect) = self.nodes[node].endpoint.poll_effect() {
            self.log_effect(node, &effect);
            self.perform(node, effect);
        }
        self.arrange_tick(node);
        self.check_step(node);
    }

    fn log_effect(&mut self, node: usize, effect: &Effect) {
        let name = &self.nodes[node].name;
        self.history.note(self.now, format_args!("{name} -> {}", crate::words::effect(effect)));
    }

    fn arrange_tick(&mut self, node: usize) {
        let found = &mut self.nodes[node];
        let Some(wake) = found.endpoint.poll_wake() else { return };
        let at = found.clock.when(wake).clamp(self.now, self.now + 10_000);
        if found.tick_at.is_none_or(|earlier| at < earlier) {
            found.tick_at = Some(at);
            let life = found.life;
            self.soon(at - self.now, Event::Tick { node, life, at });
        }
    }

    /// A node that wants to wake in the past spins.
    fn check_awake(&mut self, node: usize) {
        let found = &self.nodes[node];
        let spins = found.endpoint.poll_wake().is_some_and(|wake| found.clock.when(wake) <= self.now);
        if spins && found.is_on() {
            self.complain(format!("{} wants to wake in the past, after a tick", self.nodes[node].name));
        }
    }

    pub(crate) fn complain(&mut self, what: String) {
        self.history.note(self.now, format_args!("COMPLAINT {what}"));
        self.check.complaint.get_or_insert(what);
    }

    fn durable(&mut self, node: usize, life: u32, upto: usize) {
        let found = &mut self.nodes[node];
        if found.life != life || found.power != Power::On {
            return;
        }
        let from = found.disk.durable();
        found.disk.sync(upto);
        for entry in found.disk.entries(from, upto) {
            found.shadow.apply(&entry);
        }
        if self.mutation != Some(Mutation::SendBeforeDurable) {
            let upto = u64::try_from(upto).unwrap_or(u64::MAX);
            self.feed(node, life, Input::Persisted { consortium: self.consortium, upto });
        }
    }

    /// Starts a node from its disk.
    pub(crate) fn start(&mut self, node: usize) {
        let (consortium, operator_root) = (self.consortium, self.operator_root);
        let offset = self.dice.between(1, 1_000_000);
        let found = &mut self.nodes[node];
        if found.power != Power::Off {
            return;
        }
        found.power = Power::On;
        found.life += 1;
        found.journal_broken = false;
        found.making = 0;
        found.tick_at = None;
        found.clock.boot(offset);
        found.disk.lies = self.mutation == Some(Mutation::LyingSync);
        found.sweep_wanted = false;
        found.endpoint = Endpoint::default();
        let entries = found.disk.entries(0, found.disk.written());
        let mut shadow = State::new(consortium, found.name.clone(), operator_root);
        for entry in &entries {
            shadow.apply(entry);
        }
        found.received = shadow.mail.iter().map(|(name, mail)| (name.clone(), mail.received())).collect();
        found.shadow = shadow;
        let membership = found.membership(consortium, operator_root);
        found.endpoint.enter(membership, entries);
        let life = found.life;
        self.history.note(self.now, format_args!("{} starts, life {life}", self.nodes[node].name));
        self.check_start(node);
        self.feed(node, life, Input::Tick);
        if node != OPERATOR {
            self.dial_soon(node, 10);
        }
    }

    /// Stops a node at once; `kept` says what its disk keeps.
    pub(crate) fn crash(&mut self, node: usize, kept: Kept) {
        if !self.nodes[node].is_on() {
            return;
        }
        self.check_fold(node);
        let lucky = self.dice.below(4);
        let found = &mut self.nodes[node];
        match kept {
            Kept::Written => found.disk.kill(),
            Kept::Durable => found.disk.cut_power(usize::try_from(lucky).unwrap_or(0)),
        }
        found.power = Power::Off;
        self.history.note(self.now, format_args!("{} goes down, {kept:?} stays", self.nodes[node].name));
        let links: Vec<u64> =
            self.net.links.iter().filter(|(_, link)| link.ends.contains(&node)).map(|(id, _)| *id).collect();
        for link in links {
            self.cut_link(link);
        }
    }

    /// Nothing passes any more; each end notices after a while.
    pub(crate) fn cut_link(&mut self, id: u64) {
        let Some(link) = self.net.links.get_mut(&id).filter(|link| link.carries) else { return };
        link.carries = false;
        self.net.flows.retain(|_, flow| self.net.asks.get(&flow.ask).is_none_or(|ask| ask.link != id));
        for end in [0, 1] {
            let slow = !self.calm && self.dice.percent(20);
            let after = if slow { self.dice.between(1000, 30_000) } else { self.dice.between(1, 200) };
            self.soon(after, Event::Gone { link: id, end });
        }
    }

    fn gone(&mut self, id: u64, end: usize) {
        let Some(link) = self.net.links.get_mut(&id).filter(|link| link.up[end]) else { return };
        link.up[end] = false;
        let (node, life, protocol) = (link.ends[end], link.lives[end], link.protocol.clone());
        let over = link.up == [false, false];
        let asks: Vec<u64> =
            self.net.asks.iter().filter(|(_, ask)| ask.link == id && ask.end == end).map(|(n, _)| *n).collect();
        for ask in asks {
            self.answer(ask, Answer::Lost);
        }
        if over {
            self.net.asks.retain(|_, ask| ask.link != id);
            self.net.links.remove(&id);
        }
        self.feed(node, life, Input::Disconnected { conn: ConnId(id) });
        if end == 0 && protocol == Protocol::Main {
            let after = if self.calm { 200 } else { self.dice.between(100, 5000) };
            self.dial_soon(node, after);
        }
    }

    pub(crate) fn dial_soon(&mut self, node: usize, after: u64) {
        if !self.nodes[node].dialling {
            self.nodes[node].dialling = true;
            self.soon(after, Event::Dial { node });
        }
    }

    fn dial(&mut self, node: usize) {
        self.nodes[node].dialling = false;
        let idle = !self.nodes[node].is_on() || self.nodes[node].outlaw || self.net.believes(node);
        if idle {
            return;
        }
        if !self.nodes[OPERATOR].is_on() {
            return self.dial_soon(node, 1000);
        }
        let tls = self.nodes[node].secrets.tls.public();
        let admitted = self.nodes[OPERATOR].endpoint.admitted().contains(&tls);
        self.open_link(node, Protocol::Main, admitted);
    }

    /// With TLS 1.3 a client's connection stands before the server has refused its key.
    pub(crate) fn open_link(&mut self, node: usize, protocol: Protocol, admitted: bool) -> u64 {
        let id = self.number();
        let latency = self.dice.between(2, self.weather.latency_max.max(2));
        let lives = [self.nodes[node].life, self.nodes[OPERATOR].life];
        let ends = [node, OPERATOR];
        let link = Link { ends, lives, up: [true, admitted], carries: admitted, protocol: protocol.clone(), latency };
        self.net.links.insert(id, link);
        let consortium = Some(self.consortium);
        let conn = ConnId(id);
        let theirs = self.nodes[OPERATOR].secrets.tls.public();
        let ours = self.nodes[node].secrets.tls.public();
        if protocol == Protocol::Main {
            let input =
                Input::Connected { conn, side: Side::Dialler, protocol: protocol.clone(), consortium, tls: theirs };
            self.later(node, latency, input);
        }
        if admitted {
            let input = Input::Connected { conn, side: Side::Listener, protocol, consortium: None, tls: ours };
            self.later(OPERATOR, latency, input);
        } else {
            self.soon(3 * latency, Event::Gone { link: id, end: 0 });
        }
        id
    }

    /// Sends a request; it may be lost, as on a stream that is reset or on a connection that has died.
    pub(crate) fn ask(&mut self, from: usize, link: u64, asker: Asker, message: Message, bulk: Option<Wanted>) {
        let id = self.number();
        let Some(end) = self.net.end_of(link, from) else {
            // A connection that the driver has forgotten already.
            if let Asker::Endpoint(ticket) = asker {
                self.later(from, 1, Input::Answered { ticket, answer: Answer::Lost });
            }
            return;
        };
        if let Asker::Endpoint(_) = asker {
            self.check_frame(from, link, &message);
        }
        self.net.asks.insert(id, Ask { link, end, asker, message, bulk, open: true });
        let (carries, latency) = (self.net.links[&link].carries, self.latency(link));
        let lost = !self.calm && self.dice.percent(self.weather.lost);
        if !carries {
            return;
        }
        if lost && self.dice.percent(50) {
            let after = self.dice.between(100, 30_000);
            self.soon(after, Event::Answer { ask: id, answer: Answer::Lost });
        } else {
            self.soon(latency, Event::Arrive { ask: id });
        }
    }

    fn arrive(&mut self, id: u64) {
        let Some(ask) = self.net.asks.get(&id) else { return };
        let Some(link) = self.net.links.get(&ask.link).filter(|link| link.carries) else { return };
        let to = 1 - ask.end;
        let (node, life, message, conn) = (link.ends[to], link.lives[to], ask.message.clone(), ConnId(ask.link));
        if self.mutation == Some(Mutation::ServeUnjudged) && self.serve_unjudged(id, node) {
            return;
        }
        self.feed(node, life, Input::Request { conn, stream: StreamId(id), message });
    }

    fn answer(&mut self, id: u64, answer: Answer) {
        let Some(ask) = self.net.asks.remove(&id) else { return };
        let Some(link) = self.net.links.get(&ask.link) else { return };
        let (node, life) = (link.ends[ask.end], link.lives[ask.end]);
        match ask.asker {
            Asker::Endpoint(ticket) => self.feed(node, life, Input::Answered { ticket, answer }),
            Asker::Joiner => self.join_answered(node, ask.link, answer),
            Asker::Hostile(attack) => self.attack_answered(&attack, node, &answer),
        }
    }
}

/// What a disk keeps when its node stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// The process was killed: all that was written.
    Written,
    /// The power was cut: all that was durable.
    Durable,
}

/// A world with nothing in it yet.
pub(crate) fn empty(seed: u64, mutation: Option<Mutation>, trace: Trace) -> World {
    let mut dice = Dice::new(seed);
    let consortium = ConsortiumId([0; 32]);
    let root = cohortium_protocol::key::pair::KeyPair::from_seed(&dice.bytes()).public();
    World {
        dice,
        now: 0,
        queue: BTreeMap::new(),
        numbers: 0,
        consortium,
        operator_root: root,
        nodes: Vec::new(),
        net: Net::default(),
        check: Checker::default(),
        history: History::new(trace),
        mutation,
        weather: Weather { latency_max: 40, lost: 0, lies: 0, faults_every: 20_000 },
        orders: BTreeMap::new(),
        past_orders: Vec::new(),
        tokens: BTreeMap::new(),
        calm: false,
    }
}
