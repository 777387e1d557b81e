//! Reading from MariaDB: one moment's state, nothing written, bounds held, and what becomes of faults.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use cohortium_database::batch::Faulty;
use cohortium_database::fault::{DatabaseFault, Reason};
use cohortium_database::limits::Limits;
use cohortium_database::login::{Login, Password};
use cohortium_database::query::Query;
use cohortium_database::source::{Reading, Server, Source};

use crate::maria::{Maria, maria};
use crate::read::{Read, reading, select, table};

fn try_open(server: &Maria, database: &str, query: Query, limits: Limits) -> Result<Source, DatabaseFault> {
    Source::open(Server::Maria, server.stream(), &server.login(database), query, reading(limits))
}

fn open(server: &Maria, database: &str, query: Query, limits: Limits) -> Source {
    try_open(server, database, query, limits).unwrap()
}

/// The fault of opening or of reading to the end.
fn fault(server: &Maria, database: &str, query: Query, limits: Limits) -> DatabaseFault {
    match try_open(server, database, query, limits) {
        Err(fault) => fault,
        Ok(mut source) => Read::all(&mut source).err().expect("it does not read to the end"),
    }
}

fn state(fault: &DatabaseFault) -> &str {
    let DatabaseFault::Server { state, .. } = fault else { panic!("{fault:?} is not the server's") };
    state.as_str()
}

fn numbers(server: &Maria, name: &str, rows: u32) -> String {
    let name = server.database(name);
    let filled =
        format!("CREATE TABLE t (id int PRIMARY KEY) ENGINE = InnoDB; INSERT INTO t SELECT seq FROM seq_1_to_{rows}");
    server.sql(&name, &filled);
    name
}

