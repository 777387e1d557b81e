//! Consolidation: the landed chains of all members as versions of one table. What lies where, and in which order it is built.
//!
//! A version is one **part** for each member, and a part is all current rows of the member's chain, in files in patient
//! order: a base, and beside it what has changed since. [`gather`](gather::gather) makes a part from the whole chain,
//! [`merge`](gather::merge) from the part before and the deltas since; both give one digest, which is over content alone. [`union`] reads the parts of a version as one table.

pub mod fault;
pub mod shape;
mod conform;
mod content;
pub(crate) mod merged;
mod sorted;
pub(crate) mod layers;
pub mod part;
pub mod gather;
pub mod union;
pub mod numbered;
pub mod lineage;
pub mod quality;
