//! A share's policy, applied at the provider before a blob exists: which columns leave, as what, and which rows do not.
//!
//! Everything that leaves is built here, in arrays of its own: a column that the share does not keep has no way into
//! them (laws 1 and 8). `prepared` does it, batch by batch.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::{fmt, iter};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use cohortium_protocol::digest::keyed_id;
use cohortium_protocol::ident::ColumnName;
use cohortium_protocol::key::wrap::Secret32;
use cohortium_protocol::record::dataset::{Dataset, DateFormat};
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::literal::ZipArea;
use cohortium_protocol::record::schema::{Column, Treatment};
use cohortium_protocol::record::share::{Linkage, TableTerms};
use cohortium_protocol::wire::codec::encode;

use crate::batch::SourceColumn;
use crate::cells::hex;
use crate::columnar::plain_type;
use crate::filter::Tested;
use crate::limits::Limits;
use crate::linkage::{NORMALISER, TokenMaker, check_value};
use crate::packed::Labelled;
use crate::treated::is_treatable;
use crate::treatment::{Refusal, Writing};

/// The column of row ids, 16 bytes each, first in whatever leaves.
pub const ROW_COLUMN: &str = "cohortium_row";
/// The column of linkage tokens, 32 bytes each, second where there is one.
pub const TOKEN_COLUMN: &str = "cohortium_token";

/// What one run applies: a share's terms, its dataset, and the provider's secrets.
#[expect(missing_debug_implementations, reason = "it holds secrets")]
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The share's columns, filter and standard, and whether rows carry tokens.
    pub table: &'a TableTerms,
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
/// Blanks around a value are no part of it.
pub fn pseudonym(row_key: &Secret32, value: &str) -> String {
    hex(&Pseudonyms::new(row_key).id(value))
}

/// Makes pseudonyms of many values.
pub(crate) struct Pseudonyms<'a>(Labelled<'a>);

impl<'a> Pseudonyms<'a> {
    pub(crate) fn new(row_key: &'a Secret32) -> Self {
        Self(Labelled::new(row_key, b"pseudonym"))
    }

    /// What the digits of a value's pseudonym write.
    pub(crate) fn id(&mut self, value: &str) -> [u8; 16] {
        self.0.hash(|message| message.put_framed(value.trim().as_bytes()))
    }
}

/// What becomes of a row that cannot leave as its share says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tolerance {
    /// The run ends there: a snapshot is whole or is none.
    Refuse,
    /// The row is set aside, with its place and a code, and the others leave.
    SetAside,
}

/// A row that was set aside. For the provider's own eyes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRow {
    /// Line or row, from 1.
    pub place: u64,
    /// How many rows of the source come before it.
    pub row: u64,
    /// The column.
    pub column: ColumnName,
    /// Why.
    pub refusal: Refusal,
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
    /// It would leave as its role does not allow (law 1).
    Unlawful(ColumnName),
    /// The name is one that Cohortium gives to its own columns.
    Reserved(ColumnName),
    /// Its type cannot leave: nested, bytes, an interval or unknown.
    Unsupported(ColumnName),
    /// The dataset's key, patient or linkage column is not among the share's.
    NotListed(ColumnName),
    /// Values of its type cannot be treated as the share says.
    Untreatable(ColumnName),
    /// There are opt-outs or shifted dates, and the dataset does not say which column names the patient.
    NoPatientColumn,
    /// Rows should carry tokens, and the dataset does not say what they are made of.
    NoLinkageColumns,
    /// Rows should carry tokens, and no linkage key is held.
    NoLinkageKey,
    /// A row that cannot leave as the share says.
    Refused(RefusedRow),
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
            Self::Unlawful(name) => write!(f, "column {name} would leave as its role does not allow"),
            Self::Reserved(name) => write!(f, "column {name} has a name that is reserved"),
            Self::Unsupported(name) => write!(f, "column {name} has a type that cannot leave"),
            Self::NotListed(name) => write!(f, "column {name} is needed and not among the share's columns"),
            Self::Untreatable(name) => write!(f, "column {name} has a type that cannot be treated so"),
            Self::NoPatientColumn => {
                f.write_str("there are opt-outs or shifted dates and the dataset names no patient column")
            }
            Self::NoLinkageColumns => f.write_str("rows carry tokens and the dataset names no linkage columns"),
            Self::NoLinkageKey => f.write_str("rows carry tokens and no linkage key is held"),
            Self::Refused(RefusedRow { place, column, refusal, .. }) => {
                write!(f, "row at {place}, column {column}: {refusal}")
            }
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
            | PolicyFault::Untreatable(_)
            | PolicyFault::NotListed(_)
            | PolicyFault::NoPatientColumn
            | PolicyFault::NoLinkageColumns => Self::ColumnsDiffer,
            PolicyFault::NoLinkageKey => Self::NoLinkageKey,
            PolicyFault::Refused(_) | PolicyFault::Value { .. } => Self::Malformed,
        }
    }
}

