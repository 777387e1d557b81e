//! One question, from its text to its rows.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use cohortium_protocol::quantity::Rows;
use datafusion::config::Dialect;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SessionContext;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as Sql;
use futures::StreamExt;
use tokio::runtime::Runtime;

use super::fault::{QueryFault, planning, running};
use super::table::{QueryTable, provider};
use super::{guard, plan};
use crate::cells::{NotHandled, text};
use crate::columnar::plain_array;
use crate::limits::Limits;
use crate::plain::append_cell;
use crate::sink::RowsWriter;

/// A question with its bounds.
#[expect(missing_debug_implementations, reason = "it leads to rows, and its text may name a patient")]
pub struct Question<'a> {
    /// The SQL.
    pub text: &'a str,
    /// The tables that it may name.
    pub tables: &'a [QueryTable],
    /// Rows of the answer; one more is a fault.
    pub rows_max: u64,
    /// Bytes of memory that sorting, joining and grouping may have together.
    pub memory_bytes: usize,
    /// Bounds of reading.
    pub limits: Limits,
}

/// Where the answer goes.
#[expect(missing_debug_implementations, reason = "sinks take rows")]
pub enum Into<'s> {
    /// Back, as text.
    Cells,
    /// As text with commas.
    Csv(&'s mut (dyn Write + Send)),
    /// As Parquet.
    Parquet(&'s mut (dyn Write + Send)),
}

/// The answer.
#[expect(missing_debug_implementations, reason = "it holds rows")]
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The names of its columns.
    pub header: Vec<String>,
    /// Its rows, where they are wanted back; `None` is a null.
    pub cells: Vec<Vec<Option<String>>>,
    /// How many rows there are.
    pub rows: Rows,
}

/// Stack of the thread that plans and runs: what the guard lets through is walked recursively.
const STACK_BYTES: usize = 128 << 20;

/// Answers a question.
///
/// # Errors
/// [`QueryFault`]; what a sink got by then is no answer.
pub fn ask(question: &Question<'_>, into: Into<'_>) -> Result<Answer, QueryFault> {
    deep(question, |runtime| runtime.block_on(answer(question, into)))
}

/// Guards a question, and does what recurses over it on a stack that is deep enough.
pub(super) fn deep<T: Send>(
    question: &Question<'_>,
    work: impl FnOnce(&Runtime) -> Result<T, QueryFault> + Send,
) -> Result<T, QueryFault> {
    guard::check(question.text)?;
    // No driver of time or sockets: nothing here waits for anything but rows.
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|_| QueryFault::Memory)?;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let thread = thread.spawn_scoped(scope, move || work(&runtime)).map_err(|_| QueryFault::Memory)?;
        thread.join().unwrap_or(Err(QueryFault::Value))
    })
}

/// A session that knows these tables, functions of values and nothing else.
pub(super) fn session(question: &Question<'_>) -> Result<SessionContext, QueryFault> {
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    let runtime =
        RuntimeEnvBuilder::new().with_disk_manager_builder(disk).with_memory_limit(question.memory_bytes, 1.0);
    let runtime = runtime.build_arc().map_err(|fault| planning(&fault))?;
    let config = SessionConfig::new()
        .with_target_partitions(1)
        .with_information_schema(false)
        .with_batch_size(question.limits.batch_rows);
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_table_functions(HashMap::new())
        .with_file_formats(Vec::new())
        .build();
    let context = SessionContext::new_with_state(state);
    for table in question.tables {
        let provider = provider(table, &question.limits).map_err(|fault| planning(&fault))?;
        context.register_table(table.shape.table().as_str(), provider).map_err(|fault| planning(&fault))?;
    }
    Ok(context)
}

/// The plan of a question, checked against what may be in one.
pub(super) async fn planned(context: &SessionContext, text: &str) -> Result<LogicalPlan, QueryFault> {
    let state = context.state();
    let statement = state.sql_to_statement(text, &Dialect::Generic).map_err(|_| QueryFault::Syntax)?;
    match &statement {
        Statement::Statement(sql) if matches!(**sql, Sql::Query(_)) => {}
        _ => return Err(QueryFault::NotOneSelect),
    }
    let logical = state.statement_to_plan(statement).await.map_err(|fault| planning(&fault))?;
    plan::check(&logical)?;
    Ok(logical)
}

