//! One job, done by the engine. Everything here runs under the worker's limits.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};

use cohortium_engine::consolidate::gather::{GatherJob, PreviousPart, gather, merge};
use cohortium_engine::consolidate::part::copy;
use cohortium_engine::consolidate::shape::TableShape;
use cohortium_engine::delta::{Sinks, take};
use cohortium_engine::index_file::PreviousIndex;
use cohortium_engine::land::{self, LandedChain, LandedPart};
use cohortium_engine::limits::Limits;
use cohortium_engine::observe::observe;
use cohortium_engine::plain;
use cohortium_engine::policy;
use cohortium_engine::preview::preview;
use cohortium_engine::profile::profile;
use cohortium_engine::source::Format;
use cohortium_protocol::ident::{Name, SnapshotId};
use cohortium_protocol::key::wrap::Secret32;
use cohortium_protocol::quantity::Rows;
use cohortium_protocol::record::dataset::Source;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::table_version::PartDigest;

use crate::worker::files::{Files, disk_full};
use crate::worker::job::{IndexFiles, Job, Part, Previewed, Probe, Report, ReportFault, SealedFile, Shape, Terms};
use crate::worker::{draw, looks, mapping, publish, release, sealed};

/// Does a job with so much memory.
pub(crate) fn work(job: Job, files: Vec<File>, memory_bytes: u64) -> Result<Report, ReportFault> {
    let mut files = Files::new(files, Limits::of_memory(memory_bytes));
    match job {
        Job::Take { terms, source, previous, rows, deletes, index } => {
            taken(&terms, (source.as_ref(), previous.as_ref()), [&rows, &deletes, &index], &mut files)
        }
        Job::Map { order, tables, quarantine } => mapping::mapped(&order, &tables, &quarantine, &mut files),
        Job::Preview { terms, source, rows } => previewed(&terms, source.as_ref(), rows, &mut files),
        Job::Profile { source, sealed } => profiled(&source, sealed.as_ref(), &mut files),
        Job::Observe { source } => observed(&source, &mut files),
        Job::Suite { names } => suite(names, &mut files),
        Job::Draw { from, rows_max, into } => draw::drawn(from, rows_max, &into, &mut files),
        Job::DrawTogether { speaks, sign_on, tables, into } => {
            draw::drawn_together((speaks, *sign_on), tables, &into, &mut files)
        }
        Job::Publish(order) => publish::published(*order, &mut files),
        Job::Check { chain } => checked(&chain, &mut files),
        Job::Count { chain } => {
            let chain = chain_of(&chain, &mut files)?;
            counted(&chain, &files.limits)
        }
        Job::Merge { chain, shape } => merged(&chain, shape, &mut files),
        Job::Gather { shape, member, snapshots, chain, previous, into } => {
            let order = Gathering { shape: &shape, member: &member, snapshots: &snapshots };
            gathered(&order, &chain, previous, &into, &mut files)
        }
        Job::CopyPart { shape, member, part, digest } => copied(&shape, &member, &part, digest, &mut files),
        Job::Measure { schema, tables } => looks::measured(schema.as_deref(), tables, &mut files),
        Job::Query { question, tables, rows_max, shape } => {
            let asked = looks::Asked { question: &question, rows_max, shape };
            looks::answered(&asked, tables, &mut files)
        }
        Job::Plan { request, schema, tables } => release::planned(&request, schema.as_deref(), &tables),
        Job::Release { order, tables, into } => release::released(&order, tables, &into, &mut files),
        Job::Explore { order, tables } => release::explored(&order, tables, &mut files),
        Job::CountBody { files: of } => counted_body(&of, &mut files),
        Job::LoadVocabulary { index } => mapping::load_vocabulary(&index, &mut files),
        Job::Trial { order } => mapping::tried(&order, &mut files),
        Job::Write { table, shape } => written(&table, shape, &mut files),
        Job::Probe(probe) => probed(probe, &mut files),
    }
}

