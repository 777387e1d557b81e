//! Every type of PostgreSQL that is claimed, with ordinary, null, extreme and hostile values; every other one refused.

use arrow::datatypes::{DataType, TimeUnit};
use cohortium_database::fault::{DatabaseFault, Reason};
use cohortium_database::limits::Limits;
use cohortium_database::source::{Server, Source};

use crate::postgres::{Postgres, postgres};
use crate::read::{Becomes, Case, Read, case, is, reading, select, table};

fn open(server: &Postgres, database: &str, name: &str) -> Source {
    let query = table(Some("public"), name);
    Source::open(Server::Postgres, server.stream(), &server.login(database), query, reading(Limits::default())).unwrap()
}

const INFINITE: Becomes = Becomes::Fault(Reason::Infinite);
const BEYOND: Becomes = Becomes::Fault(Reason::OutOfRange);

fn numbers() -> Vec<Case> {
    vec![
        case("boolean", DataType::Boolean, &[("true", is("true")), ("false", is("false"))]),
        case("smallint", DataType::Int16, &[("-32768", is("-32768")), ("32767", is("32767")), ("0", is("0"))]),
        case("integer", DataType::Int32, &[("-2147483648", is("-2147483648")), ("2147483647", is("2147483647"))]),
        case(
            "bigint",
            DataType::Int64,
            &[("-9223372036854775808", is("-9223372036854775808")), ("9223372036854775807", is("9223372036854775807"))],
        ),
        case(
            "real",
            DataType::Float32,
            &[
                ("1.5", is("1.5")),
                ("'-0'", is("-0.0")),
                ("'NaN'", is("NaN")),
                ("'-Infinity'", is("-inf")),
                ("3.4028235e38", is("3.4028235e38")),
                ("1e-45", is("1e-45")),
            ],
        ),
        case(
            "double precision",
            DataType::Float64,
            &[
                ("0.1", is("0.1")),
                ("'NaN'", is("NaN")),
                ("'Infinity'", is("inf")),
                ("1.7976931348623157e308", is("1.7976931348623157e308")),
                ("5e-324", is("5e-324")),
            ],
        ),
    ]
}

fn decimals() -> Vec<Case> {
    let digits38 = "9".repeat(38);
    vec![
        case(
            "numeric(10,2)",
            DataType::Decimal128(10, 2),
            &[
                ("12345678.9", is("12345678.90")),
                ("-0.01", is("-0.01")),
                ("0", is("0.00")),
                ("'NaN'", Becomes::Fault(Reason::NotANumber)),
            ],
        ),
        case(
            "numeric(38,0)",
            DataType::Decimal128(38, 0),
            &[(&digits38, is(&digits38)), (&format!("-{digits38}"), is(&format!("-{digits38}")))],
        ),
        case(
            "numeric(38,38)",
            DataType::Decimal128(38, 38),
            &[(&format!("0.{digits38}"), is(&format!("0.{digits38}")))],
        ),
        case("numeric(39,1)", DataType::Utf8, &[(&format!("{digits38}.5"), is(&format!("{digits38}.5")))]),
        case("numeric(3,5)", DataType::Utf8, &[("0.00123", is("0.00123"))]),
        case("numeric(5,-2)", DataType::Utf8, &[("1234567", is("1234600"))]),
        case(
            "numeric",
            DataType::Utf8,
            &[
                ("1.50", is("1.50")),
                ("'NaN'", is("NaN")),
                ("'-Infinity'", is("-Infinity")),
                (&format!("1{}", "0".repeat(200)), is(&format!("1{}", "0".repeat(200)))),
                (
                    "0.000000000000000000000000000000000000000000000001",
                    is("0.000000000000000000000000000000000000000000000001"),
                ),
            ],
        ),
    ]
}

