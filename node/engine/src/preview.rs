//! A share's first rows as they would leave, for the person who decides.

use arrow::array::{Array, StringArray};
use cohortium_protocol::ident::ColumnName;
use cohortium_protocol::record::schema::Treatment;

use crate::batch::SourceFault;
use crate::cells::{NotHandled, text};
use crate::delta::TakeFault;
use crate::handle::Handle;
use crate::policy::{Job, Policy, PolicyFault};
use crate::source::{Format, SourceReader};

/// First rows as they would leave.
#[expect(missing_debug_implementations, reason = "it holds rows")]
#[derive(Clone, PartialEq, Eq)]
pub struct Preview {
    /// The names of the columns that leave, ids and tokens included.
    pub header: Vec<String>,
    /// The rows; `None` is a null.
    pub rows: Vec<Vec<Option<String>>>,
    /// The columns that stay behind.
    pub dropped: Vec<ColumnName>,
    /// The columns that leave as something else, each with what is done to it.
    pub treated: Vec<(ColumnName, Treatment)>,
}

/// The first `rows_max` rows that would leave, through the same policy as a snapshot.
///
/// # Errors
/// [`TakeFault`].
///
/// # Panics
/// Never: the schema's names are column names.
pub fn preview(job: &Job<'_>, source: &Handle, rows_max: usize) -> Result<Preview, TakeFault> {
    let format = Format::of(&job.dataset.source).ok_or(SourceFault::NotATable)?;
    let mut reader = SourceReader::open(source, format, &job.limits)?;
    let policy = Policy::new(job, reader.columns())?;
    reader.project(policy.needed());
    let mut rows = Vec::new();
    while rows.len() < rows_max {
        let Some(batch) = reader.next_batch()? else { break };
        let leaving = policy.apply(&batch)?.rows;
        let leaving = leaving.slice(0, leaving.num_rows().min(rows_max - rows.len()));
        let mut columns = Vec::with_capacity(leaving.num_columns());
        for (array, field) in leaving.columns().iter().zip(policy.schema().fields()) {
            let place = batch.places.first().copied().unwrap_or(0);
            let column = || field.name().parse().expect("the schema is made of column names");
            columns.push(text(array).map_err(|NotHandled| PolicyFault::Value { place, column: column() })?);
        }
        let cell = |column: &StringArray, row| column.is_valid(row).then(|| column.value(row).to_owned());
        rows.extend(
            (0..leaving.num_rows()).map(|row| columns.iter().map(|column| cell(column, row)).collect::<Vec<_>>()),
        );
    }
    let stays_behind = job.table.columns.iter().filter(|column| !column.leaves());
    let treated = job.table.leaving().filter(|column| column.treatment != Treatment::Keep);
    Ok(Preview {
        header: policy.schema().fields().iter().map(|field| field.name().clone()).collect(),
        rows,
        dropped: stays_behind.map(|column| column.name.clone()).collect(),
        treated: treated.map(|column| (column.name.clone(), column.treatment)).collect(),
    })
}
