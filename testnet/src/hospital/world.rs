//! Who goes where: the population, the patients that sites share, the faults and the canary values. Everything is
//! computed from the plan; nothing grows with the population.

use super::Plan;
use super::person::Fault;
use super::random::{Permutation, index, mix};

/// Domain of canary tokens: they have sixteen hexadecimal digits.
const TOKENS: u64 = 1 << 62;
/// Domain of telephone numbers: ten digits after the unassigned country code 999.
const PHONES: u64 = 10_000_000_000;

/// The population of one plan.
#[derive(Clone)]
pub(super) struct World {
    pub(super) plan: Plan,
    ranks: Permutation,
    tokens: Permutation,
    phones: Permutation,
}

impl World {
    pub(super) fn new(plan: Plan) -> Self {
        let permutation = |number, size| Permutation::new(plan.seed, u64::MAX, number, size);
        Self {
            plan,
            ranks: permutation(0, plan.persons()),
            tokens: permutation(1, TOKENS),
            phones: permutation(2, PHONES),
        }
    }

    /// The sites that see this person, the first one first; at most three.
    pub(super) fn sites_of(&self, person: u64) -> Vec<u64> {
        let sites = self.plan.sites;
        let home = person % sites;
        let Some(rank) = self.shared_rank(person) else { return vec![home] };
        let second = (home + 1 + rank % (sites - 1)) % sites;
        let third = (0..sites).map(|step| (second + step) % sites).find(|site| *site != home && *site != second);
        match third {
            Some(third) if rank.is_multiple_of(7) => vec![home, second, third],
            Some(_) | None => vec![home, second],
        }
    }

    /// The persons that two or more sites see.
    pub(super) fn shared_persons(&self) -> impl Iterator<Item = u64> {
        (0..self.plan.shared_persons()).map(|rank| self.ranks.backward(rank))
    }

    /// What this site has wrong about this person.
    pub(super) fn fault(&self, person: u64, site: u64) -> Option<Fault> {
        let rank = self.shared_rank(person).filter(|rank| *rank < self.plan.faulty_persons())?;
        let sites = self.sites_of(person);
        let wrong = sites[index(mix(rank ^ self.plan.seed) % sites.len() as u64)];
        (wrong == site).then_some(Fault::ALL[index(rank % 4)])
    }

    /// The canary of this person at this site: sixteen hexadecimal digits, unlike any other.
    pub(super) fn token(&self, person: u64, site: u64) -> String {
        format!("{:016x}", self.tokens.forward(self.record(person, site)))
    }

    /// The telephone number of this person at this site, unlike any other, in a country code that nobody has.
    pub(super) fn phone(&self, person: u64, site: u64) -> String {
        format!("+999{:010}", self.phones.forward(self.record(person, site)))
    }

    fn record(&self, person: u64, site: u64) -> u64 {
        person * self.plan.sites + site
    }

    fn shared_rank(&self, person: u64) -> Option<u64> {
        // Persons that a day of change adds have numbers after the population and are at one site.
        let known = person < self.plan.persons();
        known.then(|| self.ranks.forward(person)).filter(|rank| *rank < self.plan.shared_persons())
    }
}
