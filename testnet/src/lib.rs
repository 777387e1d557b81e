//! A consortium on loopback: generated hospitals, real node processes, the demo.

pub mod hospital;
pub mod source;
pub mod cluster;
pub mod canary;
pub mod report;
mod mapped;
pub mod demo;
