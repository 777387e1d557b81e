//! A plan over rows: bounded aggregates, or one constant error.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use cohortium_protocol::ident::Name;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::Column as Named;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalSortExpr;
use datafusion::physical_expr::expressions::Column as Physical;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;

use crate::limits::Limits;
use crate::private::bounded::Bounded;
use crate::private::build::{Build, Providers};
use crate::private::catalogue::Catalogue;
use crate::private::gather::{Gather, NotGathered};
use crate::private::groups::Groups;
use crate::private::keyed::SamplingKey;
use crate::private::plan::Plan;
use crate::private::relation::Relation;
use crate::private::session::{on_deep_stack, session};
use crate::private::table::TablePlan;
use crate::private::term::{Column, Kind, Role, Term};
use crate::private::unit::{Taking, Units};
use crate::query::QueryTable;
use crate::query::partitions;

/// There is no answer: the one error that a question has once rows are read (law 7). What went wrong is not told, for it may
/// depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unanswered;

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the question could not be answered within its memory and time")
    }
}

impl std::error::Error for Unanswered {}

impl From<DataFusionError> for Unanswered {
    fn from(_: DataFusionError) -> Self {
        Self
    }
}

impl From<NotGathered> for Unanswered {
    fn from(_: NotGathered) -> Self {
        Self
    }
}

/// Rows of a table.
#[expect(missing_debug_implementations, reason = "it leads to rows")]
pub enum PrivateRows {
    /// A consolidated version: it is in the order of patients.
    Consolidated(Box<QueryTable>),
    /// Rows in memory.
    Batches {
        /// The columns, as the catalogue has them.
        schema: SchemaRef,
        /// The rows.
        batches: Vec<RecordBatch>,
        /// The column in the order of which they are: the patient, where it is so.
        ordered_by: Option<String>,
    },
}

/// A table that a plan reads.
#[expect(missing_debug_implementations, reason = "it leads to rows")]
pub struct PrivateTable {
    /// Its name.
    pub name: Name,
    /// Its rows.
    pub rows: PrivateRows,
}

/// What a run may take.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Bytes of memory that joining and grouping may have, and the same again for bounding.
    pub memory_bytes: usize,
    /// Bounds of reading.
    pub limits: Limits,
}

/// Runs a plan over the rows of its tables.
///
/// # Errors
/// [`Unanswered`].
pub fn bound(
    plan: &Plan,
    catalogue: &Catalogue,
    tables: &[PrivateTable],
    key: SamplingKey,
    room: &Room,
) -> Result<Bounded, Unanswered> {
    on_deep_stack(run(plan, catalogue, tables, key, room)).unwrap_or(Err(Unanswered))
}

async fn run(
    plan: &Plan,
    catalogue: &Catalogue,
    tables: &[PrivateTable],
    key: SamplingKey,
    room: &Room,
) -> Result<Bounded, Unanswered> {
    let keys = plan.keys.iter().map(|key| &key.term);
    let terms: Vec<&Term> = keys.chain(plan.parts.inputs.iter().map(|input| &input.term)).collect();
    let (mut rows, ordered) = rows_of(&plan.relation, &terms, catalogue, tables, room).await?;
    let kinds: Vec<_> = plan.keys.iter().map(|key| (key.term.kind(), key.values.as_deref())).collect();
    let units = Units::new(&plan.parts.planned, plan.parts.columns, plan.contribution(), key);
    let groups = Groups::new(&kinds, key);
    let mut gather = Gather::new(units, groups, &plan.parts.inputs, plan.keys.len(), ordered, room.memory_bytes);
    while let Some(batch) = rows.next().await {
        gather.take(&batch?)?;
    }
    let (units, groups) = gather.finish()?;
    Bounded::of(plan, &groups, &units).ok_or(Unanswered)
}

