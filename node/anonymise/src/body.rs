//! The body of a release: released rows in a random order, quasi-identifiers as their classes are written, all arrays built
//! anew, so that no byte of a row that stays behind comes along.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Schema};

use crate::hierarchy::Node;
use crate::recoding::{Recoding, SUPPRESSED};
use crate::seed::{Purpose, Seed};
use crate::table::Table;

/// Rows in columns, as bodies are built and answers of questions come.
pub type Batch = RecordBatch;

/// Why there is no body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// A column that is to leave as it is has another number of rows, or cannot be rebuilt.
    Column {
        /// The column.
        column: String,
    },
    /// Two columns have one name.
    Names,
}

impl std::fmt::Display for BodyFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Column { column } => write!(f, "column {column} cannot be released as it is"),
            Self::Names => write!(f, "two columns have one name"),
        }
    }
}

impl std::error::Error for BodyFault {}

/// What a body holds beside the quasi-identifiers.
#[derive(Clone, Default)]
#[expect(missing_debug_implementations, reason = "holds rows")]
pub struct Beside {
    /// Columns that leave as they are: sensitive ones and measures.
    pub columns: Vec<(String, ArrayRef)>,
    /// The name of a column of random numbers, one a patient, if rows of one patient should be known as such.
    pub id: Option<String>,
}

/// Builds the body.
///
/// # Errors
///
/// Columns that do not fit the table.
pub fn body(table: &Table, recoding: &Recoding, beside: &Beside, seed: &Seed) -> Result<RecordBatch, BodyFault> {
    let mut order: Vec<u32> =
        (0..table.rows as u32).filter(|row| recoding.class_of()[*row as usize] != SUPPRESSED).collect();
    seed.dice(Purpose::Shuffle, 0).shuffle(&mut order);
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    if let Some(name) = &beside.id {
        columns.push((name.clone(), ids(table, &order, seed)));
    }
    for (at, column) in table.quasi.iter().enumerate() {
        columns.push((column.name.clone(), written(table, recoding, at, &order)));
    }
    let picked = UInt32Array::from(order);
    for (name, array) in &beside.columns {
        let fault = || BodyFault::Column { column: name.clone() };
        if array.len() != table.rows {
            return Err(fault());
        }
        let rebuilt = take(array, &picked, None).map_err(|_| fault())?;
        // The dictionary of a column that stays behind in part would still name every value.
        let rebuilt = match rebuilt.data_type() {
            DataType::Dictionary(_, value) => cast(&rebuilt, &value.clone()).map_err(|_| fault())?,
            _ => rebuilt,
        };
        columns.push((name.clone(), rebuilt));
    }
    let names: HashSet<&String> = columns.iter().map(|(name, _)| name).collect();
    if names.len() < columns.len() {
        return Err(BodyFault::Names);
    }
    let field = |(name, array): &(String, ArrayRef)| Field::new(name, array.data_type().clone(), true);
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(schema), arrays).map_err(|_| BodyFault::Names)
}

/// A quasi-identifier as it is written: a dictionary of just the values that occur, in the order of the hierarchy.
fn written(table: &Table, recoding: &Recoding, at: usize, order: &[u32]) -> ArrayRef {
    let hierarchy = &table.quasi[at].hierarchy;
    let mut used: BTreeMap<Node, i32> =
        (0..recoding.classes() as u32).map(|class| (recoding.written(class)[at], 0)).collect();
    let mut labels = Vec::with_capacity(used.len());
    for (node, place) in &mut used {
        *place = labels.len() as i32;
        labels.push(hierarchy.label(*node));
    }
    let of_class: Vec<i32> = (0..recoding.classes() as u32).map(|class| used[&recoding.written(class)[at]]).collect();
    let keys = order.iter().map(|row| of_class[recoding.class_of()[*row as usize] as usize]);
    let keys = Int32Array::from_iter_values(keys);
    // Keys were just counted up to the number of labels.
    DictionaryArray::try_new(keys, Arc::new(StringArray::from(labels)))
        .map_or_else(|_| Arc::new(Int32Array::from_iter_values([])) as ArrayRef, |array| Arc::new(array) as ArrayRef)
}

/// A random number for each patient, different for different patients and new in every release.
fn ids(table: &Table, order: &[u32], seed: &Seed) -> ArrayRef {
    let mut dice = seed.dice(Purpose::Ids, 0);
    let mut used = HashSet::new();
    let patients = table.patient.as_ref().map_or(table.rows, |of| of.iter().max().map_or(0, |most| *most as usize + 1));
    let mut of_patient = Vec::with_capacity(patients);
    while of_patient.len() < patients {
        let id = (dice.word() >> 1).cast_signed();
        if used.insert(id) {
            of_patient.push(id);
        }
    }
    Arc::new(Int64Array::from_iter_values(order.iter().map(|row| of_patient[table.patient(*row) as usize])))
}
