//! Rows: sources, provider-side policy, deltas and landed tables. Runs in the worker process.
//!
//! It opens no path and no socket: it reads [`handle::RandomRead`] handles and writes sinks that it is given. Error
//! texts of arrow and parquet carry cells (law 12), so none of them leaves a function here: each becomes a fault of
//! ours with a place.

pub mod limits;
pub mod handle;
mod packed;
pub mod batch;
mod csv;
mod columnar;
pub mod source;
mod cells;
pub mod linkage;
pub mod policy;
mod prepared;
mod sink;
mod index;
pub mod delta;
pub mod land;
pub mod preview;
pub mod profile;

#[cfg(test)]
mod tests;
