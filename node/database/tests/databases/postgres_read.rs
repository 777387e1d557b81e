//! Reading from PostgreSQL: one moment's state, nothing written, bounds held, and what becomes of faults.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use cohortium_database::batch::Faulty;
use cohortium_database::fault::{DatabaseFault, Reason};
use cohortium_database::limits::Limits;
use cohortium_database::login::{Login, Password};
use cohortium_database::query::Query;
use cohortium_database::source::{Reading, Server, Source};
use cohortium_database::stream::Stream;

use crate::postgres::{Postgres, postgres};
use crate::read::{Read, reading, select, table};
use crate::room::say;

fn try_open(server: &Postgres, database: &str, query: Query, limits: Limits) -> Result<Source, DatabaseFault> {
    Source::open(Server::Postgres, server.stream(), &server.login(database), query, reading(limits))
}

fn open(server: &Postgres, database: &str, query: Query, limits: Limits) -> Source {
    try_open(server, database, query, limits).unwrap()
}

/// The fault of opening or of reading to the end.
fn fault(server: &Postgres, database: &str, query: Query, limits: Limits) -> DatabaseFault {
    match try_open(server, database, query, limits) {
        Err(fault) => fault,
        Ok(mut source) => Read::all(&mut source).err().expect("it does not read to the end"),
    }
}

fn state(fault: &DatabaseFault) -> &str {
    let DatabaseFault::Server { state, .. } = fault else { panic!("{fault:?} is not the server's") };
    state.as_str()
}

fn numbers(database: &Postgres, name: &str, rows: u32) -> String {
    let name = database.database(name);
    database.sql(&name, &format!("CREATE TABLE t AS SELECT g AS id FROM generate_series(1, {rows}) g"));
    name
}

#[test]
fn a_table_is_read_as_it_was_at_one_moment() {
    let Some(server) = postgres() else { return };
    let database = numbers(server, "moment", 1_000);
    let mut source = open(server, &database, table(None, "t"), Limits { batch_rows: 100, ..Limits::default() });
    server.sql(&database, "UPDATE t SET id = -id; INSERT INTO t VALUES (0)");
    let first = source.next_batch().unwrap().unwrap();
    server.sql(&database, "DELETE FROM t");
    let mut read = Read::default();
    read.add(&first);
    while let Some(batch) = source.next_batch().unwrap() {
        read.add(&batch);
    }
    assert_eq!((read.rows.len(), read.batches), (1_000, 10));
    for (row, (place, cells)) in (1..).zip(&read.rows) {
        assert_eq!((*place, cells[0].clone()), (row, Some(row.to_string())));
    }
}

#[test]
fn several_sources_are_read_as_they_were_at_the_same_moment() {
    let Some(server) = postgres() else { return };
    let database = numbers(server, "moments", 300);
    let limits = Limits { batch_rows: 100, ..Limits::default() };
    let mut first = open(server, &database, table(None, "t"), limits);
    let early = first.next_batch().unwrap().unwrap();
    assert_eq!(early.places.len(), 100);
    server.sql(&database, "DELETE FROM t WHERE id > 10");
    while first.next_batch().unwrap().is_some() {}
    // The same again, then a part of it: none of them sees what was deleted meanwhile.
    let mut second = first.then(table(None, "t"), reading(limits)).unwrap();
    assert_eq!(Read::all(&mut second).unwrap().rows.len(), 300);
    let mut third = second.then(select("SELECT id FROM t WHERE id > 290"), reading(limits)).unwrap();
    assert_eq!(Read::all(&mut third).unwrap().rows.len(), 10);
    assert_eq!(Read::all(&mut open(server, &database, table(None, "t"), limits)).unwrap().rows.len(), 10);
    // Rows that are left are not passed over.
    let begun = open(server, &database, table(None, "t"), limits);
    assert!(matches!(begun.then(table(None, "t"), reading(limits)), Err(DatabaseFault::Query)));
}

