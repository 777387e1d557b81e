//! Exact whole numbers over groups, with how far one unit can move them: what a mechanism makes noise for. They must not be
//! shown to anybody; only an answer with noise may leave.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{Field, Schema};

use crate::private::groups::Groups;
use crate::private::measure::Part;
use crate::private::plan::Plan;
use crate::private::unit::Units;

/// Bounded aggregates.
#[expect(missing_debug_implementations, reason = "it holds exact counts")]
pub struct Bounded {
    /// The key columns `k0`, `k1`, ... in the plan's order, then the cells `v0`, `v1`, ...: 64-bit integers without nulls.
    /// Groups are in the order of their keys, a null first. With public keys there is a row for each group, also an empty one; with
    /// private keys one for each that some unit contributes to.
    pub batch: RecordBatch,
    /// How many of the columns are keys.
    pub keys: usize,
    /// The vectors, each with its columns behind the keys and its sensitivity.
    pub parts: Vec<Part>,
    /// Of private keys: the part that counts units, by which a mechanism decides which groups to show.
    pub shown_by: Option<usize>,
}

impl Bounded {
    /// `None` where arrow refuses, which it does for no such columns.
    pub(crate) fn of(plan: &Plan, groups: &Groups, units: &Units<'_>) -> Option<Self> {
        let private = plan.has_private_keys();
        let (keys, order) = groups.finish();
        let columns = plan.parts.columns;
        let parts = plan.parts();
        // Which groups are there at all must follow from what was counted, or a unit could show more than its share.
        let counted =
            |group: u32| units.cells(group).is_some_and(|cells| cells.first().is_some_and(|units| *units > 0));
        let rows: Vec<u32> =
            (0..u32::try_from(order.len()).ok()?).filter(|row| !private || counted(order[*row as usize])).collect();
        let indices = arrow::array::UInt32Array::from(rows.clone());
        let keys = keys.iter().map(|key| arrow::compute::take(key, &indices, None).ok()).collect::<Option<Vec<_>>>()?;
        let cell = |row: u32, column: usize| {
            let cell = units.cells(order[row as usize]).and_then(|cells| cells.get(column)).copied().unwrap_or(0);
            i64::try_from(cell).unwrap_or(if cell < 0 { i64::MIN } else { i64::MAX })
        };
        let cells = (0..columns)
            .map(|column| -> ArrayRef { Arc::new(rows.iter().map(|row| cell(*row, column)).collect::<Int64Array>()) });
        let count = keys.len();
        let arrays: Vec<ArrayRef> = keys.into_iter().chain(cells).collect();
        let field = |(place, array): (usize, &ArrayRef)| match place.checked_sub(count) {
            None => Field::new(format!("k{place}"), array.data_type().clone(), true),
            Some(cell) => Field::new(format!("v{cell}"), array.data_type().clone(), false),
        };
        let schema = Arc::new(Schema::new(arrays.iter().enumerate().map(field).collect::<Vec<_>>()));
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(schema, arrays, &options).ok()?;
        Some(Self { batch, keys: count, parts, shown_by: private.then_some(0) })
    }
}
