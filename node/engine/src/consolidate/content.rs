//! A part's digest from its batches: cells of Arrow arrays into the canonical encoding of rows (spec CONS-1), the digests of rows
//! into that of the part (spec CONS-2).

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, FixedSizeBinaryArray, Float64Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, SchemaRef, TimeUnit, TimestampMicrosecondType};
use cohortium_protocol::ident::Name;
use cohortium_protocol::table_version::{Cell, PartDigest, RowDigest, RowEncoding};

use crate::consolidate::fault::ConsolidateFault;
use crate::consolidate::shape::TableShape;

const DIGEST_BYTES: usize = 32;

/// Rows with their digests beside them, as the files of a part hold them.
pub(crate) struct Digested {
    schema: SchemaRef,
    places: Range<usize>,
    encoding: RowEncoding,
}

impl Digested {
    pub(crate) fn new(shape: &TableShape) -> Self {
        Self { schema: shape.file_schema(), places: shape.content(), encoding: RowEncoding::new() }
    }

    /// The digest of every row of a table's batch.
    pub(crate) fn digests(&mut self, batch: &RecordBatch) -> Result<ArrayRef, ConsolidateFault> {
        let columns: Option<Vec<Column<'_>>> = batch.columns()[self.places.clone()].iter().map(Column::new).collect();
        let columns = columns.ok_or(ConsolidateFault::NotAPart)?;
        let mut digests = Vec::with_capacity(batch.num_rows() * DIGEST_BYTES);
        for row in 0..batch.num_rows() {
            self.encoding.clear();
            for column in &columns {
                self.encoding.push(column.cell(row));
            }
            digests.extend_from_slice(&self.encoding.digest().0);
        }
        let digests = FixedSizeBinaryArray::try_new(32, digests.into(), None).map_err(|_| ConsolidateFault::Batch)?;
        Ok(Arc::new(digests))
    }

    /// The batch of a file: the table's, and the digests.
    pub(crate) fn beside(&mut self, batch: &RecordBatch) -> Result<RecordBatch, ConsolidateFault> {
        let mut columns = batch.columns().to_vec();
        columns.push(self.digests(batch)?);
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|_| ConsolidateFault::Batch)
    }
}

/// The digests of a part's rows: 32 bytes for each until the end.
pub(crate) struct Content {
    rows: Vec<RowDigest>,
    rows_max: u64,
}

impl Content {
    pub(crate) const fn new(rows_max: u64) -> Self {
        Self { rows: Vec::new(), rows_max }
    }

    /// Takes in the digests of these rows, those that `stays` wants.
    pub(crate) fn add(
        &mut self,
        digests: &ArrayRef,
        mut stays: impl FnMut(usize) -> bool,
    ) -> Result<(), ConsolidateFault> {
        let digests = digests.as_fixed_size_binary_opt().ok_or(ConsolidateFault::NotAPart)?;
        if digests.value_length() != 32 {
            return Err(ConsolidateFault::NotAPart);
        }
        for (row, digest) in digests.value_data().chunks_exact(DIGEST_BYTES).take(digests.len()).enumerate() {
            if stays(row) {
                self.rows.push(RowDigest(*digest.first_chunk().ok_or(ConsolidateFault::NotAPart)?));
            }
        }
        if self.len() > self.rows_max {
            return Err(ConsolidateFault::TooManyRows { max: self.rows_max });
        }
        Ok(())
    }

    pub(crate) const fn len(&self) -> u64 {
        self.rows.len() as u64
    }

    pub(crate) fn finish(self, table: &Name, member: &Name) -> PartDigest {
        PartDigest::of(table, member, sorted(&self.rows))
    }
}

/// Rows of a bucket, on average.
const BUCKET_ROWS: usize = 8;
/// The most buckets are two to this power: as many as the first bytes of digests tell apart.
const BUCKET_BITS_MAX: u32 = 16;

/// Digests in ascending order. They look like chance, so they are first put into buckets by how they begin: less than half the time of
/// sorting them as they are.
fn sorted(rows: &[RowDigest]) -> Vec<RowDigest> {
    let bits = (rows.len() / BUCKET_ROWS + 1).ilog2().min(BUCKET_BITS_MAX);
    let bucket = |row: &RowDigest| usize::from(u16::from_be_bytes([row.0[0], row.0[1]])) >> (BUCKET_BITS_MAX - bits);
    let mut ends = vec![0; 1 << bits];
    for row in rows {
        ends[bucket(row)] += 1;
    }
    let mut end = 0;
    for bucket in &mut ends {
        // Where it begins, until it is filled.
        (*bucket, end) = (end, end + *bucket);
    }
    let mut sorted = vec![RowDigest([0; DIGEST_BYTES]); rows.len()];
    for row in rows {
        let place = &mut ends[bucket(row)];
        sorted[*place] = *row;
        *place += 1;
    }
    let mut from = 0;
    for end in ends {
        sorted[from..end].sort_unstable();
        from = end;
    }
    sorted
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

#[cfg(test)]
mod tests {
    use cohortium_protocol::digest::blob_digest;

    use super::*;

    #[test]
    fn digests_are_sorted_however_they_begin() {
        for count in [0, 1, 7, 100, 5_000, 600_000_usize] {
            for alike in [0, 1, 3] {
                let row = |number: usize| {
                    let mut digest = blob_digest(&number.to_le_bytes()).0;
                    digest[..alike].fill(0x7f);
                    RowDigest(digest)
                };
                let rows: Vec<RowDigest> = (0..count).map(|number| row(number / 2)).collect();
                let mut expected = rows.clone();
                expected.sort_unstable();
                assert!(sorted(&rows) == expected, "{count} {alike}");
            }
        }
    }
}
