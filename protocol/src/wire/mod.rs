//! The bytes between nodes: one codec, one frame, one version rule.

pub mod codec;
pub mod frame;
pub mod version;
