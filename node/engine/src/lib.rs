//! Rows: sources, provider-side policy, deltas and landed tables. Runs in the worker process.
//!
//! It opens no path and no socket: it reads [`handle::RandomRead`] handles and writes sinks that it is given. Error
//! texts of arrow and parquet carry cells (law 12), so none of them leaves a function here: each becomes a fault of
//! ours with a place.

pub mod limits;
pub mod handle;
mod packed;
pub mod row_fault;
pub mod batch;
mod columnar;
pub mod source;
mod cells;
pub mod linkage;
mod calendar;
mod decimal;
pub mod treatment;
mod treated;
mod filter;
pub mod policy;
pub mod prepared;
mod sink;
pub mod index_file;
mod index;
mod distinct;
pub mod delta;
pub mod plain;
pub mod land;
pub mod consolidate;
pub mod query;
pub mod private;
pub mod mapping;
pub mod preview;
pub mod profile;
pub mod observe;

#[cfg(test)]
mod tests;
