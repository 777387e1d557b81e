//! Rules: pure functions over records. They know no time but what they are told, and change nothing.

pub mod budget;
pub mod ledger;
pub mod role;
pub mod charter_in_force;
pub mod widening;
pub mod snapshot_chain;
pub mod review;
