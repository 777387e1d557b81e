//! The rows of a request's question, and what the question would read: by the engine's guarded SQL.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cohortium_engine::consolidate::shape::TableShape;
use cohortium_engine::limits::Limits;
use cohortium_engine::query::{Columns, QueryTable, Question, reads, rows};
use cohortium_protocol::ident::Name;
use cohortium_protocol::record::request::{Asked, ReleaseRole, Request};
use cohortium_schema::schema::{CommonSchema, Reference};

use crate::worker::files::Files;
use crate::worker::job::{QueryRows, Report, ReportFault};
use crate::worker::looks::memory_bytes;
use crate::worker::mapping::schema_of;
use crate::worker::release::aggregate;
use crate::worker::release::body::Batch;

/// Rows of one release, before anything is suppressed.
const ROWS_MAX: u64 = 100_000_000;

/// What a request takes the columns of its answer for.
fn columns(request: &Request, schema: &CommonSchema) -> Columns {
    let (mut leaving, mut others) = (BTreeSet::new(), BTreeSet::new());
    match &request.asked {
        Asked::Microdata(asked) => {
            for column in &asked.columns {
                match column.role {
                    ReleaseRole::Quasi { .. } => others.insert(column.name.to_string()),
                    ReleaseRole::Sensitive { .. } | ReleaseRole::Measure { .. } => {
                        leaving.insert(column.name.to_string())
                    }
                };
            }
        }
        Asked::Counts(asked) => others.extend(asked.dimensions.iter().map(|(name, _)| name.to_string())),
        // Its answer has no rows.
        Asked::Aggregate(_) => {}
    }
    let references = schema.tables().iter().flat_map(|table| {
        let refers = |reference: &Reference| matches!(reference, Reference::Table(_) | Reference::LeftOut(_));
        let ids = table.fields.iter().filter(move |field| refers(&field.reference));
        ids.map(|field| (table.name.clone(), field.name.clone()))
    });
    let ids = references.collect();
    Columns { patient: request.patient.to_string(), member: request.member.to_string(), leaving, others, ids }
}

fn question<'a>(request: &'a Request, tables: &'a [QueryTable]) -> Question<'a> {
    Question {
        text: &request.question,
        tables,
        rows_max: ROWS_MAX,
        memory_bytes: memory_bytes(),
        limits: Limits::default(),
    }
}

/// The tables with the parts that come with the job.
pub(super) fn opened(tables: Vec<QueryRows>, files: &mut Files) -> Result<Vec<QueryTable>, ReportFault> {
    let mut known = Vec::with_capacity(tables.len());
    for QueryRows { shape, parts } in tables {
        let mut opened = BTreeMap::new();
        for (member, sealed) in parts {
            let handles = sealed.iter().map(|file| files.sealed(file)).collect::<Result<_, _>>()?;
            opened.insert(member, handles);
        }
        known.push(QueryTable { shape, parts: opened });
    }
    Ok(known)
}

/// The rows of the question.
pub(super) fn gathered(
    request: &Request,
    schema: Option<&str>,
    tables: &[QueryTable],
) -> Result<Vec<Batch>, ReportFault> {
    let schema = schema_of(schema)?;
    rows(&question(request, tables), &columns(request, &schema)).map_err(|fault| ReportFault::told(&fault))
}

/// What the question would read, over tables without a row.
pub(in crate::worker) fn planned(
    request: &Request,
    schema: Option<&str>,
    tables: &BTreeSet<Name>,
) -> Result<Report, ReportFault> {
    let schema: Arc<CommonSchema> = Arc::new(schema_of(schema)?);
    if let Asked::Aggregate(asked) = &request.asked {
        let (tables, canonical) = aggregate::planned(request, asked, &schema, tables)?;
        return Ok(Report::Reads { tables, columns: BTreeMap::new(), canonical: Some(canonical) });
    }
    let empty = |table: &Name| Some(QueryTable { shape: TableShape::of(&schema, table)?, parts: BTreeMap::new() });
    let known: Vec<QueryTable> = tables.iter().filter_map(empty).collect();
    let found = reads(&question(request, &known), &columns(request, &schema));
    let found = found.map_err(|fault| ReportFault::told(&fault))?;
    Ok(Report::Reads { tables: found.tables, columns: found.columns, canonical: None })
}
