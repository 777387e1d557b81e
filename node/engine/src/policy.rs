//! A share's policy, applied at the provider before a blob exists: which columns leave, as what, and which rows do not.
//!
//! Everything that leaves is built here, in arrays of its own: a column that the share does not keep has no way into
//! them (laws 1 and 8).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::{fmt, iter};

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use cohortium_protocol::digest::keyed_id;
use cohortium_protocol::ident::ColumnName;
use cohortium_protocol::key::wrap::Secret32;
use cohortium_protocol::record::dataset::{Dataset, DateFormat};
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::schema::{Column, ColumnType, Treatment};
use cohortium_protocol::record::share::Linkage;

use crate::cells::{Cells, NotHandled, all_rows, gather, hex, id_array, text};
use crate::columnar::{column_type, plain_array, plain_type};
use crate::limits::Limits;
use crate::linkage::{NORMALISER, TokenMaker, check_value};
use crate::source::{SourceBatch, SourceColumn};

/// The column of row ids, 16 bytes each, first in whatever leaves.
pub const ROW_COLUMN: &str = "cohortium_row";
/// The column of linkage tokens, 32 bytes each, second where there is one.
pub const TOKEN_COLUMN: &str = "cohortium_token";

/// What one run applies: a share's terms, its dataset, and the provider's secrets.
#[expect(missing_debug_implementations, reason = "it holds secrets")]
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The share's columns.
    pub columns: &'a [Column],
    /// Whether rows carry tokens.
    pub linkage: Linkage,
    /// Where the rows come from.
    pub dataset: &'a Dataset,
    /// The provider's key of row ids, pseudonyms and opt-outs.
    pub row_key: &'a Secret32,
    /// The linkage sub-key of the consortium's epoch, where rows carry tokens.
    pub linkage_key: Option<&'a Secret32>,
    /// The patients who opted out, as [`opt_out_id`] makes them.
    pub opt_outs: &'a BTreeSet<[u8; 16]>,
    /// Bounds.
    pub limits: Limits,
}

/// The id of a row without a key: by its place in the source, from 0.
pub fn place_id(row_key: &Secret32, place: u64) -> [u8; 16] {
    keyed_id(row_key.as_bytes(), [b"place".as_slice(), &place.to_le_bytes()])
}

/// A patient in the opt-out list: the patient column's value under the provider's row key.
pub fn opt_out_id(row_key: &Secret32, patient: &str) -> [u8; 16] {
    keyed_id(row_key.as_bytes(), [b"opt-out".as_slice(), patient.as_bytes()])
}

/// A value's pseudonym: 32 hexadecimal digits, the same for the same value in every column and table of one provider.
pub fn pseudonym(row_key: &Secret32, value: &str) -> String {
    hex(&keyed_id(row_key.as_bytes(), [b"pseudonym".as_slice(), value.as_bytes()]))
}

/// Why a policy cannot be applied. Column names and places are for the provider's own eyes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyFault {
    /// The source's columns are not exactly the share's.
    ColumnsDiffer {
        /// Listed, and not in the source.
        missing: Vec<ColumnName>,
        /// In the source, and not listed. Empty where nothing at all is as listed: the first line may then be a row.
        additional: Vec<ColumnName>,
        /// Of another type than listed.
        retyped: Vec<ColumnName>,
    },
    /// A direct identifier would leave as it is (law 1).
    Unlawful(ColumnName),
    /// The name is one that Cohortium gives to its own columns.
    Reserved(ColumnName),
    /// Its type cannot leave: nested, bytes, an interval or unknown.
    Unsupported(ColumnName),
    /// The dataset's key, patient or linkage column is not among the share's.
    NotListed(ColumnName),
    /// There are opt-outs, and the dataset does not say which column names the patient.
    NoPatientColumn,
    /// Rows should carry tokens, and the dataset does not say what they are made of.
    NoLinkageColumns,
    /// Rows should carry tokens, and no linkage key is held.
    NoLinkageKey,
    /// A row without a value in a key column.
    KeyMissing {
        /// Line or row, from 1.
        place: u64,
        /// The column.
        column: ColumnName,
    },
    /// A value that its declared type cannot hold, in one of the rows from here on.
    Value {
        /// Line or row of the batch's first row, from 1.
        place: u64,
        /// The column.
        column: ColumnName,
    },
}

