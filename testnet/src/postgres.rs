//! A PostgreSQL server of the demo's own: a new cluster in a folder that goes with it, reached by its local socket alone.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long the server may take until it answers.
const PATIENCE: Duration = Duration::from_mins(1);
/// Where Debian keeps the programs, a folder a version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// The account that the server runs under where the demo is root's: `initdb` refuses root.
const USER: &str = "postgres";
/// The account that reads, with SELECT alone.
pub const READER: &str = "reader";
/// The database.
pub const DATABASE: &str = "hospital";
/// Part of the socket's name; nobody listens on the network.
const PORT: &str = "5432";

/// Why there is no server, or a table is not in it. What PostgreSQL says is left out: its words quote cells.
#[derive(Debug)]
pub enum PostgresFault {
    /// A file or program.
    Io {
        /// While doing what.
        act: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A program of PostgreSQL ended with a fault.
    Ended {
        /// While doing what.
        act: &'static str,
        /// Its exit code; -1 for a signal.
        code: i32,
    },
    /// The server does not answer.
    Silent,
}

impl fmt::Display for PostgresFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { act, source } => write!(f, "{source} while {act}"),
            Self::Ended { act, code } => write!(f, "PostgreSQL ended with {code} while {act}"),
            Self::Silent => write!(f, "PostgreSQL did not answer within {} s", PATIENCE.as_secs()),
        }
    }
}

impl std::error::Error for PostgresFault {}

/// The programs of PostgreSQL that are installed here.
#[derive(Debug, Clone)]
pub struct Programs {
    initdb: PathBuf,
    server: PathBuf,
    psql: PathBuf,
}

impl Programs {
    /// The newest in Debian's place, or those on the path; `None` where one is missing.
    pub fn find() -> Option<Self> {
        let entries = fs::read_dir(VERSIONS).into_iter().flatten().flatten();
        let mut versions: Vec<(u32, PathBuf)> = entries
            .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
            .collect();
        versions.sort_unstable_by(|one, other| other.cmp(one));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> =
            versions.into_iter().map(|(_, folder)| folder).chain(std::env::split_paths(&path)).collect();
        let of = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|program| program.exists());
        Some(Self { initdb: of("initdb")?, server: of("postgres")?, psql: of("psql")? })
    }
}

/// A running server. It ends, and its folder goes, with this value, and however else this process ends.
pub struct Server {
    folder: PathBuf,
    psql: PathBuf,
    admin: String,
    reader: String,
    guard: Child,
}

// By hand: it holds passwords.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Server {
    /// Makes a cluster, starts its server and makes the database and its reader.
    ///
    /// # Errors
    /// [`PostgresFault`].
    pub fn start(programs: &Programs) -> Result<Self, PostgresFault> {
        let made = tempfile::Builder::new().prefix("cohortium-postgres-").tempdir();
        let dir = made.map_err(|source| PostgresFault::Io { act: "making the server's folder", source })?;
        let (admin, reader) = (password()?, password()?);
        prepare(programs, dir.path(), &admin)?;
        let data = dir.path().join("data");
        let mut server = command_in(&programs.server, dir.path())?;
        server.arg("-D").arg(&data).args(["-c", "listen_addresses=", "-c", "fsync=off", "-p", PORT]);
        server.arg("-k").arg(dir.path());
        let guard = guarded(&server, dir.path())?;
        // From here on the shell takes the folder away.
        let server = Self { folder: dir.keep(), psql: programs.psql.clone(), admin, reader, guard };
        server.await_answer()?;
        server.sql("postgres", "making a database", &format!("CREATE DATABASE {DATABASE};"))?;
        let role = format!("CREATE ROLE {READER} LOGIN PASSWORD '{}';", server.reader);
        server.sql(DATABASE, "making an account that reads", &role)?;
        Ok(server)
    }

    /// Its local socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join(format!(".s.PGSQL.{PORT}"))
    }

    /// Writes the reader's password into a new file that only this user can read.
    ///
    /// # Errors
    /// [`PostgresFault::Io`].
    pub fn write_password(&self, path: &Path) -> Result<(), PostgresFault> {
        write_private(path, &self.reader)
    }

    /// Makes a table of text columns and fills it from a file of comma-separated values with one heading line, in which an
    /// empty cell is no value. Gives the rows that it then has.
    ///
    /// # Errors
    /// [`PostgresFault`].
    pub fn load(&self, table: &str, columns: &[&str], csv: &Path) -> Result<u64, PostgresFault> {
        let act = "loading a table";
        let fields: Vec<String> = columns.iter().map(|column| format!("{} text", quoted(column))).collect();
        let (table, fields) = (quoted(table), fields.join(", "));
        let made = format!("CREATE TABLE {table} ({fields}); GRANT SELECT ON {table} TO {READER};");
        self.sql(DATABASE, act, &made)?;
        let rows = File::open(csv).map_err(|source| PostgresFault::Io { act, source })?;
        let copy = format!("COPY {table} FROM STDIN WITH (FORMAT csv, HEADER)");
        let copied = self.psql(DATABASE).args(["-c", &copy]).stdin(rows).output();
        done(act, copied)?;
        let counted = self.sql(DATABASE, act, &format!("SELECT count(*) FROM {table};"))?;
        counted.trim().parse().map_err(|_| PostgresFault::Ended { act, code: 0 })
    }

    /// Ends the server and waits until its folder is gone.
    ///
    /// # Errors
    /// [`PostgresFault`].
    pub fn stop(mut self) -> Result<(), PostgresFault> {
        let act = "stopping the server";
        drop(self.guard.stdin.take());
        let ended = self.guard.wait().map_err(|source| PostgresFault::Io { act, source })?;
        if ended.success() { Ok(()) } else { Err(PostgresFault::Ended { act, code: ended.code().unwrap_or(-1) }) }
    }

    fn psql(&self, database: &str) -> Command {
        let mut command = Command::new(&self.psql);
        command.env("PGPASSWORD", &self.admin).arg("-h").arg(&self.folder).args(["-p", PORT, "-U", "admin"]);
        command.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", database]);
        command
    }

    /// Runs statements, which go by standard input: others see what a program is started with.
    fn sql(&self, database: &str, act: &'static str, statements: &str) -> Result<String, PostgresFault> {
        let io = |source| PostgresFault::Io { act, source };
        let mut command = self.psql(database);
        command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(io)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(statements.as_bytes()).map_err(io)?;
        }
        done(act, child.wait_with_output())
    }

    fn await_answer(&self) -> Result<(), PostgresFault> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if self.sql("postgres", "asking for an answer", "SELECT 1;").is_ok() {
                return Ok(());
            }
            sleep(Duration::from_millis(100));
        }
        Err(PostgresFault::Silent)
    }
}

