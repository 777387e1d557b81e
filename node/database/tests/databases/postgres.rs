//! A PostgreSQL server for tests, and a client for them that is not ours.

use std::fs;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::OnceLock;

use cohortium_database::login::{Login, Password, Privacy, TlsTerms};
use cohortium_database::stream::Stream;

use crate::room::{Room, find, must, say, skip, versions};

const PASSWORD: &str = "pässword with spaces";

/// The server.
pub(crate) struct Postgres {
    pub(crate) room: Room,
    pub(crate) password: &'static str,
    psql: PathBuf,
    _guard: Child,
}

/// The server of these tests; `None`, and a line that says so, where it is not installed.
pub(crate) fn postgres() -> Option<&'static Postgres> {
    static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
    SERVER.get_or_init(Postgres::start).as_ref()
}

impl Postgres {
    fn start() -> Option<Self> {
        let folders = versions("/usr/lib/postgresql");
        let programs = ["initdb", "postgres", "psql"].map(|program| find(&folders, program));
        let [Some(initdb), Some(server), Some(psql)] = programs else {
            skip("PostgreSQL");
            return None;
        };
        let room = Room::new("postgres", "postgres");
        let (data, secret) = (room.folder.join("data"), room.folder.join("secret"));
        fs::write(&secret, PASSWORD).unwrap();
        must(Command::new("chmod").arg("644").arg(&secret));
        let mut made = room.command(&initdb);
        made.arg("-D").arg(&data).args(["-U", "admin", "-E", "UTF8", "--locale=C", "--no-sync"]);
        must(made.arg("--auth=scram-sha-256").arg(format!("--pwfile={}", secret.display())));
        let hba = "local all md5user md5\nlocal all plain password\nlocal all peered peer\n\
                   local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(data.join("pg_hba.conf"), hba).unwrap();
        let mut command = room.command(&server);
        command.arg("-D").arg(&data);
        let settings = [
            format!("port={}", room.port),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={}", room.folder.display()),
            "fsync=off".to_owned(),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", room.folder.join("server.crt").display()),
            format!("ssl_key_file={}", room.folder.join("server.key").display()),
        ];
        for setting in settings {
            command.arg("-c").arg(setting);
        }
        let guard = room.start(&command, "INT");
        let server = Self { room, password: PASSWORD, psql, _guard: guard };
        server.room.await_answer(|| server.psql("postgres", "SELECT 1").output().unwrap().status.success());
        let version = server.sql("postgres", "SHOW server_version");
        say(&format!("databases: PostgreSQL {} runs for these tests", version.trim()));
        Some(server)
    }

    fn psql(&self, database: &str, statements: &str) -> Command {
        let mut command = Command::new(&self.psql);
        command.env("PGPASSWORD", PASSWORD).env("PGOPTIONS", "-c client_min_messages=error");
        command.arg("-h").arg(&self.room.folder).args(["-p", &self.room.port.to_string(), "-U", "admin"]);
        command.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statements]);
        command
    }

    /// Runs statements by psql and gives what it prints.
    pub(crate) fn sql(&self, database: &str, statements: &str) -> String {
        must(&mut self.psql(database, statements))
    }

    /// Runs a file by psql.
    pub(crate) fn file(&self, database: &str, path: &std::path::Path) {
        must(self.psql(database, "SELECT 1").arg("-f").arg(path));
    }

    /// A new database.
    pub(crate) fn database(&self, name: &str) -> String {
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        name.to_owned()
    }

    /// Where the local socket is.
    pub(crate) fn socket(&self) -> PathBuf {
        self.room.folder.join(format!(".s.PGSQL.{}", self.room.port))
    }

    /// A connection by the local socket.
    pub(crate) fn stream(&self) -> Stream {
        UnixStream::connect(self.socket()).unwrap().into()
    }

    /// A connection by loopback.
    pub(crate) fn tcp(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.room.port)).unwrap()
    }

    pub(crate) fn login(&self, database: &str) -> Login {
        Login {
            user: "admin".to_owned(),
            password: Some(Password::new(self.password.to_owned())),
            database: database.to_owned(),
            privacy: Privacy::WithinMachine,
        }
    }

    /// How to sign on over TLS to a server of this name, trusting these certificates.
    pub(crate) fn over_tls(&self, database: &str, server_name: &str, roots_pem: &str) -> Login {
        let terms = TlsTerms { server_name: server_name.to_owned(), roots_pem: roots_pem.as_bytes().to_vec() };
        Login { privacy: Privacy::Tls(terms), ..self.login(database) }
    }
}
