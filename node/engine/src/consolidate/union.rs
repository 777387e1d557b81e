//! The parts of a table version as one table, in patient order, each row once.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use cohortium_protocol::ident::Name;
use cohortium_protocol::quantity::Rows;

use crate::consolidate::fault::ConsolidateFault;
use crate::consolidate::layers::PartReader;
use crate::consolidate::merged::{Merged, SortKeys};
use crate::consolidate::shape::TableShape;
use crate::handle::Handle;
use crate::limits::Limits;

/// The fewest rows of one member's batch, however many members there are.
const BATCH_ROWS_MIN: usize = 256;

/// Reads a table version: all rows of a patient, whichever members state them, follow one another.
///
/// Where several rows have one patient and key, the row of the member first in the order of names stands (of one member,
/// that of the source first in the order of names), and the others are counted (spec CONS-6). Memory: a batch of each member.
#[expect(missing_debug_implementations, reason = "it holds rows")]
pub struct TableReader {
    schema: SchemaRef,
    rows: Merged<PartReader>,
    has_key: bool,
    /// The key of the last row that stood.
    last: Option<Vec<u8>>,
    /// By member, in the order of the streams.
    merged_rows: Vec<(Name, Rows)>,
}

impl TableReader {
    /// Opens the parts of a version, the files of each member in order.
    ///
    /// # Errors
    /// [`ConsolidateFault`].
    pub fn open(
        shape: &TableShape,
        parts: &BTreeMap<Name, Vec<Handle>>,
        limits: &Limits,
    ) -> Result<Self, ConsolidateFault> {
        let schema = shape.schema();
        let keys = SortKeys::new(&schema, shape.group())?;
        let limits = Limits { batch_rows: (limits.batch_rows / parts.len().max(1)).max(BATCH_ROWS_MIN), ..*limits };
        let streams = parts.values().map(|files| PartReader::new(shape, files, &limits));
        let rows = Merged::new(keys, streams.collect::<Result<_, _>>()?, limits.batch_rows)?;
        let merged_rows = parts.keys().map(|member| (member.clone(), Rows(0))).collect();
        Ok(Self { schema, rows, has_key: shape.has_key(), last: None, merged_rows })
    }

    /// The columns: those of [`TableShape::schema`].
    pub const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next rows, at least one; `None` at the end.
    ///
    /// # Errors
    /// [`ConsolidateFault`]; nothing can be read after one.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>, ConsolidateFault> {
        let Self { rows, has_key, last, merged_rows, .. } = self;
        rows.next_batch(|key, member| {
            if !*has_key || last.as_deref() != Some(key) {
                let last = last.get_or_insert_default();
                last.clear();
                last.extend_from_slice(key);
                return true;
            }
            merged_rows[member].1.0 += 1;
            false
        })
    }

    /// Rows of each member that gave way so far to another row of the same patient and key; complete at the end.
    pub fn merged_rows(&self) -> BTreeMap<Name, Rows> {
        self.merged_rows.iter().cloned().collect()
    }
}
