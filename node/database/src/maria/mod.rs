//! MariaDB: the conversation, its types, reading in one transaction.

mod packet;
pub(crate) mod wire;
mod login;
pub(crate) mod session;
pub(crate) mod types;
pub(crate) mod rows;
