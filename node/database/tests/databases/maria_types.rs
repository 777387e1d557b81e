//! Every type of MariaDB that is claimed, with ordinary, null, extreme and hostile values; every other one refused.

use arrow::datatypes::{DataType, TimeUnit};
use cohortium_database::fault::{DatabaseFault, Reason};
use cohortium_database::limits::Limits;
use cohortium_database::source::{Server, Source};

use crate::maria::{Maria, maria};
use crate::read::{Becomes, Case, Read, case, is, reading, table};

fn open(server: &Maria, database: &str, name: &str) -> Source {
    let query = table(Some(database), name);
    Source::open(Server::Maria, server.stream(), &server.login(database), query, reading(Limits::default())).unwrap()
}

const ZERO: Becomes = Becomes::Fault(Reason::ZeroDate);
const BEYOND: Becomes = Becomes::Fault(Reason::OutOfRange);

fn numbers() -> Vec<Case> {
    let digits38 = "9".repeat(38);
    vec![
        case("tinyint", DataType::Int8, &[("-128", is("-128")), ("127", is("127"))]),
        case("tinyint unsigned", DataType::UInt8, &[("0", is("0")), ("255", is("255"))]),
        case("boolean", DataType::Int8, &[("TRUE", is("1")), ("FALSE", is("0")), ("7", is("7"))]),
        case("smallint", DataType::Int16, &[("-32768", is("-32768")), ("32767", is("32767"))]),
        case("smallint unsigned", DataType::UInt16, &[("65535", is("65535"))]),
        case("mediumint", DataType::Int32, &[("-8388608", is("-8388608")), ("8388607", is("8388607"))]),
        case("mediumint unsigned", DataType::UInt32, &[("16777215", is("16777215"))]),
        case("int", DataType::Int32, &[("-2147483648", is("-2147483648")), ("2147483647", is("2147483647"))]),
        case("int unsigned", DataType::UInt32, &[("4294967295", is("4294967295"))]),
        case("bigint", DataType::Int64, &[("-9223372036854775808", is("-9223372036854775808"))]),
        case("bigint unsigned", DataType::UInt64, &[("18446744073709551615", is("18446744073709551615"))]),
        case(
            "float",
            DataType::Float32,
            &[("1.5", is("1.5")), ("-3.40282e38", is("-3.40282e38")), ("1e-38", is("1e-38"))],
        ),
        case(
            "double",
            DataType::Float64,
            &[
                ("0.1", is("0.1")),
                ("1.7976931348623157e308", is("1.7976931348623157e308")),
                ("-2.2250738585072014e-308", is("-2.2250738585072014e-308")),
            ],
        ),
        case(
            "decimal(10,2)",
            DataType::Decimal128(10, 2),
            &[("12345678.9", is("12345678.90")), ("-0.01", is("-0.01")), ("0", is("0.00"))],
        ),
        case("decimal(10,2) unsigned", DataType::Decimal128(10, 2), &[("99999999.99", is("99999999.99"))]),
        case(
            "decimal(38,0)",
            DataType::Decimal128(38, 0),
            &[(&digits38, is(&digits38)), (&format!("-{digits38}"), is(&format!("-{digits38}")))],
        ),
        case(
            "decimal(38,38)",
            DataType::Decimal128(38, 38),
            &[(&format!("0.{digits38}"), is(&format!("0.{digits38}")))],
        ),
        case("decimal(65,0)", DataType::Utf8, &[(&"9".repeat(65), is(&"9".repeat(65)))]),
        case("bit(1)", DataType::UInt64, &[("b'1'", is("1")), ("b'0'", is("0"))]),
        case(
            "bit(64)",
            DataType::UInt64,
            &[(&format!("b'{}'", "1".repeat(64)), is("18446744073709551615")), ("b'100000000'", is("256"))],
        ),
        case("year", DataType::UInt16, &[("1901", is("1901")), ("2155", is("2155")), ("0", ZERO)]),
    ]
}

