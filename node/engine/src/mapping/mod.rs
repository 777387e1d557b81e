//! The mapping: a member's sources become facts in the tables of a common schema, and nothing is lost on the way.
//!
//! Sources pass the policy first (laws 1 and 8), so that no expression of a mapping ever sees a direct identifier. `file`
//! is the mapping as a person writes it, `plan` what it comes to over the columns that are really there, `expression` what
//! its SQL may be, `exact` how a value becomes another type, `run` carries it out batch by batch, `account` keeps count of
//! every row and fact.

mod account;
mod cell;
mod exact;
mod expression;
mod fact;
mod file;
mod function;
mod patients;
mod plan;
mod run;
mod table;
mod unit;

pub use account::{MapReport, Reason, SourceCount, TableCount};
pub use file::{Mapping, MappingFault, schema_word};
pub use plan::PlanFault;
pub use run::{MapFault, MapJob, MapSinks, MapSource, map};
