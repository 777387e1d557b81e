//! One batch under a policy: which rows stay, their ids, their hashes, and the rows that are written as they leave.
//!
//! A row's hash is over what its outgoing cells are made of: pseudonyms and tokens cost more than all the rest, and only
//! rows that are written need them. Equal hashes under one policy version are equal outgoing cells.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StringBuilder};
use cohortium_protocol::record::schema::Treatment;

use crate::batch::SourceBatch;
use crate::cells::{Cells, Identifiers, NotHandled, all_rows, gather, hex_of_id, id_array, identifiers, text};
use crate::columnar::plain_array;
use crate::index::{Id, RowHash};
use crate::packed::Labelled;
use crate::policy::{Leaving, Policy, PolicyFault, Pseudonyms, RefusedRow, Tokens, Tolerance, opt_out_id, place_id};
use crate::treated::{Treated, Treating};
use crate::treatment::{Refusal, shift_days};

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
    /// Rows that do not pass the share's filter.
    pub(crate) filtered: u64,
    /// Rows of patients who opted out.
    pub(crate) opted_out: u64,
    /// Rows that were set aside, in the order in which that was found.
    pub(crate) refused: Vec<RefusedRow>,
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

/// Which rows of a batch are still to leave, while it is found out.
struct Sieve {
    stays: Vec<bool>,
    refused: Vec<RefusedRow>,
}

/// A batch as it leaves, and what of it does not.
#[expect(missing_debug_implementations, reason = "it holds rows")]
pub struct Applied {
    /// The rows that leave, in the policy's schema.
    pub rows: RecordBatch,
    /// Each one's place, as in the source batch.
    pub places: Vec<u64>,
    /// Rows that do not pass the filter.
    pub filtered: u64,
    /// Rows of patients who opted out.
    pub opted_out: u64,
    /// Rows that were set aside; none unless the policy tolerates them.
    pub refused: Vec<RefusedRow>,
}

