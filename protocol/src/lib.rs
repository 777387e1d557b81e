//! The Cohortium protocol without input or output: types, codec, signatures, records, rules, log and sessions.
//!
//! The order of the `mod` lines is the dependency order: a module names only modules above it.

pub mod hex;
pub mod time;
pub mod quantity;
pub mod limits;
pub mod ident;
pub mod digest;
pub mod outboard;
pub mod code;
pub mod wire;
pub mod key;
pub mod record;
pub mod rule;
pub mod log;
pub mod message;
pub mod state;
pub mod endpoint;
