//! Kill -9 of the consumer, and of the provider, in the middle of 1 GiB: what has to be sent again.

use std::thread::sleep;
use std::time::{Duration, Instant};

use cohortium_protocol::limits::{RANGE_BYTES, RANGES_IN_FLIGHT_MAX};
use serde_json::json;

use crate::network::{Entry, Journal, Network, folder, subfolder, text, wait};
use crate::report::{Bar, Outcome, Side};
use crate::{Settings, data, watch};

const SHARE: &str = "parquet-files";
const AGAIN_MAX: f64 = 0.01;
/// What was served is written down every five seconds; after so long without news everything is.
const WRITTEN_DOWN: Duration = Duration::from_secs(12);
const MIB: f64 = 1_048_576.0;

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Consumer,
    Provider,
}

/// What a kill cost.
struct Cost {
    /// Bytes that the consumer had written when the kill came.
    had: f64,
    /// Bytes served after it.
    after: f64,
    again: f64,
    seconds: f64,
}

pub(crate) fn run(settings: &Settings) -> Outcome {
    let dir = folder();
    let source = subfolder(dir.path(), "source");
    let file = source.join("run.parquet");
    let bytes = data::parquet(&file, settings.mib << 20);
    let mut network = Network::of_two();
    network.share(SHARE, &["--files", text(&source)], &[]);
    let mut costs = Vec::new();
    for (round, victim) in [Victim::Consumer, Victim::Provider].into_iter().enumerate() {
        data::mark(&file, round + 1);
        costs.push((victim, cost(&mut network, victim, bytes)));
    }
    network.end();
    let bound = AGAIN_MAX * bytes as f64 + (RANGES_IN_FLIGHT_MAX as u64 * RANGE_BYTES) as f64;
    let row = |(victim, cost): &(Victim, Cost)| {
        let figure = |bytes: f64| format!("{:.0} MiB", bytes / MIB);
        vec![
            format!("{victim:?}"),
            figure(cost.had),
            figure(cost.after),
            figure(cost.again),
            format!("{:.1}", cost.seconds),
        ]
    };
    let bar = |(victim, cost): &(Victim, Cost)| Bar {
        what: format!("sent again after kill -9 of the {}", format!("{victim:?}").to_lowercase()),
        measured: cost.again / MIB,
        bound: bound / MIB,
        side: Side::AtMost,
        unit: " MiB",
    };
    Outcome {
        title: format!("Kill -9 in the middle of {} MiB", bytes >> 20),
        header: vec!["killed", "landed before", "served after", "sent again", "seconds from restart to receipt"],
        rows: costs.iter().map(row).collect(),
        bars: costs.iter().map(bar).collect(),
        notes: vec![format!(
            "The bound is 1 % of the blob and {RANGES_IN_FLIGHT_MAX} ranges of {} MiB in flight. Consumer killed: served bytes \
             in the provider's journal less the blob's. Provider killed: bytes that the new process served and bytes that the \
             consumer had written, less the blob's.",
            RANGE_BYTES >> 20,
        )],
        raw: json!(
            costs
                .iter()
                .map(|(victim, cost)| json!({"killed": format!("{victim:?}"), "had_bytes": cost.had,
            "after_bytes": cost.after, "again_bytes": cost.again, "seconds": cost.seconds}))
                .collect::<Vec<_>>()
        ),
    }
}

fn cost(network: &mut Network, victim: Victim, bytes: u64) -> Cost {
    let served_before = settled(network);
    let consumer = network.operator.pid().unwrap();
    let mut journal = Journal::follow(network.member());
    let at_start = watch::written_bytes(consumer);
    network.take(SHARE);
    journal.next("manifest");
    let written = || watch::written_bytes(consumer).saturating_sub(at_start);
    let deadline = Instant::now() + Duration::from_mins(2);
    while written() < bytes / 2 {
        assert!(Instant::now() < deadline, "no transfer to kill");
        sleep(Duration::from_millis(2));
    }
    let had = written() as f64;
    match victim {
        Victim::Consumer => network.operator.kill(),
        Victim::Provider => network.members[0].kill(),
    }
    // A restart takes a moment, as a person's or a supervisor's would.
    sleep(Duration::from_millis(500));
    let had = match victim {
        Victim::Consumer => had,
        // What was under way still arrived.
        Victim::Provider => written() as f64,
    };
    match victim {
        Victim::Consumer => network.operator.start().unwrap(),
        Victim::Provider => network.members[0].start().unwrap(),
    }
    let restarted = Instant::now();
    if victim == Victim::Provider {
        journal = Journal::follow(network.member());
    }
    let served_at_restart = network.served(SHARE);
    let _: Entry = journal.next("receipt");
    let seconds = restarted.elapsed().as_secs_f64();
    drop(journal);
    let served = settled(network);
    let after = (served - served_at_restart) as f64;
    let again = match victim {
        Victim::Consumer => (served - served_before) as f64 - bytes as f64,
        Victim::Provider => had + after - bytes as f64,
    };
    Cost { had, after, again, seconds }
}

/// Bytes served, once nothing more is being written down.
fn settled(network: &Network) -> u64 {
    let (mut last, mut since) = (network.served(SHARE), Instant::now());
    wait("served bytes to be written down", || {
        let now = network.served(SHARE);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        since.elapsed() >= if last == 0 { Duration::ZERO } else { WRITTEN_DOWN }
    });
    last
}
