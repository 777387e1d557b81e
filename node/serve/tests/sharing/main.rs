//! The server from outside: what the protocol promises, what hostile callers get, many readers, the clients of others.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod ground;
mod protocol;
mod files;
mod hostile;
mod readers;
mod python;
mod speed;