impl fmt::Display for PolicyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ColumnsDiffer { missing, additional, retyped } => {
                f.write_str("the source's columns are not the share's")?;
                for (what, names) in [("missing", missing), ("additional", additional), ("of another type", retyped)] {
                    if !names.is_empty() {
                        let names: Vec<&str> = names.iter().map(ColumnName::as_str).collect();
                        write!(f, "; {what}: {}", names.join(", "))?;
                    }
                }
                Ok(())
            }
            Self::Unlawful(name) => write!(f, "column {name} is a direct identifier and would leave as it is"),
            Self::Reserved(name) => write!(f, "column {name} has a name that is reserved"),
            Self::Unsupported(name) => write!(f, "column {name} has a type that cannot leave"),
            Self::NotListed(name) => write!(f, "column {name} is needed and not among the share's columns"),
            Self::NoPatientColumn => f.write_str("there are opt-outs and the dataset names no patient column"),
            Self::NoLinkageColumns => f.write_str("rows carry tokens and the dataset names no linkage columns"),
            Self::NoLinkageKey => f.write_str("rows carry tokens and no linkage key is held"),
            Self::KeyMissing { place, column } => write!(f, "row at {place}: no value in the key column {column}"),
            Self::Value { place, column } => write!(f, "rows from {place} on, column {column}: a value does not fit"),
        }
    }
}

impl std::error::Error for PolicyFault {}

impl From<&PolicyFault> for RunFault {
    fn from(fault: &PolicyFault) -> Self {
        match fault {
            PolicyFault::ColumnsDiffer { .. }
            | PolicyFault::Unlawful(_)
            | PolicyFault::Reserved(_)
            | PolicyFault::Unsupported(_)
            | PolicyFault::NotListed(_)
            | PolicyFault::NoPatientColumn
            | PolicyFault::NoLinkageColumns => Self::ColumnsDiffer,
            PolicyFault::NoLinkageKey => Self::NoLinkageKey,
            PolicyFault::KeyMissing { .. } | PolicyFault::Value { .. } => Self::Malformed,
        }
    }
}

/// A policy that fits its source.
#[expect(missing_debug_implementations, reason = "it holds secrets")]
pub struct Policy<'a> {
    row_key: &'a Secret32,
    opt_outs: &'a BTreeSet<[u8; 16]>,
    names: Vec<ColumnName>,
    needed: Vec<bool>,
    leaving: Vec<Leaving>,
    key: Vec<usize>,
    patient: Option<usize>,
    tokens: Option<Tokens>,
    schema: SchemaRef,
    version: [u8; 16],
}

/// A column that leaves, and where it stands in the source.
struct Leaving {
    source: usize,
    pseudonym: bool,
}

struct Tokens {
    given: usize,
    family: usize,
    birth: usize,
    maker: TokenMaker,
}

impl<'a> Policy<'a> {
    /// Checks the terms against the columns that the source really has.
    ///
    /// # Errors
    /// [`PolicyFault`]; no row has been looked at.
    pub fn new(job: &Job<'a>, source: &[SourceColumn]) -> Result<Self, PolicyFault> {
        check_columns(job.columns, source)?;
        let place = |name: &ColumnName| {
            source.iter().position(|column| &column.name == name).ok_or_else(|| PolicyFault::NotListed(name.clone()))
        };
        let leaving = job.columns.iter().filter(|column| column.treatment != Treatment::Drop);
        let leaving: Vec<Leaving> = leaving
            .map(|column| {
                Ok(Leaving { source: place(&column.name)?, pseudonym: column.treatment == Treatment::Pseudonym })
            })
            .collect::<Result<_, PolicyFault>>()?;
        let key = job.dataset.key.iter().map(place).collect::<Result<Vec<_>, _>>()?;
        let patient = job.dataset.patient.as_ref().map(place).transpose()?;
        if patient.is_none() && !job.opt_outs.is_empty() {
            return Err(PolicyFault::NoPatientColumn);
        }
        let patient = patient.filter(|_| !job.opt_outs.is_empty());
        let tokens = match job.linkage {
            Linkage::None => None,
            Linkage::Token => Some(Tokens::new(job, source, place)?),
        };
        let mut needed = vec![false; source.len()];
        let made_of = tokens.iter().flat_map(|tokens| [tokens.given, tokens.family, tokens.birth]);
        for column in
            leaving.iter().map(|column| column.source).chain(key.iter().copied()).chain(patient).chain(made_of)
        {
            needed[column] = true;
        }
        let schema = outgoing_schema(&leaving, source, tokens.is_some());
        let version = policy_version(job, &schema);
        let names = source.iter().map(|column| column.name.clone()).collect();
        let (row_key, opt_outs) = (job.row_key, job.opt_outs);
        Ok(Self { row_key, opt_outs, names, needed, leaving, key, patient, tokens, schema, version })
    }

