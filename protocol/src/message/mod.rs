//! What the frames of each exchange carry. Plain data; the sessions give it meaning.

pub mod document;
pub mod hello;
pub mod join;
pub mod transfer;
pub mod witness;
