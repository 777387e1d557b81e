//! A part's digest from its batches: cells of Arrow arrays into the canonical encoding of rows (spec CONS-1, CONS-2).

use std::ops::Range;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use cohortium_protocol::ident::Name;
use cohortium_protocol::table_version::{Cell, PartDigest, RowDigest, RowEncoding};

use crate::consolidate::fault::ConsolidateFault;

/// The digests of a part's rows: 32 bytes for each until the end.
pub(crate) struct Content {
    rows: Vec<RowDigest>,
    encoding: RowEncoding,
    rows_max: u64,
}

impl Content {
    pub(crate) const fn new(encoding: RowEncoding, rows_max: u64) -> Self {
        Self { rows: Vec::new(), encoding, rows_max }
    }

    /// Takes in the cells at these places of every row.
    pub(crate) fn add(&mut self, batch: &RecordBatch, places: Range<usize>) -> Result<(), ConsolidateFault> {
        let columns: Option<Vec<Column<'_>>> = batch.columns()[places].iter().map(Column::new).collect();
        let columns = columns.ok_or(ConsolidateFault::NotAPart)?;
        if self.len() + batch.num_rows() as u64 > self.rows_max {
            return Err(ConsolidateFault::TooManyRows { max: self.rows_max });
        }
        for row in 0..batch.num_rows() {
            self.encoding.clear();
            for column in &columns {
                self.encoding.push(column.cell(row));
            }
            self.rows.push(self.encoding.digest());
        }
        Ok(())
    }

    pub(crate) const fn len(&self) -> u64 {
        self.rows.len() as u64
    }

    pub(crate) fn finish(self, table: &Name, member: &Name) -> PartDigest {
        PartDigest::of(table, member, self.rows)
    }
}

/// One column in the only Arrow type that its kind has.
enum Column<'a> {
    Text(&'a StringArray),
    Integer(&'a Int64Array),
    Float(&'a Float64Array),
    Boolean(&'a BooleanArray),
    Date(&'a Date32Array),
    Timestamp(&'a TimestampMicrosecondArray),
}

impl<'a> Column<'a> {
    fn new(array: &'a ArrayRef) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Int64 => Self::Integer(array.as_primitive::<Int64Type>()),
            DataType::Float64 => Self::Float(array.as_primitive::<Float64Type>()),
            DataType::Boolean => Self::Boolean(array.as_boolean()),
            DataType::Date32 => Self::Date(array.as_primitive::<Date32Type>()),
            DataType::Timestamp(TimeUnit::Microsecond, None) => {
                Self::Timestamp(array.as_primitive::<TimestampMicrosecondType>())
            }
            _ => return None,
        })
    }

    fn cell(&self, row: usize) -> Cell<'a> {
        match *self {
            Self::Text(array) if array.is_valid(row) => Cell::Text(array.value(row)),
            Self::Integer(array) if array.is_valid(row) => Cell::Integer(array.value(row)),
            Self::Float(array) if array.is_valid(row) => Cell::Float(array.value(row).to_bits()),
            Self::Boolean(array) if array.is_valid(row) => Cell::Boolean(array.value(row)),
            Self::Date(array) if array.is_valid(row) => Cell::Date(array.value(row)),
            Self::Timestamp(array) if array.is_valid(row) => Cell::Timestamp(array.value(row)),
            Self::Text(_)
            | Self::Integer(_)
            | Self::Float(_)
            | Self::Boolean(_)
            | Self::Date(_)
            | Self::Timestamp(_) => Cell::Null,
        }
    }
}