#[test]
fn a_table_is_read_as_it_was_at_one_moment() {
    let Some(server) = maria() else { return };
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
    let Some(server) = maria() else { return };
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
fn a_table_without_transactions_is_refused() {
    let Some(server) = maria() else { return };
    let database = server.database("engines");
    for engine in ["MyISAM", "Aria", "MEMORY", "CSV"] {
        let name = format!("it's `{engine}`\\");
        let quoted = name.replace('`', "``");
        server.sql(&database, &format!("CREATE TABLE `{quoted}` (id int NOT NULL) ENGINE = {engine}"));
        for schema in [None, Some(database.as_str())] {
            let opened = try_open(server, &database, table(schema, &name), Limits::default());
            assert_eq!(opened.err(), Some(DatabaseFault::NotTransactional), "{engine}");
        }
    }
}

#[test]
fn nothing_is_written_and_nothing_but_a_select_is_read() {
    let Some(server) = maria() else { return };
    let database = numbers(server, "nothing_written", 3);
    server.sql(
        &database,
        "CREATE TABLE `a ``b``; DROP TABLE t` (id int) ENGINE = InnoDB; INSERT INTO `a ``b``; DROP TABLE t` VALUES (7); \
         CREATE SEQUENCE s;\nDELIMITER //\nCREATE FUNCTION w() RETURNS int MODIFIES SQL DATA \
         BEGIN INSERT INTO t VALUES (9); RETURN 9; END//\n",
    );
    let refused = [
        ("SELECT w() AS a", "25006"),
        ("SELECT nextval(s) AS a", "25006"),
        ("INSERT INTO t VALUES (9) RETURNING id", "42000"),
        ("SELECT 1; DROP TABLE t", "42000"),
        ("SELECT 1) AS x; DROP TABLE t; SELECT (1", "42000"),
        ("COMMIT", "42000"),
        ("SELECT id INTO @x FROM t", "42000"),
        ("SELECT * FROM t INTO OUTFILE '/tmp/cohortium-never'", "42000"),
        ("SELECT 1) AS x INTO OUTFILE '/tmp/cohortium-never' -- ", "42000"),
        ("SELECT 1) AS x INTO OUTFILE '/tmp/cohortium-never' /*", "42000"),
        ("SELECT 1) AS x INTO @y /*", "42000"),
        ("SELECT * FROM nowhere", "42S02"),
        ("SELECT nothing FROM t", "42S22"),
    ];
    for (text, code) in refused {
        let fault = fault(server, &database, select(text), Limits::default());
        assert_eq!(state(&fault), code, "{text}");
    }
    assert!(!std::path::Path::new("/tmp/cohortium-never").exists());
    assert_eq!(fault(server, &database, select("SELECT ? AS a"), Limits::default()), DatabaseFault::Query);
    assert_eq!(server.sql(&database, "SELECT count(*) FROM t").trim(), "3");
    let mut source = open(server, &database, table(None, "a `b`; DROP TABLE t"), Limits::default());
    assert_eq!(Read::all(&mut source).unwrap().column(), [Some("7")]);
    let commented = select("SELECT id FROM t WHERE id < 3 # the end");
    let mut source = open(server, &database, commented, Limits::default());
    assert_eq!(Read::all(&mut source).unwrap().rows.len(), 2);
}

#[test]
fn an_error_of_the_server_brings_its_code_and_no_cell() {
    let Some(server) = maria() else { return };
    let database = server.database("quiet");
    server.sql(
        &database,
        "CREATE TABLE t (v varchar(20)) ENGINE = InnoDB; INSERT INTO t VALUES ('Canary-4711'); \
         \nDELIMITER //\nCREATE FUNCTION loud(t text) RETURNS text DETERMINISTIC \
         BEGIN SIGNAL SQLSTATE '45042' SET MESSAGE_TEXT = t; RETURN t; END//\n",
    );
    let fault = fault(server, &database, select("SELECT loud(v) AS v FROM t"), Limits::default());
    assert_eq!(state(&fault), "45042");
    assert!(!format!("{fault} {fault:?}").contains("Canary"), "{fault}");
}

#[test]
fn statements_rows_cells_and_columns_have_bounds() {
    let Some(server) = maria() else { return };
    let limits = Limits::default();
    let database = numbers(server, "bounds", 10);
    let short = Limits { statement_timeout: Duration::from_millis(200), ..limits };
    let began = Instant::now();
    let slow = fault(server, &database, select("SELECT benchmark(100000000000, sha2('x', 512)) AS a"), short);
    assert_eq!(state(&slow), "70100");
    assert!(began.elapsed() < Duration::from_secs(30));
    let few = |rows_max| Limits { rows_max, batch_rows: 4, ..limits };
    assert_eq!(fault(server, &database, table(None, "t"), few(9)), DatabaseFault::TooManyRows { max: 9 });
    let read = Read::all(&mut open(server, &database, table(None, "t"), few(10))).unwrap();
    assert_eq!((read.rows.len(), read.batches), (10, 3));
    let narrow = Limits { columns_max: 2, ..limits };
    let wide = fault(server, &database, select("SELECT 1 AS a, 2 AS b, 3 AS c"), narrow);
    assert_eq!(wide, DatabaseFault::TooManyColumns { max: 2 });
    let cells = Limits { cell_bytes_max: 10, ..limits };
    let text = "SELECT repeat('x', seq) AS v FROM seq_9_to_12";
    let read = Read::all(&mut open(server, &database, select(text), cells)).unwrap();
    let reasons: Vec<_> = read.faults.iter().map(|fault| (fault.row, fault.reason)).collect();
    assert_eq!((read.rows.len(), reasons), (2, vec![(3, Reason::TooLong), (4, Reason::TooLong)]));
    let rows = Limits { row_bytes_max: 1_000, ..limits };
    let text = "SELECT repeat('x', seq) AS v FROM seq_980_to_1000_step_10";
    assert_eq!(fault(server, &database, select(text), rows), DatabaseFault::RowTooLong { row: 3 });
}

#[test]
fn a_row_of_many_packets_arrives_whole() {
    let Some(server) = maria() else { return };
    let database = server.database("packets");
    server.sql("", "SET GLOBAL max_allowed_packet = 64 * 1024 * 1024");
    let longest = (1 << 24) - 1;
    let limits = Limits { cell_bytes_max: 40 << 20, ..Limits::default() };
    // The row's head and the cell's length make it a part that is exactly full, and one byte to either side of it.
    for length in [longest - 7, longest - 6, longest - 5, longest, 2 * longest] {
        let query = select(&format!("SELECT CAST(repeat('x', {length}) AS CHAR) AS v, 'end' AS e"));
        let mut source = open(server, &database, query, limits);
        let read = Read::all(&mut source).unwrap();
        let cells = &read.rows[0].1;
        assert_eq!((cells[0].as_ref().map(String::len), cells[1].as_deref()), (Some(length), Some("end")));
    }
}

#[test]
fn columns_need_names_and_no_two_one_name() {
    let Some(server) = maria() else { return };
    let database = server.database("names");
    let of = |text: &str| fault(server, &database, select(text), Limits::default());
    assert_eq!(state(&of("SELECT 1 AS a, 2 AS b, 3 AS a")), "42S21");
    assert_eq!(of("SELECT 1 AS a, 2 AS `\u{202e}`"), DatabaseFault::HeaderName { position: 2 });
    let mut source = open(server, &database, select("SELECT 1 AS `a ``b`, 2 AS b"), Limits::default());
    source.project(&[true, false]);
    assert_eq!(Read::all(&mut source).unwrap().column(), [Some("1")]);
    let mut source = open(server, &database, select("SELECT 1 AS a UNION ALL SELECT 2"), Limits::default());
    source.project(&[false]);
    let batch = source.next_batch().unwrap().unwrap();
    assert!(batch.columns[0].is_none());
    assert_eq!(batch.places, [1, 2], "rows are counted where no column is wanted");
}

#[test]
fn a_faulty_row_ends_the_run_where_rows_are_not_set_aside() {
    let Some(server) = maria() else { return };
    let database = server.database("faulty");
    server.sql(&database, "CREATE TABLE t (day date) ENGINE = InnoDB; SET sql_mode = ''; INSERT INTO t VALUES ('2024-01-01'), ('0000-00-00')");
    let refuse = Reading { limits: Limits::default(), faulty: Faulty::Refuse };
    let login = server.login(&database);
    let mut source = Source::open(Server::Maria, server.stream(), &login, table(None, "t"), refuse).unwrap();
    assert_eq!(Read::all(&mut source).err().unwrap().to_string(), "row 2, column day: zero-date");
    assert!(source.next_batch().unwrap().is_none());
}

#[test]
fn rows_come_no_faster_than_allowed() {
    let Some(server) = maria() else { return };
    let database = numbers(server, "pace", 50);
    let limits = Limits { batch_rows: 10, rows_per_second: Some(100), ..Limits::default() };
    let mut source = open(server, &database, table(None, "t"), limits);
    let began = Instant::now();
    let read = Read::all(&mut source).unwrap();
    assert_eq!((read.rows.len(), read.batches), (50, 5));
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
}

#[test]
fn rows_are_held_by_the_server_until_they_are_asked_for() {
    let Some(server) = maria() else { return };
    let database = numbers(server, "held", 100_000);
    let mut source = open(server, &database, table(None, "t"), Limits { batch_rows: 10, ..Limits::default() });
    assert_eq!(source.next_batch().unwrap().unwrap().places.len(), 10);
    // With a cursor the connection waits for the next request; without one it would be sending.
    let asked = "SELECT command FROM information_schema.processlist WHERE user = 'reader' AND db = 'held'";
    assert_eq!(server.sql("", asked).trim(), "Sleep");
    let query = select("SELECT repeat('x', 100000) AS v FROM seq_1_to_300");
    let limits = Limits { batch_bytes: 1_000_000, ..Limits::default() };
    let read = Read::all(&mut open(server, &database, query, limits)).unwrap();
    assert_eq!((read.rows.len(), read.batches), (300, 30));
}

#[test]
fn a_connection_that_is_ended_in_the_middle_is_a_fault_that_says_how_far_it_came() {
    let Some(server) = maria() else { return };
    let database = numbers(server, "ended", 100_000);
    let mut source = open(server, &database, table(None, "t"), Limits { batch_rows: 100, ..Limits::default() });
    assert!(source.next_batch().unwrap().is_some());
    let id = server.sql("", "SELECT id FROM information_schema.processlist WHERE user = 'reader' AND db = 'ended'");
    server.sql("", &format!("KILL CONNECTION {}", id.trim()));
    let fault = loop {
        match source.next_batch() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a table that was cut off looks whole"),
            Err(fault) => break fault,
        }
    };
    match fault {
        DatabaseFault::Lost { rows, .. } => assert_eq!(rows, 100),
        other => assert!(["70100", "08S01"].contains(&state(&other)), "{other:?}"),
    }
    assert!(source.next_batch().unwrap().is_none());
}

