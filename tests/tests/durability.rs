//! What was acknowledged is kept: power cuts, torn writes, full disks, a journal that cannot be written. Whole nodes as
//! processes; the parts that need a file system of their own say in one line when they are skipped.

#![expect(clippy::unwrap_used, reason = "what goes wrong fails the test")]

/// The program that is node and worker.
const PROGRAM: &str = env!("CARGO_BIN_EXE_cohortium-under-test");

#[path = "durability/disk.rs"]
mod disk;
#[path = "durability/torn.rs"]
mod torn;
#[path = "durability/full.rs"]
mod full;
#[path = "durability/power.rs"]
mod power;
