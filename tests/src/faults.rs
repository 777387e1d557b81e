//! What goes wrong by itself: crashes, power cuts, dead connections, wrong clocks, full disks, old backups, bad weather.

use cohortium_protocol::endpoint::io::Input;
use cohortium_protocol::state::State;
use cohortium_protocol::state::outbox::Mailbox;

use crate::world::{Event, Kept, OPERATOR, Weather, World};

impl World {
    pub(crate) fn fault_strikes(&mut self) {
        if self.calm {
            return;
        }
        let next = self.dice.between(200, self.weather.faults_every);
        self.soon(next, Event::Fault);
        let on: Vec<usize> = (0..self.nodes.len()).filter(|node| self.nodes[*node].is_on()).collect();
        let Some(node) = self.dice.pick(&on) else { return };
        match self.dice.below(100) {
            0..14 => self.crash_for_a_while(node, Kept::Written),
            14..34 => self.crash_for_a_while(node, Kept::Durable),
            34..52 => {
                let links: Vec<u64> = self.net.links.keys().copied().collect();
                if let Some(link) = self.dice.pick(&links) {
                    self.cut_link(link);
                }
            }
            52..57 => self.wrong_clock(node),
            57..63 => self.full_disk(node),
            63..67 => self.old_backup(node),
            67..76 => self.change_weather(),
            _ => self.hostile_hand(),
        }
    }

    fn crash_for_a_while(&mut self, node: usize, kept: Kept) {
        if self.nodes[node].true_journal.is_some() {
            return;
        }
        self.crash(node, kept);
        let away = self.dice.between(50, 15_000);
        self.soon(away, Event::Start { node });
    }

    fn wrong_clock(&mut self, node: usize) {
        let hour = 3_600_000;
        let found = &mut self.nodes[node];
        if self.dice.percent(50) {
            found.clock.set_ahead(hour);
        } else {
            found.clock.set_behind(hour);
        }
        self.history.note(self.now, format_args!("{} has a wrong clock", found.name));
        // How soon a node notices that its clock was set is its driver's matter.
        let life = found.life;
        self.feed(node, life, Input::Tick);
        let wrong_for = self.dice.between(1000, 30_000);
        self.soon(wrong_for, Event::Heal { node });
    }

    fn full_disk(&mut self, node: usize) {
        self.nodes[node].disk.full = true;
        self.history.note(self.now, format_args!("{} has a full disk", self.nodes[node].name));
        let full_for = self.dice.between(500, 20_000);
        self.soon(full_for, Event::Heal { node });
    }

    pub(crate) fn heal(&mut self, node: usize) {
        self.nodes[node].disk.full = false;
        let skew = self.dice.below(2000);
        self.nodes[node].clock.set_ahead(skew);
        self.history.note(self.now, format_args!("{} is healed", self.nodes[node].name));
        let life = self.nodes[node].life;
        self.feed(node, life, Input::Tick);
    }

    /// A member's journal is put back to an old copy, from before something that the operator has of it.
    fn old_backup(&mut self, node: usize) {
        if node == OPERATOR || !self.nodes[node].is_sound() {
            return;
        }
        let name = self.nodes[node].name.clone();
        let operator = self.nodes[OPERATOR].name.clone();
        let seen = self.nodes[OPERATOR].shadow.mail.get(&name).map_or(0, Mailbox::received);
        self.crash(node, Kept::Written);
        let found = &mut self.nodes[node];
        let mut fold = State::new(self.consortium, name, self.operator_root);
        let mut keep = 0;
        for (place, entry) in found.disk.entries(0, found.disk.written()).iter().enumerate() {
            fold.apply(entry);
            if fold.mail.get(&operator).map_or(0, Mailbox::len) + 2 <= seen {
                keep = place + 1;
            }
        }
        if keep > 5 {
            found.true_journal = Some(found.disk.roll_back(keep));
            self.history.note(self.now, format_args!("{} has an old journal of {keep} entries", self.nodes[node].name));
            let until = self.dice.between(3000, 20_000);
            self.soon(until, Event::TrueJournal { node });
        }
        self.soon(100, Event::Start { node });
    }

    pub(crate) fn true_journal(&mut self, node: usize) {
        self.crash(node, Kept::Written);
        if let Some(journal) = self.nodes[node].true_journal.take() {
            self.nodes[node].disk.restore(journal);
        }
        self.soon(100, Event::Start { node });
    }

    fn change_weather(&mut self) {
        self.weather = Weather {
            latency_max: self.dice.between(5, 800),
            lost: if self.dice.percent(50) { self.dice.below(12) } else { 0 },
            lies: if self.dice.percent(40) { self.dice.below(30) } else { 0 },
            faults_every: self.dice.between(2000, 20_000),
        };
        let weather = self.weather;
        self.history.note(self.now, format_args!("{weather:?}"));
    }
}
