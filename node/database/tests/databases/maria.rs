//! A MariaDB server for tests, and a client for them that is not ours.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::OnceLock;

use cohortium_database::login::{Login, Password, Privacy, TlsTerms};
use cohortium_database::stream::Stream;

use crate::room::{Room, find, must, say, skip};

const PASSWORD: &str = "pässword with 'quotes'";

/// The server.
pub(crate) struct Maria {
    pub(crate) room: Room,
    pub(crate) password: &'static str,
    client: PathBuf,
    _guard: Child,
}

/// The server of these tests; `None`, and a line that says so, where it is not installed.
pub(crate) fn maria() -> Option<&'static Maria> {
    static SERVER: OnceLock<Option<Maria>> = OnceLock::new();
    SERVER.get_or_init(Maria::start).as_ref()
}

impl Maria {
    fn start() -> Option<Self> {
        let folders = [PathBuf::from("/usr/sbin")];
        let programs = ["mariadb-install-db", "mariadbd", "mariadb"].map(|program| find(&folders, program));
        let [Some(install), Some(server), Some(client)] = programs else {
            skip("MariaDB");
            return None;
        };
        let room = Room::new("maria", "mysql");
        let data = room.folder.join("data");
        let mut made = room.command(&install);
        made.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        must(made.arg(format!("--datadir={}", data.display())));
        let mut command = room.command(&server);
        command.args(["--no-defaults", "--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0"]);
        command.args(["--innodb-buffer-pool-size=32M", "--skip-log-bin"]);
        command.arg(format!("--datadir={}", data.display())).arg(format!("--port={}", room.port));
        command.arg(format!("--socket={}", room.folder.join("socket").display()));
        command.arg(format!("--pid-file={}", room.folder.join("pid").display()));
        command.arg(format!("--ssl-cert={}", room.folder.join("server.crt").display()));
        command.arg(format!("--ssl-key={}", room.folder.join("server.key").display()));
        let guard = room.start(&command, "KILL");
        let server = Self { room, password: PASSWORD, client, _guard: guard };
        server.room.await_answer(|| server.client("", "SELECT 1").output().unwrap().status.success());
        let quoted = PASSWORD.replace('\'', "''");
        for host in ["localhost", "127.0.0.1"] {
            server.sql(
                "",
                &format!("CREATE USER reader@'{host}' IDENTIFIED BY '{quoted}'; GRANT ALL ON *.* TO reader@'{host}'"),
            );
        }
        let version = server.sql("", "SELECT version()");
        say(&format!("databases: MariaDB {} runs for these tests", version.trim()));
        Some(server)
    }

    fn client(&self, database: &str, statements: &str) -> Command {
        let mut command = Command::new(&self.client);
        command.args(["--no-defaults", "-N", "-B", "-u", "root", "--default-character-set=utf8mb4"]);
        command.arg(format!("--socket={}", self.room.folder.join("socket").display()));
        if !database.is_empty() {
            command.args(["-D", database]);
        }
        command.args(["-e", statements]);
        command
    }

    /// Runs statements by the server's own client and gives what it prints.
    pub(crate) fn sql(&self, database: &str, statements: &str) -> String {
        must(&mut self.client(database, statements))
    }

    /// A new database.
    pub(crate) fn database(&self, name: &str) -> String {
        self.sql("", &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"));
        name.to_owned()
    }

    /// Where the local socket is.
    pub(crate) fn socket(&self) -> PathBuf {
        self.room.folder.join("socket")
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
            user: "reader".to_owned(),
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
