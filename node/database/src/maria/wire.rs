//! Packets to and from a MariaDB server. A packet's length is checked before memory is taken for it.
//!
//! Source: MariaDB client/server protocol, <https://mariadb.com/kb/en/clientserver-protocol/>.

use std::io::{Read, Write};

use crate::fault::{Act, DatabaseFault, SqlState};
use crate::maria::packet::Payload;
use crate::tls::Channel;

/// The longest packet that is no row.
const PACKET_BYTES_MAX: usize = 1 << 20;
/// Bytes of a packet's part when another part follows.
const PART_BYTES: usize = 0xff_ffff;

/// What the first byte of an answer says.
pub(crate) const OK: u8 = 0x00;
/// See [`OK`].
pub(crate) const EOF: u8 = 0xfe;
const ERR: u8 = 0xff;
/// The longest packet that can be an end of rows, and not a row that begins like one.
const EOF_BYTES: usize = 5;

const COM_QUIT: u8 = 0x01;
/// A statement, in words.
pub(crate) const COM_QUERY: u8 = 0x03;

/// A conversation after its transport was agreed on.
pub(crate) struct Wire<C: Read + Write = Channel> {
    channel: C,
    sequence: u8,
    received: Vec<u8>,
    row_bytes_max: usize,
    /// What is being done, for the fault when it is refused.
    pub(crate) act: Act,
    ended: bool,
}

impl<C: Read + Write> Wire<C> {
    pub(crate) fn new(channel: C, sequence: u8, row_bytes_max: usize) -> Self {
        Self { channel, sequence, received: Vec::new(), row_bytes_max, act: Act::Login, ended: false }
    }

    /// Sends a command, which begins a new exchange.
    pub(crate) fn command(&mut self, command: u8, body: &[u8]) -> Result<(), DatabaseFault> {
        self.sequence = 0;
        self.send(&[&[command], body].concat())
    }

    /// Sends a packet within an exchange.
    pub(crate) fn send(&mut self, payload: &[u8]) -> Result<(), DatabaseFault> {
        let sent = self.write(payload);
        self.ended |= sent.is_err();
        sent
    }

    fn write(&mut self, payload: &[u8]) -> Result<(), DatabaseFault> {
        // Nothing that is sent here is as long as a whole part.
        let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() < PART_BYTES);
        let [a, b, c, _] = length.ok_or(DatabaseFault::Query)?.to_le_bytes();
        self.channel.write_all(&[&[a, b, c, self.sequence], payload].concat())?;
        self.channel.flush()?;
        self.sequence = self.sequence.wrapping_add(1);
        Ok(())
    }

    /// The next packet that is no row. A refusal of the server is a fault.
    pub(crate) fn receive(&mut self) -> Result<Payload<'_>, DatabaseFault> {
        self.next(PACKET_BYTES_MAX)?;
        Ok(Payload::new(&self.received))
    }

    /// The next packet where rows are on their way.
    pub(crate) fn receive_row(&mut self) -> Result<Payload<'_>, DatabaseFault> {
        self.next(self.row_bytes_max)?;
        Ok(Payload::new(&self.received))
    }

    fn next(&mut self, bytes_max: usize) -> Result<(), DatabaseFault> {
        let read = self.read(bytes_max).and_then(|()| match self.received.first() {
            Some(&ERR) => Err(DatabaseFault::Server { act: self.act, state: state_of(&self.received) }),
            Some(_) => Ok(()),
            None => Err(DatabaseFault::Protocol),
        });
        self.ended |= read.is_err();
        read
    }

    fn read(&mut self, bytes_max: usize) -> Result<(), DatabaseFault> {
        self.received.clear();
        loop {
            let mut head = [0; 4];
            self.channel.read_exact(&mut head)?;
            let [a, b, c, sequence] = head;
            if sequence != self.sequence {
                return Err(DatabaseFault::Protocol);
            }
            self.sequence = self.sequence.wrapping_add(1);
            let part = (usize::from(c) << 16) | (usize::from(b) << 8) | usize::from(a);
            let before = self.received.len();
            if before + part > bytes_max {
                let row = bytes_max != PACKET_BYTES_MAX;
                return Err(if row { DatabaseFault::RowTooLong { row: 0 } } else { DatabaseFault::Protocol });
            }
            self.received.resize(before + part, 0);
            self.channel.read_exact(&mut self.received[before..])?;
            if part < PART_BYTES {
                return Ok(());
            }
        }
    }

    /// Has the server run a statement of ours that returns nothing.
    pub(crate) fn run(&mut self, statement: &str) -> Result<(), DatabaseFault> {
        self.command(COM_QUERY, statement.as_bytes())?;
        match self.receive()?.u8()? {
            OK => Ok(()),
            _ => Err(DatabaseFault::Protocol),
        }
    }
}

