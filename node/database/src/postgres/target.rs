//! The columns of a table to land in, and how each column of ours gets into one of them, or why it does not.

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use cohortium_protocol::ident::ColumnName;

use crate::fault::{Act, DatabaseFault, TypeName};
use crate::land::LandFault;
use crate::postgres::numeric::Room;
use crate::postgres::types::numeric;
use crate::postgres::wire::Wire;
use crate::query::{Quote, TableName};

/// What a column of PostgreSQL takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taker {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    /// `numeric`, with the room that it has.
    Numeric(Option<Room>),
    /// `text`, `varchar` and `char`, with the most characters; `json` too, which keeps its text as it is.
    Text(Option<usize>),
    Uuid,
    Date,
    /// A time or point in time, in steps of so many microseconds.
    Time(i64),
    Timestamp(i64),
    TimestampTz(i64),
}

/// A column of the table.
struct Theirs {
    name: String,
    taker: Option<Taker>,
    declared: TypeName,
    /// Whether every row must have a value of ours.
    needed: bool,
    nullable: bool,
}

/// How a column of ours is landed.
#[derive(Debug, Clone)]
pub(crate) struct Landed {
    pub(crate) name: ColumnName,
    pub(crate) taker: Taker,
    pub(crate) nullable: bool,
}

/// Looks at the table and finds the way of every column of ours; `None` when there is no such table.
pub(crate) fn match_columns(
    wire: &mut Wire,
    table: &TableName,
    schema: &Schema,
) -> Result<Option<Vec<Landed>>, LandFault> {
    let theirs = look(wire, table)?;
    if theirs.is_empty() {
        return Ok(None);
    }
    let mut landed = Vec::with_capacity(schema.fields().len());
    for (place, field) in schema.fields().iter().enumerate() {
        let name = column_name(field, place)?;
        let found = theirs.iter().find(|theirs| theirs.name == *field.name());
        let found = found.ok_or_else(|| LandFault::NoSuchColumn { column: name.clone() })?;
        let taker = found.taker.filter(|taker| takes(*taker, field.data_type()));
        let mismatch = || LandFault::Mismatch {
            column: name.clone(),
            ours: TypeName::of(&field.data_type().to_string()),
            theirs: found.declared.clone(),
        };
        landed.push(Landed { taker: taker.ok_or_else(mismatch)?, name: name.clone(), nullable: found.nullable });
    }
    let ours = |theirs: &Theirs| landed.iter().any(|landed| landed.name.as_str() == theirs.name);
    match theirs.iter().find(|theirs| theirs.needed && !ours(theirs)) {
        None => Ok(Some(landed)),
        Some(missing) => match ColumnName::try_from(missing.name.clone()) {
            Ok(column) => Err(LandFault::Missing { column }),
            Err(_) => Err(LandFault::ColumnName { position: 0 }),
        },
    }
}

fn column_name(field: &Field, place: usize) -> Result<ColumnName, LandFault> {
    ColumnName::try_from(field.name().clone()).map_err(|_| LandFault::ColumnName { position: place + 1 })
}

fn look(wire: &mut Wire, table: &TableName) -> Result<Vec<Theirs>, DatabaseFault> {
    wire.act = Act::Look;
    let name = Quote::Double.table(table)?.replace('\'', "''");
    let statement = format!(
        "SELECT a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.atthasdef OR a.attidentity <> '', \
         pg_catalog.format_type(a.atttypid, a.atttypmod) \
         FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
         WHERE a.attrelid = pg_catalog.to_regclass('{name}') AND c.relkind IN ('r', 'p') \
         AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
    );
    let mut theirs = Vec::new();
    wire.run(&statement, |row| {
        let [Some(name), Some(oid), Some(modifier), Some(not_null), Some(filled), Some(declared)] = row else {
            return Err(DatabaseFault::Protocol);
        };
        let text = |cell: &[u8]| String::from_utf8_lossy(cell).into_owned();
        let oid: u32 = text(oid).parse().map_err(|_| DatabaseFault::Protocol)?;
        let modifier: i32 = text(modifier).parse().map_err(|_| DatabaseFault::Protocol)?;
        let not_null = *not_null == b"t";
        theirs.push(Theirs {
            name: text(name),
            taker: taker(oid, modifier),
            declared: TypeName::of(&text(declared)),
            needed: not_null && *filled != b"t",
            nullable: !not_null,
        });
        Ok(())
    })?;
    Ok(theirs)
}

