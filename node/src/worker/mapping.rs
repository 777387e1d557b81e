//! Jobs about mappings: a run over a node's sources, a trial on fixtures, and the vocabulary that codes are mapped with.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Write};
use std::sync::Arc;

use cohortium_engine::handle::{Handle, Sequential};
use cohortium_engine::mapping::{
    Before, MapJob, MapReport, MapSinks, MapSource, Mapping, TrialJob, Tried, changed, expected, map, try_out, unlike,
};
use cohortium_protocol::key::wrap::Secret32;
use cohortium_protocol::quantity::Rows;
use cohortium_protocol::record::allowance::Allowance;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::wire::codec::{self, Blob};
use cohortium_schema::drift::SourceShape;
use cohortium_schema::gate::{Checks, Report as Quality, RunOutcome, Thresholds};
use cohortium_schema::schema::CommonSchema;
use cohortium_schema::vocabulary::{Loader, Vocabulary};

use crate::worker::files::{Files, disk_full};
use crate::worker::job::{
    MapInput, MapOrder, MappedTable, MappedTables, Report, ReportFault, SealedFile, Trial, TrialOrder,
};
use crate::worker::sealed;

/// The longest shapes that are read: many sources of many columns with many codes.
const SHAPES_BYTES_MAX: usize = 32 << 20;

/// What a set's shapes are, by source.
type Shapes = BTreeMap<String, SourceShape>;

fn malformed(fault: &impl std::fmt::Display) -> ReportFault {
    ReportFault { fault: RunFault::Malformed, detail: Some(fault.to_string()) }
}

pub(super) fn schema_of(own: Option<&str>) -> Result<CommonSchema, ReportFault> {
    CommonSchema::in_use(own).map_err(|fault| malformed(&fault))
}

/// All bytes of a file that a job brings.
fn whole(handle: &Handle) -> Result<Vec<u8>, ReportFault> {
    let length = usize::try_from(handle.len()).map_err(|_| ReportFault::of(RunFault::Limit))?;
    let mut bytes = vec![0; length];
    handle.read_at(0, &mut bytes).map_err(|_| ReportFault::of(RunFault::Unreadable))?;
    Ok(bytes)
}

/// What the sources were when the last set was made. Shapes of another version of this software are none.
fn before(shapes: Option<&(SealedFile, bool)>, files: &mut Files) -> Result<Before, ReportFault> {
    let Some((sealed, accepted)) = shapes else { return Ok(Before::default()) };
    let bytes = whole(&files.sealed(sealed)?)?;
    let shapes: Shapes = codec::decode(&bytes, SHAPES_BYTES_MAX).unwrap_or_default();
    Ok(Before { shapes, accepted: *accepted })
}

fn vocabulary(index: &Handle) -> Result<Arc<Vocabulary>, ReportFault> {
    Ok(Arc::new(Vocabulary::from_bytes(&whole(index)?).map_err(|fault| malformed(&fault))?))
}

