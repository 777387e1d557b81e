//! One transaction of a MariaDB server, and what a statement in it would return.

use crate::fault::{Act, DatabaseFault, TypeName};
use crate::limits::Limits;
use crate::login::Login;
use crate::maria::login::sign_on;
use crate::maria::packet::Payload;
use crate::maria::types::{Declared, Type};
use crate::maria::wire::{COM_QUERY, OK, Wire, end_of_rows};
use crate::query::TableName;
use crate::stream::Stream;

const COM_STMT_PREPARE: u8 = 0x16;
pub(crate) const COM_STMT_CLOSE: u8 = 0x19;

/// Signs on and begins the one transaction.
pub(crate) fn begin(stream: Stream, login: &Login, limits: &Limits) -> Result<Wire, DatabaseFault> {
    let mut wire = sign_on(stream, login, limits)?;
    wire.act = Act::Begin;
    let millis = limits.statement_millis();
    let (seconds, rest) = (millis / 1_000, millis % 1_000);
    let whole = millis.div_ceil(1_000);
    for statement in [
        "SET NAMES utf8mb4",
        "SET SESSION time_zone = '+00:00'",
        &format!("SET SESSION max_statement_time = {seconds}.{rest:03}, lock_wait_timeout = {whole}"),
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    ] {
        wire.run(statement)?;
    }
    Ok(wire)
}

/// A column that a statement returns.
pub(crate) struct Described {
    pub(crate) name: String,
    /// `None` for a type that is not supported.
    pub(crate) kind: Option<Type>,
    pub(crate) declared: TypeName,
}

/// A statement that the server holds ready.
pub(crate) struct Prepared {
    pub(crate) id: u32,
    pub(crate) columns: Vec<Described>,
}

/// Has the server hold the statement ready, and says what it returns.
pub(crate) fn prepare(wire: &mut Wire, statement: &str) -> Result<Prepared, DatabaseFault> {
    wire.act = Act::Prepare;
    wire.command(COM_STMT_PREPARE, statement.as_bytes())?;
    let mut answer = wire.receive()?;
    if answer.u8()? != OK {
        return Err(DatabaseFault::Protocol);
    }
    let (id, columns, parameters) = (answer.u32()?, answer.u16()?, answer.u16()?);
    if parameters > 0 {
        return Err(DatabaseFault::Query);
    }
    if columns == 0 {
        return Err(DatabaseFault::NotASelect);
    }
    Ok(Prepared { id, columns: definitions(wire, columns.into())?.0 })
}

/// What the statement returns.
pub(crate) fn describe(wire: &mut Wire, statement: &str) -> Result<Vec<Described>, DatabaseFault> {
    let prepared = prepare(wire, statement)?;
    wire.command(COM_STMT_CLOSE, &prepared.id.to_le_bytes())?;
    Ok(prepared.columns)
}

/// Reads the definitions of these many columns, and the flags of the end behind them.
pub(crate) fn definitions(wire: &mut Wire, columns: u64) -> Result<(Vec<Described>, u16), DatabaseFault> {
    let mut described = Vec::new();
    for _ in 0..columns {
        described.push(definition(wire.receive()?)?);
    }
    let flags = end_of_rows(wire.receive()?)?.ok_or(DatabaseFault::Protocol)?;
    Ok((described, flags))
}

fn definition(mut packet: Payload<'_>) -> Result<Described, DatabaseFault> {
    for _ in 0..4 {
        packet.counted()?; // catalogue, schema, table twice
    }
    let name = String::from_utf8_lossy(packet.counted()?).into_owned();
    packet.counted()?; // the name within its table
    packet.number()?;
    let (charset, length, code) = (packet.u16()?, packet.u32()?, packet.u8()?);
    let (flags, decimals) = (packet.u16()?, packet.u8()?);
    let declared = Declared { code, charset, length, flags, decimals };
    Ok(Described { name, kind: declared.kind(), declared: TypeName::of(&declared.name()) })
}

/// Refuses a table whose engine has no transactions: what is read of it would be of many moments.
pub(crate) fn check_engine(wire: &mut Wire, table: &TableName) -> Result<(), DatabaseFault> {
    let text = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
    let schema = table.schema.as_deref().map_or("DATABASE()".to_owned(), text);
    let statement = format!(
        "SELECT 1 FROM information_schema.TABLES t JOIN information_schema.ENGINES e ON t.ENGINE = e.ENGINE \
         WHERE t.TABLE_SCHEMA = {schema} AND t.TABLE_NAME = {} AND e.TRANSACTIONS = 'NO'",
        text(&table.table)
    );
    wire.act = Act::Prepare;
    wire.command(COM_QUERY, statement.as_bytes())?;
    let columns = wire.receive()?.number()?;
    definitions(wire, columns)?;
    let mut refused = false;
    while end_of_rows(wire.receive_row()?)?.is_none() {
        refused = true;
    }
    if refused { Err(DatabaseFault::NotTransactional) } else { Ok(()) }
}
