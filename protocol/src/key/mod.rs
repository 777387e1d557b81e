//! Keys, signatures over documents, and who may sign for whom.

pub mod pair;
pub mod label;
pub mod signed;
pub mod wrap;
