//! Batches of rows, and what becomes of a row with a value that cannot be given on.

use arrow::array::ArrayRef;
use cohortium_protocol::ident::ColumnName;

use crate::cells::Cells;
use crate::fault::{DatabaseFault, Reason, RowFault};
use crate::limits::Limits;
use crate::value::Value;

/// What becomes of a row with a value that cannot be given on as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Faulty {
    /// It ends the run.
    Refuse,
    /// The whole row is left out of the batch, which lists it.
    SetAside,
}

/// Rows that follow one another.
#[expect(missing_debug_implementations, reason = "it holds rows")]
pub struct Batch {
    /// One array for each of the table's columns, in its order; `None` where nobody asked for it.
    pub columns: Vec<Option<ArrayRef>>,
    /// The number of each row, from 1.
    pub places: Vec<u64>,
    /// How many rows come before, with those set aside.
    pub first_row: u64,
    /// The rows that were set aside, in order, each by the first value that cannot be given on.
    pub faults: Vec<RowFault>,
}

struct Column {
    name: ColumnName,
    place: usize,
    cells: Cells,
}

/// A batch while it fills.
pub(crate) struct Gather {
    columns: Vec<Column>,
    width: usize,
    places: Vec<u64>,
    faults: Vec<RowFault>,
    first_row: u64,
    rows: u64,
    bytes: usize,
    faulty: Faulty,
    limits: Limits,
}

impl Gather {
    /// A batch of a table of `width` columns, of which `columns` arrive.
    pub(crate) fn new(
        width: usize,
        columns: impl Iterator<Item = (usize, ColumnName, Cells)>,
        faulty: Faulty,
        limits: Limits,
    ) -> Self {
        let columns = columns.map(|(place, name, cells)| Column { name, place, cells }).collect();
        let (first_row, rows, bytes) = (0, 0, 0);
        Self { columns, width, places: Vec::new(), faults: Vec::new(), first_row, rows, bytes, faulty, limits }
    }

