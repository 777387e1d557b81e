//! Landing in PostgreSQL: the old version whole or the new one whole, and no value changed on the way.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, LargeStringArray, RecordBatch, StringArray, StringViewArray,
    Time64MicrosecondArray, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
    TimestampSecondArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow::datatypes::{Field, Int32Type, Schema};
use cohortium_database::fault::{Act, DatabaseFault, Reason};
use cohortium_database::land::{Absent, LandFault, Landing, Target};
use cohortium_database::limits::Limits;
use cohortium_database::query::TableName;
use cohortium_database::source::{Server, Source};

use crate::postgres::{Postgres, postgres};
use crate::read::{Read, reading, table};

/// A batch of these columns; each may have nulls.
fn batch(columns: &[(&str, ArrayRef)]) -> RecordBatch {
    let fields = columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new(schema, columns.iter().map(|(_, array)| Arc::clone(array)).collect()).unwrap()
}

fn target(name: &str, batch: &RecordBatch, absent: Absent) -> Target {
    let table = TableName { schema: Some("public".to_owned()), table: name.to_owned() };
    Target { table, schema: batch.schema(), absent }
}

fn begin(server: &Postgres, database: &str, targets: &[Target]) -> Result<Landing, LandFault> {
    Landing::begin(server.stream(), &server.login(database), &Limits::default(), targets)
}

/// Lands one batch in one table.
fn land(server: &Postgres, database: &str, name: &str, batch: &RecordBatch) -> Result<Vec<u64>, LandFault> {
    let mut landing = begin(server, database, &[target(name, batch, Absent::Refuse)])?;
    landing.write(0, batch)?;
    landing.commit()
}

fn ids(ids: impl IntoIterator<Item = i32>) -> RecordBatch {
    batch(&[("id", Arc::new(Int32Array::from_iter_values(ids)))])
}

fn everything() -> RecordBatch {
    let text = || vec![Some("it's \"fine\"\n\\N\u{202e}\u{1f3e5}"), None, Some("")];
    let micros = vec![Some(-62_135_596_800_000_000), None, Some(253_402_300_799_999_999)];
    batch(&[
        ("bool", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("i8", Arc::new(Int8Array::from(vec![Some(i8::MIN), None, Some(i8::MAX)]))),
        ("i16", Arc::new(Int16Array::from(vec![Some(i16::MIN), None, Some(i16::MAX)]))),
        ("i32", Arc::new(Int32Array::from(vec![Some(i32::MIN), None, Some(i32::MAX)]))),
        ("i64", Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)]))),
        ("u8", Arc::new(UInt8Array::from(vec![Some(0), None, Some(u8::MAX)]))),
        ("u16", Arc::new(UInt16Array::from(vec![Some(0), None, Some(u16::MAX)]))),
        ("u32", Arc::new(UInt32Array::from(vec![Some(0), None, Some(u32::MAX)]))),
        ("u64", Arc::new(UInt64Array::from(vec![Some(0), None, Some(u64::MAX)]))),
        ("f32", Arc::new(Float32Array::from(vec![Some(f32::MIN_POSITIVE), None, Some(f32::NAN)]))),
        ("f64", Arc::new(Float64Array::from(vec![Some(0.1), None, Some(f64::NEG_INFINITY)]))),
        (
            "decimal",
            Arc::new(
                Decimal128Array::from(vec![Some(10_i128.pow(38) - 1), None, Some(-1)])
                    .with_precision_and_scale(38, 5)
                    .unwrap(),
            ),
        ),
        ("text", Arc::new(StringArray::from(text()))),
        ("large", Arc::new(LargeStringArray::from(text()))),
        ("view", Arc::new(StringViewArray::from(text()))),
        ("dictionary", Arc::new(text().into_iter().collect::<DictionaryArray<Int32Type>>())),
        ("date", Arc::new(Date32Array::from(vec![Some(-2_440_588), None, Some(2_145_042_905)]))),
        ("time", Arc::new(Time64MicrosecondArray::from(vec![Some(0), None, Some(86_399_999_999)]))),
        ("local", Arc::new(TimestampMicrosecondArray::from(micros.clone()))),
        ("utc", Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC"))),
        ("seconds", Arc::new(TimestampSecondArray::from(vec![Some(-1), None, Some(1)]))),
        ("millis", Arc::new(TimestampMillisecondArray::from(vec![Some(-1), None, Some(1)]))),
        ("nanos", Arc::new(TimestampNanosecondArray::from(vec![Some(-1_000), None, Some(1_000)]))),
    ])
}

