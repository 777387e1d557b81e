//! What a source gives, as text that tests compare.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::util::display::array_value_to_string;
use cohortium_database::batch::{Batch, Faulty};
use cohortium_database::fault::{DatabaseFault, Reason, RowFault};
use cohortium_database::limits::Limits;
use cohortium_database::query::{Query, TableName};
use cohortium_database::source::{Reading, Source};

pub(crate) const SET_ASIDE: Faulty = Faulty::SetAside;

pub(crate) fn table(schema: Option<&str>, table: &str) -> Query {
    Query::Table(TableName { schema: schema.map(str::to_owned), table: table.to_owned() })
}

pub(crate) fn select(text: &str) -> Query {
    Query::Select(text.to_owned())
}

pub(crate) fn reading(limits: Limits) -> Reading {
    Reading { limits, faulty: SET_ASIDE }
}

/// A cell as text; dates and times as their plain numbers, floats bit by bit.
pub(crate) fn cell(array: &ArrayRef, row: usize) -> Option<String> {
    if array.is_null(row) {
        return None;
    }
    let text = |array: &ArrayRef| array_value_to_string(array, row).unwrap();
    Some(match array.data_type() {
        DataType::Date32 => text(&cast(array, &DataType::Int32).unwrap()),
        DataType::Time64(_) | DataType::Timestamp(..) => text(&cast(array, &DataType::Int64).unwrap()),
        DataType::Float32 => format!("{:?}", array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => format!("{:?}", array.as_primitive::<Float64Type>().value(row)),
        _ => text(array),
    })
}

/// Everything that a source gives.
#[derive(Default)]
pub(crate) struct Read {
    /// Rows with their numbers.
    pub(crate) rows: Vec<(u64, Vec<Option<String>>)>,
    pub(crate) faults: Vec<RowFault>,
    pub(crate) batches: usize,
}

impl Read {
    pub(crate) fn add(&mut self, batch: &Batch) {
        self.batches += 1;
        let taken = self.rows.len() + self.faults.len();
        assert_eq!(batch.first_row, taken as u64, "every row is given or listed");
        for (row, place) in batch.places.iter().enumerate() {
            let cells = batch.columns.iter().flatten().map(|column| cell(column, row));
            self.rows.push((*place, cells.collect()));
        }
        self.faults.extend(batch.faults.iter().cloned());
    }

    pub(crate) fn all(source: &mut Source) -> Result<Self, DatabaseFault> {
        let mut read = Self::default();
        while let Some(batch) = source.next_batch()? {
            read.add(&batch);
        }
        Ok(read)
    }

    /// The first column's cells.
    pub(crate) fn column(&self) -> Vec<Option<&str>> {
        self.rows.iter().map(|(_, row)| row[0].as_deref()).collect()
    }
}

/// What a value should become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Becomes {
    Null,
    Is(String),
    Fault(Reason),
}

pub(crate) fn is(text: &str) -> Becomes {
    Becomes::Is(text.to_owned())
}

/// A type with values of it, each as the database's own literal and as what it should become.
pub(crate) struct Case {
    pub(crate) declared: &'static str,
    pub(crate) kind: DataType,
    pub(crate) values: Vec<(String, Becomes)>,
}

pub(crate) fn case(declared: &'static str, kind: DataType, values: &[(&str, Becomes)]) -> Case {
    let mut values: Vec<(String, Becomes)> =
        values.iter().map(|(literal, becomes)| ((*literal).to_owned(), becomes.clone())).collect();
    values.push(("NULL".to_owned(), Becomes::Null));
    Case { declared, kind, values }
}

impl Case {
    /// The literals as rows of an INSERT, each behind its number.
    pub(crate) fn rows(&self) -> String {
        let rows = self.values.iter().enumerate().map(|(row, (literal, _))| format!("({row}, {literal})"));
        rows.collect::<Vec<_>>().join(", ")
    }

    /// Reads the column `v` of a source that has the literals in their order, and compares.
    pub(crate) fn check(&self, source: &mut Source) {
        let place = source.columns().iter().position(|column| column.name.as_str() == "v").unwrap();
        assert_eq!(source.columns()[place].kind.as_ref(), Some(&self.kind), "{}", self.declared);
        let wanted: Vec<bool> = source.columns().iter().map(|column| column.name.as_str() == "v").collect();
        source.project(&wanted);
        let read = Read::all(source).unwrap();
        let mut found: Vec<(u64, Becomes)> = read
            .rows
            .iter()
            .map(|(place, row)| (*place, row[0].clone().map_or(Becomes::Null, Becomes::Is)))
            .chain(read.faults.iter().map(|fault| (fault.row, Becomes::Fault(fault.reason))))
            .collect();
        found.sort_by_key(|(place, _)| *place);
        let expected = (1..).zip(self.values.iter().map(|(_, becomes)| becomes.clone()));
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(
                found,
                &expected,
                "{}: {:?}",
                self.declared,
                self.values.get(usize::try_from(found.0).unwrap() - 1)
            );
        }
        assert_eq!(found.len(), self.values.len(), "{}", self.declared);
    }
}