fn texts() -> Vec<Case> {
    let long = "x".repeat(60_000);
    let hostile = [
        ("''", is("")),
        ("'NULL'", is("NULL")),
        ("'O''Brien\"`; DROP TABLE t; -- '", is("O'Brien\"`; DROP TABLE t; -- ")),
        ("'a\\nb\\tc\\\\N\\r\\0'", is("a\nb\tc\\N\r\0")),
        ("'Ünï\u{202e}cödé \u{1f3e5}'", is("Ünï\u{202e}cödé \u{1f3e5}")),
    ];
    let texts = |declared| {
        let mut case = case(declared, DataType::Utf8, &hostile);
        case.values.push(("REPEAT('x', 60000)".to_owned(), is(&long)));
        case
    };
    vec![
        case("varchar(100)", DataType::Utf8, &hostile),
        case("char(5)", DataType::Utf8, &[("'ab'", is("ab")), ("'abcde'", is("abcde"))]),
        case("varchar(9) CHARACTER SET latin1", DataType::Utf8, &[("'Müller'", is("Müller"))]),
        case("tinytext", DataType::Utf8, &hostile),
        texts("text"),
        texts("mediumtext"),
        texts("longtext"),
        case("json", DataType::Utf8, &[("'{\"b\": 1,  \"a\": [null]}'", is("{\"b\": 1,  \"a\": [null]}"))]),
        case("enum('sad','it''s \"fine\"')", DataType::Utf8, &[("'sad'", is("sad")), ("2", is("it's \"fine\""))]),
        case("set('a','b','c')", DataType::Utf8, &[("'c,a'", is("a,c")), ("''", is(""))]),
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
                ("'1000-01-01'", is("-354285")),
                ("'9999-12-31'", is("2932896")),
                ("'0000-00-00'", ZERO),
                ("'2024-00-10'", ZERO),
                ("'2024-02-00'", ZERO),
                ("'2024-02-31'", Becomes::Fault(Reason::NoSuchDay)),
            ],
        ),
        case(
            "time",
            DataType::Time64(TimeUnit::Microsecond),
            &[
                ("'00:00:00'", is("0")),
                ("'23:59:59'", is("86399000000")),
                ("'24:00:00'", BEYOND),
                ("'-00:00:01'", BEYOND),
                ("'838:59:59'", BEYOND),
            ],
        ),
        case("time(6)", DataType::Time64(TimeUnit::Microsecond), &[("'23:59:59.999999'", is("86399999999"))]),
        case(
            "datetime",
            local.clone(),
            &[
                ("'1970-01-01 00:00:00'", is("0")),
                ("'9999-12-31 23:59:59'", is("253402300799000000")),
                ("'0000-00-00 00:00:00'", ZERO),
                ("'2024-01-00 10:00:00'", ZERO),
            ],
        ),
        case("datetime(6)", local, &[("'1969-12-31 23:59:59.999999'", is("-1"))]),
        case(
            "timestamp",
            utc.clone(),
            &[
                ("'1970-01-01 09:00:01'", is("1000000")),
                ("'2024-06-01 12:00:00'", is("1717210800000000")),
                ("'0000-00-00 00:00:00'", ZERO),
            ],
        ),
        case("timestamp(6)", utc, &[("'2024-06-01 12:00:00.000001'", is("1717210800000001"))]),
    ]
}

#[test]
fn every_claimed_type_arrives_as_it_is_or_as_a_fault_of_its_row() {
    let Some(server) = maria() else { return };
    let database = server.database("types");
    for (number, case) in numbers().into_iter().chain(texts()).chain(times()).enumerate() {
        let name = format!("t{number}");
        // The zone is that of whoever writes; zero dates and days that are not there are let in, as old servers do.
        server.sql(
            &database,
            &format!(
                "SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+09:00'; \
                 CREATE TABLE {name} (id int PRIMARY KEY, v {} NULL) ENGINE = InnoDB; \
                 INSERT INTO {name} VALUES {}",
                case.declared,
                case.rows()
            ),
        );
        case.check(&mut open(server, &database, &name));
    }
}

#[test]
fn every_other_type_is_refused_by_name_and_can_be_left_out() {
    let Some(server) = maria() else { return };
    let database = server.database("refused");
    let kinds = [
        ("tinyblob", "blob"),
        ("blob", "blob"),
        ("mediumblob", "blob"),
        ("longblob", "blob"),
        ("binary(3)", "binary"),
        ("varbinary(3)", "varbinary"),
        ("point", "geometry"),
        ("geometry", "geometry"),
    ];
    for (number, (declared, name)) in kinds.iter().enumerate() {
        let of = format!("r{number}");
        server.sql(
            &database,
            &format!("CREATE TABLE {of} (id int, v {declared}) ENGINE = InnoDB; INSERT INTO {of} VALUES (7, NULL)"),
        );
        let mut source = open(server, &database, &of);
        assert_eq!(source.columns()[1].kind, None, "{declared}");
        let Some(DatabaseFault::Unsupported { column, kind }) = source.next_batch().err() else {
            panic!("{declared} is not refused");
        };
        assert_eq!((column.as_str(), kind.as_str()), ("v", *name));
        let mut source = open(server, &database, &of);
        source.project(&[true, false]);
        assert_eq!(Read::all(&mut source).unwrap().column(), [Some("7")]);
    }
}

#[test]
fn addresses_and_identifiers_come_as_the_text_that_the_server_gives() {
    let Some(server) = maria() else { return };
    let database = server.database("addresses");
    server.sql(
        &database,
        "CREATE TABLE t (a uuid, b inet6) ENGINE = InnoDB; \
         INSERT INTO t VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '::1')",
    );
    let mut source = open(server, &database, "t");
    let text = |text: &str| Some(text.to_owned());
    let read = Read::all(&mut source).unwrap();
    assert_eq!(read.rows, [(1, vec![text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), text("::1")])]);
}
