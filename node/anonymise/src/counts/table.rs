//! The body of a table of counts: a row for each cell and total, its count or nothing.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema};

use super::{Cube, Lines, Protected};
use crate::body::BodyFault;
use crate::table::Table;

/// The column of counts.
const COUNT: &str = "patients";
/// What stands in a dimension over which a total adds up.
const TOTAL: &str = "(all)";

/// Builds the body: a column for each dimension, and the counts; a count that is suppressed is null.
///
/// # Errors
///
/// A dimension that has the name of the counts, or a name twice.
pub fn body(
    table: &Table,
    columns: &[(usize, usize)],
    cube: &Cube,
    protected: &Protected,
) -> Result<RecordBatch, BodyFault> {
    let lines = Lines::of(cube);
    let mut written: Vec<Vec<&str>> = vec![Vec::with_capacity(lines.cells()); columns.len()];
    for cell in 0..lines.cells() {
        for (at, (column, place)) in columns.iter().zip(lines.place(cell)).enumerate() {
            written[at].push(place.map_or(TOTAL, |place| Cube::label(table, *column, place)));
        }
    }
    let counts: UInt64Array = (0..lines.cells()).map(|cell| protected.released(cell)).collect();
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for ((column, _), written) in columns.iter().zip(written) {
        fields.push(Field::new(table.quasi[*column].name(), DataType::Utf8, false));
        arrays.push(Arc::new(StringArray::from(written)));
    }
    fields.push(Field::new(COUNT, DataType::UInt64, true));
    arrays.push(Arc::new(counts));
    let names: std::collections::HashSet<&String> = fields.iter().map(Field::name).collect();
    if names.len() < fields.len() {
        return Err(BodyFault::Names);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(|_| BodyFault::Names)
}
