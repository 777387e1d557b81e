//! A Delta Sharing server for released tables: what pandas, Spark and Power BI read unchanged.
//!
//! It stands on one small interface, [`ground::Ground`], that the node implements: what is offered, to whom, the bytes
//! of files, the log, the time. It decides who may read what, and it decides that anew at every request and between the
//! pieces of a file. It knows nothing of releases, charters or budgets, and looks into no file.
//!
//! ```text
//! recipient.share (token) --> names, versions, schema, files of a version (api)
//!                                                     |
//!                             links: recipient, table, version, file, expiry under an HMAC (link)
//!                                                     |
//!                             bytes of a file, whole or in ranges (api::file)
//! ```
//!
//! Connections are HTTP/1.1 over TLS, or in the open within this machine ([`server`]). Reading and writing them is ours
//! ([`http`]), so that each step has its bound in bytes and in time, and each refusal is the protocol's JSON.

pub mod limits;
pub mod name;
pub mod schema;
pub mod catalogue;
pub mod recipient;
pub mod profile;
pub mod ground;
pub mod link;
mod page;
mod moment;
mod range;
mod refusal;
mod capabilities;
mod ask;
mod lines;
pub mod api;
mod http;
pub mod server;

#[cfg(test)]
mod fixture;