#[test]
fn every_type_lands_in_a_table_that_is_made_for_it_and_comes_back_the_same() {
    let Some(server) = postgres() else { return };
    let database = server.database("land_types");
    let rows = everything();
    let mut landing = begin(server, &database, &[target("all", &rows, Absent::Create)]).unwrap();
    landing.write(0, &rows).unwrap();
    landing.write(0, &rows.slice(1, 2)).unwrap();
    assert_eq!(landing.commit(), Ok(vec![5]));
    let login = server.login(&database);
    let query = table(Some("public"), "all");
    let mut source =
        Source::open(Server::Postgres, server.stream(), &login, query, reading(Limits::default())).unwrap();
    let read = Read::all(&mut source).unwrap();
    assert_eq!((read.rows.len(), read.faults.len()), (5, 0));
    let text = "it's \"fine\"\n\\N\u{202e}\u{1f3e5}";
    let digits = format!("{}.{}", "9".repeat(33), "9".repeat(5));
    let expected = [
        ["true", "false"],
        ["-128", "127"],
        ["-32768", "32767"],
        ["-2147483648", "2147483647"],
        ["-9223372036854775808", "9223372036854775807"],
        ["0", "255"],
        ["0", "65535"],
        ["0", "4294967295"],
        ["0", "18446744073709551615"],
        ["1.1754944e-38", "NaN"],
        ["0.1", "-inf"],
        [&digits, "-0.00001"],
        [text, ""],
        [text, ""],
        [text, ""],
        [text, ""],
        ["-2440588", "2145042905"],
        ["0", "86399999999"],
        ["-62135596800000000", "253402300799999999"],
        ["-62135596800000000", "253402300799999999"],
        ["-1000000", "1000000"],
        ["-1000", "1000"],
        ["-1", "1"],
    ];
    for (column, [first, last]) in expected.iter().enumerate() {
        let found: Vec<_> = read.rows.iter().map(|(_, row)| row[column].as_deref()).collect();
        assert_eq!(found, [Some(*first), None, Some(*last), None, Some(*last)], "column {column}");
    }
}