    /// Which of the source's columns must be read, in its order. The others never reach this file.
    pub fn needed(&self) -> &[bool] {
        &self.needed
    }

    /// The columns that leave, ids and tokens included.
    pub const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether rows have a key of their own.
    pub fn is_keyed(&self) -> bool {
        !self.key.is_empty()
    }

    /// Whether rows carry tokens.
    pub const fn has_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Changes whenever equal source rows would leave as something else: columns, their types and order, the keys, the
    /// normaliser. A delta against rows of another version would be wrong.
    pub(crate) const fn version(&self) -> [u8; 16] {
        self.version
    }

    /// Applies the policy to every row of a batch, without copying what only stays as it is.
    pub(crate) fn prepare(&self, batch: &SourceBatch) -> Result<Prepared, PolicyFault> {
        let stays = self.stays(batch)?;
        let ids = self.ids(batch)?;
        let mut columns = vec![id_array(ids.iter().copied().map(Some))];
        let mut without_token = 0;
        if let Some(tokens) = &self.tokens {
            let made = self.tokens(tokens, batch, &stays)?;
            without_token = made.iter().zip(&stays).filter(|(token, stays)| token.is_none() && **stays).count() as u64;
            columns.push(id_array(made.into_iter()));
        }
        for column in &self.leaving {
            let array = self.plain(batch, column.source)?;
            columns.push(if column.pseudonym { self.pseudonyms(batch, column.source)? } else { array });
        }
        Ok(Prepared { columns, ids, stays, places: batch.places.clone(), without_token })
    }

    /// The rows as they leave, in arrays that hold nothing else.
    pub(crate) fn outgoing(&self, prepared: &Prepared, rows: &[u32]) -> Result<RecordBatch, PolicyFault> {
        let columns = prepared.columns.iter().enumerate();
        let arrays =
            columns.map(|(at, array)| gather(array, rows).map_err(|NotHandled| self.leaving_fault(prepared, at)));
        let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(|_| self.leaving_fault(prepared, 0))
    }

