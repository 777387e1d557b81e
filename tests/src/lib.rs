//! The simulator of a consortium, and the tests that need more than one package.
//!
//! One seed decides everything: who founds and joins, what people order and when, what the network loses, when the power
//! goes. The endpoints, rules, signatures and codec are the real ones; disk, clock, network and worker are simulated.
//! Checkers look at the whole world after every step.

mod dice;
mod clock;
mod history;
mod hostile;
mod words;
mod disk;
mod worker;
mod node;
mod net;
mod check;
mod people;
mod release;
mod trade;
mod faults;
mod effects;
mod quiet;
mod world;
pub mod real;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use history::Trace;

/// A fault that is put in on purpose, to see that a checker finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// The driver goes on serving when it is told to cut.
    IgnoreCut,
    /// The driver says that entries are durable before they are.
    SendBeforeDurable,
    /// The provider's driver answers requests for bytes without asking the endpoint.
    ServeUnjudged,
    /// The consumer's driver keeps bytes without verifying them.
    LandUnverified,
    /// The disk says that it has synced and has not.
    LyingSync,
    /// The worker keeps columns that are to be dropped.
    LeakIdentifiers,
    /// The worker does not apply the opt-out list.
    IgnoreOptOuts,
    /// The driver keeps another linkage key than the stated one.
    KeepWrongKey,
    /// The sweep removes what live listings name.
    SweepTooMuch,
    /// The driver says that a reservation is durable before it is.
    ComputeUnpaid,
}

impl Mutation {
    /// Every mutation.
    pub const ALL: [Self; 10] = [
        Self::IgnoreCut,
        Self::SendBeforeDurable,
        Self::ServeUnjudged,
        Self::LandUnverified,
        Self::LyingSync,
        Self::LeakIdentifiers,
        Self::IgnoreOptOuts,
        Self::KeepWrongKey,
        Self::SweepTooMuch,
        Self::ComputeUnpaid,
    ];
}

/// What came of one seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The first thing that did not hold, if any.
    pub complaint: Option<String>,
    /// The last lines of the history.
    pub tail: Vec<String>,
    /// A digest of the whole history.
    pub digest: [u8; 32],
    /// Lines of the history.
    pub lines: u64,
    /// Blobs that landed at consumers.
    pub landed: u64,
    /// Releases that were signed.
    pub signed: u64,
    /// Releases that were recalled.
    pub recalled: u64,
}

/// Runs one seed to its end, or to the first complaint. A panic of an endpoint is a complaint.
pub fn run(seed: u64, mutation: Option<Mutation>, trace: Trace) -> Outcome {
    let mut world = world::empty(seed, mutation, trace);
    let ended = catch_unwind(AssertUnwindSafe(|| play(&mut world)));
    if ended.is_err() {
        world.complain("something panicked".to_owned());
    }
    Outcome {
        complaint: world.check.complaint.take(),
        tail: world.history.tail(),
        digest: world.history.digest(),
        lines: world.history.count,
        landed: world.check.landed,
        signed: world.check.signed,
        recalled: world.check.recalled,
    }
}

fn play(world: &mut world::World) {
    let members = world.dice.between(2, 5);
    world.found(members);
    world.soon(500, world::Event::Person);
    let first_fault = world.dice.between(5000, 60_000);
    world.soon(first_fault, world::Event::Fault);
    let length = world.dice.between(120_000, 260_000);
    world.run_until(length);
    if world.check.complaint.is_none() {
        world.heal_all();
    }
    if world.check.complaint.is_none() {
        world.check_quiet();
    }
}
