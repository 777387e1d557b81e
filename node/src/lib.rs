//! The Cohortium daemon and its command line.

pub mod control;
pub mod home;
pub mod config;
pub mod person;
pub mod worker;
mod offered;
mod driver;
mod offline;
mod service;
mod view;
pub mod telemetry;
pub mod daemon;
pub mod cli;

/// The program `cohortium`: a worker when it is started as one, else the command line.
pub fn main() -> std::process::ExitCode {
    let mut args = std::env::args_os();
    if args.nth(1).is_some_and(|first| first == worker::ARGUMENT) {
        return worker::main();
    }
    cli::run(std::env::args_os())
}
