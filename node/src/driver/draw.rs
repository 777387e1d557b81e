//! Drawing a source that is no file of rows: the daemon opens the way to it, a worker or nobody looks into what comes.
//!
//! What is drawn lies in a sealed file under a random name that nothing lists. It goes when the run that it was drawn for
//! ends, however that ends; what a crash leaves goes when the store is opened again.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cohortium_object::fetch::{FetchFault, FetchLimits, fetch};
use cohortium_object::place::{Credentials, Place};
use cohortium_protocol::ident::Name;
use cohortium_protocol::record::dataset::Source;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::remote::{Address, DatabasePlace, DatabaseTable, ObjectPlace, Privacy};
use cohortium_protocol::wire::codec::Blob;
use cohortium_store::blob::{BLOB_SLOT, Pending};
use cohortium_store::stream::{Naming, SealedWriter};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::config::secret;
use crate::driver::hands::Hands;
use crate::driver::making::{Opened, Run, disk};
use crate::home;
use crate::worker::job::{
    DrawFrom, DrawTable, Job, Key32, Report, ReportFault, SealedFile, SecretText, SignOn, Speaks,
};

/// How long a database may take to take a connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(15);
/// The longest file of certificates to trust.
const ROOTS_BYTES_MAX: u64 = 1024 * 1024;
/// The longest file of credentials.
const CREDENTIALS_BYTES_MAX: u64 = 16 * 1024;

/// How much of a source is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// All of it.
    Whole,
    /// So many rows, or a few more. An object of a store is fetched whole all the same.
    Head(u64),
}

/// What was drawn.
pub(crate) struct Drawn {
    file: Pending,
    bytes: u64,
}

impl Drawn {
    /// What was drawn, for a worker to read.
    pub(crate) fn open(&self) -> Run<(SealedFile, OwnedFd)> {
        let (file, key) = self.file.for_worker().map_err(|fault| disk(&fault))?;
        Ok((SealedFile { key: Key32(*key.expose()), bytes: self.bytes }, file.into()))
    }
}

/// Draws a source; `None` for one that is read where it is.
///
/// # Errors
/// The fault's code, and for the person who asked what was wrong: never a word of a server, never a cell.
pub(crate) async fn draw(hands: &Arc<Hands>, source: &Source, depth: Depth) -> Result<Option<Drawn>, ReportFault> {
    match source {
        Source::Csv { .. }
        | Source::Parquet { .. }
        | Source::Files { .. }
        | Source::Ndjson { .. }
        | Source::Json { .. }
        | Source::ArrowIpc { .. }
        | Source::Mapped { .. }
        | Source::Release { .. } => Ok(None),
        Source::Fhir { path, view } => {
            let path = path.clone();
            let opened = blocking(move || Opened::new(path.as_str()).map_err(ReportFault::of)).await?;
            let (file, from) = (opened.1, DrawFrom::Fhir { view: view.as_str().to_owned() });
            let drawn = worked(hands, from, file, depth).await?;
            blocking(move || opened.0.unchanged().map_err(ReportFault::of)).await?;
            Ok(Some(drawn))
        }
        Source::Postgres(table) => database(hands, Speaks::Postgres, table, depth).await.map(Some),
        Source::Maria(table) => database(hands, Speaks::Maria, table, depth).await.map(Some),
        Source::S3(object) => fetched(hands, object).await.map(Some),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ReportFault> + Send + 'static,
) -> Result<T, ReportFault> {
    spawn_blocking(work).await.unwrap_or(Err(ReportFault::LOST))
}

fn unreadable(detail: String) -> ReportFault {
    ReportFault { fault: RunFault::Unreadable, detail: Some(detail) }
}

/// Has a worker draw out of an open file or socket.
async fn worked(hands: &Arc<Hands>, from: DrawFrom, file: OwnedFd, depth: Depth) -> Result<Drawn, ReportFault> {
    let own = Arc::clone(hands);
    let (pending, into, out) = blocking(move || place_for(&own)).await?;
    let rows_max = match depth {
        Depth::Whole => u64::MAX,
        Depth::Head(rows) => rows,
    };
    match hands.pool.run(Job::Draw { from, rows_max, into }, vec![file, out]).await? {
        Report::Drawn { bytes } => Ok(Drawn { file: pending, bytes }),
        _ => Err(ReportFault::LOST),
    }
}

async fn database(
    hands: &Arc<Hands>,
    speaks: Speaks,
    table: &DatabaseTable,
    depth: Depth,
) -> Result<Drawn, ReportFault> {
    let sign_on = Box::new(sign_on(&table.place).await?);
    let socket = connect(&table.place.address).await?;
    let (rows, rows_per_second) = (table.rows.clone(), table.rows_per_second);
    worked(hands, DrawFrom::Database { speaks, sign_on, rows, rows_per_second }, socket, depth).await
}

/// What speaks there, and which rows, of a source in a database.
pub(crate) const fn table_of(source: &Source) -> Option<(Speaks, &DatabaseTable)> {
    match source {
        Source::Postgres(table) => Some((Speaks::Postgres, table)),
        Source::Maria(table) => Some((Speaks::Maria, table)),
        _ => None,
    }
}

/// Sources of one database that are reached in one way.
pub(crate) struct Database<'a> {
    pub(crate) speaks: Speaks,
    pub(crate) place: &'a DatabasePlace,
    pub(crate) tables: Vec<(&'a Name, &'a DatabaseTable)>,
}

