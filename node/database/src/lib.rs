//! Databases: tables read from PostgreSQL and MariaDB, and results landed in PostgreSQL.
//!
//! It runs in the worker process, which opens no socket: each conversation goes over a connected [`stream::Stream`]
//! that was given. The clients here are small and ours for that reason. With no file descriptor to spare there is no
//! epoll and no poll, so nothing that needs a reactor runs; a length is checked before memory is taken for it; and of
//! what a server says about an error only its SQLSTATE is ever read, because the rest quotes cells (law 12).

pub mod limits;
pub mod fault;
pub mod stream;
mod tls;
pub mod login;
pub mod query;
pub mod column;
mod value;
mod cells;
pub mod batch;
mod pace;
mod calendar;
mod postgres;
mod maria;
pub mod source;
pub mod land;
