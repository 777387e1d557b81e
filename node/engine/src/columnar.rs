//! Parquet files, of a source or of a peer. Parquet's reader panics on some hostile files: here that is a fault.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use cohortium_protocol::record::schema::ColumnType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::batch::{SourceBatch, SourceColumn, SourceFault, named_once};
use crate::handle::{Chunks, Handle};
use crate::limits::Limits;

/// Reads a Parquet file in batches.
pub(crate) struct ParquetReader {
    state: State,
    chunks: Chunks,
    columns: Vec<SourceColumn>,
    needed: Vec<bool>,
    limits: Limits,
    row: u64,
}

enum State {
    Opened(Box<ParquetRecordBatchReaderBuilder<Chunks>>),
    Reading(Box<ParquetRecordBatchReader>),
    Ended,
}

impl ParquetReader {
    /// Reads the footer.
    pub(crate) fn open(handle: &Handle, limits: &Limits) -> Result<Self, SourceFault> {
        let chunks = Chunks::new(handle);
        let builder = guarded(&chunks, 0, || ParquetRecordBatchReaderBuilder::try_new(chunks.clone()).ok())?;
        let fields = builder.schema().fields();
        if fields.len() > limits.columns_max {
            return Err(SourceFault::TooManyColumns { max: limits.columns_max });
        }
        let names = named_once(fields.iter().map(|field| field.name().clone()))?;
        let kinds = fields.iter().map(|field| field.data_type().clone());
        let columns: Vec<_> = names.into_iter().zip(kinds).map(|(name, kind)| SourceColumn { name, kind }).collect();
        let needed = vec![true; columns.len()];
        Ok(Self { state: State::Opened(Box::new(builder)), chunks, columns, needed, limits: *limits, row: 0 })
    }

    /// The columns, in the file's order.
    pub(crate) fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    /// Reads only these columns.
    pub(crate) fn project(&mut self, needed: &[bool]) {
        self.needed = needed.to_vec();
    }

    /// The next rows; `None` at the end.
    pub(crate) fn next_batch(&mut self) -> Result<Option<SourceBatch>, SourceFault> {
        let mut reader = match std::mem::replace(&mut self.state, State::Ended) {
            State::Opened(builder) => self.start(*builder)?,
            State::Reading(reader) => reader,
            State::Ended => return Ok(None),
        };
        let batch = guarded(&self.chunks, self.row, || match reader.next() {
            Some(Ok(batch)) => Some(Some(batch)),
            Some(Err(_)) => None,
            None => Some(None),
        })?;
        let Some(batch) = batch else { return Ok(None) };
        self.state = State::Reading(reader);
        let rows = batch.num_rows();
        let mut arrays = batch.columns().iter();
        let mut columns = Vec::with_capacity(self.columns.len());
        for (needed, column) in self.needed.iter().zip(&self.columns) {
            let array = if *needed { arrays.next() } else { None };
            if let Some(array) = array.filter(|array| array.data_type() == &DataType::Utf8) {
                self.check_cells(array, column)?;
            }
            columns.push(array.cloned());
        }
        let first_row = self.row;
        self.row += rows as u64;
        Ok(Some(SourceBatch { columns, places: (first_row + 1..=self.row).collect(), first_row }))
    }

    fn start(
        &self,
        builder: ParquetRecordBatchReaderBuilder<Chunks>,
    ) -> Result<Box<ParquetRecordBatchReader>, SourceFault> {
        let wanted = self.needed.iter().enumerate().filter(|(_, needed)| **needed).map(|(index, _)| index);
        let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
        let builder = builder.with_projection(mask).with_batch_size(self.limits.batch_rows);
        guarded(&self.chunks, 0, || builder.build().ok()).map(Box::new)
    }

    fn check_cells(&self, array: &ArrayRef, column: &SourceColumn) -> Result<(), SourceFault> {
        let lengths = array.as_string::<i32>().offsets().lengths();
        match lengths.zip(self.row + 1..).find(|(bytes, _)| *bytes > self.limits.cell_bytes_max) {
            Some((_, place)) => Err(SourceFault::CellTooLong { place, column: column.name.clone() }),
            None => Ok(()),
        }
    }
}

/// Runs Parquet's own code: a panic or an error is a damaged file, unless the medium failed.
fn guarded<T>(chunks: &Chunks, rows: u64, work: impl FnOnce() -> Option<T>) -> Result<T, SourceFault> {
    let done = catch_unwind(AssertUnwindSafe(work)).ok().flatten();
    done.ok_or_else(|| match chunks.failure() {
        Some(kind) => SourceFault::Read { kind },
        None => SourceFault::Damaged { rows },
    })
}

/// The type of what leaves for a column of this type; `None` for types that cannot leave: nested ones, bytes, intervals.
pub(crate) fn column_type(kind: &DataType) -> Option<ColumnType> {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(ColumnType::Text),
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => Some(ColumnType::Integer),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => Some(ColumnType::Float),
        DataType::Boolean => Some(ColumnType::Boolean),
        DataType::Date32 | DataType::Date64 => Some(ColumnType::Date),
        DataType::Timestamp(_, _) => Some(ColumnType::Timestamp),
        DataType::UInt64
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Decimal32(_, _)
        | DataType::Decimal64(_, _)
        | DataType::Decimal128(_, _)
        | DataType::Decimal256(_, _) => Some(ColumnType::Other),
        DataType::Dictionary(_, value) => match value.as_ref() {
            DataType::Dictionary(_, _) => None,
            value => column_type(value),
        },
        DataType::Null
        | DataType::Duration(_)
        | DataType::Interval(_)
        | DataType::Binary
        | DataType::FixedSizeBinary(_)
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::List(_)
        | DataType::ListView(_)
        | DataType::FixedSizeList(_, _)
        | DataType::LargeList(_)
        | DataType::LargeListView(_)
        | DataType::Struct(_)
        | DataType::Union(_, _)
        | DataType::Map(_, _)
        | DataType::RunEndEncoded(_, _) => None,
    }
}

/// The Arrow type that leaves: dictionaries unpacked, one kind of text.
pub(crate) fn plain_type(kind: &DataType) -> DataType {
    match kind {
        DataType::Dictionary(_, value) => plain_type(value),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        other => other.clone(),
    }
}

/// The array in its [`plain_type`]; `None` where arrow cannot.
pub(crate) fn plain_array(array: &ArrayRef) -> Option<ArrayRef> {
    let plain = plain_type(array.data_type());
    if &plain == array.data_type() {
        return Some(Arc::clone(array));
    }
    arrow::compute::cast(array, &plain).ok()
}
