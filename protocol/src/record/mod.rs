//! The signed documents and what they are made of: one file each, no rules beyond what a field may hold.
//!
//! Every document names its consortium and ends in an extension map. A shipped record type is frozen: a change is a new
//! record version under a new label.

pub mod extension;
pub mod safeguards;
pub mod charter;
pub mod node_record;
pub mod person;
pub mod text_form;
pub mod remote;
pub mod dataset;
pub mod literal;
pub mod schema;
pub mod suspicion;
pub mod row_filter;
pub mod schedule;
pub mod safe_harbor;
pub mod share;
pub mod listing;
pub mod vocabulary;
pub mod common_schema;
pub mod allowance;
pub mod mapping;
pub mod manifest;
pub mod run_fault;
pub mod consolidation;
pub mod hierarchy;
pub mod project;
pub mod request;
pub mod release;
pub mod refusal;
pub mod reservation;
pub mod made_release;
pub mod withdrawal;
pub mod announcement;
pub mod objection;
pub mod debit;
pub mod site_notice;
pub mod publish_place;
pub mod pipeline;
pub mod invitation;
pub mod acceptance;
pub mod revocation;
pub mod receipt;
pub mod linkage_wrap;
pub mod export_heading;
pub mod order;
pub mod journal_entry;
