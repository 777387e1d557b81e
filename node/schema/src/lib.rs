//! The common schema that every member's data is brought to, and what is checked against it.
//!
//! No file, socket or clock is opened here: texts and readers are given, and reports are returned. Nothing that a cell
//! held stands in an error text (law 12): an error names a table, a field, a line or a code of ours.

pub mod limits;
mod fraction;
pub mod schema;
mod order;
pub mod omop;
mod canonical;
pub mod bins;
pub mod gate;
pub mod unit;
pub mod vocabulary;
pub mod drift;
pub mod compare;
