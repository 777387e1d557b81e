//! Landed batches into the common schema's columns and types. A value is taken as it is or refused, never cut or rounded.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Schema};
use cohortium_protocol::ident::ColumnName;
use cohortium_protocol::record::schema::ColumnType;

use crate::cells::gather;
use crate::columnar::column_type;
use crate::consolidate::fault::ConsolidateFault;
use crate::consolidate::shape::{ORIGIN_COLUMN, SOURCE_COLUMN, TableShape, arrow_type};
use crate::land::Current;
use crate::policy::ROW_COLUMN;

/// One column of a part and where it comes from.
struct Target {
    name: ColumnName,
    kind: DataType,
    required: bool,
    /// Its place among the landed columns; `None`: no row has a value.
    place: Option<usize>,
}

/// How the columns of one chain become those of its table.
pub(crate) struct Conform {
    targets: Vec<Target>,
}

impl Conform {
    /// Compares the landed columns with the table's.
    pub(crate) fn new(shape: &TableShape, landed: &Schema) -> Result<Self, ConsolidateFault> {
        let mut targets = Vec::new();
        for column in shape.columns() {
            let kind = arrow_type(column.kind).ok_or_else(|| ConsolidateFault::ColumnKind(column.name.clone()))?;
            targets.push(target(&column.name, column.kind, kind, column.required, landed)?);
        }
        for own in [SOURCE_COLUMN, ORIGIN_COLUMN] {
            let name: ColumnName = own.parse().map_err(|_| ConsolidateFault::Batch)?;
            targets.push(target(&name, ColumnType::Text, DataType::Utf8, true, landed)?);
        }
        let known = |name: &str| name == ROW_COLUMN || targets.iter().any(|target| target.name.as_str() == name);
        if let Some(unknown) = landed.fields().iter().find(|field| !known(field.name())) {
            let name = unknown.name().parse().map_err(|_| ConsolidateFault::Batch)?;
            return Err(ConsolidateFault::ColumnUnknown(name));
        }
        Ok(Self { targets })
    }

    /// Columns of the table that have not landed: no row has a value there.
    pub(crate) fn absent(&self) -> Vec<ColumnName> {
        self.targets.iter().filter(|target| target.place.is_none()).map(|target| target.name.clone()).collect()
    }

    /// The current rows of a batch: row ids, the table's columns, source and origin.
    pub(crate) fn apply(&self, current: &Current<'_>) -> Result<Vec<ArrayRef>, ConsolidateFault> {
        let ids = gather(current.batch.column(0), current.rows).map_err(|_| ConsolidateFault::Batch)?;
        let mut arrays = vec![ids];
        for target in &self.targets {
            arrays.push(target.array(current)?);
        }
        Ok(arrays)
    }
}

fn target(
    name: &ColumnName,
    column: ColumnType,
    kind: DataType,
    required: bool,
    landed: &Schema,
) -> Result<Target, ConsolidateFault> {
    let place = landed.fields().iter().position(|field| field.name() == name.as_str());
    match place.map(|place| landed.field(place).data_type()) {
        None if required => return Err(ConsolidateFault::ColumnMissing(name.clone())),
        // A zone would have to be forgotten, and then two points in time would be one value.
        Some(DataType::Timestamp(_, Some(_))) => return Err(ConsolidateFault::ColumnKind(name.clone())),
        Some(found) if column_type(found) != Some(column) => return Err(ConsolidateFault::ColumnKind(name.clone())),
        None | Some(_) => {}
    }
    Ok(Target { name: name.clone(), kind, required, place })
}

impl Target {
    fn array(&self, current: &Current<'_>) -> Result<ArrayRef, ConsolidateFault> {
        let Some(place) = self.place else { return Ok(new_null_array(&self.kind, current.rows.len())) };
        let wrong = || {
            let (part, row, column) = (current.part, current.first_row, self.name.clone());
            ConsolidateFault::Value { part, row, column }
        };
        let array = gather(current.batch.column(place), current.rows).map_err(|_| wrong())?;
        if self.required && array.null_count() > 0 {
            let (part, row, column) = (current.part, current.first_row, self.name.clone());
            return Err(ConsolidateFault::ValueMissing { part, row, column });
        }
        if array.data_type() == &self.kind {
            return Ok(array);
        }
        same(&array, &self.kind).ok_or_else(wrong)
    }
}

/// The same values in another type; `None` where one would change, which shows on the way back.
fn same(array: &ArrayRef, kind: &DataType) -> Option<ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let cast = cast_with_options(array, kind, &options).ok()?;
    let back = cast_with_options(&cast, array.data_type(), &options).ok()?;
    (back.as_ref() == array.as_ref()).then(|| Arc::clone(&cast))
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Date64Array, Float32Array, Int16Array, TimestampNanosecondArray, TimestampSecondArray, UInt32Array,
    };
    use arrow::datatypes::TimeUnit;

    use super::*;

    // CONS-7
    #[test]
    fn a_value_changes_its_type_whole_or_not_at_all() {
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let fits: [(ArrayRef, DataType); 5] = [
            (Arc::new(Int16Array::from(vec![Some(i16::MIN), None])), DataType::Int64),
            (Arc::new(UInt32Array::from(vec![u32::MAX])), DataType::Int64),
            (Arc::new(Float32Array::from(vec![Some(0.1), Some(f32::NAN), None])), DataType::Float64),
            (Arc::new(Date64Array::from(vec![86_400_000, -86_400_000])), DataType::Date32),
            (Arc::new(TimestampNanosecondArray::from(vec![Some(1_000), None])), micros.clone()),
        ];
        for (array, kind) in fits {
            assert!(same(&array, &kind).is_some(), "{}", array.data_type());
        }
        let does_not: [(ArrayRef, DataType); 3] = [
            (Arc::new(Date64Array::from(vec![86_400_001])), DataType::Date32),
            (Arc::new(TimestampNanosecondArray::from(vec![1_001])), micros.clone()),
            (Arc::new(TimestampSecondArray::from(vec![i64::MAX])), micros),
        ];
        for (array, kind) in does_not {
            assert!(same(&array, &kind).is_none(), "{}", array.data_type());
        }
    }
}
