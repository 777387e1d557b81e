//! One batch under a policy: which rows stay, their ids, their hashes, and the rows that are written as they leave.
//!
//! A row's hash is over what its outgoing cells are made of: pseudonyms and tokens cost more than all the rest, and only
//! rows that are written need them. Equal hashes under one policy version are equal outgoing cells.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StringBuilder};

use crate::batch::SourceBatch;
use crate::cells::{Cells, NotHandled, all_rows, gather, id_array, text};
use crate::columnar::plain_array;
use crate::index::{Id, RowHash};
use crate::packed::Labelled;
use crate::policy::{Policy, PolicyFault, Tokens, opt_out_id, place_id, pseudonym};

/// Digits of a pseudonym.
const PSEUDONYM_BYTES: usize = 32;

/// A batch of source rows, before it is decided which of them are written.
pub(crate) struct Prepared {
    /// What the leaving columns are made of, in their order: of a pseudonym its value's text.
    columns: Vec<ArrayRef>,
    people: Option<People>,
    pub(crate) ids: Vec<Id>,
    pub(crate) stays: Vec<bool>,
    pub(crate) places: Vec<u64>,
}

/// What the tokens of a batch are made of.
struct People {
    given: StringArray,
    family: StringArray,
    birth: StringArray,
}

impl People {
    fn person(&self, row: usize) -> [Option<&str>; 3] {
        [&self.given, &self.family, &self.birth].map(|cells| cells.is_valid(row).then(|| cells.value(row)))
    }
}

impl Prepared {
    /// The rows that may leave.
    pub(crate) fn staying(&self) -> Vec<u32> {
        let rows = all_rows(self.stays.len()).into_iter().zip(&self.stays);
        rows.filter(|(_, stays)| **stays).map(|(row, _)| row).collect()
    }
}

/// The hashes of some rows of a batch.
pub(crate) struct Hashes {
    /// One for each row, in their order.
    pub(crate) hashes: Vec<RowHash>,
    /// Rows without a token though the share has them.
    pub(crate) without_token: u64,
}

