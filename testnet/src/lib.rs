//! A consortium on loopback: generated hospitals, real node processes, the demo.

pub mod hospital;
pub mod postgres;
pub mod source;
mod drawn;
pub mod cluster;
pub mod canary;
pub mod report;
mod quality;
mod mapped;
pub mod demo;
