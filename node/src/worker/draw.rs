//! Drawing: a database's rows, or FHIR resources through a view, into one sealed file that every other job can read.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::time::Duration;

use cohortium_database::batch::Faulty;
use cohortium_database::fault::DatabaseFault;
use cohortium_database::limits::Limits as DatabaseLimits;
use cohortium_database::login::{Login, Password, Privacy, TlsTerms};
use cohortium_database::query::{Query, TableName};
use cohortium_database::source::{Reading, Server, Source};
use cohortium_database::stream::Stream;
use cohortium_engine::batch::SourceColumn;
use cohortium_engine::handle::{Handle, Sequential};
use cohortium_engine::limits::Limits;
use cohortium_engine::row_fault::FaultCode;
use cohortium_engine::source::drawn::{DrawFault, DrawnFault, DrawnWriter};
use cohortium_fhir::{CellType, Layout, OnFault, Options, Part, ReadFault, Stop, View, extract};
use cohortium_protocol::ident::ColumnName;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::remote::DatabaseRows;
use cohortium_store::stream::SealedWriter;

use crate::worker::files::{Files, disk_full};
use crate::worker::job::{DrawFrom, DrawTable, Report, ReportFault, SealedFile, SignOn, Speaks};
use crate::worker::sealed;

/// Bytes by which the layout of FHIR resources is told.
const HEAD_BYTES: u64 = 64 * 1024;
/// Above the statement timeout, for the way.
const SILENCE_SECONDS: u64 = 60;

type Writer<'a> = DrawnWriter<&'a mut SealedWriter<std::fs::File>>;

/// Draws until the source's end, or until so many rows are there.
pub(super) fn drawn(
    from: DrawFrom,
    rows_max: u64,
    into: &SealedFile,
    files: &mut Files,
) -> Result<Report, ReportFault> {
    let source = files.next()?;
    let mut out = sealed::create(files.next()?, into).map_err(disk_full)?;
    match from {
        DrawFrom::Fhir { view } => fhir(&view, &(std::sync::Arc::new(source) as Handle), rows_max, &mut out)?,
        DrawFrom::Database { speaks, sign_on, rows, rows_per_second } => {
            let stream = Stream::try_from(OwnedFd::from(source)).map_err(|_| ReportFault::LOST)?;
            let reading = reading(&sign_on, rows_per_second);
            let opened = Source::open(server(speaks), stream, &login(*sign_on), query(rows), reading);
            database(&mut opened.map_err(|fault| told(&fault))?, rows_max, &mut out)?;
        }
    }
    Ok(Report::Drawn { bytes: sealed::finish(out).map_err(disk_full)?.bytes })
}

/// Draws sources of one database one after the other in one transaction, each to its end: all are of one moment.
pub(super) fn drawn_together(
    (speaks, sign_on): (Speaks, SignOn),
    tables: Vec<DrawTable>,
    into: &[SealedFile],
    files: &mut Files,
) -> Result<Report, ReportFault> {
    let mut stream = Some(Stream::try_from(OwnedFd::from(files.next()?)).map_err(|_| ReportFault::LOST)?);
    let common = reading(&sign_on, None);
    let login = login(sign_on);
    let (mut before, mut bytes) = (None::<Source>, Vec::with_capacity(tables.len()));
    for (DrawTable { name, rows, rows_per_second }, into) in tables.into_iter().zip(into) {
        let of = |fault: ReportFault| fault.of_source(&name);
        let mut reading = common;
        reading.limits.rows_per_second = rows_per_second;
        let opened = match (before.take(), stream.take()) {
            (Some(before), _) => before.then(query(rows), reading),
            (None, Some(stream)) => Source::open(server(speaks), stream, &login, query(rows), reading),
            (None, None) => return Err(ReportFault::LOST),
        };
        let mut source = opened.map_err(|fault| of(told(&fault)))?;
        let mut out = sealed::create(files.next()?, into).map_err(disk_full)?;
        database(&mut source, u64::MAX, &mut out).map_err(of)?;
        bytes.push(sealed::finish(out).map_err(disk_full)?.bytes);
        before = Some(source);
    }
    Ok(Report::DrawnTogether { bytes })
}

