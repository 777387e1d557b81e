//! The sessions that plan and run private questions: no file, no function of a table, one thread, and memory that is bounded.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;

use arrow::datatypes::DataType;
use cohortium_protocol::ident::Name;
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::execution::context::SessionContext;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::prelude::SessionConfig;

use crate::query;

/// Stack of the thread that plans and runs: what the guard lets through is walked recursively.
const STACK_BYTES: usize = 128 << 20;

/// A session without tables.
pub(crate) fn session(memory_bytes: usize, batch_rows: usize) -> Result<SessionContext> {
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    let runtime = RuntimeEnvBuilder::new().with_disk_manager_builder(disk).with_memory_limit(memory_bytes, 1.0);
    let config =
        SessionConfig::new().with_target_partitions(1).with_information_schema(false).with_batch_size(batch_rows);
    let state: SessionState = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime.build_arc()?)
        .with_default_features()
        .with_table_functions(HashMap::new())
        .with_file_formats(Vec::new())
        .build();
    let context = SessionContext::new_with_state(state);
    for function in own_functions() {
        context.register_udf(function);
    }
    Ok(context)
}

/// What private questions have beside SQL's own functions.
pub(crate) fn own_functions() -> [ScalarUDF; 2] {
    [("days_between", DataType::Int64), ("add_days", DataType::Date32)].map(|(name, returns)| {
        let signature = Signature::any(2, Volatility::Immutable);
        ScalarUDF::new_from_impl(Named { name, returns, signature })
    })
}

/// The columns of each table that a private question reads, filters and joins included. Plans it without a row.
///
/// # Errors
/// [`QueryFault`]; none of it depends on rows.
pub fn columns_read(question: &query::Question<'_>) -> Result<BTreeMap<Name, BTreeSet<Name>>, query::QueryFault> {
    query::columns_read(question, &own_functions())
}

/// Runs a future on a thread with room for deep plans; `None` where it panics or there is no such thread.
pub(crate) fn on_deep_stack<T: Send>(future: impl Future<Output = T> + Send) -> Option<T> {
    // No driver of time or sockets: nothing here waits for anything but rows.
    let runtime = tokio::runtime::Builder::new_current_thread().build().ok()?;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        thread.spawn_scoped(scope, move || runtime.block_on(future)).ok()?.join().ok()
    })
}

/// A function that the planner of SQL has to know by its name; it is translated before anything is run.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Named {
    name: &'static str,
    returns: DataType,
    signature: Signature,
}

impl ScalarUDFImpl for Named {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let null = arrow::array::new_null_array(&self.returns, args.number_rows);
        Ok(ColumnarValue::Array(null))
    }
}
