//! A mapping tried out on fixtures: rows that its author has made up, under keys that everybody knows.
//!
//! What it makes is compared with what the author expects, row by row and in any order. Fixtures are no patients' rows, so
//! differences show cells; nothing here is reached from a source of a node.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write;
use std::sync::Arc;

use cohortium_protocol::ident::{ColumnName, DatasetId};
use cohortium_protocol::key::wrap::Secret32;
use cohortium_protocol::record::dataset::{Dataset, Source};
use cohortium_protocol::record::text_form::TextForm;
use cohortium_schema::gate::Checks;
use cohortium_schema::schema::CommonSchema;
use cohortium_schema::vocabulary::Vocabulary;
use serde::{Deserialize, Serialize};

use crate::batch::SourceFault;
use crate::cells::text;
use crate::columnar::plain_array;
use crate::consolidate::shape::ORIGIN_COLUMN;
use crate::handle::Handle;
use crate::limits::Limits;
use crate::mapping::account::MapReport;
use crate::mapping::change::Before;
use crate::mapping::fault::MapFault;
use crate::mapping::file::Mapping;
use crate::mapping::run::{MapJob, MapSinks, MapSource, map};
use crate::policy::ROW_COLUMN;
use crate::profile::profile;
use crate::source::{Format, SourceReader};

/// The key of every trial: surrogate ids in expected rows stay what they are.
const TRIAL_KEY: [u8; 32] = *b"a key of fixtures, known to all!";
/// Rows that are read of one table of a trial.
const ROWS_MAX: usize = 100_000;

/// What is tried out.
#[expect(missing_debug_implementations, reason = "it leads to rows")]
pub struct TrialJob<'a> {
    /// The mapping.
    pub mapping: &'a Mapping,
    /// The common schema.
    pub schema: &'a CommonSchema,
    /// Each source's fixture, a text table.
    pub sources: BTreeMap<String, Handle>,
    /// A vocabulary of the fixtures.
    pub vocabulary: Option<Arc<Vocabulary>>,
}

/// Rows as text. A missing value is an empty cell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Names of columns.
    pub header: Vec<String>,
    /// Cells.
    pub rows: Vec<Vec<String>>,
}

/// What a trial made.
#[derive(Debug, Clone)]
pub struct Tried {
    /// The account.
    pub report: MapReport,
    /// The tables, without the columns in which no row has a value.
    pub tables: BTreeMap<String, Table>,
    /// The quarantine.
    pub quarantine: Table,
}

/// Runs a mapping on fixtures. Tables may come out empty.
///
/// # Errors
/// [`MapFault`].
pub fn try_out(job: &TrialJob<'_>) -> Result<Tried, MapFault> {
    let limits = Limits::default();
    let mut datasets = BTreeMap::new();
    for (name, handle) in &job.sources {
        datasets.insert(name.clone(), dataset(job.mapping, name, handle, &limits)?);
    }
    let (key, none) = (Secret32::new(TRIAL_KEY), BTreeSet::new());
    let sources = job.sources.iter().filter_map(|(name, handle)| {
        let dataset = datasets.get(name)?;
        Some((name.clone(), MapSource { dataset, handle: Arc::clone(handle), opt_outs: &none }))
    });
    let tables: BTreeSet<String> = job.mapping.fact.iter().map(|fact| fact.table.clone()).collect();
    let run = MapJob {
        mapping: job.mapping,
        schema: job.schema,
        sources: sources.collect(),
        row_key: &key,
        linkage_key: None,
        vocabulary: job.vocabulary.clone(),
        before: Before::default(),
        had_rows: BTreeSet::new(),
        may_be_empty: tables.clone(),
        checks: Checks::of(job.schema),
        limits,
    };
    let mut made: BTreeMap<String, Vec<u8>> = tables.into_iter().map(|table| (table, Vec::new())).collect();
    let mut aside = Vec::new();
    let sinks = made.iter_mut().map(|(name, sink)| (name.clone(), sink as &mut (dyn Write + Send)));
    let report = map(&run, MapSinks { tables: sinks.collect(), quarantine: &mut aside })?;
    let mut tables = BTreeMap::new();
    for (name, bytes) in made {
        tables.insert(name.clone(), made_table(bytes, &name)?);
    }
    Ok(Tried { report, tables, quarantine: made_table(aside, "quarantine")? })
}