    /// Takes a row: one value for each column that arrives.
    pub(crate) fn take<'a>(
        &mut self,
        values: impl Iterator<Item = Result<Value<'a>, Reason>>,
    ) -> Result<(), DatabaseFault> {
        if self.rows == self.limits.rows_max {
            return Err(DatabaseFault::TooManyRows { max: self.limits.rows_max });
        }
        self.rows += 1;
        let mut row = Vec::with_capacity(self.columns.len());
        for (value, column) in values.zip(&self.columns) {
            match value {
                Ok(value) => row.push(value),
                Err(reason) => {
                    let fault = RowFault { row: self.rows, column: column.name.clone(), reason };
                    return self.set_aside(fault);
                }
            }
        }
        if row.len() != self.columns.len() {
            return Err(DatabaseFault::Protocol);
        }
        for (value, column) in row.into_iter().zip(&mut self.columns) {
            self.bytes += value.bytes();
            if !column.cells.push(value) {
                return Err(DatabaseFault::Changed);
            }
        }
        self.places.push(self.rows);
        Ok(())
    }

    fn set_aside(&mut self, fault: RowFault) -> Result<(), DatabaseFault> {
        match self.faulty {
            Faulty::Refuse => Err(DatabaseFault::Row(fault)),
            Faulty::SetAside if self.faults.len() == self.limits.faults_max => {
                Err(DatabaseFault::TooManyFaults { max: self.limits.faults_max })
            }
            Faulty::SetAside => {
                self.faults.push(fault);
                Ok(())
            }
        }
    }

    /// How many rows were taken in all.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// How many rows the batch stands for so far.
    pub(crate) fn pending(&self) -> u64 {
        self.rows - self.first_row
    }

    /// Whether the batch has enough.
    pub(crate) fn is_full(&self) -> bool {
        self.pending() >= u64::from(self.limits.request_rows()) || self.bytes >= self.limits.batch_bytes
    }

    /// The batch so far; the next one begins.
    pub(crate) fn finish(&mut self) -> Batch {
        let mut columns = vec![None; self.width];
        for column in &mut self.columns {
            columns[column.place] = Some(column.cells.finish());
        }
        let first_row = std::mem::replace(&mut self.first_row, self.rows);
        self.bytes = 0;
        Batch { columns, places: std::mem::take(&mut self.places), first_row, faults: std::mem::take(&mut self.faults) }
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;

    fn gather(faulty: Faulty, limits: Limits) -> Gather {
        let column = |place, name: &str| {
            let cells = Cells::of(&DataType::Int64).unwrap();
            (place, ColumnName::try_from(name.to_owned()).unwrap(), cells)
        };
        Gather::new(3, [column(0, "a"), column(2, "c")].into_iter(), faulty, limits)
    }

    #[test]
    fn a_row_that_is_set_aside_is_counted_and_leaves_nothing_behind() {
        let mut rows = gather(Faulty::SetAside, Limits::default());
        rows.take([Ok(Value::Int(1)), Ok(Value::Int(2))].into_iter()).unwrap();
        rows.take([Ok(Value::Int(3)), Err(Reason::Infinite)].into_iter()).unwrap();
        rows.take([Ok(Value::Int(4)), Ok(Value::Null)].into_iter()).unwrap();
        let batch = rows.finish();
        assert_eq!((batch.places.as_slice(), batch.first_row), (&[1, 3][..], 0));
        let column = ColumnName::try_from("c".to_owned()).unwrap();
        assert_eq!(batch.faults, [RowFault { row: 2, column, reason: Reason::Infinite }]);
        assert!(batch.columns[1].is_none());
        assert!(batch.columns.iter().flatten().all(|column| column.len() == 2));
        rows.take([Ok(Value::Int(1)), Ok(Value::Int(2))].into_iter()).unwrap();
        let next = rows.finish();
        assert_eq!((next.places.as_slice(), next.first_row, next.faults.len()), (&[4][..], 3, 0));
    }

    #[test]
    fn a_faulty_row_ends_the_run_where_that_is_asked_for() {
        let mut rows = gather(Faulty::Refuse, Limits::default());
        let ended = rows.take([Err(Reason::ZeroDate), Ok(Value::Null)].into_iter()).unwrap_err();
        assert_eq!(ended.to_string(), "row 1, column a: zero-date");
    }

    #[test]
    fn rows_and_faults_have_bounds() {
        let mut rows = gather(Faulty::SetAside, Limits { rows_max: 2, faults_max: 1, ..Limits::default() });
        let good = || [Ok(Value::Null), Ok(Value::Null)].into_iter();
        let bad = || [Ok(Value::Null), Err(Reason::NotUtf8)].into_iter();
        rows.take(bad()).unwrap();
        assert_eq!(rows.take(bad()), Err(DatabaseFault::TooManyFaults { max: 1 }));
        assert_eq!(rows.take(good()), Err(DatabaseFault::TooManyRows { max: 2 }));
        assert_eq!(gather(Faulty::Refuse, Limits::default()).take(good().take(1)), Err(DatabaseFault::Protocol));
        let odd = [Ok(Value::Text("1")), Ok(Value::Null)];
        assert_eq!(gather(Faulty::Refuse, Limits::default()).take(odd.into_iter()), Err(DatabaseFault::Changed));
    }

    #[test]
    fn a_batch_is_full_by_rows_or_by_bytes() {
        let good = || [Ok(Value::Null), Ok(Value::Null)].into_iter();
        for limits in [
            Limits { batch_rows: 2, ..Limits::default() },
            Limits { rows_per_second: Some(2), ..Limits::default() },
            Limits { batch_bytes: 17, ..Limits::default() },
        ] {
            let mut rows = gather(Faulty::Refuse, limits);
            rows.take(good()).unwrap();
            assert!(!rows.is_full());
            rows.take(good()).unwrap();
            assert!(rows.is_full());
            rows.finish();
            assert!(!rows.is_full());
        }
    }
}