/// A policy that fits its source.
#[expect(missing_debug_implementations, reason = "it holds secrets")]
pub struct Policy<'a> {
    pub(crate) row_key: &'a Secret32,
    pub(crate) opt_outs: &'a BTreeSet<[u8; 16]>,
    pub(crate) small_areas: &'a BTreeSet<ZipArea>,
    pub(crate) tolerance: Tolerance,
    pub(crate) names: Vec<ColumnName>,
    needed: Vec<bool>,
    pub(crate) filter: Vec<Tested<'a>>,
    pub(crate) leaving: Vec<Leaving>,
    pub(crate) key: Vec<usize>,
    pub(crate) patient: Option<usize>,
    pub(crate) shift: Option<Shift>,
    pub(crate) tokens: Option<Tokens>,
    pub(crate) schema: SchemaRef,
    version: [u8; 16],
}

/// A column that leaves, and where it stands in the source.
pub(crate) struct Leaving {
    pub(crate) source: usize,
    pub(crate) treatment: Treatment,
}

impl Leaving {
    pub(crate) fn is_pseudonym(&self) -> bool {
        self.treatment == Treatment::Pseudonym
    }
}

/// By what and how far dates move.
#[derive(Clone, Copy)]
pub(crate) struct Shift {
    pub(crate) patient: usize,
    pub(crate) days_max: u16,
}

/// What tokens are made of, and how.
pub(crate) struct Tokens {
    pub(crate) given: usize,
    pub(crate) family: usize,
    pub(crate) birth: usize,
    pub(crate) maker: TokenMaker,
}

impl<'a> Policy<'a> {
    /// Checks the terms against the columns that the source really has.
    ///
    /// # Errors
    /// [`PolicyFault`]; no row has been looked at.
    pub fn new(job: &Job<'a>, source: &[SourceColumn]) -> Result<Self, PolicyFault> {
        check_columns(&job.table.columns, source)?;
        let place = |name: &ColumnName| {
            source.iter().position(|column| &column.name == name).ok_or_else(|| PolicyFault::NotListed(name.clone()))
        };
        let leaving = job.table.leaving();
        let leaving: Vec<Leaving> = leaving
            .map(|column| Ok(Leaving { source: place(&column.name)?, treatment: column.treatment }))
            .collect::<Result<_, PolicyFault>>()?;
        let writing = |at: usize| {
            if plain_type(&source[at].kind) == DataType::Utf8 { Writing::Source } else { Writing::Own }
        };
        let filter = job.table.filter.iter().map(|test| {
            let source = place(&test.column)?;
            Ok(Tested { source, writing: writing(source), passes: &test.passes })
        });
        let filter = filter.collect::<Result<Vec<_>, PolicyFault>>()?;
        let key = if job.table.keyed() { job.dataset.key.as_slice() } else { &[] };
        let key = key.iter().map(place).collect::<Result<Vec<_>, _>>()?;
        let patient = job.dataset.patient.as_ref().map(place).transpose()?;
        let shift = shift_of(&leaving, patient)?;
        if patient.is_none() && !job.opt_outs.is_empty() {
            return Err(PolicyFault::NoPatientColumn);
        }
        let patient = patient.filter(|_| !job.opt_outs.is_empty());
        let tokens = match job.table.linkage {
            Linkage::None => None,
            Linkage::Token => Some(Tokens::new(job, source, place)?),
        };
        let schema = outgoing_schema(&leaving, source, tokens.is_some());
        let by_patient = job.dataset.patient.as_ref().filter(|_| shift.is_some());
        let version = policy_version(job, &leaving, &schema, by_patient);
        let names = source.iter().map(|column| column.name.clone()).collect();
        let (row_key, opt_outs, small_areas) = (job.row_key, job.opt_outs, &job.table.small_areas);
        let (tolerance, needed) = (Tolerance::Refuse, vec![false; source.len()]);
        let policy = Self {
            row_key,
            opt_outs,
            small_areas,
            tolerance,
            names,
            needed,
            filter,
            leaving,
            key,
            patient,
            shift,
            tokens,
            schema,
            version,
        };
        Ok(policy.with_needed())
    }

