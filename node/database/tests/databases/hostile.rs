//! Servers that lie, fall silent, or send what makes no sense: a fault, soon, and no more memory than is allowed.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use cohortium_database::fault::DatabaseFault;
use cohortium_database::limits::Limits;
use cohortium_database::login::{Login, Password, Privacy};
use cohortium_database::source::{Server, Source};

use crate::read::{Read, reading, select};

fn login() -> Login {
    Login {
        user: "u".to_owned(),
        password: Some(Password::new("secret-password".to_owned())),
        database: "d".to_owned(),
        privacy: Privacy::WithinMachine,
    }
}

/// What becomes of a conversation with a server that says this, whatever it hears, and then hangs up or falls silent.
fn said(speaks: Server, bytes: &[u8], silent: bool) -> (DatabaseFault, Vec<u8>) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let bytes = bytes.to_vec();
    let server = thread::spawn(move || {
        let _ = theirs.write_all(&bytes);
        if !silent {
            let _ = theirs.shutdown(std::net::Shutdown::Write);
        }
        let mut heard = Vec::new();
        let _ = theirs.read_to_end(&mut heard);
        heard
    });
    let limits = Limits { silence_max: Duration::from_millis(200), ..Limits::default() };
    let opened = Source::open(speaks, ours.into(), &login(), select("SELECT 1 AS a"), reading(limits));
    let fault = match opened {
        Err(fault) => fault,
        Ok(mut source) => Read::all(&mut source).err().expect("such a server has no rows"),
    };
    (fault, server.join().unwrap())
}

/// A message of PostgreSQL.
fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[tag], &length[..], body].concat()
}

/// A packet of MariaDB.
fn packet(sequence: u8, body: &[u8]) -> Vec<u8> {
    let [a, b, c, _] = u32::try_from(body.len()).unwrap().to_le_bytes();
    [&[a, b, c, sequence], body].concat()
}

/// What MariaDB says first.
fn greeting() -> Vec<u8> {
    let mut body = b"\x0a5.5\0\x01\0\0\0abcdefgh\0\xff\xf7\x21\x02\0\xff\x81\x15".to_vec();
    body.extend([0; 10]);
    body.extend(b"ijklmnopqrst\0mysql_native_password\0");
    body
}

#[test]
fn a_server_that_falls_silent_is_not_waited_for() {
    for speaks in [Server::Postgres, Server::Maria] {
        let began = Instant::now();
        assert_eq!(said(speaks, b"", true).0, DatabaseFault::Silent { rows: 0 });
        assert!(began.elapsed() < Duration::from_secs(20));
        assert!(matches!(said(speaks, b"", false).0, DatabaseFault::Lost { rows: 0, .. }));
    }
}

#[test]
fn an_absurd_length_is_refused_before_memory_is_taken() {
    let huge = [&b"R"[..], &0x7fff_ffff_u32.to_be_bytes()].concat();
    let negative = [&b"R"[..], &0xffff_ffff_u32.to_be_bytes()].concat();
    let tiny = [&b"R"[..], &3_u32.to_be_bytes()].concat();
    for bytes in [huge, negative, tiny] {
        assert_eq!(said(Server::Postgres, &bytes, true).0, DatabaseFault::Protocol);
    }
    assert_eq!(said(Server::Maria, &[0xff, 0xff, 0xff, 0], true).0, DatabaseFault::Protocol);
}

#[test]
fn a_server_that_lets_in_without_proving_itself_is_refused() {
    // It asks for SCRAM, and then says that all is well without knowing the password.
    let asks = message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0");
    let fine = message(b'R', &[0; 4]);
    let ready = message(b'Z', b"I");
    let (fault, heard) = said(Server::Postgres, &[asks, fine, ready].concat(), false);
    assert_eq!(fault, DatabaseFault::Protocol);
    assert!(!heard.windows(6).any(|window| window == b"secret"));
    let kerberos = message(b'R', &[0, 0, 0, 7]);
    assert_eq!(said(Server::Postgres, &kerberos, false).0, DatabaseFault::LoginMethod);
}

#[test]
fn a_statement_that_returns_nothing_is_no_select() {
    let ready = || message(b'Z', b"T");
    let done = || [message(b'C', b"SET\0"), ready()].concat();
    let postgres = [message(b'R', &[0; 4]), ready(), done(), done(), message(b'1', b""), message(b'n', b""), ready()];
    assert_eq!(said(Server::Postgres, &postgres.concat(), false).0, DatabaseFault::NotASelect);
    let fine = packet(1, &[0; 7]);
    let prepared = packet(1, &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let maria = [packet(0, &greeting()), packet(2, &[0; 7]), fine.repeat(5), prepared];
    assert_eq!(said(Server::Maria, &maria.concat(), false).0, DatabaseFault::NotASelect);
}

#[test]
fn a_server_that_asks_for_a_file_or_an_old_password_gets_nothing() {
    let greeted = packet(0, &greeting());
    for asks in
        [&[0xfb, b'/', b'e', b't', b'c'][..], &[0xfe], b"\xfemysql_clear_password\0", b"\xfemysql_native_password\0abc"]
    {
        let (fault, heard) = said(Server::Maria, &[&greeted[..], &packet(2, asks)].concat(), false);
        assert!(matches!(fault, DatabaseFault::LoginMethod | DatabaseFault::Protocol), "{fault:?}");
        assert!(!heard.windows(6).any(|window| window == b"secret"));
    }
    // One without TLS, where TLS is required, hears nothing at all.
    let old = packet(0, b"\x095.5\0");
    assert_eq!(said(Server::Maria, &old, false), (DatabaseFault::Protocol, Vec::new()));
}

#[test]
fn bytes_of_no_sense_are_faults_and_never_panics() {
    // A small generator, so that a failure comes again.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut dice = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let tags = b"RSKZTDCENntI123sGA";
    for _ in 0..300 {
        let mut bytes = message(b'R', &[0; 4]);
        bytes.extend(message(b'Z', b"I"));
        for _ in 0..dice() % 8 {
            let tag = tags[usize::try_from(dice()).unwrap_or(0) % tags.len()];
            let body: Vec<u8> = (0..dice() % 40).map(|_| u8::try_from(dice() % 256).unwrap() % 4).collect();
            bytes.extend(message(tag, &body));
        }
        said(Server::Postgres, &bytes, false);
        let noise: Vec<u8> = (0..dice() % 90).map(|_| u8::try_from(dice() % 256).unwrap()).collect();
        said(Server::Maria, &noise, false);
    }
}
