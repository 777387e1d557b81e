//! The k-anonymity engine: what turns a table of patients into rows that may leave.
//!
//! A pure library: tables in memory, or readers and writers that are given, in; recodings, bodies and reports out. It opens no
//! path and no socket, reads no clock, and its randomness is a seed that is given. Who may ask for what, and what is signed, is
//! decided elsewhere.

#![expect(
    clippy::cast_possible_truncation,
    reason = "rows, leaves and levels are bounded far below 2^32 where they come in: `table::ROWS_MAX`, `hierarchy::LEAVES_MAX`"
)]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "counts of rows and shares of them, which stay far below 2^53 and below 2^31 where they are exponents"
)]

pub mod hierarchy;
pub mod table;
pub mod recoding;
pub mod loss;
pub mod model;
pub mod lattice;
pub mod local;
pub mod seed;
pub mod resistant;
pub mod attack;
pub mod counts;
pub mod memory;
pub mod release;
pub mod encode;
pub mod measure;
pub mod body;
pub mod file;
#[cfg(test)]
mod tests;