fn texts() -> Vec<Case> {
    let long = "x".repeat(100_000);
    let hostile = [
        ("''", is("")),
        ("'NULL'", is("NULL")),
        ("'O''Brien\"; DROP TABLE t; --'", is("O'Brien\"; DROP TABLE t; --")),
        ("E'a\\nb\\tc\\\\N\\r'", is("a\nb\tc\\N\r")),
        ("'Ünï\u{202e}cödé \u{1f3e5}'", is("Ünï\u{202e}cödé \u{1f3e5}")),
        ("repeat('x', 100000)", is(&long)),
    ];
    vec![
        case("text", DataType::Utf8, &hostile),
        case("varchar", DataType::Utf8, &hostile),
        case("varchar(5)", DataType::Utf8, &[("'abcde'", is("abcde")), ("'a '", is("a "))]),
        case("char(5)", DataType::Utf8, &[("'ab'", is("ab   ")), ("''", is("     "))]),
        case("name", DataType::Utf8, &[("'a name'", is("a name"))]),
        case(
            "uuid",
            DataType::Utf8,
            &[
                ("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", is("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
                ("'00000000-0000-0000-0000-000000000000'", is("00000000-0000-0000-0000-000000000000")),
            ],
        ),
        case("json", DataType::Utf8, &[("'{\"b\": 1,  \"a\": [null]}'", is("{\"b\": 1,  \"a\": [null]}"))]),
        case(
            "jsonb",
            DataType::Utf8,
            &[("'{\"b\":1,\"a\":[null]}'", is("{\"a\": [null], \"b\": 1}")), ("'7'", is("7"))],
        ),
        case("mood", DataType::Utf8, &[("'sad'", is("sad")), ("'it''s \"fine\"'", is("it's \"fine\""))]),
        case("small", DataType::Int32, &[("7", is("7"))]),
    ]
}

fn times() -> Vec<Case> {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let local = DataType::Timestamp(TimeUnit::Microsecond, None);
    vec![
        case(
            "date",
            DataType::Date32,
            &[
                ("'1970-01-01'", is("0")),
                ("'2024-02-29'", is("19782")),
                ("'0001-01-01'", is("-719162")),
                ("'9999-12-31'", is("2932896")),
                ("'4714-11-24 BC'", is("-2440588")),
                ("'5874897-12-31'", is("2145042905")),
                ("'infinity'", INFINITE),
                ("'-infinity'", INFINITE),
            ],
        ),
        case(
            "time",
            DataType::Time64(TimeUnit::Microsecond),
            &[("'00:00'", is("0")), ("'23:59:59.999999'", is("86399999999")), ("'24:00'", BEYOND)],
        ),
        case(
            "timestamp",
            local.clone(),
            &[
                ("'1970-01-01 00:00:00.000001'", is("1")),
                ("'0001-01-01'", is("-62135596800000000")),
                ("'9999-12-31 23:59:59.999999'", is("253402300799999999")),
                ("'294276-12-31 23:59:59.999999'", BEYOND),
                ("'infinity'", INFINITE),
                ("'-infinity'", INFINITE),
            ],
        ),
        case("timestamp(0)", local, &[("'1970-01-01 00:00:01.4'", is("1000000"))]),
        case(
            "timestamptz",
            utc,
            &[
                ("'1970-01-01 02:00:00+02'", is("0")),
                ("'2024-03-31 02:30:00 Europe/Berlin'", is("1711848600000000")),
                ("'infinity'", INFINITE),
            ],
        ),
    ]
}

#[test]
fn every_claimed_type_arrives_as_it_is_or_as_a_fault_of_its_row() {
    let Some(server) = postgres() else { return };
    let database = server.database("types");
    // Settings of a database that would change how text looks.
    server.sql(
        &database,
        "ALTER DATABASE types SET timezone = 'Asia/Tokyo'; ALTER DATABASE types SET datestyle = 'SQL, DMY'; \
         ALTER DATABASE types SET extra_float_digits = -15; ALTER DATABASE types SET bytea_output = 'escape'",
    );
    server.sql(
        &database,
        "CREATE TYPE mood AS ENUM ('sad', 'it''s \"fine\"'); CREATE DOMAIN small AS integer CHECK (VALUE < 10)",
    );
    for (number, case) in numbers().into_iter().chain(decimals()).chain(texts()).chain(times()).enumerate() {
        let name = format!("t{number}");
        server.sql(
            &database,
            &format!("CREATE TABLE {name} (id int, v {}); INSERT INTO {name} VALUES {}", case.declared, case.rows()),
        );
        case.check(&mut open(server, &database, &name));
    }
}

#[test]
fn every_other_type_is_refused_by_name_and_can_be_left_out() {
    let Some(server) = postgres() else { return };
    let database = server.database("refused");
    server.sql(&database, "CREATE TYPE pair AS (a int, b text); CREATE DOMAIN raw AS bytea");
    let kinds = [
        ("bytea", "bytea"),
        ("interval", "interval"),
        ("integer[]", "integer[]"),
        ("text[]", "text[]"),
        ("timetz", "time with time zone"),
        ("money", "money"),
        ("inet", "inet"),
        ("cidr", "cidr"),
        ("macaddr", "macaddr"),
        ("bit(3)", "bit"),
        ("bit varying(3)", "bit varying"),
        ("xml", "xml"),
        ("tsvector", "tsvector"),
        ("point", "point"),
        ("int4range", "int4range"),
        ("oid", "oid"),
        ("\"char\"", "\"char\""),
        ("regclass", "regclass"),
        ("pair", "pair"),
        ("raw", "bytea"),
        ("pg_lsn", "pg_lsn"),
    ];
    for (number, (declared, name)) in kinds.iter().enumerate() {
        let of = format!("r{number}");
        // One row, which a query would have to fail on if it came so far.
        server.sql(&database, &format!("CREATE TABLE {of} (id int, v {declared}); INSERT INTO {of} VALUES (7, NULL)"));
        let mut source = open(server, &database, &of);
        assert_eq!(source.columns()[1].kind, None, "{declared}");
        let Some(DatabaseFault::Unsupported { column, kind }) = source.next_batch().err() else {
            panic!("{declared} is not refused");
        };
        assert_eq!((column.as_str(), kind.as_str()), ("v", *name));
        assert!(source.next_batch().unwrap().is_none(), "nothing comes after a fault");
        let mut source = open(server, &database, &of);
        source.project(&[true, false]);
        assert_eq!(Read::all(&mut source).unwrap().column(), [Some("7")]);
    }
}

#[test]
fn bytes_that_are_no_text_are_a_fault_of_their_row() {
    let Some(server) = postgres() else { return };
    server.sql("postgres", "CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0");
    server
        .sql("ascii", "CREATE TABLE t (id int, v text); INSERT INTO t VALUES (1, 'ok'), (2, E'M\\xfcller'), (3, 'ok')");
    let mut source = open(server, "ascii", "t");
    let read = Read::all(&mut source).unwrap();
    assert_eq!(read.rows.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(read.faults.len(), 1);
    assert_eq!((read.faults[0].row, read.faults[0].reason), (2, Reason::NotUtf8));
    server.sql("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    server.sql("latin", "CREATE TABLE t (v text); INSERT INTO t VALUES (E'M\\xfcller')");
    assert_eq!(Read::all(&mut open(server, "latin", "t")).unwrap().column(), [Some("Müller")]);
}

#[test]
fn expressions_have_the_types_that_the_server_says() {
    let Some(server) = postgres() else { return };
    let query = select("SELECT 1 AS a, 'x' AS b, 1.5 AS c, now() > 'epoch' AS d, NULL AS e");
    let login = server.login("postgres");
    let mut source =
        Source::open(Server::Postgres, server.stream(), &login, query, reading(Limits::default())).unwrap();
    let kinds: Vec<_> = source.columns().iter().map(|column| column.kind.clone().unwrap()).collect();
    assert_eq!(kinds, [DataType::Int32, DataType::Utf8, DataType::Utf8, DataType::Boolean, DataType::Utf8]);
    let read = Read::all(&mut source).unwrap();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(read.rows, [(1, vec![text("1"), text("x"), text("1.5"), text("true"), None])]);
}
