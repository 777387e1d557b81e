//! What no single file can show: the generator that is compiled in, charges, and audits of every mechanism on neighbouring tables.

mod audit;
mod charges;
mod data;
mod generator;
mod margins;
mod models;
mod synthetic;