#[test]
fn nothing_is_written_and_nothing_but_a_select_is_read() {
    let Some(server) = postgres() else { return };
    let database = numbers(server, "nothing_written", 3);
    server.sql(
        &database,
        "CREATE SEQUENCE s; CREATE TABLE \"a \"\"b\"\"; DROP TABLE t\" AS SELECT 7 AS id; \
         CREATE FUNCTION w() RETURNS int LANGUAGE sql AS 'INSERT INTO t VALUES (9) RETURNING id'",
    );
    let refused = [
        ("SELECT nextval('s')", "25006"),
        ("SELECT w()", "25006"),
        ("INSERT INTO t VALUES (9) RETURNING id", "42601"),
        ("WITH x AS (INSERT INTO t VALUES (9) RETURNING id) SELECT * FROM x", "0A000"),
        ("SELECT 1; DROP TABLE t", "42601"),
        ("SELECT 1) AS x; DROP TABLE t; SELECT (1", "42601"),
        ("SELECT 1) AS x; COMMIT; --", "42601"),
        ("TRUNCATE t", "42601"),
        ("COMMIT", "42601"),
        ("SET TRANSACTION READ WRITE", "42601"),
        ("COPY t TO STDOUT", "42601"),
        ("COPY t TO PROGRAM 'touch x'", "42601"),
        ("SELECT id INTO other FROM t", "42601"),
        ("SELECT * FROM nowhere", "42P01"),
        ("SELECT nothing FROM t", "42703"),
        ("SELECT $1::int", "08P01"),
    ];
    for (text, code) in refused {
        let fault = fault(server, &database, select(text), Limits::default());
        assert_eq!(state(&fault), code, "{text}");
    }
    assert_eq!(server.sql(&database, "SELECT count(*) FROM t").trim(), "3");
    let mut source = open(server, &database, table(Some("public"), "a \"b\"; DROP TABLE t"), Limits::default());
    assert_eq!(Read::all(&mut source).unwrap().column(), [Some("7")]);
    let commented = select("SELECT id FROM t ORDER BY id DESC; -- the end");
    assert_eq!(state(&fault(server, &database, commented, Limits::default())), "42601");
    let commented = select("SELECT id FROM t ORDER BY id DESC -- the end");
    let mut source = open(server, &database, commented, Limits::default());
    assert_eq!(Read::all(&mut source).unwrap().column(), [Some("3"), Some("2"), Some("1")]);
}

#[test]
fn an_error_of_the_server_brings_its_code_and_no_cell() {
    let Some(server) = postgres() else { return };
    let database = server.database("quiet");
    server.sql(
        &database,
        "CREATE TABLE t AS SELECT 'Canary-4711'::text AS v; CREATE FUNCTION loud(t text) RETURNS text LANGUAGE plpgsql \
         AS $$ BEGIN RAISE NOTICE 'saw %', t; RAISE EXCEPTION 'no %', t USING ERRCODE = 'P0042', DETAIL = t, HINT = t; \
         END $$",
    );
    for (text, code) in [("SELECT v::int FROM t", "22P02"), ("SELECT loud(v) FROM t", "P0042")] {
        let fault = fault(server, &database, select(text), Limits::default());
        assert_eq!(state(&fault), code);
        assert!(!format!("{fault} {fault:?}").contains("Canary"), "{fault}");
    }
}

#[test]
fn statements_rows_cells_and_columns_have_bounds() {
    let Some(server) = postgres() else { return };
    let limits = Limits::default();
    let database = numbers(server, "bounds", 10);
    let short = Limits { statement_timeout: Duration::from_millis(200), ..limits };
    let began = Instant::now();
    let slow = fault(server, &database, select("SELECT 1 AS a FROM pg_sleep(60)"), short);
    assert_eq!(state(&slow), "57014");
    assert!(began.elapsed() < Duration::from_secs(30));
    let few = |rows_max| Limits { rows_max, batch_rows: 4, ..limits };
    assert_eq!(fault(server, &database, table(None, "t"), few(9)), DatabaseFault::TooManyRows { max: 9 });
    let read = Read::all(&mut open(server, &database, table(None, "t"), few(10))).unwrap();
    assert_eq!((read.rows.len(), read.batches), (10, 3));
    let narrow = Limits { columns_max: 2, ..limits };
    let wide = fault(server, &database, select("SELECT 1 AS a, 2 AS b, 3 AS c"), narrow);
    assert_eq!(wide, DatabaseFault::TooManyColumns { max: 2 });
    let cells = Limits { cell_bytes_max: 10, ..limits };
    let text = "SELECT repeat('x', n) AS v FROM generate_series(9, 12) n";
    let read = Read::all(&mut open(server, &database, select(text), cells)).unwrap();
    assert_eq!(read.rows.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [1, 2]);
    let reasons: Vec<_> = read.faults.iter().map(|fault| (fault.row, fault.reason)).collect();
    assert_eq!(reasons, [(3, Reason::TooLong), (4, Reason::TooLong)]);
    let rows = Limits { row_bytes_max: 1_000, ..limits };
    let text = "SELECT repeat('x', n) AS v FROM generate_series(980, 1000, 10) n";
    assert_eq!(fault(server, &database, select(text), rows), DatabaseFault::RowTooLong { row: 3 });
}

