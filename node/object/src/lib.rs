//! Objects of an S3 store, fetched whole and unchanged.
//!
//! The worker, which looks into bytes, opens no socket; what opens the socket here looks into nothing. It moves bytes
//! from a store to a sink that it is given, in the daemon or in a process of its own, and the worker reads them from
//! there. What a store says in words (its errors are XML that quotes keys and more) is read by nobody here.

pub mod place;
pub mod fetch;
