//! 1 GiB of Parquet from node to node, against a bare quinn stream, TLS over TCP and scp, in interleaved rounds.
//!
//! The node's clock is its provider's journal, from the manifest to the consumer's receipt: between them the consumer asks
//! for every range, verifies, seals and writes it, syncs, places the blob, checks, signs the receipt and sends it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::network::{Journal, Network, folder, subfolder, text};
use crate::peers::{self, Peer, Ssh};
use crate::report::{Bar, Outcome, Series, Side};
use crate::watch::{self, Cpu, Workers};
use crate::{Settings, data};

const FILES: &str = "parquet-files";
const TABLE: &str = "parquet-table";
const RATIO_MIN: f64 = 0.7;
const PEAK_MIB_MAX: f64 = 200.0;

/// What the node's side was seen to do.
#[derive(Default)]
struct Node {
    seconds: Series,
    mib_per_second: Series,
    taking: Series,
    bytes: u64,
    provider_cpu: Series,
    consumer_cpu: Series,
    kernel_cpu: Series,
}

pub(crate) fn run(settings: &Settings) -> Outcome {
    let dir = folder();
    let source = subfolder(dir.path(), "source");
    let mut file = source.join("run-0.parquet");
    let bytes = data::parquet(&file, settings.mib << 20);
    let network = Network::of_two();
    let watched = [network.operator.pid().unwrap(), network.member().pid().unwrap()];
    let workers = watched.map(Workers::of);
    network.share(FILES, &["--files", text(&source)], &[]);
    let ssh = Ssh::start();
    let mut anchors: Vec<Series> = Peer::ALL.map(|_| Series::default()).to_vec();
    let (mut scp, mut node) = (Series::default(), Node::default());
    for round in 0..settings.pairs {
        for (peer, series) in Peer::ALL.into_iter().zip(&mut anchors) {
            series.push(peers::moved(peer, bytes));
        }
        if let Some(seconds) = ssh.as_ref().ok().and_then(|ssh| ssh.copied(&file)) {
            scp.push(seconds);
        }
        file = another(&source, &file, round + 1);
        node.round(&network, FILES);
    }
    let mut table = Node::default();
    // Rows leave through a worker, and the consumer's worker looks at all of them.
    network.share(TABLE, &["--parquet", text(&file)], &["--keep-role", "row=quasi-identifier"]);
    table.round(&network, TABLE);
    let peaks =
        [watch::peak_mib(watched[1]), watch::peak_mib(watched[0]), workers[1].peak_mib(), workers[0].peak_mib()];
    drop(workers);
    network.end();
    let ssh_skipped = ssh.err();
    outcome(settings, &Found { bytes, anchors, scp, ssh_skipped, node, table, peaks })
}

/// The next file of the set, which replaces the one before: other bytes of the same length, under another name.
fn another(folder: &Path, file: &Path, round: usize) -> PathBuf {
    let next = folder.join(format!("run-{round}.parquet"));
    fs::rename(file, &next).unwrap();
    data::mark(&next, round);
    next
}

impl Node {
    fn round(&mut self, network: &Network, share: &str) {
        let [consumer, provider] = [network.operator.pid().unwrap(), network.member().pid().unwrap()];
        let mut journal = Journal::follow(network.member());
        network.take(share);
        let order = journal.next("order");
        let manifest = journal.next("manifest");
        let before = [consumer, provider].map(watch::cpu);
        let receipt = journal.next("receipt");
        let [consumer, provider] = [watch::cpu(consumer) - before[0], watch::cpu(provider) - before[1]];
        let seconds = receipt.since(&manifest);
        self.seconds.push(seconds);
        self.mib_per_second.push(receipt.bytes as f64 / seconds / 1_048_576.0);
        self.taking.push(manifest.since(&order));
        self.bytes = receipt.bytes;
        let total = |cpu: Cpu| cpu.user + cpu.system;
        self.provider_cpu.push(total(provider));
        self.consumer_cpu.push(total(consumer));
        self.kernel_cpu.push(provider.system + consumer.system);
    }

    fn to_json(&self) -> Value {
        json!({"bytes": self.bytes, "seconds": self.seconds.0, "taking_seconds": self.taking.0,
            "provider_cpu_seconds": self.provider_cpu.0, "consumer_cpu_seconds": self.consumer_cpu.0,
            "kernel_cpu_seconds": self.kernel_cpu.0})
    }
}

