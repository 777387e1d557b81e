//! The test network's program. It re-executes itself as node and as worker, so that one build serves all three.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use cohortium_testnet::demo::{self, Data, Options};

/// A consortium on loopback.
#[derive(Debug, Parser)]
#[command(name = "cohortium-testnet", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start an operator and members, run the flow, check it, and stop
    Demo(Demo),
}

#[derive(Debug, clap::Args)]
struct Demo {
    /// Which data: generated, los, heart or all (the last three read ../shared/data; all starts a PostgreSQL of its own)
    #[arg(long, default_value = "generated")]
    data: Data,
    /// Members, for generated data
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(2..=60))]
    members: u64,
    /// Encounters a member, for generated data; of the member with a database, with all
    #[arg(long, default_value_t = 400)]
    rows: u64,
    /// Everything generated follows from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where all artefacts go; a new folder that stays. Without it they go when the demo ends
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Leave the network up, to play with; it ends with this program
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let first = args.nth(1);
    if first.as_deref().is_some_and(|first| first == "worker") {
        return cohortium_node::worker::main();
    }
    if first.as_deref().is_some_and(|first| first == "node") {
        return cohortium_node::cli::run(std::iter::once("cohortium".into()).chain(args));
    }
    let Verb::Demo(demo) = Cli::parse().verb;
    let options = Options {
        data: demo.data,
        members: demo.members,
        rows: demo.rows,
        seed: demo.seed,
        out: demo.out,
        keep: demo.keep,
    };
    match demo::run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(5),
        Err(fault) => {
            eprintln!("error: {fault}");
            ExitCode::FAILURE
        }
    }
}