fn made_table(bytes: Vec<u8>, name: &str) -> Result<Table, MapFault> {
    let handle: Handle = Arc::new(bytes);
    let table = read(&handle, Format::Parquet).map_err(|fault| MapFault::Source { source: name.to_owned(), fault })?;
    Ok(table.told())
}

/// A fixture as a dataset: a column of the patients' name is the patients' wherever it stands.
fn dataset(mapping: &Mapping, name: &str, handle: &Handle, limits: &Limits) -> Result<Dataset, MapFault> {
    let at = |fault| MapFault::Source { source: name.to_owned(), fault };
    let columns = profile(handle, Format::Csv(TextForm::default()), limits).map_err(at)?;
    let id = &mapping.patients.id;
    let patient = columns.iter().any(|column| &column.name == id).then(|| id.clone());
    let path = "fixture".parse().map_err(|_| MapFault::NotGiven { name: name.to_owned() })?;
    Ok(Dataset {
        dataset: DatasetId([0; 16]),
        name: "fixture".parse().map_err(|_| MapFault::NotGiven { name: name.to_owned() })?,
        source: Source::Csv { path, form: TextForm::default() },
        key: Vec::<ColumnName>::new(),
        patient,
        linkage: None,
    })
}

/// A table of expected rows: comma-separated, with a header.
///
/// # Errors
/// [`SourceFault`].
pub fn expected(handle: &Handle) -> Result<Table, SourceFault> {
    read(handle, Format::Csv(TextForm::default()))
}

fn read(handle: &Handle, format: Format) -> Result<Table, SourceFault> {
    let limits = Limits::default();
    let mut reader = SourceReader::open(handle, format, &limits)?;
    let header = reader.columns().iter().map(|column| column.name.to_string()).collect();
    let mut rows = Vec::new();
    while let Some(batch) = reader.next_batch()? {
        let damaged = SourceFault::Damaged { rows: rows.len() as u64 };
        let columns = batch.columns.iter().flatten().map(|array| {
            let plain = plain_array(array).ok_or_else(|| damaged.clone())?;
            text(&plain).map_err(|_| damaged.clone())
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.places.len() {
            let cell = |column: &arrow::array::StringArray| {
                let there = arrow::array::Array::is_valid(column, row);
                if there { column.value(row).to_owned() } else { String::new() }
            };
            rows.push(columns.iter().map(cell).collect());
        }
        if rows.len() > ROWS_MAX {
            return Err(SourceFault::TooManyRows { max: ROWS_MAX as u64 });
        }
    }
    Ok(Table { header, rows })
}

/// A column that rows are expected to have and a table does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFault {
    /// The column.
    pub column: String,
}

impl fmt::Display for TableFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the table has no column {}", self.column)
    }
}

impl std::error::Error for TableFault {}

/// How a table differs from what was expected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlike {
    /// The columns that were compared.
    pub header: Vec<String>,
    /// Rows that were expected and not made.
    pub missing: Vec<Vec<String>>,
    /// Rows that were made and not expected.
    pub unexpected: Vec<Vec<String>>,
}

impl Unlike {
    /// Whether it does not differ.
    pub fn is_none(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty()
    }
}

impl Table {
    /// Only columns with a value, and none of ids that nobody can write down.
    fn told(self) -> Self {
        let has_value = |place: usize| self.rows.iter().any(|row| row.get(place).is_some_and(|cell| !cell.is_empty()));
        let own = |name: &str| matches!(name, ORIGIN_COLUMN | ROW_COLUMN);
        let kept: Vec<usize> = (0..self.header.len())
            .filter(|place| !own(&self.header[*place]) && (self.rows.is_empty() || has_value(*place)))
            .collect();
        let pick = |row: &Vec<String>| kept.iter().map(|place| row[*place].clone()).collect::<Vec<_>>();
        Self { header: pick(&self.header), rows: self.rows.iter().map(pick).collect() }
    }

