//! The quality gates over what leaves: at the member over its mapped tables as their terms let them leave, at the operator
//! over the part that has landed. The same rows give the same report, so both can compare its digest (spec QUAL-1).

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema};
use cohortium_protocol::ident::Name;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_schema::gate::{Checks, Gates, Measured};
use cohortium_schema::schema::CommonSchema;

use crate::batch::SourceFault;
use crate::consolidate::conform::Conform;
use crate::consolidate::fault::ConsolidateFault;
use crate::consolidate::layers::PartReader;
use crate::consolidate::merged::SortedBatches;
use crate::consolidate::shape::TableShape;
use crate::delta::TakeFault;
use crate::handle::Handle;
use crate::land::Current;
use crate::limits::Limits;
use crate::policy::{Job, Policy, PolicyFault};
use crate::source::{Format, SourceReader};

/// One table of one member, wherever it lies.
#[expect(missing_debug_implementations, reason = "it leads to rows")]
pub enum SiteTable<'a> {
    /// At the member, as a mapping run wrote it, with the terms under which it leaves.
    Mapped {
        /// Terms, dataset and secrets.
        job: Job<'a>,
        /// Its bytes.
        table: &'a Handle,
    },
    /// At the operator: the files of the member's part, in order.
    Part(&'a [Handle]),
}

/// Why nothing was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QualityFault {
    /// The table cannot be read, or cannot leave under its terms.
    Leaving(TakeFault),
    /// The rows that leave are not of the common schema.
    Shape(ConsolidateFault),
    /// The common schema has no such table.
    UnknownTable(Name),
}

impl fmt::Display for QualityFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leaving(fault) => fault.fmt(f),
            Self::Shape(fault) => fault.fmt(f),
            Self::UnknownTable(table) => write!(f, "the common schema has no table {table}"),
        }
    }
}

impl std::error::Error for QualityFault {}

impl From<SourceFault> for QualityFault {
    fn from(fault: SourceFault) -> Self {
        Self::Leaving(fault.into())
    }
}

impl From<PolicyFault> for QualityFault {
    fn from(fault: PolicyFault) -> Self {
        Self::Leaving(fault.into())
    }
}

impl From<ConsolidateFault> for QualityFault {
    fn from(fault: ConsolidateFault) -> Self {
        Self::Shape(fault)
    }
}

impl From<&QualityFault> for RunFault {
    fn from(fault: &QualityFault) -> Self {
        match fault {
            QualityFault::Leaving(fault) => fault.into(),
            QualityFault::Shape(fault) => fault.into(),
            QualityFault::UnknownTable(_) => Self::ColumnsDiffer,
        }
    }
}

/// Runs the gates over the tables of one member.
///
/// # Errors
/// [`QualityFault`].
pub fn measure(
    schema: &CommonSchema,
    checks: &Checks,
    tables: &[(TableShape, SiteTable<'_>)],
    limits: &Limits,
) -> Result<Measured, QualityFault> {
    let mut gates = Gates::new(schema, checks);
    for (shape, table) in tables {
        let fields = shape.schema();
        // Row ids are of whoever made the file; the gates look at the schema's columns alone.
        let kept: Vec<usize> = shape.content().collect();
        let seen = Arc::new(Schema::new(kept.iter().map(|place| fields.field(*place).clone()).collect::<Vec<Field>>()));
        let mut see = |columns: &[ArrayRef]| {
            let columns = kept.iter().map(|place| Arc::clone(&columns[*place])).collect();
            let batch = RecordBatch::try_new(Arc::clone(&seen), columns).map_err(|_| ConsolidateFault::Batch)?;
            let unknown = |_| QualityFault::UnknownTable(shape.table().clone());
            gates.see(shape.table().as_str(), &batch).map_err(unknown)
        };
        match table {
            SiteTable::Mapped { job, table } => leaving(shape, job, table, &mut see)?,
            SiteTable::Part(files) => {
                let mut reader = PartReader::new(shape, files, limits)?;
                while let Some(batch) = reader.next_sorted()? {
                    see(batch.columns())?;
                }
            }
        }
        // A table that is there and has no rows is told to the gates, too.
        let none = RecordBatch::new_empty(Arc::clone(&seen));
        let unknown = |_| QualityFault::UnknownTable(shape.table().clone());
        gates.see(shape.table().as_str(), &none).map_err(unknown)?;
    }
    Ok(gates.finish(None))
}

/// The rows as they leave and land: through the policy of their terms, then into the common schema's columns.
fn leaving(
    shape: &TableShape,
    job: &Job<'_>,
    table: &Handle,
    see: &mut impl FnMut(&[ArrayRef]) -> Result<(), QualityFault>,
) -> Result<(), QualityFault> {
    let format = Format::of(&job.dataset.source).ok_or(SourceFault::NotATable)?;
    let mut reader = SourceReader::open(table, format, &job.limits)?;
    let policy = Policy::new(job, reader.columns())?;
    reader.project(policy.needed());
    let conform = Conform::new(shape, policy.schema())?;
    let mut first_row = 1;
    while let Some(batch) = reader.next_batch()? {
        let rows = policy.apply(&batch)?.rows;
        let all: Vec<u32> = (0..u32::try_from(rows.num_rows()).unwrap_or(u32::MAX)).collect();
        see(&conform.apply(&Current { part: 0, batch: &rows, rows: &all, first_row })?)?;
        first_row += batch.places.len() as u64;
    }
    Ok(())
}
