//! SQL on FHIR: a ViewDefinition compiled to extractors, FHIR JSON to Arrow. Runs in the worker process.
//!
//! [`View::parse`] checks a view once; [`extract`] streams an input through it, on one thread or several, and
//! [`Extractor`] does one [`Chunk`] for callers with threads of their own. It opens no path and no socket. A record that
//! cannot be read becomes a [`Fault`]: a code and a place, never a cell.

pub mod limits;
mod fault;
mod names;
mod element;
mod json;
mod document;
mod decimal;
mod temporal;
mod path;
mod constant;
mod view;
mod rows;
mod column;
mod list;
mod chunk;
mod extract;
mod suite;
#[cfg(test)]
mod dice;

pub use chunk::{Chunk, Chunks, Layout, ReadFault};
pub use column::FHIR_TYPE;
pub use extract::{Counts, Extractor, OnFault, Options, Part, Stop, Taker, extract};
pub use fault::{Fault, Reason};
pub use limits::Limits;
pub use suite::{SuiteFault, sof_report};
pub use view::{CellType, Column, View, ViewFault};
