//! The question of a release: what it would read, that patients and members are named by the tables' own columns, that nothing
//! which leaves as it is was made of ids, and its rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use cohortium_protocol::ident::{ColumnName, Name};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{LogicalPlan, ScalarUDF};
use futures::StreamExt;

use super::fault::{QueryFault, planning, running};
use super::run::{Question, deep, planned, session, started};
use super::table::QueryTable;
use super::trace::{Place, plain, sources};
use crate::columnar::{plain_array, plain_type};
use crate::consolidate::shape::{MEMBER_COLUMN, ORIGIN_COLUMN, SNAPSHOT_COLUMN, SOURCE_COLUMN};
use crate::policy::ROW_COLUMN;

/// What a release takes the columns of the answer for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// Names the patient.
    pub patient: String,
    /// Names the member.
    pub member: String,
    /// Leave as they are: sensitive ones and measures.
    pub leaving: BTreeSet<String>,
    /// All others that are needed.
    pub others: BTreeSet<String>,
    /// Columns of tables that hold ids beside a table's own key and patient: references to other tables.
    pub ids: BTreeSet<(String, String)>,
}

/// What a question reads, and what its answer is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    /// Tables, each with its columns, filters and joins included.
    pub tables: BTreeMap<Name, BTreeSet<Name>>,
    /// For each column of the answer the columns, by table, that its values are made of.
    pub columns: BTreeMap<ColumnName, BTreeSet<(Name, Name)>>,
}

/// Plans the question of a release without a row. Whether a column that leaves is made of ids is for who reviews what this
/// says; [`rows`] asks it again.
///
/// # Errors
/// [`QueryFault`]; none of it depends on rows.
pub fn reads(question: &Question<'_>, columns: &Columns) -> Result<Reads, QueryFault> {
    deep(question, |runtime| {
        let context = session(question)?;
        let logical = runtime.block_on(planned(&context, question.text))?;
        check(&logical, question.tables, columns)?;
        let optimized = context.state().optimize(&logical).map_err(|fault| planning(&fault))?;
        Ok(Reads { tables: read_by(&optimized)?, columns: made_of(&logical, question.tables)? })
    })
}

/// The columns of each table that a question reads, filters and joins included, where it may use these functions beside SQL's own.
/// Plans it without a row.
pub(crate) fn columns_read(
    question: &Question<'_>,
    functions: &[ScalarUDF],
) -> Result<BTreeMap<Name, BTreeSet<Name>>, QueryFault> {
    deep(question, |runtime| {
        let context = session(question)?;
        for function in functions {
            context.register_udf(function.clone());
        }
        let logical = runtime.block_on(planned(&context, question.text))?;
        read_by(&context.state().optimize(&logical).map_err(|fault| planning(&fault))?)
    })
}

/// The rows of the question of a release: one batch at least, texts and numbers without dictionaries.
///
/// # Errors
/// [`QueryFault`]
pub fn rows(question: &Question<'_>, columns: &Columns) -> Result<Vec<RecordBatch>, QueryFault> {
    deep(question, |runtime| {
        runtime.block_on(async {
            let context = session(question)?;
            let logical = planned(&context, question.text).await?;
            check(&logical, question.tables, columns)?;
            check_ids(&logical, question.tables, columns)?;
            let mut found = started(&context, &logical).await?;
            let schema = plain_schema(&found.schema());
            let (mut batches, mut count) = (vec![RecordBatch::new_empty(Arc::clone(&schema))], 0);
            while let Some(batch) = found.next().await {
                let batch = batch.map_err(|fault| running(&fault))?;
                count += batch.num_rows() as u64;
                if count > question.rows_max {
                    return Err(QueryFault::TooManyRows { max: question.rows_max });
                }
                let arrays = batch.columns().iter().map(|array| plain_array(array).ok_or(QueryFault::Type));
                let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
                batches.push(RecordBatch::try_new(Arc::clone(&schema), arrays).map_err(|_| QueryFault::Type)?);
            }
            Ok(batches)
        })
    })
}

