//! Reading a table, or one SELECT, in batches and in bounded memory.
//!
//! Everything is read in one transaction that cannot write and sees one moment's state: repeatable read in PostgreSQL,
//! a consistent snapshot in MariaDB. What a session may otherwise do is the account's matter: give it SELECT alone.

use std::time::Instant;

use arrow::datatypes::DataType;
use cohortium_protocol::ident::ColumnName;

use crate::batch::{Batch, Faulty, Gather};
use crate::cells::Cells;
use crate::column::{SourceColumn, named_once};
use crate::fault::{DatabaseFault, TypeName};
use crate::limits::Limits;
use crate::login::Login;
use crate::maria;
use crate::pace::Pace;
use crate::postgres;
use crate::query::{Query, Quote};
use crate::stream::Stream;

/// What speaks at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// PostgreSQL, 10 or later; tested with 15.
    Postgres,
    /// MariaDB, 10.3 or later; tested with 10.11.
    Maria,
}

/// How a source is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Bounds and pace.
    pub limits: Limits,
    /// What becomes of a row with a value that cannot be given on.
    pub faulty: Faulty,
}

/// A table that is being read.
#[expect(missing_debug_implementations, reason = "it holds rows")]
pub struct Source {
    columns: Vec<SourceColumn>,
    wanted: Vec<bool>,
    query: Query,
    reading: Reading,
    pace: Pace,
    stage: Stage,
}

/// The columns of a statement with how the server sends each.
enum Session {
    Postgres { wire: postgres::wire::Wire, kinds: Vec<Option<postgres::types::Type>> },
    Maria { wire: maria::wire::Wire, kinds: Vec<Option<maria::types::Type>> },
}

/// A conversation between two statements.
enum Wire {
    Postgres(postgres::wire::Wire),
    Maria(maria::wire::Wire),
}

enum Rows {
    Postgres(postgres::rows::Rows),
    Maria(maria::rows::Rows),
}

enum Stage {
    Prepared(Box<Session>),
    Reading(Box<(Rows, Gather)>),
    /// Nothing is left; with the conversation where the rows were read to their end.
    Ended(Option<Box<Wire>>),
}

