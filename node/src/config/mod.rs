//! The node's configuration: `file` as a person writes it, `resolve` checked, `secret` the keys that it points to.

pub mod file;
pub mod resolve;
pub mod secret;
