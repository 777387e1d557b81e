//! Tests that need whole tables: Adult with ARX's own figures, and generated ones.

mod adult;
mod adult_models;
mod checker;
mod counts;
mod hostile;
mod lattice;
mod local;
mod memory;
mod models;
mod planted;
mod properties;
mod random;
mod resistant;