#[test]
fn columns_need_names_and_no_two_one_name() {
    let Some(server) = postgres() else { return };
    let of = |text: &str| fault(server, "postgres", select(text), Limits::default());
    assert_eq!(of("SELECT 1 AS a, 2 AS b, 3 AS a"), DatabaseFault::HeaderTwice { first: 1, second: 3 });
    assert_eq!(of("SELECT 1 AS a, 2 AS \"\u{202e}\""), DatabaseFault::HeaderName { position: 2 });
    let mut source = open(server, "postgres", select("SELECT 1 AS \"a \"\"b\", 2 AS b"), Limits::default());
    source.project(&[true, false]);
    assert_eq!(Read::all(&mut source).unwrap().column(), [Some("1")]);
    let mut source = open(server, "postgres", select("SELECT 1 AS a UNION ALL SELECT 2"), Limits::default());
    source.project(&[false]);
    let batch = source.next_batch().unwrap().unwrap();
    assert!(batch.columns[0].is_none());
    assert_eq!(batch.places, [1, 2], "rows are counted where no column is wanted");
}

#[test]
fn a_faulty_row_ends_the_run_where_rows_are_not_set_aside() {
    let Some(server) = postgres() else { return };
    let query = select("SELECT * FROM (VALUES ('2024-01-01'::date), ('infinity')) AS t(day)");
    let refuse = Reading { limits: Limits::default(), faulty: Faulty::Refuse };
    let login = server.login("postgres");
    let mut source = Source::open(Server::Postgres, server.stream(), &login, query, refuse).unwrap();
    assert_eq!(Read::all(&mut source).err().unwrap().to_string(), "row 2, column day: infinite");
    assert!(source.next_batch().unwrap().is_none());
}

#[test]
fn rows_come_no_faster_than_allowed() {
    let Some(server) = postgres() else { return };
    let database = numbers(server, "pace", 50);
    let limits = Limits { batch_rows: 10, rows_per_second: Some(100), ..Limits::default() };
    let mut source = open(server, &database, table(None, "t"), limits);
    let began = Instant::now();
    let read = Read::all(&mut source).unwrap();
    assert_eq!((read.rows.len(), read.batches), (50, 5));
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
}

#[test]
fn rows_stream_and_are_never_all_held() {
    let Some(server) = postgres() else { return };
    // A million million rows: whoever gathers them first does not come to the first batch.
    let query = select("SELECT generate_series(1, 1000000000000) AS n");
    let mut source = open(server, "postgres", query, Limits::default());
    for batch in 0..3 {
        let rows = source.next_batch().unwrap().unwrap();
        assert_eq!((rows.places.len(), rows.first_row), (8_192, batch * 8_192));
    }
    // Wide rows close a batch by their bytes.
    let query = select("SELECT repeat('x', 100000) AS v FROM generate_series(1, 300)");
    let limits = Limits { batch_bytes: 1_000_000, ..Limits::default() };
    let read = Read::all(&mut open(server, "postgres", query, limits)).unwrap();
    assert_eq!((read.rows.len(), read.batches), (300, 30));
}

#[test]
fn a_connection_that_is_ended_in_the_middle_is_a_fault_that_says_how_far_it_came() {
    let Some(server) = postgres() else { return };
    let database = numbers(server, "ended", 100_000);
    let limits = Limits { batch_rows: 100, ..Limits::default() };
    let mut source = open(server, &database, table(None, "t"), limits);
    assert!(source.next_batch().unwrap().is_some());
    let ended = format!(
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity \
         WHERE datname = '{database}' AND application_name = 'cohortium'"
    );
    assert_eq!(server.sql("postgres", &ended).trim(), "1");
    let fault = loop {
        match source.next_batch() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a table that was cut off looks whole"),
            Err(fault) => break fault,
        }
    };
    match fault {
        DatabaseFault::Lost { rows, .. } => assert_eq!(rows, 100),
        other => assert_eq!(state(&other), "57P01"),
    }
    assert!(source.next_batch().unwrap().is_none());
}