    fn leaving_fault(&self, prepared: &Prepared, at: usize) -> PolicyFault {
        let column = self.schema.field(at).name().parse().expect("the schema is made of column names");
        PolicyFault::Value { place: prepared.places.first().copied().unwrap_or(0), column }
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

    fn ids(&self, batch: &SourceBatch) -> Result<Vec<[u8; 16]>, PolicyFault> {
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
        let id = |row| {
            let cells = columns.iter().map(|cells| cells.value(row).as_bytes());
            keyed_id(self.row_key.as_bytes(), iter::once(b"row".as_slice()).chain(cells))
        };
        Ok((0..rows).map(id).collect())
    }

    fn tokens(
        &self,
        tokens: &Tokens,
        batch: &SourceBatch,
        stays: &[bool],
    ) -> Result<Vec<Option<[u8; 32]>>, PolicyFault> {
        let given = self.text(batch, tokens.given)?;
        let family = self.text(batch, tokens.family)?;
        let birth = self.text(batch, tokens.birth)?;
        let people = given.iter().zip(family.iter()).zip(birth.iter()).zip(stays);
        Ok(people.map(|(((g, f), b), stays)| if *stays { tokens.maker.token(g?, f?, b?) } else { None }).collect())
    }

    fn pseudonyms(&self, batch: &SourceBatch, column: usize) -> Result<ArrayRef, PolicyFault> {
        let values = self.text(batch, column)?;
        let replaced = |value: &str| if value.is_empty() { String::new() } else { pseudonym(self.row_key, value) };
        Ok(Arc::new(values.iter().map(|value| value.map(replaced)).collect::<StringArray>()))
    }
}

impl Tokens {
    fn new(
        job: &Job<'_>,
        source: &[SourceColumn],
        place: impl Fn(&ColumnName) -> Result<usize, PolicyFault>,
    ) -> Result<Self, PolicyFault> {
        let columns = job.dataset.linkage.as_ref().ok_or(PolicyFault::NoLinkageColumns)?;
        let key = job.linkage_key.ok_or(PolicyFault::NoLinkageKey)?;
        let birth = place(&columns.birth)?;
        // A typed day is written by us, and that is ISO.
        let typed = plain_type(&source[birth].kind) != DataType::Utf8;
        let format = if typed { DateFormat::Iso } else { columns.birth_format };
        let maker = TokenMaker::new(key, format);
        Ok(Self { given: place(&columns.given)?, family: place(&columns.family)?, birth, maker })
    }
}

fn check_columns(listed: &[Column], source: &[SourceColumn]) -> Result<(), PolicyFault> {
    if let Some(column) = listed.iter().find(|column| !column.is_lawful()) {
        return Err(PolicyFault::Unlawful(column.name.clone()));
    }
    if let Some(column) = listed.iter().find(|column| matches!(column.name.as_str(), ROW_COLUMN | TOKEN_COLUMN)) {
        return Err(PolicyFault::Reserved(column.name.clone()));
    }
    let found = |name: &ColumnName| source.iter().find(|column| &column.name == name);
    let is_listed = |name: &ColumnName| listed.iter().any(|column| &column.name == name);
    let missing: Vec<_> = listed.iter().map(|c| &c.name).filter(|name| found(name).is_none()).cloned().collect();
    let mut additional: Vec<_> = source.iter().map(|c| &c.name).filter(|name| !is_listed(name)).cloned().collect();
    if additional.len() == source.len() {
        additional.clear();
    }
    let mut retyped = Vec::new();
    for column in listed.iter().filter(|column| column.treatment != Treatment::Drop) {
        let Some(found) = found(&column.name) else { continue };
        let kind = column_type(&found.kind).ok_or_else(|| PolicyFault::Unsupported(column.name.clone()))?;
        let leaves_as = if column.treatment == Treatment::Pseudonym { ColumnType::Text } else { kind };
        if leaves_as != column.kind {
            retyped.push(column.name.clone());
        }
    }
    if missing.is_empty() && retyped.is_empty() && listed.len() == source.len() {
        return Ok(());
    }
    Err(PolicyFault::ColumnsDiffer { missing, additional, retyped })
}

/// Built from names and types alone: a source's own metadata, in which whole tables have been found, stays behind.
fn outgoing_schema(leaving: &[Leaving], source: &[SourceColumn], tokens: bool) -> SchemaRef {
    let mut fields = vec![Field::new(ROW_COLUMN, DataType::FixedSizeBinary(16), false)];
    if tokens {
        fields.push(Field::new(TOKEN_COLUMN, DataType::FixedSizeBinary(32), true));
    }
    fields.extend(leaving.iter().map(|column| {
        let found = &source[column.source];
        let kind = if column.pseudonym { DataType::Utf8 } else { plain_type(&found.kind) };
        Field::new(found.name.as_str(), kind, true)
    }));
    Arc::new(Schema::new(fields))
}

fn policy_version(job: &Job<'_>, schema: &Schema) -> [u8; 16] {
    let columns: Vec<_> =
        schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect();
    let keys = job.dataset.key.iter().map(|name| name.as_str().as_bytes());
    let token = job.linkage_key.filter(|_| job.linkage == Linkage::Token).map(|key| check_value(key, NORMALISER));
    let key_count = (job.dataset.key.len() as u64).to_le_bytes();
    let head = [b"policy".as_slice(), &key_count];
    let token = token.as_ref().map_or(b"".as_slice(), |check| check.as_bytes().as_slice());
    let parts = head.into_iter().chain(keys).chain(iter::once(token)).chain(columns.iter().map(String::as_bytes));
    keyed_id(job.row_key.as_bytes(), parts)
}

/// A batch under the policy, in the outgoing columns, before it is decided which of its rows are written.
pub(crate) struct Prepared {
    columns: Vec<ArrayRef>,
    pub(crate) ids: Vec<[u8; 16]>,
    pub(crate) stays: Vec<bool>,
    pub(crate) places: Vec<u64>,
    pub(crate) without_token: u64,
}

impl Prepared {
    /// The rows that may leave.
    pub(crate) fn staying(&self) -> Vec<u32> {
        all_rows(self.stays.len())
            .into_iter()
            .zip(&self.stays)
            .filter(|(_, stays)| **stays)
            .map(|(row, _)| row)
            .collect()
    }

    /// Hands each row that may leave to `see`, with a hash over its outgoing cells.
    pub(crate) fn hashed<E: From<PolicyFault>>(
        &self,
        policy: &Policy<'_>,
        mut see: impl FnMut(u32, [u8; 16]) -> Result<(), E>,
    ) -> Result<(), E> {
        let columns = self.columns.iter().enumerate().skip(1);
        let cells = columns.map(|(at, array)| Cells::new(array).map_err(|NotHandled| policy.leaving_fault(self, at)));
        let cells = cells.collect::<Result<Vec<_>, _>>()?;
        let mut encoded = Vec::with_capacity(1024);
        for row in self.staying() {
            encoded.clear();
            for cells in &cells {
                cells.encode(row as usize, &mut encoded);
            }
            see(row, keyed_id(policy.row_key.as_bytes(), [b"cells".as_slice(), &encoded]))?;
        }
        Ok(())
    }
}