pub(super) fn mapped(
    order: &MapOrder,
    tables: &[(String, SealedFile)],
    quarantine: &SealedFile,
    files: &mut Files,
) -> Result<Report, ReportFault> {
    let schema = schema_of(order.schema.as_deref())?;
    let mapping = Mapping::parse(&order.text, &schema).map_err(|fault| malformed(&fault))?;
    let row_key = Secret32::new(order.row_key.0);
    let linkage_key = order.linkage_key.as_ref().map(|key| Secret32::new(key.0));
    let opt_outs: Vec<BTreeSet<[u8; 16]>> =
        order.sources.iter().map(|input| input.opted_out.iter().map(|entry| entry.0).collect()).collect();
    let mut sources = BTreeMap::new();
    for (MapInput { name, dataset, sealed, .. }, opt_outs) in order.sources.iter().zip(&opt_outs) {
        let handle = files.either(sealed.as_ref())?;
        sources.insert(name.clone(), MapSource { dataset, handle, opt_outs });
    }
    let patients = order.sources.iter().find(|input| input.name == mapping.patients.source);
    let linked = linkage_key.is_some() && patients.is_some_and(|input| input.dataset.linkage.is_some());
    let loaded = order.vocabulary.as_ref().map(|sealed| files.sealed(sealed)).transpose()?;
    let vocabulary = loaded.filter(|_| mapping.needs_vocabulary()).map(|index| vocabulary(&index)).transpose()?;
    let with_vocabulary = vocabulary.is_some();
    let before = before(order.shapes.as_ref(), files)?;
    let mut writers = Vec::with_capacity(tables.len());
    for (name, sealed) in tables {
        writers.push((name, sealed::create(files.next()?, sealed).map_err(disk_full)?));
    }
    let mut aside = sealed::create(files.next()?, quarantine).map_err(disk_full)?;
    let job = MapJob {
        mapping: &mapping,
        schema: &schema,
        sources,
        row_key: &row_key,
        linkage_key: linkage_key.as_ref(),
        vocabulary,
        before,
        had_rows: order.had_rows.clone(),
        may_be_empty: order.may_be_empty.clone(),
        checks: Checks::of(&schema),
        limits: files.limits,
    };
    let sinks = writers.iter_mut().map(|(name, writer)| ((*name).clone(), writer as &mut (dyn Write + Send)));
    let sinks = MapSinks { tables: sinks.collect(), quarantine: &mut aside };
    let report = map(&job, sinks).map_err(|fault| ReportFault::told(&fault))?;
    let mut made = Vec::with_capacity(writers.len());
    for (name, writer) in writers {
        let rows = report.tables.get(name).map_or(Rows(0), |count| count.emitted);
        made.push(MappedTable { name: name.clone(), rows, made: sealed::finish(writer).map_err(disk_full)? });
    }
    let allowance = mapping.allowance(&schema).map_err(|fault| malformed(&fault))?;
    let json = shown(&report, &mapping, &allowance, &order.transactions)?;
    Ok(Report::Mapped(Box::new(MappedTables {
        tables: made,
        quarantine: sealed::finish(aside).map_err(disk_full)?,
        quarantined: Rows(report.quarantine.values().map(|rows| rows.0).sum()),
        report: Blob(json.to_string().into_bytes()),
        shapes: Blob(codec::encode(&report.shapes)),
        with_vocabulary,
        linked,
        gates_hold: gates_hold(order, &report, &allowance)?,
    })))
}

/// Whether nothing fatal failed, by the thresholds of the order and of the mapping.
fn gates_hold(order: &MapOrder, report: &MapReport, allowance: &Allowance) -> Result<bool, ReportFault> {
    let set = order.thresholds.iter().map(|(check, borne)| (check.to_string(), *borne));
    let thresholds = Thresholds::per_mille(set).map_err(|fault| malformed(&fault))?;
    let judged = Quality::new(&report.quality, &thresholds, allowance).map_err(|fault| malformed(&fault))?;
    Ok(judged.outcome != RunOutcome::Fail)
}

/// The account of a run with the quality report: its findings, its digest, and its page.
fn shown(
    report: &MapReport,
    mapping: &Mapping,
    allowance: &Allowance,
    transactions: &[Vec<String>],
) -> Result<serde_json::Value, ReportFault> {
    let broken = |_| ReportFault::of(RunFault::WorkerLost);
    let quality = Quality::new(&report.quality, &Thresholds::default(), allowance);
    let quality = quality.map_err(|_| ReportFault::of(RunFault::WorkerLost))?;
    let mut json = report.to_json();
    let title = format!("{} version {}", mapping.mapping, mapping.version);
    if let Some(all) = json.as_object_mut() {
        all.insert("quality".to_owned(), serde_json::from_str(&quality.to_json()).map_err(broken)?);
        all.insert("digest".to_owned(), serde_json::Value::String(quality.digest().to_string()));
        all.insert("page".to_owned(), serde_json::Value::String(quality.to_html(&title)));
        // What was counted, so that other thresholds need no other run.
        all.insert("measured".to_owned(), serde_json::to_value(&report.quality).map_err(broken)?);
        all.insert("transactions".to_owned(), serde_json::to_value(transactions).map_err(broken)?);
        all.insert("allowance".to_owned(), serde_json::to_value(allowance).map_err(broken)?);
    }
    Ok(json)
}

/// Reads a download and writes its index.
pub(super) fn load_vocabulary(index: &SealedFile, files: &mut Files) -> Result<Report, ReportFault> {
    let loaded = read_vocabulary(files)?;
    let release = loaded.release().parse().map_err(|_| {
        let detail = "VOCABULARY.csv names a release that is longer than a name may be, or no text".to_owned();
        ReportFault { fault: RunFault::Malformed, detail: Some(detail) }
    })?;
    let mut writer = sealed::create(files.next()?, index).map_err(disk_full)?;
    writer.write_all(&loaded.to_bytes()).map_err(disk_full)?;
    let digest = loaded.digest();
    Ok(Report::Vocabulary { release, digest, index: sealed::finish(writer).map_err(disk_full)? })
}

