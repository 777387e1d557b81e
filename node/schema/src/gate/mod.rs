//! Quality gates: everything that is checked about the mapped tables, in the one pass that emits them.
//!
//! [`Gates`] sees each batch once and counts; [`Gates::finish`] makes of it what was measured; [`Report`] judges that
//! against thresholds, which can change without another pass. Every figure is a count of rows, so neither the order of
//! rows nor the size of batches changes it. All of it depends on rows: law 8 says who may see it.

mod check;
mod column;
mod judge;
mod keys;
mod measured;
mod page;
mod period;
mod plot;
mod profile;
mod table;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use arrow::array::RecordBatch;

pub use self::check::{Check, CheckFault, Checks, Rule, Severity};
pub use self::column::{overlong, overlong_rows};
pub use self::judge::{Finding, Outcome, Report, RunOutcome, ThresholdFault, Thresholds};
pub use self::measured::{Concept, Concepts, Count, Measure, Measured, Unfit};
pub use self::profile::{Histogram, TableProfile};
use self::table::Tally;
use crate::schema::CommonSchema;

/// One pass over the tables of one schema.
#[derive(Debug)]
pub struct Gates {
    schema: CommonSchema,
    checks: Checks,
    tables: BTreeMap<String, Tally>,
}

impl Gates {
    /// A pass that has seen nothing.
    pub fn new(schema: &CommonSchema, checks: &Checks) -> Self {
        let tables = schema.tables().iter().map(|table| (table.name.clone(), Tally::new(table, checks.iter())));
        Self { schema: schema.clone(), checks: checks.clone(), tables: tables.collect() }
    }

    /// Looks at rows of a table. Tables may come in any order, and mixed. Columns that the schema does not have are not
    /// looked at. A table that is there and has no rows is told by a batch without rows.
    ///
    /// # Errors
    /// [`UnknownTable`]: the schema has no such table; nothing was counted.
    pub fn see(&mut self, table: &str, batch: &RecordBatch) -> Result<(), UnknownTable> {
        let tally = self.tables.get_mut(table).ok_or_else(|| UnknownTable { table: table.to_owned() })?;
        tally.see(batch);
        Ok(())
    }

    /// What was measured. Without a vocabulary, what needs one is not applicable.
    pub fn finish(self, vocabulary: Option<&dyn Concepts>) -> Measured {
        measured::measure(&self.schema, &self.checks, self.tables, vocabulary)
    }
}

/// A table that the schema does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownTable {
    /// Its name.
    pub table: String,
}

impl fmt::Display for UnknownTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the common schema has no table {:?}", self.table)
    }
}

impl std::error::Error for UnknownTable {}
