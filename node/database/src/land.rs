//! Landing results in a member's PostgreSQL: readers see the old version whole or the new one whole.
//!
//! The new rows come in by COPY, in one transaction over all tables, behind a DELETE of the old ones. That takes more
//! of the server than TRUNCATE or exchanging two tables by name. But those two show an *empty* table to a reader whose
//! transaction began before, and they lock readers out or lose what hangs on the table: views, grants, references.

use std::fmt;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::{BufMut, BytesMut};
use cohortium_protocol::ident::ColumnName;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use crate::fault::{Act, DatabaseFault, RowFault, TypeName};
use crate::limits::Limits;
use crate::login::Login;
use crate::postgres::copy::{HEAD, Ready, TAIL};
use crate::postgres::session::{Purpose, begin};
use crate::postgres::target::{Landed, create, match_columns};
use crate::postgres::wire::Wire;
use crate::query::{Quote, TableName};
use crate::stream::Stream;

/// Bytes of rows that are sent at once.
const PIECE_BYTES: usize = 256 * 1024;

/// What becomes of a table that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// The landing is refused.
    Refuse,
    /// It is made, with these columns.
    Create,
}

/// A table to land in.
#[derive(Debug, Clone)]
pub struct Target {
    /// The table.
    pub table: TableName,
    /// The columns that arrive.
    pub schema: SchemaRef,
    /// What becomes of it when it is not there.
    pub absent: Absent,
}

/// Why nothing was landed. No fault carries a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LandFault {
    /// The conversation failed.
    Database(DatabaseFault),
    /// A table is not there, or is no table.
    NoSuchTable {
        /// Its place among the targets, from 0.
        target: usize,
    },
    /// The table has no such column.
    NoSuchColumn {
        /// The column.
        column: ColumnName,
    },
    /// A column that the table needs is not among those that arrive.
    Missing {
        /// The column.
        column: ColumnName,
    },
    /// A column's name cannot be used.
    ColumnName {
        /// Its place, from 1; 0 for a column of the table.
        position: usize,
    },
    /// A column of ours does not fit the table's.
    Mismatch {
        /// The column.
        column: ColumnName,
        /// What arrives.
        ours: TypeName,
        /// What is there.
        theirs: TypeName,
    },
    /// A table cannot be made with such a column.
    NoType {
        /// The column.
        column: ColumnName,
        /// What arrives.
        ours: TypeName,
    },
    /// A batch has other columns than its target.
    Schema {
        /// The target's place, from 0.
        target: usize,
    },
    /// A value would not arrive as it is.
    Cell {
        /// The target's place, from 0.
        target: usize,
        /// Which value, and why.
        fault: RowFault,
    },
    /// The server counts other rows than were sent.
    Count {
        /// How many were sent.
        sent: u64,
        /// How many arrived.
        arrived: u64,
    },
    /// The connection was lost while committing: either version may be there, whole.
    CommitUnknown,
    /// Something failed before, and the version with it.
    Lost,
}

impl fmt::Display for LandFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(fault) => fault.fmt(f),
            Self::NoSuchTable { target } => write!(f, "table {} is not there", target + 1),
            Self::NoSuchColumn { column } => write!(f, "the table has no column {column}"),
            Self::Missing { column } => write!(f, "the table needs column {column}, which does not arrive"),
            Self::ColumnName { position } => write!(f, "column {position} has no usable name"),
            Self::Mismatch { column, ours, theirs } => {
                write!(f, "column {column} is {} and the table's is {}", ours.as_str(), theirs.as_str())
            }
            Self::NoType { column, ours } => write!(f, "no column can be made for {column}, {}", ours.as_str()),
            Self::Schema { target } => write!(f, "a batch for table {} has other columns", target + 1),
            Self::Cell { target, fault } => write!(f, "table {}, {fault}", target + 1),
            Self::Count { sent, arrived } => write!(f, "{sent} rows were sent and {arrived} arrived"),
            Self::Lost => f.write_str("this version was lost by an earlier fault"),
            Self::CommitUnknown => f.write_str("the connection was lost while committing: look which version is there"),
        }
    }
}

impl std::error::Error for LandFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Database(fault) = self { Some(fault) } else { None }
    }
}

impl From<DatabaseFault> for LandFault {
    fn from(fault: DatabaseFault) -> Self {
        Self::Database(fault)
    }
}

struct Table {
    name: String,
    schema: SchemaRef,
    columns: Vec<Landed>,
    rows: u64,
}

/// A new version on its way. Dropped before it is committed, it was never there.
#[expect(missing_debug_implementations, reason = "it holds rows")]
pub struct Landing {
    wire: Wire,
    tables: Vec<Table>,
    copying: Option<Copying>,
    lost: bool,
}

/// A COPY that is under way.
struct Copying {
    target: usize,
    rows: u64,
    piece: BytesMut,
}

