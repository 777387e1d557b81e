//! Ids of 63 bits as numbers from 1, for tables that hold 32. They are of one writing alone: the next numbers anew.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use cohortium_schema::schema::{CommonSchema, Field, Reference, Table};

use crate::consolidate::fault::ConsolidateFault;

/// Numbers the ids of tables that are written together, so that what refers to one another still does.
///
/// Ids of the vocabulary stay as they are. Memory: 16 bytes and more for each id that something else may refer to; tables
/// that nothing refers to cost nothing.
#[expect(missing_debug_implementations, reason = "it holds ids of patients")]
pub struct Numbering<'a> {
    schema: &'a CommonSchema,
    spaces: BTreeMap<&'a str, Space>,
}

/// The ids of one table.
struct Space {
    /// The number of each; `None` where nothing refers to them.
    known: Option<HashMap<i64, i64>>,
    last: i64,
}

impl Space {
    fn number(&mut self, id: i64) -> i64 {
        let last = &mut self.last;
        let mut next = || {
            *last += 1;
            *last
        };
        match &mut self.known {
            Some(known) => *known.entry(id).or_insert_with(next),
            None => next(),
        }
    }
}

/// The table whose ids stand in a field, where they are no concepts.
fn space<'a>(table: &'a Table, field: &'a Field) -> Option<&'a str> {
    match &field.reference {
        Reference::Table(path) | Reference::LeftOut(path) => Some(&path.table),
        Reference::None if field.primary_key => Some(&table.name),
        Reference::None | Reference::Concept(_) => None,
    }
}

impl<'a> Numbering<'a> {
    /// Begins with these tables.
    pub fn new<'t>(schema: &'a CommonSchema, tables: impl Iterator<Item = &'t str>) -> Self {
        let tables: Vec<&Table> = tables.filter_map(|name| schema.table(name)).collect();
        let fields = || tables.iter().flat_map(|table| table.fields.iter().map(move |field| (*table, field)));
        let referred: BTreeSet<&str> = fields()
            .filter(|(table, field)| space(table, field).is_some_and(|space| space != table.name || !field.primary_key))
            .filter_map(|(table, field)| space(table, field))
            .collect();
        let all: BTreeSet<&str> = fields().filter_map(|(table, field)| space(table, field)).collect();
        let spaces = all.into_iter().map(|name| {
            let known = referred.contains(name).then(HashMap::new);
            (name, Space { known, last: 0 })
        });
        Self { schema, spaces: spaces.collect() }
    }

    /// The rows with their ids numbered.
    ///
    /// # Errors
    /// [`ConsolidateFault::Batch`] for columns that are not the table's.
    pub fn number(&mut self, table: &str, batch: &RecordBatch) -> Result<RecordBatch, ConsolidateFault> {
        let table = self.schema.table(table).ok_or(ConsolidateFault::Batch)?;
        let mut columns = Vec::with_capacity(batch.num_columns());
        for (column, field) in batch.columns().iter().zip(batch.schema_ref().fields()) {
            let space = table.field(field.name()).and_then(|field| space(table, field));
            let Some(space) = space.and_then(|name| self.spaces.get_mut(name)) else {
                columns.push(Arc::clone(column));
                continue;
            };
            let ids = column.as_primitive_opt::<Int64Type>().ok_or(ConsolidateFault::Batch)?;
            let numbers: Int64Array = ids.iter().map(|id| id.map(|id| space.number(id))).collect();
            columns.push(Arc::new(numbers) as ArrayRef);
        }
        RecordBatch::try_new(batch.schema(), columns).map_err(|_| ConsolidateFault::Batch)
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field as ArrowField, Schema};
    use cohortium_schema::omop;

    use super::*;

    fn batch(columns: &[(&str, &[Option<i64>])]) -> RecordBatch {
        let fields = columns.iter().map(|(name, _)| ArrowField::new(*name, DataType::Int64, true));
        let arrays = columns.iter().map(|(_, ids)| Arc::new(Int64Array::from(ids.to_vec())) as ArrayRef);
        RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), arrays.collect()).unwrap()
    }

    fn column(batch: &RecordBatch, place: usize) -> Vec<Option<i64>> {
        batch.column(place).as_primitive::<Int64Type>().iter().collect()
    }

    #[test]
    fn what_refers_to_a_row_still_does_and_concepts_stay() {
        let schema = omop::omop_5_4();
        let tables = ["person", "visit_occurrence", "measurement"];
        let mut numbering = Numbering::new(&schema, tables.into_iter());
        let wide = i64::MAX;
        let persons = batch(&[("person_id", &[Some(wide), Some(5)]), ("gender_concept_id", &[Some(8507), Some(0)])]);
        let persons = numbering.number("person", &persons).unwrap();
        assert_eq!((column(&persons, 0), column(&persons, 1)), (vec![Some(1), Some(2)], vec![Some(8507), Some(0)]));
        let visits = batch(&[("visit_occurrence_id", &[Some(wide), Some(7)]), ("person_id", &[Some(5), Some(wide)])]);
        let visits = numbering.number("visit_occurrence", &visits).unwrap();
        assert_eq!((column(&visits, 0), column(&visits, 1)), (vec![Some(1), Some(2)], vec![Some(2), Some(1)]));
        let measured = batch(&[
            ("measurement_id", &[Some(wide), Some(wide - 1)]),
            ("person_id", &[Some(wide), Some(9)]),
            ("visit_occurrence_id", &[Some(7), None]),
        ]);
        let measured = numbering.number("measurement", &measured).unwrap();
        assert_eq!(column(&measured, 0), [Some(1), Some(2)]);
        assert_eq!(column(&measured, 1), [Some(1), Some(3)], "a person that is not there is nobody else");
        assert_eq!(column(&measured, 2), [Some(2), None]);
        assert!(numbering.spaces["measurement"].known.is_none() && numbering.spaces["person"].known.is_some());
    }
}
