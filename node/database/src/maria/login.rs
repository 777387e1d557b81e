//! Signing on to a MariaDB server, over TLS where that is required.

use std::io::{Read, Write};

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA1_OUTPUT_LEN};

use crate::fault::DatabaseFault;
use crate::limits::Limits;
use crate::login::{Login, Privacy};
use crate::maria::packet::Payload;
use crate::maria::wire::{EOF, OK, Wire};
use crate::stream::Stream;
use crate::tls::Channel;

/// What we can do, and ask for. Not among it: files of ours for the server (`LOCAL_FILES`), several statements in one.
const ABILITIES: u32 = LONG_PASSWORD | LONG_FLAG | CONNECT_WITH_DB | PROTOCOL_41 | TRANSACTIONS | SECURE | PLUGIN_AUTH;
const LONG_PASSWORD: u32 = 1;
const LONG_FLAG: u32 = 1 << 2;
const CONNECT_WITH_DB: u32 = 1 << 3;
const PROTOCOL_41: u32 = 1 << 9;
const TLS: u32 = 1 << 11;
const TRANSACTIONS: u32 = 1 << 13;
const SECURE: u32 = 1 << 15;
const PLUGIN_AUTH: u32 = 1 << 19;

/// `utf8mb4_general_ci`: what is said and heard is UTF-8.
const COLLATION: u8 = 45;
/// The way of proving a password that is supported.
const NATIVE: &[u8] = b"mysql_native_password";
/// Bytes of the server's question.
const SCRAMBLE_BYTES: usize = 20;

/// What a server says of itself.
struct Greeting {
    abilities: u32,
    scramble: [u8; SCRAMBLE_BYTES],
}

impl Greeting {
    fn read(mut packet: Payload<'_>) -> Result<Self, DatabaseFault> {
        if packet.u8()? != 10 {
            return Err(DatabaseFault::Protocol);
        }
        packet.ended()?; // the version
        packet.u32()?; // the connection's number
        let first = packet.take(8)?;
        packet.u8()?;
        let low = packet.u16()?;
        packet.take(3)?; // collation, status
        let high = packet.u16()?;
        packet.take(11)?; // the question's length, reserved
        let second = packet.take(SCRAMBLE_BYTES - 8)?;
        let scramble = [first, second].concat().try_into().map_err(|_| DatabaseFault::Protocol)?;
        Ok(Self { abilities: u32::from(low) | (u32::from(high) << 16), scramble })
    }
}

/// Signs on.
pub(crate) fn sign_on(mut stream: Stream, login: &Login, limits: &Limits) -> Result<Wire, DatabaseFault> {
    login.check()?;
    stream.prepare(limits.silence_max)?;
    if login.privacy == Privacy::WithinMachine && !stream.is_local() {
        return Err(DatabaseFault::NotPrivate);
    }
    let greeting = Greeting::read(greeted(&mut stream, limits)?.payload())?;
    let needed = PROTOCOL_41 | SECURE | PLUGIN_AUTH;
    if greeting.abilities & needed != needed {
        return Err(DatabaseFault::LoginMethod);
    }
    let (mut wire, abilities) = match &login.privacy {
        Privacy::WithinMachine => (Wire::new(Channel::plain(stream), 1, limits.row_bytes_max), ABILITIES),
        Privacy::Tls(_) if greeting.abilities & TLS == 0 => return Err(DatabaseFault::NoTls),
        Privacy::Tls(terms) => {
            // The head of the answer alone, in the open: it names nobody.
            let head = head_of(ABILITIES | TLS);
            stream.write_all(&[&[32, 0, 0, 1], &head[..]].concat())?;
            (Wire::new(Channel::tls(stream, terms)?, 2, limits.row_bytes_max), ABILITIES | TLS)
        }
    };
    wire.send(&answer(abilities, login, &greeting.scramble)?)?;
    settle(&mut wire, login)?;
    Ok(wire)
}

/// The greeting's bytes, read one packet and not a byte more: TLS may begin behind it.
fn greeted(stream: &mut Stream, limits: &Limits) -> Result<Greeted, DatabaseFault> {
    let mut wire = Wire::new(Unsaid(stream), 0, limits.row_bytes_max);
    let bytes = wire.receive()?.rest().to_vec();
    Ok(Greeted(bytes))
}

struct Greeted(Vec<u8>);

impl Greeted {
    fn payload(&self) -> Payload<'_> {
        Payload::new(&self.0)
    }
}

/// The stream before anything may be said on it.
struct Unsaid<'a>(&'a mut Stream);

impl Read for Unsaid<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Unsaid<'_> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn head_of(abilities: u32) -> [u8; 32] {
    let mut head = [0; 32];
    head[..4].copy_from_slice(&abilities.to_le_bytes());
    head[4..8].copy_from_slice(&(1_u32 << 24).to_le_bytes());
    head[8] = COLLATION;
    head
}

fn answer(abilities: u32, login: &Login, scramble: &[u8; SCRAMBLE_BYTES]) -> Result<Vec<u8>, DatabaseFault> {
    let proof = native(login.password(), scramble);
    let mut answer = head_of(abilities).to_vec();
    answer.extend(login.user.as_bytes());
    answer.push(0);
    answer.push(u8::try_from(proof.len()).map_err(|_| DatabaseFault::LoginTerms)?);
    answer.extend(proof);
    answer.extend(login.database.as_bytes());
    answer.push(0);
    answer.extend(NATIVE);
    answer.push(0);
    Ok(answer)
}

/// Hears whether the proof was enough; the server may ask once more, with another question.
fn settle(wire: &mut Wire, login: &Login) -> Result<(), DatabaseFault> {
    let mut packet = wire.receive()?;
    match packet.u8()? {
        OK => return Ok(()),
        EOF => {}
        _ => return Err(DatabaseFault::LoginMethod),
    }
    if packet.ended()? != NATIVE {
        return Err(DatabaseFault::LoginMethod);
    }
    let scramble = packet.take(SCRAMBLE_BYTES)?.try_into().map_err(|_| DatabaseFault::Protocol)?;
    let proof = native(login.password(), &scramble);
    wire.send(&proof)?;
    match wire.receive()?.u8()? {
        OK => Ok(()),
        _ => Err(DatabaseFault::LoginMethod),
    }
}

/// SHA1(password) xor SHA1(question, SHA1(SHA1(password))); nothing for an empty password.
///
/// Source: MariaDB, "Authentication plugin `mysql_native_password`".
fn native(password: &[u8], scramble: &[u8; SCRAMBLE_BYTES]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let first = sha1(&[password]);
    let stored = sha1(&[&first]);
    let mask = sha1(&[scramble, &stored]);
    first.iter().zip(mask).map(|(ours, mask)| ours ^ mask).collect()
}

fn sha1(parts: &[&[u8]]) -> [u8; SHA1_OUTPUT_LEN] {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    for part in parts {
        context.update(part);
    }
    let mut digest = [0; SHA1_OUTPUT_LEN];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}
