//! Tests over the whole path: a source, a policy, a snapshot, deltas, landed rows.

mod binary;
mod consolidate;
mod delta;
mod hostile;
mod lawful;
mod generalised;
mod mapped;
mod mapping;
mod private;
mod quality;
mod query;
mod real;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use cohortium_protocol::ident::{ColumnName, DatasetId};
use cohortium_protocol::key::wrap::Secret32;
use cohortium_protocol::record::dataset::{Dataset, DateFormat, LinkageColumns, Source};
use cohortium_protocol::record::schema::{Column, ColumnRole, ColumnType, Treatment};
use cohortium_protocol::record::share::{Linkage, TableTerms};
use cohortium_protocol::record::text_form::TextForm;
use parquet::arrow::ArrowWriter;

use crate::delta::{Sinks, TakeFault, TakeReport, take};
use crate::handle::{Handle, RandomRead};
use crate::index_file::{BASE_NAME_BYTES, PreviousIndex, base_of};
use crate::land::{LandedChain, LandedPart};
use crate::limits::Limits;
use crate::policy::{Job, opt_out_id};

/// A share with its secrets.
struct Terms {
    table: TableTerms,
    dataset: Dataset,
    row_key: Secret32,
    linkage_key: Option<Secret32>,
    opt_outs: BTreeSet<[u8; 16]>,
    limits: Limits,
}

impl Terms {
    /// Text columns, written `name` (kept), `-name` (dropped) or `~name` (pseudonym).
    fn csv(columns: &str, key: &str) -> Self {
        let columns = columns.split_whitespace().map(|written| match written.split_at(1) {
            ("-", name) => column(name, ColumnRole::DirectIdentifier, Treatment::Drop),
            ("~", name) => column(name, ColumnRole::DirectIdentifier, Treatment::Pseudonym),
            _ => column(written, ColumnRole::Sensitive, Treatment::Keep),
        });
        let source = Source::Csv { path: "unused".parse().unwrap(), form: TextForm::default() };
        let key = key.split_whitespace().map(name).collect();
        let dataset = Dataset {
            dataset: DatasetId([1; 16]),
            name: "stays".parse().unwrap(),
            source,
            key,
            patient: None,
            linkage: None,
        };
        Self {
            table: TableTerms::of(columns.collect(), Linkage::None),
            dataset,
            row_key: Secret32::new([5; 32]),
            linkage_key: None,
            opt_outs: BTreeSet::new(),
            limits: Limits::default(),
        }
    }

    fn parquet(columns: &str, key: &str) -> Self {
        let mut terms = Self::csv(columns, key);
        terms.dataset.source = Source::Parquet { path: "unused".parse().unwrap() };
        terms
    }

    fn with_tokens(mut self) -> Self {
        self.table.linkage = Linkage::Token;
        self.linkage_key = Some(Secret32::new([6; 32]));
        let birth_format = DateFormat::Iso;
        self.dataset.linkage =
            Some(LinkageColumns { given: name("first"), family: name("last"), birth: name("born"), birth_format });
        self
    }

    fn opt_out(mut self, column: &str, patients: &[&str]) -> Self {
        self.dataset.patient = Some(name(column));
        self.opt_outs = patients.iter().map(|patient| opt_out_id(&self.row_key, patient)).collect();
        self
    }

    /// The column in another role, treated in this way.
    fn treat(mut self, of: &str, treatment: Treatment) -> Self {
        let columns = self.table.columns.iter_mut().filter(|column| column.name.as_str() == of);
        columns.for_each(|column| (column.role, column.treatment) = (ColumnRole::QuasiIdentifier, treatment));
        self
    }

    fn kind(mut self, of: &str, kind: ColumnType) -> Self {
        self.table.columns.iter_mut().filter(|column| column.name.as_str() == of).for_each(|column| column.kind = kind);
        self
    }