const fn server(speaks: Speaks) -> Server {
    match speaks {
        Speaks::Postgres => Server::Postgres,
        Speaks::Maria => Server::Maria,
    }
}

fn reading(sign_on: &SignOn, rows_per_second: Option<u32>) -> Reading {
    let mut limits = limits(sign_on);
    limits.rows_per_second = rows_per_second;
    Reading { limits, faulty: Faulty::SetAside }
}

/// The bounds of a conversation.
pub(super) fn limits(sign_on: &SignOn) -> DatabaseLimits {
    let statement_timeout = Duration::from_secs(sign_on.statement_seconds.into());
    let limits = DatabaseLimits::default();
    DatabaseLimits {
        statement_timeout,
        silence_max: statement_timeout + Duration::from_secs(SILENCE_SECONDS),
        // As many faults as a batch has rows: each is a row of the file that is written.
        faults_max: usize::try_from(limits.batch_rows).unwrap_or(usize::MAX),
        ..limits
    }
}

/// Who signs on.
pub(super) fn login(mut sign_on: SignOn) -> Login {
    let privacy = match sign_on.tls.take() {
        Some((server_name, roots_pem)) => Privacy::Tls(TlsTerms { server_name, roots_pem: roots_pem.0 }),
        None => Privacy::WithinMachine,
    };
    let password = sign_on.password.as_mut().map(|text| Password::new(std::mem::take(&mut text.0)));
    Login { user: sign_on.user, password, database: sign_on.database, privacy }
}

fn query(rows: DatabaseRows) -> Query {
    match rows {
        DatabaseRows::Table { schema, table } => {
            Query::Table(TableName { schema: schema.map(String::from), table: table.into() })
        }
        DatabaseRows::Select(text) => Query::Select(text.into()),
    }
}

fn database(source: &mut Source, rows_max: u64, out: &mut SealedWriter<std::fs::File>) -> Result<(), ReportFault> {
    let mut columns = Vec::with_capacity(source.columns().len());
    for column in source.columns() {
        let (name, declared) = (column.name.clone(), column.declared.clone());
        match &column.kind {
            Some(kind) => columns.push(SourceColumn::new(name, kind.clone())),
            None => return Err(told(&DatabaseFault::Unsupported { column: name, kind: declared })),
        }
    }
    let mut writer = DrawnWriter::new(out, &columns, &Limits::default()).map_err(|fault| unwritten(&fault))?;
    while writer.count() < rows_max {
        let Some(batch) = source.next_batch().map_err(|fault| told(&fault))? else { break };
        writer.rows(batch.columns.into_iter().flatten().collect(), batch.places).map_err(|fault| unwritten(&fault))?;
        for fault in batch.faults {
            let (place, code) = (fault.row, code(fault.reason.code())?);
            writer.fault(DrawnFault { place, column: Some(fault.column), code }).map_err(|fault| unwritten(&fault))?;
        }
    }
    writer.finish().map(drop).map_err(|fault| unwritten(&fault))
}

