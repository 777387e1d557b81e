//! Quiescence: all faults end, persons do what is left to do, and then everything must have arrived everywhere.

use cohortium_protocol::record::order::Command;
use cohortium_protocol::record::person::Role;
use cohortium_protocol::state::outbox::Mailbox;
use cohortium_protocol::state::subscription::{Fate, Phase, Side};

use crate::node::Power;
use crate::people::{OFFICER, STEWARD};
use crate::world::{Event, OPERATOR, Weather, World};

impl World {
    /// Ends all faults, brings every node back, and lets a last snapshot of every share be taken.
    pub(crate) fn heal_all(&mut self) {
        self.history.note(self.now, format_args!("all faults end"));
        self.calm = true;
        self.weather = Weather { latency_max: 10, lost: 0, lies: 0, faults_every: u64::MAX };
        self.net.links.values_mut().for_each(|link| link.latency = 10);
        for node in 0..self.nodes.len() {
            self.heal(node);
            self.nodes[node].clock.set_ahead(0);
            if self.nodes[node].outlaw {
                self.outlaw(node);
            } else if self.nodes[node].true_journal.is_some() {
                self.true_journal(node);
            } else if self.nodes[node].journal_broken {
                self.crash(node, crate::world::Kept::Written);
                self.soon(100, Event::Start { node });
            } else if self.nodes[node].power == Power::Off {
                self.soon(100, Event::Start { node });
            }
        }
        self.run_until(self.now + 60_000);
        for node in 0..self.nodes.len() {
            self.sign_everything(node);
        }
        self.run_until(self.now + 20_000);
        for node in 0..self.nodes.len() {
            self.last_orders(node);
        }
        self.run_until(self.now + 60_000);
        self.check.taken.clear();
        for node in 0..self.nodes.len() {
            self.last_snapshots(node);
        }
        self.run_until(self.now + 120_000);
    }

    fn sign_everything(&mut self, node: usize) {
        if !self.nodes[node].is_sound() || self.visit(node) {
            return;
        }
        for digest in self.unsigned_versions(node) {
            self.order(node, (Command::SignCharter(digest), OFFICER), Role::PrivacyOfficer);
        }
    }

    fn last_orders(&mut self, node: usize) {
        if !self.nodes[node].is_sound() {
            return;
        }
        if self.state(node).stopped {
            self.order(node, (Command::Start, OFFICER), Role::PrivacyOfficer);
        }
        let state = self.state(node);
        let linkage = state.charters.binding(&state.party).and_then(|version| version.charter.linkage.clone());
        let makes =
            linkage.filter(|terms| terms.key_maker == state.party && state.linkage.held.contains_key(&terms.epoch));
        let roots: Vec<_> = state
            .charters
            .head()
            .into_iter()
            .flat_map(|head| head.charter.roster.iter().map(|(name, party)| (name.clone(), party.root)))
            .filter(|(name, _)| *name != state.party)
            .collect();
        for (party, root) in roots {
            self.order(node, (Command::ConfirmRoot { party, root }, OFFICER), Role::PrivacyOfficer);
        }
        if let Some(terms) = makes {
            self.order(node, (Command::WrapLinkageKey { epoch: terms.epoch }, OFFICER), Role::PrivacyOfficer);
        }
    }

    fn last_snapshots(&mut self, node: usize) {
        if !self.nodes[node].is_sound() {
            return;
        }
        let offers: Vec<_> =
            self.state(node).offers.values().map(|offer| (offer.share.share, offer.share.dataset)).collect();
        for (share, dataset) in offers {
            self.change_source(node, dataset);
            self.order(node, (Command::TakeSnapshot { share }, STEWARD), Role::DataSteward);
        }
    }

    /// Every document has arrived, every active subscription has its latest snapshot, every receipt is there.
    pub(crate) fn check_quiet(&mut self) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].is_sound() {
                self.check_fold(node);
                self.check_current(node);
            }
        }
        for member in 1..self.nodes.len() {
            let both = self.nodes[member].is_sound() && self.nodes[OPERATOR].is_sound();
            let roster = self.state(OPERATOR).charters.binding(&self.nodes[OPERATOR].name);
            let party = roster.is_some_and(|version| version.charter.roster.contains_key(&self.nodes[member].name));
            let theirs = self.state(member).charters.binding(&self.nodes[member].name).is_some();
            if both && party && theirs {
                self.check_pair(member, OPERATOR);
                self.check_pair(OPERATOR, member);
            }
        }
        self.check_releases();
    }

    fn check_pair(&mut self, provider: usize, consumer: usize) {
        let (from, to) = (self.nodes[provider].name.clone(), self.nodes[consumer].name.clone());
        let written = self.state(provider).mail.get(&to).map_or(0, Mailbox::len);
        let received = self.state(consumer).mail.get(&from).map_or(0, Mailbox::received);
        if written != received {
            self.complain(format!("{from} has {written} documents for {to}, which has received {received}"));
        }
        let found: Vec<String> = self
            .subscriptions(provider, Side::Provider)
            .iter()
            .filter(|found| found.peer == to)
            .filter_map(|found| self.behind(provider, consumer, found.id))
            .collect();
        if let Some(why) = found.into_iter().next() {
            self.complain(format!("{to} is behind {from}: {why}"));
        }
    }

    /// Why a consumer has not what it should have.
    fn behind(
        &self,
        provider: usize,
        consumer: usize,
        id: cohortium_protocol::ident::SubscriptionId,
    ) -> Option<String> {
        let (ours, state) = (self.state(provider).subscriptions.get(&id)?, self.state(consumer));
        let theirs = state.subscriptions.get(&id);
        let now = self.nodes[provider].clock.wall(self.now);
        let short = crate::words::short(&id.0);
        let Some(theirs) = theirs else {
            // An invitation that came too late is refused.
            return ours.terms.map(|_| format!("{short} is unknown"));
        };
        // An acceptance that crossed a new invitation is refused; then the consumer waits for what does not come.
        if ours.phase(now) == Phase::Active && theirs.phase(now) != Phase::Active {
            return Some(format!("{short} is {:?} here and {:?} there", ours.phase(now), theirs.phase(now)));
        }
        if ours.phase(now) != Phase::Active {
            return None;
        }
        let last = ours.snapshots.last()?;
        let offer = self.state(provider).offers.get(&ours.invitation.share.share)?;
        let newest = offer.snapshots.last().is_some_and(|newest| newest.id == last.id);
        let current = ours.terms == Some(offer.terms) && newest && offer.approved_now().is_some();
        let known_key = last
            .manifest
            .linkage
            .as_ref()
            .is_none_or(|statement| state.linkage.announced.contains_key(&statement.epoch));
        // A share that is over, or whose key is not there yet, could not be taken anew.
        let taken = self.check.taken.contains(&(provider, offer.share.share));
        if !current || !known_key || !taken {
            return None;
        }
        let fate = theirs.snapshot(last.id).map(|snapshot| snapshot.fate);
        if fate != Some(Fate::Landed) {
            return Some(format!("snapshot {} of {short} is {fate:?} there", crate::words::short(&last.id.0)));
        }
        (last.fate != Fate::Landed)
            .then(|| format!("the receipt for {} of {short} is missing", crate::words::short(&last.id.0)))
    }
}
