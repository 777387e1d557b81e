//! The mapping: a member's sources become facts in the tables of a common schema, and nothing is lost on the way.
//!
//! Sources pass the policy first (laws 1 and 8), so that no expression of a mapping ever sees a direct identifier. `file`
//! is the mapping as a person writes it, `plan` what it comes to over the columns that are really there, `expression` what
//! its SQL may be, `exact` how a value becomes another type, `run` carries it out batch by batch: `apply` on one thread, `fact` on another, `account` keeps count of
//! every row and fact.

mod account;
mod apply;
mod cell;
mod change;
mod codes;
mod diff;
mod exact;
mod expression;
mod fact;
mod fault;
mod file_fault;
mod file;
mod function;
mod patients;
mod plan;
mod run;
mod shape;
mod table;
mod trial;
mod unit;

pub use account::{MapReport, Reason, SourceCount, TableCount};
pub use change::{Before, SourceChange};
pub use diff::{Difference, diff};
pub use fault::MapFault;
pub use file::{Mapping, schema_word};
pub use file_fault::MappingFault;
pub use plan::PlanFault;
pub use run::{MapJob, MapSinks, MapSource, map};
pub use trial::{Change, Changed, Table, TableFault, TrialJob, Tried, Unlike, changed, expected, try_out, unlike};
