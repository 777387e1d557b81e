//! The program that tests run as node and as worker: `node` and then the words of the command line, or `worker`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let first = args.nth(1);
    match first.as_ref().and_then(|first| first.to_str()) {
        Some("worker") => cohortium_node::worker::main(),
        Some("node") => cohortium_node::cli::run(std::iter::once("cohortium".into()).chain(args)),
        _ => {
            eprintln!("error: give node or worker");
            ExitCode::from(2)
        }
    }
}
