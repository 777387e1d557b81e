//! The register of patients: which person id stands for which local identifier.
//!
//! A patient with a linkage token has the same person id at every member of the consortium; one without is a person of
//! this member alone (law 4).

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch};
use cohortium_protocol::digest::keyed_id;
use cohortium_protocol::key::wrap::Secret32;

use crate::mapping::function::positive;
use crate::policy::TOKEN_COLUMN;

/// Person ids by the pseudonym of the local identifier.
#[derive(Default)]
pub(crate) struct Registry {
    people: HashMap<Box<str>, Known>,
}

/// Bytes that one patient takes while the register grows: 33 in an entry, some of which are empty, for a moment the old
/// register beside the new one, and the pseudonym itself.
pub(crate) const PATIENT_BYTES: u64 = 192;

/// A person, and whether a token says so.
struct Known {
    person: i64,
    by_token: bool,
}

/// Fills a register.
pub(crate) struct Enrolment<'a> {
    pub(crate) row_key: &'a Secret32,
    pub(crate) linkage_key: Option<&'a Secret32>,
    pub(crate) registry: Registry,
    pub(crate) patients_max: u64,
}

/// More patients than the limit.
pub(crate) struct TooManyPatients;

impl Registry {
    /// Bytes that it takes.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.people.len() as u64 * PATIENT_BYTES
    }

    pub(crate) fn person(&self, id: &str) -> Option<i64> {
        self.people.get(id).map(|known| known.person)
    }
}

impl Enrolment<'_> {
    /// Enrols the patients of a batch: the first row with a token names a patient for good.
    pub(crate) fn take_in(&mut self, batch: &RecordBatch, id_column: &str) -> Result<(), TooManyPatients> {
        let Some(ids) = batch.column_by_name(id_column).and_then(|ids| ids.as_string_opt::<i32>()) else {
            return Ok(());
        };
        let tokens = batch.column_by_name(TOKEN_COLUMN).and_then(|tokens| tokens.as_fixed_size_binary_opt());
        for (row, id) in ids.iter().enumerate() {
            // A blank is no identifier: rows without one are not one patient.
            let Some(id) = id.filter(|id| !id.is_empty()) else { continue };
            let token = tokens.filter(|tokens| tokens.is_valid(row)).map(|tokens| tokens.value(row));
            let by_token = token.is_some() && self.linkage_key.is_some();
            if self.registry.people.get(id).is_some_and(|known| known.by_token || !by_token) {
                continue;
            }
            let person = match (token, self.linkage_key) {
                (Some(token), Some(key)) => positive(&keyed_id(key.as_bytes(), [b"person".as_slice(), token])),
                _ => positive(&keyed_id(self.row_key.as_bytes(), [b"person".as_slice(), id.as_bytes()])),
            };
            self.registry.people.insert(id.into(), Known { person, by_token });
            if self.registry.people.len() as u64 > self.patients_max {
                return Err(TooManyPatients);
            }
        }
        Ok(())
    }
}