/// Runs a plan.
pub(super) async fn started(
    context: &SessionContext,
    logical: &LogicalPlan,
) -> Result<SendableRecordBatchStream, QueryFault> {
    let physical = context.state().create_physical_plan(logical).await.map_err(|fault| planning(&fault))?;
    execute_stream(physical, context.task_ctx()).map_err(|fault| running(&fault))
}

async fn answer(question: &Question<'_>, into: Into<'_>) -> Result<Answer, QueryFault> {
    let context = session(question)?;
    let logical = planned(&context, question.text).await?;
    let mut rows = started(&context, &logical).await?;
    let schema = rows.schema();
    let mut taken = Taken::new(into, &schema, &question.limits)?;
    while let Some(batch) = rows.next().await {
        taken.take(&batch.map_err(|fault| running(&fault))?, question.rows_max)?;
    }
    taken.finish(&schema)
}

/// What has come of the answer so far.
struct Taken<'s> {
    into: Taker<'s>,
    cells: Vec<Vec<Option<String>>>,
    rows: u64,
}

enum Taker<'s> {
    Cells,
    Csv(&'s mut (dyn Write + Send)),
    Parquet(Box<RowsWriter<&'s mut (dyn Write + Send)>>),
}

impl<'s> Taken<'s> {
    fn new(into: Into<'s>, schema: &SchemaRef, limits: &Limits) -> Result<Self, QueryFault> {
        let into = match into {
            Into::Cells => Taker::Cells,
            Into::Csv(sink) => {
                let mut line = String::new();
                for (index, field) in schema.fields().iter().enumerate() {
                    append_cell(&mut line, index, Some(field.name()));
                }
                line.push_str("\r\n");
                sink.write_all(line.as_bytes()).map_err(|_| QueryFault::Sink)?;
                Taker::Csv(sink)
            }
            Into::Parquet(sink) => {
                let writer = RowsWriter::new(sink, Arc::clone(schema), limits);
                Taker::Parquet(Box::new(writer.map_err(|_| QueryFault::Sink)?))
            }
        };
        Ok(Self { into, cells: Vec::new(), rows: 0 })
    }

    fn take(&mut self, batch: &RecordBatch, rows_max: u64) -> Result<(), QueryFault> {
        self.rows += batch.num_rows() as u64;
        if self.rows > rows_max {
            return Err(QueryFault::TooManyRows { max: rows_max });
        }
        match &mut self.into {
            Taker::Parquet(writer) => writer.write(batch).map_err(|_| QueryFault::Sink),
            Taker::Cells => {
                let columns = texts(batch)?;
                let cell = |column: &StringArray, row| column.is_valid(row).then(|| column.value(row).to_owned());
                let rows = (0..batch.num_rows()).map(|row| columns.iter().map(|column| cell(column, row)).collect());
                self.cells.extend(rows);
                Ok(())
            }
            Taker::Csv(sink) => {
                let columns = texts(batch)?;
                let mut out = String::new();
                for row in 0..batch.num_rows() {
                    for (index, column) in columns.iter().enumerate() {
                        append_cell(&mut out, index, column.is_valid(row).then(|| column.value(row)));
                    }
                    out.push_str("\r\n");
                }
                sink.write_all(out.as_bytes()).map_err(|_| QueryFault::Sink)
            }
        }
    }

    fn finish(self, schema: &SchemaRef) -> Result<Answer, QueryFault> {
        if let Taker::Parquet(writer) = self.into {
            writer.finish().map_err(|_| QueryFault::Sink)?;
        }
        let header = schema.fields().iter().map(|field| field.name().clone()).collect();
        Ok(Answer { header, cells: self.cells, rows: Rows(self.rows) })
    }
}

fn texts(batch: &RecordBatch) -> Result<Vec<StringArray>, QueryFault> {
    let plain = batch.columns().iter().map(|array| plain_array(array).ok_or(QueryFault::Type));
    plain.map(|array| text(&array?).map_err(|NotHandled| QueryFault::Type)).collect()
}