/// Draws them in one transaction.
///
/// # Errors
/// As [`draw`], with the source's name.
pub(crate) async fn draw_together(
    hands: &Arc<Hands>,
    database: Database<'_>,
) -> Result<Vec<(Name, Drawn)>, ReportFault> {
    let Database { speaks, place, tables } = database;
    let first = tables.first().map(|(name, _)| name.to_string()).unwrap_or_default();
    let of = |fault: ReportFault| fault.of_source(&first);
    let sign_on = Box::new(sign_on(place).await.map_err(of)?);
    let mut files = vec![connect(&place.address).await.map_err(of)?];
    let (own, count) = (Arc::clone(hands), tables.len());
    let made = blocking(move || (0..count).map(|_| place_for(&own)).collect::<Result<Vec<_>, _>>());
    let (mut pending, mut into) = (Vec::new(), Vec::new());
    for (file, sealed, out) in made.await? {
        files.push(out);
        pending.push(file);
        into.push(sealed);
    }
    let named = |(name, table): &(&Name, &DatabaseTable)| DrawTable {
        name: name.to_string(),
        rows: table.rows.clone(),
        rows_per_second: table.rows_per_second,
    };
    let job = Job::DrawTogether { speaks, sign_on, tables: tables.iter().map(named).collect(), into };
    let Report::DrawnTogether { bytes } = hands.pool.run(job, files).await? else { return Err(ReportFault::LOST) };
    let drawn = pending.into_iter().zip(bytes).map(|(file, bytes)| Drawn { file, bytes });
    Ok(tables.into_iter().map(|(name, _)| name.clone()).zip(drawn).collect())
}

/// A sealed file that a worker draws into.
fn place_for(hands: &Hands) -> Result<(Pending, SealedFile, OwnedFd), ReportFault> {
    let stored = |fault| ReportFault::of(disk(&fault));
    let pending = hands.blobs.prepare_for_worker().map_err(stored)?;
    let (out, key) = pending.for_worker().map_err(stored)?;
    Ok((pending, SealedFile { key: Key32(*key.expose()), bytes: 0 }, out.into()))
}

/// What a worker signs on with: the secrets out of the files that the record names.
pub(crate) async fn sign_on(place: &DatabasePlace) -> Result<SignOn, ReportFault> {
    let place = place.clone();
    blocking(move || {
        let password = place.password.as_ref().map(|path| secret::read_passphrase(Path::new(path.as_str())));
        let password = password.transpose().map_err(|fault| unreadable(format!("the password's file: {fault}")))?;
        let tls = match &place.privacy {
            Privacy::WithinMachine => None,
            Privacy::Tls { roots, name } => Some((name.to_string(), Blob(roots_of(roots.as_str())?))),
        };
        Ok(SignOn {
            user: place.user.into(),
            password: password.map(|text| SecretText((*text).clone())),
            database: place.database.into(),
            tls,
            statement_seconds: place.statement_seconds,
        })
    })
    .await
}

fn roots_of(path: &str) -> Result<Vec<u8>, ReportFault> {
    home::read_bounded(Path::new(path), ROOTS_BYTES_MAX)
        .map_err(|fault| unreadable(format!("the certificates to trust: {fault}")))
}