impl Policy<'_> {
    /// Applies the policy to a batch, without deltas: for a preview, and for who maps rows on.
    ///
    /// # Errors
    /// [`PolicyFault`]; a row that cannot leave as the share says is one unless the policy tolerates it.
    pub fn apply(&self, batch: &SourceBatch) -> Result<Applied, PolicyFault> {
        let prepared = self.prepare(batch)?;
        let staying = prepared.staying();
        let rows = self.outgoing(&prepared, &staying)?;
        let places = staying.iter().map(|row| prepared.places[*row as usize]).collect();
        let Prepared { filtered, opted_out, refused, .. } = prepared;
        Ok(Applied { rows, places, filtered, opted_out, refused })
    }

    /// Looks at every row of a batch, without copying what only stays as it is. What does not pass the filter is looked at
    /// no further.
    pub(crate) fn prepare(&self, batch: &SourceBatch) -> Result<Prepared, PolicyFault> {
        let mut sieve = Sieve { stays: vec![true; batch.places.len()], refused: Vec::new() };
        let filtered = self.filter(batch, &mut sieve)?;
        let opted_out = self.opt_out(batch, &mut sieve)?;
        let shifts = self.shifts(batch, &mut sieve)?;
        let columns = self.leaving.iter().map(|column| self.treated(batch, column, &shifts, &mut sieve));
        let columns = columns.collect::<Result<_, PolicyFault>>()?;
        let people = self.tokens.as_ref().map(|tokens| self.people(tokens, batch)).transpose()?;
        let ids = self.ids(batch, &mut sieve)?;
        let Sieve { stays, refused } = sieve;
        Ok(Prepared { columns, people, ids, stays, places: batch.places.clone(), filtered, opted_out, refused })
    }

    /// Ends the run at this row, or sets it aside.
    fn refuse(
        &self,
        batch: &SourceBatch,
        sieve: &mut Sieve,
        (row, column): (usize, usize),
        refusal: Refusal,
    ) -> Result<(), PolicyFault> {
        let column = self.names[column].clone();
        let refused = RefusedRow { place: batch.places[row], row: batch.first_row + row as u64, column, refusal };
        sieve.stays[row] = false;
        match self.tolerance {
            Tolerance::Refuse => Err(PolicyFault::Refused(refused)),
            Tolerance::SetAside => {
                sieve.refused.push(refused);
                Ok(())
            }
        }
    }

    fn filter(&self, batch: &SourceBatch, sieve: &mut Sieve) -> Result<u64, PolicyFault> {
        let mut filtered = 0;
        for test in &self.filter {
            let cells = self.text(batch, test.source)?;
            for row in 0..batch.places.len() {
                match if sieve.stays[row] { test.pass(&cells, row) } else { Ok(true) } {
                    Ok(true) => {}
                    Ok(false) => {
                        sieve.stays[row] = false;
                        filtered += 1;
                    }
                    Err(refusal) => self.refuse(batch, sieve, (row, test.source), refusal)?,
                }
            }
        }
        Ok(filtered)
    }

    /// Takes out the rows of patients who opted out. A patient's value counts as written and without surrounding blanks.
    fn opt_out(&self, batch: &SourceBatch, sieve: &mut Sieve) -> Result<u64, PolicyFault> {
        let Some(patient) = self.patient else { return Ok(0) };
        let patients = self.named(batch, sieve, patient)?;
        if self.opt_outs.is_empty() {
            return Ok(0);
        }
        let out = |value: &str| self.opt_outs.contains(&opt_out_id(self.row_key, value));
        let opted_out = |value: &str| out(value) || (value.trim().len() < value.len() && out(value.trim()));
        let mut count = 0;
        for (stays, patient) in sieve.stays.iter_mut().zip(&patients) {
            if *stays && patient.is_some_and(opted_out) {
                *stays = false;
                count += 1;
            }
        }
        Ok(count)
    }

    /// By how many days each row's dates move; `None`: it names no patient.
    fn shifts(&self, batch: &SourceBatch, sieve: &mut Sieve) -> Result<Vec<Option<i64>>, PolicyFault> {
        let Some(shift) = self.shift else { return Ok(Vec::new()) };
        let patients = self.named(batch, sieve, shift.patient)?;
        let named = |patient: &&str| !patient.trim().is_empty();
        let days = |patient| shift_days(self.row_key, patient, shift.days_max);
        Ok(patients.iter().map(|patient| patient.filter(named).map(days)).collect())
    }

    /// What a leaving column is made of: of a pseudonym its value's text, else the cells as they leave.
    fn treated(
        &self,
        batch: &SourceBatch,
        column: &Leaving,
        shifts: &[Option<i64>],
        sieve: &mut Sieve,
    ) -> Result<ArrayRef, PolicyFault> {
        let Leaving { source, treatment } = *column;
        match treatment {
            Treatment::Drop | Treatment::Keep => return self.plain(batch, source),
            Treatment::Pseudonym => return Ok(Arc::new(self.identifiers(batch, source)?.cells)),
            Treatment::Month { .. }
            | Treatment::Year { .. }
            | Treatment::Zip3
            | Treatment::Age90
            | Treatment::ShiftDates { .. }
            | Treatment::Round(_) => {}
        }
        let treating = Treating { treatment, small_areas: self.small_areas, shifts, stays: &sieve.stays };
        let treated = treating.column(&self.plain(batch, source)?);
        let Treated { array, refused } =
            treated.map_err(|NotHandled| self.value_fault(batch.places.first().copied(), source))?;
        for (row, refusal) in refused {
            self.refuse(batch, sieve, (row, source), refusal)?;
        }
        Ok(array)
    }

    /// Hashes these rows.
    pub(crate) fn hashes(&self, prepared: &Prepared, rows: &[u32]) -> Result<Hashes, PolicyFault> {
        let mut cells = Vec::with_capacity(self.leaving.len());
        for ((array, column), at) in prepared.columns.iter().zip(&self.leaving).zip(0..) {
            // A pseudonym of a key column is the same wherever the id is the same.
            if !(column.is_pseudonym() && self.key.contains(&column.source)) {
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
            arrays.push(if column.is_pseudonym() { self.pseudonyms(&gathered) } else { gathered });
        }
        RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(|_| self.leaving_fault(prepared, 0))
    }

    fn pseudonyms(&self, values: &ArrayRef) -> ArrayRef {
        let values = values.as_string::<i32>();
        let mut built = StringBuilder::with_capacity(values.len(), values.len() * PSEUDONYM_BYTES);
        let mut pseudonyms = Pseudonyms::new(self.row_key);
        // Rows of one patient or visit mostly follow each other.
        let mut last = ("", [0; PSEUDONYM_BYTES]);
        for value in values {
            match value {
                None => built.append_null(),
                Some(value) if value.trim().is_empty() => built.append_value(""),
                Some(value) => {
                    if value != last.0 {
                        last = (value, hex_of_id(pseudonyms.id(value)));
                    }
                    built.append_value(std::str::from_utf8(&last.1).expect("digits are ASCII"));
                }
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

    fn identifiers(&self, batch: &SourceBatch, column: usize) -> Result<Identifiers, PolicyFault> {
        let array = self.plain(batch, column)?;
        identifiers(&array).map_err(|NotHandled| self.value_fault(batch.places.first().copied(), column))
    }

    /// A key or patient column as text. A row that may leave and names by a number that is not whole is refused.
    fn named(&self, batch: &SourceBatch, sieve: &mut Sieve, column: usize) -> Result<StringArray, PolicyFault> {
        let Identifiers { cells, unclear } = self.identifiers(batch, column)?;
        for row in unclear {
            if sieve.stays[row] {
                self.refuse(batch, sieve, (row, column), Refusal::NotWhole)?;
            }
        }
        Ok(cells)
    }

    fn value_fault(&self, place: Option<u64>, column: usize) -> PolicyFault {
        PolicyFault::Value { place: place.unwrap_or(0), column: self.names[column].clone() }
    }

    fn ids(&self, batch: &SourceBatch, sieve: &mut Sieve) -> Result<Vec<Id>, PolicyFault> {
        let rows = batch.places.len();
        if self.key.is_empty() {
            return Ok(batch.row_numbers().into_iter().map(|number| place_id(self.row_key, number - 1)).collect());
        }
        let mut columns = Vec::with_capacity(self.key.len());
        for key in &self.key {
            let cells = self.named(batch, sieve, *key)?;
            for row in 0..rows {
                if sieve.stays[row] && cells.is_null(row) {
                    self.refuse(batch, sieve, (row, *key), Refusal::NoKey)?;
                }
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
