//! Tests with real servers, each started here and ended with these tests.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod room;
mod read;
mod postgres;
mod maria;
mod postgres_types;
mod postgres_read;
mod postgres_land;
mod postgres_omop;
mod maria_types;
mod maria_read;
mod hostile;
mod confined;
