//! A consolidated table as a question sees it: each row of all members once, in patient order, with its lineage columns.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use cohortium_protocol::ident::Name;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;

use crate::consolidate::shape::TableShape;
use crate::consolidate::union::TableReader;
use crate::handle::Handle;
use crate::limits::Limits;

/// A table version that a question may name.
#[expect(missing_debug_implementations, reason = "it leads to rows")]
#[derive(Clone)]
pub struct QueryTable {
    /// The table.
    pub shape: TableShape,
    /// The files of each member's part, in order.
    pub parts: BTreeMap<Name, Vec<Handle>>,
}

/// A table whose rows are read anew each time they are asked for.
struct Rows {
    table: QueryTable,
    schema: SchemaRef,
    limits: Limits,
}

impl fmt::Debug for Rows {
    /// It leads to rows: it says only that.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the rows of a table")
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let opened = TableReader::open(&self.table.shape, &self.table.parts, &self.limits);
        let external = |fault| DataFusionError::External(Box::new(fault));
        let (mut reader, fault) = match opened {
            Ok(reader) => (Some(reader), None),
            Err(fault) => (None, Some(Err(external(fault)))),
        };
        let batches = std::iter::from_fn(move || {
            let next = reader.as_mut()?.next_batch().map_err(external).transpose();
            if matches!(next, None | Some(Err(_))) {
                reader = None;
            }
            next
        });
        let stream = futures::stream::iter(fault.into_iter().chain(batches));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream))
    }
}

/// The rows of a table as a stream.
pub(crate) fn partitions(table: &QueryTable, limits: &Limits) -> Arc<dyn PartitionStream> {
    Arc::new(Rows { table: table.clone(), schema: table.shape.schema(), limits: *limits })
}

/// The table for a session.
pub(super) fn provider(table: &QueryTable, limits: &Limits) -> Result<Arc<dyn TableProvider>> {
    Ok(Arc::new(StreamingTable::try_new(table.shape.schema(), vec![partitions(table, limits)])?))
}