impl Landing {
    /// Begins a new version of these tables, all of them together. Later ones may refer to earlier ones.
    ///
    /// # Errors
    /// [`LandFault`]; nothing has changed then.
    pub fn begin(stream: Stream, login: &Login, limits: &Limits, targets: &[Target]) -> Result<Self, LandFault> {
        let mut wire = begin(stream, login, limits, Purpose::Write)?;
        let mut tables = Vec::with_capacity(targets.len());
        for (place, target) in targets.iter().enumerate() {
            let Target { table, schema, absent } = target;
            let name = Quote::Double.table(table)?;
            let mut found = match_columns(&mut wire, table, schema)?;
            if found.is_none() && *absent == Absent::Create {
                create(&mut wire, table, schema)?;
                found = match_columns(&mut wire, table, schema)?;
            }
            let columns = found.ok_or(LandFault::NoSuchTable { target: place })?;
            tables.push(Table { name, schema: schema.clone(), columns, rows: 0 });
        }
        wire.act = Act::Clear;
        // Whoever reads goes on reading; another who lands waits.
        for table in &tables {
            wire.run(&format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", table.name), |_| Ok(()))?;
        }
        for table in tables.iter().rev() {
            wire.run(&format!("DELETE FROM {}", table.name), |_| Ok(()))?;
        }
        Ok(Self { wire, tables, copying: None, lost: false })
    }

    /// Writes rows to the target at this place.
    ///
    /// # Errors
    /// [`LandFault`]; the version is lost then, and cannot be committed any more.
    pub fn write(&mut self, target: usize, batch: &RecordBatch) -> Result<(), LandFault> {
        if self.lost {
            return Err(LandFault::Lost);
        }
        let written = self.put(target, batch);
        self.lost = written.is_err();
        written
    }

    fn put(&mut self, target: usize, batch: &RecordBatch) -> Result<(), LandFault> {
        if target >= self.tables.len() {
            return Err(LandFault::NoSuchTable { target });
        }
        if self.copying.as_ref().is_none_or(|copying| copying.target != target) {
            self.end_copy()?;
            self.begin_copy(target)?;
        }
        let (table, Some(copying)) = (&mut self.tables[target], &mut self.copying) else { return Ok(()) };
        if batch.schema().fields() != table.schema.fields() {
            return Err(LandFault::Schema { target });
        }
        let cell = |row, column: &Landed, reason| {
            let fault = RowFault { row, column: column.name.clone(), reason };
            LandFault::Cell { target, fault }
        };
        let first = table.rows + 1;
        let mut ready = Vec::with_capacity(table.columns.len());
        for (array, column) in batch.columns().iter().zip(&table.columns) {
            ready.push(Ready::of(array, column).map_err(|reason| cell(first, column, reason))?);
        }
        let width = i16::try_from(ready.len()).map_err(|_| DatabaseFault::TooManyColumns { max: 1_600 })?;
        for row in 0..batch.num_rows() {
            copying.piece.put_i16(width);
            for (values, column) in ready.iter().zip(&table.columns) {
                let put = values.put(row, &mut copying.piece);
                put.map_err(|reason| cell(first + row as u64, column, reason))?;
            }
            if copying.piece.len() >= PIECE_BYTES {
                send_piece(&mut self.wire, &mut copying.piece)?;
            }
        }
        table.rows += batch.num_rows() as u64;
        copying.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn begin_copy(&mut self, target: usize) -> Result<(), LandFault> {
        let table = &self.tables[target];
        let columns: Vec<String> =
            table.columns.iter().map(|column| Quote::Double.name(column.name.as_str())).collect();
        let statement = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", table.name, columns.join(", "));
        self.wire.act = Act::Write;
        self.wire.put(|out| frontend::query(&statement, out))?;
        self.wire.send()?;
        match self.wire.receive()? {
            Message::CopyInResponse(_) => {}
            _ => return Err(DatabaseFault::Protocol.into()),
        }
        self.copying = Some(Copying { target, rows: 0, piece: BytesMut::from(HEAD) });
        Ok(())
    }

    fn end_copy(&mut self) -> Result<(), LandFault> {
        let Some(mut copying) = self.copying.take() else { return Ok(()) };
        copying.piece.put_slice(&TAIL);
        send_piece(&mut self.wire, &mut copying.piece)?;
        frontend::copy_done(&mut self.wire.out);
        self.wire.send()?;
        let tag = self.wire.tag()?;
        let arrived = tag.strip_prefix("COPY ").and_then(|rows| rows.parse().ok()).ok_or(DatabaseFault::Protocol)?;
        if arrived == copying.rows { Ok(()) } else { Err(LandFault::Count { sent: copying.rows, arrived }) }
    }

    /// Makes the new version the one that everybody sees. Returns the rows of each table.
    ///
    /// # Errors
    /// [`LandFault`]; the old version is there then, except where the fault says that it is not known.
    pub fn commit(mut self) -> Result<Vec<u64>, LandFault> {
        if self.lost {
            return Err(LandFault::Lost);
        }
        self.end_copy()?;
        self.wire.act = Act::Commit;
        self.wire.put(|out| frontend::query("COMMIT", out))?;
        let told = self.wire.send().and_then(|()| self.wire.tag());
        match told.as_deref() {
            Ok("COMMIT") => Ok(self.tables.iter().map(|table| table.rows).collect()),
            Ok(_) => Err(DatabaseFault::Protocol.into()),
            Err(DatabaseFault::Server { .. }) => told.map(|_| Vec::new()).map_err(LandFault::from),
            Err(_) => Err(LandFault::CommitUnknown),
        }
    }
}

fn send_piece(wire: &mut Wire, piece: &mut BytesMut) -> Result<(), DatabaseFault> {
    let data = frontend::CopyData::new(piece.split()).map_err(|_| DatabaseFault::Protocol)?;
    data.write(&mut wire.out);
    wire.send()
}
