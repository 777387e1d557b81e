//! Signing on to a PostgreSQL server, over TLS where that is required.

use std::io::{Read, Write};

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;

use crate::fault::DatabaseFault;
use crate::limits::Limits;
use crate::login::{Login, Privacy, TlsTerms};
use crate::postgres::wire::Wire;
use crate::stream::Stream;
use crate::tls::Channel;

/// Signs on.
pub(crate) fn sign_on(stream: Stream, login: &Login, limits: &Limits) -> Result<Wire, DatabaseFault> {
    login.check()?;
    stream.prepare(limits.silence_max)?;
    let channel = match &login.privacy {
        Privacy::Tls(terms) => over_tls(stream, terms)?,
        Privacy::WithinMachine if stream.is_local() => Channel::plain(stream),
        Privacy::WithinMachine => return Err(DatabaseFault::NotPrivate),
    };
    let mut wire = Wire::new(channel, limits.row_bytes_max);
    let terms = [
        ("user", login.user.as_str()),
        ("database", &login.database),
        ("client_encoding", "UTF8"),
        ("application_name", "cohortium"),
    ];
    wire.put(|out| frontend::startup_message(terms, out))?;
    wire.send()?;
    prove(&mut wire, login)?;
    wire.until_ready(|message| match message {
        Message::BackendKeyData(_) => Ok(()),
        _ => Err(DatabaseFault::Protocol),
    })?;
    Ok(wire)
}

/// Asks for TLS. The one byte of the answer is all that is read before it, so that nothing in the open is taken for
/// something said in private.
fn over_tls(mut stream: Stream, terms: &TlsTerms) -> Result<Channel, DatabaseFault> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    stream.write_all(&request)?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    match answer {
        [b'S'] => Channel::tls(stream, terms),
        [b'N'] => Err(DatabaseFault::NoTls),
        _ => Err(DatabaseFault::Protocol),
    }
}

/// Answers what the server asks until it is satisfied.
fn prove(wire: &mut Wire, login: &Login) -> Result<(), DatabaseFault> {
    loop {
        match wire.receive()? {
            Message::AuthenticationOk => return Ok(()),
            // The way is private.
            Message::AuthenticationCleartextPassword => {
                wire.put(|out| frontend::password_message(login.password(), out))?;
                wire.send()?;
            }
            Message::AuthenticationMd5Password(body) => {
                let hash = md5_hash(login.user.as_bytes(), login.password(), body.salt());
                wire.put(|out| frontend::password_message(hash.as_bytes(), out))?;
                wire.send()?;
            }
            Message::AuthenticationSasl(body) => scram(wire, login, &body)?,
            Message::AuthenticationGss
            | Message::AuthenticationKerberosV5
            | Message::AuthenticationScmCredential
            | Message::AuthenticationSspi => return Err(DatabaseFault::LoginMethod),
            _ => return Err(DatabaseFault::Protocol),
        }
    }
}

/// SCRAM-SHA-256: the server proves that it knows the password too, or the conversation ends.
fn scram(wire: &mut Wire, login: &Login, offer: &AuthenticationSaslBody) -> Result<(), DatabaseFault> {
    let mut offered = offer.mechanisms();
    let mut known = false;
    while let Some(mechanism) = offered.next().map_err(|_| DatabaseFault::Protocol)? {
        known |= mechanism == SCRAM_SHA_256;
    }
    if !known {
        return Err(DatabaseFault::LoginMethod);
    }
    let mut scram = ScramSha256::new(login.password(), ChannelBinding::unsupported());
    wire.put(|out| frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), out))?;
    wire.send()?;
    let Message::AuthenticationSaslContinue(body) = wire.receive()? else { return Err(DatabaseFault::Protocol) };
    scram.update(body.data()).map_err(|_| DatabaseFault::Protocol)?;
    wire.put(|out| frontend::sasl_response(scram.message(), out))?;
    wire.send()?;
    let Message::AuthenticationSaslFinal(body) = wire.receive()? else { return Err(DatabaseFault::Protocol) };
    scram.finish(body.data()).map_err(|_| DatabaseFault::Protocol)
}