#[test]
fn a_wrong_password_or_another_way_of_signing_on_is_refused() {
    let Some(server) = maria() else { return };
    let database = server.database("logins");
    server.sql("", "CREATE USER empty@localhost IDENTIFIED BY ''; GRANT SELECT ON logins.* TO empty@localhost");
    server.sql(
        "",
        "INSTALL SONAME 'auth_ed25519'; CREATE USER curve@localhost IDENTIFIED VIA ed25519 USING PASSWORD('x')",
    );
    let of = |user: &str, password: &str, database: &str| {
        let password = Some(Password::new(password.to_owned()));
        let login = Login { user: user.to_owned(), password, ..server.login(database) };
        Source::open(Server::Maria, server.stream(), &login, select("SELECT 1 AS a"), reading(Limits::default()))
            .map(|_| ())
    };
    of("empty", "", &database).unwrap();
    assert_eq!(of("curve", "x", &database), Err(DatabaseFault::LoginMethod));
    for (user, password, database, code) in [
        ("reader", "wrong", database.as_str(), "28000"),
        ("reader", "", &database, "28000"),
        ("nobody", "x", &database, "28000"),
        ("empty", "", "nowhere", "42000"),
    ] {
        assert_eq!(state(&of(user, password, database).unwrap_err()), code, "{user}");
    }
    assert_eq!(of("a\0b", "x", &database), Err(DatabaseFault::LoginTerms));
}

#[test]
fn tls_is_what_was_asked_for_or_nothing() {
    let Some(server) = maria() else { return };
    let database = server.database("tls");
    let of = |name: &str, roots: &str, tcp: TcpStream| {
        let login = server.over_tls(&database, name, roots);
        let query = select(
            "SELECT variable_value AS v FROM information_schema.session_status WHERE variable_name = 'Ssl_version'",
        );
        Source::open(Server::Maria, tcp.into(), &login, query, reading(Limits::default()))
    };
    let mut source = of("localhost", &server.room.root_pem, server.tcp()).unwrap();
    assert_eq!(Read::all(&mut source).unwrap().column(), [Some("TLSv1.3")]);
    let refused = |name: &str, roots: &str| of(name, roots, server.tcp()).err();
    assert_eq!(refused("elsewhere", &server.room.root_pem), Some(DatabaseFault::Tls));
    assert_eq!(refused("localhost", &server.room.other_pem), Some(DatabaseFault::Tls));
}