fn fhir(view: &str, input: &Handle, rows_max: u64, out: &mut SealedWriter<std::fs::File>) -> Result<(), ReportFault> {
    let view = View::parse(view.as_bytes())
        .map_err(|fault| ReportFault { fault: RunFault::ColumnsDiffer, detail: Some(format!("the view: {fault}")) })?;
    let unreadable = |_| ReportFault::of(RunFault::Unreadable);
    let mut head = vec![0; usize::try_from(input.len().min(HEAD_BYTES)).unwrap_or(0)];
    input.read_at(0, &mut head).map_err(unreadable)?;
    let mut writer = DrawnWriter::new(out, &columns(&view)?, &Limits::default()).map_err(|fault| unwritten(&fault))?;
    if rows_max > 0 {
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let options = Options { on_fault: OnFault::SetAside, threads: threads.min(THREADS_MAX), ..Options::default() };
        let mut failed = None;
        let mut take = |part| {
            failed = put(&mut writer, part).err();
            if failed.is_some() || writer.count() >= rows_max {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let ended = extract(&view, Sequential::new(input), Layout::of(&head), &options, &mut take);
        match (failed, ended) {
            (Some(fault), _) => return Err(fault),
            (None, Ok(_) | Err(Stop::Taker)) => {}
            (None, Err(Stop::Input(ReadFault::Input(_)))) => return Err(ReportFault::of(RunFault::Unreadable)),
            (None, Err(stop @ (Stop::Input(ReadFault::Document(_)) | Stop::Refused(_)))) => {
                return Err(ReportFault { fault: RunFault::Malformed, detail: Some(stop.to_string()) });
            }
        }
    }
    writer.finish().map(drop).map_err(|fault| unwritten(&fault))
}

/// Threads of one extraction: what they make is written by one.
const THREADS_MAX: NonZeroUsize = NonZeroUsize::new(4).expect("four is not zero");

fn columns(view: &View) -> Result<Vec<SourceColumn>, ReportFault> {
    let mut columns = Vec::new();
    for (column, field) in view.columns().iter().zip(view.schema().fields()) {
        let name = ColumnName::try_from(column.name.clone()).map_err(|fault| ReportFault {
            fault: RunFault::ColumnsDiffer,
            detail: Some(format!("the view: a column's name {fault}")),
        })?;
        let mut made = SourceColumn::new(name, field.data_type().clone());
        made.nested = column.cell == CellType::Json;
        columns.push(made);
    }
    Ok(columns)
}

fn put(writer: &mut Writer<'_>, part: Part) -> Result<(), ReportFault> {
    match part {
        Part::Rows { batch, lines } => writer.rows(batch.columns().to_vec(), lines).map_err(|fault| unwritten(&fault)),
        Part::Fault(fault) => {
            let column = fault.clause.as_deref().and_then(|clause| clause.strip_prefix("column "));
            let column = column.and_then(|name| name.parse().ok());
            let (place, code) = (fault.line, code(fault.reason.code())?);
            writer.fault(DrawnFault { place, column, code }).map_err(|fault| unwritten(&fault))
        }
    }
}

fn code(text: &str) -> Result<FaultCode, ReportFault> {
    FaultCode::of(text).ok_or(ReportFault::LOST)
}

fn unwritten(fault: &DrawFault) -> ReportFault {
    match fault {
        DrawFault::Sink { .. } => ReportFault::of(RunFault::Limit),
        DrawFault::Columns => ReportFault::LOST,
    }
}

/// A database's fault: its code, and where it is, in our words.
pub(super) fn told(fault: &DatabaseFault) -> ReportFault {
    let kind = match fault {
        // It took longer than allowed.
        DatabaseFault::Server { state, .. } if matches!(state.as_str(), "57014" | "70100") => RunFault::Limit,
        DatabaseFault::Server { .. }
        | DatabaseFault::Lost { .. }
        | DatabaseFault::NotPrivate
        | DatabaseFault::NoTls
        | DatabaseFault::Tls
        | DatabaseFault::TlsTerms
        | DatabaseFault::LoginMethod
        | DatabaseFault::LoginTerms
        | DatabaseFault::Query
        | DatabaseFault::NotASelect
        | DatabaseFault::NotTransactional => RunFault::Unreadable,
        DatabaseFault::Protocol | DatabaseFault::Row(_) => RunFault::Malformed,
        DatabaseFault::HeaderName { .. } | DatabaseFault::HeaderTwice { .. } | DatabaseFault::Unsupported { .. } => {
            RunFault::ColumnsDiffer
        }
        DatabaseFault::Changed => RunFault::Changed,
        DatabaseFault::Silent { .. }
        | DatabaseFault::TooManyColumns { .. }
        | DatabaseFault::TooManyRows { .. }
        | DatabaseFault::RowTooLong { .. }
        | DatabaseFault::TooManyFaults { .. } => RunFault::Limit,
    };
    ReportFault { fault: kind, detail: Some(fault.to_string()) }
}