fn plain_schema(schema: &SchemaRef) -> SchemaRef {
    let field = |field: &Arc<Field>| Field::new(field.name(), plain_type(field.data_type()), true);
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

/// The one column of an answer that has a name.
fn place(plan: &LogicalPlan, name: &String) -> Result<usize, QueryFault> {
    let mut found = plan.schema().fields().iter().enumerate().filter(|(_, field)| field.name() == name);
    match (found.next(), found.next()) {
        (Some((at, _)), None) => Ok(at),
        (None, _) => Err(QueryFault::NoColumn { name: name.clone() }),
        (Some(_), Some(_)) => Err(QueryFault::Twice { name: name.clone() }),
    }
}

fn check(plan: &LogicalPlan, tables: &[QueryTable], columns: &Columns) -> Result<(), QueryFault> {
    let place = |name: &String| place(plan, name);
    let shape = |table: &str| tables.iter().map(|table| &table.shape).find(|shape| shape.table().as_str() == table);
    let patient = plain(plan, place(&columns.patient)?);
    let is_patient = patient.is_some_and(|(table, column)| {
        shape(&table).and_then(|shape| shape.patient()).is_some_and(|own| own.as_str() == column)
    });
    if !is_patient {
        return Err(QueryFault::NotThePatient { name: columns.patient.clone() });
    }
    if plain(plan, place(&columns.member)?).is_none_or(|(_, column)| column != MEMBER_COLUMN) {
        return Err(QueryFault::NotTheMember { name: columns.member.clone() });
    }
    columns.others.iter().chain(&columns.leaving).try_for_each(|name| place(name).map(|_| ()))
}

fn check_ids(plan: &LogicalPlan, tables: &[QueryTable], columns: &Columns) -> Result<(), QueryFault> {
    for name in &columns.leaving {
        let made_of = sources_of(plan, place(plan, name)?, tables);
        if made_of.iter().any(|(table, column)| is_id(table, column, tables, columns)) {
            return Err(QueryFault::MadeOfIds { name: name.clone() });
        }
    }
    Ok(())
}

/// Columns of tables that a column of the answer is made of. One that is known by its name alone may be any table's.
fn sources_of(plan: &LogicalPlan, at: usize, tables: &[QueryTable]) -> BTreeSet<Place> {
    let mut found = BTreeSet::new();
    sources(plan, at, &mut found);
    let (known, loose): (BTreeSet<Place>, BTreeSet<Place>) = found.into_iter().partition(|(of, _)| !of.is_empty());
    let of_any = loose.into_iter().flat_map(|(_, column)| {
        let has = |table: &&QueryTable| table.shape.schema().field_with_name(&column).is_ok();
        tables.iter().filter(has).map(|table| (table.shape.table().to_string(), column.clone())).collect::<Vec<_>>()
    });
    known.iter().cloned().chain(of_any).collect()
}

fn made_of(
    plan: &LogicalPlan,
    tables: &[QueryTable],
) -> Result<BTreeMap<ColumnName, BTreeSet<(Name, Name)>>, QueryFault> {
    let mut all = BTreeMap::new();
    for (at, field) in plan.schema().fields().iter().enumerate() {
        let column = field.name().parse().map_err(|_| QueryFault::NoColumn { name: field.name().clone() })?;
        let pair = |(table, column): Place| Some((table.parse().ok()?, column.parse().ok()?));
        let of = sources_of(plan, at, tables).into_iter().map(pair).collect::<Option<BTreeSet<_>>>();
        all.insert(column, of.ok_or(QueryFault::Plan)?);
    }
    Ok(all)
}

/// Whether a column holds ids.
fn is_id(table: &str, column: &str, tables: &[QueryTable], columns: &Columns) -> bool {
    let own = [ROW_COLUMN, SOURCE_COLUMN, ORIGIN_COLUMN, MEMBER_COLUMN, SNAPSHOT_COLUMN];
    let keys = |of: &QueryTable| {
        of.shape.table().as_str() == table
            && (of.shape.key().iter().any(|key| key.as_str() == column)
                || of.shape.patient().is_some_and(|own| own.as_str() == column))
    };
    own.contains(&column)
        || tables.iter().any(keys)
        || columns.ids.iter().any(|(of, name)| of == table && name == column)
}

fn read_by(plan: &LogicalPlan) -> Result<BTreeMap<Name, BTreeSet<Name>>, QueryFault> {
    let mut reads: BTreeMap<Name, BTreeSet<Name>> = BTreeMap::new();
    let mut odd = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let columns = scan.projected_schema.fields().iter().map(|field| field.name().parse());
            match (scan.table_name.table().parse(), columns.collect::<Result<BTreeSet<Name>, _>>()) {
                (Ok(table), Ok(columns)) => reads.entry(table).or_default().extend(columns),
                _ => odd = true,
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(|fault| planning(&fault))?;
    if odd { Err(QueryFault::Plan) } else { Ok(reads) }
}