/// Gives every row of a table that counts to who takes them: of a unit at most as many as are declared, chosen as in [`bound`], in no
/// order that means anything. What the rows are must be shown to nobody; their sums are for a mechanism.
///
/// # Errors
/// [`Unanswered`].
pub fn take_rows(
    plan: &TablePlan,
    catalogue: &Catalogue,
    tables: &[PrivateTable],
    key: SamplingKey,
    room: &Room,
    taking: Taking<'_>,
) -> Result<(), Unanswered> {
    on_deep_stack(given(plan, catalogue, tables, key, room, taking)).unwrap_or(Err(Unanswered))
}

async fn given(
    plan: &TablePlan,
    catalogue: &Catalogue,
    tables: &[PrivateTable],
    key: SamplingKey,
    room: &Room,
    taking: Taking<'_>,
) -> Result<(), Unanswered> {
    let inputs = plan.inputs();
    let terms: Vec<&Term> = inputs.iter().map(|input| &input.term).collect();
    let (mut rows, ordered) = rows_of(&plan.relation, &terms, catalogue, tables, room).await?;
    let units = Units::new(&[], 0, &plan.contribution, key).given_to(taking);
    let gather = Gather::new(units, Groups::new(&[], key), &inputs, 0, ordered, room.memory_bytes);
    let mut gather = if plan.of_whole_rows() { gather.of_whole_rows() } else { gather };
    while let Some(batch) = rows.next().await {
        gather.take(&batch?)?;
    }
    gather.finish()?;
    Ok(())
}

/// The rows of a relation, the unit and then these terms; and whether they come in the order of units.
async fn rows_of(
    relation: &Relation,
    terms: &[&Term],
    catalogue: &Catalogue,
    tables: &[PrivateTable],
    room: &Room,
) -> Result<(SendableRecordBatchStream, bool), Unanswered> {
    let context = session(room.memory_bytes, room.limits.batch_rows)?;
    let provider = |table: &PrivateTable| Ok((table.name.as_str().to_owned(), provider(&table.rows, &room.limits)?));
    let providers = tables.iter().map(provider).collect::<Result<Providers>>()?;
    let first = relation.first_patient().ok_or(Unanswered)?;
    let place = first.source.unit().ok_or(Unanswered)?;
    let unit = Term::Column(Column { source: first.id, place, kind: Kind::Integer, role: Role::Unit });
    let terms: Vec<&Term> = std::iter::once(&unit).chain(terms.iter().copied()).collect();
    let logical = Build { catalogue, providers: &providers }.projected(relation, &terms)?;
    let physical = context.state().create_physical_plan(&logical).await?;
    let ordered = is_ordered(&*physical)?;
    Ok((execute_stream(physical, context.task_ctx())?, ordered))
}

/// Whether rows come in the order of their first column, whatever they are.
fn is_ordered(plan: &dyn ExecutionPlan) -> Result<bool> {
    let name = plan.schema().field(0).name().clone();
    let options = SortOptions { descending: false, nulls_first: true };
    let by = PhysicalSortExpr::new(Arc::new(Physical::new(&name, 0)), options);
    plan.properties().equivalence_properties().ordering_satisfy([by])
}

fn provider(rows: &PrivateRows, limits: &Limits) -> Result<Arc<dyn TableProvider>> {
    let (schema, partition, by): (_, Arc<dyn PartitionStream>, _) = match rows {
        PrivateRows::Consolidated(table) => {
            let schema = table.shape.schema();
            let by = table.shape.person().map(|place| schema.field(place).name().clone());
            (schema, partitions(table, limits), by)
        }
        PrivateRows::Batches { schema, batches, ordered_by } => {
            let held = Held { schema: Arc::clone(schema), batches: batches.clone() };
            (Arc::clone(schema), Arc::new(held), ordered_by.clone())
        }
    };
    let order = by.map(|by| Expr::Column(Named::new_unqualified(by)).sort(true, true));
    let table = StreamingTable::try_new(schema, vec![partition])?.with_sort_order(order.into_iter().collect());
    Ok(Arc::new(table))
}

/// Rows in memory.
struct Held {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl fmt::Debug for Held {
    /// It holds rows: it says only that.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the rows of a table")
    }
}

impl PartitionStream for Held {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = futures::stream::iter(self.batches.clone().into_iter().map(Ok));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}