/// The secrets of a run, as the engine borrows them.
pub(super) struct Borrowed {
    row_key: Secret32,
    linkage_key: Option<Secret32>,
    opt_outs: BTreeSet<[u8; 16]>,
}

impl Borrowed {
    pub(super) fn of(terms: &Terms) -> Self {
        Self {
            row_key: Secret32::new(terms.row_key.0),
            linkage_key: terms.linkage_key.as_ref().map(|key| Secret32::new(key.0)),
            opt_outs: terms.opt_outs.iter().map(|entry| entry.0).collect(),
        }
    }

    pub(super) fn job<'a>(&'a self, terms: &'a Terms, limits: Limits) -> policy::Job<'a> {
        policy::Job {
            table: &terms.table,
            dataset: &terms.dataset,
            row_key: &self.row_key,
            linkage_key: self.linkage_key.as_ref(),
            opt_outs: &self.opt_outs,
            limits,
        }
    }
}

fn taken(
    terms: &Terms,
    (source, previous): (Option<&SealedFile>, Option<&IndexFiles>),
    [rows, deletes, index]: [&SealedFile; 3],
    files: &mut Files,
) -> Result<Report, ReportFault> {
    let source = files.either(source)?;
    let base = previous.map(|index| files.sealed(&index.base)).transpose()?;
    let changes = previous.and_then(|index| index.changes.as_ref()).map(|file| files.sealed(file)).transpose()?;
    let mut rows = sealed::create(files.next()?, rows).map_err(disk_full)?;
    let mut deletes = sealed::create(files.next()?, deletes).map_err(disk_full)?;
    let mut index = sealed::create(files.next()?, index).map_err(disk_full)?;
    let secrets = Borrowed::of(terms);
    let sinks = Sinks { rows: &mut rows, deletes: &mut deletes, index: &mut index };
    let name = previous.map(|index| index.name.as_slice().try_into()).transpose().map_err(|_| ReportFault::LOST)?;
    let previous =
        base.as_deref().zip(name).map(|(base, name)| PreviousIndex { base, name, changes: changes.as_deref() });
    let report =
        take(&secrets.job(terms, files.limits), &source, previous, sinks).map_err(|fault| ReportFault::told(&fault))?;
    let (has_deletes, has_index) = (report.deletes > Rows(0), report.has_index);
    Ok(Report::Taken {
        report: Box::new(report),
        rows: sealed::finish(rows).map_err(disk_full)?,
        deletes: has_deletes.then(|| sealed::finish(deletes)).transpose().map_err(disk_full)?,
        index: has_index.then(|| sealed::finish(index)).transpose().map_err(disk_full)?,
    })
}

fn previewed(terms: &Terms, source: Option<&SealedFile>, rows: u32, files: &mut Files) -> Result<Report, ReportFault> {
    let source = files.either(source)?;
    let secrets = Borrowed::of(terms);
    let rows = usize::try_from(rows).unwrap_or(usize::MAX);
    let seen = preview(&secrets.job(terms, files.limits), &source, rows).map_err(|fault| ReportFault::told(&fault))?;
    Ok(Report::Previewed(Previewed { header: seen.header, rows: seen.rows, dropped: seen.dropped }))
}

fn profiled(source: &Source, sealed: Option<&SealedFile>, files: &mut Files) -> Result<Report, ReportFault> {
    let format = Format::of(source).ok_or(ReportFault::of(RunFault::Malformed))?;
    let columns = profile(&files.either(sealed)?, format, &files.limits).map_err(|fault| ReportFault::told(&fault))?;
    Ok(Report::Profiled(columns))
}

fn observed(source: &Source, files: &mut Files) -> Result<Report, ReportFault> {
    let format = Format::of(source).ok_or(ReportFault::of(RunFault::Malformed))?;
    let columns = observe(&files.plain()?, format, &files.limits).map_err(|fault| ReportFault::told(&fault))?;
    Ok(Report::Observed(columns))
}

/// Case files are as long as this at most, each.
const CASE_BYTES_MAX: u64 = 16 * 1024 * 1024;

