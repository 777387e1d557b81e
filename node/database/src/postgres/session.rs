//! One transaction of a PostgreSQL server, and what a statement in it would return.

use std::collections::BTreeMap;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use crate::fault::{Act, DatabaseFault, TypeName};
use crate::limits::Limits;
use crate::login::Login;
use crate::postgres::login::sign_on;
use crate::postgres::types::Type;
use crate::postgres::wire::Wire;
use crate::stream::Stream;

/// What a transaction is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Nothing can be written, and everything is seen as it was at one moment.
    Read,
    /// To land.
    Write,
}

/// Signs on and begins the one transaction.
pub(crate) fn begin(stream: Stream, login: &Login, limits: &Limits, purpose: Purpose) -> Result<Wire, DatabaseFault> {
    let mut wire = sign_on(stream, login, limits)?;
    wire.act = Act::Begin;
    let mode = match purpose {
        Purpose::Read => "ISOLATION LEVEL REPEATABLE READ READ ONLY",
        Purpose::Write => "ISOLATION LEVEL READ COMMITTED READ WRITE",
    };
    let millis = limits.statement_millis();
    wire.run(
        &format!(
            "BEGIN {mode}; SET LOCAL statement_timeout = {millis}; SET LOCAL lock_timeout = {millis}; \
             SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL extra_float_digits = 1; \
             SET LOCAL standard_conforming_strings = on"
        ),
        |_| Ok(()),
    )?;
    if purpose == Purpose::Read {
        hear_bytes(&mut wire)?;
    }
    Ok(wire)
}

/// A server that does not know the encoding of its own text ends the whole statement over one byte that is not UTF-8.
/// Such text is asked for as it is, and judged here, value by value.
fn hear_bytes(wire: &mut Wire) -> Result<(), DatabaseFault> {
    let mut unknown = false;
    wire.run("SHOW server_encoding", |row| {
        unknown = row == [Some(&b"SQL_ASCII"[..])];
        Ok(())
    })?;
    if unknown { wire.run("SET LOCAL client_encoding = 'SQL_ASCII'", |_| Ok(())) } else { Ok(()) }
}

/// A column that a statement returns.
pub(crate) struct Described {
    pub(crate) name: String,
    /// `None` for a type that is not supported.
    pub(crate) kind: Option<Type>,
    pub(crate) declared: TypeName,
}

/// Prepares the statement under a name, which it keeps, and says what it returns.
pub(crate) fn prepare(wire: &mut Wire, name: &str, statement: &str) -> Result<Vec<Described>, DatabaseFault> {
    wire.act = Act::Prepare;
    wire.put(|out| frontend::parse(name, statement, [], out))?;
    wire.put(|out| frontend::describe(b'S', name, out))?;
    frontend::sync(&mut wire.out);
    wire.send()?;
    let mut columns = None;
    wire.until_ready(|message| match message {
        Message::RowDescription(body) => {
            let fields =
                body.fields().map(|field| Ok((field.name().to_owned(), field.type_oid(), field.type_modifier())));
            columns = Some(fields.collect::<Vec<_>>().map_err(|_| DatabaseFault::Protocol)?);
            Ok(())
        }
        Message::ParseComplete | Message::ParameterDescription(_) | Message::NoData => Ok(()),
        _ => Err(DatabaseFault::Protocol),
    })?;
    let columns = columns.ok_or(DatabaseFault::NotASelect)?;
    let catalog = catalogue(wire, columns.iter().map(|(_, oid, _)| *oid))?;
    let described = columns.into_iter().map(|(name, oid, modifier)| {
        let (declared, is_enum) = catalog.get(&oid).cloned().unwrap_or((TypeName::of("unknown"), false));
        let kind = if is_enum { Some(Type::Text) } else { Type::of(oid, modifier) };
        Described { name, kind, declared }
    });
    Ok(described.collect())
}

/// The names of these types, and whether they are enumerations.
fn catalogue(
    wire: &mut Wire,
    oids: impl Iterator<Item = u32>,
) -> Result<BTreeMap<u32, (TypeName, bool)>, DatabaseFault> {
    let mut oids: Vec<u32> = oids.collect();
    oids.sort_unstable();
    oids.dedup();
    let mut found = BTreeMap::new();
    if oids.is_empty() {
        return Ok(found);
    }
    let list: Vec<String> = oids.iter().map(u32::to_string).collect();
    let statement = format!(
        "SELECT t.oid, pg_catalog.format_type(t.oid, NULL), t.typtype FROM pg_catalog.pg_type t WHERE t.oid IN ({})",
        list.join(",")
    );
    wire.run(&statement, |row| {
        let [Some(oid), Some(name), Some(kind)] = row else { return Err(DatabaseFault::Protocol) };
        let text = |cell: &[u8]| String::from_utf8_lossy(cell).into_owned();
        let oid = text(oid).parse().map_err(|_| DatabaseFault::Protocol)?;
        found.insert(oid, (TypeName::of(&text(name)), *kind == b"e"));
        Ok(())
    })?;
    Ok(found)
}
