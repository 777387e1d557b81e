//! The binary `cohortium`. Everything is in the library, so that the test network can run as the same program.

use std::process::ExitCode;

fn main() -> ExitCode {
    cohortium_node::main()
}