impl Source {
    /// Signs on over the stream, begins the transaction and looks at the columns. No row is read yet.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub fn open(
        server: Server,
        stream: Stream,
        login: &Login,
        query: Query,
        reading: Reading,
    ) -> Result<Self, DatabaseFault> {
        let limits = &reading.limits;
        let wire = match server {
            Server::Postgres => {
                Wire::Postgres(postgres::session::begin(stream, login, limits, postgres::session::Purpose::Read)?)
            }
            Server::Maria => Wire::Maria(maria::session::begin(stream, login, limits)?),
        };
        Self::look(wire, query, reading)
    }

    /// Another source in the same transaction: what it reads is of the moment of the one before, which was read to its end.
    ///
    /// # Errors
    /// [`DatabaseFault`]; [`DatabaseFault::Query`] when rows of the one before are left.
    pub fn then(self, query: Query, reading: Reading) -> Result<Self, DatabaseFault> {
        let Stage::Ended(Some(wire)) = self.stage else { return Err(DatabaseFault::Query) };
        Self::look(*wire, query, reading)
    }

    /// Looks at the columns of a query.
    fn look(wire: Wire, query: Query, reading: Reading) -> Result<Self, DatabaseFault> {
        let limits = &reading.limits;
        let (columns, session) = match wire {
            Wire::Postgres(mut wire) => {
                let statement = query.all(Quote::Double)?;
                let described = postgres::session::prepare(&mut wire, "cohortium_look", &statement)?;
                let names = named_once(described.iter().map(|column| column.name.as_str()), limits.columns_max)?;
                let kinds: Vec<_> = described.iter().map(|column| column.kind).collect();
                let types = kinds.iter().map(|kind| kind.map(postgres::types::Type::data_type));
                let declared = described.into_iter().map(|column| column.declared);
                (zipped(names, types, declared), Session::Postgres { wire, kinds })
            }
            Wire::Maria(mut wire) => {
                let statement = query.all(Quote::Back)?;
                if let Query::Table(table) = &query {
                    maria::session::check_engine(&mut wire, table)?;
                }
                let described = maria::session::describe(&mut wire, &statement)?;
                let names = named_once(described.iter().map(|column| column.name.as_str()), limits.columns_max)?;
                let kinds: Vec<_> = described.iter().map(|column| column.kind).collect();
                let types = kinds.iter().map(|kind| kind.map(maria::types::Type::data_type));
                let declared = described.into_iter().map(|column| column.declared);
                (zipped(names, types, declared), Session::Maria { wire, kinds })
            }
        };
        let (wanted, pace) = (vec![true; columns.len()], Pace::new(limits.rows_per_second));
        Ok(Self { columns, wanted, query, reading, pace, stage: Stage::Prepared(Box::new(session)) })
    }

    /// The columns, in the table's order.
    pub fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    /// Reads only these columns, one flag for each; to be called before the first batch. The server sends no others.
    ///
    /// # Panics
    /// When there are not as many flags as columns, or rows were read already: a fault of the caller.
    pub fn project(&mut self, wanted: &[bool]) {
        assert_eq!(wanted.len(), self.columns.len(), "one flag a column");
        assert!(matches!(self.stage, Stage::Prepared(_)), "nothing was read yet");
        self.wanted = wanted.to_vec();
    }

    /// The next rows; `None` at the end. A batch may have no rows, when all of them were set aside.
    ///
    /// # Errors
    /// [`DatabaseFault`]: before the first row when a column that is wanted is not supported. Nothing can be read
    /// after one.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, DatabaseFault> {
        if let Stage::Prepared(_) = self.stage {
            let Stage::Prepared(session) = std::mem::replace(&mut self.stage, Stage::Ended(None)) else {
                return Ok(None);
            };
            self.stage = Stage::Reading(Box::new(self.begin(*session)?));
        }
        let Stage::Reading(reading) = &mut self.stage else { return Ok(None) };
        let (rows, batch) = reading.as_mut();
        self.pace.wait();
        let began = Instant::now();
        let filled = fill(rows, batch).map_err(|fault| fault.after(batch.rows()));
        match filled {
            Ok(()) if batch.pending() > 0 => {
                self.pace.took(batch.pending(), began);
                Ok(Some(batch.finish()))
            }
            Ok(()) => {
                let Stage::Reading(reading) = std::mem::replace(&mut self.stage, Stage::Ended(None)) else {
                    return Ok(None);
                };
                self.stage = Stage::Ended(reading.0.end()?.map(Box::new));
                Ok(None)
            }
            Err(fault) => {
                self.stage = Stage::Ended(None);
                Err(fault)
            }
        }
    }

    fn begin(&self, session: Session) -> Result<(Rows, Gather), DatabaseFault> {
        let wanted: Vec<usize> = (0..self.columns.len()).filter(|place| self.wanted[*place]).collect();
        let mut arriving = Vec::with_capacity(wanted.len());
        for place in &wanted {
            let SourceColumn { name, kind, declared } = &self.columns[*place];
            let cells = kind.as_ref().and_then(Cells::of);
            let refused = || DatabaseFault::Unsupported { column: name.clone(), kind: declared.clone() };
            arriving.push((*place, name.clone(), cells.ok_or_else(refused)?));
        }
        let names: Vec<&str> = wanted.iter().map(|place| self.columns[*place].name.as_str()).collect();
        let limits = self.reading.limits;
        let (request, cell_max) = (limits.request_rows(), limits.cell_bytes_max);
        let rows = match session {
            Session::Postgres { wire, kinds } => {
                let kinds: Vec<_> = wanted.iter().filter_map(|place| kinds[*place]).collect();
                let statement = self.query.only(Quote::Double, &names)?;
                Rows::Postgres(postgres::rows::Rows::begin(wire, &statement, &kinds, request, cell_max)?)
            }
            Session::Maria { wire, kinds } => {
                let kinds: Vec<_> = wanted.iter().filter_map(|place| kinds[*place]).collect();
                let statement = self.query.only(Quote::Back, &names)?;
                Rows::Maria(maria::rows::Rows::begin(wire, &statement, &kinds, request, cell_max)?)
            }
        };
        Ok((rows, Gather::new(self.columns.len(), arriving.into_iter(), self.reading.faulty, limits)))
    }
}

impl Rows {
    fn end(self) -> Result<Option<Wire>, DatabaseFault> {
        Ok(match self {
            Self::Postgres(rows) => rows.end()?.map(Wire::Postgres),
            Self::Maria(rows) => rows.end()?.map(Wire::Maria),
        })
    }
}

fn zipped(
    names: Vec<ColumnName>,
    kinds: impl Iterator<Item = Option<DataType>>,
    declared: impl Iterator<Item = TypeName>,
) -> Vec<SourceColumn> {
    let parts = names.into_iter().zip(kinds).zip(declared);
    parts.map(|((name, kind), declared)| SourceColumn { name, kind, declared }).collect()
}

/// Fills the batch, or as much of it as there is.
fn fill(rows: &mut Rows, batch: &mut Gather) -> Result<(), DatabaseFault> {
    while !batch.is_full() {
        let more = match rows {
            Rows::Postgres(rows) => rows.next(batch),
            Rows::Maria(rows) => rows.next(batch),
        };
        match more {
            Ok(true) => {}
            Ok(false) => break,
            Err(DatabaseFault::RowTooLong { .. }) => {
                return Err(DatabaseFault::RowTooLong { row: batch.rows() + 1 });
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}