impl Policy<'_> {
    /// Looks at every row of a batch, without copying what only stays as it is.
    pub(crate) fn prepare(&self, batch: &SourceBatch) -> Result<Prepared, PolicyFault> {
        let columns = self.leaving.iter().map(|column| {
            if column.pseudonym {
                Ok(Arc::new(self.text(batch, column.source)?) as ArrayRef)
            } else {
                self.plain(batch, column.source)
            }
        });
        let columns = columns.collect::<Result<_, PolicyFault>>()?;
        let people = self.tokens.as_ref().map(|tokens| self.people(tokens, batch)).transpose()?;
        let (stays, ids) = (self.stays(batch)?, self.ids(batch)?);
        Ok(Prepared { columns, people, ids, stays, places: batch.places.clone() })
    }

    /// Hashes these rows.
    pub(crate) fn hashes(&self, prepared: &Prepared, rows: &[u32]) -> Result<Hashes, PolicyFault> {
        let mut cells = Vec::with_capacity(self.leaving.len());
        for ((array, column), at) in prepared.columns.iter().zip(&self.leaving).zip(0..) {
            // A pseudonym of a key column is the same wherever the id is the same.
            if !(column.pseudonym && self.key.contains(&column.source)) {
                cells.push(Cells::new(array).map_err(|NotHandled| self.leaving_fault(prepared, at))?);
            }
        }
        let people = self.tokens.as_ref().map(|tokens| &tokens.maker).zip(prepared.people.as_ref());
        let mut without_token = 0;
        let mut row_hash = Labelled::new(self.row_key, b"cells");
        let hash = |row: &u32| {
            let row = *row as usize;
            row_hash.hash(|message| {
                if let Some((maker, people)) = people {
                    without_token += u64::from(!maker.put_fields(people.person(row), message));
                }
                for cells in &cells {
                    cells.encode(row, message);
                }
            })
        };
        Ok(Hashes { hashes: rows.iter().map(hash).collect(), without_token })
    }

    /// The rows as they leave, in arrays that hold nothing else.
    pub(crate) fn outgoing(&self, prepared: &Prepared, rows: &[u32]) -> Result<RecordBatch, PolicyFault> {
        let mut arrays = vec![id_array(rows.iter().map(|row| Some(prepared.ids[*row as usize])))];
        if let Some((tokens, people)) = self.tokens.as_ref().zip(prepared.people.as_ref()) {
            let token = |row: &u32| {
                let [given, family, birth] = people.person(*row as usize);
                tokens.maker.token(given?, family?, birth?)
            };
            arrays.push(id_array(rows.iter().map(token)));
        }
        for ((array, column), at) in prepared.columns.iter().zip(&self.leaving).zip(0..) {
            let gathered = gather(array, rows).map_err(|NotHandled| self.leaving_fault(prepared, at))?;
            arrays.push(if column.pseudonym { self.pseudonyms(&gathered) } else { gathered });
        }
        RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(|_| self.leaving_fault(prepared, 0))
    }

    fn pseudonyms(&self, values: &ArrayRef) -> ArrayRef {
        let values = values.as_string::<i32>();
        let mut built = StringBuilder::with_capacity(values.len(), values.len() * PSEUDONYM_BYTES);
        for value in values {
            match value {
                None => built.append_null(),
                Some("") => built.append_value(""),
                Some(value) => built.append_value(pseudonym(self.row_key, value)),
            }
        }
        Arc::new(built.finish())
    }

    /// A fault in the leaving column of this number, without ids and tokens.
    fn leaving_fault(&self, prepared: &Prepared, at: usize) -> PolicyFault {
        let column = self.leaving.get(at).map_or(0, |column| column.source);
        self.value_fault(prepared.places.first().copied(), column)
    }

    fn plain(&self, batch: &SourceBatch, column: usize) -> Result<ArrayRef, PolicyFault> {
        let array = batch.columns.get(column).and_then(Option::as_ref).and_then(plain_array);
        array.ok_or_else(|| self.value_fault(batch.places.first().copied(), column))
    }

    fn text(&self, batch: &SourceBatch, column: usize) -> Result<StringArray, PolicyFault> {
        let array = self.plain(batch, column)?;
        text(&array).map_err(|NotHandled| self.value_fault(batch.places.first().copied(), column))
    }

    fn value_fault(&self, place: Option<u64>, column: usize) -> PolicyFault {
        PolicyFault::Value { place: place.unwrap_or(0), column: self.names[column].clone() }
    }

    /// For each row whether it may leave. A patient's value counts as written and without surrounding blanks.
    fn stays(&self, batch: &SourceBatch) -> Result<Vec<bool>, PolicyFault> {
        let Some(patient) = self.patient else { return Ok(vec![true; batch.places.len()]) };
        let patients = self.text(batch, patient)?;
        let out = |value: &str| self.opt_outs.contains(&opt_out_id(self.row_key, value));
        let opted_out = |value: &str| out(value) || (value.trim().len() < value.len() && out(value.trim()));
        Ok(patients.iter().map(|patient| !patient.is_some_and(opted_out)).collect())
    }

    fn ids(&self, batch: &SourceBatch) -> Result<Vec<Id>, PolicyFault> {
        let rows = batch.places.len();
        if self.key.is_empty() {
            return Ok((batch.first_row..).take(rows).map(|place| place_id(self.row_key, place)).collect());
        }
        let mut columns = Vec::with_capacity(self.key.len());
        for key in &self.key {
            let cells = self.text(batch, *key)?;
            if let Some((place, _)) = batch.places.iter().zip(0..).find(|(_, row)| cells.is_null(*row)) {
                return Err(PolicyFault::KeyMissing { place: *place, column: self.names[*key].clone() });
            }
            columns.push(cells);
        }
        let mut row_id = Labelled::new(self.row_key, b"row");
        let id = |row| row_id.hash(|id| columns.iter().for_each(|cells| id.put_framed(cells.value(row).as_bytes())));
        Ok((0..rows).map(id).collect())
    }

    fn people(&self, tokens: &Tokens, batch: &SourceBatch) -> Result<People, PolicyFault> {
        let cells = |column| self.text(batch, column);
        Ok(People { given: cells(tokens.given)?, family: cells(tokens.family)?, birth: cells(tokens.birth)? })
    }
}
