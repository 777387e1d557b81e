//! Verification of what a node publishes, for people who use the results.

pub mod log;
pub mod release;