fn suite(names: Vec<String>, files: &mut Files) -> Result<Report, ReportFault> {
    let mut cases = Vec::with_capacity(names.len());
    for name in names {
        let mut bytes = Vec::new();
        let read = files.next()?.take(CASE_BYTES_MAX + 1).read_to_end(&mut bytes);
        read.map_err(|_| ReportFault::of(RunFault::Unreadable))?;
        if bytes.len() as u64 > CASE_BYTES_MAX {
            return Err(ReportFault { fault: RunFault::Limit, detail: Some(format!("{name} is too long")) });
        }
        cases.push((name, bytes));
    }
    let report = cohortium_fhir::sof_report(cases.into_iter())
        .map_err(|fault| ReportFault { fault: RunFault::Malformed, detail: Some(fault.to_string()) })?;
    Ok(Report::Suite { report })
}

fn chain_of(parts: &[Part], files: &mut Files) -> Result<LandedChain, ReportFault> {
    let mut landed = Vec::with_capacity(parts.len());
    for part in parts {
        let rows = files.sealed(&part.rows)?;
        let deletes = part.deletes.as_ref().map(|file| files.sealed(file)).transpose()?;
        landed.push(LandedPart { rows, deletes });
    }
    let mut landed = landed.into_iter();
    let full = landed.next().ok_or(ReportFault::of(RunFault::Malformed))?;
    Ok(LandedChain { full, deltas: landed.collect() })
}

/// The parts before the last one were checked when they landed.
fn checked(parts: &[Part], files: &mut Files) -> Result<Report, ReportFault> {
    let chain = chain_of(parts, files)?;
    let (landed, stated) = (chain.deltas.last().unwrap_or(&chain.full), parts.last().ok_or(ReportFault::LOST)?);
    let limits = files.limits;
    let rows = land::check(&landed.rows, &limits).map_err(|fault| ReportFault::told(&fault))?;
    let deletes = landed.deletes.as_ref().map(|deletes| land::check(deletes, &limits)).transpose();
    let deletes = deletes.map_err(|fault| ReportFault::told(&fault))?.map_or(Rows(0), |table| table.rows);
    if rows.rows != stated.rows_stated || deletes != stated.deletes_stated {
        return Err(ReportFault::of(RunFault::Malformed));
    }
    counted(&chain, &limits)
}

fn counted(chain: &LandedChain, limits: &Limits) -> Result<Report, ReportFault> {
    let count = land::count(chain, limits).map_err(|fault| ReportFault::told(&fault))?;
    Ok(Report::Rows(count.rows))
}

fn merged(parts: &[Part], shape: Shape, files: &mut Files) -> Result<Report, ReportFault> {
    let chain = chain_of(parts, files)?;
    let mut out = std::io::BufWriter::with_capacity(1024 * 1024, files.next()?);
    let written = match shape {
        Shape::Parquet => land::merge(&chain, &mut out, &files.limits),
        Shape::Csv => land::to_csv(&chain, &mut out, &files.limits),
    };
    let rows = written.map_err(|fault| ReportFault::told(&fault))?;
    out.flush().map_err(disk_full)?;
    out.get_ref().sync_all().map_err(disk_full)?;
    Ok(Report::Rows(rows))
}

/// Whose part of which table is made.
struct Gathering<'a> {
    shape: &'a TableShape,
    member: &'a Name,
    snapshots: &'a [SnapshotId],
}

