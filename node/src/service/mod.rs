//! The daemon's services: one task each, all of them talking to the core through its queue.

pub(crate) mod answer;
pub(crate) mod asked;
mod mapped;
mod tables;
mod checked;
mod question;
pub(crate) mod release;
pub(crate) mod pipelines;
pub(crate) mod progress;
pub(crate) mod net;
pub(crate) mod schedule;
pub(crate) mod control;
pub(crate) mod history;
pub(crate) mod office;
pub(crate) mod verify;
