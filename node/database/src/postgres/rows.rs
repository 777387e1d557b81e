//! Rows of a PostgreSQL table, out of a portal that the server holds open: no more than asked for are on their way.

use fallible_iterator::FallibleIterator;
use postgres_protocol::IsNull;
use postgres_protocol::message::backend::{DataRowBody, Message};
use postgres_protocol::message::frontend;

use crate::batch::Gather;
use crate::fault::{Act, DatabaseFault, Reason};
use crate::postgres::session::prepare;
use crate::postgres::types::Type;
use crate::postgres::wire::Wire;
use crate::value::Value;

/// The name of the prepared statement.
const PLAN: &str = "cohortium_plan";
/// The name of the portal.
const PORTAL: &str = "cohortium_rows";

/// Where the conversation stands.
#[derive(Clone, Copy)]
enum Stand {
    /// The portal waits to be asked.
    Waiting,
    /// Rows are on their way.
    Flowing,
    /// The server has said how the request ended, and will say that it is ready.
    Ending { last: bool },
    /// There are no more.
    Done,
}

/// Rows on their way.
pub(crate) struct Rows {
    wire: Wire,
    types: Vec<Type>,
    at_once: i32,
    cell_bytes_max: usize,
    stand: Stand,
}

impl Rows {
    /// Has the server open the portal. `kinds` is what the statement was found to return.
    pub(crate) fn begin(
        mut wire: Wire,
        statement: &str,
        kinds: &[Type],
        request_rows: u32,
        cell_bytes_max: usize,
    ) -> Result<Self, DatabaseFault> {
        let described = prepare(&mut wire, PLAN, statement)?;
        // Without columns one constant stands for them.
        let same = kinds.is_empty() || described.iter().map(|column| column.kind).eq(kinds.iter().copied().map(Some));
        if !same {
            return Err(DatabaseFault::Changed);
        }
        wire.act = Act::Read;
        let forms = kinds.iter().map(|kind| kind.form());
        let nothing = |(), _: &mut _| Ok(IsNull::Yes);
        wire.put(|out| {
            frontend::bind(PORTAL, PLAN, [], [], nothing, forms, out).map_err(|_| std::io::Error::other(""))
        })?;
        let at_once = i32::try_from(request_rows).unwrap_or(i32::MAX);
        Ok(Self { wire, types: kinds.to_vec(), at_once, cell_bytes_max, stand: Stand::Waiting })
    }

    /// The conversation, for another statement in the same transaction; `None` while rows are left.
    pub(crate) fn end(mut self) -> Result<Option<Wire>, DatabaseFault> {
        if !matches!(self.stand, Stand::Done) {
            return Ok(None);
        }
        // Their names are for the next one.
        self.wire.run("CLOSE ALL; DEALLOCATE ALL", |_| Ok(()))?;
        Ok(Some(self.wire))
    }

    /// Hands the next row to the batch; false when there is none.
    pub(crate) fn next(&mut self, batch: &mut Gather) -> Result<bool, DatabaseFault> {
        loop {
            match self.stand {
                Stand::Done => return Ok(false),
                Stand::Waiting => {
                    self.wire.put(|out| frontend::execute(PORTAL, self.at_once, out))?;
                    frontend::sync(&mut self.wire.out);
                    self.wire.send()?;
                    self.stand = Stand::Flowing;
                }
                Stand::Flowing => match self.wire.receive()? {
                    Message::DataRow(row) => {
                        self.give(&row, batch)?;
                        return Ok(true);
                    }
                    Message::BindComplete => {}
                    Message::PortalSuspended => self.stand = Stand::Ending { last: false },
                    Message::CommandComplete(_) => self.stand = Stand::Ending { last: true },
                    _ => return Err(DatabaseFault::Protocol),
                },
                Stand::Ending { last } => match self.wire.receive()? {
                    Message::ReadyForQuery(_) => self.stand = if last { Stand::Done } else { Stand::Waiting },
                    _ => return Err(DatabaseFault::Protocol),
                },
            }
        }
    }

    fn give(&self, row: &DataRowBody, batch: &mut Gather) -> Result<(), DatabaseFault> {
        let cells: Vec<_> = row.ranges().collect().map_err(|_| DatabaseFault::Protocol)?;
        if cells.len() != self.types.len().max(1) {
            return Err(DatabaseFault::Protocol);
        }
        batch.take(cells.into_iter().zip(&self.types).map(|(cell, kind)| match cell {
            None => Ok(Value::Null),
            Some(range) if range.len() > self.cell_bytes_max => Err(Reason::TooLong),
            Some(range) => kind.decode(&row.buffer()[range]),
        }))
    }
}
