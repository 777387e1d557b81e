//! The signed documents and what they are made of: one file each, no rules beyond what a field may hold.
//!
//! Every document names its consortium and ends in an extension map. A shipped record type is frozen: a change is a new
//! record version under a new label.

pub mod extension;
pub mod charter;
pub mod node_record;
pub mod person;
pub mod schema;
pub mod schedule;
pub mod share;
pub mod dataset;
pub mod listing;
pub mod manifest;
pub mod invitation;
pub mod acceptance;
pub mod revocation;
pub mod receipt;
pub mod linkage_wrap;
pub mod export_heading;
pub mod order;
pub mod journal_entry;