/// What a type takes; `None` for one in which nothing is landed.
fn taker(oid: u32, modifier: i32) -> Option<Taker> {
    // The modifier of a text counts its own four bytes.
    let characters = modifier.checked_sub(4).and_then(|most| usize::try_from(most).ok());
    let step = |modifier: i32| match u32::try_from(modifier) {
        Ok(digits @ 0..=5) => 10_i64.pow(6 - digits),
        _ => 1,
    };
    Some(match oid {
        16 => Taker::Bool,
        20 => Taker::Int8,
        21 => Taker::Int2,
        23 => Taker::Int4,
        25 | 114 => Taker::Text(None),
        700 => Taker::Float4,
        701 => Taker::Float8,
        1042 | 1043 => Taker::Text(characters),
        1082 => Taker::Date,
        1083 => Taker::Time(step(modifier)),
        1114 => Taker::Timestamp(step(modifier)),
        1184 => Taker::TimestampTz(step(modifier)),
        1700 => Taker::Numeric(match numeric(modifier) {
            None => None,
            Some((precision, scale)) => {
                // A scale below zero or above the precision rounds in ways of its own.
                let before = usize::try_from(precision.checked_sub(scale)?).ok()?;
                Some(Room { before, behind: usize::try_from(scale).ok()? })
            }
        }),
        2950 => Taker::Uuid,
        _ => return None,
    })
}

/// Whether a column of ours may go there. Values are looked at one by one where the type alone does not decide.
fn takes(taker: Taker, ours: &DataType) -> bool {
    let ours = match ours {
        DataType::Dictionary(_, values) => values,
        plain => plain,
    };
    match taker {
        Taker::Bool => *ours == DataType::Boolean,
        Taker::Int2 | Taker::Int4 | Taker::Int8 => ours.is_integer(),
        Taker::Float4 => *ours == DataType::Float32,
        Taker::Float8 => matches!(ours, DataType::Float32 | DataType::Float64),
        Taker::Numeric(_) => {
            let decimal = matches!(ours, DataType::Decimal128(_, 0..));
            decimal || ours.is_integer() || *ours == DataType::Float64
        }
        Taker::Text(_) | Taker::Uuid => matches!(ours, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
        Taker::Date => *ours == DataType::Date32,
        Taker::Time(_) => matches!(ours, DataType::Time64(_)),
        Taker::Timestamp(_) => matches!(ours, DataType::Timestamp(_, None)),
        Taker::TimestampTz(_) => matches!(ours, DataType::Timestamp(_, Some(_))),
    }
}

/// Makes a table for these columns.
pub(crate) fn create(wire: &mut Wire, table: &TableName, schema: &Schema) -> Result<(), LandFault> {
    let mut columns = Vec::with_capacity(schema.fields().len());
    for (place, field) in schema.fields().iter().enumerate() {
        let name = column_name(field, place)?;
        let kind = declared(field.data_type()).ok_or_else(|| LandFault::NoType {
            column: name.clone(),
            ours: TypeName::of(&field.data_type().to_string()),
        })?;
        let null = if field.is_nullable() { "" } else { " NOT NULL" };
        columns.push(format!("{} {kind}{null}", Quote::Double.name(name.as_str())));
    }
    wire.act = Act::Create;
    let statement = format!("CREATE TABLE {} ({})", Quote::Double.table(table)?, columns.join(", "));
    Ok(wire.run(&statement, |_| Ok(()))?)
}

/// The type that takes every value of one of ours.
fn declared(ours: &DataType) -> Option<String> {
    let name = match ours {
        DataType::Dictionary(_, values) => return declared(values),
        DataType::Boolean => "boolean",
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "smallint",
        DataType::Int32 | DataType::UInt16 => "integer",
        DataType::Int64 | DataType::UInt32 => "bigint",
        DataType::UInt64 => "numeric(20, 0)",
        DataType::Float32 => "real",
        DataType::Float64 => "double precision",
        DataType::Decimal128(precision, scale @ 0..) => return Some(format!("numeric({precision}, {scale})")),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text",
        DataType::Date32 => "date",
        DataType::Time64(_) => "time",
        DataType::Timestamp(_, None) => "timestamp",
        DataType::Timestamp(_, Some(_)) => "timestamptz",
        _ => return None,
    };
    Some(name.to_owned())
}

/// How many of a unit make a second.
pub(crate) const fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}
