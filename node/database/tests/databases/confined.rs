//! A process that can open nothing any more reads and lands over the sockets that it has, as a worker must.

use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;

use arrow::array::{Int32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use cohortium_database::land::{Absent, Landing, Target};
use cohortium_database::limits::Limits;
use cohortium_database::login::{Login, Password, Privacy};
use cohortium_database::query::TableName;
use cohortium_database::source::{Server, Source};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::maria::maria;
use crate::postgres::postgres;
use crate::read::{Read, reading, table};

/// What the confined process is told: the server's socket, its user and password.
const TOLD: [&str; 3] = ["COHORTIUM_TEST_SOCKET", "COHORTIUM_TEST_USER", "COHORTIUM_TEST_PASSWORD"];
/// What it says when it has done everything.
const DONE: &str = "confined, read and landed";

/// This test again, in a process of its own.
fn again(told: [&str; 3]) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "--nocapture", "confined::a_process_without_descriptors_to_spare_reads_and_lands"]);
    let output = child.envs(TOLD.into_iter().zip(told)).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains(DONE), "{said}");
}

#[test]
fn a_process_without_descriptors_to_spare_reads_and_lands() {
    if let [Ok(socket), Ok(user), Ok(password)] = TOLD.map(std::env::var) {
        return confined(&socket, &user, password);
    }
    if let Some(server) = postgres() {
        let database = server.database("confined");
        server.sql(
            &database,
            "CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 1000) g; CREATE TABLE u (id int)",
        );
        again([server.socket().to_str().unwrap(), "admin", server.password]);
        assert_eq!(server.sql(&database, "SELECT id FROM u").trim(), "7");
    }
    if let Some(server) = maria() {
        let database = server.database("confined");
        server.sql(&database, "CREATE TABLE t (id int) ENGINE = InnoDB; INSERT INTO t SELECT seq FROM seq_1_to_1000");
        again([server.socket().to_str().unwrap(), "reader", server.password]);
    }
}

fn confined(socket: &str, user: &str, password: String) {
    let [one, two] = [(), ()].map(|()| UnixStream::connect(socket).unwrap());
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), maximum: Some(0) }).unwrap();
    assert!(UnixStream::connect(socket).is_err(), "no socket can be opened any more");
    let privacy = Privacy::WithinMachine;
    let password = Some(Password::new(password));
    let login = Login { user: user.to_owned(), password, database: "confined".to_owned(), privacy };
    let speaks = if user == "admin" { Server::Postgres } else { Server::Maria };
    let mut source = Source::open(speaks, one.into(), &login, table(None, "t"), reading(Limits::default())).unwrap();
    assert_eq!(Read::all(&mut source).unwrap().rows.len(), 1_000);
    if speaks == Server::Postgres {
        let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int32, true)]));
        let rows = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(Int32Array::from(vec![7]))]).unwrap();
        let table = TableName { schema: None, table: "u".to_owned() };
        let target = Target { table, schema, absent: Absent::Refuse };
        let mut landing = Landing::begin(two.into(), &login, &Limits::default(), &[target]).unwrap();
        landing.write(0, &rows).unwrap();
        landing.commit().unwrap();
    }
    println!("{DONE}");
}