#[test]
fn each_way_of_signing_on_works_and_a_wrong_password_does_not() {
    let Some(server) = postgres() else { return };
    server.sql(
        "postgres",
        "SET password_encryption = 'md5'; CREATE ROLE md5user LOGIN PASSWORD 'one'; \
         SET password_encryption = 'scram-sha-256'; CREATE ROLE plain LOGIN PASSWORD 'two'; \
         CREATE ROLE peered LOGIN",
    );
    let of = |user: &str, password: &str, database: &str| {
        let password = Some(Password::new(password.to_owned()));
        let login = Login { user: user.to_owned(), password, ..server.login(database) };
        Source::open(Server::Postgres, server.stream(), &login, select("SELECT 1 AS a"), reading(Limits::default()))
            .map(|_| ())
    };
    of("md5user", "one", "postgres").unwrap();
    of("plain", "two", "postgres").unwrap();
    for (user, password, database, code) in [
        ("md5user", "two", "postgres", "28P01"),
        ("plain", "one", "postgres", "28P01"),
        ("admin", "wrong", "postgres", "28P01"),
        ("nobody", "x", "postgres", "28P01"),
        ("peered", "x", "postgres", "28000"),
        ("plain", "two", "nowhere", "3D000"),
    ] {
        assert_eq!(state(&of(user, password, database).unwrap_err()), code, "{user}");
    }
    assert_eq!(of("a\0b", "x", "postgres"), Err(DatabaseFault::LoginTerms));
    assert_eq!(of("a", &"x".repeat(1_025), "postgres"), Err(DatabaseFault::LoginTerms));
}

#[test]
fn tls_is_what_was_asked_for_or_nothing() {
    let Some(server) = postgres() else { return };
    let of = |name: &str, roots: &str, tcp: TcpStream| {
        let login = server.over_tls("postgres", name, roots);
        let query = select("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
        Source::open(Server::Postgres, tcp.into(), &login, query, reading(Limits::default()))
    };
    let mut source = of("localhost", &server.room.root_pem, server.tcp()).unwrap();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(Read::all(&mut source).unwrap().rows, [(1, vec![text("true"), text("TLSv1.3")])]);
    let refused = |name: &str, roots: &str| of(name, roots, server.tcp()).err();
    assert_eq!(refused("elsewhere", &server.room.root_pem), Some(DatabaseFault::Tls));
    assert_eq!(refused("localhost", &server.room.other_pem), Some(DatabaseFault::Tls));
    assert_eq!(refused("localhost", ""), Some(DatabaseFault::TlsTerms));
    assert_eq!(refused("not a name", &server.room.root_pem), Some(DatabaseFault::TlsTerms));
    // The local socket has no TLS, and is not taken without.
    let login = server.over_tls("postgres", "localhost", &server.room.root_pem);
    let query = select("SELECT 1 AS a");
    let opened = Source::open(Server::Postgres, server.stream(), &login, query, reading(Limits::default()));
    assert_eq!(opened.err(), Some(DatabaseFault::NoTls));
}

#[test]
fn no_password_crosses_a_network_in_the_open() {
    let Some(server) = postgres() else { return };
    // An address of this machine that is not loopback stands for a network.
    let local = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    let Some(address) = local.ok().map(|local| local.ip()).filter(|ip| !ip.is_loopback()) else {
        say("skipped: this machine has no address beside loopback");
        return;
    };
    let listener = TcpListener::bind((address, 0)).unwrap();
    for speaks in [Server::Postgres, Server::Maria] {
        let stream = Stream::from(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let (mut heard, _) = listener.accept().unwrap();
        let login = server.login("postgres");
        let opened = Source::open(speaks, stream, &login, select("SELECT 1 AS a"), reading(Limits::default()));
        assert_eq!(opened.err(), Some(DatabaseFault::NotPrivate));
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut heard, &mut bytes).unwrap();
        assert!(bytes.is_empty());
    }
}