/// Opens the way to a database. Nothing is said or read on it here.
pub(crate) async fn connect(address: &Address) -> Result<OwnedFd, ReportFault> {
    let connected = timeout(CONNECT_DEADLINE, opened(address)).await;
    let connected = connected.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
    connected.map_err(|fault| unreadable(format!("the database was not reached: {}", fault.kind())))
}

async fn opened(address: &Address) -> io::Result<OwnedFd> {
    Ok(match address {
        Address::Network { host, port } => TcpStream::connect((host.as_str(), *port)).await?.into_std()?.into(),
        Address::Socket { path } => UnixStream::connect(path.as_str()).await?.into_std()?.into(),
    })
}

/// Fetches an object, in one version, into a sealed file.
async fn fetched(hands: &Arc<Hands>, object: &ObjectPlace) -> Result<Drawn, ReportFault> {
    let (own, object, runtime, stop) = (Arc::clone(hands), object.clone(), Handle::current(), hands.pool.closed());
    blocking(move || {
        let stored = |fault| ReportFault::of(disk(&fault));
        let credentials = object.credentials.as_ref().map(|path| credentials(path.as_str())).transpose()?;
        let place = Place {
            endpoint: object.endpoint.map(String::from),
            region: object.region.into(),
            bucket: object.bucket.into(),
            key: object.key.into(),
            root_pem: object.roots.as_ref().map(|path| roots_of(path.as_str())).transpose()?,
        };
        let file = own.blobs.prepare_for_worker().map_err(stored)?;
        let (out, key) = file.for_worker().map_err(stored)?;
        let full = |_| ReportFault::of(RunFault::Limit);
        let mut out = SealedWriter::new(out, &key, BLOB_SLOT, Naming::Digest).map_err(full)?;
        let limits = FetchLimits::default();
        // Sealing is work, so it is done on this thread and not on one of the daemon's.
        let fetched = runtime.block_on(async {
            tokio::select! {
                biased;
                () = stop.cancelled() => None,
                fetched = fetch(&place, credentials.as_ref(), &limits, &mut out) => Some(fetched),
            }
        });
        fetched.ok_or(ReportFault::LOST)?.map_err(|fault| told(&fault))?;
        Ok(Drawn { file, bytes: out.finish().map_err(full)?.bytes })
    })
    .await
}

/// Access key, secret and perhaps a token, a line each.
fn credentials(path: &str) -> Result<Credentials, ReportFault> {
    let bytes = home::read_private(Path::new(path), CREDENTIALS_BYTES_MAX);
    let bytes = Zeroizing::new(bytes.map_err(|fault| unreadable(format!("the credentials' file: {fault}")))?);
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let mut lines = text.lines().map(|line| Zeroizing::new(line.trim().to_owned())).filter(|line| !line.is_empty());
    match (lines.next(), lines.next(), lines.next()) {
        (Some(access_key), Some(secret), token) => Ok(Credentials { access_key, secret, token }),
        _ => Err(unreadable("the credentials' file has no access key and secret, a line each".to_owned())),
    }
}

fn told(fault: &FetchFault) -> ReportFault {
    let kind = match fault {
        FetchFault::Place
        | FetchFault::NotPrivate
        | FetchFault::NotFound
        | FetchFault::Denied
        | FetchFault::NoTag
        | FetchFault::Length { .. }
        | FetchFault::Store { .. } => RunFault::Unreadable,
        FetchFault::Changed => RunFault::Changed,
        FetchFault::TooLarge { .. } | FetchFault::Sink { .. } => RunFault::Limit,
    };
    ReportFault { fault: kind, detail: Some(fault.to_string()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    // SRC-3
    #[test]
    fn credentials_are_lines_of_a_file_that_nobody_else_can_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        std::fs::write(&path, "name\r\nkey\n\n").unwrap();
        let found = credentials(&path).ok().unwrap();
        assert_eq!((found.access_key.as_str(), found.secret.as_str(), found.token), ("name", "key", None));
        std::fs::write(&path, "name\n").unwrap();
        assert!(credentials(&path).is_err());
        std::fs::write(&path, "name\nkey\ntoken\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(credentials(&path).is_err());
    }
}