    fn job(&self) -> Job<'_> {
        Job {
            table: &self.table,
            dataset: &self.dataset,
            row_key: &self.row_key,
            linkage_key: self.linkage_key.as_ref(),
            opt_outs: &self.opt_outs,
            limits: self.limits,
        }
    }

    fn take(&self, source: impl Into<Vec<u8>>, previous: Option<&Taken>) -> Result<Taken, TakeFault> {
        self.take_handle(&handle(source), previous)
    }

    fn take_handle(&self, source: &Handle, previous: Option<&Taken>) -> Result<Taken, TakeFault> {
        let (mut rows, mut deletes, mut index) = (Vec::new(), Vec::new(), Vec::new());
        let sinks = Sinks { rows: &mut rows, deletes: &mut deletes, index: &mut index };
        let report = take(&self.job(), source, previous.map(Taken::previous), sinks)?;
        assert_eq!([deletes.is_empty(), index.is_empty()], [report.deletes.0 == 0, !report.has_index]);
        let base = previous.filter(|_| base_of(&index).is_some()).map(|previous| previous.base().clone());
        assert_eq!(base_of(&index), base.as_ref().map(|_| BASE_NAME));
        Ok(Taken { report, rows, deletes, index, base })
    }
}

/// What a run wrote.
#[derive(Clone)]
struct Taken {
    report: TakeReport,
    rows: Vec<u8>,
    deletes: Vec<u8>,
    index: Vec<u8>,
    /// What the index is over, where it is no base itself.
    base: Option<Vec<u8>>,
}

const BASE_NAME: [u8; BASE_NAME_BYTES] = [8; BASE_NAME_BYTES];

impl Taken {
    fn base(&self) -> &Vec<u8> {
        self.base.as_ref().unwrap_or(&self.index)
    }

    /// The index as the next run is given it.
    fn previous(&self) -> PreviousIndex<'_> {
        let changes = self.base.is_some().then_some(&self.index as &dyn RandomRead);
        PreviousIndex { base: self.base(), name: BASE_NAME, changes }
    }

    fn part(&self) -> LandedPart {
        let deletes = if self.deletes.is_empty() { None } else { Some(handle(self.deletes.clone())) };
        LandedPart { rows: handle(self.rows.clone()), deletes }
    }

    /// Rows out, deletes, opted out, without token.
    fn counts(&self) -> [u64; 4] {
        let report = &self.report;
        [report.rows_out.0, report.deletes.0, report.opted_out.0, report.without_token.0]
    }
}

fn chain(parts: &[&Taken]) -> LandedChain {
    LandedChain { full: parts[0].part(), deltas: parts[1..].iter().map(|taken| taken.part()).collect() }
}

/// The current version as text, its lines sorted, its header first.
fn table(chain: &LandedChain) -> Vec<String> {
    let mut text = Vec::new();
    crate::land::to_csv(chain, &mut text, &Limits::default()).unwrap();
    let text = String::from_utf8(text).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines[1..].sort();
    lines
}

/// The current version without its ids, sorted.
fn cells(chain: &LandedChain) -> Vec<String> {
    let lines = table(chain).into_iter().skip(1);
    let mut cells: Vec<String> = lines.map(|line| line.split_once(',').unwrap().1.to_owned()).collect();
    cells.sort();
    cells
}

fn handle(bytes: impl Into<Vec<u8>>) -> Handle {
    Arc::new(bytes.into())
}

fn name(text: &str) -> ColumnName {
    text.parse().unwrap()
}

fn column(text: &str, role: ColumnRole, treatment: Treatment) -> Column {
    Column::new(name(text), ColumnType::Text, role, treatment)
}

fn parquet_file(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, array)| (n, array, true))).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// Everything that can be found in a Parquet file: its bytes, and its pages decompressed.
fn everything_in(bytes: &[u8]) -> Vec<u8> {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let reader = SerializedFileReader::new(bytes::Bytes::copy_from_slice(bytes)).unwrap();
    let mut all = bytes.to_vec();
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).unwrap();
        for column in 0..group.num_columns() {
            let mut pages = group.get_column_page_reader(column).unwrap();
            while let Some(page) = pages.get_next_page().unwrap() {
                all.extend_from_slice(page.buffer());
            }
        }
    }
    all
}

fn contains(bytes: &[u8], needle: &str) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// A small generator of numbers, so that a failing seed can be run again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn csv_text(header: &str, rows: &BTreeMap<u64, String>) -> String {
    let rows = rows.iter().map(|(key, rest)| format!("{key},{rest}\n"));
    std::iter::once(format!("{header}\n")).chain(rows).collect()
}
