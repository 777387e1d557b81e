//! The answer as a table: keys of groups that are shown, and numbers that have their noise. It is put together here, where keys are;
//! which groups and which numbers is decided by who has drawn the noise.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, RecordBatch, StringArray, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::{Field, Int64Type, Schema};

use crate::private::bounded::Bounded;
use crate::private::table::TablePlan;

/// A column of what is made of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum MadeColumn {
    /// Words.
    Texts(Vec<Option<String>>),
    /// Numbers with their noise.
    Numbers(Vec<Option<f64>>),
    /// Values of a column of the table, by its place and their codes, with the place of each in its bin as a share of the bin.
    Codes(usize, Vec<usize>, Vec<f64>),
}

impl TablePlan {
    /// What is made of the table, as a table of its own. `None` for a column that is not there, or columns of different lengths.
    pub fn made(&self, columns: Vec<(String, MadeColumn)>) -> Option<RecordBatch> {
        let (mut fields, mut arrays) = (Vec::new(), Vec::<ArrayRef>::new());
        for (name, column) in columns {
            let array: ArrayRef = match column {
                MadeColumn::Texts(texts) => Arc::new(StringArray::from(texts)),
                MadeColumn::Numbers(numbers) => Arc::new(Float64Array::from(numbers)),
                MadeColumn::Codes(place, codes, shares) => {
                    let mut shares = shares.into_iter();
                    self.columns().get(place)?.array(&codes, || shares.next().unwrap_or(0.5))?
                }
            };
            fields.push(Field::new(name, array.data_type().clone(), true));
            arrays.push(array);
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).ok()
    }
}

/// A column of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum AnswerColumn {
    /// A group key, by its place.
    Key(usize),
    /// Numbers with their noise, one for each group that is shown; `None` where there is none.
    Values(Vec<Option<f64>>),
}

impl Bounded {
    /// The number of groups.
    pub fn groups(&self) -> usize {
        self.batch.num_rows()
    }

    /// The exact cells of one column behind the keys. They must not be shown to anybody.
    pub fn cells(&self, column: usize) -> Option<Vec<i64>> {
        let cells = self.batch.columns().get(self.keys.checked_add(column)?)?.as_primitive_opt::<Int64Type>()?;
        Some(cells.values().to_vec())
    }

    /// An answer of these columns, for the groups with these numbers. `None` for a key or group that is not there, or columns of
    /// different lengths.
    pub fn answer(&self, groups: &[usize], columns: Vec<(String, AnswerColumn)>) -> Option<RecordBatch> {
        let rows = UInt64Array::from_iter_values(groups.iter().map(|group| *group as u64));
        if groups.iter().any(|group| *group >= self.groups()) {
            return None;
        }
        let array = |column: AnswerColumn| -> Option<ArrayRef> {
            match column {
                AnswerColumn::Key(at) if at < self.keys => take(self.batch.columns().get(at)?, &rows, None).ok(),
                AnswerColumn::Key(_) => None,
                AnswerColumn::Values(values) => Some(Arc::new(Float64Array::from(values))),
            }
        };
        let (mut fields, mut arrays) = (Vec::new(), Vec::new());
        for (name, column) in columns {
            let array = array(column)?;
            fields.push(Field::new(name, array.data_type().clone(), true));
            arrays.push(array);
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).ok()
    }
}