    /// These columns of every row; one that no row has a value in is empty.
    fn columns(&self, wanted: &[String]) -> Vec<Vec<String>> {
        let places: Vec<Option<usize>> =
            wanted.iter().map(|name| self.header.iter().position(|known| known == name)).collect();
        let cell = |row: &Vec<String>, place: &Option<usize>| place.map_or(String::new(), |place| row[place].clone());
        self.rows.iter().map(|row| places.iter().map(|place| cell(row, place)).collect()).collect()
    }

    /// As comma-separated text.
    pub fn to_csv(&self) -> String {
        let mut out = String::new();
        for row in [&self.header].into_iter().chain(&self.rows) {
            for (index, cell) in row.iter().enumerate() {
                crate::plain::append_cell(&mut out, index, Some(cell.as_str()).filter(|cell| !cell.is_empty()));
            }
            out.push('\n');
        }
        out
    }
}

/// Compares rows in any order, in the columns that are expected; `known` are the columns that the table may have.
///
/// # Errors
/// [`TableFault`]: a column is expected that there cannot be.
pub fn unlike(expected: &Table, made: &Table, known: &BTreeSet<&str>) -> Result<Unlike, TableFault> {
    if let Some(column) = expected.header.iter().find(|column| !known.contains(column.as_str())) {
        return Err(TableFault { column: column.clone() });
    }
    let mut counts: BTreeMap<Vec<String>, i64> = BTreeMap::new();
    for row in &expected.rows {
        *counts.entry(row.clone()).or_default() += 1;
    }
    for row in made.columns(&expected.header) {
        *counts.entry(row).or_default() -= 1;
    }
    let mut unlike = Unlike { header: expected.header.clone(), ..Unlike::default() };
    for (row, count) in counts {
        let into = if count > 0 { &mut unlike.missing } else { &mut unlike.unexpected };
        into.extend((0..count.unsigned_abs()).map(|_| row.clone()));
    }
    Ok(unlike)
}

/// A fact whose key stayed and whose content did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its key.
    pub key: String,
    /// Columns that differ, each with the cell before and now.
    pub cells: BTreeMap<String, (String, String)>,
}

/// What another mapping makes of the same rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The columns.
    pub header: Vec<String>,
    /// Facts that only the new mapping makes.
    pub come: Vec<Vec<String>>,
    /// Facts that only the old one made.
    pub go: Vec<Vec<String>>,
    /// Facts that are otherwise now.
    pub change: Vec<Change>,
}

impl Changed {
    /// Whether nothing has.
    pub fn is_none(&self) -> bool {
        self.come.is_empty() && self.go.is_empty() && self.change.is_empty()
    }
}

/// Compares what two mappings made of one table, by its key; without one, whole rows.
pub fn changed(key: Option<&str>, old: &Table, new: &Table) -> Changed {
    let mut header = old.header.clone();
    header.extend(new.header.iter().filter(|name| !old.header.contains(name)).cloned());
    let place = key.and_then(|key| header.iter().position(|name| name == key));
    let (old, new) = (old.columns(&header), new.columns(&header));
    let keyed = |rows: &[Vec<String>]| {
        let mut keyed: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
        for row in rows {
            let key = place.map_or_else(|| row.join("\u{1f}"), |place| row[place].clone());
            keyed.entry(key).or_default().push(row.clone());
        }
        keyed
    };
    let (mut before, mut changed) = (keyed(&old), Changed { header, ..Changed::default() });
    for (key, rows) in keyed(&new) {
        let mut gone = before.remove(&key).unwrap_or_default().into_iter();
        for row in rows {
            match gone.next() {
                None => changed.come.push(row),
                Some(was) if was == row => {}
                Some(was) => {
                    let differ = changed.header.iter().zip(was.into_iter().zip(row)).filter(|(_, (was, is))| was != is);
                    let cells = differ.map(|(name, cells)| (name.clone(), cells)).collect();
                    changed.change.push(Change { key: key.clone(), cells });
                }
            }
        }
        changed.go.extend(gone);
    }
    changed.go.extend(before.into_values().flatten());
    changed
}
