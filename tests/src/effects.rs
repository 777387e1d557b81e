//! The driver of a simulated node: carries out effects as a real one does, and reports back after a while.

use std::collections::BTreeSet;
use std::sync::Arc;

use cohortium_protocol::code::MessageType;
use cohortium_protocol::endpoint::io::{
    Answer, ConnId, Effect, Input, Message, Notice, Part, RunEnd, RunPlan, StreamId, Ticket, Under,
};
use cohortium_protocol::ident::{Name, SubscriptionId};
use cohortium_protocol::key::pair::{SealingKey, SealingSecret};
use cohortium_protocol::key::wrap::{Secret32, unwrap, wrap};
use cohortium_protocol::record::journal_entry::{Act, JournalEntry, RunFault};
use cohortium_protocol::record::listing::{BlobRef, Listing};
use cohortium_protocol::record::manifest::LinkageKeyId;
use cohortium_protocol::wire::codec::{self, Blob};

use crate::Mutation;
use crate::disk::{Verify, part_bytes};
use crate::net::{Asker, Flow, Wanted};
use crate::node::Truth;
use crate::worker::{self, Habits};
use crate::world::{Event, World};

impl World {
    pub(crate) fn perform(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Persist { first, entries, .. } => self.persist(node, first, &entries),
            Effect::Ask { conn, ticket, message } => self.ask(node, conn.0, Asker::Endpoint(ticket), message, None),
            Effect::Fetch { conn, ticket, under, message, blob, part } => {
                let wanted = Wanted { subscription: under.subscription, blob, part };
                self.ask(node, conn.0, Asker::Endpoint(ticket), message, Some(wanted));
            }
            Effect::Reply { conn, stream, message } => self.reply(node, conn, stream, message),
            Effect::Serve { stream, under: Under { subscription, .. }, blob, part, .. } => {
                self.check_serve(node, stream.0, subscription, blob);
                self.serve(node, stream.0, subscription, blob, part);
            }
            Effect::Cut { under } => self.cut(node, under.subscription),
            Effect::Close { conn, .. } => self.close(node, conn),
            Effect::OrderDone { ticket, result } => self.order_done(node, ticket, &result),
            Effect::Run { ticket, plan } => self.begin_run(node, ticket, plan),
            // Nobody of this world maps: rows of the simulator are of no common schema.
            Effect::Map { ticket, .. } => {
                self.later(node, 1, Input::Mapped { ticket, end: Err(RunFault::Unreadable) });
            }
            Effect::LoadVocabulary { ticket, .. } => {
                self.later(node, 1, Input::VocabularyLoaded { ticket, end: Err(RunFault::Unreadable) });
            }
            Effect::Consolidate { ticket, .. } => self.consolidates(node, ticket),
            Effect::Publish { ticket, .. } => {
                self.later(node, 1, Input::Published { ticket, end: Err(RunFault::Unreadable) });
            }
            Effect::ReadRequest { ticket, plan } => self.reads_request(node, ticket, &plan),
            Effect::Release { ticket, plan } => self.begins_release(node, ticket, plan),
            Effect::OpenLanding { ticket, blob } => {
                let state = self.nodes[node].disk.open_landing(blob);
                let after = self.dice.between(1, 10);
                self.later(node, after, Input::LandingOpened { ticket, state });
            }
            Effect::FinishBlob { ticket, blob } => self.finish_blob(node, ticket, blob),
            Effect::ReadListing { ticket, blob } => {
                let listing = self.nodes[node].disk.listing(blob);
                let after = self.dice.between(1, 20);
                self.later(node, after, Input::ListingRead { ticket, listing });
            }
            Effect::Check { ticket, version, release } => {
                let rows = match release {
                    Some(release) => self.verifies(node, &version, release),
                    None => worker::read(&self.nodes[node].disk, &version)
                        .map(|table| cohortium_protocol::quantity::Rows(len(&table.keys().collect::<Vec<_>>()))),
                };
                let after = self.dice.between(5, 800);
                self.later(node, after, Input::Checked { ticket, rows });
            }
            Effect::Sweep => self.want_sweep(node),
            Effect::MakeLinkageKey { .. } | Effect::WrapLinkageKey { .. } | Effect::OpenLinkageWrap { .. } => {
                self.linkage(node, effect);
            }
            // Simulated nodes publish no log, so nobody asks for its head.
            Effect::ProveLog { .. }
            | Effect::Witness { .. }
            | Effect::KeepCosignature { .. }
            | Effect::KeepEvidence { .. } => self.complain("cosigning begins without a log".to_owned()),
            Effect::Notify(notice) => self.notified(node, &notice),
        }
    }

    fn persist(&mut self, node: usize, first: u64, entries: &[JournalEntry]) {
        if self.nodes[node].journal_broken {
            return;
        }
        self.check_entries(node, first, entries);
        let fails = !self.calm && self.dice.below(4000) == 0;
        let delay = if self.calm { 2 } else { self.dice.between(1, 40) };
        let now = self.now;
        let found = &mut self.nodes[node];
        if fails {
            found.journal_broken = true;
            self.later(node, delay, Input::JournalFailed);
            let life = self.nodes[node].life;
            return self.soon(delay + 5000, Event::Sweep { node, life });
        }
        found.disk.append(entries);
        found.synced_at = found.synced_at.max(now + delay);
        let (upto, life, after) = (found.disk.written(), found.life, found.synced_at - now);
        self.soon(after, Event::Durable { node, life, upto });
        let reserves = entries.iter().any(|entry| matches!(entry.act, Act::ReleaseReserved(_)));
        let unpaid = reserves && self.mutation == Some(Mutation::ComputeUnpaid);
        if unpaid || self.mutation == Some(Mutation::SendBeforeDurable) {
            let consortium = self.consortium;
            let upto = u64::try_from(upto).unwrap_or(u64::MAX);
            self.later(node, 0, Input::Persisted { consortium, upto });
        }
    }

    fn reply(&mut self, node: usize, conn: ConnId, stream: StreamId, message: Message) {
        self.check_reply(node, conn.0, stream.0, &message);
        let Some(ask) = self.net.asks.get_mut(&stream.0).filter(|ask| ask.open) else { return };
        ask.open = false;
        let bulk = ask.bulk.is_some();
        let refusal = message.kind == MessageType::Refused;
        let code =
            refusal.then(|| codec::decode::<cohortium_protocol::message::hello::Refused>(&message.payload, 16).ok());
        let code = code.flatten().and_then(|refused| cohortium_protocol::code::ErrorCode::from_code(refused.code));
        let answer = match (bulk, code) {
            (true, Some(code)) => Answer::Refused(code),
            (true, None) => Answer::Wrong,
            (false, _) => Answer::Message(message),
        };
        self.answer_later(conn.0, stream.0, answer);
    }

    /// Unless the answer is lost on its way.
    fn answer_later(&mut self, link: u64, ask: u64, answer: Answer) {
        if !self.net.links.get(&link).is_some_and(|link| link.carries) {
            return;
        }
        let lost = !self.calm && self.dice.percent(self.weather.lost);
        let after = if lost { self.dice.between(100, 30_000) } else { self.latency(link) };
        self.soon(after, Event::Answer { ask, answer: if lost { Answer::Lost } else { answer } });
    }

    /// Bulk bytes leave piece by piece; a liar bends them.
    pub(crate) fn serve(&mut self, node: usize, ask: u64, subscription: SubscriptionId, blob: BlobRef, part: Part) {
        let Some(asked) = self.net.asks.get_mut(&ask).filter(|ask| ask.open) else { return };
        asked.open = false;
        let link = asked.link;
        let Some(stored) = self.nodes[node].disk.blob(blob.digest).cloned() else {
            return self.answer_later(link, ask, Answer::Lost);
        };
        let mut bytes = part_bytes(blob, &stored, part);
        if !self.calm && self.dice.percent(self.weather.lies) {
            self.lie(&mut bytes);
        }
        let slow = !self.calm && self.dice.percent(15);
        let (pieces, pace) =
            if slow { (self.dice.between(4, 12), self.dice.between(200, 900)) } else { (2, self.dice.between(1, 30)) };
        let flow = self.number();
        let moving = Flow { ask, provider: node, subscription, bytes, pieces, sent: 0, pace, denied: None };
        self.net.flows.insert(flow, moving);
        self.soon(1, Event::Piece { flow });
    }

    fn lie(&mut self, bytes: &mut Vec<u8>) {
        let place = self.dice.place(bytes.len().max(1));
        match (self.dice.below(3), bytes.get_mut(place)) {
            (0, Some(byte)) => *byte ^= 1,
            (1, Some(_)) => bytes.truncate(place),
            (_, _) => bytes.push(0),
        }
    }

    pub(crate) fn piece(&mut self, id: u64) {
        self.check_piece(id);
        let Some(flow) = self.net.flows.get_mut(&id) else { return };
        flow.sent += 1;
        if flow.sent < flow.pieces {
            let pace = flow.pace;
            return self.soon(pace, Event::Piece { flow: id });
        }
        let Some(flow) = self.net.flows.remove(&id) else { return };
        self.served(&flow);
        let Some(link) = self.net.asks.get(&flow.ask).map(|ask| ask.link) else { return };
        let after = self.latency(link);
        self.soon(after, Event::Bulk { ask: flow.ask, bytes: flow.bytes });
    }

    fn served(&mut self, flow: &Flow) {
        let (subscription, bytes) = (flow.subscription, flow.bytes_sent());
        let under = Under { consortium: self.consortium, subscription };
        self.later(flow.provider, 1, Input::Served { under, bytes });
    }

    /// The consumer's driver verifies before it keeps.
    pub(crate) fn bulk(&mut self, id: u64, bytes: Vec<u8>) {
        let Some(ask) = self.net.asks.get(&id) else { return };
        let (Some(wanted), Some(link)) = (ask.bulk, self.net.links.get(&ask.link)) else { return };
        let (node, life, end) = (link.ends[ask.end], link.lives[ask.end], ask.end);
        if !link.up[end] || self.nodes[node].life != life {
            return;
        }
        let verify = if self.mutation == Some(Mutation::LandUnverified) { Verify::No } else { Verify::Yes };
        let checkpoint = self.dice.percent(40);
        let answer = self.nodes[node].disk.keep(wanted.blob, wanted.part, bytes, verify, checkpoint);
        self.soon(0, Event::Answer { ask: id, answer });
    }

    fn cut(&mut self, node: usize, subscription: SubscriptionId) {
        if self.mutation == Some(Mutation::IgnoreCut) {
            return;
        }
        let of = |flow: &&Flow| flow.subscription == subscription && flow.provider == node;
        let flows: Vec<u64> = self.net.flows.iter().filter(|(_, flow)| of(flow)).map(|(id, _)| *id).collect();
        for id in flows {
            let Some(flow) = self.net.flows.remove(&id) else { continue };
            self.served(&flow);
            let link = self.net.asks.get(&flow.ask).map(|ask| ask.link);
            let after = link.map_or(1, |link| self.latency(link));
            self.soon(after, Event::Answer { ask: flow.ask, answer: Answer::Lost });
        }
        let links = &self.net.links;
        let ours = |ask: &crate::net::Ask| {
            let here = links.get(&ask.link).is_some_and(|link| link.ends[ask.end] == node);
            here && ask.bulk.is_some_and(|wanted| wanted.subscription == subscription)
        };
        let asks: Vec<u64> = self.net.asks.iter().filter(|(_, ask)| ours(ask)).map(|(id, _)| *id).collect();
        for ask in asks {
            self.net.hung_up.insert(ask);
            self.soon(0, Event::Answer { ask, answer: Answer::Lost });
            self.net.flows.retain(|_, flow| flow.ask != ask);
        }
    }

    fn close(&mut self, node: usize, conn: ConnId) {
        let Some(end) = self.net.end_of(conn.0, node) else { return };
        let link = self.net.links.get_mut(&conn.0).expect("it has an end");
        link.up[end] = false;
        link.carries = false;
        let latency = link.latency;
        self.net.flows.retain(|_, flow| self.net.asks.get(&flow.ask).is_none_or(|ask| ask.link != conn.0));
        self.net.hang_up(conn.0, Some(end));
        let other_up = self.net.links.get(&conn.0).is_some_and(|link| link.up[1 - end]);
        if other_up {
            // What was answered just before may still arrive.
            self.soon(latency + 2, Event::Gone { link: conn.0, end: 1 - end });
        } else {
            self.net.hang_up(conn.0, None);
            self.net.links.remove(&conn.0);
        }
        if end == 0 {
            let after = if self.calm { 500 } else { self.dice.between(200, 5000) };
            self.dial_soon(node, after);
        }
    }

    fn begin_run(&mut self, node: usize, ticket: Ticket, plan: Box<RunPlan>) {
        self.nodes[node].making += 1;
        let after = self.dice.between(20, if self.calm { 200 } else { 3000 });
        let life = self.nodes[node].life;
        self.soon(after, Event::RunEnds { node, life, ticket, plan });
    }

    pub(crate) fn run_ends(&mut self, node: usize, life: u32, ticket: Ticket, plan: &RunPlan) {
        let habits = Habits {
            leaks_identifiers: self.mutation == Some(Mutation::LeakIdentifiers),
            ignores_opt_outs: self.mutation == Some(Mutation::IgnoreOptOuts),
        };
        let changes = !self.calm && self.dice.percent(4);
        let found = &mut self.nodes[node];
        if found.life != life || !found.is_on() {
            return;
        }
        found.making = found.making.saturating_sub(1);
        let source = found.sources.get(&plan.dataset.dataset).cloned().unwrap_or_default();
        let key = plan.epoch.and_then(|epoch| found.keystore.get(&epoch));
        let made = worker::run(plan, &source, &found.disk, key, habits);
        let mut end = made.end;
        if changes || found.disk.full {
            end = RunEnd::Failed(if changes { RunFault::Changed } else { RunFault::Limit });
        } else {
            for (blob, bytes) in made.blobs {
                self.check.made(node, blob, &bytes);
                found.disk.put(blob, bytes);
            }
        }
        let truth = Truth { dataset: plan.dataset.dataset, table: made.table, patients: made.patients };
        found.truths.insert(plan.share.share, truth);
        self.feed(node, life, Input::RunEnded { ticket, end });
    }

    fn finish_blob(&mut self, node: usize, ticket: Ticket, blob: BlobRef) {
        let durable = self.nodes[node].disk.finish(blob);
        if durable {
            self.check_landed(node, blob);
        }
        let after = self.dice.between(1, 60);
        self.later(node, after, Input::BlobFinished { ticket, durable });
    }

    fn want_sweep(&mut self, node: usize) {
        if !self.nodes[node].sweep_wanted {
            self.nodes[node].sweep_wanted = true;
            let after = self.dice.between(1, 500);
            let life = self.nodes[node].life;
            self.soon(after, Event::Sweep { node, life });
        }
    }

    /// Removes what nothing live names; waits while a run makes blobs that nothing names yet. A node whose journal
    /// failed is started anew here.
    pub(crate) fn sweep(&mut self, node: usize, life: u32) {
        let found = &mut self.nodes[node];
        if found.life != life || !found.is_on() {
            return;
        }
        if found.journal_broken {
            self.crash(node, crate::world::Kept::Written);
            return self.soon(500, Event::Start { node });
        }
        if found.making > 0 {
            return self.soon(1000, Event::Sweep { node, life });
        }
        found.sweep_wanted = false;
        if found.true_journal.is_some() {
            return;
        }
        let roots = found.endpoint.live_blobs(self.consortium);
        let mut named = BTreeSet::new();
        for root in roots {
            named.insert(root.digest);
            let listing = found.disk.listing(root);
            if self.mutation != Some(Mutation::SweepTooMuch) {
                named.extend(listing.iter().flat_map(Listing::entries).map(|entry| entry.blob.digest));
            }
        }
        found.disk.sweep(&named);
        self.check_current(node);
        self.feed(node, life, Input::Swept { whole: true });
    }

    fn linkage(&mut self, node: usize, effect: Effect) {
        let consortium = self.consortium;
        let seed: [u8; 32] = self.dice.bytes();
        let input = match effect {
            Effect::MakeLinkageKey { ticket, epoch, .. } => {
                let key = self.nodes[node].keystore.entry(epoch).or_insert_with(|| Secret32::new(seed)).clone();
                Input::LinkageKey { ticket, key: Some(worker::key_id(&worker::sub_key(&key, consortium, epoch))) }
            }
            Effect::WrapLinkageKey { ticket, epoch, recipients, .. } => {
                let Some(key) = self.nodes[node].keystore.get(&epoch).cloned() else { return };
                let wraps = recipients.into_iter().filter_map(|(name, sealing)| {
                    let ephemeral = SealingSecret::from_seed(&self.dice.bytes());
                    let context = codec::encode(&(consortium, epoch, &name));
                    let (public, ciphertext) = wrap(&key, &ephemeral, &sealing, &context).ok()?;
                    Some((name, public, ciphertext))
                });
                let wraps: Vec<(Name, SealingKey, Blob)> = wraps.collect();
                let key = worker::key_id(&worker::sub_key(&key, consortium, epoch));
                Input::LinkageWrapped { ticket, key, wraps }
            }
            Effect::OpenLinkageWrap { ticket, epoch, key, ephemeral, ciphertext, .. } => {
                let key = self.open_wrap(node, epoch, key, &ephemeral, &ciphertext);
                Input::LinkageKey { ticket, key }
            }
            _ => return,
        };
        let after = self.dice.between(1, 50);
        self.later(node, after, input);
    }

    fn open_wrap(
        &mut self,
        node: usize,
        epoch: u32,
        stated: LinkageKeyId,
        ephemeral: &SealingKey,
        ciphertext: &Blob,
    ) -> Option<LinkageKeyId> {
        let consortium = self.consortium;
        let context = codec::encode(&(consortium, epoch, &self.nodes[node].name));
        let opened = unwrap(&self.nodes[node].secrets.sealing, ephemeral, ciphertext, &context).ok()?;
        let opened =
            if self.mutation == Some(Mutation::KeepWrongKey) { Secret32::new(self.dice.bytes()) } else { opened };
        let id = worker::key_id(&worker::sub_key(&opened, consortium, epoch));
        if id != stated && self.mutation != Some(Mutation::KeepWrongKey) {
            return None;
        }
        self.nodes[node].keystore.insert(epoch, opened);
        Some(stated)
    }

    fn notified(&mut self, node: usize, notice: &Notice) {
        match notice {
            Notice::PeerUp(_) => self.check_peer_up(node),
            Notice::Stated(share, _) | Notice::Unchanged(share) if self.calm => {
                self.check.taken.insert((node, *share));
            }
            _ => {}
        }
    }

    /// A provider's driver that asks nobody, put in on purpose.
    pub(crate) fn serve_unjudged(&mut self, ask: u64, node: usize) -> bool {
        let Some(wanted) = self.net.asks.get(&ask).and_then(|ask| ask.bulk) else { return false };
        self.check_serve(node, ask, wanted.subscription, wanted.blob);
        self.serve(node, ask, wanted.subscription, wanted.blob, wanted.part);
        true
    }

    /// Changes a source as a hospital's day does.
    pub(crate) fn change_source(&mut self, node: usize, dataset: cohortium_protocol::ident::DatasetId) {
        let changes = self.dice.between(1, 5);
        for _ in 0..changes {
            let (place, patient, measure) = (self.dice.below(60), self.dice.below(40), self.dice.below(1000));
            let narrow = |n: u64| u32::try_from(n).unwrap_or(0);
            let fresh = self.dice.percent(60);
            let Some(source) = self.nodes[node].sources.get_mut(&dataset) else { return };
            if source.files.is_empty() {
                let row = worker::Row { patient: narrow(patient), measure: narrow(measure) };
                if fresh {
                    source.rows.insert(narrow(place), row);
                } else {
                    source.rows.remove(&narrow(place));
                }
            } else {
                let path = format!("f{:02}", place % 6);
                let bytes = format!("file {measure} {patient}").into_bytes();
                source.files.insert(path, Arc::new(bytes));
            }
        }
    }
}

fn len<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}
