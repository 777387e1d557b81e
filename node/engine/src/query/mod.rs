//! SQL over consolidated tables: one SELECT of a person, within bounds, over nothing but the tables that were registered.
//!
//! [`guard`] refuses what is too long, deep or wide before anything parses it; `session` knows no file, no function of a
//! table and no other catalogue; [`ask`] plans, checks the plan against a list of what may be in one, and runs it. [`reads`]
//! plans the question of a release and says what it would read; [`rows`] has its rows.

mod fault;
pub(crate) mod guard;
mod plan;
mod table;
mod run;
mod trace;
mod release;

pub use self::fault::QueryFault;
pub(crate) use self::fault::planning;
pub(crate) use self::release::columns_read;
pub use self::release::{Columns, Reads, reads, rows};
pub use self::run::{Answer, Into, Question, ask};
pub use self::table::QueryTable;
pub(crate) use self::table::partitions;
