//! Jobs that only look: the quality of one member's tables, and questions over consolidated ones.

use std::collections::BTreeMap;
use std::io::Write;

use cohortium_engine::consolidate::quality::{SiteTable, measure};
use cohortium_engine::consolidate::shape::TableShape;
use cohortium_engine::handle::Handle;
use cohortium_engine::limits::Limits;
use cohortium_engine::query::{Into, QueryTable, Question, ask};
use cohortium_protocol::ident::Name;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::wire::codec::Blob;
use cohortium_schema::gate::Checks;
use cohortium_schema::schema::CommonSchema;
use rustix::process::{Resource, getrlimit};

use crate::worker::files::{Files, disk_full};
use crate::worker::job::{Previewed, QueryRows, Report, ReportFault, Shape, SiteRows, Terms};
use crate::worker::mapping::schema_of;
use crate::worker::work::Borrowed;

/// The part of a worker's memory that the rows of a question may take together; the rest is for reading and planning.
const MEMORY_PART: u64 = 3;
/// Where the worker has no limit.
const MEMORY_BYTES: u64 = 1 << 30;

pub(super) fn shape(schema: &CommonSchema, table: &Name) -> Result<TableShape, ReportFault> {
    TableShape::of(schema, table).ok_or(ReportFault::of(RunFault::ColumnsDiffer))
}

/// One table with its open files.
enum Opened {
    Mapped { terms: Box<Terms>, secrets: Borrowed, table: Handle },
    Part(Vec<Handle>),
}

pub(super) fn measured(
    schema: Option<&str>,
    tables: Vec<(Name, SiteRows)>,
    files: &mut Files,
) -> Result<Report, ReportFault> {
    let schema = schema_of(schema)?;
    let mut opened = Vec::with_capacity(tables.len());
    for (name, rows) in tables {
        let rows = match rows {
            SiteRows::Mapped { terms, table } => {
                let secrets = Borrowed::of(&terms);
                Opened::Mapped { terms, secrets, table: files.sealed(&table)? }
            }
            SiteRows::Part(sealed) => {
                Opened::Part(sealed.iter().map(|file| files.sealed(file)).collect::<Result<_, _>>()?)
            }
        };
        opened.push((shape(&schema, &name)?, rows));
    }
    let tables: Vec<_> = opened
        .iter()
        .map(|(shape, rows)| {
            let table = match rows {
                Opened::Mapped { terms, secrets, table } => {
                    SiteTable::Mapped { job: secrets.job(terms, files.limits), table }
                }
                Opened::Part(files) => SiteTable::Part(files),
            };
            (shape.clone(), table)
        })
        .collect();
    let measured = measure(&schema, &Checks::of(&schema), &tables, &files.limits);
    let measured = measured.map_err(|fault| ReportFault::told(&fault))?;
    let json = serde_json::to_vec(&measured).map_err(|_| ReportFault::LOST)?;
    Ok(Report::Measured(Blob(json)))
}

/// Memory that the rows of one question may take together.
pub(super) fn memory_bytes() -> usize {
    let memory = getrlimit(Resource::As).current.unwrap_or(MEMORY_BYTES) / MEMORY_PART;
    usize::try_from(memory).unwrap_or(usize::MAX)
}

/// A question and its bounds.
pub(super) struct Asked<'a> {
    pub(super) question: &'a str,
    pub(super) rows_max: u64,
    pub(super) shape: Option<Shape>,
}

pub(super) fn answered(asked: &Asked<'_>, tables: Vec<QueryRows>, files: &mut Files) -> Result<Report, ReportFault> {
    let mut known = Vec::with_capacity(tables.len());
    for QueryRows { shape, parts } in tables {
        let mut opened = BTreeMap::new();
        for (member, sealed) in parts {
            let handles: Vec<Handle> = sealed.iter().map(|file| files.sealed(file)).collect::<Result<_, _>>()?;
            opened.insert(member, handles);
        }
        known.push(QueryTable { shape, parts: opened });
    }
    let question = Question {
        text: asked.question,
        tables: &known,
        rows_max: asked.rows_max,
        memory_bytes: memory_bytes(),
        limits: Limits::default(),
    };
    let mut out = match asked.shape {
        None => None,
        Some(_) => Some(std::io::BufWriter::with_capacity(1024 * 1024, files.next()?)),
    };
    let into = match (asked.shape, &mut out) {
        (Some(Shape::Csv), Some(out)) => Into::Csv(out),
        (Some(Shape::Parquet), Some(out)) => Into::Parquet(out),
        (None, _) | (_, None) => Into::Cells,
    };
    let answer = ask(&question, into).map_err(|fault| ReportFault::told(&fault))?;
    if let Some(out) = &mut out {
        out.flush().map_err(disk_full)?;
        out.get_ref().sync_all().map_err(disk_full)?;
    }
    let shown = Previewed { header: answer.header, rows: answer.cells, dropped: Vec::new() };
    Ok(Report::Answered { answer: shown, rows: answer.rows })
}
