//! The Cohortium protocol without input or output: types, codec, signatures, records, rules, log and sessions.
//!
//! The order of the `mod` lines is the dependency order: a module names only modules above it.

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::float_arithmetic,
        clippy::indexing_slicing,
        clippy::wildcard_enum_match_arm
    )
)]

pub mod hex;
pub mod time;
pub mod quantity;
pub mod limits;
pub mod ident;
pub mod digest;
pub mod outboard;
pub mod code;
pub mod wire;
pub mod table_version;
pub mod key;
pub mod record;
pub mod rule;
pub mod log;
pub mod message;
pub mod state;
pub mod endpoint;