/// A cluster in `folder/data`, owned by the user whom the server runs under.
fn prepare(programs: &Programs, folder: &Path, admin: &str) -> Result<(), PostgresFault> {
    let act = "making a cluster";
    let secret = folder.join("secret");
    write_private(&secret, admin)?;
    if is_roots(folder)? {
        let user = format!("{USER}:{USER}");
        done(act, Command::new("chown").args(["-R", &user]).arg(folder).output())?;
    }
    let mut initdb = command_in(&programs.initdb, folder)?;
    initdb.arg("-D").arg(folder.join("data")).args(["-U", "admin", "-E", "UTF8", "--locale=C", "--no-sync"]);
    initdb.arg("--auth=scram-sha-256").arg(format!("--pwfile={}", secret.display()));
    done(act, initdb.output())?;
    fs::remove_file(&secret).map_err(|source| PostgresFault::Io { act, source })
}

/// Starts the server below a shell that waits until its own standard input ends, which it does however this process ends,
/// then stops that one server and takes the folder away.
fn guarded(server: &Command, folder: &Path) -> Result<Child, PostgresFault> {
    let script = r#"folder=$1; shift
        "$@" >"$folder/log" 2>&1 &
        server=$!
        cat >/dev/null
        kill -s INT $server
        wait $server
        rm -rf "$folder""#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "guard"]).arg(folder).arg(server.get_program()).args(server.get_args());
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    shell.current_dir(folder).spawn().map_err(|source| PostgresFault::Io { act: "starting the server", source })
}

/// A command that runs as the server's user, in a folder that this user can enter.
fn command_in(program: &Path, folder: &Path) -> Result<Command, PostgresFault> {
    let mut command = Command::new(program);
    if is_roots(Path::new("/proc/self"))? {
        command = Command::new("setpriv");
        command.arg(format!("--reuid={USER}")).arg(format!("--regid={USER}")).arg("--clear-groups").arg(program);
    }
    command.current_dir(folder).stdin(Stdio::null());
    Ok(command)
}

/// Whether a file is root's.
fn is_roots(path: &Path) -> Result<bool, PostgresFault> {
    let found = fs::metadata(path).map_err(|source| PostgresFault::Io { act: "asking whose a file is", source })?;
    Ok(found.uid() == 0)
}

/// What a program printed, unless it failed.
fn done(act: &'static str, output: io::Result<std::process::Output>) -> Result<String, PostgresFault> {
    let output = output.map_err(|source| PostgresFault::Io { act, source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(PostgresFault::Ended { act, code: output.status.code().unwrap_or(-1) })
}

/// Thirty-two random digits.
fn password() -> Result<String, PostgresFault> {
    let mut bytes = [0; 16];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|source| PostgresFault::Io { act: "drawing a password", source })?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

fn write_private(path: &Path, text: &str) -> Result<(), PostgresFault> {
    let written = File::create_new(path).and_then(|mut file| {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())
    });
    written.map_err(|source| PostgresFault::Io { act: "writing a password", source })
}

/// A name as SQL writes it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_loaded_whole_and_the_server_leaves_nothing() {
        let Some(programs) = Programs::find() else {
            println!("skipped: PostgreSQL is not installed; README.md says how");
            return;
        };
        let server = Server::start(&programs).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let csv = dir.path().join("rows.csv");
        fs::write(&csv, "row id,\"na\"\"me\"\n1,\n2,\"x, y\"\n").unwrap();
        assert_eq!(server.load("rows", &["row id", "na\"me"], &csv).unwrap(), 2);
        let absent = server.sql(DATABASE, "asking", "SELECT \"row id\" FROM rows WHERE \"na\"\"me\" IS NULL;").unwrap();
        assert_eq!(absent.trim(), "1");
        fs::write(&csv, "row id,\"na\"\"me\"\n1\n").unwrap();
        assert!(matches!(server.load("short", &["row id", "na\"me"], &csv), Err(PostgresFault::Ended { .. })));
        let folder = server.folder.clone();
        assert!(server.socket().exists());
        server.stop().unwrap();
        assert!(!folder.exists());
    }
}
