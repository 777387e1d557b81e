//! Differential privacy: exact bounded integers in, noised integers with intervals and a cost out.
//!
//! A pure library: no file, no socket, no clock. It takes aggregates that were bounded and computed elsewhere, together with what one
//! linkage token can change in them at most. Who may ask, what is left of a budget and what is signed is decided elsewhere; what was
//! paid comes in as a purse, and nothing here draws noise that the purse does not cover.
//!
//! No error, size or cost depends on a value of the aggregates. Noise comes from `OpenDP` alone.

#![expect(
    clippy::cast_precision_loss,
    reason = "figures for people, and noise whose scale is far above the rounding of what it hides; what is charged is computed by `OpenDP`'s maps"
)]
#![expect(
    clippy::float_cmp,
    reason = "rounding is compared exactly: to the last bit, or to the integer that it came from"
)]

pub mod bound;
pub mod account;
pub mod mechanism;
pub mod owner;
pub mod interval;
pub mod quantile;
pub mod margins;
pub mod planner;
pub mod postprocess;
pub mod model;
pub mod synthetic;
#[cfg(test)]
mod tests;