#[test]
fn numbers_land_in_numeric_with_every_digit() {
    let Some(server) = postgres() else { return };
    let database = server.database("land_numeric");
    server.sql(&database, "CREATE TABLE n (f numeric, d numeric, i numeric, p numeric(6,2))");
    let rows = batch(&[
        ("f", Arc::new(Float64Array::from(vec![0.1, -1e-20, 1e22, 123_456.789, f64::NAN, 0.0, 9999.0, 10000.0]))),
        (
            "d",
            Arc::new(
                Decimal128Array::from(vec![1, -10_000, 99_999_999, 100_000_000, 12, 0, 5, -7])
                    .with_precision_and_scale(20, 4)
                    .unwrap(),
            ),
        ),
        ("i", Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX, 0, 10_000, 9_999, 1, -1, 100_000_000]))),
        ("p", Arc::new(Float64Array::from(vec![9_999.99, -0.01, 0.5, 1.0, 2.25, 0.0, -9_999.99, 7.1]))),
    ]);
    assert_eq!(land(server, &database, "n", &rows), Ok(vec![8]));
    let lines = server.sql(&database, "SELECT * FROM n");
    let expected = [
        "0.1|0.0001|-9223372036854775808|9999.99",
        "-0.00000000000000000001|-1.0000|9223372036854775807|-0.01",
        "10000000000000000000000|9999.9999|0|0.50",
        "123456.789|10000.0000|10000|1.00",
        "NaN|0.0012|9999|2.25",
        "0|0.0000|1|0.00",
        "9999|0.0005|-1|-9999.99",
        "10000|-0.0007|100000000|7.10",
    ];
    assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_reader_sees_the_old_version_whole_or_the_new_one_whole() {
    let Some(server) = postgres() else { return };
    let database = server.database("land_whole");
    server.sql(
        &database,
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2); CREATE VIEW v AS SELECT * FROM t; \
         CREATE TABLE u (id int REFERENCES t); INSERT INTO u VALUES (1)",
    );
    let read = |source: &mut Source| {
        let read = Read::all(source).unwrap();
        read.column().into_iter().map(|cell| cell.unwrap().to_owned()).collect::<Vec<_>>()
    };
    let open = |name: &str| {
        let login = server.login(&database);
        Source::open(Server::Postgres, server.stream(), &login, table(None, name), reading(Limits::default())).unwrap()
    };
    // Its moment is before the landing; it looks at the tables only after it.
    let mut early = Source::open(
        Server::Postgres,
        server.stream(),
        &server.login(&database),
        table(None, "v"),
        reading(Limits::default()),
    )
    .unwrap();
    let rows = ids(10..13);
    let targets = [target("t", &rows, Absent::Refuse), target("u", &rows, Absent::Refuse)];
    let mut landing = begin(server, &database, &targets).unwrap();
    landing.write(0, &rows).unwrap();
    landing.write(1, &rows.slice(0, 1)).unwrap();
    landing.write(1, &rows.slice(2, 1)).unwrap();
    assert_eq!(read(&mut open("v")), ["1", "2"], "a reader meanwhile neither waits nor sees it");
    assert_eq!(landing.commit(), Ok(vec![3, 2]));
    assert_eq!(read(&mut early), ["1", "2"], "a reader from before sees what was there");
    assert_eq!(read(&mut open("v")), ["10", "11", "12"]);
    assert_eq!(read(&mut open("u")), ["10", "12"]);
}