fn gathered(
    order: &Gathering<'_>,
    chain: &[Part],
    previous: Option<(Vec<SealedFile>, u64)>,
    into: &[SealedFile],
    files: &mut Files,
) -> Result<Report, ReportFault> {
    let chain = chain_of(chain, files)?;
    let previous = match previous {
        None => None,
        Some((sealed, deltas)) => {
            let opened = sealed.iter().map(|file| files.sealed(file)).collect::<Result<Vec<_>, _>>()?;
            Some((opened, usize::try_from(deltas).unwrap_or(usize::MAX)))
        }
    };
    let mut writers = Vec::with_capacity(into.len());
    for sealed in into {
        writers.push(sealed::create(files.next()?, sealed).map_err(disk_full)?);
    }
    let job = GatherJob {
        shape: order.shape,
        member: order.member,
        chain: &chain,
        snapshots: order.snapshots,
        limits: files.limits,
    };
    let mut sinks = writers.iter_mut().map(|writer| writer as &mut (dyn Write + Send));
    let made = match &previous {
        None => gather(&job, &mut sinks),
        Some((files, deltas)) => merge(&job, &PreviousPart { files, deltas: *deltas }, &mut sinks),
    };
    let report = made.map_err(|fault| ReportFault::told(&fault))?;
    let used = writers.into_iter().take(report.written());
    let files = used.map(sealed::finish).collect::<Result<Vec<_>, _>>().map_err(disk_full)?;
    Ok(Report::Gathered { report: Box::new(report), files })
}

fn counted_body(of: &[SealedFile], files: &mut Files) -> Result<Report, ReportFault> {
    let mut rows = Vec::with_capacity(of.len());
    for sealed in of {
        let table = files.sealed(sealed)?;
        rows.push(plain::count(&table, &files.limits).map_err(|fault| ReportFault::told(&fault))?);
    }
    Ok(Report::Counted(rows))
}

/// The part's digest is computed again: what leaves for people is what the consolidation states.
fn copied(
    shape: &TableShape,
    member: &Name,
    part: &[SealedFile],
    stated: PartDigest,
    files: &mut Files,
) -> Result<Report, ReportFault> {
    let opened = part.iter().map(|file| files.sealed(file)).collect::<Result<Vec<_>, _>>()?;
    let mut out = std::io::BufWriter::with_capacity(1024 * 1024, files.next()?);
    let made = copy(shape, member, &opened, &mut out, &files.limits).map_err(|fault| ReportFault::told(&fault))?;
    let (digest, rows) = made;
    if digest != stated {
        return Err(ReportFault::of(RunFault::Malformed));
    }
    out.flush().map_err(disk_full)?;
    out.get_ref().sync_all().map_err(disk_full)?;
    Ok(Report::Rows(rows))
}

fn written(table: &SealedFile, shape: Shape, files: &mut Files) -> Result<Report, ReportFault> {
    let table = files.sealed(table)?;
    let mut out = std::io::BufWriter::with_capacity(1024 * 1024, files.next()?);
    let written = match shape {
        Shape::Parquet => plain::copy(&table, &mut out),
        Shape::Csv => plain::to_csv(&table, &mut out, &files.limits),
    };
    let rows = written.map_err(|fault| ReportFault::told(&fault))?;
    out.flush().map_err(disk_full)?;
    out.get_ref().sync_all().map_err(disk_full)?;
    Ok(Report::Rows(rows))
}

#[expect(clippy::panic, reason = "a probe misbehaves on purpose")]
fn probed(probe: Probe, files: &mut Files) -> Result<Report, ReportFault> {
    let said = match probe {
        Probe::Panic => panic!("a probe panics"),
        Probe::Allocate { bytes } => {
            let bytes = vec![1_u8; usize::try_from(bytes).unwrap_or(usize::MAX)];
            format!("{} bytes", std::hint::black_box(bytes).len())
        }
        Probe::OpenPath { path } => format!("{:?}", File::open(path).map(|_| ()).map_err(|error| error.kind())),
        Probe::OpenSocket => {
            let bound = std::net::UdpSocket::bind("127.0.0.1:0");
            format!("{:?}", bound.map(|_| ()).map_err(|error| error.raw_os_error()))
        }
        Probe::Spin => loop {
            std::hint::black_box(());
        },
        Probe::Sleep => loop {
            std::thread::sleep(std::time::Duration::from_secs(1));
        },
        Probe::Write { bytes } => {
            let mut file = files.next()?;
            let piece = [0_u8; 8192];
            for _ in 0..bytes.div_ceil(piece.len() as u64) {
                file.write_all(&piece).map_err(disk_full)?;
            }
            String::new()
        }
        Probe::Environment => std::env::vars_os().count().to_string(),
    };
    Ok(Report::Probed(said))
}
