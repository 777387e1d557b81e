//! Whole nodes on loopback, as real processes driven by their own command line: what `cohortium` promises, from the charter
//! to a revocation, and what it refuses. `COHORTIUM_LONG=1` makes the same tests larger.

#![expect(clippy::unwrap_used, reason = "what goes wrong fails the test")]

/// The program that is node and worker.
const PROGRAM: &str = env!("CARGO_BIN_EXE_cohortium-under-test");

#[path = "e2e/tables.rs"]
mod tables;
#[path = "e2e/file_sets.rs"]
mod file_sets;
#[path = "e2e/revocation.rs"]
mod revocation;
#[path = "e2e/crashes.rs"]
mod crashes;
