//! Messages to and from a PostgreSQL server. A message's length is checked before memory is taken for it.

use std::io::{Read, Write};

use bytes::{Buf, BytesMut};
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{ErrorResponseBody, Message};
use postgres_protocol::message::frontend;

use crate::fault::{Act, DatabaseFault, SqlState};
use crate::tls::Channel;

/// The longest message that is no row: a description of as many columns as there may be.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// The tag of a row.
const ROW: u8 = b'D';

/// A conversation after its transport was agreed on.
pub(crate) struct Wire {
    channel: Channel,
    /// Messages that were written and not yet sent.
    pub(crate) out: BytesMut,
    received: BytesMut,
    row_bytes_max: usize,
    /// What is being done, for the fault when it is refused.
    pub(crate) act: Act,
    ended: bool,
}

impl Wire {
    pub(crate) fn new(channel: Channel, row_bytes_max: usize) -> Self {
        let (out, received) = (BytesMut::new(), BytesMut::new());
        Self { channel, out, received, row_bytes_max, act: Act::Login, ended: false }
    }

    /// Writes a message whose parts may not fit.
    pub(crate) fn put(
        &mut self,
        message: impl FnOnce(&mut BytesMut) -> std::io::Result<()>,
    ) -> Result<(), DatabaseFault> {
        message(&mut self.out).map_err(|_| DatabaseFault::Query)
    }

    /// Sends what was written.
    pub(crate) fn send(&mut self) -> Result<(), DatabaseFault> {
        let sent = self.channel.write_all(&self.out).and_then(|()| self.channel.flush());
        self.out.clear();
        self.noted(sent.map_err(DatabaseFault::from))
    }

    /// The next message that is an answer. A refusal of the server is a fault.
    pub(crate) fn receive(&mut self) -> Result<Message, DatabaseFault> {
        let received = self.answer();
        self.noted(received)
    }

    fn answer(&mut self) -> Result<Message, DatabaseFault> {
        loop {
            match self.message()? {
                // A word by the way; its text is never looked at.
                Message::NoticeResponse(_) | Message::ParameterStatus(_) | Message::NotificationResponse(_) => {}
                Message::ErrorResponse(body) => {
                    return Err(DatabaseFault::Server { act: self.act, state: state_of(&body) });
                }
                message => return Ok(message),
            }
        }
    }

    fn message(&mut self) -> Result<Message, DatabaseFault> {
        let mut head = [0; 5];
        self.channel.read_exact(&mut head)?;
        let [tag, length @ ..] = head;
        let length = usize::try_from(i32::from_be_bytes(length)).map_err(|_| DatabaseFault::Protocol)?;
        let most = if tag == ROW { self.row_bytes_max } else { MESSAGE_BYTES_MAX };
        if length < 4 {
            return Err(DatabaseFault::Protocol);
        }
        if length > most {
            // The reader of rows knows which one it is.
            return Err(if tag == ROW { DatabaseFault::RowTooLong { row: 0 } } else { DatabaseFault::Protocol });
        }
        self.received.clear();
        self.received.reserve(length + 1);
        self.received.extend_from_slice(&head);
        self.received.resize(length + 1, 0);
        self.channel.read_exact(&mut self.received[head.len()..])?;
        let message = Message::parse(&mut self.received).map_err(|_| DatabaseFault::Protocol)?;
        if self.received.has_remaining() {
            return Err(DatabaseFault::Protocol);
        }
        message.ok_or(DatabaseFault::Protocol)
    }

    /// A conversation that has failed is not taken up again, not even to say goodbye.
    fn noted<T>(&mut self, done: Result<T, DatabaseFault>) -> Result<T, DatabaseFault> {
        self.ended |= done.is_err();
        done
    }

    /// Receives up to the server's word that it is ready, and hands every answer on the way to `each`.
    pub(crate) fn until_ready(
        &mut self,
        mut each: impl FnMut(Message) -> Result<(), DatabaseFault>,
    ) -> Result<(), DatabaseFault> {
        loop {
            match self.receive()? {
                Message::ReadyForQuery(_) => return Ok(()),
                message => each(message)?,
            }
        }
    }

    /// The server's word on the one statement that it was doing.
    pub(crate) fn tag(&mut self) -> Result<String, DatabaseFault> {
        let mut tag = None;
        self.until_ready(|message| match message {
            Message::CommandComplete(body) => {
                tag = Some(body.tag().map_err(|_| DatabaseFault::Protocol)?.to_owned());
                Ok(())
            }
            _ => Err(DatabaseFault::Protocol),
        })?;
        tag.ok_or(DatabaseFault::Protocol)
    }

    /// Has the server run statements of ours, and hands every row's cells to `each`. The statements are not the user's.
    pub(crate) fn run(
        &mut self,
        statements: &str,
        mut each: impl FnMut(&[Option<&[u8]>]) -> Result<(), DatabaseFault>,
    ) -> Result<(), DatabaseFault> {
        self.put(|out| frontend::query(statements, out))?;
        self.send()?;
        self.until_ready(|message| match message {
            Message::DataRow(row) => {
                let ranges: Vec<_> = row.ranges().collect().map_err(|_| DatabaseFault::Protocol)?;
                let cells = ranges.into_iter().map(|range| range.map(|range| &row.buffer()[range]));
                each(&cells.collect::<Vec<_>>())
            }
            Message::RowDescription(_) | Message::CommandComplete(_) | Message::EmptyQueryResponse => Ok(()),
            _ => Err(DatabaseFault::Protocol),
        })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if !self.ended {
            self.out.clear();
            frontend::terminate(&mut self.out);
            // Whether the server hears it changes nothing: what was not committed is rolled back.
            let _ = self.send();
        }
    }
}

/// The code of an error, and nothing else of it: the other fields quote cells.
fn state_of(body: &ErrorResponseBody) -> SqlState {
    let mut fields = body.fields();
    while let Ok(Some(field)) = fields.next() {
        if field.type_() == b'C' {
            return SqlState::of(field.value_bytes());
        }
    }
    SqlState::NONE
}
