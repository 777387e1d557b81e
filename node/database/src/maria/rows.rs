//! Rows of a MariaDB table, out of a cursor that the server holds open: no more than asked for are on their way.

use crate::batch::Gather;
use crate::fault::{Act, DatabaseFault};
use crate::maria::packet::Payload;
use crate::maria::session::{COM_STMT_CLOSE, definitions, prepare};
use crate::maria::types::Type;
use crate::maria::wire::{OK, Wire, end_of_rows};
use crate::value::Value;

const COM_STMT_EXECUTE: u8 = 0x17;
const COM_STMT_FETCH: u8 = 0x1c;
/// The server holds the rows until they are asked for.
const CURSOR_READ_ONLY: u8 = 1;
/// The server's word that it does.
const CURSOR_EXISTS: u16 = 0x40;
/// The server's word that no rows are left.
const LAST_ROW_SENT: u16 = 0x80;

#[derive(Clone, Copy)]
enum Stand {
    /// The cursor waits to be asked.
    Waiting,
    /// Rows are on their way.
    Flowing,
    /// There are no more.
    Done,
}

/// Rows on their way.
pub(crate) struct Rows {
    wire: Wire,
    id: u32,
    types: Vec<Type>,
    at_once: u32,
    cell_bytes_max: usize,
    stand: Stand,
    holds: bool,
}

impl Rows {
    /// Has the server open the cursor. `kinds` is what the statement was found to return.
    pub(crate) fn begin(
        mut wire: Wire,
        statement: &str,
        kinds: &[Type],
        request_rows: u32,
        cell_bytes_max: usize,
    ) -> Result<Self, DatabaseFault> {
        let prepared = prepare(&mut wire, statement)?;
        wire.act = Act::Read;
        let mut order = prepared.id.to_le_bytes().to_vec();
        order.push(CURSOR_READ_ONLY);
        order.extend(1_u32.to_le_bytes());
        wire.command(COM_STMT_EXECUTE, &order)?;
        let columns = wire.receive()?.number()?;
        if columns != prepared.columns.len() as u64 {
            return Err(DatabaseFault::Changed);
        }
        let (described, flags) = definitions(&mut wire, columns)?;
        // What it says now is what it sends. Without columns one constant stands for them.
        let types: Option<Vec<Type>> = described.iter().map(|column| column.kind).collect();
        let types = types.filter(|types| kinds.is_empty() || types == kinds).ok_or(DatabaseFault::Changed)?;
        let holds = flags & CURSOR_EXISTS != 0;
        let stand = if holds { Stand::Waiting } else { Stand::Flowing };
        Ok(Self { wire, id: prepared.id, types, at_once: request_rows, cell_bytes_max, stand, holds })
    }

    /// The conversation, for another statement in the same transaction; `None` while rows are left.
    pub(crate) fn end(mut self) -> Result<Option<Wire>, DatabaseFault> {
        if !matches!(self.stand, Stand::Done) {
            return Ok(None);
        }
        self.wire.command(COM_STMT_CLOSE, &self.id.to_le_bytes())?;
        Ok(Some(self.wire))
    }

    /// Hands the next row to the batch; false when there is none.
    pub(crate) fn next(&mut self, batch: &mut Gather) -> Result<bool, DatabaseFault> {
        loop {
            match self.stand {
                Stand::Done => return Ok(false),
                Stand::Waiting => {
                    let order = [self.id.to_le_bytes(), self.at_once.to_le_bytes()].concat();
                    self.wire.command(COM_STMT_FETCH, &order)?;
                    self.stand = Stand::Flowing;
                }
                Stand::Flowing => {
                    let packet = self.wire.receive_row()?;
                    let Some(flags) = end_of_rows(packet)? else {
                        give(packet, &self.types, self.cell_bytes_max, batch)?;
                        return Ok(true);
                    };
                    let last = !self.holds || flags & LAST_ROW_SENT != 0;
                    self.stand = if last { Stand::Done } else { Stand::Waiting };
                }
            }
        }
    }
}

/// Reads a row: which of its cells are null, then the others.
fn give(mut row: Payload<'_>, types: &[Type], cell_bytes_max: usize, batch: &mut Gather) -> Result<(), DatabaseFault> {
    if row.u8()? != OK {
        return Err(DatabaseFault::Protocol);
    }
    let nulls = row.take((types.len() + 9) / 8)?;
    let mut values = Vec::with_capacity(types.len());
    for (place, kind) in types.iter().enumerate() {
        let bit = place + 2;
        let null = nulls[bit / 8] & (1 << (bit % 8)) != 0;
        values.push(if null { Ok(Value::Null) } else { kind.take(&mut row, cell_bytes_max)? });
    }
    if !row.rest().is_empty() {
        return Err(DatabaseFault::Protocol);
    }
    batch.take(values.into_iter())
}