    fn with_needed(mut self) -> Self {
        let made_of = self.tokens.iter().flat_map(|tokens| [tokens.given, tokens.family, tokens.birth]);
        let leaving = self.leaving.iter().map(|column| column.source);
        let tested = self.filter.iter().map(|test| test.source);
        let patients = self.patient.into_iter().chain(self.shift.map(|shift| shift.patient));
        for column in leaving.chain(tested).chain(self.key.iter().copied()).chain(patients).chain(made_of) {
            self.needed[column] = true;
        }
        self
    }

    /// The same policy, with another answer to rows that cannot leave as it says.
    #[must_use]
    pub fn tolerating(self, tolerance: Tolerance) -> Self {
        Self { tolerance, ..self }
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

    /// Changes whenever equal source rows would leave as something else: columns, their types, treatment and order, the
    /// keys, the normaliser. Row hashes are over what the outgoing cells are made of, so a delta against rows of another
    /// version would be wrong.
    pub(crate) const fn version(&self) -> [u8; 16] {
        self.version
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

fn shift_of(leaving: &[Leaving], patient: Option<usize>) -> Result<Option<Shift>, PolicyFault> {
    let bound = leaving.iter().find_map(|column| match column.treatment {
        Treatment::ShiftDates { days_max, .. } => Some(days_max),
        Treatment::Drop
        | Treatment::Keep
        | Treatment::Pseudonym
        | Treatment::Month { .. }
        | Treatment::Year { .. }
        | Treatment::Zip3
        | Treatment::Age90
        | Treatment::Round(_) => None,
    });
    let Some(days_max) = bound else { return Ok(None) };
    Ok(Some(Shift { patient: patient.ok_or(PolicyFault::NoPatientColumn)?, days_max }))
}

fn check_columns(listed: &[Column], source: &[SourceColumn]) -> Result<(), PolicyFault> {
    if let Some(column) = listed.iter().find(|column| column.check().is_err()) {
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
    for column in listed.iter().filter(|column| column.leaves()) {
        let Some(found) = found(&column.name) else { continue };
        let kind = found.leaves_as().ok_or_else(|| PolicyFault::Unsupported(column.name.clone()))?;
        if !is_treatable(column.treatment, &plain_type(&found.kind)) {
            return Err(PolicyFault::Untreatable(column.name.clone()));
        }
        if column.treatment.leaves_as(kind) != Some(column.kind) {
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
        let kind = match column.treatment {
            Treatment::Pseudonym | Treatment::Month { .. } | Treatment::Year { .. } | Treatment::Zip3 => DataType::Utf8,
            Treatment::Drop
            | Treatment::Keep
            | Treatment::Age90
            | Treatment::ShiftDates { .. }
            | Treatment::Round(_) => plain_type(&found.kind),
        };
        Field::new(found.name.as_str(), kind, true)
    }));
    Arc::new(Schema::new(fields))
}

fn policy_version(job: &Job<'_>, leaving: &[Leaving], schema: &Schema, shifted_by: Option<&ColumnName>) -> [u8; 16] {
    let fields = schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type()).into_bytes());
    let treatments = leaving.iter().map(|column| encode(&column.treatment));
    let terms = [encode(&job.table.small_areas), encode(&job.table.standard), encode(&shifted_by)];
    let parts: Vec<Vec<u8>> = fields.chain(treatments).chain(terms).collect();
    let keys = job.dataset.key.iter().map(|name| name.as_str().as_bytes());
    let token = job.linkage_key.filter(|_| job.table.linkage == Linkage::Token);
    let token = token.map(|key| check_value(key, NORMALISER));
    let key_count = (job.dataset.key.len() as u64).to_le_bytes();
    let head = [b"policy 4".as_slice(), &key_count];
    let token = token.as_ref().map_or(b"".as_slice(), |check| check.as_bytes().as_slice());
    let parts = head.into_iter().chain(keys).chain(iter::once(token)).chain(parts.iter().map(Vec::as_slice));
    keyed_id(job.row_key.as_bytes(), parts)
}