impl<C: Read + Write> Drop for Wire<C> {
    fn drop(&mut self) {
        if !self.ended {
            // Whether the server hears it changes nothing: nothing was written.
            let _ = self.command(COM_QUIT, &[]);
        }
    }
}

/// The flags of an end of rows, if this packet is one.
pub(crate) fn end_of_rows(packet: Payload<'_>) -> Result<Option<u16>, DatabaseFault> {
    let mut packet = packet;
    if packet.rest().len() > EOF_BYTES || packet.rest().first() != Some(&EOF) {
        return Ok(None);
    }
    packet.take(3)?;
    packet.u16().map(Some)
}

/// The code of an error, and nothing else of it: the message quotes cells.
fn state_of(packet: &[u8]) -> SqlState {
    match packet {
        [ERR, _, _, b'#', state @ ..] => state.get(..5).map_or(SqlState::NONE, SqlState::of),
        _ => SqlState::NONE,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Cursor};

    use super::*;

    /// What a server says, whatever it hears.
    struct Says(Cursor<Vec<u8>>);

    impl Read for Says {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Says {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            Ok(buffer.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn wire(said: &[u8]) -> Wire<Says> {
        Wire::new(Says(Cursor::new(said.to_vec())), 0, 2 * PART_BYTES)
    }

    #[test]
    fn a_length_is_judged_before_memory_is_taken() {
        assert!(matches!(wire(&[1, 0, 16, 0]).receive(), Err(DatabaseFault::Protocol)));
        let mut small = Wire::new(Says(Cursor::new(vec![11, 0, 0, 0])), 0, 10);
        assert!(matches!(small.receive_row(), Err(DatabaseFault::RowTooLong { .. })));
    }

    #[test]
    fn a_long_row_comes_in_parts() {
        let parts = |rest: usize| {
            let mut said = vec![0xff, 0xff, 0xff, 0];
            said.resize(said.len() + PART_BYTES, 7);
            let [a, b, c, _] = u32::try_from(rest).unwrap().to_le_bytes();
            said.extend([a, b, c, 1]);
            said.resize(said.len() + rest, 8);
            said
        };
        for rest in [0, 3] {
            assert_eq!(wire(&parts(rest)).receive_row().unwrap().rest().len(), PART_BYTES + rest);
        }
    }

    #[test]
    fn packets_out_of_order_or_empty_or_cut_off_are_faults() {
        assert!(matches!(wire(&[1, 0, 0, 1, 0]).receive(), Err(DatabaseFault::Protocol)));
        assert!(matches!(wire(&[0, 0, 0, 0]).receive(), Err(DatabaseFault::Protocol)));
        assert!(matches!(wire(&[2, 0, 0, 0, 0]).receive(), Err(DatabaseFault::Lost { .. })));
    }

    #[test]
    fn of_an_error_only_the_code_is_kept() {
        let mut said = vec![20, 0, 0, 0, 0xff, 0x7a, 4];
        said.extend(b"#42S02Smith, John");
        let fault = wire(&said).receive().err().unwrap();
        assert_eq!(fault, DatabaseFault::Server { act: Act::Login, state: SqlState::of(b"42S02") });
        assert!(!format!("{fault:?} {fault}").contains("Smith"));
        assert_eq!(state_of(&[0xff, 1, 2, b'S', b'm', b'i', b't', b'h', b'y']), SqlState::NONE);
    }

    #[test]
    fn an_end_of_rows_is_not_a_row_that_begins_like_one() {
        assert_eq!(end_of_rows(Payload::new(&[EOF, 0, 0, 0x80, 0])), Ok(Some(0x80)));
        assert_eq!(end_of_rows(Payload::new(&[EOF, 0, 0, 0x80, 0, 0])), Ok(None));
        assert_eq!(end_of_rows(Payload::new(&[0, 0, 0, 0x80, 0])), Ok(None));
        assert_eq!(end_of_rows(Payload::new(&[EOF, 0])), Err(DatabaseFault::Protocol));
    }
}