/// The three files of a download. A fault names file and line and no cell.
fn read_vocabulary(files: &mut Files) -> Result<Vocabulary, ReportFault> {
    let mut next = || Ok::<_, ReportFault>(BufReader::with_capacity(1 << 20, Sequential::new(&files.plain()?)));
    let mut loader = Loader::new();
    loader.concepts(next()?).map_err(|fault| malformed(&fault))?;
    loader.relationships(next()?).map_err(|fault| malformed(&fault))?;
    loader.vocabularies(next()?).map_err(|fault| malformed(&fault))?;
    loader.finish().map_err(|fault| malformed(&fault))
}

/// A mapping on fixtures, compared with what is expected or with what another mapping makes of them.
pub(super) fn tried(order: &TrialOrder, files: &mut Files) -> Result<Report, ReportFault> {
    let schema = schema_of(order.schema.as_deref())?;
    let parse = |text: &str| Mapping::parse(text, &schema).map_err(|fault| malformed(&fault));
    let mapping = parse(&order.text)?;
    let other = order.other.as_deref().map(parse).transpose()?;
    let mut sources = BTreeMap::new();
    for name in &order.sources {
        sources.insert(name.clone(), files.plain()?);
    }
    let vocabulary = order.has_vocabulary.then(|| read_vocabulary(files)).transpose()?.map(Arc::new);
    let run = |mapping: &Mapping| {
        let named = sources.iter().filter(|(name, _)| mapping.source.contains_key(*name));
        let sources = named.map(|(name, handle)| (name.clone(), Arc::clone(handle))).collect();
        let job = TrialJob { mapping, schema: &schema, sources, vocabulary: vocabulary.clone() };
        try_out(&job).map_err(|fault| ReportFault::told(&fault))
    };
    let made = run(&mapping)?;
    let mut unlike_all = BTreeMap::new();
    for name in &order.expected {
        unlike_all.insert(name.clone(), compare(&schema, &made, name, &files.plain()?)?);
    }
    let changed_all = match &other {
        None => BTreeMap::new(),
        Some(other) => {
            let new = run(other)?;
            let none = cohortium_engine::mapping::Table::default();
            let names: BTreeSet<&String> = made.tables.keys().chain(new.tables.keys()).collect();
            let of = |name: &String| {
                let key = schema.table(name).and_then(|table| table.primary_key()).map(|field| field.name.as_str());
                let (old, new) = (made.tables.get(name).unwrap_or(&none), new.tables.get(name).unwrap_or(&none));
                (name.clone(), changed(key, old, new))
            };
            let mut all: BTreeMap<_, _> = names.into_iter().map(of).collect();
            all.insert(QUARANTINE.to_owned(), changed(None, &made.quarantine, &new.quarantine));
            all
        }
    };
    let report = Blob(made.report.to_json().to_string().into_bytes());
    let mut tables = made.tables;
    tables.insert(QUARANTINE.to_owned(), made.quarantine);
    Ok(Report::Tried(Box::new(Trial { tables, unlike: unlike_all, changed: changed_all, report })))
}

/// What the quarantine is called among a trial's tables.
pub(crate) const QUARANTINE: &str = "quarantine";

fn compare(
    schema: &CommonSchema,
    made: &Tried,
    name: &str,
    file: &Handle,
) -> Result<cohortium_engine::mapping::Unlike, ReportFault> {
    let rows = expected(file).map_err(|fault| malformed(&format!("expected/{name}.csv: {fault}")))?;
    let (table, mut known): (_, BTreeSet<&str>) = if name == QUARANTINE {
        (&made.quarantine, ["source", "place", "table", "column", "reason"].into())
    } else {
        let found = made.tables.get(name).zip(schema.table(name));
        let found = found.ok_or_else(|| malformed(&format!("expected/{name}.csv: the mapping makes no such table")))?;
        (found.0, found.1.fields.iter().map(|field| field.name.as_str()).collect())
    };
    known.insert(cohortium_engine::consolidate::shape::SOURCE_COLUMN);
    unlike(&rows, table, &known).map_err(|fault| malformed(&format!("expected/{name}.csv: {fault}")))
}
