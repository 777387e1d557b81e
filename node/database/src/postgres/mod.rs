//! PostgreSQL: the conversation, its types, reading and landing in one transaction.

pub(crate) mod wire;
mod login;
pub(crate) mod session;
pub(crate) mod types;
pub(crate) mod rows;
mod numeric;
pub(crate) mod copy;
pub(crate) mod target;
