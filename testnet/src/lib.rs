//! A consortium on loopback: generated hospitals, real node processes, the demo.

pub mod hospital;