#[test]
fn a_landing_that_is_not_committed_was_never_there() {
    let Some(server) = postgres() else { return };
    let database = server.database("land_never");
    server.sql(&database, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let kept = || assert_eq!(server.sql(&database, "SELECT string_agg(id::text, ',') FROM t").trim(), "1");
    let rows = ids(0..100_000);
    let both = [target("t", &rows, Absent::Refuse), target("made", &rows, Absent::Create)];
    let mut dropped = begin(server, &database, &both).unwrap();
    dropped.write(1, &rows).unwrap();
    drop(dropped);
    kept();
    assert_eq!(server.sql(&database, "SELECT to_regclass('made') IS NULL").trim(), "t");
    let mut killed = begin(server, &database, &both[..1]).unwrap();
    killed.write(0, &rows).unwrap();
    let ended = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity \
                 WHERE datname = 'land_never' AND application_name = 'cohortium'";
    assert_eq!(server.sql("postgres", ended).trim(), "1");
    let fault = killed.commit().unwrap_err();
    let ended = matches!(fault, LandFault::Database(DatabaseFault::Lost { .. } | DatabaseFault::Server { .. }));
    assert!(ended, "{fault:?}");
    kept();
    // A row that the server refuses: the second one with the same key.
    let twice = land(server, &database, "t", &ids([5, 5])).unwrap_err();
    let LandFault::Database(DatabaseFault::Server { act: Act::Write, state }) = &twice else { panic!("{twice:?}") };
    assert_eq!(state.as_str(), "23505");
    kept();
    assert_eq!(land(server, &database, "t", &ids([])), Ok(vec![0]), "a version may be empty");
}

#[test]
fn two_landings_wait_for_one_another() {
    let Some(server) = postgres() else { return };
    let database = server.database("land_two");
    server.sql(&database, "CREATE TABLE t (id int)");
    let (one, two) = (ids([1, 1]), ids([2, 2, 2]));
    let mut first = begin(server, &database, &[target("t", &one, Absent::Refuse)]).unwrap();
    first.write(0, &one).unwrap();
    let short = Limits { statement_timeout: std::time::Duration::from_millis(200), ..Limits::default() };
    let second =
        Landing::begin(server.stream(), &server.login(&database), &short, &[target("t", &two, Absent::Refuse)]);
    let fault = second.err().unwrap();
    let LandFault::Database(DatabaseFault::Server { act: Act::Clear, state }) = &fault else { panic!("{fault:?}") };
    assert!(["55P03", "57014"].contains(&state.as_str()), "{fault}");
    first.commit().unwrap();
    land(server, &database, "t", &two).unwrap();
    assert_eq!(server.sql(&database, "SELECT count(*) || ' ' || sum(id) FROM t").trim(), "3 6");
}

#[test]
fn what_does_not_fit_is_refused_by_name_before_anything_is_touched() {
    let Some(server) = postgres() else { return };
    let database = server.database("land_refused");
    server.sql(
        &database,
        "CREATE TABLE t (id int NOT NULL, at timestamp, b bytea, n numeric(5,-2), f real, \
         filled int NOT NULL DEFAULT 3, made int GENERATED ALWAYS AS IDENTITY); \
         CREATE VIEW v AS SELECT id FROM t; INSERT INTO t (id) VALUES (1)",
    );
    let id = || ("id", Arc::new(Int32Array::from(vec![1])) as ArrayRef);
    let of = |columns: &[(&str, ArrayRef)]| land(server, &database, "t", &batch(columns)).unwrap_err().to_string();
    let float = || Arc::new(Float64Array::from(vec![1.0])) as ArrayRef;
    assert_eq!(of(&[("id", float())]), "column id is Float64 and the table's is integer");
    assert_eq!(of(&[id(), ("f", float())]), "column f is Float64 and the table's is real");
    assert_eq!(of(&[id(), ("n", float())]), "column n is Float64 and the table's is numeric(5,-2)");
    let text = Arc::new(StringArray::from(vec!["x"])) as ArrayRef;
    assert_eq!(of(&[id(), ("b", Arc::clone(&text))]), "column b is Utf8 and the table's is bytea");
    assert_eq!(
        of(&[id(), ("at", Arc::clone(&text))]),
        "column at is Utf8 and the table's is timestamp without time zone"
    );
    let utc = Arc::new(TimestampMicrosecondArray::from(vec![1]).with_timezone("UTC")) as ArrayRef;
    assert!(of(&[id(), ("at", utc)]).starts_with("column at is Timestamp("));
    assert_eq!(of(&[id(), ("ID", Arc::clone(&text))]), "the table has no column ID");
    assert_eq!(of(&[("filled", id().1)]), "the table needs column id, which does not arrive");
    for gone in ["nowhere", "v"] {
        let fault = land(server, &database, gone, &ids([1])).unwrap_err();
        assert_eq!(fault, LandFault::NoSuchTable { target: 0 }, "{gone}");
    }
    let mut landing = begin(server, &database, &[target("t", &ids([1]), Absent::Refuse)]).unwrap();
    landing.write(0, &ids([1])).unwrap();
    assert_eq!(landing.write(0, &batch(&[("id", float())])), Err(LandFault::Schema { target: 0 }));
    assert_eq!(landing.write(0, &ids([2])), Err(LandFault::Lost));
    assert_eq!(landing.commit(), Err(LandFault::Lost));
    let mut landing = begin(server, &database, &[target("t", &ids([1]), Absent::Refuse)]).unwrap();
    assert_eq!(landing.write(1, &ids([1])), Err(LandFault::NoSuchTable { target: 1 }));
    drop(landing);
    assert_eq!(server.sql(&database, "SELECT count(*) FROM t").trim(), "1");
    assert_eq!(land(server, &database, "t", &ids([8])), Ok(vec![1]));
    assert_eq!(server.sql(&database, "SELECT id, filled FROM t").trim(), "8|3");
}

#[test]
fn a_value_that_would_not_arrive_as_it_is_is_a_fault_of_its_row() {
    let Some(server) = postgres() else { return };
    let database = server.database("land_values");
    server.sql(
        &database,
        "CREATE TABLE t (i2 smallint, i4 int, must int NOT NULL DEFAULT 0, v varchar(3), c char(3), x text, \
         n numeric(4,1), f numeric, u uuid, s timestamp(0), ts timestamp, ti time(3), d date)",
    );
    let long = |value| Arc::new(Int64Array::from(vec![Some(0), value])) as ArrayRef;
    let text = |first: &str, value: &str| Arc::new(StringArray::from(vec![first, value])) as ArrayRef;
    let float = |value| Arc::new(Float64Array::from(vec![0.0, value])) as ArrayRef;
    let micros = |value| Arc::new(TimestampMicrosecondArray::from(vec![0, value])) as ArrayRef;
    let nanos = |value| Arc::new(TimestampNanosecondArray::from(vec![0, value])) as ArrayRef;
    let seconds = |value| Arc::new(TimestampSecondArray::from(vec![0, value])) as ArrayRef;
    let time = |value| Arc::new(Time64MicrosecondArray::from(vec![0, value])) as ArrayRef;
    let date = |value| Arc::new(Date32Array::from(vec![0, value])) as ArrayRef;
    let uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    let unsigned = Arc::new(UInt64Array::from(vec![0, u64::MAX])) as ArrayRef;
    let cases = [
        ("i2", long(Some(32_768)), Reason::OutOfRange),
        ("i4", long(Some(-2_147_483_649)), Reason::OutOfRange),
        ("i4", unsigned, Reason::OutOfRange),
        ("must", long(None), Reason::Null),
        ("v", text("abc", "abcd"), Reason::TooLong),
        ("v", text("äöü", "abc "), Reason::TooLong),
        ("c", text("a", "abc "), Reason::TooLong),
        ("x", text("", "a\0b"), Reason::ZeroByte),
        ("n", float(1_000.0), Reason::OutOfRange),
        ("n", float(0.25), Reason::Inexact),
        ("f", float(f64::INFINITY), Reason::Infinite),
        ("u", text(uuid, &uuid.to_uppercase()), Reason::Malformed),
        ("u", text(uuid, "a0eebc999c0b4ef8bb6d6bb9bd380a11"), Reason::Malformed),
        ("s", micros(1), Reason::Inexact),
        ("ts", nanos(1), Reason::Inexact),
        ("ts", seconds(i64::MAX), Reason::OutOfRange),
        ("ts", micros(i64::MIN), Reason::OutOfRange),
        ("ti", time(1), Reason::Inexact),
        ("ti", time(86_400_000_000), Reason::OutOfRange),
        ("d", date(i32::MIN), Reason::OutOfRange),
        ("d", date(i32::MIN + 10_957), Reason::OutOfRange),
    ];
    for (column, values, reason) in cases {
        let rows = batch(&[(column, values)]);
        let Err(LandFault::Cell { target: 0, fault }) = land(server, &database, "t", &rows) else {
            panic!("{column} with {reason:?} is taken");
        };
        assert_eq!((fault.row, fault.column.as_str(), fault.reason), (2, column, reason));
        assert_eq!(land(server, &database, "t", &rows.slice(0, 1)), Ok(vec![1]), "{column}: the other row is fine");
    }
    assert_eq!(server.sql(&database, "SELECT d FROM t").trim(), "1970-01-01");
}