struct Found {
    bytes: u64,
    anchors: Vec<Series>,
    scp: Series,
    ssh_skipped: Option<String>,
    node: Node,
    table: Node,
    /// Provider, consumer, and the largest worker of each.
    peaks: [f64; 4],
}

impl Found {
    /// The node's rate over an anchor's, round by round.
    fn ratios(&self, anchor: &Series) -> Series {
        let per_byte = self.bytes as f64 / self.node.bytes as f64;
        Series(anchor.0.iter().zip(&self.node.seconds.0).map(|(anchor, node)| anchor / (node * per_byte)).collect())
    }

    fn line(&self, title: &str, seconds: &Series) -> Vec<String> {
        let rate = self.bytes as f64 / 1_048_576.0 / seconds.median();
        vec![title.to_owned(), seconds.shown(2), format!("{rate:.0}"), self.ratios(seconds).shown(2)]
    }
}

fn outcome(settings: &Settings, found: &Found) -> Outcome {
    let mut rows: Vec<Vec<String>> =
        Peer::ALL.iter().zip(&found.anchors).map(|(peer, series)| found.line(peer.title(), series)).collect();
    let mut notes = Vec::new();
    match &found.ssh_skipped {
        None => rows.push(found.line("scp (not synced)", &found.scp)),
        Some(why) => notes.push(format!("scp was skipped: {why}.")),
    }
    let mut own = found.line("**node to node, files: sealed, verified, durable, receipt**", &found.node.seconds);
    own[3] = String::new();
    rows.push(own);
    let table_rate = found.table.bytes as f64 / 1_048_576.0 / found.table.seconds.median();
    let title = format!("node to node, the same rows as a table ({} MiB)", found.table.bytes >> 20);
    rows.push(vec![title, found.table.seconds.shown(2), format!("{table_rate:.0}"), String::new()]);
    let node = &found.node;
    notes.push(format!(
        "Seconds are medians of {} interleaved rounds (least to most). Taking the snapshot (reading, hashing, sealing, \
         syncing) comes before and took {} s for files, {} s for the table. Processor seconds of one transfer: provider \
         {}, consumer {}, of both {} in the kernel. The table's receipt waits for the consumer's worker, which decodes \
         every row.",
        settings.pairs, node.taking.shown(2), found.table.taking.shown(2), node.provider_cpu.shown(2),
        node.consumer_cpu.shown(2), node.kernel_cpu.shown(2),
    ));
    let bar = |what: &str, measured, bound, side, unit| Bar { what: what.to_owned(), measured, bound, side, unit };
    let [provider, consumer, provider_worker, consumer_worker] = found.peaks;
    let bars = vec![
        bar(
            "rate over bare quinn with its defaults",
            found.ratios(&found.anchors[0]).median(),
            RATIO_MIN,
            Side::AtLeast,
            "",
        ),
        bar(
            "rate over bare quinn with the node's settings",
            found.ratios(&found.anchors[1]).median(),
            RATIO_MIN,
            Side::AtLeast,
            "",
        ),
        bar("peak memory of the provider", provider, PEAK_MIB_MAX, Side::AtMost, " MiB"),
        bar("peak memory of the consumer", consumer, PEAK_MIB_MAX, Side::AtMost, " MiB"),
        bar("peak memory of the provider's worker, table", provider_worker, PEAK_MIB_MAX, Side::AtMost, " MiB"),
        bar("peak memory of the consumer's worker, table", consumer_worker, PEAK_MIB_MAX, Side::AtMost, " MiB"),
    ];
    let anchors: Vec<Value> = Peer::ALL
        .iter()
        .zip(&found.anchors)
        .map(|(peer, series)| json!({"peer": peer.title(), "seconds": series.0}))
        .collect();
    Outcome {
        title: format!("{} MiB of Parquet between two processes on loopback", found.bytes >> 20),
        header: vec!["what", "seconds", "MiB/s", "node's rate over it"],
        rows,
        bars,
        notes,
        raw: json!({"bytes": found.bytes, "anchors": anchors, "scp_seconds": found.scp.0, "files": node.to_json(),
            "table": found.table.to_json(), "peak_mib": {"provider": provider, "consumer": consumer,
            "provider_worker": provider_worker, "consumer_worker": consumer_worker}}),
    }
}
