//! The speed of the whole system, measured beside what it is compared with, in one run. `./bench` starts it.
//!
//! This program is also the node, the worker and the other end of each anchor: it runs itself again for each of them.

#![expect(clippy::unwrap_used, reason = "a measuring program stops at the first error, with the place")]
#![expect(clippy::panic, reason = "a measuring program stops at the first error, with the place")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

mod anonymised;
mod consolidated;
mod data;
mod delta;
mod idle;
mod ledger;
mod mapped;
mod network;
mod peers;
mod private;
mod report;
mod resume;
mod transfer;
mod views;
mod watch;

use std::process::ExitCode;

use report::{Machine, Outcome};

/// What a run is asked for.
#[derive(Debug, Clone)]
struct Settings {
    /// Pairs of each side; figures are medians over them.
    pairs: usize,
    /// Size of the transfer.
    mib: u64,
    /// Rows of the delta's table.
    rows: u64,
    /// Members that connect to one operator.
    members: usize,
}

type Bench = fn(&Settings) -> Outcome;

const BENCHES: [(&str, Bench); 10] = [
    ("transfer", transfer::run),
    ("delta", delta::run),
    ("resume", resume::run),
    ("idle", idle::run),
    ("views", views::run),
    ("mapped", mapped::run),
    ("consolidated", consolidated::run),
    ("anonymised", anonymised::run),
    ("ledger", ledger::run),
    ("private", private::run),
];

const USAGE: &str = "usage: bench [--quick] [--pairs N] [--mib N] [--rows N] [--members N] \
                     [transfer|delta|resume|idle|views|mapped|consolidated|anonymised|ledger|private ..]";

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let first = args.nth(1);
    match first.as_deref().and_then(|first| first.to_str()) {
        Some("worker") => cohortium_node::worker::main(),
        Some("node") => cohortium_node::cli::run(std::iter::once("cohortium".into()).chain(args)),
        Some("peer") => peers::main(&args.map(|arg| arg.into_string().unwrap()).collect::<Vec<_>>()),
        // Without a further argument these are the names of benches.
        Some(name @ ("views" | "mapped" | "anonymised" | "private")) if std::env::args_os().len() > 4 => {
            let measure = match name {
                "views" => views::child,
                "mapped" => mapped::child,
                "private" => private::child,
                _ => anonymised::child,
            };
            measure(&args.map(|arg| arg.into_string().unwrap()).collect::<Vec<_>>());
            ExitCode::SUCCESS
        }
        _ => {
            if let Some((settings, wanted)) = parse(std::env::args().skip(1)) {
                run(&settings, &wanted)
            } else {
                eprintln!("{USAGE}");
                ExitCode::from(2)
            }
        }
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Option<(Settings, Vec<String>)> {
    let mut settings = Settings { pairs: 5, mib: 1024, rows: 1_000_000, members: 200 };
    let mut wanted = Vec::new();
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|text| text.parse::<u64>().ok()).filter(|number| *number > 0);
        match arg.as_str() {
            // Cargo says so to every bench.
            "--bench" => {}
            "--quick" => settings.pairs = 1,
            "--pairs" => settings.pairs = usize::try_from(number()?).ok()?,
            "--mib" => settings.mib = number()?,
            "--rows" => settings.rows = number()?,
            "--members" => settings.members = usize::try_from(number()?).ok()?,
            name if BENCHES.iter().any(|(known, _)| *known == name) => wanted.push(name.to_owned()),
            _ => return None,
        }
    }
    Some((settings, wanted))
}

fn run(settings: &Settings, wanted: &[String]) -> ExitCode {
    let machine = Machine::look();
    println!("{}", machine.to_text());
    let mut all = true;
    for (name, bench) in BENCHES {
        if wanted.is_empty() || wanted.iter().any(|other| other == name) {
            let outcome = bench(settings);
            println!("{}", outcome.to_markdown());
            report::write(name, &machine, &outcome);
            all &= outcome.holds();
        }
    }
    println!("{}", if all { "every bar holds" } else { "NOT every bar holds" });
    if all { ExitCode::SUCCESS } else { ExitCode::from(5) }
}
